/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/storebench.h"

#define KEYS 40

static const struct storebench_options two_shards = {.seed = 21, .shard_count = 2};

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
}

static void flush(struct storebench *bench, uint16_t db)
{
    storebench_begin(bench, TX_APPLY);
    tx_flush(bench->tx, db);
    storebench_commit(bench);
}

/* ---- Single rules ---- */

static void the_newest_of_each_key_wins(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&two_shards);
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    storebench_put(bench, 0, "a", SLICE_LIT("2"), 0);
    storebench_put(bench, 1, "a", SLICE_LIT("3"), 0);
    storebench_put(bench, 0, "b", SLICE_LIT("4"), 0);
    storebench_del(bench, 0, "b");
    storebench_put(bench, 0, "c", SLICE_LIT("5"), 0);
    storebench_del(bench, 0, "c");
    storebench_put(bench, 0, "c", SLICE_LIT(""), 0);
    checkpoint(bench);
    storebench_put(bench, 0, "a", SLICE_LIT("behind the checkpoint"), 0);
    storebench_write(bench);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "a", "2");
    storebench_expect(again, 1, "a", "3");
    storebench_expect(again, 0, "b", NULL);
    storebench_expect(again, 0, "c", "");
    assert_int_equal(storebench_row_count(again), 3);
    assert_int_equal(again->index, 8);
    storebench_free(again);
    storebench_free(bench);
}

static void a_flush_ends_what_came_before(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&two_shards);
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    storebench_put(bench, 1, "a", SLICE_LIT("2"), 0);
    storebench_put(bench, 0, "b", SLICE_LIT("3"), 0);
    flush(bench, 0);
    storebench_put(bench, 0, "b", SLICE_LIT("4"), 0);
    /* One command that flushes and sets. */
    storebench_put(bench, 2, "c", SLICE_LIT("5"), 0);
    storebench_begin(bench, TX_APPLY);
    tx_put(bench->tx, 2, SLICE_LIT("d"),
           &(struct tx_value){.type = VALUE_STRING, .bytes = SLICE_LIT("6")});
    tx_flush(bench->tx, 2);
    tx_put(bench->tx, 2, SLICE_LIT("e"),
           &(struct tx_value){.type = VALUE_STRING, .bytes = SLICE_LIT("7")});
    storebench_commit(bench);
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "a", NULL);
    storebench_expect(again, 1, "a", "2");
    storebench_expect(again, 0, "b", "4");
    storebench_expect(again, 2, "c", NULL);
    storebench_expect(again, 2, "d", NULL);
    storebench_expect(again, 2, "e", "7");
    assert_int_equal(storebench_row_count(again), 3);
    assert_int_equal(storebench_digest(again), storebench_digest(bench));
    storebench_free(again);
    storebench_free(bench);
}

/* Expired is what has expired by the state's clock, not by the machine's: an entry behind the
 * checkpoint may have found it alive (R15). */
static void keys_are_judged_by_the_state_clock(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&two_shards);
    storebench_put(bench, 0, "gone", SLICE_LIT("1"), bench->now_ms + 50);
    storebench_put(bench, 0, "alive", SLICE_LIT("2"), bench->now_ms + 101);
    storebench_advance(bench, 100);
    checkpoint(bench);
    storebench_tick(bench, 1000);
    struct storebench *again = reopened(bench);
    assert_int_equal(again->now_ms, BENCH_START_MS + 100);
    storebench_expect(again, 0, "gone", NULL);
    storebench_expect(again, 0, "alive", "2");
    assert_int_equal(storebench_row_count(again), 1);
    /* Hints have been set for what is left. */
    storebench_advance(again, 2000);
    storebench_settle(again);
    assert_int_equal(storebench_row_count(again), 0);
    storebench_free(again);
    storebench_free(bench);
}

/* An expired record still beats what it had replaced (R8). */
static void what_had_been_replaced_stays_away(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&two_shards);
    storebench_put(bench, 0, "k", SLICE_LIT("for ever"), 0);
    storebench_put(bench, 0, "k", SLICE_LIT("for a while"), bench->now_ms + 10);
    storebench_advance(bench, 2000);
    storebench_settle(bench);
    assert_int_equal(storebench_row_count(bench), 0);
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "k", NULL);
    assert_int_equal(storebench_row_count(again), 0);
    storebench_free(again);
    storebench_free(bench);
}

/* ---- Records that no transaction wrote ---- */

static void append(struct storebench *bench, const struct record *record)
{
    uint32_t file_id;
    uint64_t off;
    bitcask_append(store_bitcask(bench->stores.shards[0]), record, &file_id, &off);
}

static struct record record_of(const char *key, const char *value, uint64_t index,
                               uint32_t revision)
{
    return (struct record){.kind = RECORD_PUT,
                           .type = VALUE_STRING,
                           .position = position_of(index, 0).word,
                           .revision = revision,
                           .key = slice_str(key),
                           .value = slice_str(value)};
}

/* Order is position, then revision; where in which file a record lies says nothing (R4). */
static void order_is_not_file_order(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 22});
    const struct record records[] = {
        record_of("a", "newest", 9, 0),     record_of("a", "older", 8, 5),
        record_of("a", "oldest", 7, 0),     record_of("b", "revised", 9, 2),
        record_of("b", "as written", 9, 0), record_of("b", "revised once", 9, 1),
        record_of("c", "as written", 9, 0), record_of("c", "revised", 9, 1),
    };
    for (size_t i = 0; i < ARRAY_COUNT(records); i++)
        append(bench, &records[i]);
    struct record tombstone = {
        .kind = RECORD_TOMBSTONE, .position = position_of(10, 0).word, .key = SLICE_LIT("d")};
    append(bench, &tombstone);
    struct record older = record_of("d", "deleted", 6, 9);
    append(bench, &older);
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "a", "newest");
    storebench_expect(again, 0, "b", "revised");
    storebench_expect(again, 0, "c", "revised");
    storebench_expect(again, 0, "d", NULL);
    storebench_free(again);
    storebench_free(bench);
}

static void expect_refused(const struct record *record, const char *why)
{
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 23});
    struct record good = record_of("good", "v", 1, 0);
    append(bench, &good);
    append(bench, record);
    checkpoint(bench);
    struct diag diag = {.text = ""};
    struct simdisk *image = simdisk_image_all(bench->disk, simdisk_steps(bench->disk));
    assert_null(storebench_open(&bench->options, image, &diag));
    assert_non_null(strstr(diag.text, why));
    assert_non_null(strstr(diag.text, "offset"));
    storebench_free(bench);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct record record = record_of("k", "v", 2, 0);
    record.db_id = 4;
    expect_refused(&record, "database id 4");
    record = record_of("k", "v", 2, 0);
    record.type = VALUE_STREAM + 1;
    expect_refused(&record, "type 7");
    record.type = VALUE_NONE;
    expect_refused(&record, "type 0");
}

static void rot_is_refused(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 24});
    storebench_put(bench, 0, "a", SLICE_LIT("value"), 0);
    checkpoint(bench);
    assert_true(simdisk_corrupt(bench->disk, BENCH_DIR "/shard_0/00001.log", 4096 + 30, 1));
    struct diag diag = {.text = ""};
    struct simdisk *image = simdisk_image_all(bench->disk, simdisk_steps(bench->disk));
    assert_null(storebench_open(&bench->options, image, &diag));
    assert_non_null(strstr(diag.text, "00001.log"));
    storebench_free(bench);
}

/* Records carry an id, not the number by which clients select (R35). */
static void databases_go_by_their_ids(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 25});
    storebench_put(bench, 0, "k", SLICE_LIT("zero"), 0);
    storebench_put(bench, 1, "k", SLICE_LIT("one"), 0);
    storebench_put(bench, 3, "k", SLICE_LIT("three"), 0);
    storebench_begin(bench, TX_APPLY);
    tx_swap(bench->tx, 0, 1);
    storebench_commit(bench);
    checkpoint(bench);
    assert_int_equal(bench->manifest.database_ids[0], 1);
    assert_int_equal(bench->manifest.database_ids[1], 0);
    struct storebench *again = reopened(bench);
    storebench_expect(again, 0, "k", "one");
    storebench_expect(again, 1, "k", "zero");
    storebench_expect(again, 2, "k", NULL);
    storebench_expect(again, 3, "k", "three");
    storebench_free(again);
    storebench_free(bench);
}

static void all_values_are_cold_after_a_start(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&two_shards);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, 0, key, slice_str(key), i % 2 == 0 ? bench->now_ms + 1000000 : 0);
    }
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    storebench_settle(again);
    uint64_t cold = 0;
    uint64_t expires = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct store_stats stats = store_stats(again->stores.shards[i]);
        cold += stats.cold_rows;
        expires += stats.expires;
        assert_int_equal(stats.retired_bytes, 0);
    }
    assert_int_equal(cold, 50);
    assert_int_equal(expires, 25);
    storebench_expect(again, 0, "k7", "k7");
    /* And what is overwritten or removed is cold no more. */
    storebench_put(again, 0, "k1", SLICE_LIT("hot"), 0);
    storebench_del(again, 0, "k2");
    flush(again, 0);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(store_stats(again->stores.shards[i]).cold_rows, 0);
    storebench_free(again);
    storebench_free(bench);
}

/* ---- Memory ---- */

struct row *__real_row_new(const struct row_desc *desc);
struct row *__wrap_row_new(const struct row_desc *desc);
void __real_row_free(struct row *row);
void __wrap_row_free(struct row *row);

static struct {
    size_t now;
    size_t peak;
} rows;

struct row *__wrap_row_new(const struct row_desc *desc)
{
    rows.now++;
    if (rows.now > rows.peak)
        rows.peak = rows.now;
    return __real_row_new(desc);
}

void __wrap_row_free(struct row *row)
{
    rows.now -= row != NULL;
    __real_row_free(row);
}

static size_t peak_of_start(const struct storebench *bench, struct storebench **out_again)
{
    size_t before = rows.now;
    rows.peak = before;
    *out_again = reopened(bench);
    return rows.peak - before;
}

/* Loops are made, and count as online, before the files are read; they must not hold back what is
 * replaced meanwhile. */
static void what_is_replaced_is_freed_while_files_are_read(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 26});
    for (int i = 0; i < 20000; i++)
        storebench_put(bench, 0, "k", SLICE_LIT("v"), 0);
    checkpoint(bench);
    struct storebench *again;
    assert_true(peak_of_start(bench, &again) < 4000);
    storebench_expect(again, 0, "k", "v");
    storebench_free(again);
    storebench_free(bench);
}

static void name_key(char key[16], int i)
{
    snprintf(key, 16, "k%d", i);
}

/* Keys that come and go, by removal, expiry and flush, and some that stay. */
static void dead_keys_do_not_pile_up(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 27});
    char key[16];
    for (int i = 0; i < 60000; i++) {
        name_key(key, i);
        storebench_put(bench, i % 4 == 1, key, SLICE_LIT("v"), i % 4 == 2 ? bench->now_ms + 5 : 0);
        if (i % 4 == 3 || (i % 4 == 0 && i % 20 != 0))
            storebench_del(bench, 0, key);
        if (i % 1000 == 999) {
            storebench_advance(bench, 10);
            flush(bench, 1);
            storebench_write(bench);
        }
    }
    storebench_advance(bench, 2000);
    checkpoint(bench);
    struct storebench *again;
    assert_true(peak_of_start(bench, &again) < 15000);
    assert_int_equal(storebench_row_count(again), 3000);
    assert_int_equal(storebench_digest(again), storebench_digest(bench));
    storebench_free(again);
    storebench_free(bench);
}

/* What has ended stays as long as an unread file may hold something older: merged files may come in
 * any order. */
static void expect_dead_beat(uint64_t older_index)
{
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 28});
    char key[16];
    for (int i = 0; i < 20000; i++) {
        name_key(key, i % 10000);
        struct record tombstone = {
            .kind = RECORD_TOMBSTONE, .position = position_of(100, 1).word, .key = slice_str(key)};
        struct record older = record_of(key, "v", older_index, 0);
        append(bench, i < 10000 ? &tombstone : &older);
        if (i % 1000 == 0)
            storebench_write(bench);
    }
    checkpoint(bench);
    struct storebench *again = reopened(bench);
    assert_int_equal(storebench_row_count(again), 0);
    storebench_free(again);
    storebench_free(bench);
}

static void the_dead_beat_what_lies_in_later_files(void **state)
{
    (void)state;
    expect_dead_beat(99);
    expect_dead_beat(100); /* the command before, of the same entry */
}

/* ---- Any moment ---- */

struct history {
    struct storebench *bench;
    struct random random;
    uint64_t digests[64]; /* by checkpoint number */
};

static void change_something(struct history *history)
{
    struct storebench *bench = history->bench;
    struct random *random = &history->random;
    char key[16];
    uint8_t value[3000];
    snprintf(key, sizeof(key), "k%u", (unsigned)random_below(random, KEYS));
    uint16_t db = (uint16_t)random_below(random, 3);
    uint64_t kind = random_below(random, 40);
    memset(value, (int)random_below(random, 256), sizeof(value));
    size_t size = random_below(random, random_below(random, 8) == 0 ? sizeof(value) : 40);
    if (kind == 0)
        flush(bench, db);
    else if (kind < 8)
        storebench_del(bench, db, key);
    else
        storebench_put(bench, db, key, slice_of(value, size),
                       random_below(random, 3) == 0 ? bench->now_ms + random_below(random, 3000)
                                                    : 0);
    storebench_advance(bench, random_below(random, 50));
    if (random_below(random, 10) == 0)
        storebench_write(bench);
}

static void run_history(struct history *history, int changes)
{
    struct storebench *bench = history->bench;
    history->digests[0] = storebench_digest(bench);
    for (int i = 0; i < changes; i++) {
        change_something(history);
        if (i % 60 == 59) {
            checkpoint(bench);
            assert_true(bench->manifest.checkpoint_number < ARRAY_COUNT(history->digests));
            history->digests[bench->manifest.checkpoint_number] = storebench_digest(bench);
        }
    }
}

/* Wherever the power goes, the start finds one of the checkpoints, whole. */
static void every_power_loss_finds_a_checkpoint(void **state)
{
    (void)state;
    struct history history = {.random = {random_seed()}};
    struct storebench_options options = {.seed = history.random.state,
                                         .shard_count = 2,
                                         .database_count = 3,
                                         .max_file_size = 16384};
    history.bench = storebench_new(&options);
    uint64_t first = simdisk_steps(history.bench->disk);
    run_history(&history, 1500);
    uint64_t last = simdisk_steps(history.bench->disk);
    uint64_t step = (last - first) / 300 + 1;
    uint64_t newest = 0;
    for (uint64_t at = first; at <= last; at += 1 + random_below(&history.random, 2 * step - 1)) {
        struct simdisk *image =
            simdisk_image(history.bench->disk, at, random_next(&history.random));
        struct diag diag = {.text = ""};
        struct storebench *again = storebench_open(&options, image, &diag);
        if (again == NULL)
            fail_msg("step %llu: %s", (unsigned long long)at, diag.text);
        uint64_t number = again->manifest.checkpoint_number;
        assert_true(number >= newest);
        newest = number;
        /* By its own clock: what has expired since is none of its business. */
        again->now_ms = again->manifest.state_ms;
        assert_int_equal(storebench_digest(again), history.digests[number]);
        storebench_free(again);
    }
    assert_true(newest > 20);
    storebench_free(history.bench);
}

/* ---- Faults ---- */

/* Each operation of a start fails once: the start is refused, says why, and spoils nothing. */
static void a_start_that_fails_can_be_tried_again(void **state)
{
    (void)state;
    struct history history = {.random = {99}};
    struct storebench_options options = {.seed = 26, .database_count = 3, .max_file_size = 16384};
    history.bench = storebench_new(&options);
    run_history(&history, 240);
    change_something(&history);
    storebench_write(history.bench);
    uint64_t digest = history.digests[4];
    for (uint64_t nth = 1;; nth++) {
        struct simdisk *image =
            simdisk_image_all(history.bench->disk, simdisk_steps(history.bench->disk));
        struct diag diag = {.text = ""};
        simdisk_fail_nth(image, SIM_ANY, NULL, nth, -EIO);
        struct storebench *again = storebench_open(&options, image, &diag);
        bool is_through = again != NULL && !simdisk_fault_fired(image);
        if (again == NULL)
            assert_true(diag.text[0] != '\0');
        storebench_free(again);
        if (is_through) {
            assert_true(nth > 8);
            break;
        }
    }
    struct storebench *again = reopened(history.bench);
    again->now_ms = again->manifest.state_ms;
    assert_int_equal(storebench_digest(again), digest);
    storebench_free(again);
    storebench_free(history.bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_each_key_wins),
        cmocka_unit_test(a_flush_ends_what_came_before),
        cmocka_unit_test(keys_are_judged_by_the_state_clock),
        cmocka_unit_test(what_had_been_replaced_stays_away),
        cmocka_unit_test(order_is_not_file_order),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(rot_is_refused),
        cmocka_unit_test(databases_go_by_their_ids),
        cmocka_unit_test(all_values_are_cold_after_a_start),
        cmocka_unit_test(what_is_replaced_is_freed_while_files_are_read),
        cmocka_unit_test(dead_keys_do_not_pile_up),
        cmocka_unit_test(the_dead_beat_what_lies_in_later_files),
        cmocka_unit_test(every_power_loss_finds_a_checkpoint),
        cmocka_unit_test(a_start_that_fails_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
