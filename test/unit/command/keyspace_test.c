/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

#include <stdio.h>

static void several_keys(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 2 c 3 -> +OK\n"
        "EXISTS a b x a -> :3\n"
        "TOUCH a x a -> :2\n"
        "DEL x -> :0\n"
        "DEL a a x b -> :2\n"
        "UNLINK c c -> :1\n"
        "EXISTS a b c -> :0\n"
        "TYPE a -> +none\n"
        "SET a 1 -> +OK\n"
        "TYPE a -> +string\n"
        "DEL -> -ERR wrong number of arguments for 'del' command\n"
        "TOUCH -> -ERR wrong number of arguments for 'touch' command\n");
}

static void rename_moves_the_key(void **state)
{
    (void)state;
    commandbench_play(
        "RENAME a b -> -ERR no such key\n"
        "RENAMENX a b -> -ERR no such key\n"
        "RENAME a a -> -ERR no such key\n"
        "SET a 1 EX 10 -> +OK\n"
        "RENAME a a -> +OK\n"
        "RENAMENX a a -> :0\n"
        "TTL a -> :10\n"
        "RENAME a b -> +OK\n"
        "EXISTS a -> :0\n"
        "GET b -> \"1\"\n"
        "TTL b -> :10\n"
        "SET c 2 -> +OK\n"
        "RENAMENX b c -> :0\n"
        "GET c -> \"2\"\n"
        "RENAMENX b d -> :1\n"
        "GET d -> \"1\"\n"
        "RENAME d c -> +OK\n"
        "GET c -> \"1\"\n"
        "TTL c -> :10\n"
        "EXISTS a b d -> :0\n"
        "SET e \"\" -> +OK\n"
        "RENAME e f -> +OK\n"
        "GET f -> \"\"\n"
        "RENAME a -> -ERR wrong number of arguments for 'rename' command\n");
}

static void copy_copies_the_key(void **state)
{
    (void)state;
    commandbench_play(
        "COPY a b -> :0\n"
        "SET a 1 EX 10 -> +OK\n"
        "COPY a b -> :1\n"
        "GET b -> \"1\"\n"
        "TTL b -> :10\n"
        "SET a 2 -> +OK\n"
        "COPY a b -> :0\n"
        "GET b -> \"1\"\n"
        "COPY a b REPLACE -> :1\n"
        "GET b -> \"2\"\n"
        "TTL b -> :-1\n"
        "COPY a a -> -ERR source and destination objects are the same\n"
        "COPY a a REPLACE -> -ERR source and destination objects are the same\n"
        "COPY a a DB 1 -> :1\n"
        "COPY a a DB 1 -> :0\n"
        "COPY a a db 1 replace -> :1\n"
        "COPY a a DB 0 -> -ERR source and destination objects are the same\n"
        "COPY a b DB 1 DB 2 -> :1\n"
        "SELECT 1 -> +OK\n"
        "GET a -> \"2\"\n"
        "EXISTS b -> :0\n"
        "SELECT 2 -> +OK\n"
        "GET b -> \"2\"\n"
        "COPY b b DB 4 -> -ERR DB index is out of range\n"
        "COPY b b DB -1 -> -ERR DB index is out of range\n"
        "COPY b b DB x -> -ERR value is not an integer or out of range\n"
        "COPY b b DB 3000000000 -> -ERR value is out of range, value must between -2147483648 and "
        "2147483647\n"
        "COPY b c foo -> -ERR syntax error\n"
        "COPY b c DB -> -ERR syntax error\n"
        "EXISTS c -> :0\n");
}

static void databases_are_apart(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 2 -> +OK\n"
        "SELECT 1 -> +OK\n"
        "GET a -> nil\n"
        "MSET a 3 c 4 d 5 -> +OK\n"
        "DBSIZE -> :3\n"
        "SELECT 0 -> +OK\n"
        "GET a -> \"1\"\n"
        "DBSIZE -> :2\n"
        "FLUSHDB -> +OK\n"
        "DBSIZE -> :0\n"
        "GET a -> nil\n"
        "SET a 9 -> +OK\n"
        "SELECT 1 -> +OK\n"
        "DBSIZE -> :3\n"
        "FLUSHDB sync -> +OK\n"
        "DBSIZE -> :0\n"
        "SET a 1 -> +OK\n"
        "FLUSHALL ASYNC -> +OK\n"
        "EXISTS a -> :0\n"
        "SELECT 0 -> +OK\n"
        "EXISTS a -> :0\n"
        "FLUSHALL foo -> -ERR syntax error\n"
        "FLUSHDB SYNC ASYNC -> -ERR syntax error\n"
        "FLUSHALL SYNC -> +OK\n"
        "RANDOMKEY -> nil\n"
        "SET only 1 -> +OK\n"
        "RANDOMKEY -> \"only\"\n");
}

/* Not only ever the same one, and none that has expired. */
static void random_keys_vary(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(
        &(struct storebench_options){.seed = 3, .shard_count = 3, .hot_max_value = SIZE_MAX});
    commandbench_expect(bench, "MSET a 1 b 2 c 3 d 4", "+OK");
    for (char key = 'e'; key <= 'z'; key++) {
        char line[32];
        snprintf(line, sizeof(line), "SET %c v PX 1", key);
        commandbench_expect(bench, line, "+OK");
    }
    commandbench_run(bench, "ADVANCE 1");
    unsigned seen[128] = {0};
    for (int i = 0; i < 400; i++)
        seen[(unsigned)commandbench_run(bench, "RANDOMKEY")[1]]++;
    for (char key = 'a'; key <= 'd'; key++)
        assert_in_range(seen[(unsigned)key], 20, 400);
    for (char key = 'e'; key <= 'z'; key++)
        assert_int_equal(seen[(unsigned)key], 0);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_keys),        cmocka_unit_test(rename_moves_the_key),
        cmocka_unit_test(copy_copies_the_key), cmocka_unit_test(databases_are_apart),
        cmocka_unit_test(random_keys_vary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
