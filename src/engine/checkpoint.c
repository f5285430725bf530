/* SPDX-License-Identifier: Apache-2.0 */
/* One checkpoint for the group, at one index X for all shards (R1).
 *
 *   log loop   mark goes behind what was dispatched (X)         -> every shard's queue
 *   shard      pads its file, writes what is before the mark    -> append lane
 *              fdatasync of what is dirty                       -> sync lane
 *              files and lengths                                -> log loop
 *   log loop   manifest: tmp, sync, rename, directory sync      -> sync lane
 *              log segments up to X become spare
 *
 * Nobody stops meanwhile: entries after X are applied behind the mark. A shard that has nothing new
 * makes no system call. A failed fdatasync ends the process (R21); a failed manifest leaves both
 * the old and the new one possible, so nothing is recycled until a later one has succeeded (R15).
 */
#include "engine/checkpoint_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

void checkpoint_free(struct checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    for (uint32_t i = 0; i < checkpoint->group->stores.count; i++)
        mem_free(checkpoint->parts[i].files);
    manifest_fini(&checkpoint->manifest);
    mem_free(checkpoint);
}

/* ---- The end, on the log loop ---- */

static void on_request_back(struct loop_post *post)
{
    struct group_checkpoint_request *request =
        CONTAINER_OF(post, struct group_checkpoint_request, back);
    request->on_done(request);
}

static void tell(struct group_checkpoint_request *requests, int error)
{
    while (requests != NULL) {
        struct group_checkpoint_request *next = requests->next;
        requests->error = error;
        requests->back.run = on_request_back;
        loop_post(requests->loop, &requests->back);
        requests = next;
    }
}

static void take_over(struct sequencer *sequencer, struct checkpoint *checkpoint)
{
    struct group *group = sequencer->group;
    ASSERT(!sequencer->is_recovering); /* G21 */
    manifest_fini(&group->manifest);
    group->manifest = checkpoint->manifest;
    checkpoint->manifest = (struct manifest){0};
    consensus_checkpoint(sequencer->consensus, group->manifest.index);
    if (seglog_stats(sequencer->log).spare_count > 0)
        sequencer->prep_error = 0; /* a segment that lacked space lacks none any more */
    uint64_t took_us = clock_mono_us(group->options.os.clock) - checkpoint->started_us;
    group_publish(group, PUB_CHECKPOINT_INDEX, group->manifest.index);
    group_publish(group, PUB_CHECKPOINT_NUMBER, group->manifest.checkpoint_number);
    group_publish(group, PUB_CHECKPOINTS, group_published(group, PUB_CHECKPOINTS) + 1);
    group_publish(group, PUB_LAST_CHECKPOINT_MS, clock_wall_ms(group->options.os.clock));
    group_publish(group, PUB_LAST_CHECKPOINT_US, took_us);
    /* What merges have replaced may go now (R2); most often there is nothing. */
    for (uint32_t i = 0; i < group->stores.count; i++) {
        if (atomic_load(&group->shards[i].stats.replaced_bytes) > 0)
            upkeep_on_checkpoint(&group->shards[i]);
    }
}

static void conclude(struct checkpoint *checkpoint)
{
    struct group *group = checkpoint->group;
    struct sequencer *sequencer = &group->sequencer;
    ASSERT(sequencer->checkpoint == checkpoint);
    if (checkpoint->error == 0)
        take_over(sequencer, checkpoint);
    else if (!sequencer->is_checkpoint_failing)
        group_log(group, '#', "checkpoint failed, will be tried again: %s", checkpoint->diag.text);
    if (checkpoint->error == 0 && sequencer->is_checkpoint_failing)
        group_log(group, '*', "a checkpoint has succeeded again");
    sequencer->is_checkpoint_failing = checkpoint->error != 0;
    group_publish(group, PUB_CHECKPOINT_FAILING, checkpoint->error != 0);
    disk_guard_on_checkpoint(group, checkpoint->error, checkpoint->disk_mark);
    tell(checkpoint->requests, checkpoint->error);
    if (checkpoint->error != 0 && sequencer->is_stopping) {
        /* The end does not wait for the disk to be well again. */
        tell(sequencer->wanted, checkpoint->error);
        sequencer->wanted = NULL;
    }
    sequencer->checkpoint = NULL;
    group_publish(group, PUB_CHECKPOINT_RUNNING, 0);
    checkpoint_free(checkpoint);
    if (sequencer->wanted != NULL)
        checkpoint_begin(sequencer);
}

static void on_saved(struct pool_job *job)
{
    conclude(CONTAINER_OF(job, struct checkpoint, job));
}

static void run_save(struct pool_job *job)
{
    struct checkpoint *checkpoint = CONTAINER_OF(job, struct checkpoint, job);
    const struct group_options *options = &checkpoint->group->options;
    checkpoint->error =
        manifest_save(options->os.fs, options->dir, &checkpoint->manifest, &checkpoint->diag);
}

static void on_part_done(struct loop_post *post)
{
    struct checkpoint_part *part = CONTAINER_OF(post, struct checkpoint_part, post);
    struct checkpoint *checkpoint = part->checkpoint;
    if (part->error != 0 && checkpoint->error == 0) {
        checkpoint->error = part->error;
        checkpoint->diag = part->diag;
    }
    if (--checkpoint->parts_left > 0)
        return;
    if (checkpoint->error != 0) {
        conclude(checkpoint);
        return;
    }
    struct manifest *manifest = &checkpoint->manifest;
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        manifest->shards[i] = (struct manifest_shard){
            .next_file_id = checkpoint->parts[i].next_file_id,
            .file_count = checkpoint->parts[i].file_count,
            .files = checkpoint->parts[i].files,
        };
        checkpoint->parts[i].files = NULL;
    }
    pool_submit(checkpoint->group->options.pool, POOL_SYNC, &checkpoint->job,
                checkpoint->group->sequencer.loop, run_save, on_saved);
}

/* ---- A shard's part, on its loop ---- */

static void finish_part(struct shard *shard)
{
    struct checkpoint *checkpoint = shard->mark;
    struct checkpoint_part *part = &checkpoint->parts[shard->idx];
    struct bitcask *bitcask = store_bitcask(shard->store);
    shard->mark = NULL;
    part->files = bitcask_mark_files(bitcask, &part->file_count);
    part->next_file_id = bitcask_next_id(bitcask);
    shard_publish_stats(shard); /* it wants no checkpoint any more */
    part->post.run = on_part_done;
    loop_post(shard->group->sequencer.loop, &part->post);
}

void checkpoint_give_up(struct shard *shard, int error, const struct diag *diag)
{
    struct checkpoint_part *part = &shard->mark->parts[shard->idx];
    shard->mark = NULL;
    part->error = error;
    part->diag = *diag;
    part->post.run = on_part_done;
    loop_post(shard->group->sequencer.loop, &part->post);
}

static void run_sync(struct pool_job *job)
{
    bitcask_sync_run(CONTAINER_OF(job, struct shard, sync_job)->sync);
}

void shard_fail_sync(struct shard *shard, const struct diag *diag)
{
    group_fail(shard->group,
               "a data file could not be made durable: %s. Nothing acknowledged is lost: the next "
               "start recovers it from the log. Check the disk, then start again",
               diag->text);
}

void checkpoint_on_synced(struct shard *shard)
{
    shard->has_sync_back = false;
    struct bitcask_sync *sync = shard->sync;
    shard->sync = NULL;
    struct diag diag = {.text = ""};
    int rc = bitcask_sync_done(store_bitcask(shard->store), sync, &diag);
    if (rc != 0) {
        shard_fail_sync(shard, &diag);
        return;
    }
    finish_part(shard);
}

static void on_sync_back(struct pool_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, sync_job);
    shard->has_sync_back = true;
    if (shard->state != SHARD_AT_BARRIER)
        checkpoint_on_synced(shard);
}

void checkpoint_on_written(struct shard *shard)
{
    struct bitcask *bitcask = store_bitcask(shard->store);
    if (shard->sync != NULL || !bitcask_mark_is_written(bitcask))
        return;
    shard->sync = bitcask_sync_take(bitcask);
    pool_submit(shard->group->options.pool, POOL_SYNC, &shard->sync_job, shard->loop, run_sync,
                on_sync_back);
}

/* Which database has which number as of the mark: SWAPDB leaves no other trace (R35). At the mark
 * all shards say the same. */
static void note_database_ids(const struct store *store, struct manifest *manifest)
{
    ASSERT(manifest->database_count == store_database_count(store));
    for (uint32_t i = 0; i < manifest->database_count; i++)
        manifest->database_ids[i] = store_database_id(store, (uint16_t)i);
}

void checkpoint_on_mark(struct shard *shard, struct checkpoint *checkpoint)
{
    struct bitcask *bitcask = store_bitcask(shard->store);
    ASSERT(shard->mark == NULL);
    shard->mark = checkpoint;
    upkeep_take_checkpointed(shard); /* G20 */
    if (shard->idx == 0)
        note_database_ids(shard->store, &checkpoint->manifest);
    if (!bitcask_is_dirty(bitcask)) {
        finish_part(shard);
        return;
    }
    bitcask_mark(bitcask);
    shard_flush(shard);
    checkpoint_on_written(shard);
}

/* ---- The beginning, on the log loop ---- */

static struct checkpoint *checkpoint_new(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    uint32_t count = group->stores.count;
    struct checkpoint *checkpoint =
        mem_calloc(1, sizeof(*checkpoint) + count * sizeof(checkpoint->parts[0]));
    checkpoint->group = group;
    checkpoint->started_us = clock_mono_us(group->options.os.clock);
    checkpoint->disk_mark = disk_guard_mark(group);
    checkpoint->parts_left = count;
    for (uint32_t i = 0; i < count; i++)
        checkpoint->parts[i].checkpoint = checkpoint;
    const struct manifest *last = &group->manifest;
    struct manifest *manifest = &checkpoint->manifest;
    *manifest = *last;
    manifest->begins_log = false; /* it has begun */
    manifest->checkpoint_number = last->checkpoint_number + 1;
    manifest->index = sequencer->dispatched_index;
    if (manifest->index != last->index)
        manifest->term = consensus_term_of(sequencer->consensus, manifest->index);
    manifest->state_ms = sequencer->dispatched_ms;
    manifest->ceiling_ms = sequencer->hlc.ceiling_ms;
    manifest->configuration = (struct buf){0};
    buf_append_slice(&manifest->configuration,
                     consensus_configuration(sequencer->consensus, &manifest->configuration_index));
    manifest->database_ids =
        mem_dup(last->database_ids, last->database_count * sizeof(*last->database_ids));
    manifest->shards = mem_calloc(count, sizeof(*manifest->shards));
    return checkpoint;
}

/* New entries; or files that a merge has made or replaced, with or without new entries (R2). */
static bool needs_checkpoint(const struct sequencer *sequencer)
{
    const struct group *group = sequencer->group;
    if (sequencer->dispatched_index != group->manifest.index || group->manifest.begins_log ||
        sequencer->must_checkpoint)
        return true;
    for (uint32_t i = 0; i < group->stores.count; i++) {
        if (atomic_load(&group->shards[i].stats.wants_checkpoint) != 0)
            return true;
    }
    return false;
}

static uint64_t replaced_bytes(const struct group *group)
{
    uint64_t bytes = 0;
    if (atomic_load_explicit(&group->unlink_holds, memory_order_relaxed) > 0)
        return 0; /* no checkpoint removes them now */
    for (uint32_t i = 0; i < group->stores.count; i++)
        bytes += atomic_load_explicit(&group->shards[i].stats.replaced_bytes, memory_order_relaxed);
    return bytes;
}

void checkpoint_begin(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    if (sequencer->checkpoint != NULL || sequencer->is_recovering ||
        group_state(group) == GROUP_REPLAYING)
        return;
    struct group_checkpoint_request *requests = sequencer->wanted;
    sequencer->wanted = NULL;
    sequencer->dirty_since_ms = 0;
    if (!needs_checkpoint(sequencer)) {
        tell(requests, 0);
        return;
    }
    sequencer->must_checkpoint = false;
    struct checkpoint *checkpoint = checkpoint_new(sequencer);
    checkpoint->requests = requests;
    sequencer->checkpoint = checkpoint;
    group_publish(group, PUB_CHECKPOINT_RUNNING, 1);
    struct round *round = round_new(group, ROUND_MARK);
    round->checkpoint = checkpoint;
    round->time_ms = sequencer->dispatched_ms;
    sequencer_dispatch(sequencer, round);
}

/* When: with a log over its budget (and what merges have replaced) at once; else in the first quiet
 * moment after the interval, at the latest after the maximum delay. */
void checkpoint_tick(struct sequencer *sequencer)
{
    const struct group_options *options = &sequencer->group->options;
    uint64_t now_ms = loop_now_ms(sequencer->loop);
    if (!needs_checkpoint(sequencer)) {
        sequencer->dirty_since_ms = 0;
        return;
    }
    if (sequencer->dirty_since_ms == 0)
        sequencer->dirty_since_ms = now_ms;
    uint64_t age_ms = now_ms - sequencer->dirty_since_ms;
    uint64_t idle_ms = now_ms - sequencer->last_write_ms;
    /* Files that only a checkpoint can remove take space as the log does. */
    bool is_over_budget =
        seglog_stats(sequencer->log).live_bytes + replaced_bytes(sequencer->group) >
        options->log_budget;
    bool is_quiet =
        age_ms >= options->checkpoint_interval_ms && idle_ms >= options->checkpoint_idle_ms;
    if (is_over_budget || is_quiet || age_ms >= options->checkpoint_max_delay_ms)
        checkpoint_begin(sequencer);
}

static void on_wanted(struct loop_post *post)
{
    struct group_checkpoint_request *request =
        CONTAINER_OF(post, struct group_checkpoint_request, post);
    struct sequencer *sequencer = &request->group->sequencer;
    request->next = sequencer->wanted;
    sequencer->wanted = request;
    /* One under way has its mark set already: it may lie before what the asker has seen. */
    checkpoint_begin(sequencer);
}

void group_checkpoint(struct group *group, struct group_checkpoint_request *request)
{
    request->group = group;
    request->post.run = on_wanted;
    loop_post(group->sequencer.loop, &request->post);
}
