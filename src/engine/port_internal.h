/* SPDX-License-Identifier: Apache-2.0 */
/* An io loop's component: its state and what its files share. */
#ifndef ENGINE_PORT_INTERNAL_H
#define ENGINE_PORT_INTERNAL_H

#include "command/tally.h"
#include "engine/batch.h"
#include "engine/events/events.h"
#include "store/tx.h"

struct involved;

struct port {
    struct group *group;
    struct loop *loop;
    uint32_t idx;
    const struct port_events *events;
    void *ctx;
    struct tx *tx; /* for reads at once */
    struct tally *tally;
    struct slice *argv;
    size_t argv_cap;
    struct batch *ordered; /* being gathered */
    struct batch *urgent;
    struct batch *clocked;
    struct loop_phase phase;
    size_t in_flight_bytes;
    size_t max_in_flight_bytes;
    bool was_full;
    size_t frame_hint;
    _Atomic uint32_t waiting_batches; /* ordered ones, posted and not yet submitted */
    struct loop_post pull;            /* the sequencer has taken them: send more */
    _Atomic bool is_pull_posted;
    struct settle_part *settle;
    struct event_line missed; /* what reads answered here have not found */
    struct port_stats stats;
};

void port_init(struct port *port, struct group *group, uint32_t idx, struct loop *loop);
void port_start(struct port *port);
void port_stop(struct port *port);
/* The batch gathered so far, or NULL. For the sequencer on the same loop. */
struct batch *port_take_ordered(struct port *port);
/* A posted batch has been submitted. Thread: the sequencer's. */
void port_on_submitted(struct port *port);
void port_fini(struct port *port);
void port_look_settled(struct port *port);
/* Delivers a reply batch. Through loop_post(port->loop, &batch->post). */
void port_on_replies(struct loop_post *post);

/* A single error reply for one op, from any component, through the port's mailbox. */
void port_post_error(struct port *port, void *token, uint32_t cost, const char *text);

/* ---- Between port.c and port_read.c ---- */

#define TEXT_LOG_FAILED                                                                           \
    "MISCONF The log on disk has failed, so nothing can be written: see the server's log, check " \
    "the disk and restart Ferric"
#define TEXT_DISK_FULL                                                                     \
    "MISCONF No space for the log on disk (the server's log says why), so nothing can be " \
    "written: free space on the volume; no restart is needed"
#define TEXT_DATA_FULL                                                                     \
    "MISCONF Data files cannot be written (the server's log says why), so nothing can be " \
    "written: free space on the volume; no restart is needed"
#define PORT_TEXT_SIZE 512 /* of an error that has to be put together */
#define TEXT_STOPPING  "ERR Ferric is shutting down"
#define TEXT_NO_MEMORY "OOM out of memory for this command"
#define TEXT_BAD_KEYS  "ERR a key is longer than 65535 bytes, or the number of keys is wrong"

enum read_outcome {
    READ_DONE,
    READ_COLD_FROZEN, /* a value is being read; the read has taken its place */
    READ_COLD_ALONE,  /* values are being read; it takes its place when they are there */
    READ_NEEDS_CLOCK,
    READ_TORN /* no instant could be had without asking the shards */
};

/* Runs a point read lock-free. DONE: the reply has been written. */
enum read_outcome port_read_now(struct port *port, const struct port_request *request,
                                struct reply *reply);

/* Answers a command that writes, if it would change nothing. False: it has to be logged. */
bool port_peek(struct port *port, const struct port_request *request, struct reply *reply);

enum prefetch_outcome {
    PREFETCH_NOTHING, /* submit it now */
    PREFETCH_TAKEN,   /* it is submitted when the values have been read */
    PREFETCH_REFUSED  /* a write: the reply says which value cannot be read */
};

/* Reads values that a command needs and that are neither in memory nor in the page cache (R19).
 * `kind` is where it goes then. Only writes are refused: a read may find another value at its
 * place.
 */
enum prefetch_outcome port_prefetch(struct port *port, const struct port_request *request,
                                    enum batch_kind kind, struct reply *reply);

/* Adds the write to the batch. NULL, or the error's text (static or in `text`). */
const char *port_write(struct port *port, const struct port_request *request, char *text,
                       size_t text_size);

/* False when memory is out. */
bool port_add_write(struct port *port, const struct port_request *request,
                    const struct involved *involved, size_t size);
bool port_add_read(struct port *port, const struct port_request *request,
                   const struct involved *involved, enum batch_kind kind);

/* Hands slow commands on; `token` where they are all of one request. */
void port_tell_slow(struct port *port, struct slow_command *slow, void *token);

/* Gives bytes in flight back. */
void port_settle(struct port *port, size_t cost);

#endif
