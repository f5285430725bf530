/* SPDX-License-Identifier: Apache-2.0 */
/* crash: the last words of a process that has broken something: what, where, and what every thread
 * was doing. Then it ends as it would have without, with a core if that is wanted.
 *
 * Reported are SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT, which is how failed assertions end.
 * Sanitizers have reports of their own; in their builds all of this does nothing.
 */
#ifndef OS_CRASH_H
#define OS_CRASH_H

/* From now on crashes are reported to `fd`, and to standard error besides. `program` says name,
 * version and build in a line; it is copied. Thread: the main one, once. */
void crash_install(int fd, const char *program);

/* A stack for the report of a thread that has used its own up. The calling thread's, to be freed
 * by it when it ends. */
void *crash_stack_new(void);
void crash_stack_free(void *stack);

#endif
