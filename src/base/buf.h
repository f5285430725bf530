/* SPDX-License-Identifier: Apache-2.0 */
/* buf: owned, growing bytes.
 *
 * Zeroed storage is a valid empty buf. Growth is by half, so appending n bytes costs O(n).
 * Callers may read data[0 .. len) and lower len; everything else goes through the calls.
 * buf_append and its kin end the process when memory is out and are for sizes bounded by us;
 * what a client chose goes through buf_try_reserve first.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/attr.h"
#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_fini(struct buf *buf);

/* Empties the buffer; memory over `keep` bytes is given back. */
void buf_reset(struct buf *buf, size_t keep);

/* Room for `more` bytes behind len. Returns 0 or -ENOMEM. */
MUST_CHECK
int buf_try_reserve(struct buf *buf, size_t more);
void buf_reserve(struct buf *buf, size_t more);

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_slice(struct buf *buf, struct slice s);
void buf_append_str(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, uint8_t byte);
void buf_append_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts a zero behind the bytes, which does not count: data is a C string until the next change. */
void buf_terminate(struct buf *buf);

/* Appends `len` uninitialised bytes and returns where they begin. */
uint8_t *buf_extend(struct buf *buf, size_t len);

/* Removes the first `len` bytes. O(rest). */
void buf_drop_front(struct buf *buf, size_t len);

/* Moves the contents out; `buf` is empty afterwards and the caller owns the result's data. */
struct buf buf_take(struct buf *buf);

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){.data = buf->data, .len = buf->len};
}

#endif
