/* SPDX-License-Identifier: Apache-2.0 */
/* Timers: a binary heap in an array, smallest due time first, equal times in order of arming. The
 * sort keys lie in the array beside the pointer, so that sifting does not visit the timers except
 * to tell them their new position. Position 0 is never used: there, a timer is not armed.
 */
#include "loop/loop_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#define MIN_CAP 16

static bool is_before(const struct timer_cell *a, const struct timer_cell *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void put_cell(struct timer_heap *heap, size_t pos, struct timer_cell cell)
{
    heap->cells[pos] = cell;
    cell.timer->heap_pos = pos;
}

static void sift_up(struct timer_heap *heap, size_t pos, struct timer_cell cell)
{
    while (pos > 1 && is_before(&cell, &heap->cells[pos / 2])) {
        put_cell(heap, pos, heap->cells[pos / 2]);
        pos /= 2;
    }
    put_cell(heap, pos, cell);
}

static void sift_down(struct timer_heap *heap, size_t pos, struct timer_cell cell)
{
    for (;;) {
        size_t child = pos * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && is_before(&heap->cells[child + 1], &heap->cells[child]))
            child++;
        if (!is_before(&heap->cells[child], &cell))
            break;
        put_cell(heap, pos, heap->cells[child]);
        pos = child;
    }
    put_cell(heap, pos, cell);
}

/* Puts `cell` where the cell at `pos` was. */
static void replace(struct timer_heap *heap, size_t pos, struct timer_cell cell)
{
    if (pos > 1 && is_before(&cell, &heap->cells[pos / 2]))
        sift_up(heap, pos, cell);
    else
        sift_down(heap, pos, cell);
}

static void grow(struct timer_heap *heap)
{
    size_t cap = heap->cap == 0 ? MIN_CAP : heap->cap * 2;
    heap->cells = mem_realloc(heap->cells, (cap + 1) * sizeof(heap->cells[0]));
    heap->cap = cap;
}

void loop_timer_init(struct loop *loop, struct loop_timer *timer, loop_timer_fn on_due)
{
    *timer = (struct loop_timer){.loop = loop, .on_due = on_due};
}

void loop_timer_arm(struct loop_timer *timer, uint64_t after_ms)
{
    struct loop *loop = timer->loop;
    ASSERT_SLOW(loop_is_mine(loop));
    struct timer_heap *heap = &loop->timers;
    uint64_t now_ms = loop_now_ms(loop);
    timer->due_ms = after_ms > UINT64_MAX - 1 - now_ms ? UINT64_MAX - 1 : now_ms + after_ms;
    struct timer_cell cell = {.due_ms = timer->due_ms, .seq = heap->next_seq++, .timer = timer};
    if (timer->heap_pos != 0) {
        replace(heap, timer->heap_pos, cell);
        return;
    }
    if (heap->count == heap->cap)
        grow(heap);
    heap->count++;
    sift_up(heap, heap->count, cell);
}

void loop_timer_disarm(struct loop_timer *timer)
{
    size_t pos = timer->heap_pos;
    if (pos == 0)
        return;
    ASSERT_SLOW(loop_is_mine(timer->loop));
    struct timer_heap *heap = &timer->loop->timers;
    ASSERT(heap->cells[pos].timer == timer); /* L5 */
    struct timer_cell last = heap->cells[heap->count--];
    timer->heap_pos = 0;
    if (last.timer != timer)
        replace(heap, pos, last);
}

bool loop_timer_is_armed(const struct loop_timer *timer)
{
    return timer->heap_pos != 0;
}

void loop_timer_fini(struct loop_timer *timer)
{
    loop_timer_disarm(timer);
    timer->loop = NULL;
}

bool timers_fire(struct loop *loop)
{
    struct timer_heap *heap = &loop->timers;
    uint64_t now_ms = loop_now_ms(loop);
    uint64_t seq_end = heap->next_seq; /* what is armed from here on waits for the next turn */
    bool fired = false;
    while (heap->count > 0 && heap->cells[1].due_ms <= now_ms && heap->cells[1].seq < seq_end) {
        struct loop_timer *timer = heap->cells[1].timer;
        loop_timer_disarm(timer);
        timer->on_due(timer);
        fired = true;
    }
    return fired;
}

uint64_t timers_next_ms(const struct loop *loop)
{
    return loop->timers.count == 0 ? UINT64_MAX : loop->timers.cells[1].due_ms;
}

void timers_fini(struct loop *loop)
{
    ASSERT(loop->timers.count == 0);
    mem_free(loop->timers.cells);
}
