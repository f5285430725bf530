/* SPDX-License-Identifier: Apache-2.0 */
#include "consensus/tail.h"

#include "base/assert.h"
#include "base/mem.h"

#define MIN_CAP 16

static struct tail_item *item_at(const struct tail *tail, size_t i)
{
    return &tail->items[(tail->head + i) & (tail->cap - 1)];
}

static void grow(struct tail *tail)
{
    size_t cap = tail->cap == 0 ? MIN_CAP : 2 * tail->cap;
    struct tail_item *items = mem_calloc(cap, sizeof(*items));
    for (size_t i = 0; i < tail->count; i++)
        items[i] = *item_at(tail, i);
    mem_free(tail->items);
    tail->items = items;
    tail->cap = cap;
    tail->head = 0;
}

void tail_fini(struct tail *tail)
{
    for (size_t i = 0; i < tail->count; i++)
        frame_unref(item_at(tail, i)->frame);
    mem_free(tail->items);
    *tail = (struct tail){0};
}

void tail_push(struct tail *tail, struct frame *frame)
{
    ASSERT(frame->entry_count > 0);
    if (tail->count > 0)
        ASSERT(item_at(tail, tail->count - 1)->last + 1 == frame->first_index);
    if (tail->count == tail->cap)
        grow(tail);
    *item_at(tail, tail->count++) = (struct tail_item){
        .frame = frame_ref(frame),
        .first = frame->first_index,
        .last = frame->first_index + frame->entry_count - 1,
    };
}

uint64_t tail_mark_durable(struct tail *tail, const struct frame *frame)
{
    if (tail->durable_count == tail->count)
        return 0;
    const struct tail_item *item = item_at(tail, tail->durable_count);
    if (item->frame != frame)
        return 0;
    tail->durable_count++;
    tail->durable_bytes += frame->cap;
    return item->last;
}

static void drop(struct tail *tail, size_t i)
{
    struct tail_item *item = item_at(tail, i);
    if (i < tail->durable_count) {
        tail->durable_count--;
        tail->durable_bytes -= item->frame->cap;
    }
    frame_unref(item->frame);
    item->frame = NULL;
    tail->count--;
}

void tail_cut(struct tail *tail, uint64_t index)
{
    while (tail->count > 0) {
        struct tail_item *item = item_at(tail, tail->count - 1);
        if (item->first < index) {
            if (item->last >= index)
                item->last = index - 1;
            return;
        }
        drop(tail, tail->count - 1);
    }
}

void tail_evict(struct tail *tail, size_t keep_bytes)
{
    while (tail->durable_count > 0 && tail->durable_bytes > keep_bytes) {
        drop(tail, 0);
        tail->head = (tail->head + 1) & (tail->cap - 1);
    }
}

const struct tail_item *tail_find(const struct tail *tail, uint64_t index)
{
    size_t low = 0;
    size_t high = tail->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct tail_item *item = item_at(tail, mid);
        if (index < item->first)
            high = mid;
        else if (index > item->last)
            low = mid + 1;
        else
            return item;
    }
    return NULL;
}
