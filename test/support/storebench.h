/* SPDX-License-Identifier: Apache-2.0 */
/* storebench: the stores of a node on a simulated disk, in the hands of one test thread: a clock
 * that goes as it is told, positions as a log would give them, jobs run when asked for, checkpoints
 * with a manifest, and everything opened again from an image of the disk.
 */
#ifndef SUPPORT_STOREBENCH_H
#define SUPPORT_STOREBENCH_H

#include "store/manifest.h"
#include "store/merge.h"
#include "store/tx.h"
#include "support/simdisk.h"

#define BENCH_DIR      "/data"
#define BENCH_START_MS UINT64_C(1700000000000)

struct storebench_options {
    uint64_t seed;
    uint32_t shard_count;    /* 0: 1 */
    uint32_t database_count; /* 0: 4 */
    uint64_t max_file_size;  /* 0: 64 KiB */
    size_t hot_max_value;
    bool has_threads; /* INLINE reads validate what they saw */
};

struct storebench {
    struct storebench_options options;
    struct simdisk *disk;
    struct simclock clock;
    struct simchance chance;
    struct epoch *epoch;
    struct epoch_reader *reader;
    struct stores stores;
    struct tx *tx;
    struct manifest manifest; /* the last one that was saved */
    uint64_t hash_seed;
    uint64_t now_ms;
    uint64_t index; /* of the last entry */
};

/* On a disk of its own, empty. */
struct storebench *storebench_new(const struct storebench_options *options);

/* As a start on `disk` finds it, which the bench owns from now on. NULL, and why in diag. The index
 * is the manifest's, the clock BENCH_START_MS or the state's. */
struct storebench *storebench_open(const struct storebench_options *options, struct simdisk *disk,
                                   struct diag *diag);
void storebench_free(struct storebench *bench);

/* Begins an entry of its own (TX_APPLY) or a read, at now_ms. */
void storebench_begin(struct storebench *bench, enum tx_mode mode);
/* Begins the last entry again, after ERR_COLD. */
void storebench_begin_again(struct storebench *bench);
/* Publishes, moves the applied time of all shards, and resets the transaction. */
void storebench_commit(struct storebench *bench);

/* Reads what the transaction wants and hands it in. Returns how many values. */
size_t storebench_load(struct storebench *bench);

/* Moves the clock alone: what falls due is undecided until an entry has this time. */
void storebench_tick(struct storebench *bench, uint64_t ms);
/* Moves the clock and the applied time, as a CLOCK entry does. */
void storebench_advance(struct storebench *bench, uint64_t ms);

/* Slices of long work until nothing is left; readers quiescent. */
void storebench_settle(struct storebench *bench);

/* Writes all collected records; then settles, so that large values are cold. */
void storebench_write(struct storebench *bench);

/* Marks, writes, syncs, saves the manifest; then what it does not name may be unlinked. 0, or the
 * first error. */
int storebench_checkpoint(struct storebench *bench);

/* The folder of a shard, and what it is opened with: by the manifest as it is now. */
char *storebench_dir(char *to, size_t size, uint32_t shard);
struct store_options storebench_store_options(struct storebench *bench, uint32_t shard,
                                              const char *dir);

/* ---- Upkeep of the files (storebench_merge.c) ---- */

/* Sealed files of a shard: their ids, the caller's (mem_free). */
uint32_t *storebench_sealed(const struct storebench *bench, uint32_t shard, size_t *out_count);

/* One slice of a merge, run and taken back; it is freed when it is over. */
enum merge_state storebench_merge_step(struct bitcask_merge **merge, struct diag *diag);
/* A merge of these files of shard 0 from end to end: it must be DONE. */
void storebench_merge_files(struct storebench *bench, const uint32_t *ids, size_t count);
/* Of all sealed files of all shards. */
void storebench_merge_all(struct storebench *bench);

/* Writes hints for all sealed files, unlinks what may go. */
void storebench_hint(struct storebench *bench);
void storebench_unlink(struct storebench *bench);

/* Appends to shard 0 until it has another current file; with what lives for ever, or is dead at
 * once. */
void storebench_seal(struct storebench *bench, bool is_live);

/* The test has failed unless the live bytes of every file are those of the rows that lie there.
 * Settles, so that nothing dropped is left. */
void storebench_recount(struct storebench *bench);

/* Recovers all shards again from the manifest as it is and takes that over. */
void storebench_recover_again(struct storebench *bench);

/* Of all shards, as of now_ms. */
uint64_t storebench_digest(struct storebench *bench);

/* Live keys, expired ones that are still there included. */
uint64_t storebench_row_count(const struct storebench *bench);

/* ---- One key in a transaction of its own ---- */

void storebench_put(struct storebench *bench, uint16_t db, const char *key, struct slice value,
                    uint64_t expire_at_ms);
void storebench_del(struct storebench *bench, uint16_t db, const char *key);

/* The test has failed unless the key's string is `want`; NULL: absent. */
void storebench_expect(struct storebench *bench, uint16_t db, const char *key, const char *want);

/* ---- Within a transaction ---- */

struct storebench *storebench_hot(uint32_t shard_count); /* one whose values all stay in memory */
void storebench_tx_put(struct tx *tx, uint16_t db, const char *key, const char *value);
struct item storebench_item(struct tx *tx, uint16_t db, const char *key);
/* As storebench_expect(); nothing of it may be cold. */
void storebench_tx_expect(struct tx *tx, uint16_t db, const char *key, const char *want);

#endif
