/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>

#include "base/assert.h"
#include "base/broken.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/store_internal.h"

/* A wheel with this many hints more than twice its keys is rebuilt. */
#define STALE_HINTS_ALLOWED 4096
/* A step frees one more object for so many retired bytes, some of a row's size: a part of the
 * backlog, however fast it grows. A replay retires more in a turn than any budget for a step. */
#define RETIRED_BYTES_PER_OBJECT 512

struct db *store_db_by_id(const struct store *store, uint16_t id)
{
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct db *db = store_db(store, (uint16_t)i);
        if (db->id == id)
            return db;
    }
    return NULL;
}

struct db *store_db_new(struct store *store, uint16_t number, uint16_t id, uint64_t now_ms)
{
    struct db *db = mem_calloc(1, sizeof(*db));
    db->dir = keydir_new(store->epoch, store->hash_seed);
    db->expiry = expiry_new(now_ms);
    db->store = store;
    db->recount = store->recount;
    db->number = number;
    db->id = id;
    list_init(&db->node);
    return db;
}

struct bitcask *store_bitcask(struct store *store)
{
    return store->bitcask;
}

uint32_t store_database_count(const struct store *store)
{
    return store->database_count;
}

void store_set_hot_max_value(struct store *store, size_t bytes)
{
    atomic_store_explicit(&store->hot_max_value, bytes, memory_order_relaxed);
}

const struct keydir *store_keydir(const struct store *store, uint16_t db)
{
    ASSERT(db < store->database_count);
    return store_db(store, db)->dir;
}

uint64_t store_publication(const struct store *store)
{
    return atomic_load(&store->publication);
}

uint64_t store_applied_ms(const struct store *store)
{
    return atomic_load_explicit(&store->applied_ms, memory_order_acquire);
}

void store_set_applied_ms(struct store *store, uint64_t ms)
{
    if (ms > atomic_load_explicit(&store->applied_ms, memory_order_relaxed))
        atomic_store_explicit(&store->applied_ms, ms, memory_order_release);
}

uint16_t store_database_id(const struct store *store, uint16_t db)
{
    return store_db(store, db)->id;
}

bool store_has_cold(const struct store *store)
{
    return atomic_load_explicit(&store->cold_rows, memory_order_relaxed) > 0;
}

static size_t hot_max_value(const struct store *store)
{
    return atomic_load_explicit(&store->hot_max_value, memory_order_relaxed);
}

void store_count_cold(struct db *db, int64_t change)
{
    struct store *store = db->store;
    db->cold_rows += change;
    /* One writer: a plain store of what it knows. */
    int64_t now = atomic_load_explicit(&store->cold_rows, memory_order_relaxed);
    atomic_store_explicit(&store->cold_rows, now + change, memory_order_relaxed);
}

struct datafile *store_pin(const struct store *store, struct place place)
{
    if (place_class(place) != PLACE_SHARED)
        return NULL;
    return bitcask_pin(store->bitcask, place_file_id(place));
}

int store_read_cold(const struct store_cold *cold, const struct row *row, bool no_wait,
                    struct buf *out, struct diag *diag)
{
    const struct datafile_query query = {
        .off = place_off(cold->place),
        .key = row_key(row),
        .value_size = row->value_size,
        .db_id = cold->database_id,
        .no_wait = no_wait,
    };
    return datafile_read_value(cold->file, &query, out, diag);
}

/* ---- Publishing ---- */

void store_publication_open(struct store *store)
{
    if (BROKEN(PUBLICATION_OFF))
        return;
    uint64_t word = atomic_load_explicit(&store->publication, memory_order_relaxed);
    ASSERT((word & 1) == 0);
    atomic_store(&store->publication, word + 1);
}

void store_publication_close(struct store *store)
{
    if (BROKEN(PUBLICATION_OFF))
        return;
    uint64_t word = atomic_load_explicit(&store->publication, memory_order_relaxed);
    ASSERT((word & 1) == 1);
    atomic_store(&store->publication, word + 1);
}

static void push_chill(struct chill_queue *queue, struct chill chill)
{
    if (queue->count == queue->cap) {
        size_t cap = queue->cap == 0 ? 64 : queue->cap * 2;
        struct chill *items = mem_alloc(cap * sizeof(*items));
        for (size_t i = 0; i < queue->count; i++)
            items[i] = queue->items[(queue->head + i) & (queue->cap - 1)];
        mem_free(queue->items);
        queue->items = items;
        queue->cap = cap;
        queue->head = 0;
    }
    queue->items[(queue->head + queue->count++) & (queue->cap - 1)] = chill;
}

void store_note_expiry(struct db *db, const struct row *row, const struct row *old, uint64_t hash)
{
    uint64_t expire_at_ms = row_expire_at_ms(row);
    if (expire_at_ms == 0)
        return;
    /* The old row's hint comes no later than the new one's time: it will do (T7). */
    uint64_t old_ms = old == NULL ? 0 : row_expire_at_ms(old);
    if (old_ms != 0 && old_ms <= expire_at_ms)
        return;
    expiry_add(db->expiry, expire_at_ms, (uint32_t)hash);
    if (db->rebuilt != NULL)
        expiry_add(db->rebuilt, expire_at_ms, (uint32_t)hash);
}

void store_note_watched(struct store *store, struct watched_note *note, uint16_t db,
                        struct slice key)
{
    watched_add(&store->watched, note, key, keydir_hash(store_keydir(store, db), key), db);
}

void store_chill_later(struct store *store, const struct db *db, const struct row *row,
                       uint64_t hash)
{
    if (row_is_hot(row) && row->value_size > hot_max_value(store))
        push_chill(&store->chills, (struct chill){.hash = hash,
                                                  .place = row_place(row).word,
                                                  .version = row->version,
                                                  .db = db->number});
}

static void add_live(struct store *store, const struct row *row)
{
    bitcask_add_live(store->bitcask, place_file_id(row_place(row)), store_record_bytes(row));
}

static void sub_live(struct store *store, const struct row *row)
{
    bitcask_sub_live(store->bitcask, place_file_id(row_place(row)), store_record_bytes(row));
}

void store_publish(struct store *store, struct db *db, struct row *row, const struct row *old,
                   uint64_t hash)
{
    ASSERT(place_class(row_place(row)) != PLACE_PENDING); /* T2 */
    if (old != NULL && !row_is_hot(old))
        store_count_cold(db, -1);
    if (old != NULL)
        sub_live(store, old);
    add_live(store, row);
    store_note_expiry(db, row, old, hash);
    store_chill_later(store, db, row, hash);
    if (!row_is_hot(row))
        store_count_cold(db, 1);
    /* One with an expiry may have been as good as absent. */
    bool may_be_new = old == NULL || row_expire_at_ms(old) != 0;
    keydir_put(db->dir, row, hash);
    if (may_be_new)
        watched_mark(&store->watched, hash, db->number);
}

void store_unpublish(struct db *db, const struct row *old, uint64_t hash)
{
    if (!row_is_hot(old))
        store_count_cold(db, -1);
    sub_live(db->store, old);
    bool was_there = keydir_del(db->dir, row_key(old), hash);
    ASSERT(was_there);
}

/* No reader can reach the database any more: its memory may be freed, in slices. */
static void on_db_unreachable(void *ctx, void *object)
{
    struct store *store = ctx;
    struct db *db = object;
    list_push_back(&store->dropped, &db->node);
}

struct epoch_bag *store_new_dropped_bag(struct store *store)
{
    return epoch_bag_new(store->epoch, on_db_unreachable, store);
}

void store_replace_db(struct store *store, uint16_t number)
{
    struct db *old = store_db(store, number);
    struct db *fresh = store_db_new(store, number, old->id, store_applied_ms(store));
    atomic_store_explicit(&store->dbs[number], fresh, memory_order_release);
    store_count_cold(old, -old->cold_rows);
    epoch_retire(store->dropped_bag, old, keydir_bytes(old->dir));
}

void store_adopt(struct store *store, struct store *fresh)
{
    ASSERT(fresh->bitcask == NULL && fresh->database_count == store->database_count);
    store->recount++; /* what was dropped before and is not yet freed does not count any more */
    store_publication_open(store);
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct db *old = store_db(store, (uint16_t)i);
        struct db *db = store_db(fresh, (uint16_t)i);
        ASSERT(db->id == old->id);
        db->store = store;
        db->recount = store->recount;
        atomic_store_explicit(&store->dbs[i], db, memory_order_release);
        atomic_store_explicit(&fresh->dbs[i], NULL, memory_order_relaxed);
        epoch_retire(store->dropped_bag, old, keydir_bytes(old->dir));
    }
    store_publication_close(store);
    atomic_store_explicit(&store->cold_rows,
                          atomic_load_explicit(&fresh->cold_rows, memory_order_relaxed),
                          memory_order_relaxed);
    store->chills.count = 0; /* all is cold */
    bitcask_forget_live(store->bitcask);
    for (size_t i = 0; i < fresh->recovered_count; i++)
        bitcask_add_live(store->bitcask, fresh->recovered_live[i].file_id,
                         fresh->recovered_live[i].bytes);
    store_close(fresh);
}

struct swap {
    const struct store *store;
    const uint16_t *now; /* new number of each old one */
    uint64_t now_ms;
};

/* One whose time is over is as good as absent, though its row is still there. */
static bool has_key(const struct db *db, const struct watched_note *note, uint64_t now_ms)
{
    const struct row *row = keydir_find(db->dir, note->key, note->hash);
    if (row == NULL)
        return false;
    uint64_t expire_at_ms = row_expire_at_ms(row);
    return expire_at_ms == 0 || expire_at_ms > now_ms;
}

static bool is_moved(const void *ctx, const struct watched_note *note)
{
    const struct swap *swap = ctx;
    uint16_t left_for = swap->now[note->db];
    return left_for != note->db && (has_key(store_db(swap->store, note->db), note, swap->now_ms) ||
                                    has_key(store_db(swap->store, left_for), note, swap->now_ms));
}

void store_renumber(struct store *store, const uint16_t *numbers, uint64_t now_ms)
{
    uint32_t count = store->database_count;
    struct db **dbs = mem_alloc(count * sizeof(*dbs));
    uint16_t *now = mem_alloc(count * sizeof(*now)); /* new number of each old one */
    for (uint32_t i = 0; i < count; i++) {
        dbs[i] = store_db(store, numbers[i]);
        now[numbers[i]] = (uint16_t)i;
    }
    for (uint32_t i = 0; i < count; i++) {
        dbs[i]->number = (uint16_t)i;
        atomic_store_explicit(&store->dbs[i], dbs[i], memory_order_release);
    }
    /* Values that are still to be made cold are found by number. */
    struct chill_queue *queue = &store->chills;
    for (size_t i = 0; i < queue->count; i++) {
        struct chill *chill = &queue->items[(queue->head + i) & (queue->cap - 1)];
        chill->db = now[chill->db];
    }
    watched_mark_swapped(&store->watched, is_moved,
                         &(struct swap){.store = store, .now = now, .now_ms = now_ms});
    mem_free(dbs);
    mem_free(now);
}

/* ---- Slices of long work ---- */

struct due_walk {
    struct store *store;
    struct db *db;
    uint32_t hash;
    uint64_t now_ms;
    const struct row *due[8]; /* more in one bucket with one hash wait for the next hint */
    size_t due_count;
    uint64_t again_ms; /* earliest expiry of a row of this hash that is not due */
};

static void look_at_row(void *ctx, const struct row *row)
{
    struct due_walk *walk = ctx;
    uint64_t expire_at_ms = row_expire_at_ms(row);
    if (expire_at_ms == 0)
        return;
    if ((uint32_t)keydir_hash(walk->db->dir, row_key(row)) != walk->hash)
        return;
    /* T5: now is committed time. */
    if (expire_at_ms <= walk->now_ms && walk->due_count < ARRAY_COUNT(walk->due))
        walk->due[walk->due_count++] = row;
    else if (walk->again_ms == 0 || expire_at_ms < walk->again_ms)
        walk->again_ms = expire_at_ms;
}

/* A hint has fired: removes what is due under it. Expired keys leave no tombstone: their record
 * says when they ended, and recovery judges by the same clock (R14, R15). */
static void on_due(void *ctx, uint32_t hash)
{
    struct due_walk *walk = ctx;
    walk->hash = hash;
    walk->due_count = 0;
    walk->again_ms = 0;
    keydir_visit_bucket(walk->db->dir, hash, look_at_row, walk);
    if (walk->due_count > 0)
        store_publication_open(walk->store); /* T4 */
    for (size_t i = 0; i < walk->due_count; i++) {
        const struct row *row = walk->due[i];
        if (walk->store->on_expired != NULL)
            walk->store->on_expired(walk->store->expired_ctx, walk->db->number, row_key(row));
        store_unpublish(walk->db, row, keydir_hash(walk->db->dir, row_key(row)));
        walk->store->expired_keys++;
    }
    if (walk->due_count > 0)
        store_publication_close(walk->store);
    if (walk->again_ms != 0)
        expiry_add(walk->db->expiry, walk->again_ms, hash);
}

static void add_hint_of_row(void *ctx, const struct row *row)
{
    struct db *db = ctx;
    uint64_t expire_at_ms = row_expire_at_ms(row);
    if (expire_at_ms != 0)
        expiry_add(db->rebuilt, expire_at_ms, (uint32_t)keydir_hash(db->dir, row_key(row)));
}

/* Builds the wheel of hints anew while the old one still serves. */
static bool rebuild_step(struct store *store, struct db *db, size_t budget)
{
    if (db->rebuilt == NULL) {
        if (expiry_count(db->expiry) <= 2 * keydir_expire_count(db->dir) + STALE_HINTS_ALLOWED)
            return false;
        db->rebuilt = expiry_new(store_applied_ms(store));
        db->rebuild_cursor = 0;
    }
    size_t before = expiry_count(db->rebuilt);
    for (size_t steps = 0; steps < budget; steps++) {
        db->rebuild_cursor = keydir_scan(db->dir, db->rebuild_cursor, add_hint_of_row, db);
        if (db->rebuild_cursor == 0) {
            expiry_free(db->expiry);
            db->expiry = db->rebuilt;
            db->rebuilt = NULL;
            return false;
        }
        if (expiry_count(db->rebuilt) - before > budget)
            break;
    }
    return true;
}

static void find_chilled(void *ctx, const struct row *row)
{
    struct {
        struct chill chill;
        const struct row *found;
    } *search = ctx;
    if (row->version == search->chill.version && row_place(row).word == search->chill.place)
        search->found = row;
}

/* Publishes the row again without its value, if it is still the one that was queued (R18). */
static void chill_row(struct store *store, struct chill chill)
{
    struct db *db = store_db(store, chill.db);
    struct {
        struct chill chill;
        const struct row *found;
    } search = {.chill = chill, .found = NULL};
    keydir_visit_bucket(db->dir, chill.hash, find_chilled, &search);
    const struct row *hot = search.found;
    if (hot == NULL || !row_is_hot(hot)) /* T6 */
        return;
    struct row *cold = row_new(&(struct row_desc){
        .key = row_key(hot),
        .type = hot->type,
        .value_size = hot->value_size,
        .expire_at_ms = row_expire_at_ms(hot),
        .version = row_version(hot),
        .place = row_place(hot),
        .lfu = atomic_load_explicit(&hot->lfu, memory_order_relaxed),
    });
    if (cold == NULL)
        return;
    store_count_cold(db, 1);
    keydir_put(db->dir, cold, chill.hash);
}

/* Cools rows down as far as their records are in their files (R32). */
static bool chill_step(struct store *store, size_t budget)
{
    struct chill_queue *queue = &store->chills;
    while (queue->count > 0) {
        struct chill chill = queue->items[queue->head];
        struct place place = {.word = chill.place};
        if (!bitcask_is_written(store->bitcask, place_file_id(place), place_off(place)))
            return false;
        if (budget-- == 0)
            return true;
        queue->head = (queue->head + 1) & (queue->cap - 1);
        queue->count--;
        chill_row(store, chill);
    }
    return false;
}

static void free_db(struct db *db)
{
    expiry_free(db->expiry);
    expiry_free(db->rebuilt);
    mem_free(db);
}

/* The file may have gone: a merge takes what is dropped for dead. */
static void forget_row(void *ctx, const struct row *row)
{
    sub_live(ctx, row);
}

static bool drop_step(struct store *store, size_t budget)
{
    epoch_collect(store->dropped_bag, budget);
    if (list_is_empty(&store->dropped))
        return false;
    struct db *db = LIST_ENTRY(store->dropped.next, struct db, node);
    bool is_counted = db->recount == store->recount;
    if (keydir_free_step(db->dir, budget, is_counted ? forget_row : NULL, store))
        return true;
    list_del(&db->node);
    free_db(db);
    return !list_is_empty(&store->dropped);
}

static bool collect_step(struct keydir *dir, size_t budget)
{
    return keydir_collect(dir, budget + keydir_retired_bytes(dir) / RETIRED_BYTES_PER_OBJECT);
}

bool store_step(struct store *store, size_t budget)
{
    bool has_more = chill_step(store, budget);
    uint64_t now_ms = store_applied_ms(store);
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct db *db = store_db(store, (uint16_t)i);
        if (keydir_count(db->dir) == 0 && expiry_count(db->expiry) == 0 &&
            keydir_retired_bytes(db->dir) == 0)
            continue;
        struct due_walk walk = {.store = store, .db = db, .now_ms = now_ms};
        if (!store->is_expiry_held)
            has_more |= expiry_advance(db->expiry, now_ms, budget, on_due, &walk);
        has_more |= rebuild_step(store, db, budget);
        has_more |= collect_step(db->dir, budget);
    }
    return drop_step(store, budget) || has_more;
}

void store_on_expired(struct store *store, store_expired_fn on_expired, void *ctx)
{
    store->on_expired = on_expired;
    store->expired_ctx = ctx;
}

void store_hold_expiry(struct store *store, bool is_held)
{
    store->is_expiry_held = is_held;
}

bool store_sweep(struct store *store, size_t budget)
{
    bool has_more = false;
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct db *db = store_db(store, (uint16_t)i);
        struct due_walk walk = {.store = store, .db = db, .now_ms = store_applied_ms(store)};
        if (expiry_count(db->expiry) == 0)
            continue;
        if (expiry_advance(db->expiry, walk.now_ms, budget, on_due, &walk))
            has_more = true;
        else
            expiry_look_ahead(db->expiry, on_due, &walk);
    }
    return has_more;
}

uint64_t store_expired_keys(const struct store *store)
{
    return store->expired_keys;
}

uint64_t store_next_due_ms(const struct store *store)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < store->database_count; i++) {
        const struct db *db = store_db(store, (uint16_t)i);
        uint64_t ms = keydir_expire_count(db->dir) == 0 ? UINT64_MAX : expiry_next_ms(db->expiry);
        if (ms < next)
            next = ms;
    }
    return next;
}

void store_warm(struct store *store, const struct store_warmth *warmth)
{
    struct db *db = store_db(store, warmth->db);
    uint64_t hash = keydir_hash(db->dir, warmth->key);
    const struct row *row = keydir_find(db->dir, warmth->key, hash);
    if (row == NULL || row_is_hot(row) || row->version != warmth->version.word ||
        row_place(row).word != warmth->place.word || row->value_size != warmth->value.len ||
        warmth->value.len > hot_max_value(store))
        return;
    struct row *hot = row_new(&(struct row_desc){
        .key = warmth->key,
        .value = warmth->value,
        .has_value = true,
        .type = row->type,
        .value_size = (uint32_t)warmth->value.len,
        .expire_at_ms = row_expire_at_ms(row),
        .version = warmth->version,
        .place = warmth->place,
        .lfu = lfu_new(warmth->now_ms),
    });
    if (hot == NULL)
        return;
    store_count_cold(db, -1);
    keydir_put(db->dir, hot, hash);
}

/* ---- Statistics ---- */

struct store_stats store_stats(const struct store *store)
{
    struct store_stats stats = {
        .retired_bytes = epoch_bag_bytes(store->dropped_bag),
        .unwritten_bytes = bitcask_unwritten_bytes(store->bitcask),
        .expired_keys = store->expired_keys,
    };
    int64_t cold = atomic_load_explicit(&store->cold_rows, memory_order_relaxed);
    stats.cold_rows = cold > 0 ? (uint64_t)cold : 0;
    for (uint32_t i = 0; i < store->database_count; i++) {
        const struct db *db = store_db(store, (uint16_t)i);
        stats.keys += keydir_count(db->dir);
        stats.expires += keydir_expire_count(db->dir);
        stats.keydir_bytes += keydir_bytes(db->dir);
        stats.expiry_bytes += expiry_bytes(db->expiry);
        stats.retired_bytes += keydir_retired_bytes(db->dir);
    }
    return stats;
}

struct store_db_stats store_db_stats(const struct store *store, uint16_t db)
{
    const struct keydir *dir = store_keydir(store, db);
    return (struct store_db_stats){.keys = keydir_count(dir),
                                   .expires = keydir_expire_count(dir),
                                   .mean_expire_at_ms = keydir_mean_expire_at_ms(dir),
                                   .table_bytes = keydir_table_bytes(dir)};
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    epoch_bag_free(store->dropped_bag);
    for (uint32_t i = 0; i < store->database_count; i++) {
        struct db *db = store_db(store, (uint16_t)i);
        if (db == NULL)
            continue;
        keydir_free(db->dir);
        free_db(db);
    }
    struct list_node *node;
    while ((node = list_pop_front(&store->dropped)) != NULL) {
        struct db *db = LIST_ENTRY(node, struct db, node);
        keydir_free(db->dir);
        free_db(db);
    }
    if (store->bitcask != NULL)
        bitcask_close(store->bitcask);
    mem_free(store->chills.items);
    mem_free(store->recovered_live);
    watched_fini(&store->watched);
    mem_free(store);
}

/* ---- Digest ---- */

struct digest {
    struct store *store;
    struct db *db;
    uint64_t now_ms;
    uint64_t sum;
    int error;
    struct diag *diag;
};

static int row_bytes_of_value(struct digest *digest, const struct row *row, struct buf *out)
{
    if (row_is_hot(row)) {
        buf_append_slice(out, row_value(row));
        return 0;
    }
    struct store_cold cold = {.place = row_place(row), .database_id = digest->db->id};
    cold.file = store_pin(digest->store, cold.place);
    if (cold.file == NULL)
        return diag_set(digest->diag, ERR_CORRUPT, "a row names a data file that is not there");
    int rc = store_read_cold(&cold, row, false, out, digest->diag);
    datafile_unref(cold.file);
    return rc;
}

static void digest_row(void *ctx, const struct row *row)
{
    struct digest *digest = ctx;
    uint64_t expire_at_ms = row_expire_at_ms(row);
    if (digest->error != 0 || (expire_at_ms != 0 && expire_at_ms <= digest->now_ms))
        return;
    struct buf value = {0};
    digest->error = row_bytes_of_value(digest, row, &value);
    uint64_t h = hash_check2(row_key(row), buf_slice(&value));
    h = hash_mix(
        h, hash_mix(expire_at_ms, (uint64_t)value_byte_type(row->type) << 16 | digest->db->number));
    digest->sum += hash_mix(h, row_key(row).len);
    buf_fini(&value);
}

int store_digest(struct store *store, uint64_t now_ms, uint64_t *out_digest, struct diag *diag)
{
    struct digest digest = {.store = store, .now_ms = now_ms, .diag = diag};
    for (uint32_t i = 0; i < store->database_count; i++) {
        digest.db = store_db(store, (uint16_t)i);
        uint64_t cursor = 0;
        do {
            cursor = keydir_scan(digest.db->dir, cursor, digest_row, &digest);
        } while (cursor != 0);
    }
    if (digest.error == 0)
        *out_digest = digest.sum;
    return digest.error;
}
