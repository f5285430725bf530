/* SPDX-License-Identifier: Apache-2.0 */
#include "support/peer.h"

#include "base/bytes.h"
#include "support/cmocka.h"

#define ENTRIES_MAX 128
#define TICK_MS     10
#define TICKS_MAX   1000

int peer_say(struct member *member, struct consensus_message message)
{
    return consensus_receive(member->consensus, &message);
}

struct log_entry behind(uint64_t index, uint64_t term)
{
    return (struct log_entry){.index = index, .term = term};
}

int peer_append(struct member *member, uint64_t from, uint64_t term, struct log_entry prev,
                uint64_t commit, const struct sketch *sketches, uint32_t count)
{
    struct log_entry entries[ENTRIES_MAX] = {0};
    uint8_t payloads[ENTRIES_MAX][8];
    assert_true(count <= ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        put_u64(payloads[i], prev.index + 1 + i);
        entries[i] = (struct log_entry){
            .index = prev.index + 1 + i,
            .term = sketches[i].term,
            .type = sketches[i].type == 0 ? ENTRY_COMMAND : sketches[i].type,
            .payload = slice_of(payloads[i], 8),
        };
        if (entries[i].type == ENTRY_CHANGE)
            entries[i].payload = buf_slice(&sketches[i].configuration);
    }
    return peer_say(member, (struct consensus_message){
                                .type = MESSAGE_APPEND_ENTRIES,
                                .from_id = from,
                                .term = term,
                                .append.prev_index = prev.index,
                                .append.prev_term = prev.term,
                                .append.leader_commit = commit,
                                .append.entries = entries,
                                .append.entry_count = count,
                            });
}

int peer_commands(struct member *member, uint64_t from, uint64_t term, struct log_entry prev,
                  uint64_t commit, uint32_t count)
{
    struct sketch sketches[ENTRIES_MAX] = {0};
    for (uint32_t i = 0; i < count; i++)
        sketches[i].term = term;
    return peer_append(member, from, term, prev, commit, sketches, count);
}

int peer_ask_vote(struct member *member, uint64_t from, uint64_t term, uint64_t last_index,
                  uint64_t last_term)
{
    return peer_say(member, (struct consensus_message){
                                .type = MESSAGE_REQUEST_VOTE,
                                .from_id = from,
                                .term = term,
                                .vote.candidate_id = from,
                                .vote.last_index = last_index,
                                .vote.last_term = last_term,
                                .vote.disrupt_leader = true,
                            });
}

int peer_grant(struct member *member, uint64_t from, uint64_t term, bool pre_vote)
{
    return peer_say(member, (struct consensus_message){
                                .type = MESSAGE_REQUEST_VOTE_RESULT,
                                .from_id = from,
                                .term = term,
                                .vote_result.granted = true,
                                .vote_result.pre_vote = pre_vote,
                            });
}

int peer_refuse(struct member *member, uint64_t from, uint64_t term, uint64_t rejected,
                uint64_t last_index)
{
    return peer_say(member, (struct consensus_message){
                                .type = MESSAGE_APPEND_ENTRIES_RESULT,
                                .from_id = from,
                                .term = term,
                                .append_result.rejected = rejected,
                                .append_result.last_index = last_index,
                            });
}

int peer_acknowledge(struct member *member, uint64_t from, uint64_t term, uint64_t last_index)
{
    return peer_refuse(member, from, term, 0, last_index);
}

const struct consensus_message *peer_answer(const struct member *member)
{
    const struct consensus_message *message =
        member_find_mail(member, MESSAGE_APPEND_ENTRIES_RESULT);
    assert_non_null(message);
    return message;
}

void peer_start(struct member *member)
{
    int rc = member_start(member);
    if (rc != 0)
        print_message("%s\n", member->diag.text);
    assert_int_equal(rc, 0);
    member_settle(member);
}

void peer_make(struct member *member, struct simclock *clock, unsigned voters)
{
    simclock_init(clock, 1000000);
    member_init(member, 1, clock, 1);
    member->cache_bytes = 1 << 20;
    member_set_voters(member, voters);
    peer_start(member);
    assert_int_equal(member->handed_count, 1);
    member_checkpoint(member);
    member_stop(member);
    peer_start(member);
    assert_int_equal(member->handed_count, 0);
    assert_int_equal(consensus_role(member->consensus), voters == 1 ? ROLE_LEADER : ROLE_FOLLOWER);
}

void peer_await(struct member *member, enum consensus_message_type type)
{
    for (int i = 0; i < TICKS_MAX && member_find_mail(member, type) == NULL; i++)
        member_run(member, TICK_MS);
    assert_non_null(member_find_mail(member, type));
}

void peer_elect(struct member *member)
{
    mail_drop(&member->outbox);
    peer_await(member, MESSAGE_REQUEST_VOTE);
    uint64_t term = consensus_term(member->consensus) + 1;
    assert_true(member_find_mail(member, MESSAGE_REQUEST_VOTE)->vote.pre_vote);
    assert_int_equal(member_find_mail(member, MESSAGE_REQUEST_VOTE)->term, term);
    mail_drop(&member->outbox);
    assert_int_equal(peer_grant(member, 2, term, true), 0);
    peer_await(member, MESSAGE_REQUEST_VOTE);
    assert_false(member_find_mail(member, MESSAGE_REQUEST_VOTE)->vote.pre_vote);
    assert_int_equal(consensus_term(member->consensus), term);
    assert_int_equal(peer_grant(member, 2, term, false), 0);
    assert_int_equal(consensus_role(member->consensus), ROLE_LEADER);
    member_settle(member);
    mail_drop(&member->outbox);
}
