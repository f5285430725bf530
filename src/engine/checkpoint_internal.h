/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint under way, and the calls of checkpoint.c. */
#ifndef ENGINE_CHECKPOINT_INTERNAL_H
#define ENGINE_CHECKPOINT_INTERNAL_H

#include "engine/group.h"
#include "loop/pool.h"
#include "store/manifest.h"

struct sequencer;
struct shard;

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
    uint64_t disk_mark; /* disk_guard_mark() */
    uint32_t parts_left;
    struct pool_job job;
    int error;
    struct diag diag;
    struct checkpoint_part parts[]; /* one a shard */
};

/* Checkpoint, on the log loop. */
void checkpoint_tick(struct sequencer *sequencer);
void checkpoint_begin(struct sequencer *sequencer);
/* On a shard's loop: the mark has been reached. */
void checkpoint_on_mark(struct shard *shard, struct checkpoint *checkpoint);
void checkpoint_on_written(struct shard *shard);
void checkpoint_on_synced(struct shard *shard);
/* After a sync of a data file has failed the process ends (R21). Thread: any. */
void shard_fail_sync(struct shard *shard, const struct diag *diag);
/* The shard's records cannot be written, and the group is about to end: no checkpoint then. */
void checkpoint_give_up(struct shard *shard, int error, const struct diag *diag);
void checkpoint_free(struct checkpoint *checkpoint);

#endif
