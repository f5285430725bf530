/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/group.h"
#include "engine/group_stats.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

/* ---- Telling ---- */

void group_log(struct group *group, char level, const char *format, ...)
{
    if (group->options.on_log == NULL)
        return;
    char text[DIAG_SIZE * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    group->options.on_log(group->options.ctx, level, text);
}

void group_fail(struct group *group, const char *format, ...)
{
    if (atomic_exchange(&group->is_fatal, true))
        return;
    char text[DIAG_SIZE * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    group->options.on_fatal(group->options.ctx, text);
}

enum group_state group_state(const struct group *group)
{
    return (enum group_state)atomic_load_explicit(&group->state, memory_order_acquire);
}

void group_set_state(struct group *group, enum group_state state)
{
    atomic_store_explicit(&group->state, state, memory_order_release);
}

/* ---- Keys to shards ---- */

struct shard_search {
    const struct stores *stores;
    uint64_t shards;
    uint64_t hash;
    bool is_too_long;
};

static void add_key(void *ctx, uint16_t db, struct slice key)
{
    struct shard_search *search = ctx;
    (void)db;
    search->is_too_long |= key.len > ROW_MAX_KEY;
    if (search->shards == 0)
        search->hash = hash_key(key, search->stores->hash_seed);
    search->shards |= UINT64_C(1) << stores_shard_of(search->stores, key);
}

bool group_involved(const struct group *group, const struct command_row *row,
                    const struct slice *argv, uint32_t argc, uint16_t db, struct involved *out)
{
    uint64_t all =
        group->stores.count == STORES_MAX ? UINT64_MAX : (UINT64_C(1) << group->stores.count) - 1;
    struct shard_search search = {.stores = &group->stores};
    enum keys_found found =
        command_keys(group->options.table, row,
                     &(struct request){.argv = argv, .argc = argc, .db = db}, add_key, &search);
    if (found == KEYS_MALFORMED || search.is_too_long)
        return false;
    bool is_for_all = found == KEYS_EVERYWHERE || search.shards == 0;
    *out = (struct involved){.shards = is_for_all ? all : search.shards, .hash = search.hash};
    return true;
}

/* ---- Reading ---- */

void group_want_events(struct group *group, unsigned classes)
{
    atomic_store(&group->events.wanted, classes);
}

struct port *group_port(struct group *group, uint32_t io_loop_idx)
{
    ASSERT(io_loop_idx < group->options.io_loop_count);
    return &group->ports[io_loop_idx];
}

const struct stores *group_stores(const struct group *group)
{
    return &group->stores;
}

/* While shards are being recovered there are none to look at. */
uint32_t group_shard_count(const struct group *group)
{
    return atomic_load_explicit(&group->is_started, memory_order_acquire) ? group->stores.count : 0;
}

uint32_t group_database_count(const struct group *group)
{
    return group->options.database_count;
}

void group_set_active_expire(struct group *group, bool is_active)
{
    atomic_store_explicit(&group->is_expire_passive, !is_active, memory_order_relaxed);
}

void group_hold_expiry(struct group *group, uint64_t until_ms)
{
    atomic_store_explicit(&group->expiry_held_ms, until_ms, memory_order_relaxed);
}

static void on_sweep(struct loop_post *post)
{
    struct group_sweep *sweep = CONTAINER_OF(post, struct group_sweep, post);
    if (sweep->shard == sweep->shard_count) {
        sweep->on_done(sweep);
        return;
    }
    if (!shard_sweep(&sweep->group->shards[sweep->shard]))
        sweep->shard++;
    bool is_last = sweep->shard == sweep->shard_count;
    loop_post(is_last ? sweep->loop : sweep->group->shards[sweep->shard].loop, &sweep->post);
}

void group_sweep(struct group *group, struct group_sweep *sweep)
{
    sweep->post.run = on_sweep;
    sweep->group = group;
    sweep->shard = 0;
    sweep->shard_count = group_shard_count(group);
    loop_post(sweep->shard_count == 0 ? sweep->loop : group->shards[0].loop, &sweep->post);
}

const struct command_table *group_table(const struct group *group)
{
    return group->options.table;
}

uint64_t group_id(const struct group *group)
{
    return group->identity;
}

struct store_db_stats group_db_stats(const struct group *group, uint16_t db)
{
    struct store_db_stats sum = {0};
    for (uint32_t i = 0; i < group_shard_count(group); i++) {
        struct store_db_stats stats = store_db_stats(group->stores.shards[i], db);
        sum.keys += stats.keys;
        sum.expires += stats.expires;
        sum.table_bytes += stats.table_bytes;
        /* The mean of what has been seen so far moves towards this shard's by its share. */
        int64_t apart = (int64_t)(stats.mean_expire_at_ms - sum.mean_expire_at_ms);
        if (stats.expires > 0)
            sum.mean_expire_at_ms +=
                (uint64_t)((double)apart * (double)stats.expires / (double)sum.expires);
    }
    return sum;
}

static uint64_t sum_of(const struct group *group, size_t word_off)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < group_shard_count(group); i++) {
        const _Atomic uint64_t *word =
            (const void *)((const char *)&group->shards[i].stats + word_off);
        sum += atomic_load_explicit(word, memory_order_relaxed);
    }
    return sum;
}

#define SUM_OF(group, word) sum_of(group, offsetof(struct shard_stats, word))

struct group_stats group_stats(const struct group *group)
{
    struct group_stats stats = {
        .term = group_published(group, PUB_TERM),
        .commit_index = group_published(group, PUB_COMMIT_INDEX),
        .applied_index = group_published(group, PUB_APPLIED_INDEX),
        .checkpoint_index = group_published(group, PUB_CHECKPOINT_INDEX),
        .checkpoint_number = group_published(group, PUB_CHECKPOINT_NUMBER),
        .checkpoints = group_published(group, PUB_CHECKPOINTS),
        .last_checkpoint_ms = group_published(group, PUB_LAST_CHECKPOINT_MS),
        .last_checkpoint_took_us = group_published(group, PUB_LAST_CHECKPOINT_US),
        .is_checkpoint_running = group_published(group, PUB_CHECKPOINT_RUNNING) != 0,
        .is_checkpoint_failing = group_published(group, PUB_CHECKPOINT_FAILING) != 0,
        .is_log_failed = atomic_load_explicit(&group->log_error, memory_order_relaxed) != 0,
        .is_log_full = atomic_load_explicit(&group->is_disk_full, memory_order_relaxed),
        .shards_failing = (uint32_t)__builtin_popcountll(
            atomic_load_explicit(&group->shards_failing, memory_order_relaxed)),
        .is_disk_pressed = disk_guard_is_pressed(&group->disk),
        .disk_free_bytes = atomic_load_explicit(&group->disk.free_bytes, memory_order_relaxed),
        .disk_low_bytes = atomic_load_explicit(&group->disk.low_bytes, memory_order_relaxed),
        .disk_reserve_bytes =
            atomic_load_explicit(&group->disk.reserve_bytes, memory_order_relaxed),
        .log_entries_frames = group_published(group, PUB_ENTRIES_FRAMES),
        .log_other_frames = group_published(group, PUB_OTHER_FRAMES),
        .log_bytes = group_published(group, PUB_LOG_BYTES),
        .log_live_bytes = group_published(group, PUB_LOG_LIVE_BYTES),
        .log_segments = group_published(group, PUB_LOG_SEGMENTS),
        .log_spares = group_published(group, PUB_LOG_SPARES),
        .log_recycled = group_published(group, PUB_LOG_RECYCLED),
        .log_prepared = group_published(group, PUB_LOG_PREPARED),
        .log_writer = aio_name(group->options.aio),
        .commands_logged = group_published(group, PUB_COMMANDS_LOGGED),
        .replayed_commands = group_published(group, PUB_REPLAYED),
        .hlc_ms = atomic_load_explicit(&group->hlc_ms, memory_order_relaxed),
        .clock_refused_ms = (int64_t)group_published(group, PUB_CLOCK_REFUSED_MS),
        .rotations = SUM_OF(group, rotations),
        .data_files = SUM_OF(group, data_files),
        .data_bytes = SUM_OF(group, data_bytes),
        .data_live_bytes = SUM_OF(group, data_live_bytes),
        .backup_total_bytes = atomic_load(&group->backup_total_bytes),
        .last_backup_ms = group_published(group, PUB_LAST_BACKUP_MS),
        .is_backup_failing = group_published(group, PUB_BACKUP_FAILED) != 0,
        .backup_done_bytes = atomic_load(&group->backup_done_bytes),
        .data_replaced_bytes = SUM_OF(group, replaced_bytes),
        .merges = SUM_OF(group, upkeep.merges),
        .merges_failed = SUM_OF(group, upkeep.merges_failed),
        .merge_freed_bytes = SUM_OF(group, upkeep.merge_freed_bytes),
        .merge_total_bytes = SUM_OF(group, upkeep.merge_total_bytes),
        .merge_done_bytes = SUM_OF(group, upkeep.merge_done_bytes),
        .hints_written = SUM_OF(group, upkeep.hints_written),
        .expired_keys = SUM_OF(group, expired_keys),
        .keydir_bytes = SUM_OF(group, keydir_bytes),
        .expiry_bytes = SUM_OF(group, expiry_bytes),
        .retired_bytes = SUM_OF(group, retired_bytes),
        .unwritten_bytes = SUM_OF(group, unwritten_bytes),
        .cold_rows = SUM_OF(group, cold_rows),
    };
    return stats;
}

void group_tally(const struct group *group, struct tally_sum *sum)
{
    for (uint32_t i = 0; i < group->options.io_loop_count; i++)
        tally_add_to(group->ports[i].tally, sum);
    for (uint32_t i = 0; i < group_shard_count(group); i++)
        tally_add_to(group->shards[i].tally, sum);
}

/* ---- Settings ---- */

void group_set_disk_free_low(struct group *group, int64_t free_low)
{
    atomic_store_explicit(&group->disk.free_low, free_low, memory_order_relaxed);
}

struct tally_settings *group_tally_settings(struct group *group)
{
    return &group->tally_settings;
}

struct hot_max_change {
    struct loop_post post;
    struct store *store;
    size_t bytes;
};

static void on_hot_max_change(struct loop_post *post)
{
    struct hot_max_change *change = CONTAINER_OF(post, struct hot_max_change, post);
    store_set_hot_max_value(change->store, change->bytes);
    mem_free(change);
}

void group_set_hot_max_value(struct group *group, size_t bytes)
{
    for (uint32_t i = 0; i < group_shard_count(group); i++) {
        struct hot_max_change *change = mem_calloc(1, sizeof(*change));
        change->post.run = on_hot_max_change;
        change->store = group->stores.shards[i];
        change->bytes = bytes;
        loop_post(group->shards[i].loop, &change->post);
    }
}
