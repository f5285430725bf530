/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/bitcask_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/hint.h"

/* Opening is recovery, after a clean end as after a crash.
 *
 *   1. look    every file that the manifest names is there, at least as long as it says, and its
 *              header is its own; every record below the length that no sound hint covers is valid
 *              (else ERR_CORRUPT)
 *   2. remove  what has a name of our patterns and is not named: hints first, then files; and the
 *              hint of a file that is about to change
 *   3. cut     named files that are longer, to their length
 *   4. go on   in the last file, if it has room and one link; else in a new one
 *
 * Nothing is changed before all has been found good, so a start that is refused leaves everything
 * as it was for whoever has to repair it. What lies beyond a length is never looked at: after a
 * power loss it may be anything, valid records behind broken ones included (R1.2).
 *
 * Why it is safe to go on in a file whose end has been cut (R1.3): the length is a multiple of a
 * block and stays below all later lengths; a later manifest names a greater one only after all
 * bytes up to it were written anew and synced. Bytes of an earlier life can therefore lie beyond a
 * named length, where nobody looks, but never below one. A hint could carry them over, though: one
 * written for the file as it was would be "whole" again once the file has regrown. So the hint goes
 * first, and durably, before the file may change.
 *
 * A second link means that somebody keeps a copy. Such a file is neither cut nor appended to, so
 * the copy stays what it was; the bytes beyond its length stay, too, and are ignored as ever.
 * Copying to a new inode would win nothing but their space, and needs space to begin with. */

/* Progress is told in pieces of this size. */
#define PROGRESS_STEP (1024u * 1024)

enum name_kind { NAME_HINT_TMP, NAME_HINT, NAME_LOG, NAME_KINDS };

static const char *const name_suffixes[NAME_KINDS] = {
    [NAME_HINT_TMP] = ".hint.tmp", [NAME_HINT] = ".hint", [NAME_LOG] = ".log"};

struct found_name {
    enum name_kind kind;
    uint32_t id;
};

struct recovery {
    struct bitcask *bc;
    struct diag *diag;
    struct bitcask_named *named; /* ascending id */
    size_t named_count;
    bool *is_changing; /* of each named: will be cut or appended to */
    uint64_t *sizes;   /* of each named, as found */
    struct buf names;  /* struct found_name, all of the directory's that are ours */
    uint32_t highest_id;
    bool is_look_only;
    bitcask_visit_fn visit;
    void *ctx;
    _Atomic uint64_t *progress_bytes;
    void (*on_remark)(void *ctx, const char *text);
    void *remark_ctx;
};

/* ---- The directory ---- */

/* What the directory lies in. */
static char *parent_of(const char *dir)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    while (len > 0 && dir[len - 1] != '/')
        len--;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len == 0)
        return mem_dup_str(".");
    char *parent = mem_dup(dir, len + 1);
    parent[len] = '\0';
    return parent;
}

/* The parent is synced even if the directory is there: whoever made it may have been killed before
 * that (R3). */
static int make_dir(struct fs *fs, const char *dir, struct diag *diag)
{
    int rc = fs_mkdir(fs, dir);
    if (rc != 0 && rc != -EEXIST)
        return diag_set(diag, rc, "%s: cannot make the directory: %s", dir, err_text(rc));
    char *parent = parent_of(dir);
    rc = fs_sync_dir(fs, parent);
    if (rc != 0)
        diag_set(diag, rc, "%s: cannot sync the directory: %s", parent, err_text(rc));
    mem_free(parent);
    return rc;
}

static char *path_of(const char *dir, const struct found_name *name)
{
    struct buf path = {0};
    buf_append_format(&path, "%s/%05" PRIu32 "%s", dir, name->id, name_suffixes[name->kind]);
    buf_append_byte(&path, 0);
    return (char *)buf_take(&path).data;
}

/* Exactly the names that we give, so that nobody else's file is ever touched. */
static bool parse_name(const char *name, struct found_name *out)
{
    unsigned long long id = strtoull(name, NULL, 10);
    if (name[0] < '0' || name[0] > '9' || id > BITCASK_MAX_FILE_ID)
        return false;
    for (int kind = 0; kind < NAME_KINDS; kind++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "%05llu%s", id, name_suffixes[kind]);
        if (strcmp(name, expected) == 0) {
            *out = (struct found_name){.kind = (enum name_kind)kind, .id = (uint32_t)id};
            return true;
        }
    }
    return false;
}

static int note_name(void *ctx, const char *name)
{
    struct recovery *rec = ctx;
    struct found_name found;
    if (!parse_name(name, &found))
        return 0;
    buf_append(&rec->names, &found, sizeof(found));
    if (found.id > rec->highest_id)
        rec->highest_id = found.id;
    return 0;
}

static int list_names(struct recovery *rec)
{
    const char *dir = rec->bc->dir;
    int rc = fs_list(rec->bc->os.fs, dir, note_name, rec);
    if (rc != 0)
        return diag_set(rec->diag, rc, "%s: cannot list the directory: %s", dir, err_text(rc));
    uint32_t *next_id = &rec->bc->next_id;
    for (size_t i = 0; i < rec->named_count; i++) {
        if (rec->named[i].id > rec->highest_id)
            rec->highest_id = rec->named[i].id;
    }
    if (*next_id <= rec->highest_id)
        *next_id = rec->highest_id + 1;
    if (*next_id > BITCASK_MAX_FILE_ID)
        return diag_set(rec->diag, ERR_TOO_BIG, "%s: file ids are used up (next %" PRIu32 ")", dir,
                        *next_id);
    return 0;
}

/* ---- What the manifest says ---- */

static int by_id(const void *a, const void *b)
{
    uint32_t left = ((const struct bitcask_named *)a)->id;
    uint32_t right = ((const struct bitcask_named *)b)->id;
    return left < right ? -1 : left > right;
}

/* The index of the named file, or named_count. */
static size_t named_idx(const struct recovery *rec, uint32_t id)
{
    if (rec->named_count == 0)
        return 0;
    const struct bitcask_named wanted = {.id = id};
    const struct bitcask_named *named =
        bsearch(&wanted, rec->named, rec->named_count, sizeof(wanted), by_id);
    return named == NULL ? rec->named_count : (size_t)(named - rec->named);
}

static int check_named(const struct recovery *rec)
{
    for (size_t i = 0; i < rec->named_count; i++) {
        const struct bitcask_named *named = &rec->named[i];
        bool is_twice = i > 0 && named[-1].id == named->id;
        if (is_twice || named->id > BITCASK_MAX_FILE_ID || named->length < DATAFILE_HEADER_SIZE ||
            !is_aligned(named->length, DATAFILE_BLOCK))
            return diag_set(
                rec->diag, ERR_CORRUPT,
                "%s: the manifest makes no sense of file %" PRIu32 " (length %" PRIu64 "%s)",
                rec->bc->dir, named->id, named->length, is_twice ? ", named twice" : "");
    }
    return 0;
}

/* ---- Looking ---- */

struct file_scan {
    struct recovery *rec;
    uint32_t id;
    uint64_t lowest_index;
    uint64_t told_off; /* progress so far */
};

static void tell_progress(struct file_scan *scan, uint64_t off)
{
    if (off <= scan->told_off)
        return;
    if (scan->rec->progress_bytes != NULL)
        atomic_fetch_add_explicit(scan->rec->progress_bytes, off - scan->told_off,
                                  memory_order_relaxed);
    scan->told_off = off;
}

static int visit_record(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct file_scan *scan = ctx;
    uint64_t index = record->position >> 16;
    if (index < scan->lowest_index)
        scan->lowest_index = index;
    if (off + size - scan->told_off >= PROGRESS_STEP)
        tell_progress(scan, off + size);
    scan->rec->bc->stats.records++;
    return scan->rec->visit(scan->rec->ctx, record, scan->id, off);
}

static bool has_hint(const struct recovery *rec, uint32_t id)
{
    const struct found_name *names = (const struct found_name *)(const void *)rec->names.data;
    for (size_t i = 0; i < rec->names.len / sizeof(*names); i++) {
        if (names[i].kind == NAME_HINT && names[i].id == id)
            return true;
    }
    return false;
}

/* What the hint tells, if there is one that can be trusted; *out_from is where the scan begins. */
static void read_hint(struct file_scan *scan, const struct datafile *df, uint64_t length,
                      uint64_t *out_from)
{
    struct recovery *rec = scan->rec;
    struct diag diag = {.text = ""};
    uint64_t covered = length;
    *out_from = DATAFILE_HEADER_SIZE;
    if (!has_hint(rec, df->id))
        return;
    uint64_t records_before = rec->bc->stats.records;
    int rc = hint_read(rec->bc->os.fs, df, &covered, visit_record, scan, &diag);
    if (rc == 0) {
        *out_from = covered;
        rec->bc->stats.hints_used++;
        tell_progress(scan, covered);
        return;
    }
    /* Told twice is as good as told once; counted twice is not. */
    rec->bc->stats.records = records_before;
    scan->lowest_index = UINT64_MAX;
    if (rec->on_remark != NULL) {
        char text[DIAG_SIZE + 40];
        snprintf(text, sizeof(text), "%s; the file itself is read instead", diag.text);
        rec->on_remark(rec->remark_ctx, text);
    }
}

static int scan_file(struct recovery *rec, struct datafile *df, const struct bitcask_named *named)
{
    struct file_scan scan = {
        .rec = rec, .id = df->id, .lowest_index = UINT64_MAX, .told_off = DATAFILE_HEADER_SIZE};
    struct datafile_range range = {.end = named->length};
    read_hint(&scan, df, named->length, &range.from);
    int rc = datafile_scan(df, range, visit_record, &scan, rec->diag);
    if (rc != 0)
        return rc;
    tell_progress(&scan, named->length);
    df->hinted_off = range.from;
    if (scan.lowest_index != named->lowest_index)
        return diag_set(rec->diag, ERR_CORRUPT,
                        "%s: the lowest index below offset %" PRIu64 " is %" PRIu64
                        ", the manifest says %" PRIu64,
                        df->path, named->length, scan.lowest_index, named->lowest_index);
    df->lowest_index = scan.lowest_index;
    df->append_off = named->length;
    df->synced_off = named->length;
    df->has_durable_name = true;
    atomic_store_explicit(&df->written_off, named->length, memory_order_release);
    return 0;
}

/* Decides from the file's size and links what will become of it. */
static int stat_file(struct recovery *rec, const struct datafile *df, size_t idx)
{
    const struct bitcask_named *named = &rec->named[idx];
    struct fs_stat st;
    int rc = fs_stat(rec->bc->os.fs, df->path, &st);
    if (rc == -ENOENT)
        return diag_set(rec->diag, ERR_CORRUPT, "%s: missing, but the manifest names it", df->path);
    if (rc != 0)
        return diag_set(rec->diag, rc, "%s: cannot stat: %s", df->path, err_text(rc));
    if (st.size < named->length)
        return diag_set(rec->diag, ERR_CORRUPT,
                        "%s: ends at offset %" PRIu64 ", the manifest says %" PRIu64, df->path,
                        st.size, named->length);
    bool is_last = idx + 1 == rec->named_count;
    bool has_room = bitcask_has_room(rec->bc, named->length, RECORD_FIXED_SIZE);
    rec->sizes[idx] = st.size;
    rec->is_changing[idx] = !rec->is_look_only && st.link_count == 1 &&
                            (st.size > named->length || (is_last && has_room)); /* B10 */
    return 0;
}

static int look_at_file(struct recovery *rec, struct file_table *table, size_t idx)
{
    struct bitcask *bc = rec->bc;
    const struct bitcask_named *named = &rec->named[idx];
    const struct datafile_header header = {.shard = bc->shard, .id = named->id, .uid = named->uid};
    struct datafile *df = datafile_new(bc->dir, &header);
    table->entries[table->count++] = (struct file_entry){.id = df->id, .df = df};
    int rc = stat_file(rec, df, idx);
    if (rc == 0)
        rc = datafile_open(df, bc->os.fs, rec->is_changing[idx] ? FS_WRITE : FS_READ, rec->diag);
    if (rc == 0)
        rc = scan_file(rec, df, named);
    return rc;
}

/* Fills the table, which nobody else sees yet. */
static int look(struct recovery *rec)
{
    struct bitcask *bc = rec->bc;
    struct file_table *table = file_table_new(rec->named_count);
    table->count = 0;
    mem_free(atomic_load_explicit(&bc->table, memory_order_relaxed));
    atomic_store_explicit(&bc->table, table, memory_order_release);
    int rc = 0;
    for (size_t i = 0; i < rec->named_count && rc == 0; i++)
        rc = look_at_file(rec, table, i);
    return rc;
}

/* ---- Removing and cutting ---- */

static bool must_go(const struct recovery *rec, const struct found_name *name)
{
    size_t idx = named_idx(rec, name->id);
    if (name->kind == NAME_HINT_TMP || idx == rec->named_count)
        return true;
    return name->kind == NAME_HINT && rec->is_changing[idx];
}

static int remove_name(const struct recovery *rec, const struct found_name *name)
{
    char *path = path_of(rec->bc->dir, name);
    int rc = fs_unlink(rec->bc->os.fs, path);
    if (rc != 0)
        diag_set(rec->diag, rc, "%s: cannot remove: %s", path, err_text(rc));
    mem_free(path);
    return rc;
}

static int remove_unnamed(const struct recovery *rec)
{
    const struct found_name *names = (const struct found_name *)(const void *)rec->names.data;
    size_t count = rec->names.len / sizeof(*names);
    size_t removed = 0;
    for (int kind = 0; kind < NAME_KINDS; kind++) {
        for (size_t i = 0; i < count; i++) {
            if ((int)names[i].kind != kind || !must_go(rec, &names[i]))
                continue;
            int rc = remove_name(rec, &names[i]);
            if (rc != 0)
                return rc;
            removed++;
        }
    }
    if (removed == 0)
        return 0;
    int rc = fs_sync_dir(rec->bc->os.fs, rec->bc->dir);
    if (rc != 0)
        diag_set(rec->diag, rc, "%s: cannot sync the directory: %s", rec->bc->dir, err_text(rc));
    return rc;
}

static int cut_file(const struct recovery *rec, const struct datafile *df, uint64_t length)
{
    int rc = file_truncate(df->file, length);
    if (rc == 0)
        rc = file_sync(df->file);
    if (rc != 0)
        diag_set(rec->diag, rc, "%s: cannot cut at offset %" PRIu64 ": %s", df->path, length,
                 err_text(rc));
    return rc;
}

static int cut(const struct recovery *rec)
{
    const struct file_table *table = bitcask_table(rec->bc);
    for (size_t i = 0; i < rec->named_count; i++) {
        uint64_t length = rec->named[i].length;
        if (!rec->is_changing[i] || rec->sizes[i] == length)
            continue;
        int rc = cut_file(rec, table->entries[i].df, length);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void go_on(const struct recovery *rec)
{
    struct bitcask *bc = rec->bc;
    const struct file_table *table = bitcask_table(bc);
    if (rec->named_count > 0 && rec->is_changing[rec->named_count - 1] &&
        bitcask_has_room(bc, table->entries[table->count - 1].df->append_off, RECORD_FIXED_SIZE))
        bc->current = table->entries[table->count - 1].df;
    for (size_t i = 0; i < rec->named_count; i++) {
        if (rec->is_changing[i]) /* its hint has gone */
            table->entries[i].df->hinted_off = 0;
    }
    mark_note_files(bc);
}

/* ---- Opening ---- */

static void recovery_init(struct recovery *rec, const struct bitcask_options *options)
{
    rec->on_remark = options->on_remark;
    rec->remark_ctx = options->remark_ctx;
    size_t count = options->named_count;
    rec->named = mem_calloc(count, sizeof(*rec->named));
    rec->named_count = count;
    if (count > 0) {
        memcpy(rec->named, options->named, count * sizeof(*rec->named));
        qsort(rec->named, count, sizeof(*rec->named), by_id);
    }
    rec->is_changing = mem_calloc(count, sizeof(*rec->is_changing));
    rec->sizes = mem_calloc(count, sizeof(*rec->sizes));
}

static void recovery_fini(struct recovery *rec)
{
    mem_free(rec->named);
    mem_free(rec->is_changing);
    mem_free(rec->sizes);
    buf_fini(&rec->names);
}

static int recover(struct recovery *rec)
{
    int rc = check_named(rec);
    if (rc == 0)
        rc = make_dir(rec->bc->os.fs, rec->bc->dir, rec->diag);
    if (rc == 0)
        rc = list_names(rec);
    if (rc == 0)
        rc = look(rec);
    if (rc == 0)
        rc = remove_unnamed(rec);
    if (rc == 0)
        rc = cut(rec);
    if (rc == 0)
        go_on(rec);
    return rc;
}

int bitcask_open(const struct bitcask_options *options, bitcask_visit_fn visit, void *ctx,
                 _Atomic uint64_t *progress_bytes, struct bitcask **out_bitcask, struct diag *diag)
{
    struct recovery rec = {.bc = bitcask_new(options),
                           .diag = diag,
                           .visit = visit,
                           .ctx = ctx,
                           .progress_bytes = progress_bytes};
    recovery_init(&rec, options);
    int rc = recover(&rec);
    if (rc == 0)
        *out_bitcask = rec.bc;
    else
        bitcask_close(rec.bc);
    recovery_fini(&rec);
    return rc;
}

int bitcask_scan(const struct bitcask_options *options, bitcask_visit_fn visit, void *ctx,
                 struct diag *diag)
{
    struct recovery rec = {
        .bc = bitcask_new(options), .diag = diag, .visit = visit, .ctx = ctx, .is_look_only = true};
    recovery_init(&rec, options);
    int rc = check_named(&rec);
    if (rc == 0)
        rc = list_names(&rec);
    if (rc == 0)
        rc = look(&rec);
    bitcask_close(rec.bc);
    recovery_fini(&rec);
    return rc;
}
