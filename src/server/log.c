/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "os/process.h"

#define LINE_SIZE 2048
#define TIME_SIZE 64

int log_open(struct log *log, const char *path, enum log_level level, struct diag *diag)
{
    atomic_init(&log->level, (int)level);
    int rc = console_open(&log->console, path);
    return rc == 0 ? 0 : diag_set(diag, rc, "log file %.300s: %s", path, err_text(rc));
}

void log_close(struct log *log)
{
    console_close(&log->console);
}

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
    static const char letters[] = ".-*#";
    if (level >= LOG_NOTHING ||
        (int)level < atomic_load_explicit(&log->level, memory_order_relaxed))
        return;
    char time[TIME_SIZE];
    char line[LINE_SIZE];
    console_time(time, sizeof(time));
    int head = snprintf(line, sizeof(line), "%d:M %s %c ", process_id(), time, letters[level]);
    size_t len = (size_t)head;
    size_t room = sizeof(line) - len - 1; /* the newline's place */
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + len, room, format, args);
    va_end(args);
    if (text > 0)
        len += (size_t)text < room ? (size_t)text : room - 1;
    line[len++] = '\n';
    console_write(&log->console, slice_of(line, len));
}
