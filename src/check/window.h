/* SPDX-License-Identifier: Apache-2.0 */
/* window: a large file read piece by piece, in bounded memory.
 *
 * Blocks that the disk cannot read are filled with a pattern, so that what lies in them fails its
 * check and is told like other damage, and all around it is still read.
 */
#ifndef CHECK_WINDOW_H
#define CHECK_WINDOW_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "os/fs.h"

struct window {
    struct file *file; /* borrowed */
    uint64_t size;     /* what lies beyond is not looked at */
    uint64_t off;      /* of data[0] */
    uint8_t *data;
    size_t len;
    size_t cap;
    uint64_t read_bytes;
    uint64_t unreadable_blocks;
};

void window_init(struct window *window, struct file *file, uint64_t size);
void window_fini(struct window *window);

/* The bytes from `off` on, at least `size` of them if there are as many: valid until the next call.
 * May be more. -ENOMEM, or what a read said. */
MUST_CHECK
int window_get(struct window *window, uint64_t off, size_t size, struct slice *out_bytes);

#endif
