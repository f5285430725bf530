/* SPDX-License-Identifier: Apache-2.0 */
/* Posts from the loop's own thread are a list; posts from other threads are a stack that senders
 * push onto with one compare-and-swap and that the loop takes whole with one exchange and turns
 * round. The loop never pops single elements, so there is no ABA, and the reversed stack is in the
 * order of the pushes, hence in the order of each sender.
 *
 * Going to sleep is a handshake of two words, all four steps sequentially consistent:
 *
 *     loop:    is_asleep = true     then   look at inbox
 *     sender:  push onto inbox      then   look at is_asleep
 *
 * In the one order of these four steps either the loop's look comes after the push, and it does
 * not sleep, or the sender's look comes after the announcement, and it wakes the loop. Both may
 * happen, which costs one spare turn; neither cannot (L3). Whoever wakes takes the flag down, so
 * that of many senders one makes the system call.
 */
#include "loop/loop_internal.h"

#include "base/assert.h"

static void wake_if_asleep(struct loop *loop)
{
    if (!atomic_load(&loop->is_asleep))
        return;
    if (!atomic_exchange(&loop->is_asleep, false))
        return;
    int error = uv_async_send(&loop->wake);
    ASSERT(error == 0);
}

void post_queue_push(struct post_queue *queue, struct loop_post *post)
{
    post->next = NULL;
    if (queue->first == NULL)
        queue->first = post;
    else
        queue->last->next = post;
    queue->last = post;
}

static void push_inbox(struct loop *loop, struct loop_post *post)
{
    struct loop_post *head = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak(&loop->inbox, &head, post));
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    ASSERT_SLOW(post->run != NULL);
    if (loop_is_mine(loop)) {
        post_queue_push(&loop->own, post);
        return;
    }
    push_inbox(loop, post);
    wake_if_asleep(loop);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    wake_if_asleep(loop);
}

void mailbox_collect(struct loop *loop)
{
    if (atomic_load_explicit(&loop->inbox, memory_order_relaxed) == NULL)
        return;
    struct loop_post *newest = atomic_exchange(&loop->inbox, NULL);
    struct loop_post *first = NULL;
    struct loop_post *last = newest;
    while (newest != NULL) {
        struct loop_post *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    if (loop->own.first == NULL)
        loop->own.first = first;
    else
        loop->own.last->next = first;
    loop->own.last = last;
}

static bool run_queue(struct post_queue *queue)
{
    struct loop_post *post = queue->first;
    if (post == NULL)
        return false;
    *queue = (struct post_queue){0};
    while (post != NULL) {
        struct loop_post *next = post->next; /* run() may free or requeue the post */
        post->run(post);
        post = next;
    }
    return true;
}

bool mailbox_run(struct loop *loop)
{
    mailbox_collect(loop);
    return run_queue(&loop->own);
}

void mailbox_post_late(struct loop *loop, struct loop_post *post)
{
    ASSERT(loop_is_mine(loop));
    post_queue_push(&loop->late, post);
}

bool mailbox_run_late(struct loop *loop)
{
    return run_queue(&loop->late);
}

bool mailbox_is_empty(const struct loop *loop)
{
    return post_queue_is_empty(&loop->own) && post_queue_is_empty(&loop->late) &&
           atomic_load_explicit(&loop->inbox, memory_order_relaxed) == NULL;
}

bool mailbox_try_sleep(struct loop *loop)
{
    atomic_store(&loop->is_asleep, true);
    if (atomic_load(&loop->inbox) == NULL && !atomic_load(&loop->is_stopping))
        return true; /* L3 */
    mailbox_wake_up(loop);
    return false;
}

/* Relaxed is enough: a sender that still sees the flag up makes a wake-up nobody needs. */
void mailbox_wake_up(struct loop *loop)
{
    atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
}
