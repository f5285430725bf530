/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

/* The bench starts at 1700000000 s. */

static void a_key_lives_as_long_as_it_was_told(void **state)
{
    (void)state;
    commandbench_play(
        "EXPIRE k 10 -> :0\n"
        "TTL k -> :-2\n"
        "PTTL k -> :-2\n"
        "EXPIRETIME k -> :-2\n"
        "PEXPIRETIME k -> :-2\n"
        "PERSIST k -> :0\n"
        "SET k v -> +OK\n"
        "TTL k -> :-1\n"
        "PTTL k -> :-1\n"
        "EXPIRETIME k -> :-1\n"
        "PEXPIRETIME k -> :-1\n"
        "PERSIST k -> :0\n"
        "EXPIRE k 10 -> :1\n"
        "TTL k -> :10\n"
        "PTTL k -> :10000\n"
        "EXPIRETIME k -> :1700000010\n"
        "PEXPIRETIME k -> :1700000010000\n"
        "ADVANCE 3400 -> +OK\n"
        "TTL k -> :7\n"
        "PTTL k -> :6600\n"
        "ADVANCE 200 -> +OK\n"
        "TTL k -> :6\n"
        "ADVANCE 6399 -> +OK\n"
        "PTTL k -> :1\n"
        "TTL k -> :0\n"
        "GET k -> \"v\"\n"
        "ADVANCE 1 -> +OK\n"
        "GET k -> nil\n"
        "TTL k -> :-2\n"
        "EXPIRE k 10 -> :0\n");
}

static void units_and_origins(void **state)
{
    (void)state;
    commandbench_play(
        "SET k v -> +OK\n"
        "PEXPIRE k 1500 -> :1\n"
        "PTTL k -> :1500\n"
        "TTL k -> :2\n"
        "EXPIREAT k 1700000007 -> :1\n"
        "PTTL k -> :7000\n"
        "PEXPIREAT k 1700000000500 -> :1\n"
        "PTTL k -> :500\n"
        "EXPIRETIME k -> :1700000001\n"
        "PERSIST k -> :1\n"
        "TTL k -> :-1\n"
        "ADVANCE 250 -> +OK\n"
        "PEXPIRE k 100 -> :1\n"
        "PEXPIRETIME k -> :1700000000350\n"
        "GET k -> \"v\"\n");
}

static void the_past_deletes(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 2 c 3 d 4 e 5 -> +OK\n"
        "EXPIRE a 0 -> :1\n"
        "EXPIRE b -1 -> :1\n"
        "EXPIREAT c 1 -> :1\n"
        "PEXPIREAT d 1700000000000 -> :1\n"
        "PEXPIRE e -9223372036854775808 -> :1\n"
        "EXISTS a b c d e -> :0\n"
        "DBSIZE -> :0\n"
        "SET a 1 EX 100 -> +OK\n"
        "EXPIRE a -1 GT -> :0\n"
        "EXPIRE a -1 XX LT -> :1\n"
        "EXISTS a -> :0\n");
}

static void conditions(void **state)
{
    (void)state;
    commandbench_play(
        "SET k v -> +OK\n"
        "EXPIRE k 10 XX -> :0\n"
        "EXPIRE k 10 GT -> :0\n"
        "TTL k -> :-1\n"
        "EXPIRE k 10 NX -> :1\n"
        "EXPIRE k 20 NX -> :0\n"
        "TTL k -> :10\n"
        "EXPIRE k 10 GT -> :0\n"
        "EXPIRE k 11 gt -> :1\n"
        "EXPIRE k 11 LT -> :0\n"
        "EXPIRE k 10 LT -> :1\n"
        "EXPIRE k 30 XX -> :1\n"
        "TTL k -> :30\n"
        "EXPIRE k 5 XX LT -> :1\n"
        "EXPIRE k 50 GT XX -> :1\n"
        "PERSIST k -> :1\n"
        "EXPIRE k 40 LT -> :1\n"
        "PERSIST k -> :1\n"
        "EXPIRE k 40 LT XX -> :0\n"
        "TTL k -> :-1\n"
        "EXPIRE k 10 NX NX -> :1\n"
        "TTL k -> :10\n");
}

static void refusals(void **state)
{
    (void)state;
    commandbench_play(
        "SET k v -> +OK\n"
        "EXPIRE k x -> -ERR value is not an integer or out of range\n"
        "EXPIRE k 1.5 -> -ERR value is not an integer or out of range\n"
        "EXPIRE k 10 foo -> -ERR Unsupported option foo\n"
        "EXPIRE k x foo -> -ERR Unsupported option foo\n"
        "EXPIRE k 10 NX XX -> -ERR NX and XX, GT or LT options at the same time are not "
        "compatible\n"
        "EXPIRE k 10 GT NX -> -ERR NX and XX, GT or LT options at the same time are not "
        "compatible\n"
        "EXPIRE k 10 NX GT LT -> -ERR NX and XX, GT or LT options at the same time are not "
        "compatible\n"
        "EXPIRE none 10 GT LT -> -ERR GT and LT options at the same time are not compatible\n"
        "EXPIRE k 9223372036854775807 -> -ERR invalid expire time in 'expire' command\n"
        "EXPIRE k -9223372036854775808 -> -ERR invalid expire time in 'expire' command\n"
        "EXPIRE k 9223372036854775 -> -ERR invalid expire time in 'expire' command\n"
        "PEXPIRE k 9223372036854775807 -> -ERR invalid expire time in 'pexpire' command\n"
        "EXPIREAT none 9223372036854775807 -> -ERR invalid expire time in 'expireat' command\n"
        "PEXPIREAT k x -> -ERR value is not an integer or out of range\n"
        "TTL k -> :-1\n"
        "PEXPIREAT k 9223372036854775807 -> :1\n"
        "PEXPIRETIME k -> :9223372036854775807\n"
        "EXPIRETIME k -> :9223372036854776\n"
        "EXPIRE k -> -ERR wrong number of arguments for 'expire' command\n");
}

static void what_keeps_the_time_to_live(void **state)
{
    (void)state;
    commandbench_play(
        "SET k 1 EX 50 -> +OK\n"
        "INCR k -> :2\n"
        "INCRBYFLOAT k 1 -> \"3\"\n"
        "APPEND k 0 -> :2\n"
        "SETRANGE k 0 4 -> :2\n"
        "TTL k -> :50\n"
        "RENAME k l -> +OK\n"
        "TTL l -> :50\n"
        "COPY l m -> :1\n"
        "TTL m -> :50\n"
        "SET m x KEEPTTL -> +OK\n"
        "TTL m -> :50\n"
        "SET m x -> +OK\n"
        "TTL m -> :-1\n"
        "SET n 1 -> +OK\n"
        "RENAME n l -> +OK\n"
        "TTL l -> :-1\n");
}

/* An inline read meets a key that is due by the clock, but by no entry yet (R22). */
static void undecided_keys_wait_for_the_clock(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    struct storebench *store = bench->store;
    storebench_put(store, 0, "k", SLICE_LIT("v"), BENCH_START_MS + 100);
    storebench_tick(store, 100);
    struct item item;
    storebench_begin(store, TX_INLINE);
    assert_int_equal(tx_get(store->tx, 0, SLICE_LIT("k"), &item), ERR_RETRY);
    assert_true(tx_needs_clock(store->tx));
    tx_reset(store->tx);
    /* A walk skips it and says so. */
    storebench_begin(store, TX_READ);
    assert_false(tx_random(store->tx, 0, &item));
    assert_true(tx_needs_clock(store->tx));
    tx_reset(store->tx);
    commandbench_expect(bench, "KEYS *", "[]");
    commandbench_expect(bench, "GET k", "nil");
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_lives_as_long_as_it_was_told),
        cmocka_unit_test(units_and_origins),
        cmocka_unit_test(the_past_deletes),
        cmocka_unit_test(conditions),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_keeps_the_time_to_live),
        cmocka_unit_test(undecided_keys_wait_for_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
