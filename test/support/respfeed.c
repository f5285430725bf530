/* SPDX-License-Identifier: Apache-2.0 */
#include "support/respfeed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

struct feed {
    struct resp_parser parser;
    struct buf pending; /* of the unfinished command */
    struct buf log;
    bool has_failed;
};

static void log_command(struct feed *feed)
{
    for (size_t i = 0; i < feed->parser.argc; i++) {
        buf_append_format(&feed->log, "%zu:", feed->parser.argv[i].len);
        buf_append_slice(&feed->log, feed->parser.argv[i]);
        buf_append_byte(&feed->log, ' ');
    }
    buf_append_byte(&feed->log, '\n');
}

/* One call with `bytes` at a place of their own; returns how many were used. */
static size_t parse_once(struct feed *feed, struct slice bytes, enum resp_result *out_result)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    size_t used = 12345;
    const char *error = NULL;
    *out_result = resp_parse(&feed->parser, slice_of(copy, bytes.len), &used, &error);
    if (*out_result == RESP_COMMAND) {
        ASSERT(used > 0 && used <= bytes.len);
        log_command(feed);
    } else {
        ASSERT(used == 0);
    }
    if (*out_result == RESP_MORE)
        ASSERT(resp_parser_need(&feed->parser, bytes.len) > bytes.len);
    if (*out_result == RESP_ERROR)
        buf_append_format(&feed->log, "error %s\n", error);
    ASSERT(*out_result != RESP_NOMEM);
    free(copy);
    return used;
}

static void feed_piece(struct feed *feed, struct slice piece)
{
    buf_append_slice(&feed->pending, piece);
    enum resp_result result = RESP_COMMAND;
    while (result == RESP_COMMAND && feed->pending.len > 0)
        buf_drop_front(&feed->pending, parse_once(feed, buf_slice(&feed->pending), &result));
    feed->has_failed = result == RESP_ERROR;
}

struct buf respfeed(const struct resp_limits *limits, struct slice bytes, const size_t *cuts,
                    size_t cut_count)
{
    struct feed feed = {0};
    resp_parser_init(&feed.parser, limits);
    size_t from = 0;
    for (size_t i = 0; i <= cut_count && !feed.has_failed; i++) {
        size_t to = i < cut_count ? cuts[i] : bytes.len;
        feed_piece(&feed, slice_sub(bytes, from, to - from));
        from = to;
    }
    if (!feed.has_failed && feed.pending.len > 0)
        buf_append_str(&feed.log, "more\n");
    resp_parser_fini(&feed.parser);
    buf_fini(&feed.pending);
    return feed.log;
}
