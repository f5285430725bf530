/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/looprig.h"
#include "support/random.h"

struct letter {
    struct loop_post post;
    struct list_node node;
    struct order *order;
    struct loop *loop;
    int id;
    int again; /* posts itself so many times more */
};

struct order {
    int ids[64];
    int count;
};

static void note(struct loop_post *post)
{
    struct letter *letter = CONTAINER_OF(post, struct letter, post);
    ASSERT(loop_is_mine(letter->loop));
    letter->order->ids[letter->order->count++] = letter->id;
    if (letter->again > 0) {
        letter->again--;
        loop_post(letter->loop, &letter->post);
    }
}

static struct letter letter_to(struct loop *loop, struct order *order, int id)
{
    return (struct letter){.post.run = note, .order = order, .loop = loop, .id = id};
}

static void own_posts_run_in_order_within_the_turn(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("own", NULL, NULL);
    struct order order = {0};
    struct letter letters[3];
    for (int i = 0; i < 3; i++) {
        letters[i] = letter_to(loop, &order, i);
        loop_post(loop, &letters[i].post);
    }
    letters[0].again = 2;
    assert_int_equal(order.count, 0);
    assert_true(loop_turn(loop));
    assert_int_equal(order.count, 5);
    assert_memory_equal(order.ids, ((int[]){0, 1, 2, 0, 0}), 5 * sizeof(int));
    assert_false(loop_turn(loop));
    loop_free(loop);
}

static void posts_left_behind_run_when_the_loop_is_freed(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("left", NULL, NULL);
    struct order order = {0};
    struct letter letter = letter_to(loop, &order, 7);
    letter.again = 1;
    loop_post(loop, &letter.post);
    loop_free(loop);
    assert_int_equal(order.count, 2);
}

/* One sender's order holds also where the loop changes hands under it. */
static void order_survives_start_and_join(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct loop *loop = rig_loop("handed", NULL, NULL);
        struct order order = {0};
        struct letter letters[6];
        for (int i = 0; i < 6; i++)
            letters[i] = letter_to(loop, &order, i);
        loop_post(loop, &letters[0].post);
        loop_post(loop, &letters[1].post);
        assert_int_equal(loop_start(loop), 0);
        loop_post(loop, &letters[2].post);
        loop_post(loop, &letters[3].post);
        loop_stop(loop);
        loop_post(loop, &letters[4].post);
        loop_join(loop);
        loop_post(loop, &letters[5].post);
        loop_free(loop);
        assert_int_equal(order.count, 6);
        for (int i = 0; i < 6; i++)
            assert_int_equal(order.ids[i], i);
    }
}

/* ---- Lost wake-ups ----
 *
 * The target has no timers and no descriptors: only posts wake it. Nobody sends again before all
 * letters of the round have been handled, so that a wake-up that is lost is not made good by the
 * next letter: the round never ends. The pauses before sending are spread over all scales up to a
 * few microseconds, the time in which a loop goes from its last post to sleep. */

#define MAX_SENDERS   4
#define DEADLINE_MS   60000
#define SPIN_MAX_LOG2 12

struct round {
    struct loop *target;
    struct loop *home;
    int senders;
    int rounds;
    _Atomic int handled; /* letters, of all rounds */
    int finished;        /* senders; used on home only */
};

struct sender {
    struct thread thread;
    struct round *round;
    struct random random;
    struct loop_post letter;
    struct loop_post finished;
    int received;
};

static void handle_letter(struct loop_post *post)
{
    struct sender *sender = CONTAINER_OF(post, struct sender, letter);
    sender->received++;
    atomic_fetch_add(&sender->round->handled, 1);
}

static void pause_for_a_while(struct sender *sender)
{
    uint64_t limit = (uint64_t)1 << random_below(&sender->random, SPIN_MAX_LOG2);
    for (uint64_t spin = random_below(&sender->random, limit); spin > 0; spin--)
        atomic_load_explicit(&sender->round->handled, memory_order_relaxed);
}

static void wait_for_handled(struct round *round, int rounds)
{
    while (atomic_load(&round->handled) < rounds * round->senders)
        sched_yield();
}

static void send_letters(void *ctx)
{
    struct sender *sender = ctx;
    struct round *round = sender->round;
    for (int i = 0; i < round->rounds; i++) {
        wait_for_handled(round, i);
        pause_for_a_while(sender);
        loop_post(round->target, &sender->letter);
    }
    wait_for_handled(round, round->rounds);
    loop_post(round->home, &sender->finished);
}

static void on_finished(struct loop_post *post)
{
    struct sender *sender = CONTAINER_OF(post, struct sender, finished);
    if (++sender->round->finished == sender->round->senders)
        loop_stop(sender->round->home);
}

static void run_senders(int count, int rounds)
{
    struct sender senders[MAX_SENDERS] = {0};
    struct round round = {.senders = count, .rounds = rounds};
    uint64_t seed = random_seed();
    round.home = rig_loop("home", NULL, NULL);
    round.target = rig_loop("target", NULL, NULL);
    assert_int_equal(loop_start(round.target), 0);
    for (int i = 0; i < count; i++) {
        struct sender *sender = &senders[i];
        sender->round = &round;
        sender->random.state = seed + (uint64_t)i;
        sender->letter.run = handle_letter;
        sender->finished.run = on_finished;
        assert_int_equal(thread_start(&sender->thread, "sender", send_letters, sender), 0);
    }
    bool is_in_time = rig_run(round.home, DEADLINE_MS);
    if (!is_in_time) {
        print_error("handled %d of %d\n", atomic_load(&round.handled), count * rounds);
        exit(1); /* the senders wait for ever */
    }
    for (int i = 0; i < count; i++) {
        thread_join(&senders[i].thread);
        assert_int_equal(senders[i].received, rounds);
    }
    loop_stop(round.target);
    loop_join(round.target);
    assert_true(loop_stats(round.target).wakeups > 0);
    loop_free(round.target);
    loop_free(round.home);
}

static void no_wake_up_is_lost_by_one_sender(void **state)
{
    (void)state;
    run_senders(1, 40000);
}

static void no_wake_up_is_lost_by_two_senders(void **state)
{
    (void)state;
    run_senders(2, 6000);
}

static void no_wake_up_is_lost_by_four_senders(void **state)
{
    (void)state;
    run_senders(4, 3000);
}

/* Bursts of several senders at once, in the order of each. */

#define BURST 2000

struct burst {
    struct thread thread;
    struct loop *target;
    int next_expected;
    struct burst_letter {
        struct loop_post post;
        struct burst *burst;
        int id;
    } letters[BURST];
};

static void handle_burst(struct loop_post *post)
{
    struct burst_letter *letter = CONTAINER_OF(post, struct burst_letter, post);
    ASSERT(letter->id == letter->burst->next_expected);
    letter->burst->next_expected++;
}

static void send_burst(void *ctx)
{
    struct burst *burst = ctx;
    for (int i = 0; i < BURST; i++)
        loop_post(burst->target, &burst->letters[i].post);
}

static void each_senders_order_is_kept(void **state)
{
    (void)state;
    struct burst *bursts = calloc(MAX_SENDERS, sizeof(*bursts));
    struct loop *target = rig_loop("target", NULL, NULL);
    assert_int_equal(loop_start(target), 0);
    for (int s = 0; s < MAX_SENDERS; s++) {
        bursts[s].target = target;
        for (int i = 0; i < BURST; i++) {
            bursts[s].letters[i].post.run = handle_burst;
            bursts[s].letters[i].burst = &bursts[s];
            bursts[s].letters[i].id = i;
        }
        assert_int_equal(thread_start(&bursts[s].thread, "burst", send_burst, &bursts[s]), 0);
    }
    for (int s = 0; s < MAX_SENDERS; s++)
        thread_join(&bursts[s].thread);
    loop_stop(target);
    loop_join(target);
    loop_free(target);
    for (int s = 0; s < MAX_SENDERS; s++)
        assert_int_equal(bursts[s].next_expected, BURST);
    free(bursts);
}

/* A stop meets the loop at every point between two sleeps. */
static void no_stop_is_lost(void **state)
{
    (void)state;
    struct random random = {.state = random_seed()};
    struct loop *loop = rig_loop("stopped", NULL, NULL);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(loop_start(loop), 0);
        for (uint64_t spin = random_below(&random, 20000); spin > 0; spin--)
            loop_is_mine(loop);
        loop_stop(loop);
        loop_join(loop);
        assert_true(loop_is_mine(loop));
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_posts_run_in_order_within_the_turn),
        cmocka_unit_test(posts_left_behind_run_when_the_loop_is_freed),
        cmocka_unit_test(order_survives_start_and_join),
        cmocka_unit_test(no_wake_up_is_lost_by_one_sender),
        cmocka_unit_test(no_wake_up_is_lost_by_two_senders),
        cmocka_unit_test(no_wake_up_is_lost_by_four_senders),
        cmocka_unit_test(each_senders_order_is_kept),
        cmocka_unit_test(no_stop_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
