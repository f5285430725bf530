/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kinds of request, multibulk (parser.c) and inline (inline.c), share. */
#ifndef RESP_PARSER_INTERNAL_H
#define RESP_PARSER_INTERNAL_H

#include "resp/parser.h"

/*
 *            '*'              count line            length line          bytes, all args
 *   FRONT ---------> COUNT ---------------> LENGTH <-----------> BULK ------------------> FRONT
 *     | anything else
 *     +-----------> INLINE -- line --> FRONT            an error anywhere --> FAILED
 */
enum {
    AT_FRONT = 0, /* nothing of a command has been looked at */
    AT_COUNT,
    AT_LENGTH,
    AT_BULK,
    AT_INLINE,
    AT_FAILED
};

/* Notes the protocol error; always RESP_ERROR. */
enum resp_result resp_fail(struct resp_parser *parser, const char *text);

/* Appends an argument. False when memory is out; nothing has changed then. */
MUST_CHECK
bool resp_push_arg(struct resp_parser *parser, struct slice arg);

/* The end of the line at parser->at, which is the first `end` byte from there. RESP_COMMAND with
 * its offset; RESP_MORE; or the error `too_big` when there are more than max_inline_size bytes
 * before it. */
MUST_CHECK
enum resp_result resp_find_line(struct resp_parser *parser, struct slice input, char end,
                                const char *too_big, size_t *out_end);

MUST_CHECK
enum resp_result resp_parse_inline(struct resp_parser *parser, struct slice input);

#endif
