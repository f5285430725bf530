/* SPDX-License-Identifier: Apache-2.0 */
/* A member that does not lead: what it promises only when it is durable, how its log follows the
 * leader's, and what becomes of it when there is no room. */
#include "consensus/consensus.h"

#include <errno.h>

#include "base/err.h"
#include "consensus/consensus_internal.h"
#include "support/cmocka.h"
#include "support/peer.h"

static struct simclock clock_of_test;

static void drop_mail(struct member *m)
{
    mail_drop(&m->outbox);
}

/* ---- Order of hard state and messages (C2) ---- */

static void vote_leaves_only_when_it_is_durable(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    simdisk_hold(m.disk, true);
    assert_int_equal(peer_ask_vote(&m, 2, 5, 1, 1), 0);
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
    peer_start(&m);
    assert_int_equal(consensus_term(m.consensus), 5);
    assert_int_equal(peer_ask_vote(&m, 3, 5, 1, 1), 0);
    member_settle(&m);
    assert_false(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->vote_result.granted);
    drop_mail(&m);
    assert_int_equal(peer_ask_vote(&m, 2, 5, 1, 1), 0);
    member_settle(&m);
    assert_true(member_find_mail(&m, MESSAGE_REQUEST_VOTE_RESULT)->vote_result.granted);
    member_fini(&m);
}

static void entries_are_acknowledged_only_when_they_are_durable(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    simdisk_hold(m.disk, true);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 2), 0);
    member_step(&m);
    assert_null(member_take_mail(&m));
    while (simdisk_release(m.disk)) {
        assert_null(member_take_mail(&m));
        member_step(&m);
    }
    member_step(&m);
    assert_int_equal(peer_answer(&m)->append_result.rejected, 0);
    assert_int_equal(peer_answer(&m)->append_result.last_index, 3);
    assert_int_equal(peer_answer(&m)->term, 3);
    member_fini(&m);
}

static void candidates_term_is_durable_before_it_asks_for_votes(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    peer_await(&m, MESSAGE_REQUEST_VOTE);
    drop_mail(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(peer_grant(&m, 2, 2, true), 0);
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
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 10), 0);
    member_settle(&m);
    drop_mail(&m);
    assert_int_equal(peer_commands(&m, 3, 4, behind(6, 3), 1, 2), 0);
    member_settle(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(consensus_term_of(m.consensus, 6), 3);
    assert_int_equal(consensus_term_of(m.consensus, 7), 4);
    assert_int_equal(consensus_term_of(m.consensus, 9), 0);
    assert_int_equal(peer_answer(&m)->append_result.last_index, 8);
    assert_int_equal(peer_commands(&m, 3, 4, behind(8, 4), 8, 0), 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 7);
    assert_int_equal(m.handed[4].term, 3);
    assert_int_equal(m.handed[5].term, 4);
    assert_false(m.is_order_broken);
    /* The same after a restart. */
    member_stop(&m);
    peer_start(&m);
    assert_int_equal(consensus_next_index(m.consensus), 9);
    assert_int_equal(consensus_term_of(m.consensus, 6), 3);
    assert_int_equal(consensus_term_of(m.consensus, 7), 4);
    member_fini(&m);
}

static void entries_cut_in_flight_are_never_reported(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 0), 0);
    member_settle(&m);
    drop_mail(&m);
    simdisk_hold(m.disk, true);
    assert_int_equal(peer_commands(&m, 2, 3, behind(1, 1), 1, 4), 0);
    assert_int_equal(peer_commands(&m, 2, 3, behind(5, 3), 1, 4), 0);
    assert_int_equal(peer_commands(&m, 3, 4, behind(3, 3), 1, 1), 0);
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
    assert_int_equal(peer_answer(&m)->append_result.last_index, 4);
    assert_int_equal(peer_commands(&m, 3, 4, behind(4, 4), 4, 0), 0);
    member_step(&m);
    assert_int_equal(m.handed_count, 3);
    assert_int_equal(m.handed[2].term, 4);
    member_fini(&m);
}

static void entries_of_several_terms_come_in_one_message(void **state)
{
    (void)state;
    struct member m;
    peer_make(&m, &clock_of_test, 3);
    struct sketch sketches[100];
    for (int i = 0; i < 100; i++)
        sketches[i] = (struct sketch){.term = (uint64_t)(2 + i / 30)};
    /* A frame a term, and four slots. */
    int rc = peer_append(&m, 2, 9, behind(1, 1), 101, sketches, 100);
    for (int i = 0; i < 10 && rc == ERR_AGAIN; i++) {
        member_settle(&m);
        rc = peer_append(&m, 2, 9, behind(1, 1), 101, sketches, 100);
    }
    assert_int_equal(rc, 0);
    member_settle(&m);
    assert_int_equal(m.handed_count, 100);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(m.handed[i].term, 2 + i / 30);
        assert_int_equal(m.handed[i].value, 2 + i);
    }
    assert_int_equal(peer_answer(&m)->append_result.last_index, 101);
    member_fini(&m);
}

/* ---- No room ---- */

static void log_without_room_for_a_vote_gives_none(void **state)
{
    (void)state;
    struct member m;
    int error = 0;
    int rc = 0;
    peer_make(&m, &clock_of_test, 3);
    /* No segment is prepared from now on. */
    for (uint64_t term = 2; term < 500 && error == 0; term++) {
        rc = peer_ask_vote(&m, 2, term, 9, 1);
        assert_true(rc == 0 || rc == ERR_LOG_FAILED);
        for (int i = 0; i < 20; i++)
            consensus_step(m.consensus, 1, &error);
    }
    assert_int_equal(error, -ENOSPC);
    assert_int_equal(rc, ERR_LOG_FAILED);
    assert_int_equal(m.role, ROLE_FAILED);
    uint64_t granted = 0;
    for (struct mail *mail; (mail = member_take_mail(&m)) != NULL; mail_free(mail)) {
        assert_true(mail->message.term > granted);
        granted = mail->message.term;
    }
    member_stop(&m);
    assert_int_equal(member_start(&m), 0);
    assert_true(m.found.term >= granted);
    member_fini(&m);
}

/* Steps without preparing segments. */
static void step_bare(struct member *m, int count)
{
    while (count-- > 0)
        consensus_step(m->consensus, 1, &m->error);
}

static void candidate_without_room_for_its_first_entry_does_not_win(void **state)
{
    (void)state;
    struct member m;
    uint64_t term = 3;
    peer_make(&m, &clock_of_test, 3);
    assert_int_equal(peer_commands(&m, 2, term, behind(1, 1), 1, 2), 0);
    member_settle(&m);
    while (core_room(m.consensus, FRAME_ALIGN) == 0) {
        term++;
        assert_int_equal(peer_ask_vote(&m, 2, term, 9, term - 1), 0);
        step_bare(&m, 20);
    }
    drop_mail(&m);
    for (int i = 0; i < 300 && consensus_role(m.consensus) != ROLE_CANDIDATE; i++) {
        simclock_advance(&clock_of_test, 10);
        step_bare(&m, 1);
    }
    assert_int_equal(peer_grant(&m, 2, term + 1, true), ERR_AGAIN);
    assert_int_equal(consensus_role(m.consensus), ROLE_CANDIDATE);
    member_settle(&m);
    assert_int_equal(peer_grant(&m, 2, term + 1, true), 0);
    member_settle(&m);
    assert_int_equal(peer_grant(&m, 2, term + 1, false), 0);
    assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
    assert_int_equal(consensus_next_index(m.consensus), 5);
    assert_int_equal(m.error, 0);
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
        cmocka_unit_test(log_without_room_for_a_vote_gives_none),
        cmocka_unit_test(candidate_without_room_for_its_first_entry_does_not_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
