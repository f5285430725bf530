/* SPDX-License-Identifier: Apache-2.0 */
#include "os/aio.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "os/aio_internal.h"

void aio_submit(struct aio *aio, struct aio_write *write)
{
    ASSERT(write->size > 0 && write->size <= AIO_MAX_WRITE);
    ASSERT(is_aligned(write->size, AIO_ALIGN));
    ASSERT(is_aligned(write->off, AIO_ALIGN));
    ASSERT(is_aligned((uintptr_t)write->data, AIO_ALIGN));
    aio->ops->submit(aio, write);
}

void aio_flush(struct aio *aio)
{
    aio->ops->flush(aio);
}

struct aio_write *aio_reap(struct aio *aio)
{
    struct aio_write *write = aio->ops->reap(aio);
    ASSERT(write == NULL || write->result <= 0);
    return write;
}

int aio_fd(const struct aio *aio)
{
    return aio->ops->fd(aio);
}

unsigned aio_open_flags(const struct aio *aio)
{
    return aio->ops->open_flags(aio);
}

const char *aio_name(const struct aio *aio)
{
    return aio->ops->name(aio);
}

int aio_hold(struct aio *aio, const struct file *lock)
{
    return aio->ops->hold == NULL ? 0 : aio->ops->hold(aio, lock);
}

void aio_close(struct aio *aio)
{
    if (aio != NULL)
        aio->ops->close(aio);
}

int aio_open(enum aio_kind kind, const char *dir, unsigned depth, struct aio **out_aio,
             struct diag *diag)
{
    ASSERT(depth > 0 && depth <= AIO_MAX_DEPTH);
    if (kind == AIO_THREAD)
        return aio_thread_open(depth, out_aio, diag);
    int rc = aio_uring_open(dir, depth, out_aio, diag);
    if (rc == 0 || kind == AIO_URING)
        return rc;
    /* The diag keeps why. */
    struct diag second;
    rc = aio_thread_open(depth, out_aio, &second);
    return rc == 0 ? 0 : diag_set(diag, rc, "%s", second.text);
}
