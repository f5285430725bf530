/* SPDX-License-Identifier: Apache-2.0 */
/* How readers find a row without locks while one writer changes the table.
 *
 * The table is an array of bucket chains. A chain's head lies in a chunk, further buckets hang on
 * `next`. The number of buckets n says where a hash belongs (bucket_idx): linear hashing, so n
 * grows and shrinks by one, and with it one chain is split in two or two are joined.
 *
 * Three changes need no care. A new row goes into an empty slot; a newer row of a key takes its
 * older one's slot; a removed row's slot becomes empty. Each is one store of one word with release,
 * and each is the moment at which the change happens for all who look.
 *
 * What needs care is a row that changes its place while it stays in the table: a reader that has
 * passed the new place before it was filled, and comes to the old one after it was emptied, has
 * not seen it. It happens when a chain is split or joined (resize.c) and when a chain becomes
 * shorter (chain.c), always in these steps (K2):
 *
 *     1. the row is put into its new slot; for a moment it is in two;
 *     2. the state word changes: n, or at least the count beside it;
 *     3. the old slot is emptied, or the bucket it is in unlinked.
 *
 * and a reader believes in a miss only if the state word was the same before its search and after
 * it (K3). Why that is enough: say the reader loaded state S before. It then met, by acquire, all
 * that the writer had done before it stored S, and at that moment the row was in a slot of the
 * chain that S names for its hash. As long as step 3 has not been done to that slot, the reader
 * finds the row there, or a newer one of its key. If it sees what step 3 has left - an empty slot,
 * another row, a link that ends early -, it has loaded that with acquire, hence meets step 2, which
 * came before: its second load of the state word differs from S, and it searches again. The count
 * in the state word is there so that a split followed by a merge does not look like nothing; it
 * would have to come round, 2^32 changes, within one search.
 *
 * Readers of an older state may still be in buckets that have been left. They find their way out,
 * and nothing wrong on it, because what is unlinked is retired as it is and freed only when every
 * reader has been quiescent (K7), and because a row that they find there was the key's newest when
 * their search began. Chunks are the same with one trap more: a chunk may be dropped and another
 * allocated in its place, whose buckets beyond n are not even initialised. Hence the address of a
 * chunk counts only if the state word was the same before and after it was read (K4).
 *
 * Retries need a change of place within the few tens of nanoseconds of a search, and only misses
 * retry, so readers do not starve; the writer never waits for them.
 */
#include "keydir/keydir.h"

#include <string.h>

#include "base/mem.h"
#include "keydir/keydir_internal.h"

#define EXPIRE_UNIT_MS 64

/* ---- Life ---- */

static void free_retired(void *ctx, void *object)
{
    (void)ctx;
    uintptr_t address = (uintptr_t)object;
    if ((address & 1) != 0)
        mem_free((void *)(address - 1));
    else
        row_free(object);
}

struct keydir *keydir_new(struct epoch *epoch, uint64_t seed)
{
    struct keydir *dir = mem_try_alloc_aligned(BUCKET_SIZE, sizeof(*dir));
    ASSERT(dir != NULL);
    memset(dir, 0, sizeof(*dir));
    dir->seed = seed;
    dir->bag = epoch_bag_new(epoch, free_retired, NULL);
    table_init(dir);
    return dir;
}

void retire_row(struct keydir *dir, struct row *row, size_t bytes)
{
    epoch_retire(dir->bag, row, bytes);
}

void retire_buckets(struct keydir *dir, struct bucket *buckets, size_t bytes)
{
    epoch_retire(dir->bag, (void *)((uintptr_t)buckets | 1), bytes);
}

static void count_expiry(struct keydir *dir, const struct row *row, int sign)
{
    uint64_t units = row_expire_at_ms(row) / EXPIRE_UNIT_MS;
    uint64_t sum = atomic_load_explicit(&dir->expire_sum, memory_order_relaxed);
    atomic_store_explicit(&dir->expire_sum, sign > 0 ? sum + units : sum - units,
                          memory_order_relaxed);
    counter_add(&dir->expire_count, sign > 0 ? 1 : (size_t)-1);
}

static void count_row(struct keydir *dir, const struct row *row, size_t bytes)
{
    counter_add(&dir->row_count, 1);
    counter_add(&dir->row_bytes, bytes);
    if ((row->flags & ROW_HAS_EXPIRE) != 0)
        count_expiry(dir, row, 1);
}

static void uncount_row(struct keydir *dir, const struct row *row, size_t bytes)
{
    counter_add(&dir->row_count, (size_t)-1);
    counter_add(&dir->row_bytes, (size_t)0 - bytes);
    if ((row->flags & ROW_HAS_EXPIRE) != 0)
        count_expiry(dir, row, -1);
}

/* Frees the rows and the overflow buckets of the last chain; returns how many rows. */
static size_t free_last_chain(struct keydir *dir, struct bucket *head, keydir_visit_fn visit,
                              void *ctx)
{
    size_t freed = 0;
    for (struct bucket *bucket = head; bucket != NULL;) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            struct row *row = slot_row(slot_load(&bucket->slots[i]));
            if (row == NULL)
                continue;
            if (visit != NULL)
                visit(ctx, row);
            uncount_row(dir, row, row_bytes(row));
            row_free(row);
            freed++;
        }
        struct bucket *next = bucket_next(bucket);
        if (bucket != head)
            mem_free(bucket);
        bucket = next;
    }
    return freed;
}

bool keydir_free_step(struct keydir *dir, size_t budget, keydir_visit_fn visit, void *ctx)
{
    ASSERT(budget > 0);
    if (epoch_collect(dir->bag, budget))
        return true;
    size_t work = 0;
    for (uint64_t n = table_bucket_count(dir); n > 0; n--) {
        if (work >= budget)
            return true;
        uint64_t last = n - 1;
        work += 1 + free_last_chain(dir, table_bucket(dir, last), visit, ctx);
        table_publish(dir, last);
        if (last == chunk_start(chunk_of(last)))
            mem_free(atomic_load_explicit(&dir->chunks[chunk_of(last)], memory_order_relaxed));
    }
    epoch_bag_free(dir->bag);
    mem_free(dir);
    return false;
}

void keydir_free(struct keydir *dir)
{
    while (dir != NULL && keydir_free_step(dir, SIZE_MAX, NULL, NULL)) {
    }
}

/* ---- Looking up ---- */

uint64_t keydir_hash(const struct keydir *dir, struct slice key)
{
    return hash_key(key, dir->seed);
}

/* Bit i is set if slot i bears the tag; an empty slot looks as if it bore tag 0. */
static inline unsigned bucket_matches(const struct bucket *bucket, uint64_t hash)
{
#define MATCH(i) ((unsigned)(((slot_load(&bucket->slots[i]) ^ hash) >> TAG_SHIFT) == 0) << (i))
    return MATCH(0) | MATCH(1) | MATCH(2) | MATCH(3) | MATCH(4) | MATCH(5) | MATCH(6);
#undef MATCH
}

static inline bool row_has_key(const struct row *row, struct slice key)
{
    return row->key_size == key.len && slice_eq(row_key(row), key);
}

/* The key's slot in the chain, and the row that was in it, or NULL. */
static inline const _Atomic uint64_t *chain_find(const struct bucket *head, struct slice key,
                                                 uint64_t hash, struct row **out_row)
{
    for (const struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket)) {
        for (unsigned left = bucket_matches(bucket, hash); left != 0; left &= left - 1) {
            const _Atomic uint64_t *slot = &bucket->slots[__builtin_ctz(left)];
            struct row *row = slot_row(slot_load(slot));
            if (row != NULL && row_has_key(row, key)) {
                *out_row = row;
                return slot;
            }
        }
    }
    *out_row = NULL;
    return NULL;
}

void keydir_prefetch_bucket(const struct keydir *dir, uint64_t hash)
{
    uint64_t idx = bucket_idx(state_bucket_count(table_state(dir)), hash);
    unsigned c = chunk_of(idx);
    /* By number, not as a pointer: the chunk may just have gone. */
    uintptr_t chunk = (uintptr_t)atomic_load_explicit(&dir->chunks[c], memory_order_relaxed);
    __builtin_prefetch((const void *)(chunk + (idx - chunk_start(c)) * BUCKET_SIZE));
}

/* Most rows with a short key end on the line they begin on, or on the next. */
static inline void prefetch_row(const struct row *row)
{
    __builtin_prefetch(row);
    __builtin_prefetch((const uint8_t *)row + ROW_HEADER_SIZE + 8);
}

void keydir_prefetch_row(const struct keydir *dir, uint64_t hash)
{
    uint64_t state;
    const struct bucket *head = table_locate(dir, hash, &state);
    unsigned left = bucket_matches(head, hash);
    if (left == 0 && bucket_next(head) != NULL)
        __builtin_prefetch(bucket_next(head));
    for (; left != 0; left &= left - 1)
        prefetch_row(slot_row(slot_load(&head->slots[__builtin_ctz(left)])));
}

const struct row *keydir_find(const struct keydir *dir, struct slice key, uint64_t hash)
{
    for (;;) {
        uint64_t state;
        struct row *row;
        const struct bucket *head = table_locate(dir, hash, &state);
        if (chain_find(head, key, hash, &row) != NULL || table_state(dir) == state)
            return row; /* K3 */
    }
}

struct row *keydir_find_mine(struct keydir *dir, struct slice key, uint64_t hash)
{
    struct row *row;
    (void)chain_find(table_head(dir, hash), key, hash, &row);
    return row;
}

/* ---- Changing ---- */

/* The key's slot for the writer, who may store into it. */
static _Atomic uint64_t *find_slot(struct keydir *dir, struct slice key, uint64_t hash,
                                   struct row **out_row)
{
    const _Atomic uint64_t *slot = chain_find(table_head(dir, hash), key, hash, out_row);
    return (_Atomic uint64_t *)(uintptr_t)slot;
}

void keydir_put(struct keydir *dir, struct row *row, uint64_t hash)
{
    ASSERT_SLOW(hash == keydir_hash(dir, row_key(row)));
    ASSERT_SLOW(!row_is_hot(row) || row_value(row).len == row->value_size);
    struct row *old;
    _Atomic uint64_t *slot = find_slot(dir, row_key(row), hash, &old);
    count_row(dir, row, row_bytes(row));
    if (slot != NULL) {
        size_t old_bytes = row_bytes(old);
        slot_store(slot, slot_word(row, hash));
        uncount_row(dir, old, old_bytes);
        retire_row(dir, old, old_bytes);
        return;
    }
    (void)chain_add(dir, table_head(dir, hash), slot_word(row, hash));
    if (table_is_crowded(counter_get(&dir->row_count), table_bucket_count(dir)))
        table_grow(dir);
}

bool keydir_del(struct keydir *dir, struct slice key, uint64_t hash)
{
    struct row *row;
    _Atomic uint64_t *slot = find_slot(dir, key, hash, &row);
    if (slot == NULL)
        return false;
    slot_store(slot, 0);
    size_t bytes = row_bytes(row);
    uncount_row(dir, row, bytes);
    retire_row(dir, row, bytes);

    struct bucket *head = table_head(dir, hash);
    if (bucket_next(head) != NULL)
        chain_fit(dir, head, chain_row_count(head) + CHAIN_SLACK);
    if (table_is_sparse(counter_get(&dir->row_count), table_bucket_count(dir)))
        table_shrink(dir);
    return true;
}

bool keydir_collect(struct keydir *dir, size_t budget)
{
    return epoch_collect(dir->bag, budget);
}

void keydir_collect_all(struct keydir *dir)
{
    epoch_bag_empty(dir->bag);
}

/* ---- Numbers ---- */

size_t keydir_count(const struct keydir *dir)
{
    return counter_get(&dir->row_count);
}

size_t keydir_expire_count(const struct keydir *dir)
{
    return counter_get(&dir->expire_count);
}

uint64_t keydir_mean_expire_at_ms(const struct keydir *dir)
{
    size_t count = counter_get(&dir->expire_count);
    uint64_t sum = atomic_load_explicit(&dir->expire_sum, memory_order_relaxed);
    return count == 0 ? 0 : sum / count * EXPIRE_UNIT_MS + sum % count * EXPIRE_UNIT_MS / count;
}

size_t keydir_table_bytes(const struct keydir *dir)
{
    size_t buckets = counter_get(&dir->reached_count) + counter_get(&dir->overflow_count);
    return sizeof(*dir) + buckets * BUCKET_SIZE;
}

size_t keydir_bytes(const struct keydir *dir)
{
    return keydir_table_bytes(dir) + counter_get(&dir->row_bytes);
}

size_t keydir_retired_bytes(const struct keydir *dir)
{
    return epoch_bag_bytes(dir->bag);
}
