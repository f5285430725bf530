/* SPDX-License-Identifier: Apache-2.0 */
/* How long one reply is.
 *
 * Nesting needs no stack, for only the end is wanted: `values_left` counts the values that must
 * still come. A value takes one off; an aggregate adds its elements. An attribute adds its pairs
 * and takes nothing off, since the value it speaks of follows it.
 *
 * A value has at least three bytes, so a count that the rest of the bytes cannot hold means "not
 * whole" at once; this also keeps the counter from running over.
 */
#include "resp/reply.h"

#include "base/num.h"

#define MIN_VALUE_SIZE 3 /* "_\r\n" */

struct skipper {
    struct slice bytes;
    size_t at;
    size_t values_left;
};

/* The line at `at`, without type and CR LF; moves behind it. */
static bool take_line(struct skipper *skipper, struct slice *out_text)
{
    const uint8_t *from = skipper->bytes.data + skipper->at + 1;
    const uint8_t *end = skipper->bytes.data + skipper->bytes.len;
    const uint8_t *cr = memchr(from, '\r', (size_t)(end - from));
    if (cr == NULL || end - cr < 2 || cr[1] != '\n')
        return false;
    *out_text = slice_of(from, (size_t)(cr - from));
    skipper->at = (size_t)(cr + 2 - skipper->bytes.data);
    return true;
}

/* A line whose text is a count; "-1" is RESP2's null where that protocol has one. */
static bool take_count(struct skipper *skipper, size_t *out_count, bool *out_is_null)
{
    uint8_t type = skipper->bytes.data[skipper->at];
    struct slice text;
    if (!take_line(skipper, &text))
        return false;
    *out_is_null = (type == '$' || type == '*') && slice_eq(text, SLICE_LIT("-1"));
    uint64_t count = 0;
    if (!*out_is_null && !num_parse_u64(text, &count))
        return false;
    *out_count = count;
    return true;
}

/* Bulk string, bulk error, verbatim text. */
static bool skip_bulk(struct skipper *skipper)
{
    size_t len;
    bool is_null;
    if (!take_count(skipper, &len, &is_null))
        return false;
    if (is_null)
        return true;
    size_t left = skipper->bytes.len - skipper->at;
    if (left < 2 || left - 2 < len)
        return false;
    const uint8_t *end = skipper->bytes.data + skipper->at + len;
    skipper->at += len + 2;
    return end[0] == '\r' && end[1] == '\n';
}

static bool skip_aggregate(struct skipper *skipper, size_t per_element)
{
    size_t count;
    bool is_null;
    if (!take_count(skipper, &count, &is_null))
        return false;
    size_t left = skipper->bytes.len - skipper->at;
    if (count > left / MIN_VALUE_SIZE / per_element)
        return false;
    skipper->values_left += count * per_element;
    return skipper->values_left <= left;
}

static bool skip_value(struct skipper *skipper)
{
    struct slice text;
    uint8_t type = skipper->bytes.data[skipper->at];
    skipper->values_left--;
    switch (type) {
    case '+':
    case '-':
    case ':':
    case ',':
    case '(':
        return take_line(skipper, &text);
    case '#':
        return take_line(skipper, &text) && text.len == 1 &&
               (text.data[0] == 't' || text.data[0] == 'f');
    case '_':
        return take_line(skipper, &text) && text.len == 0;
    case '$':
    case '!':
    case '=':
        return skip_bulk(skipper);
    case '*':
    case '~':
    case '>':
        return skip_aggregate(skipper, 1);
    case '%':
        return skip_aggregate(skipper, 2);
    case '|':
        skipper->values_left++;
        return skip_aggregate(skipper, 2);
    default:
        return false;
    }
}

size_t reply_skip(struct slice bytes)
{
    struct skipper skipper = {.bytes = bytes, .values_left = 1};
    while (skipper.values_left > 0) {
        if (skipper.at == bytes.len || !skip_value(&skipper))
            return 0;
    }
    return skipper.at;
}
