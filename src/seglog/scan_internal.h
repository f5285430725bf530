/* SPDX-License-Identifier: Apache-2.0 */
/* scan: reading the frames of one segment file, hostile until verified, in bounded memory. */
#ifndef SEGLOG_SCAN_INTERNAL_H
#define SEGLOG_SCAN_INTERNAL_H

#include <stdint.h>

#include "base/attr.h"
#include "os/fs.h"
#include "seglog/format_internal.h"
#include "seglog/look.h"

/* A piece of a file in memory: as much as is read at a time, or the largest frame. */
struct scan_window {
    struct file *file; /* borrowed */
    uint64_t file_size;
    uint64_t off; /* of data[0] in the file */
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t chunk;        /* what is read at a time */
    uint64_t read_bytes; /* in all, for progress */
};

#define SCAN_CHUNK      (4U << 20)
#define SCAN_CHUNK_HEAD (64U << 10) /* a segment's header and its OPEN frame */

/* Turns to another file, to be read `chunk` bytes at a time; memory is kept. */
void scan_window_turn(struct scan_window *window, struct file *file, uint64_t file_size,
                      size_t chunk);
void scan_window_fini(struct scan_window *window);

/* `size` bytes at `off`, valid until the next call. ERR_TORN: file_size ends before. */
MUST_CHECK
int scan_window_get(struct scan_window *window, uint64_t off, size_t size,
                    const uint8_t **out_data);

struct scanned_frame {
    struct frame_header header;
    const uint8_t *data; /* until the next call on the window */
    uint64_t off;
    bool is_padding_clean;
};

/* The frame at `off` of a segment with this epoch. `epoch` 0: whatever epoch the frame itself
 * names. ERR_TORN: there is no whole frame; ERR_CORRUPT: it checks and makes no sense; or what the
 * read said. */
MUST_CHECK
int scan_frame(struct scan_window *window, uint64_t epoch, uint64_t off,
               struct scanned_frame *out_frame);

/* The same for those who look from outside: borrowed as data is. */
void scanned_frame_tell(const struct scanned_frame *frame, uint64_t segment,
                        struct seglog_seen *out_seen);

/* The next whole frame at or behind *off, wherever it begins; *off is where it was found. ERR_TORN:
 * there is none up to the end of the file. */
MUST_CHECK
int scan_find_frame(struct scan_window *window, uint64_t epoch, uint64_t *off,
                    struct scanned_frame *out_frame);

#endif
