/* SPDX-License-Identifier: Apache-2.0 */
/* Replies from hostile peers: never beyond the end, and the length found is the one that counts:
 * it stays when more follows, and nothing shorter is whole. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/slice.h"
#include "resp/reply.h"
#include "support/fuzz.h"

static size_t skip_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (size > 0)
        memcpy(copy, data, size);
    size_t len = reply_skip(slice_of(copy, size));
    free(copy);
    ASSERT(len <= size);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = skip_copy(data, size);
    if (len == 0)
        return 0;
    ASSERT(skip_copy(data, len) == len);
    ASSERT(skip_copy(data, len - 1) == 0);
    ASSERT(skip_copy(data, len / 2) == 0);
    return 0;
}
