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

struct shutdown {
    bool is_save;
    bool is_nosave;
    bool is_abort;
    bool is_other; /* NOW, FORCE: as it is anyway */
};

static bool read_shutdown(const struct call *call, struct shutdown *out)
{
    for (uint32_t i = 1; i < call->argc; i++) {
        struct slice word = call->argv[i];
        if (slice_is(word, "save"))
            out->is_save = true;
        else if (slice_is(word, "nosave"))
            out->is_nosave = true;
        else if (slice_is(word, "abort"))
            out->is_abort = true;
        else if (slice_is(word, "now") || slice_is(word, "force"))
            out->is_other = true;
        else
            return false;
    }
    bool is_end = out->is_save || out->is_nosave || out->is_other;
    return !(out->is_save && out->is_nosave) && !(out->is_abort && is_end);
}

static int run_shutdown(struct call *call)
{
    struct shutdown how = {0};
    if (!read_shutdown(call, &how)) {
        reply_error(call->reply, TEXT_SYNTAX);
    } else if (how.is_abort) {
        reply_error(call->reply, "ERR No shutdown in progress.");
    } else {
        /* No reply: the connection ends with the server. */
        session_halt(call->session);
        server_shutdown(session_server(call->session), !how.is_nosave);
    }
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "time",
        .arity = {1, 1},
        .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
        .scope = SCOPE_NODE,
        .categories = "fast",
        .tips = "nondeterministic_output",
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
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_NO_MULTI | CMD_ALLOW_BUSY,
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
