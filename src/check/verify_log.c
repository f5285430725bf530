/* SPDX-License-Identifier: Apache-2.0 */
/* The log is judged by the very code that a start runs (seglog_judge), which ends at the first
 * damage. What lies behind that is told from the whole frames that are left: where one does not
 * begin at the end of the one before, the bytes between have been lost, and the indices of the two
 * say which entries. */
#include "check/verify.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"
#include "consensus/consensus.h"
#include "engine/entry.h"

struct log_check {
    const struct folder *folder;
    struct report *report;
    struct log_verdict *verdict;
    struct entry_decoder decoder;
    uint64_t told_bytes;
    /* While gaps are looked for: the file, and where the next frame of it should begin. */
    const char *path;
    uint64_t number;
    uint64_t next_off;
    uint64_t next_index;
};

/* ---- Entries ---- */

static void add_key(void *ctx, uint16_t db, struct slice key)
{
    (void)ctx;
    (void)db;
    (void)key;
}

/* NULL, or what is wrong with it. */
static const char *judge_commands(struct log_check *check, struct slice payload,
                                  uint32_t *out_number)
{
    *out_number = 0;
    struct entry_prefix prefix;
    if (entry_get_prefix(payload, &prefix) != 0)
        return "does not begin like one, or another version of Ferric wrote it";
    size_t at = ENTRY_PREFIX_SIZE;
    for (uint32_t nth = 0; nth < prefix.count; nth++) {
        struct entry_command command;
        *out_number = nth;
        const char *wrong =
            entry_decode_command(&check->decoder, slice_sub(payload, at, SIZE_MAX), &command);
        if (wrong != NULL)
            return wrong;
        const struct request request = {
            .argv = command.argv, .argc = command.coded.argc, .db = command.coded.db};
        if (command_keys(check->folder->table, command.row, &request, add_key, NULL) ==
            KEYS_MALFORMED)
            return "does not name its keys";
        at += command.coded.size;
    }
    return at == payload.len ? NULL : "is followed by bytes that belong to none";
}

static void judge_entry(struct log_check *check, const struct seglog_seen *seen,
                        const struct log_entry *entry)
{
    uint32_t number = 0;
    const char *wrong = NULL;
    if (entry->type == ENTRY_COMMAND)
        wrong = judge_commands(check, entry->payload, &number);
    else if (entry->type == ENTRY_CHANGE && !consensus_configuration_is_valid(entry->payload))
        wrong = "is no valid configuration of the group";
    if (wrong == NULL)
        return;
    report_damage(check->report,
                  "log segment %" PRIu64 ", frame at offset %" PRIu64 ": entry %" PRIu64
                  ", command %" PRIu32 " %s",
                  seen->segment, seen->off, entry->index, number, wrong);
    if (check->verdict->bad_number != 0)
        return;
    check->verdict->bad_number = seen->segment;
    check->verdict->bad_off = seen->off;
    check->verdict->bad_first_index = seen->first_index;
}

static void note_term(struct log_verdict *verdict, const struct seglog_seen *seen)
{
    uint64_t term = seen->term;
    if (seen->kind == FRAME_OPEN || seen->kind == FRAME_HARDSTATE)
        term = seglog_hard_state_of(seen).term;
    if (term > verdict->seen_term)
        verdict->seen_term = term;
}

/* Of the frames that count; entries up to the checkpoint are never replayed. */
static int on_frame(void *ctx, const struct seglog_seen *seen)
{
    struct log_check *check = ctx;
    struct log_entry entry;
    size_t at = FRAME_HEADER_SIZE;
    note_term(check->verdict, seen);
    if (seen->kind != FRAME_ENTRIES)
        return 0;
    for (uint32_t nth = 0; seglog_next_entry(seen, &at, nth, &entry); nth++) {
        if (entry.index <= check->folder->manifest.index)
            continue;
        check->verdict->entries++;
        judge_entry(check, seen, &entry);
    }
    if (entry.index > check->verdict->seen_index)
        check->verdict->seen_index = entry.index;
    return 0;
}

static void on_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    struct log_check *check = ctx;
    (void)total_bytes;
    report_advance(check->report, done_bytes - check->told_bytes);
    check->told_bytes = done_bytes;
}

/* ---- Behind damage ---- */

static int on_remaining_frame(void *ctx, const struct seglog_seen *seen)
{
    struct log_check *check = ctx;
    note_term(check->verdict, seen);
    if (check->next_off != 0 && seen->off > check->next_off) {
        report_damage(check->report, "%s: bytes %" PRIu64 " to %" PRIu64 " hold no whole frame",
                      check->path, check->next_off, seen->off);
        if (seen->first_index > check->next_index && check->next_index != 0)
            report_detail(check->report, "entries %" PRIu64 " to %" PRIu64 " stood there",
                          check->next_index, seen->first_index - 1);
    }
    check->next_off = seen->off + seen->room;
    check->next_index = seen->first_index + seen->count;
    if (seen->count > 0 && check->next_index - 1 > check->verdict->seen_index)
        check->verdict->seen_index = check->next_index - 1;
    return 0;
}

static int look_at_segment(struct log_check *check, const char *name, struct diag *diag)
{
    uint64_t number;
    bool is_temporary;
    if (!seglog_parse_name(name, &number, &is_temporary) || is_temporary ||
        number < check->verdict->judged.start_number)
        return 0;
    char *path = path_format("%s/log/%s", check->folder->dir, name);
    struct seglog_segment segment;
    check->path = path;
    check->next_off = SEGLOG_FIRST_FRAME;
    int rc = seglog_walk(check->folder->fs, path, on_remaining_frame, check, &segment, diag);
    if (rc == 0 && !segment.is_header_sound)
        report_damage(check->report, "%s: the header at offset 0 is damaged", path);
    mem_free(path);
    return rc;
}

static int look_behind(struct log_check *check, struct diag *diag)
{
    char *path = folder_log_path(check->folder);
    struct names names = {0};
    int rc = names_read(check->folder->fs, path, &names, diag);
    for (size_t i = 0; i < names.count && rc == 0; i++)
        rc = look_at_segment(check, names.items[i], diag);
    names_fini(&names);
    mem_free(path);
    return rc;
}

/* ---- The whole ---- */

static void tell_tail(struct report *report, const struct seglog_judged *judged)
{
    if (judged->cut_frames > 0)
        report_note(report,
                    "log segment %" PRIu64 ", offset %" PRIu64 ": the log ends in %" PRIu64
                    " bytes of writes that were never acknowledged; the next start cuts them",
                    judged->stop_number, judged->stop_off, judged->cut_bytes);
}

static void judge_state(struct report *report, const struct folder *folder,
                        struct log_verdict *verdict)
{
    const struct seglog_judged *judged = &verdict->judged;
    if (judged->last_index > folder->manifest.index &&
        judged->last_term > judged->hard_state.term) {
        verdict->judgement = ERR_CORRUPT;
        report_damage(
            report, "the log's last entry is of term %" PRIu64 ", the node's own term is %" PRIu64,
            judged->last_term, judged->hard_state.term);
    }
}

static int judge(struct log_check *check, const char *path, struct diag *diag)
{
    const struct manifest *manifest = &check->folder->manifest;
    struct log_verdict *verdict = check->verdict;
    const struct seglog_look_options options = {
        .fs = check->folder->fs,
        .dir = path,
        .group_id = manifest->group_id,
        .checkpoint_index = manifest->index,
        .checkpoint_term = manifest->term,
        .may_begin = manifest->begins_log,
        .on_progress = on_progress,
        .progress_ctx = check,
    };
    struct diag why = {.text = ""};
    int rc = seglog_judge(&options, on_frame, check, &verdict->judged, &why);
    if (rc == -ENOENT) {
        /* A start makes it, where nothing of it is needed. */
        bool is_needed = manifest->index > 0 && !manifest->begins_log;
        rc = is_needed ? ERR_CORRUPT : 0;
        verdict->judged.blame.damage = is_needed ? SEGLOG_DAMAGED_REACH : SEGLOG_SOUND;
    }
    verdict->judgement = rc == ERR_MISMATCH ? ERR_CORRUPT : rc;
    if (rc == 0) {
        tell_tail(check->report, &verdict->judged);
        judge_state(check->report, check->folder, verdict);
        return 0;
    }
    if (verdict->judgement != ERR_CORRUPT)
        return diag_set(diag, rc, "%s", why.text);
    report_damage(check->report, "%s", why.text);
    return look_behind(check, diag);
}

int verify_log(const struct folder *folder, struct report *report, struct log_verdict *out_verdict,
               struct diag *diag)
{
    *out_verdict = (struct log_verdict){0};
    struct log_check check = {
        .folder = folder,
        .report = report,
        .verdict = out_verdict,
        .decoder = {.table = folder->table, .database_count = folder->manifest.database_count}};
    char *path = folder_log_path(folder);
    int rc = judge(&check, path, diag);
    entry_decoder_fini(&check.decoder);
    mem_free(path);
    return rc;
}

uint64_t verify_bytes_of_log(const struct folder *folder)
{
    char *path = folder_log_path(folder);
    struct names names = {0};
    uint64_t bytes = 0;
    if (names_read(folder->fs, path, &names, NULL) == 0) {
        for (size_t i = 0; i < names.count; i++) {
            char *file = path_format("%s/%s", path, names.items[i]);
            struct fs_stat st;
            if (fs_stat(folder->fs, file, &st) == 0)
                bytes += st.size;
            mem_free(file);
        }
    }
    names_fini(&names);
    mem_free(path);
    return bytes;
}
