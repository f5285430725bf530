/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

/* The bench starts at 1700000000 s. */

static void a_key_lives_as_long_as_it_was_told(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"EXPIRE k 10",
                                       ":0",
                                       "TTL k",
                                       ":-2",
                                       "PTTL k",
                                       ":-2",
                                       "EXPIRETIME k",
                                       ":-2",
                                       "PEXPIRETIME k",
                                       ":-2",
                                       "PERSIST k",
                                       ":0",
                                       "SET k v",
                                       "+OK",
                                       "TTL k",
                                       ":-1",
                                       "PTTL k",
                                       ":-1",
                                       "EXPIRETIME k",
                                       ":-1",
                                       "PEXPIRETIME k",
                                       ":-1",
                                       "PERSIST k",
                                       ":0",
                                       "EXPIRE k 10",
                                       ":1",
                                       "TTL k",
                                       ":10",
                                       "PTTL k",
                                       ":10000",
                                       "EXPIRETIME k",
                                       ":1700000010",
                                       "PEXPIRETIME k",
                                       ":1700000010000",
                                       "ADVANCE 3400",
                                       "+OK",
                                       "TTL k",
                                       ":7",
                                       "PTTL k",
                                       ":6600",
                                       "ADVANCE 200",
                                       "+OK",
                                       "TTL k",
                                       ":6",
                                       "ADVANCE 6399",
                                       "+OK",
                                       "PTTL k",
                                       ":1",
                                       "TTL k",
                                       ":0",
                                       "GET k",
                                       "\"v\"",
                                       "ADVANCE 1",
                                       "+OK",
                                       "GET k",
                                       "nil",
                                       "TTL k",
                                       ":-2",
                                       "EXPIRE k 10",
                                       ":0",
                                       NULL});
}

static void units_and_origins(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"SET k v",
                                       "+OK",
                                       "PEXPIRE k 1500",
                                       ":1",
                                       "PTTL k",
                                       ":1500",
                                       "TTL k",
                                       ":2",
                                       "EXPIREAT k 1700000007",
                                       ":1",
                                       "PTTL k",
                                       ":7000",
                                       "PEXPIREAT k 1700000000500",
                                       ":1",
                                       "PTTL k",
                                       ":500",
                                       "EXPIRETIME k",
                                       ":1700000001",
                                       "PERSIST k",
                                       ":1",
                                       "TTL k",
                                       ":-1",
                                       "ADVANCE 250",
                                       "+OK",
                                       "PEXPIRE k 100",
                                       ":1",
                                       "PEXPIRETIME k",
                                       ":1700000000350",
                                       "GET k",
                                       "\"v\"",
                                       NULL});
}

static void the_past_deletes(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"MSET a 1 b 2 c 3 d 4 e 5",
                                       "+OK",
                                       "EXPIRE a 0",
                                       ":1",
                                       "EXPIRE b -1",
                                       ":1",
                                       "EXPIREAT c 1",
                                       ":1",
                                       "PEXPIREAT d 1700000000000",
                                       ":1",
                                       "PEXPIRE e -9223372036854775808",
                                       ":1",
                                       "EXISTS a b c d e",
                                       ":0",
                                       "DBSIZE",
                                       ":0",
                                       "SET a 1 EX 100",
                                       "+OK",
                                       "EXPIRE a -1 GT",
                                       ":0",
                                       "EXPIRE a -1 XX LT",
                                       ":1",
                                       "EXISTS a",
                                       ":0",
                                       NULL});
}

static void conditions(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"SET k v",
                                       "+OK",
                                       "EXPIRE k 10 XX",
                                       ":0",
                                       "EXPIRE k 10 GT",
                                       ":0",
                                       "TTL k",
                                       ":-1",
                                       "EXPIRE k 10 NX",
                                       ":1",
                                       "EXPIRE k 20 NX",
                                       ":0",
                                       "TTL k",
                                       ":10",
                                       "EXPIRE k 10 GT",
                                       ":0",
                                       "EXPIRE k 11 gt",
                                       ":1",
                                       "EXPIRE k 11 LT",
                                       ":0",
                                       "EXPIRE k 10 LT",
                                       ":1",
                                       "EXPIRE k 30 XX",
                                       ":1",
                                       "TTL k",
                                       ":30",
                                       "EXPIRE k 5 XX LT",
                                       ":1",
                                       "EXPIRE k 50 GT XX",
                                       ":1",
                                       "PERSIST k",
                                       ":1",
                                       "EXPIRE k 40 LT",
                                       ":1",
                                       "PERSIST k",
                                       ":1",
                                       "EXPIRE k 40 LT XX",
                                       ":0",
                                       "TTL k",
                                       ":-1",
                                       "EXPIRE k 10 NX NX",
                                       ":1",
                                       "TTL k",
                                       ":10",
                                       NULL});
}

static void refusals(void **state)
{
    (void)state;
    commandbench_play(
        (const char *[]){"SET k v",
                         "+OK",
                         "EXPIRE k x",
                         "-ERR value is not an integer or out of range",
                         "EXPIRE k 1.5",
                         "-ERR value is not an integer or out of range",
                         "EXPIRE k 10 foo",
                         "-ERR Unsupported option foo",
                         "EXPIRE k x foo",
                         "-ERR Unsupported option foo",
                         "EXPIRE k 10 NX XX",
                         "-ERR NX and XX, GT or LT options at the same time are not compatible",
                         "EXPIRE k 10 GT NX",
                         "-ERR NX and XX, GT or LT options at the same time are not compatible",
                         "EXPIRE k 10 NX GT LT",
                         "-ERR NX and XX, GT or LT options at the same time are not compatible",
                         "EXPIRE none 10 GT LT",
                         "-ERR GT and LT options at the same time are not compatible",
                         "EXPIRE k 9223372036854775807",
                         "-ERR invalid expire time in 'expire' command",
                         "EXPIRE k -9223372036854775808",
                         "-ERR invalid expire time in 'expire' command",
                         "EXPIRE k 9223372036854775",
                         "-ERR invalid expire time in 'expire' command",
                         "PEXPIRE k 9223372036854775807",
                         "-ERR invalid expire time in 'pexpire' command",
                         "EXPIREAT none 9223372036854775807",
                         "-ERR invalid expire time in 'expireat' command",
                         "PEXPIREAT k x",
                         "-ERR value is not an integer or out of range",
                         "TTL k",
                         ":-1",
                         "PEXPIREAT k 9223372036854775807",
                         ":1",
                         "PEXPIRETIME k",
                         ":9223372036854775807",
                         "EXPIRETIME k",
                         ":9223372036854776",
                         "EXPIRE k",
                         "-ERR wrong number of arguments for 'expire' command",
                         NULL});
}

static void what_keeps_the_time_to_live(void **state)
{
    (void)state;
    commandbench_play((const char *[]){
        "SET k 1 EX 50",  "+OK", "INCR k", ":2",  "INCRBYFLOAT k 1", "\"3\"", "APPEND k 0", ":2",
        "SETRANGE k 0 4", ":2",  "TTL k",  ":50", "RENAME k l",      "+OK",   "TTL l",      ":50",
        "COPY l m",       ":1",  "TTL m",  ":50", "SET m x KEEPTTL", "+OK",   "TTL m",      ":50",
        "SET m x",        "+OK", "TTL m",  ":-1", "SET n 1",         "+OK",   "RENAME n l", "+OK",
        "TTL l",          ":-1", NULL});
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
