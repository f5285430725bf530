/* SPDX-License-Identifier: Apache-2.0 */
/* Looking is recovering without changing anything: the same verdict, the same end, no step on the
 * disk; and what is written anew is what a start takes.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "seglog/look.h"
#include "seglog/mend.h"
#include "support/cmocka.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

struct counted {
    uint64_t frames;
    uint64_t entries;
    uint64_t last_sequence;
};

static int on_frame(void *ctx, const struct seglog_seen *seen)
{
    struct counted *counted = ctx;
    struct log_entry entry;
    size_t at = FRAME_HEADER_SIZE;
    if (counted->last_sequence != 0)
        assert_int_equal(seen->sequence, counted->last_sequence + 1);
    counted->last_sequence = seen->sequence;
    counted->frames++;
    for (uint32_t nth = 0; seglog_next_entry(seen, &at, nth, &entry); nth++) {
        assert_int_equal(entry.index, seen->first_index + nth);
        counted->entries++;
    }
    return 0;
}

static struct seglog_look_options look_options(const struct logworld *world)
{
    return (struct seglog_look_options){
        .fs = simdisk_fs(world->disk),
        .dir = world->options.dir,
        .group_id = world->options.group_id,
        .checkpoint_index = world->checkpoint_index,
        .checkpoint_term = world->checkpoint_term,
    };
}

/* The judgement, then a start on the same disk. */
static void compare(struct logworld *world)
{
    struct seglog_judged judged;
    struct counted counted = {0};
    struct diag diag = {.text = ""};
    const struct seglog_look_options options = look_options(world);
    uint64_t steps = simdisk_steps(world->disk);
    int judgement = seglog_judge(&options, on_frame, &counted, &judged, &diag);
    assert_int_equal(simdisk_steps(world->disk), steps);
    if (judgement == -ENOENT)
        return; /* a start makes the folder */
    int rc = logworld_try_open(world);
    if (judgement != rc) {
        print_error("judged %d (%s), opened %d (%s)\n", judgement, diag.text, rc, world->diag.text);
        fail();
    }
    if (rc != 0) {
        assert_int_not_equal(judged.blame.damage, SEGLOG_SOUND);
        return;
    }
    assert_int_equal(judged.blame.damage, SEGLOG_SOUND);
    assert_int_equal(judged.has_start ? judged.last_index : world->checkpoint_index,
                     world->found.last_index);
    assert_int_equal(judged.cut_frames, judged.has_start ? world->found.cut_frames : 0);
    if (judged.has_start) {
        assert_int_equal(judged.hard_state.term, world->found.term);
        assert_int_equal(judged.hard_state.vote, world->found.vote);
        assert_int_equal(judged.sequence, counted.last_sequence);
    }
}

static void act(struct logworld *world, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        logworld_act(world);
}

static void test_the_verdict_is_that_of_a_start(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    unsigned refused = 0;
    for (unsigned round = 0; round < 12; round++) {
        struct logworld world;
        logworld_init(&world, simdisk_new(seed + round), seed + round);
        logworld_open(&world);
        act(&world, 200);
        uint64_t steps = simdisk_steps(world.disk);
        for (unsigned i = 0; i < 12; i++) {
            uint64_t step = logworld_random(&world, steps) + 1;
            uint64_t durable;
            struct logworld other;
            struct simdisk *image = simdisk_image(world.disk, step, seed + i);
            logworld_crash(&world, step, image, seed + i, &other, &durable);
            /* Half of them with a flipped byte somewhere. */
            if (i % 2 == 0) {
                char path[80];
                snprintf(path, sizeof(path), "%s/%020u.seg", other.options.dir,
                         1 + (unsigned)logworld_random(&other, 3));
                IGNORE(simdisk_corrupt(image, path, logworld_random(&other, 80000), 4),
                       "there may be no such byte");
            }
            compare(&other);
            refused += other.log == NULL;
            logworld_fini(&other);
        }
        logworld_fini(&world);
    }
    print_message("%u of 144 refused\n", refused);
    assert_true(refused > 0);
}

/* A log that begins behind a checkpoint, with nothing before. */
static void test_a_log_can_begin_anew(void **unused)
{
    (void)unused;
    struct logworld world;
    logworld_init(&world, simdisk_new(7), 7);
    world.checkpoint_index = 40;
    world.checkpoint_term = 3;
    struct fs *fs = simdisk_fs(world.disk);
    IGNORE(fs_mkdir(fs, world.options.dir), "it may be there");
    const struct seglog_mend mend = {.fs = fs, .dir = world.options.dir, .number = 9};
    const struct seglog_beginning beginning = {
        .group_id = world.options.group_id,
        .epoch = 77,
        .index = 40,
        .term = 3,
        .node_term = 5,
        .configuration_index = 2,
        .configuration = SLICE_LIT("configuration"),
    };
    struct diag diag = {.text = ""};
    assert_int_equal(seglog_mend_begin(&mend, &beginning, &diag), 0);
    struct seglog_judged judged;
    const struct seglog_look_options options = look_options(&world);
    assert_int_equal(seglog_judge(&options, NULL, NULL, &judged, &diag), 0);
    assert_true(judged.has_start);
    assert_int_equal(judged.last_index, 40);
    assert_int_equal(judged.hard_state.term, 5);
    assert_int_equal(judged.start_number, 9);
    logworld_fini(&world);
}

static uint64_t put(struct logworld *world, uint32_t count)
{
    assert_true(logworld_append(world, count, 300));
    logworld_settle(world);
    return seglog_durable_sequence(world->log);
}

/* Entries on both sides of the checkpoint in one frame, and all that may follow them. */
static void test_a_front_that_is_covered_can_go(void **unused)
{
    (void)unused;
    struct logworld world;
    logworld_init(&world, simdisk_new(8), 8);
    logworld_open(&world);
    put(&world, 3);
    uint64_t damaged = put(&world, 5);
    logworld_hard_state(&world, 2, 3);
    logworld_settle(&world);
    uint64_t first = put(&world, 4); /* 9 to 12 */
    put(&world, 3);
    logworld_hard_state(&world, 4, 1);
    logworld_truncate(&world, 13);
    uint64_t last = put(&world, 30);
    logworld_checkpoint(&world, 10);
    logworld_drop(&world);
    logworld_open(&world);
    uint64_t durable = put(&world, 2);
    logworld_drop(&world);

    logworld_rot(&world, damaged, 90);
    assert_int_equal(logworld_try_open(&world), ERR_CORRUPT);
    struct spot from;
    struct spot to = {0};
    assert_true(logworld_find(&world, first, &from) && logworld_find(&world, last, &to));
    const struct seglog_mend mend = {
        .fs = simdisk_fs(world.disk), .dir = world.options.dir, .number = 1};
    const struct seglog_beginning beginning = {
        .group_id = world.options.group_id,
        .epoch = 77,
        .index = 10,
        .term = world.checkpoint_term,
        .node_term = 2,
        .node_vote = 3,
    };
    struct seglog_run run = {
        .off = from.off, .end = to.off + frame_room(to.size), .sequence = first};
    struct diag diag = {.text = ""};
    assert_int_equal(seglog_mend_front(&mend, &beginning, &run, &diag), 0);
    compare(&world);
    assert_non_null(world.log);
    assert_int_equal(world.found.first_index, 11);
    assert_int_equal(world.found.last_index, 45);
    logworld_check(&world, durable);
    logworld_drop(&world);

    /* Another frame than was seen is refused, and nothing is changed. */
    run.sequence++;
    assert_int_equal(seglog_mend_front(&mend, &beginning, &run, &diag), ERR_CORRUPT);
    compare(&world);
    logworld_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_verdict_is_that_of_a_start),
        cmocka_unit_test(test_a_log_can_begin_anew),
        cmocka_unit_test(test_a_front_that_is_covered_can_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
