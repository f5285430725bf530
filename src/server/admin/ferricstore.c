/* SPDX-License-Identifier: Apache-2.0 */
/* FERRICSTORE.*: what no Redis has. */
#include "engine/group_merge.h"
#include "server/server_internal.h"

static int run_merge(struct call *call)
{
    struct server *server = session_server(call->session);
    group_merge(server->group);
    reply_ok(call->reply);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "ferricstore.merge",
        .arity = {1, 1},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "7.2.0",
        .complexity = "O(N) in the background, N being the bytes of the data files merged",
        .summary = "Begins to merge the data files that would give space back.",
        .syntax = "",
        .run = run_merge,
    },
};

const struct command_family ferricstore_family = {
    .name = "ferricstore", .rows = rows, .row_count = ARRAY_COUNT(rows)};
