/* SPDX-License-Identifier: Apache-2.0 */
#include "check/verify.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"
#include "check/hint_check.h"
#include "engine/upkeep/disk_reserve.h"

/* Keys that are named for one damaged range. */
#define KEYS_TOLD 100

struct data_check {
    const struct folder *folder;
    uint32_t shard;
    const struct bitcask_named *named;
    struct report *report;
    struct data_verdict *verdict;
    struct diag *diag;
    struct datafile *df;
    struct hint_check hint;
    struct walk walk;
};

uint64_t verify_bytes_of_data(const struct folder *folder)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < folder->manifest.shard_count; i++) {
        for (size_t j = 0; j < folder->manifest.shards[i].file_count; j++)
            bytes += folder->manifest.shards[i].files[j].length;
    }
    return bytes;
}

/* ---- What is told of damage ---- */

/* V5: what the damaged bytes say of themselves is told as a guess. */
static void tell_guesses(struct data_check *check, uint64_t from, uint64_t end)
{
    uint64_t off = from;
    for (int told = 0; told < KEYS_TOLD; told++) {
        struct record claimed;
        if (off >= end || !walk_claim_at(&check->walk, off, &claimed))
            return;
        /* A record did begin at the first byte; what the others are is a guess as such. */
        if (off > from && walk_judge(&check->walk.rules, &claimed) != NULL)
            return;
        if (claimed.kind != RECORD_PAD)
            tell_record(check->report, "perhaps", &claimed);
        off += record_size(&claimed);
    }
}

static void tell_damage(struct data_check *check, const struct walk_item *item)
{
    check->verdict->is_damaged = true;
    if (item->is_damage) {
        report_damage(check->report,
                      "%s: bytes %" PRIu64 " to %" PRIu64 " do not check (%" PRIu64 " bytes)",
                      check->df->path, item->off, item->end, item->end - item->off);
        /* A sound hint will tell for sure. */
        if (item->end > check->hint.covered)
            tell_guesses(check, item->off, item->end);
        hint_check_damage(&check->hint, item->off, item->end);
        return;
    }
    report_damage(check->report, "%s: the record at offset %" PRIu64 " checks, but %s",
                  check->df->path, item->off, item->wrong);
    tell_record(check->report, "it is", &item->record);
}

/* ---- Looking ---- */

static int walk_records(struct data_check *check)
{
    struct data_verdict *verdict = check->verdict;
    struct walk_item item;
    for (;;) {
        int rc = walk_next(&check->walk, &item, check->diag);
        if (rc != 0)
            return rc == ERR_NOT_FOUND ? 0 : rc;
        report_advance(check->report, item.end - item.off);
        if (item.is_damage || item.wrong != NULL)
            tell_damage(check, &item);
        if (item.is_damage || item.record.kind == RECORD_PAD)
            continue;
        if (item.off < check->hint.covered)
            hint_sum_add(&check->hint.found, &item.record, item.off);
        if (item.wrong != NULL)
            continue;
        uint64_t index = item.record.position >> 16;
        verdict->records++;
        verdict->bytes += item.end - item.off;
        if (index < verdict->lowest_index)
            verdict->lowest_index = index;
    }
}

static void judge_lowest(struct data_check *check)
{
    const struct bitcask_named *named = check->named;
    struct data_verdict *verdict = check->verdict;
    if (verdict->is_damaged || verdict->lowest_index == named->lowest_index)
        return;
    verdict->is_lowest_wrong = true;
    report_damage(check->report, "%s: the lowest index is %" PRIu64 ", the manifest says %" PRIu64,
                  check->df->path, verdict->lowest_index, named->lowest_index);
}

/* The whole file, whatever its header says: uid and length are the manifest's. */
static int walk_file(struct data_check *check)
{
    const struct bitcask_named *named = check->named;
    uint64_t size;
    int rc = file_size(check->df->file, &size);
    if (rc != 0)
        return diag_set(check->diag, rc, "%s: %s", check->df->path, err_text(rc));
    uint64_t end = size < named->length ? size : named->length;
    walk_init(&check->walk, check->df->file, check->df->path, named->uid, end);
    check->walk.rules =
        (struct walk_rules){.manifest = &check->folder->manifest, .shard = check->shard};
    rc = walk_records(check);
    if (rc == 0 && size < named->length) {
        check->verdict->is_damaged = true;
        report_damage(check->report, "%s: ends at offset %" PRIu64 ", the manifest says %" PRIu64,
                      check->df->path, size, named->length);
        hint_check_damage(&check->hint, size, named->length);
    }
    if (rc == 0)
        judge_lowest(check);
    if (rc == 0)
        rc = hint_check_end(&check->hint, &check->walk, check->diag);
    walk_fini(&check->walk);
    return rc;
}

static int check_file(struct data_check *check)
{
    struct diag why = {.text = ""};
    int rc = hint_check_begin(&check->hint, check->diag);
    if (rc != 0)
        return rc;
    rc = datafile_open(check->df, check->folder->fs, FS_READ, &why);
    if (rc == -ENOENT) {
        check->verdict->is_missing = true;
        report_damage(check->report, "%s: missing, but the manifest names it", check->df->path);
        return hint_check_end(&check->hint, NULL, check->diag);
    }
    if (rc == ERR_CORRUPT || rc == -EIO) {
        check->verdict->is_header_bad = true;
        report_damage(check->report, "%s", why.text);
    } else if (rc != 0) {
        return diag_set(check->diag, rc, "%s", why.text);
    }
    report_advance(check->report, DATAFILE_HEADER_SIZE);
    return walk_file(check);
}

int verify_data_file(const struct folder *folder, uint32_t shard, const struct bitcask_named *named,
                     struct report *report, struct data_verdict *out_verdict, struct diag *diag)
{
    *out_verdict = (struct data_verdict){.lowest_index = UINT64_MAX};
    char *dir = folder_shard_path(folder, shard);
    const struct datafile_header header = {.shard = shard, .id = named->id, .uid = named->uid};
    struct data_check check = {.folder = folder,
                               .shard = shard,
                               .named = named,
                               .report = report,
                               .verdict = out_verdict,
                               .diag = diag,
                               .df = datafile_new(dir, &header)};
    check.hint = (struct hint_check){
        .fs = folder->fs, .df = check.df, .report = report, .length = named->length};
    int rc = check_file(&check);
    out_verdict->has_hint = check.hint.has_hint;
    out_verdict->is_hint_bad = check.hint.is_bad;
    hint_check_fini(&check.hint);
    datafile_unref(check.df);
    mem_free(dir);
    return rc;
}

/* ---- What nobody names ---- */

/* The file that is given up when the disk is full: no part of the state. */
static bool is_reserve(const struct folder *folder, const char *path)
{
    size_t len = strlen(folder->dir);
    return strncmp(path, folder->dir, len) == 0 && path[len] == '/' &&
           (strcmp(path + len + 1, DISK_RESERVE_NAME) == 0 ||
            strcmp(path + len + 1, DISK_RESERVE_TEMPORARY) == 0);
}

static int look_into_shard(const struct folder *folder, const char *name, struct report *report,
                           struct diag *diag)
{
    char *path = path_format("%s/data/%s", folder->dir, name);
    uint32_t shard = UINT32_MAX;
    for (uint32_t i = 0; i < folder->manifest.shard_count; i++) {
        char *expected = folder_shard_path(folder, i);
        shard = strcmp(expected, path) == 0 ? i : shard;
        mem_free(expected);
    }
    struct names names = {0};
    struct fs_stat st;
    int rc = fs_stat(folder->fs, path, &st);
    if (rc != 0)
        diag_set(diag, rc, "%s: %s", path, err_text(rc));
    else if (st.is_dir)
        rc = names_read(folder->fs, path, &names, diag);
    if (rc == 0 && shard == UINT32_MAX && !is_reserve(folder, path))
        report_note(report, "%s: belongs to no shard that the manifest knows", path);
    for (size_t i = 0; i < names.count && shard != UINT32_MAX; i++) {
        uint32_t id;
        enum data_name kind = data_name_parse(names.items[i], &id);
        if (kind == DATA_OTHER)
            report_note(report, "%s/%s: no file of Ferric's", path, names.items[i]);
        else if (kind == DATA_HINT_TMP || folder_named(folder, shard, id) == NULL)
            report_note(report, "%s/%s: left over; the next start removes it", path,
                        names.items[i]);
    }
    names_fini(&names);
    mem_free(path);
    return rc;
}

/* A manifest or a segment that was being made. */
static int tell_temporary(const struct folder *folder, struct report *report, struct diag *diag)
{
    static const char *const places[] = {"", "/log"};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_COUNT(places) && rc == 0; i++) {
        struct names names = {0};
        char *path = path_format("%s%s", folder->dir, places[i]);
        rc = names_read(folder->fs, path, &names, diag);
        for (size_t j = 0; j < names.count; j++) {
            const char *dot = strrchr(names.items[j], '.');
            if (dot != NULL && strcmp(dot, ".tmp") == 0)
                report_note(report, "%s/%s: left over from what was interrupted", path,
                            names.items[j]);
        }
        names_fini(&names);
        mem_free(path);
    }
    return rc;
}

int verify_leftovers(const struct folder *folder, struct report *report, struct diag *diag)
{
    char *path = path_format("%s/data", folder->dir);
    struct names shards = {0};
    int rc = names_read(folder->fs, path, &shards, diag);
    for (size_t i = 0; i < shards.count && rc == 0; i++)
        rc = look_into_shard(folder, shards.items[i], report, diag);
    names_fini(&shards);
    mem_free(path);
    return rc == 0 ? tell_temporary(folder, report, diag) : rc;
}
