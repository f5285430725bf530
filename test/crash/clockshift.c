/* SPDX-License-Identifier: Apache-2.0 */
/* clockshift: a library to be preloaded that sets the machine's wall clock off for one process.
 *
 * CLOCKSHIFT names a file of eight bytes, an offset in milliseconds in the machine's byte order. It
 * is mapped, so that whoever writes it moves the clock of the running process. Only what tells the
 * time of day is shifted; time since boot goes on as it does.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*gettime_fn)(clockid_t, struct timespec *);

static _Atomic(gettime_fn) real_gettime;
static const volatile int64_t *offset_ms;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("CLOCKSHIFT");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort(); /* a test that does not shift the clock would pass for nothing */
    close(fd);
    offset_ms = at;
}

/* Sanitizers ask for the time before constructors run. */
static int64_t shift_of(clockid_t id)
{
    if (offset_ms == NULL || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return 0;
    return *offset_ms;
}

int clock_gettime(clockid_t id, struct timespec *to)
{
    gettime_fn real = real_gettime;
    if (real == NULL) {
        real = (gettime_fn)(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
        real_gettime = real;
    }
    int rc = real(id, to);
    int64_t shift_ms = shift_of(id);
    if (rc == 0 && shift_ms != 0) {
        int64_t ns = to->tv_nsec + shift_ms % 1000 * 1000000;
        int64_t carry = ns < 0 ? -1 : ns / 1000000000;
        to->tv_sec += shift_ms / 1000 + carry;
        to->tv_nsec = ns - carry * 1000000000;
    }
    return rc;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    *to = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *to)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (to != NULL)
        *to = now.tv_sec;
    return now.tv_sec;
}
