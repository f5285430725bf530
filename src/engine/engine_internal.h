/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of engine/ share: the group and its components. */
#ifndef ENGINE_ENGINE_INTERNAL_H
#define ENGINE_ENGINE_INTERNAL_H

#include "consensus/consensus.h"
#include "engine/batch.h"
#include "engine/group.h"
#include "engine/hlc.h"
#include "engine/port.h"
#include "store/manifest.h"
#include "store/stores.h"
#include "store/tx.h"

/* The order of phases in a turn; sockets come before all of them, flushing replies after. */
enum phase_order { PHASE_PORT = 10, PHASE_SEQUENCER = 20, PHASE_SHARD = 30 };

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
};

/* ---- Shard ---- */

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
    _Atomic uint64_t next_due_ms;
    _Atomic uint64_t replayed;
};

struct cold_load;

/* A shard's or a port's share in the end (settle.c): waits until its jobs are back. */
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
    struct checkpoint *mark; /* being made durable */
    uint32_t cold_missing;
    struct cold_load *cold;
    struct loop_post released; /* from a barrier's executor */
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
/* settle.c: in its phase, while it is being waited for. */
void shard_look_settled(struct shard *shard);
/* Takes a part of a round. Thread: any, through loop_post(shard->loop, &part->post). */
void shard_on_part(struct loop_post *post);

/* shard_exec.c: runs one op. PARKED: a cold value is being read; run it again. */
enum exec_result { EXEC_DONE, EXEC_PARKED };
enum exec_result shard_execute(struct shard *shard, const struct round *round, struct op *op);
void shard_post_replies(struct shard *shard);

/* ---- Checkpoint ---- */

struct checkpoint_part {
    struct loop_post post;
    struct checkpoint *checkpoint;
    struct bitcask_named *files;
    size_t file_count;
    uint32_t next_file_id;
    bool was_dirty;
    int error;
    struct diag diag;
};

struct checkpoint {
    struct group *group;
    struct group_checkpoint_request *requests; /* told when it is done */
    struct manifest manifest;
    uint64_t started_us;
    uint32_t parts_left;
    struct pool_job job;
    int error;
    struct diag diag;
    struct checkpoint_part parts[]; /* one a shard */
};

/* ---- Sequencer: the log loop's component ---- */

/* Something submitted or waiting its turn behind what was. */
struct pending_entry {
    struct pending_entry *next;
    uint64_t index;   /* 0: reads only, to be dispatched behind the one before */
    uint64_t time_ms; /* of reads */
    struct batch *batches;
    size_t bytes;
};

struct sequencer {
    struct group *group;
    struct loop *loop;
    struct seglog *log;
    struct consensus *consensus;
    struct hlc hlc;
    uint64_t committed_ceiling_ms;
    struct batch *waiting; /* ordered batches, oldest first */
    struct batch *waiting_last;
    struct pending_entry *pending; /* oldest first */
    struct pending_entry *pending_last;
    uint64_t dispatched_index;
    uint64_t dispatched_ms; /* time of the last dispatched entry */
    uint64_t dispatched_hlc;
    uint32_t rounds_out;
    size_t round_bytes_out;
    int log_error;
    struct loop_phase phase;
    struct loop_watch log_watch;
    bool has_log_watch;
    struct loop_timer consensus_timer;
    uint64_t armed_ms;
    struct loop_timer second_timer; /* vouch, expiry by committed time, checkpoint policy */
    struct pool_job prep_job;
    struct seglog_prep *prep;
    int prep_error; /* of the last try, until the next may begin */
    bool is_prep_failing;
    struct checkpoint *checkpoint; /* under way */
    struct group_checkpoint_request *wanted;
    uint64_t dirty_since_ms; /* loop time; 0: nothing new since the last checkpoint */
    uint64_t last_write_ms;
    uint64_t replayed;
    bool is_stopping;
    bool stop_with_checkpoint;
    enum { STOP_DRAINING, STOP_CHECKPOINTING, STOP_VOUCHING, STOP_DONE } stop_phase;
    struct group_checkpoint_request stop_request;
    int stop_error;
    void (*on_stopped)(void *ctx, int error);
    void *stop_ctx;
};

void sequencer_start(struct sequencer *sequencer);
void sequencer_stop(struct sequencer *sequencer);
void sequencer_fini(struct sequencer *sequencer);
/* Takes a batch from a port. Through loop_post(log loop, &batch->post). */
void sequencer_on_batch(struct loop_post *post);
/* A round has been executed by all its shards. */
void sequencer_on_round_ended(struct loop_post *post);
void sequencer_set_log_error(struct sequencer *sequencer, int error);
const struct consensus_events *sequencer_events(void);
/* Sends a round to its shards. */
void sequencer_dispatch(struct sequencer *sequencer, struct round *round);
/* Answers every op of the batches and frees them. */
void sequencer_refuse(struct batch *batches, const char *text);

/* Checkpoint, on the log loop. */
void checkpoint_tick(struct sequencer *sequencer);
void checkpoint_begin(struct sequencer *sequencer);
/* On a shard's loop: the mark has been reached. */
void checkpoint_on_mark(struct shard *shard, struct checkpoint *checkpoint);
void checkpoint_on_written(struct shard *shard);
void checkpoint_on_synced(struct shard *shard);
/* The shard's records cannot be written, and the group is about to end: no checkpoint then. */
void checkpoint_give_up(struct shard *shard, int error, const struct diag *diag);
void checkpoint_free(struct checkpoint *checkpoint);

/* ---- Port ---- */

struct port {
    struct group *group;
    struct loop *loop;
    uint32_t idx;
    const struct port_events *events;
    void *ctx;
    struct tx *tx; /* for reads at once */
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

/* ---- Group ---- */

struct group {
    struct group_options options;
    struct file *lock;
    uint64_t identity; /* the group's id */
    struct seglog *log;
    struct manifest manifest; /* the last that is durable; the sequencer's after the start */
    struct stores stores;
    struct shard *shards;
    struct port ports[GROUP_MAX_LOOPS];
    struct sequencer sequencer;
    _Atomic int state; /* enum group_state */
    _Atomic bool is_fatal;
    _Atomic uint64_t hlc_ms; /* last stamp or raised time, for readers (R22) */
    _Atomic int log_error;
    _Atomic bool is_disk_full;       /* no segment can be prepared */
    _Atomic uint64_t shards_failing; /* a set: their data files cannot be written */
    struct {
        _Atomic uint64_t values[24];
    } published;
};

/* Statistics the log loop publishes; struct group_stats names them. */
enum published {
    PUB_TERM,
    PUB_COMMIT_INDEX,
    PUB_APPLIED_INDEX,
    PUB_CHECKPOINT_INDEX,
    PUB_CHECKPOINT_NUMBER,
    PUB_CHECKPOINTS,
    PUB_LAST_CHECKPOINT_MS,
    PUB_LAST_CHECKPOINT_US,
    PUB_CHECKPOINT_RUNNING,
    PUB_ENTRIES_FRAMES,
    PUB_OTHER_FRAMES,
    PUB_LOG_BYTES,
    PUB_LOG_LIVE_BYTES,
    PUB_LOG_SEGMENTS,
    PUB_LOG_SPARES,
    PUB_LOG_RECYCLED,
    PUB_LOG_PREPARED,
    PUB_COMMANDS_LOGGED,
    PUB_REPLAYED,
    PUB_HLC_MS,
    PUB_CLOCK_REFUSED_MS,
    PUB_COUNT
};

static inline void group_publish(struct group *group, enum published which, uint64_t value)
{
    atomic_store_explicit(&group->published.values[which], value, memory_order_relaxed);
}

static inline uint64_t group_published(const struct group *group, enum published which)
{
    return atomic_load_explicit(&group->published.values[which], memory_order_relaxed);
}

void group_close_rest(struct group *group);

/* Ends everything: the process must not go on with this state. Thread: any. */
void group_fail(struct group *group, const char *format, ...) PRINTF_LIKE(2, 3);
void group_log(struct group *group, char level, const char *format, ...) PRINTF_LIKE(3, 4);
void group_set_state(struct group *group, enum group_state state);

/* What a command involves. */
struct involved {
    uint64_t shards; /* a set */
    uint64_t hash;   /* of its first key; 0: it has none */
};

/* False if the command's keys cannot be found in argv, or one is too long. */
bool group_involved(const struct group *group, const struct command_row *row,
                    const struct slice *argv, uint32_t argc, uint16_t db, struct involved *out);

#endif
