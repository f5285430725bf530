/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/cursor.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"
#include "bitcask/datafile_internal.h"

/* The window holds a part of the file, large enough that the disk is asked seldom, and grows for a
 * record that is larger. */
#define WINDOW_SIZE (1024u * 1024)

void datafile_cursor_init(struct datafile_cursor *cursor, struct datafile *df, uint64_t from,
                          uint64_t end)
{
    ASSERT(from >= DATAFILE_HEADER_SIZE && from <= end);
    *cursor = (struct datafile_cursor){.df = df, .end = end, .off = from, .window_off = from};
}

void datafile_cursor_fini(struct datafile_cursor *cursor)
{
    buf_fini(&cursor->window);
}

/* Forgets what lies before the next record and reads on, so that at least `need` bytes from there
 * are held or all there are. */
static int advance(struct datafile_cursor *cursor, size_t need, struct diag *diag)
{
    struct buf *window = &cursor->window;
    buf_drop_front(window, (size_t)(cursor->off - cursor->window_off));
    cursor->window_off = cursor->off;
    size_t have = window->len;
    uint64_t left = cursor->end - cursor->off;
    size_t want = need > WINDOW_SIZE ? need : WINDOW_SIZE;
    if (want > left)
        want = (size_t)left;
    if (want <= have)
        return 0;
    if (buf_try_reserve(window, want - have) != 0)
        return diag_set(diag, -ENOMEM, "%s: no memory for the record at offset %" PRIu64,
                        cursor->df->path, cursor->off);
    int rc =
        datafile_read_piece(cursor->df, window->data + have, want - have, cursor->off + have, diag);
    if (rc == 0)
        window->len = want;
    return rc;
}

int datafile_cursor_next(struct datafile_cursor *cursor, struct datafile_cursor_record *out,
                         struct diag *diag)
{
    ASSERT(!datafile_cursor_is_at_end(cursor));
    const struct record_place place = {.uid = cursor->df->uid, .off = cursor->off};
    uint64_t left = cursor->end - cursor->off;
    for (;;) {
        size_t before = (size_t)(cursor->off - cursor->window_off);
        size_t held = cursor->window.len - before;
        size_t size = 0;
        out->bytes = slice_sub(buf_slice(&cursor->window), before, held);
        int rc = held == 0 ? ERR_TORN : record_decode(out->bytes, place, &out->record, &size);
        if (rc == 0) {
            out->bytes.len = size;
            out->off = cursor->off;
            cursor->off += size;
            return 0;
        }
        /* What is missing must be there to be read. */
        if (rc != ERR_TORN || held == left || size > left)
            return datafile_corrupt_at(cursor->df, cursor->off, diag);
        rc = advance(cursor, size, diag);
        if (rc != 0)
            return rc;
    }
}
