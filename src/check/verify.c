/* SPDX-License-Identifier: Apache-2.0 */
#include "check/verify.h"

#include <inttypes.h>

#include "base/err.h"
#include "check/text.h"

struct totals {
    uint64_t files;
    uint64_t hints;
    uint64_t records;
    uint64_t bytes;
};

static int verify_data(const struct folder *folder, struct report *report, struct totals *totals,
                       struct diag *diag)
{
    for (uint32_t shard = 0; shard < folder->manifest.shard_count; shard++) {
        const struct manifest_shard *files = &folder->manifest.shards[shard];
        for (size_t i = 0; i < files->file_count; i++) {
            struct data_verdict verdict;
            int rc = verify_data_file(folder, shard, &files->files[i], report, &verdict, diag);
            if (rc != 0)
                return rc;
            totals->files++;
            totals->hints += verdict.has_hint;
            totals->records += verdict.records;
            totals->bytes += verdict.bytes;
        }
    }
    return verify_leftovers(folder, report, diag);
}

static int verify_all(const struct folder *folder, struct report *report, struct diag *diag)
{
    struct totals totals = {0};
    struct log_verdict log;
    report_begin(report, "data files", verify_bytes_of_data(folder));
    int rc = verify_data(folder, report, &totals, diag);
    report_end(report);
    if (rc != 0)
        return rc;
    report_begin(report, "log", verify_bytes_of_log(folder));
    rc = verify_log(folder, report, &log, diag);
    report_end(report);
    if (rc != 0)
        return rc;
    struct buf size = {0};
    text_put_size(&size, totals.bytes);
    report_line(report,
                "looked at %" PRIu64 " data files of %" PRIu32 " shards (%" PRIu64
                " records, %.*s), %" PRIu64 " hints, and %" PRIu64
                " log entries behind the checkpoint at %" PRIu64,
                totals.files, folder->manifest.shard_count, totals.records,
                SLICE_FMT(buf_slice(&size)), totals.hints, log.entries, folder->manifest.index);
    buf_fini(&size);
    return 0;
}

void verify_tell_manifest(const struct folder *folder, struct report *report)
{
    const char *wrong = folder->manifest_wrong.text;
    if (wrong[0] == '\0')
        report_damage(
            report,
            "%.300s/" MANIFEST_NAME
            ": missing, though there are data files or a log. Without it nothing says "
            "what they hold, and no repair can make one: restore the directory from a backup",
            folder->dir);
    else
        report_damage(report,
                      "%s. Without it nothing says what data files and log hold, and no repair can "
                      "make one: restore the directory from a backup",
                      wrong);
}

int check_verify(const struct check_options *options, struct diag *diag)
{
    struct folder folder;
    struct report report = {.io = options->io};
    int rc = folder_open(&folder, options, FOLDER_LOOK, diag);
    if (rc != 0)
        return CHECK_FAILED;
    if (folder.has_manifest)
        rc = verify_all(&folder, &report, diag);
    else
        verify_tell_manifest(&folder, &report);
    bool is_repairable = folder.has_manifest;
    folder_close(&folder);
    if (rc != 0)
        return CHECK_FAILED;
    if (report.damage_count == 0)
        report_line(&report, "sound");
    else if (is_repairable)
        report_line(&report,
                    "%" PRIu64
                    " findings of damage. 'ferric-check repair' takes out what "
                    "is damaged and says what is lost by that; a backup may have it",
                    report.damage_count);
    return report.damage_count == 0 ? CHECK_SOUND : CHECK_DAMAGED;
}
