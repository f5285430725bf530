/* SPDX-License-Identifier: Apache-2.0 */
/* slice: borrowed bytes. A function that keeps a slice beyond its call says so. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;
};

#define SLICE_LIT(text) ((struct slice){.data = (const uint8_t *)(text), .len = sizeof(text) - 1})
#define SLICE_EMPTY     ((struct slice){.data = NULL, .len = 0})

/* For printf's "%.*s". */
#define SLICE_FMT(s) (int)(s).len, (const char *)(s).data

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){.data = data, .len = len};
}

static inline struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Bytewise order, a prefix before what it begins. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* The part from `off` on, at most `len` bytes; empty when `off` lies beyond the end. */
static inline struct slice slice_sub(struct slice s, size_t off, size_t len)
{
    if (off >= s.len)
        return (struct slice){.data = s.data == NULL ? NULL : s.data + s.len, .len = 0};
    size_t left = s.len - off;
    return slice_of(s.data + off, len < left ? len : left);
}

/* ASCII case-insensitive equality, as for command and option names. */
bool slice_eq_nocase(struct slice a, struct slice b);

/* The same against a C string. */
bool slice_is(struct slice s, const char *word);

#endif
