/* SPDX-License-Identifier: Apache-2.0 */
#include "command/bitmap/bits.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/num.h"
#include "command/args.h"

/* ---- Counting ---- */

/* Sums of neighbours, twice as wide at every step. */
static unsigned word_count(uint64_t word)
{
    word -= (word >> 1) & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)((word * UINT64_C(0x0101010101010101)) >> 56);
}

/* The bits of byte `at` that lie in the range. */
static uint8_t mask_of(struct bit_range range, uint64_t at)
{
    unsigned mask = 0xff;
    if (at == range.first / 8)
        mask &= 0xffu >> (range.first % 8);
    if (at == range.last / 8)
        mask &= 0xff00u >> (range.last % 8 + 1);
    return (uint8_t)mask;
}

uint64_t bits_count(struct slice text, struct bit_range range)
{
    ASSERT(range.first <= range.last && bits_size(range) <= text.len);
    uint64_t at = range.first / 8;
    uint64_t end = range.last / 8;
    uint64_t count = word_count(text.data[at] & mask_of(range, at));
    if (at == end)
        return count;
    for (at++; at + 8 <= end; at += 8)
        count += word_count(get_u64(text.data + at));
    for (; at < end; at++)
        count += word_count(text.data[at]);
    return count + word_count(text.data[end] & mask_of(range, end));
}

/* ---- Finding ---- */

bool bits_find(struct slice text, struct bit_range range, bool bit, uint64_t *out_idx)
{
    ASSERT(range.first <= range.last && bits_size(range) <= text.len);
    uint8_t flip = bit ? 0 : 0xff; /* so that what is looked for is a one */
    uint64_t without = bit ? 0 : UINT64_MAX;
    uint64_t end = range.last / 8;
    for (uint64_t at = range.first / 8; at <= end; at++) {
        while (at > range.first / 8 && at + 8 <= end && get_u64(text.data + at) == without)
            at += 8;
        unsigned left = (uint8_t)(text.data[at] ^ flip) & mask_of(range, at);
        if (left != 0) {
            *out_idx = at * 8 + (unsigned)__builtin_clz(left) - 24;
            return true;
        }
    }
    return false;
}

/* ---- Numbers ---- */

uint64_t bits_get(struct slice text, uint64_t idx, unsigned width)
{
    ASSERT(width >= 1 && width <= BITS_MAX_WIDTH);
    uint64_t number = 0;
    uint64_t left = width;
    while (left > 0) {
        unsigned in_byte = idx % 8;
        unsigned count = 8 - in_byte < left ? 8 - in_byte : (unsigned)left;
        unsigned byte = idx / 8 < text.len ? text.data[idx / 8] : 0;
        unsigned piece = (byte >> (8 - in_byte - count)) & (0xffu >> (8 - count));
        number = number << count | piece;
        idx += count;
        left -= count;
    }
    return number;
}

void bits_put(uint8_t *text, uint64_t idx, unsigned width, uint64_t number)
{
    ASSERT(width >= 1 && width <= BITS_MAX_WIDTH);
    unsigned left = width;
    while (left > 0) {
        unsigned in_byte = idx % 8;
        unsigned count = 8 - in_byte < left ? 8 - in_byte : left;
        unsigned shift = 8 - in_byte - count;
        unsigned mask = (0xffu >> (8 - count)) << shift;
        unsigned piece = (unsigned)(number >> (left - count)) << shift;
        text[idx / 8] = (uint8_t)((text[idx / 8] & ~mask) | (piece & mask));
        idx += count;
        left -= count;
    }
}

/* ---- Arguments ---- */

bool bits_parse_index(struct call *call, uint32_t nth, unsigned unit, uint64_t *out_idx)
{
    struct slice text = call->argv[nth];
    bool is_in_units = unit != 0 && text.len > 0 && text.data[0] == '#';
    int64_t idx;
    if (!num_parse_i64(slice_sub(text, is_in_units, SIZE_MAX), &idx) || idx < 0 ||
        (is_in_units && __builtin_mul_overflow(idx, (int64_t)unit, &idx)) ||
        idx / 8 >= STRING_MAX_SIZE) {
        reply_error(call->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *out_idx = (uint64_t)idx;
    return true;
}
