/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

static void single_bits(void **state)
{
    (void)state;
    commandbench_play(
        "SETBIT k 7 1 -> :0\n"
        "SETBIT k 7 1 -> :1\n"
        "GET k -> \"\\x01\"\n"
        "SETBIT k 0 1 -> :0\n"
        "SETBIT k 20 0 -> :0\n"
        "GET k -> \"\\x81\\x00\\x00\"\n"
        "EXPIRE k 100 -> :1\n"
        "SETBIT k 7 0 -> :1\n"
        "TTL k -> :100\n"
        "GETBIT k 0 -> :1\n"
        "GETBIT k 7 -> :0\n"
        "GETBIT k 4294967295 -> :0\n"
        "GETBIT none 0 -> :0\n"
        "EXISTS none -> :0\n"
        "SET n 1 -> +OK\n"
        "SETBIT n 6 1 -> :0\n"
        "INCR n -> :4\n"
        "MULTI -> +OK\n"
        "SETBIT m 3 1 -> +QUEUED\n"
        "GETBIT m 3 -> +QUEUED\n"
        "BITCOUNT m -> +QUEUED\n"
        "BITPOS m 1 -> +QUEUED\n"
        "EXEC -> [:0, :1, :1, :3]\n");
}

static void single_bits_refuse(void **state)
{
    (void)state;
    commandbench_play(
        "SETBIT k 0 -> -ERR wrong number of arguments for 'setbit' command\n"
        "SETBIT k x 1 -> -ERR bit offset is not an integer or out of range\n"
        "SETBIT k -1 1 -> -ERR bit offset is not an integer or out of range\n"
        "SETBIT k #1 1 -> -ERR bit offset is not an integer or out of range\n"
        "SETBIT k 4294967296 1 -> -ERR bit offset is not an integer or out of range\n"
        "SETBIT k 9223372036854775807 1 -> -ERR bit offset is not an integer or out of range\n"
        "SETBIT k 0 2 -> -ERR bit is not an integer or out of range\n"
        "SETBIT k 0 x -> -ERR bit is not an integer or out of range\n"
        "GETBIT k -1 -> -ERR bit offset is not an integer or out of range\n"
        "EXISTS k -> :0\n");
}

static void counting(void **state)
{
    (void)state;
    commandbench_play(
        "SET k foobar -> +OK\n"
        "BITCOUNT k -> :26\n"
        "BITCOUNT k 0 0 -> :4\n"
        "BITCOUNT k 1 -2 -> :18\n"
        "BITCOUNT k -2 -1 byte -> :7\n"
        "BITCOUNT k 5 30 BIT -> :17\n"
        "BITCOUNT k -3 -1 BIT -> :1\n"
        "BITCOUNT k 3 1 -> :0\n"
        "BITCOUNT k -1 -2 -> :0\n"
        "BITCOUNT k 6 10 -> :0\n"
        "BITCOUNT none -> :0\n"
        "BITCOUNT k 1 -> -ERR syntax error\n"
        "BITCOUNT k 1 2 BITS -> -ERR syntax error\n"
        "BITCOUNT k 1 2 BIT x -> -ERR syntax error\n"
        "BITCOUNT k x 2 -> -ERR value is not an integer or out of range\n"
        "BITCOUNT k -9223372036854775808 9223372036854775807 BIT -> :26\n");
}

static void finding(void **state)
{
    (void)state;
    commandbench_play(
        "SET k \"\\x00\\xff\\xf0\" -> +OK\n"
        "BITPOS k 1 -> :8\n"
        "BITPOS k 0 1 -> :20\n"
        "BITPOS k 1 2 -> :16\n"
        "BITPOS k 1 3 -> :-1\n"
        "BITPOS k 0 8 19 BIT -> :-1\n"
        "BITPOS k 1 7 15 bit -> :8\n"
        "BITPOS k 1 -8 -1 BIT -> :16\n"
        "SET k \"\\xff\\xff\" -> +OK\n"
        "BITPOS k 0 -> :16\n"
        "BITPOS k 0 1 -> :16\n"
        "BITPOS k 0 0 -1 -> :-1\n"
        "BITPOS k 0 2 -> :-1\n"
        "BITPOS none 0 -> :0\n"
        "BITPOS none 1 -> :-1\n"
        "BITPOS k 2 -> -ERR The bit argument must be 1 or 0.\n"
        "BITPOS k x -> -ERR value is not an integer or out of range\n"
        "BITPOS k 1 0 1 BITS -> -ERR syntax error\n"
        "BITPOS k 1 0 1 BIT x -> -ERR syntax error\n");
}

/* The keys lie in several shards. */
static void combining(void **state)
{
    (void)state;
    commandbench_play(
        "SET a \"\\xff\\x0f\" -> +OK\n"
        "SET b \"\\xf0\\xff\\xaa\" EX 100 -> +OK\n"
        "SET d old EX 100 -> +OK\n"
        "BITOP AND d a b -> :3\n"
        "GET d -> \"\\xf0\\x0f\\x00\"\n"
        "TTL d -> :-1\n"
        "BITOP or e a b -> :3\n"
        "GET e -> \"\\xff\\xff\\xaa\"\n"
        "BITOP XOR f a b none -> :3\n"
        "GET f -> \"\\x0f\\xf0\\xaa\"\n"
        "BITOP NOT g b -> :3\n"
        "GET g -> \"\\x0f\\x00U\"\n"
        "BITOP AND g b none b -> :3\n"
        "GET g -> \"\\x00\\x00\\x00\"\n"
        "BITOP XOR a a a -> :2\n"
        "GET a -> \"\\x00\\x00\"\n"
        "BITOP NOT b b -> :3\n"
        "GET b -> \"\\x0f\\x00U\"\n"
        "BITOP OR d none nothing -> :0\n"
        "EXISTS d -> :0\n"
        "SETBIT long 20001 1 -> :0\n"
        "BITOP OR h long b -> :2501\n"
        "BITCOUNT h -> :9\n"
        "BITOP NAND d a -> -ERR syntax error\n"
        "BITOP NOT d a b -> -ERR BITOP NOT must be called with a single source key.\n"
        "BITOP AND d -> -ERR wrong number of arguments for 'bitop' command\n"
        "MULTI -> +OK\n"
        "SET a \"\\x01\" -> +QUEUED\n"
        "BITOP OR d a b -> +QUEUED\n"
        "GET d -> +QUEUED\n"
        "EXEC -> [+OK, :3, \"\\x0f\\x00U\"]\n");
}

static void all_cold_sources_are_asked_for_at_once(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 3});
    bench->is_chilling = true;
    commandbench_expect(bench, "MSET a 1 b 2 c 3 d 4 e 5 f 6 h 7 i 6 j 5 k 4", "+OK");
    commandbench_expect(bench, "BITOP OR g a b c d e f x h i j k", ":1");
    assert_int_equal(bench->cold_runs, 1);
    commandbench_expect(bench, "GET g", "\"7\"");
    commandbench_free(bench);
}

static void other_types_are_refused(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    storebench_begin(bench->store, TX_APPLY);
    tx_put(bench->store->tx, 0, SLICE_LIT("list"),
           &(struct tx_value){.type = VALUE_LIST, .bytes = SLICE_LIT("x")});
    storebench_commit(bench->store);
    uint64_t before = storebench_digest(bench->store);
    static const char *const refused[] = {
        "SETBIT list 0 1", "GETBIT list 0",      "BITCOUNT list",
        "BITPOS list 1",   "BITOP AND d list x", "BITOP AND list x list",
    };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        commandbench_expect(bench, refused[i],
                            "-WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_int_equal(storebench_digest(bench->store), before);
    /* The destination may hold anything. */
    commandbench_expect(bench, "SET a v", "+OK");
    commandbench_expect(bench, "BITOP OR list a", ":1");
    commandbench_expect(bench, "TYPE list", "+string");
    commandbench_free(bench);
}

static void bits_that_are_so_already_are_peeked(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    commandbench_expect(bench, "SETBIT k 3 0", ":0");
    commandbench_expect(bench, "SETBIT k 3 1", ":0");
    commandbench_expect(bench, "SETBIT k 8 0", ":0");
    assert_int_equal(bench->peeks, 0);
    commandbench_expect(bench, "SETBIT k 3 1", ":1");
    commandbench_expect(bench, "SETBIT k 15 0", ":0");
    assert_int_equal(bench->peeks, 2);
    commandbench_expect(bench, "GET k", "\"\\x10\\x00\"");
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_bits),
        cmocka_unit_test(single_bits_refuse),
        cmocka_unit_test(counting),
        cmocka_unit_test(finding),
        cmocka_unit_test(combining),
        cmocka_unit_test(all_cold_sources_are_asked_for_at_once),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(bits_that_are_so_already_are_peeked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
