/* SPDX-License-Identifier: Apache-2.0 */
/* segment: one file of the log, and how such files are made ready. */
#ifndef SEGLOG_SEGMENT_INTERNAL_H
#define SEGLOG_SEGMENT_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "os/fs.h"
#include "seglog/format_internal.h"

/* In one of the log's lists: in use, ready, or spare. Readers hold references, so that a file they
 * read is not used again under them. */
struct segment {
    _Atomic uint32_t ref_count;
    struct list_node node;
    struct segment_header header;
    struct file *file; /* NULL while it is spare */
    char *path;
    uint32_t used; /* where the next frame goes */
    uint32_t frame_count;
    /* Of its OPEN frame, once it is in use. */
    uint64_t first_sequence;
    uint64_t first_index;
};

/* `dir` joined with the segment's name. One reference. */
struct segment *segment_new(const char *dir, const struct segment_header *header);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment *segment);

/* True if nobody but the caller knows it. */
bool segment_is_sole(const struct segment *segment);

/* "<dir>/<name>", to be freed. */
char *segment_path(const char *dir, uint64_t number, bool is_temporary);

/* What a preparation needs; no part of the log, so that it can run on any thread. */
struct seglog_prep {
    struct fs *fs;
    const char *dir;
    unsigned open_flags;
    struct segment *target;   /* to be made ready; NULL: only the surplus goes */
    struct segment *spare;    /* to be recycled into it, or NULL */
    struct list_node surplus; /* to be unlinked */
    bool was_recycled;
    int result;
};

#endif
