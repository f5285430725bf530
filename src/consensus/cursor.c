/* SPDX-License-Identifier: Apache-2.0 */
/* Entries in index order, wherever they are.
 *
 * A frame may hold entries that were cut away after it was written, and whether a reader of the log
 * still shows those is its own business. So an entry is taken only if the core's log has that term
 * at that index: two entries with the same index and term are the same entry (Raft's log matching),
 * and of one that was cut and its replacement the terms differ.
 */
#include "consensus/cursor_internal.h"

#include "base/assert.h"
#include "base/err.h"
#include "consensus/consensus_internal.h"

static void drop_frame(struct cursor *cursor)
{
    frame_unref(cursor->frame);
    cursor->frame = NULL;
}

void cursor_fini(struct cursor *cursor)
{
    if (cursor->frame != NULL)
        drop_frame(cursor);
    if (cursor->reader != NULL)
        seglog_reader_close(cursor->reader);
    cursor->reader = NULL;
}

/* Takes the reference over. */
static void set_frame(struct cursor *cursor, struct frame *frame, uint64_t last)
{
    cursor->frame = frame;
    cursor->last = last;
    cursor->at = FRAME_HEADER_SIZE;
    cursor->nth = 0;
}

static bool load_from_memory(const struct consensus *c, struct cursor *cursor)
{
    const struct tail_item *item = tail_find(&c->tail, cursor->next);
    if (item == NULL)
        return false;
    ASSERT(item->frame->term == core_term(c, cursor->next));
    cursor_fini(cursor);
    set_frame(cursor, frame_ref(item->frame), item->last);
    return true;
}

/* The next frame of the reader. One that has come to its end is replaced, as the log has grown
 * since; unless it has not shown us a single entry. */
static int load_from_log(struct consensus *c, struct cursor *cursor, struct diag *diag)
{
    struct frame *frame;
    for (;;) {
        int rc = 0;
        if (cursor->reader == NULL) {
            rc = seglog_reader_open(c->log, cursor->next, &cursor->reader);
            cursor->reader_from = cursor->next;
        }
        if (rc != 0)
            return rc;
        rc = seglog_reader_next(cursor->reader, &frame, diag);
        if (rc == 0)
            set_frame(cursor, frame, UINT64_MAX);
        if (rc != ERR_NOT_FOUND || cursor->reader_from == cursor->next)
            return rc;
        cursor_fini(cursor);
    }
}

int cursor_load(struct consensus *c, struct cursor *cursor, size_t *read_bytes, struct diag *diag)
{
    if (cursor->frame != NULL)
        drop_frame(cursor);
    if (core_term(c, cursor->next) == 0)
        return ERR_NOT_FOUND; /* A checkpoint has trimmed it, wherever it may still be. */
    if (load_from_memory(c, cursor))
        return 0;
    int rc = load_from_log(c, cursor, diag);
    if (rc == 0)
        *read_bytes += cursor->frame->cap;
    return rc;
}

bool cursor_take(const struct consensus *c, struct cursor *cursor, uint64_t limit,
                 struct log_entry *out_entry)
{
    struct log_entry entry;
    if (cursor->frame == NULL || cursor->next > limit || cursor->next > cursor->last)
        return false;
    while (frame_next_entry(cursor->frame, &cursor->at, cursor->nth, &entry)) {
        cursor->nth++;
        if (entry.index > cursor->next)
            break;
        if (entry.index < cursor->next || entry.term != core_term(c, entry.index))
            continue;
        cursor->next++;
        *out_entry = entry;
        return true;
    }
    return false;
}
