/* SPDX-License-Identifier: Apache-2.0 */
/* parser: requests of RESP2/RESP3 clients, multibulk and inline, from bytes as they come.
 *
 * No I/O and no copies: arguments are slices of the caller's bytes. The caller keeps the bytes of
 * an unfinished command together and calls again with all of them plus what came; the parser goes
 * on where it stopped, so a command in n pieces costs O(bytes), not O(n * bytes).
 *
 * Format:   https://redis.io/docs/latest/develop/reference/protocol-spec/
 * Limits:   see struct resp_limits; beyond them a Redis-worded protocol error.
 * Lifetime: argv lives in the parser until the next call; the slices as long as the caller's bytes.
 */
#ifndef RESP_PARSER_H
#define RESP_PARSER_H

#include "base/attr.h"
#include "base/slice.h"

struct resp_limits {
    size_t max_bulk_size;   /* proto-max-bulk-len, 512 MiB */
    size_t max_args;        /* 1,048,576 */
    size_t max_inline_size; /* 65,536 */
};

struct resp_parser {
    const struct resp_limits *limits;
    struct slice *argv; /* the finished command's arguments */
    size_t argc;
    /* Where an unfinished command stands; private. */
    struct resp_span {
        size_t off;
        size_t len;
    } * spans;
    size_t span_cap;
    size_t argv_cap;
    size_t args_left;
    size_t at;
    size_t bulk_len;
    uint8_t state;
};

enum resp_result {
    RESP_MORE = 0,    /* the command is not whole yet */
    RESP_COMMAND = 1, /* argv holds it; argc may be 0 (empty line or "*0"): skip it */
    RESP_ERROR = 2,   /* *out_error names it; the connection must be closed after the reply */
    RESP_NOMEM = 3
};

/* `limits` must outlive the parser. */
void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits);
void resp_parser_fini(struct resp_parser *parser);

/* Gives back memory that an unusually long command has left behind. */
void resp_parser_trim(struct resp_parser *parser);

/* Parses one command at the front of `input`.
 * RESP_COMMAND: *out_used bytes belong to it; the next call begins behind them.
 * RESP_MORE:    nothing is used up; *out_used is 0 and resp_parser_need() tells how much it takes.
 * RESP_ERROR:   *out_error is static text for "-ERR Protocol error: <text>". */
MUST_CHECK
enum resp_result resp_parse(struct resp_parser *parser, struct slice input, size_t *out_used,
                            const char **out_error);

/* After RESP_MORE: total bytes the command is known to need from its front, at least one more than
 * there are: what to make room for before reading on. */
size_t resp_parser_need(const struct resp_parser *parser, size_t have);

/* Arguments and bytes of the unfinished command so far, for budgets (R33). */
size_t resp_parser_pending_args(const struct resp_parser *parser);

#endif
