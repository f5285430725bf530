/* SPDX-License-Identifier: Apache-2.0 */
/* The frames from the start to the stop, each one sequence further; the last writer wins. */
#include "seglog/recover_internal.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

static void note_tail(struct recovery *r, const struct scanned_frame *frame, size_t file_idx)
{
    if (frame->header.durable > r->vouched)
        r->vouched = frame->header.durable;
    while (r->tail_head < r->tail_end && r->tail[r->tail_head].sequence <= r->vouched)
        r->tail_head++;
    if (r->tail_head == r->tail_end) {
        r->tail_head = 0;
        r->tail_end = 0;
    }
    if (r->tail_end == r->tail_cap) {
        r->tail_cap = r->tail_cap == 0 ? 64 : 2 * r->tail_cap;
        r->tail = mem_realloc(r->tail, r->tail_cap * sizeof(*r->tail));
    }
    struct tail_frame item = {
        .sequence = frame->header.sequence,
        .file_idx = file_idx,
        .off = frame->off,
        .size = frame->header.size,
    };
    r->tail[r->tail_end++] = item;
    if (!frame->is_padding_clean && r->unclean.sequence == 0) {
        r->unclean = item;
        r->unclean_last_index = r->log->last_index;
    }
}

/* Does the frame continue the log? NULL, or what is wrong. */
static const char *find_break(const struct recovery *r, const struct segment *segment,
                              const struct frame_header *header)
{
    const struct seglog *log = r->log;
    if (header->sequence != r->next_sequence)
        return "has another sequence number than its place says";
    if (header->nth != segment->frame_count)
        return "is not the next one of its segment";
    if (header->kind == FRAME_TRUNCATE)
        return header->first_index <= log->last_index + 1 ? NULL : "truncates beyond the end";
    if (header->first_index != log->last_index + 1)
        return "does not continue the index";
    bool is_right = header->kind == FRAME_ENTRIES ? header->term >= log->last_term
                                                  : header->term == log->last_term;
    return is_right ? NULL : "does not continue the term";
}

static const char *replay_truncate(struct seglog *log, const struct frame_header *header)
{
    uint64_t last_index = header->first_index - 1;
    if (last_index >= term_table_base(&log->terms) &&
        term_table_get(&log->terms, last_index) != header->term)
        return "truncates to another term";
    log->last_index = last_index;
    log->last_term = header->term;
    frame_index_truncate(&log->index, last_index);
    term_table_truncate(&log->terms, last_index, header->term);
    return NULL;
}

static const char *replay_open(struct seglog *log, const struct scanned_frame *frame, bool is_first)
{
    struct open_payload payload = frame_open_payload(frame->data, frame->header.size);
    if (!is_first && (payload.hard_state.term != log->hard_state.term ||
                      payload.hard_state.vote != log->hard_state.vote))
        return "repeats another term and vote than were written";
    log->hard_state = payload.hard_state;
    log->configuration_index = payload.configuration_index;
    log->configuration.len = 0;
    buf_append_slice(&log->configuration, payload.configuration);
    return NULL;
}

static void replay_entries(struct recovery *r, struct segment *segment,
                           const struct scanned_frame *frame)
{
    struct seglog *log = r->log;
    const struct frame_header *header = &frame->header;
    uint64_t change = frame_newest_change(frame->data, header);
    struct index_item item = {
        .first_index = header->first_index,
        .segment = segment,
        .count = header->count,
        .size = header->size,
        .off = (uint32_t)frame->off,
    };
    frame_index_push(&log->index, &item);
    term_table_append(&log->terms, header->first_index, header->term);
    log->last_index += header->count;
    log->last_term = header->term;
    if (change > r->newest_change)
        r->newest_change = change;
}

/* Last writer wins. NULL, or why the frame makes no sense here. */
static const char *replay_frame(struct recovery *r, struct segment *segment,
                                const struct scanned_frame *frame)
{
    struct seglog *log = r->log;
    bool is_first = r->next_sequence == r->files.items[r->start_idx].open.sequence;
    const char *wrong = find_break(r, segment, &frame->header);
    if (wrong != NULL)
        return wrong;
    switch (frame->header.kind) {
    case FRAME_OPEN:
        return replay_open(log, frame, is_first);
    case FRAME_ENTRIES:
        replay_entries(r, segment, frame);
        return NULL;
    case FRAME_HARDSTATE: {
        struct hard_state state = frame_hard_state(frame->data);
        if (state.term < log->hard_state.term)
            return "takes the term back";
        log->hard_state = state;
        return NULL;
    }
    case FRAME_TRUNCATE:
        return replay_truncate(log, &frame->header);
    case FRAME_VOUCH:
        return NULL;
    }
    return "is of no known kind";
}

static int tell_frame(const struct recovery *r, const struct found_file *file,
                      const struct scanned_frame *frame)
{
    if (r->visit == NULL)
        return 0;
    struct seglog_seen seen;
    scanned_frame_tell(frame, file->number, &seen);
    return r->visit(r->visit_ctx, &seen);
}

/* Goes through one segment up to its end or to the stop. */
static int replay_segment(struct recovery *r, size_t file_idx)
{
    struct found_file *file = &r->files.items[file_idx];
    struct segment *segment = segment_new(r->log->dir, &file->header);
    segment_list_push(&r->log->used, segment);
    segment->file = file_ref(file->file);
    segment->first_sequence = file->open.sequence;
    segment->first_index = file->open.first_index;
    file->is_adopted = true;
    scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK);
    r->stop_idx = file_idx;
    r->stop_off = segment->used;
    while (r->next_sequence < file->end_sequence) {
        struct scanned_frame frame;
        int rc = scan_frame(&r->window, file->header.epoch, segment->used, &frame);
        if (rc == ERR_TORN)
            return 0;
        if (rc == ERR_CORRUPT)
            return recovery_nonsense(r, file, segment->used, "it is of no valid form");
        if (rc != 0)
            return recovery_read_failed(r, file, rc);
        const char *wrong = replay_frame(r, segment, &frame);
        if (wrong != NULL)
            return recovery_nonsense(r, file, segment->used, wrong);
        rc = tell_frame(r, file, &frame);
        if (rc != 0)
            return rc;
        note_tail(r, &frame, file_idx);
        r->next_sequence++;
        segment->frame_count++;
        segment->used += (uint32_t)frame_room(frame.header.size);
        r->stop_off = segment->used;
        recovery_tell_progress(r, false);
    }
    return 0;
}

/* The OPEN frame at which the log begins says what was before it. */
static void begin_at(struct recovery *r, const struct found_file *file)
{
    struct seglog *log = r->log;
    r->next_sequence = file->open.sequence;
    log->last_index = file->open.first_index - 1;
    log->last_term = file->open.term;
    term_table_reset(&log->terms, log->last_index, log->last_term);
}

static void begin_behind_checkpoint(struct seglog *log)
{
    log->last_index = log->options.checkpoint_index;
    log->last_term = log->options.checkpoint_term;
    log->hard_state.term = log->options.checkpoint_term;
    term_table_reset(&log->terms, log->last_index, log->last_term);
}

int recovery_replay(struct recovery *r)
{
    struct found_files *files = &r->files;
    r->start_idx = survey_find_start(files, r->log->options.checkpoint_index);
    r->next_sequence = 1;
    r->stop_idx = r->start_idx;
    r->headless_idx = files->count;
    term_table_reset(&r->log->terms, 0, 0);
    r->first_bytes = r->window.read_bytes;
    for (size_t i = r->start_idx; i < files->count; i++)
        r->total_bytes += files->items[i].file_size;
    if (r->start_idx < files->count)
        begin_at(r, &files->items[r->start_idx]);
    else if (r->log->options.may_begin)
        begin_behind_checkpoint(r->log);
    for (size_t i = r->start_idx; i < files->count; i++) {
        struct found_file *file = &files->items[i];
        if (file->state != FOUND_IN_USE || file->is_void)
            continue;
        if (file->open.sequence != r->next_sequence)
            break; /* the one before it has stopped early */
        int rc = replay_segment(r, i);
        if (rc != 0)
            return rc;
    }
    return 0;
}
