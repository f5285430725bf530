/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simdisk_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"

static struct simclock *simclock_of(struct clock *clock)
{
    return CONTAINER_OF(clock, struct simclock, clock);
}

static uint64_t wall_ms(struct clock *clock)
{
    return atomic_load(&simclock_of(clock)->wall_ms);
}

static uint64_t mono_us(struct clock *clock)
{
    return atomic_load(&simclock_of(clock)->mono_us);
}

static uint64_t boot_ms(struct clock *clock)
{
    return atomic_load(&simclock_of(clock)->boot_ms);
}

static const struct clock_ops clock_ops = {
    .wall_ms = wall_ms, .mono_us = mono_us, .boot_ms = boot_ms};

void simclock_init(struct simclock *clock, uint64_t start_ms)
{
    clock->clock.ops = &clock_ops;
    atomic_init(&clock->wall_ms, start_ms);
    /* Different from the start, so that nobody mistakes one for another. */
    atomic_init(&clock->mono_us, UINT64_C(5000000));
    atomic_init(&clock->boot_ms, UINT64_C(90000));
}

void simclock_advance(struct simclock *clock, uint64_t ms)
{
    atomic_fetch_add(&clock->wall_ms, ms);
    atomic_fetch_add(&clock->mono_us, ms * 1000);
    atomic_fetch_add(&clock->boot_ms, ms);
}

static uint64_t next_u64(struct chance *chance)
{
    return sim_next(&CONTAINER_OF(chance, struct simchance, chance)->state);
}

static const struct chance_ops chance_ops = {.u64 = next_u64};

void simchance_init(struct simchance *chance, uint64_t seed)
{
    chance->chance.ops = &chance_ops;
    chance->state = seed;
}

uint64_t sim_seed(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = chance_u64(chance_posix()) >> 32;
    if (text != NULL && text[0] != '\0')
        ASSERT(num_parse_u64(slice_str(text), &seed));
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}
