/* SPDX-License-Identifier: Apache-2.0 */
/* aio_uring: the durable write queue on io_uring.
 *
 * Each write is one request, O_DIRECT with RWF_DSYNC: its completion says that bytes, and the size
 * where it grew, are on stable storage; there is no sync behind it. The ring's own descriptor is
 * readable while completions wait. The ring is plain: no submission thread, and no deferred task
 * work, under which a ring that is only polled has been seen to sleep for ever.
 *
 * A submission can fall short: the kernel is out of memory for requests (EAGAIN) or wants
 * completions taken first (EBUSY). Requests that it did not take stay in the submission ring. If
 * others are with the kernel, their completion will wake the owner, and the next reap submits the
 * rest; if none are, nothing would wake anybody, so the flush waits here and tries again. No
 * request is lost (O6).
 *
 * A write that has been handed to the disk cannot be called back: it outlives a process that is
 * killed, and its descriptors, locks included. But the ring outlives them, too, for as long as it
 * has a request, and with it the files that are registered in it: the lock is one of them (O9).
 *
 * Source: Axboe, "Efficient IO with io_uring", 2019; io_uring_enter(2).
 */
#include "os/aio_internal.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/thread.h"

#define PROBE_NAME    ".aio-probe"
#define PROBE_WAIT_MS 10000
#define RETRY_MS      1
#define RETRY_MAX     30000 /* of them: half a minute */

struct aio_uring {
    struct aio aio;
    struct io_uring ring;
    unsigned depth;
    unsigned in_flight; /* handed over and not reaped */
    bool is_cut_short;  /* the last flush has left requests behind */
};

static struct aio_uring *self_of(struct aio *aio)
{
    return CONTAINER_OF(aio, struct aio_uring, aio);
}

static void uring_submit(struct aio *aio, struct aio_write *write)
{
    struct aio_uring *self = self_of(aio);
    ASSERT(self->in_flight < self->depth);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    ASSERT(sqe != NULL); /* the ring has at least `depth` places */
    io_uring_prep_write(sqe, file_fd(write->file), write->data, (unsigned)write->size, write->off);
    sqe->rw_flags = RWF_DSYNC;
    io_uring_sqe_set_data(sqe, write);
    self->in_flight++;
}

static void uring_flush(struct aio *aio)
{
    struct aio_uring *self = self_of(aio);
    self->is_cut_short = false;
    unsigned tries = 0;
    for (;;) {
        unsigned left = io_uring_sq_ready(&self->ring);
        if (left == 0)
            return;
        int rc = io_uring_submit(&self->ring);
        if (rc > 0 || rc == -EINTR)
            continue;
        ASSERT(rc == 0 || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM);
        if (self->in_flight > left) {
            self->is_cut_short = true; /* O6 */
            return;
        }
        tries++;
        ASSERT(tries < RETRY_MAX);
        thread_sleep_ms(RETRY_MS);
    }
}

static int result_of(const struct aio_write *write, int res)
{
    if (res < 0)
        return res;
    return (size_t)res == write->size ? 0 : -EIO; /* O5 */
}

static struct aio_write *uring_reap(struct aio *aio)
{
    struct aio_uring *self = self_of(aio);
    struct io_uring_cqe *cqe = NULL;
    if (io_uring_peek_cqe(&self->ring, &cqe) < 0)
        cqe = NULL;
    struct aio_write *write = NULL;
    if (cqe != NULL) {
        write = io_uring_cqe_get_data(cqe);
        write->result = result_of(write, cqe->res);
        io_uring_cqe_seen(&self->ring, cqe);
        ASSERT(self->in_flight > 0);
        self->in_flight--;
    }
    if (self->is_cut_short)
        uring_flush(aio);
    return write;
}

static int uring_fd(const struct aio *aio)
{
    STATIC_ASSERT(offsetof(struct aio_uring, aio) == 0, "the cast below");
    const struct aio_uring *self = (const void *)aio;
    return self->ring.ring_fd;
}

static unsigned uring_open_flags(const struct aio *aio)
{
    (void)aio;
    return FS_DIRECT;
}

static const char *uring_name(const struct aio *aio)
{
    (void)aio;
    return "io_uring";
}

/* O9 */
static int uring_hold(struct aio *aio, const struct file *lock)
{
    int fd = file_fd(lock);
    int rc = io_uring_register_files_update(&self_of(aio)->ring, 0, &fd, 1);
    return rc < 0 ? rc : 0;
}

static void destroy(struct aio_uring *self)
{
    io_uring_queue_exit(&self->ring);
    mem_free(self);
}

static void uring_close(struct aio *aio)
{
    ASSERT(self_of(aio)->in_flight == 0);
    /* At once; by itself the ring gives them back a while after it is closed. */
    IGNORE(io_uring_unregister_files(&self_of(aio)->ring), "the lock is free a little later then");
    destroy(self_of(aio));
}

static const struct aio_ops uring_ops = {
    .submit = uring_submit,
    .flush = uring_flush,
    .reap = uring_reap,
    .fd = uring_fd,
    .open_flags = uring_open_flags,
    .name = uring_name,
    .hold = uring_hold,
    .close = uring_close,
};

/* ---- Does it work here? ---- */

/* One write all the way, waited for as the owner will wait. Where it never comes back the ring is
 * given up with the write in it: then only the kernel still knows the page, which never goes. */
static int probe_write(struct aio *aio, struct file *file, struct diag *diag)
{
    static const _Alignas(AIO_ALIGN) uint8_t page[AIO_ALIGN];
    struct aio_write write = {.file = file, .data = page, .size = sizeof(page)};
    aio_submit(aio, &write);
    aio_flush(aio);
    struct pollfd ready = {.fd = aio_fd(aio), .events = POLLIN};
    int rc;
    do {
        rc = poll(&ready, 1, PROBE_WAIT_MS);
    } while (rc < 0 && errno == EINTR);
    if (rc != 1 || aio_reap(aio) != &write)
        return diag_set(diag, -ETIMEDOUT, "io_uring does not work: a write never came back");
    if (write.result < 0)
        return diag_set(diag, write.result, "io_uring does not work: a direct write failed: %s",
                        err_text(write.result));
    return 0;
}

static int probe(struct aio *aio, const char *dir, struct diag *diag)
{
    struct fs *fs = fs_posix();
    struct buf path = {0};
    buf_append_format(&path, "%s/" PROBE_NAME, dir);
    buf_append_byte(&path, 0);
    const char *name = (const char *)path.data;
    struct file *file = NULL;
    int rc = fs_open(fs, name, FS_WRITE | FS_CREATE | FS_DIRECT, &file);
    /* Also after a failure: some filesystems make the file first and refuse O_DIRECT then. */
    IGNORE(fs_unlink(fs, name), "at worst an empty file stays");
    if (rc < 0) {
        rc = diag_set(diag, rc, "io_uring does not work: %s cannot be opened for direct writes: %s",
                      name, err_text(rc));
    } else {
        rc = probe_write(aio, file, diag);
        file_unref(file);
    }
    buf_fini(&path);
    return rc;
}

int aio_uring_open(const char *dir, unsigned depth, struct aio **out_aio, struct diag *diag)
{
    struct aio_uring *self = mem_calloc(1, sizeof(*self));
    self->aio.ops = &uring_ops;
    self->depth = depth;
    int rc = io_uring_queue_init(depth, &self->ring, 0);
    if (rc < 0) {
        mem_free(self);
        return diag_set(diag, rc, "io_uring does not work: the kernel gives no ring: %s",
                        err_text(rc));
    }
    static const int no_file = -1;
    rc = io_uring_register_files(&self->ring, &no_file, 1);
    if (rc < 0)
        rc =
            diag_set(diag, rc, "io_uring does not work: the ring keeps no files: %s", err_text(rc));
    else
        rc = probe(&self->aio, dir, diag);
    if (rc < 0) {
        destroy(self);
        return rc;
    }
    *out_aio = &self->aio;
    return 0;
}
