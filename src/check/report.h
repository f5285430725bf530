/* SPDX-License-Identifier: Apache-2.0 */
/* report: what is found, on its way to people: lines, counts, and how far the work is. */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H

#include "base/buf.h"
#include "check/check.h"

struct report {
    struct check_io io;
    struct buf *copy; /* also gets all lines; or NULL */
    uint64_t damage_count;
    uint64_t note_count;
    const char *what; /* of the progress */
    uint64_t done;
    uint64_t told;
    uint64_t total;
};

/* "damage: ..." counts; "note: ..." does not make anything wrong; a detail follows either. */
void report_damage(struct report *report, const char *format, ...) PRINTF_LIKE(2, 3);
void report_note(struct report *report, const char *format, ...) PRINTF_LIKE(2, 3);
void report_detail(struct report *report, const char *format, ...) PRINTF_LIKE(2, 3);
void report_line(struct report *report, const char *format, ...) PRINTF_LIKE(2, 3);

/* The work that begins now is of so many bytes. */
void report_begin(struct report *report, const char *what, uint64_t total);
void report_advance(struct report *report, uint64_t bytes);
void report_end(struct report *report);

#endif
