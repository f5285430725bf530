/* SPDX-License-Identifier: Apache-2.0 */
/* What each row with keys says to a value of another type. No client can make one, so one is put
 * there by hand. A row without a line here fails the test. */
#include <ctype.h>
#include <stdio.h>

#include "command/args.h"
#include "command/catalogue.h"
#include "support/cmocka.h"
#include "support/commandbench.h"

#define REFUSED    "-" TEXT_WRONGTYPE
#define NO_STRINGS "-ERR The specified keys must contain string values"
#define BUSY       "-BUSYKEY Target key name already exists."
#define PAYLOAD    "\"\\x00\\x03bar\\x0a\\x00\\xe6\\xbeI`\\xeef\\xfd\\x17\""

/* "list" is a list, "text" a string, nothing else is there. */
static const struct {
    const char *line;
    const char *reply; /* NULL: it shows the inside of the type, but refuses none */
    const char *type;  /* that list has afterwards; NULL: nothing at all has changed */
} cases[] = {
    /* Those that read a string. */
    {"GET list", REFUSED, NULL},
    {"STRLEN list", REFUSED, NULL},
    {"GETRANGE list 0 1", REFUSED, NULL},
    {"SUBSTR list 0 1", REFUSED, NULL},
    {"GETBIT list 0", REFUSED, NULL},
    {"BITCOUNT list", REFUSED, NULL},
    {"BITPOS list 1", REFUSED, NULL},
    {"BITFIELD_RO list GET u8 0", REFUSED, NULL},
    {"LCS list none", NO_STRINGS, NULL},
    {"LCS text list", NO_STRINGS, NULL},
    {"PFCOUNT list", REFUSED, NULL},
    {"PFCOUNT none list", REFUSED, NULL},
    {"MGET list text", "[nil, \"v\"]", NULL},
    /* Those that change one. */
    {"GETSET list v", REFUSED, NULL},
    {"GETDEL list", REFUSED, NULL},
    {"GETEX list", REFUSED, NULL},
    {"GETEX list EX 10", REFUSED, NULL},
    {"INCR list", REFUSED, NULL},
    {"DECR list", REFUSED, NULL},
    {"INCRBY list 1", REFUSED, NULL},
    {"DECRBY list 1", REFUSED, NULL},
    {"INCRBYFLOAT list 1", REFUSED, NULL},
    {"APPEND list v", REFUSED, NULL},
    {"SETRANGE list 0 v", REFUSED, NULL},
    {"SETRANGE list 0 \"\"", REFUSED, NULL},
    {"SETBIT list 0 1", REFUSED, NULL},
    {"BITFIELD list SET u8 0 1", REFUSED, NULL},
    {"BITFIELD list GET u8 0", REFUSED, NULL},
    {"BITOP AND d list text", REFUSED, NULL},
    {"BITOP AND text text list", REFUSED, NULL},
    {"PFADD list a", REFUSED, NULL},
    {"PFADD list", REFUSED, NULL},
    {"PFMERGE list", REFUSED, NULL},
    {"PFMERGE d list", REFUSED, NULL},
    {"PFDEBUG ENCODING list", REFUSED, NULL},
    /* Those that put one in its place, or do not. */
    {"SET list v", "+OK", "+string"},
    {"SET list v GET", REFUSED, NULL},
    {"SET list v NX GET", REFUSED, NULL},
    {"SET list v NX", "nil", NULL},
    {"SETNX list v", ":0", NULL},
    {"SETEX list 10 v", "+OK", "+string"},
    {"PSETEX list 10000 v", "+OK", "+string"},
    {"MSET list v", "+OK", "+string"},
    {"MSETNX d 1 list v", ":0", NULL},
    {"BITOP OR list text", ":1", "+string"},
    {"BITOP OR list none", ":0", "+none"},
    {"RESTORE list 0 " PAYLOAD, BUSY, NULL},
    {"RESTORE list 0 " PAYLOAD " REPLACE", "+OK", "+string"},
    {"RENAME text list", "+OK", "+string"},
    {"RENAMENX text list", ":0", NULL},
    {"COPY text list", ":0", NULL},
    {"COPY text list REPLACE", ":1", "+string"},
    /* Those to which all types are alike. */
    {"DEL list", ":1", "+none"},
    {"UNLINK list", ":1", "+none"},
    {"EXISTS list", ":1", NULL},
    {"TYPE list", "+list", NULL},
    {"TOUCH list", ":1", NULL},
    {"RENAME list other", "+OK", "+none"},
    {"RENAMENX list other", ":1", "+none"},
    {"COPY list other", ":1", "+list"},
    {"COPY list text REPLACE", ":1", "+list"},
    {"MOVE list 1", ":1", "+none"},
    {"EXPIRE list 10", ":1", "+list"},
    {"PEXPIRE list 10000", ":1", "+list"},
    {"EXPIREAT list 4102444800", ":1", "+list"},
    {"PEXPIREAT list 4102444800000", ":1", "+list"},
    {"PERSIST list", ":0", NULL},
    {"TTL list", ":-1", NULL},
    {"PTTL list", ":-1", NULL},
    {"EXPIRETIME list", ":-1", NULL},
    {"PEXPIRETIME list", ":-1", NULL},
    {"OBJECT IDLETIME list", ":0", NULL},
    {"OBJECT REFCOUNT list", ":1", NULL},
    {"OBJECT ENCODING list", NULL, NULL},
    {"OBJECT FREQ list", NULL, NULL},
    {"MEMORY USAGE list", NULL, NULL},
    {"DUMP list", NULL, NULL},
    {"DEBUG OBJECT list", NULL, NULL},
    {"DEBUG DIGEST-VALUE list", NULL, NULL},
};

static struct commandbench *bench_with_a_list(void)
{
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.shard_count = 2, .hot_max_value = SIZE_MAX});
    storebench_begin(bench->store, TX_APPLY);
    tx_put(bench->store->tx, 0, SLICE_LIT("list"),
           &(struct tx_value){.type = VALUE_LIST, .bytes = SLICE_LIT("x")});
    storebench_commit(bench->store);
    commandbench_expect(bench, "SET text v", "+OK");
    return bench;
}

static void each_says_what_redis_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct commandbench *bench = bench_with_a_list();
        uint64_t before = storebench_digest(bench->store);
        const char *line = cases[i].line;
        if (cases[i].reply != NULL)
            commandbench_expect(bench, line, cases[i].reply);
        else if (commandbench_run(bench, line)[0] == '-')
            fail_msg("%s: %s", line, (const char *)bench->text.data);
        if (cases[i].type == NULL && storebench_digest(bench->store) != before)
            fail_msg("%s has changed something", line);
        commandbench_expect(bench, "TYPE list", cases[i].type == NULL ? "+list" : cases[i].type);
        commandbench_free(bench);
    }
}

/* A type goes with its value, wherever that is put. */
static void what_is_copied_keeps_its_type(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_a_list();
    commandbench_expect(bench, "COPY list text REPLACE", ":1");
    commandbench_expect(bench, "GET text", REFUSED);
    commandbench_expect(bench, "RENAME text other", "+OK");
    commandbench_expect(bench, "EXPIRE other 100", ":1");
    commandbench_expect(bench, "MOVE other 1", ":1");
    commandbench_expect(bench, "SELECT 1", "+OK");
    commandbench_expect(bench, "TYPE other", "+list");
    commandbench_expect(bench, "TTL other", ":100");
    commandbench_expect(bench, "PERSIST other", ":1");
    commandbench_expect(bench, "SCAN 0 TYPE list", "[\"0\", [\"other\"]]");
    commandbench_expect(bench, "SCAN 0 TYPE string", "[\"0\", []]");
    commandbench_free(bench);
}

static bool begins_with(const char *line, const char *words)
{
    while (*words != '\0') {
        if (tolower((unsigned char)*line++) != *words++)
            return false;
    }
    return *line == ' ';
}

static bool has_a_line(const struct command_row *row)
{
    char words[64];
    snprintf(words, sizeof(words), "%s%s%s", row->parent == NULL ? "" : row->parent,
             row->parent == NULL ? "" : " ", row->name);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        if (begins_with(cases[i].line, words))
            return true;
    }
    return false;
}

static void each_row_with_keys_has_a_line(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    size_t count = 0;
    for (size_t i = 0; i < command_row_count(table); i++) {
        const struct command_row *row = command_at(table, i);
        if (row->keys.kind == KEY_RULE_NONE || (row->keys.access & KEY_CHANNEL) != 0)
            continue;
        if (row->scope == SCOPE_KEYS && !has_a_line(row))
            fail_msg("%s: what does it say to a value of another type?", row->name);
        count += row->scope == SCOPE_KEYS;
    }
    assert_true(count > 50);
    command_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_says_what_redis_says),
        cmocka_unit_test(what_is_copied_keeps_its_type),
        cmocka_unit_test(each_row_with_keys_has_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
