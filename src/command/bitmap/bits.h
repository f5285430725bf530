/* SPDX-License-Identifier: Apache-2.0 */
/* bits: a string as an array of bits.
 *
 * Bit 0 is the highest bit of the first byte; an integer lies with its highest bit first. Beyond
 * the end of the string all bits are zero.
 */
#ifndef COMMAND_BITMAP_BITS_H
#define COMMAND_BITMAP_BITS_H

#include "command/command.h"

#define BITS_MAX_WIDTH 64

/* The bits from `first` to `last`, both included. */
struct bit_range {
    uint64_t first;
    uint64_t last;
};

/* Bytes that a string needs for `range`. */
static inline uint64_t bits_size(struct bit_range range)
{
    return range.last / 8 + 1;
}

/* How many of the range are set. The range lies inside the string. */
uint64_t bits_count(struct slice text, struct bit_range range);

/* The first bit of the range that is `bit`. False if there is none. The range lies inside the
 * string. */
MUST_CHECK
bool bits_find(struct slice text, struct bit_range range, bool bit, uint64_t *out_idx);

/* The `width` bits from `idx` on as a number; `width` is 1 to BITS_MAX_WIDTH. */
uint64_t bits_get(struct slice text, uint64_t idx, unsigned width);

/* Writes the lowest `width` bits of `number`; all of them lie inside `text`. */
void bits_put(uint8_t *text, uint64_t idx, unsigned width, uint64_t number);

/* Reads argument `nth` as the index of a bit. With `unit` other than 0, "#n" is n units further.
 * False after an error reply. */
MUST_CHECK
bool bits_parse_index(struct call *call, uint32_t nth, unsigned unit, uint64_t *out_idx);

#endif
