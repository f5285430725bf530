/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/store.h"
#include "support/cmocka.h"
#include "support/commandbench.h"

static void usage_is_read(void **state)
{
    (void)state;
    commandbench_play(
        "MEMORY USAGE nothing -> nil\n"
        "MEMORY USAGE nothing SAMPLES 5 -> nil\n"
        "MEMORY USAGE nothing samples 5 SAMPLES 0 -> nil\n"
        "MEMORY USAGE nothing SAMPLES -> -ERR syntax error\n"
        "MEMORY USAGE nothing SAMPLES -1 -> -ERR syntax error\n"
        "MEMORY USAGE nothing SAMPLES x -> -ERR value is not an integer or out of "
        "range\n"
        "MEMORY USAGE nothing FOO 1 -> -ERR syntax error\n"
        "MEMORY USAGE -> -ERR wrong number of arguments for 'memory|usage' "
        "command\n");
}

static int64_t usage(struct commandbench *bench, const char *line)
{
    const char *text = commandbench_run(bench, line);
    assert_int_equal(text[0], ':');
    return strtoll(text + 1, NULL, 10);
}

static void usage_is_what_the_table_holds(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.shard_count = 1, .hot_max_value = SIZE_MAX});
    commandbench_expect(bench, "SET a 1", "+OK");
    struct store *store = bench->store->stores.shards[0];
    const struct keydir *dir = store_keydir(store, 0);
    int64_t small = usage(bench, "MEMORY USAGE a");
    assert_int_equal(small, keydir_bytes(dir) - keydir_table_bytes(dir) + 8);
    commandbench_expect(bench, "EXPIRE a 1000", ":1");
    assert_in_range(usage(bench, "MEMORY USAGE a"), small + 16, small + 24);
    commandbench_expect(bench, "SETRANGE a 99999 x", ":100000");
    int64_t large = usage(bench, "MEMORY USAGE a");
    assert_in_range(large, 100000, 130000);
    assert_int_equal(large, keydir_bytes(dir) - keydir_table_bytes(dir) + 16);
    commandbench_expect(bench, "SET a 1", "+OK");
    assert_int_equal(usage(bench, "MEMORY USAGE a SAMPLES 0"), small);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_read),
        cmocka_unit_test(usage_is_what_the_table_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
