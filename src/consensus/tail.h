/* SPDX-License-Identifier: Apache-2.0 */
/* tail: the newest entries of the log, in memory, as the frames they were written in.
 *
 * Frames lie in index order without a gap. Those that are durable come first; only they may be
 * evicted, from the front, and are then read back from the log. A cut shortens what counts of a
 * frame; the frame itself, already on its way to the disk, stays as it is.
 *
 * Owner: the consensus. Holds one reference to each frame.
 */
#ifndef CONSENSUS_TAIL_H
#define CONSENSUS_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include "seglog/frame.h"

struct tail_item {
    struct frame *frame;
    uint64_t first;
    uint64_t last; /* what counts of it */
};

/* Zeroed storage is a valid empty tail. */
struct tail {
    struct tail_item *items; /* ring of `cap`, a power of two */
    size_t cap;
    size_t head;
    size_t count;
    size_t durable_count;
    size_t durable_bytes;
};

void tail_fini(struct tail *tail);

/* Adds a frame that has just been appended; takes a reference. */
void tail_push(struct tail *tail, struct frame *frame);

/* `frame`, the oldest that was not durable, is so now. Returns the last index that counts of it, 0
 * if it has been cut away meanwhile. */
uint64_t tail_mark_durable(struct tail *tail, const struct frame *frame);

/* Forgets all entries from `index` on. */
void tail_cut(struct tail *tail, uint64_t index);

/* Drops durable frames from the front until at most `keep_bytes` of them are left. */
void tail_evict(struct tail *tail, size_t keep_bytes);

/* The frame that holds the entry, or NULL. */
const struct tail_item *tail_find(const struct tail *tail, uint64_t index);

#endif
