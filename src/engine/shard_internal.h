/* SPDX-License-Identifier: Apache-2.0 */
/* A shard as its own files and the group see it, and the replies it sends. */
#ifndef ENGINE_SHARD_INTERNAL_H
#define ENGINE_SHARD_INTERNAL_H

#include "command/tally.h"
#include "engine/batch.h"
#include "engine/events/events.h"
#include "engine/upkeep/upkeep.h"
#include "loop/pool.h"
#include "store/tx.h"

/* ---- Replies on their way from a shard to a port ---- */

struct reply_entry {
    void *token;
    size_t off;
    size_t len;
    uint32_t cost; /* bytes in flight that are given back */
};

struct reply_batch {
    struct loop_post post;
    struct reply_batch *next;
    struct port *port;
    struct buf bytes;
    struct reply_entry *entries;
    uint32_t count;
    uint32_t cap;
    struct slow_command *slow; /* of these requests, oldest first */
    struct slow_command **slow_end;
};

void reply_batch_free(struct reply_batch *batch);

/* ---- The component ---- */

enum shard_state {
    SHARD_RUNNING,
    SHARD_AT_BARRIER, /* waits for others, or is lent to the one that executes (R20) */
    SHARD_AT_COLD     /* waits for a value that the command under way needs (R19) */
};

struct shard_stats {
    _Atomic uint64_t expired_keys;
    _Atomic uint64_t keydir_bytes;
    _Atomic uint64_t expiry_bytes;
    _Atomic uint64_t retired_bytes;
    _Atomic uint64_t unwritten_bytes;
    _Atomic uint64_t cold_rows;
    _Atomic uint64_t rotations;
    _Atomic uint64_t data_files;
    _Atomic uint64_t data_bytes;
    _Atomic uint64_t data_live_bytes;
    _Atomic uint64_t replaced_bytes; /* of files that wait for a checkpoint to go */
    _Atomic uint64_t wants_checkpoint;
    _Atomic uint64_t next_due_ms;
    _Atomic uint64_t replayed;
    struct upkeep_stats upkeep;
};

struct cold_load;
struct reload_part;

/* A shard's or a port's share in the end (stop.c): waits until its jobs are back. */
struct settle_part {
    struct loop_post post;
    struct settling *settling;
    struct shard *shard;
    struct port *port;
};

struct shard {
    struct group *group;
    struct store *store;
    struct loop *loop;
    uint32_t idx;
    enum shard_state state;
    struct tx *tx;
    struct tally *tally;
    struct slice *argv;
    size_t argv_cap;
    struct buf scratch;      /* replies nobody waits for */
    struct round_part *head; /* rounds to do, oldest first */
    struct round_part *tail;
    struct work *current;      /* in head; NULL: head has not been begun */
    struct work *bucket_ahead; /* works whose bucket / row is being brought near */
    struct work *row_ahead;
    bool is_head_begun;
    bool holds_barrier;  /* it executes an op over other shards, which wait for it */
    bool has_write_back; /* the write job has returned and is to be taken in */
    bool has_sync_back;
    bool is_write_failing;
    bool is_settling; /* no job is sent any more */
    struct settle_part *settle;
    struct reply_batch *replies; /* of this turn, one a port */
    struct loop_phase phase;
    struct loop_timer flush_timer;
    struct loop_timer retry_timer;
    struct pool_job write_job;
    struct bitcask_write *write;
    struct pool_job sync_job;
    struct bitcask_sync *sync;
    struct upkeep upkeep;
    struct checkpoint *mark;    /* being made durable */
    struct reload_part *reload; /* has come back and is to be taken in */
    uint32_t cold_missing;
    int cold_error; /* of a read under way: answered with cold_diag */
    struct diag cold_diag;
    struct cold_load *cold;
    struct loop_post released; /* from a barrier's executor */
    struct event_line events;  /* see shard_events() */
    struct loop_post wake;     /* ports have caught up with events */
    _Atomic bool is_wake_posted;
    struct shard_stats stats;
    uint64_t stats_at_ms;
};

/* shard_start begins to take part in the loop's turns, shard_stop ends that. */
void shard_init(struct shard *shard, struct group *group, uint32_t idx, struct loop *loop,
                struct store *store);
void shard_start(struct shard *shard);
void shard_stop(struct shard *shard);
void shard_fini(struct shard *shard);
/* Hands collected records to the append lane now, unless a write is out. */
void shard_flush(struct shard *shard);
void shard_publish_stats(struct shard *shard);
/* Takes out what is due and decided, a slice of it; true if more is left and can be taken out now.
 * Thread: of the shard. */
MUST_CHECK
bool shard_sweep(struct shard *shard);
/* stop.c: in its phase, while it is being waited for. */
void shard_look_settled(struct shard *shard);
/* Takes a part of a round. Thread: any, through loop_post(shard->loop, &part->post). */
void shard_on_part(struct loop_post *post);

/* shard_exec.c: runs one op. PARKED: a cold value is being read; run it again. */
enum exec_result { EXEC_DONE, EXEC_PARKED };
enum exec_result shard_execute(struct shard *shard, const struct round *round, struct op *op);
void shard_post_replies(struct shard *shard);
/* Where events of this shard's keys are gathered: shards on one loop share a line, so that their
 * events come in the order in which they happened. */
struct event_line *shard_events(struct group *group, uint32_t idx);
void shard_on_expired(void *ctx, uint16_t db, struct slice key);

#endif
