/* SPDX-License-Identifier: Apache-2.0 */
/* TIME and SHUTDOWN. */
#include "command/args.h"
#include "server/server.h"

static int run_time(struct call *call)
{
    uint64_t us = clock_posix_wall_us();
    reply_array(call->reply, 2);
    reply_bulk_int(call->reply, (int64_t)(us / 1000000));
    reply_bulk_int(call->reply, (int64_t)(us % 1000000));
    return 0;
}

static int run_shutdown(struct call *call)
{
    bool with_checkpoint = true;
    for (uint32_t i = 1; i < call->argc; i++) {
        if (slice_is(call->argv[i], "nosave")) {
            with_checkpoint = false;
        } else if (slice_is(call->argv[i], "abort")) {
            reply_error(call->reply, "ERR No shutdown in progress.");
            return 0;
        } else if (!slice_is(call->argv[i], "save") && !slice_is(call->argv[i], "now") &&
                   !slice_is(call->argv[i], "force")) {
            reply_error(call->reply, TEXT_SYNTAX);
            return 0;
        }
    }
    /* No reply: the connection ends with the server. */
    server_shutdown(session_server(call->session), with_checkpoint);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "time",
        .arity = {1, 1},
        .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
        .scope = SCOPE_NODE,
        .categories = "fast",
        .group = "server",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Returns the server time.",
        .syntax = "",
        .run = run_time,
    },
    {
        .name = "shutdown",
        .arity = {1, ARITY_ANY},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_NO_MULTI,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N) where N is the bytes written since the last checkpoint",
        .summary = "Makes a checkpoint and shuts the server down.",
        .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        .run = run_shutdown,
    },
};

const struct command_family admin_family = {
    .name = "admin", .rows = rows, .row_count = ARRAY_COUNT(rows)};
