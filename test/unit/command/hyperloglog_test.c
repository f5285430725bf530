/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "support/cmocka.h"
#include "support/commandbench.h"

static void adding_and_counting(void **state)
{
    (void)state;
    commandbench_play(
        "PFADD h a b c -> :1\n"
        "GET h -> \"HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80"
        "`\\xf3\\x80P\\xb1\\x84K\\xfb\\x80BZ\"\n"
        "PFCOUNT h -> :3\n"
        "GETRANGE h 8 15 -> \"\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\n"
        "PFADD h a -> :0\n"
        "PFADD h -> :0\n"
        "GETRANGE h 8 15 -> \"\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\n"
        "EXPIRE h 100 -> :1\n"
        "PFADD h d -> :1\n"
        "TTL h -> :100\n"
        "GETRANGE h 15 15 -> \"\\x80\"\n"
        "PFCOUNT h -> :4\n"
        "TTL h -> :100\n"
        "PFADD empty -> :1\n"
        "PFCOUNT empty -> :0\n"
        "PFCOUNT none -> :0\n"
        "EXISTS none -> :0\n"
        "PFADD -> -ERR wrong number of arguments for 'pfadd' command\n"
        "PFCOUNT -> -ERR wrong number of arguments for 'pfcount' command\n");
}

/* The keys lie in several shards. */
static void merging(void **state)
{
    (void)state;
    commandbench_play(
        "PFADD a 1 2 3 -> :1\n"
        "PFADD b 3 4 5 -> :1\n"
        "PFCOUNT a b -> :5\n"
        "PFCOUNT a none b a -> :5\n"
        "PFMERGE d a b -> +OK\n"
        "PFCOUNT d -> :5\n"
        "EXPIRE a 100 -> :1\n"
        "PFMERGE a b -> +OK\n"
        "PFCOUNT a -> :5\n"
        "TTL a -> :100\n"
        "PFMERGE new none -> +OK\n"
        "STRLEN new -> :18\n"
        "PFDEBUG TODENSE b -> :1\n"
        "PFMERGE e a b -> +OK\n"
        "PFDEBUG ENCODING e -> +dense\n"
        "PFDEBUG encoding d -> +sparse\n"
        "MULTI -> +OK\n"
        "PFADD m x y -> +QUEUED\n"
        "PFCOUNT m -> +QUEUED\n"
        "PFMERGE m a -> +QUEUED\n"
        "PFCOUNT m -> +QUEUED\n"
        "PFCOUNT m b -> +QUEUED\n"
        "EXEC -> [:1, :2, +OK, :7, :7]\n");
}

static void debugging(void **state)
{
    (void)state;
    commandbench_play(
        "PFADD h a b c -> :1\n"
        "PFDEBUG DECODE h -> \"Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603\"\n"
        "PFDEBUG TODENSE h -> :1\n"
        "PFDEBUG TODENSE h -> :0\n"
        "PFDEBUG DECODE h -> -ERR HLL encoding is not sparse\n"
        "STRLEN h -> :12304\n"
        "PFCOUNT h -> :3\n"
        "PFDEBUG ENCODING none -> -ERR The specified key does not exist\n"
        "PFDEBUG FOO h -> -ERR Unknown PFDEBUG subcommand 'FOO'\n"
        "PFSELFTEST -> +OK\n");
}

static void other_strings_are_refused(void **state)
{
    (void)state;
#define NO_HLL "-WRONGTYPE Key is not a valid HyperLogLog string value.\n"
    commandbench_play(
        "MSET s HYLL t \"\" -> +OK\n"
        "PFADD h a -> :1\n"
        "PFADD s a -> " NO_HLL "PFADD s -> " NO_HLL "PFADD t a -> " NO_HLL "PFCOUNT s -> " NO_HLL
        "PFCOUNT h s -> " NO_HLL "PFMERGE s h -> " NO_HLL "PFMERGE h s -> " NO_HLL
        "PFDEBUG GETREG s -> " NO_HLL
        "GET s -> \"HYLL\"\n"
        "PFCOUNT h -> :1\n");
#undef NO_HLL
}

/* The registers are one too few. */
static void corrupt_values_are_refused_and_left(void **state)
{
    (void)state;
#define CORRUPT "-INVALIDOBJ Corrupted HLL object detected\n"
    commandbench_play(
        "PFADD h a -> :1\n"
        "SET s \"HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\\x40\\x00\" -> "
        "+OK\n"
        "PFADD s a b c d -> " CORRUPT "PFCOUNT s -> " CORRUPT "PFCOUNT s h -> " CORRUPT
        "PFMERGE s h -> " CORRUPT "PFMERGE h s -> " CORRUPT "PFDEBUG GETREG s -> " CORRUPT
        "PFDEBUG TODENSE s -> " CORRUPT
        "PFDEBUG DECODE s -> \"Z:1\"\n"
        "GETRANGE s 16 -1 -> \"@\\x00\"\n"
        "PFCOUNT h -> :1\n");
#undef CORRUPT
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
    static const char *const refused[] = {"PFADD list a",   "PFCOUNT list",
                                          "PFCOUNT x list", "PFMERGE list",
                                          "PFMERGE d list", "PFDEBUG ENCODING list"};
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        commandbench_expect(bench, refused[i],
                            "-WRONGTYPE Operation against a key holding the wrong kind of value");
    commandbench_free(bench);
}

/* Of counts, only the one that is to be kept has to be logged. */
static void what_changes_nothing_is_peeked(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    commandbench_expect(bench, "PFCOUNT h", ":0");
    assert_int_equal(bench->peeks, 1);
    commandbench_expect(bench, "PFADD h a", ":1");
    commandbench_expect(bench, "PFCOUNT h x", ":1");
    assert_int_equal(bench->peeks, 2);
    commandbench_expect(bench, "PFCOUNT h", ":1");
    assert_int_equal(bench->peeks, 2);
    commandbench_expect(bench, "PFCOUNT h", ":1");
    assert_int_equal(bench->peeks, 3);
    /* So have elements that change something, and what makes a value dense. */
    commandbench_expect(bench, "PFADD h a a", ":0");
    commandbench_expect(bench, "PFADD h", ":0");
    commandbench_expect(bench, "PFDEBUG ENCODING h", "+sparse");
    assert_int_equal(bench->peeks, 6);
    commandbench_expect(bench, "PFDEBUG TODENSE h", ":1");
    commandbench_expect(bench, "PFADD h a b", ":1");
    commandbench_expect(bench, "PFADD new", ":1");
    assert_int_equal(bench->peeks, 6);
    commandbench_expect(bench, "PFDEBUG TODENSE h", ":0");
    commandbench_expect(bench, "PFADD h b a", ":0");
    assert_int_equal(bench->peeks, 8);
    commandbench_free(bench);
}

static void all_cold_values_are_asked_for_at_once(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 3});
    bench->is_chilling = true;
    for (int i = 0; i < 12; i++) {
        char line[32];
        snprintf(line, sizeof(line), "PFADD %c %d", 'a' + i, i);
        commandbench_expect(bench, line, ":1");
    }
    /* Some of them may be read at once. */
    uint64_t before = bench->cold_runs;
    commandbench_expect(bench, "PFMERGE m a b c d e f g h i j k l", "+OK");
    assert_int_equal(bench->cold_runs, before + 1);
    commandbench_expect(bench, "PFCOUNT a b c d e f g h i j k l x", ":12");
    assert_int_equal(bench->cold_runs, before + 2);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_and_counting),
        cmocka_unit_test(merging),
        cmocka_unit_test(debugging),
        cmocka_unit_test(other_strings_are_refused),
        cmocka_unit_test(corrupt_values_are_refused_and_left),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(what_changes_nothing_is_peeked),
        cmocka_unit_test(all_cold_values_are_asked_for_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
