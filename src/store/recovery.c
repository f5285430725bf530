/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery of a store from the bytes that the manifest names.
 *
 * Files come in no meaningful order (a merge may write old records into a new file), so the newest
 * record of a key wins by (position, revision) alone (R4). Until all files are read, tombstones and
 * expired records are kept as rows like others, so that they beat what is older; so is the newest
 * FLUSH of every database. A last pass then takes out tombstones, flushed and expired rows (R8).
 *
 * Memory follows the keys that live, not all that ever did: when the dead have become many, a pass
 * in between takes out those that nothing unread can be older than, by the lowest index that the
 * manifest gives for each file. And what is replaced goes at once, since nobody can see the store:
 * the readers of loops that do not run yet count as online and would hold everything back.
 *
 * A row has no field for the revision: its LFU word holds it until that pass sets the word anew.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/store_internal.h"

#define RETIRED_MAX   (64u * 1024)
#define DEAD_ROWS_MIN 4096 /* fewer are not worth a pass */

struct recovery {
    const struct store_options *options;
    struct store *store;
    struct diag *diag;
    uint32_t file_id;       /* that is being read */
    size_t dead_count;      /* records taken since the last pass that the next may take out */
    struct file_live *live; /* of each named file, by ascending id */
    size_t live_idx;        /* that was counted last */
    uint64_t flushed[STORE_MAX_DATABASES]; /* newest FLUSH of each database number */
};

static bool is_newer(const struct record *record, const struct row *row)
{
    if (record->position != row->version)
        return record->position > row->version;
    return record->revision > atomic_load_explicit(&row->lfu, memory_order_relaxed);
}

static bool has_ended(const struct recovery *recovery, const struct row *row)
{
    uint64_t expire_at_ms = row_expire_at_ms(row);
    return row->type == VALUE_NONE ||
           (expire_at_ms != 0 && expire_at_ms <= recovery->options->state_ms);
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
    if (keydir_retired_bytes(db->dir) > RETIRED_MAX)
        keydir_collect_all(db->dir);
    recovery->dead_count += has_ended(recovery, row);
    return 0;
}

/* ---- Passes over all rows ---- */

struct settle {
    struct recovery *recovery;
    struct db *db;
    uint64_t unread_index; /* no record that has not been read has a lower one */
    bool is_last;
    uint64_t lfu_ms;
    const struct row **dead;
    size_t dead_count;
    size_t dead_cap;
};

/* T8: the newest has won, whatever it says. Of what has ended, that which an older record may still
 * come behind stays. */
static bool is_dead(const struct settle *settle, const struct row *row)
{
    return row->version < settle->recovery->flushed[settle->db->number] ||
           (has_ended(settle->recovery, row) &&
            position_index(row_version(row)) < settle->unread_index);
}

/* The count of the file, which has been read and so is among them. */
static struct file_live *live_of(struct recovery *recovery, uint32_t file_id)
{
    size_t low = 0;
    size_t high = recovery->options->named_count;
    if (recovery->live[recovery->live_idx].file_id == file_id)
        return &recovery->live[recovery->live_idx];
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (recovery->live[middle].file_id <= file_id)
            low = middle;
        else
            high = middle;
    }
    ASSERT(recovery->live[low].file_id == file_id);
    recovery->live_idx = low;
    return &recovery->live[low];
}

/* What a row of the finished store needs. */
static void finish_row(const struct settle *settle, const struct row *row)
{
    struct db *db = settle->db;
    row_set_lfu(row, lfu_new(settle->lfu_ms));
    if (row_expire_at_ms(row) != 0)
        store_note_expiry(db, row, NULL, keydir_hash(db->dir, row_key(row)));
    store_count_cold(db, 1);
    live_of(settle->recovery, place_file_id(row_place(row)))->bytes += store_record_bytes(row);
}

static void settle_row(void *ctx, const struct row *row)
{
    struct settle *settle = ctx;
    if (!is_dead(settle, row)) {
        if (settle->is_last)
            finish_row(settle, row);
        return;
    }
    if (settle->dead_count == settle->dead_cap) {
        settle->dead_cap = settle->dead_cap == 0 ? 64 : settle->dead_cap * 2;
        settle->dead = mem_realloc(settle->dead, settle->dead_cap * sizeof(*settle->dead));
    }
    settle->dead[settle->dead_count++] = row;
}

/* A scan must not change what it walks over, so the dead are removed after it. */
static void settle_db(struct settle *settle)
{
    struct keydir *dir = settle->db->dir;
    uint64_t cursor = 0;
    do {
        cursor = keydir_scan(dir, cursor, settle_row, settle);
    } while (cursor != 0);
    for (size_t i = 0; i < settle->dead_count; i++) {
        struct slice key = row_key(settle->dead[i]);
        bool was_there = keydir_del(dir, key, keydir_hash(dir, key));
        ASSERT(was_there);
    }
    mem_free(settle->dead);
    keydir_collect_all(dir);
}

static void settle_all(struct recovery *recovery, uint64_t unread_index, bool is_last)
{
    uint64_t now_ms = clock_wall_ms(recovery->options->os.clock);
    for (uint32_t i = 0; i < recovery->options->database_count; i++)
        settle_db(&(struct settle){.recovery = recovery,
                                   .db = store_db(recovery->store, (uint16_t)i),
                                   .unread_index = unread_index,
                                   .is_last = is_last,
                                   .lfu_ms = now_ms});
    recovery->dead_count = 0;
}

/* ---- Records ---- */

/* Files are read in ascending id. */
static uint64_t lowest_unread_index(const struct recovery *recovery)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < recovery->options->named_count; i++) {
        const struct bitcask_named *named = &recovery->options->named[i];
        if (named->id >= recovery->file_id && named->lowest_index < lowest)
            lowest = named->lowest_index;
    }
    return lowest;
}

/* Each pass is paid for by the records that have died since the last one. */
static void begin_file(struct recovery *recovery, uint32_t file_id)
{
    size_t row_count = 0;
    for (uint32_t i = 0; i < recovery->options->database_count; i++)
        row_count += keydir_count(store_db(recovery->store, (uint16_t)i)->dir);
    recovery->file_id = file_id;
    if (recovery->dead_count >= DEAD_ROWS_MIN && recovery->dead_count >= row_count / 2)
        settle_all(recovery, lowest_unread_index(recovery), false);
}

static int on_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    struct recovery *recovery = ctx;
    if (file_id != recovery->file_id)
        begin_file(recovery, file_id);
    struct db *db = store_db_by_id(recovery->store, record->db_id);
    if (db == NULL)
        return diag_set(recovery->diag, ERR_CORRUPT,
                        "data file %u of shard %u, offset %llu: a record of database id %u, which "
                        "the manifest does not know",
                        file_id, recovery->options->shard, (unsigned long long)off, record->db_id);
    switch (record->kind) {
    case RECORD_FLUSH:
        if (record->position > recovery->flushed[db->number])
            recovery->flushed[db->number] = record->position;
        recovery->dead_count += keydir_count(db->dir);
        return 0;
    case RECORD_PUT:
        if (!value_byte_is_sound(record->type))
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

static struct store *make_store(const struct store_options *options)
{
    ASSERT(options->database_count > 0 && options->database_count <= STORE_MAX_DATABASES);
    struct store *store =
        mem_calloc(1, sizeof(*store) + options->database_count * sizeof(store->dbs[0]));
    watched_init(&store->watched);
    store->shard = options->shard;
    store->database_count = options->database_count;
    store->epoch = options->epoch;
    store->hash_seed = options->hash_seed;
    atomic_init(&store->hot_max_value, options->hot_max_value);
    store->lfu = options->lfu;
    list_init(&store->dropped);
    store->dropped_bag = store_new_dropped_bag(store);
    atomic_init(&store->applied_ms, options->state_ms);
    for (uint32_t i = 0; i < options->database_count; i++)
        atomic_init(&store->dbs[i],
                    store_db_new(store, (uint16_t)i, options->database_ids[i], options->state_ms));
    return store;
}

/* Reads the named files; those of a store that only is looked at stay another's. */
static int read_files(struct recovery *recovery, bool is_look_only, _Atomic uint64_t *progress)
{
    const struct store_options *options = recovery->options;
    const struct bitcask_options of_files = {
        .os = options->os,
        .epoch = options->epoch,
        .dir = options->dir,
        .shard = options->shard,
        .max_file_size = options->max_file_size,
        .next_id = options->next_file_id,
        .named = options->named,
        .named_count = options->named_count,
        .on_remark = options->on_remark,
        .remark_ctx = options->remark_ctx,
    };
    if (is_look_only)
        return bitcask_scan(&of_files, on_record, recovery, recovery->diag);
    return bitcask_open(&of_files, on_record, recovery, progress, &recovery->store->bitcask,
                        recovery->diag);
}

static int by_file_id(const void *a, const void *b)
{
    uint32_t left = ((const struct file_live *)a)->file_id;
    uint32_t right = ((const struct file_live *)b)->file_id;
    return left < right ? -1 : left > right;
}

static struct file_live *no_live(const struct store_options *options)
{
    struct file_live *live = mem_calloc(options->named_count, sizeof(*live));
    for (size_t i = 0; i < options->named_count; i++)
        live[i].file_id = options->named[i].id;
    if (options->named_count > 0)
        qsort(live, options->named_count, sizeof(*live), by_file_id);
    return live;
}

/* Tells the files how much of each is live, or keeps it for store_adopt(). */
static void hand_over_live(struct recovery *recovery)
{
    struct store *store = recovery->store;
    size_t count = recovery->options->named_count;
    if (store->bitcask == NULL) {
        store->recovered_live = recovery->live;
        store->recovered_count = count;
        return;
    }
    for (size_t i = 0; i < count; i++)
        bitcask_add_live(store->bitcask, recovery->live[i].file_id, recovery->live[i].bytes);
    mem_free(recovery->live);
}

static int recover(const struct store_options *options, bool is_look_only,
                   _Atomic uint64_t *progress, struct store **out_store, struct diag *diag)
{
    struct recovery *recovery = mem_calloc(1, sizeof(*recovery));
    recovery->options = options;
    recovery->store = make_store(options);
    recovery->diag = diag;
    recovery->live = no_live(options);
    int rc = read_files(recovery, is_look_only, progress);
    if (rc == 0) {
        settle_all(recovery, UINT64_MAX, true);
        hand_over_live(recovery);
        *out_store = recovery->store;
    } else {
        mem_free(recovery->live);
        recovery->store->bitcask = NULL;
        store_close(recovery->store);
    }
    mem_free(recovery);
    return rc;
}

int store_open(const struct store_options *options, _Atomic uint64_t *progress,
               struct store **out_store, struct diag *diag)
{
    return recover(options, false, progress, out_store, diag);
}

int store_recover_again(const struct store_options *options, struct store **out_fresh,
                        struct diag *diag)
{
    return recover(options, true, NULL, out_fresh, diag);
}
