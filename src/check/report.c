/* SPDX-License-Identifier: Apache-2.0 */
#include "check/report.h"

#include <stdarg.h>
#include <stdio.h>

/* The bar moves in steps of a two-hundredth. */
#define PROGRESS_STEPS 200
/* What is done in a moment needs none. */
#define PROGRESS_MIN_BYTES (UINT64_C(16) << 20)

PRINTF_LIKE(3, 0)
static void put_line(struct report *report, const char *prefix, const char *format, va_list args)
{
    struct buf line = {0};
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    buf_append_str(&line, prefix);
    if (len > 0) {
        uint8_t *at = buf_extend(&line, (size_t)len + 1);
        vsnprintf((char *)at, (size_t)len + 1, format, args);
        line.len--;
    }
    buf_append_byte(&line, '\n');
    report->io.write(report->io.ctx, buf_slice(&line));
    if (report->copy != NULL)
        buf_append_slice(report->copy, buf_slice(&line));
    buf_fini(&line);
}

void report_damage(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report->damage_count++;
    put_line(report, "damage: ", format, args);
    va_end(args);
}

void report_note(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report->note_count++;
    put_line(report, "note: ", format, args);
    va_end(args);
}

void report_detail(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(report, "    ", format, args);
    va_end(args);
}

void report_line(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(report, "", format, args);
    va_end(args);
}

static bool is_told(const struct report *report)
{
    return report->io.progress != NULL && report->total >= PROGRESS_MIN_BYTES;
}

void report_begin(struct report *report, const char *what, uint64_t total)
{
    report->what = what;
    report->done = 0;
    report->told = 0;
    report->total = total;
    if (is_told(report))
        report->io.progress(report->io.ctx, what, 0, total);
}

void report_advance(struct report *report, uint64_t bytes)
{
    report->done += bytes;
    if (report->done > report->total)
        report->done = report->total;
    if (!is_told(report) || report->done - report->told < report->total / PROGRESS_STEPS)
        return;
    report->told = report->done;
    /* The end is report_end()'s. */
    if (report->done < report->total)
        report->io.progress(report->io.ctx, report->what, report->done, report->total);
}

void report_end(struct report *report)
{
    if (is_told(report))
        report->io.progress(report->io.ctx, report->what, report->total, report->total);
}
