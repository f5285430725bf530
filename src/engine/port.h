/* SPDX-License-Identifier: Apache-2.0 */
/* port: how an io loop reaches the group: point reads at once, everything else through its batch.
 *
 * A request is either answered at once or taken: then exactly one on_reply comes later, with the
 * token. Writes are gathered into one batch a turn, which is the frame that goes to disk. A read
 * that must follow its connection's writes rides in the same batch and is executed at its place
 * (R29).
 *
 * Threads:  everything on the port's loop.
 * Lifetime: argv is borrowed for the call.
 */
#ifndef ENGINE_PORT_H
#define ENGINE_PORT_H

#include "command/tally.h"
#include "engine/group.h"

struct port_events {
    /* `reply` holds whole RESP replies; borrowed for the call. */
    void (*on_reply)(void *ctx, void *token, struct slice reply);
    /* A request that was taken alone has its place: more of its connection may be sent now, which
     * follows it. May be left out; on_reply comes in any case. */
    void (*on_placed)(void *ctx, void *token);
    /* What has happened in the keyspace, durable and in order; the list is borrowed for the call.
     * Only what group_want_events() has asked for. May be left out. */
    void (*on_events)(void *ctx, const struct event_list *events);
    /* A command has been slow that was not answered at once; before its on_reply. Takes it. May be
     * left out. */
    void (*on_slow)(void *ctx, struct slow_command *slow);
    /* There is room again after port_has_room() said no. */
    void (*on_room)(void *ctx);
};

void port_set_events(struct port *port, const struct port_events *events, void *ctx);

struct port_request {
    const struct command_row *row;
    const struct slice *argv;
    uint32_t argc;
    uint16_t db;
    uint8_t proto;
    uint64_t client; /* for events: who asks; 0: nobody */
    bool leaves_use; /* reading a key does not count as a use of it */
    /* The connection has commands in flight that have not been executed: this one follows them. */
    bool must_follow;
    void *token;
};

enum port_result {
    PORT_ANSWERED,   /* the reply has been written */
    PORT_TAKEN,      /* on_reply will come; later requests of the connection must follow it */
    PORT_TAKEN_FREE, /* on_reply will come; the read has its place already, later ones need not
                        follow */
    PORT_TAKEN_ALONE /* on_reply will come; send nothing of this connection before it or on_placed
                      */
};

/* Executes a data command (scope KEYS or ALL) whose arity fits. Refusals (-LOADING, -MISCONF, too
 * big, ...) are replies, and counted in the port's tally. */
#define TEXT_LOADING "LOADING Ferric is loading the dataset in memory"

enum port_result port_execute(struct port *port, const struct port_request *request,
                              struct reply *reply);

/* About how many bytes a reply will have that has not come yet, judged by the values as they are
 * now. For limits on what one connection can have under way (P7). */
size_t port_expected(struct port *port, const struct port_request *request);

/* False while the port's share of bytes in flight is used up: stop reading until on_room. A port
 * with nothing in flight always has room (R33). */
bool port_has_room(const struct port *port);

/* What WATCH notes: the key's version, or 0 for absent, judged now, and in which database it was
 * seen. ERR_RETRY: not now, ask again next turn (the clock must move first). Only while nothing of
 * the connection is in flight. */
struct port_version {
    uint64_t version;
    uint16_t database_id; /* stable */
};
MUST_CHECK
int port_version_of(struct port *port, uint16_t db, struct slice key,
                    struct port_version *out_version);

/* Lets `note` tell what becomes of the key: to be called before port_version_of(), and taken back
 * by watched_remove(). `key` stays alive until then. */
void port_note_watched(struct port *port, struct watched_note *note, uint16_t db, struct slice key);

struct group *port_group(struct port *port);

/* Of this loop: commands that are answered at once, and whatever the caller adds. What has been
 * slow is in it when port_execute() returns PORT_ANSWERED. */
struct tally *port_tally(struct port *port);

struct port_stats {
    uint64_t inline_reads;
    uint64_t queued_reads;
    uint64_t cold_reads;
    uint64_t retries; /* inline reads that were not one instant */
    uint64_t writes;
    uint64_t batches;
    size_t in_flight_bytes;
};
struct port_stats port_stats(const struct port *port);

#endif
