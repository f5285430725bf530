/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of COMMAND DOCS. */
#include "server/command_internal.h"

#include <ctype.h>

#include "base/attr.h"
#include "command/syntax.h"

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name, slice_str(names[i])))
            return true;
    }
    return false;
}

static const char *type_of_value(struct slice name, const struct command_row *row)
{
    static const char *const keys[] = {"key",     "key1",        "key2",      "newkey",
                                       "destkey", "source",      "sourcekey", "destination",
                                       "channel", "shardchannel"};
    static const char *const integers[] = {
        "bit",           "client-id",      "count",        "cursor",    "db",
        "decrement",     "destination-db", "end",          "frequency", "increment",
        "index",         "index1",         "index2",       "lines",     "milliseconds",
        "min-match-len", "numlocal",       "numreplicas",  "offset",    "port",
        "protover",      "seconds",        "serialnumber", "size",      "slot",
        "start",         "timeout",        "ttl",
    };
    static const char *const times[] = {"unix-time-seconds", "unix-time-milliseconds"};
    if (row->keys.kind != KEY_RULE_NONE && (row->keys.access & KEY_CHANNEL) == 0 &&
        is_one_of(name, keys, ARRAY_COUNT(keys)))
        return "key";
    if (is_one_of(name, integers, ARRAY_COUNT(integers)))
        return slice_is(slice_str(row->name), "incrbyfloat") ? "double" : "integer";
    if (is_one_of(name, times, ARRAY_COUNT(times)))
        return "unix-time";
    return slice_eq(name, SLICE_LIT("pattern")) ? "pattern" : "string";
}

static const char *type_of(const struct syntax_arg *arg, const struct command_row *row)
{
    switch (arg->kind) {
    case SYNTAX_VALUE:
        return type_of_value(arg->name, row);
    case SYNTAX_TOKEN:
        return "pure-token";
    case SYNTAX_CHOICE:
        return "oneof";
    case SYNTAX_BLOCK:
        break;
    }
    return "block";
}

struct docs {
    const struct command_row *row;
    struct syntax syntax;
    unsigned keys; /* named so far */
};

static void reply_name(struct reply *reply, const struct syntax_arg *arg)
{
    struct slice name = arg->kind == SYNTAX_VALUE ? arg->name : arg->token;
    if (name.len == 0)
        name = arg->kind == SYNTAX_CHOICE ? SLICE_LIT("choice") : SLICE_LIT("group");
    reply_bulk_begin(reply, name.len);
    for (size_t i = 0; i < name.len; i++)
        buf_append_byte(reply->out, (uint8_t)tolower(name.data[i]));
    reply_bulk_end(reply);
}

static void reply_flags(struct reply *reply, const struct syntax_arg *arg)
{
    reply_bulk_str(reply, "flags");
    reply_set(reply, (size_t)arg->is_optional + arg->is_multiple + arg->repeats_token);
    if (arg->is_optional)
        reply_status(reply, "optional");
    if (arg->is_multiple)
        reply_status(reply, "multiple");
    if (arg->repeats_token)
        reply_status(reply, "multiple_token");
}

static void reply_arguments(struct reply *reply, struct docs *docs, int first);

static void reply_argument(struct reply *reply, struct docs *docs, const struct syntax_arg *arg)
{
    const char *type = type_of(arg, docs->row);
    bool is_key = slice_is(slice_str(type), "key");
    bool has_flags = arg->is_optional || arg->is_multiple;
    bool has_parts = arg->first_part >= 0;
    reply_map(reply, 2u + !has_parts + is_key + (arg->token.len > 0) + has_flags + has_parts);
    reply_bulk_str(reply, "name");
    reply_name(reply, arg);
    reply_bulk_str(reply, "type");
    reply_bulk_str(reply, type);
    if (!has_parts) {
        reply_bulk_str(reply, "display_text");
        reply_name(reply, arg);
    }
    if (is_key) {
        /* As command_reply_key_specs() numbers them. */
        unsigned last = docs->row->keys.access_to != 0 ? 1 : 0;
        reply_bulk_str(reply, "key_spec_index");
        reply_int(reply, docs->keys < last ? docs->keys : last);
        docs->keys++;
    }
    if (arg->token.len > 0) {
        reply_bulk_str(reply, "token");
        reply_bulk(reply, arg->token);
    }
    if (has_flags)
        reply_flags(reply, arg);
    if (has_parts) {
        reply_bulk_str(reply, "arguments");
        reply_arguments(reply, docs, arg->first_part);
    }
}

/* Depth is that of the brackets in the row's text. */
static void reply_arguments(struct reply *reply, struct docs *docs, int first)
{
    size_t count = 0;
    for (int i = first; i >= 0; i = docs->syntax.args[i].next)
        count++;
    reply_array(reply, count);
    for (int i = first; i >= 0; i = docs->syntax.args[i].next)
        reply_argument(reply, docs, &docs->syntax.args[i]);
}

void command_reply_arguments(struct reply *reply, const struct command_row *row)
{
    struct docs docs = {.row = row};
    syntax_read(row->syntax, &docs.syntax);
    reply_arguments(reply, &docs, docs.syntax.first);
}
