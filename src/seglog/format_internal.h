/* SPDX-License-Identifier: Apache-2.0 */
/* format: segments and frames as bytes; pure functions, no I/O. Tables in seglog/README.md.
 *
 * Two ways of being wrong are told apart: ERR_TORN, the bytes are not a whole frame of this place
 * and use, as a power loss or rot leaves them; ERR_CORRUPT, they check and yet make no sense, which
 * no power loss explains.
 */
#ifndef SEGLOG_FORMAT_INTERNAL_H
#define SEGLOG_FORMAT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/slice.h"
#include "seglog/frame.h"

#define SEGMENT_HEADER_SIZE 4096
#define SEGMENT_VERSION     1
#define SEGMENT_SIZE_MIN    (256U << 10)
#define SEGMENT_SIZE_MAX    (1U << 30)

/* "<20 digits>.seg" and the terminating zero. */
#define SEGMENT_NAME_SIZE 25

struct segment_header {
    uint64_t group_id;
    uint64_t number;
    uint64_t epoch; /* never 0 */
    uint32_t size;
};

/* Fills all SEGMENT_HEADER_SIZE bytes. */
void segment_header_encode(uint8_t *to, const struct segment_header *header);

/* By the first bytes of a file alone. */
bool segment_has_magic(struct slice bytes);

/* ERR_CORRUPT; ERR_VERSION: it checks, but another version wrote it. */
MUST_CHECK
int segment_header_decode(const uint8_t *from, struct segment_header *out_header);

/* Writes SEGMENT_NAME_SIZE bytes. A temporary one ends in ".tmp". */
void segment_name_format(char *to, uint64_t number, bool is_temporary);

/* False unless it is exactly such a name. */
MUST_CHECK
bool segment_name_parse(const char *name, uint64_t *out_number, bool *out_is_temporary);

struct frame_header {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t durable;     /* up to this sequence all was durable when the frame was built */
    uint64_t first_index; /* index of the first entry, or that the next entry will have */
    uint64_t term;        /* of the entries, or of the entry before first_index */
    uint32_t size;        /* header included, padding not */
    uint32_t count;       /* entries */
    uint32_t nth;         /* of its segment's frames; the OPEN frame is 0 */
    enum frame_kind kind;
};

/* What a frame takes in its segment. */
static inline uint64_t frame_room(uint64_t size)
{
    return align_up(size, FRAME_ALIGN);
}

/* Fills data[0 .. FRAME_HEADER_SIZE) for a frame at `off` whose payload is complete, and zeroes the
 * padding behind it. */
void frame_header_encode(uint8_t *data, const struct frame_header *header, uint64_t off);

static inline bool frame_kind_is_known(enum frame_kind kind)
{
    return kind >= FRAME_OPEN && kind <= FRAME_VOUCH;
}

/* Reads the header of what may be a frame of at most `max_size` bytes. ERR_TORN if it can be none.
 * Nothing in it is to be believed before frame_verify(). */
MUST_CHECK
int frame_header_decode(const uint8_t *from, uint32_t max_size, struct frame_header *out_header);

/* Verifies data[0 .. header->size) at `off`: 0, ERR_TORN, ERR_CORRUPT. */
MUST_CHECK
int frame_verify(const uint8_t *data, const struct frame_header *header, uint64_t off);

/* True if data[size .. frame_room(size)) is zero. */
bool frame_padding_is_clean(const uint8_t *data, uint32_t size);

/* True if the payload is exactly `count` well-formed entries. */
bool frame_entries_are_valid(struct slice payload, uint32_t count);

/* Index of the last CHANGE in a verified frame of entries; 0 if there is none. */
uint64_t frame_newest_change(const uint8_t *data, const struct frame_header *header);

struct hard_state {
    uint64_t term;
    uint64_t vote;
};

#define HARD_STATE_SIZE       16
#define OPEN_PAYLOAD_MIN_SIZE 24

/* The payload of HARDSTATE, and what that of OPEN begins with. `to` holds HARD_STATE_SIZE. */
void hard_state_encode(uint8_t *to, struct hard_state state);

struct open_payload {
    struct hard_state hard_state;
    uint64_t configuration_index;
    struct slice configuration; /* borrowed */
};

/* `to` holds OPEN_PAYLOAD_MIN_SIZE + configuration.len bytes. */
void open_payload_encode(uint8_t *to, const struct open_payload *payload);

/* Of verified frames. */
struct hard_state frame_hard_state(const uint8_t *data);
struct open_payload frame_open_payload(const uint8_t *data, uint32_t size);

#endif
