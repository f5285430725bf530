/* SPDX-License-Identifier: Apache-2.0 */
/* When a merge begins, how fast it goes, and what becomes of it.
 *
 * Not all at once: one merge of the group at a time holds the token. Not too fast: what it reads
 * and writes is held to a rate, by waiting between steps. Not for ever too slow: when the dead
 * outweigh the living all the same, rate and cooldown are set aside until they no longer do, or the
 * disk would fill while merges wait (P7).
 */
#include "engine/upkeep/upkeep.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"
#include "engine/upkeep/merge_policy.h"
#include "store/merge.h"

#define RETRY_MS        5000
#define HOUR_MS         3600000u
#define TOLD_BYTES      (64u << 20)
#define SEAL_DEAD_BYTES (64u << 10) /* a file that is being filled is not ended for less */
#define SEALED_MS       50          /* until its last records have most likely been written */
#define PACE_MIN_MS     2           /* shorter waits are saved up */

static void set_progress(struct shard *shard, uint64_t total, uint64_t done)
{
    struct upkeep_stats *stats = &shard->stats.upkeep;
    atomic_store_explicit(&stats->merge_total_bytes, total, memory_order_relaxed);
    atomic_store_explicit(&stats->merge_done_bytes, done, memory_order_relaxed);
}

static void add_to(_Atomic uint64_t *word, uint64_t more)
{
    uint64_t now = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, now + more, memory_order_relaxed);
}

/* ---- The token ---- */

static bool take_token(struct shard *shard)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong(&shard->group->merge_token, &free, shard->idx + 1);
}

/* Who gives it back sees that it is wanted, or it was free in time. */
static bool take_token_or_wait(struct shard *shard)
{
    if (take_token(shard))
        return true;
    atomic_store(&shard->upkeep.wants_token, true);
    return take_token(shard);
}

static void give_token(struct shard *shard)
{
    ASSERT(atomic_load(&shard->group->merge_token) == shard->idx + 1);
    atomic_store(&shard->group->merge_token, 0);
    for (uint32_t i = 0; i < group_shard_count(shard->group); i++) {
        struct shard *other = &shard->group->shards[i];
        if (other != shard && atomic_exchange(&other->upkeep.wants_token, false))
            upkeep_wake(other);
    }
}

/* ---- Steps ---- */

/* What is in the files is so much more than what lives that it cannot wait. */
static bool is_pressing(const struct shard *shard)
{
    struct bitcask_stats stats = bitcask_stats(store_bitcask(shard->store));
    uint64_t slack = shard->group->options.log_budget / shard->group->stores.count;
    return stats.bytes > 2 * stats.live_bytes + slack;
}

static bool is_disk_pressed(const struct shard *shard)
{
    return atomic_load_explicit(&shard->group->disk.is_pressed, memory_order_relaxed);
}

static void run_step(struct pool_job *job)
{
    bitcask_merge_run(CONTAINER_OF(job, struct shard, upkeep.job)->upkeep.merge);
}

static void run_measure(struct pool_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, upkeep.job);
    const struct group_options *options = &shard->group->options;
    struct fs_space space = {0};
    int rc = fs_space(options->os.fs, options->dir, &space);
    /* A filesystem that cannot tell is no reason never to merge. */
    shard->upkeep.free_bytes = rc == 0 ? space.free_bytes : UINT64_MAX;
}

static void wait_for_pace(struct shard *shard, const struct merge_settings *settings)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct merge_stats stats = bitcask_merge_stats(upkeep->merge);
    if (settings->rate_bytes == 0 || upkeep->wants_no_merge != NULL || is_pressing(shard))
        return;
    uint64_t due_ms = (stats.bytes_read + stats.bytes_written) * 1000 / settings->rate_bytes;
    uint64_t took_ms = loop_now_ms(shard->loop) - upkeep->begun_ms;
    if (due_ms < took_ms + PACE_MIN_MS)
        return;
    upkeep->is_paced = true;
    loop_timer_arm(&upkeep->pace_timer, due_ms - took_ms);
}

/* Small ones are nobody's concern. */
static char level_of(const struct merge_stats *stats)
{
    return stats->bytes_total >= TOLD_BYTES ? '*' : '-';
}

static void tell_end(struct shard *shard, const struct merge_stats *stats)
{
    uint64_t took_ms = loop_now_ms(shard->loop) - shard->upkeep.begun_ms;
    group_log(shard->group, level_of(stats),
              "shard %u: merged %llu MiB of data files into %llu MiB in %llu.%01llu s", shard->idx,
              (unsigned long long)(stats->bytes_total >> 20),
              (unsigned long long)(stats->bytes_written >> 20),
              (unsigned long long)(took_ms / 1000), (unsigned long long)(took_ms % 1000 / 100));
}

static void end_merge(struct shard *shard, enum merge_state state, const struct diag *diag)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct merge_stats stats = bitcask_merge_stats(upkeep->merge);
    if (state == MERGE_DONE) {
        tell_end(shard, &stats);
        add_to(&shard->stats.upkeep.merges, 1);
        if (stats.bytes_total > stats.bytes_written)
            add_to(&shard->stats.upkeep.merge_freed_bytes, stats.bytes_total - stats.bytes_written);
    } else if (diag->text[0] != '\0') {
        add_to(&shard->stats.upkeep.merges_failed, 1);
        bool is_damage = bitcask_merge_error(upkeep->merge) == ERR_CORRUPT;
        group_log(shard->group, '#',
                  "a merge ended early: %s. The file is left as it is, and nothing is lost by "
                  "this. %s",
                  diag->text,
                  is_damage ? "Stop the server and run ferric-check on its directory"
                            : "It will be tried again");
    }
    upkeep->was_in_vain = stats.bytes_written > stats.bytes_total / 10 * 9;
    bitcask_merge_free(upkeep->merge);
    upkeep->merge = NULL;
    upkeep->ended_ms = loop_now_ms(shard->loop);
    if (state != MERGE_DONE && diag->text[0] != '\0')
        upkeep->failed_ms = upkeep->ended_ms;
    set_progress(shard, 0, 0);
    give_token(shard);
    shard_publish_stats(shard);
    if (upkeep->wants_no_merge != NULL)
        upkeep_end_wish(&upkeep->wants_no_merge, true);
}

static void drop_for_space(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    if (upkeep->lacked_bytes == 0)
        group_log(shard->group, '#',
                  "shard %u: no room for a merge: it needs up to %llu MiB, %llu MiB are free. Free "
                  "space on the volume of %.200s",
                  shard->idx, (unsigned long long)(upkeep->live_bytes >> 20),
                  (unsigned long long)(upkeep->free_bytes >> 20), shard->group->options.dir);
    if (upkeep->lacked_bytes < upkeep->live_bytes)
        upkeep->lacked_bytes = upkeep->live_bytes;
    end_merge(shard, MERGE_STOPPED, &(struct diag){.text = ""});
}

static void take_measure(struct shard *shard, const struct merge_settings *settings)
{
    struct upkeep *upkeep = &shard->upkeep;
    uint64_t room = upkeep->free_bytes / 100 * (100 - settings->min_free_percent);
    upkeep->is_measuring = false;
    if (upkeep->live_bytes > room)
        drop_for_space(shard);
    else if (upkeep->lacked_bytes <= room)
        upkeep->lacked_bytes = 0;
}

void upkeep_take_merge_back(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct merge_settings settings = group_merge_settings(shard->group);
    if (upkeep->is_measuring) {
        take_measure(shard, &settings);
        return;
    }
    struct diag diag = {.text = ""};
    enum merge_state state = bitcask_merge_done(upkeep->merge, &diag);
    struct merge_stats stats = bitcask_merge_stats(upkeep->merge);
    bool was_stalled = upkeep->is_stalled;
    upkeep->is_stalled = state == MERGE_STALLED;
    set_progress(shard, stats.bytes_total, stats.bytes_read);
    switch (state) {
    case MERGE_MORE:
        wait_for_pace(shard, &settings);
        break;
    case MERGE_STALLED:
        if (!was_stalled)
            group_log(shard->group, '#', "%s", diag.text);
        disk_guard_saw_mild(shard->group, bitcask_merge_error(upkeep->merge));
        upkeep->is_paced = true;
        loop_timer_arm(&upkeep->pace_timer, RETRY_MS);
        if (upkeep->wants_no_merge != NULL)
            upkeep_end_wish(&upkeep->wants_no_merge, false);
        break;
    case MERGE_DONE:
    case MERGE_STOPPED:
        end_merge(shard, state, &diag);
        break;
    case MERGE_SUSPECT: /* R21 */
        shard_fail_sync(shard, &diag);
        break;
    default:
        UNREACHABLE("all states of a merge are listed");
    }
}

/* ---- The beginning ---- */

static void begin(struct shard *shard, const struct bitcask_sealed *files, size_t file_count,
                  const uint32_t *ids, size_t count)
{
    struct upkeep *upkeep = &shard->upkeep;
    upkeep->merge = store_merge_new(shard->store, ids, count);
    upkeep->begun_ms = loop_now_ms(shard->loop);
    upkeep->live_bytes = 0;
    upkeep->is_stalled = false;
    upkeep->is_paced = false;
    upkeep->is_asked = false;
    uint64_t dead_bytes = 0;
    for (size_t i = 0; i < file_count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (files[i].id != ids[j])
                continue;
            upkeep->live_bytes += files[i].live_bytes;
            dead_bytes += files[i].dead_bytes;
        }
    }
    struct merge_stats stats = bitcask_merge_stats(upkeep->merge);
    set_progress(shard, stats.bytes_total, 0);
    group_log(shard->group, level_of(&stats),
              "shard %u: merging data files (%zu of them, %llu MiB, %llu dead)", shard->idx, count,
              (unsigned long long)(stats.bytes_total >> 20),
              (unsigned long long)(dead_bytes >> 20));
    upkeep->is_measuring = true;
    upkeep_send(shard, UPKEEP_MERGE, run_measure);
}

/* When to look again for a merge that may not begin yet; 0: it may. */
static uint64_t wait_ms(struct shard *shard, const struct merge_settings *settings)
{
    const struct upkeep *upkeep = &shard->upkeep;
    uint64_t now_ms = loop_now_ms(shard->loop);
    uint64_t since_ms = now_ms - upkeep->ended_ms;
    /* However pressing: what has just failed would fail again, on and on. */
    if (upkeep->failed_ms != 0 && now_ms - upkeep->failed_ms < RETRY_MS)
        return RETRY_MS - (now_ms - upkeep->failed_ms);
    if (upkeep->is_asked)
        return 0;
    /* However much it presses: there is no more room than a moment ago. */
    if (upkeep->lacked_bytes > 0 && since_ms < RETRY_MS)
        return RETRY_MS - since_ms;
    if ((is_pressing(shard) || is_disk_pressed(shard)) && !upkeep->was_in_vain)
        return 0;
    if (upkeep->ended_ms != 0 && since_ms < settings->cooldown_ms)
        return settings->cooldown_ms - since_ms;
    uint64_t wall_ms = loop_wall_ms(shard->loop);
    return merge_is_time(settings, wall_ms) ? 0 : HOUR_MS - wall_ms % HOUR_MS;
}

/* As far as they make sense for files of this size: what is joined must fit one, or merges would
 * never end; and half of a file dead is enough for any. */
static struct merge_settings fitting_settings(struct group *group)
{
    struct merge_settings settings = group_merge_settings(group);
    uint64_t file_size = group->options.max_file_size;
    if (settings.small_file_bytes > file_size / 4)
        settings.small_file_bytes = file_size / 4;
    if (settings.min_dead_bytes > file_size / 2)
        settings.min_dead_bytes = file_size / 2;
    return settings;
}

static void choose(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct merge_settings settings = fitting_settings(shard->group);
    /* With the disk nearly full anything that gives space back is welcome, the file that is being
     * filled too: it may be all that there is. */
    bool takes_any = upkeep->is_asked || (is_disk_pressed(shard) && settings.mode != MERGE_OFF);
    if (settings.mode == MERGE_OFF && !takes_any)
        return;
    if (takes_any &&
        bitcask_seal_dead(store_bitcask(shard->store), settings.dead_percent, SEAL_DEAD_BYTES)) {
        shard_flush(shard);
        upkeep_look_in(shard, SEALED_MS);
        return;
    }
    bool is_modest = upkeep->lacked_bytes > 0 && !upkeep->is_asked;
    if (is_modest)
        settings.max_files = 1; /* what needs least room, and gives some back */
    size_t file_count = 0;
    struct bitcask_sealed *files = bitcask_sealed_files(store_bitcask(shard->store), &file_count);
    for (size_t i = 0; i < file_count && is_modest; i++)
        files[i].kept_bytes = 0; /* no reason to take all of them */
    uint32_t *ids = mem_alloc((file_count + 1) * sizeof(*ids));
    size_t count =
        merge_choose(&settings, files, file_count, loop_wall_ms(shard->loop), takes_any, ids);
    uint64_t later_ms = count == 0 ? 0 : wait_ms(shard, &settings);
    if (count == 0) {
        upkeep->is_asked = false;
        if (settings.mode == MERGE_AGE)
            upkeep_look_in(shard, HOUR_MS); /* files grow old while nothing happens */
    } else if (later_ms > 0)
        upkeep_look_in(shard, later_ms);
    else if (!take_token_or_wait(shard))
        upkeep_look_in(shard, RETRY_MS);
    else
        begin(shard, files, file_count, ids, count);
    mem_free(files);
    mem_free(ids);
}

void upkeep_look_at_merges(struct shard *shard)
{
    struct upkeep *upkeep = &shard->upkeep;
    struct group *group = shard->group;
    if (atomic_load_explicit(&group->is_ending, memory_order_relaxed) ||
        atomic_load_explicit(&group->is_fatal, memory_order_relaxed)) {
        /* What is half made is named by nobody and goes with the next start. */
        if (upkeep->wants_no_merge != NULL)
            upkeep_end_wish(&upkeep->wants_no_merge, false);
        return;
    }
    if (upkeep->merge != NULL) {
        if (!upkeep->is_paced)
            upkeep_send(shard, UPKEEP_MERGE, run_step);
        return;
    }
    if (atomic_load(&group->merge_holds) == 0 && group_state(group) == GROUP_READY)
        choose(shard);
}

/* ---- Settings ---- */

struct merge_settings group_merge_settings(struct group *group)
{
    lock_take(&group->merge_lock);
    struct merge_settings settings = group->merge_settings;
    lock_drop(&group->merge_lock);
    return settings;
}

void group_set_merge(struct group *group, const struct merge_settings *settings)
{
    lock_take(&group->merge_lock);
    group->merge_settings = *settings;
    lock_drop(&group->merge_lock);
    if (group_state(group) != GROUP_READY)
        return;
    for (uint32_t i = 0; i < group_shard_count(group); i++)
        upkeep_wake(&group->shards[i]);
}
