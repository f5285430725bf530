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

/* ---- Lost wake-ups: a target without timers or descriptors, which only posts can wake. ---- */

#define SENDERS  4
#define LETTERS  6000
#define MAX_WAIT 3000

struct sender {
    struct thread thread;
    struct loop *target;
    struct loop *home;
    struct random random;
    struct loop_post finished;
    _Atomic int handled;
    int next_expected;
    struct sender_letter {
        struct loop_post post;
        struct sender *sender;
        int id;
    } letters[LETTERS];
};

static void handle_letter(struct loop_post *post)
{
    struct sender_letter *letter = CONTAINER_OF(post, struct sender_letter, post);
    struct sender *sender = letter->sender;
    ASSERT(letter->id == sender->next_expected);
    sender->next_expected++;
    atomic_store_explicit(&sender->handled, letter->id + 1, memory_order_release);
}

static void wait_until_handled(const struct sender *sender, int count)
{
    while (atomic_load_explicit(&sender->handled, memory_order_acquire) < count)
        sched_yield();
}

/* Mostly one letter at a time, so that the target is always just falling asleep. */
static void send_letters(void *ctx)
{
    struct sender *sender = ctx;
    for (int i = 0; i < LETTERS;) {
        int burst = random_below(&sender->random, 4) == 0 ? 5 : 1;
        for (; burst > 0 && i < LETTERS; burst--, i++)
            loop_post(sender->target, &sender->letters[i].post);
        wait_until_handled(sender, i);
        for (uint64_t spin = random_below(&sender->random, MAX_WAIT); spin > 0; spin--)
            atomic_load_explicit(&sender->handled, memory_order_relaxed);
    }
    loop_post(sender->home, &sender->finished);
}

static _Atomic int finished_count;

static void on_finished(struct loop_post *post)
{
    struct sender *sender = CONTAINER_OF(post, struct sender, finished);
    if (++finished_count == SENDERS)
        loop_stop(sender->home);
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    struct loop *home = rig_loop("home", NULL, NULL);
    struct loop *target = rig_loop("target", NULL, NULL);
    struct sender *senders = calloc(SENDERS, sizeof(*senders));
    finished_count = 0;
    assert_int_equal(loop_start(target), 0);
    for (unsigned s = 0; s < SENDERS; s++) {
        struct sender *sender = &senders[s];
        sender->target = target;
        sender->home = home;
        sender->random.state = seed + s;
        sender->finished.run = on_finished;
        for (int i = 0; i < LETTERS; i++) {
            sender->letters[i].post.run = handle_letter;
            sender->letters[i].sender = sender;
            sender->letters[i].id = i;
        }
        assert_int_equal(thread_start(&sender->thread, "sender", send_letters, sender), 0);
    }
    bool is_in_time = rig_run(home, 60000);
    if (!is_in_time)
        fail_msg("a wake-up was lost");
    for (int s = 0; s < SENDERS; s++) {
        thread_join(&senders[s].thread);
        assert_int_equal(senders[s].next_expected, LETTERS);
    }
    loop_stop(target);
    loop_join(target);
    assert_true(loop_stats(target).wakeups > 100);
    loop_free(target);
    loop_free(home);
    free(senders);
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
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(no_stop_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
