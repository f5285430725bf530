/* SPDX-License-Identifier: Apache-2.0 */
/* assert: what must hold if our own code is right.
 *
 * ASSERT stays on in every build: a program that has broken its own rules must not go on writing.
 * ASSERT_SLOW is for checks that cost more than the work they guard; on in dev and sanitizer
 * builds. Bytes from disk, network or user are never asserted, they are decoded to an error.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/attr.h"

/* Prints the failed condition with its place on stderr and aborts. */
NORETURN void assert_fail(const char *what, const char *file, int line, const char *func);

struct assert_failure {
    const char *what;
    const char *file;
    int line;
    const char *func;
};

/* What has failed and is ending the process; NULL: nothing has. Safe in a signal handler. */
const struct assert_failure *assert_last_failure(void);

#define ASSERT(cond) (LIKELY(cond) ? (void)0 : assert_fail(#cond, __FILE__, __LINE__, __func__))

#ifdef FERRIC_SLOW_ASSERTS
#    define ASSERT_SLOW(cond) ASSERT(cond)
#else
#    define ASSERT_SLOW(cond) ((void)sizeof(cond))
#endif

#define UNREACHABLE(why)    assert_fail("unreachable: " why, __FILE__, __LINE__, __func__)
#define STATIC_ASSERT(c, w) _Static_assert(c, w)

/* A word at the head of every object that comes back as void *: <x>_from() asserts it. */
#define MAGIC_CHECK(obj, magic_value) ASSERT((obj) != NULL && (obj)->magic == (magic_value))

#endif
