/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/looprig.h"
#include "support/random.h"

#define TIMERS   64
#define LOG_SIZE 4096

struct rig {
    struct hand_clock clock;
    struct loop *loop;
    struct probe {
        struct loop_timer timer;
        struct rig *rig;
        int id;
        bool is_rearming;
        struct probe *victim; /* disarmed when this one fires */
        uint64_t due_ms;      /* of the model; 0: not armed */
        uint64_t seq;
    } probes[TIMERS];
    int fired[LOG_SIZE];
    size_t fired_count;
};

static void note(struct loop_timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    struct rig *rig = probe->rig;
    assert_true(rig->fired_count < LOG_SIZE);
    rig->fired[rig->fired_count++] = probe->id;
    if (probe->is_rearming)
        loop_timer_arm(timer, 0);
    if (probe->victim != NULL)
        loop_timer_disarm(&probe->victim->timer);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    hand_clock_init(&rig->clock, 1000);
    rig->loop = rig_loop("timers", &rig->clock.clock, NULL);
    for (int i = 0; i < TIMERS; i++) {
        rig->probes[i].rig = rig;
        rig->probes[i].id = i;
        loop_timer_init(rig->loop, &rig->probes[i].timer, note);
    }
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < TIMERS; i++)
        loop_timer_fini(&rig->probes[i].timer);
    loop_free(rig->loop);
    free(rig);
    return 0;
}

static void arm(struct rig *rig, int id, uint64_t after_ms)
{
    loop_timer_arm(&rig->probes[id].timer, after_ms);
}

static void expect_fired(struct rig *rig, size_t count, const int *ids)
{
    assert_int_equal(rig->fired_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rig->fired[i], ids[i]);
    rig->fired_count = 0;
}

static void fire_by_due_time_then_by_order_of_arming(void **state)
{
    struct rig *rig = *state;
    arm(rig, 0, 30);
    arm(rig, 1, 10);
    arm(rig, 2, 20);
    arm(rig, 3, 10);
    hand_clock_advance_ms(&rig->clock, 9);
    assert_false(loop_turn(rig->loop));
    hand_clock_advance_ms(&rig->clock, 11);
    assert_true(loop_turn(rig->loop));
    expect_fired(rig, 3, (int[]){1, 3, 2});
    assert_true(loop_timer_is_armed(&rig->probes[0].timer));
    assert_false(loop_timer_is_armed(&rig->probes[1].timer));
    hand_clock_advance_ms(&rig->clock, 10);
    loop_turn(rig->loop);
    expect_fired(rig, 1, (int[]){0});
    hand_clock_advance_ms(&rig->clock, 1000000);
    assert_false(loop_turn(rig->loop));
}

static void arming_again_moves_and_disarming_removes(void **state)
{
    struct rig *rig = *state;
    arm(rig, 0, 10);
    arm(rig, 1, 20);
    arm(rig, 2, 15);
    arm(rig, 0, 30);
    arm(rig, 1, 5);
    loop_timer_disarm(&rig->probes[2].timer);
    hand_clock_advance_ms(&rig->clock, 29);
    rig_turn_dry(rig->loop);
    expect_fired(rig, 1, (int[]){1});
    hand_clock_advance_ms(&rig->clock, 1);
    rig_turn_dry(rig->loop);
    expect_fired(rig, 1, (int[]){0});
}

static void one_armed_while_firing_waits_for_the_next_turn(void **state)
{
    struct rig *rig = *state;
    rig->probes[0].is_rearming = true;
    arm(rig, 0, 5);
    arm(rig, 1, 5);
    hand_clock_advance_ms(&rig->clock, 5);
    loop_turn(rig->loop);
    expect_fired(rig, 2, (int[]){0, 1});
    loop_turn(rig->loop);
    expect_fired(rig, 1, (int[]){0});
}

static void one_disarmed_by_another_that_is_due_too_does_not_fire(void **state)
{
    struct rig *rig = *state;
    rig->probes[0].victim = &rig->probes[2];
    arm(rig, 0, 5);
    arm(rig, 1, 5);
    arm(rig, 2, 5);
    hand_clock_advance_ms(&rig->clock, 5);
    rig_turn_dry(rig->loop);
    expect_fired(rig, 2, (int[]){0, 1});
}

static void an_absurd_time_never_comes(void **state)
{
    struct rig *rig = *state;
    arm(rig, 0, UINT64_MAX);
    arm(rig, 1, UINT64_MAX - 1);
    hand_clock_advance_ms(&rig->clock, UINT32_MAX);
    assert_false(loop_turn(rig->loop));
}

/* What must fire at `now`, in order, by looking at all. */
static size_t model_fire(struct rig *rig, uint64_t now_ms, int *ids)
{
    size_t count = 0;
    for (;;) {
        struct probe *next = NULL;
        for (int i = 0; i < TIMERS; i++) {
            struct probe *probe = &rig->probes[i];
            if (probe->due_ms == 0 || probe->due_ms > now_ms)
                continue;
            if (next == NULL || probe->due_ms < next->due_ms ||
                (probe->due_ms == next->due_ms && probe->seq < next->seq))
                next = probe;
        }
        if (next == NULL)
            return count;
        next->due_ms = 0;
        ids[count++] = next->id;
    }
}

static void any_sequence_agrees_with_a_naive_model(void **state)
{
    struct rig *rig = *state;
    struct random random = {.state = random_seed()};
    uint64_t now_ms = 1000;
    for (uint64_t step = 0; step < 20000; step++) {
        struct probe *probe = &rig->probes[random_below(&random, TIMERS)];
        uint64_t what = random_below(&random, 10);
        if (what < 6) {
            uint64_t after_ms = random_below(&random, 50);
            loop_timer_arm(&probe->timer, after_ms);
            probe->due_ms = now_ms + after_ms;
            probe->seq = step;
        } else if (what < 8) {
            loop_timer_disarm(&probe->timer);
            probe->due_ms = 0;
        } else {
            uint64_t by_ms = random_below(&random, 10);
            hand_clock_advance_ms(&rig->clock, by_ms);
            now_ms += by_ms;
            loop_turn(rig->loop);
            int expected[TIMERS];
            size_t count = model_fire(rig, now_ms, expected);
            expect_fired(rig, count, expected);
        }
    }
}

struct stopwatch {
    struct loop_timer timer;
    uint64_t started_us;
    uint64_t took_us;
};

static void stop_watch(struct loop_timer *timer)
{
    struct stopwatch *watch = CONTAINER_OF(timer, struct stopwatch, timer);
    watch->took_us = clock_mono_us(clock_posix()) - watch->started_us;
    loop_stop(timer->loop);
}

static void unexpected(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("a disarmed timer has fired");
}

/* The loop really sleeps here. Neither the disarmed nor the moved timer may wake it. */
static void sleeping_loop_wakes_once_for_its_timer(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("sleeper", NULL, NULL);
    struct loop_timer disarmed;
    struct stopwatch watch = {.started_us = clock_mono_us(clock_posix())};
    loop_timer_init(loop, &disarmed, unexpected);
    loop_timer_init(loop, &watch.timer, stop_watch);
    loop_timer_arm(&disarmed, 5);
    loop_timer_arm(&watch.timer, 10);
    loop_timer_arm(&watch.timer, 60);
    loop_timer_disarm(&disarmed);
    loop_run(loop);
    assert_true(watch.took_us >= 59000);
    struct loop_stats stats = loop_stats(loop);
    assert_true(stats.wakeups <= 2);
    assert_true(stats.busy_us < 50000);
    loop_timer_fini(&disarmed);
    loop_timer_fini(&watch.timer);
    loop_free(loop);
}

/* ---- The moment of falling asleep ---- */

#define BOUNDARIES 500

struct racer {
    struct loop_timer timer;
    struct loop_phase phase;
    struct loop *home;
    struct loop_post finished;
    int fired;
};

static void race_again(struct loop_timer *timer)
{
    struct racer *racer = CONTAINER_OF(timer, struct racer, timer);
    if (++racer->fired == BOUNDARIES)
        loop_post(racer->home, &racer->finished);
    else
        loop_timer_arm(timer, 1);
}

/* Holds the turn up until just before the next millisecond. */
static bool dawdle(struct loop_phase *phase)
{
    (void)phase;
    while (clock_mono_us(clock_posix()) % 1000 != 999)
        continue;
    return false;
}

static void on_finished(struct loop_post *post)
{
    loop_stop(CONTAINER_OF(post, struct racer, finished)->home);
}

/* The time comes between the last look at the timers and the wait. */
static void a_timer_due_while_the_loop_falls_asleep_is_not_lost(void **state)
{
    (void)state;
    struct loop *home = rig_loop("home", NULL, NULL);
    struct loop *loop = rig_loop("racer", NULL, NULL);
    struct racer racer = {.home = home, .finished.run = on_finished};
    loop_timer_init(loop, &racer.timer, race_again);
    loop_timer_arm(&racer.timer, 1);
    loop_phase_add(loop, &racer.phase, dawdle, 1);
    assert_int_equal(loop_start(loop), 0);
    bool is_in_time = rig_run(home, 15000);
    loop_stop(loop);
    loop_join(loop);
    assert_true(is_in_time);
    loop_phase_del(loop, &racer.phase);
    loop_timer_fini(&racer.timer);
    loop_free(loop);
    loop_free(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fire_by_due_time_then_by_order_of_arming, setup, teardown),
        cmocka_unit_test_setup_teardown(arming_again_moves_and_disarming_removes, setup, teardown),
        cmocka_unit_test_setup_teardown(one_armed_while_firing_waits_for_the_next_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_disarmed_by_another_that_is_due_too_does_not_fire,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_absurd_time_never_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(any_sequence_agrees_with_a_naive_model, setup, teardown),
        cmocka_unit_test(sleeping_loop_wakes_once_for_its_timer),
        cmocka_unit_test(a_timer_due_while_the_loop_falls_asleep_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
