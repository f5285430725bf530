/* SPDX-License-Identifier: Apache-2.0 */
/* COMMAND and its subcommands, answered from the rows. */
#include <stdio.h>

#include "base/glob.h"
#include "base/mem.h"
#include "command/args.h"
#include "command/catalogue.h"
#include "command/help.h"
#include "server/command_internal.h"
#include "server/server.h"

/* ---- One row ---- */

static const struct {
    unsigned flag;
    const char *name;
} flag_names[] = {
    {CMD_WRITE, "write"},
    {CMD_READONLY, "readonly"},
    {CMD_DENYOOM, "denyoom"},
    {CMD_ADMIN, "admin"},
    {CMD_PUBSUB, "pubsub"},
    {CMD_NOSCRIPT, "noscript"},
    {CMD_LOADING, "loading"},
    {CMD_STALE, "stale"},
    {CMD_FAST, "fast"},
    {CMD_NO_AUTH, "no_auth"},
    {CMD_NO_MULTI, "no_multi"},
    {CMD_SKIP_MONITOR, "skip_monitor"},
    {CMD_SKIP_SLOWLOG, "skip_slowlog"},
    {CMD_ALLOW_BUSY, "allow_busy"},
    {CMD_NO_ASYNC_LOADING, "no_async_loading"},
};

/* The flags that clients are told of. */
static unsigned shown_flags(const struct command_row *row)
{
    if ((row->flags & CMD_SHOWN_READ) == 0)
        return row->flags;
    return (row->flags & ~(unsigned)CMD_WRITE) | CMD_READONLY;
}

static void reply_flags(struct reply *reply, const struct command_row *row)
{
    unsigned flags = shown_flags(row);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(flag_names); i++)
        count += (flags & flag_names[i].flag) != 0;
    bool is_movable = row->keys.kind == KEY_RULE_NUMKEYS || row->keys.kind == KEY_RULE_FN;
    reply_set(reply, count + is_movable);
    for (size_t i = 0; i < ARRAY_COUNT(flag_names); i++) {
        if ((flags & flag_names[i].flag) != 0)
            reply_status(reply, flag_names[i].name);
    }
    if (is_movable)
        reply_status(reply, "movablekeys");
}

static void reply_word(void *ctx, struct slice word)
{
    reply_bulk(ctx, word);
}

/* Calls back for every blank-separated word. */
static size_t each_word(const char *list, void (*on_word)(void *ctx, struct slice word), void *ctx)
{
    size_t count = 0;
    struct slice rest = slice_str(list == NULL ? "" : list);
    while (rest.len > 0) {
        const uint8_t *blank = memchr(rest.data, ' ', rest.len);
        size_t len = blank == NULL ? rest.len : (size_t)(blank - rest.data);
        if (len > 0) {
            count++;
            if (on_word != NULL)
                on_word(ctx, slice_sub(rest, 0, len));
        }
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
    return count;
}

static void reply_category(void *ctx, struct slice word)
{
    char text[64];
    size_t len = word.len < sizeof(text) - 2 ? word.len : sizeof(text) - 2;
    text[0] = '@';
    memcpy(text + 1, word.data, len);
    text[len + 1] = '\0';
    reply_status(ctx, text);
}

/* The category that the flags tell, or NULL. */
static const char *category_of_flags(const struct command_row *row)
{
    if ((shown_flags(row) & CMD_WRITE) != 0)
        return "write";
    return (shown_flags(row) & CMD_READONLY) != 0 ? "read" : NULL;
}

static void reply_categories(struct reply *reply, const struct command_row *row)
{
    const char *more = category_of_flags(row);
    reply_set(reply, each_word(row->categories, NULL, NULL) + (more != NULL ? 1u : 0u));
    if (more != NULL)
        reply_category(reply, slice_str(more));
    each_word(row->categories, reply_category, reply);
}

static void full_name(const struct command_row *row, char *to, size_t size)
{
    snprintf(to, size, "%s%s%s", row->parent == NULL ? "" : row->parent,
             row->parent == NULL ? "" : "|", row->name);
}

static bool is_sub_of(const struct command_row *row, const struct command_row *container)
{
    return row->parent != NULL && container->parent == NULL &&
           strcmp(row->parent, container->name) == 0;
}

static size_t sub_count(const struct command_table *table, const struct command_row *row)
{
    size_t count = 0;
    for (size_t i = 0; i < command_row_count(table); i++)
        count += is_sub_of(command_at(table, i), row) ? 1u : 0u;
    return count;
}

static void reply_row_flat(struct reply *reply, const struct command_row *row)
{
    char name[64];
    full_name(row, name, sizeof(name));
    bool has_range = row->keys.kind == KEY_RULE_RANGE;
    reply_array(reply, 10);
    reply_bulk_str(reply, name);
    reply_int(reply, command_signed_arity(row));
    reply_flags(reply, row);
    reply_int(reply, has_range ? row->keys.first : 0);
    reply_int(reply, has_range ? row->keys.last : 0);
    reply_int(reply, has_range ? row->keys.step : 0);
    reply_categories(reply, row);
    reply_set(reply, each_word(row->tips, NULL, NULL));
    each_word(row->tips, reply_word, reply);
    command_reply_key_specs(reply, row);
}

static void reply_row(struct reply *reply, const struct command_table *table,
                      const struct command_row *row)
{
    reply_row_flat(reply, row);
    size_t count = sub_count(table, row);
    if (count == 0)
        reply_set(reply, 0);
    else
        reply_array(reply, count);
    for (size_t i = 0; i < command_row_count(table); i++) {
        const struct command_row *sub = command_at(table, i);
        if (!is_sub_of(sub, row))
            continue;
        reply_row_flat(reply, sub);
        reply_set(reply, 0);
    }
}

/* ---- Finding rows by name ---- */

/* "get" or "config|get". */
static const struct command_row *row_named(const struct command_table *table, struct slice name)
{
    const uint8_t *bar = name.len == 0 ? NULL : memchr(name.data, '|', name.len);
    const struct command_row *parent;
    if (bar == NULL)
        return command_find(table, &name, 1, &parent);
    size_t len = (size_t)(bar - name.data);
    struct slice words[] = {slice_sub(name, 0, len), slice_sub(name, len + 1, SIZE_MAX)};
    const struct command_row *row = command_find(table, words, 2, &parent);
    return row != NULL && row->parent != NULL ? row : NULL;
}

static void reply_all(struct reply *reply, const struct command_table *table)
{
    reply_array(reply, command_count(table));
    for (size_t i = 0; i < command_row_count(table); i++) {
        if (command_at(table, i)->parent == NULL)
            reply_row(reply, table, command_at(table, i));
    }
}

static int run_command(struct call *call)
{
    reply_all(call->reply, call->table);
    return 0;
}

static int run_count(struct call *call)
{
    reply_int(call->reply, (int64_t)command_count(call->table));
    return 0;
}

static int run_info(struct call *call)
{
    if (call->argc == 2) {
        reply_all(call->reply, call->table);
        return 0;
    }
    reply_array(call->reply, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++) {
        const struct command_row *row = row_named(call->table, call->argv[i]);
        if (row == NULL)
            reply_null(call->reply);
        else
            reply_row(call->reply, call->table, row);
    }
    return 0;
}

/* ---- DOCS ---- */

static void reply_doc(struct reply *reply, const struct command_table *table,
                      const struct command_row *row, bool with_subs)
{
    char name[64];
    full_name(row, name, sizeof(name));
    size_t subs = with_subs ? sub_count(table, row) : 0;
    reply_bulk_str(reply, name);
    reply_map(reply, 4u + (row->syntax[0] != '\0' ? 1u : 0u) + (subs > 0 ? 1u : 0u));
    reply_bulk_str(reply, "summary");
    reply_bulk_str(reply, row->summary);
    reply_bulk_str(reply, "since");
    reply_bulk_str(reply, row->since);
    reply_bulk_str(reply, "group");
    reply_bulk_str(reply, row->group);
    reply_bulk_str(reply, "complexity");
    reply_bulk_str(reply, row->complexity);
    if (row->syntax[0] != '\0') {
        reply_bulk_str(reply, "arguments");
        command_reply_arguments(reply, row);
    }
    if (subs == 0)
        return;
    reply_bulk_str(reply, "subcommands");
    reply_map(reply, subs);
    for (size_t i = 0; i < command_row_count(table); i++) {
        if (is_sub_of(command_at(table, i), row))
            reply_doc(reply, table, command_at(table, i), false);
    }
}

static int run_docs(struct call *call)
{
    if (call->argc == 2) {
        reply_map(call->reply, command_count(call->table));
        for (size_t i = 0; i < command_row_count(call->table); i++) {
            if (command_at(call->table, i)->parent == NULL)
                reply_doc(call->reply, call->table, command_at(call->table, i), true);
        }
        return 0;
    }
    size_t known = 0;
    for (uint32_t i = 2; i < call->argc; i++)
        known += row_named(call->table, call->argv[i]) != NULL ? 1u : 0u;
    reply_map(call->reply, known);
    for (uint32_t i = 2; i < call->argc; i++) {
        const struct command_row *row = row_named(call->table, call->argv[i]);
        if (row != NULL)
            reply_doc(call->reply, call->table, row, true);
    }
    return 0;
}

/* ---- LIST ---- */

struct word_search {
    struct slice wanted;
    bool is_found;
};

static void compare_word(void *ctx, struct slice word)
{
    struct word_search *search = ctx;
    search->is_found |= slice_eq_nocase(search->wanted, word);
}

static bool is_in_category(const struct command_row *row, struct slice category)
{
    struct word_search search = {.wanted = category};
    each_word(row->categories, compare_word, &search);
    each_word(category_of_flags(row), compare_word, &search);
    return search.is_found;
}

enum list_filter { LIST_ALL, LIST_PATTERN, LIST_CATEGORY, LIST_MODULE };

static int run_list(struct call *call)
{
    enum list_filter filter = LIST_ALL;
    if (call->argc == 5 && slice_is(call->argv[2], "filterby")) {
        if (slice_is(call->argv[3], "pattern"))
            filter = LIST_PATTERN;
        else if (slice_is(call->argv[3], "aclcat"))
            filter = LIST_CATEGORY;
        else if (slice_is(call->argv[3], "module"))
            filter = LIST_MODULE;
    }
    if (call->argc != 2 && filter == LIST_ALL) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    size_t mark = reply_array_begin(call->reply);
    size_t count = 0;
    for (size_t i = 0; i < command_row_count(call->table); i++) {
        const struct command_row *row = command_at(call->table, i);
        char name[64];
        full_name(row, name, sizeof(name));
        bool is_wanted =
            filter == LIST_ALL ||
            (filter == LIST_PATTERN && glob_match(call->argv[4], slice_str(name), true)) ||
            (filter == LIST_CATEGORY && is_in_category(row, call->argv[4]));
        if (!is_wanted)
            continue;
        reply_bulk_str(call->reply, name);
        count++;
    }
    reply_array_end(call->reply, mark, count);
    return 0;
}

#define COMMAND_SUB(sub, lo, hi, hints, from, fn, doc, args)                                    \
    {                                                                                           \
        .name = (sub), .parent = "command", .arity = {(lo), (hi)},                              \
        .flags = CMD_LOADING | CMD_STALE, .scope = SCOPE_NODE, .categories = "slow connection", \
        .tips = (hints), .group = "server", .since = (from),                                    \
        .complexity = "O(N) where N is the number of commands", .summary = (doc),               \
        .syntax = (args), .run = (fn),                                                          \
    }
#define NO_ORDER "nondeterministic_output_order"

static const struct command_row rows[] = {
    {
        .name = "command",
        .arity = {1, ARITY_ANY},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow connection",
        .tips = "nondeterministic_output_order",
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(N) where N is the total number of Redis commands",
        .summary = "Returns detailed information about all commands.",
        .syntax = "",
        .run = run_command,
    },
    COMMAND_SUB("count", 2, 2, NULL, "2.8.13", run_count, "Returns a count of commands.", ""),
    COMMAND_SUB("info", 2, ARITY_ANY, NO_ORDER, "2.8.13", run_info,
                "Returns information about one, multiple or all commands.",
                "[command-name [command-name ...]]"),
    COMMAND_SUB("docs", 2, ARITY_ANY, NO_ORDER, "7.0.0", run_docs,
                "Returns documentary information about one, multiple or all commands.",
                "[command-name [command-name ...]]"),
    COMMAND_SUB("list", 2, ARITY_ANY, NO_ORDER, "7.0.0", run_list,
                "Returns a list of command names.",
                "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]"),
    COMMAND_SUB("help", 2, 2, NULL, "5.0.0", help_run,
                "Returns helpful text about the different subcommands.", ""),
    COMMAND_SUB("getkeys", 3, ARITY_ANY, NULL, "2.8.13", command_run_getkeys,
                "Extracts the key names from an arbitrary command.", "command [arg [arg ...]]"),
    COMMAND_SUB("getkeysandflags", 3, ARITY_ANY, NULL, "7.0.0", command_run_getkeysandflags,
                "Extracts the key names and access flags for an arbitrary command.",
                "command [arg [arg ...]]"),
};

const struct command_family command_family = {
    .name = "command", .rows = rows, .row_count = ARRAY_COUNT(rows)};
