/* SPDX-License-Identifier: Apache-2.0 */
/* What lives is what store recovery says: the rows that a start would have, each with the place of
 * its record. All else in the data files is counted by kind while they are walked. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "check/print.h"
#include "check/report.h"
#include "check/text.h"
#include "check/verify.h"
#include "epoch/epoch.h"
#include "store/store.h"

#define FILES_SHOWN 10

struct file_count {
    uint32_t shard;
    uint32_t id;
    uint64_t length;
    uint64_t live_bytes; /* records of keys that a start would find */
    uint64_t live_records;
    uint64_t records;
    uint64_t tombstones;
    uint64_t tombstone_bytes;
    uint64_t other_bytes;  /* header, flushes, padding */
    uint64_t beyond_bytes; /* behind the length; the next start cuts them */
    uint64_t hint_bytes;
};

struct db_count {
    uint64_t keys;
    uint64_t expires;
    uint64_t tombstones;
};

struct stats {
    const struct check_options *options;
    struct folder folder;
    struct report report;
    struct printer printer;
    struct diag *diag;
    struct file_count *files;
    size_t file_count;
    struct db_count *dbs; /* shard * database_count + number */
    uint64_t log_bytes;
    uint64_t log_files;
    uint64_t quarantine_bytes;
    uint64_t left_bytes; /* of files that nobody names */
};

static struct db_count *db_of(struct stats *stats, uint32_t shard, uint32_t number)
{
    return &stats->dbs[(size_t)shard * stats->folder.manifest.database_count + number];
}

/* ---- Records ---- */

static void count_tombstone(struct stats *stats, uint32_t shard, uint16_t db_id)
{
    const struct manifest *manifest = &stats->folder.manifest;
    for (uint32_t i = 0; i < manifest->database_count; i++) {
        if (manifest->database_ids[i] == db_id)
            db_of(stats, shard, i)->tombstones++;
    }
}

static void count_item(struct stats *stats, struct file_count *file, const struct walk_item *item)
{
    uint64_t size = item->end - item->off;
    switch (item->record.kind) {
    case RECORD_PUT:
        file->records++;
        return;
    case RECORD_TOMBSTONE:
        file->records++;
        file->tombstones++;
        file->tombstone_bytes += size;
        count_tombstone(stats, file->shard, item->record.db_id);
        return;
    case RECORD_FLUSH:
        file->records++;
        file->other_bytes += size;
        return;
    case RECORD_PAD:
        file->other_bytes += size;
        return;
    }
}

static int damaged(struct stats *stats, const char *path)
{
    return diag_set(stats->diag, ERR_CORRUPT, "%.300s is damaged: 'ferric-check verify' says where",
                    path);
}

static int walk_file(struct stats *stats, struct file_count *file, struct walk *walk)
{
    struct walk_item item;
    for (;;) {
        int rc = walk_next(walk, &item, stats->diag);
        if (rc != 0)
            return rc == ERR_NOT_FOUND ? 0 : rc;
        if (item.is_damage || item.wrong != NULL)
            return damaged(stats, walk->path);
        report_advance(&stats->report, item.end - item.off);
        count_item(stats, file, &item);
    }
}

static uint64_t size_of(struct fs *fs, const char *path)
{
    struct fs_stat st;
    return fs_stat(fs, path, &st) == 0 && !st.is_dir ? st.size : 0;
}

static int count_file(struct stats *stats, struct file_count *file,
                      const struct bitcask_named *named)
{
    struct fs *fs = stats->folder.fs;
    char *dir = folder_shard_path(&stats->folder, file->shard);
    char *path = data_path(dir, named->id, DATA_LOG);
    char *hint = data_path(dir, named->id, DATA_HINT);
    struct file *opened = NULL;
    uint64_t size = size_of(fs, path);
    int rc = fs_open(fs, path, FS_READ, &opened);
    if (rc == -ENOENT || (rc == 0 && size < named->length))
        rc = damaged(stats, path);
    else if (rc != 0)
        diag_set(stats->diag, rc, "%s: %s", path, err_text(rc));
    if (rc == 0) {
        file->hint_bytes = size_of(fs, hint);
        file->beyond_bytes = size - named->length;
        file->other_bytes = DATAFILE_HEADER_SIZE;
        struct walk walk;
        walk_init(&walk, opened, path, named->uid, named->length);
        walk.rules = (struct walk_rules){.manifest = &stats->folder.manifest, .shard = file->shard};
        rc = walk_file(stats, file, &walk);
        walk_fini(&walk);
    }
    file_unref(opened);
    mem_free(hint);
    mem_free(path);
    mem_free(dir);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct file_count *left = a;
    const struct file_count *right = b;
    if (left->shard != right->shard)
        return left->shard < right->shard ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static int count_files(struct stats *stats)
{
    const struct manifest *manifest = &stats->folder.manifest;
    for (uint32_t i = 0; i < manifest->shard_count; i++)
        stats->file_count += manifest->shards[i].file_count;
    stats->files = mem_calloc(stats->file_count + 1, sizeof(*stats->files));
    struct file_count *file = stats->files;
    int rc = 0;
    report_begin(&stats->report, "records", verify_bytes_of_data(&stats->folder));
    for (uint32_t i = 0; i < manifest->shard_count && rc == 0; i++) {
        for (size_t j = 0; j < manifest->shards[i].file_count && rc == 0; j++, file++) {
            const struct bitcask_named *named = &manifest->shards[i].files[j];
            *file = (struct file_count){.shard = i, .id = named->id, .length = named->length};
            rc = count_file(stats, file, named);
        }
    }
    report_end(&stats->report);
    if (stats->file_count > 0)
        qsort(stats->files, stats->file_count, sizeof(*stats->files), by_place);
    return rc;
}

/* ---- Keys ---- */

struct row_walk {
    struct stats *stats;
    uint32_t shard;
};

static struct file_count *find_file(struct stats *stats, uint32_t shard, uint32_t id)
{
    const struct file_count wanted = {.shard = shard, .id = id};
    struct file_count *file =
        bsearch(&wanted, stats->files, stats->file_count, sizeof(wanted), by_place);
    ASSERT(file != NULL); /* recovery reads the same files */
    return file;
}

static void on_row(void *ctx, const struct row *row)
{
    struct row_walk *walk = ctx;
    const struct record record = {.kind = RECORD_PUT,
                                  .expire_at_ms = row_expire_at_ms(row),
                                  .key = row_key(row),
                                  .value = {.len = row->value_size}};
    struct file_count *file = find_file(walk->stats, walk->shard, place_file_id(row_place(row)));
    file->live_bytes += record_size(&record);
    file->live_records++;
}

static void count_rows(struct stats *stats, struct store *store, uint32_t shard)
{
    struct row_walk walk = {.stats = stats, .shard = shard};
    for (uint32_t i = 0; i < store_database_count(store); i++) {
        const struct keydir *dir = store_keydir(store, (uint16_t)i);
        struct db_count *count = db_of(stats, shard, i);
        count->keys = keydir_count(dir);
        count->expires = keydir_expire_count(dir);
        uint64_t cursor = 0;
        do {
            cursor = keydir_scan(dir, cursor, on_row, &walk);
        } while (cursor != 0);
    }
}

static int count_shard(struct stats *stats, struct epoch *epoch, uint32_t shard)
{
    const struct manifest *manifest = &stats->folder.manifest;
    char *path = folder_shard_path(&stats->folder, shard);
    const struct store_options options = {
        .os = stats->options->os,
        .epoch = epoch,
        .dir = path,
        .shard = shard,
        .hash_seed = chance_u64(stats->options->os.chance),
        .database_count = manifest->database_count,
        .database_ids = manifest->database_ids,
        .max_file_size = BITCASK_MAX_FILE_SIZE,
        .state_ms = manifest->state_ms,
        .next_file_id = manifest->shards[shard].next_file_id,
        .named = manifest->shards[shard].files,
        .named_count = manifest->shards[shard].file_count,
    };
    struct store *store;
    int rc = store_recover_again(&options, &store, stats->diag);
    mem_free(path);
    if (rc != 0)
        return rc;
    count_rows(stats, store, shard);
    store_close(store);
    return 0;
}

static uint64_t shard_bytes(const struct stats *stats, uint32_t shard)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < stats->file_count; i++)
        bytes += stats->files[i].shard == shard ? stats->files[i].length : 0;
    return bytes;
}

static int count_keys(struct stats *stats)
{
    const struct manifest *manifest = &stats->folder.manifest;
    struct epoch *epoch = epoch_new();
    struct epoch_reader *reader = epoch_register(epoch);
    int rc = 0;
    report_begin(&stats->report, "keys", verify_bytes_of_data(&stats->folder));
    for (uint32_t i = 0; i < manifest->shard_count && rc == 0; i++) {
        rc = count_shard(stats, epoch, i);
        epoch_quiescent(reader);
        report_advance(&stats->report, shard_bytes(stats, i));
    }
    report_end(&stats->report);
    epoch_unregister(reader);
    epoch_free(epoch);
    return rc;
}

/* ---- Other files ---- */

static int sum_folder(struct stats *stats, const char *path, uint64_t *bytes, uint64_t *count)
{
    struct names names = {0};
    int rc = names_read(stats->folder.fs, path, &names, stats->diag);
    for (size_t i = 0; i < names.count; i++) {
        char *file = path_format("%s/%s", path, names.items[i]);
        *bytes += size_of(stats->folder.fs, file);
        *count += 1;
        mem_free(file);
    }
    names_fini(&names);
    return rc;
}

static int count_quarantine(struct stats *stats)
{
    char *path = path_format("%s/quarantine", stats->folder.dir);
    struct names names = {0};
    uint64_t count = 0;
    int rc = names_read(stats->folder.fs, path, &names, stats->diag);
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        char *folder = path_format("%s/%s", path, names.items[i]);
        struct fs_stat st;
        if (fs_stat(stats->folder.fs, folder, &st) == 0 && st.is_dir)
            rc = sum_folder(stats, folder, &stats->quarantine_bytes, &count);
        mem_free(folder);
    }
    names_fini(&names);
    mem_free(path);
    return rc;
}

static int count_others(struct stats *stats)
{
    char *path = folder_log_path(&stats->folder);
    int rc = sum_folder(stats, path, &stats->log_bytes, &stats->log_files);
    mem_free(path);
    for (uint32_t i = 0; i < stats->folder.manifest.shard_count && rc == 0; i++) {
        uint64_t bytes = 0;
        uint64_t count = 0;
        path = folder_shard_path(&stats->folder, i);
        rc = sum_folder(stats, path, &bytes, &count);
        mem_free(path);
        for (size_t j = 0; j < stats->file_count; j++) {
            const struct file_count *file = &stats->files[j];
            if (file->shard == i)
                bytes -= file->length + file->beyond_bytes + file->hint_bytes;
        }
        stats->left_bytes += bytes;
    }
    return rc == 0 ? count_quarantine(stats) : rc;
}

/* ---- Telling ---- */

static uint64_t dead_bytes(const struct file_count *file)
{
    return file->length - file->live_bytes - file->tombstone_bytes - file->other_bytes;
}

/* Of the bytes that records take. */
static void print_ratio(struct printer *printer, uint64_t dead, uint64_t length)
{
    char text[16];
    snprintf(text, sizeof(text), "%.3f", length == 0 ? 0.0 : (double)dead / (double)length);
    print_number(printer, "dead_ratio", text);
}

static struct file_count sum_files(const struct stats *stats)
{
    struct file_count sum = {0};
    for (size_t i = 0; i < stats->file_count; i++) {
        const struct file_count *file = &stats->files[i];
        sum.length += file->length;
        sum.live_bytes += file->live_bytes;
        sum.live_records += file->live_records;
        sum.records += file->records;
        sum.tombstones += file->tombstones;
        sum.tombstone_bytes += file->tombstone_bytes;
        sum.other_bytes += file->other_bytes;
        sum.beyond_bytes += file->beyond_bytes;
        sum.hint_bytes += file->hint_bytes;
    }
    return sum;
}

static void print_counts(struct printer *printer, const struct file_count *file)
{
    print_u64(printer, "bytes", file->length);
    print_u64(printer, "live_bytes", file->live_bytes);
    print_u64(printer, "dead_bytes", dead_bytes(file));
    print_u64(printer, "tombstone_bytes", file->tombstone_bytes);
    print_u64(printer, "other_bytes", file->other_bytes);
    print_ratio(printer, dead_bytes(file), file->length);
    print_u64(printer, "records", file->records);
    print_u64(printer, "live_records", file->live_records);
    print_u64(printer, "tombstones", file->tombstones);
    print_u64(printer, "hint_bytes", file->hint_bytes);
}

static void print_total(struct stats *stats)
{
    struct printer *printer = &stats->printer;
    const struct file_count sum = sum_files(stats);
    print_begin(printer, "data");
    print_u64(printer, "files", stats->file_count);
    print_counts(printer, &sum);
    print_end(printer);
    print_begin(printer, "rest");
    print_u64(printer, "log_files", stats->log_files);
    print_u64(printer, "log_bytes", stats->log_bytes);
    print_u64(printer, "beyond_bytes", sum.beyond_bytes);
    print_u64(printer, "left_over_bytes", stats->left_bytes);
    print_u64(printer, "quarantine_bytes", stats->quarantine_bytes);
    print_end(printer);
}

static void print_keys(struct stats *stats)
{
    const struct manifest *manifest = &stats->folder.manifest;
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        struct db_count sum = {0};
        for (uint32_t j = 0; j < manifest->database_count; j++) {
            const struct db_count *count = db_of(stats, i, j);
            sum.keys += count->keys;
            sum.expires += count->expires;
            sum.tombstones += count->tombstones;
        }
        print_begin(&stats->printer, "shard");
        print_u64(&stats->printer, "shard", i);
        print_u64(&stats->printer, "keys", sum.keys);
        print_u64(&stats->printer, "expires", sum.expires);
        print_u64(&stats->printer, "tombstones", sum.tombstones);
        print_end(&stats->printer);
        for (uint32_t j = 0; j < manifest->database_count; j++) {
            const struct db_count *count = db_of(stats, i, j);
            if (count->keys == 0 && count->tombstones == 0)
                continue;
            print_begin(&stats->printer, "database");
            print_u64(&stats->printer, "shard", i);
            print_u64(&stats->printer, "db", j);
            print_u64(&stats->printer, "keys", count->keys);
            print_u64(&stats->printer, "expires", count->expires);
            print_u64(&stats->printer, "tombstones", count->tombstones);
            print_end(&stats->printer);
        }
    }
}

static int by_length(const void *a, const void *b)
{
    const struct file_count *left = a;
    const struct file_count *right = b;
    if (left->length != right->length)
        return left->length < right->length ? 1 : -1;
    return by_place(a, b);
}

/* People are shown the largest ones. */
static void print_files(struct stats *stats)
{
    size_t shown = stats->file_count;
    if (!stats->printer.is_json && shown > FILES_SHOWN)
        shown = FILES_SHOWN;
    if (stats->file_count > 0)
        qsort(stats->files, stats->file_count, sizeof(*stats->files), by_length);
    for (size_t i = 0; i < shown; i++) {
        print_begin(&stats->printer, "file");
        print_u64(&stats->printer, "shard", stats->files[i].shard);
        print_u64(&stats->printer, "id", stats->files[i].id);
        print_counts(&stats->printer, &stats->files[i]);
        print_end(&stats->printer);
    }
    if (shown < stats->file_count)
        report_line(&stats->report, "and %zu smaller files", stats->file_count - shown);
}

/* ---- The whole ---- */

static int run(struct stats *stats)
{
    if (!stats->folder.has_manifest)
        return diag_set(stats->diag, ERR_CORRUPT,
                        "%.300s has no manifest that can be read: 'ferric-check verify' says more",
                        stats->folder.dir);
    const struct manifest *manifest = &stats->folder.manifest;
    stats->dbs =
        mem_calloc((size_t)manifest->shard_count * manifest->database_count, sizeof(*stats->dbs));
    int rc = count_files(stats);
    if (rc == 0)
        rc = count_keys(stats);
    if (rc == 0)
        rc = count_others(stats);
    if (rc != 0)
        return rc;
    print_total(stats);
    print_keys(stats);
    print_files(stats);
    return 0;
}

int check_stats(const struct check_options *options, struct diag *diag)
{
    struct stats stats = {.options = options,
                          .report = {.io = options->io},
                          .printer = {.io = options->io, .is_json = options->is_json},
                          .diag = diag};
    if (folder_open(&stats.folder, options, FOLDER_LOOK, diag) != 0)
        return CHECK_FAILED;
    int rc = run(&stats);
    if (rc == ERR_CORRUPT)
        report_damage(&stats.report, "%s", diag->text);
    mem_free(stats.files);
    mem_free(stats.dbs);
    printer_fini(&stats.printer);
    folder_close(&stats.folder);
    return rc == 0 ? CHECK_SOUND : rc == ERR_CORRUPT ? CHECK_DAMAGED : CHECK_FAILED;
}
