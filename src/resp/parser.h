/* SPDX-License-Identifier: Apache-2.0 */
/* parser: requests of RESP2/RESP3 clients, multibulk and inline, from bytes as they come.
 *
 * No I/O and no copies: arguments are slices of the caller's bytes, but for inline arguments with
 * quotes, which are unescaped into memory of the parser. The caller keeps the bytes of an
 * unfinished command together and calls again with all of them plus what came (they may have
 * moved); the parser goes on where it stopped, so a command in n pieces costs O(bytes), not
 * O(n * bytes).
 *
 * Format:   https://redis.io/docs/latest/develop/reference/protocol-spec/
 * Limits:   see struct resp_limits; beyond them a Redis-worded protocol error.
 * Lifetime: argv and the error text live in the parser until the next call on it; the slices as
 *           long as the caller's bytes and until that call. Zeroed storage with limits is a valid
 *           parser and holds no memory before its first command.
 * See resp/README.md, invariants W1-W7.
 */
#ifndef RESP_PARSER_H
#define RESP_PARSER_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

struct resp_limits {
    size_t max_bulk_size;    /* proto-max-bulk-len */
    size_t max_args;         /* of one multibulk request, the command's name included */
    size_t max_inline_size;  /* of one line, inline request or length, without its end */
    bool is_unauthenticated; /* RESP_UNAUTH_* hold too, and errors say so */
};

#define RESP_LIMITS_DEFAULT                                                                \
    {                                                                                      \
        .max_bulk_size = 512UL << 20, .max_args = 1UL << 20, .max_inline_size = 64UL << 10 \
    }

/* What a client may send before it has authenticated, in Redis's measure. */
#define RESP_UNAUTH_MAX_ARGS      10
#define RESP_UNAUTH_MAX_BULK_SIZE 16384

struct resp_parser {
    /* Looked at when a length is read; the caller may point it elsewhere between any two calls. */
    const struct resp_limits *limits;

    struct slice *argv; /* the finished command's arguments */
    size_t argc;

    /* Where an unfinished command stands; private. Offsets are from the command's front. */
    size_t argv_cap;
    struct buf unquoted; /* the text of inline arguments that had quotes */
    size_t at;           /* the first byte not understood yet */
    size_t searched;     /* up to here the line at `at` has no end */
    size_t seen;         /* how many bytes the last call was given */
    size_t args_left;    /* arguments announced and not whole yet */
    size_t bulk_size;    /* of the argument whose bytes begin at `at` */
    uint8_t state;
    char error[40];
};

enum resp_result {
    RESP_MORE = 0,    /* the command is not whole yet */
    RESP_COMMAND = 1, /* argv holds it; argc may be 0 (empty line, "*0", "*-1"): skip it */
    RESP_ERROR = 2,   /* *out_error names it; the connection must be closed after the reply */
    RESP_NOMEM = 3    /* nothing has changed; the same call may be made again */
};

/* `limits` must outlive the parser. */
void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits);
void resp_parser_fini(struct resp_parser *parser);

/* Gives back memory that an unusually long command has left behind; argv of a finished command is
 * void afterwards. Does nothing in the middle of a command. */
void resp_parser_trim(struct resp_parser *parser);

/* Parses one command at the front of `input`.
 * RESP_COMMAND: *out_used bytes belong to it; the next call begins behind them.
 * RESP_MORE:    nothing is used up; *out_used is 0 and resp_parser_need() tells how much it takes.
 * RESP_ERROR:   *out_error is the text for "-ERR Protocol error: <text>"; every later call gives
 *               the same. */
MUST_CHECK
enum resp_result resp_parse(struct resp_parser *parser, struct slice input, size_t *out_used,
                            const char **out_error);

/* After RESP_MORE: total bytes the command is known to need from its front, at least one more than
 * the `have` there are: what to make room for before reading on. At most what one argument may
 * have beyond them; announced arguments that have not begun are not counted. */
size_t resp_parser_need(const struct resp_parser *parser, size_t have);

/* Whole arguments of the unfinished command so far, for budgets (R33); 0 between commands. */
size_t resp_parser_pending_args(const struct resp_parser *parser);

/* Memory held by the parser itself. */
size_t resp_parser_bytes(const struct resp_parser *parser);

#endif
