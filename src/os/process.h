/* SPDX-License-Identifier: Apache-2.0 */
/* process: what a process asks and tells of itself. Thread: any. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

int process_id(void);

/* Raises the limit of open files to `wanted`, as far as that is allowed; returns what it is then.
 */
uint64_t process_raise_file_limit(uint64_t wanted);

struct process_usage {
    uint64_t user_us;
    uint64_t system_us;
    uint64_t rss_bytes;
};
struct process_usage process_usage(void);

/* "Linux 6.1.0 x86_64"; cut to `size`, zero-terminated. */
void process_os_name(char *to, size_t size);

/* Signals that would end a server for no good reason: a reader that has gone, a terminal closed. */
void process_ignore_signals(void);

/* Ends the process as it stands: no buffers are flushed, nothing is cleaned up. */
_Noreturn void process_end(int status);

#endif
