/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

bool bytes_are_zero(const uint8_t *data, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        if (get_u64(data + i) != 0)
            return false;
    }
    for (; i < len; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

void reader_init(struct reader *reader, struct slice bytes)
{
    static const uint8_t nothing;
    const uint8_t *start = bytes.data == NULL ? &nothing : bytes.data;
    *reader = (struct reader){.at = start, .end = start + bytes.len, .failed = false};
}

/* The next `len` bytes, or NULL with `failed` set. */
static const uint8_t *take(struct reader *reader, size_t len)
{
    if (reader->failed || reader_left(reader) < len) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += len;
    return at;
}

uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at == NULL ? 0 : *at;
}

uint16_t reader_u16(struct reader *reader)
{
    const uint8_t *at = take(reader, 2);
    return at == NULL ? 0 : get_u16(at);
}

uint32_t reader_u32(struct reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at == NULL ? 0 : get_u32(at);
}

uint64_t reader_u64(struct reader *reader)
{
    const uint8_t *at = take(reader, 8);
    return at == NULL ? 0 : get_u64(at);
}

struct slice reader_bytes(struct reader *reader, size_t len)
{
    const uint8_t *at = take(reader, len);
    return at == NULL ? SLICE_EMPTY : slice_of(at, len);
}

bool reader_is_done(const struct reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}
