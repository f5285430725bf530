/* SPDX-License-Identifier: Apache-2.0 */
/* looprig: what tests of loops need: a clock that goes by hand, and a deadline for every wait. */
#ifndef SUPPORT_LOOPRIG_H
#define SUPPORT_LOOPRIG_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "os/clock.h"

struct hand_clock {
    struct clock clock;
    _Atomic uint64_t now_us; /* all three times go by it */
};
void hand_clock_init(struct hand_clock *clock, uint64_t now_ms);
void hand_clock_advance_ms(struct hand_clock *clock, uint64_t ms);

/* A loop on the machine's clock, or on the one given. Ends the test program on failure. */
struct loop *rig_loop(const char *name, struct clock *clock, struct epoch *epoch);

/* Runs the loop on this thread until somebody calls loop_stop(). False if that took longer than
 * `deadline_ms`. */
bool rig_run(struct loop *loop, uint64_t deadline_ms);

/* Turns until a turn has nothing to do. */
void rig_turn_dry(struct loop *loop);

/* Turns until is_done(ctx). False if the deadline, by the machine's clock, was first. */
bool rig_turn_until(struct loop *loop, bool (*is_done)(void *ctx), void *ctx, uint64_t deadline_ms);

/* Runs the loop until is_done(ctx), asked after every turn. False if the deadline was first. */
bool rig_run_until(struct loop *loop, bool (*is_done)(void *ctx), void *ctx, uint64_t deadline_ms);

#endif
