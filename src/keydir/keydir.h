/* SPDX-License-Identifier: Apache-2.0 */
/* keydir: key -> row, for one database of one shard.
 *
 * A hash table of 64-byte buckets (seven tagged slots and an overflow link) that grows and shrinks
 * by linear hashing: one bucket is split per few inserts, so nothing is ever copied whole and the
 * longest insert is short. Buckets lie in chunks that double; a chunk's memory is touched only as
 * the table reaches it.
 *
 * Threads:  one writer, the shard's thread. Any registered epoch reader may look up and scan
 *           without locks, also while the table grows and shrinks.
 * Lifetime: a found row stays readable until that reader's next quiescent state. Rows are owned by
 *           the keydir once inserted; replaced and removed ones go to its epoch bag.
 * Source:   Litwin, "Linear hashing", 1980; bucket layout after Valkey's hashtable.
 * See keydir/README.md, invariants K1-K7.
 */
#ifndef KEYDIR_KEYDIR_H
#define KEYDIR_KEYDIR_H

#include "epoch/epoch.h"
#include "keydir/row.h"

struct keydir;

/* Has a bag of its own in `epoch` for what it retires. `seed` makes hashes unpredictable. */
struct keydir *keydir_new(struct epoch *epoch, uint64_t seed);

typedef void (*keydir_visit_fn)(void *ctx, const struct row *row);

/* Frees everything at once: no reader may be left in it. keydir_free_step frees about `budget`
 * (> 0) rows, of which it tells `visit` (may be NULL) before, and returns true while more is left:
 * then call nothing else but it again. After false the keydir itself is freed. */
void keydir_free(struct keydir *dir);
MUST_CHECK
bool keydir_free_step(struct keydir *dir, size_t budget, keydir_visit_fn visit, void *ctx);

/* The hash to hand to the calls below. */
uint64_t keydir_hash(const struct keydir *dir, struct slice key);

/* Brings the bucket of `hash` / the rows that its tags suggest towards the cache. Thread: any
 * reader. A hint: never wrong, maybe late. */
void keydir_prefetch_bucket(const struct keydir *dir, uint64_t hash);
void keydir_prefetch_row(const struct keydir *dir, uint64_t hash);

/* The row of `key`, or NULL. Expired rows are returned like others. Thread: any reader. Never
 * blocks, never allocates. */
const struct row *keydir_find(const struct keydir *dir, struct slice key, uint64_t hash);

/* Publishes `row` for its key, in place of any older one, which is retired. Takes the row over.
 * Thread: writer. Never fails: memory for buckets is bounded and ends the process when out. */
void keydir_put(struct keydir *dir, struct row *row, uint64_t hash);

/* Removes and retires the key's row. False if there is none. Thread: writer. */
bool keydir_del(struct keydir *dir, struct slice key, uint64_t hash);

/* The writer's own view, to change place or LFU. Thread: writer. */
struct row *keydir_find_mine(struct keydir *dir, struct slice key, uint64_t hash);

/* Once a turn: frees retired rows and buckets that no reader can hold. True if more is ready. */
bool keydir_collect(struct keydir *dir, size_t budget);

/* Frees all of them, whatever readers are online: only while none can find the keydir. */
void keydir_collect_all(struct keydir *dir);

/* Rows; rows with an expiry; bytes held by rows, values and buckets; bytes retired and not yet
 * freed, which the former leaves out. Thread: any; exact on the writer's. */
size_t keydir_count(const struct keydir *dir);
size_t keydir_expire_count(const struct keydir *dir);
/* When rows with an expiry expire on average, to 64 ms; 0 without any. */
uint64_t keydir_mean_expire_at_ms(const struct keydir *dir);
size_t keydir_bytes(const struct keydir *dir);
size_t keydir_table_bytes(const struct keydir *dir); /* of it, without rows and values */
size_t keydir_retired_bytes(const struct keydir *dir);

/* ---- Scans ---- */

/* Visits, by a function that must not change the keydir, one bucket from `cursor` on (0: the
 * beginning) and returns the next cursor, 0 at the end. What is in the table from the first call to
 * the last is visited, however the table grows and shrinks meanwhile; what is not there at all,
 * never; twice only what another thread moves in its chain at the very moment, so for the writer's
 * own scans nothing. Cursors are reverse-binary and below 2^48; any number may be given, at random
 * or by a client. Thread: any reader. */
uint64_t keydir_scan(const struct keydir *dir, uint64_t cursor, keydir_visit_fn visit, void *ctx);

/* Visits all rows in the bucket chain that `hash` falls into; maybe none. Thread: writer. */
void keydir_visit_bucket(const struct keydir *dir, uint64_t hash, keydir_visit_fn visit, void *ctx);

/* A row by chance, nearly uniform; NULL when empty. `chance` is a random number. Thread: writer. */
const struct row *keydir_random(const struct keydir *dir, uint64_t chance);

/* Walks everything and asserts the invariants. Slow; for tests. */
void keydir_check(const struct keydir *dir);

#endif
