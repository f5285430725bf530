/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and signals: what the library's handles and ours know of each other.
 *
 * loop_watch_set() only notes the wish; watches_apply() tells the library right before the next
 * wait, and only where wish and fact differ. So an interest that goes off and on again within a
 * turn costs no system call. In between, events that are no longer wished are filtered out here.
 *
 * On an error condition (reset, hang-up) the library stops watching by itself. The owner is told
 * as if the descriptor were readable and writable, finds the error by its own read or write, and
 * the watch goes on if the owner still wants it.
 */
#include "loop/loop_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#define WATCH_MAGIC 0x77617463u

STATIC_ASSERT(LOOP_READABLE == (int)UV_READABLE, "events are handed through as they are");
STATIC_ASSERT(LOOP_WRITABLE == (int)UV_WRITABLE, "events are handed through as they are");

struct watch_impl {
    uint32_t magic;
    unsigned applied; /* what the library watches for */
    struct loop *loop;
    struct loop_watch *watch;
    struct list_node change_node; /* linked while wish and fact may differ */
    uv_poll_t poll;
};

struct signal_watch {
    struct list_node node;
    loop_signal_fn on_signal;
    void *ctx;
    uv_signal_t handle;
};

static struct watch_impl *watch_impl_from(void *ptr)
{
    struct watch_impl *impl = ptr;
    MAGIC_CHECK(impl, WATCH_MAGIC);
    return impl;
}

static void note_change(struct watch_impl *impl)
{
    if (!list_is_linked(&impl->change_node))
        list_push_back(&impl->loop->watch_changes, &impl->change_node);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch_impl *impl = watch_impl_from(poll->data);
    struct loop_watch *watch = impl->watch;
    unsigned seen = (unsigned)events & watch->events;
    loop_touch(impl->loop);
    if (status < 0) {
        impl->applied = 0;
        if (watch->events == 0)
            return;
        note_change(impl);
        seen = LOOP_READABLE | LOOP_WRITABLE;
    }
    if (seen == 0)
        return;
    impl->loop->did_work = true;
    watch->on_event(watch, seen);
}

int loop_watch_open(struct loop *loop, struct loop_watch *watch, int fd, loop_watch_fn on_event)
{
    ASSERT(loop_is_mine(loop));
    struct watch_impl *impl = mem_calloc(1, sizeof(*impl));
    int error = uv_poll_init(&loop->uv, &impl->poll, fd);
    if (error != 0) {
        mem_free(impl);
        return error;
    }
    impl->magic = WATCH_MAGIC;
    impl->loop = loop;
    impl->watch = watch;
    impl->poll.data = impl;
    list_init(&impl->change_node);
    loop->handle_count++;
    *watch = (struct loop_watch){.impl = impl, .on_event = on_event, .fd = fd};
    return 0;
}

void loop_watch_set(struct loop_watch *watch, unsigned events)
{
    ASSERT_SLOW((events & ~(unsigned)(LOOP_READABLE | LOOP_WRITABLE)) == 0);
    if (watch->events == events)
        return;
    watch->events = events;
    note_change(watch_impl_from(watch->impl));
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct watch_impl *impl = watch_impl_from(handle->data);
    struct loop *loop = impl->loop;
    struct loop_watch *watch = impl->watch;
    loop_touch(loop);
    loop->handle_count--;
    loop->did_work = true;
    impl->magic = 0;
    mem_free(impl);
    watch->impl = NULL;
    watch->on_closed(watch); /* L4: only now may the descriptor be closed */
}

void loop_watch_close(struct loop_watch *watch, loop_watch_closed_fn on_closed)
{
    struct watch_impl *impl = watch_impl_from(watch->impl);
    ASSERT(loop_is_mine(impl->loop));
    ASSERT(watch->on_closed == NULL); /* closed once */
    watch->on_closed = on_closed;
    watch->events = 0;
    list_del(&impl->change_node);
    uv_close((uv_handle_t *)&impl->poll, on_poll_closed);
}

static void apply(struct watch_impl *impl)
{
    unsigned wish = impl->watch->events;
    if (wish == impl->applied)
        return;
    int error =
        wish == 0 ? uv_poll_stop(&impl->poll) : uv_poll_start(&impl->poll, (int)wish, on_poll);
    ASSERT(error == 0); /* fails only for two watches of one descriptor */
    impl->applied = wish;
}

void watches_apply(struct loop *loop)
{
    struct list_node *node = list_pop_front(&loop->watch_changes);
    for (; node != NULL; node = list_pop_front(&loop->watch_changes))
        apply(LIST_ENTRY(node, struct watch_impl, change_node));
}

static void on_uv_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *watch = handle->data;
    struct loop *loop = handle->loop->data;
    loop_touch(loop);
    loop->did_work = true;
    watch->on_signal(watch->ctx, signum);
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct loop *loop = handle->loop->data;
    loop->handle_count--;
    mem_free(handle->data);
}

int loop_signal_watch(struct loop *loop, int signum, loop_signal_fn on_signal, void *ctx)
{
    ASSERT(loop_is_mine(loop));
    struct signal_watch *watch = mem_calloc(1, sizeof(*watch));
    watch->on_signal = on_signal;
    watch->ctx = ctx;
    int error = uv_signal_init(&loop->uv, &watch->handle);
    if (error != 0) {
        mem_free(watch);
        return error;
    }
    watch->handle.data = watch;
    loop->handle_count++;
    list_push_back(&loop->signals, &watch->node);
    error = uv_signal_start(&watch->handle, on_uv_signal, signum);
    if (error == 0)
        return 0;
    list_del(&watch->node);
    uv_close((uv_handle_t *)&watch->handle, on_signal_closed);
    return error;
}

void signals_close(struct loop *loop)
{
    struct list_node *node = list_pop_front(&loop->signals);
    for (; node != NULL; node = list_pop_front(&loop->signals)) {
        struct signal_watch *watch = LIST_ENTRY(node, struct signal_watch, node);
        uv_close((uv_handle_t *)&watch->handle, on_signal_closed);
    }
}
