/* SPDX-License-Identifier: Apache-2.0 */
#include "support/commandbench.h"

#include <string.h>

#include "base/mem.h"
#include "command/args.h"
#include "support/cmocka.h"

static void get_and_set(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"GET k",
                                       "nil",
                                       "SET k v",
                                       "+OK",
                                       "GET k",
                                       "\"v\"",
                                       "SET k \"\"",
                                       "+OK",
                                       "GET k",
                                       "\"\"",
                                       "set K2 \"a\\x00b\"",
                                       "+OK",
                                       "gEt K2",
                                       "\"a\\x00b\"",
                                       "GET K",
                                       "nil",
                                       "GET",
                                       "-ERR wrong number of arguments for 'get' command",
                                       "GET a b",
                                       "-ERR wrong number of arguments for 'get' command",
                                       "SET k",
                                       "-ERR wrong number of arguments for 'set' command",
                                       NULL});
}

static void set_options(void **state)
{
    (void)state;
    commandbench_play((const char *[]){
        /* Only where there is none, only where there is one. */
        "SET k 1 XX", "nil", "EXISTS k", ":0", "SET k 1 NX", "+OK", "SET k 2 NX", "nil",
        "SET k 3 xx", "+OK", "GET k", "\"3\"",
        /* The old value. */
        "SET k 4 GET", "\"3\"", "SET n 1 GET", "nil", "SET k 5 NX GET", "\"4\"", "GET k", "\"4\"",
        "SET m 1 NX GET", "nil", "GET m", "\"1\"", "SET o 1 XX GET", "nil", "EXISTS o", ":0",
        "SET k 6 GET XX", "\"4\"", "GET k", "\"6\"",
        /* Lifetimes. */
        "SET k v EX 10", "+OK", "PTTL k", ":10000", "SET k v PX 1500", "+OK", "PTTL k", ":1500",
        "SET k v EXAT 1700000100", "+OK", "TTL k", ":100", "SET k v PXAT 1700000000001", "+OK",
        "PTTL k", ":1", "SET k w KEEPTTL", "+OK", "PTTL k", ":1", "SET k x", "+OK", "TTL k", ":-1",
        "SET k w KEEPTTL", "+OK", "TTL k", ":-1", "SET new v KEEPTTL", "+OK", "TTL new", ":-1",
        "SET k v EX 10 EX 20", "+OK", "TTL k", ":20", "SET k v NX NX", "nil", "SET k old ex 7 get",
        "\"v\"", "TTL k", ":7",
        /* In the past: it is gone at once. */
        "SET k v EXAT 1", "+OK", "EXISTS k", ":0", "SET k v PXAT 1700000000000", "+OK", "EXISTS k",
        ":0", "SET k v PX 1", "+OK", "EXISTS k", ":1", "ADVANCE 1", "+OK", "EXISTS k", ":0", NULL});
}

static void set_refuses(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"SET k old EX 100",
                                       "+OK",
                                       "SET k v NX XX",
                                       "-ERR syntax error",
                                       "SET k v XX NX",
                                       "-ERR syntax error",
                                       "SET k v EX",
                                       "-ERR syntax error",
                                       "SET k v EX 10 PX 10",
                                       "-ERR syntax error",
                                       "SET k v EX 10 KEEPTTL",
                                       "-ERR syntax error",
                                       "SET k v KEEPTTL EX 10",
                                       "-ERR syntax error",
                                       "SET k v PXAT 10 EXAT 10",
                                       "-ERR syntax error",
                                       "SET k v PERSIST",
                                       "-ERR syntax error",
                                       "SET k v foo",
                                       "-ERR syntax error",
                                       "SET k v GET EX",
                                       "-ERR syntax error",
                                       "SET k v EX abc",
                                       "-ERR value is not an integer or out of range",
                                       "SET k v EX 1.5",
                                       "-ERR value is not an integer or out of range",
                                       "SET k v EX 0",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v PX -1",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v EXAT 0",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v EX 9223372036854775807",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v EX 9223372036854775",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v PX 9223372036854775807",
                                       "-ERR invalid expire time in 'set' command",
                                       "SET k v PXAT 9223372036854775807",
                                       "+OK",
                                       "PEXPIRETIME k",
                                       ":9223372036854775807",
                                       "GET k",
                                       "\"v\"",
                                       NULL});
}

static void older_forms_of_set(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"SETNX k 1",
                                       ":1",
                                       "SETNX k 2",
                                       ":0",
                                       "GET k",
                                       "\"1\"",
                                       "SETEX k 10 3",
                                       "+OK",
                                       "TTL k",
                                       ":10",
                                       "PSETEX k 10 4",
                                       "+OK",
                                       "PTTL k",
                                       ":10",
                                       "SETNX k 5",
                                       ":0",
                                       "ADVANCE 10",
                                       "+OK",
                                       "SETNX k 6",
                                       ":1",
                                       "TTL k",
                                       ":-1",
                                       "SETEX k 0 v",
                                       "-ERR invalid expire time in 'setex' command",
                                       "SETEX k -5 v",
                                       "-ERR invalid expire time in 'setex' command",
                                       "SETEX k x v",
                                       "-ERR value is not an integer or out of range",
                                       "PSETEX k 0 v",
                                       "-ERR invalid expire time in 'psetex' command",
                                       "GET k",
                                       "\"6\"",
                                       "GETSET k 7",
                                       "\"6\"",
                                       "GETSET none 1",
                                       "nil",
                                       "GET none",
                                       "\"1\"",
                                       "EXPIRE k 10",
                                       ":1",
                                       "GETSET k 8",
                                       "\"7\"",
                                       "TTL k",
                                       ":-1",
                                       NULL});
}

static void get_and_change(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"GETDEL k",
                                       "nil",
                                       "SET k v",
                                       "+OK",
                                       "GETDEL k",
                                       "\"v\"",
                                       "EXISTS k",
                                       ":0",
                                       "GETEX k",
                                       "nil",
                                       "GETEX k EX 0",
                                       "nil",
                                       "SET k v EX 100",
                                       "+OK",
                                       "GETEX k",
                                       "\"v\"",
                                       "TTL k",
                                       ":100",
                                       "GETEX k PERSIST",
                                       "\"v\"",
                                       "TTL k",
                                       ":-1",
                                       "GETEX k PERSIST",
                                       "\"v\"",
                                       "GETEX k EX 5",
                                       "\"v\"",
                                       "TTL k",
                                       ":5",
                                       "GETEX k PX 5000",
                                       "\"v\"",
                                       "PTTL k",
                                       ":5000",
                                       "GETEX k EXAT 1700000009",
                                       "\"v\"",
                                       "TTL k",
                                       ":9",
                                       "GETEX k PXAT 1700000000009",
                                       "\"v\"",
                                       "PTTL k",
                                       ":9",
                                       "GETEX k PXAT 5",
                                       "\"v\"",
                                       "EXISTS k",
                                       ":0",
                                       "SET k v",
                                       "+OK",
                                       "GETEX k EX 0",
                                       "-ERR invalid expire time in 'getex' command",
                                       "GETEX k EX",
                                       "-ERR syntax error",
                                       "GETEX k PERSIST EX 1",
                                       "-ERR syntax error",
                                       "GETEX k KEEPTTL",
                                       "-ERR syntax error",
                                       "GETEX k NX",
                                       "-ERR syntax error",
                                       "GETEX k GET",
                                       "-ERR syntax error",
                                       "GETEX none foo",
                                       "-ERR syntax error",
                                       "TTL k",
                                       ":-1",
                                       NULL});
}

static void several_keys(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"MSET a 1 b 2 c 3",
                                       "+OK",
                                       "MGET a b c d a",
                                       "[\"1\", \"2\", \"3\", nil, \"1\"]",
                                       "MSET a 4 a 5",
                                       "+OK",
                                       "GET a",
                                       "\"5\"",
                                       "MSET a",
                                       "-ERR wrong number of arguments for 'mset' command",
                                       "MSET a 1 b",
                                       "-ERR wrong number of arguments for 'mset' command",
                                       "MSETNX a 1 b",
                                       "-ERR wrong number of arguments for 'msetnx' command",
                                       "GET a",
                                       "\"5\"",
                                       "MSETNX x 1 a 2",
                                       ":0",
                                       "EXISTS x",
                                       ":0",
                                       "MSETNX x 1 y 2 x 3",
                                       ":1",
                                       "MGET x y",
                                       "[\"3\", \"2\"]",
                                       "EXPIRE x 100",
                                       ":1",
                                       "MSET x 4",
                                       "+OK",
                                       "TTL x",
                                       ":-1",
                                       NULL});
}

static void other_types_are_refused(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    struct storebench *store = bench->store;
    storebench_begin(store, TX_APPLY);
    tx_put(store->tx, 0, SLICE_LIT("list"),
           &(struct tx_value){.type = VALUE_LIST, .bytes = SLICE_LIT("x")});
    storebench_commit(store);
    uint64_t before = storebench_digest(store);
    const char *refused[] = {
        "GET list",
        "GETSET list v",
        "GETDEL list",
        "GETEX list EX 10",
        "SET list v GET",
        "SET list v NX GET",
        "INCR list",
        "INCRBYFLOAT list 1",
        "APPEND list v",
        "STRLEN list",
        "GETRANGE list 0 1",
        "SETRANGE list 0 v",
        "SETRANGE list 0 \"\"",
        "DECRBY list 5",
    };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        commandbench_expect(bench, refused[i],
                            "-WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_int_equal(storebench_digest(store), before);
    commandbench_expect(bench, "MGET list", "[nil]");
    commandbench_expect(bench, "TYPE list", "+list");
    commandbench_expect(bench, "SETNX list v", ":0");
    commandbench_expect(bench, "COPY list other", ":1");
    commandbench_expect(bench, "RENAME other third", "+OK");
    commandbench_expect(bench, "TYPE third", "+list");
    commandbench_expect(bench, "SCAN 0 TYPE list MATCH l*", "[\"0\", [\"list\"]]");
    commandbench_expect(bench, "SET list v", "+OK");
    commandbench_expect(bench, "TYPE list", "+string");
    commandbench_free(bench);
}

static void all_cold_values_are_asked_for_at_once(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 3});
    bench->is_chilling = true;
    commandbench_expect(bench, "MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8", "+OK");
    commandbench_expect(bench, "MGET a b c d e f g h x",
                        "[\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", nil]");
    /* One dropped run on the shards, one inline. */
    assert_in_range(bench->cold_runs, 1, 2);
    commandbench_free(bench);
}

static void integers(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"INCR n",
                                       ":1",
                                       "INCRBY n 10",
                                       ":11",
                                       "DECR n",
                                       ":10",
                                       "DECRBY n 20",
                                       ":-10",
                                       "INCRBY n -5",
                                       ":-15",
                                       "DECRBY n -5",
                                       ":-10",
                                       "GET n",
                                       "\"-10\"",
                                       "EXPIRE n 100",
                                       ":1",
                                       "INCR n",
                                       ":-9",
                                       "TTL n",
                                       ":100",
                                       "SET n 9223372036854775807",
                                       "+OK",
                                       "INCR n",
                                       "-ERR increment or decrement would overflow",
                                       "DECRBY n -1",
                                       "-ERR increment or decrement would overflow",
                                       "SET n -9223372036854775808",
                                       "+OK",
                                       "DECR n",
                                       "-ERR increment or decrement would overflow",
                                       "DECRBY n -9223372036854775808",
                                       "-ERR decrement would overflow",
                                       "INCRBY n 9223372036854775807",
                                       ":-1",
                                       "INCRBY n 1x",
                                       "-ERR value is not an integer or out of range",
                                       "SET n 01",
                                       "+OK",
                                       "INCR n",
                                       "-ERR value is not an integer or out of range",
                                       "SET n \"\"",
                                       "+OK",
                                       "INCR n",
                                       "-ERR value is not an integer or out of range",
                                       "SET n \" 1\"",
                                       "+OK",
                                       "DECR n",
                                       "-ERR value is not an integer or out of range",
                                       "GET n",
                                       "\" 1\"",
                                       NULL});
}

static void decimals(void **state)
{
    (void)state;
    commandbench_play((const char *[]){"INCRBYFLOAT f 10.50",
                                       "\"10.5\"",
                                       "INCRBYFLOAT f 0.1",
                                       "\"10.6\"",
                                       "INCRBYFLOAT f -5",
                                       "\"5.6\"",
                                       "SET f 5.0e3",
                                       "+OK",
                                       "INCRBYFLOAT f 2.0e2",
                                       "\"5200\"",
                                       "GET f",
                                       "\"5200\"",
                                       "EXPIRE f 100",
                                       ":1",
                                       "INCRBYFLOAT f 0",
                                       "\"5200\"",
                                       "TTL f",
                                       ":100",
                                       "INCRBYFLOAT f x",
                                       "-ERR value is not a valid float",
                                       "INCRBYFLOAT f inf",
                                       "-ERR increment would produce NaN or Infinity",
                                       "INCRBYFLOAT f nan",
                                       "-ERR value is not a valid float",
                                       "SET f abc",
                                       "+OK",
                                       "INCRBYFLOAT f 1",
                                       "-ERR value is not a valid float",
                                       "SET f -inf",
                                       "+OK",
                                       "INCRBYFLOAT f 1",
                                       "-ERR increment would produce NaN or Infinity",
                                       "GET f",
                                       "\"-inf\"",
                                       NULL});
}

static void parts(void **state)
{
    (void)state;
    commandbench_play(
        (const char *[]){"APPEND k Hello",
                         ":5",
                         "APPEND k \" World\"",
                         ":11",
                         "GET k",
                         "\"Hello World\"",
                         "STRLEN k",
                         ":11",
                         "STRLEN none",
                         ":0",
                         "APPEND e \"\"",
                         ":0",
                         "EXISTS e",
                         ":1",
                         "EXPIRE k 100",
                         ":1",
                         "APPEND k !",
                         ":12",
                         "TTL k",
                         ":100",
                         "GETRANGE k 0 4",
                         "\"Hello\"",
                         "GETRANGE k -6 -2",
                         "\"World\"",
                         "GETRANGE k 0 -1",
                         "\"Hello World!\"",
                         "GETRANGE k 5 2",
                         "\"\"",
                         "GETRANGE k -1 -5",
                         "\"\"",
                         "GETRANGE k 100 200",
                         "\"\"",
                         "GETRANGE k -100 2",
                         "\"Hel\"",
                         "GETRANGE k -100 -100",
                         "\"H\"",
                         "GETRANGE k 0 9223372036854775807",
                         "\"Hello World!\"",
                         "GETRANGE k -9223372036854775808 9223372036854775807",
                         "\"Hello World!\"",
                         "GETRANGE none 0 -1",
                         "\"\"",
                         "GETRANGE e 0 -1",
                         "\"\"",
                         "GETRANGE k a 1",
                         "-ERR value is not an integer or out of range",
                         "GETRANGE k 0 b",
                         "-ERR value is not an integer or out of range",
                         "SETRANGE k 6 Ferric",
                         ":12",
                         "GET k",
                         "\"Hello Ferric\"",
                         "SETRANGE k 5 __",
                         ":12",
                         "GET k",
                         "\"Hello__erric\"",
                         "TTL k",
                         ":100",
                         "SETRANGE k 14 x",
                         ":15",
                         "GET k",
                         "\"Hello__erric\\x00\\x00x\"",
                         "SETRANGE new 3 x",
                         ":4",
                         "GET new",
                         "\"\\x00\\x00\\x00x\"",
                         "SETRANGE none 5 \"\"",
                         ":0",
                         "EXISTS none",
                         ":0",
                         "SETRANGE k 500 \"\"",
                         ":15",
                         "SETRANGE k -1 x",
                         "-ERR offset is out of range",
                         "SETRANGE k x x",
                         "-ERR value is not an integer or out of range",
                         "SETRANGE k 536870912 x",
                         "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                         "SETRANGE k 9223372036854775807 x",
                         "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                         "SETRANGE k 536870912 \"\"",
                         ":15",
                         NULL});
}

static void a_string_has_a_limit(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    struct slice zeros = {.data = mem_calloc(1, STRING_MAX_SIZE), .len = STRING_MAX_SIZE};
    storebench_put(bench->store, 0, "k", slice_sub(zeros, 0, STRING_MAX_SIZE - 1), 0);
    commandbench_expect(bench, "APPEND k ab",
                        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    commandbench_expect(bench, "STRLEN k", ":536870911");
    mem_free((void *)zeros.data);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_and_set),
        cmocka_unit_test(set_options),
        cmocka_unit_test(set_refuses),
        cmocka_unit_test(older_forms_of_set),
        cmocka_unit_test(get_and_change),
        cmocka_unit_test(several_keys),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(all_cold_values_are_asked_for_at_once),
        cmocka_unit_test(integers),
        cmocka_unit_test(decimals),
        cmocka_unit_test(parts),
        cmocka_unit_test(a_string_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
