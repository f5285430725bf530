/* SPDX-License-Identifier: Apache-2.0 */
/* A reader owns a copy of the part of the index it walks and a reference to each segment in it, so
 * it needs nothing of the log while it runs and may be on another thread. A segment it holds is not
 * used again under it (S8). */
#include "seglog/seglog.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "seglog/seglog_internal.h"

struct seglog_reader {
    struct index_item *items;
    size_t at;
    size_t count;
};

int seglog_reader_open(struct seglog *log, uint64_t from_index, struct seglog_reader **out_reader)
{
    const struct frame_index *index = &log->index;
    bool is_empty = index->head == index->end;
    uint64_t oldest = is_empty ? log->last_index + 1 : index->items[index->head].first_index;
    if (from_index < oldest)
        return ERR_NOT_FOUND;
    size_t begin = frame_index_find(index, from_index);
    size_t end = frame_index_find(index, log->durable_index + 1);
    if (begin > end)
        begin = end;
    struct seglog_reader *reader = mem_calloc(1, sizeof(*reader));
    reader->count = end - begin;
    reader->items = mem_alloc(reader->count * sizeof(*reader->items));
    for (size_t i = 0; i < reader->count; i++) {
        reader->items[i] = index->items[begin + i];
        if (i == 0 || reader->items[i].segment != reader->items[i - 1].segment)
            segment_ref(reader->items[i].segment);
    }
    *out_reader = reader;
    return 0;
}

/* Goes to the next item; the last one of a segment gives the reference back. */
static void pass(struct seglog_reader *reader)
{
    struct segment *segment = reader->items[reader->at].segment;
    reader->at++;
    if (reader->at == reader->count || reader->items[reader->at].segment != segment)
        segment_unref(segment);
}

static int damaged(const struct index_item *item, struct diag *diag)
{
    return diag_set(diag, ERR_CORRUPT,
                    "%s: the frame at offset %" PRIu32 " does not check: entries %" PRIu64
                    " to %" PRIu64 " cannot be read",
                    item->segment->path, item->off, item->first_index,
                    item->first_index + item->count - 1);
}

/* Reads the item's frame and holds it against the index. */
static int read_item(const struct index_item *item, struct frame *frame, struct diag *diag)
{
    size_t room = frame_room(item->size);
    ASSERT(room <= frame->cap);
    int rc = file_read_full(item->segment->file, frame->data, room, item->off);
    if (rc == ERR_TORN)
        return damaged(item, diag);
    if (rc != 0)
        return diag_set(diag, rc, "cannot read %s at offset %" PRIu32 ": %s", item->segment->path,
                        item->off, err_text(rc));
    struct frame_header header;
    rc = frame_header_decode(frame->data, item->size, &header);
    if (rc == 0)
        rc = frame_verify(frame->data, &header, item->off);
    if (rc != 0 || header.epoch != item->segment->header.epoch || header.size != item->size ||
        header.kind != FRAME_ENTRIES || header.first_index != item->first_index ||
        header.count < item->count || !frame_padding_is_clean(frame->data, header.size))
        return damaged(item, diag);
    frame->size = header.size;
    frame->first_index = header.first_index;
    frame->term = header.term;
    frame->sequence = header.sequence;
    frame->entry_count = item->count;
    return 0;
}

int seglog_reader_next(struct seglog_reader *reader, struct frame **out_frame, struct diag *diag)
{
    if (reader->at == reader->count)
        return ERR_NOT_FOUND;
    const struct index_item *item = &reader->items[reader->at];
    struct frame *frame = frame_new(item->size);
    if (frame == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a frame of %" PRIu32 " bytes", item->size);
    int rc = read_item(item, frame, diag);
    if (rc != 0) {
        frame_unref(frame);
        return rc;
    }
    pass(reader);
    *out_frame = frame;
    return 0;
}

void seglog_reader_close(struct seglog_reader *reader)
{
    if (reader == NULL)
        return;
    while (reader->at < reader->count)
        pass(reader);
    mem_free(reader->items);
    mem_free(reader);
}
