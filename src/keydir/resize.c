/* SPDX-License-Identifier: Apache-2.0 */
/* With n buckets, of which 2^k <= n is the greatest power of two, bucket i < n - 2^k has been
 * split into i and i + 2^k by bit k of the hash; the others have not. So the next split is that of
 * bucket n - 2^k into itself and bucket n, the next merge joins bucket n - 1 to the one it came
 * from:
 *
 *      0        n - 2^k          2^k               n
 *      |  split  |  not yet split |  the new halves |  the next
 *                ^ next to be split
 *
 * Both are changes of place, in the steps told in keydir.c, done at once: a split touches about
 * ten rows. After an insertion at most one bucket is split, after a removal at most one joined.
 */
#include "keydir/keydir_internal.h"

#include "base/mem.h"

void table_publish(struct keydir *dir, uint64_t bucket_count)
{
    uint64_t change = atomic_load_explicit(&dir->state, memory_order_relaxed) >> 32;
    uint64_t state = (uint64_t)(uint32_t)(change + 1) << 32 | bucket_count;
    atomic_store_explicit(&dir->state, state, memory_order_release);
}

/* Memory is not touched before bucket after bucket is: a large chunk costs address space only. */
static struct bucket *chunk_new(uint64_t bucket_count)
{
    struct bucket *chunk = mem_try_alloc_aligned(BUCKET_SIZE, bucket_count * BUCKET_SIZE);
    ASSERT(chunk != NULL);
    return chunk;
}

/* Makes bucket `idx`, the first beyond the table, an empty one. Readers of an older, larger state
 * may be in it. */
static struct bucket *reach_bucket(struct keydir *dir, uint64_t idx)
{
    unsigned c = chunk_of(idx);
    if (atomic_load_explicit(&dir->chunks[c], memory_order_relaxed) == NULL) {
        uint64_t size = chunk_start(c + 1) - chunk_start(c);
        atomic_store_explicit(&dir->chunks[c], chunk_new(size), memory_order_release);
    }
    struct bucket *bucket = table_bucket(dir, idx);
    for (size_t i = 0; i < BUCKET_SLOTS; i++)
        slot_store(&bucket->slots[i], 0);
    atomic_store_explicit(&bucket->next, NULL, memory_order_release);
    if (idx == counter_get(&dir->reached_count))
        counter_add(&dir->reached_count, 1);
    return bucket;
}

void table_init(struct keydir *dir)
{
    (void)reach_bucket(dir, 0);
    table_publish(dir, 1);
}

/* The bucket that bucket `idx` was split from, and the bit of the hash that tells them apart. */
static uint64_t parent_of(uint64_t idx, uint64_t *out_bit)
{
    *out_bit = UINT64_C(1) << log2_floor(idx);
    return idx - *out_bit;
}

/* A split reads all rows of its chain, and few of them are in the cache. They are asked for one
 * split ahead, the bucket two ahead: the insertions between leave them time to come. */
static void prefetch_splits(const struct keydir *dir, uint64_t bucket_count)
{
    uint64_t bit;
    const struct bucket *bucket = table_bucket(dir, parent_of(bucket_count, &bit));
    __builtin_prefetch(table_bucket(dir, parent_of(bucket_count + 1, &bit)));
    for (; bucket != NULL; bucket = bucket_next(bucket))
        for (size_t i = 0; i < BUCKET_SLOTS; i++)
            __builtin_prefetch(slot_row(slot_load(&bucket->slots[i])));
}

/* Copies the rows whose hash has `bit` to `to` and marks them. Returns how many stay. */
static size_t copy_movers(struct keydir *dir, struct bucket *from, struct bucket *to, uint64_t bit)
{
    size_t staying = 0;
    for (; from != NULL; from = bucket_next(from)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = slot_load(&from->slots[i]);
            if (word == 0)
                continue;
            if ((keydir_hash(dir, row_key(slot_row(word))) & bit) == 0) {
                staying++;
                continue;
            }
            to = chain_add(dir, to, word);
            slot_store(&from->slots[i], word | SLOT_IS_MOVING);
        }
    }
    return staying;
}

static void drop_movers(struct bucket *bucket)
{
    for (; bucket != NULL; bucket = bucket_next(bucket))
        for (size_t i = 0; i < BUCKET_SLOTS; i++)
            if ((slot_load(&bucket->slots[i]) & SLOT_IS_MOVING) != 0)
                slot_store(&bucket->slots[i], 0);
}

void table_grow(struct keydir *dir)
{
    uint64_t count = table_bucket_count(dir);
    if (count == BUCKET_COUNT_MAX)
        return;
    uint64_t bit;
    struct bucket *from = table_bucket(dir, parent_of(count, &bit));
    struct bucket *to = reach_bucket(dir, count);
    size_t staying = copy_movers(dir, from, to, bit);
    table_publish(dir, count + 1);
    drop_movers(from);
    chain_fit(dir, from, staying);
    prefetch_splits(dir, count + 1);
}

static void copy_all(struct keydir *dir, const struct bucket *from, struct bucket *to)
{
    for (; from != NULL; from = bucket_next(from)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = slot_load(&from->slots[i]);
            if (word != 0)
                to = chain_add(dir, to, word);
        }
    }
}

/* K4: a bucket beyond the table is empty, so that readers of an older state leave it soon. */
static void leave_bucket(struct keydir *dir, struct bucket *head)
{
    for (size_t i = 0; i < BUCKET_SLOTS; i++)
        slot_store(&head->slots[i], 0);
    struct bucket *overflow = bucket_next(head);
    atomic_store_explicit(&head->next, NULL, memory_order_release);
    chain_retire(dir, overflow);
}

/* Gives back the chunk whose first bucket is `first`, which was the table's last. */
static void drop_chunk(struct keydir *dir, uint64_t first)
{
    _Atomic(struct bucket *) *place = &dir->chunks[chunk_of(first)];
    struct bucket *chunk = atomic_load_explicit(place, memory_order_relaxed);
    size_t reached = counter_get(&dir->reached_count) - first;
    atomic_store_explicit(place, NULL, memory_order_release);
    counter_add(&dir->reached_count, (size_t)0 - reached);
    retire_buckets(dir, chunk, reached * BUCKET_SIZE);
}

void table_shrink(struct keydir *dir)
{
    uint64_t last = table_bucket_count(dir) - 1;
    uint64_t bit;
    struct bucket *to = table_bucket(dir, parent_of(last, &bit));
    struct bucket *from = table_bucket(dir, last);
    copy_all(dir, from, to);
    table_publish(dir, last);
    leave_bucket(dir, from);
    if (last == chunk_start(chunk_of(last)))
        drop_chunk(dir, last);
}
