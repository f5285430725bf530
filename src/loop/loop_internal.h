/* SPDX-License-Identifier: Apache-2.0 */
/* loop_internal: the loop's own parts, shared by the files of this folder.
 *
 * Cross-thread words stand apart from the rest: `inbox` and `is_asleep` are the only ones that
 * other threads write in the ordinary course of things.
 */
#ifndef LOOP_LOOP_INTERNAL_H
#define LOOP_LOOP_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "loop/loop.h"
#include "os/thread.h"

#define LOOP_CACHE_LINE 64

/* Posts and phases of one turn are repeated at most so often; then descriptors get a look in. */
#define LOOP_MAX_ROUNDS 256

/* A first in, first out queue of posts; zeroed storage is empty. */
struct post_queue {
    struct loop_post *first;
    struct loop_post *last;
};

/* An armed timer. The key lies in the array, so that the heap is sorted without visiting timers. */
struct timer_cell {
    uint64_t due_ms;
    uint64_t seq; /* equal times fire in the order of arming */
    struct loop_timer *timer;
};

/* A binary heap; cells[0] is unused, so that position 0 can mean "not armed". */
struct timer_heap {
    struct timer_cell *cells;
    size_t count;
    size_t cap;
    uint64_t next_seq;
};

/* What any thread may read while the loop's thread writes. */
struct loop_counters {
    _Atomic uint64_t turns;
    _Atomic uint64_t wakeups;
    _Atomic uint64_t longest_us;
    _Atomic uint64_t long_turns;
    _Atomic uint64_t busy_us;
};

struct loop {
    uint32_t magic;
    bool is_in_turn;
    bool is_begun;  /* this turn has read its clock and is online */
    bool is_online; /* the reader is */
    bool is_again;  /* somebody has more to do: do not sleep */
    bool did_work;  /* in this turn */

    uint64_t now_us;  /* start of the turn */
    uint64_t end_us;  /* end of the last one */
    uint64_t wall_ms; /* 0: not read in this turn */

    struct clock *clock;
    struct epoch_reader *reader;
    struct post_queue own;  /* posted by the loop's own thread */
    struct post_queue late; /* run when posts and phases have run dry */
    struct list_node phases;
    struct list_node *phase_next; /* where a running round goes on */
    struct list_node watch_changes;
    struct list_node signals;
    size_t handle_count; /* watches and signals that the library knows, closing ones included */
    struct timer_heap timers;

    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t alarm;
    uv_check_t waited;
    uint64_t alarm_due_ms; /* what the alarm is set to; 0: it is not */

    struct thread thread;
    uint64_t watchdog_us;
    char name[16];
    struct loop_counters counters;

    /* ---- Written by other threads. ---- */
    _Alignas(LOOP_CACHE_LINE) struct loop_post *_Atomic inbox; /* newest first */
    _Atomic bool is_asleep;                                    /* or about to be */
    _Atomic bool is_stopping;
    _Atomic uintptr_t owner; /* pthread_self() of the loop's own thread, 0: nobody now */
};

/* The first thing that runs in a turn, whichever callback that is: wakes the turn up. */
void loop_begin_turn(struct loop *loop);

static inline void loop_touch(struct loop *loop)
{
    if (!loop->is_begun)
        loop_begin_turn(loop);
}

uint64_t loop_read_us(const struct loop *loop);

/* ---- mailbox.c ---- */

static inline bool post_queue_is_empty(const struct post_queue *queue)
{
    return queue->first == NULL;
}

void post_queue_push(struct post_queue *queue, struct loop_post *post);

/* Moves what other threads have posted to the end of the own queue. */
void mailbox_collect(struct loop *loop);

/* Runs what is queued now; what that queues in turn waits. True if there was something. */
bool mailbox_run(struct loop *loop);

/* The same for late posts. */
bool mailbox_run_late(struct loop *loop);

/* Own thread only: runs once posts and phases have run dry, before the turn ends. */
void mailbox_post_late(struct loop *loop, struct loop_post *post);

bool mailbox_is_empty(const struct loop *loop);

/* Announces sleep; false, and nothing announced, if something has come meanwhile (L3). */
bool mailbox_try_sleep(struct loop *loop);
void mailbox_wake_up(struct loop *loop);

/* ---- timer.c ---- */

/* Fires what is due and was armed before the call. True if anything was. */
bool timers_fire(struct loop *loop);

/* The earliest due time in ms, or UINT64_MAX. */
uint64_t timers_next_ms(const struct loop *loop);
void timers_fini(struct loop *loop);

/* ---- watch.c ---- */

/* Tells the library about changed interests; before every wait. */
void watches_apply(struct loop *loop);
void signals_close(struct loop *loop);

#endif
