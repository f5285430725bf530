/* SPDX-License-Identifier: Apache-2.0 */
/* keydir_internal: the table's anatomy, shared by the files of this folder.
 *
 * Slot:   0 when empty, else the top 16 bits of the key's hash, the row's address, and in bit 0
 *         whether the row is on its way to another bucket (only while a split runs).
 * State:  number of buckets in the low half; in the high half a count of the changes of place,
 *         so that no two states of the table look alike (K3).
 * Chunks: chunk 0 holds bucket 0, chunk c the buckets from 2^(c-1) to 2^c - 1.
 */
#ifndef KEYDIR_KEYDIR_INTERNAL_H
#define KEYDIR_KEYDIR_INTERNAL_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/hash.h"
#include "keydir/keydir.h"

#define BUCKET_SLOTS     7
#define BUCKET_SIZE      64
#define CHUNK_COUNT      33
#define BUCKET_COUNT_MAX UINT32_MAX
#define SLOT_ADDRESS     UINT64_C(0x0000fffffffffff8)
#define SLOT_IS_MOVING   UINT64_C(1)
#define TAG_SHIFT        48
/* Rows that a chain may fall short of needing its last bucket before a removal takes that away. */
#define CHAIN_SLACK 2

struct bucket {
    _Alignas(BUCKET_SIZE) _Atomic uint64_t slots[BUCKET_SLOTS];
    _Atomic(struct bucket *) next;
};
STATIC_ASSERT(sizeof(struct bucket) == BUCKET_SIZE, "a bucket is a cache line");

struct keydir {
    /* What every lookup reads, written only when the table changes shape. */
    _Alignas(BUCKET_SIZE) _Atomic uint64_t state;
    uint64_t seed;
    _Atomic(struct bucket *) chunks[CHUNK_COUNT];

    /* What every change writes. The writer adds with plain loads and stores. */
    _Alignas(BUCKET_SIZE) _Atomic size_t row_count;
    _Atomic size_t expire_count;
    _Atomic uint64_t expire_sum; /* of their expiries, in units of 64 ms, modulo 2^64 */
    _Atomic size_t row_bytes;
    _Atomic size_t overflow_count; /* overflow buckets in chains */
    _Atomic size_t reached_count;  /* buckets of the chunks that have ever been touched */
    struct epoch_bag *bag;
};

/* ---- Hashes and indices ---- */

static inline unsigned log2_floor(uint64_t v)
{
    return 63U - (unsigned)__builtin_clzll(v);
}

static inline uint64_t state_bucket_count(uint64_t state)
{
    return state & UINT32_MAX;
}

/* Linear hashing: one more bit of the hash than half of the buckets need, if that bucket exists. */
static inline uint64_t bucket_idx(uint64_t bucket_count, uint64_t hash)
{
    uint64_t mask = (UINT64_C(2) << log2_floor(bucket_count)) - 1;
    uint64_t idx = hash & mask;
    return idx < bucket_count ? idx : idx & (mask >> 1);
}

static inline unsigned chunk_of(uint64_t idx)
{
    return log2_floor(2 * idx + 1);
}

static inline uint64_t chunk_start(unsigned chunk)
{
    return (UINT64_C(1) << chunk) >> 1;
}

/* ---- Slots ---- */

static inline uint64_t slot_word(const struct row *row, uint64_t hash)
{
    uint64_t address = (uint64_t)(uintptr_t)row;
    ASSERT_SLOW((address & ~SLOT_ADDRESS) == 0);
    return hash >> TAG_SHIFT << TAG_SHIFT | address;
}

static inline struct row *slot_row(uint64_t word)
{
    return (struct row *)(uintptr_t)(word & SLOT_ADDRESS);
}

static inline uint64_t slot_load(const _Atomic uint64_t *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire);
}

static inline void slot_store(_Atomic uint64_t *slot, uint64_t word)
{
    atomic_store_explicit(slot, word, memory_order_release);
}

static inline struct bucket *bucket_next(const struct bucket *bucket)
{
    return atomic_load_explicit(&bucket->next, memory_order_acquire);
}

/* ---- The table as a reader sees it ---- */

static inline uint64_t table_state(const struct keydir *dir)
{
    return atomic_load_explicit(&dir->state, memory_order_acquire);
}

/* The head of the chain for `hash`, in the state it gives. The chunk is good because the state was
 * the same before and after its address was read (K4). */
static inline const struct bucket *table_locate(const struct keydir *dir, uint64_t hash,
                                                uint64_t *out_state)
{
    for (;;) {
        uint64_t state = table_state(dir);
        uint64_t idx = bucket_idx(state_bucket_count(state), hash);
        unsigned c = chunk_of(idx);
        const struct bucket *chunk = atomic_load_explicit(&dir->chunks[c], memory_order_acquire);
        if (LIKELY(table_state(dir) == state)) {
            *out_state = state;
            return chunk + (idx - chunk_start(c));
        }
    }
}

/* ---- The table as its writer sees it ---- */

static inline uint64_t table_bucket_count(const struct keydir *dir)
{
    return state_bucket_count(atomic_load_explicit(&dir->state, memory_order_relaxed));
}

static inline struct bucket *table_bucket(const struct keydir *dir, uint64_t idx)
{
    unsigned c = chunk_of(idx);
    return atomic_load_explicit(&dir->chunks[c], memory_order_relaxed) + (idx - chunk_start(c));
}

static inline struct bucket *table_head(const struct keydir *dir, uint64_t hash)
{
    return table_bucket(dir, bucket_idx(table_bucket_count(dir), hash));
}

static inline size_t counter_get(const _Atomic size_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* `delta` may be a negative number in two's complement. */
static inline void counter_add(_Atomic size_t *counter, size_t delta)
{
    atomic_store_explicit(counter, counter_get(counter) + delta, memory_order_relaxed);
}

/* Between them the load of the table is 25% to 82% of its slots (K5). */
static inline bool table_is_crowded(size_t rows, uint64_t bucket_count)
{
    return rows * 4 > bucket_count * 23;
}

static inline bool table_is_sparse(size_t rows, uint64_t bucket_count)
{
    return bucket_count > 1 && rows * 4 < bucket_count * 7;
}

/* resize.c: one split, one merge, and the bucket that a new table begins with. */
void table_init(struct keydir *dir);
void table_grow(struct keydir *dir);
void table_shrink(struct keydir *dir);

/* chain.c: puts `word` into the first empty slot from `bucket` on, in a new bucket behind the last
 * if there is none. Returns the bucket that took it. */
struct bucket *chain_add(struct keydir *dir, struct bucket *bucket, uint64_t word);

/* Takes away the buckets that `rows` rows do not need, once what they hold has found room in the
 * others. */
void chain_fit(struct keydir *dir, struct bucket *head, size_t rows);

size_t chain_row_count(const struct bucket *head);

/* Retires every bucket from `bucket` on as they are: a reader in them still finds its way (K7). */
void chain_retire(struct keydir *dir, struct bucket *bucket);

/* Makes known that rows have changed places, with the number of buckets from now on (K2). */
void table_publish(struct keydir *dir, uint64_t bucket_count);

void retire_row(struct keydir *dir, struct row *row, size_t bytes);
/* Buckets lie among the rows in the bag, marked by the lowest bit of their address. */
void retire_buckets(struct keydir *dir, struct bucket *buckets, size_t bytes);

#endif
