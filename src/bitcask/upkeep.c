/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/upkeep.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/bitcask_internal.h"
#include "bitcask/hint.h"

/* A file that a merge has replaced goes in steps, each of which waits for the one before:
 *
 *   waiting   the table has it no more: no reader finds it; the last manifest names it
 *   marked    a mark was set since: the manifest of that checkpoint will not name it
 *   free      such a manifest is durable (R2); both names may go, and the job takes them
 *
 * A checkpoint that fails leaves `marked` as it is: the next one that succeeds covers it, too. */

/* ---- Live bytes ---- */

static struct datafile *find(const struct bitcask *bc, uint32_t file_id)
{
    if (LIKELY(bc->current != NULL && bc->current->id == file_id))
        return bc->current;
    return file_table_find(bitcask_table(bc), file_id);
}

void bitcask_add_live(struct bitcask *bc, uint32_t file_id, uint64_t bytes)
{
    struct datafile *df = find(bc, file_id);
    if (df != NULL)
        df->live_bytes += bytes;
}

void bitcask_sub_live(struct bitcask *bc, uint32_t file_id, uint64_t bytes)
{
    struct datafile *df = find(bc, file_id);
    if (df == NULL)
        return;
    ASSERT(df->live_bytes >= bytes); /* B12 */
    df->live_bytes -= bytes;
}

void bitcask_forget_live(struct bitcask *bc)
{
    const struct file_table *table = bitcask_table(bc);
    for (size_t i = 0; i < table->count; i++)
        table->entries[i].df->live_bytes = 0;
}

uint64_t bitcask_lowest_index(const struct bitcask *bc, bitcask_file_fn is_left_out,
                              const void *ctx)
{
    const struct file_table *table = bitcask_table(bc);
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < table->count; i++) {
        const struct datafile *df = table->entries[i].df;
        if (df->lowest_index < lowest && !is_left_out(bc, df, ctx))
            lowest = df->lowest_index;
    }
    return lowest;
}

static bool is_the_one(const struct bitcask *bc, const struct datafile *df, const void *ctx)
{
    (void)bc;
    return df == ctx;
}

/* What an earlier merge had to keep is no reason for another one, as long as the file for which it
 * was kept, or one as old, is there. */
static uint64_t kept_bytes_of(const struct bitcask *bc, const struct datafile *df)
{
    if (df->kept_dead.bytes == 0 ||
        bitcask_lowest_index(bc, is_the_one, df) > df->kept_dead.outside_index)
        return 0;
    return df->kept_dead.bytes;
}

static uint64_t dead_bytes_of(const struct datafile *df, uint64_t kept_bytes)
{
    return df->append_off - DATAFILE_HEADER_SIZE - df->live_bytes - df->kept_dead.pad_bytes -
           kept_bytes;
}

static bool is_sealed(const struct bitcask *bc, const struct datafile *df)
{
    return df != bc->current && !df->is_output && !df->is_damaged &&
           atomic_load_explicit(&df->written_off, memory_order_acquire) == df->append_off;
}

static bool can_be_merged(const struct bitcask *bc, const struct datafile *df, const void *ctx)
{
    (void)ctx;
    return is_sealed(bc, df);
}

struct bitcask_sealed *bitcask_sealed_files(const struct bitcask *bc, size_t *out_count)
{
    const struct file_table *table = bitcask_table(bc);
    struct bitcask_sealed *files = mem_calloc(table->count, sizeof(*files));
    size_t count = 0;
    uint64_t outside_index = bitcask_lowest_index(bc, can_be_merged, NULL);
    for (size_t i = 0; i < table->count; i++) {
        const struct datafile *df = table->entries[i].df;
        if (!is_sealed(bc, df))
            continue;
        uint64_t kept_bytes = kept_bytes_of(bc, df);
        /* A merge of all sealed files would keep the same again, for one that it cannot take. */
        bool is_stuck = outside_index <= df->kept_dead.outside_index;
        files[count++] = (struct bitcask_sealed){.id = df->id,
                                                 .bytes = df->append_off - DATAFILE_HEADER_SIZE,
                                                 .live_bytes = df->live_bytes,
                                                 .dead_bytes = dead_bytes_of(df, kept_bytes),
                                                 .kept_bytes = is_stuck ? 0 : kept_bytes,
                                                 .sealed_ms = df->sealed_ms};
    }
    *out_count = count;
    return files;
}

bool bitcask_seal_dead(struct bitcask *bc, uint32_t percent, uint64_t bytes)
{
    if (bc->current == NULL)
        return false;
    uint64_t size = bc->current->append_off - DATAFILE_HEADER_SIZE;
    uint64_t dead = size - bc->current->live_bytes;
    if (dead == 0 || dead < bytes || dead < size / 100 * percent)
        return false;
    bitcask_end_current(bc);
    return true;
}

/* ---- Hints ---- */

static bool wants_hint(const struct bitcask *bc, const struct datafile *df, bool is_last)
{
    if (df->hinted_off == df->append_off)
        return false;
    /* One that is mostly dead will be merged, and its hint thrown away; at the end it has one. */
    bool is_worth = is_last || df->live_bytes >= (df->append_off - DATAFILE_HEADER_SIZE) / 2;
    return (is_worth && is_sealed(bc, df)) ||
           (is_last && df == bc->current && is_aligned(df->append_off, DATAFILE_BLOCK) &&
            atomic_load_explicit(&df->written_off, memory_order_acquire) == df->append_off);
}

struct bitcask_hint *bitcask_hint_take(struct bitcask *bc, bool is_last)
{
    struct bitcask_hint *hint = &bc->hint;
    if (hint->df != NULL)
        return NULL;
    const struct file_table *table = bitcask_table(bc);
    for (size_t i = 0; i < table->count; i++) {
        struct datafile *df = table->entries[i].df;
        if (!wants_hint(bc, df, is_last))
            continue;
        *hint = (struct bitcask_hint){
            .fs = bc->os.fs, .df = datafile_ref(df), .covered = df->append_off};
        return hint;
    }
    return NULL;
}

void bitcask_hint_run(struct bitcask_hint *hint)
{
    hint->result = hint_write(hint->fs, hint->df, hint->covered, &hint->diag);
}

int bitcask_hint_done(struct bitcask *bc, struct bitcask_hint *hint, struct diag *diag)
{
    ASSERT(hint == &bc->hint && hint->df != NULL);
    int rc = hint->result;
    struct datafile *df = hint->df;
    hint->df = NULL;
    df->hinted_off = hint->covered; /* tried once: a start does without */
    df->is_damaged = df->is_damaged || rc == ERR_CORRUPT;
    if (rc == 0)
        bc->stats.hints_written++;
    else if (diag != NULL)
        *diag = hint->diag;
    datafile_unref(df);
    return rc;
}

/* ---- Files that nothing needs any more ---- */

void bitcask_retire_file(struct bitcask *bc, struct datafile *df)
{
    ASSERT(df != bc->current);
    struct retired_file *retired = mem_calloc(1, sizeof(*retired));
    retired->df = datafile_ref(df);
    retired->bytes = df->append_off;
    list_push_back(&bc->retired.waiting, &retired->node);
    bc->retired.bytes += df->append_off;
    bitcask_remove_file(bc, df);
    bc->is_dirty = true;
}

void bitcask_mark_retired(struct bitcask *bc)
{
    list_splice_back(&bc->retired.marked, &bc->retired.waiting);
}

void bitcask_checkpointed(struct bitcask *bc)
{
    if (bc->mark.state == MARK_NONE)
        list_splice_back(&bc->retired.free, &bc->retired.marked);
}

bool bitcask_wants_checkpoint(const struct bitcask *bc)
{
    return bc->is_dirty || !list_is_empty(&bc->retired.waiting) ||
           !list_is_empty(&bc->retired.marked);
}

struct bitcask_unlink *bitcask_unlink_take(struct bitcask *bc)
{
    struct bitcask_unlink *unlink = &bc->unlink;
    if (!list_is_empty(&unlink->files) || list_is_empty(&bc->retired.free))
        return NULL;
    list_splice_back(&unlink->files, &bc->retired.free);
    return unlink;
}

/* What stays is removed by the next start: nobody names it. */
static void remove_beside(struct bitcask_unlink *unlink, const struct datafile *df,
                          const char *suffix)
{
    char *path = datafile_path(unlink->dir, df->id, suffix);
    int rc = fs_unlink(unlink->fs, path);
    if (rc != 0 && rc != -ENOENT && unlink->diag.text[0] == '\0')
        diag_set(&unlink->diag, rc, "%s: cannot remove: %s", path, err_text(rc));
    mem_free(path);
}

void bitcask_unlink_run(struct bitcask_unlink *unlink)
{
    unlink->diag.text[0] = '\0';
    LIST_EACH(node, next, &unlink->files)
    {
        struct retired_file *retired = LIST_ENTRY(node, struct retired_file, node);
        remove_beside(unlink, retired->df, HINT_SUFFIX);
        remove_beside(unlink, retired->df, DATAFILE_SUFFIX);
        /* Most often the last share: to free a large file takes the system a while. */
        datafile_unref(retired->df);
        retired->df = NULL;
    }
}

static uint64_t free_retired(struct list_node *files)
{
    uint64_t bytes = 0;
    for (struct list_node *node; (node = list_pop_front(files)) != NULL;) {
        struct retired_file *retired = LIST_ENTRY(node, struct retired_file, node);
        bytes += retired->bytes;
        datafile_unref(retired->df);
        mem_free(retired);
    }
    return bytes;
}

const struct diag *bitcask_unlink_failure(const struct bitcask_unlink *unlink)
{
    return &unlink->diag;
}

uint64_t bitcask_unlink_done(struct bitcask *bc, struct bitcask_unlink *unlink)
{
    ASSERT(unlink == &bc->unlink);
    uint64_t bytes = free_retired(&unlink->files);
    bc->retired.bytes -= bytes;
    bitcask_collect(bc);
    return bytes;
}

void bitcask_retired_init(struct bitcask *bc)
{
    list_init(&bc->retired.waiting);
    list_init(&bc->retired.marked);
    list_init(&bc->retired.free);
    list_init(&bc->unlink.files);
    bc->unlink.fs = bc->os.fs;
    bc->unlink.dir = bc->dir;
}

void bitcask_retired_fini(struct bitcask *bc)
{
    ASSERT(list_is_empty(&bc->unlink.files));
    free_retired(&bc->retired.waiting);
    free_retired(&bc->retired.marked);
    free_retired(&bc->retired.free);
}
