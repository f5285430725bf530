/* SPDX-License-Identifier: Apache-2.0 */
/* console: lines for people, to the standard output or at the end of a file. Thread: any. */
#ifndef OS_CONSOLE_H
#define OS_CONSOLE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct console {
    int fd;
};

/* `path` empty: the standard output. */
MUST_CHECK
int console_open(struct console *console, const char *path);
void console_close(struct console *console);

/* One write; there is nowhere to say that it has failed. */
void console_write(const struct console *console, struct slice text);

/* The time here and now as people write it: "21 Nov 2026 07:43:26.123". Returns its length. */
size_t console_time(char *to, size_t size);

#endif
