/* SPDX-License-Identifier: Apache-2.0 */
/* What a start finds, refuses, leaves alone, and makes durable before it reports it. */
#include "support/cmocka.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "seglog/seglog_internal.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

static void begin(struct logworld *world, uint64_t seed)
{
    logworld_init(world, simdisk_new(seed), seed);
    logworld_open(world);
}

static void write_file(struct logworld *world, const char *path, const void *data, size_t size,
                       uint64_t off)
{
    struct file *file;
    size_t done = 0;
    assert_int_equal(fs_open(simdisk_fs(world->disk), path, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_write_full(file, data, size, off, &done), 0);
    file_unref(file);
}

static bool is_there(struct logworld *world, const char *path)
{
    struct fs_stat stat;
    return fs_stat(simdisk_fs(world->disk), path, &stat) == 0;
}

/* ---- What is found ---- */

static void a_new_log_is_empty(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 1);
    assert_int_equal(world.found.term, 0);
    assert_int_equal(world.found.vote, 0);
    assert_int_equal(world.found.first_index, 1);
    assert_int_equal(world.found.last_index, 0);
    assert_int_equal(world.found.last_term, 0);
    assert_int_equal(world.found.configuration.len, 0);
    assert_int_equal(seglog_durable_sequence(world.log), 0);
    assert_int_equal(seglog_stats(world.log).segment_count, 0);
    assert_false(seglog_needs_vouch(world.log));
    seglog_vouch(world.log);
    assert_int_equal(seglog_in_flight(world.log), 0);
    assert_int_equal(seglog_term(world.log, 0), 0);
    logworld_fini(&world);
}

static void starts_without_frames_leave_no_segments_behind(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 2);
    logworld_hard_state(&world, 3, 1);
    logworld_settle(&world);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(logworld_prepare(&world), 0);
        logworld_drop(&world);
        logworld_open(&world);
        assert_int_equal(seglog_stats(world.log).segment_count, 1);
        assert_true(seglog_stats(world.log).spare_count <= 1);
        assert_int_equal(world.found.term, 3);
        assert_int_equal(world.found.vote, 1);
    }
    logworld_fini(&world);
}

static void each_start_goes_on_in_a_new_segment(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 3);
    for (uint64_t life = 1; life <= 5; life++) {
        logworld_append(&world, 2, 100);
        logworld_settle(&world);
        assert_int_equal(seglog_stats(world.log).segment_count, life);
        logworld_drop(&world);
        logworld_open(&world);
        logworld_check(&world, 2 * life);
        assert_int_equal(world.found.last_index, 2 * life);
    }
    logworld_fini(&world);
}

static void a_segment_of_another_size_is_read_and_not_used_again(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 4);
    logworld_append(&world, 2, 100);
    logworld_settle(&world);
    logworld_drop(&world);
    world.options.segment_size = 2 * LOGWORLD_SEGMENT;
    logworld_open(&world);
    logworld_check(&world, 2);
    logworld_append(&world, 1, LOGWORLD_SEGMENT / 2 + 10000);
    logworld_settle(&world);
    logworld_checkpoint(&world, 3);
    assert_int_equal(seglog_stats(world.log).spare_count, 1);
    assert_int_equal(logworld_prepare(&world), 0);
    assert_int_equal(seglog_stats(world.log).segments_recycled, 0);
    logworld_drop(&world);
    world.options.segment_size = LOGWORLD_SEGMENT;
    logworld_open(&world);
    logworld_check(&world, 4);
    logworld_fini(&world);
}

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *seen = ctx;
    assert_true(done <= total && done >= seen[1]);
    seen[0]++;
    seen[1] = done;
    seen[2] = total;
}

static void progress_is_told_up_to_the_end(void **state)
{
    (void)state;
    uint64_t seen[3] = {0};
    struct logworld world;
    logworld_init(&world, simdisk_new(5), 5);
    world.options.segment_size = 4U << 20;
    world.options.on_progress = note_progress;
    world.options.ctx = seen;
    logworld_open(&world);
    assert_int_equal(seen[0], 1);
    while (seglog_stats(world.log).segment_count < 8) {
        logworld_append(&world, 1, 1900000);
        logworld_settle(&world);
        logworld_prepare(&world);
    }
    logworld_drop(&world);
    memset(seen, 0, sizeof(seen));
    logworld_open(&world);
    assert_true(seen[0] >= 4);
    assert_int_equal(seen[1], seen[2]);
    assert_true(seen[2] >= 8 * (4U << 20));
    logworld_fini(&world);
}

/* ---- What is refused ---- */

static void without_a_manifest_any_frame_is_refused(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 6);
    assert_int_equal(logworld_prepare(&world), 0);
    logworld_drop(&world);
    world.options.must_be_empty = true;
    logworld_open(&world); /* prepared segments are no frames */
    logworld_hard_state(&world, 1, 1);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    logworld_drop(&world);
    assert_int_equal(logworld_try_open(&world), ERR_EXISTS);
    logworld_erase(&world, 1);
    assert_int_equal(logworld_try_open(&world), ERR_EXISTS); /* no OPEN, but others */
    struct spot spot;
    assert_true(logworld_find(&world, 2, &spot));
    assert_true(simdisk_corrupt(world.disk, spot.path, 20, 1));
    assert_int_equal(logworld_try_open(&world), ERR_EXISTS); /* nor a header */
    assert_true(is_there(&world, spot.path));
    assert_true(simdisk_corrupt(world.disk, spot.path, 20, 1));
    logworld_erase(&world, 2);
    logworld_erase(&world, 3);
    logworld_open(&world);
    logworld_fini(&world);
}

/* A first start makes a segment, is killed before its manifest is durable, and the next one thinks
 * of another identity for the group. */
static void without_a_manifest_segments_of_another_group_without_frames_go(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 17);
    assert_int_equal(logworld_prepare(&world), 0);
    logworld_drop(&world);
    world.options.must_be_empty = true;
    world.options.group_id++;
    logworld_open(&world);
    logworld_drop(&world);
    world.options.must_be_empty = false; /* now there is one */
    logworld_open(&world);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    logworld_drop(&world);
    world.options.must_be_empty = true;
    world.options.group_id--;
    assert_int_equal(logworld_try_open(&world), ERR_EXISTS);
    logworld_fini(&world);
}

static void a_log_of_another_group_is_refused(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 7);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    logworld_drop(&world);
    world.options.group_id++;
    assert_int_equal(logworld_try_open(&world), ERR_MISMATCH);
    world.options.group_id--;
    logworld_open(&world);
    logworld_check(&world, 2);
    logworld_fini(&world);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 8);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    struct spot spot;
    assert_true(logworld_find(&world, 1, &spot));
    logworld_drop(&world);
    struct file *file;
    uint8_t head[48];
    assert_int_equal(fs_open(simdisk_fs(world.disk), spot.path, FS_READ, &file), 0);
    assert_int_equal(file_read_full(file, head, sizeof(head), 0), 0);
    file_unref(file);
    put_u32(head + 8, SEGMENT_VERSION + 1);
    put_u64(head + 40, hash_check(slice_of(head, 40)));
    write_file(&world, spot.path, head, sizeof(head), 0);
    assert_int_equal(logworld_try_open(&world), ERR_VERSION);
    logworld_fini(&world);
}

/* ---- What is left alone ---- */

static void only_names_of_our_own_are_touched(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 9);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    logworld_drop(&world);
    static const char *const others[] = {"log/notes.txt", "log/0000.seg", "log/LOCK",
                                         "log/00000000000000000001.seg.bak"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        write_file(&world, others[i], "mine", 4, 0);
    write_file(&world, "log/00000000000000000070.tmp", "half", 4, 0);
    logworld_open(&world);
    logworld_check(&world, 2);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        assert_true(is_there(&world, others[i]));
    assert_false(is_there(&world, "log/00000000000000000070.tmp"));
    /* Its number is not given again, lest the name come back by a power loss. */
    assert_true(is_there(&world, "log/00000000000000000071.seg"));
    logworld_fini(&world);
}

/* ---- What is made durable (S9) ---- */

/* Writes the next frame of the log as a process would that is killed before it can sync. */
static void write_unsynced(struct logworld *world, const struct segment *segment)
{
    struct frame *frame = logworld_frame(world, 1, 3000);
    struct frame_header header = {
        .epoch = segment->header.epoch,
        .sequence = seglog_durable_sequence(world->log) + 1,
        .durable = seglog_durable_sequence(world->log),
        .first_index = frame->first_index,
        .term = frame->term,
        .size = (uint32_t)frame->size,
        .count = 1,
        .nth = segment->frame_count,
        .kind = FRAME_ENTRIES,
    };
    frame_header_encode(frame->data, &header, segment->used);
    write_file(world, segment->path, frame->data, frame_room(frame->size), segment->used);
    frame_unref(frame);
}

static void begin_killed(struct logworld *world, bool has_failed_sync)
{
    begin(world, 10);
    logworld_append(world, 1, 10);
    logworld_settle(world);
    struct segment *segment = world->log->active;
    write_unsynced(world, segment);
    if (has_failed_sync) {
        struct file *file;
        assert_int_equal(fs_open(simdisk_fs(world->disk), segment->path, FS_WRITE, &file), 0);
        simdisk_fail_nth(world->disk, SIM_SYNC, segment->path, 1, -EIO);
        assert_int_equal(file_sync(file), -EIO);
        file_unref(file);
    }
    seglog_close(world->log);
    world->log = NULL;
}

/* A frame that only the page cache has, and one whose sync had failed and left it clean there. */
static void what_a_start_reports_survives_a_power_loss(void **state)
{
    (void)state;
    for (int has_failed_sync = 0; has_failed_sync < 2; has_failed_sync++) {
        struct logworld world;
        begin_killed(&world, has_failed_sync);
        struct seglog *log;
        assert_int_equal(seglog_open(&world.options, &log, &world.found, &world.diag), 0);
        assert_int_equal(world.found.last_index, 2);
        struct simdisk *image = simdisk_image_synced(world.disk, simdisk_steps(world.disk));
        seglog_close(log);

        struct logworld after;
        logworld_init(&after, image, 1);
        assert_int_equal(seglog_open(&after.options, &log, &after.found, &after.diag), 0);
        assert_int_equal(after.found.last_index, 2);
        seglog_close(log);
        logworld_fini(&after);
        logworld_fini(&world);
    }
}

static void a_start_that_cannot_make_it_durable_fails(void **state)
{
    (void)state;
    static const unsigned ops[] = {SIM_SYNC, SIM_WRITE};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        struct logworld world;
        begin_killed(&world, false);
        struct seglog *log;
        simdisk_fail_nth(world.disk, ops[i], "001.seg", 1, -EIO);
        assert_int_equal(seglog_open(&world.options, &log, &world.found, &world.diag), -EIO);
        assert_non_null(strstr(world.diag.text, "001.seg"));
        assert_int_equal(seglog_open(&world.options, &log, &world.found, &world.diag), 0);
        assert_int_equal(world.found.last_index, 2);
        seglog_close(log);
        logworld_fini(&world);
    }
}

/* The bytes behind a torn frame's end may be of the file's former use: written again, as zeros. */
static void torn_padding_is_mended_before_anything_vouches_for_it(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 11);
    logworld_append(&world, 1, 600);
    logworld_settle(&world);
    struct spot spot;
    assert_true(logworld_find(&world, 2, &spot));
    logworld_drop(&world);
    assert_true(simdisk_corrupt(world.disk, spot.path, spot.off + 2048, 0xff));
    logworld_open(&world);
    logworld_check(&world, 2);
    logworld_append(&world, 1, 600);
    logworld_settle(&world);
    logworld_drop(&world);
    logworld_open(&world);
    logworld_check(&world, 4);
    logworld_fini(&world);
}

/* ---- Frames of the right form in the wrong place ---- */

/* A frame of the segment's former use stands where the next one would, with the right number. */
static void a_frame_of_a_former_use_does_not_count(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world, 12);
    logworld_append(&world, 1, 10);
    logworld_settle(&world);
    struct segment now = *world.log->active;
    struct segment former = now;
    former.header.epoch ^= 1;
    write_unsynced(&world, &former);
    logworld_drop(&world);
    logworld_open(&world);
    logworld_check(&world, 2);
    assert_int_equal(world.found.last_index, 1);
    logworld_fini(&world);
}

/* Whole frames that do not continue what is before them: no power loss makes them. */
static void a_hole_in_sequence_index_or_term_is_corruption(void **state)
{
    (void)state;
    for (int what = 0; what < 5; what++) {
        struct logworld world;
        begin(&world, 13);
        world.term = 5;
        logworld_append(&world, 1, 10);
        logworld_settle(&world);
        struct segment *segment = world.log->active;
        struct frame *frame = logworld_frame(&world, 1, 100);
        struct frame_header header = {
            .epoch = segment->header.epoch,
            .sequence = what == 0 ? 4 : 3,
            .durable = 2,
            .first_index = what == 1   ? 3
                           : what == 2 ? 1
                                       : 2,
            .term = what == 3 ? 4 : 5,
            .size = (uint32_t)frame->size,
            .count = 1,
            .nth = what == 4 ? 3 : 2,
            .kind = FRAME_ENTRIES,
        };
        frame_header_encode(frame->data, &header, segment->used);
        write_file(&world, segment->path, frame->data, frame_room(frame->size), segment->used);
        frame_unref(frame);
        char *path = mem_dup_str(segment->path);
        seglog_close(world.log);
        world.log = NULL;
        assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
        assert_non_null(strstr(world.diag.text, path));
        mem_free(path);
        logworld_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_is_empty),
        cmocka_unit_test(starts_without_frames_leave_no_segments_behind),
        cmocka_unit_test(each_start_goes_on_in_a_new_segment),
        cmocka_unit_test(a_segment_of_another_size_is_read_and_not_used_again),
        cmocka_unit_test(progress_is_told_up_to_the_end),
        cmocka_unit_test(without_a_manifest_any_frame_is_refused),
        cmocka_unit_test(without_a_manifest_segments_of_another_group_without_frames_go),
        cmocka_unit_test(a_log_of_another_group_is_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(only_names_of_our_own_are_touched),
        cmocka_unit_test(what_a_start_reports_survives_a_power_loss),
        cmocka_unit_test(a_start_that_cannot_make_it_durable_fails),
        cmocka_unit_test(torn_padding_is_mended_before_anything_vouches_for_it),
        cmocka_unit_test(a_frame_of_a_former_use_does_not_count),
        cmocka_unit_test(a_hole_in_sequence_index_or_term_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
