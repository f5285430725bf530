/* SPDX-License-Identifier: Apache-2.0 */
/* Everything in memory is forgotten and recovered from disk, while the node serves.
 *
 *   shard      ends its merge, and begins none before the end: what is recovered knows the files
 *              that the manifest names, and no output that is half made
 *   log loop   from here on nothing more is dispatched
 *              a checkpoint: the named files are all that has been applied (R1)
 *   pool       each shard's files are scanned into tables that nobody sees yet
 *   shard      takes them in, in stead of its own
 *   log loop   when all have: goes on
 *
 * Writes go to the log meanwhile and wait for their execution. Reads see the old tables or the new
 * ones, which say the same; a shard that is lent takes its own in when it is back (R20).
 */
#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

struct reload_part {
    struct upkeep_wish no_merge;
    struct pool_job job;
    struct loop_post post;
    struct reload *reload;
    uint32_t shard;
    struct store *fresh;
    int error;
    struct diag diag;
};

struct reload {
    struct group *group;
    struct group_reload_request *request;
    struct group_checkpoint_request checkpoint;
    uint32_t parts_left;
    int error;
    struct diag diag;
    struct reload_part parts[];
};

void reload_free(struct reload *reload)
{
    if (reload == NULL)
        return;
    for (uint32_t i = 0; i < reload->group->stores.count; i++)
        store_close(reload->parts[i].fresh);
    mem_free(reload);
}

static void on_request_back(struct loop_post *post)
{
    struct group_reload_request *request = CONTAINER_OF(post, struct group_reload_request, back);
    request->on_done(request);
}

static void tell(struct group_reload_request *request, int error, const struct diag *diag)
{
    request->error = error;
    request->diag = *diag;
    request->back.run = on_request_back;
    loop_post(request->loop, &request->back);
}

static void conclude(struct reload *reload)
{
    struct sequencer *sequencer = &reload->group->sequencer;
    ASSERT(sequencer->reload == reload);
    sequencer->reload = NULL;
    sequencer->is_recovering = false;
    atomic_fetch_sub(&reload->group->merge_holds, 1);
    for (uint32_t i = 0; i < reload->group->stores.count; i++)
        upkeep_wake(&reload->group->shards[i]); /* for merges that were not to begin */
    tell(reload->request, reload->error, &reload->diag);
    reload_free(reload);
    if (sequencer->wanted != NULL)
        checkpoint_begin(sequencer);
    loop_again(sequencer->loop);
}

static void on_part_done(struct loop_post *post)
{
    struct reload_part *part = CONTAINER_OF(post, struct reload_part, post);
    struct reload *reload = part->reload;
    if (part->error != 0 && reload->error == 0) {
        reload->error = part->error;
        reload->diag = part->diag;
    }
    if (--reload->parts_left == 0)
        conclude(reload);
}

/* ---- A shard's part ---- */

void reload_take_in(struct shard *shard)
{
    struct reload_part *part = shard->reload;
    shard->reload = NULL;
    if (part->error == 0)
        store_adopt(shard->store, part->fresh);
    shard_publish_stats(shard);
    part->fresh = NULL;
    part->post.run = on_part_done;
    loop_post(shard->group->sequencer.loop, &part->post);
}

static void on_recovered(struct pool_job *job)
{
    struct reload_part *part = CONTAINER_OF(job, struct reload_part, job);
    struct shard *shard = &part->reload->group->shards[part->shard];
    shard->reload = part;
    if (shard->state != SHARD_AT_BARRIER)
        reload_take_in(shard);
}

/* What it fills is nobody else's yet, and the manifest stays as it is while nothing is dispatched.
 */
static void run_recover(struct pool_job *job)
{
    struct reload_part *part = CONTAINER_OF(job, struct reload_part, job);
    part->error = group_recover_again(part->reload->group, part->shard, &part->fresh, &part->diag);
}

/* ---- The beginning, on the log loop ---- */

static void on_checkpointed(struct group_checkpoint_request *request)
{
    struct reload *reload = CONTAINER_OF(request, struct reload, checkpoint);
    struct group *group = reload->group;
    if (request->error != 0) {
        reload->error = request->error;
        conclude(reload);
        return;
    }
    ASSERT(group->manifest.index == group->sequencer.dispatched_index);
    if (group->sequencer.checkpoint != NULL) {
        /* Another was wanted meanwhile, and there still was what a merge has replaced: its manifest
         * would take the place of the one that is to be read (G21). */
        group_checkpoint(group, &reload->checkpoint);
        return;
    }
    group->sequencer.is_recovering = true;
    reload->parts_left = group->stores.count;
    for (uint32_t i = 0; i < group->stores.count; i++)
        pool_submit(group->options.pool, POOL_BULK, &reload->parts[i].job, group->shards[i].loop,
                    run_recover, on_recovered);
}

static void on_merge_stopped(struct upkeep_wish *wish)
{
    struct reload *reload = CONTAINER_OF(wish, struct reload_part, no_merge)->reload;
    if (!wish->was_met)
        reload->error = ERR_BUSY;
    if (--reload->parts_left > 0)
        return;
    if (reload->error != 0) {
        conclude(reload);
        return;
    }
    reload->checkpoint.loop = reload->group->sequencer.loop;
    reload->checkpoint.on_done = on_checkpointed;
    group_checkpoint(reload->group, &reload->checkpoint);
}

static void on_wanted(struct loop_post *post)
{
    struct group_reload_request *request = CONTAINER_OF(post, struct group_reload_request, post);
    struct group *group = request->group;
    struct sequencer *sequencer = &group->sequencer;
    if (sequencer->reload != NULL || sequencer->backup != NULL ||
        group_state(group) != GROUP_READY) {
        tell(request, ERR_BUSY, &(struct diag){.text = ""});
        return;
    }
    uint32_t count = group->stores.count;
    struct reload *reload = mem_calloc(1, sizeof(*reload) + count * sizeof(reload->parts[0]));
    reload->group = group;
    reload->request = request;
    reload->parts_left = count;
    sequencer->reload = reload;
    atomic_fetch_add(&group->merge_holds, 1);
    for (uint32_t i = 0; i < count; i++) {
        reload->parts[i].reload = reload;
        reload->parts[i].shard = i;
        reload->parts[i].no_merge.on_done = on_merge_stopped;
        upkeep_stop_merge(&group->shards[i], &reload->parts[i].no_merge);
    }
}

void group_reload(struct group *group, struct group_reload_request *request)
{
    request->group = group;
    request->post.run = on_wanted;
    loop_post(group->sequencer.loop, &request->post);
}
