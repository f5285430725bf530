/* SPDX-License-Identifier: Apache-2.0 */
/* log: the server's lines for people, in Redis's form:
 *
 *   pid:M 21 Nov 2026 07:43:26.123 * text
 *
 * Thread: any. A line is one write; a log that cannot be written is not retried.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdatomic.h>

#include "base/attr.h"
#include "base/diag.h"

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };

struct log {
    int fd;
    _Atomic int level;
};

/* `path` empty: stdout. */
MUST_CHECK
int log_open(struct log *log, const char *path, enum log_level level, struct diag *diag);
void log_close(struct log *log);

void log_line(struct log *log, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
