/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a configuration: refused, or one that the library can be given and that has no other
 * encoded form. */
#include "support/fuzz.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "consensus/configuration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct configuration conf;
    struct buf again = {0};
    /* A copy of just this size, so that a read beyond its end is seen. */
    uint8_t *copy = mem_dup(data, size);
    if (configuration_parse(slice_of(copy, size), &conf) == 0) {
        struct raft_configuration theirs = configuration_to_raft(slice_of(copy, size));
        ASSERT(theirs.n == conf.count && conf.voter_count <= conf.count);
        raft_configuration_close(&theirs);
        int rc = consensus_encode_configuration(conf.members, conf.count, &again);
        ASSERT(rc == 0 && slice_eq(buf_slice(&again), slice_of(copy, size)));
        ASSERT(!configuration_is_one_step(&conf, &conf));
    }
    buf_fini(&again);
    mem_free(copy);
    return 0;
}
