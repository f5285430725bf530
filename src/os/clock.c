/* SPDX-License-Identifier: Apache-2.0 */
#include "os/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/assert.h"

uint64_t clock_wall_ms(struct clock *clock)
{
    return clock->ops->wall_ms(clock);
}

uint64_t clock_mono_us(struct clock *clock)
{
    return clock->ops->mono_us(clock);
}

uint64_t clock_boot_ms(struct clock *clock)
{
    return clock->ops->boot_ms(clock);
}

uint64_t chance_u64(struct chance *chance)
{
    return chance->ops->u64(chance);
}

static struct timespec now_of(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);
    ASSERT(rc == 0 && now.tv_sec >= 0);
    return now;
}

static uint64_t ms_of(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t posix_wall_ms(struct clock *clock)
{
    (void)clock;
    return ms_of(now_of(CLOCK_REALTIME));
}

static uint64_t posix_mono_us(struct clock *clock)
{
    (void)clock;
    struct timespec t = now_of(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t posix_boot_ms(struct clock *clock)
{
    (void)clock;
    return ms_of(now_of(CLOCK_BOOTTIME));
}

static uint64_t posix_u64(struct chance *chance)
{
    (void)chance;
    uint64_t word;
    ssize_t got;
    do {
        got = getrandom(&word, sizeof(word), 0);
    } while (got < 0 && errno == EINTR);
    ASSERT(got == sizeof(word));
    return word;
}

uint64_t clock_posix_wall_us(void)
{
    struct timespec t = now_of(CLOCK_REALTIME);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static const struct clock_ops posix_clock_ops = {
    .wall_ms = posix_wall_ms,
    .mono_us = posix_mono_us,
    .boot_ms = posix_boot_ms,
};

static const struct chance_ops posix_chance_ops = {.u64 = posix_u64};

struct clock *clock_posix(void)
{
    static struct clock posix = {.ops = &posix_clock_ops};
    return &posix;
}

struct chance *chance_posix(void)
{
    static struct chance posix = {.ops = &posix_chance_ops};
    return &posix;
}
