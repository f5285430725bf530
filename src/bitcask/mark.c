/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/bitcask_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

/* A mark says: the state at this moment is these files, each up to this length. It costs no I/O:
 * the current file is padded to a block, so that no later write touches a block below the length
 * (B5), the lengths are noted, and the chunk that is being filled is closed, so that the bytes
 * before the mark can be written without those behind it.
 *
 *   NONE --mark--> SET --(all its bytes written) sync_take--> SYNCING --sync_done--> NONE
 *
 * Between SET and the end appends and writes go on. The sync covers, through the descriptor that
 * wrote them, all files that had bytes below the mark which no earlier sync had covered (B6), and
 * the directory if one of them was new. It may well cover bytes behind the mark, too; that is not
 * remembered: they stay dirty until a mark of their own.
 *
 * After a sync that failed nobody knows what the disk holds, and another one may answer 0 for
 * pages that the system has given up (R21). So the failure is kept and answered to every later
 * mark, and no manifest is ever written for it (B8). */

/* Files whose bytes below the mark are not yet covered, and whether their names are. */
static void collect_dirty(struct bitcask *bc)
{
    struct bitcask_sync *sync = &bc->mark.sync;
    const struct file_table *table = bitcask_table(bc);
    ASSERT(sync->files == NULL);
    sync->files = mem_calloc(table->count, sizeof(*sync->files));
    sync->file_count = 0;
    sync->needs_dir = false;
    for (size_t i = 0; i < table->count; i++) {
        struct datafile *df = table->entries[i].df;
        if (df->is_output || df->append_off == df->synced_off)
            continue;
        sync->files[sync->file_count++] =
            (struct mark_file){.df = datafile_ref(df), .length = df->append_off};
        sync->needs_dir = sync->needs_dir || !df->has_durable_name;
    }
}

void mark_note_files(struct bitcask *bc)
{
    struct mark *mark = &bc->mark;
    const struct file_table *table = bitcask_table(bc);
    mem_free(mark->named);
    mark->named = mem_calloc(table->count, sizeof(*mark->named));
    mark->named_count = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct datafile *df = table->entries[i].df;
        if (df->is_output) /* B11 */
            continue;
        ASSERT(is_aligned(df->append_off, DATAFILE_BLOCK)); /* B5 */
        mark->named[mark->named_count++] = (struct bitcask_named){.id = df->id,
                                                                  .uid = df->uid,
                                                                  .length = df->append_off,
                                                                  .lowest_index = df->lowest_index,
                                                                  .is_sealed = df != bc->current};
    }
}

void bitcask_mark(struct bitcask *bc)
{
    ASSERT(bc->mark.state == MARK_NONE);
    bitcask_pad(bc);
    chunk_queue_close_tail(&bc->queue);
    mark_note_files(bc);
    collect_dirty(bc);
    bitcask_mark_retired(bc);
    bc->mark.state = MARK_SET;
    bc->is_dirty = false;
}

bool bitcask_mark_is_written(const struct bitcask *bc)
{
    const struct bitcask_sync *sync = &bc->mark.sync;
    if (bc->mark.state != MARK_SET)
        return false;
    for (size_t i = 0; i < sync->file_count; i++) {
        const struct mark_file *file = &sync->files[i];
        if (atomic_load_explicit(&file->df->written_off, memory_order_acquire) < file->length)
            return false;
    }
    return true;
}

struct bitcask_sync *bitcask_sync_take(struct bitcask *bc)
{
    ASSERT(bitcask_mark_is_written(bc));
    bc->mark.state = MARK_SYNCING;
    bc->mark.sync.result = bc->mark.failure;
    bc->mark.sync.failed = bc->mark.failed;
    return &bc->mark.sync;
}

void bitcask_sync_run(struct bitcask_sync *sync)
{
    if (sync->result != 0) /* B8 */
        return;
    for (size_t i = 0; i < sync->file_count && sync->result == 0; i++) {
        struct datafile *df = sync->files[i].df;
        sync->failed = df->path;
        sync->result = file_sync(df->file);
    }
    if (sync->result == 0 && sync->needs_dir) {
        sync->failed = sync->dir;
        sync->result = fs_sync_dir(sync->fs, sync->dir);
    }
}

static void release_files(struct bitcask_sync *sync)
{
    for (size_t i = 0; i < sync->file_count; i++)
        datafile_unref(sync->files[i].df);
    mem_free(sync->files);
    sync->files = NULL;
    sync->file_count = 0;
}

void bitcask_note_failed_sync(struct bitcask *bc, int error, const char *path, struct diag *diag)
{
    bc->mark.failure = error;
    bc->mark.failed = path;
    diag_set(diag, error,
             "%s: cannot sync: %s; what was written since the last checkpoint is suspect", path,
             err_text(error));
}

int bitcask_sync_done(struct bitcask *bc, struct bitcask_sync *sync, struct diag *diag)
{
    ASSERT(sync == &bc->mark.sync && bc->mark.state == MARK_SYNCING);
    int rc = sync->result;
    bc->mark.state = MARK_NONE;
    if (rc != 0)
        bitcask_note_failed_sync(bc, rc, sync->failed, diag);
    for (size_t i = 0; i < sync->file_count && rc == 0; i++) {
        const struct mark_file *file = &sync->files[i];
        file->df->synced_off = file->length;
        file->df->has_durable_name = true;
        bc->stats.syncs++;
    }
    release_files(sync);
    chunk_queue_trim(&bc->queue);
    bitcask_collect(bc);
    return rc;
}

struct bitcask_named *bitcask_mark_files(const struct bitcask *bc, size_t *out_count)
{
    *out_count = bc->mark.named_count;
    return mem_dup(bc->mark.named, bc->mark.named_count * sizeof(*bc->mark.named));
}

void mark_fini(struct mark *mark)
{
    ASSERT(mark->state != MARK_SYNCING);
    release_files(&mark->sync);
    mem_free(mark->named);
    mark->named = NULL;
}
