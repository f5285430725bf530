/* SPDX-License-Identifier: Apache-2.0 */
/* OBJECT: what clients of Redis ask of a value's inside, told by content and form.
 *
 * ENCODING follows from the bytes and the form that stands with them, so that every replica and
 * every start says the same: what was set to an integer is "int", up to 44 bytes are "embstr",
 * more, and what was changed in place, "raw". Values are not shared between keys, but REFCOUNT says
 * what clients know of the integers below 10000: that nobody can count who uses them. Use is
 * counted whatever the policy of eviction, so both FREQ and IDLETIME always have an answer.
 */
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"
#include "command/help.h"

#define INT_MAX_DIGITS  20 /* with the sign */
#define EMBSTR_MAX_SIZE 44
#define SHARED_INTEGERS 10000

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

int string_look_at(struct tx *tx, const struct item *item, struct string_look *out_look)
{
    struct slice value;
    int64_t number;
    bool is_raw = item->form == VALUE_CHANGED || item->size > EMBSTR_MAX_SIZE;
    *out_look = (struct string_look){.encoding = is_raw ? "raw" : "embstr", .refcount = 1};
    if (item->size > INT_MAX_DIGITS || item->form != VALUE_PLAIN)
        return 0;
    int rc = tx_load(tx, item, &value);
    if (rc != 0 || !num_parse_i64(value, &number))
        return rc;
    out_look->encoding = "int";
    if (number >= 0 && number < SHARED_INTEGERS)
        out_look->refcount = INT32_MAX;
    return 0;
}

/* 0, ARGS_REPLIED (it is not there), or a code to return. */
static int look_into_key(struct call *call, struct string_look *out_look)
{
    struct item item;
    int rc = look_at_key(call, &item);
    return rc != 0 ? rc : string_look_at(call->tx, &item, out_look);
}

static int run_encoding(struct call *call)
{
    struct string_look look;
    int rc = look_into_key(call, &look);
    if (rc == 0)
        reply_bulk_str(call->reply, look.encoding);
    return args_stop(rc);
}

static int run_refcount(struct call *call)
{
    struct string_look look;
    int rc = look_into_key(call, &look);
    if (rc == 0)
        reply_int(call->reply, look.refcount);
    return args_stop(rc);
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
    OBJECT_ROW(153, "refcount", "2.2.3",
               "Returns how many keys share the value: 1, or 2147483647 for small integers.",
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
