/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery of a store from the bytes that the manifest names.
 *
 * Files come in no meaningful order (a merge may write old records into a new file), so the newest
 * record of a key wins by (position, revision) alone (R4). Until all files are read, tombstones and
 * expired records are kept as rows like others, so that they beat what is older; so is the newest
 * FLUSH of every database. A last pass then takes out tombstones, flushed and expired rows (R8).
 * A row has no field for the revision: its LFU word holds it until that pass sets the word anew.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/store_internal.h"

struct recovery {
    const struct store_options *options;
    struct store *store;
    struct diag *diag;
    uint64_t flushed[STORE_MAX_DATABASES]; /* newest FLUSH of each database number */
};

/* The database whose stable id the record carries; NULL if there is none. */
static struct db *db_of_record(struct recovery *recovery, const struct record *record)
{
    for (uint32_t i = 0; i < recovery->options->database_count; i++) {
        if (recovery->options->database_ids[i] == record->db_id)
            return store_db(recovery->store, (uint16_t)i);
    }
    return NULL;
}

static bool is_newer(const struct record *record, const struct row *row)
{
    if (record->position != row->version)
        return record->position > row->version;
    return record->revision > atomic_load_explicit(&row->lfu, memory_order_relaxed);
}

static int take_record(struct recovery *recovery, struct db *db, const struct record *record,
                       uint32_t file_id, uint64_t off)
{
    uint64_t hash = keydir_hash(db->dir, record->key);
    const struct row *old = keydir_find(db->dir, record->key, hash);
    if (old != NULL && !is_newer(record, old))
        return 0;
    struct row *row = row_new(&(struct row_desc){
        .key = record->key,
        .type = record->kind == RECORD_PUT ? record->type : VALUE_NONE,
        .value_size = (uint32_t)record->value.len,
        .expire_at_ms = record->kind == RECORD_PUT ? record->expire_at_ms : 0,
        .version = {.word = record->position},
        .place = place_of(PLACE_SHARED, file_id, (uint32_t)off),
        .lfu = record->revision,
    });
    if (row == NULL)
        return diag_set(recovery->diag, -ENOMEM, "out of memory while the keys were read");
    keydir_put(db->dir, row, hash);
    /* Nobody reads yet: what was replaced can go at once. */
    keydir_collect(db->dir, 64);
    return 0;
}

static int on_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    struct recovery *recovery = ctx;
    struct db *db = db_of_record(recovery, record);
    if (db == NULL)
        return diag_set(recovery->diag, ERR_CORRUPT,
                        "data file %u of shard %u, offset %llu: a record of database id %u, which "
                        "the manifest does not know",
                        file_id, recovery->options->shard, (unsigned long long)off, record->db_id);
    switch (record->kind) {
    case RECORD_FLUSH:
        if (record->position > recovery->flushed[db->number])
            recovery->flushed[db->number] = record->position;
        return 0;
    case RECORD_PUT:
        if (record->type == VALUE_NONE || record->type > VALUE_STREAM)
            return diag_set(recovery->diag, ERR_CORRUPT,
                            "data file %u of shard %u, offset %llu: unknown type %u of a value",
                            file_id, recovery->options->shard, (unsigned long long)off,
                            record->type);
        return take_record(recovery, db, record, file_id, off);
    case RECORD_TOMBSTONE:
        return take_record(recovery, db, record, file_id, off);
    case RECORD_PAD:
        return 0;
    default:
        UNREACHABLE("bitcask hands out known kinds only");
    }
}

/* ---- The last pass ---- */

struct settle {
    struct recovery *recovery;
    struct db *db;
    uint64_t lfu_ms;
    const struct row **dead;
    size_t dead_count;
    size_t dead_cap;
};

/* T8: the newest has won, whatever it says. */
static bool is_dead(const struct settle *settle, const struct row *row)
{
    uint64_t expire_at_ms = row_expire_at_ms(row);
    return row->type == VALUE_NONE ||
           row->version < settle->recovery->flushed[settle->db->number] ||
           (expire_at_ms != 0 && expire_at_ms <= settle->recovery->options->state_ms);
}

static void settle_row(void *ctx, const struct row *row)
{
    struct settle *settle = ctx;
    struct db *db = settle->db;
    if (is_dead(settle, row)) {
        if (settle->dead_count == settle->dead_cap) {
            settle->dead_cap = settle->dead_cap == 0 ? 64 : settle->dead_cap * 2;
            settle->dead = mem_realloc(settle->dead, settle->dead_cap * sizeof(*settle->dead));
        }
        settle->dead[settle->dead_count++] = row;
        return;
    }
    uint64_t hash = keydir_hash(db->dir, row_key(row));
    struct row *mine = keydir_find_mine(db->dir, row_key(row), hash);
    atomic_store_explicit(&mine->lfu, lfu_new(settle->lfu_ms), memory_order_relaxed);
    store_note_expiry(db, row, NULL, hash);
    store_count_cold(db, 1);
}

/* A scan may show a row twice if the table shrinks in between, so the dead are removed only after
 * the whole table has been seen. */
static void settle_db(struct recovery *recovery, struct db *db)
{
    struct settle settle = {
        .recovery = recovery, .db = db, .lfu_ms = clock_wall_ms(recovery->options->os.clock)};
    uint64_t cursor = 0;
    do {
        cursor = keydir_scan(db->dir, cursor, settle_row, &settle);
    } while (cursor != 0);
    for (size_t i = 0; i < settle.dead_count; i++) {
        struct slice key = row_key(settle.dead[i]);
        bool was_there = keydir_del(db->dir, key, keydir_hash(db->dir, key));
        ASSERT(was_there);
    }
    mem_free(settle.dead);
    while (keydir_collect(db->dir, SIZE_MAX))
        continue;
}

static struct store *make_store(const struct store_options *options)
{
    ASSERT(options->database_count > 0 && options->database_count <= STORE_MAX_DATABASES);
    struct store *store =
        mem_calloc(1, sizeof(*store) + options->database_count * sizeof(store->dbs[0]));
    store->shard = options->shard;
    store->database_count = options->database_count;
    store->epoch = options->epoch;
    store->hash_seed = options->hash_seed;
    store->hot_max_value = options->hot_max_value;
    store->lfu = options->lfu;
    list_init(&store->dropped);
    store->dropped_bag = store_new_dropped_bag(store);
    atomic_init(&store->applied_ms, options->state_ms);
    for (uint32_t i = 0; i < options->database_count; i++)
        atomic_init(&store->dbs[i],
                    store_db_new(store, (uint16_t)i, options->database_ids[i], options->state_ms));
    return store;
}

int store_open(const struct store_options *options, _Atomic uint64_t *progress,
               struct store **out_store, struct diag *diag)
{
    struct recovery *recovery = mem_calloc(1, sizeof(*recovery));
    recovery->options = options;
    recovery->store = make_store(options);
    recovery->diag = diag;
    int rc = bitcask_open(
        &(struct bitcask_options){
            .os = options->os,
            .epoch = options->epoch,
            .dir = options->dir,
            .shard = options->shard,
            .max_file_size = options->max_file_size,
            .next_id = options->next_file_id,
            .named = options->named,
            .named_count = options->named_count,
        },
        on_record, recovery, progress, &recovery->store->bitcask, diag);
    if (rc != 0) {
        recovery->store->bitcask = NULL;
        store_close(recovery->store);
        goto out;
    }
    for (uint32_t i = 0; i < options->database_count; i++)
        settle_db(recovery, store_db(recovery->store, (uint16_t)i));
    *out_store = recovery->store;
out:
    mem_free(recovery);
    return rc;
}
