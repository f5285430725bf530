/* SPDX-License-Identifier: Apache-2.0 */
/* clock: the three times of a machine, and chance, as tables that a simulation can replace. */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

#include "base/attr.h"

struct clock;

struct clock_ops {
    uint64_t (*wall_ms)(struct clock *clock);
    uint64_t (*mono_us)(struct clock *clock);
    uint64_t (*boot_ms)(struct clock *clock);
};
struct clock {
    const struct clock_ops *ops;
};

/* Milliseconds since the Unix epoch; may jump in both directions. */
uint64_t clock_wall_ms(struct clock *clock);

/* Microseconds since some start; never goes back, stands still while the machine sleeps. */
uint64_t clock_mono_us(struct clock *clock);

/* Milliseconds since boot; never goes back and counts sleep: for leases and wall-step checks. */
uint64_t clock_boot_ms(struct clock *clock);

struct chance;

struct chance_ops {
    uint64_t (*u64)(struct chance *chance);
};
struct chance {
    const struct chance_ops *ops;
};

/* 64 unpredictable bits; from a seed in simulations. */
uint64_t chance_u64(struct chance *chance);

/* The machine's wall clock in microseconds, for what people are shown. */
uint64_t clock_posix_wall_us(void);

/* The machine's own; static, never freed. Thread: any. */
struct clock *clock_posix(void);
struct chance *chance_posix(void);

#endif
