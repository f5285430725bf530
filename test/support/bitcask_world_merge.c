/* SPDX-License-Identifier: Apache-2.0 */
/* The upkeep of a world's files. The world lays out what a merge keeps by itself, from the order of
 * the judgements alone, so that it knows of every byte what it should be, and holds the merge to
 * it.
 */
#include "base/err.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

void world_seal(struct world *world)
{
    uint64_t rotations = bitcask_stats(world->bc).rotations;
    while (bitcask_stats(world->bc).rotations == rotations)
        world_append(world, 1);
}

/* ---- Merges ---- */

/* Half of all is dead, a fifth of that for some reason kept. */
static enum merge_verdict judge_by_chance(const struct record *record, uint64_t seed)
{
    uint64_t chance = seed % 10;
    if (chance < 4)
        return MERGE_DROP;
    if (chance < 5 || record->kind != RECORD_PUT)
        return MERGE_KEEP_DEAD;
    return MERGE_LIVE;
}

static bool is_at(const struct world_entry *entry, const struct merge_item *item)
{
    return entry->file_id == item->file_id && entry->off == item->off;
}

static void lay_out(struct world *world, size_t entry, size_t size)
{
    uint64_t end = world->output_off + size;
    if (world->output_id != 0 && world->output_off > DATAFILE_HEADER_SIZE &&
        end + record_pad_size(end) > world->max_file_size)
        world->output_id = 0;
    if (world->output_id == 0) {
        world->output_id = bitcask_next_id(world->bc);
        world->output_off = DATAFILE_HEADER_SIZE;
    }
    world_add_copy(world, entry, world->output_id, world->output_off);
    world->output_off += size;
}

static enum merge_verdict judge(void *ctx, const struct merge_item *item, uint64_t outside_index)
{
    struct world *world = ctx;
    size_t idx = (size_t)(item->record.position >> 16) - 1;
    world_check_entry(world, &item->record, idx);
    assert_int_equal(item->size, record_size(&item->record));
    struct world_entry *entry = &world->entries[idx];
    enum merge_verdict verdict = MERGE_DROP;
    if (is_at(entry, item))
        verdict = world->judge == NULL
                      ? judge_by_chance(&item->record, entry->seed)
                      : world->judge(world->judge_ctx, &item->record, idx, outside_index);
    /* That would be another record: what becomes of it is the store's tests' concern. */
    if (verdict == MERGE_KEEP_DEAD && item->record.kind == RECORD_PUT)
        verdict = MERGE_LIVE;
    if (verdict != MERGE_DROP)
        lay_out(world, idx, item->size);
    if (verdict != MERGE_LIVE && is_at(entry, item))
        entry->file_id = 0;
    return verdict;
}

static void moved(void *ctx, const struct merge_item *item)
{
    struct world *world = ctx;
    size_t idx = (size_t)(item->record.position >> 16) - 1;
    bool is_known = false;
    for (size_t i = world->copies.count; i > 0 && !is_known; i--) {
        const struct world_copy *copy = &world->copies.items[i - 1];
        is_known =
            copy->entry == idx && copy->file_id == item->new_file_id && copy->off == item->new_off;
    }
    assert_true(is_known);
    assert_true(bitcask_is_written(world->bc, item->new_file_id, item->new_off)); /* R32 */
    struct world_entry *entry = &world->entries[idx];
    if (!is_at(entry, item))
        return;
    entry->file_id = item->new_file_id;
    entry->off = item->new_off;
}

void world_merge_begin(struct world *world, const uint32_t *ids, size_t count)
{
    assert_null(world->merge);
    world->output_id = 0;
    world->merge = bitcask_merge_new(
        world->bc, ids, count, (struct merge_events){.judge = judge, .moved = moved, .ctx = world});
}

bool world_merge_all(struct world *world)
{
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    uint32_t *ids = mem_calloc(count, sizeof(*ids));
    for (size_t i = 0; i < count; i++)
        ids[i] = sealed[i].id;
    if (count > 0)
        world_merge_begin(world, ids, count);
    mem_free(ids);
    mem_free(sealed);
    return count > 0;
}

enum merge_state world_merge_step(struct world *world, struct diag *diag)
{
    bitcask_merge_run(world->merge);
    enum merge_state state = bitcask_merge_done(world->merge, diag);
    if (state == MERGE_DONE || state == MERGE_STOPPED) {
        bitcask_merge_free(world->merge);
        world->merge = NULL;
    }
    return state;
}

void world_merge_finish(struct world *world)
{
    struct diag diag = {.text = ""};
    enum merge_state state;
    do {
        state = world_merge_step(world, &diag);
    } while (state == MERGE_MORE);
    if (state != MERGE_DONE)
        fail_msg("merge: %d, %s", (int)state, diag.text);
}

void world_merge(struct world *world)
{
    assert_true(world_merge_all(world));
    world_merge_finish(world);
}

/* ---- Hints, and the end of files ---- */

struct bitcask_hint *world_hint_take(struct world *world, bool is_last)
{
    size_t count = 0;
    struct bitcask_sealed *files = bitcask_sealed_files(world->bc, &count);
    for (size_t i = 0; i < count; i++)
        bitcask_add_live(world->bc, files[i].id, files[i].bytes - files[i].live_bytes);
    struct bitcask_hint *hint = bitcask_hint_take(world->bc, is_last);
    for (size_t i = 0; i < count; i++)
        bitcask_sub_live(world->bc, files[i].id, files[i].bytes - files[i].live_bytes);
    mem_free(files);
    return hint;
}

int world_hint(struct world *world, bool is_last, struct diag *diag)
{
    struct bitcask_hint *hint = world_hint_take(world, is_last);
    if (hint == NULL)
        return ERR_NOT_FOUND;
    bitcask_hint_run(hint);
    return bitcask_hint_done(world->bc, hint, diag);
}

size_t world_hint_all(struct world *world, bool is_last)
{
    struct diag diag = {.text = ""};
    size_t count = 0;
    int rc;
    while ((rc = world_hint(world, is_last, &diag)) == 0)
        count++;
    if (rc != ERR_NOT_FOUND)
        fail_msg("hint: %d, %s", rc, diag.text);
    return count;
}

uint64_t world_unlink(struct world *world)
{
    struct bitcask_unlink *unlink = bitcask_unlink_take(world->bc);
    if (unlink == NULL)
        return 0;
    bitcask_unlink_run(unlink);
    return bitcask_unlink_done(world->bc, unlink);
}

bool world_has_file(struct world *world, const char *path)
{
    struct fs_stat st;
    return fs_stat(simdisk_fs(world->disk), path, &st) == 0;
}
