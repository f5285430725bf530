/* SPDX-License-Identifier: Apache-2.0 */
/* tx: what a command handler sees of the state: the same for one shard or many, reading or writing,
 * on the leader or in replay.
 *
 * A handler's changes are private until tx_commit(): it reads its own changes, and if it fails or
 * meets a cold value they are dropped and it runs again from the start (R19). tx_commit() publishes
 * all rows without yielding, between an odd and an even publication word of every shard involved
 * if there is more than one row (R24, R25).
 *
 * Three kinds of use: APPLY (on the shards named, which the caller owns), READ (likewise, no
 * changes), INLINE (any reader thread, lock-free; the caller asks tx_is_valid() afterwards).
 *
 * Lifetime: keys given to changes must live until commit or reset. Slices in items live until the
 *           next tx_reset() or, INLINE, the reader's next quiescent state.
 * Threads:  one tx belongs to one thread.
 */
#ifndef STORE_TX_H
#define STORE_TX_H

#include "store/event.h"
#include "store/stores.h"

struct tx;

enum tx_mode { TX_APPLY, TX_READ, TX_INLINE };

struct tx *tx_new(const struct stores *stores);
void tx_free(struct tx *tx);

struct tx_begin {
    enum tx_mode mode;
    uint64_t time_ms; /* of the entry; INLINE: unused, each shard's applied time counts */
    uint64_t now_ms;  /* whether a key that expires between the two has expired is undecided (R22);
                         APPLY: equal to time_ms */
    struct position position; /* of the command; APPLY only */
    bool leaves_use;          /* tx_get() is no use of the key: CLIENT NO-TOUCH */
};

/* Starts afresh; loaded cold values are kept until tx_reset(). */
void tx_begin(struct tx *tx, const struct tx_begin *begin);

/* Publishes the changes. APPLY only. */
void tx_commit(struct tx *tx);
/* Drops changes, loaded values and everything borrowed. */
void tx_reset(struct tx *tx);

/* Whether lookups count as found or missed, for statistics; they do after tx_begin(). */
void tx_count_lookups(struct tx *tx, bool is_on);
struct tx_lookups {
    uint64_t found;
    uint64_t missed;
};
/* Since tx_begin(). */
struct tx_lookups tx_lookups(const struct tx *tx);

/* INLINE: ends a run that met nothing cold; cheaper than tx_reset(). */
void tx_end_inline(struct tx *tx);

/* INLINE: everything read was one instant and is still so? Call after the handler. */
bool tx_is_valid(const struct tx *tx);

/* INLINE, READ: a key was met that fell due between the time of what was applied and now: the
 * answer needs a place in the order and a raised clock (R22). Everything the handler wrote is void.
 */
bool tx_needs_clock(const struct tx *tx);

/* What counts as now: the entry's time, or a read's now_ms. */
uint64_t tx_time_ms(const struct tx *tx);

/* Pseudo-random, the same on every replica: from the entry's position. */
uint64_t tx_seed(const struct tx *tx);

/* ---- Items: a key's current value. ---- */

struct item {
    enum value_type type; /* VALUE_NONE: absent or expired */
    enum value_form form;
    uint64_t expire_at_ms; /* 0: never */
    size_t size;           /* of the value, also when cold */
    struct position version;
    const struct row *row;
    uint32_t shard;
    uint16_t db;          /* where it is kept, which may be another number than the one asked for
                             once this very command has swapped databases */
    uint16_t database_id; /* stable (R35) */
    struct slice key;
};

/* Looks `key` up. 0, item.type VALUE_NONE if there is no such key; or ERR_RETRY (INLINE: stop and
 * look at tx_needs_clock() / try again). Counts as a use of the key for LFU unless tx_peek. */
MUST_CHECK
int tx_get(struct tx *tx, uint16_t db, struct slice key, struct item *out_item);
MUST_CHECK
int tx_peek(struct tx *tx, uint16_t db, struct slice key, struct item *out_item);

/* The item's value. ERR_COLD: it must be read first; the handler returns that code (after asking
 * for the other values it needs, so that they are read together) and is run again. */
MUST_CHECK
int tx_load(struct tx *tx, const struct item *item, struct slice *out_value);

/* When and how often the key was last used, as far as this process knows: a hint for people, not
 * the same on every replica, after a start or from read to read. */
struct tx_use {
    uint32_t idle_s;
    uint32_t seen_s;   /* when that was, in seconds of the wall clock */
    uint8_t frequency; /* logarithmic, 0 to 255 */
};
struct tx_use tx_use_of(const struct tx *tx, const struct item *item);
void tx_touch(struct tx *tx, const struct item *item); /* used now, whatever tx_begin() said */

/* What the key takes of memory: its row with the value, as far as that is in memory, its slot and
 * the hint of its expiry. */
size_t tx_bytes_of(const struct item *item);

/* Where the key lies, as a number: the same as long as this process runs. */
uint64_t tx_spot_of(const struct tx *tx, const struct item *item);

/* Brings the key towards the cache; a hint. */
void tx_prefetch(const struct tx *tx, uint16_t db, struct slice key);

/* ---- Changes. APPLY only; all succeed (memory out ends the process). ---- */

struct tx_value {
    enum value_type type;
    enum value_form form;
    struct slice bytes;
    uint64_t expire_at_ms; /* 0: never */
    uint32_t use;          /* a word of keydir/lfu.h; 0: as of something new */
};

/* Sets or replaces the key's value and expiry. One that is due by the entry's time removes it. */
void tx_put(struct tx *tx, uint16_t db, struct slice key, const struct tx_value *value);

/* Removes the key if it is there. */
void tx_del(struct tx *tx, uint16_t db, struct slice key);

/* Empties a database: O(1). */
void tx_flush(struct tx *tx, uint16_t db);

/* Lets two databases change numbers: O(1). The tx must own all shards. */
void tx_swap(struct tx *tx, uint16_t db, uint16_t other);

/* The stable id of the database that has this number now. */
uint16_t tx_database_id(const struct tx *tx, uint16_t db);
/* ---- Events: dropped with the changes. ---- */

/* The classes that are collected from the next tx_begin() on; none at first. */
void tx_want_events(struct tx *tx, unsigned classes);
/* A handler says what it does, in Redis's words; a constant name. Behind the change itself. */
void tx_notify(struct tx *tx, unsigned class, const char *name, uint16_t db, struct slice key);
/* Whether a key that is looked up and not there is an event from here on. As tx_begin() leaves it:
 * in READ and INLINE, and not in APPLY. */
void tx_note_misses(struct tx *tx, bool is_on);
/* What has been collected, in order; after tx_commit() what has been TOUCHED, too. */
const struct event_list *tx_events(const struct tx *tx);

/* ---- Whole databases. The tx must own all shards. ---- */

uint64_t tx_count(struct tx *tx, uint16_t db);
/* A sum over the content of all databases, the same for equal content; 0 for none. Reads cold
 * values from the disk: for DEBUG. READ only. */
MUST_CHECK
int tx_digest(struct tx *tx, uint64_t *out_digest);
typedef void (*tx_visit_fn)(void *ctx, const struct item *item);
/* Every live key, own changes included, in no order. */
void tx_visit(struct tx *tx, uint16_t db, tx_visit_fn visit, void *ctx);
/* A live key by chance; false if there is none. */
bool tx_random(struct tx *tx, uint16_t db, struct item *out_item);

/* One step of SCAN over all shards; INLINE too. Cursor 0 begins and ends. */
uint64_t tx_scan(struct tx *tx, uint16_t db, uint64_t cursor, tx_visit_fn visit, void *ctx);
uint32_t tx_database_count(const struct tx *tx);

/* ---- Cold values, for whoever runs the handler. ---- */

struct tx_want {
    struct datafile *file; /* with a reference; taken by the caller */
    struct place place;
    struct item item; /* its row is NULL; its key is borrowed as it was given */
};

/* The cold values asked for since tx_begin(). */
size_t tx_want_count(const struct tx *tx);
struct tx_want tx_want_take(struct tx *tx, size_t idx);

/* As tx_put_loaded() for a command with one key: the next run sees exactly this item, whatever the
 * key is by then, so that a cold read takes effect where it was looked up (R29). */
void tx_put_frozen(struct tx *tx, const struct item *item, struct buf *value);

/* Hands a value over that was read for the item's shard, database, key and version; found by the
 * next runs until tx_reset(). Takes the bytes. */
void tx_put_loaded(struct tx *tx, const struct item *item, struct buf *value);

/* After tx_load() has failed for another reason than cold: which file and offset. */
const struct diag *tx_diag(const struct tx *tx);

/* Memory held by changes and loaded values. */
size_t tx_bytes(const struct tx *tx);

#endif
