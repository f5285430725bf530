/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upkeep/upkeep.h"

#include "base/assert.h"
#include "engine/engine_internal.h"

/* What is first: files that may go give space back; a hint saves the next start a scan; a merge
 * can wait. All of it runs in one lane, so that it never competes with itself. */

#define LOOK_MS 1000

static void on_job_back(struct pool_job *job)
{
    CONTAINER_OF(job, struct shard, upkeep.job)->upkeep.is_back = true;
}

void upkeep_send(struct shard *shard, enum upkeep_job job, pool_job_fn run)
{
    struct upkeep *upkeep = &shard->upkeep;
    ASSERT(upkeep->out == UPKEEP_NONE && !shard->is_settling);
    upkeep->out = job;
    pool_submit(shard->group->options.pool, POOL_MERGE, &upkeep->job, shard->loop, run,
                on_job_back);
}

void upkeep_look_in(struct shard *shard, uint64_t ms)
{
    struct loop_timer *timer = &shard->upkeep.look_timer;
    if (!loop_timer_is_armed(timer) || timer->due_ms > loop_now_ms(shard->loop) + ms)
        loop_timer_arm(timer, ms);
}

static void on_look_timer(struct loop_timer *timer)
{
    /* The loop's turn runs the phase. */
    CONTAINER_OF(timer, struct shard, upkeep.look_timer)->upkeep.wants_look = true;
}

static void on_pace_timer(struct loop_timer *timer)
{
    struct upkeep *upkeep = &CONTAINER_OF(timer, struct shard, upkeep.pace_timer)->upkeep;
    upkeep->is_paced = false;
    upkeep->wants_look = true;
}

/* ---- Jobs ---- */

static void run_unlink(struct pool_job *job)
{
    bitcask_unlink_run(CONTAINER_OF(job, struct shard, upkeep.job)->upkeep.unlink);
}

static void run_hint(struct pool_job *job)
{
    bitcask_hint_run(CONTAINER_OF(job, struct shard, upkeep.job)->upkeep.hint);
}

static void take_unlink_back(struct shard *shard)
{
    const struct diag *failure = bitcask_unlink_failure(shard->upkeep.unlink);
    if (failure->text[0] != '\0')
        group_log(shard->group, '#', "%s; the next start removes it", failure->text);
    uint64_t bytes = bitcask_unlink_done(store_bitcask(shard->store), shard->upkeep.unlink);
    group_log(shard->group, '-', "shard %u: %llu MiB of merged data files given back", shard->idx,
              (unsigned long long)(bytes >> 20));
}

static void take_hint_back(struct shard *shard)
{
    struct diag diag = {.text = ""};
    int rc = bitcask_hint_done(store_bitcask(shard->store), shard->upkeep.hint, &diag);
    disk_guard_saw_mild(shard->group, rc);
    if (rc == ERR_CORRUPT)
        group_log(shard->group, '#',
                  "%s. Restore from a backup, or stop this server and repair it with ferric-check",
                  diag.text);
    else if (rc != 0)
        group_log(shard->group, '*', "%s; the next start reads the whole file instead", diag.text);
}

static void take_back(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    enum upkeep_job job = upkeep->out;
    upkeep->is_back = false;
    upkeep->out = UPKEEP_NONE;
    upkeep->wants_look = true;
    if (job == UPKEEP_UNLINK)
        take_unlink_back(shard);
    else if (job == UPKEEP_HINT)
        take_hint_back(shard);
    else
        upkeep_take_merge_back(shard);
    shard_publish_stats(shard);
}

static bool send_unlink(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    if (atomic_load_explicit(&shard->group->unlink_holds, memory_order_acquire) > 0) {
        upkeep_look_in(shard, LOOK_MS);
        return false;
    }
    upkeep->unlink = bitcask_unlink_take(store_bitcask(shard->store));
    if (upkeep->unlink != NULL)
        upkeep_send(shard, UPKEEP_UNLINK, run_unlink);
    return upkeep->unlink != NULL;
}

static bool send_hint(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    upkeep->hint = bitcask_hint_take(store_bitcask(shard->store), upkeep->wants_last_hint != NULL);
    if (upkeep->hint != NULL)
        upkeep_send(shard, UPKEEP_HINT, run_hint);
    return upkeep->hint != NULL;
}

static void look(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    upkeep->wants_look = false;
    upkeep->looked_ms = loop_now_ms(shard->loop);
    if (shard->is_settling)
        return;
    if (group_state(shard->group) == GROUP_REPLAYING) {
        upkeep_look_in(shard, LOOK_MS);
        return;
    }
    if (send_unlink(shard) || send_hint(shard))
        return;
    if (upkeep->wants_last_hint != NULL)
        upkeep_end_wish(&upkeep->wants_last_hint, true);
    upkeep_look_at_merges(shard);
}

void upkeep_take_checkpointed(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    if (LIKELY(!upkeep->is_checkpointed))
        return;
    upkeep->is_checkpointed = false;
    upkeep->wants_look = true;
    bitcask_checkpointed(store_bitcask(shard->store));
    shard_publish_stats(shard);
}

void upkeep_step(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    if (UNLIKELY(upkeep->is_back))
        take_back(shard);
    upkeep_take_checkpointed(shard);
    if (UNLIKELY(upkeep->wants_look) && upkeep->out == UPKEEP_NONE)
        look(shard);
}

void upkeep_note_written(struct shard *shard, bool was_sealed)
{
    struct upkeep *upkeep = &shard->upkeep;
    uint64_t since_ms = loop_now_ms(shard->loop) - upkeep->looked_ms;
    if (was_sealed || since_ms >= LOOK_MS)
        upkeep->wants_look = true;
    else
        upkeep_look_in(shard, LOOK_MS - since_ms);
}

bool upkeep_is_settled(const struct shard *shard)
{
    return shard->upkeep.out == UPKEEP_NONE;
}

/* ---- Posts from the log loop ---- */

static void on_checkpointed(struct loop_post *post)
{
    CONTAINER_OF(post, struct shard, upkeep.checkpointed)->upkeep.is_checkpointed = true;
}

void upkeep_on_checkpoint(struct shard *shard)
{
    loop_post(shard->loop, &shard->upkeep.checkpointed);
}

static void on_wish_met(struct loop_post *post)
{
    struct upkeep_wish *wish = CONTAINER_OF(post, struct upkeep_wish, post);
    wish->on_done(wish);
}

void upkeep_end_wish(struct upkeep_wish **wish, bool was_met)
{
    struct upkeep_wish *ended = *wish;
    *wish = NULL;
    ended->was_met = was_met;
    ended->post.run = on_wish_met;
    loop_post(ended->shard->group->sequencer.loop, &ended->post);
}

static void on_last_hint_wanted(struct loop_post *post)
{
    struct upkeep_wish *wish = CONTAINER_OF(post, struct upkeep_wish, post);
    struct upkeep *upkeep = &wish->shard->upkeep;
    ASSERT(upkeep->wants_last_hint == NULL);
    upkeep->wants_last_hint = wish;
    upkeep->wants_look = true;
}

void upkeep_write_last_hint(struct shard *shard, struct upkeep_wish *wish)
{
    wish->shard = shard;
    wish->post.run = on_last_hint_wanted;
    loop_post(shard->loop, &wish->post);
}

static void on_no_merge_wanted(struct loop_post *post)
{
    struct upkeep_wish *wish = CONTAINER_OF(post, struct upkeep_wish, post);
    struct upkeep *upkeep = &wish->shard->upkeep;
    ASSERT(upkeep->wants_no_merge == NULL);
    upkeep->wants_no_merge = wish;
    if (upkeep->merge == NULL || upkeep->is_stalled) {
        upkeep_end_wish(&upkeep->wants_no_merge, upkeep->merge == NULL);
        return;
    }
    bitcask_merge_stop(upkeep->merge);
    upkeep->is_paced = false;
    upkeep->wants_look = true;
}

void upkeep_stop_merge(struct shard *shard, struct upkeep_wish *wish)
{
    wish->shard = shard;
    wish->post.run = on_no_merge_wanted;
    loop_post(shard->loop, &wish->post);
}

static void on_asked(struct loop_post *post)
{
    struct upkeep *upkeep = &CONTAINER_OF(post, struct shard, upkeep.asked)->upkeep;
    atomic_store(&upkeep->is_asking, false);
    upkeep->is_asked = true;
    upkeep->wants_look = true;
}

static void on_wake(struct loop_post *post)
{
    struct upkeep *upkeep = &CONTAINER_OF(post, struct shard, upkeep.wake)->upkeep;
    atomic_store(&upkeep->is_waking, false);
    loop_timer_disarm(&upkeep->look_timer); /* the look says anew when the next one is */
    upkeep->is_paced = false;
    upkeep->wants_look = true;
}

void upkeep_wake(struct shard *shard)
{
    if (!atomic_exchange(&shard->upkeep.is_waking, true))
        loop_post(shard->loop, &shard->upkeep.wake);
}

void group_merge(struct group *group)
{
    for (uint32_t i = 0; i < group_shard_count(group); i++) {
        struct upkeep *upkeep = &group->shards[i].upkeep;
        if (!atomic_exchange(&upkeep->is_asking, true))
            loop_post(group->shards[i].loop, &upkeep->asked);
    }
}

/* ---- Life ---- */

void upkeep_init(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    upkeep->checkpointed.run = on_checkpointed;
    upkeep->asked.run = on_asked;
    upkeep->wake.run = on_wake;
    loop_timer_init(shard->loop, &upkeep->look_timer, on_look_timer);
    loop_timer_init(shard->loop, &upkeep->pace_timer, on_pace_timer);
    upkeep_look_in(shard, LOOK_MS);
}

void upkeep_stop(struct shard *shard)
{
    loop_timer_fini(&shard->upkeep.look_timer);
    loop_timer_fini(&shard->upkeep.pace_timer);
}

/* What jobs brought back while the shard was lent is dropped: the next start sees to it. */
void upkeep_fini(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct bitcask *bitcask = store_bitcask(shard->store);
    if (upkeep->out == UPKEEP_UNLINK)
        IGNORE(bitcask_unlink_done(bitcask, upkeep->unlink), "nobody counts any more");
    if (upkeep->out == UPKEEP_HINT)
        IGNORE(bitcask_hint_done(bitcask, upkeep->hint, NULL), "the next start does without");
    bitcask_merge_free(upkeep->merge);
    upkeep->merge = NULL;
}
