/* SPDX-License-Identifier: Apache-2.0 */
/* bytes: fixed-width little-endian integers in byte strings, alignment, and a checked reader.
 *
 * Every format on disk and on the wire is little-endian and is read and written through here.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/slice.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are written as in memory");

static inline void put_u16(uint8_t *to, uint16_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline void put_u32(uint8_t *to, uint32_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline void put_u64(uint8_t *to, uint64_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline uint16_t get_u16(const uint8_t *from)
{
    uint16_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline uint32_t get_u32(const uint8_t *from)
{
    uint32_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline uint64_t get_u64(const uint8_t *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

/* `unit` is a power of two. */
static inline uint64_t align_up(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) & ~(unit - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t unit)
{
    return (v & (unit - 1)) == 0;
}

/* True if all bytes are zero. O(len), eight at a time. */
bool bytes_are_zero(const uint8_t *data, size_t len);

/* Reads hostile bytes from front to back. After the first read beyond the end `failed` is set,
 * every later read gives zero, and nothing is ever read out of bounds; check once at the end. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void reader_init(struct reader *reader, struct slice bytes);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);

/* The next `len` bytes, borrowed from the input; empty when there are fewer. */
struct slice reader_bytes(struct reader *reader, size_t len);

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* True if nothing failed and nothing is left. */
bool reader_is_done(const struct reader *reader);

#endif
