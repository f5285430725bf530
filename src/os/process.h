/* SPDX-License-Identifier: Apache-2.0 */
/* process: what a program asks of the system about itself: its number, its limits, what it has
 * used, the calendar, and a place for lines to people. Thread: any. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

int process_id(void);

/* Of the environment; NULL if it is not there. */
const char *process_variable(const char *name);

/* Raises the limit of open descriptors to `wanted` as far as that is allowed; returns what it is
 * then. */
uint64_t process_raise_open_files(uint64_t wanted);

struct process_usage {
    uint64_t user_us;
    uint64_t system_us;
    uint64_t resident_bytes; /* 0 where it cannot be told */
};
struct process_usage process_usage(void);

/* Memory of the machine; 0 where it cannot be told. */
uint64_t process_machine_memory(void);

/* `path` as it is called from everywhere, appended: one that does not begin at the root begins at
 * the working directory. Nothing need be there. */
MUST_CHECK
int process_absolute_path(const char *path, struct buf *to);

/* Calls back for each path that fits `pattern` as shells understand it, in order; a non-zero result
 * ends that and is returned. None: 0. */
MUST_CHECK
int process_find_paths(const char *pattern, int (*visit)(void *ctx, const char *path), void *ctx);

/* The path of the running program. Writes at most `size` bytes, zero-terminated. */
void process_executable(char *to, size_t size);

/* "Linux 6.1.0 x86_64". Writes at most `size` bytes, zero-terminated. */
void process_system_name(char *to, size_t size);

/* "21 Nov 2026 07:43:26.123", local time now. Returns its length. */
size_t process_date(char *to, size_t size);

/* "2026-11-21T07:43:26.123+01:00", the same as ISO 8601 has it. */
size_t process_date_iso(char *to, size_t size);

/* Makes every thread of the process pass a full barrier: what it stored before is seen by all, and
 * what it loads from now on is not older than this call. For pairs of threads of which one must
 * cost nothing. Where the system has no such call, the time that the attempt takes has to do. */
void process_fence(void);

/* Signals that would end a server for no good reason: a reader that has gone, a terminal closed. */
void process_ignore_signals(void);

/* For the main thread on its way out: a SIGTERM that comes from now on changes nothing. */
void process_hold_sigterm(void);

/* Opens `path` for appending lines, made if it is missing; empty: standard output. Returns a
 * descriptor or a negative code. */
MUST_CHECK
int output_open(const char *path);

/* Reads the standard input to its end, appended. ERR_TOO_BIG beyond `max` bytes. */
MUST_CHECK
int input_read(struct buf *to, size_t max);

/* The same of a file, or of a pipe that somebody writes to: -ENODATA for one with nothing in it. */
MUST_CHECK
int input_read_file(const char *path, struct buf *to, size_t max);

/* One write. What cannot be written is lost: there is nowhere to say so. */
void output_write(int fd, struct slice line);
void output_close(int fd);

/* Does somebody sit there? Of 0, the standard input, and 1, the standard output. */
bool output_is_terminal(int fd);

#endif
