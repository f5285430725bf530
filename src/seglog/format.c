/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/format_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/hash.h"
#include "seglog/seglog.h"

/* Segment header: offsets of its fields; the rest of the block is zero. */
enum {
    SEG_MAGIC = 0,
    SEG_VERSION = 8,
    SEG_SIZE = 12,
    SEG_GROUP = 16,
    SEG_NUMBER = 24,
    SEG_EPOCH = 32,
    SEG_CHECK = 40,
    SEG_END = 48
};

/* Frame header. */
enum {
    FRM_CHECK = 0,
    FRM_SIZE = 8,
    FRM_KIND = 12,
    FRM_ZERO = 13, /* three bytes */
    FRM_EPOCH = 16,
    FRM_SEQUENCE = 24,
    FRM_DURABLE = 32,
    FRM_FIRST = 40,
    FRM_TERM = 48,
    FRM_COUNT = 56,
    FRM_NTH = 60,
    FRM_END = 64
};

/* Entry header. */
enum { ENT_SIZE = 0, ENT_TYPE = 4, ENT_ZERO = 5, ENT_END = 8 };

STATIC_ASSERT(FRM_END == FRAME_HEADER_SIZE, "the table and frame.h agree");
STATIC_ASSERT(ENT_END == ENTRY_HEADER_SIZE, "the table and frame.h agree");
STATIC_ASSERT(FRAME_ALIGN == AIO_ALIGN, "frames go to the disk as they are");
STATIC_ASSERT(SEGMENT_HEADER_SIZE % FRAME_ALIGN == 0, "the first frame lies behind the header");
STATIC_ASSERT(SEG_END <= 512, "one sector: a header is never half new and half old");

/* No number gets there by counting; so sums of them never overflow. */
#define COUNTER_MAX ((uint64_t)INT64_MAX)

static const uint8_t segment_magic[8] = {'F', 'E', 'R', 'R', 'I', 'C', 'L', 'G'};

void segment_header_encode(uint8_t *to, const struct segment_header *header)
{
    ASSERT(header->epoch != 0);
    memset(to, 0, SEGMENT_HEADER_SIZE);
    memcpy(to + SEG_MAGIC, segment_magic, sizeof(segment_magic));
    put_u32(to + SEG_VERSION, SEGMENT_VERSION);
    put_u32(to + SEG_SIZE, header->size);
    put_u64(to + SEG_GROUP, header->group_id);
    put_u64(to + SEG_NUMBER, header->number);
    put_u64(to + SEG_EPOCH, header->epoch);
    put_u64(to + SEG_CHECK, hash_check(slice_of(to, SEG_CHECK)));
}

bool segment_has_magic(struct slice bytes)
{
    return bytes.len >= sizeof(segment_magic) &&
           memcmp(bytes.data, segment_magic, sizeof(segment_magic)) == 0;
}

int segment_header_decode(const uint8_t *from, struct segment_header *out_header)
{
    if (!segment_has_magic(slice_of(from, SEGMENT_HEADER_SIZE)))
        return ERR_CORRUPT;
    if (get_u64(from + SEG_CHECK) != hash_check(slice_of(from, SEG_CHECK)))
        return ERR_CORRUPT;
    if (get_u32(from + SEG_VERSION) != SEGMENT_VERSION)
        return ERR_VERSION;
    if (!bytes_are_zero(from + SEG_END, SEGMENT_HEADER_SIZE - SEG_END))
        return ERR_CORRUPT;
    struct segment_header header = {
        .group_id = get_u64(from + SEG_GROUP),
        .number = get_u64(from + SEG_NUMBER),
        .epoch = get_u64(from + SEG_EPOCH),
        .size = get_u32(from + SEG_SIZE),
    };
    if (header.epoch == 0 || header.size < SEGMENT_SIZE_MIN || header.size > SEGMENT_SIZE_MAX ||
        !is_aligned(header.size, FRAME_ALIGN))
        return ERR_CORRUPT;
    *out_header = header;
    return 0;
}

void segment_name_format(char *to, uint64_t number, bool is_temporary)
{
    int len =
        snprintf(to, SEGMENT_NAME_SIZE, "%020" PRIu64 "%s", number, is_temporary ? ".tmp" : ".seg");
    ASSERT(len == SEGMENT_NAME_SIZE - 1);
}

bool segment_name_parse(const char *name, uint64_t *out_number, bool *out_is_temporary)
{
    uint64_t number = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(name[i] - '0');
        if (number > (COUNTER_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    bool is_temporary = strcmp(name + 20, ".tmp") == 0;
    if (!is_temporary && strcmp(name + 20, ".seg") != 0)
        return false;
    *out_number = number;
    *out_is_temporary = is_temporary;
    return true;
}

static uint64_t frame_check(const uint8_t *data, uint32_t size, uint64_t epoch, uint64_t off)
{
    return hash_check(slice_of(data + FRM_SIZE, size - FRM_SIZE)) ^ hash_mix(epoch, off);
}

void frame_header_encode(uint8_t *data, const struct frame_header *header, uint64_t off)
{
    ASSERT(header->size >= FRAME_HEADER_SIZE);
    ASSERT(header->durable < header->sequence); /* S3 */
    ASSERT(header->epoch != 0 && header->first_index > 0);
    ASSERT((header->nth == 0) == (header->kind == FRAME_OPEN)); /* S5 */
    memset(data, 0, FRAME_HEADER_SIZE);
    put_u32(data + FRM_SIZE, header->size);
    data[FRM_KIND] = (uint8_t)header->kind;
    put_u64(data + FRM_EPOCH, header->epoch);
    put_u64(data + FRM_SEQUENCE, header->sequence);
    put_u64(data + FRM_DURABLE, header->durable);
    put_u64(data + FRM_FIRST, header->first_index);
    put_u64(data + FRM_TERM, header->term);
    put_u32(data + FRM_COUNT, header->count);
    put_u32(data + FRM_NTH, header->nth);
    put_u64(data + FRM_CHECK, frame_check(data, header->size, header->epoch, off));
    memset(data + header->size, 0, frame_room(header->size) - header->size);
}

int frame_header_decode(const uint8_t *from, uint32_t max_size, struct frame_header *out_header)
{
    uint32_t size = get_u32(from + FRM_SIZE);
    uint64_t epoch = get_u64(from + FRM_EPOCH);
    if (size < FRAME_HEADER_SIZE || size > max_size || epoch == 0)
        return ERR_TORN;
    *out_header = (struct frame_header){
        .epoch = epoch,
        .sequence = get_u64(from + FRM_SEQUENCE),
        .durable = get_u64(from + FRM_DURABLE),
        .first_index = get_u64(from + FRM_FIRST),
        .term = get_u64(from + FRM_TERM),
        .size = size,
        .count = get_u32(from + FRM_COUNT),
        .nth = get_u32(from + FRM_NTH),
        .kind = (enum frame_kind)from[FRM_KIND],
    };
    return 0;
}

bool frame_entries_are_valid(struct slice payload, uint32_t count)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (payload.len - at < ENTRY_HEADER_SIZE)
            return false;
        const uint8_t *head = payload.data + at;
        uint8_t type = head[ENT_TYPE];
        if (type < ENTRY_COMMAND || type > ENTRY_CHANGE ||
            !bytes_are_zero(head + ENT_ZERO, ENT_END - ENT_ZERO))
            return false;
        at += ENTRY_HEADER_SIZE;
        uint32_t size = get_u32(head + ENT_SIZE);
        if (size > payload.len - at)
            return false;
        at += size;
    }
    return at == payload.len;
}

uint64_t frame_newest_change(const uint8_t *data, const struct frame_header *header)
{
    uint64_t newest = 0;
    const uint8_t *head = data + FRAME_HEADER_SIZE;
    for (uint32_t i = 0; i < header->count; i++) {
        if (head[ENT_TYPE] == ENTRY_CHANGE)
            newest = header->first_index + i;
        head += ENTRY_HEADER_SIZE + get_u32(head + ENT_SIZE);
    }
    return newest;
}

/* Each kind says what its payload and its count must be. */
static bool payload_is_valid(const uint8_t *data, const struct frame_header *header)
{
    struct slice payload = slice_of(data + FRAME_HEADER_SIZE, header->size - FRAME_HEADER_SIZE);
    bool is_counted = header->kind == FRAME_ENTRIES;
    if (is_counted != (header->count > 0))
        return false;
    switch (header->kind) {
    case FRAME_OPEN:
        return payload.len >= OPEN_PAYLOAD_MIN_SIZE &&
               payload.len <= OPEN_PAYLOAD_MIN_SIZE + SEGLOG_CONFIGURATION_MAX;
    case FRAME_ENTRIES:
        return frame_entries_are_valid(payload, header->count);
    case FRAME_HARDSTATE:
        return payload.len == HARD_STATE_SIZE;
    case FRAME_TRUNCATE:
    case FRAME_VOUCH:
        return payload.len == 0;
    }
    return false;
}

int frame_verify(const uint8_t *data, const struct frame_header *header, uint64_t off)
{
    if (get_u64(data + FRM_CHECK) != frame_check(data, header->size, header->epoch, off))
        return ERR_TORN;
    if (!bytes_are_zero(data + FRM_ZERO, FRM_EPOCH - FRM_ZERO))
        return ERR_CORRUPT;
    if (header->durable >= header->sequence || header->nth >= header->sequence ||
        (header->nth == 0) != (header->kind == FRAME_OPEN))
        return ERR_CORRUPT;
    if (header->first_index == 0 || header->first_index > COUNTER_MAX ||
        header->sequence > COUNTER_MAX)
        return ERR_CORRUPT;
    return payload_is_valid(data, header) ? 0 : ERR_CORRUPT;
}

bool frame_padding_is_clean(const uint8_t *data, uint32_t size)
{
    return bytes_are_zero(data + size, frame_room(size) - size);
}

void hard_state_encode(uint8_t *to, struct hard_state state)
{
    put_u64(to, state.term);
    put_u64(to + 8, state.vote);
}

void open_payload_encode(uint8_t *to, const struct open_payload *payload)
{
    hard_state_encode(to, payload->hard_state);
    put_u64(to + HARD_STATE_SIZE, payload->configuration_index);
    if (payload->configuration.len > 0)
        memcpy(to + OPEN_PAYLOAD_MIN_SIZE, payload->configuration.data, payload->configuration.len);
}

struct hard_state frame_hard_state(const uint8_t *data)
{
    const uint8_t *payload = data + FRAME_HEADER_SIZE;
    return (struct hard_state){.term = get_u64(payload), .vote = get_u64(payload + 8)};
}

struct open_payload frame_open_payload(const uint8_t *data, uint32_t size)
{
    size_t fixed = FRAME_HEADER_SIZE + OPEN_PAYLOAD_MIN_SIZE;
    ASSERT(size >= fixed);
    return (struct open_payload){
        .hard_state = frame_hard_state(data),
        .configuration_index = get_u64(data + FRAME_HEADER_SIZE + HARD_STATE_SIZE),
        .configuration = slice_of(data + fixed, size - fixed),
    };
}
