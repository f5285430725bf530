/* SPDX-License-Identifier: Apache-2.0 */
/* Each operation on the disk fails once, the first, the second, ... until a run meets no fault.
 * After each: a clean error or none, the log goes on or starts again, and nothing reported is
 * missing. */
#include "support/cmocka.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "support/logworld.h"
#include "unit/seglog/spot.h"

/* The work grows with its square. */
#ifdef FERRIC_SANITIZED
#    define ROUNDS 10
#else
#    define ROUNDS 20
#endif

struct outcome {
    unsigned open_errors;
    unsigned prep_errors;
    unsigned log_errors;
};

/* A start that fails leaves everything as it was for the next one. */
static void open_in_spite(struct logworld *world, struct outcome *outcome)
{
    uint64_t durable = 0;
    if (world->history.count > 0)
        durable = simdisk_noted(world->disk, NOTE_DURABLE, simdisk_steps(world->disk));
    int rc = logworld_try_open(world);
    if (rc != 0) {
        outcome->open_errors++;
        if (rc == ERR_CORRUPT || world->diag.text[0] == '\0')
            fail_msg("open: %s: %s", err_name(rc), world->diag.text);
        logworld_open(world);
    }
    logworld_check(world, durable);
}

/* A failed log is given up, as its process would, and started again. */
static void settle_in_spite(struct logworld *world, struct outcome *outcome)
{
    int rc = 0;
    while (seglog_in_flight(world->log) > 0) {
        seglog_flush(world->log);
        rc = logworld_poll(world);
    }
    if (rc == 0)
        return;
    outcome->log_errors++;
    assert_int_equal(seglog_admit(world->log, 10), ERR_LOG_FAILED);
    logworld_drop(world);
    open_in_spite(world, outcome);
}

static void prepare_in_spite(struct logworld *world, struct outcome *outcome)
{
    if (logworld_prepare(world) == 0)
        return;
    outcome->prep_errors++;
    assert_int_equal(logworld_prepare(world), 0);
}

/* Through everything that touches the disk: new segments, recycled ones, surplus ones, restarts. */
static void run(struct logworld *world, struct outcome *outcome)
{
    open_in_spite(world, outcome);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        logworld_hard_state(world, world->term + 1, 1);
        for (int i = 0; i < 3; i++)
            logworld_append(world, 2, 9000);
        settle_in_spite(world, outcome);
        prepare_in_spite(world, outcome);
        if (round % 7 == 6)
            logworld_checkpoint(world, seglog_durable_index(world->log));
        if (round % 5 == 4) {
            seglog_vouch(world->log);
            settle_in_spite(world, outcome);
            logworld_drop(world);
            open_in_spite(world, outcome);
        }
    }
    /* Until something of the last life is durable, a write that had failed may still turn up. */
    unsigned errors;
    do {
        errors = outcome->log_errors;
        logworld_append(world, 1, 10);
        settle_in_spite(world, outcome);
    } while (outcome->log_errors != errors);
}

/* Also after a power loss right then. */
static void check_after_power_loss(struct logworld *world)
{
    uint64_t step = simdisk_steps(world->disk);
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct logworld after;
        uint64_t durable;
        logworld_crash(world, step, simdisk_image(world->disk, step, seed), seed, &after, &durable);
        logworld_open(&after);
        logworld_check(&after, durable);
        logworld_fini(&after);
    }
}

static struct outcome sweep(unsigned ops, int error)
{
    struct outcome outcome = {0};
    for (uint64_t n = 1;; n++) {
        struct logworld world;
        logworld_init(&world, simdisk_new(n), n);
        world.options.max_spare = 1;
        simdisk_fail_nth(world.disk, ops, NULL, n, error);
        run(&world, &outcome);
        bool has_fired = simdisk_fault_fired(world.disk);
        check_after_power_loss(&world);
        logworld_fini(&world);
        if (!has_fired)
            return outcome;
    }
}

static void expect(struct outcome outcome, bool in_open, bool in_prep, bool in_log)
{
    assert_int_equal(outcome.open_errors > 0, in_open);
    assert_int_equal(outcome.prep_errors > 0, in_prep);
    assert_int_equal(outcome.log_errors > 0, in_log);
}

static void every_open(void **state)
{
    (void)state;
    expect(sweep(SIM_OPEN, -EMFILE), true, true, false);
}

static void every_read(void **state)
{
    (void)state;
    /* Recycling looks at the file; whether that is a read is the disk's business. */
    struct outcome outcome = sweep(SIM_READ, -EIO);
    assert_true(outcome.open_errors > 0);
    assert_int_equal(outcome.log_errors, 0);
}

static void every_write(void **state)
{
    (void)state;
    expect(sweep(SIM_WRITE, -EIO), true, true, false);
    expect(sweep(SIM_WRITE, -ENOSPC), true, true, false);
}

/* Short ones are continued, except within a block, where direct writing cannot go on. */
static void every_short_write(void **state)
{
    (void)state;
    struct outcome outcome = sweep(SIM_WRITE, 0);
    assert_int_equal(outcome.open_errors, 0);
    assert_int_equal(outcome.log_errors, 0);
}

static void every_sync(void **state)
{
    (void)state;
    expect(sweep(SIM_SYNC, -EIO), true, true, false);
}

static void every_rename(void **state)
{
    (void)state;
    expect(sweep(SIM_RENAME, -EIO), true, true, false);
}

static void every_directory_sync(void **state)
{
    (void)state;
    expect(sweep(SIM_SYNC_DIR, -EIO), true, true, false);
}

/* Surplus files stay until the next start; only what was cut must go. */
static void every_unlink(void **state)
{
    (void)state;
    struct outcome outcome = sweep(SIM_UNLINK, -EIO);
    assert_int_equal(outcome.log_errors, 0);
}

static void every_mkdir(void **state)
{
    (void)state;
    expect(sweep(SIM_MKDIR, -EACCES), true, false, false);
}

static void every_log_write(void **state)
{
    (void)state;
    expect(sweep(SIM_AIO, -EIO), false, false, true);
    expect(sweep(SIM_AIO, 0), false, false, true);
}

/* A segment that was cut must be gone before anything new is written. */
static void a_cut_segment_that_cannot_be_removed_stops_the_start(void **state)
{
    (void)state;
    static const unsigned ops[] = {SIM_UNLINK, SIM_SYNC_DIR};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        struct logworld world;
        struct logworld after;
        logworld_init(&world, simdisk_new(1), 1);
        logworld_open(&world);
        logworld_hard_state(&world, 1, 1);
        logworld_settle(&world);
        assert_int_equal(logworld_prepare(&world), 0);
        simdisk_hold(world.disk, true);
        uint64_t torn = world.history.count + 1;
        for (int n = 0; n < 3; n++)
            assert_true(logworld_append(&world, 1, 100000));
        seglog_flush(world.log);
        uint64_t step = simdisk_steps(world.disk);
        uint64_t durable;
        logworld_crash(&world, step, simdisk_image_all(world.disk, step), 1, &after, &durable);
        logworld_erase(&after, torn);
        simdisk_fail_nth(after.disk, ops[i], ops[i] == SIM_UNLINK ? ".seg" : "log", 1, -EIO);
        assert_int_equal(logworld_try_open(&after), -EIO);
        logworld_open(&after);
        logworld_check(&after, durable);
        logworld_fini(&after);
        logworld_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_open),
        cmocka_unit_test(every_read),
        cmocka_unit_test(every_write),
        cmocka_unit_test(every_short_write),
        cmocka_unit_test(every_sync),
        cmocka_unit_test(every_rename),
        cmocka_unit_test(every_directory_sync),
        cmocka_unit_test(every_unlink),
        cmocka_unit_test(every_mkdir),
        cmocka_unit_test(every_log_write),
        cmocka_unit_test(a_cut_segment_that_cannot_be_removed_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
