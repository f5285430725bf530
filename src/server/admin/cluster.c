/* SPDX-License-Identifier: Apache-2.0 */
/* CLUSTER and its kin as a node without cluster mode has them: clients ask, and go on by the error.
 */
#include "command/args.h"
#include "server/server.h"

static int run_disabled(struct call *call)
{
    reply_error(call->reply, "ERR This instance has cluster support disabled");
    return 0;
}

#define CLUSTER_ROW(sub, lo, hi, row_flags, row_categories, row_tips, row_since, doc, args) \
    {                                                                                       \
        .name = (sub), .parent = "cluster", .arity = {(lo), (hi)}, .flags = (row_flags),    \
        .scope = SCOPE_NODE, .categories = (row_categories), .tips = (row_tips),            \
        .group = "cluster", .since = (row_since), .complexity = "O(1)",                     \
        .summary = doc " Needs cluster mode.", .syntax = (args), .run = run_disabled,       \
    }
#define FOR_ADMINS "admin slow dangerous"
#define VARIES     "nondeterministic_output"

#define MODE_ROW(row_name, row_flags, doc)                                                         \
    {                                                                                              \
        .name = (row_name), .arity = {1, 1}, .flags = CMD_FAST | (row_flags), .scope = SCOPE_NODE, \
        .categories = "fast connection", .group = "cluster", .since = "3.0.0",                     \
        .complexity = "O(1)", .summary = doc " Needs cluster mode.", .syntax = "",                 \
        .run = run_disabled,                                                                       \
    }

static const struct command_row rows[] = {
    {
        .name = "cluster",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "cluster",
        .since = "3.0.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for commands of cluster mode, which is not there.",
        .syntax = "",
    },
    CLUSTER_ROW("addslots", 3, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Assigns hash slots to the node.", "slot [slot ...]"),
    CLUSTER_ROW("addslotsrange", 4, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING,
                FOR_ADMINS, NULL, "7.0.0", "Assigns ranges of hash slots to the node.",
                "start-slot end-slot [start-slot end-slot ...]"),
    CLUSTER_ROW("bumpepoch", 2, 2, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS, VARIES,
                "3.0.0", "Raises the node's configuration epoch.", ""),
    CLUSTER_ROW("count-failure-reports", 3, 3, CMD_STALE | CMD_ADMIN, FOR_ADMINS, VARIES, "3.0.0",
                "Counts the reports that a node has failed.", "node-id"),
    CLUSTER_ROW("countkeysinslot", 3, 3, CMD_STALE, "slow", NULL, "3.0.0",
                "Counts the keys of a hash slot.", "slot"),
    CLUSTER_ROW("delslots", 3, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Takes hash slots from the node.", "slot [slot ...]"),
    CLUSTER_ROW("delslotsrange", 4, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING,
                FOR_ADMINS, NULL, "7.0.0", "Takes ranges of hash slots from the node.",
                "start-slot end-slot [start-slot end-slot ...]"),
    CLUSTER_ROW("failover", 2, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Makes a replica take over from its master.", "[FORCE | TAKEOVER]"),
    CLUSTER_ROW("flushslots", 2, 2, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS, NULL,
                "3.0.0", "Takes all hash slots from the node.", ""),
    CLUSTER_ROW("forget", 3, 3, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS, NULL,
                "3.0.0", "Removes a node from the table of nodes.", "node-id"),
    CLUSTER_ROW("getkeysinslot", 4, 4, CMD_STALE, "slow", VARIES, "3.0.0",
                "Returns keys of a hash slot.", "slot count"),
    CLUSTER_ROW("help", 2, 2, CMD_STALE | CMD_LOADING, "slow", NULL, "5.0.0",
                "Returns helpful text about the different subcommands.", ""),
    CLUSTER_ROW("info", 2, 2, CMD_STALE, "slow", VARIES, "3.0.0",
                "Returns the state of the cluster.", ""),
    CLUSTER_ROW("keyslot", 3, 3, CMD_STALE, "slow", NULL, "3.0.0",
                "Returns the hash slot of a key.", "key"),
    CLUSTER_ROW("links", 2, 2, CMD_STALE, "slow", VARIES, "7.0.0",
                "Lists the links to other nodes.", ""),
    CLUSTER_ROW("meet", 4, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Makes nodes know each other.", "ip port [cluster-bus-port]"),
    CLUSTER_ROW("myid", 2, 2, CMD_STALE, "slow", NULL, "3.0.0", "Returns the id of the node.", ""),
    CLUSTER_ROW("myshardid", 2, 2, CMD_STALE, "slow", VARIES, "7.2.0",
                "Returns the shard id of the node.", ""),
    CLUSTER_ROW("nodes", 2, 2, CMD_STALE, "slow", VARIES, "3.0.0",
                "Returns how the node sees the cluster.", ""),
    CLUSTER_ROW("replicas", 3, 3, CMD_STALE | CMD_ADMIN, FOR_ADMINS, VARIES, "5.0.0",
                "Lists the replicas of a master.", "node-id"),
    CLUSTER_ROW("replicate", 3, 3, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS, NULL,
                "3.0.0", "Makes the node a replica.", "node-id"),
    CLUSTER_ROW("reset", 2, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NOSCRIPT, FOR_ADMINS, NULL,
                "3.0.0", "Makes the node forget the cluster.", "[HARD | SOFT]"),
    CLUSTER_ROW("saveconfig", 2, 2, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS, NULL,
                "3.0.0", "Saves the state of the cluster to disk.", ""),
    CLUSTER_ROW("set-config-epoch", 3, 3, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Sets the configuration epoch of a new node.", "config-epoch"),
    CLUSTER_ROW("setslot", 4, ARITY_ANY, CMD_STALE | CMD_ADMIN | CMD_NO_ASYNC_LOADING, FOR_ADMINS,
                NULL, "3.0.0", "Binds a hash slot to a node.",
                "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"),
    CLUSTER_ROW("shards", 2, 2, CMD_STALE | CMD_LOADING, "slow", VARIES, "7.0.0",
                "Returns which slots lie on which shards.", ""),
    CLUSTER_ROW("slaves", 3, 3, CMD_STALE | CMD_ADMIN, FOR_ADMINS, VARIES, "3.0.0",
                "Lists the replicas of a master.", "node-id"),
    CLUSTER_ROW("slots", 2, 2, CMD_STALE | CMD_LOADING, "slow", VARIES, "3.0.0",
                "Returns which slots lie on which nodes.", ""),
    MODE_ROW("asking", 0, "Follows a redirection."),
    MODE_ROW("readonly", CMD_LOADING | CMD_STALE, "Reads from a replica."),
    MODE_ROW("readwrite", CMD_LOADING | CMD_STALE, "Reads from a replica no more."),
};

const struct command_family cluster_family = {
    .name = "cluster", .rows = rows, .row_count = ARRAY_COUNT(rows)};
