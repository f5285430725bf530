/* SPDX-License-Identifier: Apache-2.0 */
/* Inline requests: a line of words, as people type them.
 *
 * Words are separated by blanks. Anywhere in a word a quote opens a quoted part:
 *     "..."   \n \r \t \b \a \xHH, and \ takes any other byte as it is
 *     '...'   \' alone is special
 * and the closing quote must be followed by a blank or the line's end; it ends the word, too.
 * Outside of quotes \v and \f are blanks before a word but do not end one: so it is in Redis.
 *
 * A word without quotes is a slice of the line. One with quotes is written to parser->unquoted,
 * which has room for the whole line, so it never moves while slices point into it.
 */
#include <errno.h>

#include "base/assert.h"
#include "resp/parser.h"
#include "resp/parser_internal.h"

/* What is left of the line. */
struct line {
    const uint8_t *at;
    const uint8_t *end;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ends_word(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that the escape behind a backslash stands for; moves behind it. */
static uint8_t unescape(struct line *line)
{
    uint8_t c = *line->at++;
    if (c == 'x' && line->end - line->at >= 2) {
        int high = hex_value(line->at[0]);
        int low = hex_value(line->at[1]);
        if (high >= 0 && low >= 0) {
            line->at += 2;
            return (uint8_t)(high * 16 + low);
        }
    }
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* The quoted part behind its opening quote, appended to `to` (whose room is there). False if it is
 * not closed or goes on behind the closing quote. */
static bool read_quoted(struct line *line, uint8_t quote, struct buf *to)
{
    while (line->at < line->end) {
        uint8_t c = *line->at++;
        if (c == quote)
            return line->at == line->end || is_blank(*line->at);
        bool has_next = line->at < line->end;
        if (quote == '"' && c == '\\' && has_next)
            c = unescape(line);
        else if (quote == '\'' && c == '\\' && has_next && *line->at == '\'')
            c = *line->at++;
        to->data[to->len++] = c;
    }
    return false;
}

/* The word at line->at. RESP_COMMAND with *out_word. */
static enum resp_result read_word(struct resp_parser *parser, struct line *line,
                                  struct slice *out_word)
{
    const uint8_t *start = line->at;
    while (line->at < line->end && !ends_word(*line->at) && *line->at != '"' && *line->at != '\'')
        line->at++;
    size_t plain = (size_t)(line->at - start);
    if (line->at == line->end || ends_word(*line->at)) {
        *out_word = slice_of(start, plain);
        return RESP_COMMAND;
    }
    struct buf *to = &parser->unquoted;
    /* Nothing to move when there is something already: the first time took room for all. */
    if (buf_try_reserve(to, (size_t)(line->end - start)) != 0)
        return RESP_NOMEM;
    size_t from = to->len;
    buf_append(to, start, plain);
    uint8_t quote = *line->at++;
    if (!read_quoted(line, quote, to))
        return resp_fail(parser, "unbalanced quotes in request");
    *out_word = slice_of(to->data + from, to->len - from);
    return RESP_COMMAND;
}

enum resp_result resp_parse_inline(struct resp_parser *parser, struct slice input)
{
    size_t end;
    enum resp_result result = resp_find_line(parser, input, '\n', "too big inline request", &end);
    if (result != RESP_COMMAND)
        return result;
    parser->argc = 0;
    parser->unquoted.len = 0;
    struct line line = {.at = input.data, .end = input.data + end};
    if (end > 0 && line.end[-1] == '\r')
        line.end--;
    for (;;) {
        while (line.at < line.end && is_blank(*line.at))
            line.at++;
        if (line.at == line.end)
            break;
        struct slice word = SLICE_EMPTY;
        result = read_word(parser, &line, &word);
        if (result != RESP_COMMAND)
            return result;
        if (!resp_push_arg(parser, word))
            return RESP_NOMEM;
    }
    parser->at = end + 1;
    return RESP_COMMAND;
}
