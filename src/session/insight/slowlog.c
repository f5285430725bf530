/* SPDX-License-Identifier: Apache-2.0 */
/* SLOWLOG. */
#include "base/num.h"
#include "command/args.h"
#include "command/help.h"
#include "session/session_internal.h"

#define GET_DEFAULT 10

static void put_entry(struct reply *reply, const struct slow_entry *entry)
{
    reply_array(reply, 6);
    reply_int(reply, (int64_t)entry->id);
    reply_int(reply, (int64_t)entry->at_s);
    reply_int(reply, (int64_t)entry->us);
    buf_append_slice(reply->out, buf_slice(&entry->argv));
    reply_bulk_str(reply, entry->addr);
    reply_bulk(reply, buf_slice(&entry->name));
}

static int run_get(struct call *call)
{
    struct insight *insight = &call->session->host->hub->insight;
    int64_t wanted = GET_DEFAULT;
    if (call->argc > 3) {
        args_reply_sub_usage(call);
        return 0;
    }
    if (call->argc == 3 && (!num_parse_i64(call->argv[2], &wanted) || wanted < -1)) {
        reply_error(call->reply, "ERR count should be greater than or equal to -1");
        return 0;
    }
    lock_take(&insight->lock);
    size_t count = insight->entry_count;
    if (wanted >= 0 && (uint64_t)wanted < count)
        count = (size_t)wanted;
    reply_array(call->reply, count);
    LIST_EACH(node, next, &insight->entries)
    {
        if (count-- == 0)
            break;
        put_entry(call->reply, LIST_ENTRY(node, struct slow_entry, node));
    }
    lock_drop(&insight->lock);
    return 0;
}

static int run_len(struct call *call)
{
    struct insight *insight = &call->session->host->hub->insight;
    lock_take(&insight->lock);
    reply_int(call->reply, (int64_t)insight->entry_count);
    lock_drop(&insight->lock);
    return 0;
}

static int run_reset(struct call *call)
{
    struct insight *insight = &call->session->host->hub->insight;
    lock_take(&insight->lock);
    insight_reset_slow(insight);
    lock_drop(&insight->lock);
    reply_ok(call->reply);
    return 0;
}

#define SLOWLOG_SUB(sub, hi, hints, from, cost, fn, doc, args)                                     \
    {                                                                                              \
        .name = (sub), .parent = "slowlog", .arity = {2, (hi)},                                    \
        .flags = CMD_ADMIN | CMD_LOADING | CMD_STALE, .scope = SCOPE_NODE,                         \
        .categories = "admin slow dangerous", .tips = (hints), .group = "server", .since = (from), \
        .complexity = (cost), .summary = (doc), .syntax = (args), .run = (fn)                      \
    }

static const struct command_row rows[] = {
    {
        .name = "slowlog",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "2.2.12",
        .complexity = "Depends on subcommand.",
        .summary = "A container for slow log commands.",
        .syntax = "",
    },
    SLOWLOG_SUB("get", ARITY_ANY, "request_policy:all_nodes nondeterministic_output", "2.2.12",
                "O(N) where N is the number of entries returned", run_get,
                "Returns the slow log's entries.", "[count]"),
    {
        .name = "help",
        .parent = "slowlog",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Returns helpful text about the different subcommands.",
        .syntax = "",
        .run = help_run,
    },
    SLOWLOG_SUB("len", 2,
                "request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
                "2.2.12", "O(1)", run_len, "Returns the number of entries in the slow log.", ""),
    SLOWLOG_SUB("reset", 2, "request_policy:all_nodes response_policy:all_succeeded", "2.2.12",
                "O(N) where N is the number of entries in the slow log", run_reset,
                "Clears all entries from the slow log.", ""),
};

const struct command_family slowlog_family = {
    .name = "slowlog", .rows = rows, .row_count = ARRAY_COUNT(rows)};
