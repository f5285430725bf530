/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/record.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

/* A record is written once per SET and verified once per cold read and once at every start, so
 * both ways are straight: fixed fields at fixed places, then what the flags say, then one hash over
 * contiguous bytes. The check is the hash of everything behind it XOR a word made of file uid and
 * offset. XOR keeps the two apart: a merge exchanges the place (record_rebind) and needs neither
 * to hash the bytes again nor to trust that they are still good.
 *
 * Decoding is the exact inverse of encoding (B1): what is not a fixed point of decode and encode is
 * refused, so that nothing undefined can hide in a valid record and later meet a reader to whom it
 * means something. */

enum {
    AT_CHECK = 0,
    AT_KIND = 8,
    AT_TYPE = 9,
    AT_FLAGS = 10,
    AT_PROMOTION = 11,
    AT_DB_ID = 12,
    AT_KEY_LEN = 14,
    AT_VALUE_LEN = 16,
    AT_REVISION = 20,
    AT_POSITION = 24
};
STATIC_ASSERT(AT_POSITION + 8 == RECORD_FIXED_SIZE, "the fixed part has no holes");

#define EXPIRE_SIZE     8
#define COLLECTION_SIZE 12
STATIC_ASSERT(RECORD_FIXED_SIZE + EXPIRE_SIZE + COLLECTION_SIZE == RECORD_MAX_HEADER, "largest");

uint8_t record_flags(const struct record *record)
{
    bool has_collection = record->collection.position != 0 || record->collection.counter != 0;
    return (uint8_t)((record->expire_at_ms != 0 ? RECORD_EXPIRE : 0) |
                     (has_collection ? RECORD_COLLECTION : 0));
}

size_t record_extra_size(uint8_t flags)
{
    return ((flags & RECORD_EXPIRE) != 0 ? EXPIRE_SIZE : 0u) +
           ((flags & RECORD_COLLECTION) != 0 ? COLLECTION_SIZE : 0u);
}

uint8_t *record_put_extra(const struct record *record, uint8_t *at)
{
    uint8_t flags = record_flags(record);
    if ((flags & RECORD_EXPIRE) != 0) {
        put_u64(at, record->expire_at_ms);
        at += EXPIRE_SIZE;
    }
    if ((flags & RECORD_COLLECTION) != 0) {
        put_u64(at, record->collection.position);
        put_u32(at + 8, record->collection.counter);
        at += COLLECTION_SIZE;
    }
    return at;
}

const uint8_t *record_get_extra(uint8_t flags, const uint8_t *at, struct record *out)
{
    if ((flags & RECORD_EXPIRE) != 0) {
        out->expire_at_ms = get_u64(at);
        at += EXPIRE_SIZE;
    }
    if ((flags & RECORD_COLLECTION) != 0) {
        out->collection.position = get_u64(at);
        out->collection.counter = get_u32(at + 8);
        at += COLLECTION_SIZE;
    }
    return at;
}

static size_t header_size(uint8_t flags)
{
    return RECORD_FIXED_SIZE + record_extra_size(flags);
}

size_t record_value_off(const struct record *record)
{
    return header_size(record_flags(record)) + record->key.len;
}

size_t record_size(const struct record *record)
{
    if (record->kind == RECORD_PAD)
        return (size_t)record->pad_size;
    return record_value_off(record) + record->value.len;
}

static uint64_t check_of(struct slice bytes, struct record_place place)
{
    struct slice covered = slice_of(bytes.data + AT_KIND, bytes.len - AT_KIND);
    return hash_check(covered) ^ hash_mix(place.uid, place.off);
}

/* What a kind may carry besides db, position and revision. */
static bool is_sound(const struct record *record, uint64_t off)
{
    switch (record->kind) {
    case RECORD_PUT:
        return true;
    case RECORD_TOMBSTONE:
        return record->value.len == 0 && record->expire_at_ms == 0;
    case RECORD_FLUSH:
        return record->key.len == 0 && record->value.len == 0 && record_flags(record) == 0 &&
               record->type == 0 && record->promotion == 0;
    case RECORD_PAD:
        return record->key.len == 0 && record_flags(record) == 0 && record->type == 0 &&
               record->promotion == 0 && record->db_id == 0 && record->revision == 0 &&
               record->position == 0 && record->pad_size == record_pad_size(off);
    }
    return false;
}

static void put_fixed(uint8_t *at, const struct record *record, uint8_t flags, size_t value_len)
{
    at[AT_KIND] = (uint8_t)record->kind;
    at[AT_TYPE] = record->type;
    at[AT_FLAGS] = flags;
    at[AT_PROMOTION] = record->promotion;
    put_u16(at + AT_DB_ID, record->db_id);
    put_u16(at + AT_KEY_LEN, (uint16_t)record->key.len);
    put_u32(at + AT_VALUE_LEN, (uint32_t)value_len);
    put_u32(at + AT_REVISION, record->revision);
    put_u64(at + AT_POSITION, record->position);
}

static uint8_t *put_bytes(uint8_t *at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

void record_encode(const struct record *record, struct record_place place, struct buf *to)
{
    ASSERT(record->key.len <= RECORD_MAX_KEY);
    ASSERT(record->value.len <= RECORD_MAX_VALUE);
    ASSERT(is_sound(record, place.off)); /* B1 */
    uint8_t flags = record_flags(record);
    size_t size = record_size(record);
    uint8_t *start = buf_extend(to, size);
    if (record->kind == RECORD_PAD) {
        memset(start, 0, size);
        put_fixed(start, record, flags, size - RECORD_FIXED_SIZE);
    } else {
        put_fixed(start, record, flags, record->value.len);
        uint8_t *at = record_put_extra(record, start + RECORD_FIXED_SIZE);
        at = put_bytes(at, record->key);
        put_bytes(at, record->value);
    }
    put_u64(start + AT_CHECK, check_of(slice_of(start, size), place));
}

/* The size that the fixed part claims, or 0 if it makes no sense. */
static size_t claimed_size(const uint8_t *at, uint64_t off)
{
    uint8_t kind = at[AT_KIND];
    uint8_t flags = at[AT_FLAGS];
    uint32_t value_len = get_u32(at + AT_VALUE_LEN);
    if (kind < RECORD_PUT || kind > RECORD_PAD || (flags & ~RECORD_FLAGS) != 0 ||
        value_len > RECORD_MAX_VALUE)
        return 0;
    size_t size = header_size(flags) + get_u16(at + AT_KEY_LEN) + value_len;
    return kind == RECORD_PAD && size != record_pad_size(off) ? 0 : size;
}

static void get_fields(const uint8_t *start, size_t size, struct record *out)
{
    uint8_t flags = start[AT_FLAGS];
    *out = (struct record){.kind = (enum record_kind)start[AT_KIND],
                           .type = start[AT_TYPE],
                           .promotion = start[AT_PROMOTION],
                           .db_id = get_u16(start + AT_DB_ID),
                           .revision = get_u32(start + AT_REVISION),
                           .position = get_u64(start + AT_POSITION)};
    const uint8_t *at = record_get_extra(flags, start + RECORD_FIXED_SIZE, out);
    out->key = slice_of(at, get_u16(start + AT_KEY_LEN));
    at += out->key.len;
    if (out->kind == RECORD_PAD)
        out->pad_size = size;
    else
        out->value = slice_of(at, (size_t)(start + size - at));
}

int record_decode(struct slice bytes, struct record_place place, struct record *out_record,
                  size_t *out_size)
{
    *out_size = 0;
    if (bytes.len < RECORD_FIXED_SIZE)
        return ERR_TORN;
    size_t size = claimed_size(bytes.data, place.off);
    if (size == 0)
        return ERR_CORRUPT;
    if (bytes.len < size) {
        *out_size = size;
        return ERR_TORN;
    }
    if (get_u64(bytes.data + AT_CHECK) != check_of(slice_of(bytes.data, size), place))
        return ERR_CORRUPT;
    struct record record;
    get_fields(bytes.data, size, &record);
    if (record_flags(&record) != bytes.data[AT_FLAGS] || !is_sound(&record, place.off)) /* B1 */
        return ERR_CORRUPT;
    if (record.kind == RECORD_PAD &&
        !bytes_are_zero(bytes.data + RECORD_FIXED_SIZE, size - RECORD_FIXED_SIZE))
        return ERR_CORRUPT;
    *out_record = record;
    *out_size = size;
    return 0;
}

bool record_claim(struct slice bytes, uint64_t off, struct record *out_record, size_t *out_size)
{
    if (bytes.len < RECORD_FIXED_SIZE)
        return false;
    size_t size = claimed_size(bytes.data, off);
    size_t to_key = header_size(bytes.data[AT_FLAGS]) + get_u16(bytes.data + AT_KEY_LEN);
    if (size == 0 || to_key > bytes.len)
        return false;
    struct record record;
    get_fields(bytes.data, size, &record);
    if (record_flags(&record) != bytes.data[AT_FLAGS] || !is_sound(&record, off))
        return false;
    record.value.data = NULL;
    *out_record = record;
    *out_size = size;
    return true;
}

void record_rebind(uint8_t *bytes, struct record_place from, struct record_place to)
{
    ASSERT(bytes[AT_KIND] != RECORD_PAD);
    uint64_t check = get_u64(bytes + AT_CHECK);
    put_u64(bytes + AT_CHECK, check ^ hash_mix(from.uid, from.off) ^ hash_mix(to.uid, to.off));
}
