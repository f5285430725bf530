/* SPDX-License-Identifier: Apache-2.0 */
/* The rules A to H against the known defects of the library, by their letters, and what else holds
 * between members; the peers' messages are made by hand. */
#include "consensus/consensus.h"

#include "base/bytes.h"
#include "base/err.h"
#include "consensus/consensus_internal.h"
#include "support/cmocka.h"
#include "support/member.h"

static struct simclock clock_of_test;

/* ---- Peers ---- */

struct sketch {
    uint64_t term;
    enum entry_type type; /* 0: COMMAND */
    struct buf configuration;
};

static int receive(struct member *m, struct consensus_message message)
{
    return consensus_receive(m->consensus, &message);
}

/* AppendEntries from peer `from` with `count` entries behind prev. */
static int append_entries(struct member *m, uint64_t from, uint64_t term, uint64_t prev_index,
                          uint64_t prev_term, uint64_t commit, const struct sketch *sketches,
                          uint32_t count)
{
    struct log_entry entries[128] = {0};
    uint8_t payloads[128][8];
    for (uint32_t i = 0; i < count; i++) {
        put_u64(payloads[i], prev_index + 1 + i);
        entries[i] = (struct log_entry){
            .index = prev_index + 1 + i,
            .term = sketches[i].term,
            .type = sketches[i].type == 0 ? ENTRY_COMMAND : sketches[i].type,
            .payload = slice_of(payloads[i], 8),
        };
        if (entries[i].type == ENTRY_CHANGE)
            entries[i].payload = buf_slice(&sketches[i].configuration);
    }
    return receive(m, (struct consensus_message){
                          .type = MESSAGE_APPEND_ENTRIES,
                          .from_id = from,
                          .term = term,
                          .append.prev_index = prev_index,
                          .append.prev_term = prev_term,
                          .append.leader_commit = commit,
                          .append.entries = entries,
                          .append.entry_count = count,
                      });
}

static int commands(struct member *m, uint64_t from, uint64_t term, uint64_t prev_index,
                    uint64_t prev_term, uint64_t commit, uint32_t count)
{
    struct sketch sketches[128] = {0};
    for (uint32_t i = 0; i < count; i++)
        sketches[i].term = term;
    return append_entries(m, from, term, prev_index, prev_term, commit, sketches, count);
}

static int request_vote(struct member *m, uint64_t from, uint64_t term, uint64_t last_index,
                        uint64_t last_term)
{
    return receive(m, (struct consensus_message){
                          .type = MESSAGE_REQUEST_VOTE,
                          .from_id = from,
                          .term = term,
                          .vote.candidate_id = from,
                          .vote.last_index = last_index,
                          .vote.last_term = last_term,
                          .vote.disrupt_leader = true,
                      });
}

static int vote_result(struct member *m, uint64_t from, uint64_t term, bool pre_vote)
{
    return receive(m, (struct consensus_message){
                          .type = MESSAGE_REQUEST_VOTE_RESULT,
                          .from_id = from,
                          .term = term,
                          .vote_result.granted = true,
                          .vote_result.pre_vote = pre_vote,
                      });
}

static int acknowledge(struct member *m, uint64_t from, uint64_t term, uint64_t last_index)
{
    return receive(m, (struct consensus_message){
                          .type = MESSAGE_APPEND_ENTRIES_RESULT,
                          .from_id = from,
                          .term = term,
                          .append_result.last_index = last_index,
                      });
}

static void drop_mail(struct member *m)
{
    mail_drop(&m->outbox);
}

static const struct consensus_message *answer(const struct member *m)
{
    const struct consensus_message *message = member_find_mail(m, MESSAGE_APPEND_ENTRIES_RESULT);
    assert_non_null(message);
    return message;
}

/* ---- Members ---- */

static void start(struct member *m)
{
    int rc = member_start(m);
    if (rc != 0)
        print_message("%s\n", m->diag.text);
    assert_int_equal(rc, 0);
    member_settle(m);
}

/* Member 1 of a group with so many voters, ids from 1; alone it leads, otherwise it follows. The
 * first entry is covered by a checkpoint. */
static void make(struct member *m, unsigned voters)
{
    simclock_init(&clock_of_test, 1000000);
    member_init(m, 1, &clock_of_test, 1);
    m->cache_bytes = 1 << 20;
    member_set_voters(m, voters);
    start(m);
    assert_int_equal(m->handed_count, 1);
    member_checkpoint(m);
    member_stop(m);
    start(m);
    assert_int_equal(m->handed_count, 0);
    assert_int_equal(m->consensus->role, voters == 1 ? ROLE_LEADER : ROLE_FOLLOWER);
}

static void run_until_mail(struct member *m, enum consensus_message_type type)
{
    for (int i = 0; i < 1000 && member_find_mail(m, type) == NULL; i++)
        member_run(m, 10);
    assert_non_null(member_find_mail(m, type));
}

/* Lets member 1 win an election with the vote of 2. */
static void elect(struct member *m)
{
    drop_mail(m);
    run_until_mail(m, MESSAGE_REQUEST_VOTE);
    uint64_t term = consensus_term(m->consensus) + 1;
    assert_true(member_find_mail(m, MESSAGE_REQUEST_VOTE)->vote.pre_vote);
    assert_int_equal(member_find_mail(m, MESSAGE_REQUEST_VOTE)->term, term);
    drop_mail(m);
    assert_int_equal(vote_result(m, 2, term, true), 0);
    run_until_mail(m, MESSAGE_REQUEST_VOTE);
    assert_false(member_find_mail(m, MESSAGE_REQUEST_VOTE)->vote.pre_vote);
    assert_int_equal(consensus_term(m->consensus), term);
    assert_int_equal(vote_result(m, 2, term, false), 0);
    assert_int_equal(consensus_role(m->consensus), ROLE_LEADER);
    member_settle(m);
    drop_mail(m);
}

static bool has_member(const struct member *m, uint64_t id)
{
    return configuration_has(&m->consensus->members, id);
}

/* ---- Order of hard state and messages (C2) ---- */

static void vote_leaves_only_when_it_is_durable(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    simdisk_hold(m.disk, true);
    assert_int_equal(request_vote(&m, 2, 5, 1, 1), 0);
    for (int i = 0; i < 3; i++) {
        member_step(&m);
        assert_null(member_take_mail(&m));
    }
    assert_int_equal(consensus_term(m.consensus), 5);
    while (simdisk_release(m.disk))
        member_step(&m);
    member_step(&m);
    const struct consensus_message *vote = member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT);
    assert_non_null(vote);
    assert_true(vote->vote_result.granted);
    assert_int_equal(vote->term, 5);
    /* After a power loss it is still given to 2 and nobody else. */
    member_crash(&m, 9);
    start(&m);
    assert_int_equal(consensus_term(m.consensus), 5);
    assert_int_equal(request_vote(&m, 3, 5, 1, 1), 0);
    member_settle(&m);
    assert_false(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->vote_result.granted);
    drop_mail(&m);
    assert_int_equal(request_vote(&m, 2, 5, 1, 1), 0);
    member_settle(&m);
    assert_true(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->vote_result.granted);
    member_fini(&m);
}

static void entries_are_acknowledged_only_when_they_are_durable(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    simdisk_hold(m.disk, true);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 2), 0);
    member_step(&m);
    assert_null(member_take_mail(&m));
    while (simdisk_release(m.disk)) {
        assert_null(member_take_mail(&m));
        member_step(&m);
    }
    member_step(&m);
    assert_int_equal(answer(&m)->append_result.rejected, 0);
    assert_int_equal(answer(&m)->append_result.last_index, 3);
    assert_int_equal(answer(&m)->term, 3);
    member_fini(&m);
}

static void candidates_term_is_durable_before_it_asks_for_votes(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    run_until_mail(&m, MESSAGE_REQUEST_VOTE);
    drop_mail(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(vote_result(&m, 2, 2, true), 0);
    member_step(&m);
    assert_null(member_find_mail(&m, MESSAGE_REQUEST_VOTE));
    while (simdisk_release(m.disk))
        member_step(&m);
    member_step(&m);
    assert_non_null(member_find_mail(&m, MESSAGE_REQUEST_VOTE));
    assert_int_equal(member_find_mail(&m, MESSAGE_REQUEST_VOTE)->term, 2);
    member_fini(&m);
}

/* ---- The log of a follower ---- */

static void conflicting_entries_are_replaced(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 10), 0);
    member_settle(&m);
    drop_mail(&m);
    assert_int_equal(commands(&m, 3, 4, 6, 3, 1, 2), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(consensus_term_of(m.consensus, 6), 3);
    assert_int_equal(consensus_term_of(m.consensus, 7), 4);
    assert_int_equal(consensus_term_of(m.consensus, 9), 0);
    assert_int_equal(answer(&m)->append_result.last_index, 8);
    assert_int_equal(commands(&m, 3, 4, 8, 4, 8, 0), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 7);
    assert_int_equal(m.handed[4].term, 3);
    assert_int_equal(m.handed[5].term, 4);
    assert_false(m.is_order_broken);
    /* The same after a restart. */
    member_stop(&m);
    start(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(consensus_term_of(m.consensus, 6), 3);
    assert_int_equal(consensus_term_of(m.consensus, 7), 4);
    member_fini(&m);
}

static void entries_cut_in_flight_are_never_reported(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 0), 0);
    member_settle(&m);
    drop_mail(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 4), 0);
    assert_int_equal(commands(&m, 2, 3, 5, 3, 1, 4), 0);
    assert_int_equal(commands(&m, 3, 4, 3, 3, 1, 1), 0);
    member_step(&m);
    assert_int_equal(consensus_next_index(m.consensus), 5);
    assert_int_equal(consensus_term_of(m.consensus, 4), 4);
    while (simdisk_release(m.disk)) {
        member_step(&m);
        const struct consensus_message *result =
            member_find_mail(&m, MESSAGE_APPEND_ENTRIES_RESULT);
        if (result != NULL)
            assert_true(result->append_result.last_index <= 4);
    }
    member_step(&m);
    assert_int_equal(answer(&m)->append_result.last_index, 4);
    assert_int_equal(commands(&m, 3, 4, 4, 4, 4, 0), 0);
    member_step(&m);
    assert_int_equal(m.handed_count, 3);
    assert_int_equal(m.handed[2].term, 4);
    member_fini(&m);
}

static void entries_of_several_terms_come_in_one_message(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    struct sketch sketches[100];
    for (int i = 0; i < 100; i++)
        sketches[i] = (struct sketch){.term = (uint64_t)(2 + i / 30)};
    /* A frame a term, and four slots. */
    int rc = append_entries(&m, 2, 9, 1, 1, 101, sketches, 100);
    for (int i = 0; i < 10 && rc == ERR_AGAIN; i++) {
        member_settle(&m);
        rc = append_entries(&m, 2, 9, 1, 1, 101, sketches, 100);
    }
    assert_int_equal(rc, 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 100);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(m.handed[i].term, 2 + i / 30);
        assert_int_equal(m.handed[i].value, 2 + i);
    }
    assert_int_equal(answer(&m)->append_result.last_index, 101);
    member_fini(&m);
}

/* ---- The rules ---- */

static void rule_a_change_waits_for_an_entry_of_the_leaders_term(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    struct buf four = member_configuration(4, 1);
    uint64_t index;
    /* The core itself would take it. */
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 3);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(acknowledge(&m, 2, term, 2), 0);
    member_settle(&m);
    assert_int_equal(member_last(&m).type, ENTRY_BARRIER);
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), 0);
    assert_int_equal(index, 3);
    assert_true(has_member(&m, 4));
    /* One at a time. */
    assert_int_equal(consensus_change(m.consensus, buf_slice(&four), &index), ERR_AGAIN);
    member_settle(&m);
    assert_int_equal(acknowledge(&m, 2, term, 3), 0);
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
    make(&m, 1);
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
    assert_int_equal(consensus_change(m.consensus, buf_slice(&voters), &index), 0);
    assert_false(consensus_is_single_voter(m.consensus));
    member_settle(&m);
    assert_int_not_equal(member_last(&m).index, index);
    assert_int_equal(acknowledge(&m, 2, consensus_term(m.consensus), index), 0);
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
    make(&m, 1);
    uint64_t term = consensus_term(m.consensus);
    for (uint64_t i = 1; i <= 5; i++) {
        member_crash(&m, i);
        assert_int_equal(member_start(&m), 0);
        simdisk_hold(m.disk, true);
        /* It does not lead before that term is durable. */
        member_step(&m);
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
    make(&m, 2);
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    change.configuration = member_configuration(1, 0);
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 1, &change, 1), 0);
    member_settle(&m);
    assert_true(consensus_is_single_voter(m.consensus));
    assert_int_equal(consensus_role(m.consensus), ROLE_FOLLOWER);
    assert_int_equal(consensus_term(m.consensus), 3);
    /* The old leader, still leading in term 3, hands over: not in its own term. */
    assert_int_equal(receive(&m, (struct consensus_message){.type = MESSAGE_TIMEOUT_NOW,
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
    make(&m, 2);
    struct sketch change = {.term = 3, .type = ENTRY_CHANGE};
    change.configuration = member_configuration(2, 1);
    struct consensus_member members[2] = {{1, "node-1", MEMBER_VOTER}, {2, "node-2", MEMBER_SPARE}};
    buf_fini(&change.configuration);
    assert_int_equal(consensus_encode_configuration(members, 2, &change.configuration), 0);
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 1, &change, 1), 0);
    member_settle(&m);
    assert_true(consensus_is_single_voter(m.consensus));
    assert_int_equal(receive(&m, (struct consensus_message){.type = MESSAGE_TIMEOUT_NOW,
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

static void rule_c_what_the_checkpoint_covers_is_taken_off(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 6, 5), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 5);
    member_checkpoint(&m);
    drop_mail(&m);
    /* From the beginning of all things, up to what is new. */
    struct sketch sketches[8];
    for (int i = 0; i < 8; i++)
        sketches[i] = (struct sketch){.term = i == 0 ? 1 : 3};
    assert_int_equal(append_entries(&m, 2, 3, 0, 0, 8, sketches, 8), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(m.handed_count, 7);
    assert_int_equal(m.handed[5].value, 7);
    assert_int_equal(m.handed[6].value, 8);
    assert_int_equal(answer(&m)->append_result.last_index, 8);
    drop_mail(&m);
    /* All of it old. */
    assert_int_equal(append_entries(&m, 2, 3, 0, 0, 8, sketches, 3), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(answer(&m)->append_result.rejected, 0);
    assert_int_equal(answer(&m)->append_result.last_index, 6);
    assert_int_equal(commands(&m, 2, 3, 8, 3, 9, 1), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 8);
    assert_false(m.is_order_broken);
    /* The same where the start has put the core behind the checkpoint. */
    member_stop(&m);
    start(&m);
    assert_int_equal(append_entries(&m, 2, 3, 0, 0, 8, sketches, 8), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 10);
    assert_int_equal(m.handed_count, 2);
    member_fini(&m);
}

static void rule_d_change_amid_others_counts_from_its_own_index(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    struct sketch sketches[5] = {{.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}};
    sketches[2].type = ENTRY_CHANGE;
    sketches[2].configuration = member_configuration(4, 1);
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 1, sketches, 5), 0);
    member_settle(&m);
    assert_true(has_member(&m, 4));
    assert_int_equal(m.consensus->raft.configuration_uncommitted_index, 4);
    /* Cut behind it, it stays; cut at it, it goes. */
    assert_int_equal(commands(&m, 3, 4, 4, 3, 1, 1), 0);
    assert_true(has_member(&m, 4));
    assert_int_equal(commands(&m, 3, 5, 3, 3, 1, 1), 0);
    assert_false(has_member(&m, 4));
    assert_int_equal(m.consensus->raft.configuration_uncommitted_index, 0);
    buf_fini(&sketches[2].configuration);
    member_fini(&m);
}

static void two_changes_in_a_message_are_told_apart(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    struct sketch sketches[3] = {
        {.term = 3, .type = ENTRY_CHANGE}, {.term = 3}, {.term = 3, .type = ENTRY_CHANGE}};
    sketches[0].configuration = member_configuration(4, 1);
    sketches[2].configuration = member_configuration(4, 0);
    /* No leader adds the second before the first is committed. */
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 1, sketches, 3), ERR_PROTOCOL);
    assert_int_equal(m.consensus->members.voter_count, 3);
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 2, sketches, 3), 0);
    member_settle(&m);
    assert_int_equal(m.consensus->members.voter_count, 4);
    /* Cut at the second, the first stays. */
    assert_int_equal(commands(&m, 3, 5, 3, 3, 1, 1), 0);
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
    make(&m, 3);
    /* As a follower it got a frame with a CHANGE behind others; as leader it sends that on. */
    struct sketch sketches[4] = {{.term = 3}, {.term = 3}, {.term = 3}, {.term = 3}};
    sketches[1].type = ENTRY_CHANGE;
    sketches[1].configuration = member_configuration(4, 1);
    assert_int_equal(append_entries(&m, 2, 3, 1, 1, 1, sketches, 4), 0);
    member_settle(&m);
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(receive(&m, (struct consensus_message){.type = MESSAGE_APPEND_ENTRIES_RESULT,
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
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 6, 5), 0);
    member_settle(&m);
    assert_int_equal(consensus_commit_index(m.consensus), 6);
    /* A probe that stands early in the log and knows of a later commit. */
    assert_int_equal(commands(&m, 2, 3, 2, 3, 7, 0), 0);
    member_settle(&m);
    assert_true(m.consensus->raft.commit_index < 6);
    assert_int_equal(consensus_commit_index(m.consensus), 6);
    assert_int_equal(m.handed_count, 5);
    /* What is committed is not cut even now that the core has forgotten it. */
    assert_int_equal(commands(&m, 3, 4, 4, 3, 7, 1), ERR_PROTOCOL);
    assert_int_equal(consensus_next_index(m.consensus), 7);
    assert_int_equal(commands(&m, 2, 4, 6, 3, 7, 1), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 6);
    assert_false(m.is_order_broken);
    member_fini(&m);
}

static void rule_f_committed_entry_waits_until_it_is_durable_here(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 0), 0);
    member_settle(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 4, 3), 0);
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
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 5, 1, 1, 1, 3), 0);
    member_settle(&m);
    drop_mail(&m);
    assert_int_equal(commands(&m, 3, 4, 1, 1, 1, 3), 0);
    member_settle(&m);
    assert_int_equal(answer(&m)->term, 5);
    assert_int_equal(answer(&m)->append_result.rejected, 1);
    assert_int_equal(answer(&m)->append_result.last_index, 0);
    assert_int_equal(consensus_term_of(m.consensus, 2), 5);
    member_fini(&m);
}

/* ---- A leader of several ---- */

static void commit_needs_a_majority_and_own_durability(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    assert_true(consensus_is_ready(m.consensus));
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    simdisk_hold(m.disk, true);
    assert_int_equal(member_submit(&m, 42, &index), 0);
    assert_int_equal(acknowledge(&m, 2, term, index), 0);
    assert_int_equal(acknowledge(&m, 3, term, index), 0);
    member_step(&m);
    assert_int_equal(consensus_commit_index(m.consensus), index);
    assert_int_equal(m.handed_count, 0);
    simdisk_hold(m.disk, false);
    member_settle(&m);
    assert_int_equal(m.handed_count, 1);
    assert_int_equal(member_submit(&m, 43, &index), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 1);
    assert_int_equal(acknowledge(&m, 3, term, index), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 2);
    member_fini(&m);
}

static void new_leader_is_ready_after_its_own_first_entry(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    assert_int_equal(commands(&m, 2, 3, 1, 1, 1, 5), 0);
    member_settle(&m);
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(consensus_next_index(m.consensus), 8);
    assert_false(consensus_is_ready(m.consensus));
    assert_int_equal(acknowledge(&m, 2, term, 6), 0);
    member_settle(&m);
    /* Entries of an older term are not committed by counting. */
    assert_int_equal(m.handed_count, 0);
    assert_int_equal(acknowledge(&m, 2, term, 7), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 6);
    assert_int_equal(member_last(&m).type, ENTRY_BARRIER);
    assert_true(consensus_is_ready(m.consensus));
    member_fini(&m);
}

static void leader_that_steps_down_names_what_is_unknown(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(member_submit(&m, i, &index), 0);
    assert_int_equal(acknowledge(&m, 2, term, index - 2), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 2);
    assert_int_equal(m.unknown_events, 0);
    assert_int_equal(request_vote(&m, 3, term + 1, 9, term), 0);
    assert_int_equal(m.unknown_events, 1);
    assert_int_equal(m.unknown_from, index - 1);
    assert_int_equal(m.unknown_error, ERR_NOT_LEADER);
    assert_int_equal(m.role, ROLE_FOLLOWER);
    assert_int_equal(m.term, term + 1);
    assert_int_equal(member_submit(&m, 9, &index), ERR_NOT_LEADER);
    member_settle(&m);
    assert_int_equal(m.handed_count, 2);
    member_fini(&m);
}

static void committed_entries_still_come_after_stepping_down(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    simdisk_hold(m.disk, true);
    assert_int_equal(member_submit(&m, 1, &index), 0);
    assert_int_equal(member_submit(&m, 2, &index), 0);
    assert_int_equal(acknowledge(&m, 2, term, index - 1), 0);
    assert_int_equal(acknowledge(&m, 3, term, index - 1), 0);
    assert_int_equal(request_vote(&m, 3, term + 1, 9, term), 0);
    assert_int_equal(m.unknown_from, index);
    assert_int_equal(m.handed_count, 0);
    simdisk_hold(m.disk, false);
    member_settle(&m);
    assert_int_equal(m.handed_count, 1);
    assert_int_equal(member_last(&m).value, 1);
    member_fini(&m);
}

static void leader_without_a_majority_steps_down(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    uint64_t index;
    assert_int_equal(member_submit(&m, 1, &index), 0);
    uint64_t deadline = consensus_deadline_ms(m.consensus);
    assert_true(deadline <= atomic_load(&clock_of_test.mono_us) / 1000 + 100);
    member_run(&m, 3000);
    assert_int_not_equal(m.role, ROLE_LEADER);
    assert_int_equal(m.unknown_events, 1);
    assert_int_equal(m.unknown_from, index);
    member_fini(&m);
}

static void entries_out_of_memory_are_read_back_for_a_peer(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    m.consensus->cache_bytes = 0;
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(member_submit(&m, i, &index), 0);
        member_settle(&m);
        assert_int_equal(acknowledge(&m, 2, term, index), 0);
        member_settle(&m);
    }
    assert_int_equal(m.consensus->tail.count, 0);
    drop_mail(&m);
    assert_int_equal(acknowledge(&m, 3, term, 1), 0);
    assert_int_equal(acknowledge(&m, 3, term, 2), 0);
    member_settle(&m);
    uint64_t next = 2;
    for (struct mail *mail; (mail = member_take_mail(&m)) != NULL; mail_free(mail))
        for (uint32_t i = 0; mail->to == 3 && i < mail->message.append.entry_count; i++) {
            assert_int_equal(mail->entries[i].index, next);
            assert_int_equal(get_u64(mail->entries[i].payload.data), next - 2);
            next++;
        }
    assert_int_equal(next, index + 1);
    member_fini(&m);
}

static void peer_behind_the_log_makes_the_state_wanted(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3);
    elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 20; i++) {
            assert_int_equal(member_submit(&m, i, &index), 0);
            assert_int_equal(acknowledge(&m, 2, term, index), 0);
            member_settle(&m);
        }
        member_checkpoint(&m);
    }
    drop_mail(&m);
    /* Peer 3 has nothing, and the log is kept only from the last checkpoint but one. */
    struct consensus_message refusal = {.type = MESSAGE_APPEND_ENTRIES_RESULT,
                                        .from_id = 3,
                                        .term = term,
                                        .append_result.rejected = 1};
    for (int i = 0; i < 10 && m.snapshot_wanted_by == 0; i++) {
        refusal.append_result.rejected =
            m.consensus->peers[0].id == 3 ? m.consensus->peers[0].sent : m.consensus->peers[1].sent;
        refusal.append_result.last_index = 0;
        assert_int_equal(receive(&m, refusal), 0);
        member_run(&m, 110);
    }
    assert_int_equal(m.snapshot_wanted_by, 3);
    member_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vote_leaves_only_when_it_is_durable),
        cmocka_unit_test(entries_are_acknowledged_only_when_they_are_durable),
        cmocka_unit_test(candidates_term_is_durable_before_it_asks_for_votes),
        cmocka_unit_test(conflicting_entries_are_replaced),
        cmocka_unit_test(entries_cut_in_flight_are_never_reported),
        cmocka_unit_test(entries_of_several_terms_come_in_one_message),
        cmocka_unit_test(rule_a_change_waits_for_an_entry_of_the_leaders_term),
        cmocka_unit_test(only_one_step_of_change_is_taken),
        cmocka_unit_test(rule_b_sole_voter_starts_in_a_new_term),
        cmocka_unit_test(rule_b_last_voter_left_takes_a_new_term_to_lead),
        cmocka_unit_test(rule_b_sole_voter_takes_nothing_over_in_anothers_term),
        cmocka_unit_test(rule_c_what_the_checkpoint_covers_is_taken_off),
        cmocka_unit_test(rule_d_change_amid_others_counts_from_its_own_index),
        cmocka_unit_test(two_changes_in_a_message_are_told_apart),
        cmocka_unit_test(rule_d_leader_sends_a_change_first_in_its_message),
        cmocka_unit_test(rule_e_commit_never_goes_back),
        cmocka_unit_test(rule_f_committed_entry_waits_until_it_is_durable_here),
        cmocka_unit_test(rule_h_answer_to_an_old_leader_carries_no_index),
        cmocka_unit_test(commit_needs_a_majority_and_own_durability),
        cmocka_unit_test(new_leader_is_ready_after_its_own_first_entry),
        cmocka_unit_test(leader_that_steps_down_names_what_is_unknown),
        cmocka_unit_test(committed_entries_still_come_after_stepping_down),
        cmocka_unit_test(leader_without_a_majority_steps_down),
        cmocka_unit_test(entries_out_of_memory_are_read_back_for_a_peer),
        cmocka_unit_test(peer_behind_the_log_makes_the_state_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
