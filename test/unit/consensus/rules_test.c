/* SPDX-License-Identifier: Apache-2.0 */
/* The rules A to H against the known defects of the library, by their letters, and what else holds
 * between members; the peers' messages are made by hand. */
#include "consensus/consensus.h"

#include "base/bytes.h"
#include "base/err.h"
#include "consensus/consensus_internal.h"
#include "support/cmocka.h"
#include "support/peer.h"

static struct simclock clock_of_test;

static void drop_mail(struct member *m)
{
    mail_drop(&m->outbox);
}

static bool has_member(const struct member *m, uint64_t id)
{
    return configuration_has(&m->consensus->members, id);
}

static void rule_a_change_waits_for_an_entry_of_the_leaders_term(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    struct buf four = member_configuration(4, 1);
    uint64_t index;
    /* The core itself would take it. */
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 3);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(peer_acknowledge(&m, 2, term, 2), 0);
    member_settle(&m);
    assert_int_equal(member_last(&m).type, ENTRY_BARRIER);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), 0);
    assert_int_equal(index, 3);
    assert_true(has_member(&m, 4));
    /* One at a time. */
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    member_settle(&m);
    assert_int_equal(peer_acknowledge(&m, 2, term, 3), 0);
    member_settle(&m);
    assert_int_equal(member_last(&m).type, ENTRY_CHANGE);
    uint64_t configuration_index;
    assert_true(
        slice_eq(consensus_configuration(m.consensus, &configuration_index), buf_slice(&four)));
    assert_int_equal(configuration_index, 3);
    buf_fini(&four);
    member_fini(&m);
}

static void only_one_step_of_change_is_taken(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 1);
    struct buf three = member_configuration(3, 2);
    struct buf two = member_configuration(2, 1);
    uint64_t index;
    assert_int_equal(consensus_change(m.consensus, buf_slice(&three), &index), ERR_INVALID);
    assert_int_equal(consensus_change(m.consensus, SLICE_EMPTY, &index), ERR_INVALID);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&two), &index), ERR_AGAIN);
    member_settle(&m);
    /* Long alone: that nobody has answered meanwhile is not held against it. */
    simclock_advance(&clock_of_test, 100000);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&two), &index), 0);
    member_settle(&m);
    assert_int_equal(member_last(&m).type, ENTRY_CHANGE);
    assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
    assert_true(consensus_is_single_voter(m.consensus));
    struct buf voters = member_configuration(2, 0);
    struct buf third = member_configuration(3, 0);
    /* Nobody begins as a voter, or becomes one without knowing that it is a member. */
    assert_int_equal(consensus_change(m.consensus, buf_slice(&third), &index), ERR_INVALID);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&voters), &index), ERR_AGAIN);
    assert_int_equal(peer_acknowledge(&m, 2, consensus_term(m.consensus), index), 0);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&voters), &index), 0);
    buf_fini(&third);
    assert_false(consensus_is_single_voter(m.consensus));
    member_settle(&m);
    assert_int_not_equal(member_last(&m).index, index);
    assert_int_equal(peer_acknowledge(&m, 2, consensus_term(m.consensus), index), 0);
    member_settle(&m);
    assert_int_equal(member_last(&m).index, index);
    buf_fini(&voters);
    buf_fini(&two);
    buf_fini(&three);
    member_fini(&m);
}

static void rule_b_sole_voter_starts_in_a_new_term(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 1);
    uint64_t term = consensus_term(m.consensus);
    for (uint64_t i = 1; i <= 5; i++) {
        member_crash(&m, i);
        assert_int_equal(member_start(&m), 0);
        simdisk_hold(m.disk, true);
        /* It does not lead before that term is durable. */
        for (int j = 0; j < 3; j++)
            member_step(&m);
        assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
        simdisk_hold(m.disk, false);
        member_settle(&m);
        assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
        assert_int_equal(consensus_term(m.consensus), term + i);
        member_stop(&m);
        assert_int_equal(member_start(&m), 0);
        assert_int_equal(m.found.term, term + i);
        assert_int_equal(m.found.vote, 1);
        term++;
        member_settle(&m);
    }
    member_fini(&m);
}

static void rule_b_last_voter_left_takes_a_new_term_to_lead(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 2);
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    change.configuration = member_configuration(1, 0);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, &change, 1), 0);
    member_settle(&m);
    assert_true(consensus_is_single_voter(m.consensus));
    assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
    assert_int_equal(consensus_term(m.consensus), 3);
    /* The old leader, still leading in term 3, hands over: not in its own term. */
    assert_int_equal(peer_say(&m, (struct consensus_message){.type = MESSAGE_TIMEOUT_NOW,
                                                             .from_id = 2,
                                                             .term = 3,
                                                             .timeout_now.last_index = 2,
                                                             .timeout_now.last_term = 3}),
                     ERR_PROTOCOL);
    member_run(&m, 2500);
    assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
    assert_int_equal(consensus_term(m.consensus), 4);
    assert_int_equal(member_last(&m).index, 2);
    member_stop(&m);
    assert_int_equal(member_start(&m), 0);
    assert_int_equal(m.found.term, 4);
    assert_int_equal(m.found.vote, 1);
    buf_fini(&change.configuration);
    member_fini(&m);
}

static void rule_b_sole_voter_takes_nothing_over_in_anothers_term(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 2);
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    change.configuration = member_configuration(2, 1);
    struct consensus_member members[2] = {{1, "node-1", MEMBER_VOTER}, {2, "node-2", MEMBER_SPARE}};
    buf_fini(&change.configuration);
    assert_int_equal(consensus_encode_configuration(members, 2, &change.configuration), 0);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, &change, 1), 0);
    member_settle(&m);
    assert_true(consensus_is_single_voter(m.consensus));
    assert_int_equal(peer_say(&m, (struct consensus_message){.type = MESSAGE_TIMEOUT_NOW,
                                                             .from_id = 2,
                                                             .term = 3,
                                                             .timeout_now.last_index = 2,
                                                             .timeout_now.last_term = 3}),
                     0);
    assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
    member_run(&m, 2500);
    assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
    assert_int_equal(consensus_term(m.consensus), 4);
    buf_fini(&change.configuration);
    member_fini(&m);
}

static void entries_of_a_new_term_leave_only_when_it_is_durable(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 2);
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    change.configuration = member_configuration(2, 1);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, &change, 1), 0);
    member_settle(&m);
    drop_mail(&m);
    simdisk_hold(m.disk, true);
    for (int i = 0; i < 300 && consensus_role(m.consensus) != ROLE_LEADER; i++) {
        simclock_advance(&clock_of_test, 10);
        member_step(&m);
    }
    assert_int_equal(consensus_term(m.consensus), 4);
    for (int i = 0; i < 3; i++)
        member_step(&m);
    assert_null(member_take_mail(&m));
    simdisk_hold(m.disk, false);
    member_settle(&m);
    assert_non_null(member_find_mail(&m, MESSAGE_APPEND_ENTRIES));
    buf_fini(&change.configuration);
    member_fini(&m);
}

static void rule_c_what_the_checkpoint_covers_is_taken_off(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 6, 5), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 5);
    member_checkpoint(&m);
    drop_mail(&m);
    /* From the beginning of all things, up to what is new. */
    struct sketch sketches[8];
    for (int i = 0; i < 8; i++)
        sketches[i] = (struct sketch){.term = i == 0 ? 1 : 3};
    assert_int_equal(peer_append(&m, 2, 3, behind(0, 0), 8, sketches, 8), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(m.handed_count, 7);
    assert_int_equal(m.handed[5].value, 7);
    assert_int_equal(m.handed[6].value, 8);
    assert_int_equal(peer_answer(&m)->append_result.last_index, 8);
    drop_mail(&m);
    /* All of it old. */
    assert_int_equal(peer_append(&m, 2, 3, behind(0, 0), 8, sketches, 3), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(peer_answer(&m)->append_result.rejected, 0);
    assert_int_equal(peer_answer(&m)->append_result.last_index, 6);
    assert_int_equal(peer_commands(&m, 2, 3, behind(8, 3), 9, 1), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 8);
    assert_false(m.is_order_broken);
    /* The same where the start has put the core behind the checkpoint. */
    member_stop(&m);
    peer_start(&m);
    assert_int_equal(peer_append(&m, 2, 3, behind(0, 0), 8, sketches, 8), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 10);
    assert_int_equal(m.handed_count, 2);
    member_fini(&m);
}

static void rule_d_change_amid_others_counts_from_its_own_index(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    struct sketch sketches[5] = {{.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}};
    sketches[2].type = ENTRY_CHANGE;
    sketches[2].configuration = member_configuration(4, 1);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, sketches, 5), 0);
    member_settle(&m);
    assert_true(has_member(&m, 4));
    assert_int_equal(m.consensus->raft.configuration_uncommitted_index, 4);
    /* Cut behind it, it stays; cut at it, it goes. */
    assert_int_equal(peer_commands(&m, 3, 4, behind(4, 3), 1, 1), 0);
    assert_true(has_member(&m, 4));
    assert_int_equal(peer_commands(&m, 3, 5, behind(3, 3), 1, 1), 0);
    assert_false(has_member(&m, 4));
    assert_int_equal(m.consensus->raft.configuration_uncommitted_index, 0);
    buf_fini(&sketches[2].configuration);
    member_fini(&m);
}

static void two_changes_in_a_message_are_told_apart(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    struct sketch sketches[3] = {
        {.term = 3, .type = ENTRY_CHANGE}, {.term = 3}, {.term = 3, .type = ENTRY_CHANGE}};
    sketches[0].configuration = member_configuration(4, 1);
    sketches[2].configuration = member_configuration(4, 0);
    /* That there is a second means that the first is committed, even if the leader does not know.
     */
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, sketches, 3), 0);
    member_settle(&m);
    assert_int_equal(m.consensus->members.voter_count, 4);
    /* Cut at the second, the first stays. */
    assert_int_equal(peer_commands(&m, 3, 5, behind(3, 3), 1, 1), 0);
    assert_int_equal(m.consensus->members.voter_count, 3);
    assert_true(has_member(&m, 4));
    buf_fini(&sketches[0].configuration);
    buf_fini(&sketches[2].configuration);
    member_fini(&m);
}

static void rule_d_leader_sends_a_change_first_in_its_message(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    /* As a follower it got a frame with a CHANGE behind others; as leader it sends that on. */
    struct sketch sketches[4] = {{.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}};
    sketches[1].type = ENTRY_CHANGE;
    sketches[1].configuration = member_configuration(4, 1);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, sketches, 4), 0);
    member_settle(&m);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(peer_say(&m, (struct consensus_message){.type = MESSAGE_APPEND_ENTRIES_RESULT,
                                                             .from_id = 3,
                                                             .term = term,
                                                             .append_result.rejected = 5,
                                                             .append_result.last_index = 1}),
                     0);
    member_settle(&m);
    uint64_t next = 2;
    unsigned messages = 0;
    for (struct mail *mail; (mail = member_take_mail(&m)) != NULL; mail_free(mail)) {
        if (mail->to != 3 || mail->message.type != MESSAGE_APPEND_ENTRIES)
            continue;
        assert_int_equal(mail->message.append.prev_index, next - 1);
        assert_int_equal(mail->message.append.prev_term, next == 2 ? 1 : 3);
        for (uint32_t i = 0; i < mail->message.append.entry_count; i++) {
            const struct log_entry *entry = &mail->entries[i];
            assert_int_equal(entry->index, next++);
            assert_true(entry->type != ENTRY_CHANGE || i == 0);
            if (entry->type == ENTRY_COMMAND)
                assert_int_equal(get_u64(entry->payload.data), entry->index);
        }
        messages++;
    }
    assert_int_equal(next, 7);
    assert_true(messages >= 2);
    buf_fini(&sketches[1].configuration);
    member_fini(&m);
}

static void rule_e_commit_never_goes_back(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 6, 5), 0);
    member_settle(&m);
    assert_int_equal(consensus_commit_index(m.consensus), 6);
    /* A probe that stands early in the log and knows of a later commit. */
    assert_int_equal(peer_commands(&m, 2, 3, behind(2, 3), 7, 0), 0);
    member_settle(&m);
    assert_true(m.consensus->raft.commit_index < 6);
    assert_int_equal(consensus_commit_index(m.consensus), 6);
    assert_int_equal(m.handed_count, 5);
    /* What is committed is not cut even now that the core has forgotten it. */
    assert_int_equal(peer_commands(&m, 3, 4, behind(4, 3), 7, 1), ERR_PROTOCOL);
    assert_int_equal(consensus_next_index(m.consensus), 7);
    assert_int_equal(peer_commands(&m, 2, 4, behind(6, 3), 7, 1), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 6);
    assert_false(m.is_order_broken);
    member_fini(&m);
}

static void rule_f_committed_entry_waits_until_it_is_durable_here(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 0), 0);
    member_settle(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 4, 3), 0);
    member_step(&m);
    assert_int_equal(consensus_commit_index(m.consensus), 4);
    assert_int_equal(m.handed_count, 0);
    while (simdisk_release(m.disk))
        member_step(&m);
    member_step(&m);
    assert_int_equal(m.handed_count, 3);
    member_fini(&m);
}

static void rule_h_answer_to_an_old_leader_carries_no_index(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 5, behind(1, 1), 1, 3), 0);
    member_settle(&m);
    drop_mail(&m);
    assert_int_equal(peer_commands(&m, 3, 4, behind(1, 1), 1, 3), 0);
    member_settle(&m);
    assert_int_equal(peer_answer(&m)->term, 5);
    assert_int_equal(peer_answer(&m)->append_result.rejected, 1);
    assert_int_equal(peer_answer(&m)->append_result.last_index, 0);
    assert_int_equal(consensus_term_of(m.consensus, 2), 5);
    member_fini(&m);
}

/* Keeps the leader in office with peer 3's help, for as long as it takes to give up on peer 2. */
static void lose_touch_with_2(struct member *m)
{
    uint64_t last = consensus_next_index(m->consensus) - 1;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(peer_acknowledge(m, 3, consensus_term(m->consensus), last), 0);
        member_run(m, 100);
    }
    assert_int_equal(consensus_role(m->consensus), ROLE_LEADER);
    drop_mail(m);
}

static void rule_i_old_refusal_does_not_stop_replication(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(member_submit(&m, i, &index), i < 4 ? 0 : ERR_AGAIN);
    member_settle(&m);
    assert_int_equal(peer_acknowledge(&m, 2, term, index), 0);
    lose_touch_with_2(&m);
    /* What it said before it had those entries. */
    struct consensus_message refusal = {.type = MESSAGE_APPEND_ENTRIES_RESULT,
                                        .from_id = 2,
                                        .term = term,
                                        .append_result.rejected = index,
                                        .append_result.last_index = index - 1};
    assert_int_equal(peer_say(&m, refusal), 0);
    assert_int_equal(member_submit(&m, 9, &index), 0);
    member_run(&m, 300);
    bool is_sent = false;
    for (struct mail *mail; (mail = member_take_mail(&m)) != NULL; mail_free(mail))
        is_sent = is_sent || (mail->to == 2 && mail->message.append.entry_count == 1 &&
                              mail->entries[0].index == index);
    assert_true(is_sent);
    member_fini(&m);
}

static bool is_granted(struct member *m, uint64_t from, uint64_t term, bool pre_vote)
{
    drop_mail(m);
    assert_int_equal(peer_say(m, (struct consensus_message){.type = MESSAGE_REQUEST_VOTE,
                                                            .from_id = from,
                                                            .term = term,
                                                            .vote.candidate_id = from,
                                                            .vote.last_index = 2,
                                                            .vote.last_term = 3,
                                                            .vote.pre_vote = pre_vote}),
                     0);
    member_settle(m);
    const struct consensus_message *vote = member_find_mail(m, MESSAGE_REQUEST_VOTE_RESULT);
    assert_non_null(vote);
    assert_int_equal(vote->vote_result.pre_vote, pre_vote);
    return vote->vote_result.granted;
}

static void rule_j_member_votes_without_knowing_that_it_may(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    struct consensus_member members[3] = {
        {1, "node-1", MEMBER_STANDBY}, {2, "node-2", MEMBER_VOTER}, {3, "node-3", MEMBER_VOTER}};
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    assert_int_equal(consensus_encode_configuration(members, 3, &change.configuration), 0);
    assert_int_equal(peer_append(&m, 2, 3, behind(1, 1), 1, &change, 1), 0);
    member_settle(&m);
    /* Not while there is a leader. */
    assert_false(is_granted(&m, 3, 4, true));
    member_run(&m, 500);
    assert_false(is_granted(&m, 3, 4, true));
    member_run(&m, 600);
    assert_true(is_granted(&m, 3, 4, true));
    assert_true(is_granted(&m, 3, 4, false));
    assert_false(is_granted(&m, 2, 4, false));
    assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
    assert_int_equal(m.consensus->members.voter_count, 2);
    assert_int_equal(m.consensus->raft.configuration.servers[0].role, RAFT_STANDBY);
    buf_fini(&change.configuration);
    member_fini(&m);
}

static void rule_k_candidate_learns_of_a_later_term(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_ask_vote(&m, 2, 7, 1, 1), 0);
    member_settle(&m);
    assert_false(is_granted(&m, 3, 4, true));
    assert_int_equal(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->term, 7);
    assert_true(is_granted(&m, 3, 8, true));
    assert_int_equal(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->term, 8);
    /* And as a candidate it takes the later term over. */
    drop_mail(&m);
    peer_await(&m, MESSAGE_REQUEST_VOTE);
    assert_int_equal(peer_say(&m, (struct consensus_message){.type = MESSAGE_REQUEST_VOTE_RESULT,
                                                             .from_id = 2,
                                                             .term = 12,
                                                             .vote_result.pre_vote = true}),
                     0);
    assert_int_equal(consensus_term(m.consensus), 12);
    assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
    member_fini(&m);
}

static void leader_stays_a_voter(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 2);
    peer_elect(&m);
    uint64_t index;
    struct consensus_member members[2] = {{1, "node-1", MEMBER_STANDBY},
                                          {2, "node-2", MEMBER_VOTER}};
    struct buf encoded = {0};
    assert_int_equal(consensus_encode_configuration(members, 2, &encoded), 0);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&encoded), &index), ERR_INVALID);
    buf_reset(&encoded, 0);
    assert_int_equal(consensus_encode_configuration(&members[1], 1, &encoded), 0);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&encoded), &index), ERR_INVALID);
    buf_fini(&encoded);
    member_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_a_change_waits_for_an_entry_of_the_leaders_term),
        cmocka_unit_test(only_one_step_of_change_is_taken),
        cmocka_unit_test(rule_b_sole_voter_starts_in_a_new_term),
        cmocka_unit_test(rule_b_last_voter_left_takes_a_new_term_to_lead),
        cmocka_unit_test(rule_b_sole_voter_takes_nothing_over_in_anothers_term),
        cmocka_unit_test(entries_of_a_new_term_leave_only_when_it_is_durable),
        cmocka_unit_test(rule_c_what_the_checkpoint_covers_is_taken_off),
        cmocka_unit_test(rule_d_change_amid_others_counts_from_its_own_index),
        cmocka_unit_test(two_changes_in_a_message_are_told_apart),
        cmocka_unit_test(rule_d_leader_sends_a_change_first_in_its_message),
        cmocka_unit_test(rule_e_commit_never_goes_back),
        cmocka_unit_test(rule_f_committed_entry_waits_until_it_is_durable_here),
        cmocka_unit_test(rule_h_answer_to_an_old_leader_carries_no_index),
        cmocka_unit_test(rule_i_old_refusal_does_not_stop_replication),
        cmocka_unit_test(rule_j_member_votes_without_knowing_that_it_may),
        cmocka_unit_test(rule_k_candidate_learns_of_a_later_term),
        cmocka_unit_test(leader_stays_a_voter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
