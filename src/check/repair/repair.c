/* SPDX-License-Identifier: Apache-2.0 */
/* In this order, so that a kill at any moment leaves a directory that is as before, or repaired
 * (V7): the report and the second names in the quarantine; new data files, which no manifest names
 * yet and a start would remove; the log, file by file; the manifest, in one step; at last the old
 * names go. What is found on the way of a repair that was killed is repaired like everything else:
 * its new files are left over, its quarantine stays. */
#include "check/repair/repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

struct findings {
    struct data_verdict **data; /* by shard and file */
    struct log_verdict log;
    bool needs_manifest;
    bool needs_log;
};

void repair_note_gone(struct repair *repair, const char *path)
{
    struct names *gone = &repair->gone;
    if (gone->count == gone->cap) {
        gone->cap = gone->cap == 0 ? 16 : gone->cap * 2;
        gone->items = mem_realloc(gone->items, gone->cap * sizeof(*gone->items));
    }
    gone->items[gone->count++] = mem_dup_str(path);
}

/* ---- Finding ---- */

static int find(const struct folder *folder, struct report *report, struct findings *findings,
                struct diag *diag)
{
    const struct manifest *manifest = &folder->manifest;
    findings->data = mem_calloc(manifest->shard_count, sizeof(*findings->data));
    int rc = 0;
    report_begin(report, "data files", verify_bytes_of_data(folder));
    for (uint32_t i = 0; i < manifest->shard_count && rc == 0; i++) {
        const struct manifest_shard *shard = &manifest->shards[i];
        findings->data[i] = mem_calloc(shard->file_count + 1, sizeof(**findings->data));
        for (size_t j = 0; j < shard->file_count && rc == 0; j++) {
            struct data_verdict *verdict = &findings->data[i][j];
            rc = verify_data_file(folder, i, &shard->files[j], report, verdict, diag);
            findings->needs_manifest = findings->needs_manifest || !data_is_sound(verdict);
        }
    }
    report_end(report);
    if (rc != 0)
        return rc;
    report_begin(report, "log", verify_bytes_of_log(folder));
    rc = verify_log(folder, report, &findings->log, diag);
    report_end(report);
    findings->needs_log = findings->log.judgement != 0 || findings->log.bad_number != 0;
    return rc;
}

static void findings_fini(struct findings *findings, uint32_t shard_count)
{
    for (uint32_t i = 0; findings->data != NULL && i < shard_count; i++)
        mem_free(findings->data[i]);
    mem_free(findings->data);
}

/* ---- Doing ---- */

static uint64_t bytes_to_write(const struct folder *folder, const struct findings *findings)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < folder->manifest.shard_count; i++) {
        for (size_t j = 0; j < folder->manifest.shards[i].file_count; j++)
            bytes += data_is_sound(&findings->data[i][j]) ? 0 : findings->data[i][j].bytes;
    }
    return bytes;
}

/* From the last file to the first, so that one that goes moves none that is still to come. */
static int repair_data(struct repair *repair, const struct findings *findings, struct diag *diag)
{
    const struct manifest *manifest = &repair->folder->manifest;
    report_begin(repair->report, "writing", bytes_to_write(repair->folder, findings));
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        for (size_t j = manifest->shards[i].file_count; j-- > 0;) {
            const struct data_verdict *verdict = &findings->data[i][j];
            if (data_is_sound(verdict) && !verdict->is_hint_bad)
                continue;
            int rc = repair_data_file(repair, i, j, verdict, diag);
            if (rc != 0)
                return rc;
        }
    }
    report_end(repair->report);
    return 0;
}

/* The names in the quarantine are durable, and nothing names these files any more. */
static int remove_gone(struct repair *repair, struct diag *diag)
{
    struct fs *fs = repair->folder->fs;
    for (size_t i = 0; i < repair->gone.count; i++) {
        char *path = repair->gone.items[i];
        int rc = fs_unlink(fs, path);
        if (rc != 0 && rc != -ENOENT)
            return diag_set(diag, rc, "%s cannot be removed: %s", path, err_text(rc));
        *strrchr(path, '/') = '\0';
        rc = fs_sync_dir(fs, path);
        if (rc != 0)
            return diag_set(diag, rc, "%s cannot be synced: %s", path, err_text(rc));
    }
    return 0;
}

static int run(struct repair *repair, const struct findings *findings, struct diag *diag)
{
    struct folder *folder = repair->folder;
    struct buf *told = repair->report->copy;
    int rc = quarantine_open(&repair->quarantine, folder, diag);
    if (rc == 0)
        rc = quarantine_put_report(&repair->quarantine, buf_slice(told), diag);
    if (rc == 0)
        report_line(repair->report, "what is taken out is kept in %s", repair->quarantine.path);
    if (rc == 0)
        rc = repair_data(repair, findings, diag);
    if (rc == 0 && findings->needs_log)
        rc = repair_log(repair, &findings->log, diag);
    if (rc == 0 && findings->needs_manifest) {
        char *path = path_format("%s/" MANIFEST_NAME, folder->dir);
        rc = quarantine_keep(&repair->quarantine, path, diag);
        mem_free(path);
        if (rc == 0)
            rc = manifest_save(folder->fs, folder->dir, &folder->manifest, diag); /* V6 */
    }
    if (rc == 0)
        rc = remove_gone(repair, diag);
    return rc;
}

static void tell_consequences(struct report *report, const struct findings *findings)
{
    if (findings->needs_manifest)
        report_line(report,
                    "Keys whose newest record was damaged are gone, or have an older value "
                    "again; keys whose removal was damaged may be back.");
}

/* ---- The whole ---- */

static void on_write(void *ctx, struct slice text)
{
    (void)ctx;
    (void)text;
}

/* Is what there is now sound? */
static int judge_result(struct repair *repair, struct diag *diag)
{
    struct report silent = {.io = {.write = on_write}};
    struct findings findings = {0};
    int rc = find(repair->folder, &silent, &findings, diag);
    findings_fini(&findings, repair->folder->manifest.shard_count);
    if (rc != 0)
        return CHECK_FAILED;
    report_line(repair->report, silent.damage_count == 0
                                    ? "repaired: the server starts on what is there now"
                                    : "there is damage left: run this again");
    return silent.damage_count == 0 ? CHECK_SOUND : CHECK_DAMAGED;
}

static int do_repair(struct repair *repair, const struct findings *findings, struct diag *diag)
{
    int rc = run(repair, findings, diag);
    int status = CHECK_FAILED;
    if (rc == 0) {
        tell_consequences(repair->report, findings);
        status = judge_result(repair, diag);
    }
    if (status != CHECK_FAILED &&
        quarantine_put_report(&repair->quarantine, buf_slice(repair->report->copy), diag) != 0)
        status = CHECK_FAILED;
    quarantine_close(&repair->quarantine);
    names_fini(&repair->gone);
    return status;
}

static bool may_go_on(const struct check_options *options, const struct report *report)
{
    char question[400];
    snprintf(question, sizeof(question),
             "%" PRIu64
             " findings of damage. A backup may have what a repair cannot bring back. "
             "Take out what is damaged, and keep it in %.200s/quarantine?",
             report->damage_count, options->dir);
    return options->io.confirm != NULL && options->io.confirm(options->io.ctx, question);
}

static int find_and_repair(const struct check_options *options, struct folder *folder,
                           struct report *report, struct diag *diag)
{
    struct findings findings = {0};
    uint32_t shard_count = folder->manifest.shard_count;
    int status = CHECK_FAILED;
    if (find(folder, report, &findings, diag) != 0) {
        findings_fini(&findings, shard_count);
        return CHECK_FAILED;
    }
    if (report->damage_count == 0) {
        report_line(report, "sound: nothing is changed");
        status = CHECK_SOUND;
    } else if (!may_go_on(options, report)) {
        report_line(report, "nothing is changed");
        status = CHECK_DAMAGED;
    } else {
        struct repair repair = {.folder = folder, .os = options->os, .report = report};
        status = do_repair(&repair, &findings, diag);
    }
    findings_fini(&findings, shard_count);
    return status;
}

int check_repair(const struct check_options *options, struct diag *diag)
{
    struct folder folder;
    struct buf copy = {0};
    struct report report = {.io = options->io, .copy = &copy};
    if (folder_open(&folder, options, FOLDER_CHANGE, diag) != 0)
        return CHECK_FAILED;
    int status = CHECK_DAMAGED;
    if (folder.has_manifest) {
        status = find_and_repair(options, &folder, &report, diag);
    } else {
        verify_tell_manifest(&folder, &report);
        report_line(&report, "nothing is changed");
    }
    folder_close(&folder);
    buf_fini(&copy);
    return status;
}
