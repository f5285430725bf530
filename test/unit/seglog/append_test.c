/* SPDX-License-Identifier: Apache-2.0 */
/* The write path and the reader, without crashes. */
#include "support/cmocka.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

static void begin(struct logworld *world, uint64_t seed)
{
    logworld_init(world, simdisk_new(seed), seed);
    logworld_open(world);
}

/* ---- Order ---- */

static void frames_become_durable_in_order_however_they_complete(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, sim_seed());
    uint64_t next_index = 1;
    uint64_t put = 0;
    simdisk_hold(world.disk, true);
    while (put < 400) {
        assert_int_equal(logworld_prepare(&world), 0);
        if (logworld_random(&world, 2) == 0 && logworld_append(&world, 2, 2000))
            put++;
        if (logworld_random(&world, 8) == 0)
            logworld_hard_state(&world, world.term + 1, 1);
        seglog_flush(world.log);
        if (logworld_random(&world, 2) == 0)
            simdisk_release(world.disk);
        uint64_t before = seglog_durable_index(world.log);
        assert_int_equal(seglog_poll(world.log), 0);
        for (struct frame *frame; (frame = seglog_next_durable(world.log)) != NULL;) {
            assert_int_equal(frame->first_index, next_index);
            next_index += frame->entry_count;
            frame_unref(frame);
        }
        assert_int_equal(seglog_durable_index(world.log), next_index - 1);
        assert_true(before <= next_index - 1);
        assert_true(seglog_in_flight(world.log) <= world.options.max_in_flight + 20);
        if (seglog_durable_index(world.log) > 50)
            logworld_checkpoint(&world, seglog_durable_index(world.log) - 50);
    }
    logworld_fini(&world);
}

static void slots_are_free_again_when_frames_are_durable(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 1);
    simdisk_hold(world.disk, true);
    for (unsigned i = 0; i < world.options.max_in_flight; i++) {
        assert_true(seglog_has_slot(world.log));
        assert_true(logworld_append(&world, 1, 10));
    }
    assert_false(seglog_has_slot(world.log));
    /* The log's own frames need no slot; what the aio has no room for waits. */
    uint64_t last = 0;
    for (unsigned i = 0; i < 3 * SEGLOG_OWN_IN_FLIGHT; i++)
        last = logworld_hard_state(&world, 1 + i, 1);
    assert_int_equal(seglog_in_flight(world.log),
                     world.options.max_in_flight + 3 * SEGLOG_OWN_IN_FLIGHT + 1);
    seglog_flush(world.log);
    unsigned with_disk = 0;
    while (simdisk_release(world.disk))
        with_disk++;
    assert_int_equal(with_disk, world.options.max_in_flight + SEGLOG_OWN_IN_FLIGHT);
    logworld_settle(&world);
    assert_int_equal(seglog_durable_sequence(world.log), last);
    assert_true(seglog_has_slot(world.log));
    logworld_fini(&world);
}

/* ---- Room ---- */

static void admission_says_what_stands_in_the_way(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 2);
    size_t max = seglog_max_frame(world.log);
    assert_int_equal(max, LOGWORLD_SEGMENT / 2);
    assert_int_equal(seglog_admit(world.log, max), 0);
    assert_int_equal(seglog_admit(world.log, max + 1), ERR_TOO_BIG);
    while (logworld_append(&world, 1, 30000))
        logworld_settle(&world);
    assert_int_equal(seglog_admit(world.log, max), ERR_AGAIN);
    simdisk_fail_nth(world.disk, SIM_WRITE, ".tmp", 1, -EIO);
    assert_int_equal(logworld_prepare(&world), -EIO);
    assert_int_equal(seglog_admit(world.log, max), -EIO);
    assert_int_equal(logworld_prepare(&world), 0);
    assert_int_equal(seglog_admit(world.log, max), 0);
    logworld_fini(&world);
}

static void a_full_disk_refuses_frames_before_they_are_put(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 3);
    simdisk_set_capacity(world.disk, LOGWORLD_SEGMENT + 100000);
    while (logworld_append(&world, 1, 30000))
        logworld_settle(&world);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(logworld_prepare(&world), -ENOSPC);
        assert_int_equal(seglog_admit(world.log, 40000), -ENOSPC);
    }
    /* What is small still has its place, and nothing is left behind of the attempts. */
    logworld_hard_state(&world, 5, 1);
    logworld_settle(&world);
    simdisk_set_capacity(world.disk, 2 * LOGWORLD_SEGMENT + 8192);
    assert_int_equal(logworld_prepare(&world), 0);
    assert_int_equal(seglog_admit(world.log, 40000), 0);
    while (seglog_stats(world.log).segment_count == 1)
        assert_true(logworld_append(&world, 1, 30000));
    logworld_settle(&world);
    uint64_t count = world.history.count;
    logworld_drop(&world);

    /* A start needs a segment, too; one that holds nothing is taken before a new one is made. */
    assert_int_equal(logworld_try_open(&world), -ENOSPC);
    simdisk_set_capacity(world.disk, UINT64_MAX);
    logworld_open(&world);
    logworld_drop(&world);
    simdisk_set_capacity(world.disk, 0);
    logworld_open(&world);
    logworld_check(&world, count);
    logworld_fini(&world);
}

static void the_reserve_takes_small_frames_while_no_segment_is_ready(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 4);
    while (logworld_append(&world, 1, logworld_random(&world, 9000)))
        logworld_settle(&world);
    uint64_t last = seglog_last_index(world.log);
    unsigned count = 0;
    uint64_t sequence = 0;
    for (; count < 100; count++) {
        sequence = count % 2 == 0 ? logworld_hard_state(&world, count + 1, 1)
                                  : logworld_truncate(&world, last - count / 2);
        if (sequence == UINT64_MAX)
            break;
        logworld_settle(&world);
        assert_int_equal(seglog_durable_sequence(world.log), sequence);
    }
    assert_true(count >= 8);
    assert_int_equal(seglog_poll(world.log), -ENOSPC);
    assert_int_equal(seglog_admit(world.log, 10), ERR_LOG_FAILED);
    uint64_t durable = seglog_durable_sequence(world.log);
    logworld_drop(&world);
    logworld_open(&world);
    logworld_check(&world, durable);
    logworld_fini(&world);
}

/* Appends a frame behind two hard states that were put after it was admitted; false: not admitted.
 */
static bool append_behind_small_frames(struct logworld *world, size_t size)
{
    struct frame *frame = logworld_frame(world, 1, size);
    bool is_admitted = seglog_admit(world->log, frame->size) == 0;
    if (is_admitted) {
        seglog_put_hard_state(world->log, world->term, 1);
        seglog_put_hard_state(world->log, world->term, 2);
        seglog_append(world->log, frame);
        while (seglog_in_flight(world->log) > 0) {
            seglog_flush(world->log);
            assert_int_equal(seglog_poll(world->log), 0);
        }
    }
    frame_unref(frame);
    return is_admitted;
}

static void an_admission_outlasts_small_frames(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, sim_seed());
    for (int i = 0; i < 40; i++) {
        size_t size = 3000 + logworld_random(&world, 60000);
        while (append_behind_small_frames(&world, size))
            ;
        assert_int_equal(logworld_prepare(&world), 0);
    }
    logworld_fini(&world);
}

/* A hard state finds the reserve used up between admission and append. */
static void a_frame_that_comes_too_late_is_lost(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 15);
    simdisk_hold(world.disk, true);
    logworld_append(&world, 1, 10);
    seglog_flush(world.log);
    while (logworld_hard_state(&world, world.term + 1, 1) != UINT64_MAX)
        ;
    struct frame *frames[2];
    for (int i = 0; i < 2; i++) {
        frames[i] = logworld_frame(&world, 1, 10);
        seglog_append(world.log, frames[i]);
    }
    assert_int_equal(seglog_last_index(world.log), 3);
    simdisk_hold(world.disk, false);
    while (seglog_in_flight(world.log) > 0) {
        seglog_flush(world.log);
        assert_int_equal(seglog_poll(world.log), -ENOSPC);
    }
    assert_null(seglog_next_durable(world.log));
    for (uint64_t index = 1; index <= 3; index++) {
        struct frame *lost = seglog_next_lost(world.log);
        assert_non_null(lost);
        assert_int_equal(lost->first_index, index);
        frame_unref(lost);
    }
    assert_null(seglog_next_lost(world.log));
    frame_unref(frames[0]);
    frame_unref(frames[1]);
    logworld_fini(&world);
}

static void the_largest_frame_follows_the_largest_configuration(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 5);
    uint8_t *bytes = mem_calloc(1, SEGLOG_CONFIGURATION_MAX);
    memset(bytes, 'c', SEGLOG_CONFIGURATION_MAX);
    struct slice configuration = slice_of(bytes, SEGLOG_CONFIGURATION_MAX);
    seglog_set_configuration(world.log, 3, configuration);
    size_t max = seglog_max_frame(world.log);
    struct frame *frame = frame_new(max - FRAME_PAYLOAD_OFF);
    frame->term = 1;
    frame->first_index = 1;
    frame->entry_count = 1;
    frame->size = max;
    frame_put_entry_header(frame, FRAME_HEADER_SIZE, max - FRAME_PAYLOAD_OFF, ENTRY_COMMAND);
    memset(frame->data + FRAME_PAYLOAD_OFF, 'x', max - FRAME_PAYLOAD_OFF);
    assert_int_equal(seglog_admit(world.log, max), 0);
    seglog_append(world.log, frame);
    frame_unref(frame);
    for (unsigned i = 0; i < 8; i++)
        seglog_put_hard_state(world.log, 1, i);
    logworld_settle(&world);
    seglog_close(world.log);

    assert_int_equal(seglog_open(&world.options, &world.log, &world.found, &world.diag), 0);
    assert_int_equal(world.found.last_index, 1);
    assert_int_equal(world.found.vote, 7);
    assert_int_equal(world.found.configuration_index, 3);
    assert_true(slice_eq(world.found.configuration, configuration));
    /* It stays readable, whatever comes after. */
    seglog_set_configuration(world.log, 4, SLICE_EMPTY);
    assert_true(slice_eq(world.found.configuration, configuration));
    mem_free(bytes);
    logworld_fini(&world);
}

/* ---- Truncation ---- */

static void a_truncation_reaches_frames_in_flight(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 6);
    world.term = 1;
    simdisk_hold(world.disk, true);
    logworld_append(&world, 10, 10); /* 1 .. 10 */
    logworld_append(&world, 10, 10); /* 11 .. 20 */
    logworld_append(&world, 10, 10); /* 21 .. 30 */
    seglog_flush(world.log);
    assert_int_equal(logworld_truncate(&world, 15), 5);
    assert_int_equal(seglog_last_index(world.log), 15);
    assert_int_equal(seglog_durable_index(world.log), 0);
    assert_int_equal(seglog_term(world.log, 15), 1);
    assert_int_equal(seglog_term(world.log, 16), 0);
    world.term = 2;
    logworld_append(&world, 2, 10); /* 16 .. 17 */
    logworld_settle(&world);
    assert_int_equal(seglog_durable_index(world.log), 17);
    assert_int_equal(seglog_term(world.log, 15), 1);
    assert_int_equal(seglog_term(world.log, 16), 2);
    world.found.first_index = 1;
    world.found.last_index = 17;
    world.found.last_term = 2;
    logworld_check(&world, 6);

    /* To nothing at all, and to where it is. */
    logworld_truncate(&world, 0);
    assert_int_equal(seglog_durable_index(world.log), 0);
    assert_int_equal(seglog_last_index(world.log), 0);
    logworld_truncate(&world, 0);
    world.term = 3;
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    logworld_drop(&world);
    logworld_open(&world);
    logworld_check(&world, 9);
    assert_int_equal(world.found.last_index, 1);
    assert_int_equal(world.found.last_term, 3);
    logworld_fini(&world);
}

/* A frame that had been cut before it was durable does not raise what is durable. */
static void what_was_truncated_in_flight_never_counts(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 7);
    simdisk_hold(world.disk, true);
    logworld_append(&world, 10, 10);
    logworld_append(&world, 10, 10);
    seglog_flush(world.log);
    logworld_truncate(&world, 4);
    while (seglog_durable_sequence(world.log) < 3) {
        simdisk_release(world.disk);
        assert_int_equal(logworld_poll(&world), 0);
        assert_true(seglog_durable_index(world.log) <= 4);
    }
    assert_int_equal(seglog_durable_index(world.log), 4);
    logworld_fini(&world);
}

/* ---- Segments ---- */

/* Appends until `count` segments are in use. */
static void use_segments(struct logworld *world, unsigned count)
{
    while (seglog_stats(world->log).segment_count < count) {
        assert_true(logworld_append(world, 1, 50000));
        logworld_settle(world);
        assert_int_equal(logworld_prepare(world), 0);
    }
}

static void segments_are_used_again_and_surplus_ones_removed(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 8);
    use_segments(&world, 7);
    struct seglog_stats stats = seglog_stats(world.log);
    assert_int_equal(stats.segments_prepared, 8);
    assert_int_equal(stats.spare_count, 0);
    assert_true(stats.live_bytes > 6 * LOGWORLD_SEGMENT && stats.live_bytes < 7 * LOGWORLD_SEGMENT);

    logworld_checkpoint(&world, seglog_durable_index(world.log));
    stats = seglog_stats(world.log);
    assert_int_equal(stats.segment_count, 1);
    assert_int_equal(stats.spare_count, 6);
    assert_true(stats.live_bytes < LOGWORLD_SEGMENT);
    assert_int_equal(logworld_prepare(&world), 0);
    assert_int_equal(seglog_stats(world.log).spare_count, world.options.max_spare);
    assert_null(seglog_prep_take(world.log));

    use_segments(&world, 4);
    stats = seglog_stats(world.log);
    assert_int_equal(stats.segments_recycled, 2);
    assert_int_equal(stats.segments_prepared, 9);
    assert_int_equal(stats.spare_count, 0);
    logworld_fini(&world);
}

/* The checkpoint covers a segment whose successor is not durable yet: its frames still count. */
static void a_segment_goes_only_when_the_next_one_has_begun_for_good(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 9);
    logworld_hard_state(&world, 7, 2);
    assert_int_equal(logworld_prepare(&world), 0);
    while (seglog_stats(world.log).segment_count == 1) {
        logworld_settle(&world);
        simdisk_hold(world.disk, true);
        assert_true(logworld_append(&world, 1, 50000));
    }
    logworld_checkpoint(&world, seglog_durable_index(world.log));
    assert_int_equal(seglog_stats(world.log).spare_count, 0);
    uint64_t durable = simdisk_steps(world.disk);
    struct logworld after;
    logworld_crash(&world, durable, simdisk_image_synced(world.disk, durable), 1, &after, &durable);
    logworld_open(&after);
    logworld_check(&after, durable);
    assert_int_equal(after.found.vote, 2);
    logworld_fini(&after);
    logworld_settle(&world);
    assert_int_equal(seglog_stats(world.log).spare_count, 1);
    logworld_fini(&world);
}

static void a_segment_with_another_name_is_not_written_again(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 10);
    use_segments(&world, 2);
    struct spot spot;
    assert_true(logworld_find(&world, 1, &spot));
    assert_int_equal(fs_link(simdisk_fs(world.disk), spot.path, "backup"), 0);
    struct file *backup;
    assert_int_equal(fs_open(simdisk_fs(world.disk), "backup", FS_READ, &backup), 0);
    uint8_t *before = mem_alloc(LOGWORLD_SEGMENT);
    uint8_t *now = mem_alloc(LOGWORLD_SEGMENT);
    assert_int_equal(file_read_full(backup, before, LOGWORLD_SEGMENT, 0), 0);
    logworld_checkpoint(&world, seglog_durable_index(world.log));
    use_segments(&world, 3);
    assert_int_equal(seglog_stats(world.log).segments_recycled, 0);
    assert_int_equal(file_read_full(backup, now, LOGWORLD_SEGMENT, 0), 0);
    assert_memory_equal(before, now, LOGWORLD_SEGMENT);
    struct fs_stat stat;
    assert_int_equal(fs_stat(simdisk_fs(world.disk), "backup", &stat), 0);
    assert_int_equal(stat.link_count, 1);
    mem_free(before);
    mem_free(now);
    file_unref(backup);
    logworld_fini(&world);
}

/* ---- Reading ---- */

static struct seglog_reader *open_reader(struct logworld *world, uint64_t from)
{
    struct seglog_reader *reader;
    assert_int_equal(seglog_reader_open(world->log, from, &reader), 0);
    return reader;
}

/* Index of the first entry of the next frame, 0 at the end. */
static uint64_t next_first(struct logworld *world, struct seglog_reader *reader)
{
    struct frame *frame;
    int rc = seglog_reader_next(reader, &frame, &world->diag);
    if (rc == ERR_NOT_FOUND)
        return 0;
    assert_int_equal(rc, 0);
    uint64_t first = frame->first_index;
    frame_unref(frame);
    return first;
}

static void a_reader_sees_what_was_durable_when_it_was_opened(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 11);
    struct seglog_reader *reader = open_reader(&world, 1);
    assert_int_equal(next_first(&world, reader), 0);
    seglog_reader_close(reader);
    for (int i = 0; i < 4; i++)
        assert_true(logworld_append(&world, 5, 10));
    logworld_settle(&world);
    simdisk_hold(world.disk, true);
    assert_true(logworld_append(&world, 5, 10));
    reader = open_reader(&world, 8);
    logworld_settle(&world);
    logworld_truncate(&world, 2);
    assert_int_equal(next_first(&world, reader), 6); /* begins before 8 */
    assert_int_equal(next_first(&world, reader), 11);
    assert_int_equal(next_first(&world, reader), 16);
    assert_int_equal(next_first(&world, reader), 0);
    assert_int_equal(next_first(&world, reader), 0);
    seglog_reader_close(reader);
    reader = open_reader(&world, 1);
    assert_int_equal(next_first(&world, reader), 1);
    assert_int_equal(next_first(&world, reader), 0);
    seglog_reader_close(reader);
    reader = open_reader(&world, 3);
    assert_int_equal(next_first(&world, reader), 0);
    seglog_reader_close(reader);
    logworld_fini(&world);
}

static void a_segment_that_is_read_is_not_used_again(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 12);
    use_segments(&world, 3);
    struct seglog_reader *reader = open_reader(&world, 1);
    assert_int_equal(next_first(&world, reader), 1);
    uint64_t last = seglog_durable_index(world.log);
    logworld_checkpoint(&world, last);
    assert_int_equal(seglog_stats(world.log).spare_count, 2);
    use_segments(&world, 3);
    assert_int_equal(seglog_stats(world.log).segments_recycled, 0);
    uint64_t expected = 2;
    for (uint64_t first; (first = next_first(&world, reader)) != 0; expected++)
        assert_int_equal(first, expected);
    assert_int_equal(expected, last + 1);
    seglog_reader_close(reader);
    seglog_reader_close(NULL);
    assert_int_equal(seglog_reader_open(world.log, 1, &reader), ERR_NOT_FOUND);
    use_segments(&world, 4);
    assert_int_equal(seglog_stats(world.log).segments_recycled, 1);
    logworld_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_become_durable_in_order_however_they_complete),
        cmocka_unit_test(slots_are_free_again_when_frames_are_durable),
        cmocka_unit_test(admission_says_what_stands_in_the_way),
        cmocka_unit_test(a_full_disk_refuses_frames_before_they_are_put),
        cmocka_unit_test(the_reserve_takes_small_frames_while_no_segment_is_ready),
        cmocka_unit_test(an_admission_outlasts_small_frames),
        cmocka_unit_test(a_frame_that_comes_too_late_is_lost),
        cmocka_unit_test(the_largest_frame_follows_the_largest_configuration),
        cmocka_unit_test(a_truncation_reaches_frames_in_flight),
        cmocka_unit_test(what_was_truncated_in_flight_never_counts),
        cmocka_unit_test(segments_are_used_again_and_surplus_ones_removed),
        cmocka_unit_test(a_segment_goes_only_when_the_next_one_has_begun_for_good),
        cmocka_unit_test(a_segment_with_another_name_is_not_written_again),
        cmocka_unit_test(a_reader_sees_what_was_durable_when_it_was_opened),
        cmocka_unit_test(a_segment_that_is_read_is_not_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
