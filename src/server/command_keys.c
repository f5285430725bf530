/* SPDX-License-Identifier: Apache-2.0 */
/* COMMAND: the keys of a command and what they are used for. */
#include "base/buf.h"
#include "command/args.h"
#include "server/command_internal.h"

/* ---- Flags ---- */

static const struct {
    unsigned access;
    const char *name;
} access_names[] = {
    {KEY_RO, "RO"},         {KEY_RW, "RW"},         {KEY_OW, "OW"},
    {KEY_RM, "RM"},         {KEY_ACCESS, "access"}, {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"}, {KEY_DELETE, "delete"}, {KEY_VARIES, "variable_flags"},
};

static void reply_access(struct reply *reply, unsigned access)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(access_names); i++)
        count += (access & access_names[i].access) != 0;
    reply_set(reply, count);
    for (size_t i = 0; i < ARRAY_COUNT(access_names); i++) {
        if ((access & access_names[i].access) != 0)
            reply_status(reply, access_names[i].name);
    }
}

/* ---- Specifications ---- */

static void reply_spec(struct reply *reply, unsigned access, int first, int last, int step)
{
    reply_map(reply, 3);
    reply_bulk_str(reply, "flags");
    reply_access(reply, access);
    reply_bulk_str(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_str(reply, "type");
    reply_bulk_str(reply, "index");
    reply_bulk_str(reply, "spec");
    reply_map(reply, 1);
    reply_bulk_str(reply, "index");
    reply_int(reply, first);
    reply_bulk_str(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_str(reply, "type");
    reply_bulk_str(reply, "range");
    reply_bulk_str(reply, "spec");
    reply_map(reply, 3);
    reply_bulk_str(reply, "lastkey");
    reply_int(reply, last < 0 ? last : last - first);
    reply_bulk_str(reply, "keystep");
    reply_int(reply, step);
    reply_bulk_str(reply, "limit");
    reply_int(reply, 0);
}

void command_reply_key_specs(struct reply *reply, const struct command_row *row)
{
    const struct key_rule *rule = &row->keys;
    if (rule->kind != KEY_RULE_RANGE) {
        reply_set(reply, 0);
        return;
    }
    if (rule->access_to == 0) {
        reply_set(reply, 1);
        reply_spec(reply, rule->access, rule->first, rule->last, rule->step);
        return;
    }
    reply_set(reply, 2);
    reply_spec(reply, rule->access, rule->first, rule->first, 1);
    reply_spec(reply, rule->access_to, rule->first + rule->step, rule->last, rule->step);
}

/* ---- GETKEYS and GETKEYSANDFLAGS ---- */

struct key_list {
    struct reply *reply;
    const struct key_rule *rule;
    unsigned access; /* of the first key */
    bool has_flags;
    size_t count;
};

static void add_key(void *ctx, uint16_t db, struct slice key)
{
    (void)db;
    struct key_list *list = ctx;
    if (list->has_flags)
        reply_array(list->reply, 2);
    reply_bulk(list->reply, key);
    if (list->has_flags) {
        bool is_other = list->count > 0 && list->rule->access_to != 0;
        reply_access(list->reply, is_other ? list->rule->access_to : list->access);
    }
    list->count++;
}

/* What the first key is used for by this request. */
static unsigned access_of(const struct command_row *row, const struct slice *argv, uint32_t argc)
{
    unsigned access = row->keys.access;
    if ((access & KEY_VARIES) == 0)
        return access;
    if (row->keys.access_fn != NULL)
        return row->keys.access_fn(argv, argc);
    for (uint32_t i = row->arity.min; i < argc; i++) {
        if (slice_is(argv[i], "get"))
            return access & ~(unsigned)KEY_VARIES;
    }
    return KEY_OW | KEY_UPDATE;
}

static void reply_keys(struct call *call, const struct command_row *row, bool has_flags)
{
    const struct slice *argv = call->argv + 2;
    uint32_t argc = call->argc - 2;
    struct buf body = {0};
    struct reply inner = reply_to(&body, call->reply->proto);
    struct key_list list = {.reply = &inner,
                            .rule = &row->keys,
                            .access = access_of(row, argv, argc),
                            .has_flags = has_flags};
    if (command_keys(call->table, row, &(struct request){.argv = argv, .argc = argc}, add_key,
                     &list) == KEYS_MALFORMED ||
        list.count == 0) {
        reply_error(call->reply, "ERR Invalid arguments specified for command");
    } else {
        reply_array(call->reply, list.count);
        buf_append_slice(call->reply->out, buf_slice(&body));
    }
    buf_fini(&body);
}

static int run(struct call *call, bool has_flags)
{
    const struct command_row *parent;
    const struct command_row *row =
        command_find(call->table, call->argv + 2, call->argc - 2, &parent);
    if (row == NULL)
        reply_error(call->reply, "ERR Invalid command specified");
    else if (row->keys.kind == KEY_RULE_NONE)
        reply_error(call->reply, "ERR The command has no key arguments");
    else if (!command_arity_fits(row, call->argc - 2))
        reply_error(call->reply, "ERR Invalid number of arguments specified for command");
    else
        reply_keys(call, row, has_flags);
    return 0;
}

int command_run_getkeys(struct call *call)
{
    return run(call, false);
}

int command_run_getkeysandflags(struct call *call)
{
    return run(call, true);
}
