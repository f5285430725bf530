/* SPDX-License-Identifier: Apache-2.0 */
/* aio: durable writes in flight to one preopened file after the other.
 *
 * A write that is reaped with result 0 is on stable storage, whole. Writes in flight may complete
 * in any order. Two machines behind one table: io_uring with O_DIRECT + RWF_DSYNC, submitted from
 * the caller's thread; or one thread of its own that does pwrite + fdatasync in order. Tests put a
 * simulated disk there.
 *
 * Threads:  submit, flush and reap from the one thread that owns the aio; fd may be polled
 * anywhere. Lifetime: a request, its file and its bytes stay untouched by the caller from submit to
 * reap.
 */
#ifndef OS_AIO_H
#define OS_AIO_H

#include <stdint.h>

#include "base/attr.h"
#include "base/diag.h"
#include "base/list.h"
#include "os/fs.h"

#define AIO_ALIGN 4096

struct aio_write {
    struct file *file;   /* opened with aio_open_flags() */
    const uint8_t *data; /* aligned to AIO_ALIGN */
    size_t size;         /* multiple of AIO_ALIGN, > 0 */
    uint64_t off;        /* multiple of AIO_ALIGN */
    int result;          /* out: 0, or why it failed; a short write is -EIO */
    void *ctx;           /* the caller's */
    struct list_node node;
};

struct aio;

struct aio_ops {
    void (*submit)(struct aio *aio, struct aio_write *write);
    void (*flush)(struct aio *aio);
    struct aio_write *(*reap)(struct aio *aio);
    int (*fd)(const struct aio *aio);
    unsigned (*open_flags)(const struct aio *aio);
    const char *(*name)(const struct aio *aio);
    int (*hold)(struct aio *aio, const struct file *lock); /* NULL: no write outlives the process */
    void (*close)(struct aio *aio);
};
struct aio {
    const struct aio_ops *ops;
};

/* Hands a write over. It may start at once or at the next flush. Never fails: what goes wrong
 * comes back as the result. */
void aio_submit(struct aio *aio, struct aio_write *write);

/* Starts what was submitted: one system call for all. */
void aio_flush(struct aio *aio);

/* A completed write, or NULL; also makes fd quiet again once all have been reaped. */
struct aio_write *aio_reap(struct aio *aio);

/* Readable while completions wait; -1 where the owner must call aio_reap() by itself. */
int aio_fd(const struct aio *aio);

/* What the files for it are opened with, besides FS_WRITE: FS_DIRECT or 0. */
unsigned aio_open_flags(const struct aio *aio);

/* "io_uring" or "thread", for INFO. */
const char *aio_name(const struct aio *aio);

/* Keeps `lock` locked for as long as a write of this aio may be with the disk, even if the process
 * is killed: what io_uring has handed to the disk lands all the same, perhaps seconds after the
 * descriptors are closed, and nobody may have used its place for anything else by then. Once. */
MUST_CHECK
int aio_hold(struct aio *aio, const struct file *lock);

/* How long a durable write of AIO_ALIGN bytes to a place that has been written before takes in
 * `dir`: the median of a few, in microseconds. Waits for them; nothing else may be in flight. */
MUST_CHECK
int aio_measure(struct aio *aio, const char *dir, uint64_t *out_us);

/* Nothing may be in flight. */
void aio_close(struct aio *aio);

enum aio_kind { AIO_AUTO, AIO_URING, AIO_THREAD };

/* Opens the best that works: AUTO tries io_uring by one real O_DIRECT + DSYNC write to a scratch
 * file in `dir`, removed again, and otherwise takes the thread. URING fails where it cannot work.
 * `depth` writes at most are in flight at a time; the caller keeps to it. */
MUST_CHECK
int aio_open(enum aio_kind kind, const char *dir, unsigned depth, struct aio **out_aio,
             struct diag *diag);

#endif
