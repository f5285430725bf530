/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>

#include "command/args.h"
#include "command/catalogue.h"
#include "command/families.h"
#include "command/rename.h"
#include "command/transaction.h"
#include "support/cmocka.h"
#include "support/commandbench.h"

/* Ids stand in logs of any age. A line here may be added, never changed or taken out. */
static const struct {
    uint16_t id;
    const char *name;
    bool is_write;
} frozen[] = {
    {1, "get", false},
    {2, "set", true},
    {3, "getset", true},
    {4, "getdel", true},
    {5, "getex", true},
    {6, "setnx", true},
    {7, "setex", true},
    {8, "psetex", true},
    {9, "mget", false},
    {10, "mset", true},
    {11, "msetnx", true},
    {20, "incr", true},
    {21, "decr", true},
    {22, "incrby", true},
    {23, "decrby", true},
    {24, "incrbyfloat", true},
    {40, "append", true},
    {41, "strlen", false},
    {42, "getrange", false},
    {43, "setrange", true},
    {44, "substr", false},
    {48, "lcs", false},
    {60, "setbit", true},
    {61, "getbit", false},
    {62, "bitcount", false},
    {63, "bitpos", false},
    {64, "bitop", true},
    {65, "bitfield", true},
    {66, "bitfield_ro", false},
    {70, "pfadd", true},
    {71, "pfcount", true},
    {72, "pfmerge", true},
    {73, "pfdebug", true},
    {100, "del", true},
    {101, "unlink", true},
    {102, "exists", false},
    {103, "type", false},
    {104, "touch", false},
    {105, "rename", true},
    {106, "renamenx", true},
    {107, "copy", true},
    {108, "move", true},
    {110, "dbsize", false},
    {111, "flushdb", true},
    {112, "flushall", true},
    {113, "randomkey", false},
    {114, "swapdb", true},
    {115, "dump", false},
    {116, "restore", true},
    {120, "expire", true},
    {121, "pexpire", true},
    {122, "expireat", true},
    {123, "pexpireat", true},
    {124, "ttl", false},
    {125, "pttl", false},
    {126, "expiretime", false},
    {127, "pexpiretime", false},
    {128, "persist", true},
    {140, "keys", false},
    {141, "scan", false},
    {150, "encoding", false},
    {151, "freq", false},
    {152, "idletime", false},
    {153, "refcount", false},
    {160, "object", false},
    {161, "digest", false},
    {162, "digest-value", false},
    {163, "populate", true},
    {170, "usage", false},
    {200, "exec", true},
    {201, "exec", false},
};

static int make_table(void **state)
{
    *state = commandbench_table();
    return 0;
}

static int free_table(void **state)
{
    command_table_free(*state);
    return 0;
}

static const struct command_row *find(const struct command_table *table, const char *name)
{
    struct slice argv = slice_str(name);
    const struct command_row *parent;
    return command_find(table, &argv, 1, &parent);
}

static void ids_are_frozen(void **state)
{
    const struct command_table *table = *state;
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_COUNT(frozen); i++) {
        const struct command_row *row = command_by_id(table, frozen[i].id);
        assert_non_null(row);
        assert_int_equal(row->id, frozen[i].id);
        assert_string_equal(row->name, frozen[i].name);
        assert_int_equal((row->flags & CMD_WRITE) != 0, frozen[i].is_write);
    }
    for (uint32_t id = 0; id <= UINT16_MAX; id++)
        found += command_by_id(table, (uint16_t)id) != NULL;
    assert_int_equal(found, ARRAY_COUNT(frozen));
}

static void check_row(const struct command_row *row)
{
    bool is_write = (row->flags & CMD_WRITE) != 0;
    bool is_read = (row->flags & CMD_READONLY) != 0;
    assert_int_equal(is_write + is_read, row->scope == SCOPE_NODE ? 0 : 1);
    assert_int_equal(row->id == 0, row->scope == SCOPE_NODE);
    bool is_container = row->run == NULL;
    if (is_container)
        assert_true(row->scope == SCOPE_NODE && row->parent == NULL);
    assert_true(row->arity.min >= 1 && row->arity.min <= row->arity.max);
    for (const char *at = row->name; *at != '\0'; at++)
        if ((row->flags & CMD_POINT) != 0)
            assert_true(is_read);
    if ((row->flags & (CMD_DENYOOM | CMD_SHOWN_READ)) != 0 || row->peek != NULL)
        assert_true(is_write);
    if (row->scope != SCOPE_KEYS)
        assert_int_equal(row->keys.kind, KEY_RULE_NONE);
    else
        assert_true(row->keys.kind != KEY_RULE_NONE);
    if (row->keys.kind == KEY_RULE_RANGE) {
        assert_in_range(row->keys.first, 1, row->arity.min - 1);
        if (row->keys.last >= 0)
            assert_in_range(row->keys.last, row->keys.first, row->arity.min - 1);
        assert_true(row->keys.step >= 1);
    }
    if (row->keys.kind != KEY_RULE_NONE)
        assert_true(row->keys.access != 0);
    assert_true(strlen(row->summary) > 10 && row->summary[strlen(row->summary) - 1] == '.');
    assert_true(strlen(row->complexity) > 0 && strlen(row->since) > 0 && strlen(row->group) > 0);
    assert_true(row->syntax != NULL &&
                (is_container || row->arity.max == (row->parent == NULL ? 1u : 2u)) ==
                    (row->syntax[0] == '\0'));
    bool is_fast = strstr(row->categories, "fast") != NULL;
    assert_true(is_fast != (strstr(row->categories, "slow") != NULL));
    assert_int_equal(is_fast, (row->flags & CMD_FAST) != 0);
}

static void rows_are_sound(void **state)
{
    const struct command_table *table = *state;
    char before[64] = "";
    for (size_t i = 0; i < command_row_count(table); i++) {
        const struct command_row *row = command_at(table, i);
        char name[64];
        snprintf(name, sizeof(name), "%s%s%s", row->parent == NULL ? "" : row->parent,
                 row->parent == NULL ? "" : "|", row->name);
        check_row(row);
        assert_true(strcmp(before, name) < 0); /* sorted and unique */
        memcpy(before, name, sizeof(before));
        if (row->parent == NULL)
            assert_ptr_equal(find(table, row->name), row);
    }
    for (size_t i = 0; i < ARRAY_COUNT(frozen); i++)
        check_row(command_by_id(table, frozen[i].id));
}

/* What COMMAND shows of EXEC is what a client may send; the two that run are found by id alone. */
static void clients_see_one_exec(void **state)
{
    const struct command_table *table = *state;
    size_t count = 0;
    for (size_t i = 0; i < command_row_count(table); i++)
        count += strcmp(command_at(table, i)->name, "exec") == 0;
    assert_int_equal(count, 1);
    const struct command_row *exec = find(table, "exec");
    assert_int_equal(command_signed_arity(exec), 1);
    assert_int_equal(exec->scope, SCOPE_NODE);
    assert_true((exec->flags & CMD_IN_MULTI_NOW) != 0);
    assert_ptr_equal(command_by_id(table, 200), transaction_row(true));
    assert_ptr_equal(command_by_id(table, 201), transaction_row(false));
}

static void names_are_found(void **state)
{
    const struct command_table *table = *state;
    assert_string_equal(find(table, "GeT")->name, "get");
    assert_null(find(table, "gett"));
    assert_null(find(table, ""));
    char longest[80];
    memset(longest, 'x', sizeof(longest));
    longest[79] = '\0';
    assert_null(find(table, longest));
    struct slice with_zero = SLICE_LIT("get\0");
    const struct command_row *parent;
    assert_null(command_find(table, &with_zero, 1, &parent));
}

/* ---- Containers ---- */

static int run_nothing(struct call *call)
{
    (void)call;
    return 0;
}

/* Every byte of a name counts, however close another one's bits are. */
static void only_names_are_found(void **state)
{
    for (size_t i = 0; i < command_row_count(*state); i++) {
        const struct command_row *row = command_at(*state, i);
        if (row->parent != NULL)
            continue;
        uint8_t name[64];
        size_t len = strlen(row->name);
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                memcpy(name, row->name, len);
                name[at] = (uint8_t)byte;
                struct slice argv = slice_of(name, len);
                const struct command_row *parent;
                const struct command_row *found = command_find(*state, &argv, 1, &parent);
                bool is_name = found != NULL && slice_is(argv, found->name);
                assert_true(found == NULL || is_name);
                assert_true(found == row || !slice_is(argv, row->name));
            }
        }
        memcpy(name, row->name, len);
        name[len] = 0;
        struct slice longer = slice_of(name, len + 1);
        const struct command_row *parent;
        assert_null(command_find(*state, &longer, 1, &parent));
    }
    const struct command_row *parent;
    assert_null(command_find(*state, &SLICE_EMPTY, 1, &parent));
}

static void subcommands(void **state)
{
    (void)state;
    static const struct command_row rows[] = {
        {.name = "list", .parent = "box", .arity = {2, 2}, .scope = SCOPE_NODE, .run = run_nothing},
        {.name = "box", .arity = {2, ARITY_ANY}, .scope = SCOPE_NODE},
        {.name = "both", .arity = {1, 1}, .scope = SCOPE_NODE, .run = run_nothing},
        {.name = "one", .parent = "both", .arity = {2, 2}, .scope = SCOPE_NODE, .run = run_nothing},
    };
    const struct command_family family = {.name = "test", .rows = rows, .row_count = 4};
    const struct command_family *families[] = {&family};
    struct command_table *table = command_table_new(families, 1);
    const struct command_row *parent;
    struct slice argv[] = {SLICE_LIT("BOX"), SLICE_LIT("LIST")};
    assert_ptr_equal(command_find(table, argv, 2, &parent), &rows[0]);
    argv[1] = SLICE_LIT("other");
    assert_null(command_find(table, argv, 2, &parent));
    assert_ptr_equal(parent, &rows[1]);
    argv[0] = SLICE_LIT("both");
    assert_ptr_equal(command_find(table, argv, 1, &parent), &rows[2]);
    assert_null(command_find(table, argv, 2, &parent));
    assert_ptr_equal(parent, &rows[2]);
    assert_int_equal(command_count(table), 2);
    assert_ptr_equal(command_at(table, 0), &rows[2]);
    assert_ptr_equal(command_at(table, 1), &rows[3]);
    assert_ptr_equal(command_at(table, 2), &rows[1]);
    struct buf out = {0};
    struct reply reply = reply_to(&out, 2);
    args_reply_unknown_sub(&reply, &rows[1], SLICE_LIT("other"));
    args_reply_arity(&reply, &rows[0]);
    buf_append_byte(&out, '\0');
    assert_string_equal((char *)out.data,
                        "-ERR unknown subcommand 'other'. Try BOX HELP.\r\n"
                        "-ERR wrong number of arguments for 'box|list' command\r\n");
    buf_fini(&out);
    command_table_free(table);
}

/* ---- Other names ---- */

static int rename_to(struct command_table *table, const char *from, const char *to)
{
    return command_table_rename(table, slice_str(from), slice_str(to));
}

static void a_renamed_command_has_one_name(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    const struct command_row *get = find(table, "get");
    size_t count = command_count(table);
    assert_int_equal(rename_to(table, "GET", "Fetch"), 0);
    assert_ptr_equal(find(table, "fetch"), get);
    assert_null(find(table, "get"));
    assert_ptr_equal(command_by_own_name(table, "get"), get);
    assert_null(command_by_own_name(table, "fetch"));
    assert_int_equal(command_count(table), count);
    /* A name that has become free may be taken. */
    const struct command_row *set = find(table, "set");
    assert_int_equal(rename_to(table, "set", "get"), 0);
    assert_ptr_equal(find(table, "GET"), set);
    assert_int_equal(rename_to(table, "get", "set"), 0);
    assert_int_equal(rename_to(table, "fetch", "get"), 0);
    assert_ptr_equal(find(table, "get"), get);
    command_table_free(table);
}

static void a_command_renamed_to_nothing_is_gone(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    const struct command_row *get = find(table, "get");
    size_t count = command_count(table);
    assert_int_equal(rename_to(table, "get", ""), 0);
    assert_null(find(table, "get"));
    assert_non_null(find(table, "getset"));
    assert_int_equal(command_count(table), count - 1);
    for (size_t i = 0; i < command_row_count(table); i++)
        assert_ptr_not_equal(command_at(table, i), get);
    assert_ptr_equal(command_by_own_name(table, "get"), get);
    assert_ptr_equal(command_by_id(table, get->id), get);
    command_table_free(table);
}

static void a_container_takes_its_subcommands_along(void **state)
{
    (void)state;
    static const struct command_row rows[] = {
        {.name = "a", .arity = {1, 1}, .scope = SCOPE_NODE, .run = run_nothing},
        {.name = "box", .arity = {2, ARITY_ANY}, .scope = SCOPE_NODE},
        {.name = "list", .parent = "box", .arity = {2, 2}, .scope = SCOPE_NODE, .run = run_nothing},
        {.name = "z", .arity = {1, 1}, .scope = SCOPE_NODE, .run = run_nothing},
    };
    const struct command_family family = {.name = "test", .rows = rows, .row_count = 4};
    const struct command_family *families[] = {&family};
    struct command_table *table = command_table_new(families, 1);
    const struct command_row *parent;
    struct slice argv[] = {SLICE_LIT("chest"), SLICE_LIT("LIST")};
    assert_int_equal(rename_to(table, "box", "chest"), 0);
    assert_ptr_equal(command_find(table, argv, 2, &parent), &rows[2]);
    assert_int_equal(rename_to(table, "chest", ""), 0);
    assert_null(command_find(table, argv, 2, &parent));
    assert_null(parent);
    assert_int_equal(command_count(table), 2);
    assert_int_equal(command_row_count(table), 2);
    assert_ptr_equal(command_at(table, 0), &rows[0]);
    assert_ptr_equal(command_at(table, 1), &rows[3]);
    command_table_free(table);
}

static void what_cannot_be_renamed(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    char longest[80];
    memset(longest, 'x', sizeof(longest));
    longest[79] = '\0';
    assert_int_equal(rename_to(table, "nosuch", "x"), ERR_NOT_FOUND);
    assert_int_equal(rename_to(table, "", "x"), ERR_NOT_FOUND);
    assert_int_equal(rename_to(table, "get", "SET"), ERR_EXISTS);
    assert_int_equal(rename_to(table, "get", "get"), ERR_EXISTS);
    assert_int_equal(rename_to(table, "get", longest), ERR_TOO_BIG);
    assert_non_null(find(table, "get"));
    command_table_free(table);
}

/* ---- Keys ---- */

struct found_keys {
    char text[256];
};

static void add_key(void *ctx, uint16_t db, struct slice key)
{
    struct found_keys *found = ctx;
    size_t len = strlen(found->text);
    snprintf(found->text + len, sizeof(found->text) - len, "%u:%.*s ", db, SLICE_FMT(key));
}

static void expect_keys(const struct command_table *table, const struct command_row *row,
                        const char *const *words, enum keys_found want, const char *want_keys)
{
    struct slice argv[16];
    uint32_t argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = slice_str(words[argc]);
    struct found_keys found = {.text = ""};
    assert_int_equal(command_keys(table, row,
                                  &(struct request){.argv = argv, .argc = argc, .db = 3}, add_key,
                                  &found),
                     want);
    assert_string_equal(found.text, want_keys);
}

static void keys_of_commands(void **state)
{
    const struct command_table *table = *state;
    expect_keys(table, find(table, "get"), (const char *[]){"get", "a", NULL}, KEYS_FOUND, "3:a ");
    expect_keys(table, find(table, "mget"), (const char *[]){"mget", "a", "b", "a", NULL},
                KEYS_FOUND, "3:a 3:b 3:a ");
    expect_keys(table, find(table, "mset"), (const char *[]){"mset", "a", "1", "b", "2", NULL},
                KEYS_FOUND, "3:a 3:b ");
    expect_keys(table, find(table, "mset"), (const char *[]){"mset", "a", "1", "b", NULL},
                KEYS_FOUND, "3:a 3:b ");
    expect_keys(table, find(table, "copy"), (const char *[]){"copy", "a", "b", "DB", "1", NULL},
                KEYS_FOUND, "3:a 3:b ");
    expect_keys(table, find(table, "rename"), (const char *[]){"rename", "a", NULL}, KEYS_MALFORMED,
                "");
    expect_keys(table, find(table, "flushall"), (const char *[]){"flushall", NULL}, KEYS_EVERYWHERE,
                "");
    expect_keys(table, find(table, "scan"), (const char *[]){"scan", "0", NULL}, KEYS_EVERYWHERE,
                "");
}

static void keys_behind_their_number(void **state)
{
    const struct command_table *table = *state;
    const struct command_row row = {
        .name = "many",
        .arity = {3, ARITY_ANY},
        .keys = {.kind = KEY_RULE_NUMKEYS, .first = 1, .access = KEY_RO},
    };
    expect_keys(table, &row, (const char *[]){"many", "2", "a", "b", "c", NULL}, KEYS_FOUND,
                "3:a 3:b ");
    const char *bad[] = {"0", "4", "-1", "x", "9223372036854775807", ""};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        expect_keys(table, &row, (const char *[]){"many", bad[i], "a", "b", "c", NULL},
                    KEYS_MALFORMED, "");
}

static void arity_as_redis_writes_it(void **state)
{
    const struct command_table *table = *state;
    assert_int_equal(command_signed_arity(find(table, "get")), 2);
    assert_int_equal(command_signed_arity(find(table, "set")), -3);
    assert_int_equal(command_signed_arity(find(table, "dbsize")), 1);
    assert_true(command_arity_fits(find(table, "set"), 100));
    assert_false(command_arity_fits(find(table, "set"), 2));
    assert_false(command_arity_fits(find(table, "get"), 3));
}

static void unknown_commands_are_named(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){0});
    commandbench_expect(bench, "foo", "-ERR unknown command 'foo', with args beginning with: ");
    commandbench_expect(bench, "Foo a \"b c\"",
                        "-ERR unknown command 'Foo', with args beginning with: 'a' 'b c' ");
    char line[600];
    memset(line, 'x', sizeof(line));
    memcpy(line, "foo ", 4);
    line[599] = '\0';
    assert_in_range(strlen(commandbench_run(bench, line)), 150, 200);
    line[3] = 'x';
    assert_in_range(strlen(commandbench_run(bench, line)), 150, 200);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_frozen),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(clients_see_one_exec),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(subcommands),
        cmocka_unit_test(only_names_are_found),
        cmocka_unit_test(a_renamed_command_has_one_name),
        cmocka_unit_test(a_command_renamed_to_nothing_is_gone),
        cmocka_unit_test(a_container_takes_its_subcommands_along),
        cmocka_unit_test(what_cannot_be_renamed),
        cmocka_unit_test(keys_of_commands),
        cmocka_unit_test(keys_behind_their_number),
        cmocka_unit_test(arity_as_redis_writes_it),
        cmocka_unit_test(unknown_commands_are_named),
    };
    return cmocka_run_group_tests(tests, make_table, free_table);
}
