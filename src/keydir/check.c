/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "keydir/keydir_internal.h"

struct sums {
    size_t rows;
    size_t expiring;
    size_t bytes;
    size_t overflows;
};

/* K1: one slot for a key. */
static void check_only_one(const struct bucket *head, const _Atomic uint64_t *own, struct slice key)
{
    for (const struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = slot_load(&bucket->slots[i]);
            bool is_same_tag = (word ^ slot_load(own)) >> TAG_SHIFT == 0;
            if (word == 0 || &bucket->slots[i] == own || !is_same_tag)
                continue;
            ASSERT(!slice_eq(row_key(slot_row(word)), key));
        }
    }
}

static void check_slot(const struct keydir *dir, uint64_t idx, const _Atomic uint64_t *slot,
                       struct sums *sums)
{
    uint64_t word = slot_load(slot);
    if (word == 0)
        return;
    const struct row *row = slot_row(word);
    uint64_t hash = keydir_hash(dir, row_key(row));
    ASSERT((word & SLOT_IS_MOVING) == 0);
    ASSERT(word == slot_word(row, hash));
    ASSERT(bucket_idx(table_bucket_count(dir), hash) == idx); /* K1 */
    check_only_one(table_bucket(dir, idx), slot, row_key(row));
    sums->rows++;
    sums->bytes += row_bytes(row);
    sums->expiring += row_expire_at_ms(row) != 0;
}

static void check_chain(const struct keydir *dir, uint64_t idx, struct sums *sums)
{
    const struct bucket *head = table_bucket(dir, idx);
    size_t bucket_count = 0;
    for (const struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket)) {
        bucket_count++;
        for (size_t i = 0; i < BUCKET_SLOTS; i++)
            check_slot(dir, idx, &bucket->slots[i], sums);
    }
    size_t needed = (bucket_count - 1) * BUCKET_SLOTS;
    ASSERT(bucket_count == 1 || chain_row_count(head) + CHAIN_SLACK > needed); /* K5 */
    sums->overflows += bucket_count - 1;
}

/* K4: chunks reach as far as the table; what was reached beyond its end is empty. */
static void check_chunks(const struct keydir *dir)
{
    uint64_t count = table_bucket_count(dir);
    for (unsigned c = 0; c < CHUNK_COUNT; c++)
        ASSERT((atomic_load(&dir->chunks[c]) != NULL) == (chunk_start(c) < count));
    uint64_t reached = counter_get(&dir->reached_count);
    ASSERT(reached >= count && chunk_of(reached - 1) == chunk_of(count - 1));
    for (uint64_t idx = count; idx < reached; idx++) {
        const struct bucket *bucket = table_bucket(dir, idx);
        ASSERT(chain_row_count(bucket) == 0);
        ASSERT(bucket_next(bucket) == NULL);
    }
}

void keydir_check(const struct keydir *dir)
{
    struct sums sums = {0};
    uint64_t count = table_bucket_count(dir);
    for (uint64_t idx = 0; idx < count; idx++)
        check_chain(dir, idx, &sums);
    check_chunks(dir);
    ASSERT(!table_is_sparse(sums.rows, count)); /* K5 */
    ASSERT(!table_is_crowded(sums.rows, count) || count == BUCKET_COUNT_MAX);
    ASSERT(sums.rows == keydir_count(dir)); /* K6 */
    ASSERT(sums.expiring == keydir_expire_count(dir));
    ASSERT(sums.bytes == counter_get(&dir->row_bytes));
    ASSERT(sums.overflows == counter_get(&dir->overflow_count));
}
