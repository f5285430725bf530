/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

static void texts_and_lengths(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a ohmytext b mynewtext -> +OK\n"
        "LCS a b -> \"mytext\"\n"
        "LCS a b LEN -> :6\n"
        "LCS a a -> \"ohmytext\"\n"
        "LCS a none -> \"\"\n"
        "LCS none a LEN -> :0\n"
        "LCS none none -> \"\"\n"
        "SET n 1234 -> +OK\n"
        "SET m 243 -> +OK\n"
        "LCS n m -> \"24\"\n"
        "LCS m n -> \"23\"\n"
        "SET c \"\\x00\\xff\\x00\" -> +OK\n"
        "SET d \"\\xff\\x00\\xff\" -> +OK\n"
        "LCS c d len withmatchlen -> :2\n");
}

static void ranges(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a ohmytext b mynewtext -> +OK\n"
        "LCS a b IDX -> [\"matches\", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], \"len\", :6]\n"
        "LCS a b IDX WITHMATCHLEN -> [\"matches\", [[[:4, :7], [:5, :8], :4], "
        "[[:2, :3], [:0, :1], :2]], \"len\", :6]\n"
        "LCS a b IDX MINMATCHLEN 4 -> [\"matches\", [[[:4, :7], [:5, :8]]], \"len\", :6]\n"
        "LCS a b minmatchlen 9 idx -> [\"matches\", [], \"len\", :6]\n"
        "LCS a none IDX -> [\"matches\", [], \"len\", :0]\n");
}

static void refusals(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a x b y -> +OK\n"
        "LCS a -> -ERR wrong number of arguments for 'lcs' command\n"
        "LCS a b FOO -> -ERR syntax error\n"
        "LCS a b MINMATCHLEN -> -ERR syntax error\n"
        "LCS a b MINMATCHLEN x -> -ERR value is not an integer or out of range\n"
        "LCS a b IDX LEN -> -ERR If you want both the length and indexes, please just use IDX.\n");
}

/* Redis's table would have 4 bytes for each of 20001 * 20001 cells. */
static void long_texts_are_refused(void **state)
{
    (void)state;
    commandbench_play(
        "SETRANGE a 19999 x -> :20000\n"
        "SETRANGE b 19999 y -> :20000\n"
        "LCS a b LEN -> -ERR Insufficient memory, transient memory for LCS exceeds "
        "proto-max-bulk-len\n"
        "SETRANGE short 6 y -> :7\n"
        "LCS a short LEN -> :6\n");
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
    commandbench_expect(bench, "LCS list none",
                        "-ERR The specified keys must contain string values");
    commandbench_expect(bench, "LCS none list FOO",
                        "-ERR The specified keys must contain string values");
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_lengths),
        cmocka_unit_test(ranges),
        cmocka_unit_test(refusals),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(other_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
