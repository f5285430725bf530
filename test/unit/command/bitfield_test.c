/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "support/cmocka.h"
#include "support/commandbench.h"
#include "support/random.h"

static void fields(void **state)
{
    (void)state;
    commandbench_play(
        "BITFIELD k SET u8 0 255 GET u8 0 GET i8 0 -> [:0, :255, :-1]\n"
        "BITFIELD k SET i5 4 -3 GET i5 4 GET u5 4 GET u16 0 -> [:-2, :-3, :29, :65152]\n"
        "GET k -> \"\\xfe\\x80\"\n"
        "BITFIELD k -> []\n"
        "BITFIELD none GET u8 0 GET i64 3 -> [:0, :0]\n"
        "EXISTS none -> :0\n"
        "DEL k -> :1\n"
        "BITFIELD k set u8 #0 65 set u8 #1 66 -> [:0, :0]\n"
        "GET k -> \"AB\"\n"
        "EXPIRE k 100 -> :1\n"
        "BITFIELD k INCRBY u8 #2 67 -> [:67]\n"
        "GET k -> \"ABC\"\n"
        "TTL k -> :100\n"
        "BITFIELD_RO k GET u8 #1 GET u4 0 -> [:66, :4]\n"
        "BITFIELD_RO k -> []\n"
        "BITFIELD_RO k SET u8 0 1 -> -ERR BITFIELD_RO only supports the GET subcommand\n"
        "MULTI -> +OK\n"
        "BITFIELD k SET u8 0 97 -> +QUEUED\n"
        "BITFIELD k GET u8 0 -> +QUEUED\n"
        "BITFIELD_RO k GET u8 8 -> +QUEUED\n"
        "EXEC -> [[:65], [:97], [:66]]\n");
}

static void overflows(void **state)
{
    (void)state;
    commandbench_play(
        "BITFIELD k SET u8 0 255 INCRBY u8 0 1 -> [:0, :0]\n"
        "BITFIELD k SET i8 0 127 INCRBY i8 0 1 INCRBY i8 0 -1 -> [:0, :-128, :127]\n"
        "BITFIELD k OVERFLOW SAT INCRBY i8 0 1 INCRBY i8 0 -300 -> [:127, :-128]\n"
        "BITFIELD k OVERFLOW FAIL INCRBY i8 0 -1 SET i8 0 128 SET u8 0 -1 GET i8 0 -> "
        "[nil, nil, nil, :-128]\n"
        "BITFIELD k OVERFLOW FAIL INCRBY i8 0 1 OVERFLOW WRAP INCRBY i8 0 -2 -> [:-127, :127]\n"
        "BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1 -> "
        "[:9151314442816847872, :-9223372036854775808]\n"
        "BITFIELD k OVERFLOW SAT INCRBY i64 0 -1 INCRBY i64 0 9223372036854775807 INCRBY i64 0 9 "
        "-> [:-9223372036854775808, :-1, :8]\n"
        "BITFIELD k OVERFLOW SAT SET u63 0 -1 GET u63 0 -> [:4, :9223372036854775807]\n"
        "BITFIELD k SET i1 0 1 GET i1 0 OVERFLOW SAT INCRBY i1 0 5 -> [:-1, :-1, :0]\n"
        /* The numbers nearest to the ends of 64 bits. */
        "BITFIELD k OVERFLOW SAT SET i16 #0 -9223372036854775808 GET i16 #0 -> [:32767, :-32768]\n"
        "BITFIELD k OVERFLOW SAT SET i16 #0 9223372036854775807 GET i16 #0 -> [:-32768, :32767]\n"
        "BITFIELD k SET u8 #0 -9223372036854775808 GET u8 #0 -> [:127, :0]\n");
}

static void room_is_made_for_what_fails(void **state)
{
    (void)state;
    commandbench_play(
        "BITFIELD k OVERFLOW FAIL SET u8 10 256 -> [nil]\n"
        "STRLEN k -> :3\n"
        "BITFIELD k SET u1 30 0 -> [:0]\n"
        "GET k -> \"\\x00\\x00\\x00\\x00\"\n");
}

static void refusals(void **state)
{
    (void)state;
    commandbench_play(
        "BITFIELD -> -ERR wrong number of arguments for 'bitfield' command\n"
        "BITFIELD k GET -> -ERR syntax error\n"
        "BITFIELD k SET u8 0 -> -ERR syntax error\n"
        "BITFIELD k SET u8 0 1 FOO -> -ERR syntax error\n"
        "BITFIELD k OVERFLOW -> -ERR syntax error\n"
        "BITFIELD k SET u8 0 1 OVERFLOW x -> -ERR Invalid OVERFLOW type specified\n"
        "BITFIELD k SET u8 0 1 GET u64 0 -> -ERR Invalid bitfield type. Use something like i16 u8. "
        "Note that u64 is not supported but i64 is.\n"
        "BITFIELD k SET u8 0 1 SET u8 -1 1 -> -ERR bit offset is not an integer or out of range\n"
        "BITFIELD k SET u8 4294967296 1 -> -ERR bit offset is not an integer or out of range\n"
        "BITFIELD k SET u8 #536870912 1 -> -ERR bit offset is not an integer or out of range\n"
        "BITFIELD k SET i64 #288230376151711744 1 -> "
        "-ERR bit offset is not an integer or out of range\n"
        /* It begins inside and ends outside. */
        "BITFIELD k SET u8 4294967295 1 -> "
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n"
        "BITFIELD k SET u8 0 x -> -ERR value is not an integer or out of range\n"
        "EXISTS k -> :0\n");
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
    const char *refusal = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    commandbench_expect(bench, "BITFIELD list GET u8 0", refusal);
    commandbench_expect(bench, "BITFIELD list SET u8 0 1", refusal);
    commandbench_expect(bench, "BITFIELD list", refusal);
    commandbench_expect(bench, "BITFIELD_RO list GET u8 0", refusal);
    commandbench_free(bench);
}

/* What changes nothing is answered without the log; what does is not. */
static void reads_are_peeked(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    commandbench_expect(bench, "BITFIELD k SET u8 0 7", "[:0]");
    assert_int_equal(bench->peeks, 0);
    commandbench_expect(bench, "BITFIELD k GET u8 0", "[:7]");
    assert_int_equal(bench->peeks, 1);
    commandbench_expect(bench, "BITFIELD k FOO", "-ERR syntax error");
    assert_int_equal(bench->peeks, 2);
    commandbench_expect(bench, "BITFIELD k GET u8 0 INCRBY u8 0 0", "[:7, :7]");
    assert_int_equal(bench->peeks, 3);
    commandbench_expect(bench, "BITFIELD k GET u8 0 INCRBY u8 0 1", "[:7, :8]");
    assert_int_equal(bench->peeks, 3);
    commandbench_free(bench);
}

/* Of fields up to 62 bits wide, for which 64 bits are enough. */
static int64_t model_add(bool is_signed, unsigned width, int64_t sum, unsigned overflow,
                         bool *out_refused)
{
    int64_t count = INT64_C(1) << width;
    int64_t low = is_signed ? -(count / 2) : 0;
    int64_t high = low + count - 1;
    *out_refused = false;
    if (sum >= low && sum <= high)
        return sum;
    *out_refused = overflow == 2;
    if (overflow == 1)
        return sum < low ? low : high;
    int64_t rest = (sum - low) % count;
    return low + (rest < 0 ? rest + count : rest);
}

static void random_sums(void **state)
{
    (void)state;
    static const char *const overflows[] = {"WRAP", "SAT", "FAIL"};
    struct random source = {.state = random_seed()};
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    for (int round = 0; round < 3000; round++) {
        char line[160];
        char want[80];
        bool is_signed = random_below(&source, 2) == 0;
        unsigned width = 2 + (unsigned)random_below(&source, 59);
        unsigned overflow = (unsigned)random_below(&source, 3);
        uint64_t idx = random_below(&source, 100);
        uint64_t cells = UINT64_C(1) << (width - is_signed);
        int64_t start = (int64_t)random_below(&source, cells);
        int64_t change = (int64_t)random_below(&source, cells * 2) - (int64_t)cells;
        char sign = is_signed ? 'i' : 'u';
        bool is_refused;
        int64_t result = model_add(is_signed, width, start + change, overflow, &is_refused);
        snprintf(line, sizeof(line), "BITFIELD k SET %c%u %" PRIu64 " %" PRId64, sign, width, idx,
                 start);
        commandbench_run(bench, line);
        snprintf(line, sizeof(line), "BITFIELD k OVERFLOW %s INCRBY %c%u %" PRIu64 " %" PRId64,
                 overflows[overflow], sign, width, idx, change);
        snprintf(want, sizeof(want), "[:%" PRId64 "]", result);
        commandbench_expect(bench, line, is_refused ? "[nil]" : want);
        snprintf(line, sizeof(line), "BITFIELD_RO k GET %c%u %" PRIu64, sign, width, idx);
        snprintf(want, sizeof(want), "[:%" PRId64 "]", is_refused ? start : result);
        commandbench_expect(bench, line, want);
    }
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(overflows),
        cmocka_unit_test(room_is_made_for_what_fails),
        cmocka_unit_test(refusals),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(reads_are_peeked),
        cmocka_unit_test(random_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
