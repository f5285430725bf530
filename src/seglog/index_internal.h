/* SPDX-License-Identifier: Apache-2.0 */
/* index: where each frame of entries lies, and which term each entry has; for the owner only.
 *
 * Both are arrays that grow at the end, are cut at the end by a truncation, and lose their front as
 * segments are retired. Frames: 32 bytes a frame. Terms: one run per term.
 */
#ifndef SEGLOG_INDEX_INTERNAL_H
#define SEGLOG_INDEX_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "seglog/segment_internal.h"

struct index_item {
    uint64_t first_index;
    struct segment *segment; /* borrowed: in use as long as the item is */
    uint32_t count;          /* entries that are alive: a truncation may have cut the last ones */
    uint32_t size;           /* of the frame, header included */
    uint32_t off;
};

struct frame_index {
    struct index_item *items; /* [head, end) */
    size_t head;
    size_t end;
    size_t cap;
};

void frame_index_fini(struct frame_index *index);
void frame_index_push(struct frame_index *index, const struct index_item *item);

/* Drops every entry above `last_index`. */
void frame_index_truncate(struct frame_index *index, uint64_t last_index);

/* Drops the frames that lie in `segment`, the oldest one. */
void frame_index_drop_segment(struct frame_index *index, const struct segment *segment);

/* Position of the first item that holds an entry at or above `first_index`; end if none. */
size_t frame_index_find(const struct frame_index *index, uint64_t first_index);

struct term_run {
    uint64_t first_index;
    uint64_t term;
};

/* runs[head] is the base: the term of the entry before the oldest one, itself gone or never there
 * (0, 0). */
struct term_table {
    struct term_run *runs; /* [head, end), never empty after reset */
    size_t head;
    size_t end;
    size_t cap;
};

void term_table_fini(struct term_table *table);
void term_table_reset(struct term_table *table, uint64_t base_index, uint64_t base_term);
void term_table_append(struct term_table *table, uint64_t first_index, uint64_t term);

/* Drops everything above `last_index`, whose term is `term`: it becomes the base if the table does
 * not reach down to it. */
void term_table_truncate(struct term_table *table, uint64_t last_index, uint64_t term);

/* Makes `base_index` the base, if it lies above the present one. */
void term_table_drop_front(struct term_table *table, uint64_t base_index);

uint64_t term_table_base(const struct term_table *table);

/* The term that rules at `index`, not below the base; the caller knows where the log ends. */
uint64_t term_table_get(const struct term_table *table, uint64_t index);

#endif
