/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery: what of the log is true, and making it so for good.
 *
 *   1. survey    which segments are there, where the log begins, which ones count (survey.c)
 *   2. replay    from there on frame by frame, each one sequence further, until a place holds no
 *                whole frame: the stop
 *   3. judge     what stands behind the stop. If any whole frame there says that the missing one
 * had been durable, or the stop lies at or below the checkpoint, bytes that were promised are gone:
 * corruption (P5). Otherwise the stop is a torn tail, and everything behind it is cut: nothing of
 * it was ever reported.
 *   4. harden    a frame that is whole in the page cache need not be on the disk: a killed process
 *                may not have synced it, a failed sync may have left it behind as a clean page. So
 *                all frames that no other vouches for are written once more, the same bytes to the
 *                same place, and synced, before anybody hears of them (S9).
 *   5. clear     segments that were cut whole are removed, durably, before the log goes on, so that
 *                they cannot come back should a newer one rot.
 *
 * A frame's padding is not under its checksum: zero is what it must be, and the only thing it can
 * say is that the disk does not keep what it is given. In a frame that was promised that is
 * corruption; in one that was not, it may be torn, and step 4 writes it again.
 *
 * A segment whose OPEN frame is not whole is unused, unless a frame in it says that its OPEN had
 * been durable. A segment whose header does not check is damaged, because headers are synced before
 * a segment gets its name; that matters only if a frame in it continues the log.
 */
#include "seglog/recover_internal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"

#define PROGRESS_STEP (8U << 20)

void recovery_tell_progress(struct recovery *r, bool is_end)
{
    const struct seglog_options *options = &r->log->options;
    uint64_t done = r->window.read_bytes - r->first_bytes;
    if (options->on_progress == NULL || (!is_end && done - r->told_bytes < PROGRESS_STEP))
        return;
    r->told_bytes = done;
    if (is_end || done > r->total_bytes)
        done = r->total_bytes;
    options->on_progress(options->ctx, done, r->total_bytes);
}

int recovery_read_failed(struct recovery *r, const struct found_file *file, int rc)
{
    return diag_set(r->diag, rc, "cannot read %s: %s", file->path, err_text(rc));
}

int recovery_nonsense(struct recovery *r, const struct found_file *file, uint64_t off,
                      const char *what)
{
    survey_blame(&r->files, SEGLOG_DAMAGED_FRAME, file, off);
    return diag_set(r->diag, ERR_CORRUPT,
                    "%s: the frame at offset %" PRIu64 " checks, but %s (frame %" PRIu64
                    ", entries from index %" PRIu64 " on)",
                    file->path, off, what, r->next_sequence, r->log->last_index + 1);
}

static int rewrite_frame(struct recovery *r, const struct tail_frame *item)
{
    struct found_file *file = &r->files.items[item->file_idx];
    struct scanned_frame frame;
    scan_window_turn(&r->window, file->file, file->file_size, SCAN_CHUNK_HEAD);
    int rc = scan_frame(&r->window, file->header.epoch, item->off, &frame);
    if (rc != 0)
        return recovery_read_failed(r, file, rc == ERR_TORN ? -EIO : rc);
    size_t room = frame_room(item->size);
    uint8_t *copy = mem_try_alloc(room);
    if (copy == NULL)
        return recovery_read_failed(r, file, -ENOMEM);
    memcpy(copy, frame.data, item->size);
    memset(copy + item->size, 0, room - item->size);
    size_t done = 0;
    rc = file_write_full(file->file, copy, room, item->off, &done);
    mem_free(copy);
    if (rc == 0)
        return 0;
    return diag_set(r->diag, rc, "cannot write %s at offset %" PRIu64 ": %s", file->path, item->off,
                    err_text(rc));
}

/* S9 */
static int harden_tail(struct recovery *r)
{
    for (size_t i = r->tail_head; i < r->tail_end; i++) {
        const struct tail_frame *item = &r->tail[i];
        bool is_last_of_file = i + 1 == r->tail_end || r->tail[i + 1].file_idx != item->file_idx;
        struct found_file *file = &r->files.items[item->file_idx];
        int rc = rewrite_frame(r, item);
        if (rc != 0)
            return rc;
        rc = is_last_of_file ? file_sync(file->file) : 0;
        if (rc != 0)
            return diag_set(r->diag, rc, "cannot sync %s: %s", file->path, err_text(rc));
    }
    return 0;
}

/* Segments that were cut whole go for good, and so do those found without a manifest, which may be
 * of another identity; the others that hold nothing become spare. */
static int clear_rest(struct recovery *r)
{
    struct fs *fs = r->log->options.os.fs;
    bool has_removed = false;
    for (size_t i = 0; i < r->files.count; i++) {
        struct found_file *file = &r->files.items[i];
        if (file->is_adopted)
            continue;
        bool is_of_use = file->state != FOUND_IN_USE || i < r->start_idx;
        if (is_of_use && !r->log->options.must_be_empty) {
            struct segment_header header = {.number = file->number};
            segment_list_push(&r->log->spare, segment_new(r->log->dir, &header));
            continue;
        }
        int rc = fs_unlink(fs, file->path);
        if (rc != 0)
            return diag_set(r->diag, rc, "cannot remove %s: %s", file->path, err_text(rc));
        has_removed = true;
    }
    int rc = has_removed ? fs_sync_dir(fs, r->log->dir) : 0;
    if (rc != 0)
        return diag_set(r->diag, rc, "cannot sync %s: %s", r->log->dir, err_text(rc));
    return 0;
}

static void tell_found(struct recovery *r, struct seglog_found *out_found)
{
    struct seglog *log = r->log;
    const struct frame_index *index = &log->index;
    log->sequence = r->next_sequence - 1;
    log->durable_sequence = log->sequence;
    log->claimed = log->sequence;
    log->durable_index = log->last_index;
    log->next_number = r->files.next_number;
    buf_append_slice(&log->found_configuration, buf_slice(&log->configuration));
    *out_found = (struct seglog_found){
        .term = log->hard_state.term,
        .vote = log->hard_state.vote,
        .first_index =
            index->head < index->end ? index->items[index->head].first_index : log->last_index + 1,
        .last_index = log->last_index,
        .last_term = log->last_term,
        .configuration_index = log->configuration_index,
        .configuration = buf_slice(&log->found_configuration),
        .newest_change = r->newest_change,
        .cut_frames = r->cut_frames,
        .cut_bytes = r->cut_bytes,
    };
    recovery_tell_progress(r, true);
}

static int run(struct recovery *r, struct seglog_found *out_found)
{
    const struct seglog_options *options = &r->log->options;
    int rc = survey_read(options, &r->window, &r->files, r->diag);
    if (rc == 0 && options->must_be_empty)
        rc = recovery_judge_empty(r);
    if (rc == 0)
        rc = recovery_replay(r);
    if (rc == 0)
        rc = recovery_judge(r);
    if (rc == 0)
        rc = harden_tail(r);
    if (rc == 0)
        rc = clear_rest(r);
    if (rc == 0)
        tell_found(r, out_found);
    return rc;
}

void recovery_fini(struct recovery *r)
{
    mem_free(r->tail);
    survey_fini(&r->files);
    scan_window_fini(&r->window);
}

int seglog_recover(struct seglog *log, struct seglog_found *out_found, struct diag *diag)
{
    struct recovery r = {.log = log, .diag = diag};
    int rc = run(&r, out_found);
    recovery_fini(&r);
    return rc;
}
