/* SPDX-License-Identifier: Apache-2.0 */
/* Power losses while hints are written, files merged and names removed: whatever the disk kept, the
 * start finds exactly what the manifest of that moment names, each record where it should lie. */
#include "bitcask/upkeep.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384
#ifdef FERRIC_SANITIZED
#    define SCRIPTS 6
#else
#    define SCRIPTS 80
#endif
#define SCRIPT_ACTIONS 130
#define IMAGES         4
#define SECOND_ACTIONS 14
#define SECOND_CRASHES 2

static bool is_mark_out(const struct world *world)
{
    return world->marked_entries > world_manifest(world)->entry_count;
}

/* Some of the sealed files. */
static void begin_merge(struct world *world)
{
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    uint32_t *ids = mem_calloc(count, sizeof(*ids));
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        if (random_below(&world->random, 4) != 0)
            ids[chosen++] = sealed[i].id;
    }
    if (chosen > 0)
        world_merge_begin(world, ids, chosen);
    mem_free(ids);
    mem_free(sealed);
}

static void act_on_merge(struct world *world)
{
    struct diag diag = {.text = ""};
    if (world->merge == NULL) {
        begin_merge(world);
        return;
    }
    if (random_below(&world->random, 30) == 0)
        bitcask_merge_stop(world->merge);
    enum merge_state state = world_merge_step(world, &diag);
    assert_true(state != MERGE_STALLED);
    assert_string_equal(diag.text, "");
}

static void restart(struct world *world)
{
    world_close(world);
    world_must_open(world);
    assert_int_equal(world->remarks, 0);
}

/* One thing that a shard may do next. */
static void act(struct world *world)
{
    struct diag diag = {.text = ""};
    switch (random_below(&world->random, 20)) {
    case 0:
    case 1:
        world_append(world, 1 + random_below(&world->random, 20));
        return;
    case 2:
        if (!is_mark_out(world) && world->entry_count > world->marked_entries)
            world_mark(world);
        return;
    case 3:
    case 4:
        if (is_mark_out(world) && bitcask_mark_is_written(world->bc))
            assert_int_equal(world_sync(world), 0);
        return;
    case 5:
        if (random_below(&world->random, 5) == 0)
            restart(world);
        return;
    case 6:
    case 7:
    case 8:
        assert_int_equal(world_write(world), 0);
        return;
    case 9: {
        int rc = world_hint(world, random_below(&world->random, 2) == 0, &diag);
        assert_true(rc == 0 || rc == ERR_NOT_FOUND);
        return;
    }
    case 10:
        world_unlink(world);
        return;
    case 11:
    case 12:
    case 13:
    case 14:
        act_on_merge(world);
        return;
    default:
        world_append(world, 1);
    }
}

/* The disk behind `step`, in one of its possible states. */
static struct simdisk *some_image(struct world *world, uint64_t step, unsigned variant)
{
    switch (variant) {
    case 0:
        return simdisk_image_synced(world->disk, step);
    case 1:
        return simdisk_image_all(world->disk, step);
    default:
        return simdisk_image(world->disk, step, random_next(&world->random));
    }
}

static struct world *crash(struct world *world, uint64_t step, unsigned variant)
{
    size_t manifest = (size_t)simdisk_noted(world->disk, 0, step);
    struct simdisk *image = some_image(world, step, variant);
    struct world *after = world_on_image(world, image, manifest, random_next(&world->random));
    world_must_open(after);
    world_check_reads(after);
    return after;
}

struct tally {
    size_t recoveries;
    uint64_t hints_used;
    uint64_t merges;
};

/* Goes on after a crash with other records than were lost, and crashes again. */
static void crash_again(struct world *world, struct tally *tally)
{
    uint64_t begin = simdisk_steps(world->disk);
    for (int i = 0; i < SECOND_ACTIONS; i++)
        act(world);
    world_check_reads(world);
    uint64_t made = simdisk_steps(world->disk) - begin;
    for (int i = 0; i < SECOND_CRASHES; i++) {
        uint64_t step = begin + random_below(&world->random, made + 1);
        struct world *after = crash(world, step, (unsigned)random_below(&world->random, IMAGES));
        tally->recoveries++;
        tally->hints_used += bitcask_stats(after->bc).hints_used;
        world_free(after);
    }
}

static void crash_everywhere(struct world *world, struct tally *tally)
{
    uint64_t steps = simdisk_steps(world->disk);
    /* The first two are the parent directory's. */
    for (uint64_t step = 2; step <= steps; step++) {
        for (unsigned variant = 0; variant < IMAGES; variant++) {
            struct world *after = crash(world, step, variant);
            tally->recoveries++;
            tally->hints_used += bitcask_stats(after->bc).hints_used;
            if ((step + variant) % 3 == 0)
                crash_again(after, tally);
            world_free(after);
        }
    }
}

static void any_power_loss_leaves_what_the_manifest_names(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    struct tally tally = {0};
    for (uint64_t script = 0; script < SCRIPTS; script++) {
        struct world *world = world_new(seed + script, FILE_LIMIT);
        world_must_open(world);
        for (int i = 0; i < SCRIPT_ACTIONS; i++) {
            act(world);
            if (i % 16 == 0)
                world_check_reads(world);
        }
        world_check_reads(world);
        tally.merges += bitcask_stats(world->bc).merges;
        crash_everywhere(world, &tally);
        world_free(world);
    }
    print_message("%zu recoveries, %llu hints read, %llu merges\n", tally.recoveries,
                  (unsigned long long)tally.hints_used, (unsigned long long)tally.merges);
    assert_true(tally.recoveries > SCRIPTS * 200);
    assert_true(tally.merges > 0 && tally.hints_used > 0);
}

/* ---- Starts with hints, and with what a merge has left behind ---- */

/* Named files with hints and one without, an output under way, retired files that are still there,
 * a current file to be cut. */
static struct world *world_with_work_to_do(uint64_t seed)
{
    struct world *world = world_new(seed, FILE_LIMIT);
    struct diag diag = {.text = ""};
    world_must_open(world);
    for (int i = 0; i < 3; i++)
        world_seal(world);
    world_checkpoint(world);
    world_hint_all(world, false);
    world_merge(world);
    world_seal(world);
    world_seal(world);
    world_checkpoint(world); /* the retired ones stay: nobody unlinks */
    world_hint_all(world, true);
    world_seal(world);
    world_seal(world);
    assert_int_equal(world_write(world), 0);
    assert_true(world_merge_all(world));
    for (int i = 0; i < 2; i++)
        assert_int_equal(world_merge_step(world, &diag), MERGE_MORE);
    world_hint_all(world, false);
    world_close(world);
    return world;
}

/* A start of which the nth operation on such a path fails (0: none). */
static uint64_t run_start(unsigned op, const char *path, uint64_t n, bool is_hint)
{
    struct world *world = world_with_work_to_do(40);
    uint64_t before = simdisk_count(world->disk, op, path);
    if (n > 0)
        simdisk_fail_nth(world->disk, op, path, n, -EIO);
    struct diag diag = {.text = ""};
    int rc = world_open(world, &diag);
    uint64_t count = simdisk_count(world->disk, op, path) - before;
    assert_int_equal(simdisk_fault_fired(world->disk), n > 0);
    if (n > 0 && is_hint) {
        assert_int_equal(rc, 0);
        assert_int_equal(world->remarks, 1);
    } else {
        assert_int_equal(rc, n > 0 ? -EIO : 0);
    }
    if (rc != 0) {
        assert_string_not_equal(diag.text, "");
        world_free(crash(world, simdisk_steps(world->disk), 2));
        world_must_open(world);
    }
    world_check_reads(world);
    world_append(world, 20);
    world_checkpoint(world);
    restart(world);
    world_free(world);
    return count;
}

static void a_failed_start_can_be_tried_again(void **state)
{
    (void)state;
    static const struct {
        unsigned op;
        const char *path;
        bool is_hint; /* a start does without */
    } faults[] = {{SIM_OPEN, ".log", false}, {SIM_READ, ".log", false},
                  {SIM_OPEN, ".hint", true}, {SIM_READ, ".hint", true},
                  {SIM_SYNC, NULL, false},   {SIM_SYNC_DIR, NULL, false},
                  {SIM_UNLINK, NULL, false}, {SIM_TRUNCATE, NULL, false}};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        uint64_t count = run_start(faults[i].op, faults[i].path, 0, faults[i].is_hint);
        assert_true(count > 0);
        for (uint64_t n = 1; n <= count; n++)
            run_start(faults[i].op, faults[i].path, n, faults[i].is_hint);
    }
}

static void a_crash_in_the_middle_of_recovery_is_recovered_from(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 20; round++) {
        struct world *world = world_with_work_to_do(seed + round);
        uint64_t begin = simdisk_steps(world->disk);
        world_must_open(world);
        world_append(world, 5);
        world_checkpoint(world);
        for (uint64_t step = begin; step <= simdisk_steps(world->disk); step++) {
            for (unsigned variant = 0; variant < IMAGES; variant++) {
                struct world *after = crash(world, step, variant);
                world_append(after, 5);
                world_checkpoint(after);
                restart(after);
                world_free(after);
            }
        }
        world_free(world);
    }
}

/* R1.4: the file has regrown to the size that a hint of its earlier life speaks of. */
static void r1_4_a_hint_of_an_earlier_life_is_never_believed(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 60; round++) {
        struct world *first = world_new(seed + round, 1 << 20);
        world_must_open(first);
        world_append(first, 5);
        world_checkpoint(first);
        world_append(first, 20);
        world_mark(first);
        assert_int_equal(world_write(first), 0);
        assert_int_equal(world_hint_all(first, true), 1); /* of bytes that nobody names */
        struct world *second = crash(first, simdisk_steps(first->disk), 1);
        uint64_t begin = simdisk_steps(second->disk);
        world_append(second, 40);
        world_checkpoint(second);
        for (uint64_t step = begin; step <= simdisk_steps(second->disk); step++)
            world_free(crash(second, step, (unsigned)random_below(&second->random, IMAGES)));
        world_free(second);
        world_free(first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_power_loss_leaves_what_the_manifest_names),
        cmocka_unit_test(a_failed_start_can_be_tried_again),
        cmocka_unit_test(a_crash_in_the_middle_of_recovery_is_recovered_from),
        cmocka_unit_test(r1_4_a_hint_of_an_earlier_life_is_never_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
