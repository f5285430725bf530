/* SPDX-License-Identifier: Apache-2.0 */
/* The failures that the rules R9, R10, R11 and R30 prevent, each as it was described. */
#include "support/cmocka.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

static void begin(struct logworld *world, uint64_t seed)
{
    logworld_init(world, simdisk_new(seed), seed);
    logworld_open(world);
    logworld_hard_state(world, 1, 1);
    logworld_settle(world);
}

/* The world as it is, with all that was ever handed to the disk. */
static void crash_with_everything(struct logworld *from, struct logworld *out_world)
{
    uint64_t durable;
    uint64_t step = simdisk_steps(from->disk);
    logworld_crash(from, step, simdisk_image_all(from->disk, step), 7, out_world, &durable);
}

/* The same, with nothing but what was synced. */
static uint64_t crash_with_synced(struct logworld *from, struct logworld *out_world)
{
    uint64_t durable;
    uint64_t step = simdisk_steps(from->disk);
    logworld_crash(from, step, simdisk_image_synced(from->disk, step), 7, out_world, &durable);
    return durable;
}

/* Appends until the log goes on in another segment than now. */
static void fill_segment(struct logworld *world)
{
    struct seglog_stats before = seglog_stats(world->log);
    while (seglog_stats(world->log).segment_count == before.segment_count) {
        assert_true(logworld_append(world, 1, 60000));
        logworld_settle(world);
        assert_int_equal(logworld_prepare(world), 0);
    }
}

static uint64_t append(struct logworld *world, uint32_t count, size_t size)
{
    assert_true(logworld_append(world, count, size));
    return world->history.count;
}

/* ---- R9 ---- */

static void r9_an_acknowledged_frame_needs_no_name_that_is_not_durable(void **state)
{
    (void)state;
    struct logworld world;
    struct logworld after;
    begin(&world, 1);
    assert_int_equal(logworld_prepare(&world), 0);
    fill_segment(&world);
    uint64_t durable = crash_with_synced(&world, &after);
    assert_true(durable > 3);
    logworld_open(&after);
    logworld_check(&after, durable);
    logworld_fini(&after);

    /* Again in a segment that was used before. */
    logworld_checkpoint(&world, seglog_durable_index(world.log));
    assert_int_equal(seglog_stats(world.log).spare_count, 1);
    fill_segment(&world);
    fill_segment(&world);
    assert_true(seglog_stats(world.log).segments_recycled > 0);
    durable = crash_with_synced(&world, &after);
    logworld_open(&after);
    logworld_check(&after, durable);
    logworld_fini(&after);
    logworld_fini(&world);
}

static void r9_a_prepared_segment_without_open_frame_is_unused(void **state)
{
    (void)state;
    struct logworld world;
    struct logworld after;
    begin(&world, 2);
    assert_int_equal(logworld_prepare(&world), 0);
    logworld_hard_state(&world, 2, 1);
    logworld_settle(&world);
    crash_with_synced(&world, &after);
    logworld_open(&after);
    logworld_check(&after, world.history.count);
    assert_int_equal(after.found.cut_frames, 0);
    assert_int_equal(seglog_stats(after.log).segments_recycled, 1);
    logworld_fini(&after);
    logworld_fini(&world);
}

/* The scenario of the rule: a recycled file under its new name with the old header. */
static void r9_no_crash_while_recycling_leaves_a_name_without_its_header(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 3);
    assert_int_equal(logworld_prepare(&world), 0);
    fill_segment(&world);
    fill_segment(&world);
    logworld_checkpoint(&world, seglog_durable_index(world.log));
    uint64_t begin_step = simdisk_steps(world.disk);
    fill_segment(&world);
    assert_true(seglog_stats(world.log).segments_recycled > 0);
    uint64_t end_step = simdisk_steps(world.disk);
    for (uint64_t step = begin_step; step <= end_step; step++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct logworld after;
            uint64_t durable;
            logworld_crash(&world, step, simdisk_image(world.disk, step, seed), seed, &after,
                           &durable);
            logworld_open(&after);
            logworld_check(&after, durable);
            logworld_fini(&after);
        }
    logworld_fini(&world);
}

static void r9_a_damaged_header_is_found_if_the_segment_matters(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 4);
    append(&world, 2, 100);
    logworld_settle(&world);
    struct spot spot;
    assert_true(logworld_find(&world, 1, &spot));
    logworld_drop(&world);
    assert_true(simdisk_corrupt(world.disk, spot.path, 33, 1));
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_non_null(strstr(world.diag.text, spot.path));
    assert_true(simdisk_corrupt(world.disk, spot.path, 33, 1));
    logworld_open(&world);

    /* The one that is ready now holds nothing. */
    char name[SEGMENT_NAME_SIZE];
    char path[64];
    segment_name_format(name, 2, false);
    snprintf(path, sizeof(path), "log/%s", name);
    logworld_drop(&world);
    assert_true(simdisk_corrupt(world.disk, path, 33, 1));
    logworld_open(&world);
    logworld_check(&world, 3);
    logworld_fini(&world);
}

/* ---- R10 ---- */

/* (a) H is written, R before it is not: H must not count. */
static void r10a_a_hard_state_behind_a_hole_is_not_durable(void **state)
{
    (void)state;
    bool has_seen = false;
    for (uint64_t seed = 0; seed < 64 && !has_seen; seed++) {
        struct logworld world;
        begin(&world, seed);
        uint64_t before = seglog_durable_sequence(world.log);
        simdisk_hold(world.disk, true);
        uint64_t entries = append(&world, 1, 5000);
        uint64_t hard = logworld_hard_state(&world, 2, 3);
        seglog_flush(world.log);
        assert_true(simdisk_release(world.disk));
        assert_int_equal(logworld_poll(&world), 0);
        assert_int_equal(seglog_in_flight(world.log), 1);
        has_seen = seglog_durable_sequence(world.log) == before;
        assert_true(has_seen || seglog_durable_sequence(world.log) == entries);
        assert_true(seglog_durable_sequence(world.log) < hard);
        assert_null(has_seen ? seglog_next_durable(world.log) : NULL);

        struct logworld after;
        crash_with_everything(&world, &after);
        logworld_erase(&after, entries);
        logworld_open(&after);
        logworld_check(&after, has_seen ? before : 0);
        assert_int_equal(after.found.term, 1);
        assert_int_equal(after.found.cut_frames, 1);
        logworld_fini(&after);

        assert_true(simdisk_release(world.disk));
        assert_int_equal(logworld_poll(&world), 0);
        assert_int_equal(seglog_durable_sequence(world.log), hard);
        logworld_fini(&world);
    }
    assert_true(has_seen);
}

/* (b) A hard state has no index; its sequence says that it had been durable. */
static void r10b_a_hard_state_that_was_durable_is_missed(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 5);
    uint64_t hard = logworld_hard_state(&world, 2, 3);
    logworld_settle(&world);
    append(&world, 1, 10);
    logworld_settle(&world);
    struct spot spot;
    assert_true(logworld_find(&world, hard, &spot));
    logworld_drop(&world);
    logworld_rot(&world, hard, 70);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_non_null(strstr(world.diag.text, spot.path));
    char where[32];
    snprintf(where, sizeof(where), "offset %u ", (unsigned)spot.off);
    assert_non_null(strstr(world.diag.text, where));
    logworld_fini(&world);
}

/* (c) A follower truncates; indices go back, sequences do not. */
static void r10c_entries_behind_a_truncation_were_not_durable(void **state)
{
    (void)state;
    for (int is_truncate_durable = 0; is_truncate_durable < 2; is_truncate_durable++) {
        struct logworld world;
        begin(&world, 6);
        append(&world, 50, 10);
        append(&world, 100, 10);
        logworld_settle(&world);
        assert_int_equal(seglog_durable_index(world.log), 150);
        logworld_truncate(&world, 120);
        assert_int_equal(seglog_durable_index(world.log), 120);
        if (is_truncate_durable)
            logworld_settle(&world);
        simdisk_hold(world.disk, true);
        world.term = 2;
        uint64_t torn = append(&world, 10, 10);
        append(&world, 10, 10);
        seglog_flush(world.log);

        struct logworld after;
        crash_with_everything(&world, &after);
        logworld_erase(&after, torn);
        logworld_open(&after);
        logworld_check(&after, torn - 1);
        assert_int_equal(after.found.last_index, 120);
        assert_int_equal(after.found.last_term, 1);
        logworld_fini(&after);
        logworld_fini(&world);
    }
}

/* (d) The segment in which the vote was written has been used again. */
static void r10d_the_vote_outlives_its_segment(void **state)
{
    (void)state;
    struct logworld world;
    struct logworld after;
    begin(&world, 7);
    logworld_hard_state(&world, 9, 4);
    uint64_t word = 77;
    seglog_set_configuration(world.log, 5, slice_of(&word, sizeof(word)));
    assert_int_equal(logworld_prepare(&world), 0);
    for (int i = 0; i < 4; i++) {
        fill_segment(&world);
        logworld_checkpoint(&world, seglog_durable_index(world.log));
    }
    assert_int_equal(seglog_stats(world.log).segment_count, 1);
    crash_with_synced(&world, &after);
    logworld_open(&after);
    logworld_check(&after, world.history.count);
    assert_int_equal(after.found.term, 9);
    assert_int_equal(after.found.vote, 4);
    assert_int_equal(after.found.configuration_index, 5);
    assert_true(slice_eq(after.found.configuration, slice_of(&word, sizeof(word))));
    logworld_fini(&after);
    logworld_fini(&world);
}

/* (e) The last acknowledged frame rots: found from the vouching frame on. */
static void r10e_the_last_frame_is_vouched_for_when_the_log_is_idle(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 8);
    uint64_t last = append(&world, 3, 1000);
    seglog_flush(world.log);
    assert_true(seglog_needs_vouch(world.log));
    uint64_t other_before = seglog_stats(world.log).other_frames;
    seglog_vouch(world.log); /* it is not durable yet: nothing to vouch for */
    logworld_settle(&world);
    assert_int_equal(seglog_stats(world.log).other_frames, other_before);
    seglog_vouch(world.log);
    logworld_settle(&world);
    assert_false(seglog_needs_vouch(world.log));
    seglog_vouch(world.log);
    logworld_settle(&world);
    assert_int_equal(seglog_stats(world.log).other_frames, other_before + 1);

    struct spot spot;
    assert_true(logworld_find(&world, last, &spot));
    logworld_drop(&world);
    logworld_rot(&world, last, 500);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_non_null(strstr(world.diag.text, spot.path));

    /* Without the vouching frame nobody could tell it from a torn tail. */
    logworld_erase(&world, last + 1);
    logworld_open(&world);
    logworld_check(&world, last - 1);
    assert_int_equal(seglog_durable_sequence(world.log), last - 1);
    logworld_fini(&world);
}

/* (e) The same where the last frame has filled its segment to the brim: the next segment vouches.
 */
static void r10e_a_full_segment_is_vouched_for_too(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 8);
    assert_int_equal(logworld_prepare(&world), 0);
    uint64_t last = append(&world, 1, 10);
    while (seglog_stats(world.log).live_bytes < LOGWORLD_SEGMENT) {
        assert_int_equal(logworld_prepare(&world), 0);
        last = append(&world, 1, 10);
        logworld_settle(&world);
    }
    assert_int_equal(seglog_stats(world.log).segment_count, 1);
    assert_true(seglog_needs_vouch(world.log));
    seglog_vouch(world.log);
    logworld_settle(&world);
    assert_true(seglog_durable_sequence(world.log) > last);

    struct spot spot;
    assert_true(logworld_find(&world, last, &spot));
    logworld_drop(&world);
    logworld_rot(&world, last, 100);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_non_null(strstr(world.diag.text, spot.path));
    logworld_fini(&world);
}

/* ---- R11 ---- */

/* R1 torn and R2 whole are cut; G1 of the same length follows where R1 would have been. */
static void begin_r11(struct logworld *out_world, uint64_t *out_r1)
{
    struct logworld world;
    begin(&world, 9);
    logworld_hard_state(&world, 3, 1);
    append(&world, 100, 10);
    logworld_settle(&world);
    simdisk_hold(world.disk, true);
    *out_r1 = append(&world, 10, 40);
    append(&world, 10, 40);
    seglog_flush(world.log);
    crash_with_everything(&world, out_world);
    logworld_fini(&world);

    logworld_erase(out_world, *out_r1);
    logworld_open(out_world);
    logworld_check(out_world, *out_r1 - 1);
    assert_int_equal(out_world->found.cut_frames, 1);
    assert_int_equal(out_world->found.last_index, 100);
}

static void r11_what_was_cut_does_not_come_back(void **state)
{
    (void)state;
    struct logworld world;
    struct logworld after;
    uint64_t r1;
    begin_r11(&world, &r1);
    logworld_hard_state(&world, 4, 1);
    append(&world, 10, 40);
    logworld_settle(&world);
    uint64_t durable = crash_with_synced(&world, &after);
    assert_int_equal(durable, r1 + 2);
    logworld_open(&after);
    logworld_check(&after, durable);
    assert_int_equal(after.found.last_index, 110);
    assert_int_equal(after.found.last_term, 4);
    logworld_fini(&after);
    logworld_fini(&world);
}

static void r11_a_second_cut_before_anything_new_is_durable_is_the_same_cut(void **state)
{
    (void)state;
    struct logworld world;
    uint64_t r1;
    begin_r11(&world, &r1);
    simdisk_hold(world.disk, true);
    logworld_hard_state(&world, 4, 1);
    append(&world, 10, 40);
    seglog_flush(world.log);
    uint64_t step = simdisk_steps(world.disk);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct logworld after;
        uint64_t durable;
        logworld_crash(&world, step, simdisk_image(world.disk, step, seed), seed, &after, &durable);
        logworld_open(&after);
        logworld_check(&after, r1 - 1);
        assert_true(after.found.last_index == 100 || after.found.last_term == 4);
        logworld_fini(&after);
    }
    logworld_fini(&world);
}

/* The write of R1, given up with its process, reaches the disk when the log has long gone on. */
static void r11_a_cut_frame_that_turns_up_late_is_void(void **state)
{
    (void)state;
    struct logworld world;
    struct spot spot;
    uint64_t r1;
    begin_r11(&world, &r1);
    assert_true(logworld_find(&world, r1 + 1, &spot));
    uint64_t r1_off = spot.off - FRAME_ALIGN;
    struct frame *late = logworld_frame(&world, 10, 40);
    struct file *file;
    uint8_t head[SEGMENT_HEADER_SIZE];
    struct segment_header segment;
    assert_int_equal(fs_open(simdisk_fs(world.disk), spot.path, FS_WRITE, &file), 0);
    assert_int_equal(file_read_full(file, head, sizeof(head), 0), 0);
    assert_int_equal(segment_header_decode(head, &segment), 0);
    struct frame_header header = {
        .epoch = segment.epoch,
        .sequence = r1,
        .durable = r1 - 1,
        .first_index = 101,
        .term = 3,
        .size = (uint32_t)late->size,
        .count = 10,
        .nth = (uint32_t)r1 - 1,
        .kind = FRAME_ENTRIES,
    };
    frame_header_encode(late->data, &header, r1_off);

    logworld_hard_state(&world, 4, 1);
    append(&world, 10, 40);
    logworld_settle(&world);
    logworld_drop(&world);
    size_t done;
    assert_int_equal(file_write_full(file, late->data, FRAME_ALIGN, r1_off, &done), 0);
    file_unref(file);
    frame_unref(late);
    assert_true(logworld_find(&world, r1 + 1, &spot));
    logworld_open(&world);
    logworld_check(&world, r1 + 2);
    assert_int_equal(world.found.last_index, 110);
    assert_int_equal(world.found.last_term, 4);
    logworld_fini(&world);
}

/* The frame that says where the old segment ends rots: R2 must not be taken for its successor. */
static void r11_a_rotten_open_frame_revives_nothing(void **state)
{
    (void)state;
    struct logworld world;
    uint64_t r1;
    begin_r11(&world, &r1);
    logworld_hard_state(&world, 4, 1);
    append(&world, 10, 40);
    logworld_settle(&world);
    seglog_vouch(world.log);
    logworld_settle(&world);
    struct spot spot;
    assert_true(logworld_find(&world, r1, &spot));
    logworld_drop(&world);
    logworld_rot(&world, r1, 20);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_non_null(strstr(world.diag.text, spot.path));
    logworld_fini(&world);
}

/* A torn frame, and behind it a whole segment of cut ones. */
static uint64_t begin_cut_segment(struct logworld *out_world, struct spot *out_spot)
{
    struct logworld world;
    begin(&world, 10);
    append(&world, 5, 10);
    logworld_settle(&world);
    assert_int_equal(logworld_prepare(&world), 0);
    simdisk_hold(world.disk, true);
    uint64_t torn = append(&world, 1, 100000);
    append(&world, 1, 100000);
    append(&world, 1, 100000); /* in the next segment */
    assert_int_equal(seglog_stats(world.log).segment_count, 2);
    seglog_flush(world.log);
    crash_with_everything(&world, out_world);
    logworld_fini(&world);
    assert_true(logworld_find(out_world, torn + 3, out_spot));
    logworld_erase(out_world, torn);
    return torn;
}

/* Before anything new is written: should that rot, the cut ones must not be taken for it. */
static void r11_cut_segments_are_gone_before_the_log_goes_on(void **state)
{
    (void)state;
    struct logworld world;
    struct logworld after;
    struct spot spot;
    uint64_t torn = begin_cut_segment(&world, &spot);
    logworld_open(&world);
    logworld_check(&world, torn - 1);
    assert_int_equal(world.found.cut_frames, 3);
    crash_with_synced(&world, &after);
    struct fs_stat stat;
    assert_int_equal(fs_stat(simdisk_fs(after.disk), spot.path, &stat), -ENOENT);
    logworld_fini(&after);
    logworld_fini(&world);
}

/* And if one is there again all the same, it is void. */
static void r11_a_cut_segment_that_is_put_back_is_void(void **state)
{
    (void)state;
    struct logworld world;
    struct spot spot;
    uint64_t torn = begin_cut_segment(&world, &spot);
    struct fs *fs = simdisk_fs(world.disk);
    assert_int_equal(fs_link(fs, spot.path, "kept"), 0);
    logworld_open(&world);
    append(&world, 1, 70000);
    append(&world, 2, 100);
    logworld_settle(&world);
    logworld_drop(&world);
    assert_int_equal(fs_rename(fs, "kept", spot.path), 0);
    logworld_open(&world);
    logworld_check(&world, torn + 2);
    assert_int_equal(seglog_durable_sequence(world.log), torn + 2);
    logworld_fini(&world);
}

/* ---- R30 ---- */

/* Three writes in flight, the second fails, the third succeeds. */
static void r30_the_first_failure_is_final(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 11);
    uint64_t durable = seglog_durable_sequence(world.log);
    uint64_t first = append(&world, 1, 10);
    simdisk_fail_nth(world.disk, SIM_AIO, NULL, 1, -EIO);
    append(&world, 1, 10);
    append(&world, 1, 10);
    int rc = 0;
    while (seglog_in_flight(world.log) > 0) {
        seglog_flush(world.log);
        rc = logworld_poll(&world);
    }
    assert_int_equal(rc, -EIO);
    assert_int_equal(seglog_poll(world.log), -EIO);
    durable = seglog_durable_sequence(world.log) > durable ? first : durable;
    assert_int_equal(seglog_durable_sequence(world.log), durable);
    assert_int_equal(seglog_admit(world.log, 100), ERR_LOG_FAILED);
    assert_false(seglog_has_slot(world.log));
    assert_null(seglog_prep_take(world.log));
    assert_true(seglog_put_hard_state(world.log, 2, 2) == UINT64_MAX);
    assert_true(seglog_truncate(world.log, seglog_last_index(world.log)) == UINT64_MAX);
    assert_null(seglog_next_durable(world.log));
    uint64_t sequence = durable < first ? first : first + 1;
    for (struct frame *frame; (frame = seglog_next_lost(world.log)) != NULL; sequence++) {
        assert_int_equal(frame->sequence, sequence);
        frame_unref(frame);
    }
    assert_int_equal(sequence, first + 3);

    /* The next start decides what has become of them, and keeps to it. */
    seglog_close(world.log);
    logworld_open(&world);
    logworld_check(&world, durable);
    logworld_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r9_an_acknowledged_frame_needs_no_name_that_is_not_durable),
        cmocka_unit_test(r9_a_prepared_segment_without_open_frame_is_unused),
        cmocka_unit_test(r9_no_crash_while_recycling_leaves_a_name_without_its_header),
        cmocka_unit_test(r9_a_damaged_header_is_found_if_the_segment_matters),
        cmocka_unit_test(r10a_a_hard_state_behind_a_hole_is_not_durable),
        cmocka_unit_test(r10b_a_hard_state_that_was_durable_is_missed),
        cmocka_unit_test(r10c_entries_behind_a_truncation_were_not_durable),
        cmocka_unit_test(r10d_the_vote_outlives_its_segment),
        cmocka_unit_test(r10e_the_last_frame_is_vouched_for_when_the_log_is_idle),
        cmocka_unit_test(r10e_a_full_segment_is_vouched_for_too),
        cmocka_unit_test(r11_what_was_cut_does_not_come_back),
        cmocka_unit_test(r11_a_second_cut_before_anything_new_is_durable_is_the_same_cut),
        cmocka_unit_test(r11_a_rotten_open_frame_revives_nothing),
        cmocka_unit_test(r11_a_cut_frame_that_turns_up_late_is_void),
        cmocka_unit_test(r11_cut_segments_are_gone_before_the_log_goes_on),
        cmocka_unit_test(r11_a_cut_segment_that_is_put_back_is_void),
        cmocka_unit_test(r30_the_first_failure_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
