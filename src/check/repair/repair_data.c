/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged data file becomes a new one, with a new id and uid: all records that are sound, in
 * their order, moved by record_rebind(), so that each keeps the check it had, and what has been
 * damaged between reading and writing is still found. What only the manifest had wrong is put right
 * there. */
#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/datafile.h"
#include "check/repair/repair.h"

#define WRITE_CHUNK (1u << 20)

struct rewrite {
    struct repair *repair;
    struct diag *diag;
    const struct bitcask_named *old;
    struct datafile *from;
    struct datafile *to;
    struct buf bytes; /* not written yet */
    uint64_t written;
    uint64_t records;
    uint64_t lowest_index;
};

static int write_out(struct rewrite *rewrite)
{
    size_t done = 0;
    int rc = file_write_full(rewrite->to->file, rewrite->bytes.data, rewrite->bytes.len,
                             rewrite->written, &done);
    if (rc != 0)
        return diag_set(rewrite->diag, rc, "%s cannot be written: %s", rewrite->to->path,
                        err_text(rc));
    rewrite->written += rewrite->bytes.len;
    buf_reset(&rewrite->bytes, WRITE_CHUNK * 2);
    return 0;
}

static int take_record(struct rewrite *rewrite, const struct walk_item *item)
{
    const struct record_place from = {.uid = rewrite->old->uid, .off = item->off};
    const struct record_place to = {.uid = rewrite->to->uid,
                                    .off = rewrite->written + rewrite->bytes.len};
    if (buf_try_reserve(&rewrite->bytes, item->bytes.len) != 0)
        return diag_set(rewrite->diag, -ENOMEM, "no memory for a record of %zu bytes",
                        item->bytes.len);
    size_t start = rewrite->bytes.len;
    buf_append_slice(&rewrite->bytes, item->bytes);
    record_rebind(rewrite->bytes.data + start, from, to);
    rewrite->records++;
    if (item->record.position >> 16 < rewrite->lowest_index)
        rewrite->lowest_index = item->record.position >> 16;
    return rewrite->bytes.len >= WRITE_CHUNK ? write_out(rewrite) : 0;
}

static int take_records(struct rewrite *rewrite, struct walk *walk)
{
    struct walk_item item;
    for (;;) {
        int rc = walk_next(walk, &item, rewrite->diag);
        if (rc != 0)
            return rc == ERR_NOT_FOUND ? 0 : rc;
        report_advance(rewrite->repair->report, item.end - item.off);
        if (item.is_damage || item.wrong != NULL || item.record.kind == RECORD_PAD)
            continue;
        rc = take_record(rewrite, &item);
        if (rc != 0)
            return rc;
    }
}

/* Every length that a manifest names is whole blocks. */
static void pad(struct rewrite *rewrite)
{
    const struct record_place place = {.uid = rewrite->to->uid,
                                       .off = rewrite->written + rewrite->bytes.len};
    const struct record record = {.kind = RECORD_PAD, .pad_size = record_pad_size(place.off)};
    if (record.pad_size > 0)
        record_encode(&record, place, &rewrite->bytes);
}

static int walk_old(struct rewrite *rewrite, uint32_t shard)
{
    struct file *file = rewrite->from->file;
    uint64_t size;
    int rc = file_size(file, &size);
    if (rc != 0)
        return diag_set(rewrite->diag, rc, "%s: %s", rewrite->from->path, err_text(rc));
    struct walk walk;
    walk_init(&walk, file, rewrite->from->path, rewrite->old->uid,
              size < rewrite->old->length ? size : rewrite->old->length);
    walk.rules =
        (struct walk_rules){.manifest = &rewrite->repair->folder->manifest, .shard = shard};
    rc = take_records(rewrite, &walk);
    walk_fini(&walk);
    return rc;
}

static int write_new(struct rewrite *rewrite, uint32_t shard)
{
    struct fs *fs = rewrite->repair->folder->fs;
    const struct datafile_header header = {
        .shard = shard, .id = rewrite->to->id, .uid = rewrite->to->uid};
    int rc = datafile_create(rewrite->to, fs);
    if (rc != 0)
        return diag_set(rewrite->diag, rc, "%s cannot be made: %s", rewrite->to->path,
                        err_text(rc));
    datafile_header_encode(&header, &rewrite->bytes);
    rc = walk_old(rewrite, shard);
    if (rc == 0) {
        pad(rewrite);
        rc = write_out(rewrite);
    }
    if (rc != 0)
        return rc;
    rc = file_sync(rewrite->to->file);
    return rc == 0 ? 0
                   : diag_set(rewrite->diag, rc, "%s cannot be synced: %s", rewrite->to->path,
                              err_text(rc));
}

/* An id that no file of the shard has, named or not. */
static int choose_id(const struct repair *repair, uint32_t shard, const char *dir, uint32_t *out_id,
                     struct diag *diag)
{
    uint32_t next = repair->folder->manifest.shards[shard].next_file_id;
    struct names names = {0};
    int rc = names_read(repair->folder->fs, dir, &names, diag);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < names.count; i++) {
        uint32_t id;
        if (data_name_parse(names.items[i], &id) != DATA_OTHER && id >= next)
            next = id + 1;
    }
    names_fini(&names);
    if (next > BITCASK_MAX_FILE_ID - 1)
        return diag_set(diag, ERR_TOO_BIG, "%s: file ids are used up", dir);
    *out_id = next;
    return 0;
}

static void drop_named(struct manifest_shard *shard, size_t idx)
{
    for (size_t i = idx; i + 1 < shard->file_count; i++)
        shard->files[i] = shard->files[i + 1];
    shard->file_count--;
}

/* What the new file is, in the manifest. */
static void name_new(struct rewrite *rewrite, struct manifest_shard *shard, size_t idx)
{
    shard->files[idx] = (struct bitcask_named){.id = rewrite->to->id,
                                               .uid = rewrite->to->uid,
                                               .length = rewrite->written,
                                               .lowest_index = rewrite->lowest_index};
    shard->next_file_id = rewrite->to->id + 1;
    ASSERT(is_aligned(rewrite->written, DATAFILE_BLOCK));
}

static int rewrite_file(struct rewrite *rewrite, uint32_t shard, const char *dir)
{
    struct repair *repair = rewrite->repair;
    int rc = datafile_open(rewrite->from, repair->folder->fs, FS_READ, NULL);
    /* A bad header is one of the reasons to be here. */
    if (rewrite->from->file == NULL)
        return diag_set(rewrite->diag, rc, "%s cannot be opened: %s", rewrite->from->path,
                        err_text(rc));
    rc = write_new(rewrite, shard);
    if (rc == 0) {
        rc = fs_sync_dir(repair->folder->fs, dir);
        if (rc != 0)
            diag_set(rewrite->diag, rc, "%s cannot be synced: %s", dir, err_text(rc));
    }
    return rc;
}

static int replace(struct repair *repair, uint32_t shard, size_t idx, const char *dir,
                   struct diag *diag)
{
    struct manifest_shard *files = &repair->folder->manifest.shards[shard];
    const struct bitcask_named old = files->files[idx];
    uint32_t id = 0;
    int rc = choose_id(repair, shard, dir, &id, diag);
    if (rc != 0)
        return rc;
    const struct datafile_header from = {.shard = shard, .id = old.id, .uid = old.uid};
    const struct datafile_header to = {
        .shard = shard, .id = id, .uid = chance_u64(repair->os.chance)};
    struct rewrite rewrite = {.repair = repair,
                              .diag = diag,
                              .old = &old,
                              .from = datafile_new(dir, &from),
                              .to = datafile_new(dir, &to),
                              .lowest_index = UINT64_MAX};
    rc = rewrite_file(&rewrite, shard, dir);
    if (rc == 0 && rewrite.records == 0) {
        repair_note_gone(repair, rewrite.to->path);
        drop_named(files, idx);
    } else if (rc == 0) {
        name_new(&rewrite, files, idx);
        report_line(repair->report, "%s: %" PRIu64 " sound records are now in %s",
                    rewrite.from->path, rewrite.records, rewrite.to->path);
    }
    datafile_unref(rewrite.from);
    datafile_unref(rewrite.to);
    buf_fini(&rewrite.bytes);
    return rc;
}

static int keep_and_replace(struct repair *repair, uint32_t shard, size_t idx, const char *dir,
                            const char *path, struct diag *diag)
{
    const struct bitcask_named *named = &repair->folder->manifest.shards[shard].files[idx];
    char *hint = data_path(dir, named->id, DATA_HINT);
    int rc = quarantine_keep(&repair->quarantine, path, diag); /* V3 */
    if (rc == 0)
        rc = quarantine_keep(&repair->quarantine, hint, diag);
    repair_note_gone(repair, path);
    repair_note_gone(repair, hint);
    mem_free(hint);
    return rc == 0 ? replace(repair, shard, idx, dir, diag) : rc;
}

int repair_data_file(struct repair *repair, uint32_t shard, size_t idx,
                     const struct data_verdict *verdict, struct diag *diag)
{
    struct manifest_shard *files = &repair->folder->manifest.shards[shard];
    char *dir = folder_shard_path(repair->folder, shard);
    char *path = data_path(dir, files->files[idx].id, DATA_LOG);
    char *hint = data_path(dir, files->files[idx].id, DATA_HINT);
    int rc = 0;
    if (verdict->is_missing) {
        rc = quarantine_keep(&repair->quarantine, hint, diag);
        repair_note_gone(repair, hint);
        drop_named(files, idx);
        report_line(repair->report, "%s: no longer named; all its records are lost", path);
    } else if (verdict->is_damaged || verdict->is_header_bad) {
        rc = keep_and_replace(repair, shard, idx, dir, path, diag);
    } else if (verdict->is_lowest_wrong) {
        files->files[idx].lowest_index = verdict->lowest_index;
    } else if (verdict->is_hint_bad) {
        rc = quarantine_keep(&repair->quarantine, hint, diag);
        repair_note_gone(repair, hint);
    }
    mem_free(hint);
    mem_free(path);
    mem_free(dir);
    return rc;
}
