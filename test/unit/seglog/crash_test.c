/* SPDX-License-Identifier: Apache-2.0 */
/* Power loss at every step of random scripts, again in the recovery, and again after it. */
#include "support/cmocka.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "support/logworld.h"

#ifdef FERRIC_SANITIZED
#    define SCRIPTS 5
#else
#    define SCRIPTS 20
#endif
#define SCRIPT_ACTS 300
#define SECOND_ACTS 30

static uint64_t recoveries;

static void act(struct logworld *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        logworld_act(world);
}

/* Recovers `world` and holds it against what had been reported. A power loss is no corruption. */
static void recover(struct logworld *world, uint64_t durable)
{
    logworld_open(world);
    logworld_check(world, durable);
    recoveries++;
}

/* One more life on a disk that has lost power: opens, works, loses power at a random step of all
 * that, also in the midst of the recovery. The second disk is left in *out_next. */
static void live_and_crash(struct logworld *world, uint64_t durable, struct logworld *out_next,
                           uint64_t *out_durable)
{
    struct history before = history_copy(&world->history, world->history.count);
    recover(world, durable);
    uint64_t open_step = simdisk_steps(world->disk);
    act(world, SECOND_ACTS);
    uint64_t step = logworld_random(world, simdisk_steps(world->disk) + 1);
    uint64_t seed = logworld_random(world, UINT64_MAX);
    struct simdisk *image = simdisk_image(world->disk, step, seed);
    struct history now = world->history;
    if (step < open_step)
        world->history = before;
    logworld_crash(world, step, image, seed, out_next, out_durable);
    world->history = now;
    history_fini(&before);
}

static void crash_at(struct logworld *world, uint64_t step, uint64_t seed)
{
    struct simdisk *image = seed % 8 == 0 ? simdisk_image_synced(world->disk, step)
                                          : simdisk_image(world->disk, step, seed);
    struct logworld first;
    struct logworld second;
    struct logworld third;
    uint64_t durable;
    logworld_crash(world, step, image, seed, &first, &durable);
    if (seed % 4 != 1) {
        recover(&first, durable);
        logworld_fini(&first);
        return;
    }
    live_and_crash(&first, durable, &second, &durable);
    live_and_crash(&second, durable, &third, &durable);
    recover(&third, durable);
    logworld_fini(&first);
    logworld_fini(&second);
    logworld_fini(&third);
}

static void nothing_durable_is_lost_at_any_step(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t script = 0; script < SCRIPTS; script++) {
        struct logworld world;
        logworld_init(&world, simdisk_new(seed + script), seed + script);
        logworld_open(&world);
        act(&world, SCRIPT_ACTS);
        uint64_t steps = simdisk_steps(world.disk);
        for (uint64_t step = 0; step <= steps; step++)
            crash_at(&world, step, logworld_random(&world, UINT64_MAX));
        logworld_fini(&world);
    }
    printf("%llu recoveries\n", (unsigned long long)recoveries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
