/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"

int process_id(void)
{
    return (int)getpid();
}

/* getenv() is right only where nobody changes the environment, and nobody does. */
const char *process_variable(const char *name)
{
    size_t len = strlen(name);
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    }
    return NULL;
}

uint64_t process_raise_open_files(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur >= wanted)
        return limit.rlim_cur;
    struct rlimit raised = {.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max,
                            .rlim_max = limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

static uint64_t read_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    unsigned long long total = 0;
    unsigned long long resident = 0;
    int count = fscanf(file, "%llu %llu", &total, &resident);
    fclose(file);
    return count == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t us_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

struct process_usage process_usage(void)
{
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    return (struct process_usage){.user_us = us_of(used.ru_utime),
                                  .system_us = us_of(used.ru_stime),
                                  .resident_bytes = read_resident()};
}

uint64_t process_machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    return pages < 0 || page_size < 0 ? 0 : (uint64_t)pages * (uint64_t)page_size;
}

/* "." and what stands for nothing between slashes is left out; ".." may follow a link, and stays.
 */
static void append_steps(struct slice path, struct buf *to)
{
    while (path.len > 0) {
        const uint8_t *slash = memchr(path.data, '/', path.len);
        size_t len = slash == NULL ? path.len : (size_t)(slash - path.data);
        struct slice step = slice_sub(path, 0, len);
        path = slice_sub(path, len + 1, SIZE_MAX);
        if (len == 0 || (len == 1 && step.data[0] == '.'))
            continue;
        buf_append_byte(to, '/');
        buf_append_slice(to, step);
    }
}

int process_absolute_path(const char *path, struct buf *to)
{
    if (path[0] == '/') {
        buf_append_str(to, path);
        return 0;
    }
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof(folder)) == NULL)
        return -errno;
    append_steps(slice_str(folder), to);
    append_steps(slice_str(path), to);
    if (to->len == 0)
        buf_append_byte(to, '/');
    return 0;
}

int process_find_paths(const char *pattern, int (*visit)(void *ctx, const char *path), void *ctx)
{
    glob_t found;
    memset(&found, 0, sizeof(found));
    /* What is not safe in it is looking up users, for "~". */
    int rc = glob(pattern, 0, NULL, &found); /* NOLINT(concurrency-mt-unsafe) */
    if (rc != 0) {
        globfree(&found);
        return rc == GLOB_NOMATCH ? 0 : rc == GLOB_NOSPACE ? -ENOMEM : -EIO;
    }
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
        rc = visit(ctx, found.gl_pathv[i]);
    globfree(&found);
    return rc;
}

void process_executable(char *to, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", to, size - 1);
    to[len < 0 ? 0 : len] = '\0';
}

void process_system_name(char *to, size_t size)
{
    struct utsname name;
    if (uname(&name) != 0 ||
        snprintf(to, size, "%s %s %s", name.sysname, name.release, name.machine) < 0)
        snprintf(to, size, "unknown");
}

static int local_now(struct tm *out_parts)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, out_parts);
    return (int)(now.tv_nsec / 1000000);
}

static size_t fitting(int len, size_t size)
{
    return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}

size_t process_date(char *to, size_t size)
{
    struct tm parts;
    char date[40];
    int ms = local_now(&parts);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &parts);
    return fitting(snprintf(to, size, "%s.%03d", date, ms), size);
}

size_t process_date_iso(char *to, size_t size)
{
    struct tm parts;
    char date[40];
    int ms = local_now(&parts);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    long east = parts.tm_gmtoff / 60;
    long minutes = east < 0 ? -east : east;
    return fitting(snprintf(to, size, "%s.%03d%c%02ld:%02ld", date, ms, east < 0 ? '-' : '+',
                            minutes / 60, minutes % 60),
                   size);
}

void process_fence(void)
{
    /* Registering again is cheap and changes nothing. */
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        IGNORE(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), "see the header");
}

void process_ignore_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

void process_hold_sigterm(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    int rc = pthread_sigmask(SIG_BLOCK, &held, NULL);
    ASSERT(rc == 0);
}

int output_open(const char *path)
{
    if (path[0] == '\0')
        return STDOUT_FILENO;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? err_last() : fd;
}

static int read_to_end(int fd, struct buf *to, size_t max)
{
    const size_t step = 65536;
    ssize_t got;
    do {
        buf_reserve(to, step);
        got = read(fd, to->data + to->len, step);
        if (got > 0)
            to->len += (size_t)got;
        if (to->len > max)
            return ERR_TOO_BIG;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? err_last() : 0;
}

int input_read(struct buf *to, size_t max)
{
    return read_to_end(STDIN_FILENO, to, max);
}

/* A pipe's own size says nothing, and one that nobody writes to would be waited for for ever. */
static int read_opened(int fd, struct buf *to, size_t max)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return err_last();
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    size_t before = to->len;
    int rc = read_to_end(fd, to, max);
    return rc == 0 && S_ISFIFO(st.st_mode) && to->len == before ? -ENODATA : rc;
}

int input_read_file(const char *path, struct buf *to, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_last();
    int rc = read_opened(fd, to, max);
    close(fd);
    return rc;
}

void output_write(int fd, struct slice line)
{
    IGNORE(write(fd, line.data, line.len), "see the header");
}

void output_close(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

bool output_is_terminal(int fd)
{
    return isatty(fd) == 1;
}
