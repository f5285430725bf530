/* SPDX-License-Identifier: Apache-2.0 */
/* message: what members of a group say to each other, free of the library's types.
 *
 * The encoded form on the wire comes with the peers' transport; a simulation passes structs.
 */
#ifndef CONSENSUS_MESSAGE_H
#define CONSENSUS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "seglog/frame.h"

enum consensus_message_type {
    MESSAGE_APPEND_ENTRIES = 1,
    MESSAGE_APPEND_ENTRIES_RESULT,
    MESSAGE_REQUEST_VOTE,
    MESSAGE_REQUEST_VOTE_RESULT,
    MESSAGE_INSTALL_SNAPSHOT,
    MESSAGE_TIMEOUT_NOW
};

struct consensus_message {
    enum consensus_message_type type;
    uint64_t from_id;
    uint64_t term;
    union {
        struct {
            uint64_t prev_index;
            uint64_t prev_term;
            uint64_t leader_commit;
            const struct log_entry *entries; /* ascending from prev_index + 1 */
            uint32_t entry_count;
        } append;
        struct {
            uint64_t rejected; /* index, 0: accepted */
            uint64_t last_index;
            uint16_t features;
            uint16_t capacity;
        } append_result;
        struct {
            uint64_t candidate_id;
            uint64_t last_index;
            uint64_t last_term;
            bool disrupt_leader;
            bool pre_vote;
        } vote;
        struct {
            bool granted;
            bool pre_vote;
            uint16_t features;
            uint16_t capacity;
        } vote_result;
        struct {
            uint64_t last_index;
            uint64_t last_term;
            uint64_t configuration_index;
            struct slice configuration;
            struct slice data; /* a small description; files travel apart */
        } snapshot;
        struct {
            uint64_t last_index;
            uint64_t last_term;
        } timeout_now;
    };
};

#endif
