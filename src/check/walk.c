/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the next record behind damage costs a look at each byte: whether a header could stand
 * there at all (record_claim), whether it is one that this directory could have (the position not
 * beyond the checkpoint, a database that is known), and only then the check over all it claims.
 * Bytes that somebody has made to look like headers could still have far more hashed than there
 * is: beyond a multiple of the file only small claims are tried. */
#include "check/walk.h"

#include <inttypes.h>

#include "base/err.h"
#include "bitcask/datafile.h"
#include "store/store.h"

/* Header and key. */
#define CLAIM_SIZE (RECORD_MAX_HEADER + RECORD_MAX_KEY)

/* What may be hashed in vain, in files; and the records tried beyond it. */
#define VAIN_FACTOR    16u
#define VAIN_SIZE      (64u * 1024)
#define VAIN_MIN_BYTES (UINT64_C(256) << 20)

static bool knows_database(const struct manifest *manifest, uint16_t db_id)
{
    for (uint32_t i = 0; i < manifest->database_count; i++) {
        if (manifest->database_ids[i] == db_id)
            return true;
    }
    return false;
}

const char *walk_judge(const struct walk_rules *rules, const struct record *record)
{
    if (record->kind == RECORD_PAD)
        return NULL;
    if (record->kind == RECORD_PUT && !value_byte_is_sound(record->type))
        return "its value is of an unknown type";
    if (rules->manifest == NULL)
        return NULL;
    if (!knows_database(rules->manifest, record->db_id))
        return "it is of a database that the manifest does not know";
    if (record->position >> 16 > rules->manifest->index)
        return "it is newer than the checkpoint";
    return NULL;
}

void walk_init(struct walk *walk, struct file *file, const char *path, uint64_t uid, uint64_t end)
{
    *walk = (struct walk){.path = path, .uid = uid, .end = end, .off = DATAFILE_HEADER_SIZE};
    window_init(&walk->window, file, end);
}

void walk_fini(struct walk *walk)
{
    window_fini(&walk->window);
}

static int get(struct walk *walk, uint64_t off, size_t size, struct slice *out, struct diag *diag)
{
    int rc = window_get(&walk->window, off, size, out);
    return rc == 0 ? 0
                   : diag_set(diag, rc, "%s: cannot read at offset %" PRIu64 ": %s", walk->path,
                              off, err_text(rc));
}

int walk_record_at(struct walk *walk, uint64_t off, struct record *out_record, size_t *out_size,
                   struct diag *diag)
{
    if (off >= walk->end)
        return ERR_CORRUPT;
    const struct record_place place = {.uid = walk->uid, .off = off};
    size_t want = RECORD_FIXED_SIZE;
    for (;;) {
        struct slice bytes;
        int rc = get(walk, off, want, &bytes, diag);
        if (rc != 0)
            return rc;
        rc = record_decode(bytes, place, out_record, out_size);
        if (rc != ERR_TORN)
            return rc;
        if (*out_size <= bytes.len || *out_size > walk->end - off)
            return ERR_CORRUPT;
        want = *out_size;
    }
}

/* Could a record begin here? */
static bool is_candidate(struct walk *walk, struct slice bytes, uint64_t off)
{
    struct record claimed;
    size_t size;
    if (!record_claim(bytes, off, &claimed, &size) || size > walk->end - off ||
        walk_judge(&walk->rules, &claimed) != NULL)
        return false;
    uint64_t limit = walk->end * VAIN_FACTOR;
    if (limit < VAIN_MIN_BYTES)
        limit = VAIN_MIN_BYTES;
    if (walk->hashed_bytes > limit && size > VAIN_SIZE)
        return false;
    walk->hashed_bytes += size;
    return true;
}

/* Sets *out_end to where the next sound record begins, or to the end. */
static int find_next(struct walk *walk, uint64_t from, uint64_t *out_end, struct diag *diag)
{
    for (uint64_t off = from; off < walk->end; off++) {
        struct slice bytes;
        int rc = get(walk, off, CLAIM_SIZE, &bytes, diag);
        if (rc != 0)
            return rc;
        if (!is_candidate(walk, bytes, off))
            continue;
        struct record record;
        size_t size;
        rc = walk_record_at(walk, off, &record, &size, diag);
        if (rc == 0) {
            *out_end = off;
            return 0;
        }
        if (rc != ERR_CORRUPT)
            return rc;
    }
    *out_end = walk->end;
    return 0;
}

int walk_next(struct walk *walk, struct walk_item *out_item, struct diag *diag)
{
    if (walk->off >= walk->end)
        return ERR_NOT_FOUND;
    struct walk_item item = {.off = walk->off};
    size_t size = 0;
    int rc = walk_record_at(walk, walk->off, &item.record, &size, diag);
    if (rc == 0) {
        item.end = item.off + size;
        item.wrong = walk_judge(&walk->rules, &item.record);
        rc = get(walk, item.off, size, &item.bytes, diag);
        item.bytes.len = size;
    } else if (rc == ERR_CORRUPT) {
        item.is_damage = true;
        item.record = (struct record){0};
        rc = find_next(walk, item.off + 1, &item.end, diag);
    }
    if (rc != 0)
        return rc;
    walk->off = item.end;
    *out_item = item;
    return 0;
}

bool walk_claim_at(struct walk *walk, uint64_t off, struct record *out_record)
{
    struct slice bytes;
    size_t size;
    if (off >= walk->end || window_get(&walk->window, off, CLAIM_SIZE, &bytes) != 0)
        return false;
    return record_claim(bytes, off, out_record, &size);
}
