/* SPDX-License-Identifier: Apache-2.0 */
/* One finding at a time is taken away and the log is judged again, until a start would take it:
 *
 *   header   the segment's frames name their epoch: the header is made anew from it. Where there
 *            are none, or only void ones, the segment goes. Where the header is sound and the file
 *            has not its size, the size is made right
 *   front    damage that lies before the entry behind the checkpoint loses nothing: the segment
 *            with that entry is written anew from it on, and the log begins there
 *   frame    the log is cut before it: the segment is zero from there on, the others behind it go
 *   reach    what is there does not join the checkpoint: a new segment begins behind it, and all
 *            others are void by that, and go
 *   padding  is made zero
 *
 * Each step replaces one file in one step, and its old one is in the quarantine before. After a
 * kill between two steps the log is one that a start refuses, as before, or one that it takes in
 * the form it will have (V7): frames behind the stop, if no other vouches for them, are what a
 * start cuts. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"
#include "check/repair/front.h"
#include "check/repair/repair.h"

struct log_repair {
    struct repair *repair;
    struct diag *diag;
    char *dir;
    struct names names;
};

static char *segment_file(const struct log_repair *log, uint64_t number)
{
    return seglog_path(log->dir, number);
}

static int keep(struct log_repair *log, uint64_t number)
{
    char *path = segment_file(log, number);
    int rc = quarantine_keep(&log->repair->quarantine, path, log->diag);
    mem_free(path);
    return rc;
}

/* Keeps the file and takes its name away, durably. */
static int remove_segment(struct log_repair *log, uint64_t number)
{
    struct fs *fs = log->repair->folder->fs;
    int rc = keep(log, number); /* V3 */
    if (rc != 0)
        return rc;
    char *path = segment_file(log, number);
    rc = fs_unlink(fs, path);
    if (rc == 0)
        rc = fs_sync_dir(fs, log->dir);
    if (rc == 0)
        report_line(log->repair->report, "%s: taken out of the log", path);
    else
        diag_set(log->diag, rc, "%s cannot be removed: %s", path, err_text(rc));
    mem_free(path);
    return rc;
}

/* All segments with numbers in [from, to), the newest first, so that what is left is the front of
 * the log. */
static int remove_segments(struct log_repair *log, uint64_t from, uint64_t to)
{
    int rc = 0;
    for (size_t i = log->names.count; i-- > 0 && rc == 0;) {
        uint64_t number;
        bool is_temporary;
        if (seglog_parse_name(log->names.items[i], &number, &is_temporary) && !is_temporary &&
            number >= from && number < to)
            rc = remove_segment(log, number);
    }
    return rc;
}

static uint64_t highest_number(const struct log_repair *log)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < log->names.count; i++) {
        uint64_t number;
        bool is_temporary;
        if (seglog_parse_name(log->names.items[i], &number, &is_temporary) && number > highest)
            highest = number;
    }
    return highest;
}

static struct seglog_mend mend_of(const struct log_repair *log, uint64_t number)
{
    return (struct seglog_mend){.fs = log->repair->folder->fs, .dir = log->dir, .number = number};
}

/* ---- What one file says ---- */

struct look {
    uint64_t wanted_off;
    uint64_t epoch; /* of the frames; 0: none, or of several */
    bool has_several;
    bool has_first;
    uint32_t size; /* of the frame at wanted_off */
    uint32_t room;
};

static int on_frame(void *ctx, const struct seglog_seen *seen)
{
    struct look *look = ctx;
    if (seen->off == SEGLOG_FIRST_FRAME && seen->kind == FRAME_OPEN)
        look->has_first = true;
    if (look->epoch != 0 && look->epoch != seen->epoch)
        look->has_several = true;
    /* The first frame is always of the newest use. */
    if (look->epoch == 0)
        look->epoch = seen->epoch;
    if (seen->off == look->wanted_off) {
        look->size = seen->size;
        look->room = seen->room;
    }
    return 0;
}

static int look_at(struct log_repair *log, uint64_t number, struct look *look,
                   struct seglog_segment *out_segment)
{
    char *path = segment_file(log, number);
    int rc = seglog_walk(log->repair->folder->fs, path, on_frame, look, out_segment, log->diag);
    mem_free(path);
    return rc;
}

/* ---- The steps ---- */

static int cut(struct log_repair *log, uint64_t number, uint64_t off)
{
    const struct seglog_mend mend = mend_of(log, number);
    char *path = segment_file(log, number);
    struct fs_stat st;
    int rc = keep(log, number);
    if (rc == 0) {
        rc = fs_stat(mend.fs, path, &st);
        if (rc != 0)
            diag_set(log->diag, rc, "%s: %s", path, err_text(rc));
    }
    if (rc == 0)
        rc = seglog_mend_zero(&mend, off, st.size, log->diag);
    if (rc == 0)
        report_line(log->repair->report, "%s: cut at offset %" PRIu64, path, off);
    mem_free(path);
    return rc == 0 ? remove_segments(log, number + 1, UINT64_MAX) : rc;
}

static struct seglog_beginning behind_checkpoint(const struct log_repair *log,
                                                 const struct seglog_hard_state *node)
{
    const struct manifest *manifest = &log->repair->folder->manifest;
    bool is_older = node->term < manifest->term;
    return (struct seglog_beginning){
        .group_id = manifest->group_id,
        .epoch = chance_u64(log->repair->os.chance) | 1,
        .index = manifest->index,
        .term = manifest->term,
        .node_term = is_older ? manifest->term : node->term,
        .node_vote = is_older ? 0 : node->vote,
        .configuration_index = manifest->configuration_index,
        .configuration = buf_slice(&manifest->configuration),
    };
}

static int begin_anew(struct log_repair *log, const struct log_verdict *verdict)
{
    uint64_t number = highest_number(log) + 1;
    const struct seglog_mend mend = mend_of(log, number);
    const struct seglog_hard_state node =
        front_forgotten_state(verdict, log->repair->folder->manifest.term);
    const struct seglog_beginning beginning = behind_checkpoint(log, &node);
    int rc = seglog_mend_begin(&mend, &beginning, log->diag);
    if (rc != 0)
        return rc;
    report_line(log->repair->report,
                "%s: the log begins anew in segment %" PRIu64 " behind the checkpoint at %" PRIu64,
                log->dir, number, beginning.index);
    return remove_segments(log, 0, number);
}

static int begin_with(struct log_repair *log, const struct front *front)
{
    const struct seglog_mend mend = mend_of(log, front->number);
    const struct seglog_beginning beginning = behind_checkpoint(log, &front->hard_state);
    int rc = keep(log, front->number);
    if (rc == 0)
        rc = seglog_mend_front(&mend, &beginning, &front->run, log->diag);
    if (rc == 0)
        report_line(log->repair->report,
                    "log segment %" PRIu64 ": begins with entry %" PRIu64
                    " now; the checkpoint has all before it, and nothing is lost there",
                    front->number, beginning.index + 1);
    return rc;
}

static int mend_size(struct log_repair *log, uint64_t number, uint32_t size)
{
    const struct seglog_mend mend = mend_of(log, number);
    int rc = keep(log, number);
    if (rc == 0)
        rc = seglog_mend_size(&mend, size, log->diag);
    if (rc == 0)
        report_line(log->repair->report,
                    "log segment %" PRIu64 ": it has its size again, %" PRIu32 " bytes", number,
                    size);
    return rc;
}

static bool has_wrong_size(const struct log_repair *log, uint64_t number,
                           const struct seglog_segment *segment)
{
    return segment->is_header_sound && segment->number == number &&
           segment->group_id == log->repair->folder->manifest.group_id &&
           segment->file_size != segment->size;
}

/* The segment cannot stay as it is. */
static int give_up(struct log_repair *log, uint64_t number, const struct front *front)
{
    return number == front->number ? begin_with(log, front) : remove_segment(log, number);
}

static int mend_header(struct log_repair *log, uint64_t number, const struct front *front)
{
    const struct seglog_mend mend = mend_of(log, number);
    struct look look = {0};
    struct seglog_segment segment;
    struct segment_use use;
    int rc = look_at(log, number, &look, &segment);
    if (rc != 0)
        return rc;
    if (number != front->number && look.has_first && has_wrong_size(log, number, &segment))
        return mend_size(log, number, segment.size);
    /* A header that checks and is refused is another one's, or nothing follows it. */
    if (segment.is_header_sound || !look.has_first)
        return give_up(log, number, front);
    rc = front_find_use(log->repair->folder, &log->names, number, &use, log->diag);
    if (rc == 0 && use.begins == 0)
        return give_up(log, number, front);
    if (rc == 0)
        rc = keep(log, number);
    if (rc == 0)
        rc = seglog_mend_header(&mend, log->repair->folder->manifest.group_id, look.epoch,
                                log->diag);
    if (rc == ERR_INVALID)
        return give_up(log, number, front);
    if (rc == 0)
        report_line(log->repair->report,
                    "log segment %" PRIu64 ": its header is made anew; its frames are whole",
                    number);
    return rc;
}

static int mend_padding(struct log_repair *log, uint64_t number, uint64_t off)
{
    const struct seglog_mend mend = mend_of(log, number);
    struct look look = {.wanted_off = off};
    struct seglog_segment segment;
    int rc = look_at(log, number, &look, &segment);
    if (rc != 0)
        return rc;
    rc = keep(log, number);
    if (rc == 0)
        rc = seglog_mend_zero(&mend, off + look.size, off + look.room, log->diag);
    if (rc == 0)
        report_line(log->repair->report,
                    "log segment %" PRIu64 ": the padding of the frame at offset %" PRIu64
                    " is zero again; nothing is lost",
                    number, off);
    return rc;
}

static int step(struct log_repair *log, const struct log_verdict *verdict)
{
    const struct seglog_judged *judged = &verdict->judged;
    const struct seglog_blame *blame = &judged->blame;
    uint64_t checkpoint = log->repair->folder->manifest.index;
    struct front front;
    if (verdict->judgement == 0)
        return cut(log, verdict->bad_number, verdict->bad_off);
    if (blame->damage == SEGLOG_DAMAGED_PADDING)
        return mend_padding(log, blame->number, blame->off);
    int rc = front_find(log->repair->folder, verdict, &log->names, &front, log->diag);
    if (rc != 0)
        return rc;
    switch (blame->damage) {
    case SEGLOG_DAMAGED_HEADER:
        return mend_header(log, blame->number, &front);
    case SEGLOG_DAMAGED_FRAME:
        if (front.number != 0)
            return begin_with(log, &front);
        if (judged->has_start && judged->last_index >= checkpoint)
            return cut(log, judged->stop_number, judged->stop_off);
        break;
    case SEGLOG_DAMAGED_REACH:
        if (front.number != 0)
            return begin_with(log, &front);
        break;
    case SEGLOG_DAMAGED_PADDING:
    case SEGLOG_SOUND:
        break;
    }
    return begin_anew(log, verdict);
}

/* ---- The whole ---- */

static void on_write(void *ctx, struct slice text)
{
    (void)ctx;
    (void)text;
}

static int judge_again(struct log_repair *log, struct log_verdict *out_verdict)
{
    struct report silent = {.io = {.write = on_write}};
    names_fini(&log->names);
    int rc = names_read(log->repair->folder->fs, log->dir, &log->names, log->diag);
    return rc == 0 ? verify_log(log->repair->folder, &silent, out_verdict, log->diag) : rc;
}

static void tell_loss(const struct log_repair *log, uint64_t last_index, uint64_t seen_index)
{
    struct report *report = log->repair->report;
    if (seen_index > last_index)
        report_line(report,
                    "LOST: log entries %" PRIu64 " to %" PRIu64
                    ", and any behind them that left no trace: writes that clients were told "
                    "were durable",
                    last_index + 1, seen_index);
    else
        report_line(report,
                    "the log now ends with entry %" PRIu64
                    "; entries behind it, if there were any, have left no trace",
                    last_index);
}

static uint64_t last_of(const struct log_repair *log, const struct log_verdict *verdict)
{
    uint64_t checkpoint = log->repair->folder->manifest.index;
    return verdict->judged.last_index > checkpoint ? verdict->judged.last_index : checkpoint;
}

static int run(struct log_repair *log, const struct log_verdict *found)
{
    uint64_t seen_index = found->seen_index;
    uint64_t seen_term = found->seen_term;
    struct log_verdict verdict;
    int rc = fs_mkdir(log->repair->folder->fs, log->dir);
    if (rc == 0)
        rc = fs_sync_dir(log->repair->folder->fs, log->repair->folder->dir);
    if (rc != 0 && rc != -EEXIST)
        return diag_set(log->diag, rc, "%s cannot be made: %s", log->dir, err_text(rc));
    /* Each step takes a file away, or makes one sound that is not touched again. */
    for (size_t left = SIZE_MAX;; left--) {
        rc = judge_again(log, &verdict);
        if (rc != 0)
            return rc;
        if (left > 3 * log->names.count + 3)
            left = 3 * log->names.count + 3;
        seen_index = verdict.seen_index > seen_index ? verdict.seen_index : seen_index;
        seen_term = verdict.seen_term > seen_term ? verdict.seen_term : seen_term;
        if (verdict.judgement == 0 && verdict.bad_number == 0)
            break;
        if (left == 0)
            return diag_set(log->diag, ERR_CORRUPT, "%s: it cannot be repaired", log->dir);
        verdict.seen_term = seen_term;
        rc = step(log, &verdict);
        if (rc != 0)
            return rc;
    }
    tell_loss(log, last_of(log, &verdict), seen_index);
    return 0;
}

int repair_log(struct repair *repair, const struct log_verdict *found, struct diag *diag)
{
    struct log_repair log = {
        .repair = repair, .diag = diag, .dir = folder_log_path(repair->folder)};
    int rc = run(&log, found);
    names_fini(&log.names);
    mem_free(log.dir);
    return rc;
}
