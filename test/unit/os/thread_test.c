/* SPDX-License-Identifier: Apache-2.0 */
#include "os/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "support/cmocka.h"

#define ROUNDS 20000

struct shared {
    struct lock lock;
    struct signal turn;
    uint64_t count;
    bool is_ping;
    char name[16];
    sigset_t blocked;
};

static void shared_init(struct shared *shared)
{
    memset(shared, 0, sizeof(*shared));
    lock_init(&shared->lock);
    signal_init(&shared->turn);
}

static void shared_fini(struct shared *shared)
{
    signal_fini(&shared->turn);
    lock_fini(&shared->lock);
}

static void count_up(void *ctx)
{
    struct shared *shared = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&shared->lock);
        shared->count++;
        lock_drop(&shared->lock);
    }
}

static void lock_excludes(void **state)
{
    (void)state;
    struct shared shared;
    shared_init(&shared);
    struct thread threads[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_start(&threads[i], "count", count_up, &shared), 0);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    assert_int_equal(shared.count, 4 * ROUNDS);
    shared_fini(&shared);
}

static void take_turns(struct shared *shared, bool is_ping)
{
    lock_take(&shared->lock);
    for (int i = 0; i < 1000; i++) {
        while (shared->is_ping != is_ping)
            signal_wait(&shared->turn, &shared->lock);
        shared->is_ping = !is_ping;
        shared->count++;
        signal_all(&shared->turn);
    }
    lock_drop(&shared->lock);
}

static void pong(void *ctx)
{
    take_turns(ctx, false);
}

static void signals_wake_both_sides(void **state)
{
    (void)state;
    struct shared shared;
    shared_init(&shared);
    struct thread thread = {0};
    assert_int_equal(thread_start(&thread, "pong", pong, &shared), 0);
    take_turns(&shared, true);
    thread_join(&thread);
    assert_int_equal(shared.count, 2000);
    shared_fini(&shared);
}

static void look_around(void *ctx)
{
    struct shared *shared = ctx;
    pthread_getname_np(pthread_self(), shared->name, sizeof(shared->name));
    pthread_sigmask(SIG_SETMASK, NULL, &shared->blocked);
}

static void thread_has_its_name_and_no_signals(void **state)
{
    (void)state;
    struct shared shared;
    shared_init(&shared);
    sigset_t before;
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mine, &before);

    struct thread thread = {0};
    assert_int_equal(thread_start(&thread, "fifteen-letters", look_around, &shared), 0);
    assert_true(thread.is_running);
    thread_join(&thread);
    assert_false(thread.is_running);

    assert_string_equal(shared.name, "fifteen-letters");
    assert_int_equal(sigismember(&shared.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&shared.blocked, SIGUSR1), 1);
    assert_int_equal(sigismember(&shared.blocked, SIGSEGV), 0);
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < 32; sig++)
        assert_int_equal(sigismember(&after, sig), sigismember(&mine, sig));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    shared_fini(&shared);
}

static void join_of_nothing_is_harmless(void **state)
{
    (void)state;
    struct thread thread = {0};
    thread_join(&thread);
    assert_false(thread.is_running);
}

static void cpu_count_follows_the_affinity(void **state)
{
    (void)state;
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(thread_cpu_count(), CPU_COUNT(&before));
    int first = 0;
    while (!CPU_ISSET(first, &before))
        first++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(thread_cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_excludes),
        cmocka_unit_test(signals_wake_both_sides),
        cmocka_unit_test(thread_has_its_name_and_no_signals),
        cmocka_unit_test(join_of_nothing_is_harmless),
        cmocka_unit_test(cpu_count_follows_the_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
