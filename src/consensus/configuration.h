/* SPDX-License-Identifier: Apache-2.0 */
/* configuration: who is a member of the group, encoded and parsed.
 *
 * The encoded form is libraft's own. Its decoder trusts its input, so every configuration that
 * comes from disk, manifest or peer passes configuration_parse() before the library sees it (C9).
 */
#ifndef CONSENSUS_CONFIGURATION_H
#define CONSENSUS_CONFIGURATION_H

#include <stdbool.h>
#include <stdint.h>

#include <raft.h>

#include "base/slice.h"
#include "consensus/consensus.h"

struct configuration {
    unsigned count;
    unsigned voter_count;
    /* Addresses are borrowed from the bytes parsed. */
    struct consensus_member members[CONSENSUS_MEMBERS_MAX];
};

/* ERR_FORMAT unless the bytes are exactly what consensus_encode_configuration() would write. */
MUST_CHECK
int configuration_parse(struct slice encoded, struct configuration *out);

/* The same as the library's struct, to be closed by it. `encoded` has been parsed before. */
struct raft_configuration configuration_to_raft(struct slice encoded);

bool configuration_has(const struct configuration *conf, uint64_t id);
bool configuration_is_voter(const struct configuration *conf, uint64_t id);

/* Is `id` a voter and the only one? */
bool configuration_is_sole_voter(const struct configuration *conf, uint64_t id);

/* Does `to` differ from `from` by one member added at the end, removed, or in another role? */
bool configuration_is_one_step(const struct configuration *from, const struct configuration *to);

#endif
