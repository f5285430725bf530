/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop_internal.h"

#include <stdlib.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/looprig.h"

struct diary {
    char text[1024];
};

struct part {
    struct loop_phase phase;
    struct loop *loop;
    struct diary *diary;
    const char *name;
    int work;            /* rounds in which it still finds something to do */
    struct part *victim; /* deleted when this one runs */
    uint64_t takes_ms;
    struct hand_clock *clock;
};

static bool run_part(struct loop_phase *phase)
{
    struct part *part = CONTAINER_OF(phase, struct part, phase);
    strncat(part->diary->text, part->name, sizeof(part->diary->text) - 1 - 64);
    if (part->clock != NULL)
        hand_clock_advance_ms(part->clock, part->takes_ms);
    if (part->victim != NULL) {
        loop_phase_del(part->loop, &part->victim->phase);
        part->victim = NULL;
    }
    return part->work > 0 && part->work-- > 0;
}

static void add_part(struct part *part, struct loop *loop, struct diary *diary, const char *name,
                     unsigned order)
{
    *part = (struct part){.loop = loop, .diary = diary, .name = name};
    loop_phase_add(loop, &part->phase, run_part, order);
}

static void phases_run_by_order_until_none_has_work(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("phases", NULL, NULL);
    struct diary diary = {""};
    struct part a;
    struct part b;
    struct part c;
    add_part(&b, loop, &diary, "b", 20);
    add_part(&a, loop, &diary, "a", 10);
    add_part(&c, loop, &diary, "c", 20);
    b.work = 2;
    assert_true(loop_turn(loop));
    assert_string_equal(diary.text, "abcabcabc");
    diary.text[0] = '\0';
    assert_false(loop_turn(loop));
    assert_string_equal(diary.text, "abc");
    loop_phase_del(loop, &a.phase);
    loop_phase_del(loop, &b.phase);
    loop_phase_del(loop, &c.phase);
    loop_free(loop);
}

static void a_phase_may_delete_itself_and_its_neighbours(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("phases", NULL, NULL);
    struct diary diary = {""};
    struct part parts[4];
    static const char *const names[] = {"0", "1", "2", "3"};
    for (unsigned i = 0; i < 4; i++)
        add_part(&parts[i], loop, &diary, names[i], i);
    parts[0].victim = &parts[1];
    parts[2].victim = &parts[2];
    parts[3].victim = &parts[0];
    loop_turn(loop);
    assert_string_equal(diary.text, "023");
    loop_turn(loop);
    assert_string_equal(diary.text, "0233");
    loop_phase_del(loop, &parts[3].phase);
    loop_free(loop);
}

struct message {
    struct loop_post post;
    struct diary *diary;
    const char *text;
    struct message *reply; /* posted when this one runs */
    struct loop *loop;
};

static void run_message(struct loop_post *post)
{
    struct message *message = CONTAINER_OF(post, struct message, post);
    strncat(message->diary->text, message->text, 64);
    if (message->reply != NULL)
        loop_post(message->loop, &message->reply->post);
}

static void late_posts_run_once_everything_else_is_dry(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("late", NULL, NULL);
    struct diary diary = {""};
    struct part phase;
    add_part(&phase, loop, &diary, "p", 1);
    phase.work = 1;
    struct message reply = {.post.run = run_message, .diary = &diary, .text = "r", .loop = loop};
    struct message late = {.post.run = run_message, .diary = &diary, .text = "l", .loop = loop};
    struct message early = {.post.run = run_message, .diary = &diary, .text = "e", .loop = loop};
    late.reply = &reply;
    mailbox_post_late(loop, &late.post);
    loop_post(loop, &early.post);
    loop_turn(loop);
    assert_string_equal(diary.text, "epplrpp");
    loop_phase_del(loop, &phase.phase);
    loop_free(loop);
}

/* L6: descriptors and timers get their turn however much a component has to do. */
static void a_turn_has_an_end(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("endless", NULL, NULL);
    struct diary diary = {""};
    struct part phase;
    add_part(&phase, loop, &diary, "", 1);
    phase.work = LOOP_MAX_ROUNDS + 5;
    assert_true(loop_turn(loop));
    assert_int_equal(phase.work, 5);
    assert_true(loop_turn(loop));
    assert_int_equal(phase.work, 0);
    assert_false(loop_turn(loop));
    loop_phase_del(loop, &phase.phase);
    loop_free(loop);
}

struct eager {
    struct loop_phase phase;
    struct loop *loop;
    int turns;
};

static bool ask_again(struct loop_phase *phase)
{
    struct eager *eager = CONTAINER_OF(phase, struct eager, phase);
    if (--eager->turns > 0)
        loop_again(eager->loop);
    else
        loop_stop(eager->loop);
    return false;
}

static void again_means_another_turn_without_sleep(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("again", NULL, NULL);
    struct eager eager = {.loop = loop, .turns = 10};
    loop_phase_add(loop, &eager.phase, ask_again, 1);
    assert_true(loop_turn(loop));
    loop_again(loop);
    loop_run(loop);
    assert_int_equal(eager.turns, 0);
    assert_int_equal(loop_stats(loop).turns, 10);
    assert_int_equal(loop_stats(loop).wakeups, 0);
    loop_phase_del(loop, &eager.phase);
    loop_free(loop);
}

static void long_turns_are_counted(void **state)
{
    (void)state;
    struct hand_clock clock;
    hand_clock_init(&clock, 5000);
    struct loop_options options = {.name = "slow", .clock = &clock.clock, .watchdog_us = 5000};
    struct loop *loop = NULL;
    assert_int_equal(loop_new(&options, &loop), 0);
    struct diary diary = {""};
    struct part phase;
    add_part(&phase, loop, &diary, "", 1);
    phase.clock = &clock;
    phase.takes_ms = 5;
    loop_turn(loop);
    assert_int_equal(loop_stats(loop).long_turns, 0);
    phase.takes_ms = 7;
    loop_turn(loop);
    phase.takes_ms = 6;
    loop_turn(loop);
    struct loop_stats stats = loop_stats(loop);
    assert_int_equal(stats.turns, 3);
    assert_int_equal(stats.long_turns, 2);
    assert_int_equal(stats.longest_us, 7000);
    assert_int_equal(stats.busy_us, 18000);
    loop_stats_reset_longest(loop);
    assert_int_equal(loop_stats(loop).longest_us, 0);
    loop_phase_del(loop, &phase.phase);
    loop_free(loop);
}

struct times {
    struct loop_phase phase;
    struct loop *loop;
    struct hand_clock *clock;
};

static bool look_at_times(struct loop_phase *phase)
{
    struct times *times = CONTAINER_OF(phase, struct times, phase);
    assert_int_equal(loop_now_ms(times->loop), 8000);
    assert_int_equal(loop_wall_ms(times->loop), 8000);
    hand_clock_advance_ms(times->clock, 3);
    assert_int_equal(loop_now_ms(times->loop), 8000);
    assert_int_equal(loop_wall_ms(times->loop), 8000);
    return false;
}

static void time_stands_still_within_a_turn(void **state)
{
    (void)state;
    struct hand_clock clock;
    hand_clock_init(&clock, 8000);
    struct loop *loop = rig_loop("times", &clock.clock, NULL);
    struct times times = {.loop = loop, .clock = &clock};
    loop_phase_add(loop, &times.phase, look_at_times, 1);
    loop_turn(loop);
    assert_int_equal(loop_now_ms(loop), 8003);
    assert_int_equal(loop_wall_ms(loop), 8003);
    loop_phase_del(loop, &times.phase);
    loop_free(loop);
}

/* ---- Epoch ---- */

static void count_freed(void *ctx, void *object)
{
    (void)object;
    ++*(int *)ctx;
}

static void a_turn_is_a_quiescent_point(void **state)
{
    (void)state;
    struct epoch *epoch = epoch_new();
    struct loop *loop = rig_loop("reader", NULL, epoch);
    assert_non_null(loop_reader(loop));
    int freed = 0;
    struct epoch_bag *bag = epoch_bag_new(epoch, count_freed, &freed);
    epoch_retire(bag, &freed, 1);
    epoch_collect(bag, 10);
    assert_int_equal(freed, 0);
    loop_turn(loop);
    epoch_collect(bag, 10);
    assert_int_equal(freed, 1);
    epoch_bag_free(bag);
    loop_free(loop);
    epoch_free(epoch);
}

struct sleeper {
    struct loop_post post;
    struct loop *home;
};

static void stop_home(struct loop_post *post)
{
    loop_stop(CONTAINER_OF(post, struct sleeper, post)->home);
}

static void stop_at(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

static bool is_all_freed(void *ctx)
{
    struct epoch_bag *bag = ctx;
    epoch_collect(bag, 10);
    return epoch_bag_bytes(bag) == 0;
}

/* A loop that has nothing to do neither wakes nor holds back what others have retired. */
static void a_sleeping_loop_is_offline_and_stays_asleep(void **state)
{
    (void)state;
    struct epoch *epoch = epoch_new();
    struct loop *idle = rig_loop("idle", NULL, epoch);
    struct loop *home = rig_loop("home", NULL, epoch);
    int freed = 0;
    struct epoch_bag *bag = epoch_bag_new(epoch, count_freed, &freed);
    assert_int_equal(loop_start(idle), 0);

    struct sleeper hello = {.post.run = stop_home, .home = home};
    loop_post(idle, &hello.post);
    assert_true(rig_run(home, 20000));

    epoch_retire(bag, &freed, 1);
    struct loop_timer tick;
    loop_timer_init(home, &tick, stop_at);
    for (int i = 0; i < 1000 && !is_all_freed(bag); i++) {
        loop_timer_arm(&tick, 1);
        assert_true(rig_run(home, 20000));
    }
    assert_int_equal(freed, 1);

    uint64_t wakeups = loop_stats(idle).wakeups;
    loop_timer_arm(&tick, 200);
    assert_true(rig_run(home, 20000));
    assert_true(loop_stats(idle).wakeups <= wakeups + 1);

    loop_timer_fini(&tick);
    loop_stop(idle);
    loop_join(idle);
    epoch_bag_free(bag);
    loop_free(idle);
    loop_free(home);
    epoch_free(epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_run_by_order_until_none_has_work),
        cmocka_unit_test(a_phase_may_delete_itself_and_its_neighbours),
        cmocka_unit_test(late_posts_run_once_everything_else_is_dry),
        cmocka_unit_test(a_turn_has_an_end),
        cmocka_unit_test(again_means_another_turn_without_sleep),
        cmocka_unit_test(long_turns_are_counted),
        cmocka_unit_test(time_stands_still_within_a_turn),
        cmocka_unit_test(a_turn_is_a_quiescent_point),
        cmocka_unit_test(a_sleeping_loop_is_offline_and_stays_asleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
