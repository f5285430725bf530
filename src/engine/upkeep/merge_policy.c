/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upkeep/merge_policy.h"

#include <stdlib.h>

#include "base/mem.h"

#define HOUR_MS 3600000u

bool merge_is_time(const struct merge_settings *settings, uint64_t wall_ms)
{
    uint32_t hour = (uint32_t)(wall_ms / HOUR_MS % 24);
    uint32_t from = settings->hour_from;
    uint32_t to = settings->hour_to;
    if (settings->mode == MERGE_HOT)
        return true;
    if (settings->mode == MERGE_OFF)
        return false;
    if (from <= to)
        return hour >= from && hour < to;
    return hour >= from || hour < to; /* over midnight */
}

/* Worth a merge by itself: enough of it is dead, and so much that the copying pays. A file in which
 * nothing lives costs no copying. */
static bool is_fragmented(const struct merge_settings *settings, const struct bitcask_sealed *file)
{
    return file->dead_bytes > 0 && file->dead_bytes >= file->bytes / 100 * settings->dead_percent &&
           (file->dead_bytes >= settings->min_dead_bytes || file->live_bytes == 0);
}

static bool is_old(const struct merge_settings *settings, const struct bitcask_sealed *file,
                   uint64_t wall_ms)
{
    return wall_ms >= file->sealed_ms && wall_ms - file->sealed_ms >= settings->min_age_ms;
}

/* What merges had to keep, though it is dead, has become so much that all files are merged at once:
 * with nothing older outside, nothing of it needs to be kept. */
static bool is_choked(const struct merge_settings *settings, const struct bitcask_sealed *files,
                      size_t count)
{
    uint64_t bytes = 0;
    uint64_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += files[i].bytes;
        kept += files[i].kept_bytes;
    }
    return kept > 0 && kept >= bytes / 100 * settings->dead_percent &&
           kept >= settings->min_dead_bytes;
}

static size_t choose_all(const struct bitcask_sealed *files, size_t count, uint32_t *out_ids)
{
    for (size_t i = 0; i < count; i++)
        out_ids[i] = files[i].id;
    return count;
}

struct candidate {
    const struct bitcask_sealed *file;
    bool is_fragmented;
};

/* Fragmented ones first, those with most to win before others; then the smallest. */
static int by_gain(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;
    if (left->is_fragmented != right->is_fragmented)
        return left->is_fragmented ? -1 : 1;
    uint64_t l = left->is_fragmented ? right->file->dead_bytes : left->file->bytes;
    uint64_t r = left->is_fragmented ? left->file->dead_bytes : right->file->bytes;
    if (l != r)
        return l < r ? -1 : 1;
    return left->file->id < right->file->id ? -1 : left->file->id > right->file->id;
}

size_t merge_choose(const struct merge_settings *settings, const struct bitcask_sealed *files,
                    size_t count, uint64_t wall_ms, bool is_asked, uint32_t *out_ids)
{
    if (settings->max_files > 0 && is_choked(settings, files, count))
        return choose_all(files, count, out_ids);
    struct candidate *candidates = mem_calloc(count, sizeof(*candidates));
    size_t found = 0;
    size_t fragmented = 0;
    bool has_old = false;
    for (size_t i = 0; i < count; i++) {
        bool is_worth =
            is_fragmented(settings, &files[i]) ||
            (is_asked && files[i].dead_bytes > files[i].bytes / 100); /* not for PADs alone */
        if (!is_worth && files[i].bytes >= settings->small_file_bytes)
            continue;
        candidates[found++] = (struct candidate){.file = &files[i], .is_fragmented = is_worth};
        fragmented += is_worth;
        has_old |= is_old(settings, &files[i], wall_ms);
    }
    if (fragmented == 0 && found < settings->min_files)
        found = 0;
    if (settings->mode == MERGE_AGE && !is_asked && !has_old)
        found = 0;
    if (found > 0)
        qsort(candidates, found, sizeof(*candidates), by_gain);
    if (found > settings->max_files)
        found = settings->max_files;
    if (fragmented == 0 && found < 2) /* one is not joined */
        found = 0;
    for (size_t i = 0; i < found; i++)
        out_ids[i] = candidates[i].file->id;
    mem_free(candidates);
    return found;
}
