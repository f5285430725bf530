/* SPDX-License-Identifier: Apache-2.0 */
/* A leader of several members: what it commits, what it says is unknown, and what it sends to those
 * that lag or do not answer. */
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

static void commit_needs_a_majority_and_own_durability(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    assert_true(consensus_is_ready(m.consensus));
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    simdisk_hold(m.disk, true);
    assert_int_equal(member_submit(&m, 42, &index), 0);
    assert_int_equal(peer_acknowledge(&m, 2, term, index), 0);
    assert_int_equal(peer_acknowledge(&m, 3, term, index), 0);
    member_step(&m);
    assert_int_equal(consensus_commit_index(m.consensus), index);
    assert_int_equal(m.handed_count, 0);
    simdisk_hold(m.disk, false);
    member_settle(&m);
    assert_int_equal(m.handed_count, 1);
    assert_int_equal(member_submit(&m, 43, &index), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 1);
    assert_int_equal(peer_acknowledge(&m, 3, term, index), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 2);
    member_fini(&m);
}

static void new_leader_is_ready_after_its_own_first_entry(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 5), 0);
    member_settle(&m);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    assert_int_equal(consensus_next_index(m.consensus), 8);
    assert_false(consensus_is_ready(m.consensus));
    assert_int_equal(peer_acknowledge(&m, 2, term, 6), 0);
    member_settle(&m);
    /* Entries of an older term are not committed by counting. */
    assert_int_equal(m.handed_count, 0);
    assert_int_equal(peer_acknowledge(&m, 2, term, 7), 0);
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
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(member_submit(&m, i, &index), 0);
    assert_int_equal(peer_acknowledge(&m, 2, term, index - 2), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 2);
    assert_int_equal(m.unknown_events, 0);
    assert_int_equal(peer_ask_vote(&m, 3, term + 1, 9, term), 0);
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
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    simdisk_hold(m.disk, true);
    assert_int_equal(member_submit(&m, 1, &index), 0);
    assert_int_equal(member_submit(&m, 2, &index), 0);
    assert_int_equal(peer_acknowledge(&m, 2, term, index - 1), 0);
    assert_int_equal(peer_acknowledge(&m, 3, term, index - 1), 0);
    assert_int_equal(peer_ask_vote(&m, 3, term + 1, 9, term), 0);
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
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
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
    peer_make(&m, &clock_of_test, 3);
    m.consensus->cache_bytes = 0;
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(member_submit(&m, i, &index), 0);
        member_settle(&m);
        assert_int_equal(peer_acknowledge(&m, 2, term, index), 0);
        member_settle(&m);
    }
    assert_int_equal(m.consensus->tail.count, 0);
    drop_mail(&m);
    assert_int_equal(peer_acknowledge(&m, 3, term, 1), 0);
    assert_int_equal(peer_acknowledge(&m, 3, term, 2), 0);
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
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    uint64_t index;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 20; i++) {
            assert_int_equal(member_submit(&m, i, &index), 0);
            assert_int_equal(peer_acknowledge(&m, 2, term, index), 0);
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
        assert_int_equal(peer_say(&m, refusal), 0);
        member_run(&m, 110);
    }
    assert_int_equal(m.snapshot_wanted_by, 3);
    member_fini(&m);
}

/* Submits with peer 2's help. */
static void commit_entries(struct member *m, uint64_t count)
{
    uint64_t index;
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(member_submit(m, i, &index), 0);
        member_settle(m);
        assert_int_equal(peer_acknowledge(m, 2, consensus_term(m->consensus), index), 0);
        member_settle(m);
    }
}

/* The entries that were sent to `peer` follow each other from `first` on; returns the next. */
static uint64_t take_entries(struct member *m, uint64_t peer, uint64_t first)
{
    for (struct mail *mail; (mail = member_take_mail(m)) != NULL; mail_free(mail))
        for (uint32_t i = 0; mail->to == peer && i < mail->message.append.entry_count; i++)
            assert_int_equal(mail->entries[i].index, first++);
    return first;
}

static void log_is_kept_for_a_peer_that_lags(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    m.consensus->cache_bytes = 0;
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    commit_entries(&m, 200);
    assert_int_equal(peer_acknowledge(&m, 3, term, 20), 0);
    member_checkpoint(&m);
    commit_entries(&m, 100);
    drop_mail(&m);
    assert_int_equal(peer_refuse(&m, 3, term, 150, 20), 0);
    member_settle(&m);
    assert_int_equal(take_entries(&m, 3, 21), consensus_next_index(m.consensus));
    assert_int_equal(m.snapshot_wanted_by, 0);
    /* Until the next checkpoint but one. */
    member_checkpoint(&m);
    assert_int_equal(peer_refuse(&m, 3, term, 150, 20), 0);
    member_run(&m, 200);
    assert_int_equal(m.snapshot_wanted_by, 3);
    member_fini(&m);
}

static void what_a_checkpoint_trims_before_it_was_sent_is_not_sent(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    commit_entries(&m, 20);
    member_checkpoint(&m);
    commit_entries(&m, 20);
    drop_mail(&m);
    assert_int_equal(peer_acknowledge(&m, 3, term, 2), 0);
    member_checkpoint(&m);
    assert_int_equal(core_term(m.consensus, 3), 0);
    member_settle(&m);
    assert_int_equal(take_entries(&m, 3, 0), 0);
    member_fini(&m);
}

static void peer_that_does_not_answer_is_asked_with_one_entry(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_elect(&m);
    uint64_t term = consensus_term(m.consensus);
    commit_entries(&m, 50);
    drop_mail(&m);
    for (int i = 0; i < 20; i++) {
        member_run(&m, 100);
        uint64_t last = consensus_next_index(m.consensus) - 1;
        assert_int_equal(peer_acknowledge(&m, 2, term, last), 0);
    }
    unsigned messages = 0;
    for (struct mail *mail; (mail = member_take_mail(&m)) != NULL; mail_free(mail))
        if (mail->to == 3) {
            assert_true(mail->message.append.entry_count <= 1);
            messages++;
        }
    assert_true(messages >= 15 && messages <= 25);
    /* As soon as it does, it gets all. */
    assert_int_equal(peer_acknowledge(&m, 3, term, 2), 0);
    member_settle(&m);
    assert_int_equal(take_entries(&m, 3, 3), consensus_next_index(m.consensus));
    member_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_needs_a_majority_and_own_durability),
        cmocka_unit_test(new_leader_is_ready_after_its_own_first_entry),
        cmocka_unit_test(leader_that_steps_down_names_what_is_unknown),
        cmocka_unit_test(committed_entries_still_come_after_stepping_down),
        cmocka_unit_test(leader_without_a_majority_steps_down),
        cmocka_unit_test(entries_out_of_memory_are_read_back_for_a_peer),
        cmocka_unit_test(peer_behind_the_log_makes_the_state_wanted),
        cmocka_unit_test(log_is_kept_for_a_peer_that_lags),
        cmocka_unit_test(what_a_checkpoint_trims_before_it_was_sent_is_not_sent),
        cmocka_unit_test(peer_that_does_not_answer_is_asked_with_one_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
