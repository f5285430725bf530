/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "bitcask/upkeep.h"
#include "support/cmocka.h"
#include "support/storebench.h"

static struct bitcask *files_of(const struct storebench *bench, uint32_t shard)
{
    return store_bitcask(bench->stores.shards[shard]);
}

uint32_t *storebench_sealed(const struct storebench *bench, uint32_t shard, size_t *out_count)
{
    struct bitcask_sealed *sealed = bitcask_sealed_files(files_of(bench, shard), out_count);
    uint32_t *ids = mem_calloc(*out_count, sizeof(*ids));
    for (size_t i = 0; i < *out_count; i++)
        ids[i] = sealed[i].id;
    mem_free(sealed);
    return ids;
}

enum merge_state storebench_merge_step(struct bitcask_merge **merge, struct diag *diag)
{
    bitcask_merge_run(*merge);
    enum merge_state state = bitcask_merge_done(*merge, diag);
    if (state == MERGE_DONE || state == MERGE_STOPPED) {
        bitcask_merge_free(*merge);
        *merge = NULL;
    }
    return state;
}

static void finish(struct bitcask_merge *merge)
{
    struct diag diag = {.text = ""};
    enum merge_state state;
    do {
        state = storebench_merge_step(&merge, &diag);
    } while (state == MERGE_MORE);
    if (state != MERGE_DONE)
        fail_msg("merge: %d, %s", (int)state, diag.text);
}

void storebench_merge_files(struct storebench *bench, const uint32_t *ids, size_t count)
{
    finish(store_merge_new(bench->stores.shards[0], ids, count));
}

void storebench_merge_all(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        size_t count = 0;
        uint32_t *ids = storebench_sealed(bench, i, &count);
        if (count > 0)
            finish(store_merge_new(bench->stores.shards[i], ids, count));
        mem_free(ids);
    }
}

void storebench_hint(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        struct bitcask_hint *hint;
        while ((hint = bitcask_hint_take(files_of(bench, i), true)) != NULL) {
            bitcask_hint_run(hint);
            assert_int_equal(bitcask_hint_done(files_of(bench, i), hint, NULL), 0);
        }
    }
}

void storebench_unlink(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        struct bitcask_unlink *unlink = bitcask_unlink_take(files_of(bench, i));
        if (unlink == NULL)
            continue;
        bitcask_unlink_run(unlink);
        assert_true(bitcask_unlink_done(files_of(bench, i), unlink) > 0);
    }
}

void storebench_seal(struct storebench *bench, bool is_live)
{
    static const uint8_t bytes[1000] = {'f'};
    uint64_t rotations = bitcask_stats(files_of(bench, 0)).rotations;
    char key[32] = "filler";
    for (int i = 0; bitcask_stats(files_of(bench, 0)).rotations == rotations; i++) {
        if (is_live)
            snprintf(key, sizeof(key), "filler:%llu:%d", (unsigned long long)bench->index, i);
        storebench_put(bench, 0, key, slice_of(bytes, sizeof(bytes)), 0);
    }
    storebench_write(bench);
}

/* ---- Live bytes ---- */

struct recount {
    const struct bitcask_sealed *sealed;
    size_t sealed_count;
    uint64_t *bytes; /* of each sealed file */
    uint64_t total;
};

static void count_row(void *ctx, const struct row *row)
{
    struct recount *recount = ctx;
    uint64_t bytes = record_put_size(row->key_size, row->value_size, row_expire_at_ms(row) != 0);
    uint32_t id = place_file_id(row_place(row));
    recount->total += bytes;
    for (size_t i = 0; i < recount->sealed_count; i++) {
        if (recount->sealed[i].id == id)
            recount->bytes[i] += bytes;
    }
}

static void recount_shard(const struct storebench *bench, uint32_t shard)
{
    const struct store *store = bench->stores.shards[shard];
    struct recount recount = {0};
    struct bitcask_sealed *sealed =
        bitcask_sealed_files(files_of(bench, shard), &recount.sealed_count);
    recount.sealed = sealed;
    recount.bytes = mem_calloc(recount.sealed_count, sizeof(*recount.bytes));
    for (uint32_t i = 0; i < store_database_count(store); i++) {
        uint64_t cursor = 0;
        do {
            cursor = keydir_scan(store_keydir(store, (uint16_t)i), cursor, count_row, &recount);
        } while (cursor != 0);
    }
    for (size_t i = 0; i < recount.sealed_count; i++) {
        if (sealed[i].live_bytes != recount.bytes[i])
            fail_msg("file %u: %llu bytes live, counted %llu", sealed[i].id,
                     (unsigned long long)recount.bytes[i],
                     (unsigned long long)sealed[i].live_bytes);
        assert_true(sealed[i].live_bytes <= sealed[i].bytes);
    }
    assert_true(bitcask_stats(files_of(bench, shard)).live_bytes == recount.total);
    mem_free(recount.bytes);
    mem_free(sealed);
}

void storebench_recount(struct storebench *bench)
{
    storebench_settle(bench);
    for (uint32_t i = 0; i < bench->stores.count; i++)
        recount_shard(bench, i);
}

void storebench_recover_again(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        char dir[64];
        struct store_options options =
            storebench_store_options(bench, i, storebench_dir(dir, sizeof(dir), i));
        struct diag diag = {.text = ""};
        struct store *fresh = NULL;
        if (store_recover_again(&options, &fresh, &diag) != 0)
            fail_msg("%s", diag.text);
        store_adopt(bench->stores.shards[i], fresh);
    }
}
