/* SPDX-License-Identifier: Apache-2.0 */
/* frame: the aligned bytes of one durable write to the log, counted and shared.
 *
 * The writer of a batch encodes its commands straight into a frame: what the io loop fills is what
 * the disk gets and what the shards apply from. Room for the frame's header (and one entry's) is
 * kept in front; the tail is zeroed to the alignment when it is appended.
 *
 *   data: | frame header 64 | entry header 8 | entry payload ... | [entry header 8 | payload] ... |
 *
 * Threads:  the counter from any; the bytes are written by one thread until it is appended and by
 *           none afterwards.
 */
#ifndef SEGLOG_FRAME_H
#define SEGLOG_FRAME_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/slice.h"
#include "os/aio.h"

#define FRAME_ALIGN       4096
#define FRAME_HEADER_SIZE 64
#define ENTRY_HEADER_SIZE 8
/* Where the payload of a frame's first entry begins. */
#define FRAME_PAYLOAD_OFF (FRAME_HEADER_SIZE + ENTRY_HEADER_SIZE)

enum frame_kind {
    FRAME_OPEN = 1,
    FRAME_ENTRIES = 2,
    FRAME_HARDSTATE = 3,
    FRAME_TRUNCATE = 4,
    FRAME_VOUCH = 5
};

enum entry_type { ENTRY_COMMAND = 1, ENTRY_BARRIER = 2, ENTRY_CHANGE = 3 };

struct frame {
    _Atomic uint32_t ref_count;
    uint32_t entry_count;
    uint8_t *data; /* aligned to FRAME_ALIGN */
    size_t size;   /* used, headers included */
    size_t cap;    /* multiple of FRAME_ALIGN */
    uint64_t first_index;
    uint64_t term;
    /* seglog's, while it is in flight */
    uint64_t sequence;
    uint64_t live_last_index; /* last entry that no truncation has cut */
    enum frame_kind kind;
    int result;
    struct aio_write write;
    struct list_node node;
};

/* An empty ENTRIES frame with size FRAME_HEADER_SIZE and room for `payload` bytes in one entry.
 * NULL when memory is out. One reference. */
MUST_CHECK
struct frame *frame_new(size_t payload);

/* Room for `more` bytes behind size; may move data. 0 or -ENOMEM. Only before it is appended. */
MUST_CHECK
int frame_reserve(struct frame *frame, size_t more);

struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame);

/* Writes the entry header at `off` for the `payload_size` bytes that lie behind it. */
void frame_put_entry_header(struct frame *frame, size_t off, size_t payload_size,
                            enum entry_type type);

struct log_entry {
    uint64_t index;
    uint64_t term;
    enum entry_type type;
    struct slice payload; /* borrowed from the frame */
};

/* Walks the entries of an ENTRIES frame that has been built by us or has been verified. `*at`
 * starts at FRAME_HEADER_SIZE, `nth` at 0. False at the end. */
bool frame_next_entry(const struct frame *frame, size_t *at, uint32_t nth,
                      struct log_entry *out_entry);

#endif
