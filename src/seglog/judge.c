/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind the stop, and does the log reach as far as was promised? See recover.c. */
#include "seglog/recover_internal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"

static int damaged(struct recovery *r, const struct found_file *file, uint64_t off, const char *why)
{
    survey_blame(&r->files, off == 0 ? SEGLOG_DAMAGED_HEADER : SEGLOG_DAMAGED_FRAME, file, off);
    return diag_set(r->diag, ERR_CORRUPT,
                    "%s: the bytes at offset %" PRIu64 " do not check, and %s: frame %" PRIu64
                    ", entries from index %" PRIu64
                    " on, cannot be read (the checkpoint covers up "
                    "to index %" PRIu64 ")",
                    file->path, off, why, r->next_sequence, r->log->last_index + 1,
                    r->log->options.checkpoint_index);
}

/* All whole frames of a file from `off` on that stand behind the stop. */
static int scan_rest(struct recovery *r, size_t file_idx, uint64_t off)
{
    struct found_file *file = &r->files.items[file_idx];
    scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK);
    for (;;) {
        struct scanned_frame frame;
        int rc = scan_find_frame(&r->window, file->header.epoch, &off, &frame);
        recovery_tell_progress(r, false);
        if (rc == ERR_TORN)
            return 0;
        if (rc == ERR_CORRUPT)
            return recovery_nonsense(r, file, off, "it is of no valid form");
        if (rc != 0)
            return recovery_read_failed(r, file, rc);
        const struct frame_header *header = &frame.header;
        if (header->durable > r->vouched)
            r->vouched = header->durable;
        if (file->state == FOUND_UNUSED) {
            if (header->durable >= header->sequence - header->nth)
                return damaged(r, file, SEGMENT_HEADER_SIZE,
                               "a later frame says that they had been durable");
            if (r->headless_idx == r->files.count)
                r->headless_idx = file_idx;
        }
        r->is_rest_whole = r->is_rest_whole || file_idx == r->stop_idx;
        r->cut_frames++;
        r->cut_bytes += frame_room(header->size);
        off += frame_room(header->size);
    }
}

/* A file whose header is damaged: does anything in it continue the log? */
static int judge_bad_header(struct recovery *r, const struct found_file *file)
{
    scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK);
    uint64_t off = SEGMENT_HEADER_SIZE;
    for (;;) {
        struct scanned_frame frame;
        int rc = scan_find_frame(&r->window, 0, &off, &frame);
        recovery_tell_progress(r, false);
        if (rc == ERR_TORN)
            return 0;
        if (rc != 0 && rc != ERR_CORRUPT)
            return recovery_read_failed(r, file, rc);
        if (rc == 0 && frame.header.sequence >= r->next_sequence)
            return damaged(r, file, 0, "the segment holds frames that continue the log");
        off += rc == 0 ? frame_room(frame.header.size) : FRAME_ALIGN;
    }
}

/* Is there the trace of a frame at the stop? */
static int look_at_stop(struct recovery *r)
{
    struct found_file *file = &r->files.items[r->stop_idx];
    const uint8_t *data;
    if (r->stop_off + FRAME_ALIGN > file->file_size)
        return 0;
    scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK);
    int rc = scan_window_get(&r->window, r->stop_off, FRAME_ALIGN, &data);
    if (rc != 0)
        return recovery_read_failed(r, file, rc);
    struct frame_header header;
    uint32_t max_size = (uint32_t)(file->file_size - r->stop_off);
    if (frame_header_decode(data, max_size, &header) != 0 || header.epoch != file->header.epoch)
        return 0;
    r->is_torn = true;
    r->cut_frames++;
    r->cut_bytes += FRAME_ALIGN;
    return 0;
}

/* Everything whole behind the stop: what it vouches for, and how much of it there is. */
static int look_behind(struct recovery *r)
{
    bool has_chain = r->start_idx < r->files.count;
    int rc = has_chain ? look_at_stop(r) : 0;
    if (rc == 0 && has_chain)
        rc = scan_rest(r, r->stop_idx, r->stop_off);
    for (size_t i = has_chain ? r->start_idx + 1 : 0; rc == 0 && i < r->files.count; i++) {
        const struct found_file *file = &r->files.items[i];
        bool has_frames = file->state == FOUND_UNUSED || file->state == FOUND_IN_USE;
        if (has_frames && !file->is_adopted)
            rc = scan_rest(r, i, SEGMENT_HEADER_SIZE);
    }
    return rc;
}

/* Does anything vouch for the frame that is missing at the stop? */
static int judge_stop(struct recovery *r)
{
    if (r->vouched < r->next_sequence)
        return 0;
    bool is_elsewhere = !r->is_torn && !r->is_rest_whole && r->headless_idx < r->files.count;
    size_t file_idx = r->stop_idx == r->files.count || is_elsewhere ? r->headless_idx : r->stop_idx;
    uint64_t off = file_idx == r->stop_idx ? r->stop_off : SEGMENT_HEADER_SIZE;
    ASSERT(file_idx < r->files.count);
    return damaged(r, &r->files.items[file_idx], off,
                   "a later frame says that they had been durable");
}

static int judge_files(struct recovery *r)
{
    bool has_chain = r->start_idx < r->files.count;
    for (size_t i = has_chain ? r->start_idx + 1 : 0; i < r->files.count; i++) {
        struct found_file *file = &r->files.items[i];
        if (file->state == FOUND_BAD_SIZE) {
            survey_blame(&r->files, SEGLOG_DAMAGED_HEADER, file, 0);
            return diag_set(r->diag, ERR_CORRUPT,
                            "%s has %" PRIu64
                            " bytes, which is not the size of a segment: it has "
                            "been cut or overwritten (entries from index %" PRIu64 " on)",
                            file->path, file->file_size, r->log->last_index + 1);
        }
        if (file->state != FOUND_BAD_HEADER || (has_chain && i < r->stop_idx))
            continue;
        int rc = judge_bad_header(r, file);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Without a start: was there ever anything? */
static int judge_start(struct recovery *r)
{
    uint64_t checkpoint = r->log->options.checkpoint_index;
    if (r->start_idx < r->files.count)
        return 0;
    for (size_t i = 0; i < r->files.count; i++) {
        const struct found_file *file = &r->files.items[i];
        if (file->state != FOUND_IN_USE)
            continue;
        survey_blame(&r->files, SEGLOG_DAMAGED_REACH, file, SEGMENT_HEADER_SIZE);
        return diag_set(r->diag, ERR_CORRUPT,
                        "%s begins with index %" PRIu64
                        " (offset %d), but the checkpoint "
                        "covers only up to %" PRIu64 ": the entries between are missing",
                        file->path, file->open.first_index, SEGMENT_HEADER_SIZE, checkpoint);
    }
    if (checkpoint == 0 || r->log->options.may_begin)
        return 0;
    r->files.blame.damage = SEGLOG_DAMAGED_REACH;
    return diag_set(r->diag, ERR_CORRUPT,
                    "%s holds no segment in use, but the checkpoint covers up to index %" PRIu64
                    ": the log that went on from there, term and vote are missing",
                    r->log->dir, checkpoint);
}

/* Everything up to the checkpoint was durable, and must be or have been there. */
static int judge_checkpoint(struct recovery *r)
{
    const struct seglog *log = r->log;
    uint64_t checkpoint = log->options.checkpoint_index;
    if (r->start_idx == r->files.count)
        return 0;
    const struct found_file *file = &r->files.items[r->stop_idx];
    survey_blame(&r->files, SEGLOG_DAMAGED_REACH, file, r->stop_off);
    if (log->last_index < checkpoint)
        return diag_set(r->diag, ERR_CORRUPT,
                        "%s: the log ends at offset %" PRIu64 " with index %" PRIu64
                        ", but the checkpoint covers up to %" PRIu64,
                        file->path, r->stop_off, log->last_index, checkpoint);
    uint64_t term = term_table_get(&log->terms, checkpoint);
    if (term == log->options.checkpoint_term) {
        r->files.blame = (struct seglog_blame){0};
        return 0;
    }
    return diag_set(r->diag, ERR_CORRUPT,
                    "%s: entry %" PRIu64 " has term %" PRIu64 " in the log and %" PRIu64
                    " in the checkpoint",
                    file->path, checkpoint, term, log->options.checkpoint_term);
}

static int judge_padding(struct recovery *r)
{
    const struct tail_frame *unclean = &r->unclean;
    if (unclean->sequence == 0 || unclean->sequence > r->vouched)
        return 0;
    survey_blame(&r->files, SEGLOG_DAMAGED_PADDING, &r->files.items[unclean->file_idx],
                 unclean->off);
    return diag_set(r->diag, ERR_CORRUPT,
                    "%s: the padding of the frame at offset %" PRIu64
                    " is not zero (entries up to index %" PRIu64 ")",
                    r->files.items[unclean->file_idx].path, unclean->off, r->unclean_last_index);
}

int recovery_judge_empty(struct recovery *r)
{
    for (size_t i = 0; i < r->files.count; i++) {
        struct found_file *file = &r->files.items[i];
        if (file->state == FOUND_BAD_SIZE)
            continue;
        struct scanned_frame frame;
        uint64_t off = SEGMENT_HEADER_SIZE;
        scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK);
        uint64_t epoch = file->state == FOUND_BAD_HEADER ? 0 : file->header.epoch;
        int rc = scan_find_frame(&r->window, epoch, &off, &frame);
        if (rc == ERR_TORN)
            continue;
        if (rc != 0 && rc != ERR_CORRUPT)
            return recovery_read_failed(r, file, rc);
        return diag_set(r->diag, ERR_EXISTS,
                        "%s holds a valid frame at offset %" PRIu64
                        ", but there is no manifest that goes with it",
                        file->path, off);
    }
    return 0;
}

int recovery_judge(struct recovery *r)
{
    int rc = look_behind(r);
    if (rc == 0)
        rc = judge_files(r);
    if (rc == 0)
        rc = judge_start(r);
    if (rc == 0)
        rc = judge_stop(r);
    if (rc == 0)
        rc = judge_checkpoint(r);
    return rc == 0 ? judge_padding(r) : rc;
}
