/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <stdarg.h>
#include <stdbool.h>
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
    return diag_set(diag, log->fd,
                    "log file %.300s: %s. Give a --logfile in a folder that is there and that this "
                    "user may write, or none for stdout",
                    path, err_text(log->fd));
}

void log_close(struct log *log)
{
    output_close(log->fd);
}

/* "pid:M 21 Nov 2026 07:43:26.123 * text" */
static size_t format_legacy(char *to, size_t size, enum log_level level, const char *text)
{
    static const char letters[] = ".-*#";
    char date[48];
    process_date(date, sizeof(date));
    int len = snprintf(to, size, "%d:M %s %c %s", process_id(), date, letters[level], text);
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

/* Within quotes: what would end them, or the line, is escaped. */
static size_t quote(char *to, size_t size, const char *text)
{
    size_t len = 0;
    for (; *text != '\0' && len + 2 < size; text++) {
        char c = *text;
        if (c == '"' || c == '\\' || c == '\n')
            to[len++] = '\\';
        to[len++] = (char)(c == '\n' ? 'n' : (unsigned char)c < ' ' ? ' ' : c);
    }
    return len;
}

static size_t format_logfmt(char *to, size_t size, enum log_level level, const char *text)
{
    static const char *const names[] = {"debug", "info", "notice", "warning"};
    char date[48];
    process_date_iso(date, sizeof(date));
    int head = snprintf(to, size, "pid=%d role=primary timestamp=\"%s\" level=%s message=\"",
                        process_id(), date, names[level]);
    if (head < 0 || (size_t)head + 2 > size)
        return 0;
    size_t len = (size_t)head;
    len += quote(to + len, size - len - 1, text);
    to[len++] = '"';
    return len;
}

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
    if (level >= LOG_NOTHING ||
        (int)level < atomic_load_explicit(&log->level, memory_order_relaxed))
        return;
    char text[LINE_SIZE];
    char line[LINE_SIZE + 256];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    bool is_logfmt = atomic_load_explicit(&log->format, memory_order_relaxed) == LOG_LOGFMT;
    size_t len = is_logfmt ? format_logfmt(line, sizeof(line) - 1, level, text)
                           : format_legacy(line, sizeof(line) - 1, level, text);
    line[len++] = '\n';
    output_write(log->fd, slice_of(line, len));
}
