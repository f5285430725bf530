/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that are numbers. */
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"
#include "command/string/decimal.h"

/* Adds to the integer at argv[1], which is 0 where there is none; its expiry stays. */
static int change_by(struct call *call, int64_t change)
{
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    int64_t value = 0;
    if (item.type != VALUE_NONE && !num_parse_i64(text, &value)) {
        reply_error(call->reply, TEXT_NOT_INTEGER);
        return 0;
    }
    if (!num_add_i64(value, change, &value)) {
        reply_error(call->reply, "ERR increment or decrement would overflow");
        return 0;
    }
    char digits[NUM_I64_SIZE];
    size_t len = num_format_i64(digits, value);
    args_put_string(call, call->argv[1], slice_of(digits, len), item.expire_at_ms);
    args_notify(call, EVENT_STRING, "incrby", call->argv[1]);
    reply_int(call->reply, value);
    return 0;
}

static int run_incr(struct call *call)
{
    return change_by(call, 1);
}

static int run_decr(struct call *call)
{
    return change_by(call, -1);
}

static int run_incrby(struct call *call)
{
    int64_t change;
    if (!args_integer(call, 2, &change))
        return 0;
    return change_by(call, change);
}

static int run_decrby(struct call *call)
{
    int64_t change;
    if (!args_integer(call, 2, &change))
        return 0;
    if (change == INT64_MIN) {
        reply_error(call->reply, "ERR decrement would overflow");
        return 0;
    }
    return change_by(call, -change);
}

static int run_incrbyfloat(struct call *call)
{
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    struct decimal value = {0};
    struct decimal change;
    if ((item.type != VALUE_NONE && !decimal_parse(text, &value)) ||
        !decimal_parse(call->argv[2], &change)) {
        reply_error(call->reply, TEXT_NOT_FLOAT);
        return 0;
    }
    if (!decimal_add(&value, &change)) {
        reply_error(call->reply, "ERR increment would produce NaN or Infinity");
        return 0;
    }
    char digits[DECIMAL_TEXT_SIZE];
    struct slice sum = slice_of(digits, decimal_format(digits, &value));
    args_put_formed(call, call->argv[1], sum, VALUE_TEXT, item.expire_at_ms);
    args_notify(call, EVENT_STRING, "incrbyfloat", call->argv[1]);
    reply_bulk(call->reply, sum);
    return 0;
}

static const struct command_row rows[] = {
    {
        .id = 20,
        .name = "incr",
        .arity = {2, 2},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Adds one to the integer at a key.",
        .syntax = "key",
        .run = run_incr,
    },
    {
        .id = 21,
        .name = "decr",
        .arity = {2, 2},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Takes one from the integer at a key.",
        .syntax = "key",
        .run = run_decr,
    },
    {
        .id = 22,
        .name = "incrby",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Adds an integer to the one at a key.",
        .syntax = "key increment",
        .run = run_incrby,
    },
    {
        .id = 23,
        .name = "decrby",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Takes an integer from the one at a key.",
        .syntax = "key decrement",
        .run = run_decrby,
    },
    {
        .id = 24,
        .name = "incrbyfloat",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Adds a decimal number to the one at a key, exactly.",
        .syntax = "key increment",
        .run = run_incrbyfloat,
    },
};

const struct command_family string_number_family = {
    .name = "string_number", .rows = rows, .row_count = ARRAY_COUNT(rows)};
