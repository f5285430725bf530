/* SPDX-License-Identifier: Apache-2.0 */
/* What tx.c, tx_overlay.c and tx_cold.c share of a transaction. */
#ifndef STORE_TX_INTERNAL_H
#define STORE_TX_INTERNAL_H

#include "store/store_internal.h"
#include "store/tx.h"

/* Memory for so many changes, seen rows, wants and values is kept between commands. */
#define TX_KEPT_ENTRIES 1024

/* Where a key is looked up. */
struct located {
    struct store *store;
    const struct keydir *dir;
    uint64_t hash;
    uint32_t shard;
    uint16_t db; /* as the store numbers it */
    uint16_t database_id;
};

/* ---- Overlay: the private changes ---- */

struct change {
    struct slice key;
    uint64_t hash;
    struct row *row; /* unpublished; NULL: the key is removed */
    uint32_t shard;
    uint16_t db;
};

struct overlay {
    struct change *changes;
    size_t count;
    size_t cap;
    uint32_t *index; /* open addressing, change number + 1; used beyond a few changes */
    size_t index_size;
    size_t bytes;
};

struct change *overlay_find(const struct overlay *overlay, const struct located *at,
                            struct slice key);
struct change *overlay_add(struct overlay *overlay, const struct located *at, struct slice key);
/* Forgets all changes; `with_rows` frees the rows that have not been published. */
void overlay_clear(struct overlay *overlay, bool with_rows);
void overlay_drop_db(struct overlay *overlay, uint16_t db);
void overlay_fini(struct overlay *overlay);

/* ---- INLINE: what was seen ---- */

struct seen {
    struct located at;
    struct slice key;
    const struct row *row;
};

/* ---- Cold values ---- */

struct loaded {
    struct buf value;
    struct buf key;
    struct position version;
    uint32_t shard;
    uint16_t database_id;
};

struct tx {
    const struct stores *stores;
    enum tx_mode mode;
    bool needs_clock;
    bool has_flush;
    bool has_swap;
    bool is_torn; /* a publication word was odd */
    bool is_frozen;
    bool is_counting;
    bool leaves_use;
    struct tx_lookups lookups;
    struct item frozen; /* what its key is for this run */
    uint64_t time_ms;
    uint64_t now_ms;
    uint32_t now_s;
    struct position position;
    uint64_t read_count; /* lookups, for the LFU sample */
    uint64_t begin_count;
    uint64_t draw_count;
    struct overlay overlay;
    struct seen *seen;
    size_t seen_count;
    size_t seen_cap;
    uint64_t words_known; /* set of shards */
    uint64_t words[STORES_MAX];
    struct tx_want *wants;
    size_t want_count;
    size_t want_cap;
    struct loaded *loaded;
    size_t loaded_count;
    size_t loaded_cap;
    uint32_t *loaded_index; /* open addressing, number + 1; used beyond a few values */
    size_t loaded_index_size;
    struct diag diag;
    unsigned event_classes;
    bool notes_misses;
    struct event_list events;
    bool flushed[STORE_MAX_DATABASES];     /* by the store's numbers */
    uint16_t numbers[STORE_MAX_DATABASES]; /* with a swap: the store's number of each */
};

void tx_drop_wants(struct tx *tx);
void tx_drop_loaded(struct tx *tx);

#endif
