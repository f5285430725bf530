/* SPDX-License-Identifier: Apache-2.0 */
#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/crash.h"

#define NAME_SIZE 16

struct start {
    char name[NAME_SIZE];
    void (*fn)(void *ctx);
    void *ctx;
};

/* What a thread brings on itself must reach the handler that reports the crash. */
static void all_but_faults(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigfillset(set);
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++)
        sigdelset(set, faults[i]);
}

static void *run(void *ctx)
{
    struct start start = *(struct start *)ctx;
    mem_free(ctx);
    int rc = pthread_setname_np(pthread_self(), start.name);
    ASSERT(rc == 0);
    void *stack = crash_stack_new();
    start.fn(start.ctx);
    crash_stack_free(stack);
    return NULL;
}

int thread_start(struct thread *thread, const char *name, void (*fn)(void *ctx), void *ctx)
{
    size_t len = strlen(name);
    ASSERT(!thread->is_running && len < NAME_SIZE);
    struct start *start = mem_calloc(1, sizeof(*start));
    memcpy(start->name, name, len);
    start->fn = fn;
    start->ctx = ctx;

    /* A new thread takes its mask from the one that starts it. */
    sigset_t blocked;
    sigset_t before;
    all_but_faults(&blocked);
    int rc = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    ASSERT(rc == 0);
    int failure = pthread_create(&thread->handle, NULL, run, start);
    rc = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(rc == 0);

    if (failure != 0) {
        mem_free(start);
        return -failure;
    }
    thread->is_running = true;
    return 0;
}

void thread_join(struct thread *thread)
{
    if (!thread->is_running)
        return;
    int rc = pthread_join(thread->handle, NULL);
    ASSERT(rc == 0);
    thread->is_running = false;
}

void lock_init(struct lock *lock)
{
    int rc = pthread_mutex_init(&lock->mutex, NULL);
    ASSERT(rc == 0);
}

void lock_fini(struct lock *lock)
{
    int rc = pthread_mutex_destroy(&lock->mutex);
    ASSERT(rc == 0);
}

void lock_take(struct lock *lock)
{
    int rc = pthread_mutex_lock(&lock->mutex);
    ASSERT(rc == 0);
}

void lock_drop(struct lock *lock)
{
    int rc = pthread_mutex_unlock(&lock->mutex);
    ASSERT(rc == 0);
}

void signal_init(struct signal *sig)
{
    int rc = pthread_cond_init(&sig->cond, NULL);
    ASSERT(rc == 0);
}

void signal_fini(struct signal *sig)
{
    int rc = pthread_cond_destroy(&sig->cond);
    ASSERT(rc == 0);
}

void signal_wait(struct signal *sig, struct lock *lock)
{
    int rc = pthread_cond_wait(&sig->cond, &lock->mutex);
    ASSERT(rc == 0);
}

void signal_wait_ms(struct signal *sig, struct lock *lock, unsigned ms)
{
    struct timespec until;
    int rc = clock_gettime(CLOCK_MONOTONIC, &until);
    ASSERT(rc == 0);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    rc = pthread_cond_clockwait(&sig->cond, &lock->mutex, CLOCK_MONOTONIC, &until);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
}

void signal_one(struct signal *sig)
{
    int rc = pthread_cond_signal(&sig->cond);
    ASSERT(rc == 0);
}

void signal_all(struct signal *sig)
{
    int rc = pthread_cond_broadcast(&sig->cond);
    ASSERT(rc == 0);
}

void thread_sleep_ms(unsigned ms)
{
    struct timespec span = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&span, NULL);
}

unsigned thread_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    /* More processors than a cpu_set_t holds. */
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}
