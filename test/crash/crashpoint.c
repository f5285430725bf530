/* SPDX-License-Identifier: Apache-2.0 */
/* crashpoint: a library to be preloaded that kills the process in a call that changes files.
 *
 * CRASHPOINT names a file of two numbers of eight bytes: how many calls are left, and how the last
 * one ends: before it is made, in the middle of a write, or behind it. It is mapped, so that
 * whoever writes it can arm a running process, and disarm it: less than 0 is never, and saves it
 * from a call it is in. What io_uring does is no call.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum ending { BEFORE, MIDDLE, BEHIND };

struct crashpoint {
    _Atomic int64_t left;
    int64_t ending;
};

static struct crashpoint *point;

__attribute__((constructor)) static void map_point(void)
{
    const char *path = getenv("CRASHPOINT");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*point), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort(); /* a test that kills nothing would pass for nothing */
    close(fd);
    point = at;
}

static void die(void)
{
    if (atomic_load(&point->left) < 0)
        return;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* True for the call in which the process ends. */
static bool is_last(void)
{
    int64_t left = point == NULL ? 0 : atomic_load(&point->left);
    while (left > 0 && !atomic_compare_exchange_weak(&point->left, &left, left - 1))
        continue;
    return left == 1;
}

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* Makes the call `made` of type int, and ends the process where that is due. */
#define PASS(made)                           \
    do {                                     \
        bool ends = is_last();               \
        if (ends && point->ending != BEHIND) \
            die();                           \
        int rc = (made);                     \
        if (ends)                            \
            die();                           \
        return rc;                           \
    } while (0)

ssize_t pwrite(int fd, const void *from, size_t size, off_t off)
{
    bool ends = is_last();
    if (ends && point->ending == BEFORE)
        die();
    ssize_t put = REAL(pwrite)(fd, from, ends && point->ending == MIDDLE ? size / 2 : size, off);
    if (ends)
        die();
    return put;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if ((flags & O_CREAT) == 0)
        return REAL(open)(path, flags, mode);
    PASS(REAL(open)(path, flags, mode));
}

int fdatasync(int fd)
{
    PASS(REAL(fdatasync)(fd));
}

int fsync(int fd)
{
    PASS(REAL(fsync)(fd));
}

int syncfs(int fd)
{
    PASS(REAL(syncfs)(fd));
}

int ftruncate(int fd, off_t size)
{
    PASS(REAL(ftruncate)(fd, size));
}

int rename(const char *from, const char *to)
{
    PASS(REAL(rename)(from, to));
}

int unlink(const char *path)
{
    PASS(REAL(unlink)(path));
}

int link(const char *from, const char *to)
{
    PASS(REAL(link)(from, to));
}

int mkdir(const char *path, mode_t mode)
{
    PASS(REAL(mkdir)(path, mode));
}
