/* SPDX-License-Identifier: Apache-2.0 */
/* OBJECT: what clients of Redis ask of a value's inside, told by its content.
 *
 * Redis answers ENCODING by how a value came about; here it follows from the bytes alone, so that
 * every replica and every start says the same: a string that is an integer is "int", one of up to
 * 44 bytes "embstr", a longer one "raw". Use is counted whatever the policy of eviction, so both
 * FREQ and IDLETIME always have an answer.
 */
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"
#include "command/help.h"

#define INT_MAX_DIGITS  20 /* with the sign */
#define EMBSTR_MAX_SIZE 44

/* Looks argv[2] up without using it. 0, ARGS_REPLIED (it is not there), or a code to return. */
static int look_at_key(struct call *call, struct item *out_item)
{
    int rc = tx_peek(call->tx, call->db, call->argv[2], out_item);
    if (rc != 0)
        return rc;
    if (out_item->type != VALUE_NONE)
        return 0;
    reply_null(call->reply);
    return ARGS_REPLIED;
}

int string_encoding(struct tx *tx, const struct item *item, const char **out_name)
{
    struct slice value;
    int64_t number;
    *out_name = item->size <= EMBSTR_MAX_SIZE ? "embstr" : "raw";
    if (item->size > INT_MAX_DIGITS)
        return 0;
    int rc = tx_load(tx, item, &value);
    if (rc == 0 && num_parse_i64(value, &number))
        *out_name = "int";
    return rc;
}

static int run_encoding(struct call *call)
{
    struct item item;
    const char *name;
    int rc = look_at_key(call, &item);
    if (rc != 0)
        return args_stop(rc);
    rc = string_encoding(call->tx, &item, &name);
    if (rc == 0)
        reply_bulk_str(call->reply, name);
    return rc;
}

static int run_freq(struct call *call)
{
    struct item item;
    int rc = look_at_key(call, &item);
    if (rc == 0)
        reply_int(call->reply, tx_use_of(call->tx, &item).frequency);
    return args_stop(rc);
}

static int run_idletime(struct call *call)
{
    struct item item;
    int rc = look_at_key(call, &item);
    if (rc == 0)
        reply_int(call->reply, tx_use_of(call->tx, &item).idle_s);
    return args_stop(rc);
}

/* Values are never shared between keys. */
static int run_refcount(struct call *call)
{
    struct item item;
    int rc = look_at_key(call, &item);
    if (rc == 0)
        reply_int(call->reply, 1);
    return args_stop(rc);
}

#define OBJECT_ROW(row_id, row_name, row_since, row_summary, row_run)                          \
    {                                                                                          \
        .id = (row_id), .name = (row_name), .parent = "object", .arity = {3, 3},               \
        .flags = CMD_READONLY | CMD_POINT, .keys = KEYS_RANGE(2, 2, 1, KEY_RO),                \
        .categories = "keyspace slow", .tips = "nondeterministic_output", .group = "generic",  \
        .since = (row_since), .complexity = "O(1)", .summary = (row_summary), .syntax = "key", \
        .run = (row_run),                                                                      \
    }

static const struct command_row rows[] = {
    {
        .name = "object",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "generic",
        .since = "2.2.3",
        .complexity = "Depends on subcommand.",
        .summary = "A container for object introspection commands.",
        .syntax = "",
    },
    OBJECT_ROW(150, "encoding", "2.2.3",
               "Returns how Redis would keep the value: int, embstr or raw.", run_encoding),
    OBJECT_ROW(151, "freq", "4.0.0",
               "Returns how often the key is used, on a logarithmic scale from 0 to 255.",
               run_freq),
    OBJECT_ROW(152, "idletime", "2.2.3", "Returns the seconds since the key was last used.",
               run_idletime),
    OBJECT_ROW(153, "refcount", "2.2.3", "Returns how many keys share the value, which is 1.",
               run_refcount),
    {
        .name = "help",
        .parent = "object",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "keyspace slow",
        .group = "generic",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Returns helpful text about the different subcommands.",
        .syntax = "",
        .run = help_run,
    },
};

const struct command_family object_family = {
    .name = "object", .rows = rows, .row_count = ARRAY_COUNT(rows)};
