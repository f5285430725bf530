/* SPDX-License-Identifier: Apache-2.0 */
/* The turn. One call of the library waits and runs the callbacks of ready descriptors; everything
 * else happens after it returns:
 *
 *     interests -> announce sleep -> offline -> wait -> descriptor callbacks -> due timers
 *                                                                               |
 *     end of turn <- late posts <- nothing left <---- posts and phases <--------+
 *                        |                                  ^
 *                        +------- something left -----------+
 *
 * Callbacks run inside the library's wait, so the turn begins in the first of them, whichever it
 * is (loop_touch): the reader goes online, the clock is read, the sleep flag comes down. A turn
 * reads the clock twice, at its begin and at its end, and never in between. The library's own timer
 * is set only when the earliest due time has changed, and only to be woken by it: what is due is
 * decided here, by the options' clock.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#define LOOP_MAGIC 0x6c6f6f70u

static struct loop *loop_from(void *ptr)
{
    struct loop *loop = ptr;
    MAGIC_CHECK(loop, LOOP_MAGIC);
    return loop;
}

static uintptr_t self_id(void)
{
    return (uintptr_t)pthread_self();
}

static void adopt(struct loop *loop)
{
    atomic_store_explicit(&loop->owner, self_id(), memory_order_relaxed);
}

bool loop_is_mine(const struct loop *loop)
{
    return atomic_load_explicit(&loop->owner, memory_order_relaxed) == self_id();
}

uint64_t loop_read_us(const struct loop *loop)
{
    return clock_mono_us(loop->clock);
}

static void go_online(struct loop *loop)
{
    if (loop->is_online || loop->reader == NULL)
        return;
    epoch_online(loop->reader);
    loop->is_online = true;
}

static void go_offline(struct loop *loop)
{
    if (!loop->is_online)
        return;
    epoch_offline(loop->reader);
    loop->is_online = false;
}

static void say_quiescent(struct loop *loop)
{
    if (loop->is_online)
        epoch_quiescent(loop->reader);
}

/* ---- Life ---- */

static void on_wake(uv_async_t *handle)
{
    loop_touch(loop_from(handle->data));
}

/* The library may find the alarm due before it waits, and would then wait without any: it is told
 * not to wait at all (L3). */
static void on_alarm(uv_timer_t *handle)
{
    struct loop *loop = loop_from(handle->data);
    loop->alarm_due_ms = 0;
    uv_stop(&loop->uv);
    loop_touch(loop);
}

/* Called after each wait: one wait is a turn's. */
static void on_waited(uv_check_t *handle)
{
    struct loop *loop = loop_from(handle->data);
    uv_stop(&loop->uv);
    loop_touch(loop);
}

static int open_library(struct loop *loop)
{
    int error = uv_loop_init(&loop->uv);
    if (error != 0)
        return error;
    loop->uv.data = loop;
    loop->wake.data = loop;
    loop->alarm.data = loop;
    loop->waited.data = loop;
    error = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (error != 0) {
        IGNORE(uv_loop_close(&loop->uv), "the error that brought us here is the one to report");
        return error;
    }
    error = uv_timer_init(&loop->uv, &loop->alarm);
    ASSERT(error == 0);
    error = uv_check_init(&loop->uv, &loop->waited);
    ASSERT(error == 0);
    error = uv_check_start(&loop->waited, on_waited);
    ASSERT(error == 0);
    return 0;
}

static void close_library(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->waited, NULL);
    IGNORE(uv_run(&loop->uv, UV_RUN_NOWAIT), "tells whether handles are left, as the next line");
    int error = uv_loop_close(&loop->uv);
    ASSERT(error == 0);
}

int loop_new(const struct loop_options *options, struct loop **out_loop)
{
    struct loop *loop = mem_try_alloc_aligned(LOOP_CACHE_LINE, sizeof(*loop));
    if (loop == NULL)
        return -ENOMEM;
    *loop = (struct loop){.magic = LOOP_MAGIC, .clock = options->clock};
    loop->watchdog_us = options->watchdog_us;
    snprintf(loop->name, sizeof(loop->name), "%s", options->name);
    list_init(&loop->phases);
    list_init(&loop->watch_changes);
    list_init(&loop->signals);
    int error = open_library(loop);
    if (error != 0) {
        mem_free(loop);
        return error;
    }
    adopt(loop);
    loop->end_us = loop_read_us(loop);
    if (options->epoch != NULL) {
        loop->reader = epoch_register(options->epoch);
        loop->is_online = true;
    }
    *out_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    ASSERT(!loop->is_in_turn);
    ASSERT(list_is_empty(&loop->phases));
    adopt(loop);
    signals_close(loop);
    for (unsigned i = 0; i < LOOP_MAX_ROUNDS; i++) {
        if (!loop_turn(loop) && loop->handle_count == 0)
            break;
    }
    ASSERT(mailbox_is_empty(loop));
    ASSERT(loop->handle_count == 0); /* L4 */
    timers_fini(loop);
    close_library(loop);
    if (loop->reader != NULL)
        epoch_unregister(loop->reader);
    loop->magic = 0;
    mem_free(loop);
}

/* ---- The turn ---- */

void loop_begin_turn(struct loop *loop)
{
    ASSERT(loop->is_in_turn);
    mailbox_wake_up(loop);
    go_online(loop);
    loop->now_us = loop_read_us(loop);
    loop->wall_ms = 0;
    loop->is_begun = true;
}

static void set_alarm(struct loop *loop, uint64_t due_ms, uint64_t now_ms)
{
    int error = 0;
    if (due_ms == UINT64_MAX) {
        if (loop->alarm_due_ms != 0)
            error = uv_timer_stop(&loop->alarm);
        loop->alarm_due_ms = 0;
    } else if (loop->alarm_due_ms != due_ms) {
        uv_update_time(&loop->uv);
        error = uv_timer_start(&loop->alarm, on_alarm, due_ms - now_ms, 0);
        loop->alarm_due_ms = due_ms;
    }
    ASSERT(error == 0);
}

/* True if the loop may wait; then it has announced sleep and the alarm is set. */
static bool prepare_sleep(struct loop *loop)
{
    uint64_t now_ms = loop->end_us / 1000;
    uint64_t due_ms = timers_next_ms(loop);
    if (due_ms <= now_ms || !mailbox_is_empty(loop))
        return false;
    set_alarm(loop, due_ms, now_ms);
    return mailbox_try_sleep(loop);
}

static void bump(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + by, memory_order_relaxed);
}

static void run_library(struct loop *loop, uv_run_mode mode)
{
    IGNORE(uv_run(&loop->uv, mode), "says that handles are left, which is always so");
}

static void wait_for_events(struct loop *loop, bool may_sleep)
{
    bool is_again = loop->is_again;
    loop->is_again = false;
    if (may_sleep && !is_again && prepare_sleep(loop)) {
        bump(&loop->counters.wakeups, 1);
        go_offline(loop); /* L2 */
        /* Ended by on_waited(); UV_RUN_ONCE would read the clock once more. */
        run_library(loop, UV_RUN_DEFAULT);
        loop_touch(loop);
        return;
    }
    say_quiescent(loop);
    loop_touch(loop);
    if (loop->handle_count > 0)
        run_library(loop, UV_RUN_NOWAIT);
}

static bool run_phases(struct loop *loop)
{
    bool worked = false;
    struct list_node *node = loop->phases.next;
    while (node != &loop->phases) {
        struct loop_phase *phase = LIST_ENTRY(node, struct loop_phase, node);
        loop->phase_next = node->next;
        worked |= phase->run(phase);
        node = loop->phase_next;
    }
    loop->phase_next = NULL;
    return worked;
}

static void run_rounds(struct loop *loop)
{
    for (unsigned i = 0; i < LOOP_MAX_ROUNDS; i++) {
        bool worked = mailbox_run(loop);
        worked |= run_phases(loop);
        if (!worked && !mailbox_run_late(loop))
            return;
        loop->did_work = true;
    }
    loop->is_again = true; /* L6 */
}

static void end_turn(struct loop *loop)
{
    loop->end_us = loop_read_us(loop);
    uint64_t took_us = loop->end_us - loop->now_us;
    struct loop_counters *counters = &loop->counters;
    bump(&counters->turns, 1);
    bump(&counters->busy_us, took_us);
    if (took_us > atomic_load_explicit(&counters->longest_us, memory_order_relaxed))
        atomic_store_explicit(&counters->longest_us, took_us, memory_order_relaxed);
    if (loop->watchdog_us != 0 && took_us > loop->watchdog_us)
        bump(&counters->long_turns, 1);
    loop->is_in_turn = false;
}

static bool run_turn(struct loop *loop, bool may_sleep)
{
    ASSERT(!loop->is_in_turn);
    loop->is_in_turn = true;
    loop->is_begun = false;
    loop->did_work = false;
    watches_apply(loop);
    wait_for_events(loop, may_sleep);
    if (timers_fire(loop))
        loop->did_work = true;
    run_rounds(loop);
    end_turn(loop);
    return loop->did_work || loop->is_again;
}

bool loop_turn(struct loop *loop)
{
    ASSERT(loop_is_mine(loop));
    go_online(loop);
    bool worked = run_turn(loop, false);
    say_quiescent(loop);
    return worked;
}

void loop_run(struct loop *loop)
{
    adopt(loop);
    go_online(loop);
    loop->end_us = loop_read_us(loop);
    while (!atomic_load_explicit(&loop->is_stopping, memory_order_relaxed))
        run_turn(loop, true);
    atomic_store(&loop->is_stopping, false);
    go_offline(loop);
}

/* ---- Threads ---- */

static void thread_main(void *ctx)
{
    struct loop *loop = loop_from(ctx);
    loop_run(loop);
    atomic_store_explicit(&loop->owner, 0, memory_order_relaxed);
}

/* From here until the new thread has taken over, nobody is the owner: posts of the creating thread
 * go through the inbox like all others. */
int loop_start(struct loop *loop)
{
    ASSERT(loop_is_mine(loop));
    atomic_store_explicit(&loop->owner, 0, memory_order_relaxed);
    int error = thread_start(&loop->thread, loop->name, thread_main, loop);
    if (error != 0)
        adopt(loop);
    return error;
}

void loop_join(struct loop *loop)
{
    if (!loop->thread.is_running)
        return;
    thread_join(&loop->thread);
    adopt(loop);
    mailbox_collect(loop); /* so that what this thread posts from now on comes after them */
}

/* ---- Times and counters ---- */

uint64_t loop_now_ms(const struct loop *loop)
{
    return (loop->is_in_turn ? loop->now_us : loop_read_us(loop)) / 1000;
}

uint64_t loop_wall_ms(struct loop *loop)
{
    if (!loop->is_in_turn)
        return clock_wall_ms(loop->clock);
    if (loop->wall_ms == 0)
        loop->wall_ms = clock_wall_ms(loop->clock);
    return loop->wall_ms;
}

struct epoch_reader *loop_reader(struct loop *loop)
{
    ASSERT(loop->reader != NULL);
    return loop->reader;
}

struct loop_stats loop_stats(const struct loop *loop)
{
    const struct loop_counters *counters = &loop->counters;
    return (struct loop_stats){
        .turns = atomic_load_explicit(&counters->turns, memory_order_relaxed),
        .wakeups = atomic_load_explicit(&counters->wakeups, memory_order_relaxed),
        .longest_us = atomic_load_explicit(&counters->longest_us, memory_order_relaxed),
        .long_turns = atomic_load_explicit(&counters->long_turns, memory_order_relaxed),
        .busy_us = atomic_load_explicit(&counters->busy_us, memory_order_relaxed),
    };
}

void loop_stats_reset_longest(struct loop *loop)
{
    atomic_store_explicit(&loop->counters.longest_us, 0, memory_order_relaxed);
}

/* ---- Phases ---- */

void loop_phase_add(struct loop *loop, struct loop_phase *phase, loop_phase_fn run, unsigned order)
{
    ASSERT(loop_is_mine(loop));
    phase->run = run;
    phase->order = order;
    struct list_node *place = loop->phases.next;
    while (place != &loop->phases && LIST_ENTRY(place, struct loop_phase, node)->order <= order)
        place = place->next;
    list_insert_before(place, &phase->node);
}

void loop_phase_del(struct loop *loop, struct loop_phase *phase)
{
    ASSERT(loop_is_mine(loop));
    if (loop->phase_next == &phase->node)
        loop->phase_next = phase->node.next;
    list_del(&phase->node);
}

void loop_again(struct loop *loop)
{
    loop->is_again = true;
}
