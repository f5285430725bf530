/* SPDX-License-Identifier: Apache-2.0 */
/* Every hash has a fixed place on a line of 2^48 points: its low 48 bits, read backwards. A bucket
 * that is told apart by k bits of the hash is then an interval of 2^(48-k) points, a split cuts an
 * interval in two halves, a merge joins two halves, and no row ever moves on the line. A scan walks
 * along the line. Its cursor is the point it has come to; all it needs to know of the table is
 * which interval that point lies in now.
 *
 *      4 buckets   |    0    |    2    |    1    |    3    |
 *      6 buckets   |  0 |  4 |    2    |  1 |  5 |    3    |
 *                             ^ a cursor that had seen 0 and 4 of six buckets, or 0 of four
 *
 * If intervals have been joined, the cursor may lie inside one: of its chain only the rows from the
 * cursor on are visited. So each row is visited once, when the scan comes past its point.
 *
 * While another thread changes the chain, rows may change places in it. So its rows are gathered
 * first, and visited only if the state word is still the same; else they are gathered again (K3).
 * A row gathered in two places, on its way from one to the other, is visited twice; likewise if a
 * chain too long to be gathered at once changes when part of it has been visited.
 */
#include "keydir/keydir_internal.h"

#define LINE_BITS    48
#define LINE_END     (UINT64_C(1) << LINE_BITS)
#define GATHER_ROWS  (8 * BUCKET_SLOTS)
#define RANDOM_SLOTS (4 * BUCKET_SLOTS)
#define RANDOM_TRIES 512

static uint64_t reverse_bits(uint64_t v)
{
    v = __builtin_bswap64(v);
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0fULL) | (v & 0x0f0f0f0f0f0f0f0fULL) << 4;
    v = (v >> 2 & 0x3333333333333333ULL) | (v & 0x3333333333333333ULL) << 2;
    return (v >> 1 & 0x5555555555555555ULL) | (v & 0x5555555555555555ULL) << 1;
}

static uint64_t point_of(uint64_t hash)
{
    return reverse_bits(hash) >> (64 - LINE_BITS);
}

/* A hash that lies at the point. */
static uint64_t hash_at(uint64_t point)
{
    return reverse_bits(point << (64 - LINE_BITS));
}

/* The end of the interval of the bucket that the point lies in. */
static uint64_t interval_end(uint64_t bucket_count, uint64_t point)
{
    unsigned bits = log2_floor(bucket_count);
    uint64_t idx = hash_at(point) & ((UINT64_C(1) << bits) - 1);
    if (idx + (UINT64_C(1) << bits) < bucket_count)
        bits++;
    uint64_t size = LINE_END >> bits;
    return (point & ~(size - 1)) + size;
}

struct gathered {
    const struct row *rows[GATHER_ROWS];
    size_t count;
    const struct bucket *rest; /* where to go on, or NULL */
};

static void gather(struct gathered *out, const struct bucket *bucket)
{
    out->count = 0;
    for (; bucket != NULL && out->count + BUCKET_SLOTS <= GATHER_ROWS;
         bucket = bucket_next(bucket)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            const struct row *row = slot_row(slot_load(&bucket->slots[i]));
            if (row == NULL)
                continue;
            __builtin_prefetch(row);
            out->rows[out->count++] = row;
        }
    }
    out->rest = bucket;
}

struct visitor {
    const struct keydir *dir;
    keydir_visit_fn visit;
    void *ctx;
};

/* Visits those of the gathered rows that lie from `begin` to before `end`. */
static void visit_between(const struct visitor *visitor, const struct gathered *gathered,
                          uint64_t begin, uint64_t end)
{
    for (size_t i = 0; i < gathered->count; i++) {
        const struct row *row = gathered->rows[i];
        uint64_t point = point_of(keydir_hash(visitor->dir, row_key(row)));
        if (point >= begin && point < end)
            visitor->visit(visitor->ctx, row);
    }
}

/* Visits what lies from `cursor` to the end of its interval. False if the table changed. */
static bool visit_interval(const struct visitor *visitor, uint64_t cursor, uint64_t *out_end)
{
    uint64_t state;
    struct gathered gathered;
    gathered.rest = table_locate(visitor->dir, hash_at(cursor), &state);
    uint64_t end = interval_end(state_bucket_count(state), cursor);
    do {
        gather(&gathered, gathered.rest);
        if (table_state(visitor->dir) != state)
            return false; /* K3 */
        visit_between(visitor, &gathered, cursor, end);
    } while (gathered.rest != NULL);
    *out_end = end;
    return true;
}

uint64_t keydir_scan(const struct keydir *dir, uint64_t cursor, keydir_visit_fn visit, void *ctx)
{
    if (cursor >= LINE_END)
        return 0;
    struct visitor visitor = {.dir = dir, .visit = visit, .ctx = ctx};
    uint64_t end;
    while (!visit_interval(&visitor, cursor, &end)) {
    }
    if (end == LINE_END)
        return 0;
    keydir_prefetch_bucket(dir, hash_at(end));
    return end;
}

void keydir_visit_bucket(const struct keydir *dir, uint64_t hash, keydir_visit_fn visit, void *ctx)
{
    const struct bucket *bucket = table_head(dir, hash);
    for (; bucket != NULL; bucket = bucket_next(bucket)) {
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            const struct row *row = slot_row(slot_load(&bucket->slots[i]));
            if (row != NULL)
                visit(ctx, row);
        }
    }
}

/* What is in the chain's slot number `slot`, or NULL. */
static const struct row *chain_slot(const struct bucket *bucket, size_t slot)
{
    for (; bucket != NULL && slot >= BUCKET_SLOTS; slot -= BUCKET_SLOTS)
        bucket = bucket_next(bucket);
    return bucket == NULL ? NULL : slot_row(slot_load(&bucket->slots[slot]));
}

/* The first row at or behind bucket `idx`, round the end. The table is not empty. */
static const struct row *first_row(const struct keydir *dir, uint64_t idx)
{
    uint64_t count = table_bucket_count(dir);
    for (uint64_t i = 0; i < count; i++) {
        const struct bucket *head = table_bucket(dir, (idx + i) % count);
        struct gathered gathered;
        gather(&gathered, head);
        if (gathered.count > 0)
            return gathered.rows[0];
    }
    UNREACHABLE("row_count says that there is a row");
}

/* Throws darts at the slots of all chains, each chain taken as if it had RANDOM_SLOTS of them,
 * until one hits: all rows are equally likely, but for those so far down a chain as hardly ever
 * happens. */
const struct row *keydir_random(const struct keydir *dir, uint64_t chance)
{
    if (keydir_count(dir) == 0)
        return NULL;
    uint64_t bucket_count = table_bucket_count(dir);
    uint64_t slots = counter_get(&dir->overflow_count) == 0 ? BUCKET_SLOTS : RANDOM_SLOTS;
    for (uint64_t i = 0; i < RANDOM_TRIES; i++) {
        uint64_t dart = hash_mix(chance, i);
        const struct bucket *head = table_bucket(dir, (dart >> 32) * bucket_count >> 32);
        const struct row *row = chain_slot(head, (dart & UINT32_MAX) * slots >> 32);
        if (row != NULL)
            return row;
    }
    return first_row(dir, chance % bucket_count);
}
