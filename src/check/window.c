/* SPDX-License-Identifier: Apache-2.0 */
#include "check/window.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

#define WINDOW_CHUNK (1024u * 1024)
#define WINDOW_BLOCK 4096u
#define UNREADABLE   0xa5

void window_init(struct window *window, struct file *file, uint64_t size)
{
    *window = (struct window){.file = file, .size = size};
}

void window_fini(struct window *window)
{
    mem_free(window->data);
    *window = (struct window){0};
}

static int grow(struct window *window, size_t size)
{
    if (size <= window->cap)
        return 0;
    uint8_t *data = mem_try_alloc(size);
    if (data == NULL)
        return -ENOMEM;
    mem_free(window->data);
    window->data = data;
    window->cap = size;
    window->len = 0;
    return 0;
}

/* V4: a block that cannot be read takes nothing with it but itself. */
static int read_blocks(struct window *window, uint64_t off, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t part = WINDOW_BLOCK - (size_t)((off + at) % WINDOW_BLOCK);
        part = part < size - at ? part : size - at;
        int rc = file_read_full(window->file, window->data + at, part, off + at);
        if (rc != 0 && rc != -EIO)
            return rc;
        if (rc == -EIO) {
            memset(window->data + at, UNREADABLE, part);
            window->unreadable_blocks++;
        }
        at += part;
    }
    return 0;
}

int window_get(struct window *window, uint64_t off, size_t size, struct slice *out_bytes)
{
    ASSERT(off <= window->size);
    uint64_t left = window->size - off;
    if (size > left)
        size = (size_t)left;
    if (off < window->off || off + size > window->off + window->len) {
        size_t want = size > WINDOW_CHUNK ? size : WINDOW_CHUNK;
        want = want > left ? (size_t)left : want;
        int rc = grow(window, want);
        if (rc != 0)
            return rc;
        window->len = 0;
        rc = file_read_full(window->file, window->data, want, off);
        if (rc == -EIO)
            rc = read_blocks(window, off, want);
        if (rc != 0)
            return rc == ERR_TORN ? -EIO : rc; /* it has become shorter than it was */
        window->off = off;
        window->len = want;
        window->read_bytes += want;
    }
    size_t skip = (size_t)(off - window->off);
    *out_bytes = slice_of(window->data + skip, window->len - skip);
    return 0;
}
