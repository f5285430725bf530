/* SPDX-License-Identifier: Apache-2.0 */
/* Merges of a store's files: nothing that is dead comes back, nothing that lives is lost, and what
 * is said to live is what does. */
#include "store/merge.h"

#include <stdio.h>

#include "base/mem.h"
#include "bitcask/upkeep.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/storebench.h"

#define FILE_LIMIT 16384

static const struct storebench_options one_shard = {.seed = 31, .max_file_size = FILE_LIMIT};

/* The bench as a start finds it after a power loss that kept what was synced. */
static struct storebench *reopened(const struct storebench *bench)
{
    struct diag diag = {.text = ""};
    struct storebench_options options = bench->options;
    options.seed += 1;
    struct simdisk *image = simdisk_image_synced(bench->disk, simdisk_steps(bench->disk));
    struct storebench *again = storebench_open(&options, image, &diag);
    if (again == NULL)
        fail_msg("%s", diag.text);
    return again;
}

static void checkpoint(struct storebench *bench)
{
    assert_int_equal(storebench_checkpoint(bench), 0);
    storebench_unlink(bench);
}

static void expect_after_restart(const struct storebench *bench, const char *key, const char *want)
{
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, key, want);
    storebench_recount(again);
    storebench_free(again);
}

static void flush(struct storebench *bench, uint16_t db)
{
    storebench_begin(bench, TX_APPLY);
    tx_flush(bench->tx, db);
    storebench_commit(bench);
}

static uint32_t current_file(const struct storebench *bench)
{
    return bitcask_next_id(store_bitcask(bench->stores.shards[0])) - 1;
}

/* ---- What lies in the files ---- */

struct census {
    uint64_t counts[RECORD_PAD + 1]; /* by kind */
    struct slice key;                /* only of this one; none: of all */
};

static int count_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    struct census *census = ctx;
    (void)file_id;
    (void)off;
    if (census->key.len == 0 || slice_eq(census->key, record->key))
        census->counts[record->kind]++;
    return 0;
}

/* How many records of the kind the manifest names, with this key or ("") any. */
static uint64_t count_records(struct storebench *bench, enum record_kind kind, const char *key)
{
    char dir[64];
    struct store_options options =
        storebench_store_options(bench, 0, storebench_dir(dir, sizeof(dir), 0));
    const struct bitcask_options of_files = {.os = options.os,
                                             .epoch = options.epoch,
                                             .dir = dir,
                                             .max_file_size = options.max_file_size,
                                             .next_id = options.next_file_id,
                                             .named = options.named,
                                             .named_count = options.named_count};
    struct census census = {.key = slice_str(key)};
    struct diag diag = {.text = ""};
    if (bitcask_scan(&of_files, count_record, &census, &diag) != 0)
        fail_msg("%s", diag.text);
    return census.counts[kind];
}

/* ---- R8 ---- */

/* Puts the end of "k" into a file of its own, behind the file with the put. */
struct buried {
    struct storebench *bench;
    uint32_t put_file;
    uint32_t end_file;
};

static struct buried bury(void (*end)(struct storebench *bench))
{
    struct buried buried = {.bench = storebench_new(&one_shard)};
    storebench_put(buried.bench, 1, "other", SLICE_LIT("v"), 0);
    buried.put_file = current_file(buried.bench);
    storebench_put(buried.bench, 0, "k", SLICE_LIT("old"), 0);
    storebench_seal(buried.bench, true);
    buried.end_file = current_file(buried.bench);
    assert_int_equal(buried.end_file, buried.put_file + 1);
    end(buried.bench);
    storebench_seal(buried.bench, true);
    checkpoint(buried.bench);
    return buried;
}

/* As long as the put may be read by a start, so must its end; then neither is. */
static void expect_end_is_kept_as_long_as_needed(struct buried buried, enum record_kind kind,
                                                 const char *key)
{
    struct storebench *bench = buried.bench;
    assert_int_equal(count_records(bench, kind, key), 1);
    uint32_t copy = current_file(bench) + 1;
    storebench_merge_files(bench, &buried.end_file, 1);
    checkpoint(bench);
    assert_int_equal(count_records(bench, kind, key), 1);
    expect_after_restart(bench, "k", NULL);
    storebench_recount(bench);
    /* Together with the put: what the end was for goes, and the end is needed no more. */
    struct storebench *together = reopened(bench);
    storebench_seal(together, true); /* the copy may have become current */
    storebench_merge_all(together);
    checkpoint(together);
    assert_int_equal(count_records(together, kind, key), 0);
    assert_int_equal(count_records(together, RECORD_PUT, "k"), 0);
    expect_after_restart(together, "k", NULL);
    storebench_free(together);
    /* One by one: first the put, whose end is elsewhere. */
    storebench_merge_files(bench, &buried.put_file, 1);
    checkpoint(bench);
    assert_int_equal(count_records(bench, RECORD_PUT, "k"), kind == RECORD_PUT);
    storebench_merge_files(bench, &copy, 1);
    checkpoint(bench);
    assert_int_equal(count_records(bench, kind, key), 1); /* the copy of "other" is as old */
    storebench_seal(bench, true);
    storebench_merge_all(bench);
    checkpoint(bench);
    assert_int_equal(count_records(bench, kind, key), 0);
    expect_after_restart(bench, "k", NULL);
    storebench_recount(bench);
    storebench_free(bench);
}

static void del_k(struct storebench *bench)
{
    storebench_del(bench, 0, "k");
}

static void expire_k(struct storebench *bench)
{
    storebench_put(bench, 0, "k", SLICE_LIT("for a while"), bench->now_ms + 10);
    storebench_advance(bench, 2000);
    storebench_settle(bench);
}

static void flush_k(struct storebench *bench)
{
    flush(bench, 0);
}

static void r8_a_tombstone_is_kept_while_something_older_lies_outside(void **state)
{
    (void)state;
    expect_end_is_kept_as_long_as_needed(bury(del_k), RECORD_TOMBSTONE, "k");
}

static void r8_an_expired_record_is_kept_while_something_older_lies_outside(void **state)
{
    (void)state;
    struct buried buried = bury(expire_k);
    assert_int_equal(count_records(buried.bench, RECORD_PUT, "k"), 2);
    /* The first merge of the two: of the expired one alone. */
    storebench_merge_files(buried.bench, &buried.end_file, 1);
    checkpoint(buried.bench);
    /* That it has ended is all that is still needed of it. */
    assert_int_equal(count_records(buried.bench, RECORD_PUT, "k"), 1);
    assert_int_equal(count_records(buried.bench, RECORD_TOMBSTONE, "k"), 1);
    expect_after_restart(buried.bench, "k", NULL);
    storebench_merge_files(buried.bench, &buried.put_file, 1);
    checkpoint(buried.bench);
    assert_int_equal(count_records(buried.bench, RECORD_PUT, "k"), 0);
    assert_int_equal(count_records(buried.bench, RECORD_TOMBSTONE, "k"), 1);
    expect_after_restart(buried.bench, "k", NULL);
    storebench_seal(buried.bench, true);
    storebench_merge_all(buried.bench);
    checkpoint(buried.bench);
    assert_int_equal(count_records(buried.bench, RECORD_PUT, "k"), 0);
    assert_int_equal(count_records(buried.bench, RECORD_TOMBSTONE, "k"), 0);
    expect_after_restart(buried.bench, "k", NULL);
    storebench_recount(buried.bench);
    storebench_free(buried.bench);
}

static void r8_a_flush_is_kept_while_something_older_lies_outside(void **state)
{
    (void)state;
    expect_end_is_kept_as_long_as_needed(bury(flush_k), RECORD_FLUSH, "");
}

/* Index and not position is compared: the put may be of the same entry, in an earlier command. */
static void r8_something_of_the_same_entry_outside_is_old_enough(void **state)
{
    (void)state;
    static const uint8_t large[FILE_LIMIT - 4096 - 200] = {1};
    struct storebench *bench = storebench_new(&one_shard);
    storebench_put(bench, 0, "k", SLICE_LIT("old"), 0);
    storebench_seal(bench, false);
    uint32_t end_file = current_file(bench);
    storebench_begin(bench, TX_APPLY);
    tx_del(bench->tx, 0, SLICE_LIT("k"));
    tx_put(bench->tx, 0, SLICE_LIT("large"),
           &(struct tx_value){.type = VALUE_STRING, .bytes = slice_of(large, sizeof(large))});
    storebench_commit(bench);
    storebench_write(bench);
    assert_int_equal(current_file(bench), end_file + 1);
    storebench_merge_all(bench);
    checkpoint(bench);
    assert_int_equal(count_records(bench, RECORD_TOMBSTONE, "k"), 1);
    assert_int_equal(count_records(bench, RECORD_PUT, "k"), 0);
    storebench_free(bench);
}

/* Merge 1 drops the put, whose file is still there; merge 2 the tombstone. Whenever the power goes,
 * no manifest names the one without the other. */
static void r8_no_crash_brings_a_key_back_between_two_merges(void **state)
{
    (void)state;
    struct buried buried = bury(del_k);
    struct storebench *bench = buried.bench;
    struct random random = {random_seed()};
    uint64_t begin = simdisk_steps(bench->disk);
    storebench_merge_files(bench, &buried.put_file, 1);
    storebench_merge_files(bench, &buried.end_file, 1);
    checkpoint(bench);
    for (uint64_t at = begin; at <= simdisk_steps(bench->disk); at++) {
        for (int i = 0; i < 4; i++) {
            struct diag diag = {.text = ""};
            struct simdisk *image = i == 0 ? simdisk_image_all(bench->disk, at)
                                           : simdisk_image(bench->disk, at, random_next(&random));
            struct storebench *again = storebench_open(&one_shard, image, &diag);
            if (again == NULL)
                fail_msg("step %llu: %s", (unsigned long long)at, diag.text);
            storebench_expect(again, 0, "k", NULL);
            storebench_expect(again, 1, "other", "v");
            storebench_free(again);
        }
    }
    storebench_free(bench);
}

/* ---- R18: the key changes between the judgement and the move ---- */

/* A bench with k in a file under merge, judged live and not yet moved. */
static struct storebench *bench_in_mid_merge(struct bitcask_merge **out_merge)
{
    struct storebench *bench = storebench_new(&one_shard);
    storebench_put(bench, 0, "k", SLICE_LIT("old"), bench->now_ms + 5000);
    storebench_put(bench, 0, "still", SLICE_LIT("here"), 0);
    storebench_seal(bench, true);
    checkpoint(bench);
    size_t count = 0;
    uint32_t *ids = storebench_sealed(bench, 0, &count);
    assert_int_equal(count, 1);
    *out_merge = store_merge_new(bench->stores.shards[0], ids, count);
    mem_free(ids);
    struct diag diag = {.text = ""};
    assert_int_equal(storebench_merge_step(out_merge, &diag), MERGE_MORE);
    return bench;
}

static void r18_a_change_during_a_merge(void (*change)(struct storebench *bench), const char *want)
{
    struct bitcask_merge *merge;
    struct storebench *bench = bench_in_mid_merge(&merge);
    change(bench);
    struct diag diag = {.text = ""};
    enum merge_state merge_state;
    do {
        storebench_expect(bench, 0, "k", want);
        merge_state = storebench_merge_step(&merge, &diag);
    } while (merge_state == MERGE_MORE);
    assert_int_equal(merge_state, MERGE_DONE);
    storebench_write(bench);
    storebench_expect(bench, 0, "k", want);
    storebench_recount(bench);
    uint64_t digest = storebench_digest(bench);
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    again->now_ms = again->manifest.state_ms;
    storebench_expect(again, 0, "k", want);
    assert_true(storebench_digest(again) == digest);
    storebench_recount(again);
    storebench_free(again);
    storebench_free(bench);
}

static void leave_k(struct storebench *bench)
{
    storebench_write(bench);
}

static void overwrite_k(struct storebench *bench)
{
    storebench_put(bench, 0, "k", SLICE_LIT("new"), 0);
}

static void replace_k(struct storebench *bench)
{
    storebench_del(bench, 0, "k");
    storebench_put(bench, 0, "k", SLICE_LIT("new"), 0);
    storebench_write(bench);
}

static void let_k_expire(struct storebench *bench)
{
    storebench_advance(bench, 7000);
    storebench_settle(bench);
}

static void swap_k(struct storebench *bench)
{
    storebench_begin(bench, TX_APPLY);
    tx_swap(bench->tx, 0, 1);
    storebench_commit(bench);
}

static void swap_k_twice(struct storebench *bench)
{
    swap_k(bench);
    swap_k(bench);
}

/* The row is replaced, but it is the same record: warm, with its value. */
static void warm_k(struct storebench *bench)
{
    store_set_hot_max_value(bench->stores.shards[0], 100);
    struct item item;
    storebench_begin(bench, TX_READ);
    assert_int_equal(tx_get(bench->tx, 0, SLICE_LIT("k"), &item), 0);
    struct store_warmth warmth = {.key = SLICE_LIT("k"),
                                  .value = SLICE_LIT("old"),
                                  .version = item.version,
                                  .place = row_place(item.row),
                                  .now_ms = bench->now_ms};
    tx_reset(bench->tx);
    store_warm(bench->stores.shards[0], &warmth);
    store_set_hot_max_value(bench->stores.shards[0], 0);
}

static void r18_a_key_that_changes_during_a_merge_is_left_alone(void **state)
{
    (void)state;
    r18_a_change_during_a_merge(leave_k, "old");
    r18_a_change_during_a_merge(overwrite_k, "new");
    r18_a_change_during_a_merge(replace_k, "new");
    r18_a_change_during_a_merge(del_k, NULL);
    r18_a_change_during_a_merge(flush_k, NULL);
    r18_a_change_during_a_merge(let_k_expire, NULL);
    r18_a_change_during_a_merge(swap_k, NULL);
    r18_a_change_during_a_merge(swap_k_twice, "old");
    r18_a_change_during_a_merge(warm_k, "old");
}

/* A value that is to be made cold is found where it lies by then, or has been made so before. */
static void values_that_wait_to_become_cold_may_be_moved(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&one_shard);
    struct bitcask *bc = store_bitcask(bench->stores.shards[0]);
    static const uint8_t value[300] = {7};
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, 0, key, slice_of(value, sizeof(value)), 0);
    }
    struct diag diag = {.text = ""};
    struct bitcask_write *write = bitcask_write_take(bc);
    bitcask_write_run(write);
    assert_int_equal(bitcask_write_done(bc, write, &diag), 0);
    /* Not a step of the store: all is still waiting. */
    assert_int_equal(store_stats(bench->stores.shards[0]).cold_rows, 0);
    storebench_merge_all(bench);
    storebench_merge_all(bench);
    storebench_settle(bench);
    assert_int_equal(store_stats(bench->stores.shards[0]).cold_rows, 100);
    storebench_recount(bench);
    storebench_free(bench);
}

/* ---- R4 ---- */

static void append(struct storebench *bench, const char *value, uint64_t index, uint32_t revision)
{
    uint32_t file_id;
    uint64_t off;
    bitcask_append(store_bitcask(bench->stores.shards[0]),
                   &(struct record){.kind = RECORD_PUT,
                                    .type = VALUE_STRING,
                                    .position = position_of(index, 0).word,
                                    .revision = revision,
                                    .key = SLICE_LIT("k"),
                                    .value = slice_str(value)},
                   &file_id, &off);
}

/* A local rewrite has the same position; which of the two stays is not decided by the files' ids,
 * before a merge or behind it. */
static void r4_copies_keep_position_and_revision(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&one_shard);
    append(bench, "revised", 9, 1);
    bench->index = 20;
    storebench_seal(bench, true);
    append(bench, "as written", 9, 0);
    append(bench, "older", 8, 7);
    bench->index += 20;
    storebench_seal(bench, true);
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "k", "revised");
    uint32_t first = 1;
    storebench_merge_files(again, &first, 1); /* to a file with a greater id */
    checkpoint(again);
    expect_after_restart(again, "k", "revised");
    assert_int_equal(count_records(again, RECORD_PUT, "k"), 3);
    storebench_merge_all(again);
    checkpoint(again);
    assert_int_equal(count_records(again, RECORD_PUT, "k"), 1);
    expect_after_restart(again, "k", "revised");
    storebench_free(again);
    storebench_free(bench);
}

/* ---- Damage ---- */

static void a_corrupt_record_is_never_lost_silently(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&one_shard);
    storebench_put(bench, 0, "before", SLICE_LIT("1"), 0);
    struct item item;
    storebench_put(bench, 0, "bad", SLICE_LIT("2"), 0);
    storebench_put(bench, 0, "behind", SLICE_LIT("3"), 0);
    storebench_seal(bench, true);
    checkpoint(bench);
    storebench_hint(bench);
    storebench_begin(bench, TX_READ);
    assert_int_equal(tx_get(bench->tx, 0, SLICE_LIT("bad"), &item), 0);
    uint32_t off = place_off(row_place(item.row));
    tx_reset(bench->tx);
    assert_true(simdisk_corrupt(bench->disk, BENCH_DIR "/shard_0/00001.log", off + 33, 2));
    size_t count = 0;
    uint32_t *ids = storebench_sealed(bench, 0, &count);
    struct bitcask_merge *merge = store_merge_new(bench->stores.shards[0], ids, count);
    mem_free(ids);
    struct diag diag = {.text = ""};
    enum merge_state merge_state;
    do {
        merge_state = storebench_merge_step(&merge, &diag);
    } while (merge_state == MERGE_MORE);
    assert_int_equal(merge_state, MERGE_STOPPED);
    assert_non_null(strstr(diag.text, "00001.log: the record at offset"));
    storebench_expect(bench, 0, "before", "1");
    storebench_expect(bench, 0, "behind", "3");
    storebench_recount(bench);
    checkpoint(bench);
    /* The next start meets it by the hint only; the file is still named, and judged when read. */
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "before", "1");
    storebench_expect(again, 0, "behind", "3");
    storebench_recount(again);
    storebench_free(again);
    storebench_free(bench);
}

/* ---- Recovery in the running process ---- */

/* Databases that were dropped and not yet freed are not counted twice. */
static void a_recovery_beside_the_open_store_counts_anew(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&one_shard);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 60; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%d", i);
            storebench_put(bench, (uint16_t)(i % 3), key, slice_str("some value"), 0);
        }
        storebench_write(bench);
        flush(bench, 1);
        if (round == 1) { /* unreachable already, and half freed */
            epoch_quiescent(bench->reader);
            store_step(bench->stores.shards[0], 3);
        }
        checkpoint(bench);
        uint64_t digest = storebench_digest(bench);
        storebench_recover_again(bench);
        assert_true(storebench_digest(bench) == digest);
        storebench_recount(bench);
        storebench_seal(bench, true);
        storebench_merge_all(bench);
        storebench_recount(bench);
    }
    storebench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r8_a_tombstone_is_kept_while_something_older_lies_outside),
        cmocka_unit_test(r8_an_expired_record_is_kept_while_something_older_lies_outside),
        cmocka_unit_test(r8_a_flush_is_kept_while_something_older_lies_outside),
        cmocka_unit_test(r8_something_of_the_same_entry_outside_is_old_enough),
        cmocka_unit_test(r8_no_crash_brings_a_key_back_between_two_merges),
        cmocka_unit_test(r18_a_key_that_changes_during_a_merge_is_left_alone),
        cmocka_unit_test(values_that_wait_to_become_cold_may_be_moved),
        cmocka_unit_test(r4_copies_keep_position_and_revision),
        cmocka_unit_test(a_corrupt_record_is_never_lost_silently),
        cmocka_unit_test(a_recovery_beside_the_open_store_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
