/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are not in memory: read when they are wanted, seen at one instant whenever that was,
 * and, when they cannot be read, no reason to lose anything (R19, R29, P5). */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define READERS 3
#define ROUNDS  400

static void expect_begins(const char *reply, const char *text)
{
    assert_non_null(reply);
    if (strncmp(reply, text, strlen(text)) != 0)
        fail_msg("%.200s, not %s", reply, text);
}

/* ---- Reads beside writes ---- */

/* A read that was sent, and the states that it may have seen. */
struct sent_read {
    uint64_t number;
    char text[64];
    uint64_t low;  /* answered, with all before, when it was sent */
    uint64_t high; /* handed to the port when its reply was seen; 0: not yet */
};

struct reading {
    struct simnode *node;
    struct random random;
    struct sent_read reads[ROUNDS];
    size_t count;
};

/* Of one key where there are several shards: commands that share no key are in no order. */
static void send_read(struct reading *reading)
{
    static const char *const words[] = {"GET", "STRLEN", "GETRANGE", "MGET", "EXISTS"};
    struct sent_read *read = &reading->reads[reading->count++];
    bool has_one_shard = group_shard_count(reading->node->group) == 1;
    unsigned kind = (unsigned)random_below(&reading->random, has_one_shard ? 5 : 3);
    unsigned first = (unsigned)random_below(&reading->random, 12);
    unsigned second = (unsigned)random_below(&reading->random, 12);
    if (kind > 2)
        snprintf(read->text, sizeof(read->text), "%s k%u k%u", words[kind], first, second);
    else
        snprintf(read->text, sizeof(read->text), "%s k%u%s", words[kind], first,
                 kind == 2 ? " 0 -1" : "");
    read->low = simhistory_settled(reading->node->history);
    unsigned connection = 1 + (unsigned)random_below(&reading->random, READERS);
    read->number = simnode_send(reading->node, connection, read->text);
}

static void note_answers(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        struct sent_read *read = &reading->reads[i];
        if (read->high == 0 && simnode_reply(reading->node, read->number) != NULL)
            read->high = simhistory_count(reading->node->history);
    }
}

/* It must be what the model answers in one of the states it may have seen. */
static void check_read(struct reading *reading, const struct sent_read *read)
{
    bool is_right = false;
    for (uint64_t n = read->low; n <= read->high && !is_right; n++) {
        struct buf expected = {0};
        struct simmodel *state = simhistory_state(reading->node->history, n);
        simmodel_apply(state, read->text, SIMNODE_START_MS, &expected);
        is_right = slice_eq(buf_slice(&expected), simnode_reply_bytes(reading->node, read->number));
        buf_fini(&expected);
        simmodel_free(state);
    }
    if (!is_right)
        fail_msg("%s saw none of the states %llu to %llu: %.100s", read->text,
                 (unsigned long long)read->low, (unsigned long long)read->high,
                 simnode_reply(reading->node, read->number));
}

static void read_beside_writes(uint64_t seed, size_t hot_max_value)
{
    struct simscript script;
    struct reading reading = {.random = {.state = seed}};
    struct simdisk *disk = simnode_disk(seed);
    const struct simnode_options options = {
        .seed = seed,
        .shard_count = 1 + (uint32_t)(seed % 2),
        .hot_max_value = hot_max_value,
        .max_file_size = 16u << 10,
    };
    reading.node = simnode_start(&options, disk);
    simscript_init(&script, seed);
    script.key_count = 12;
    script.burst = 3;
    script.has_absolute = true;
    script.time_ms = 0;
    while (reading.count < ROUNDS) {
        simscript_run(&script, reading.node, 1 + (unsigned)random_below(&reading.random, 3));
        note_answers(&reading);
        send_read(&reading);
        note_answers(&reading);
    }
    simnode_dry(reading.node);
    note_answers(&reading);
    assert_int_equal(simnode_now_ms(reading.node), SIMNODE_START_MS);
    for (size_t i = 0; i < reading.count; i++)
        check_read(&reading, &reading.reads[i]);
    simhistory_check_replies(reading.node->history);
    assert_true(port_stats(reading.node->port).cold_reads > 0);
    simnode_close(reading.node);
    simscript_fini(&script);
    simdisk_free(disk);
}

static void test_reads_of_cold_values_are_of_one_instant(void **unused)
{
    (void)unused;
    uint64_t seed = random_seed();
    for (uint64_t i = 0; i < 12; i++)
        read_beside_writes(seed + i, i % 3 == 0 ? 100 : 0);
}

/* A node with one value that is on disk only. */
struct rig {
    struct simdisk *disk;
    struct simnode *node;
};

static void rig_init(struct rig *rig, uint64_t seed)
{
    rig->disk = simnode_disk(seed);
    rig->node = simnode_start(&(struct simnode_options){.seed = seed, .shard_count = 1}, rig->disk);
    assert_string_equal(simnode_ask(rig->node, "SET n 41"), "+OK\r\n");
    assert_string_equal(simnode_ask(rig->node, "SET other v"), "+OK\r\n");
    simnode_advance(rig->node, 100); /* written, so cold */
}

static void rig_fini(struct rig *rig)
{
    simnode_close(rig->node);
    simdisk_free(rig->disk);
}

/* ---- Nobody else waits ---- */

/* Cold reads have their places among the writes of their connection, in a transaction or not; those
 * that others have sent to the same shard do not wait for the disk because of that (R19). */
/* How many of 20 are still waiting when the write beside them has been answered. */
static unsigned waiting_beside_a_write(uint64_t seed, const char *more)
{
    struct simdisk *disk = simnode_disk(seed);
    struct simnode *node =
        simnode_start(&(struct simnode_options){.seed = seed, .shard_count = 1}, disk);
    uint64_t reads[20];
    unsigned unanswered = 0;
    char text[128];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "SET c%d a-value-that-is-cold", i);
        assert_string_equal(simnode_ask(node, text), "+OK\r\n");
    }
    simnode_advance(node, 100); /* written, so cold */
    group_set_hot_max_value(node->group, 1 << 20);
    node->job_delay = 4;
    simnode_send(node, 1, "SET x 1");
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "GET c%d%s", i, more);
        reads[i] = simnode_send(node, 1, text);
    }
    uint64_t beside = simnode_send(node, 2, "SET y 1");
    while (simnode_reply(node, beside) == NULL)
        simnode_turn(node);
    for (int i = 0; i < 20; i++)
        unanswered += simnode_reply(node, reads[i]) == NULL;
    assert_true(simnode_settle(node));
    for (int i = 0; i < 20; i++)
        assert_non_null(strstr(simnode_reply(node, reads[i]), "a-value-that-is-cold"));
    simnode_close(node);
    simdisk_free(disk);
    return unanswered;
}

static void test_cold_reads_behind_writes_hold_nobody_else_up(void **unused)
{
    (void)unused;
    unsigned plain = 0;
    unsigned in_transactions = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        plain += waiting_beside_a_write(seed, "");
        in_transactions += waiting_beside_a_write(seed, "; STRLEN c1");
    }
    assert_true(plain > 100);
    assert_true(in_transactions > 100);
}

/* A connection waits for a value to be read, not for its reply: what is behind goes into the same
 * entry. */
static void expect_pipeline_goes_on(uint64_t seed)
{
    struct rig rig;
    rig_init(&rig, seed);
    group_set_hot_max_value(rig.node->group, 1 << 20);
    simdisk_hold(rig.disk, true);
    uint64_t first = simnode_send(rig.node, 1, "SET x 1");
    uint64_t incr = simnode_send(rig.node, 1, "INCR n");
    uint64_t read = simnode_send(rig.node, 1, "GET other");
    uint64_t last = simnode_send(rig.node, 1, "INCR x");
    for (int i = 0; i < 50; i++)
        simnode_dry(rig.node);
    assert_null(simnode_reply(rig.node, first));
    assert_int_equal(rig.node->write_count, 2 + 3); /* of the rig; of this connection */
    simdisk_hold(rig.disk, false);
    assert_true(simnode_settle(rig.node));
    assert_string_equal(simnode_reply(rig.node, incr), ":42\r\n");
    assert_string_equal(simnode_reply(rig.node, read), "$1\r\nv\r\n");
    assert_string_equal(simnode_reply(rig.node, last), ":2\r\n");
    rig_fini(&rig);
}

static void test_a_pipeline_goes_on_when_its_cold_values_have_come(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 20; seed++)
        expect_pipeline_goes_on(seed);
}

/* ---- What cannot be read ---- */

static void fail_reads(struct rig *rig, unsigned count)
{
    for (unsigned i = 1; i <= count; i++)
        simdisk_fail_nth(rig->disk, SIM_READ, "/data/shard_0/", i, -EIO);
}

/* One flipped bit in the value of `n`: wrong wherever it is read. */
static void rot(struct rig *rig)
{
    assert_true(simdisk_corrupt(rig->disk, SIMNODE_DIR "/data/shard_0/00001.log", 4096 + 33, 4));
}

static void expect_alive(struct rig *rig)
{
    assert_int_equal(rig->node->fatal_count, 0);
    assert_string_equal(simnode_ask(rig->node, "SET other w"), "+OK\r\n");
    assert_string_equal(simnode_ask(rig->node, "EXISTS n other"), ":2\r\n");
}

static void test_a_read_of_an_unreadable_value_says_which_file(void **unused)
{
    (void)unused;
    static const char *const reads[] = {"GET n", "MGET n other", "GETRANGE n 0 -1",
                                        "GET n; EXISTS n"};
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        bool is_tried_again = seed % 4 == 3; /* at the place of the transaction */
        if (is_tried_again)
            rot(&rig);
        else
            fail_reads(&rig, 1);
        const char *reply = simnode_ask(rig.node, reads[seed % 4]);
        expect_begins(reply, "-ERR ");
        assert_non_null(strstr(reply, "/data/shard_0/00001.log"));
        expect_alive(&rig);
        if (!is_tried_again)
            assert_string_equal(simnode_ask(rig.node, "GET n"), "$2\r\n41\r\n");
        rig_fini(&rig);
    }
}

/* The same where it has its place among the writes of its connection. */
static void test_a_read_behind_writes_may_fail_alone(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        uint64_t write = simnode_send(rig.node, 1, "SET x 1");
        uint64_t read = simnode_send(rig.node, 1, seed % 2 == 0 ? "GET n" : "MGET other n");
        uint64_t behind = simnode_send(rig.node, 1, "INCR x");
        rot(&rig);
        assert_true(simnode_settle(rig.node));
        assert_string_equal(simnode_reply(rig.node, write), "+OK\r\n");
        expect_begins(simnode_reply(rig.node, read), "-ERR ");
        assert_string_equal(simnode_reply(rig.node, behind), ":2\r\n");
        expect_alive(&rig);
        rig_fini(&rig);
    }
}

/* R19: refused before it is submitted, cleanly: nothing was logged, nothing has changed. */
static void expect_refused(struct rig *rig, const char *text, bool is_pipelined)
{
    uint64_t logged = simnode_stats(rig->node).commands_logged;
    uint64_t first = 0;
    if (is_pipelined)
        first = simnode_send(rig->node, 1, "SET first 1");
    uint64_t number = simnode_send(rig->node, 1, text);
    uint64_t behind = simnode_send(rig->node, 1, "EXISTS n");
    assert_true(simnode_settle(rig->node));
    if (is_pipelined)
        assert_string_equal(simnode_reply(rig->node, first), "+OK\r\n");
    expect_begins(simnode_reply(rig->node, number), "-ERR ");
    assert_non_null(strstr(simnode_reply(rig->node, number), "/data/shard_0/00001.log"));
    assert_string_equal(simnode_reply(rig->node, behind), ":1\r\n");
    assert_int_equal(simnode_stats(rig->node).commands_logged, logged + is_pipelined);
    expect_alive(rig);
}

static const char *const changes[] = {"INCR n", "APPEND n x", "PERSIST n", "RENAME n m",
                                      "SET y 1; INCR n"};

static void test_a_write_that_needs_an_unreadable_value_is_refused(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        fail_reads(&rig, 1);
        expect_refused(&rig, changes[seed % 5], false);
        assert_string_equal(simnode_ask(rig.node, "INCR n"), ":42\r\n");
        rig_fini(&rig);
    }
}

/* A rotten value is found by whichever way it is read, also where its connection is busy; it can be
 * replaced or removed. */
static void test_a_rotten_value_stops_nobody(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        rot(&rig);
        expect_refused(&rig, changes[seed % 5], seed % 2 != 0);
        expect_begins(simnode_ask(rig.node, "GET n"), "-ERR ");
        if (seed % 3 == 0) {
            assert_string_equal(simnode_ask(rig.node, "SET n 7"), "+OK\r\n");
            assert_string_equal(simnode_ask(rig.node, "INCR n"), ":8\r\n");
        } else {
            assert_string_equal(simnode_ask(rig.node, "DEL n"), ":1\r\n");
            assert_string_equal(simnode_ask(rig.node, "GET n"), "$-1\r\n");
        }
        rig_fini(&rig);
    }
}

/* What is met at apply cannot be refused any more: neither skipped nor answered as failed. The
 * group stops with file and offset; the next start replays the command (R19). */
static void test_a_value_that_is_unreadable_at_apply_stops_the_group(void **unused)
{
    (void)unused;
    unsigned stopped = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rig rig;
        rig_init(&rig, seed);
        simdisk_hold(rig.disk, true);
        uint64_t incr = simnode_send(rig.node, 1, "INCR n"); /* its value can be read now */
        for (int i = 0; i < 20; i++)
            simnode_dry(rig.node);
        fail_reads(&rig, 1);
        simdisk_hold(rig.disk, false);
        bool is_settled = simnode_settle(rig.node);
        if (!is_settled) {
            stopped++;
            assert_int_equal(rig.node->fatal_count, 1);
            assert_non_null(strstr(rig.node->fatal, "/data/shard_0/00001.log"));
            assert_non_null(strstr(rig.node->fatal, "offset"));
            assert_null(simnode_reply(rig.node, incr));
        }
        simnode_close(rig.node);
        rig.node = simnode_start(&(struct simnode_options){.seed = seed}, rig.disk);
        assert_string_equal(simnode_ask(rig.node, "GET n"), "$2\r\n42\r\n");
        rig_fini(&rig);
    }
    assert_true(stopped > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_of_cold_values_are_of_one_instant),
        cmocka_unit_test(test_cold_reads_behind_writes_hold_nobody_else_up),
        cmocka_unit_test(test_a_pipeline_goes_on_when_its_cold_values_have_come),
        cmocka_unit_test(test_a_read_of_an_unreadable_value_says_which_file),
        cmocka_unit_test(test_a_read_behind_writes_may_fail_alone),
        cmocka_unit_test(test_a_write_that_needs_an_unreadable_value_is_refused),
        cmocka_unit_test(test_a_rotten_value_stops_nobody),
        cmocka_unit_test(test_a_value_that_is_unreadable_at_apply_stops_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
