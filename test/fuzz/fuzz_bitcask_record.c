/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a record. The check is set right first, so that what lies behind it is
 * reached; whatever is accepted must be what the encoder would have written. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bitcask/record.h"
#include "support/fuzz.h"

#define MAX_SIZE (128u * 1024)

static const struct record_place place = {.uid = 0x1122334455667788, .off = 8152};

static void assert_fixed_point(const struct record *record, struct slice bytes)
{
    struct buf again = {0};
    record_encode(record, place, &again);
    ASSERT(slice_eq(buf_slice(&again), bytes));
    buf_fini(&again);
}

static void decode(struct slice bytes)
{
    struct record record;
    size_t size;
    if (record_claim(bytes, place.off, &record, &size))
        ASSERT(size == record_size(&record) && record.key.len <= bytes.len);
    int rc = record_decode(bytes, place, &record, &size);
    ASSERT(rc == 0 || rc == ERR_CORRUPT || rc == ERR_TORN);
    if (rc == ERR_TORN)
        ASSERT(bytes.len < RECORD_FIXED_SIZE ? size == 0 : size > bytes.len);
    if (rc == 0) {
        ASSERT(size <= bytes.len && size == record_size(&record));
        assert_fixed_point(&record, slice_of(bytes.data, size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(slice_of(data, size));
    if (size < RECORD_FIXED_SIZE || size > MAX_SIZE)
        return 0;
    uint8_t *copy = mem_dup(data, size);
    put_u64(copy, hash_check(slice_of(copy + 8, size - 8)) ^ hash_mix(place.uid, place.off));
    decode(slice_of(copy, size));
    mem_free(copy);
    return 0;
}
