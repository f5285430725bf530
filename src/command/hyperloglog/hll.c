/* SPDX-License-Identifier: Apache-2.0 */
/* An element's hash is MurmurHash64A (Austin Appleby, public domain) with a seed of Redis's own:
 * its lowest 14 bits choose the register, the rank is one more than the zeros that follow. The
 * count is estimated from how many registers have each rank, as in Otmar Ertl, "New cardinality
 * estimation algorithms for HyperLogLog sketches" (2017), which needs no correction for small or
 * large counts.
 *
 * The estimate is stored with the value, so it has to be the same on every machine: IEEE doubles,
 * operations that are rounded exactly, none fused (this file is compiled so), none of libm but
 * sqrt().
 */
#include "command/hyperloglog/hll.h"

#include <math.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/hyperloglog/hll_internal.h"

#define ENCODING_OFF    4
#define CACHED_OFF      8
#define CACHED_IS_VOID  (UINT64_C(1) << 63)
#define ENCODING_DENSE  0
#define ENCODING_SPARSE 1

#define INDEX_BITS 14
#define RANK_BITS  (64 - INDEX_BITS)
#define HASH_SEED  UINT64_C(0xadc83b19)

/* ---- Header ---- */

bool hll_is_valid(struct slice value)
{
    return value.len >= HLL_HEADER_SIZE && memcmp(value.data, "HYLL", 4) == 0 &&
           value.data[ENCODING_OFF] <= ENCODING_SPARSE &&
           (value.data[ENCODING_OFF] == ENCODING_SPARSE || value.len == HLL_DENSE_SIZE);
}

bool hll_is_dense(struct slice value)
{
    return value.data[ENCODING_OFF] == ENCODING_DENSE;
}

void hll_init(struct buf *out)
{
    /* All registers are one run of zeros. */
    static const uint8_t empty[HLL_HEADER_SIZE + 2] = {
        'H', 'Y', 'L', 'L', ENCODING_SPARSE, [HLL_HEADER_SIZE] = 0x7f, 0xff};
    ASSERT(out->len == 0);
    buf_append(out, empty, sizeof(empty));
}

bool hll_cached(struct slice value, uint64_t *out_count)
{
    uint64_t word = get_u64(value.data + CACHED_OFF);
    if ((word & CACHED_IS_VOID) != 0)
        return false;
    *out_count = word;
    return true;
}

void hll_set_cached(struct buf *value, uint64_t count)
{
    put_u64(value->data + CACHED_OFF, count & ~CACHED_IS_VOID);
}

void hll_void_cached(struct buf *value)
{
    put_u64(value->data + CACHED_OFF, get_u64(value->data + CACHED_OFF) | CACHED_IS_VOID);
}

/* ---- Elements ---- */

static uint64_t murmur(struct slice bytes, uint64_t seed)
{
    const uint64_t factor = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t hash = seed ^ (bytes.len * factor);
    size_t at = 0;
    for (; at + 8 <= bytes.len; at += 8) {
        uint64_t word = get_u64(bytes.data + at) * factor;
        word = (word ^ word >> 47) * factor;
        hash = (hash ^ word) * factor;
    }
    if (at < bytes.len) {
        uint64_t rest = 0;
        for (size_t i = bytes.len; i > at; i--)
            rest = rest << 8 | bytes.data[i - 1];
        hash = (hash ^ rest) * factor;
    }
    hash = (hash ^ hash >> 47) * factor;
    return hash ^ hash >> 47;
}

struct hll_place hll_place_of(struct slice element)
{
    uint64_t hash = murmur(element, HASH_SEED);
    uint64_t above = hash >> INDEX_BITS | UINT64_C(1) << RANK_BITS;
    return (struct hll_place){.idx = (uint32_t)(hash % HLL_REGISTERS),
                              .rank = (uint8_t)(__builtin_ctzll(above) + 1)};
}

/* ---- Dense registers: the lowest bits of a byte first ---- */

static uint8_t dense_get(const uint8_t *registers, uint32_t idx)
{
    const uint8_t *at = registers + idx * 6 / 8;
    unsigned shift = idx * 6 % 8;
    unsigned word = *at;
    if (shift > 2)
        word |= (unsigned)at[1] << 8;
    return (uint8_t)(word >> shift & HLL_MAX_RANK);
}

static void dense_set(uint8_t *registers, uint32_t idx, uint8_t rank)
{
    uint8_t *at = registers + idx * 6 / 8;
    unsigned shift = idx * 6 % 8;
    at[0] = (uint8_t)((at[0] & ~((unsigned)HLL_MAX_RANK << shift)) | (unsigned)rank << shift);
    if (shift > 2)
        at[1] = (uint8_t)((at[1] & ~((unsigned)HLL_MAX_RANK >> (8 - shift))) |
                          (unsigned)rank >> (8 - shift));
}

static bool dense_raise(struct buf *value, struct hll_place place)
{
    uint8_t *registers = value->data + HLL_HEADER_SIZE;
    if (dense_get(registers, place.idx) >= place.rank)
        return false;
    dense_set(registers, place.idx, place.rank);
    return true;
}

/* ---- Both ---- */

static int merge_sparse(struct slice value, uint8_t *ranks)
{
    struct slice registers = slice_sub(value, HLL_HEADER_SIZE, SIZE_MAX);
    struct hll_run run;
    uint32_t idx = 0;
    size_t at = 0;
    for (; hll_run_decode(registers, at, &run); at += run.size) {
        if (run.count > HLL_REGISTERS - idx)
            return ERR_CORRUPT;
        for (uint32_t end = idx + run.count; idx < end; idx++) {
            if (run.rank > ranks[idx])
                ranks[idx] = run.rank;
        }
    }
    return at == registers.len && idx == HLL_REGISTERS ? 0 : ERR_CORRUPT;
}

int hll_merge(struct slice value, uint8_t *ranks)
{
    ASSERT(hll_is_valid(value));
    if (!hll_is_dense(value))
        return merge_sparse(value, ranks);
    for (uint32_t i = 0; i < HLL_REGISTERS; i++) {
        uint8_t rank = dense_get(value.data + HLL_HEADER_SIZE, i);
        if (rank > ranks[i])
            ranks[i] = rank;
    }
    return 0;
}

/* Replaces all registers. */
static void put_dense(struct buf *value, const uint8_t *ranks)
{
    value->len = HLL_HEADER_SIZE;
    value->data[ENCODING_OFF] = ENCODING_DENSE;
    uint8_t *registers = buf_extend(value, HLL_DENSE_SIZE - HLL_HEADER_SIZE);
    memset(registers, 0, HLL_DENSE_SIZE - HLL_HEADER_SIZE);
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        dense_set(registers, i, ranks[i]);
}

int hll_make_dense(struct buf *value)
{
    ASSERT(hll_is_valid(buf_slice(value)));
    if (hll_is_dense(buf_slice(value)))
        return 0;
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    int rc = merge_sparse(buf_slice(value), ranks);
    if (rc == 0)
        put_dense(value, ranks);
    mem_free(ranks);
    return rc;
}

int hll_raise(struct buf *value, struct hll_place place, bool *out_changed)
{
    ASSERT(place.idx < HLL_REGISTERS && place.rank <= HLL_MAX_RANK);
    if (!hll_is_dense(buf_slice(value))) {
        bool must_be_dense;
        int rc = hll_sparse_raise(value, place, out_changed, &must_be_dense);
        if (rc == 0 && must_be_dense)
            rc = hll_make_dense(value);
        if (rc != 0 || !must_be_dense)
            return rc;
    }
    *out_changed = dense_raise(value, place);
    return 0;
}

/* ---- Estimating ---- */

/* x + x^2 + 2 x^4 + 4 x^8 + ..., for the share of registers that are zero; not for 1. */
static double sigma(double x)
{
    double factor = 1;
    double sum = x;
    double before;
    do {
        x *= x;
        before = sum;
        sum += x * factor;
        factor += factor;
    } while (sum != before);
    return sum;
}

/* (1 - x - (1 - x^(1/2))^2 / 2 - (1 - x^(1/4))^2 / 4 - ...) / 3, for the share of registers that
 * are not full. */
static double tau(double x)
{
    if (x == 0 || x == 1)
        return 0;
    double factor = 1;
    double sum = 1 - x;
    double before;
    do {
        x = sqrt(x);
        before = sum;
        factor *= 0.5;
        sum -= (1 - x) * (1 - x) * factor;
    } while (sum != before);
    return sum / 3;
}

uint64_t hll_estimate(const uint8_t *ranks)
{
    const double half_over_ln_2 = 0.721347520444481703680;
    const double count = HLL_REGISTERS;
    uint32_t with_rank[HLL_MAX_RANK + 1] = {0};
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        with_rank[ranks[i]]++;
    if (with_rank[0] == HLL_REGISTERS)
        return 0;
    double sum = count * tau((count - with_rank[RANK_BITS + 1]) / count);
    for (unsigned rank = RANK_BITS; rank >= 1; rank--)
        sum = (sum + with_rank[rank]) * 0.5;
    sum += count * sigma(with_rank[0] / count);
    double estimate = half_over_ln_2 * count * count / sum;
    /* Registers that no elements have may be anything: all above the highest rank add up to 0. */
    return estimate < 0x1p62 ? (uint64_t)llround(estimate) : (uint64_t)INT64_MAX;
}

/* ---- For people ---- */

int hll_describe(struct slice value, struct buf *out)
{
    static const char *const names[] = {[HLL_ZERO] = "z", [HLL_XZERO] = "Z", [HLL_VALUE] = "v"};
    struct slice registers = slice_sub(value, HLL_HEADER_SIZE, SIZE_MAX);
    struct hll_run run;
    size_t at = 0;
    for (; hll_run_decode(registers, at, &run); at += run.size) {
        buf_append_format(out, "%s%s:", at == 0 ? "" : " ", names[run.kind]);
        if (run.kind == HLL_VALUE)
            buf_append_format(out, "%u,", run.rank);
        buf_append_format(out, "%u", run.count);
    }
    return at == registers.len ? 0 : ERR_CORRUPT;
}
