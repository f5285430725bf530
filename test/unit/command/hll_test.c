/* SPDX-License-Identifier: Apache-2.0 */
#include "command/hyperloglog/hll.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"

static uint64_t fnv(struct slice bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void add(struct buf *value, struct slice element, bool *out_raised)
{
    assert_int_equal(hll_raise(value, hll_place_of(element), out_raised), 0);
}

static uint64_t count_of(struct slice value)
{
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    assert_int_equal(hll_merge(value, ranks), 0);
    uint64_t count = hll_estimate(ranks);
    mem_free(ranks);
    return count;
}

static struct buf value_of(struct slice registers)
{
    struct buf value = {0};
    hll_init(&value);
    value.len = HLL_HEADER_SIZE;
    buf_append_slice(&value, registers);
    return value;
}

/* What Redis 7.0.15 has after PFADD of e0, e1, ... in this order. */
static void values_and_counts_are_those_of_redis(void **state)
{
    (void)state;
    static const struct {
        unsigned elements;
        uint64_t count;
        size_t size;
        uint64_t hash; /* of what follows the header */
    } known[] = {
        {1, 1, 21, UINT64_C(0x460d79c5628eb9f7)},
        {10, 10, 48, UINT64_C(0x4f6bfcaaf8e3c8dc)},
        {100, 100, 285, UINT64_C(0x0e2bb06644fbe898)},
        {1000, 1008, 1906, UINT64_C(0xc21d30185c05f396)},
        {1500, 1509, 2719, UINT64_C(0x1ac46e9b10948f06)},
        {2000, 2000, 12304, UINT64_C(0x99149dc22ab53da1)},
        {10000, 9973, 12304, UINT64_C(0x220e8255bf168698)},
        {100000, 100853, 12304, UINT64_C(0x0fd8774c1e96b5d3)},
    };
    struct buf value = {0};
    unsigned added = 0;
    hll_init(&value);
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        for (; added < known[i].elements; added++) {
            char element[16];
            bool is_raised;
            snprintf(element, sizeof(element), "e%u", added);
            add(&value, slice_str(element), &is_raised);
        }
        assert_true(hll_is_valid(buf_slice(&value)));
        assert_int_equal(value.len, known[i].size);
        assert_int_equal(fnv(slice_sub(buf_slice(&value), HLL_HEADER_SIZE, SIZE_MAX)),
                         known[i].hash);
        assert_int_equal(count_of(buf_slice(&value)), known[i].count);
    }
    buf_fini(&value);
}

/* Elements of all lengths, of which the hash takes eight bytes at a time. */
static void elements_have_their_places(void **state)
{
    (void)state;
    static const char *const elements[] = {"", "aaaaaaa", "bbbbbbbb", "ccccccccccccccc",
                                           "dddddddddddddddd"};
    struct buf value = {0};
    struct buf text = {0};
    bool is_raised;
    hll_init(&value);
    for (size_t i = 0; i < ARRAY_COUNT(elements); i++)
        add(&value, slice_str(elements[i]), &is_raised);
    assert_int_equal(hll_describe(buf_slice(&value), &text), 0);
    assert_true(slice_eq(buf_slice(&text),
                         SLICE_LIT("Z:234 v:4,1 Z:5703 v:2,1 Z:3118 v:5,1 Z:1948 v:1,1 Z:1233 "
                                   "v:1,1 Z:4143")));
    buf_fini(&value);
    buf_fini(&text);
}

/* Random raises, sparse to dense, against plain ranks; many of neighbours, so that runs of all
 * kinds are split and joined. */
static void registers_are_raised(void **state)
{
    (void)state;
    struct random source = {.state = random_seed()};
    for (int trial = 0; trial < 30; trial++) {
        uint8_t want[HLL_REGISTERS] = {0};
        uint8_t got[HLL_REGISTERS] = {0};
        struct buf value = {0};
        uint64_t width = UINT64_C(1) << random_below(&source, 15);
        uint64_t max_rank = trial % 5 == 4 ? HLL_MAX_RANK : 1 + random_below(&source, 32);
        hll_init(&value);
        for (int i = 0; i < 3000; i++) {
            struct hll_place place = {.idx = (uint32_t)random_below(&source, width),
                                      .rank = (uint8_t)(1 + random_below(&source, max_rank))};
            bool is_raised;
            assert_int_equal(hll_raise(&value, place, &is_raised), 0);
            assert_int_equal(is_raised, place.rank > want[place.idx]);
            if (is_raised)
                want[place.idx] = place.rank;
            assert_true(hll_is_dense(buf_slice(&value)) || value.len <= HLL_SPARSE_MAX_SIZE);
        }
        assert_int_equal(hll_merge(buf_slice(&value), got), 0);
        assert_memory_equal(got, want, HLL_REGISTERS);
        assert_int_equal(hll_make_dense(&value), 0);
        assert_int_equal(value.len, HLL_DENSE_SIZE);
        memset(got, 0, HLL_REGISTERS);
        assert_int_equal(hll_merge(buf_slice(&value), got), 0);
        assert_memory_equal(got, want, HLL_REGISTERS);
        buf_fini(&value);
    }
}

static void ranks_beyond_32_are_dense(void **state)
{
    (void)state;
    struct buf value = {0};
    bool is_raised;
    hll_init(&value);
    assert_int_equal(hll_raise(&value, (struct hll_place){.idx = 7, .rank = 32}, &is_raised), 0);
    assert_false(hll_is_dense(buf_slice(&value)));
    assert_int_equal(hll_raise(&value, (struct hll_place){.idx = 7, .rank = 33}, &is_raised), 0);
    assert_true(hll_is_dense(buf_slice(&value)));
    assert_true(is_raised);
    assert_int_equal(hll_raise(&value, (struct hll_place){.idx = 7, .rank = 33}, &is_raised), 0);
    assert_false(is_raised);
    buf_fini(&value);
}

static void the_cached_count(void **state)
{
    (void)state;
    struct buf value = {0};
    uint64_t count;
    hll_init(&value);
    assert_true(hll_cached(buf_slice(&value), &count));
    assert_int_equal(count, 0);
    hll_void_cached(&value);
    assert_false(hll_cached(buf_slice(&value), &count));
    hll_set_cached(&value, 1234567890123);
    assert_true(hll_cached(buf_slice(&value), &count));
    assert_int_equal(count, 1234567890123);
    assert_memory_equal(value.data + 8, "\xcb\x04\xfb\x71\x1f\x01\x00\x00", 8);
    buf_fini(&value);
}

static void estimates_of_extremes(void **state)
{
    (void)state;
    uint8_t ranks[HLL_REGISTERS] = {0};
    assert_int_equal(hll_estimate(ranks), 0);
    ranks[5] = 1;
    assert_int_equal(hll_estimate(ranks), 1);
    /* No elements have such ranks; anyone may SET them. */
    memset(ranks, HLL_MAX_RANK, sizeof(ranks));
    assert_true(hll_estimate(ranks) <= INT64_MAX);
    memset(ranks, 51, sizeof(ranks));
    assert_true(hll_estimate(ranks) <= INT64_MAX);
    memset(ranks, 1, sizeof(ranks));
    assert_true(hll_estimate(ranks) > HLL_REGISTERS);
}

static void headers_are_looked_at(void **state)
{
    (void)state;
    struct buf value = {0};
    hll_init(&value);
    assert_true(hll_is_valid(buf_slice(&value)));
    assert_false(hll_is_valid(slice_sub(buf_slice(&value), 0, HLL_HEADER_SIZE - 1)));
    assert_false(hll_is_valid(SLICE_EMPTY));
    value.data[4] = 2;
    assert_false(hll_is_valid(buf_slice(&value)));
    value.data[4] = 0; /* dense, but too short */
    assert_false(hll_is_valid(buf_slice(&value)));
    value.data[4] = 1;
    assert_int_equal(hll_make_dense(&value), 0);
    assert_true(hll_is_valid(buf_slice(&value)));
    buf_append(&value, "", 1);
    assert_false(hll_is_valid(buf_slice(&value)));
    value.len--;
    value.data[0] = 'h';
    assert_false(hll_is_valid(buf_slice(&value)));
    buf_fini(&value);
}

static void registers_that_are_none_are_refused(void **state)
{
    (void)state;
    const struct slice broken[] = {
        SLICE_EMPTY,
        SLICE_LIT("\x7f\xfe"),         /* one register short */
        SLICE_LIT("\x7f"),             /* cut off */
        SLICE_LIT("\x7f\xff\x7f"),     /* cut off behind the last register */
        SLICE_LIT("\x7f\xff\x00"),     /* one register more */
        SLICE_LIT("\x7f\xff\x7f\xff"), /* twice as many */
        SLICE_LIT("\x7f\xfd\x83"),     /* the last run is too long */
    };
    uint8_t ranks[HLL_REGISTERS] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct buf value = value_of(broken[i]);
        struct buf before = value_of(broken[i]);
        assert_true(hll_is_valid(buf_slice(&value)));
        assert_int_equal(hll_merge(buf_slice(&value), ranks), ERR_CORRUPT);
        assert_int_equal(hll_make_dense(&value), ERR_CORRUPT);
        assert_true(slice_eq(buf_slice(&value), buf_slice(&before)));
        buf_fini(&value);
        buf_fini(&before);
    }
    struct buf value = value_of(SLICE_LIT("\x7f\xfe"));
    bool is_raised;
    assert_int_equal(
        hll_raise(&value, (struct hll_place){.idx = HLL_REGISTERS - 1, .rank = 1}, &is_raised),
        ERR_CORRUPT);
    buf_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_counts_are_those_of_redis),
        cmocka_unit_test(elements_have_their_places),
        cmocka_unit_test(registers_are_raised),
        cmocka_unit_test(ranks_beyond_32_are_dense),
        cmocka_unit_test(the_cached_count),
        cmocka_unit_test(estimates_of_extremes),
        cmocka_unit_test(headers_are_looked_at),
        cmocka_unit_test(registers_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
