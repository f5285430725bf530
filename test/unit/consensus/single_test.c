/* SPDX-License-Identifier: Apache-2.0 */
/* One voter: from an empty disk over writes to failure and restart. */
#include "consensus/consensus.h"

#include <errno.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/member.h"

static struct simclock clock_of_test;

static void make(struct member *m)
{
    simclock_init(&clock_of_test, 1000000);
    member_init(m, 1, &clock_of_test, 1);
}

static void start(struct member *m)
{
    int rc = member_start(m);
    if (rc != 0)
        print_message("%s\n", m->diag.text);
    assert_int_equal(rc, 0);
}

static void make_leader(struct member *m)
{
    make(m);
    start(m);
    member_settle(m);
    assert_int_equal(consensus_role(m->consensus), ROLE_LEADER);
}

static void assert_order(const struct member *m)
{
    assert_false(m->is_order_broken);
}

static void follows_until_its_first_entry_is_durable(struct member *m)
{
    uint64_t index;
    while (m->role != ROLE_LEADER) {
        assert_int_equal(consensus_role(m->consensus), ROLE_FOLLOWER);
        assert_int_equal(consensus_can_submit(m->consensus, 4096), ERR_NOT_LEADER);
        assert_int_equal(member_submit(m, 1, &index), ERR_NOT_LEADER);
        assert_int_equal(m->handed_count, 0);
        member_step(m);
        if (m->role != ROLE_LEADER)
            assert_true(simdisk_release(m->disk));
    }
    assert_int_equal(seglog_durable_index(m->log), 1);
}

static void new_group_leads_once_its_first_entry_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct member m;
        simclock_init(&clock_of_test, 1000000);
        member_init(&m, 1, &clock_of_test, seed);
        start(&m);
        simdisk_hold(m.disk, true);
        follows_until_its_first_entry_is_durable(&m);
        assert_int_equal(consensus_role(m.consensus), ROLE_LEADER);
        assert_int_equal(m.term, 2);
        assert_int_equal(m.handed_count, 1);
        assert_int_equal(m.handed[0].type, ENTRY_CHANGE);
        assert_true(consensus_is_ready(m.consensus));
        assert_true(consensus_is_single_voter(m.consensus));
        assert_int_equal(consensus_next_index(m.consensus), 2);
        member_fini(&m);
    }
}

static void entry_is_handed_out_by_the_step_that_hears_of_its_sync(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    simdisk_hold(m.disk, true);
    uint64_t index;
    assert_int_equal(member_submit(&m, 7, &index), 0);
    assert_int_equal(index, 2);
    assert_int_equal(consensus_next_index(m.consensus), 3);
    member_step(&m);
    assert_int_equal(m.handed_count, 1);
    assert_true(simdisk_release(m.disk));
    int error;
    while (m.handed_count == 1)
        consensus_step(m.consensus, 1, &error);
    assert_int_equal(m.handed_count, 2);
    assert_int_equal(m.handed[1].index, 2);
    assert_int_equal(m.handed[1].value, 7);
    assert_int_equal(m.handed[1].term, consensus_term(m.consensus));
    assert_int_equal(consensus_commit_index(m.consensus), 2);
    member_fini(&m);
}

static void frames_in_flight_are_limited_and_come_out_in_order(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    simdisk_hold(m.disk, true);
    uint64_t index;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(member_submit(&m, i, &index), 0);
    assert_int_equal(consensus_can_submit(m.consensus, 4096), ERR_AGAIN);
    assert_int_equal(consensus_can_submit(m.consensus, 1U << 20), ERR_TOO_BIG);
    member_step(&m);
    while (simdisk_release(m.disk))
        member_step(&m);
    member_step(&m);
    assert_int_equal(m.handed_count, 5);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(m.handed[1 + i].value, i);
    assert_order(&m);
    member_fini(&m);
}

static void submit_all(struct member *m, uint64_t first, uint64_t count)
{
    uint64_t index;
    for (uint64_t i = 0; i < count;) {
        int rc = member_submit(m, first + i, &index);
        if (rc == 0)
            i++;
        else
            assert_int_equal(rc, ERR_AGAIN);
        if (rc != 0)
            member_settle(m);
    }
    member_settle(m);
}

static void restart_hands_all_out_again_within_its_budget(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 300);
    assert_int_equal(m.handed_count, 301);
    uint64_t term = consensus_term(m.consensus);
    member_stop(&m);
    start(&m);
    assert_int_equal(consensus_next_index(m.consensus), 302);
    int error;
    unsigned steps = 0;
    while (m.role != ROLE_LEADER)
        consensus_step(m.consensus, 1, &error);
    assert_true(m.term > term);
    assert_false(consensus_is_ready(m.consensus));
    while (consensus_step(m.consensus, 5 * 4096, &error)) {
        size_t before = m.handed_count;
        steps++;
        assert_false(consensus_is_ready(m.consensus));
        assert_true(m.handed_count - before <= 5);
    }
    assert_true(steps > 20);
    assert_true(consensus_is_ready(m.consensus));
    assert_int_equal(m.handed_count, 301);
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(m.handed[i + 1].value, i);
    assert_order(&m);
    member_fini(&m);
}

static void writes_during_replay_come_after_it(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 50);
    member_stop(&m);
    start(&m);
    int error;
    while (m.role != ROLE_LEADER)
        consensus_step(m.consensus, 1, &error);
    uint64_t index;
    for (uint64_t i = 50; i < 60; i++) {
        while (member_submit(&m, i, &index) != 0)
            consensus_step(m.consensus, 1, &error);
        consensus_step(m.consensus, 1, &error);
    }
    member_settle(&m);
    assert_int_equal(m.handed_count, 61);
    for (uint64_t i = 0; i < 60; i++)
        assert_int_equal(m.handed[i + 1].value, i);
    assert_order(&m);
    member_fini(&m);
}

static void checkpoint_recycles_and_restart_begins_behind_it(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    for (uint64_t round = 0; round < 10; round++) {
        submit_all(&m, round * 100, 100);
        member_checkpoint(&m);
        struct seglog_stats stats = seglog_stats(m.log);
        assert_true(stats.segment_count <= 2);
    }
    assert_int_equal(m.checkpoint_index, 1001);
    assert_int_equal(m.configuration_index, 1);
    submit_all(&m, 1000, 3);
    assert_int_equal(consensus_term_of(m.consensus, 1001), m.checkpoint_term);
    uint64_t term = m.term;
    member_stop(&m);
    start(&m);
    assert_int_equal(consensus_term_of(m.consensus, 1001), m.checkpoint_term);
    assert_int_equal(consensus_term_of(m.consensus, 1004), term);
    member_settle(&m);
    assert_int_equal(m.handed_count, 3);
    assert_int_equal(m.handed[0].index, 1002);
    assert_int_equal(m.handed[2].value, 1002);
    assert_int_equal(consensus_term_of(m.consensus, 1001), m.checkpoint_term);
    assert_int_equal(consensus_term_of(m.consensus, 1004), term);
    uint64_t configuration_index;
    struct slice configuration = consensus_configuration(m.consensus, &configuration_index);
    assert_int_equal(configuration_index, 1);
    assert_true(slice_eq(configuration, buf_slice(&m.configuration)));
    /* Nothing above the checkpoint. */
    member_checkpoint(&m);
    member_stop(&m);
    start(&m);
    member_settle(&m);
    assert_int_equal(m.handed_count, 0);
    assert_true(consensus_is_ready(m.consensus));
    submit_all(&m, 5, 1);
    assert_int_equal(m.handed[0].index, 1005);
    assert_order(&m);
    member_fini(&m);
}

/* Recovery has read the log, and replay will: in between nothing is read in search of changes. */
static void a_start_reads_no_frame_in_vain(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    for (int is_checkpointed = 0; is_checkpointed < 2; is_checkpointed++) {
        submit_all(&m, 0, 300);
        member_stop(&m);
        uint64_t before = simdisk_count(m.disk, SIM_READ, ".seg");
        start(&m);
        assert_true(simdisk_count(m.disk, SIM_READ, ".seg") - before < 100);
        member_settle(&m);
        assert_int_equal(member_last(&m).value, 299);
        member_checkpoint(&m);
    }
    member_fini(&m);
}

static void idle_log_is_vouched_for_once_and_then_left_alone(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 1);
    uint64_t now_ms = atomic_load(&clock_of_test.mono_us) / 1000;
    uint64_t frames = seglog_stats(m.log).other_frames;
    assert_int_equal(consensus_deadline_ms(m.consensus), now_ms + 1000);
    member_run(&m, 990);
    assert_int_equal(seglog_stats(m.log).other_frames, frames);
    assert_true(seglog_needs_vouch(m.log));
    member_run(&m, 10);
    assert_int_equal(seglog_stats(m.log).other_frames, frames + 1);
    assert_false(seglog_needs_vouch(m.log));
    assert_int_equal(consensus_deadline_ms(m.consensus), UINT64_MAX);
    member_run(&m, 5000);
    assert_int_equal(seglog_stats(m.log).other_frames, frames + 1);
    submit_all(&m, 0, 1);
    assert_false(consensus_finish(m.consensus));
    member_settle(&m);
    assert_true(consensus_finish(m.consensus));
    assert_int_equal(seglog_stats(m.log).other_frames, frames + 2);
    member_fini(&m);
}

/* A disk that takes its time wakes by its answer: until then there is nothing to be early for. */
static void vouching_waits_for_a_slow_disk_without_a_timer(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    member_run(&m, 2000);
    simdisk_hold(m.disk, true);
    uint64_t index;
    assert_int_equal(member_submit(&m, 1, &index), 0);
    member_step(&m);
    simclock_advance(&clock_of_test, 5000);
    member_step(&m);
    assert_true(seglog_needs_vouch(m.log));
    assert_int_equal(consensus_deadline_ms(m.consensus), UINT64_MAX);
    simdisk_hold(m.disk, false);
    member_settle(&m);
    assert_false(seglog_needs_vouch(m.log));
    member_fini(&m);
}

static void assert_failed(struct member *m)
{
    uint64_t index;
    assert_int_equal(m->error, -EIO);
    assert_int_equal(m->role, ROLE_FAILED);
    assert_int_equal(consensus_role(m->consensus), ROLE_FAILED);
    assert_int_equal(m->unknown_events, 1);
    assert_int_equal(m->unknown_error, -EIO);
    assert_int_equal(member_submit(m, 20, &index), ERR_LOG_FAILED);
    assert_int_equal(consensus_can_submit(m->consensus, 4096), ERR_LOG_FAILED);
    assert_false(consensus_is_ready(m->consensus));
    assert_true(strlen(consensus_failure(m->consensus)) > 0);
    assert_true(consensus_finish(m->consensus));
    assert_int_equal(consensus_deadline_ms(m->consensus), UINT64_MAX);
}

/* Four writes are in flight and come back in any order; the nth to come back has failed. */
static void failed_log_tells_the_truth_about_each_entry(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct member m;
        uint64_t index;
        make_leader(&m);
        submit_all(&m, 0, 3);
        simdisk_fail_nth(m.disk, SIM_AIO, NULL, nth, -EIO);
        for (uint64_t i = 0; i < 4; i++)
            assert_int_equal(member_submit(&m, 10 + i, &index), 0);
        member_settle(&m);
        assert_failed(&m);
        assert_true(m.unknown_from >= 5 && m.unknown_from <= 8);
        assert_int_equal(member_last(&m).index, m.unknown_from - 1);
        member_checkpoint(&m);
        size_t count = m.handed_count;
        simclock_advance(&clock_of_test, 10000);
        member_step(&m);
        assert_int_equal(m.handed_count, count);
        assert_int_equal(m.unknown_events, 1);
        assert_order(&m);
        /* What was unknown may have happened; what was answered has. */
        uint64_t answered = member_last(&m).index;
        member_stop(&m);
        start(&m);
        member_settle(&m);
        assert_true(m.checkpoint_index + m.handed_count >= answered);
        member_fini(&m);
    }
}

static void failure_during_replay_still_hands_out_what_was_durable(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 100);
    member_stop(&m);
    start(&m);
    int error;
    uint64_t index;
    while (m.role != ROLE_LEADER)
        consensus_step(m.consensus, 1, &error);
    simdisk_fail_nth(m.disk, SIM_AIO, NULL, 1, -ENOSPC);
    assert_int_equal(member_submit(&m, 100, &index), 0);
    member_settle(&m);
    member_step(&m);
    assert_int_equal(m.error, -ENOSPC);
    assert_int_equal(m.unknown_from, 102);
    assert_int_equal(m.handed_count, 101);
    assert_int_equal(member_last(&m).value, 99);
    assert_order(&m);
    member_fini(&m);
}

static void unreadable_log_stops_the_group_loudly(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 100);
    member_stop(&m);
    start(&m);
    int error = 0;
    while (m.role != ROLE_LEADER)
        consensus_step(m.consensus, 1, &error);
    simdisk_fail_nth(m.disk, SIM_READ, ".seg", 50, -EIO);
    member_step(&m);
    assert_int_equal(m.error, -EIO);
    assert_int_equal(m.role, ROLE_FAILED);
    assert_int_equal(m.unknown_events, 1);
    assert_int_equal(m.unknown_from, 102);
    assert_true(m.handed_count < 101);
    size_t count = m.handed_count;
    member_step(&m);
    assert_int_equal(m.handed_count, count);
    assert_order(&m);
    member_fini(&m);
}

static void bad_manifest_and_log_are_refused_with_words(void **state)
{
    (void)state;
    struct member m;
    make_leader(&m);
    submit_all(&m, 0, 10);
    member_checkpoint(&m);
    member_stop(&m);
    m.configuration.data[0] = 9;
    assert_int_equal(member_start(&m), ERR_FORMAT);
    assert_true(strlen(m.diag.text) > 0);
    m.configuration.data[0] = 1;
    start(&m);
    member_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_group_leads_once_its_first_entry_is_durable),
        cmocka_unit_test(entry_is_handed_out_by_the_step_that_hears_of_its_sync),
        cmocka_unit_test(frames_in_flight_are_limited_and_come_out_in_order),
        cmocka_unit_test(restart_hands_all_out_again_within_its_budget),
        cmocka_unit_test(writes_during_replay_come_after_it),
        cmocka_unit_test(checkpoint_recycles_and_restart_begins_behind_it),
        cmocka_unit_test(a_start_reads_no_frame_in_vain),
        cmocka_unit_test(idle_log_is_vouched_for_once_and_then_left_alone),
        cmocka_unit_test(vouching_waits_for_a_slow_disk_without_a_timer),
        cmocka_unit_test(failed_log_tells_the_truth_about_each_entry),
        cmocka_unit_test(failure_during_replay_still_hands_out_what_was_durable),
        cmocka_unit_test(unreadable_log_stops_the_group_loudly),
        cmocka_unit_test(bad_manifest_and_log_are_refused_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
