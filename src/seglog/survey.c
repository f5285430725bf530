/* SPDX-License-Identifier: Apache-2.0 */
/* Which segments are there, and which of them count.
 *
 * The OPEN frame of each life's segments says with which sequence the log goes on there. So, from
 * the newest file to the oldest: a segment whose OPEN does not lie before that of a newer one was
 * cut off before the newer one began, and is void; of the others each ends where the next begins,
 * whatever lies behind that (S5, R11).
 *
 * Of those that count, older ones than the newest that begins at or below checkpoint + 1 are not
 * needed: an entry above the checkpoint that lay in one of them was truncated before.
 */
#include "seglog/recover_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

struct listing {
    struct found_files *files;
    const struct seglog_options *options;
};

static int visit_name(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    struct found_files *files = listing->files;
    uint64_t number;
    bool is_temporary;
    if (!segment_name_parse(name, &number, &is_temporary))
        return 0;
    if (files->count == files->cap) {
        files->cap = files->cap == 0 ? 16 : 2 * files->cap;
        files->items = mem_realloc(files->items, files->cap * sizeof(*files->items));
    }
    files->items[files->count++] = (struct found_file){
        .number = number,
        .path = segment_path(listing->options->dir, number, is_temporary),
        .is_void = is_temporary, /* until they are removed */
    };
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct found_file *left = a;
    const struct found_file *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Preparations that a crash has interrupted. One that cannot be removed is in nobody's way: its
 * number is not given again. */
static void remove_temporary(const struct seglog_options *options, struct found_files *files)
{
    size_t kept = 0;
    for (size_t i = 0; i < files->count; i++) {
        struct found_file *file = &files->items[i];
        if (file->number >= files->next_number)
            files->next_number = file->number + 1;
        if (!file->is_void) {
            files->items[kept++] = *file;
            continue;
        }
        if (!files->is_look_only)
            IGNORE(fs_unlink(options->os.fs, file->path), "tried again at the next start");
        mem_free(file->path);
    }
    files->count = kept;
    if (kept > 0)
        qsort(files->items, kept, sizeof(files->items[0]), by_number);
}

/* The header says what file it belongs to. */
static int check_header(const struct seglog_options *options, struct found_files *files,
                        const struct found_file *file, struct diag *diag)
{
    survey_blame(files, SEGLOG_DAMAGED_HEADER, file, 0);
    const struct segment_header *header = &file->header;
    /* Without a manifest the group has no identity yet: a first start that was cut short leaves a
     * segment of the one it would have had. */
    if (header->group_id != options->group_id && !options->must_be_empty)
        return diag_set(diag, ERR_MISMATCH,
                        "%s belongs to group %016" PRIx64 ", not to %016" PRIx64, file->path,
                        header->group_id, options->group_id);
    if (header->number != file->number)
        return diag_set(diag, ERR_CORRUPT,
                        "%s: the header at offset 0 says that this is segment %" PRIu64
                        ": the file has been renamed or overwritten",
                        file->path, header->number);
    files->blame = (struct seglog_blame){0};
    return 0;
}

static int read_open(struct scan_window *window, struct found_files *files, struct found_file *file,
                     struct diag *diag)
{
    struct scanned_frame frame;
    int rc = scan_frame(window, file->header.epoch, SEGMENT_HEADER_SIZE, &frame);
    if (rc == ERR_TORN) {
        file->state = FOUND_UNUSED;
        return 0;
    }
    if (rc == ERR_CORRUPT || (rc == 0 && frame.header.kind != FRAME_OPEN)) { /* S5 */
        survey_blame(files, SEGLOG_DAMAGED_HEADER, file, SEGMENT_HEADER_SIZE);
        return diag_set(diag, ERR_CORRUPT,
                        "%s: the frame at offset %d checks but is no frame that opens a segment",
                        file->path, SEGMENT_HEADER_SIZE);
    }
    if (rc != 0)
        return diag_set(diag, rc, "cannot read %s: %s", file->path, err_text(rc));
    file->state = FOUND_IN_USE;
    file->open = frame.header;
    return 0;
}

static int read_head(const struct seglog_options *options, struct scan_window *window,
                     struct found_files *files, struct found_file *file, struct diag *diag)
{
    unsigned flags = files->is_look_only ? FS_READ : FS_WRITE;
    int rc = fs_open(options->os.fs, file->path, flags, &file->file);
    if (rc == 0)
        rc = file_size(file->file, &file->file_size);
    if (rc != 0)
        return diag_set(diag, rc, "cannot open %s: %s", file->path, err_text(rc));
    file->state = FOUND_BAD_SIZE;
    if (file->file_size < SEGMENT_SIZE_MIN || file->file_size > SEGMENT_SIZE_MAX ||
        !is_aligned(file->file_size, FRAME_ALIGN))
        return 0;
    const uint8_t *data;
    scan_window_turn(window, file->file, file->file_size, SCAN_CHUNK_HEAD);
    rc = scan_window_get(window, 0, SEGMENT_HEADER_SIZE, &data);
    if (rc != 0)
        return diag_set(diag, rc, "cannot read %s: %s", file->path, err_text(rc));
    rc = segment_header_decode(data, &file->header);
    if (rc == ERR_VERSION)
        return diag_set(diag, rc, "%s is written by another version of the log's format",
                        file->path);
    if (rc != 0) {
        file->state = FOUND_BAD_HEADER;
        return 0;
    }
    rc = check_header(options, files, file, diag);
    if (rc != 0 || file->header.size != file->file_size)
        return rc;
    return read_open(window, files, file, diag);
}

static void mark_void(struct found_files *files)
{
    uint64_t goes_on_at = UINT64_MAX;
    for (size_t i = files->count; i-- > 0;) {
        struct found_file *file = &files->items[i];
        if (file->state != FOUND_IN_USE)
            continue;
        file->is_void = file->open.sequence >= goes_on_at;
        file->end_sequence = goes_on_at;
        if (!file->is_void)
            goes_on_at = file->open.sequence;
    }
}

int survey_read(const struct seglog_options *options, struct scan_window *window,
                struct found_files *out_files, struct diag *diag)
{
    struct listing listing = {.files = out_files, .options = options};
    out_files->next_number = 1;
    int rc = fs_list(options->os.fs, options->dir, visit_name, &listing);
    if (rc != 0)
        return diag_set(diag, rc, "cannot list %s: %s", options->dir, err_text(rc));
    remove_temporary(options, out_files);
    for (size_t i = 0; i < out_files->count; i++) {
        rc = read_head(options, window, out_files, &out_files->items[i], diag);
        if (rc != 0)
            return rc;
    }
    mark_void(out_files);
    return 0;
}

void survey_fini(struct found_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        file_unref(files->items[i].file);
        mem_free(files->items[i].path);
    }
    mem_free(files->items);
    *files = (struct found_files){0};
}

size_t survey_find_start(const struct found_files *files, uint64_t checkpoint_index)
{
    for (size_t i = files->count; i-- > 0;) {
        const struct found_file *file = &files->items[i];
        if (file->state == FOUND_IN_USE && !file->is_void &&
            file->open.first_index <= checkpoint_index + 1)
            return i;
    }
    return files->count;
}
