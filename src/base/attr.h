/* SPDX-License-Identifier: Apache-2.0 */
/* attr: compiler attributes and small macros used everywhere. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

#define MUST_CHECK         __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)  __attribute__((format(printf, f, a)))
#define NORETURN           __attribute__((noreturn))
#define UNUSED             __attribute__((unused))
#define LIKELY(x)          __builtin_expect(!!(x), 1)
#define UNLIKELY(x)        __builtin_expect(!!(x), 0)
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Drops a MUST_CHECK result on purpose; `why` is for the reader. */
#define IGNORE(expr, why)                          \
    do {                                           \
        UNUSED __typeof__(expr) ignored_ = (expr); \
    } while (0)

#endif
