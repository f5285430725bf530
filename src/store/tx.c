/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction is an overlay of unpublished rows over the keydirs of its stores.
 *
 * Lookups go through the overlay first: few changes are searched one by one, many through an index
 * of their own. At commit every change gets its record and with it its place, then all rows are
 * published at once. INLINE transactions have no overlay; they note which rows they saw and the
 * publication words before, so that tx_is_valid() can tell whether all of it was one instant (R25).
 */
#include "store/tx.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/tx_internal.h"

#define LFU_SAMPLE 100 /* one read in so many touches the row's LFU word */

struct tx *tx_new(const struct stores *stores)
{
    struct tx *tx = mem_calloc(1, sizeof(*tx));
    tx->stores = stores;
    return tx;
}

void tx_free(struct tx *tx)
{
    if (tx == NULL)
        return;
    tx_reset(tx);
    overlay_fini(&tx->overlay);
    event_list_fini(&tx->events);
    mem_free(tx->seen);
    mem_free(tx->wants);
    mem_free(tx->loaded);
    mem_free(tx);
}

void tx_begin(struct tx *tx, const struct tx_begin *begin)
{
    ASSERT(begin->mode == TX_APPLY ? begin->now_ms == begin->time_ms : begin->position.word == 0);
    overlay_clear(&tx->overlay, true); /* T1 */
    tx_drop_wants(tx);
    tx->begin_count++;
    tx->mode = begin->mode;
    tx->time_ms = begin->time_ms;
    tx->now_ms = begin->now_ms;
    tx->now_s = (uint32_t)(begin->now_ms / 1000);
    tx->position = begin->position;
    tx->needs_clock = false;
    tx->notes_misses = begin->mode != TX_APPLY;
    tx->has_flush = false;
    tx->has_swap = false;
    tx->is_torn = false;
    tx->seen_count = 0;
    tx->words_known = 0;
    if (UNLIKELY(tx->events.count > 0))
        event_list_clear(&tx->events);
    tx->is_counting = true;
    tx->leaves_use = begin->leaves_use;
    tx->lookups = (struct tx_lookups){0};
}

void tx_count_lookups(struct tx *tx, bool is_on)
{
    tx->is_counting = is_on;
}

struct tx_lookups tx_lookups(const struct tx *tx)
{
    return tx->lookups;
}

void tx_reset(struct tx *tx)
{
    overlay_clear(&tx->overlay, true);
    tx_drop_wants(tx);
    tx_drop_loaded(tx);
    tx->has_flush = false;
    tx->has_swap = false;
    tx->seen_count = 0;
    if (tx->seen_cap > TX_KEPT_ENTRIES) {
        mem_free(tx->seen);
        tx->seen = NULL;
        tx->seen_cap = 0;
    }
}

void tx_end_inline(struct tx *tx)
{
    if (UNLIKELY(tx->loaded_count > 0 || tx->want_count > 0 || tx->seen_cap > TX_KEPT_ENTRIES))
        tx_reset(tx);
}

uint64_t tx_time_ms(const struct tx *tx)
{
    return tx->now_ms;
}

uint64_t tx_seed(const struct tx *tx)
{
    /* Reads have no position: their choices differ from call to call and reach no store. */
    uint64_t word = tx->mode == TX_APPLY ? tx->position.word : tx->begin_count;
    return hash_mix(word, tx->time_ms);
}

uint32_t tx_database_count(const struct tx *tx)
{
    return store_database_count(tx->stores->shards[0]);
}

/* ---- Events ---- */

void tx_want_events(struct tx *tx, unsigned classes)
{
    tx->event_classes = classes;
}

void tx_note_misses(struct tx *tx, bool is_on)
{
    tx->notes_misses = is_on;
}

const struct event_list *tx_events(const struct tx *tx)
{
    return &tx->events;
}

static void note_event(struct tx *tx, const struct event *event, struct slice key)
{
    struct event noted = *event;
    noted.shard = event->class == EVENT_FLUSHED ? 0 : stores_shard_of(tx->stores, key);
    event_list_add(&tx->events, &noted, key);
}

void tx_notify(struct tx *tx, unsigned class, const char *name, uint16_t db, struct slice key)
{
    bool is_noted = class == EVENT_MISS && tx->notes_misses; /* when it was looked up */
    if (UNLIKELY((tx->event_classes & class) != 0) && !is_noted)
        note_event(tx, &(struct event){.name = name, .class = class, .db = db}, key);
}

/* ---- Looking up ---- */

/* The store's number of a database: another one once this transaction has swapped it. Overlay and
 * flushes go by the store's, so that what was changed before the swap stays where it was (T11). */
static uint16_t number_of(const struct tx *tx, uint16_t db)
{
    return UNLIKELY(tx->has_swap) ? tx->numbers[db] : db;
}

/* A database in a shard. Its table and its id are taken from one object: a swap beside a lock-free
 * reader replaces both at once. */
static struct located located_in(const struct tx *tx, uint16_t db, uint32_t shard)
{
    struct store *store = tx->stores->shards[shard];
    uint16_t number = number_of(tx, db);
    ASSERT(number < store->database_count);
    const struct db *there = store_db(store, number);
    return (struct located){
        .store = store, .dir = there->dir, .shard = shard, .db = number, .database_id = there->id};
}

static struct located locate(const struct tx *tx, uint16_t db, struct slice key)
{
    struct located at = located_in(tx, db, stores_shard_of(tx->stores, key));
    at.hash = keydir_hash(at.dir, key);
    return at;
}

uint16_t tx_database_id(const struct tx *tx, uint16_t db)
{
    return located_in(tx, db, 0).database_id;
}

void tx_prefetch(const struct tx *tx, uint16_t db, struct slice key)
{
    struct located at = locate(tx, db, key);
    keydir_prefetch_bucket(at.dir, at.hash);
}

/* Notes the publication word of a shard before the first row of it is read. */
static void note_word(struct tx *tx, const struct located *at)
{
    uint64_t bit = UINT64_C(1) << at->shard;
    if ((tx->words_known & bit) != 0)
        return;
    tx->words_known |= bit;
    tx->words[at->shard] = store_publication(at->store);
    if ((tx->words[at->shard] & 1) != 0)
        tx->is_torn = true;
}

static void note_seen(struct tx *tx, const struct located *at, struct slice key,
                      const struct row *row)
{
    if (tx->seen_count == tx->seen_cap) {
        tx->seen_cap = tx->seen_cap == 0 ? 16 : tx->seen_cap * 2;
        tx->seen = mem_realloc(tx->seen, tx->seen_cap * sizeof(*tx->seen));
    }
    tx->seen[tx->seen_count++] = (struct seen){.at = *at, .key = key, .row = row};
}

bool tx_is_valid(const struct tx *tx)
{
    ASSERT(tx->mode == TX_INLINE);
    if (tx->stores->is_single_threaded || tx->seen_count == 0)
        return true;
    if (tx->is_torn)
        return false;
    /* One row is one instant by itself; several must still be what they were. */
    if (tx->seen_count > 1) {
        for (size_t i = 0; i < tx->seen_count; i++) {
            const struct seen *seen = &tx->seen[i];
            const struct keydir *dir = store_keydir(seen->at.store, seen->at.db);
            if (dir != seen->at.dir || keydir_find(dir, seen->key, seen->at.hash) != seen->row)
                return false;
        }
    }
    for (uint32_t shard = 0; shard < tx->stores->count; shard++) {
        if ((tx->words_known >> shard & 1) != 0 &&
            store_publication(tx->stores->shards[shard]) != tx->words[shard])
            return false;
    }
    return true;
}

bool tx_needs_clock(const struct tx *tx)
{
    return tx->needs_clock;
}

/* One use in a sample is counted; the time is kept to the second, so that it costs the row's cache
 * line no more than a write a second. */
static void touch_lfu(struct tx *tx, const struct item *item)
{
    uint32_t word = atomic_load_explicit(&item->row->lfu, memory_order_relaxed);
    bool is_counted = ++tx->read_count % LFU_SAMPLE == 0;
    if (LIKELY(!is_counted && !lfu_is_stale(word, tx->now_s)))
        return;
    /* Readers may touch the word of a published row; a lost update is a lost sample. */
    struct row *mine = (struct row *)(uintptr_t)item->row;
    const struct lfu_options *options = &tx->stores->shards[item->shard]->lfu;
    uint64_t chance = hash_mix(tx->read_count, (uint64_t)(uintptr_t)mine);
    uint32_t touched = is_counted ? lfu_touch(word, tx->now_ms, chance, options)
                                  : lfu_seen(word, tx->now_ms, options);
    atomic_store_explicit(&mine->lfu, touched, memory_order_relaxed);
}

struct tx_use tx_use_of(const struct tx *tx, const struct item *item)
{
    ASSERT(item->row != NULL);
    const struct lfu_options *options = &tx->stores->shards[item->shard]->lfu;
    uint32_t word = atomic_load_explicit(&item->row->lfu, memory_order_relaxed);
    uint32_t idle_s = lfu_idle_s(word, tx->now_ms);
    return (struct tx_use){.idle_s = idle_s,
                           .seen_s = tx->now_s - idle_s,
                           .frequency = lfu_counter(word, tx->now_ms, options)};
}

size_t tx_bytes_of(const struct item *item)
{
    ASSERT(item->row != NULL);
    size_t hint = item->expire_at_ms != 0 ? EXPIRY_HINT_BYTES : 0;
    return row_bytes(item->row) + sizeof(uint64_t) + hint;
}

uint64_t tx_spot_of(const struct tx *tx, const struct item *item)
{
    const struct store *store = tx->stores->shards[item->shard];
    return hash_mix(keydir_hash(store_keydir(store, item->db), item->key), item->database_id);
}

/* Up to when everything has been applied to what will be looked up now. To be asked before that: a
 * row found earlier may have been replaced by one that lives on. */
static uint64_t decided_ms(const struct tx *tx, const struct store *store)
{
    return tx->mode == TX_INLINE ? store_applied_ms(store) : tx->time_ms;
}

/* 0 if the row counts as there, ERR_NOT_FOUND if it has expired, ERR_RETRY if that is undecided. */
static int judge_expiry(struct tx *tx, uint64_t until_ms, const struct row *row)
{
    uint64_t expire_at_ms = row_expire_at_ms(row);
    if (expire_at_ms == 0)
        return 0;
    if (expire_at_ms <= until_ms)
        return ERR_NOT_FOUND;
    if (expire_at_ms > tx->now_ms)
        return 0;
    /* R22: between what was applied and now only the log's order can tell. */
    tx->needs_clock = true;
    return ERR_RETRY;
}

static void fill_item(struct item *item, const struct located *at, struct slice key,
                      const struct row *row)
{
    *item = (struct item){.shard = at->shard,
                          .db = at->db,
                          .database_id = at->database_id,
                          .key = key,
                          .type = VALUE_NONE};
    if (row == NULL)
        return;
    item->type = value_byte_type(row->type);
    item->form = value_byte_form(row->type);
    item->expire_at_ms = row_expire_at_ms(row);
    item->size = row->value_size;
    item->version = row_version(row);
    item->row = row;
}

/* A command has met a row that is due by its entry's time: it is gone with the command's changes,
 * not before, and not with the next sweep only (T5). */
static void remove_due(struct tx *tx, uint16_t db, const struct located *at, const struct row *row)
{
    tx_notify(tx, EVENT_EXPIRED, "expired", db, row_key(row));
    /* Its own key, which outlives the caller's: the owner removes the row no sooner. */
    overlay_add(&tx->overlay, at, row_key(row));
}

static int look_up(struct tx *tx, uint16_t db, struct slice key, struct item *out_item)
{
    if (UNLIKELY(tx->is_frozen) && db == tx->frozen.db && slice_eq(key, tx->frozen.key)) {
        *out_item = tx->frozen;
        return 0;
    }
    struct located at = locate(tx, db, key);
    const struct change *change = overlay_find(&tx->overlay, &at, key);
    if (change != NULL || (tx->has_flush && tx->flushed[at.db])) {
        fill_item(out_item, &at, key, change == NULL ? NULL : change->row);
        return 0;
    }
    bool must_validate = tx->mode == TX_INLINE && !tx->stores->is_single_threaded;
    if (must_validate)
        note_word(tx, &at);
    uint64_t until_ms = decided_ms(tx, at.store);
    const struct row *row = keydir_find(at.dir, key, at.hash);
    if (must_validate)
        note_seen(tx, &at, key, row);
    if (row != NULL) {
        int rc = judge_expiry(tx, until_ms, row);
        if (rc == ERR_RETRY)
            return rc;
        if (rc != 0 && tx->mode == TX_APPLY)
            remove_due(tx, db, &at, row);
        if (rc != 0)
            row = NULL;
    }
    fill_item(out_item, &at, key, row);
    return 0;
}

int tx_peek(struct tx *tx, uint16_t db, struct slice key, struct item *out_item)
{
    int rc = look_up(tx, db, key, out_item);
    if (UNLIKELY((tx->event_classes & EVENT_MISS) != 0) && tx->notes_misses && rc == 0 &&
        out_item->type == VALUE_NONE)
        note_event(tx, &(struct event){.name = "keymiss", .class = EVENT_MISS, .db = db}, key);
    if (tx->is_counting && rc == 0) {
        bool is_there = out_item->type != VALUE_NONE;
        tx->lookups.found += is_there;
        tx->lookups.missed += !is_there;
    }
    return rc;
}

int tx_get(struct tx *tx, uint16_t db, struct slice key, struct item *out_item)
{
    int rc = tx_peek(tx, db, key, out_item);
    if (rc == 0 && out_item->row != NULL && LIKELY(!tx->leaves_use))
        touch_lfu(tx, out_item);
    return rc;
}

void tx_touch(struct tx *tx, const struct item *item)
{
    if (item->row != NULL)
        touch_lfu(tx, item);
}

/* ---- Changing ---- */

/* The change for a key, made if there is none yet; whatever row it held is dropped. */
static struct change *change_of(struct tx *tx, uint16_t db, struct slice key)
{
    ASSERT(tx->mode == TX_APPLY);
    struct located at = locate(tx, db, key);
    struct change *change = overlay_find(&tx->overlay, &at, key);
    if (change == NULL)
        return overlay_add(&tx->overlay, &at, key);
    row_free(change->row);
    change->row = NULL;
    return change;
}

/* Before a value is put: the key may be new, and what it replaces may have expired unlooked at. */
static void note_put(struct tx *tx, uint16_t db, struct slice key)
{
    struct located at = locate(tx, db, key);
    const struct change *change = overlay_find(&tx->overlay, &at, key);
    bool is_there = change != NULL && change->row != NULL;
    if (change == NULL && !(tx->has_flush && tx->flushed[at.db])) {
        const struct row *row = keydir_find(at.dir, key, at.hash);
        is_there = row != NULL && judge_expiry(tx, tx->time_ms, row) == 0;
        if (row != NULL && !is_there)
            tx_notify(tx, EVENT_EXPIRED, "expired", db, key);
    }
    if (!is_there)
        tx_notify(tx, EVENT_NEW, "new", db, key);
}

void tx_put(struct tx *tx, uint16_t db, struct slice key, const struct tx_value *value)
{
    if (UNLIKELY((tx->event_classes & (EVENT_EXPIRED | EVENT_NEW)) != 0))
        note_put(tx, db, key);
    ASSERT(key.len <= ROW_MAX_KEY && value->type != VALUE_NONE);
    if (value->expire_at_ms != 0 && value->expire_at_ms <= tx->time_ms) {
        tx_del(tx, db, key);
        return;
    }
    /* Built before the change it replaces is dropped: the bytes may be borrowed from there. */
    struct row *row = row_new(&(struct row_desc){
        .key = key,
        .value = value->bytes,
        .has_value = true,
        .type = value_byte(value->type, value->form),
        .value_size = (uint32_t)value->bytes.len,
        .expire_at_ms = value->expire_at_ms,
        .version = tx->position,
        .lfu = value->use != 0 ? value->use : lfu_new(tx->time_ms),
    });
    if (row == NULL)
        assert_fail("out of memory for a committed write", __FILE__, __LINE__, __func__);
    struct change *change = change_of(tx, db, key);
    change->row = row;
    /* The key of the row outlives the caller's. */
    change->key = row_key(row);
}

void tx_del(struct tx *tx, uint16_t db, struct slice key)
{
    struct change *change = change_of(tx, db, key);
    change->key = key;
}

void tx_flush(struct tx *tx, uint16_t db)
{
    ASSERT(tx->mode == TX_APPLY);
    if (!tx->has_flush)
        memset(tx->flushed, 0, sizeof(tx->flushed));
    tx->has_flush = true;
    uint16_t number = number_of(tx, db);
    tx->flushed[number] = true;
    overlay_drop_db(&tx->overlay, number);
}

void tx_swap(struct tx *tx, uint16_t db, uint16_t other)
{
    ASSERT(tx->mode == TX_APPLY && db < tx_database_count(tx) && other < tx_database_count(tx));
    for (uint32_t i = 0; !tx->has_swap && i < tx_database_count(tx); i++)
        tx->numbers[i] = (uint16_t)i;
    tx->has_swap = true;
    uint16_t number = tx->numbers[db];
    tx->numbers[db] = tx->numbers[other];
    tx->numbers[other] = number;
}

/* ---- Publishing ---- */

static void append_record(struct store *store, const struct record *record, struct row *row)
{
    uint32_t file_id;
    uint64_t off;
    bitcask_append(store->bitcask, record, &file_id, &off);
    if (row != NULL)
        row_set_place(row, place_of(PLACE_SHARED, file_id, (uint32_t)off));
}

static void publish_flushes(struct tx *tx)
{
    for (uint32_t db = 0; db < tx_database_count(tx); db++) {
        if (!tx->flushed[db])
            continue;
        for (uint32_t shard = 0; shard < tx->stores->count; shard++) {
            struct store *store = tx->stores->shards[shard];
            append_record(store,
                          &(struct record){.kind = RECORD_FLUSH,
                                           .db_id = store_database_id(store, (uint16_t)db),
                                           .position = tx->position.word},
                          NULL);
            store_replace_db(store, (uint16_t)db);
        }
        tx_notify(tx, EVENT_FLUSHED, "", (uint16_t)db, SLICE_EMPTY);
    }
}

static bool is_due_at(const struct row *row, uint64_t ms)
{
    uint64_t expire_at_ms = row_expire_at_ms(row);
    return expire_at_ms != 0 && expire_at_ms <= ms;
}

static void publish_change(struct tx *tx, struct change *change)
{
    struct store *store = tx->stores->shards[change->shard];
    struct db *db = store_db(store, change->db);
    const struct row *old = keydir_find(db->dir, change->key, change->hash);
    struct row *row = change->row;
    if (row == NULL && old == NULL)
        return;
    tx_notify(tx, EVENT_TOUCHED, "", change->db, change->key);
    bool is_due = old != NULL && is_due_at(old, tx->time_ms);
    if (is_due)
        store->expired_keys++;
    if (is_due && row == NULL) {
        store_unpublish(db, old, change->hash); /* T8: its record says when it ended */
        return;
    }
    append_record(store,
                  &(struct record){
                      .kind = row != NULL ? RECORD_PUT : RECORD_TOMBSTONE,
                      .type = row != NULL ? row->type : VALUE_NONE,
                      .db_id = db->id,
                      .position = tx->position.word,
                      .expire_at_ms = row != NULL ? row_expire_at_ms(row) : 0,
                      .key = change->key,
                      .value = row != NULL ? row_value(row) : SLICE_EMPTY,
                  },
                  row);
    if (row != NULL)
        store_publish(store, db, row, old, change->hash);
    else
        store_unpublish(db, old, change->hash);
    change->row = NULL; /* the keydir's now */
}

/* Gives the databases their new numbers. No record tells of it: the log does until a checkpoint,
 * and then the manifest, which has the numbers as of its index (R35). */
static void publish_swaps(struct tx *tx)
{
    for (uint32_t shard = 0; shard < tx->stores->count; shard++)
        store_renumber(tx->stores->shards[shard], tx->numbers, tx->time_ms);
    /* All keys of two databases have other values: who keeps copies is to forget them all. */
    tx_notify(tx, EVENT_FLUSHED, "", 0, SLICE_EMPTY);
}

/* The shards whose publication word moves: those of a change of several rows; and the shard of a
 * single removal, because a reader's second look cannot tell a key that was not there from one that
 * has come and gone since (T4). */
static uint64_t announced_shards(const struct tx *tx)
{
    const struct overlay *overlay = &tx->overlay;
    uint64_t shards = 0;
    if (tx->has_flush || tx->has_swap)
        return UINT64_MAX;
    if (overlay->count == 1 && overlay->changes[0].row != NULL)
        return 0;
    for (size_t i = 0; i < overlay->count; i++)
        shards |= UINT64_C(1) << overlay->changes[i].shard;
    return shards;
}

void tx_commit(struct tx *tx)
{
    ASSERT(tx->mode == TX_APPLY);
    struct overlay *overlay = &tx->overlay;
    uint64_t announced = announced_shards(tx);
    for (uint32_t shard = 0; announced != 0 && shard < tx->stores->count; shard++) {
        if ((announced >> shard & 1) != 0)
            store_publication_open(tx->stores->shards[shard]);
    }
    if (tx->has_flush)
        publish_flushes(tx);
    for (size_t i = 0; i < overlay->count; i++)
        publish_change(tx, &overlay->changes[i]);
    if (tx->has_swap)
        publish_swaps(tx);
    for (uint32_t shard = 0; announced != 0 && shard < tx->stores->count; shard++) {
        if ((announced >> shard & 1) != 0)
            store_publication_close(tx->stores->shards[shard]);
    }
    overlay_clear(overlay, false);
    tx->has_flush = false;
    tx->has_swap = false;
}

/* ---- Whole databases ---- */

uint64_t tx_count(struct tx *tx, uint16_t db)
{
    uint64_t count = 0;
    uint16_t number = number_of(tx, db);
    bool is_flushed = tx->has_flush && tx->flushed[number];
    for (uint32_t shard = 0; !is_flushed && shard < tx->stores->count; shard++)
        count += keydir_count(store_keydir(tx->stores->shards[shard], number));
    for (size_t i = 0; i < tx->overlay.count; i++) {
        const struct change *change = &tx->overlay.changes[i];
        if (change->db != number)
            continue;
        struct located at = locate(tx, db, change->key);
        bool was_there = !is_flushed && keydir_find(at.dir, change->key, at.hash) != NULL;
        count += (change->row != NULL) - (uint64_t)was_there;
    }
    return count;
}

struct tx_walk {
    struct tx *tx;
    struct located at; /* of the shard that is being walked; hash unused */
    uint64_t until_ms; /* decided when the walk began */
    tx_visit_fn visit;
    void *ctx;
};

static void visit_row(void *ctx, const struct row *row)
{
    struct tx_walk *walk = ctx;
    struct tx *tx = walk->tx;
    if (tx->overlay.count > 0) {
        struct located at = walk->at;
        at.hash = keydir_hash(at.dir, row_key(row));
        if (overlay_find(&tx->overlay, &at, row_key(row)) != NULL)
            return;
    }
    if (judge_expiry(tx, walk->until_ms, row) != 0)
        return;
    struct item item;
    fill_item(&item, &walk->at, row_key(row), row);
    walk->visit(walk->ctx, &item);
}

static void visit_overlay(struct tx *tx, uint16_t db, tx_visit_fn visit, void *ctx)
{
    for (size_t i = 0; i < tx->overlay.count; i++) {
        const struct change *change = &tx->overlay.changes[i];
        if (change->db != number_of(tx, db) || change->row == NULL)
            continue;
        struct located at = locate(tx, db, change->key);
        struct item item;
        fill_item(&item, &at, change->key, change->row);
        visit(ctx, &item);
    }
}

static struct tx_walk walk_of(struct tx *tx, uint16_t db, uint32_t shard, tx_visit_fn visit,
                              void *ctx)
{
    struct located at = located_in(tx, db, shard);
    return (struct tx_walk){
        .tx = tx, .at = at, .until_ms = decided_ms(tx, at.store), .visit = visit, .ctx = ctx};
}

void tx_visit(struct tx *tx, uint16_t db, tx_visit_fn visit, void *ctx)
{
    ASSERT(tx->mode != TX_INLINE);
    bool is_flushed = tx->has_flush && tx->flushed[number_of(tx, db)];
    for (uint32_t shard = 0; !is_flushed && shard < tx->stores->count; shard++) {
        struct tx_walk walk = walk_of(tx, db, shard, visit, ctx);
        uint64_t cursor = 0;
        do {
            cursor = keydir_scan(walk.at.dir, cursor, visit_row, &walk);
        } while (cursor != 0);
    }
    visit_overlay(tx, db, visit, ctx);
}

uint64_t tx_scan(struct tx *tx, uint16_t db, uint64_t cursor, tx_visit_fn visit, void *ctx)
{
    uint32_t count = tx->stores->count;
    uint32_t shard = (uint32_t)(cursor % count);
    bool is_flushed = tx->has_flush && tx->flushed[number_of(tx, db)];
    if (cursor == 0)
        visit_overlay(tx, db, visit, ctx);
    if (is_flushed)
        return 0;
    struct tx_walk walk = walk_of(tx, db, shard, visit, ctx);
    uint64_t next = keydir_scan(walk.at.dir, cursor / count, visit_row, &walk);
    if (next == 0)
        return shard + 1 < count ? shard + 1 : 0;
    return next * count + shard;
}

struct sample {
    uint64_t seen;
    uint64_t chance;
    struct item *item;
};

static void sample_item(void *ctx, const struct item *item)
{
    struct sample *sample = ctx;
    sample->chance = hash_mix(sample->chance, ++sample->seen);
    if (sample->chance % sample->seen == 0)
        *sample->item = *item;
}

bool tx_random(struct tx *tx, uint16_t db, struct item *out_item)
{
    uint64_t chance = hash_mix(tx_seed(tx), ++tx->draw_count);
    uint64_t total = tx_count(tx, db);
    /* A few blind draws, as in Redis; a key that has expired but is still there is drawn again. */
    for (int attempt = 0; attempt < 100 && total > 0 && tx->overlay.count == 0; attempt++) {
        chance = hash_mix(chance, (uint64_t)attempt + 1);
        uint64_t nth = chance % total;
        struct located at = located_in(tx, db, 0);
        while (nth >= keydir_count(at.dir)) {
            nth -= keydir_count(at.dir);
            at = located_in(tx, db, at.shard + 1);
        }
        const struct row *row = keydir_random(at.dir, hash_mix(chance, nth));
        if (row == NULL)
            continue;
        if (judge_expiry(tx, tx->time_ms, row) != 0)
            continue;
        fill_item(out_item, &at, row_key(row), row);
        return true;
    }
    struct sample sample = {.chance = chance, .item = out_item};
    tx_visit(tx, db, sample_item, &sample);
    return sample.seen > 0;
}

int tx_digest(struct tx *tx, uint64_t *out_digest)
{
    ASSERT(tx->mode == TX_READ);
    uint64_t sum = 0;
    for (uint32_t shard = 0; shard < tx->stores->count; shard++) {
        uint64_t of_shard;
        int rc = store_digest(tx->stores->shards[shard], tx->time_ms, &of_shard, &tx->diag);
        if (rc != 0)
            return rc;
        sum += of_shard;
    }
    *out_digest = sum;
    return 0;
}
