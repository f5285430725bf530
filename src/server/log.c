/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "os/process.h"

#define LINE_SIZE 2048

int log_open(struct log *log, const char *path, enum log_level level, struct diag *diag)
{
    atomic_init(&log->level, (int)level);
    log->fd = output_open(path);
    if (log->fd >= 0)
        return 0;
    return diag_set(diag, log->fd, "log file %.300s: %s", path, err_text(log->fd));
}

void log_close(struct log *log)
{
    output_close(log->fd);
}

/* "pid:M 21 Nov 2026 07:43:26.123 " */
static size_t put_stamp(char *to, size_t size)
{
    char date[48];
    process_date(date, sizeof(date));
    int len = snprintf(to, size, "%d:M %s ", process_id(), date);
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
    output_write(log->fd, slice_of(line, len));
}
