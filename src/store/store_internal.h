/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c, recovery.c and tx.c share of a store. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "base/list.h"
#include "bitcask/upkeep.h"
#include "store/expiry.h"
#include "store/store.h"
#include "store/watched.h"

/* One database of one shard. Replaced whole by a flush; readers find the keydir through it. */
struct db {
    struct keydir *dir;
    struct expiry *expiry;
    struct expiry *rebuilt; /* the wheel that is being built anew, or NULL */
    uint64_t rebuild_cursor;
    struct store *store;
    struct list_node node; /* in store->dropped once no reader can hold it */
    int64_t cold_rows;
    uint16_t number;
    uint16_t id;
    uint32_t recount; /* the store's, when its rows were added to the files' live bytes */
};

/* What of a file is live, as recovery found it. */
struct file_live {
    uint32_t file_id;
    uint64_t bytes;
};

/* A row that is to lose its value once its record is in the file. */
struct chill {
    uint64_t hash;
    uint64_t place;
    uint64_t version;
    uint16_t db;
};

struct chill_queue {
    struct chill *items; /* a ring */
    size_t cap;          /* power of two */
    size_t head;
    size_t count;
};

struct store {
    uint32_t shard;
    uint32_t database_count;
    struct epoch *epoch;
    struct bitcask *bitcask;
    uint64_t hash_seed;
    _Atomic size_t hot_max_value; /* read by whoever the store is lent to */
    struct lfu_options lfu;
    uint32_t recount;                 /* how often live bytes have been counted anew */
    struct file_live *recovered_live; /* of a store without files of its own */
    size_t recovered_count;
    struct epoch_bag *dropped_bag;
    struct list_node dropped;
    struct chill_queue chills;
    uint64_t expired_keys;
    store_expired_fn on_expired; /* or NULL */
    void *expired_ctx;
    bool is_expiry_held;
    _Atomic uint64_t publication;
    _Atomic uint64_t applied_ms;
    _Atomic int64_t cold_rows;
    struct watched_keys watched;
    _Atomic(struct db *) dbs[];
};

/* The owner's view of a database. */
static inline struct db *store_db(const struct store *store, uint16_t number)
{
    return atomic_load_explicit(&store->dbs[number], memory_order_acquire);
}

/* The database whose stable id records carry; NULL if there is none. */
struct db *store_db_by_id(const struct store *store, uint16_t id);

struct db *store_db_new(struct store *store, uint16_t number, uint16_t id, uint64_t now_ms);

/* The bag for replaced databases, which end up in store->dropped. */
struct epoch_bag *store_new_dropped_bag(struct store *store);

/* Publishes `row` whose record lies at its place, in stead of `old` (may be NULL); keeps the hints,
 * the counters and the list of values to cool down. */
void store_publish(struct store *store, struct db *db, struct row *row, const struct row *old,
                   uint64_t hash);
/* Removes `old`, whose tombstone has been appended or needs none. */
void store_unpublish(struct db *db, const struct row *old, uint64_t hash);

/* Puts an empty database in the place of `number`; the old one is freed in slices. */
void store_replace_db(struct store *store, uint16_t number);

/* The database that had the number numbers[i] gets the number i: all of them, at once for the
 * owner; readers look at the publication word (T4). `now_ms`: time of the command. */
void store_renumber(struct store *store, const uint16_t *numbers, uint64_t now_ms);

/* The publication word of a multi-row change: odd between the two (R24). */
void store_publication_open(struct store *store);
void store_publication_close(struct store *store);

/* Makes sure that a hint not later than the row's expiry exists. */
void store_note_expiry(struct db *db, const struct row *row, const struct row *old, uint64_t hash);

void store_count_cold(struct db *db, int64_t change);

/* A value over the limit is made cold once its record is in the file. */
void store_chill_later(struct store *store, const struct db *db, const struct row *row,
                       uint64_t hash);

/* What the row's record takes in its file. */
static inline uint64_t store_record_bytes(const struct row *row)
{
    return record_put_size(row->key_size, row->value_size, (row->flags & ROW_HAS_EXPIRE) != 0);
}

#endif
