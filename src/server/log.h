/* SPDX-License-Identifier: Apache-2.0 */
/* log: the server's lines for people, in Redis's form, or in logfmt for what collects them:
 *
 *   pid:M 21 Nov 2026 07:43:26.123 * text
 *   pid=.. role=primary timestamp="2026-11-21T07:43:26.123+01:00" level=notice message="text"
 *
 * Thread: any. A line is one write; a log that cannot be written is not retried.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdatomic.h>

#include "base/attr.h"
#include "base/diag.h"

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };

enum log_format { LOG_LEGACY, LOG_LOGFMT };

struct log {
    int fd;
    _Atomic int level;
    _Atomic int format;
};

/* `path` empty: stdout. */
MUST_CHECK
int log_open(struct log *log, const char *path, enum log_level level, struct diag *diag);
void log_close(struct log *log);

void log_line(struct log *log, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
