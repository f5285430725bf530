/* SPDX-License-Identifier: Apache-2.0 */
/* MEMORY USAGE, and the container. What needs the server stands in server/admin/memory.c. */
#include "command/args.h"
#include "command/families.h"
#include "command/help.h"

/* [SAMPLES count]: checked, and without meaning while no value has parts. False after an error
 * reply. */
static bool parse_samples(struct call *call)
{
    for (uint32_t i = 3; i < call->argc; i += 2) {
        int64_t count;
        if (!slice_is(call->argv[i], "samples") || i + 1 == call->argc) {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
        if (!args_integer(call, i + 1, &count))
            return false;
        if (count < 0) {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
    }
    return true;
}

static int run_usage(struct call *call)
{
    struct item item;
    if (!parse_samples(call))
        return 0;
    int rc = tx_peek(call->tx, call->db, call->argv[2], &item);
    if (rc != 0)
        return rc;
    if (item.type == VALUE_NONE)
        reply_null(call->reply);
    else
        reply_int(call->reply, (int64_t)tx_bytes_of(&item));
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "memory",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "4.0.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for memory diagnostics commands.",
        .syntax = "",
    },
    {
        .id = 170,
        .name = "usage",
        .parent = "memory",
        .arity = {3, ARITY_ANY},
        .flags = CMD_READONLY | CMD_POINT,
        .keys = KEYS_RANGE(2, 2, 1, KEY_RO),
        .categories = "slow",
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Returns the bytes of memory that a key and its value take now.",
        .syntax = "key [SAMPLES count]",
        .run = run_usage,
    },
    {
        .name = "help",
        .parent = "memory",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Returns helpful text about the different subcommands.",
        .syntax = "",
        .run = help_run,
    },
};

const struct command_family memory_family = {
    .name = "memory", .rows = rows, .row_count = ARRAY_COUNT(rows)};
