/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/scan_internal.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

void scan_window_turn(struct scan_window *window, struct file *file, uint64_t file_size,
                      size_t chunk)
{
    window->chunk = chunk;
    window->file = file;
    window->file_size = file_size;
    window->off = 0;
    window->len = 0;
}

void scan_window_fini(struct scan_window *window)
{
    mem_free(window->data);
    *window = (struct scan_window){0};
}

static int grow(struct scan_window *window, size_t size)
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

int scan_window_get(struct scan_window *window, uint64_t off, size_t size, const uint8_t **out_data)
{
    if (off > window->file_size || size > window->file_size - off)
        return ERR_TORN;
    if (off < window->off || off + size > window->off + window->len) {
        uint64_t left = window->file_size - off;
        size_t chunk = window->chunk;
        size_t want = size > chunk ? size : left < chunk ? (size_t)left : chunk;
        int rc = grow(window, want);
        if (rc != 0)
            return rc;
        window->len = 0;
        rc = file_read_full(window->file, window->data, want, off);
        if (rc != 0)
            return rc == ERR_TORN ? -EIO : rc; /* it has become shorter than it was */
        window->off = off;
        window->len = want;
        window->read_bytes += want;
    }
    *out_data = window->data + (off - window->off);
    return 0;
}

/* No frame is larger than half of its segment. */
static uint32_t max_frame_at(const struct scan_window *window, uint64_t off)
{
    uint64_t left = window->file_size - off;
    uint64_t half = window->file_size / 2;
    uint64_t max = left < half ? left : half;
    return max > SEGMENT_SIZE_MAX ? SEGMENT_SIZE_MAX : (uint32_t)max;
}

int scan_frame(struct scan_window *window, uint64_t epoch, uint64_t off,
               struct scanned_frame *out_frame)
{
    ASSERT(is_aligned(off, FRAME_ALIGN));
    const uint8_t *data;
    int rc = scan_window_get(window, off, FRAME_HEADER_SIZE, &data);
    if (rc != 0)
        return rc;
    struct frame_header header;
    rc = frame_header_decode(data, max_frame_at(window, off), &header);
    if (rc != 0)
        return rc;
    bool is_ours = epoch == 0 ? frame_kind_is_known(header.kind) : header.epoch == epoch;
    if (!is_ours)
        return ERR_TORN;
    rc = scan_window_get(window, off, frame_room(header.size), &data);
    if (rc != 0)
        return rc;
    rc = frame_verify(data, &header, off);
    if (rc != 0)
        return rc;
    *out_frame = (struct scanned_frame){
        .header = header,
        .data = data,
        .off = off,
        .is_padding_clean = frame_padding_is_clean(data, header.size),
    };
    return 0;
}

void scanned_frame_tell(const struct scanned_frame *frame, uint64_t segment,
                        struct seglog_seen *out_seen)
{
    const struct frame_header *header = &frame->header;
    *out_seen = (struct seglog_seen){
        .segment = segment,
        .epoch = header->epoch,
        .off = frame->off,
        .size = header->size,
        .room = (uint32_t)frame_room(header->size),
        .kind = header->kind,
        .count = header->count,
        .nth = header->nth,
        .sequence = header->sequence,
        .durable = header->durable,
        .first_index = header->first_index,
        .term = header->term,
        .data = frame->data,
        .is_padding_clean = frame->is_padding_clean,
    };
}

int scan_find_frame(struct scan_window *window, uint64_t epoch, uint64_t *off,
                    struct scanned_frame *out_frame)
{
    int rc = ERR_TORN;
    for (; rc == ERR_TORN && *off + FRAME_ALIGN <= window->file_size; *off += FRAME_ALIGN) {
        rc = scan_frame(window, epoch, *off, out_frame);
        if (rc != ERR_TORN)
            break;
    }
    return rc;
}
