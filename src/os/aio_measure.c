/* SPDX-License-Identifier: Apache-2.0 */
/* How fast durable writes are here, asked of the very queue that will make them. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "os/aio.h"
#include "os/clock.h"

#define SCRATCH_NAME   ".aio-measure"
#define MAX_SAMPLES    9
#define MAX_MEASURE_US 250000 /* no further sample after that: a start is waiting */

static int write_once(struct aio *aio, struct file *file)
{
    static const _Alignas(AIO_ALIGN) uint8_t page[AIO_ALIGN];
    struct aio_write write = {.file = file, .data = page, .size = sizeof(page)};
    aio_submit(aio, &write);
    aio_flush(aio);
    /* A disk that hangs is waited for, as it would be by what comes next. */
    while (aio_reap(aio) != &write) {
        struct pollfd ready = {.fd = aio_fd(aio), .events = POLLIN};
        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            return err_last();
    }
    return write.result;
}

static int compare_samples(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static int sample(struct aio *aio, struct file *file, uint64_t *out_us)
{
    struct clock *clock = clock_posix();
    uint64_t samples[MAX_SAMPLES];
    size_t count = 0;
    /* The first one makes the place. */
    int rc = write_once(aio, file);
    uint64_t begin_us = clock_mono_us(clock);
    uint64_t last_us = begin_us;
    while (rc == 0 && count < MAX_SAMPLES && last_us - begin_us < MAX_MEASURE_US) {
        rc = write_once(aio, file);
        uint64_t now_us = clock_mono_us(clock);
        samples[count++] = now_us - last_us;
        last_us = now_us;
    }
    if (rc != 0)
        return rc;
    qsort(samples, count, sizeof(samples[0]), compare_samples);
    *out_us = samples[count / 2];
    return 0;
}

int aio_measure(struct aio *aio, const char *dir, uint64_t *out_us)
{
    struct fs *fs = fs_posix();
    struct buf path = {0};
    buf_append_format(&path, "%s/" SCRATCH_NAME, dir);
    buf_append_byte(&path, 0);
    const char *name = (const char *)path.data;
    struct file *file = NULL;
    int rc = fs_open(fs, name, FS_WRITE | FS_CREATE | aio_open_flags(aio), &file);
    IGNORE(fs_unlink(fs, name), "at worst a small file stays, which the next start takes");
    if (rc == 0) {
        rc = sample(aio, file, out_us);
        file_unref(file);
    }
    buf_fini(&path);
    return rc;
}
