/* SPDX-License-Identifier: Apache-2.0 */
#include "support/commandbench.h"

#include <string.h>

#include "command/args.h"
#include "support/cmocka.h"

static void get_and_set(void **state)
{
    (void)state;
    commandbench_play(
        "GET k -> nil\n"
        "SET k v -> +OK\n"
        "GET k -> \"v\"\n"
        "SET k \"\" -> +OK\n"
        "GET k -> \"\"\n"
        "set K2 \"a\\x00b\" -> +OK\n"
        "gEt K2 -> \"a\\x00b\"\n"
        "GET K -> nil\n"
        "GET -> -ERR wrong number of arguments for 'get' command\n"
        "GET a b -> -ERR wrong number of arguments for 'get' command\n"
        "SET k -> -ERR wrong number of arguments for 'set' command\n");
}

static void set_options(void **state)
{
    (void)state;
    commandbench_play(
        /* Only where there is none, only where there is one. */
        "SET k 1 XX -> nil\n"
        "EXISTS k -> :0\n"
        "SET k 1 NX -> +OK\n"
        "SET k 2 NX -> nil\n"
        "SET k 3 xx -> +OK\n"
        "GET k -> \"3\"\n"
        /* The old value. */
        "SET k 4 GET -> \"3\"\n"
        "SET n 1 GET -> nil\n"
        "SET k 5 NX GET -> \"4\"\n"
        "GET k -> \"4\"\n"
        "SET m 1 NX GET -> nil\n"
        "GET m -> \"1\"\n"
        "SET o 1 XX GET -> nil\n"
        "EXISTS o -> :0\n"
        "SET k 6 GET XX -> \"4\"\n"
        "GET k -> \"6\"\n"
        /* Lifetimes. */
        "SET k v EX 10 -> +OK\n"
        "PTTL k -> :10000\n"
        "SET k v PX 1500 -> +OK\n"
        "PTTL k -> :1500\n"
        "SET k v EXAT 1700000100 -> +OK\n"
        "TTL k -> :100\n"
        "SET k v PXAT 1700000000001 -> +OK\n"
        "PTTL k -> :1\n"
        "SET k w KEEPTTL -> +OK\n"
        "PTTL k -> :1\n"
        "SET k x -> +OK\n"
        "TTL k -> :-1\n"
        "SET k w KEEPTTL -> +OK\n"
        "TTL k -> :-1\n"
        "SET new v KEEPTTL -> +OK\n"
        "TTL new -> :-1\n"
        "SET k v EX 10 EX 20 -> +OK\n"
        "TTL k -> :20\n"
        "SET k v NX NX -> nil\n"
        "SET k old ex 7 get -> \"v\"\n"
        "TTL k -> :7\n"
        /* In the past: it is gone at once. */
        "SET k v EXAT 1 -> +OK\n"
        "EXISTS k -> :0\n"
        "SET k v PXAT 1700000000000 -> +OK\n"
        "EXISTS k -> :0\n"
        "SET k v PX 1 -> +OK\n"
        "EXISTS k -> :1\n"
        "ADVANCE 1 -> +OK\n"
        "EXISTS k -> :0\n");
}

static void set_refuses(void **state)
{
    (void)state;
    commandbench_play(
        "SET k old EX 100 -> +OK\n"
        "SET k v NX XX -> -ERR syntax error\n"
        "SET k v XX NX -> -ERR syntax error\n"
        "SET k v EX -> -ERR syntax error\n"
        "SET k v EX 10 PX 10 -> -ERR syntax error\n"
        "SET k v EX 10 KEEPTTL -> -ERR syntax error\n"
        "SET k v KEEPTTL EX 10 -> -ERR syntax error\n"
        "SET k v PXAT 10 EXAT 10 -> -ERR syntax error\n"
        "SET k v PERSIST -> -ERR syntax error\n"
        "SET k v foo -> -ERR syntax error\n"
        "SET k v GET EX -> -ERR syntax error\n"
        "SET k v EX abc -> -ERR value is not an integer or out of range\n"
        "SET k v EX 1.5 -> -ERR value is not an integer or out of range\n"
        "SET k v EX 0 -> -ERR invalid expire time in 'set' command\n"
        "SET k v PX -1 -> -ERR invalid expire time in 'set' command\n"
        "SET k v EXAT 0 -> -ERR invalid expire time in 'set' command\n"
        "SET k v EX 9223372036854775807 -> -ERR invalid expire time in 'set' command\n"
        "SET k v EX 9223372036854775 -> -ERR invalid expire time in 'set' command\n"
        "SET k v PX 9223372036854775807 -> -ERR invalid expire time in 'set' command\n"
        "SET k v PXAT 9223372036854775807 -> +OK\n"
        "PEXPIRETIME k -> :9223372036854775807\n"
        "GET k -> \"v\"\n");
}

static void older_forms_of_set(void **state)
{
    (void)state;
    commandbench_play(
        "SETNX k 1 -> :1\n"
        "SETNX k 2 -> :0\n"
        "GET k -> \"1\"\n"
        "SETEX k 10 3 -> +OK\n"
        "TTL k -> :10\n"
        "PSETEX k 10 4 -> +OK\n"
        "PTTL k -> :10\n"
        "SETNX k 5 -> :0\n"
        "ADVANCE 10 -> +OK\n"
        "SETNX k 6 -> :1\n"
        "TTL k -> :-1\n"
        "SETEX k 0 v -> -ERR invalid expire time in 'setex' command\n"
        "SETEX k -5 v -> -ERR invalid expire time in 'setex' command\n"
        "SETEX k x v -> -ERR value is not an integer or out of range\n"
        "PSETEX k 0 v -> -ERR invalid expire time in 'psetex' command\n"
        "GET k -> \"6\"\n"
        "GETSET k 7 -> \"6\"\n"
        "GETSET none 1 -> nil\n"
        "GET none -> \"1\"\n"
        "EXPIRE k 10 -> :1\n"
        "GETSET k 8 -> \"7\"\n"
        "TTL k -> :-1\n");
}

static void get_and_change(void **state)
{
    (void)state;
    commandbench_play(
        "GETDEL k -> nil\n"
        "SET k v -> +OK\n"
        "GETDEL k -> \"v\"\n"
        "EXISTS k -> :0\n"
        "GETEX k -> nil\n"
        "GETEX k EX 0 -> nil\n"
        "SET k v EX 100 -> +OK\n"
        "GETEX k -> \"v\"\n"
        "TTL k -> :100\n"
        "GETEX k PERSIST -> \"v\"\n"
        "TTL k -> :-1\n"
        "GETEX k PERSIST -> \"v\"\n"
        "GETEX k EX 5 -> \"v\"\n"
        "TTL k -> :5\n"
        "GETEX k PX 5000 -> \"v\"\n"
        "PTTL k -> :5000\n"
        "GETEX k EXAT 1700000009 -> \"v\"\n"
        "TTL k -> :9\n"
        "GETEX k PXAT 1700000000009 -> \"v\"\n"
        "PTTL k -> :9\n"
        "GETEX k PXAT 5 -> \"v\"\n"
        "EXISTS k -> :0\n"
        "SET k v -> +OK\n"
        "GETEX k EX 0 -> -ERR invalid expire time in 'getex' command\n"
        "GETEX k EX -> -ERR syntax error\n"
        "GETEX k PERSIST EX 1 -> -ERR syntax error\n"
        "GETEX k KEEPTTL -> -ERR syntax error\n"
        "GETEX k NX -> -ERR syntax error\n"
        "GETEX k GET -> -ERR syntax error\n"
        "GETEX none foo -> -ERR syntax error\n"
        "TTL k -> :-1\n");
}

static void several_keys(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 2 c 3 -> +OK\n"
        "MGET a b c d a -> [\"1\", \"2\", \"3\", nil, \"1\"]\n"
        "MSET a 4 a 5 -> +OK\n"
        "GET a -> \"5\"\n"
        "MSET a -> -ERR wrong number of arguments for 'mset' command\n"
        "MSET a 1 b -> -ERR wrong number of arguments for 'mset' command\n"
        "MSETNX a 1 b -> -ERR wrong number of arguments for 'msetnx' command\n"
        "GET a -> \"5\"\n"
        "MSETNX x 1 a 2 -> :0\n"
        "EXISTS x -> :0\n"
        "MSETNX x 1 y 2 x 3 -> :1\n"
        "MGET x y -> [\"3\", \"2\"]\n"
        "EXPIRE x 100 -> :1\n"
        "MSET x 4 -> +OK\n"
        "TTL x -> :-1\n");
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
    commandbench_play(
        "INCR n -> :1\n"
        "INCRBY n 10 -> :11\n"
        "DECR n -> :10\n"
        "DECRBY n 20 -> :-10\n"
        "INCRBY n -5 -> :-15\n"
        "DECRBY n -5 -> :-10\n"
        "GET n -> \"-10\"\n"
        "EXPIRE n 100 -> :1\n"
        "INCR n -> :-9\n"
        "TTL n -> :100\n"
        "SET n 9223372036854775807 -> +OK\n"
        "INCR n -> -ERR increment or decrement would overflow\n"
        "DECRBY n -1 -> -ERR increment or decrement would overflow\n"
        "SET n -9223372036854775808 -> +OK\n"
        "DECR n -> -ERR increment or decrement would overflow\n"
        "DECRBY n -9223372036854775808 -> -ERR decrement would overflow\n"
        "INCRBY n 9223372036854775807 -> :-1\n"
        "INCRBY n 1x -> -ERR value is not an integer or out of range\n"
        "SET n 01 -> +OK\n"
        "INCR n -> -ERR value is not an integer or out of range\n"
        "SET n \"\" -> +OK\n"
        "INCR n -> -ERR value is not an integer or out of range\n"
        "SET n \" 1\" -> +OK\n"
        "DECR n -> -ERR value is not an integer or out of range\n"
        "GET n -> \" 1\"\n");
}

static void decimals(void **state)
{
    (void)state;
    commandbench_play(
        "INCRBYFLOAT f 10.50 -> \"10.5\"\n"
        "INCRBYFLOAT f 0.1 -> \"10.6\"\n"
        "INCRBYFLOAT f -5 -> \"5.6\"\n"
        "SET f 5.0e3 -> +OK\n"
        "INCRBYFLOAT f 2.0e2 -> \"5200\"\n"
        "GET f -> \"5200\"\n"
        "EXPIRE f 100 -> :1\n"
        "INCRBYFLOAT f 0 -> \"5200\"\n"
        "TTL f -> :100\n"
        "INCRBYFLOAT f x -> -ERR value is not a valid float\n"
        "INCRBYFLOAT f inf -> -ERR increment would produce NaN or Infinity\n"
        "INCRBYFLOAT f nan -> -ERR value is not a valid float\n"
        "SET f abc -> +OK\n"
        "INCRBYFLOAT f 1 -> -ERR value is not a valid float\n"
        "SET f -inf -> +OK\n"
        "INCRBYFLOAT f 1 -> -ERR increment would produce NaN or Infinity\n"
        "GET f -> \"-inf\"\n");
}

static void parts(void **state)
{
    (void)state;
    commandbench_play(
        "APPEND k Hello -> :5\n"
        "APPEND k \" World\" -> :11\n"
        "GET k -> \"Hello World\"\n"
        "STRLEN k -> :11\n"
        "STRLEN none -> :0\n"
        "APPEND e \"\" -> :0\n"
        "EXISTS e -> :1\n"
        "EXPIRE k 100 -> :1\n"
        "APPEND k ! -> :12\n"
        "TTL k -> :100\n"
        "GETRANGE k 0 4 -> \"Hello\"\n"
        "GETRANGE k -6 -2 -> \"World\"\n"
        "GETRANGE k 0 -1 -> \"Hello World!\"\n"
        "GETRANGE k 5 2 -> \"\"\n"
        "GETRANGE k -1 -5 -> \"\"\n"
        "GETRANGE k 100 200 -> \"\"\n"
        "GETRANGE k -100 2 -> \"Hel\"\n"
        "GETRANGE k -100 -100 -> \"H\"\n"
        "GETRANGE k 0 9223372036854775807 -> \"Hello World!\"\n"
        "GETRANGE k -9223372036854775808 9223372036854775807 -> \"Hello World!\"\n"
        "GETRANGE none 0 -1 -> \"\"\n"
        "GETRANGE e 0 -1 -> \"\"\n"
        "GETRANGE k a 1 -> -ERR value is not an integer or out of range\n"
        "GETRANGE k 0 b -> -ERR value is not an integer or out of range\n"
        "SETRANGE k 6 Ferric -> :12\n"
        "GET k -> \"Hello Ferric\"\n"
        "SETRANGE k 5 __ -> :12\n"
        "GET k -> \"Hello__erric\"\n"
        "TTL k -> :100\n"
        "SETRANGE k 14 x -> :15\n"
        "GET k -> \"Hello__erric\\x00\\x00x\"\n"
        "SETRANGE new 3 x -> :4\n"
        "GET new -> \"\\x00\\x00\\x00x\"\n"
        "SETRANGE none 5 \"\" -> :0\n"
        "EXISTS none -> :0\n"
        "SETRANGE k 500 \"\" -> :15\n"
        "SETRANGE k -1 x -> -ERR offset is out of range\n"
        "SETRANGE k x x -> -ERR value is not an integer or out of range\n"
        "SETRANGE k 536870912 x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)\n"
        "SETRANGE k 9223372036854775807 x -> -ERR string exceeds maximum allowed size "
        "(proto-max-bulk-len)\n"
        "SETRANGE k 536870912 \"\" -> :15\n");
}

/* Asked directly: half a gigabyte is too much for a test. */
static void a_string_has_a_limit(void **state)
{
    (void)state;
    struct buf out = {0};
    struct reply reply = reply_to(&out, 2);
    struct call call = {.reply = &reply};
    assert_true(args_string_fits(&call, STRING_MAX_SIZE - 1, 1));
    assert_true(args_string_fits(&call, STRING_MAX_SIZE, 0));
    assert_int_equal(out.len, 0);
    assert_false(args_string_fits(&call, STRING_MAX_SIZE - 1, 2));
    assert_false(args_string_fits(&call, INT64_MAX, STRING_MAX_SIZE));
    const char *refusal = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    assert_int_equal(out.len, 2 * strlen(refusal));
    assert_memory_equal(out.data, refusal, strlen(refusal));
    buf_fini(&out);
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
