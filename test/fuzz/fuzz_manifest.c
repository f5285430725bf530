/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a manifest. Length and checksum are set right first, so that what lies
 * behind them is reached; whatever is accepted must be what the encoder would have written. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/manifest.h"
#include "support/fuzz.h"

#define MAX_SIZE    (64u * 1024)
#define PREFIX_SIZE 32

static void decode(struct slice bytes)
{
    struct manifest manifest;
    struct diag diag = {.text = ""};
    int rc = manifest_decode(bytes, &manifest, &diag);
    ASSERT(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
    ASSERT((rc == 0) == (diag.text[0] == '\0'));
    if (rc != 0)
        return;
    struct buf again = {0};
    manifest_encode(&manifest, &again);
    ASSERT(slice_eq(buf_slice(&again), bytes));
    buf_fini(&again);
    manifest_fini(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(slice_of(data, size));
    if (size < PREFIX_SIZE || size > MAX_SIZE)
        return 0;
    uint8_t *copy = mem_dup(data, size);
    put_u64(copy + 16, size);
    put_u64(copy + 24,
            hash_check2(slice_of(copy, 24), slice_of(copy + PREFIX_SIZE, size - PREFIX_SIZE)));
    decode(slice_of(copy, size));
    mem_free(copy);
    return 0;
}
