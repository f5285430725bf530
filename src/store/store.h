/* SPDX-License-Identifier: Apache-2.0 */
/* store: one shard's state: for each database a keydir and its expiry, and the data files behind.
 *
 * Changes come through a transaction (tx.h) and are published row by row; readers on other threads
 * look rows up without locks and, where one change must be seen whole, check the publication word
 * (R24, R25). Records of changes are collected and written behind the log, never before it. The
 * store knows no threads and no loops: long work is a step with a budget, disk work is a
 * description that others carry out.
 *
 * Threads:  one owner at a time: the shard's thread, or whoever it is lent to (R20). What says
 *           "any reader" may be called by registered epoch readers.
 * Units:    bytes; ms since the Unix epoch.
 * See store/README.md, invariants T1-T14.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "bitcask/bitcask.h"
#include "epoch/epoch.h"
#include "keydir/keydir.h"
#include "keydir/lfu.h"
#include "os/os.h"
#include "store/value.h"

#define STORE_MAX_DATABASES 1024

struct store;
struct watched_note;

struct store_options {
    struct os os;
    struct epoch *epoch;
    const char *dir; /* of its data files; made if missing */
    uint32_t shard;
    uint64_t hash_seed;
    uint32_t database_count;
    const uint16_t *database_ids; /* stable id of each number (R35) */
    uint64_t max_file_size;
    uint64_t state_ms; /* clock of the last entry in the named files (R15) */
    uint32_t next_file_id;
    const struct bitcask_named *named;
    size_t named_count;
    struct lfu_options lfu;
    size_t hot_max_value; /* values over it are never kept hot once they are written */
    /* As for bitcask_open(). */
    void (*on_remark)(void *ctx, const char *text);
    void *remark_ctx;
};

/* Recovers the state that the named files hold, expired keys left out as of state_ms, all values
 * cold. Blocks; runs on any thread that no other uses the store from. *progress (may be NULL) is
 * raised by the bytes scanned. */
MUST_CHECK
int store_open(const struct store_options *options, _Atomic uint64_t *progress,
               struct store **out_store, struct diag *diag);

/* What store_open() would recover, while the store is open: memory only, without data files of its
 * own. Changes nothing on disk. Thread: any; what it makes is nobody's until it is adopted. */
MUST_CHECK
int store_recover_again(const struct store_options *options, struct store **out_fresh,
                        struct diag *diag);
/* Replaces all that the store has in memory of its keys by that of `fresh`, which was recovered
 * from all that has been applied here, and frees what is left of it. Thread: owner. */
void store_adopt(struct store *store, struct store *fresh);

/* No reader, no job may be left. */
void store_close(struct store *store);

struct bitcask *store_bitcask(struct store *store);
uint32_t store_database_count(const struct store *store);
void store_set_hot_max_value(struct store *store, size_t bytes);

/* ---- Reading rows. Thread: any reader. ---- */

/* The keydir of a database as it is now; readable until the reader's next quiescent state. */
const struct keydir *store_keydir(const struct store *store, uint16_t db);

/* The publication word: odd while rows of one command are being published. */
uint64_t store_publication(const struct store *store);

/* Lets `note` tell what becomes of the key: to be called before it is looked at, and taken back by
 * watched_remove(). `key` stays alive until then. */
void store_note_watched(struct store *store, struct watched_note *note, uint16_t db,
                        struct slice key);

/* Time of the last entry applied here: keys that expire at or before it are gone (R14, R22). */
uint64_t store_applied_ms(const struct store *store);

/* Where a cold value lies: its row's place, read once (a merge changes it), and the file of that,
 * with a reference. */
struct store_cold {
    struct datafile *file;
    struct place place;
    uint16_t database_id;
};

/* The row's value. 0; -EAGAIN with `no_wait` if the disk must be asked; ERR_CORRUPT and others with
 * diag. Appends to *out. Thread: any that holds the file. */
MUST_CHECK
int store_read_cold(const struct store_cold *cold, const struct row *row, bool no_wait,
                    struct buf *out, struct diag *diag);
/* The file of that place, with a reference; NULL if a merge has replaced it: the key has another
 * place by now, or has been written anew. */
struct datafile *store_pin(const struct store *store, struct place place);
uint16_t store_database_id(const struct store *store, uint16_t db);

/* True if any row may be cold: lets writers skip looking. */
bool store_has_cold(const struct store *store);

/* ---- Turning. Thread: owner. ---- */

/* Makes keys that expire up to `ms` count as gone. Never goes back. */
void store_set_applied_ms(struct store *store, uint64_t ms);

/* A slice of what is due: removes expired rows, frees dropped databases and retired memory, makes
 * large values cold whose records are written, rebuilds expiry hints. True if more is left. */
bool store_step(struct store *store, size_t budget);

/* Is told of every key that store_step() removes because it has expired, before it is gone. */
typedef void (*store_expired_fn)(void *ctx, uint16_t db, struct slice key);
void store_on_expired(struct store *store, store_expired_fn on_expired, void *ctx);
/* Held: what is due stays in the tables, counts as gone, and is not counted in expired_keys. */
void store_hold_expiry(struct store *store, bool is_held);
/* Removes what has expired by the applied time, held or not and to the millisecond; steps do so by
 * the second. True if more is left. */
MUST_CHECK
bool store_sweep(struct store *store, size_t budget);
uint64_t store_expired_keys(const struct store *store);

/* When a key will next be due, at the earliest; UINT64_MAX for none. */
uint64_t store_next_due_ms(const struct store *store);

struct store_warmth {
    struct slice key;
    struct slice value;
    struct position version;
    struct place place;
    uint64_t now_ms;
    uint16_t db;
};

/* A value that a reader has fetched: makes the row hot if it is still the same (R18). */
void store_warm(struct store *store, const struct store_warmth *warmth);

struct store_stats {
    uint64_t keys;
    uint64_t expires;
    uint64_t keydir_bytes;
    uint64_t expiry_bytes;
    uint64_t retired_bytes;
    uint64_t unwritten_bytes;
    uint64_t expired_keys; /* removed since start */
    uint64_t cold_rows;    /* approximate */
};
struct store_stats store_stats(const struct store *store);
struct store_db_stats {
    uint64_t keys;
    uint64_t expires;
    uint64_t mean_expire_at_ms; /* 0 without any */
    uint64_t table_bytes;       /* without the rows */
};
/* Thread: any reader. */
struct store_db_stats store_db_stats(const struct store *store, uint16_t db);

/* Sum over the live content (keys, values, types, expiries), the same for equal content whatever
 * the layout; reads cold values. For tests and DEBUG DIGEST. Keys expired as of `now_ms` are left
 * out. */
MUST_CHECK
int store_digest(struct store *store, uint64_t now_ms, uint64_t *out_digest, struct diag *diag);

#endif
