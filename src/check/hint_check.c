/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hint_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "bitcask/hint.h"
#include "check/text.h"

#define KEY_SHOWN        200
#define DIFFERENCES_TOLD 20
#define LOST_TOLD        100 /* records of a damaged file, unless the report is kept */

void tell_record(struct report *report, const char *how, const struct record *record)
{
    static const char *const kinds[] = {
        [RECORD_PUT] = "value", [RECORD_TOMBSTONE] = "removal", [RECORD_FLUSH] = "flush"};
    struct buf text = {0};
    buf_append_format(&text, "%s the %s of ", how, kinds[record->kind]);
    if (record->kind == RECORD_FLUSH)
        buf_append_str(&text, "all keys");
    else
        text_put_quoted(&text, record->key, KEY_SHOWN);
    buf_append_format(&text, ", database id %u, index %" PRIu64, record->db_id,
                      record->position >> 16);
    report_detail(report, "%.*s", SLICE_FMT(buf_slice(&text)));
    buf_fini(&text);
}

/* ---- Sums ---- */

void hint_sum_add(struct hint_sum *sum, const struct record *record, uint64_t off)
{
    uint8_t fields[64] = {0};
    put_u64(fields, off);
    put_u64(fields + 8, record->position);
    put_u64(fields + 16, record->expire_at_ms);
    put_u64(fields + 24, record->collection.position);
    put_u32(fields + 32, record->collection.counter);
    put_u32(fields + 36, record->revision);
    put_u32(fields + 40, (uint32_t)record->value.len);
    put_u16(fields + 44, record->db_id);
    fields[46] = (uint8_t)record->kind;
    fields[47] = record->type;
    fields[48] = record->promotion;
    put_u64(fields + 56, hash_check(record->key));
    sum->sum += hash_check(slice_of(fields, sizeof(fields)));
    sum->count++;
}

static bool is_same(const struct record *a, const struct record *b)
{
    struct hint_sum left = {0};
    struct hint_sum right = {0};
    hint_sum_add(&left, a, 0);
    hint_sum_add(&right, b, 0);
    return left.sum == right.sum && slice_eq(a->key, b->key);
}

/* ---- Beginning ---- */

static int on_told(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct hint_check *check = ctx;
    (void)size;
    hint_sum_add(&check->told, record, off);
    return 0;
}

int hint_check_begin(struct hint_check *check, struct diag *diag)
{
    struct diag why = {.text = ""};
    uint64_t covered = check->length;
    int rc = hint_read(check->fs, check->df, &covered, on_told, check, &why);
    if (rc == ERR_NOT_FOUND)
        return 0;
    check->has_hint = true;
    if (rc == 0) {
        check->covered = covered;
        return 0;
    }
    if (rc == ERR_VERSION) {
        report_note(check->report, "%s; a start does without it", why.text);
        return 0;
    }
    if (rc != ERR_CORRUPT)
        return diag_set(diag, rc, "%s", why.text);
    check->is_bad = true;
    report_damage(check->report, "%s", why.text);
    report_detail(check->report, "a start does without it; no key is affected");
    return 0;
}

void hint_check_damage(struct hint_check *check, uint64_t from, uint64_t end)
{
    const struct datafile_range range = {.from = from, .end = end};
    buf_append(&check->damaged, &range, sizeof(range));
}

/* ---- Ending ---- */

struct comparison {
    struct hint_check *check;
    struct walk *walk;
    struct diag *diag;
    size_t next; /* of the damaged ranges */
    uint64_t in_damage;
    uint64_t differences;
    uint64_t agreeing;
    bool is_headed;
};

static bool is_damaged_at(struct comparison *comparison, uint64_t off)
{
    const struct buf *damaged = &comparison->check->damaged;
    const struct datafile_range *ranges =
        (const struct datafile_range *)(const void *)damaged->data;
    size_t count = damaged->len / sizeof(*ranges);
    while (comparison->next < count && ranges[comparison->next].end <= off)
        comparison->next++;
    return comparison->next < count && ranges[comparison->next].from <= off;
}

/* V5 */
static void tell_lost(struct comparison *comparison, const struct record *record, uint64_t off)
{
    struct report *report = comparison->check->report;
    comparison->in_damage++;
    if (comparison->in_damage > LOST_TOLD && report->copy == NULL)
        return;
    if (!comparison->is_headed)
        report_detail(report, "%s: by its hint, there stood", comparison->check->df->path);
    comparison->is_headed = true;
    char how[40];
    snprintf(how, sizeof(how), "at offset %" PRIu64, off);
    tell_record(report, how, record);
}

static void tell_difference(struct comparison *comparison, const struct record *record,
                            uint64_t off)
{
    struct hint_check *check = comparison->check;
    check->is_bad = true;
    if (comparison->differences++ >= DIFFERENCES_TOLD)
        return;
    report_damage(check->report, "%s: its hint says of offset %" PRIu64 " what is not there",
                  check->df->path, off);
    tell_record(check->report, "it tells", record);
}

static int on_compared(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct comparison *comparison = ctx;
    struct record found;
    size_t found_size;
    if (comparison->walk == NULL || is_damaged_at(comparison, off)) {
        tell_lost(comparison, record, off);
        return 0;
    }
    int rc = walk_record_at(comparison->walk, off, &found, &found_size, comparison->diag);
    if (rc != 0 && rc != ERR_CORRUPT)
        return rc;
    if (rc == 0 && found_size == size && is_same(record, &found))
        comparison->agreeing++;
    else
        tell_difference(comparison, record, off);
    return 0;
}

int hint_check_end(struct hint_check *check, struct walk *walk, struct diag *diag)
{
    bool is_equal = check->told.sum == check->found.sum && check->told.count == check->found.count;
    if (check->covered == 0 || (is_equal && walk != NULL && check->damaged.len == 0))
        return 0;
    struct comparison comparison = {.check = check, .walk = walk, .diag = diag};
    uint64_t covered = check->length;
    int rc = hint_read(check->fs, check->df, &covered, on_compared, &comparison, diag);
    if (rc != 0)
        return rc;
    if (comparison.in_damage > LOST_TOLD && check->report->copy == NULL)
        report_detail(check->report, "and %" PRIu64 " more; the report of a repair has them all",
                      comparison.in_damage - LOST_TOLD);
    if (comparison.agreeing < check->found.count) {
        check->is_bad = true;
        report_damage(check->report, "%s: its hint lacks %" PRIu64 " records that it should have",
                      check->df->path, check->found.count - comparison.agreeing);
    }
    return 0;
}

void hint_check_fini(struct hint_check *check)
{
    buf_fini(&check->damaged);
}
