/* SPDX-License-Identifier: Apache-2.0 */
/* peer: what the other members would say to a member under test, made by hand. The member is
 * number 1 of its group; 2 and 3 speak. */
#ifndef SUPPORT_PEER_H
#define SUPPORT_PEER_H

#include "support/member.h"

/* An entry to be sent. */
struct sketch {
    uint64_t term;
    enum entry_type type; /* 0: a COMMAND that holds its own index */
    struct buf configuration;
};

/* Starts `member` as number 1 of a group of so many voters, its first entry covered by a
 * checkpoint. Alone it leads, otherwise it follows. */
void peer_make(struct member *member, struct simclock *clock, unsigned voters);

/* Starts it again, says why if that fails, and settles. */
void peer_start(struct member *member);

int peer_say(struct member *member, struct consensus_message message);

/* AppendEntries with `count` entries behind prev. */
int peer_append(struct member *member, uint64_t from, uint64_t term, struct log_entry prev,
                uint64_t commit, const struct sketch *sketches, uint32_t count);

/* The same with `count` commands of the message's term. */
int peer_commands(struct member *member, uint64_t from, uint64_t term, struct log_entry prev,
                  uint64_t commit, uint32_t count);

/* For prev. */
struct log_entry behind(uint64_t index, uint64_t term);

/* RequestVote, allowed to disturb a leader. */
int peer_ask_vote(struct member *member, uint64_t from, uint64_t term, uint64_t last_index,
                  uint64_t last_term);
int peer_grant(struct member *member, uint64_t from, uint64_t term, bool pre_vote);
int peer_acknowledge(struct member *member, uint64_t from, uint64_t term, uint64_t last_index);
int peer_refuse(struct member *member, uint64_t from, uint64_t term, uint64_t rejected,
                uint64_t last_index);

/* Runs until it has sent such a message. */
void peer_await(struct member *member, enum consensus_message_type type);

/* Lets it win an election with the vote of 2, and drops the mail. */
void peer_elect(struct member *member);

/* Its newest AppendEntries result. */
const struct consensus_message *peer_answer(const struct member *member);

#endif
