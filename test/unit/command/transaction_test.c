/* SPDX-License-Identifier: Apache-2.0 */
#include "command/transaction.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/codec.h"
#include "support/cmocka.h"
#include "support/commandbench.h"

static void commands_run_in_order(void **state)
{
    (void)state;
    commandbench_play(
        "EXEC -> -ERR EXEC without MULTI\n"
        "MULTI -> +OK\n"
        "EXEC -> []\n"
        "MULTI -> +OK\n"
        "SET a 1 -> +QUEUED\n"
        "INCR a -> +QUEUED\n"
        "GET a -> +QUEUED\n"
        "MGET a b -> +QUEUED\n"
        "DEL a -> +QUEUED\n"
        "EXISTS a -> +QUEUED\n"
        "APPEND a xyz -> +QUEUED\n"
        "RENAME a b -> +QUEUED\n"
        "GETRANGE b 1 1 -> +QUEUED\n"
        "GETSET b 2 -> +QUEUED\n"
        "GETEX b EX 10 -> +QUEUED\n"
        "TTL b -> +QUEUED\n"
        "DBSIZE -> +QUEUED\n"
        "KEYS * -> +QUEUED\n"
        "EXEC -> [+OK, :2, \"2\", [\"2\", nil], :1, :0, :3, +OK, \"y\", \"xyz\", \"2\", :10, :1, "
        "[\"b\"]]\n"
        "GET b -> \"2\"\n"
        "MULTI -> +OK\n"
        "GET b -> +QUEUED\n"
        "EXISTS a b -> +QUEUED\n"
        "DBSIZE -> +QUEUED\n"
        "SCAN 0 COUNT 1000 -> +QUEUED\n"
        "EXEC -> [\"2\", :1, :1, [\"0\", [\"b\"]]]\n"
        "MULTI -> +OK\n"
        "SET b 3 -> +QUEUED\n"
        "DISCARD -> +OK\n"
        "GET b -> \"2\"\n");
}

static void an_error_stops_nobody(void **state)
{
    (void)state;
    commandbench_play(
        "SET a abc -> +OK\n"
        "MULTI -> +OK\n"
        "SET b 1 -> +QUEUED\n"
        "INCR a -> +QUEUED\n"
        "SET c 1 EX -> +QUEUED\n"
        "RENAME none d -> +QUEUED\n"
        "SET e 1 -> +QUEUED\n"
        "EXEC -> [+OK, -ERR value is not an integer or out of range, -ERR syntax error, "
        "-ERR no such key, +OK]\n"
        "MGET a b c d e -> [\"abc\", \"1\", nil, nil, \"1\"]\n");
}

static void each_command_has_its_database(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 0 -> +OK\n"
        "MULTI -> +OK\n"
        "SELECT 1 -> +OK\n"
        "SET a 1 -> +QUEUED\n"
        "SELECT 2 -> +OK\n"
        "SET a 2 -> +QUEUED\n"
        "SELECT 1 -> +OK\n"
        "GET a -> +QUEUED\n"
        "COPY a a DB 3 -> +QUEUED\n"
        "EXEC -> [+OK, +OK, \"1\", :1]\n"
        "SELECT 2 -> +OK\n"
        "GET a -> \"2\"\n"
        "SELECT 3 -> +OK\n"
        "GET a -> \"1\"\n"
        "SELECT 0 -> +OK\n"
        "GET a -> \"0\"\n");
}

static void a_watched_key_that_changed_stops_all(void **state)
{
    (void)state;
    commandbench_play(
        "SET w 1 -> +OK\n"
        "WATCH w none -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 1 -> +QUEUED\n"
        "EXEC -> [+OK]\n"
        /* A change of the same value is a change. */
        "WATCH w -> +OK\n"
        "SET w 1 -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 2 -> +QUEUED\n"
        "EXEC -> nil\n"
        "GET a -> \"1\"\n"
        "WATCH none -> +OK\n"
        "SET none 1 -> +OK\n"
        "MULTI -> +OK\n"
        "GET a -> +QUEUED\n"
        "EXEC -> nil\n"
        "WATCH w -> +OK\n"
        "DEL w -> :1\n"
        "MULTI -> +OK\n"
        "SET a 3 -> +QUEUED\n"
        "EXEC -> nil\n"
        /* What expired is gone, whether it has been swept or not. */
        "SET w 1 PX 100 -> +OK\n"
        "WATCH w -> +OK\n"
        "ADVANCE 99 -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 4 -> +QUEUED\n"
        "EXEC -> [+OK]\n"
        "WATCH w -> +OK\n"
        "ADVANCE 1 -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 5 -> +QUEUED\n"
        "EXEC -> nil\n"
        "WATCH w -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 6 -> +QUEUED\n"
        "EXEC -> [+OK]\n"
        /* Another database's key of the same name is another key. */
        "WATCH w -> +OK\n"
        "SELECT 1 -> +OK\n"
        "SET w 1 -> +OK\n"
        "SELECT 0 -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 7 -> +QUEUED\n"
        "EXEC -> [+OK]\n"
        "WATCH a -> +OK\n"
        "FLUSHALL -> +OK\n"
        "MULTI -> +OK\n"
        "SET a 8 -> +QUEUED\n"
        "EXEC -> nil\n");
}

static void a_flush_among_changes(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 2 -> +OK\n"
        "MULTI -> +OK\n"
        "SET c 3 -> +QUEUED\n"
        "SELECT 1 -> +OK\n"
        "SET c 4 -> +QUEUED\n"
        "SELECT 0 -> +OK\n"
        "FLUSHDB -> +QUEUED\n"
        "EXISTS a b c -> +QUEUED\n"
        "DBSIZE -> +QUEUED\n"
        "RANDOMKEY -> +QUEUED\n"
        "SET b 5 -> +QUEUED\n"
        "DBSIZE -> +QUEUED\n"
        "RANDOMKEY -> +QUEUED\n"
        "SCAN 0 -> +QUEUED\n"
        "DEL b -> +QUEUED\n"
        "SET d 6 -> +QUEUED\n"
        "EXEC -> [+OK, +OK, +OK, :0, :0, nil, +OK, :1, \"b\", [\"0\", [\"b\"]], :1, +OK]\n"
        "KEYS * -> [\"d\"]\n"
        "SELECT 1 -> +OK\n"
        "KEYS * -> [\"c\"]\n");
}

/* Many changes, a flush, and many again: the index of changes starts afresh. */
static void a_flush_between_many_changes(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.shard_count = 2, .hot_max_value = SIZE_MAX});
    char line[64];
    commandbench_run(bench, "MULTI");
    for (int i = 0; i < 30; i++) {
        snprintf(line, sizeof(line), "SET before:%d 1", i);
        commandbench_run(bench, line);
    }
    commandbench_run(bench, "SELECT 1");
    commandbench_run(bench, "MSET x 1 y 2 z 3");
    commandbench_run(bench, "SELECT 0");
    commandbench_run(bench, "FLUSHDB");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30; i++) {
            snprintf(line, sizeof(line), "INCR after:%d", i);
            commandbench_run(bench, line);
        }
    }
    commandbench_run(bench, "DBSIZE");
    commandbench_run(bench, "EXEC");
    for (int i = 0; i < 30; i++) {
        snprintf(line, sizeof(line), "GET after:%d", i);
        commandbench_expect(bench, line, "\"3\"");
        snprintf(line, sizeof(line), "EXISTS before:%d", i);
        commandbench_expect(bench, line, ":0");
    }
    commandbench_expect(bench, "DBSIZE", ":30");
    /* And so says what is on disk. */
    assert_int_equal(storebench_checkpoint(bench->store), 0);
    uint64_t digest = storebench_digest(bench->store);
    struct simdisk *image =
        simdisk_image_synced(bench->store->disk, simdisk_steps(bench->store->disk));
    struct diag diag;
    struct storebench *again = storebench_open(&bench->store->options, image, &diag);
    assert_non_null(again);
    assert_int_equal(storebench_digest(again), digest);
    storebench_free(again);
    commandbench_free(bench);
}

static void cold_values_are_asked_for_together(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 3});
    bench->is_chilling = true;
    commandbench_expect(bench, "MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10", "+OK");
    commandbench_run(bench, "MULTI");
    commandbench_run(bench, "INCR a");
    commandbench_run(bench, "APPEND b x");
    commandbench_run(bench, "MGET c d e");
    commandbench_run(bench, "RENAME f g");
    commandbench_run(bench, "GETDEL h");
    commandbench_run(bench, "EXPIRE i 100");
    commandbench_run(bench, "COPY j k");
    uint64_t before = bench->cold_runs;
    commandbench_expect(bench, "EXEC", "[:2, :2, [\"3\", \"4\", \"5\"], +OK, \"8\", :1, :1]");
    assert_in_range(bench->cold_runs - before, 0, 1);
    commandbench_free(bench);
}

/* ---- What is in the log is not trusted ---- */

struct exec {
    struct slice argv[4];
    struct buf watches;
    struct buf coded[2];
};

static void add_coded(struct buf *to, uint16_t id, uint16_t db, const char *const *words)
{
    struct slice argv[8] = {SLICE_EMPTY};
    uint32_t argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = slice_str(words[argc - 1]);
    size_t size = command_coded_size(argv, argc);
    command_encode(buf_extend(to, size), id, db, argv, argc);
}

/* Watches w in database 2; SET a v in database 1; GET b in database 0. */
static void make_exec(struct exec *exec)
{
    *exec = (struct exec){0};
    watch_encode(&exec->watches, &(struct watched_key){.key = SLICE_LIT("w"), .db = 2});
    put_u64(exec->watches.data + 4, 77);
    add_coded(&exec->coded[0], 2, 1, (const char *[]){"a", "v", NULL});
    add_coded(&exec->coded[1], 1, 0, (const char *[]){"b", NULL});
    exec->argv[1] = buf_slice(&exec->watches);
    exec->argv[2] = buf_slice(&exec->coded[0]);
    exec->argv[3] = buf_slice(&exec->coded[1]);
}

static void free_exec(struct exec *exec)
{
    buf_fini(&exec->watches);
    buf_fini(&exec->coded[0]);
    buf_fini(&exec->coded[1]);
}

static void add_key(void *ctx, uint16_t db, struct slice key)
{
    char *text = ctx;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%u:%.*s ", db, SLICE_FMT(key));
}

static enum keys_found keys_of(const struct command_table *table, const struct exec *exec,
                               bool has_writes, char *text)
{
    text[0] = '\0';
    return command_keys(table, transaction_row(has_writes),
                        &(struct request){.argv = exec->argv, .argc = 4}, add_key, text);
}

static void its_keys_are_those_of_all(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    struct exec exec;
    char text[256];
    make_exec(&exec);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_FOUND);
    assert_string_equal(text, "2:w 1:a 0:b ");
    /* One that involves everything involves everything. */
    buf_reset(&exec.coded[0], 0);
    add_coded(&exec.coded[0], 111, 1, (const char *[]){NULL});
    exec.argv[2] = buf_slice(&exec.coded[0]);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_EVERYWHERE);
    assert_string_equal(text, "2:w 0:b ");
    free_exec(&exec);
    command_table_free(table);
}

static void malformed_ones_are_found(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    struct exec exec;
    char text[256];
    make_exec(&exec);
    /* A write in a transaction that only reads. */
    assert_int_equal(keys_of(table, &exec, false, text), KEYS_MALFORMED);
    /* A transaction in a transaction, an unknown number, one that no log can hold. */
    const uint16_t refused[] = {0, 12, 200, 201, 999, UINT16_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        put_u16(exec.coded[0].data + 4, refused[i]);
        assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    }
    /* Too many arguments for what it is. */
    put_u16(exec.coded[0].data + 4, 1);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    put_u16(exec.coded[0].data + 4, 2);
    put_u16(exec.coded[0].data + 6, STORE_MAX_DATABASES);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    put_u16(exec.coded[0].data + 6, STORE_MAX_DATABASES - 1);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_FOUND);
    put_u16(exec.watches.data, STORE_MAX_DATABASES);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    put_u16(exec.watches.data, 0);
    /* Bytes missing, bytes too many. */
    for (unsigned part = 1; part < 4; part++) {
        struct slice whole = exec.argv[part];
        for (size_t len = part == 1 ? 1 : 0; len < whole.len; len++) {
            exec.argv[part] = slice_sub(whole, 0, len);
            assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
        }
        exec.argv[part] = whole;
    }
    buf_append_byte(&exec.coded[1], 0);
    exec.argv[3] = buf_slice(&exec.coded[1]);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    free_exec(&exec);
    command_table_free(table);
}

/* A database that the store does not have can only come from damage: it is an error, no crash, and
 * nothing has been done. */
static void databases_beyond_the_store(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){0});
    struct storebench *store = bench->store;
    for (unsigned part = 0; part < 2; part++) {
        struct exec exec;
        make_exec(&exec);
        put_u16(exec.watches.data, part == 0 ? 4 : 1);
        put_u64(exec.watches.data + 4, 0);
        put_u16(exec.coded[1].data + 6, part == 0 ? 1 : 4);
        struct buf out = {0};
        struct reply reply = reply_to(&out, 2);
        struct call call = {.row = transaction_row(true),
                            .argv = exec.argv,
                            .argc = 4,
                            .tx = store->tx,
                            .reply = &reply,
                            .table = bench->table};
        storebench_begin(store, TX_APPLY);
        assert_int_equal(call.row->run(&call), ERR_CORRUPT);
        tx_reset(store->tx);
        assert_int_equal(storebench_row_count(store), 0);
        buf_fini(&out);
        free_exec(&exec);
    }
    commandbench_free(bench);
}

/* A key that is there carries the id of its database before it. */
static void a_watched_database_is_taken_apart(void **state)
{
    (void)state;
    struct command_table *table = commandbench_table();
    struct exec exec;
    char text[256];
    make_exec(&exec);
    exec.watches.len = 0;
    watch_encode(
        &exec.watches,
        &(struct watched_key){.key = SLICE_LIT("w"), .version = 77, .db = 2, .database_id = 500});
    exec.argv[1] = buf_slice(&exec.watches);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_FOUND);
    assert_string_equal(text, "2:w 1:a 0:b ");
    put_u16(exec.watches.data, 0x8000 | STORE_MAX_DATABASES);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    put_u16(exec.watches.data, 0x8002);
    put_u16(exec.watches.data + 2, 1);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    exec.argv[1] = slice_sub(buf_slice(&exec.watches), 0, 13);
    assert_int_equal(keys_of(table, &exec, true, text), KEYS_MALFORMED);
    free_exec(&exec);
    command_table_free(table);
}

static void a_swap_is_noticed_by_watch(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 0 -> +OK\n"
        "WATCH a -> +OK\n"
        "SWAPDB 0 1 -> +OK\n"
        "MULTI -> +OK\n"
        "SET b 1 -> +QUEUED\n"
        "EXEC -> nil\n"
        "WATCH a -> +OK\n"
        "SWAPDB 0 1 -> +OK\n" /* appears */
        "MULTI -> +OK\n"
        "SET b 1 -> +QUEUED\n"
        "EXEC -> nil\n"
        "WATCH none -> +OK\n"
        "SWAPDB 0 1 -> +OK\n"
        "MULTI -> +OK\n"
        "SET b 1 -> +QUEUED\n"
        "EXEC -> [+OK]\n"
        "WATCH b -> +OK\n"
        "SWAPDB 2 3 -> +OK\n"
        "MULTI -> +OK\n"
        "SET b 1 -> +QUEUED\n"
        "EXEC -> [+OK]\n");
}

/* Both were written by one command, at one position: their versions are the same. */
static void a_swap_of_twins_is_noticed_by_watch(void **state)
{
    (void)state;
    commandbench_play(
        "MULTI -> +OK\n"
        "SET a 0 -> +QUEUED\n"
        "SELECT 1 -> +OK\n"
        "SET a 1 -> +QUEUED\n"
        "SELECT 0 -> +OK\n"
        "EXEC -> [+OK, +OK]\n"
        "WATCH a -> +OK\n"
        "SWAPDB 0 1 -> +OK\n"
        "MULTI -> +OK\n"
        "GET a -> +QUEUED\n"
        "EXEC -> nil\n"
        "GET a -> \"1\"\n"
        "SELECT 1 -> +OK\n"
        "GET a -> \"0\"\n");
}

static void a_swap_counts_at_once_in_a_transaction(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 0 b 0 -> +OK\n"
        "SELECT 1 -> +OK\n"
        "SET a 1 -> +OK\n"
        "SELECT 0 -> +OK\n"
        "MULTI -> +OK\n"
        "SET c before -> +QUEUED\n"
        "SWAPDB 0 1 -> +QUEUED\n"
        "GET a -> +QUEUED\n"
        "GET b -> +QUEUED\n"
        "GET c -> +QUEUED\n"
        "SET c after -> +QUEUED\n"
        "DBSIZE -> +QUEUED\n"
        "COPY a d DB 1 -> +QUEUED\n"
        "SWAPDB 1 2 -> +QUEUED\n"
        "MOVE a 2 -> +QUEUED\n"
        "EXEC -> [+OK, +OK, \"1\", nil, nil, +OK, :2, :1, +OK, :0]\n"
        "MGET a b c d -> [\"1\", nil, \"after\", nil]\n"
        "SELECT 1 -> +OK\n"
        "DBSIZE -> :0\n"
        "SELECT 2 -> +OK\n"
        "MGET a b c d -> [\"0\", \"0\", \"before\", \"1\"]\n"
        "MULTI -> +OK\n"
        "SWAPDB 0 2 -> +QUEUED\n"
        "FLUSHDB -> +QUEUED\n"
        "SET x 1 -> +QUEUED\n"
        "SWAPDB 0 2 -> +QUEUED\n"
        "MGET a b c d x -> +QUEUED\n"
        "EXEC -> [+OK, +OK, +OK, +OK, [\"0\", \"0\", \"before\", \"1\", nil]]\n"
        "SELECT 0 -> +OK\n"
        "MGET a x -> [nil, \"1\"]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_run_in_order),
        cmocka_unit_test(an_error_stops_nobody),
        cmocka_unit_test(each_command_has_its_database),
        cmocka_unit_test(a_watched_key_that_changed_stops_all),
        cmocka_unit_test(a_flush_among_changes),
        cmocka_unit_test(a_flush_between_many_changes),
        cmocka_unit_test(cold_values_are_asked_for_together),
        cmocka_unit_test(its_keys_are_those_of_all),
        cmocka_unit_test(malformed_ones_are_found),
        cmocka_unit_test(databases_beyond_the_store),
        cmocka_unit_test(a_watched_database_is_taken_apart),
        cmocka_unit_test(a_swap_is_noticed_by_watch),
        cmocka_unit_test(a_swap_of_twins_is_noticed_by_watch),
        cmocka_unit_test(a_swap_counts_at_once_in_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
