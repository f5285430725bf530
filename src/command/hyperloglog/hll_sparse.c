/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse registers: runs of registers with one rank, one behind the other.
 *
 *   00nnnnnn            ZERO    n + 1 registers (1 .. 64) of rank 0
 *   01nnnnnn nnnnnnnn   XZERO   n + 1 registers (1 .. 16384) of rank 0, high bits first
 *   1rrrrrnn            VALUE   n + 1 registers (1 .. 4) of rank r + 1 (1 .. 32)
 *
 * Raising a register splits the run that it is in: what lies in front, the register, what lies
 * behind. Then equal runs are joined, but only within five runs from the one in front of the
 * place, and only values: Redis stops there too, and the bytes have to be the same.
 */
#include "command/hyperloglog/hll_internal.h"

#include "base/assert.h"
#include "base/err.h"

#define ZERO_MAX_COUNT  64
#define VALUE_MAX_COUNT 4
#define VALUE_MAX_RANK  32
#define SPLIT_MAX_SIZE  5 /* XZERO VALUE XZERO */
#define JOIN_RUNS       5

bool hll_run_decode(struct slice registers, size_t at, struct hll_run *out)
{
    if (at >= registers.len)
        return false;
    unsigned byte = registers.data[at];
    *out = (struct hll_run){.size = 1};
    if ((byte & 0x80) != 0) {
        out->kind = HLL_VALUE;
        out->rank = (uint8_t)((byte >> 2 & 31) + 1);
        out->count = (byte & 3) + 1;
        return true;
    }
    out->kind = (byte & 0x40) != 0 ? HLL_XZERO : HLL_ZERO;
    out->count = (byte & 63) + 1;
    if (out->kind == HLL_ZERO)
        return true;
    if (registers.len - at < 2)
        return false;
    out->size = 2;
    out->count = ((byte & 63) << 8 | registers.data[at + 1]) + 1;
    return true;
}

/* ---- Encoding ---- */

static size_t put_zeros(uint8_t *to, uint32_t count)
{
    uint32_t n = count - 1;
    if (count <= ZERO_MAX_COUNT) {
        to[0] = (uint8_t)n;
        return 1;
    }
    to[0] = (uint8_t)(0x40 | n >> 8);
    to[1] = (uint8_t)n;
    return 2;
}

static size_t put_value(uint8_t *to, uint8_t rank, uint32_t count)
{
    to[0] = (uint8_t)(0x80u | (rank - 1u) << 2 | (count - 1u));
    return 1;
}

/* `count` registers as they are in `run`; none for 0. */
static size_t put_rest(uint8_t *to, const struct hll_run *run, uint32_t count)
{
    if (count == 0)
        return 0;
    return run->kind == HLL_VALUE ? put_value(to, run->rank, count) : put_zeros(to, count);
}

/* ---- Raising ---- */

/* A run and where it is. */
struct spot {
    struct hll_run run;
    size_t at;
    size_t before;  /* where the run in front of it is; the same as `at` for the first */
    uint32_t first; /* its first register */
};

/* Finds the run that register `idx` is in. False if there is none. */
static bool find_spot(struct slice registers, uint32_t idx, struct spot *out)
{
    *out = (struct spot){.at = 0};
    while (hll_run_decode(registers, out->at, &out->run)) {
        if (idx < out->first + out->run.count)
            return true;
        out->before = out->at;
        out->at += out->run.size;
        out->first += out->run.count;
    }
    return false;
}

/* Puts `size` bytes in the place of the `old_size` at `at`. */
static void replace(struct buf *value, size_t at, size_t old_size, const uint8_t *bytes,
                    size_t size)
{
    size_t behind = value->len - at - old_size;
    if (size > old_size)
        buf_extend(value, size - old_size);
    memmove(value->data + at + size, value->data + at + old_size, behind);
    memcpy(value->data + at, bytes, size);
    value->len = at + size + behind;
}

/* Joins equal values from `at` on. */
static void join(struct buf *value, size_t at)
{
    for (int left = JOIN_RUNS; left > 0; left--) {
        struct hll_run run;
        struct hll_run next;
        if (!hll_run_decode(buf_slice(value), at, &run))
            return;
        uint8_t joined;
        if (run.kind == HLL_VALUE && hll_run_decode(buf_slice(value), at + 1, &next) &&
            next.kind == HLL_VALUE && next.rank == run.rank &&
            run.count + next.count <= VALUE_MAX_COUNT) {
            put_value(&joined, run.rank, run.count + next.count);
            replace(value, at, 2, &joined, 1); /* and once more with what is behind it now */
        } else {
            at += run.size;
        }
    }
}

int hll_sparse_raise(struct buf *value, struct hll_place place, bool *out_changed, bool *out_dense)
{
    *out_changed = false;
    *out_dense = place.rank > VALUE_MAX_RANK;
    if (*out_dense)
        return 0;
    struct spot spot;
    if (!find_spot(slice_sub(buf_slice(value), HLL_HEADER_SIZE, SIZE_MAX), place.idx, &spot))
        return ERR_CORRUPT;
    if (spot.run.rank >= place.rank)
        return 0;
    uint8_t split[SPLIT_MAX_SIZE];
    size_t size = put_rest(split, &spot.run, place.idx - spot.first);
    size += put_value(split + size, place.rank, 1);
    size += put_rest(split + size, &spot.run, spot.first + spot.run.count - 1 - place.idx);
    ASSERT(size <= sizeof(split));
    *out_dense = size > spot.run.size && value->len + size - spot.run.size > HLL_SPARSE_MAX_SIZE;
    if (*out_dense)
        return 0;
    replace(value, HLL_HEADER_SIZE + spot.at, spot.run.size, split, size);
    join(value, HLL_HEADER_SIZE + spot.before);
    *out_changed = true;
    return 0;
}
