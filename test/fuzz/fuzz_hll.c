/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile HyperLogLogs: the input is a value that somebody has SET. What can be merged has
 * registers, and raising one of them raises that one alone, in either encoding; what cannot stays
 * refused. */
#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/hyperloglog/hll.h"
#include "support/fuzz.h"

#define MAX_SIZE (HLL_DENSE_SIZE + 64)

/* 0 or ERR_CORRUPT; the ranks are all zero before. */
static int ranks_of(struct slice value, uint8_t *ranks)
{
    memset(ranks, 0, HLL_REGISTERS);
    return hll_merge(value, ranks);
}

static void raise_one(struct buf *value, struct hll_place place, uint8_t *want, uint8_t *got)
{
    bool is_sound = ranks_of(buf_slice(value), want) == 0;
    bool is_raised = false;
    int rc = hll_raise(value, place, &is_raised);
    ASSERT(rc == 0 || rc == ERR_CORRUPT);
    ASSERT(hll_is_valid(buf_slice(value)));
    if (!is_sound)
        return;
    ASSERT(rc == 0 && is_raised == (place.rank > want[place.idx]));
    if (is_raised)
        want[place.idx] = place.rank;
    ASSERT(ranks_of(buf_slice(value), got) == 0 && memcmp(want, got, HLL_REGISTERS) == 0);
}

static void make_dense(struct buf *value, uint8_t *want, uint8_t *got)
{
    int rc = ranks_of(buf_slice(value), want);
    ASSERT(hll_make_dense(value) == rc);
    if (rc != 0)
        return;
    ASSERT(hll_is_dense(buf_slice(value)) && value->len == HLL_DENSE_SIZE);
    ASSERT(ranks_of(buf_slice(value), got) == 0 && memcmp(want, got, HLL_REGISTERS) == 0);
    ASSERT(hll_estimate(got) <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    if (size > MAX_SIZE || !hll_is_valid(input))
        return 0;
    struct buf value = {0};
    struct buf text = {0};
    uint8_t *want = mem_calloc(HLL_REGISTERS, 1);
    uint8_t *got = mem_calloc(HLL_REGISTERS, 1);
    buf_append_slice(&value, input);
    if (!hll_is_dense(input)) {
        int rc = hll_describe(input, &text);
        ASSERT(rc == 0 || rc == ERR_CORRUPT);
    }
    for (size_t i = 0; i + 3 <= size && i < 24; i += 3) {
        uint32_t idx = (uint32_t)(data[size - i - 1] << 8 | data[size - i - 2]);
        raise_one(&value,
                  (struct hll_place){.idx = idx % HLL_REGISTERS,
                                     .rank = (uint8_t)(data[size - i - 3] % HLL_MAX_RANK + 1)},
                  want, got);
    }
    make_dense(&value, want, got);
    mem_free(want);
    mem_free(got);
    buf_fini(&value);
    buf_fini(&text);
    return 0;
}
