/* SPDX-License-Identifier: Apache-2.0 */
/* storebench: the stores of a node on a simulated disk, in the hands of one test thread: a clock
 * that goes as it is told, positions as a log would give them, jobs run when asked for, checkpoints
 * with a manifest, and everything opened again from an image of the disk.
 */
#ifndef SUPPORT_STOREBENCH_H
#define SUPPORT_STOREBENCH_H

#include "store/manifest.h"
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

/* Marks, writes, syncs, saves the manifest. 0, or the first error. */
int storebench_checkpoint(struct storebench *bench);

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
