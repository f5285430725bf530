/* SPDX-License-Identifier: Apache-2.0 */
/* Damage by other causes than a power loss: found and named wherever a byte matters, without effect
 * where none does. */
#include "support/cmocka.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "seglog/seglog_internal.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

/* Two retired segments, three in use, one ready; truncations and hard states among the entries. */
static void begin(struct logworld *world)
{
    logworld_init(world, simdisk_new(1), 1);
    world->options.max_spare = 8;
    logworld_open(world);
    for (uint64_t i = 1; i <= 24; i++) {
        logworld_hard_state(world, i, i % 3);
        assert_true(logworld_append(world, 3, 700));
        assert_true(logworld_append(world, 1, 50000));
        logworld_settle(world);
        logworld_truncate(world, seglog_last_index(world->log) - 2);
        assert_true(logworld_append(world, 2, 3000));
        logworld_settle(world);
        assert_int_equal(logworld_prepare(world), 0);
        if (i == 16)
            logworld_checkpoint(world, seglog_durable_index(world->log));
    }
    assert_int_equal(seglog_stats(world->log).spare_count, 2);
    assert_int_equal(seglog_stats(world->log).segment_count, 3);
}

/* The disk as it is, in a world of its own. */
static void copy(struct logworld *from, struct logworld *out_world)
{
    uint64_t durable;
    uint64_t step = simdisk_steps(from->disk);
    logworld_crash(from, step, simdisk_image_all(from->disk, step), 3, out_world, &durable);
}

static void assert_names(const struct logworld *world, const char *path, uint64_t off)
{
    char where[64];
    snprintf(where, sizeof(where), "offset %" PRIu64 " ", off);
    if (strstr(world->diag.text, path) == NULL || strstr(world->diag.text, where) == NULL)
        fail_msg("%s at %" PRIu64 ": %s", path, off, world->diag.text);
}

/* Damage in a place that counts must be found, and the place named. */
static void expect_corrupt(struct logworld *world, const char *path, uint64_t at, uint64_t place)
{
    struct logworld damaged;
    copy(world, &damaged);
    assert_true(simdisk_corrupt(damaged.disk, path, at, (uint8_t)(1 << at % 8)));
    int rc = logworld_try_open(&damaged);
    if (rc != ERR_CORRUPT)
        fail_msg("%s at %" PRIu64 " was not found", path, at);
    assert_names(&damaged, path, place);
    logworld_fini(&damaged);
}

/* Elsewhere it has no effect: `count` frames are there. */
static void expect_frames(struct logworld *world, const char *path, uint64_t at, uint64_t count)
{
    struct logworld damaged;
    copy(world, &damaged);
    assert_true(simdisk_corrupt(damaged.disk, path, at, (uint8_t)(1 << at % 8)));
    logworld_open(&damaged);
    assert_int_equal(seglog_durable_sequence(damaged.log), count);
    logworld_check(&damaged, count);
    logworld_fini(&damaged);
}

/* One byte in each 512 of a segment in use. */
static void sweep_segment(struct logworld *world, const struct segment *segment, uint64_t sequence)
{
    uint64_t last = seglog_durable_sequence(world->log);
    uint64_t frame_off = SEGMENT_HEADER_SIZE;
    struct spot spot = {.off = SEGMENT_HEADER_SIZE};
    for (uint64_t off = 0; off < segment->header.size; off += 512) {
        uint64_t at = off + logworld_random(world, 512);
        if (off == frame_off && off < segment->used) {
            assert_true(logworld_find(world, sequence++, &spot));
            assert_int_equal(spot.off, off);
            frame_off += frame_room(spot.size);
        }
        if (off < SEGMENT_HEADER_SIZE)
            expect_corrupt(world, segment->path, at, 0);
        else if (off >= segment->used)
            expect_frames(world, segment->path, at, last);
        else if (sequence == last + 1)
            expect_frames(world, segment->path, at, at < spot.off + spot.size ? last - 1 : last);
        else
            expect_corrupt(world, segment->path, at, spot.off);
    }
}

static void sweep_unused(struct logworld *world, const struct segment_list *list)
{
    LIST_EACH(node, next, &list->head)
    {
        const struct segment *segment = LIST_ENTRY(node, struct segment, node);
        for (uint64_t off = 0; off < segment->header.size; off += 512)
            expect_frames(world, segment->path, off + logworld_random(world, 512),
                          seglog_durable_sequence(world->log));
    }
}

static void a_flipped_byte_is_found_wherever_it_matters(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    world.random = sim_seed();
    seglog_vouch(world.log);
    logworld_settle(&world);
    LIST_EACH(node, next, &world.log->used.head)
    {
        const struct segment *segment = LIST_ENTRY(node, struct segment, node);
        sweep_segment(&world, segment, segment->first_sequence);
    }
    sweep_unused(&world, &world.log->spare);
    sweep_unused(&world, &world.log->ready);
    logworld_fini(&world);
}

/* Before it is vouched for, the last frame cannot be told from a torn one; all before it can. */
static void only_the_last_frame_may_rot_unseen_before_the_vouch(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    assert_true(logworld_append(&world, 2, 3000));
    logworld_settle(&world);
    uint64_t last = seglog_durable_sequence(world.log);
    struct spot spot;
    assert_true(logworld_find(&world, last, &spot));
    for (uint64_t at = 0; at < spot.size; at += 512)
        expect_frames(&world, spot.path, spot.off + at, last - 1);
    /* Its padding is not what was acknowledged. */
    assert_true(frame_room(spot.size) > spot.size);
    expect_frames(&world, spot.path, spot.off + spot.size, last);
    assert_true(logworld_find(&world, last - 1, &spot));
    for (uint64_t at = 0; at < frame_room(spot.size); at += 512)
        expect_corrupt(&world, spot.path, spot.off + at, spot.off);
    logworld_fini(&world);
}

/* ---- Files ---- */

static char *used_path(struct logworld *world, unsigned nth)
{
    struct list_node *node = world->log->used.head.next;
    for (; nth > 0; nth--)
        node = node->next;
    return LIST_ENTRY(node, struct segment, node)->path;
}

static void a_segment_that_is_missing_is_missed(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    for (unsigned nth = 0; nth < 2; nth++) {
        struct logworld damaged;
        copy(&world, &damaged);
        assert_int_equal(fs_unlink(simdisk_fs(damaged.disk), used_path(&world, nth)), 0);
        assert_int_equal(logworld_try_open(&damaged), ERR_CORRUPT);
        logworld_fini(&damaged);
    }
    /* The oldest one and all that were retired: now nothing begins where the checkpoint is. */
    struct logworld damaged;
    copy(&world, &damaged);
    uint64_t oldest = segment_list_first(&world.log->used)->header.number;
    for (uint64_t number = 1; number <= oldest; number++) {
        char *path = segment_path("log", number, false);
        IGNORE(fs_unlink(simdisk_fs(damaged.disk), path), "it may have been recycled");
        mem_free(path);
    }
    assert_int_equal(logworld_try_open(&damaged), ERR_CORRUPT);
    assert_non_null(strstr(damaged.diag.text, "missing"));
    logworld_fini(&damaged);
    logworld_fini(&world);
}

static void a_log_that_is_gone_is_missed_if_there_was_a_checkpoint(void **state)
{
    (void)state;
    struct logworld world;
    logworld_init(&world, simdisk_new(1), 1);
    world.checkpoint_index = 5;
    world.checkpoint_term = 1;
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    logworld_fini(&world);
}

static void a_segment_under_a_wrong_name_is_found(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    struct fs *fs = simdisk_fs(world.disk);
    char *from = mem_dup_str(used_path(&world, 1));
    logworld_drop(&world);
    assert_int_equal(fs_rename(fs, from, "log/00000000000000009000.seg"), 0);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    assert_names(&world, "log/00000000000000009000.seg", 0);
    mem_free(from);
    logworld_fini(&world);
}

static void a_file_that_was_cut_short_is_found(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        0, 100, 4096, 8192, LOGWORLD_SEGMENT - 4096, LOGWORLD_SEGMENT + 4096};
    struct logworld world;
    begin(&world);
    for (unsigned nth = 0; nth < 3; nth++)
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            struct logworld damaged;
            copy(&world, &damaged);
            struct file *file;
            const char *path = used_path(&world, nth);
            assert_int_equal(fs_open(simdisk_fs(damaged.disk), path, FS_WRITE, &file), 0);
            assert_int_equal(file_truncate(file, sizes[i]), 0);
            file_unref(file);
            assert_int_equal(logworld_try_open(&damaged), ERR_CORRUPT);
            assert_non_null(strstr(damaged.diag.text, path));
            logworld_fini(&damaged);
        }
    logworld_fini(&world);
}

static void a_checkpoint_of_another_term_or_beyond_the_end_is_refused(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    uint64_t index = seglog_last_index(world.log);
    uint64_t term = seglog_term(world.log, index);
    struct logworld damaged;
    copy(&world, &damaged);
    damaged.checkpoint_index = index + 1;
    damaged.checkpoint_term = term;
    assert_int_equal(logworld_try_open(&damaged), ERR_CORRUPT);
    damaged.checkpoint_index = index;
    damaged.checkpoint_term = term - 1;
    assert_int_equal(logworld_try_open(&damaged), ERR_CORRUPT);
    damaged.checkpoint_term = term;
    logworld_open(&damaged);
    logworld_check(&damaged, world.history.count);
    logworld_fini(&damaged);
    logworld_fini(&world);
}

/* A torn frame at or below the checkpoint was promised by the checkpoint, if by nobody else. */
static void a_bad_frame_below_the_checkpoint_is_corruption(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    uint64_t last = seglog_durable_sequence(world.log);
    logworld_checkpoint(&world, seglog_durable_index(world.log));
    struct spot spot;
    assert_true(logworld_find(&world, last, &spot));
    expect_corrupt(&world, spot.path, spot.off + 100, spot.off);
    logworld_fini(&world);
}

/* ---- Reading ---- */

static void a_reader_finds_what_rots_under_it(void **state)
{
    (void)state;
    struct logworld world;
    begin(&world);
    uint64_t sequence = seglog_durable_sequence(world.log);
    struct spot spot;
    assert_true(logworld_find(&world, sequence, &spot));
    uint64_t index = seglog_last_index(world.log);
    static const uint64_t places[] = {0, 17, 70, 3000};
    for (size_t i = 0; i <= ARRAY_COUNT(places); i++) {
        uint64_t at = spot.off + (i < ARRAY_COUNT(places) ? places[i] : spot.size);
        assert_true(simdisk_corrupt(world.disk, spot.path, at, 4));
        struct seglog_reader *reader;
        struct frame *frame;
        assert_int_equal(seglog_reader_open(world.log, index, &reader), 0);
        assert_int_equal(seglog_reader_next(reader, &frame, &world.diag), ERR_CORRUPT);
        assert_names(&world, spot.path, spot.off);
        seglog_reader_close(reader);
        assert_true(simdisk_corrupt(world.disk, spot.path, at, 4));
        assert_int_equal(seglog_reader_open(world.log, index, &reader), 0);
        assert_int_equal(seglog_reader_next(reader, &frame, &world.diag), 0);
        frame_unref(frame);
        assert_int_equal(seglog_reader_next(reader, &frame, &world.diag), ERR_NOT_FOUND);
        seglog_reader_close(reader);
    }
    logworld_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_is_found_wherever_it_matters),
        cmocka_unit_test(only_the_last_frame_may_rot_unseen_before_the_vouch),
        cmocka_unit_test(a_segment_that_is_missing_is_missed),
        cmocka_unit_test(a_log_that_is_gone_is_missed_if_there_was_a_checkpoint),
        cmocka_unit_test(a_segment_under_a_wrong_name_is_found),
        cmocka_unit_test(a_file_that_was_cut_short_is_found),
        cmocka_unit_test(a_checkpoint_of_another_term_or_beyond_the_end_is_refused),
        cmocka_unit_test(a_bad_frame_below_the_checkpoint_is_corruption),
        cmocka_unit_test(a_reader_finds_what_rots_under_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
