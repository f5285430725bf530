/* SPDX-License-Identifier: Apache-2.0 */
/* Power losses: whatever the disk kept of what was not synced, recovery with the manifest of that
 * moment gives its records and no others, and never calls a plain power loss corruption. */
#include "bitcask/bitcask.h"

#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384
#ifdef FERRIC_SANITIZED
#    define SCRIPTS 30
#else
#    define SCRIPTS 200
#endif
#define SCRIPT_ACTIONS 70
#define IMAGES         4
#define SECOND_ACTIONS 12
#define SECOND_CRASHES 2

static bool is_mark_out(const struct world *world)
{
    return world->marked_entries > world_manifest(world)->entry_count;
}

/* One thing that a shard may do next. */
static void act(struct world *world)
{
    switch (random_below(&world->random, 12)) {
    case 0:
        world_append(world, 1 + random_below(&world->random, 20));
        return;
    case 1:
        if (!is_mark_out(world) && world->entry_count > world->marked_entries)
            world_mark(world);
        return;
    case 2:
    case 3:
        if (is_mark_out(world) && bitcask_mark_is_written(world->bc))
            assert_int_equal(world_sync(world), 0);
        return;
    case 4:
        if (random_below(&world->random, 3) == 0) {
            world_close(world);
            world_must_open(world);
        }
        return;
    case 5:
    case 6:
        assert_int_equal(world_write(world), 0);
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

/* A power loss behind `step`, and the start after it. The manifest of that moment counts. */
static struct world *crash(struct world *world, uint64_t step, unsigned variant)
{
    size_t manifest = (size_t)simdisk_noted(world->disk, 0, step);
    struct simdisk *image = some_image(world, step, variant);
    struct world *after = world_on_image(world, image, manifest, random_next(&world->random));
    world_must_open(after);
    world_check_reads(after);
    return after;
}

/* Goes on after a crash with other records than were lost, and crashes again. */
static size_t crash_again(struct world *world)
{
    uint64_t begin = simdisk_steps(world->disk);
    for (int i = 0; i < SECOND_ACTIONS; i++)
        act(world);
    world_check_reads(world);
    uint64_t made = simdisk_steps(world->disk) - begin;
    for (int i = 0; i < SECOND_CRASHES; i++) {
        uint64_t step = begin + random_below(&world->random, made + 1);
        world_free(crash(world, step, (unsigned)random_below(&world->random, IMAGES)));
    }
    return SECOND_CRASHES;
}

static size_t crash_everywhere(struct world *world)
{
    size_t count = 0;
    uint64_t steps = simdisk_steps(world->disk);
    /* The first two are the parent directory's. */
    for (uint64_t step = 2; step <= steps; step++) {
        for (unsigned variant = 0; variant < IMAGES; variant++) {
            struct world *after = crash(world, step, variant);
            count += 1 + crash_again(after);
            world_free(after);
        }
    }
    return count;
}

static void any_power_loss_leaves_what_the_manifest_names(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    size_t recoveries = 0;
    for (uint64_t script = 0; script < SCRIPTS; script++) {
        struct world *world = world_new(seed + script, FILE_LIMIT);
        world_must_open(world);
        for (int i = 0; i < SCRIPT_ACTIONS; i++)
            act(world);
        recoveries += crash_everywhere(world);
        world_free(world);
    }
    print_message("%zu recoveries\n", recoveries);
    assert_true(recoveries > SCRIPTS * 250);
}

/* R1.2: un-synced pages reach the disk in any order, so behind the length a broken record with
 * whole ones after it is what a plain power loss leaves. */
static void r1_2_a_broken_record_before_valid_ones_behind_the_length_is_no_corruption(void **state)
{
    (void)state;
    struct world *world = world_new(12, 1 << 20);
    world_must_open(world);
    world_append(world, 10);
    world_checkpoint(world);
    uint64_t length = world_manifest(world)->named[0].length;
    world_append(world, 30);
    assert_int_equal(world_write(world), 0);
    struct simdisk *image = simdisk_image_all(world->disk, simdisk_steps(world->disk));
    for (uint64_t off = 0; off < 4; off++)
        assert_true(simdisk_corrupt(image, world_file(1), length + off, 0x10));
    struct world *after = world_on_image(world, image, 1, 99);
    world_must_open(after);
    assert_int_equal(after->visited, 10);
    world_free(after);
    world_free(world);
}

/* R1.3: the records behind the length stay in the file after the first crash; other ones are
 * appended over them; at the second crash none of the first may count, wherever it shows through.
 */
static void r1_3_at_a_second_crash_no_record_of_the_first_life_counts(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 100; round++) {
        struct world *first = world_new(seed + round, 1 << 20);
        world_must_open(first);
        world_append(first, 5);
        world_checkpoint(first);
        world_append(first, 40);
        assert_int_equal(world_write(first), 0);

        uint64_t step = simdisk_steps(first->disk);
        struct world *second = crash(first, step, 1);
        const struct bitcask_named *named = &world_manifest(second)->named[0];
        struct fs_stat st;
        assert_int_equal(fs_stat(simdisk_fs(second->disk), world_file(named->id), &st), 0);
        assert_int_equal(st.size, named->length);
        world_append(second, 10);
        world_checkpoint(second);
        world_append(second, 20);
        assert_int_equal(world_write(second), 0);

        for (step = 0; step <= simdisk_steps(second->disk); step++)
            world_free(crash(second, step, (unsigned)random_below(&second->random, IMAGES)));
        world_free(second);
        world_free(first);
    }
}

/* R3: rotated files and names are part of what the mark's sync covers. */
static void r3_what_a_manifest_names_is_on_stable_storage_with_its_name(void **state)
{
    (void)state;
    struct world *world = world_new(3, FILE_LIMIT);
    world_must_open(world);
    for (int i = 0; i < 10; i++) {
        world_append(world, 60);
        world_checkpoint(world);
        world_free(crash(world, simdisk_steps(world->disk), 0));
    }
    assert_true(world_manifest(world)->named_count > 5);
    world_free(world);
}

/* A restart that was killed before it synced anything leaves the next one the same work. */
static void a_crash_in_the_middle_of_recovery_is_recovered_from(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 20; round++) {
        struct world *world = world_new(seed + round, FILE_LIMIT);
        world_must_open(world);
        world_append(world, 30);
        world_checkpoint(world);
        world_append(world, 60);
        assert_int_equal(world_write(world), 0);
        struct world *after = crash(world, simdisk_steps(world->disk), 1);
        for (uint64_t step = 0; step <= simdisk_steps(after->disk); step++) {
            for (unsigned variant = 0; variant < IMAGES; variant++)
                world_free(crash(after, step, variant));
        }
        world_free(after);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_power_loss_leaves_what_the_manifest_names),
        cmocka_unit_test(r1_2_a_broken_record_before_valid_ones_behind_the_length_is_no_corruption),
        cmocka_unit_test(r1_3_at_a_second_crash_no_record_of_the_first_life_counts),
        cmocka_unit_test(r3_what_a_manifest_names_is_on_stable_storage_with_its_name),
        cmocka_unit_test(a_crash_in_the_middle_of_recovery_is_recovered_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
