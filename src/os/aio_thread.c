/* SPDX-License-Identifier: Apache-2.0 */
/* aio_thread: the durable write queue without io_uring: one thread that writes and syncs.
 *
 * The owner collects writes in `submitted` and hands them over in one piece at a flush. The thread
 * takes all that wait, in order, and splits them into groups of neighbours that go to the same
 * file: every write of a group with pwrite(), then one fdatasync() for all of them, and only then
 * are they reported. While it syncs the next group gathers: the slower the disk, the larger the
 * groups.
 *
 * A failed fdatasync() is final (O4): the kernel may have dropped the pages and calls them clean,
 * so a second one would report success for bytes that are gone. All writes that it should have
 * covered fail, and so does every later one, untouched.
 *
 * The eventfd is readable exactly while `done` is not empty: both change under the lock (O7).
 */
#include "os/aio_internal.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "os/thread.h"

struct aio_thread {
    struct aio aio;
    int event_fd;
    struct thread thread;

    /* The owner's. */
    unsigned depth;
    unsigned in_flight;
    struct list_node submitted;

    /* The thread's. */
    int sync_failure;

    struct lock lock;
    struct signal wake;
    struct list_node queued; /* these three under the lock */
    struct list_node done;
    bool is_stopping;
};

static struct aio_thread *self_of(struct aio *aio)
{
    return CONTAINER_OF(aio, struct aio_thread, aio);
}

static struct aio_write *write_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct aio_write, node);
}

/* ---- The thread ---- */

/* Waits for work; false when told to stop. */
static bool take_queued(struct aio_thread *self, struct list_node *batch)
{
    lock_take(&self->lock);
    while (list_is_empty(&self->queued) && !self->is_stopping)
        signal_wait(&self->wake, &self->lock);
    list_splice_back(batch, &self->queued);
    lock_drop(&self->lock);
    return !list_is_empty(batch);
}

static void post_done(struct aio_thread *self, struct list_node *group)
{
    lock_take(&self->lock);
    bool is_first = list_is_empty(&self->done);
    list_splice_back(&self->done, group);
    if (is_first) {
        uint64_t one = 1;
        ssize_t put = write(self->event_fd, &one, sizeof(one));
        ASSERT(put == sizeof(one));
    }
    lock_drop(&self->lock);
}

/* Moves the first write of the batch, and its neighbours of the same file, into the group. */
static struct file *split_group(struct list_node *batch, struct list_node *group)
{
    struct file *file = write_of(batch->next)->file;
    while (!list_is_empty(batch) && write_of(batch->next)->file == file)
        list_push_back(group, list_pop_front(batch));
    return file;
}

/* Short writes are continued: here whole means whole (O5). */
static int write_whole(const struct aio_write *write)
{
    size_t done = 0;
    return file_write_full(write->file, write->data, write->size, write->off, &done);
}

static void run_group(struct aio_thread *self, struct list_node *batch)
{
    struct list_node group;
    list_init(&group);
    struct file *file = split_group(batch, &group);
    bool is_dirty = false;
    LIST_EACH(node, next, &group)
    {
        struct aio_write *write = write_of(node);
        write->result = self->sync_failure < 0 ? self->sync_failure : write_whole(write);
        is_dirty = is_dirty || write->result == 0;
    }
    if (is_dirty)
        self->sync_failure = file_sync(file);
    LIST_EACH(node, next, &group)
    {
        struct aio_write *write = write_of(node);
        if (write->result == 0)
            write->result = self->sync_failure; /* O4 */
    }
    post_done(self, &group);
}

static void run(void *ctx)
{
    struct aio_thread *self = ctx;
    struct list_node batch;
    list_init(&batch);
    while (take_queued(self, &batch))
        while (!list_is_empty(&batch))
            run_group(self, &batch);
}

/* ---- The owner ---- */

static void thread_submit(struct aio *aio, struct aio_write *write)
{
    struct aio_thread *self = self_of(aio);
    ASSERT(self->in_flight < self->depth);
    self->in_flight++;
    list_push_back(&self->submitted, &write->node);
}

static void thread_flush(struct aio *aio)
{
    struct aio_thread *self = self_of(aio);
    if (list_is_empty(&self->submitted))
        return;
    lock_take(&self->lock);
    list_splice_back(&self->queued, &self->submitted);
    signal_one(&self->wake);
    lock_drop(&self->lock);
}

static struct aio_write *thread_reap(struct aio *aio)
{
    struct aio_thread *self = self_of(aio);
    lock_take(&self->lock);
    struct list_node *node = list_pop_front(&self->done);
    if (node != NULL && list_is_empty(&self->done)) {
        uint64_t count;
        ssize_t got = read(self->event_fd, &count, sizeof(count));
        ASSERT(got == sizeof(count));
    }
    lock_drop(&self->lock);
    if (node == NULL)
        return NULL;
    ASSERT(self->in_flight > 0);
    self->in_flight--;
    return write_of(node);
}

static int thread_fd(const struct aio *aio)
{
    STATIC_ASSERT(offsetof(struct aio_thread, aio) == 0, "the cast below");
    const struct aio_thread *self = (const void *)aio;
    return self->event_fd;
}

static unsigned thread_open_flags(const struct aio *aio)
{
    (void)aio;
    return 0;
}

static const char *thread_name(const struct aio *aio)
{
    (void)aio;
    return "thread";
}

static void destroy(struct aio_thread *self)
{
    close(self->event_fd);
    signal_fini(&self->wake);
    lock_fini(&self->lock);
    mem_free(self);
}

static void thread_close(struct aio *aio)
{
    struct aio_thread *self = self_of(aio);
    ASSERT(self->in_flight == 0);
    lock_take(&self->lock);
    self->is_stopping = true;
    signal_one(&self->wake);
    lock_drop(&self->lock);
    thread_join(&self->thread);
    destroy(self);
}

static const struct aio_ops thread_ops = {
    .submit = thread_submit,
    .flush = thread_flush,
    .reap = thread_reap,
    .fd = thread_fd,
    .open_flags = thread_open_flags,
    .name = thread_name,
    .close = thread_close,
};

int aio_thread_open(unsigned depth, struct aio **out_aio, struct diag *diag)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        int rc = err_last();
        return diag_set(diag, rc, "no descriptor for the sync thread: %s", err_text(rc));
    }
    struct aio_thread *self = mem_calloc(1, sizeof(*self));
    self->aio.ops = &thread_ops;
    self->event_fd = fd;
    self->depth = depth;
    lock_init(&self->lock);
    signal_init(&self->wake);
    list_init(&self->submitted);
    list_init(&self->queued);
    list_init(&self->done);
    int rc = thread_start(&self->thread, "aio-sync", run, self);
    if (rc < 0) {
        destroy(self);
        return diag_set(diag, rc, "the sync thread does not start: %s", err_text(rc));
    }
    *out_aio = &self->aio;
    return 0;
}
