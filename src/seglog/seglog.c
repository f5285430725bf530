/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a log: opened and recovered, its segments prepared, retired and used again, closed.
 * What is written to it is in append.c, what recovery accepts in recover.c.
 *
 * A segment's way:
 *
 *     (new) --prep--> ready --first frame--> active --next one--> used --checkpoint--> spare
 *                       ^                                                                |
 *                       +----------------------------- prep ----------------------------+
 *
 * One segment is kept ready beside the active one. Spares above max_spare are removed by the next
 * preparation.
 */
#include "seglog/seglog.h"

#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "seglog/seglog_internal.h"

#include <errno.h>

static void check_options(const struct seglog_options *options)
{
    uint32_t size = options->segment_size;
    ASSERT((size & (size - 1)) == 0);
    ASSERT(size >= SEGMENT_SIZE_MIN && size <= SEGMENT_SIZE_MAX);
    ASSERT(options->max_in_flight >= 1 && options->max_spare >= 1);
    ASSERT(options->aio != NULL && options->dir != NULL);
    ASSERT(!options->must_be_empty || options->checkpoint_index == 0);
}

struct seglog *seglog_new(const struct seglog_options *options)
{
    struct seglog *log = mem_calloc(1, sizeof(*log));
    log->options = *options;
    log->dir = mem_dup_str(options->dir);
    log->options.dir = log->dir;
    uint32_t part = options->segment_size / 16;
    log->reserve = part < RESERVE_MIN ? RESERVE_MIN : part > RESERVE_MAX ? RESERVE_MAX : part;
    log->checkpoint_index = options->checkpoint_index;
    segment_list_init(&log->used);
    segment_list_init(&log->ready);
    segment_list_init(&log->spare);
    list_init(&log->waiting);
    list_init(&log->in_flight);
    list_init(&log->durable);
    list_init(&log->lost);
    return log;
}

static void free_segments(struct segment_list *list)
{
    while (list->count > 0)
        segment_unref(segment_list_pop(list));
}

static void free_frames(struct list_node *list)
{
    for (struct list_node *node; (node = list_pop_front(list)) != NULL;)
        frame_unref(LIST_ENTRY(node, struct frame, node));
}

void seglog_free(struct seglog *log)
{
    free_frames(&log->waiting);
    free_frames(&log->in_flight);
    free_frames(&log->durable);
    free_frames(&log->lost);
    free_segments(&log->used);
    free_segments(&log->ready);
    free_segments(&log->spare);
    frame_index_fini(&log->index);
    term_table_fini(&log->terms);
    buf_fini(&log->configuration);
    buf_fini(&log->found_configuration);
    mem_free(log->dir);
    mem_free(log);
}

/* Makes the directory with a durable name; it may be there already, its name not yet durable. */
static int make_dir(struct fs *fs, const char *dir, struct diag *diag)
{
    int rc = fs_mkdir(fs, dir);
    if (rc != 0 && rc != -EEXIST)
        return diag_set(diag, rc, "cannot make the directory %s: %s", dir, err_text(rc));
    char *parent = mem_dup_str(dir);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    const char *name = slash == NULL ? "." : parent;
    rc = fs_sync_dir(fs, name);
    if (rc != 0)
        diag_set(diag, rc, "cannot sync the directory %s: %s", name, err_text(rc));
    mem_free(parent);
    return rc;
}

/* The first segment of this life is prepared by the caller's own thread. */
static int prepare_first(struct seglog *log, struct diag *diag)
{
    while (log->ready.count == 0) {
        struct seglog_prep *prep = seglog_prep_take(log);
        ASSERT(prep != NULL);
        bool had_spare = prep->spare != NULL;
        seglog_prep_run(prep);
        int rc = seglog_prep_done(log, prep);
        if (rc != 0 && !had_spare)
            return diag_set(diag, rc, "cannot prepare a segment of %u bytes in %s: %s",
                            log->options.segment_size, log->dir, err_text(rc));
    }
    return 0;
}

int seglog_open(const struct seglog_options *options, struct seglog **out_log,
                struct seglog_found *out_found, struct diag *diag)
{
    check_options(options);
    int rc = make_dir(options->os.fs, options->dir, diag);
    if (rc != 0)
        return rc;
    struct seglog *log = seglog_new(options);
    struct seglog_found found = {0};
    rc = seglog_recover(log, &found, diag);
    if (rc == 0)
        rc = prepare_first(log, diag);
    if (rc != 0) {
        seglog_free(log);
        return rc;
    }
    *out_log = log;
    *out_found = found;
    return 0;
}

void seglog_close(struct seglog *log)
{
    if (log == NULL)
        return;
    ASSERT(!log->is_preparing);
    ASSERT(log->error != 0 || seglog_in_flight(log) == 0);
    /* The disk still has the memory of what it has not given back. */
    seglog_flush(log);
    while (log->submitted > 0)
        IGNORE(seglog_poll(log), "it has failed already");
    seglog_free(log);
}

size_t seglog_max_frame(const struct seglog *log)
{
    return log->options.segment_size / 2;
}

/* ---- Segments ---- */

/* A spare one that no reader holds. */
static struct segment *find_spare(const struct seglog *log)
{
    LIST_EACH(node, next, &log->spare.head)
    {
        struct segment *segment = LIST_ENTRY(node, struct segment, node);
        if (segment_is_sole(segment))
            return segment;
    }
    return NULL;
}

static struct segment *new_target(struct seglog *log)
{
    struct segment_header header = {
        .group_id = log->options.group_id,
        .number = log->next_number++,
        .size = log->options.segment_size,
    };
    while (header.epoch == 0)
        header.epoch = chance_u64(log->options.os.chance);
    return segment_new(log->dir, &header);
}

struct seglog_prep *seglog_prep_take(struct seglog *log)
{
    bool is_wanted = log->ready.count == 0;
    if (log->is_preparing || log->error != 0)
        return NULL;
    if (!is_wanted && log->spare.count <= log->options.max_spare)
        return NULL;
    struct seglog_prep *prep = mem_calloc(1, sizeof(*prep));
    prep->fs = log->options.os.fs;
    prep->dir = log->dir;
    prep->open_flags = aio_open_flags(log->options.aio);
    list_init(&prep->surplus);
    if (is_wanted) {
        prep->target = new_target(log);
        prep->spare = find_spare(log);
        if (prep->spare != NULL)
            segment_list_remove(&log->spare, prep->spare);
    }
    while (log->spare.count > log->options.max_spare)
        list_push_back(&prep->surplus, &segment_list_pop(&log->spare)->node);
    log->is_preparing = true;
    return prep;
}

static void prep_free(struct seglog_prep *prep)
{
    for (struct list_node *node; (node = list_pop_front(&prep->surplus)) != NULL;)
        segment_unref(LIST_ENTRY(node, struct segment, node));
    segment_unref(prep->spare);
    segment_unref(prep->target);
    mem_free(prep);
}

int seglog_prep_done(struct seglog *log, struct seglog_prep *prep)
{
    ASSERT(log->is_preparing);
    log->is_preparing = false;
    int result = prep->result;
    if (prep->target != NULL)
        log->prep_error = result;
    if (prep->target != NULL && result == 0) {
        segment_list_push(&log->ready, prep->target);
        log->stats.segments_prepared += prep->was_recycled ? 0 : 1;
        log->stats.segments_recycled += prep->was_recycled ? 1 : 0;
        prep->target = NULL;
    }
    prep_free(prep);
    return result;
}

void seglog_retire(struct seglog *log)
{
    for (;;) {
        struct segment *oldest = segment_list_first(&log->used);
        struct segment *next = oldest == NULL ? NULL : segment_list_next(&log->used, oldest);
        /* S8 */
        if (next == NULL || next->first_index > log->checkpoint_index + 1 ||
            next->first_sequence > log->durable_sequence)
            return;
        segment_list_pop(&log->used);
        frame_index_drop_segment(&log->index, oldest);
        term_table_drop_front(&log->terms, next->first_index - 1);
        if (segment_is_sole(oldest)) {
            file_unref(oldest->file);
            oldest->file = NULL;
        }
        segment_list_push(&log->spare, oldest);
    }
}

void seglog_set_max_spare(struct seglog *log, unsigned max_spare)
{
    ASSERT(max_spare >= 1);
    log->options.max_spare = max_spare;
}

void seglog_recycle(struct seglog *log, uint64_t index)
{
    ASSERT(index <= log->durable_index);
    if (index <= log->checkpoint_index)
        return;
    log->checkpoint_index = index;
    seglog_retire(log);
}

/* ---- What is there ---- */

uint64_t seglog_term(const struct seglog *log, uint64_t index)
{
    if (index < term_table_base(&log->terms) || index > log->last_index)
        return 0;
    return term_table_get(&log->terms, index);
}

struct seglog_stats seglog_stats(const struct seglog *log)
{
    struct seglog_stats stats = log->stats;
    stats.segment_count = log->used.count;
    stats.spare_count = log->spare.count;
    stats.ready_count = log->ready.count;
    LIST_EACH(node, next, &log->used.head)
    {
        const struct segment *segment = LIST_ENTRY(node, struct segment, node);
        stats.live_bytes += segment == log->active ? segment->used : segment->header.size;
    }
    return stats;
}
