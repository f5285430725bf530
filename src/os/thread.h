/* SPDX-License-Identifier: Apache-2.0 */
/* thread: threads, locks and the count of processors. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/attr.h"

struct thread {
    pthread_t handle;
    bool is_running;
};

/* Runs fn(ctx) on a new thread with all signals blocked but those of its own faults (SIGSEGV and
 * the like). `name` shows in ps and crash reports (15 bytes at most). Returns 0 or a negative
 * code. */
MUST_CHECK
int thread_start(struct thread *thread, const char *name, void (*fn)(void *ctx), void *ctx);

/* Waits for its end. A no-op on zeroed storage. */
void thread_join(struct thread *thread);

struct lock {
    pthread_mutex_t mutex;
};
struct signal {
    pthread_cond_t cond;
};

void lock_init(struct lock *lock);
void lock_fini(struct lock *lock);
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);

void signal_init(struct signal *sig);
void signal_fini(struct signal *sig);

/* Waits with `lock` given up meanwhile; may wake for no reason. */
void signal_wait(struct signal *sig, struct lock *lock);
/* The same for at most `ms`. */
void signal_wait_ms(struct signal *sig, struct lock *lock, unsigned ms);
void signal_one(struct signal *sig);
void signal_all(struct signal *sig);

/* Thread: none that others wait for. */
void thread_sleep_ms(unsigned ms);

/* Processors this process may run on, at least 1. */
unsigned thread_cpu_count(void);

#endif
