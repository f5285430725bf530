/* SPDX-License-Identifier: Apache-2.0 */
/* Two readers of the same format.
 *
 * The quick one sees a whole pipeline of small commands in one buffer, which is how nearly all
 * bytes come. It keeps everything in registers, writes slices of the input straight into argv,
 * and only ever accepts: what it does not like (a length with odd digits, a limit, an argument that
 * is not there yet, more arguments than argv has room for) makes it give up without a trace, and
 * the command is read again from its front by the other one. It tries only when a command is met
 * for the first time, so what it reads in vain it reads once.
 *
 * The careful one is the state machine of parser_internal.h. It may stop anywhere for want of
 * bytes, keeps what it knows as offsets (the caller's bytes may lie elsewhere at the next call),
 * and alone decides about errors. Offsets stand in the pointers of argv until the command is
 * whole; then one pass makes slices of them.
 *
 * A line's end is looked for from where the last search stopped, an argument's bytes are not
 * looked at at all, and argv grows with the arguments that came, not with those announced. So the
 * work is O(bytes) however they are cut, and memory follows what was sent.
 *
 * As in Redis, only the CR of a line is looked for and the byte behind it taken for its LF, and
 * the two bytes behind an argument are not looked at. Unlike in Redis, a NUL is a byte like any
 * other: there it hides the end of the line behind it, and the client waits for ever.
 */
#include "resp/parser.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/num.h"
#include "resp/parser_internal.h"

#define QUICK_DIGITS    9
#define MIN_ARGV        8
#define TRIM_ARGV       64 /* more is given back by resp_parser_trim() */
#define TRIM_UNQUOTED   1024
#define LINE_END_SIZE   2
#define MAX_COUNT_VALUE INT32_MAX /* what Redis takes before it looks at who is asking */

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits)
{
    *parser = (struct resp_parser){.limits = limits};
}

void resp_parser_fini(struct resp_parser *parser)
{
    mem_free(parser->argv);
    buf_fini(&parser->unquoted);
    *parser = (struct resp_parser){.limits = parser->limits};
}

void resp_parser_trim(struct resp_parser *parser)
{
    if (parser->state != AT_FRONT)
        return;
    if (parser->argv_cap > TRIM_ARGV) {
        mem_free(parser->argv);
        parser->argv = NULL;
        parser->argv_cap = 0;
        parser->argc = 0;
    }
    buf_reset(&parser->unquoted, TRIM_UNQUOTED);
}

size_t resp_parser_bytes(const struct resp_parser *parser)
{
    return parser->argv_cap * sizeof(*parser->argv) + parser->unquoted.cap;
}

size_t resp_parser_pending_args(const struct resp_parser *parser)
{
    return parser->state == AT_FRONT ? 0 : parser->argc;
}

size_t resp_parser_need(const struct resp_parser *parser, size_t have)
{
    if (parser->state != AT_BULK)
        return have + 1;
    size_t need = parser->at + parser->bulk_size + LINE_END_SIZE;
    return need > have ? need : have + 1;
}

enum resp_result resp_fail(struct resp_parser *parser, const char *text)
{
    snprintf(parser->error, sizeof(parser->error), "%s", text);
    return RESP_ERROR;
}

bool resp_push_arg(struct resp_parser *parser, struct slice arg)
{
    if (parser->argc == parser->argv_cap) {
        size_t cap = parser->argv_cap == 0 ? MIN_ARGV : 2 * parser->argv_cap;
        struct slice *argv = mem_try_realloc(parser->argv, cap * sizeof(*argv));
        if (argv == NULL)
            return false;
        parser->argv = argv;
        parser->argv_cap = cap;
    }
    parser->argv[parser->argc++] = arg;
    return true;
}

enum resp_result resp_find_line(struct resp_parser *parser, struct slice input, char end,
                                const char *too_big, size_t *out_end)
{
    size_t limit = parser->limits->max_inline_size;
    const uint8_t *found = memchr(input.data + parser->searched, end, input.len - parser->searched);
    size_t size = (found == NULL ? input.len : (size_t)(found - input.data)) - parser->at;
    if (size > limit)
        return resp_fail(parser, too_big);
    if (found == NULL) {
        parser->searched = input.len; /* W3 */
        return RESP_MORE;
    }
    *out_end = (size_t)(found - input.data);
    return RESP_COMMAND;
}

/* ---- The careful reader ---- */

/* The line at `at` is done with; `next` begins behind it. */
static void enter(struct resp_parser *parser, uint8_t state, size_t next)
{
    parser->state = state;
    parser->at = next;
    parser->searched = next;
}

static enum resp_result read_count(struct resp_parser *parser, struct slice input)
{
    size_t end;
    enum resp_result result =
        resp_find_line(parser, input, '\r', "too big mbulk count string", &end);
    if (result != RESP_COMMAND)
        return result;
    if (end + 1 == input.len)
        return RESP_MORE;
    const struct resp_limits *limits = parser->limits;
    int64_t count;
    struct slice digits = slice_of(input.data + parser->at + 1, end - parser->at - 1);
    if (!num_parse_i64(digits, &count) || count > MAX_COUNT_VALUE)
        return resp_fail(parser, "invalid multibulk length");
    if (limits->is_unauthenticated && count > RESP_UNAUTH_MAX_ARGS)
        return resp_fail(parser, "unauthenticated multibulk length");
    if (count > 0 && (uint64_t)count > limits->max_args)
        return resp_fail(parser, "invalid multibulk length");
    parser->args_left = count > 0 ? (size_t)count : 0;
    enter(parser, AT_LENGTH, end + LINE_END_SIZE);
    return RESP_COMMAND;
}

static enum resp_result fail_on_type(struct resp_parser *parser, uint8_t got)
{
    char text[sizeof(parser->error)];
    bool is_line_break = got == '\r' || got == '\n' || got == '\0';
    snprintf(text, sizeof(text), "expected '$', got '%c'", is_line_break ? ' ' : got);
    return resp_fail(parser, text);
}

static enum resp_result read_length(struct resp_parser *parser, struct slice input)
{
    size_t end;
    enum resp_result result =
        resp_find_line(parser, input, '\r', "too big bulk count string", &end);
    if (result != RESP_COMMAND)
        return result;
    if (end + 1 == input.len)
        return RESP_MORE;
    if (input.data[parser->at] != '$')
        return fail_on_type(parser, input.data[parser->at]);
    const struct resp_limits *limits = parser->limits;
    uint64_t size;
    struct slice digits = slice_of(input.data + parser->at + 1, end - parser->at - 1);
    if (!num_parse_u64(digits, &size) || size > limits->max_bulk_size)
        return resp_fail(parser, "invalid bulk length");
    if (limits->is_unauthenticated && size > RESP_UNAUTH_MAX_BULK_SIZE)
        return resp_fail(parser, "unauthenticated bulk length");
    parser->bulk_size = size;
    enter(parser, AT_BULK, end + LINE_END_SIZE);
    return RESP_COMMAND;
}

static enum resp_result read_bulk(struct resp_parser *parser, struct slice input)
{
    size_t left = input.len - parser->at;
    if (left < LINE_END_SIZE || left - LINE_END_SIZE < parser->bulk_size)
        return RESP_MORE;
    /* W2: an offset for now. */
    const void *offset = (const void *)(uintptr_t)parser->at;
    if (!resp_push_arg(parser, slice_of(offset, parser->bulk_size)))
        return RESP_NOMEM;
    parser->args_left--;
    enter(parser, AT_LENGTH, parser->at + parser->bulk_size + LINE_END_SIZE);
    return RESP_COMMAND;
}

static enum resp_result parse_multibulk(struct resp_parser *parser, struct slice input)
{
    enum resp_result result = RESP_COMMAND;
    if (parser->state == AT_COUNT)
        result = read_count(parser, input);
    while (result == RESP_COMMAND && parser->args_left > 0)
        result = parser->state == AT_LENGTH ? read_length(parser, input) : read_bulk(parser, input);
    if (result != RESP_COMMAND)
        return result;
    for (size_t i = 0; i < parser->argc; i++)
        parser->argv[i].data = input.data + (uintptr_t)parser->argv[i].data;
    return RESP_COMMAND;
}

/* ---- The quick reader ---- */

/* The number in the line at `at`, behind its type byte; moves `at` behind the line. False if the
 * line is not whole or in any way unusual. */
static inline bool quick_line(const uint8_t **at, const uint8_t *end, size_t *out_value)
{
    const uint8_t *first = *at + 1;
    const uint8_t *digit = first;
    size_t value = 0;
    for (unsigned v; end - digit >= LINE_END_SIZE && (v = (unsigned)*digit - '0') <= 9; digit++) {
        if (digit - first == QUICK_DIGITS)
            return false;
        value = value * 10 + v;
    }
    if (end - digit < LINE_END_SIZE || *digit != '\r')
        return false;
    if (digit == first || (*first == '0' && digit - first > 1))
        return false;
    *out_value = value;
    *at = digit + LINE_END_SIZE;
    return true;
}

/* Bytes of the whole command at the front of `input`, with argv and argc set; 0: nothing happened,
 * ask the careful reader. */
static size_t parse_quickly(struct resp_parser *parser, struct slice input)
{
    const uint8_t *at = input.data;
    const uint8_t *end = input.data + input.len;
    const struct resp_limits *limits = parser->limits;
    size_t count;
    size_t max_size = limits->max_bulk_size;
    if (limits->is_unauthenticated || !quick_line(&at, end, &count))
        return 0;
    if (count == 0 || count > parser->argv_cap || count > limits->max_args)
        return 0;
    struct slice *arg = parser->argv;
    for (const struct slice *last = arg + count; arg < last; arg++) {
        size_t size;
        if (at >= end || *at != '$' || !quick_line(&at, end, &size) || size > max_size)
            return 0;
        size_t left = (size_t)(end - at);
        if (left < LINE_END_SIZE || left - LINE_END_SIZE < size)
            return 0;
        *arg = slice_of(at, size);
        at += size + LINE_END_SIZE;
    }
    parser->argc = count;
    return (size_t)(at - input.data);
}

/* ---- Both ---- */

static void begin(struct resp_parser *parser, struct slice input)
{
    parser->argc = 0;
    parser->args_left = 0;
    parser->seen = 0;
    enter(parser, input.data[0] == '*' ? AT_COUNT : AT_INLINE, 0);
}

static enum resp_result parse_carefully(struct resp_parser *parser, struct slice input,
                                        size_t *out_used, const char **out_error)
{
    if (parser->state == AT_FRONT)
        begin(parser, input);
    ASSERT(input.len >= parser->seen); /* W1 */
    parser->seen = input.len;
    enum resp_result result = RESP_ERROR;
    if (parser->state == AT_INLINE)
        result = resp_parse_inline(parser, input);
    else if (parser->state != AT_FAILED)
        result = parse_multibulk(parser, input);
    if (result == RESP_COMMAND) {
        ASSERT(parser->at <= input.len && parser->at > 0);
        *out_used = parser->at;
        parser->state = AT_FRONT;
    } else if (result == RESP_ERROR) {
        parser->state = AT_FAILED;
        *out_error = parser->error;
    }
    return result;
}

enum resp_result resp_parse(struct resp_parser *parser, struct slice input, size_t *out_used,
                            const char **out_error)
{
    *out_used = 0;
    if (LIKELY(parser->state == AT_FRONT)) {
        if (input.len == 0)
            return RESP_MORE;
        if (LIKELY(input.data[0] == '*'))
            *out_used = parse_quickly(parser, input);
        if (LIKELY(*out_used > 0))
            return RESP_COMMAND;
    }
    return parse_carefully(parser, input, out_used, out_error);
}
