/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from hostile clients. The first byte chooses the limits, the second how the rest is
 * cut; the cut feeding must give exactly what the whole feeding gives. */
#include <stdlib.h>

#include "base/assert.h"
#include "support/fuzz.h"
#include "support/respfeed.h"

static const struct resp_limits limits[] = {
    RESP_LIMITS_DEFAULT,
    {.max_bulk_size = 20, .max_args = 4, .max_inline_size = 12},
    {.max_bulk_size = 1 << 20, .max_args = 64, .max_inline_size = 40, .is_unauthenticated = true},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 8192)
        return 0;
    const struct resp_limits *used = &limits[data[0] % ARRAY_COUNT(limits)];
    size_t step = data[1] % 32 + 1u;
    struct slice bytes = slice_of(data + 2, size - 2);
    struct buf whole = respfeed(used, bytes, NULL, 0);
    size_t count = bytes.len / step;
    size_t *cuts = malloc((count + 1) * sizeof(*cuts));
    for (size_t i = 0; i < count; i++)
        cuts[i] = (i + 1) * step;
    struct buf cut = respfeed(used, bytes, cuts, count);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    free(cuts);
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
