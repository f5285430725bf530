/* SPDX-License-Identifier: Apache-2.0 */
/* simnode: a whole node in one thread, on a simulated disk and under a simulated clock: one loop
 * carries port, sequencer and shards, jobs run between turns.
 *
 * Nothing moves but by the calls here. Commands are text (simtext.h), sent on one of a few
 * connections that keep the order of a session. Writes go into a history, and what has been
 * submitted, acknowledged and seen by the clock is noted on the disk, so that it is known for every
 * step of the trace. A crash is an image of the disk (simdisk_image()), opened by another node: the
 * one that runs is never harmed.
 *
 * Times: a write's time is the wall clock's when it is sent. simnode_advance() therefore first
 * turns until all that was sent has been submitted.
 */
#ifndef SUPPORT_SIMNODE_H
#define SUPPORT_SIMNODE_H

#include "base/buf.h"
#include "engine/group.h"
#include "engine/group_backup.h"
#include "engine/group_stats.h"
#include "engine/port.h"
#include "support/simdisk.h"
#include "support/simhistory.h"

#define SIMNODE_DIR         "/data"
#define SIMNODE_START_MS    UINT64_C(1700000000000)
#define SIMNODE_CONNECTIONS 4

/* Slots of simdisk_note(). */
enum simnode_note {
    NOTE_SUBMITTED,    /* writes handed to the port */
    NOTE_ACKNOWLEDGED, /* the last write that was answered as executed */
    NOTE_WALL_MS,
    NOTE_READY /* 1 from the moment at which reads are served */
};

struct simnode_options {
    const char *dir; /* NULL: SIMNODE_DIR */
    uint64_t seed;
    uint64_t wall_ms;        /* 0: SIMNODE_START_MS */
    uint32_t shard_count;    /* 0: as the directory has, 3 in a new one */
    uint32_t database_count; /* 0: 4 */
    uint32_t segment_size;   /* 0: 256 KiB */
    unsigned frames_in_flight;
    uint64_t log_budget;    /* 0: 768 KiB */
    uint64_t max_file_size; /* 0: 64 KiB */
    size_t max_entry_bytes;
    size_t max_unwritten_bytes;
    size_t hot_max_value;            /* as given */
    unsigned checkpoint_interval_ms; /* 0: the engine's own */
    unsigned max_clock_step_ms;
    struct merge_settings merge; /* as given: without max_files there are no merges */
    int64_t disk_free_low;       /* as given, these two */
    uint64_t disk_reserve;
};

struct simnode_command;
struct asked_checkpoint;
struct simpool;

struct simnode_connection {
    struct simnode_command *waiting; /* not given to the port yet, oldest first */
    struct simnode_command *waiting_last;
    unsigned in_order; /* taken, and what follows must follow */
    bool is_stalled;   /* nothing may be sent before an answer */
};

struct simnode {
    struct simnode_options options;
    struct simdisk *disk;
    struct simclock clock;
    struct simchance chance;
    struct epoch *epoch;
    struct loop *loop;
    struct simpool *pool;
    unsigned job_delay; /* a job runs behind one turn in so many; 0: all run behind each turn */
    struct command_table *table;
    struct group *group;
    struct port *port;
    struct simhistory *history;
    struct simnode_connection connections[SIMNODE_CONNECTIONS];
    struct simnode_command **commands; /* by number - 1 */
    uint64_t command_count;
    uint64_t command_cap;
    uint64_t answered_count;
    uint64_t write_count;           /* taken by the port and not refused since */
    struct asked_checkpoint *asked; /* all that were ever asked for */
    bool is_stopped;
    bool is_settled;
    int stop_error;
    unsigned fatal_count;
    char fatal[1024];    /* what on_fatal said */
    char last_log[1024]; /* the last line of on_log of level '#' */
    struct buf told;     /* all of them, each ended by a newline */
    struct buf log;      /* the same of all levels */
};

/* A disk with an empty data directory. */
struct simdisk *simnode_disk(uint64_t seed);

/* Opens the node; the disk is the caller's and must outlive it. NULL, and why in `diag`. */
struct simnode *simnode_open(const struct simnode_options *options, struct simdisk *disk,
                             struct diag *diag);
/* Opens and turns until it is ready; a failure ends the test. */
struct simnode *simnode_start(const struct simnode_options *options, struct simdisk *disk);
/* Turns until READY. False if it failed, or never comes to be. */
bool simnode_wait_ready(struct simnode *node);

/* Ends it without a checkpoint, whatever it is doing; after a fatal error too. */
void simnode_close(struct simnode *node);
/* The same; the history is the caller's. */
struct simhistory *simnode_close_for_history(struct simnode *node);
/* Forgets the writes so far: what the node holds is known to be this. */
void simnode_begin_history(struct simnode *node, const struct simmodel *base);
/* Stops it in order; 0 or what on_stopped said. ERR_BUSY: it never came to an end. */
int simnode_stop(struct simnode *node, bool with_checkpoint);
/* Only asks; node->is_stopped says when. */
void simnode_ask_stop(struct simnode *node, bool with_checkpoint);

/* ---- Turning ---- */

/* One turn of the loop, and the jobs that may run; true if anything was done. */
bool simnode_turn(struct simnode *node);
/* Turns until nothing is done any more, writes to the disk included. */
void simnode_dry(struct simnode *node);
/* Turns until every command has been answered, letting time pass if it must. False if that does
 * not come to be, after a fatal error too. */
bool simnode_settle(struct simnode *node);
/* Lets time pass, then turns until dry. */
void simnode_advance(struct simnode *node, uint64_t ms);
/* Lets time pass with writes in flight, if all that were sent have their time already. */
bool simnode_try_pass(struct simnode *node, uint64_t ms);
uint64_t simnode_now_ms(struct simnode *node);

/* Asks for a checkpoint and turns until it is done; 0 or its error. ERR_BUSY: never done. */
int simnode_checkpoint(struct simnode *node);
/* Only asks. */
void simnode_ask_checkpoint(struct simnode *node);
/* The same for a reload. ERR_STOPPING: never done. */
int simnode_reload(struct simnode *node);
const struct group_reload_request *simnode_ask_reload(struct simnode *node);
/* The same for a backup. ERR_STOPPING: never done. What was asked for is the node's until close. */
int simnode_backup(struct simnode *node, const char *dir, uint64_t *out_index);
struct group_backup_request *simnode_ask_backup(struct simnode *node, const char *dir);
bool simnode_backup_is_done(struct group_backup_request *request);

/* ---- Commands ---- */

/* Returns the command's number, from 1. */
uint64_t simnode_send(struct simnode *node, unsigned connection, const char *text);
/* The reply in RESP2, or NULL. Borrowed until close. */
const char *simnode_reply(const struct simnode *node, uint64_t number);
struct slice simnode_reply_bytes(const struct simnode *node, uint64_t number);
/* Sends on connection 0 and settles; the test has failed if there is no reply. */
const char *simnode_ask(struct simnode *node, const char *text);

/* ---- Looking ---- */

/* Has a line of level '#' held these words? */
bool simnode_has_told(const struct simnode *node, const char *words);

struct group_stats simnode_stats(struct simnode *node);
/* Of all shards as of the node's clock. A value that cannot be read ends the test. */
uint64_t simnode_digest(struct simnode *node);
/* Compares every key by commands: DBSIZE, GET, PEXPIRETIME. */
void simnode_expect_state(struct simnode *node, const struct simmodel *model);

#endif
