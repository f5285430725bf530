/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#define MIN_CAP 64

void buf_fini(struct buf *buf)
{
    mem_free(buf->data);
    *buf = (struct buf){0};
}

void buf_reset(struct buf *buf, size_t keep)
{
    if (buf->cap > keep)
        buf_fini(buf);
    buf->len = 0;
}

int buf_try_reserve(struct buf *buf, size_t more)
{
    if (more <= buf->cap - buf->len)
        return 0;
    if (more > SIZE_MAX / 2 - buf->len)
        return -ENOMEM;
    size_t need = buf->len + more;
    size_t cap = buf->cap + buf->cap / 2;
    if (cap < need)
        cap = need;
    if (cap < MIN_CAP)
        cap = MIN_CAP;
    uint8_t *data = mem_try_realloc(buf->data, cap);
    if (data == NULL)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void buf_reserve(struct buf *buf, size_t more)
{
    if (buf_try_reserve(buf, more) != 0)
        assert_fail("out of memory", __FILE__, __LINE__, __func__);
}

uint8_t *buf_extend(struct buf *buf, size_t len)
{
    buf_reserve(buf, len);
    uint8_t *start = buf->data + buf->len;
    buf->len += len;
    return start;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len > 0)
        memcpy(buf_extend(buf, len), data, len);
}

void buf_append_slice(struct buf *buf, struct slice s)
{
    buf_append(buf, s.data, s.len);
}

void buf_append_str(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, uint8_t byte)
{
    *buf_extend(buf, 1) = byte;
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(size >= 0);
    buf_reserve(buf, (size_t)size + 1);
    vsnprintf((char *)buf->data + buf->len, (size_t)size + 1, format, again);
    va_end(again);
    buf->len += (size_t)size;
}

void buf_terminate(struct buf *buf)
{
    buf_reserve(buf, 1);
    buf->data[buf->len] = '\0';
}

void buf_drop_front(struct buf *buf, size_t len)
{
    ASSERT(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0)
        memmove(buf->data, buf->data + len, buf->len);
}

struct buf buf_take(struct buf *buf)
{
    struct buf taken = *buf;
    *buf = (struct buf){0};
    return taken;
}
