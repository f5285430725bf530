/* SPDX-License-Identifier: Apache-2.0 */
/* The log loop's component: its state and what its files share. */
#ifndef ENGINE_SEQUENCER_INTERNAL_H
#define ENGINE_SEQUENCER_INTERNAL_H

#include "consensus/consensus.h"
#include "engine/batch.h"
#include "engine/hlc.h"
#include "loop/pool.h"

/* Something submitted or waiting its turn behind what was. */
struct pending_entry {
    struct pending_entry *next;
    uint64_t index;   /* 0: reads only, to be dispatched behind the one before */
    uint64_t time_ms; /* of reads */
    struct batch *batches;
    size_t bytes;
};

struct reload;
struct backup;

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
    bool is_checkpoint_failing;    /* the last one: the next try is the second's */
    bool must_checkpoint;          /* the next one is made even if nothing is new */
    struct group_checkpoint_request *wanted;
    struct reload *reload;   /* under way: nothing more is dispatched */
    struct backup *backup;   /* under way */
    bool is_recovering;      /* its part that reads what the manifest names: that must stay */
    uint64_t dirty_since_ms; /* loop time; 0: nothing new since the last checkpoint */
    uint64_t last_write_ms;
    uint64_t replayed;
    uint64_t replay_turn; /* of the loop, in which entries were last taken */
    bool is_stopping;
    bool stop_with_checkpoint;
    enum { STOP_DRAINING, STOP_CHECKPOINTING, STOP_HINTING, STOP_VOUCHING, STOP_DONE } stop_phase;
    struct group_checkpoint_request stop_request;
    struct upkeep_wish *stop_hints; /* of all shards */
    uint32_t stop_hints_left;
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
/* Is a key due by `now_ms` and still there? By what the shards have published. */
bool sequencer_has_due_keys(const struct sequencer *sequencer, uint64_t now_ms);
/* Sends a round to its shards. */
void sequencer_dispatch(struct sequencer *sequencer, struct round *round);
/* Answers every op of the batches and frees them. */
void sequencer_refuse(struct batch *batches, const char *text);

/* ---- Between sequencer.c, _submit, _replay and stop.c ---- */

struct pending_entry *pop_pending(struct sequencer *sequencer);

/* Puts batches at the end of those that wait to be submitted. */
void sequencer_wait(struct sequencer *sequencer, struct batch *batch);

/* Submits one entry if there is something for it and room in the log. True if it did something. */
bool sequencer_submit_one(struct sequencer *sequencer);

/* Reads behind what is in flight: dispatched when that is, at `time_ms` if it is later. */
void sequencer_pend_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms);
void sequencer_push_pending(struct sequencer *sequencer, struct pending_entry *entry);
void sequencer_dispatch_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms,
                              uint64_t now_ms);
uint64_t sequencer_now_for_reads(struct sequencer *sequencer);

/* Makes the ops of a round from the bytes of an entry. False after group_fail(). */
bool sequencer_decode(struct sequencer *sequencer, struct round *round,
                      const struct log_entry *entry, uint32_t count);

/* One step towards the end; true if it did something. */
bool sequencer_stop_step(struct sequencer *sequencer);

#endif
