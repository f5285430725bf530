/* SPDX-License-Identifier: Apache-2.0 */
/* Against loops over single bits. */
#include "command/bitmap/bits.h"

#include <stdlib.h>

#include "support/cmocka.h"
#include "support/random.h"

#define MAX_SIZE 70
#define ROUNDS   20000

static struct random source;

static uint64_t below(uint64_t limit)
{
    return random_below(&source, limit);
}

static bool bit_at(const uint8_t *text, size_t size, uint64_t idx)
{
    return idx / 8 < size && (text[idx / 8] >> (7 - idx % 8) & 1) != 0;
}

/* Mostly runs of zeros and ones: that is where whole words are passed over. */
static size_t make_text(uint8_t *text)
{
    size_t size = 1 + below(MAX_SIZE);
    uint8_t fill = (uint8_t)(below(2) == 0 ? 0 : 0xff);
    for (size_t i = 0; i < size; i++)
        text[i] = below(3) == 0 && below(4) == 0 ? (uint8_t)random_next(&source) : fill;
    return size;
}

static struct bit_range make_range(size_t size)
{
    uint64_t a = below(size * 8);
    uint64_t b = below(size * 8);
    return (struct bit_range){.first = a < b ? a : b, .last = a < b ? b : a};
}

static void counts_are_those_of_single_bits(void **state)
{
    (void)state;
    uint8_t text[MAX_SIZE];
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = make_text(text);
        struct bit_range range = make_range(size);
        uint64_t want = 0;
        for (uint64_t i = range.first; i <= range.last; i++)
            want += bit_at(text, size, i);
        assert_int_equal(bits_count(slice_of(text, size), range), want);
    }
}

static void the_first_bit_is_found(void **state)
{
    (void)state;
    uint8_t text[MAX_SIZE];
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = make_text(text);
        struct bit_range range = make_range(size);
        bool bit = below(2) == 1;
        uint64_t want = range.first;
        while (want <= range.last && bit_at(text, size, want) != bit)
            want++;
        uint64_t got = UINT64_MAX;
        bool is_found = bits_find(slice_of(text, size), range, bit, &got);
        assert_int_equal(is_found, want <= range.last);
        assert_int_equal(got, is_found ? want : UINT64_MAX);
    }
}

static void numbers_are_written_and_read_bit_by_bit(void **state)
{
    (void)state;
    uint8_t text[MAX_SIZE];
    uint8_t before[MAX_SIZE];
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = make_text(text);
        unsigned width = 1 + (unsigned)below(BITS_MAX_WIDTH);
        uint64_t idx = below(size * 8);
        uint64_t want = 0;
        for (unsigned i = 0; i < width; i++)
            want = want << 1 | bit_at(text, size, idx + i);
        assert_int_equal(bits_get(slice_of(text, size), idx, width), want);
        if (idx + width > size * 8)
            continue;
        uint64_t number = random_next(&source);
        memcpy(before, text, size);
        bits_put(text, idx, width, number);
        for (uint64_t i = 0; i < size * 8; i++) {
            bool is_inside = i >= idx && i < idx + width;
            bool bit =
                is_inside ? (number >> (idx + width - 1 - i) & 1) != 0 : bit_at(before, size, i);
            assert_int_equal(bit_at(text, size, i), bit);
        }
    }
}

static void beyond_the_end_all_is_zero(void **state)
{
    (void)state;
    assert_int_equal(bits_get(SLICE_EMPTY, 0, 64), 0);
    assert_int_equal(bits_get(SLICE_LIT("\xff"), 4, 8), 0xf0);
    assert_int_equal(bits_get(SLICE_LIT("\xff"), UINT32_MAX, 64), 0);
}

int main(void)
{
    source.state = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_single_bits),
        cmocka_unit_test(the_first_bit_is_found),
        cmocka_unit_test(numbers_are_written_and_read_bit_by_bit),
        cmocka_unit_test(beyond_the_end_all_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
