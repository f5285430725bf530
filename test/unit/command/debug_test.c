/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "support/cmocka.h"
#include "support/commandbench.h"

#define ZEROS "0000000000000000000000000000000000000000"

static char *reply_of(struct commandbench *bench, const char *line)
{
    return strdup(commandbench_run(bench, line));
}

static void digests_follow_the_content(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 3});
    commandbench_expect(bench, "DEBUG DIGEST", "+" ZEROS);
    commandbench_expect(bench, "SET a 1", "+OK");
    char *one = reply_of(bench, "DEBUG DIGEST");
    assert_string_not_equal(one, "+" ZEROS);
    commandbench_expect(bench, "SET a 2", "+OK");
    assert_string_not_equal(commandbench_run(bench, "DEBUG DIGEST"), one);
    commandbench_expect(bench, "SWAPDB 0 1", "+OK");
    commandbench_expect(bench, "SELECT 1", "+OK");
    commandbench_expect(bench, "SET a 1", "+OK");
    assert_string_not_equal(commandbench_run(bench, "DEBUG DIGEST"), one);
    commandbench_expect(bench, "SWAPDB 0 1", "+OK");
    assert_string_equal(commandbench_run(bench, "DEBUG DIGEST"), one);
    commandbench_expect(bench, "SELECT 0", "+OK");
    commandbench_expect(bench, "COPY a b", ":1");
    commandbench_expect(bench, "EXPIRE b 100", ":1");
    char *both = reply_of(bench, "DEBUG DIGEST-VALUE a b");
    char *swapped = reply_of(bench, "DEBUG DIGEST-VALUE b a");
    assert_string_equal(both, swapped);
    commandbench_expect(bench, "DEBUG DIGEST-VALUE nothing", "[+" ZEROS "]");
    free(one);
    free(both);
    free(swapped);
    commandbench_free(bench);
}

static void populate_makes_what_is_not_there(void **state)
{
    (void)state;
    commandbench_play(
        "SET key:1 mine -> +OK\n"
        "DEBUG POPULATE 3 -> +OK\n"
        "MGET key:0 key:1 key:2 key:3 -> [\"value:0\", \"mine\", \"value:2\", nil]\n"
        "DEBUG POPULATE 2 p 9 -> +OK\n"
        "MGET p:0 p:1 -> [\"value:0\\x00\\x00\", \"value:1\\x00\\x00\"]\n"
        "DEBUG POPULATE 1 q 3 -> +OK\n"
        "GET q:0 -> \"val\"\n"
        "DEBUG POPULATE 0 -> +OK\n"
        "DEBUG POPULATE -1 -> -ERR value is out of range, must be positive\n"
        "DEBUG POPULATE 1 p x -> -ERR value is out of range, must be positive\n"
        "DEBUG POPULATE 10000000 p 1000 -> -ERR too much for one DEBUG POPULATE\n"
        "DBSIZE -> :6\n");
}

static void object_tells_of_a_value(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 1});
    commandbench_expect(bench, "DEBUG OBJECT a", "-ERR no such key");
    commandbench_expect(bench, "SET a 12345", "+OK");
    const char *text = commandbench_run(bench, "DEBUG OBJECT a");
    assert_non_null(strstr(text, " refcount:1 encoding:int serializedlength:3 "));
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_follow_the_content),
        cmocka_unit_test(populate_makes_what_is_not_there),
        cmocka_unit_test(object_tells_of_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
