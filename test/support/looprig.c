/* SPDX-License-Identifier: Apache-2.0 */
#include "support/looprig.h"

#include <limits.h>
#include <sched.h>

#include "base/assert.h"

static struct hand_clock *hand_clock_of(struct clock *clock)
{
    return CONTAINER_OF(clock, struct hand_clock, clock);
}

static uint64_t hand_us(struct clock *clock)
{
    return hand_clock_of(clock)->now_us;
}

static uint64_t hand_ms(struct clock *clock)
{
    return hand_clock_of(clock)->now_us / 1000;
}

void hand_clock_init(struct hand_clock *clock, uint64_t now_ms)
{
    static const struct clock_ops ops = {
        .wall_ms = hand_ms,
        .mono_us = hand_us,
        .boot_ms = hand_ms,
    };
    clock->clock.ops = &ops;
    clock->now_us = now_ms * 1000;
}

void hand_clock_advance_ms(struct hand_clock *clock, uint64_t ms)
{
    clock->now_us += ms * 1000;
}

struct loop *rig_loop(const char *name, struct clock *clock, struct epoch *epoch)
{
    struct loop *loop = NULL;
    struct loop_options options = {
        .name = name,
        .clock = clock == NULL ? clock_posix() : clock,
        .epoch = epoch,
    };
    int error = loop_new(&options, &loop);
    ASSERT(error == 0);
    return loop;
}

void rig_turn_dry(struct loop *loop)
{
    while (loop_turn(loop))
        continue;
}

bool rig_turn_until(struct loop *loop, bool (*is_done)(void *ctx), void *ctx, uint64_t deadline_ms)
{
    uint64_t end_us = clock_mono_us(clock_posix()) + deadline_ms * 1000;
    while (!is_done(ctx)) {
        if (clock_mono_us(clock_posix()) > end_us)
            return false;
        if (!loop_turn(loop))
            sched_yield();
    }
    return true;
}

struct deadline {
    struct loop_timer timer;
    struct loop_phase phase;
    bool (*is_done)(void *ctx);
    void *ctx;
    bool is_over;
    bool is_reached;
};

static void on_deadline(struct loop_timer *timer)
{
    CONTAINER_OF(timer, struct deadline, timer)->is_over = true;
    loop_stop(timer->loop);
}

static bool ask(struct loop_phase *phase)
{
    struct deadline *deadline = CONTAINER_OF(phase, struct deadline, phase);
    if (!deadline->is_reached && deadline->is_done(deadline->ctx)) {
        deadline->is_reached = true;
        loop_stop(deadline->timer.loop);
    }
    return false;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

bool rig_run_until(struct loop *loop, bool (*is_done)(void *ctx), void *ctx, uint64_t deadline_ms)
{
    struct deadline deadline = {.is_done = is_done, .ctx = ctx};
    loop_timer_init(loop, &deadline.timer, on_deadline);
    loop_timer_arm(&deadline.timer, deadline_ms);
    loop_phase_add(loop, &deadline.phase, ask, UINT_MAX);
    loop_again(loop);
    loop_run(loop);
    loop_phase_del(loop, &deadline.phase);
    loop_timer_fini(&deadline.timer);
    return !deadline.is_over;
}

bool rig_run(struct loop *loop, uint64_t deadline_ms)
{
    return rig_run_until(loop, never, NULL, deadline_ms);
}
