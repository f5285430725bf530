/* SPDX-License-Identifier: Apache-2.0 */
/* Keys whose time is over, in transactions and in sweeps. */
#include "store/expiry.h"

#include <stdio.h>

#include "store/store_internal.h"
#include "support/cmocka.h"
#include "support/storebench.h"

static void expired_keys_are_gone_for_every_command(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct item item;
    storebench_put(bench, 0, "k", SLICE_LIT("v"), bench->now_ms + 10);
    storebench_put(bench, 0, "unmet", SLICE_LIT("v"), bench->now_ms + 10);
    storebench_tick(bench, 9);
    storebench_expect(bench, 0, "k", "v");
    storebench_tick(bench, 1);
    /* For an entry of this time it is gone; for a read only an entry can say. */
    storebench_begin(bench, TX_READ);
    assert_int_equal(tx_get(bench->tx, 0, SLICE_LIT("k"), &item), ERR_RETRY);
    assert_true(tx_needs_clock(bench->tx));
    tx_reset(bench->tx);
    storebench_begin(bench, TX_APPLY);
    storebench_tx_expect(bench->tx, 0, "k", NULL);
    assert_false(tx_needs_clock(bench->tx));
    storebench_commit(bench);
    storebench_expect(bench, 0, "k", NULL);
    assert_int_equal(storebench_row_count(bench), 1);
    storebench_advance(bench, 1000);
    storebench_settle(bench);
    assert_int_equal(storebench_row_count(bench), 0);
    assert_int_equal(store_stats(bench->stores.shards[0]).expired_keys, 2);
    storebench_free(bench);
}

/* Without a sweep, and without a record: the one on the disk says when it ended. */
static void what_a_command_meets_due_goes_with_it(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(2);
    struct store *store = bench->stores.shards[stores_shard_of(&bench->stores, SLICE_LIT("k"))];
    storebench_put(bench, 0, "k", SLICE_LIT("1"), bench->now_ms + 10);
    storebench_put(bench, 0, "l", SLICE_LIT("2"), bench->now_ms + 10);
    storebench_put(bench, 0, "m", SLICE_LIT("3"), 0);
    bench->now_ms += 10;
    storebench_begin(bench, TX_APPLY);
    storebench_tx_expect(bench->tx, 0, "k", NULL);
    storebench_tx_expect(bench->tx, 0, "m", "3");
    assert_int_equal(tx_count(bench->tx, 0), 2);
    assert_int_equal(storebench_row_count(bench), 3); /* T1 */
    storebench_begin_again(bench);
    assert_int_equal(tx_count(bench->tx, 0), 3);
    storebench_tx_expect(bench->tx, 0, "k", NULL);
    uint64_t word = store_publication(store);
    uint64_t unwritten = bitcask_unwritten_bytes(store_bitcask(store));
    storebench_commit(bench);
    assert_int_equal(storebench_row_count(bench), 2);
    assert_int_equal(store_publication(store), word + 2); /* T4 */
    assert_int_equal(bitcask_unwritten_bytes(store_bitcask(store)), unwritten);
    assert_int_equal(store_stats(store).expired_keys, 1);
    storebench_begin(bench, TX_APPLY);
    storebench_tx_expect(bench->tx, 0, "l", NULL);
    storebench_tx_put(bench->tx, 0, "l", "4");
    storebench_commit(bench);
    storebench_expect(bench, 0, "l", "4");
    assert_int_equal(storebench_row_count(bench), 2);
    storebench_free(bench);
}

static void a_value_that_is_due_removes_the_key(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    storebench_put(bench, 0, "k", SLICE_LIT("v"), 0);
    storebench_put(bench, 0, "k", SLICE_LIT("w"), bench->now_ms);
    storebench_expect(bench, 0, "k", NULL);
    assert_int_equal(storebench_row_count(bench), 0);
    storebench_put(bench, 0, "k", SLICE_LIT("w"), bench->now_ms + 1);
    storebench_expect(bench, 0, "k", "w");
    storebench_free(bench);
}

/* The sweep finds keys whatever happened to their expiry since. */
static void every_expiring_key_is_swept(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(2);
    char key[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, (uint16_t)(i % 4), key, SLICE_LIT("v"),
                       bench->now_ms + 1000 + (uint64_t)i * 97 % 700000);
        /* Some later, some sooner, some for ever. */
        if (i % 3 == 0)
            storebench_put(bench, (uint16_t)(i % 4), key, SLICE_LIT("w"), bench->now_ms + 900000);
        if (i % 5 == 0)
            storebench_put(bench, (uint16_t)(i % 4), key, SLICE_LIT("x"), bench->now_ms + 500);
        if (i % 100 == 0)
            storebench_put(bench, (uint16_t)(i % 4), key, SLICE_LIT("y"), 0);
    }
    for (int i = 0; i < 1000; i++) {
        storebench_advance(bench, 1000);
        storebench_settle(bench);
    }
    assert_int_equal(storebench_row_count(bench), 30);
    assert_true(store_next_due_ms(bench->stores.shards[0]) == UINT64_MAX);
    storebench_free(bench);
}

/* However much has fallen due while keys were held: so much at a time, to the millisecond. */
static void what_was_held_is_swept_in_slices(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct store *store = bench->stores.shards[0];
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        storebench_put(bench, 0, key, SLICE_LIT("v"), bench->now_ms + 1 + (uint64_t)i * 10);
    }
    store_hold_expiry(store, true);
    storebench_advance(bench, 9991);
    storebench_settle(bench);
    assert_int_equal(storebench_row_count(bench), 1000);
    uint64_t rows = 1000;
    while (store_sweep(store, 64)) {
        assert_in_range(storebench_row_count(bench), rows - 64, rows);
        rows = storebench_row_count(bench);
    }
    assert_int_equal(storebench_row_count(bench), 0);
    storebench_free(bench);
}

/* Extending the life of the same keys over and over leaves stale hints, which are cleared. */
static void stale_hints_do_not_pile_up(void **state)
{
    (void)state;
    struct storebench *bench = storebench_hot(1);
    struct store *store = bench->stores.shards[0];
    char key[32];
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 200; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            /* Sooner each time, so that each needs a hint of its own. */
            storebench_put(bench, 0, key, SLICE_LIT("v"),
                           bench->now_ms + 1000000 - (uint64_t)round * 5000);
        }
        storebench_settle(bench);
    }
    assert_true(store_stats(store).expiry_bytes < 200000);
    struct db *db = store_db(store, 0);
    assert_in_range(expiry_count(db->expiry), 200, 2 * 200 + 4096 + 200);
    storebench_advance(bench, 1000000);
    storebench_settle(bench);
    assert_int_equal(storebench_row_count(bench), 0);
    storebench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_keys_are_gone_for_every_command),
        cmocka_unit_test(what_a_command_meets_due_goes_with_it),
        cmocka_unit_test(a_value_that_is_due_removes_the_key),
        cmocka_unit_test(every_expiring_key_is_swept),
        cmocka_unit_test(what_was_held_is_swept_in_slices),
        cmocka_unit_test(stale_hints_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
