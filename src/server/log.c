/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#define LINE_SIZE 2048

int log_open(struct log *log, const char *path, enum log_level level, struct diag *diag)
{
    log->fd = STDOUT_FILENO;
    atomic_init(&log->level, (int)level);
    if (path[0] == '\0')
        return 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        int rc = err_last();
        return diag_set(diag, rc, "log file %.300s: %s", path, err_text(rc));
    }
    log->fd = fd;
    return 0;
}

void log_close(struct log *log)
{
    if (log->fd > STDERR_FILENO)
        close(log->fd);
    log->fd = STDOUT_FILENO;
}

/* "pid:M 21 Nov 2026 07:43:26.123 " */
static size_t put_stamp(char *to, size_t size)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    char date[40];
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &parts);
    int len =
        snprintf(to, size, "%d:M %s.%03d ", (int)getpid(), date, (int)(now.tv_nsec / 1000000));
    return len < 0 ? 0 : (size_t)len;
}

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
    static const char letters[] = ".-*#";
    if (level >= LOG_NOTHING ||
        (int)level < atomic_load_explicit(&log->level, memory_order_relaxed))
        return;
    char line[LINE_SIZE];
    size_t len = put_stamp(line, sizeof(line) - 4);
    line[len++] = letters[level];
    line[len++] = ' ';
    va_list args;
    va_start(args, format);
    int text_len = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    if (text_len > 0)
        len +=
            (size_t)text_len < sizeof(line) - len - 1 ? (size_t)text_len : sizeof(line) - len - 2;
    line[len++] = '\n';
    IGNORE(write(log->fd, line, len), "there is nowhere to say that the log cannot be written");
}
