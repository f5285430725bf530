/* SPDX-License-Identifier: Apache-2.0 */
/* A chain is a head bucket and as many overflow buckets as its rows need, and hardly more (K5).
 * Rows fill the first empty slot. A chain gets longer by a full bucket being linked behind the
 * last, shorter by rows moving from its tail into empty slots at its front: a change of place, in
 * the steps told in keydir.c.
 */
#include "keydir/keydir_internal.h"

#include "base/mem.h"

static _Atomic uint64_t *bucket_hole(struct bucket *bucket)
{
    for (size_t i = 0; i < BUCKET_SLOTS; i++)
        if (atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) == 0)
            return &bucket->slots[i];
    return NULL;
}

/* A bucket of one row, not yet linked. */
static struct bucket *overflow_new(struct keydir *dir, uint64_t word)
{
    struct bucket *bucket = mem_try_alloc_aligned(BUCKET_SIZE, sizeof(*bucket));
    ASSERT(bucket != NULL);
    atomic_init(&bucket->slots[0], word);
    for (size_t i = 1; i < BUCKET_SLOTS; i++)
        atomic_init(&bucket->slots[i], 0);
    atomic_init(&bucket->next, NULL);
    counter_add(&dir->overflow_count, 1);
    return bucket;
}

struct bucket *chain_add(struct keydir *dir, struct bucket *bucket, uint64_t word)
{
    for (;;) {
        _Atomic uint64_t *hole = bucket_hole(bucket);
        if (hole != NULL) {
            slot_store(hole, word);
            return bucket;
        }
        struct bucket *next = bucket_next(bucket);
        if (next == NULL) {
            next = overflow_new(dir, word);
            atomic_store_explicit(&bucket->next, next, memory_order_release);
            return next;
        }
        bucket = next;
    }
}

size_t chain_row_count(const struct bucket *head)
{
    size_t count = 0;
    for (const struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket))
        for (size_t i = 0; i < BUCKET_SLOTS; i++)
            count += slot_load(&bucket->slots[i]) != 0;
    return count;
}

void chain_retire(struct keydir *dir, struct bucket *bucket)
{
    while (bucket != NULL) {
        struct bucket *next = bucket_next(bucket);
        counter_add(&dir->overflow_count, (size_t)-1);
        retire_buckets(dir, bucket, sizeof(*bucket));
        bucket = next;
    }
}

/* Copies the rows of `tail` into holes from `front` on, where there is room for all of them. */
static size_t fill_holes(struct keydir *dir, struct bucket *front, const struct bucket *tail)
{
    size_t moved = 0;
    for (; tail != NULL; tail = bucket_next(tail)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = slot_load(&tail->slots[i]);
            if (word == 0)
                continue;
            front = chain_add(dir, front, word);
            moved++;
        }
    }
    return moved;
}

void chain_fit(struct keydir *dir, struct bucket *head, size_t rows)
{
    struct bucket *last = head;
    for (size_t room = BUCKET_SLOTS; room < rows && last != NULL; room += BUCKET_SLOTS)
        last = bucket_next(last);
    struct bucket *tail = last == NULL ? NULL : bucket_next(last);
    if (tail == NULL)
        return;
    if (fill_holes(dir, head, tail) > 0) /* K2, step 1 */
        table_publish(dir, table_bucket_count(dir));
    atomic_store_explicit(&last->next, NULL, memory_order_release);
    chain_retire(dir, tail);
}
