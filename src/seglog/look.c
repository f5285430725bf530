/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/look.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "seglog/recover_internal.h"

STATIC_ASSERT(SEGLOG_FIRST_FRAME == SEGMENT_HEADER_SIZE, "the first frame follows the header");

bool seglog_next_entry(const struct seglog_seen *seen, size_t *at, uint32_t nth,
                       struct log_entry *out_entry)
{
    if (nth >= seen->count)
        return false;
    const uint8_t *head = seen->data + *at; /* verified with the frame */
    uint32_t size = get_u32(head);
    *at += ENTRY_HEADER_SIZE;
    ASSERT(*at <= seen->size && size <= seen->size - *at);
    *out_entry = (struct log_entry){
        .index = seen->first_index + nth,
        .term = seen->term,
        .type = (enum entry_type)head[4],
        .payload = slice_of(seen->data + *at, size),
    };
    *at += size;
    return true;
}

struct seglog_hard_state seglog_hard_state_of(const struct seglog_seen *seen)
{
    ASSERT(seen->kind == FRAME_OPEN || seen->kind == FRAME_HARDSTATE);
    struct hard_state state = frame_hard_state(seen->data);
    return (struct seglog_hard_state){.term = state.term, .vote = state.vote};
}

/* ---- The whole log ---- */

static void tell_judged(const struct recovery *r, struct seglog_judged *out)
{
    const struct seglog *log = r->log;
    *out = (struct seglog_judged){.blame = r->files.blame};
    /* Nothing of the rest is known where the survey has ended in an error. */
    if (r->next_sequence == 0 || r->start_idx == r->files.count)
        return;
    out->has_start = true;
    out->start_number = r->files.items[r->start_idx].number;
    out->stop_number = r->files.items[r->stop_idx].number;
    out->stop_off = r->stop_off == 0 ? SEGMENT_HEADER_SIZE : r->stop_off;
    out->sequence = r->next_sequence - 1;
    out->last_index = log->last_index;
    out->last_term = log->last_term;
    out->hard_state =
        (struct seglog_hard_state){.term = log->hard_state.term, .vote = log->hard_state.vote};
    out->cut_frames = r->cut_frames;
    out->cut_bytes = r->cut_bytes;
}

int seglog_judge(const struct seglog_look_options *options, seglog_visit_fn visit, void *ctx,
                 struct seglog_judged *out_judged, struct diag *diag)
{
    const struct seglog_options of_log = {
        .os = {.fs = options->fs},
        .dir = options->dir,
        .group_id = options->group_id,
        .checkpoint_index = options->checkpoint_index,
        .checkpoint_term = options->checkpoint_term,
        .may_begin = options->may_begin,
        .on_progress = options->on_progress,
        .ctx = options->progress_ctx,
    };
    struct recovery r = {.log = seglog_new(&of_log),
                         .diag = diag,
                         .files = {.is_look_only = true},
                         .visit = visit,
                         .visit_ctx = ctx};
    int rc = survey_read(&of_log, &r.window, &r.files, diag);
    if (rc == 0)
        rc = recovery_replay(&r);
    if (rc == 0)
        rc = recovery_judge(&r);
    tell_judged(&r, out_judged);
    recovery_fini(&r);
    seglog_free(r.log);
    return rc;
}

/* ---- One file ---- */

bool seglog_parse_name(const char *name, uint64_t *out_number, bool *out_is_temporary)
{
    return segment_name_parse(name, out_number, out_is_temporary);
}

bool seglog_is_segment(struct slice bytes)
{
    return segment_has_magic(bytes);
}

char *seglog_path(const char *dir, uint64_t number)
{
    return segment_path(dir, number, false);
}

/* ERR_CORRUPT: it can have no frames either. */
static int read_header(struct scan_window *window, struct segment_header *out_header)
{
    const uint8_t *data;
    int rc = scan_window_get(window, 0, SEGMENT_HEADER_SIZE, &data);
    if (rc == 0)
        rc = segment_header_decode(data, out_header);
    if (rc == ERR_CORRUPT || rc == ERR_TORN)
        *out_header = (struct segment_header){0};
    return rc;
}

static int walk_frames(struct scan_window *window, uint64_t number, uint64_t epoch,
                       seglog_visit_fn visit, void *ctx)
{
    uint64_t off = SEGMENT_HEADER_SIZE;
    for (;;) {
        struct scanned_frame frame;
        int rc = scan_find_frame(window, epoch, &off, &frame);
        if (rc == ERR_TORN)
            return 0;
        if (rc == ERR_CORRUPT) {
            off += FRAME_ALIGN;
            continue;
        }
        if (rc != 0)
            return rc;
        struct seglog_seen seen;
        scanned_frame_tell(&frame, number, &seen);
        rc = visit(ctx, &seen);
        if (rc != 0)
            return rc;
        off += seen.room;
    }
}

int seglog_walk(struct fs *fs, const char *path, seglog_visit_fn visit, void *ctx,
                struct seglog_segment *out_segment, struct diag *diag)
{
    struct file *file;
    struct scan_window window = {0};
    struct segment_header header = {0};
    uint64_t size = 0;
    int rc = fs_open(fs, path, FS_READ, &file);
    if (rc != 0)
        return diag_set(diag, rc, "cannot open %s: %s", path, err_text(rc));
    rc = file_size(file, &size);
    scan_window_turn(&window, file, size, visit == NULL ? SCAN_CHUNK_HEAD : SCAN_CHUNK);
    if (rc == 0)
        rc = read_header(&window, &header);
    bool is_sound = rc == 0;
    if (rc == ERR_CORRUPT || rc == ERR_TORN)
        rc = 0;
    *out_segment = (struct seglog_segment){.number = header.number,
                                           .group_id = header.group_id,
                                           .epoch = header.epoch,
                                           .size = header.size,
                                           .file_size = size,
                                           .is_header_sound = is_sound};
    if (rc == 0 && visit != NULL)
        rc = walk_frames(&window, header.number, header.epoch, visit, ctx);
    scan_window_fini(&window);
    file_unref(file);
    if (rc == ERR_VERSION)
        return diag_set(diag, rc, "%s is written by another version of the log's format", path);
    return rc == 0 ? 0 : diag_set(diag, rc, "cannot read %s: %s", path, err_text(rc));
}
