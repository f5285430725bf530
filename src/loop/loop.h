/* SPDX-License-Identifier: Apache-2.0 */
/* loop: one event loop per thread, with descriptors, timers, mailboxes and phases.
 *
 * A turn: wait for events, run the callbacks of ready descriptors and due timers, then run posts
 * and phases in their order again and again until none has anything left to do, then go to sleep.
 * Components (io, log, shard) are phases and posts on a loop; several may share one, and then a
 * post to one's own loop is a list append: no system call, no other thread.
 *
 * Threads:  everything here is for the loop's own thread, except loop_post(), loop_stop() and the
 *           reading of counters. Before loop_start() the creating thread counts as the loop's own,
 *           after loop_join() the one that called it.
 * Lifetime: watches are embedded by their owner and live until their on_closed, timers until
 *           loop_timer_fini(), phases until loop_phase_del().
 * Names:    libuv is used inside and named nowhere else.
 * See loop/README.md, invariants L1-L8.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "epoch/epoch.h"
#include "os/clock.h"

struct loop;

struct loop_options {
    const char *name;     /* of the thread, 15 bytes at most */
    struct clock *clock;  /* of the machine, or a simulated one under loop_turn() */
    struct epoch *epoch;  /* the loop registers a reader, offline while it sleeps; NULL: none */
    uint64_t watchdog_us; /* a turn longer than this is counted; 0: never */
};

MUST_CHECK
int loop_new(const struct loop_options *options, struct loop **out_loop);

/* The thread has ended, all watches are closed (their on_closed may still come, from here), no
 * timer is armed, all phases are removed, and no other thread is going to post any more. */
void loop_free(struct loop *loop);

/* Runs the loop on a new thread / on the calling one until loop_stop(). */
MUST_CHECK
int loop_start(struct loop *loop);
void loop_run(struct loop *loop);

/* Ends the loop after the current turn. Thread: any. loop_join waits for a started thread; the
 * loop's reader is offline from then on until the next turn. */
void loop_stop(struct loop *loop);
void loop_join(struct loop *loop);

/* One turn that does not sleep: for tests and simulations that drive the loop by hand. Timers go by
 * the options' clock, so that time can be virtual. True if anything was done. */
bool loop_turn(struct loop *loop);

/* Milliseconds (monotonic) at the start of the turn; wall clock in ms, read at most once a turn. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_wall_ms(struct loop *loop);

bool loop_is_mine(const struct loop *loop);
struct epoch_reader *loop_reader(struct loop *loop);

/* ---- Posts: a message to a loop. ---- */

struct loop_post;
typedef void (*loop_post_fn)(struct loop_post *post);

/* Embedded in the message, which is the receiver's from loop_post() on. */
struct loop_post {
    struct loop_post *next;
    loop_post_fn run;
};

/* Runs post->run on the loop's thread, in the order of one sender's posts. From the loop's own
 * thread: later in the same turn. From others: wakes the loop only if it has announced sleep.
 * Thread: any. Posts still queued when the loop ends are run by loop_free(). */
void loop_post(struct loop *loop, struct loop_post *post);

/* ---- Phases: what a component does every turn. ---- */

struct loop_phase;
/* Returns true if it did something, so that posts and phases run once more in this turn. A turn
 * that does not run dry is cut after a bounded number of rounds, and another follows without sleep.
 */
typedef bool (*loop_phase_fn)(struct loop_phase *phase);

struct loop_phase {
    struct list_node node;
    loop_phase_fn run;
    unsigned order; /* smaller runs first */
};

void loop_phase_add(struct loop *loop, struct loop_phase *phase, loop_phase_fn run, unsigned order);
void loop_phase_del(struct loop *loop, struct loop_phase *phase);

/* Makes the loop take another turn without sleeping: for work that was cut at its budget. */
void loop_again(struct loop *loop);

/* ---- Timers. ---- */

struct loop_timer;
typedef void (*loop_timer_fn)(struct loop_timer *timer);

struct loop_timer {
    struct loop *loop;
    loop_timer_fn on_due;
    uint64_t due_ms;
    size_t heap_pos; /* 0: not armed */
};

/* Fires once, `after_ms` from now, never twice in a turn; arming an armed timer moves it. Equal
 * times fire in the order of arming. A disarmed or fired timer costs no wake-up. Timers are a heap
 * of our own over one timer of the library, so that they obey a simulated clock. */
void loop_timer_init(struct loop *loop, struct loop_timer *timer, loop_timer_fn on_due);
void loop_timer_arm(struct loop_timer *timer, uint64_t after_ms);
void loop_timer_disarm(struct loop_timer *timer);
bool loop_timer_is_armed(const struct loop_timer *timer);

/* The timer may be freed when this returns. */
void loop_timer_fini(struct loop_timer *timer);

/* ---- Descriptors. ---- */

enum loop_watch_events { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

struct loop_watch;
typedef void (*loop_watch_fn)(struct loop_watch *watch, unsigned events);
typedef void (*loop_watch_closed_fn)(struct loop_watch *watch);

struct loop_watch {
    void *impl;
    loop_watch_fn on_event;
    loop_watch_closed_fn on_closed;
    int fd;
    unsigned events; /* wanted now */
};

/* Watches a non-blocking descriptor, level-triggered; at first for nothing. */
MUST_CHECK
int loop_watch_open(struct loop *loop, struct loop_watch *watch, int fd, loop_watch_fn on_event);

/* Changes what is waited for; costs nothing until the next wait, and nothing then if it has changed
 * back. Error events are reported as both, as long as anything is wanted. */
void loop_watch_set(struct loop_watch *watch, unsigned events);

/* Stops at once; on_closed comes later in the same or the next turn, never from within: only then
 * may the descriptor be closed and the watch be freed. */
void loop_watch_close(struct loop_watch *watch, loop_watch_closed_fn on_closed);

/* ---- Signals of the process; for one loop only. ---- */

typedef void (*loop_signal_fn)(void *ctx, int signum);

/* Until loop_free(). Some thread must not block the signal: those of thread_start() do, the main
 * one does not. Several of one kind that come at once may be reported as one. */
MUST_CHECK
int loop_signal_watch(struct loop *loop, int signum, loop_signal_fn on_signal, void *ctx);

/* ---- Counters, readable from any thread. ---- */

struct loop_stats {
    uint64_t turns;
    uint64_t wakeups;    /* turns that began with a wait for something to happen */
    uint64_t longest_us; /* longest turn since the last reset */
    uint64_t long_turns; /* turns over watchdog_us */
    uint64_t busy_us;    /* sum of turns, sleep left out */
};
struct loop_stats loop_stats(const struct loop *loop);
void loop_stats_reset_longest(struct loop *loop);

#endif
