/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tx.h"

#include <stdio.h>

#include "base/mem.h"
#include "store/store_internal.h"
#include "support/cmocka.h"
#include "support/storebench.h"

/* ---- Use ---- */

static uint8_t counter_after_reads(struct storebench *bench, unsigned reads)
{
    storebench_begin(bench, TX_READ);
    for (unsigned i = 0; i < reads; i++)
        storebench_item(bench->tx, 0, "k");
    const struct row *row = storebench_item(bench->tx, 0, "k").row;
    uint8_t counter = atomic_load(&row->lfu) & 255;
    tx_reset(bench->tx);
    return counter;
}

/* Reads are counted as the store's options say: with a factor of 0 every one that is looked at. */
static void use_is_counted_by_the_options(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    storebench_put(bench, 0, "k", SLICE_LIT("1"), 0);
    bench->stores.shards[0]->lfu = (struct lfu_options){.log_factor = 0, .decay_time = 0};
    assert_int_equal(counter_after_reads(bench, 5000), LFU_INITIAL + 50);
    bench->stores.shards[0]->lfu.log_factor = 1u << 31;
    assert_in_range(counter_after_reads(bench, 5000), LFU_INITIAL + 50, LFU_INITIAL + 51);
    bench->stores.shards[0]->lfu.decay_time = 1;
    bench->now_ms += 20 * 60000;
    assert_in_range(counter_after_reads(bench, 100), LFU_INITIAL + 30, LFU_INITIAL + 32);
    storebench_free(bench);
}

/* ---- Changes ---- */

static void changes_are_seen_by_themselves_only(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(3);
    struct tx *other = tx_new(&bench->stores);
    storebench_put(bench, 0, "old", SLICE_LIT("1"), 0);
    storebench_begin(bench, TX_APPLY);
    storebench_tx_put(bench->tx, 0, "new", "2");
    storebench_tx_put(bench->tx, 0, "old", "3");
    storebench_tx_put(bench->tx, 1, "old", "4");
    tx_del(bench->tx, 0, SLICE_LIT("none"));
    storebench_tx_expect(bench->tx, 0, "new", "2");
    storebench_tx_expect(bench->tx, 0, "old", "3");
    storebench_tx_expect(bench->tx, 1, "old", "4");
    assert_int_equal(tx_count(bench->tx, 0), 2);
    tx_begin(other, &(struct tx_begin){.mode = TX_INLINE, .now_ms = bench->now_ms});
    storebench_tx_expect(other, 0, "new", NULL);
    storebench_tx_expect(other, 0, "old", "1");
    storebench_tx_expect(other, 1, "old", NULL);
    assert_true(tx_is_valid(other));
    storebench_commit(bench);
    /* What was read is no longer one instant. */
    assert_false(tx_is_valid(other));
    tx_begin(other, &(struct tx_begin){.mode = TX_INLINE, .now_ms = bench->now_ms});
    storebench_tx_expect(other, 0, "new", "2");
    storebench_tx_expect(other, 0, "old", "3");
    assert_true(tx_is_valid(other));
    tx_free(other);
    storebench_free(bench);
}

static void what_is_not_committed_is_dropped(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(2);
    storebench_put(bench, 0, "k", SLICE_LIT("1"), 0);
    uint64_t digest = storebench_digest(bench);
    storebench_begin(bench, TX_APPLY);
    storebench_tx_put(bench->tx, 0, "k", "2");
    storebench_tx_put(bench->tx, 0, "l", "3");
    tx_flush(bench->tx, 1);
    storebench_begin_again(bench);
    storebench_tx_expect(bench->tx, 0, "k", "1");
    storebench_tx_expect(bench->tx, 0, "l", NULL);
    tx_del(bench->tx, 0, SLICE_LIT("k"));
    tx_flush(bench->tx, 0);
    tx_reset(bench->tx);
    assert_int_equal(storebench_digest(bench), digest);
    storebench_expect(bench, 0, "k", "1");
    storebench_free(bench);
}

/* The value of a change may come from the change that it replaces. */
static void values_are_borrowed_from_changes(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct slice value;
    storebench_begin(bench, TX_APPLY);
    storebench_tx_put(bench->tx, 0, "a", "a value that stands in a row of its own");
    struct item item = storebench_item(bench->tx, 0, "a");
    assert_int_equal(tx_load(bench->tx, &item, &value), 0);
    tx_put(bench->tx, 0, SLICE_LIT("a"),
           &(struct tx_value){.type = VALUE_STRING, .bytes = slice_sub(value, 2, 5)});
    storebench_tx_expect(bench->tx, 0, "a", "value");
    storebench_commit(bench);
    storebench_expect(bench, 0, "a", "value");
    storebench_free(bench);
}

static void versions_are_positions(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    storebench_put(bench, 0, "b", SLICE_LIT("1"), 0);
    storebench_begin(bench, TX_READ);
    assert_int_equal(position_index(storebench_item(bench->tx, 0, "a").version), 1);
    assert_int_equal(position_index(storebench_item(bench->tx, 0, "b").version), 2);
    tx_reset(bench->tx);
    storebench_free(bench);
}

/* ---- Whole databases ---- */

static void count_item(void *ctx, const struct item *item)
{
    (void)item;
    (*(unsigned *)ctx)++;
}

static unsigned visit_count(struct tx *tx, uint16_t db)
{
    unsigned count = 0;
    tx_visit(tx, db, count_item, &count);
    unsigned scanned = 0;
    uint64_t cursor = 0;
    do {
        cursor = tx_scan(tx, db, cursor, count_item, &scanned);
    } while (cursor != 0);
    assert_int_equal(scanned, count);
    assert_int_equal(tx_count(tx, db), count);
    struct item item;
    assert_int_equal(tx_random(tx, db, &item), count > 0);
    return count;
}

static void walks_see_the_changes(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        struct storebench *bench = storebench_hot(shards);
        char key[32];
        for (int i = 0; i < 100; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            storebench_put(bench, 0, key, SLICE_LIT("v"), 0);
        }
        storebench_begin(bench, TX_APPLY);
        assert_int_equal(visit_count(bench->tx, 0), 100);
        storebench_tx_put(bench->tx, 0, "k1", "changed");
        tx_del(bench->tx, 0, SLICE_LIT("k2"));
        tx_del(bench->tx, 0, SLICE_LIT("none"));
        storebench_tx_put(bench->tx, 0, "fresh", "v");
        storebench_tx_put(bench->tx, 0, "fleeting", "v");
        tx_del(bench->tx, 0, SLICE_LIT("fleeting"));
        storebench_tx_put(bench->tx, 1, "elsewhere", "v");
        assert_int_equal(visit_count(bench->tx, 0), 100);
        assert_int_equal(visit_count(bench->tx, 1), 1);
        tx_flush(bench->tx, 0);
        assert_int_equal(visit_count(bench->tx, 0), 0);
        storebench_tx_put(bench->tx, 0, "k3", "again");
        assert_int_equal(visit_count(bench->tx, 0), 1);
        storebench_tx_expect(bench->tx, 0, "k4", NULL);
        storebench_commit(bench);
        storebench_begin(bench, TX_READ);
        assert_int_equal(visit_count(bench->tx, 0), 1);
        assert_int_equal(visit_count(bench->tx, 1), 1);
        tx_reset(bench->tx);
        storebench_free(bench);
    }
}

/* Flushed keys are freed in slices, once no reader can hold them. */
static void a_flush_gives_its_memory_back(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct store *store = bench->stores.shards[0];
    uint8_t value[2000] = {0};
    char key[32];
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, 0, key, slice_of(value, sizeof(value)), bench->now_ms + 5000);
    }
    assert_true(store_stats(store).keydir_bytes > 1000000);
    storebench_begin(bench, TX_APPLY);
    tx_flush(bench->tx, 0);
    storebench_commit(bench);
    assert_int_equal(store_stats(store).keys, 0);
    assert_true(store_stats(store).retired_bytes > 1000000);
    storebench_settle(bench);
    assert_int_equal(store_stats(store).retired_bytes, 0);
    assert_true(store_stats(store).keydir_bytes < 100000);
    storebench_free(bench);
}

/* ---- Cold values ---- */

static struct storebench *cold_bench(void)
{
    struct storebench *bench =
        storebench_new(&(struct storebench_options){.seed = 12, .shard_count = 2});
    storebench_put(bench, 0, "a", SLICE_LIT("value of a"), 0);
    storebench_put(bench, 0, "b", SLICE_LIT("value of b"), 0);
    assert_false(store_has_cold(bench->stores.shards[0]) ||
                 store_has_cold(bench->stores.shards[1]));
    storebench_write(bench);
    assert_true(
        store_has_cold(bench->stores.shards[stores_shard_of(&bench->stores, SLICE_LIT("a"))]));
    return bench;
}

/* Until it is cold for a try; a read that must not wait may find it. */
static struct item make_cold(struct storebench *bench, enum tx_mode mode, const char *key)
{
    struct item item;
    struct slice value;
    for (int i = 0; i < 100; i++) {
        tx_reset(bench->tx);
        storebench_begin(bench, mode);
        item = storebench_item(bench->tx, 0, key);
        assert_false(row_is_hot(item.row));
        assert_int_equal(item.size, 10);
        if (tx_load(bench->tx, &item, &value) == ERR_COLD)
            return item;
        assert_int_equal(value.len, 10);
    }
    fail_msg("never cold");
    return item;
}

/* One step for many changes, as in a turn of a replay. */
static void retired_rows_do_not_pile_up(void **state)
{
    (void)state;
    struct storebench *bench = storebench_new(&(struct storebench_options){.seed = 31});
    struct store *store = bench->stores.shards[0];
    uint64_t most = 0;
    for (int turn = 0; turn < 100; turn++) {
        for (int i = 0; i < 2000; i++)
            storebench_put(bench, 0, "k", SLICE_LIT("v"), 0);
        epoch_quiescent(bench->reader);
        (void)store_step(store, 64);
        uint64_t retired = store_stats(store).retired_bytes;
        most = retired > most ? retired : most;
    }
    assert_true(most < 3000000);
    storebench_free(bench);
}

static void cold_values_are_asked_for_and_handed_in(void **state)
{
    (void)state;
    struct storebench *bench = cold_bench();
    struct slice value;
    make_cold(bench, TX_APPLY, "a");
    storebench_tx_put(bench->tx, 0, "c", "dropped with the run");
    assert_int_equal(tx_want_count(bench->tx), 1);
    assert_int_equal(storebench_load(bench), 1);
    storebench_begin_again(bench);
    assert_int_equal(tx_want_count(bench->tx), 0);
    storebench_tx_expect(bench->tx, 0, "c", NULL);
    struct item item = storebench_item(bench->tx, 0, "a");
    assert_int_equal(tx_load(bench->tx, &item, &value), 0);
    assert_true(slice_eq(value, SLICE_LIT("value of a")));
    /* Handed in for one version of one key. */
    storebench_tx_put(bench->tx, 0, "a", "another");
    storebench_tx_expect(bench->tx, 0, "a", "another");
    storebench_commit(bench);
    storebench_expect(bench, 0, "a", "another");
    storebench_expect(bench, 0, "b", "value of b");
    storebench_free(bench);
}

/* The key has been set again since: what was read is not its value. */
static void a_loaded_value_is_of_one_version(void **state)
{
    (void)state;
    struct storebench *bench = cold_bench();
    struct tx *writer = tx_new(&bench->stores);
    struct slice value;
    make_cold(bench, TX_READ, "a");
    storebench_load(bench);
    tx_begin(writer, &(struct tx_begin){.mode = TX_APPLY,
                                        .time_ms = bench->now_ms,
                                        .now_ms = bench->now_ms,
                                        .position = position_of(++bench->index, 0)});
    storebench_tx_put(writer, 0, "a", "other of a");
    tx_commit(writer);
    storebench_write(bench);
    storebench_begin(bench, TX_READ);
    struct item item = storebench_item(bench->tx, 0, "a");
    int rc = tx_load(bench->tx, &item, &value);
    assert_true(rc == ERR_COLD || (rc == 0 && slice_eq(value, SLICE_LIT("other of a"))));
    tx_free(writer);
    storebench_free(bench);
}

/* What is wanted and not taken is given back. */
static void wants_are_let_go(void **state)
{
    (void)state;
    struct storebench *bench = cold_bench();
    make_cold(bench, TX_APPLY, "a");
    storebench_begin_again(bench);
    make_cold(bench, TX_APPLY, "a");
    struct tx_want want = tx_want_take(bench->tx, 0);
    assert_non_null(want.file);
    datafile_unref(want.file);
    tx_reset(bench->tx);
    storebench_free(bench);
}

/* A cold read takes effect where it was looked up, whatever the key is by then (R29). */
static void a_frozen_item_stays(void **state)
{
    (void)state;
    struct storebench *bench = cold_bench();
    make_cold(bench, TX_INLINE, "a");
    struct tx_want want = tx_want_take(bench->tx, 0);
    datafile_unref(want.file);
    tx_reset(bench->tx);
    storebench_del(bench, 0, "a");
    struct buf bytes = {0};
    buf_append_str(&bytes, "value of a");
    tx_put_frozen(bench->tx, &want.item, &bytes);
    storebench_begin(bench, TX_INLINE);
    storebench_tx_expect(bench->tx, 0, "a", "value of a");
    assert_true(tx_is_valid(bench->tx));
    /* Others are as they are; and it ends with the run. */
    storebench_tx_expect(bench->tx, 0, "none", NULL);
    tx_reset(bench->tx);
    storebench_begin(bench, TX_INLINE);
    storebench_tx_expect(bench->tx, 0, "a", NULL);
    tx_reset(bench->tx);
    storebench_free(bench);
}

static void a_row_is_hot_until_its_record_is_written(void **state)
{
    (void)state;
    struct storebench *bench =
        storebench_new(&(struct storebench_options){.seed = 13, .hot_max_value = 5});
    storebench_put(bench, 0, "small", SLICE_LIT("12345"), 0);
    storebench_put(bench, 0, "large", SLICE_LIT("123456"), 0);
    storebench_settle(bench);
    storebench_begin(bench, TX_READ);
    assert_true(row_is_hot(storebench_item(bench->tx, 0, "large").row)); /* R32 */
    tx_reset(bench->tx);
    storebench_write(bench);
    storebench_begin(bench, TX_READ);
    assert_true(row_is_hot(storebench_item(bench->tx, 0, "small").row));
    assert_false(row_is_hot(storebench_item(bench->tx, 0, "large").row));
    tx_reset(bench->tx);
    assert_int_equal(store_stats(bench->stores.shards[0]).cold_rows, 1);
    storebench_free(bench);
}

/* Late completions compare key, version and place (R18). */
static void only_the_same_row_is_warmed(void **state)
{
    (void)state;
    struct storebench *bench =
        storebench_new(&(struct storebench_options){.seed = 14, .hot_max_value = 0});
    struct store *store = bench->stores.shards[0];
    struct slice key = SLICE_LIT("k");
    storebench_put(bench, 0, "k", SLICE_LIT("old"), 0);
    storebench_write(bench);
    storebench_begin(bench, TX_READ);
    struct item old = storebench_item(bench->tx, 0, "k");
    struct place old_place = row_place(old.row);
    tx_reset(bench->tx);
    storebench_put(bench, 0, "k", SLICE_LIT("new"), 0);
    storebench_write(bench);
    store_set_hot_max_value(store, 100);
    store_warm(store, &(struct store_warmth){.db = 0,
                                             .key = key,
                                             .version = old.version,
                                             .place = old_place,
                                             .value = SLICE_LIT("old"),
                                             .now_ms = bench->now_ms});
    assert_int_equal(store_stats(store).cold_rows, 1);
    storebench_begin(bench, TX_READ);
    struct item now = storebench_item(bench->tx, 0, "k");
    struct place now_place = row_place(now.row);
    tx_reset(bench->tx);
    store_warm(store, &(struct store_warmth){.db = 0,
                                             .key = key,
                                             .version = now.version,
                                             .place = old_place,
                                             .value = SLICE_LIT("new"),
                                             .now_ms = bench->now_ms});
    store_warm(store, &(struct store_warmth){.db = 0,
                                             .key = key,
                                             .version = old.version,
                                             .place = now_place,
                                             .value = SLICE_LIT("new"),
                                             .now_ms = bench->now_ms});
    store_warm(store, &(struct store_warmth){.db = 0,
                                             .key = SLICE_LIT("l"),
                                             .version = now.version,
                                             .place = now_place,
                                             .value = SLICE_LIT("new"),
                                             .now_ms = bench->now_ms});
    store_warm(store, &(struct store_warmth){.db = 1,
                                             .key = key,
                                             .version = now.version,
                                             .place = now_place,
                                             .value = SLICE_LIT("new"),
                                             .now_ms = bench->now_ms});
    assert_int_equal(store_stats(store).cold_rows, 1);
    store_warm(store, &(struct store_warmth){.db = 0,
                                             .key = key,
                                             .version = now.version,
                                             .place = now_place,
                                             .value = SLICE_LIT("new"),
                                             .now_ms = bench->now_ms});
    assert_int_equal(store_stats(store).cold_rows, 0);
    storebench_expect(bench, 0, "k", "new");
    storebench_free(bench);
}

/* ---- One instant (R24, R25) ---- */

static void begin_inline(struct storebench *bench, struct tx *tx)
{
    tx_begin(tx, &(struct tx_begin){.mode = TX_INLINE, .now_ms = bench->now_ms});
}

static void words_are_odd_while_rows_are_published(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct store *store = bench->stores.shards[0];
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    uint64_t word = store_publication(store);
    assert_int_equal(word & 1, 0);
    store_publication_open(store);
    begin_inline(bench, bench->tx);
    storebench_tx_expect(bench->tx, 0, "a", "1");
    assert_false(tx_is_valid(bench->tx));
    store_publication_close(store);
    assert_int_equal(store_publication(store), word + 2);
    assert_false(tx_is_valid(bench->tx));
    tx_reset(bench->tx);
    storebench_free(bench);
}

/* Setting one row leaves the word alone; several rows and removals move it, in every shard they
 * touch. */
static void what_moves_the_words(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(3);
    uint64_t words[3];
    for (unsigned i = 0; i < 3; i++)
        words[i] = store_publication(bench->stores.shards[i]);
    uint32_t of_a = stores_shard_of(&bench->stores, SLICE_LIT("a"));
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    storebench_put(bench, 0, "a", SLICE_LIT("2"), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(store_publication(bench->stores.shards[i]), words[i]);
    storebench_del(bench, 0, "a");
    words[of_a] += 2;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(store_publication(bench->stores.shards[i]), words[i]);
    storebench_begin(bench, TX_APPLY);
    storebench_tx_put(bench->tx, 0, "a", "1");
    storebench_tx_put(bench->tx, 0, "b", "1");
    storebench_commit(bench);
    uint32_t of_b = stores_shard_of(&bench->stores, SLICE_LIT("b"));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(store_publication(bench->stores.shards[i]),
                         words[i] + (i == of_a || i == of_b ? 2 : 0));
    storebench_begin(bench, TX_APPLY);
    tx_flush(bench->tx, 3);
    storebench_commit(bench);
    for (unsigned i = 0; i < 3; i++)
        assert_true(store_publication(bench->stores.shards[i]) > words[i]);
    storebench_free(bench);
}

static void reads_of_several_rows_are_checked_again(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(2);
    struct tx *reader = tx_new(&bench->stores);
    storebench_put(bench, 0, "a", SLICE_LIT("1"), 0);
    storebench_put(bench, 0, "b", SLICE_LIT("1"), 0);
    /* One row is one instant, even when it is replaced. */
    begin_inline(bench, reader);
    storebench_tx_expect(reader, 0, "a", "1");
    storebench_put(bench, 0, "a", SLICE_LIT("2"), 0);
    assert_true(tx_is_valid(reader));
    /* Two rows are, if neither has been replaced since. */
    begin_inline(bench, reader);
    storebench_tx_expect(reader, 0, "a", "2");
    storebench_tx_expect(reader, 0, "b", "1");
    assert_true(tx_is_valid(reader));
    storebench_put(bench, 0, "c", SLICE_LIT("1"), 0);
    assert_true(tx_is_valid(reader));
    storebench_put(bench, 0, "b", SLICE_LIT("2"), 0);
    assert_false(tx_is_valid(reader));
    /* Absent keys count as well, and flushed databases. */
    begin_inline(bench, reader);
    storebench_tx_expect(reader, 0, "x", NULL);
    storebench_tx_expect(reader, 0, "a", "2");
    storebench_put(bench, 0, "x", SLICE_LIT("1"), 0);
    assert_false(tx_is_valid(reader));
    begin_inline(bench, reader);
    storebench_tx_expect(reader, 1, "x", NULL);
    storebench_tx_expect(reader, 1, "y", NULL);
    storebench_begin(bench, TX_APPLY);
    tx_flush(bench->tx, 1);
    storebench_commit(bench);
    assert_false(tx_is_valid(reader));
    begin_inline(bench, reader);
    assert_true(tx_is_valid(reader));
    tx_free(reader);
    storebench_free(bench);
}

/* ---- Chance ---- */

static void seeds(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    storebench_begin(bench, TX_APPLY);
    uint64_t first = tx_seed(bench->tx);
    storebench_begin_again(bench);
    assert_int_equal(tx_seed(bench->tx), first);
    storebench_begin(bench, TX_APPLY);
    assert_int_not_equal(tx_seed(bench->tx), first);
    storebench_begin(bench, TX_READ);
    first = tx_seed(bench->tx);
    storebench_begin(bench, TX_READ);
    assert_int_not_equal(tx_seed(bench->tx), first);
    tx_reset(bench->tx);
    storebench_free(bench);
}

static void many_loaded_values(void **state)
{
    (void)state;
    struct storebench *bench =
        storebench_new(&(struct storebench_options){.seed = 15, .shard_count = 2});
    char key[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, 0, key, slice_str(key), 0);
    }
    storebench_write(bench);
    storebench_begin(bench, TX_READ);
    bool is_cold = true;
    for (int tries = 0; is_cold; tries++) {
        assert_true(tries < 3);
        is_cold = false;
        for (int i = 0; i < 3000; i++) {
            struct slice value;
            snprintf(key, sizeof(key), "k%d", i);
            struct item item = storebench_item(bench->tx, 0, key);
            int rc = tx_load(bench->tx, &item, &value);
            assert_true(rc == ERR_COLD || (rc == 0 && slice_eq(value, slice_str(key))));
            is_cold |= rc == ERR_COLD;
            /* The key of a want is borrowed: it must live as long. */
            if (rc == ERR_COLD) {
                storebench_load(bench);
                storebench_begin(bench, TX_READ);
            }
        }
    }
    assert_true(tx_bytes(bench->tx) > 3000);
    tx_reset(bench->tx);
    storebench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_seen_by_themselves_only),
        cmocka_unit_test(what_is_not_committed_is_dropped),
        cmocka_unit_test(values_are_borrowed_from_changes),
        cmocka_unit_test(versions_are_positions),
        cmocka_unit_test(walks_see_the_changes),
        cmocka_unit_test(a_flush_gives_its_memory_back),
        cmocka_unit_test(retired_rows_do_not_pile_up),
        cmocka_unit_test(cold_values_are_asked_for_and_handed_in),
        cmocka_unit_test(a_loaded_value_is_of_one_version),
        cmocka_unit_test(wants_are_let_go),
        cmocka_unit_test(a_frozen_item_stays),
        cmocka_unit_test(a_row_is_hot_until_its_record_is_written),
        cmocka_unit_test(only_the_same_row_is_warmed),
        cmocka_unit_test(words_are_odd_while_rows_are_published),
        cmocka_unit_test(what_moves_the_words),
        cmocka_unit_test(reads_of_several_rows_are_checked_again),
        cmocka_unit_test(seeds),
        cmocka_unit_test(many_loaded_values),
        cmocka_unit_test(use_is_counted_by_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
