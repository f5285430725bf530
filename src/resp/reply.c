/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/num.h"

#define MAX_HEAD (1 + NUM_I64_SIZE + 2) /* type, number, CR LF */

/* Room for `size` bytes behind the end; the caller writes there and moves len. */
static inline char *room(struct reply *reply, size_t size)
{
    struct buf *out = reply->out;
    if (UNLIKELY(out->cap - out->len < size))
        buf_reserve(out, size);
    return (char *)out->data + out->len;
}

static inline void put(struct reply *reply, const char *bytes, size_t len)
{
    memcpy(room(reply, len), bytes, len);
    reply->out->len += len;
}

#define PUT_LIT(reply, text) put(reply, text, sizeof(text) - 1)

static inline void put_slice(struct reply *reply, struct slice bytes)
{
    if (bytes.len > 0)
        put(reply, (const char *)bytes.data, bytes.len);
}

/* Digits of `v` at `to`; returns how many. */
static inline size_t format_count(char *to, uint64_t v)
{
    if (v < 10) {
        *to = (char)('0' + v);
        return 1;
    }
    return num_format_u64(to, v);
}

/* "<type><v>\r\n" at `to`, which has MAX_HEAD bytes; returns its length. */
static inline size_t format_head(char *to, char type, uint64_t v)
{
    to[0] = type;
    size_t len = 1 + format_count(to + 1, v);
    to[len] = '\r';
    to[len + 1] = '\n';
    return len + 2;
}

static inline void put_head(struct reply *reply, char type, uint64_t v)
{
    reply->out->len += format_head(room(reply, MAX_HEAD), type, v);
}

/* "<type><text>\r\n" with line breaks in the text made blanks. */
static void put_line(struct reply *reply, char type, struct slice text)
{
    char *to = room(reply, 1 + text.len + 2);
    *to++ = type;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        *to++ = c == '\r' || c == '\n' ? ' ' : c;
    }
    *to++ = '\r';
    *to++ = '\n';
    reply->out->len += 1 + text.len + 2; /* W8 */
}

int reply_reserve(struct reply *reply, size_t size)
{
    return buf_try_reserve(reply->out, size);
}

void reply_status(struct reply *reply, const char *text)
{
    ASSERT_SLOW(strpbrk(text, "\r\n") == NULL);
    put_line(reply, '+', slice_str(text));
}

void reply_ok(struct reply *reply)
{
    PUT_LIT(reply, "+OK\r\n");
}

void reply_error(struct reply *reply, const char *text)
{
    put_line(reply, '-', slice_str(text));
}

void reply_error_slice(struct reply *reply, struct slice text)
{
    put_line(reply, '-', text);
}

/* What a client sent and an error quotes may end in line breaks: these go. */
static struct slice without_breaks(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
        len--;
    return slice_of(text, len);
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
    char shorts[256];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(shorts, sizeof(shorts), format, args);
    va_end(args);
    ASSERT(size >= 0);
    size_t len = (size_t)size;
    if (len < sizeof(shorts)) {
        put_line(reply, '-', without_breaks(shorts, len));
        return;
    }
    struct buf text = {0};
    char *to = (char *)buf_extend(&text, len + 1);
    va_start(args, format);
    vsnprintf(to, len + 1, format, args);
    va_end(args);
    put_line(reply, '-', without_breaks(to, len));
    buf_fini(&text);
}

void reply_int(struct reply *reply, int64_t v)
{
    if (LIKELY(v >= 0)) {
        put_head(reply, ':', (uint64_t)v);
        return;
    }
    char *to = room(reply, 1 + MAX_HEAD);
    *to = ':';
    reply->out->len += 1 + format_head(to + 1, '-', 0 - (uint64_t)v);
}

void reply_bulk_begin(struct reply *reply, size_t len)
{
    put_head(reply, '$', len);
}

void reply_bulk_end(struct reply *reply)
{
    PUT_LIT(reply, "\r\n");
}

void reply_bulk(struct reply *reply, struct slice bytes)
{
    char *to = room(reply, MAX_HEAD + bytes.len + 2);
    char *end = to + format_head(to, '$', bytes.len);
    if (LIKELY(bytes.len > 0))
        memcpy(end, bytes.data, bytes.len);
    end += bytes.len;
    *end++ = '\r';
    *end++ = '\n';
    reply->out->len += (size_t)(end - to);
}

void reply_bulk_str(struct reply *reply, const char *text)
{
    reply_bulk(reply, slice_str(text));
}

void reply_bulk_int(struct reply *reply, int64_t v)
{
    char text[NUM_I64_SIZE];
    reply_bulk(reply, slice_of(text, num_format_i64(text, v)));
}

void reply_null(struct reply *reply)
{
    if (reply->proto >= 3)
        PUT_LIT(reply, "_\r\n");
    else
        PUT_LIT(reply, "$-1\r\n");
}

void reply_null_array(struct reply *reply)
{
    if (reply->proto >= 3)
        PUT_LIT(reply, "_\r\n");
    else
        PUT_LIT(reply, "*-1\r\n");
}

/* In RESP3 a line of the type, in RESP2 a bulk string. */
static void put_scalar(struct reply *reply, char type, struct slice text)
{
    if (reply->proto >= 3)
        put_line(reply, type, text);
    else
        reply_bulk(reply, text);
}

void reply_double(struct reply *reply, double v)
{
    char text[NUM_DOUBLE_SIZE];
    struct slice digits = isnan(v) ? SLICE_LIT("nan") : slice_of(text, num_format_double(text, v));
    put_scalar(reply, ',', digits);
}

void reply_big_number(struct reply *reply, struct slice digits)
{
    put_scalar(reply, '(', digits);
}

void reply_bool(struct reply *reply, bool v)
{
    if (reply->proto >= 3)
        put(reply, v ? "#t\r\n" : "#f\r\n", 4);
    else
        put_head(reply, ':', v);
}

void reply_verbatim(struct reply *reply, const char *ext, struct slice text)
{
    if (reply->proto < 3) {
        reply_bulk(reply, text);
        return;
    }
    ASSERT(strlen(ext) == 3);
    put_head(reply, '=', text.len + 4);
    put(reply, ext, 3);
    PUT_LIT(reply, ":");
    put_slice(reply, text);
    PUT_LIT(reply, "\r\n");
}

/* ---- Aggregates ---- */

/* The header's type and number for `type` in this reply's protocol. */
static char aggregate(const struct reply *reply, char type, size_t count, size_t *out_number)
{
    *out_number = count;
    if (reply->proto >= 3)
        return type;
    if (type == '%')
        *out_number = 2 * count;
    return '*';
}

static void put_aggregate(struct reply *reply, char type, size_t count)
{
    size_t number;
    char used = aggregate(reply, type, count, &number);
    put_head(reply, used, number);
}

void reply_array(struct reply *reply, size_t count)
{
    put_head(reply, '*', count);
}

void reply_map(struct reply *reply, size_t pairs)
{
    put_aggregate(reply, '%', pairs);
}

void reply_set(struct reply *reply, size_t count)
{
    put_aggregate(reply, '~', count);
}

void reply_push(struct reply *reply, size_t count)
{
    put_aggregate(reply, '>', count);
}

size_t reply_array_begin(struct reply *reply)
{
    return reply->out->len;
}

/* Writes the header at `mark`, in front of what stands there. */
static void end_aggregate(struct reply *reply, char type, size_t mark, size_t count)
{
    struct buf *out = reply->out;
    ASSERT(mark <= out->len); /* W9 */
    size_t number;
    char head[MAX_HEAD];
    char used = aggregate(reply, type, count, &number);
    size_t len = format_head(head, used, number);
    room(reply, len);
    if (out->len > mark)
        memmove(out->data + mark + len, out->data + mark, out->len - mark);
    memcpy(out->data + mark, head, len);
    out->len += len;
}

void reply_array_end(struct reply *reply, size_t mark, size_t count)
{
    end_aggregate(reply, '*', mark, count);
}

void reply_map_end(struct reply *reply, size_t mark, size_t pairs)
{
    end_aggregate(reply, '%', mark, pairs);
}

void reply_set_end(struct reply *reply, size_t mark, size_t count)
{
    end_aggregate(reply, '~', mark, count);
}
