/* SPDX-License-Identifier: Apache-2.0 */
/* Source of the format: Redis's documentation of RDB and what redis-server 7.0 and valkey 8.0
 * write.
 *
 * Lengths: the two highest bits of the first byte say which: 00, 6 bits; 01, 14 bits, the higher
 * first; 10 and nothing else in the byte but 0 or 1, 32 or 64 bits, big-endian; 11, no length but
 * an encoding: 0, 1, 2 an integer of 1, 2, 4 bytes, 3 LZF.
 *
 * LZF: a control byte below 32 is followed by one byte more than it says, as they are. Any other
 * repeats what came before: length in its upper three bits (7: add the next byte) plus two,
 * distance in its lower five and the next byte, plus one.
 */
#include "command/keys/rdb.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/num.h"
#include "command/args.h"

#define FOOTER_SIZE   10
#define TYPE_STRING   0
#define INT_MAX_CHARS 11 /* of what is written as an integer */
#define LZF_MAX_RATIO 88 /* three bytes repeat 264 at most */

#define CRC64_POLYNOMIAL \
    UINT64_C(0x95ac9329ac4bc9b5) /* ad93d23594c935a9 with its bits turned round */

#define FEW_BYTES 1024 /* for more it pays to make large tables */

/* What the lowest four bits do to the rest. */
static void make_small(uint64_t small[16])
{
    for (uint64_t i = 0; i < 16; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 4; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ CRC64_POLYNOMIAL : crc >> 1;
        small[i] = crc;
    }
}

static uint64_t crc64_few(uint64_t crc, const uint64_t small[16], struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        crc = crc >> 4 ^ small[crc & 15];
        crc = crc >> 4 ^ small[crc & 15];
    }
    return crc;
}

/* Four bytes at a time: tables[n] is what a byte does with n more behind it. */
static uint64_t crc64_many(const uint64_t small[16], struct slice bytes)
{
    uint64_t tables[4][256];
    for (size_t i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        tables[0][i] = crc64_few(0, small, slice_of(&byte, 1));
    }
    for (size_t n = 1; n < 4; n++) {
        for (size_t i = 0; i < 256; i++)
            tables[n][i] = tables[n - 1][i] >> 8 ^ tables[0][tables[n - 1][i] & 0xff];
    }
    uint64_t crc = 0;
    size_t at = 0;
    for (; at + 4 <= bytes.len; at += 4) {
        crc ^= get_u32(bytes.data + at);
        crc = crc >> 32 ^ tables[3][crc & 0xff] ^ tables[2][crc >> 8 & 0xff] ^
              tables[1][crc >> 16 & 0xff] ^ tables[0][crc >> 24 & 0xff];
    }
    return crc64_few(crc, small, slice_sub(bytes, at, SIZE_MAX));
}

/* The tables are made anew each time: a process has no changing globals, and few bytes need few. */
uint64_t rdb_crc64(struct slice bytes)
{
    uint64_t small[16];
    make_small(small);
    return bytes.len < FEW_BYTES ? crc64_few(0, small, bytes) : crc64_many(small, bytes);
}

/* ---- Writing ---- */

enum encoding { ENCODING_INT8, ENCODING_INT16, ENCODING_INT32, ENCODING_LZF };

static void put_length(struct buf *to, size_t len)
{
    if (len < 1 << 6) {
        buf_append_byte(to, (uint8_t)len);
    } else if (len < 1 << 14) {
        buf_append_byte(to, (uint8_t)(0x40 | len >> 8));
        buf_append_byte(to, (uint8_t)len);
    } else {
        /* Strings end far below 4 GiB. */
        uint8_t *at = buf_extend(to, 5);
        at[0] = 0x80;
        put_u32(at + 1, __builtin_bswap32((uint32_t)len));
    }
}

/* False if it is no integer of up to 32 bits. */
static bool put_integer(struct buf *to, struct slice value)
{
    int64_t v;
    if (value.len > INT_MAX_CHARS || !num_parse_i64(value, &v) || v < INT32_MIN || v > INT32_MAX)
        return false;
    enum encoding encoding = ENCODING_INT32;
    if (v >= INT8_MIN && v <= INT8_MAX)
        encoding = ENCODING_INT8;
    else if (v >= INT16_MIN && v <= INT16_MAX)
        encoding = ENCODING_INT16;
    uint8_t bytes[4];
    put_u32(bytes, (uint32_t)v);
    buf_append_byte(to, (uint8_t)(0xc0 | encoding));
    buf_append(to, bytes, (size_t)1 << encoding);
    return true;
}

size_t rdb_string_size(struct slice value)
{
    struct buf head = {0};
    size_t size = 0;
    if (!put_integer(&head, value)) {
        put_length(&head, value.len);
        size = value.len;
    }
    size += head.len;
    buf_fini(&head);
    return size;
}

void rdb_put_string(struct buf *to, struct slice value)
{
    size_t start = to->len;
    buf_append_byte(to, TYPE_STRING);
    if (!put_integer(to, value)) {
        put_length(to, value.len);
        buf_append_slice(to, value);
    }
    put_u16(buf_extend(to, 2), RDB_VERSION);
    uint64_t crc = rdb_crc64(slice_of(to->data + start, to->len - start));
    put_u64(buf_extend(to, 8), crc);
}

/* ---- Reading ---- */

/* A length, or an encoding in its place (*out_is_encoding). */
static uint64_t read_length(struct reader *reader, bool *out_is_encoding)
{
    uint8_t first = reader_u8(reader);
    *out_is_encoding = first >> 6 == 3;
    if (first >> 6 == 0 || *out_is_encoding)
        return first & 0x3f;
    if (first >> 6 == 1)
        return (uint64_t)(first & 0x3f) << 8 | reader_u8(reader);
    if (first == 0x80)
        return __builtin_bswap32(reader_u32(reader));
    if (first == 0x81)
        return __builtin_bswap64(reader_u64(reader));
    reader->failed = true;
    return 0;
}

static uint64_t read_plain_length(struct reader *reader)
{
    bool is_encoding;
    uint64_t len = read_length(reader, &is_encoding);
    if (is_encoding)
        reader->failed = true;
    return len;
}

static void read_integer(struct reader *reader, uint64_t encoding, struct buf *out)
{
    int64_t v = encoding == ENCODING_INT8    ? (int8_t)reader_u8(reader)
                : encoding == ENCODING_INT16 ? (int16_t)reader_u16(reader)
                                             : (int32_t)reader_u32(reader);
    char text[NUM_I64_SIZE];
    buf_append(out, text, num_format_i64(text, v));
}

/* One control byte and what belongs to it. `room` is what may still be written. */
static bool expand_step(struct reader *reader, struct buf *out, size_t start, size_t room)
{
    uint8_t control = reader_u8(reader);
    if (control < 32) {
        struct slice plain = reader_bytes(reader, (size_t)control + 1);
        if (reader->failed || plain.len > room)
            return false;
        buf_append_slice(out, plain);
        return true;
    }
    size_t len = control >> 5;
    if (len == 7)
        len += reader_u8(reader);
    len += 2;
    size_t distance = ((size_t)(control & 31) << 8 | reader_u8(reader)) + 1;
    if (reader->failed || len > room || distance > out->len - start)
        return false;
    /* Byte by byte: it may repeat what it is writing. */
    uint8_t *to = buf_extend(out, len);
    for (size_t i = 0; i < len; i++)
        to[i] = *(to + i - distance);
    return true;
}

static void read_compressed(struct reader *reader, struct buf *out)
{
    uint64_t packed_size = read_plain_length(reader);
    uint64_t size = read_plain_length(reader);
    if (reader->failed || packed_size > reader_left(reader) || size > STRING_MAX_SIZE ||
        size > packed_size * LZF_MAX_RATIO) {
        reader->failed = true;
        return;
    }
    struct reader packed;
    size_t start = out->len;
    reader_init(&packed, reader_bytes(reader, packed_size));
    buf_reserve(out, size);
    while (reader_left(&packed) > 0) {
        if (!expand_step(&packed, out, start, size - (out->len - start))) {
            reader->failed = true;
            return;
        }
    }
    if (out->len - start != size)
        reader->failed = true;
}

static void read_string(struct reader *reader, struct buf *out)
{
    bool is_encoding;
    uint64_t len = read_length(reader, &is_encoding);
    if (!is_encoding) {
        if (len > reader_left(reader) || len > STRING_MAX_SIZE)
            reader->failed = true;
        else
            buf_append_slice(out, reader_bytes(reader, len));
    } else if (len <= ENCODING_INT32) {
        read_integer(reader, len, out);
    } else if (len == ENCODING_LZF) {
        read_compressed(reader, out);
    } else {
        reader->failed = true;
    }
}

int rdb_get_string(struct slice payload, struct buf *out, uint8_t *out_type)
{
    if (payload.len < FOOTER_SIZE)
        return ERR_VERSION;
    size_t body = payload.len - FOOTER_SIZE;
    const uint8_t *footer = payload.data + body;
    if (get_u16(footer) > RDB_VERSION ||
        get_u64(footer + 2) != rdb_crc64(slice_sub(payload, 0, body + 2)))
        return ERR_VERSION;
    struct reader reader;
    reader_init(&reader, slice_sub(payload, 0, body));
    *out_type = reader_u8(&reader);
    if (reader.failed)
        return ERR_CORRUPT;
    if (*out_type != TYPE_STRING)
        return ERR_NOT_FOUND;
    read_string(&reader, out);
    return reader_is_done(&reader) ? 0 : ERR_CORRUPT;
}
