/* SPDX-License-Identifier: Apache-2.0 */
/* upkeep: what a shard does for its files in the background: hints for those that are sealed,
 * merges, and the removal of what merges have replaced.
 *
 * One job of a shard is out at a time, in the merge lane of the pool, and one merge of the group is
 * under way at a time. Nothing is asked in rounds: a look is taken after a file was sealed, a
 * checkpoint was made, and at most once a second while records are written; an idle shard looks at
 * nothing. A shard that is lent (R20) takes jobs back afterwards.
 *
 * Threads: the shard's, but where said.
 */
#ifndef ENGINE_UPKEEP_UPKEEP_H
#define ENGINE_UPKEEP_UPKEEP_H

#include "bitcask/merge.h"
#include "bitcask/upkeep.h"
#include "engine/group_merge.h"
#include "loop/pool.h"

struct shard;

enum upkeep_job { UPKEEP_NONE, UPKEEP_UNLINK, UPKEEP_HINT, UPKEEP_MERGE };

/* A wish that a shard's upkeep meets, and then says so on the log loop. One of a kind at a time. */
struct upkeep_wish {
    struct loop_post post;
    struct shard *shard;
    bool was_met;
    void (*on_done)(struct upkeep_wish *wish);
    void *ctx;
};

struct upkeep {
    struct pool_job job;
    enum upkeep_job out;
    bool is_back;      /* the job has returned and is to be taken in */
    bool wants_look;   /* something has changed since the last one */
    bool is_asked;     /* for a merge, whether it is worth while or not */
    bool was_in_vain;  /* the last merge gave next to nothing back */
    bool is_stalled;   /* the output cannot be written; the next try is the timer's */
    bool is_paced;     /* the next step of the merge is the timer's */
    bool is_measuring; /* the job that is out looks how much of the disk is free */
    struct bitcask_unlink *unlink;
    struct bitcask_hint *hint;
    struct bitcask_merge *merge; /* under way */
    uint64_t live_bytes;         /* of its inputs: what it takes of the disk at most */
    uint64_t lacked_bytes;       /* a merge was dropped for lack of so much room; 0: none was */
    uint64_t free_bytes;         /* of the disk, as the first step of a merge has found */
    uint64_t begun_ms;
    uint64_t looked_ms;
    uint64_t ended_ms;  /* the last merge; 0: there was none */
    uint64_t failed_ms; /* the last one that ended early; 0: none has */
    struct loop_timer look_timer;
    struct loop_timer pace_timer;
    struct loop_post checkpointed; /* a manifest is durable */
    bool is_checkpointed;
    struct loop_post asked;
    _Atomic bool is_asking;
    struct loop_post wake;
    _Atomic bool is_waking;
    _Atomic bool wants_token;
    struct upkeep_wish *wants_no_merge;
    struct upkeep_wish *wants_last_hint;
};

/* What is published of it; words for any thread. */
struct upkeep_stats {
    _Atomic uint64_t merges;
    _Atomic uint64_t merge_freed_bytes; /* since the start */
    _Atomic uint64_t merge_total_bytes; /* of the one under way; 0: none is */
    _Atomic uint64_t merge_done_bytes;
    _Atomic uint64_t merges_failed;
    _Atomic uint64_t hints_written;
};

void upkeep_init(struct shard *shard);
void upkeep_stop(struct shard *shard);
void upkeep_fini(struct shard *shard);
/* In the shard's phase, between rounds. */
void upkeep_step(struct shard *shard);
/* That a manifest has become durable is taken in before the next mark is set: later it would be
 * taken for news of that one's manifest, and what the last still names would go (R2). */
void upkeep_take_checkpointed(struct shard *shard);
/* What merges go by has changed. Thread: any. */
void upkeep_wake(struct shard *shard);
/* Records have been written or a file sealed. */
void upkeep_note_written(struct shard *shard, bool was_sealed);
/* No job is out; none will be sent while the shard settles. */
bool upkeep_is_settled(const struct shard *shard);

/* ---- Wishes. Thread: the log loop's. ---- */

/* The merge under way ends early; while group->merge_holds is not 0 no other begins. Not met if its
 * output cannot be written. */
void upkeep_stop_merge(struct shard *shard, struct upkeep_wish *wish);
/* The process ends and all is in its files: the current one gets a hint, too. */
void upkeep_write_last_hint(struct shard *shard, struct upkeep_wish *wish);
/* A manifest is durable. */
void upkeep_on_checkpoint(struct shard *shard);

/* ---- Between upkeep.c and merging.c ---- */

/* Begins or goes on with a merge, if there is reason to. */
void upkeep_look_at_merges(struct shard *shard);
void upkeep_take_merge_back(struct shard *shard);
void upkeep_send(struct shard *shard, enum upkeep_job job, pool_job_fn run);
void upkeep_look_in(struct shard *shard, uint64_t ms);
void upkeep_end_wish(struct upkeep_wish **wish, bool was_met);

#endif
