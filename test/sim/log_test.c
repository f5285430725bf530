/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are told when the log cannot be written: for good (R30), or for lack of space. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

static void expect_begins(const char *reply, const char *text)
{
    assert_non_null(reply);
    if (strncmp(reply, text, strlen(text)) != 0)
        fail_msg("%s, not %s", reply, text);
}

static void settle(struct simnode *node)
{
    if (!simnode_settle(node))
        fail_msg("not everything was answered: %s", node->fatal);
}

/* ---- R30 ---- */

struct three_writes {
    struct simdisk *disk;
    struct simnode *node;
    uint64_t writes[3];
    uint64_t read_behind; /* on the connection of the writes */
};

/* Three entries in flight of `slots` that there may be, and behind them a read, which has its place
 * among them if there is one. The second write of the disk will fail. */
static void begin_three(struct three_writes *three, uint64_t seed, unsigned slots, int error)
{
    static const char *const texts[] = {"INCR a", "INCR b", "INCR c"};
    const struct simnode_options options = {
        .seed = seed, .frames_in_flight = slots, .hot_max_value = 1 << 20};
    three->disk = simnode_disk(seed);
    three->node = simnode_start(&options, three->disk);
    assert_string_equal(simnode_ask(three->node, "MSET a 0 b 0 c 0"), "+OK\r\n");
    simnode_advance(three->node, 1500); /* the log's own frames are out of the way */
    simdisk_hold(three->disk, true);
    simdisk_fail_nth(three->disk, SIM_AIO, "/log/", 2, error);
    for (int i = 0; i < 3; i++) {
        three->writes[i] = simnode_send(three->node, 1, texts[i]);
        simnode_dry(three->node);
    }
    assert_true(simdisk_fault_fired(three->disk));
    three->read_behind = simnode_send(three->node, 1, "GET a");
    simnode_dry(three->node);
}

/* The disk answers in an order of chance. True if the first write became durable before the second
 * was known to have failed. */
static bool finish_three(struct three_writes *three)
{
    simdisk_hold(three->disk, false);
    settle(three->node);
    bool is_first_durable = strcmp(simnode_reply(three->node, three->writes[0]), ":1\r\n") == 0;
    if (!is_first_durable)
        expect_begins(simnode_reply(three->node, three->writes[0]), "-UNKNOWN ");
    return is_first_durable;
}

static void end_three(struct three_writes *three)
{
    simnode_close(three->node);
    simdisk_free(three->disk);
}

static bool replies_of_three(uint64_t seed, int error)
{
    struct three_writes three;
    begin_three(&three, seed, 4, error);
    bool is_first_durable = finish_three(&three);
    expect_begins(simnode_reply(three.node, three.writes[1]), "-UNKNOWN ");
    expect_begins(simnode_reply(three.node, three.writes[2]), "-UNKNOWN ");
    expect_begins(simnode_reply(three.node, three.read_behind), "-UNKNOWN ");
    assert_int_equal(group_state(three.node->group), GROUP_LOG_FAILED);
    assert_non_null(strstr(three.node->last_log, SIMNODE_DIR "/log"));
    assert_int_equal(three.node->fatal_count, 0);
    /* Later writes were never submitted, and reads go on with what was executed. */
    expect_begins(simnode_ask(three.node, "SET d 1"), "-MISCONF ");
    expect_begins(simnode_ask(three.node, "INCR a; GET a"), "-MISCONF ");
    assert_string_equal(simnode_ask(three.node, "MGET a b c d"),
                        is_first_durable ? "*4\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n$-1\r\n"
                                         : "*4\r\n$1\r\n0\r\n$1\r\n0\r\n$1\r\n0\r\n$-1\r\n");
    assert_string_equal(simnode_ask(three.node, "GET c; GET b"), "*2\r\n$1\r\n0\r\n$1\r\n0\r\n");
    assert_int_equal(simnode_stop(three.node, true), 0);
    end_three(&three);
    return is_first_durable;
}

static void test_replies_when_a_write_of_the_log_fails(void **unused)
{
    (void)unused;
    unsigned durable = 0;
    for (uint64_t seed = 0; seed < 40; seed++)
        durable += replies_of_three(seed, -EIO);
    assert_in_range(durable, 1, 39);
}

static void test_a_short_write_of_the_log_is_a_failed_one(void **unused)
{
    (void)unused;
    unsigned durable = 0;
    for (uint64_t seed = 0; seed < 40; seed++)
        durable += replies_of_three(seed, 0);
    assert_in_range(durable, 1, 39);
}

/* A write that the port has taken and the log has not: refused, not unknown. A read behind it is
 * served: nothing before it was lost. */
static void test_writes_that_wait_for_the_log_are_refused_when_it_fails(void **unused)
{
    (void)unused;
    struct three_writes three;
    begin_three(&three, 3, 3, -EIO);
    uint64_t waiting = simnode_send(three.node, 2, "INCR a");
    uint64_t behind = simnode_send(three.node, 2, "GET b");
    simnode_dry(three.node);
    assert_null(simnode_reply(three.node, waiting));
    const char *first = finish_three(&three) ? "$1\r\n1\r\n" : "$1\r\n0\r\n";
    expect_begins(simnode_reply(three.node, waiting), "-MISCONF ");
    assert_string_equal(simnode_reply(three.node, behind), "$1\r\n0\r\n");
    assert_string_equal(simnode_ask(three.node, "GET a"), first);
    end_three(&three);
}

/* What was answered UNKNOWN may be there after a restart, or not; what was refused never is. */
static void test_what_is_unknown_is_decided_by_the_next_start(void **unused)
{
    (void)unused;
    static const char *const states[] = {
        "*4\r\n$1\r\n0\r\n$1\r\n0\r\n$1\r\n0\r\n$-1\r\n",
        "*4\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n$-1\r\n",
        "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n0\r\n$-1\r\n",
        "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n",
    };
    unsigned seen[4] = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct three_writes three;
        begin_three(&three, seed, 3, -EIO);
        unsigned low = finish_three(&three);
        expect_begins(simnode_ask(three.node, "SET d 1"), "-MISCONF ");
        struct simdisk *image = simdisk_image(three.disk, simdisk_steps(three.disk), seed);
        struct simnode *next = simnode_start(&(struct simnode_options){.seed = seed}, image);
        const char *reply = simnode_ask(next, "MGET a b c d");
        unsigned n = 3;
        while (n > low && strcmp(reply, states[n]) != 0)
            n--;
        assert_string_equal(reply, states[n]);
        seen[n]++;
        simnode_close(next);
        simdisk_free(image);
        end_three(&three);
    }
    assert_true(seen[1] > 0 && seen[2] + seen[3] > 0);
}

/* ---- A full disk ---- */

/* Segments can no longer be prepared: writes are refused before submission, reads are served, and
 * when there is space again writes go on without a restart. Nothing acknowledged is lost. */
static void test_a_full_disk_refuses_writes_until_there_is_space(void **unused)
{
    (void)unused;
    struct simscript script;
    struct simdisk *disk = simnode_disk(4);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 4}, disk);
    simscript_init(&script, 4);
    script.has_absolute = true;
    script.time_ms = 0;
    simscript_run(&script, node, 60);
    settle(node);
    simdisk_set_capacity(disk, 1u << 20);
    uint64_t refused = 0;
    for (int i = 0; i < 400 && refused == 0; i++) {
        refused = simnode_send(node, 0, simscript_write(&script, simnode_now_ms(node)));
        settle(node);
        if (simhistory_kind(simnode_reply_bytes(node, refused)) != SIM_REFUSED)
            refused = 0;
    }
    expect_begins(simnode_reply(node, refused), "-MISCONF The disk of");
    assert_int_equal(group_state(node->group), GROUP_READY);
    assert_true(simnode_ask(node, "EXISTS n1 n2 n3")[0] == ':');
    simdisk_set_capacity(disk, UINT64_MAX);
    simnode_advance(node, 2000);
    assert_string_equal(simnode_ask(node, "SET after space"), "+OK\r\n");
    simscript_run(&script, node, 60);
    settle(node);
    assert_int_equal(simnode_checkpoint(node), 0);
    struct simmodel *state = simhistory_state(node->history, simhistory_count(node->history));
    simnode_expect_state(node, state);
    simhistory_check_replies(node->history);
    simmodel_free(state);
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(disk);
}

/* The same for any other reason: the log has not failed, and goes on when one can be made. */
static void test_writes_go_on_when_there_are_descriptors_again(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(4);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 4}, disk);
    char text[8192] = "SET k";
    memset(text + 5, 'v', sizeof(text) - 6);
    text[5] = ' ';
    for (uint64_t n = 1; n <= 3; n++)
        simdisk_fail_nth(disk, SIM_OPEN, "/log/", n, -EMFILE);
    const char *reply = "+OK\r\n";
    for (int i = 0; i < 400 && reply[0] == '+'; i++) {
        uint64_t number = simnode_send(node, 0, text);
        simnode_dry(node);
        reply = simnode_reply(node, number);
    }
    expect_begins(reply, "-MISCONF No space");
    assert_true(simnode_stats(node).is_log_full);
    for (int i = 0; i < 5; i++)
        simnode_advance(node, 1000);
    assert_string_equal(simnode_ask(node, text), "+OK\r\n");
    assert_false(simnode_stats(node).is_log_full);
    simnode_close(node);
    simdisk_free(disk);
}

/* ---- The budget (P7) ---- */

/* A log that has grown past twice its budget waits for a checkpoint; one that no checkpoint could
 * make shorter does not wait for ever. */
static void test_a_budget_below_one_segment_stops_nobody(void **unused)
{
    (void)unused;
    struct simscript script;
    struct simdisk *disk = simnode_disk(5);
    struct simnode *node =
        simnode_start(&(struct simnode_options){.seed = 5, .log_budget = 16u << 10}, disk);
    simscript_init(&script, 5);
    script.time_ms = 0;
    script.checkpoint = 0;
    for (int i = 0; i < 20; i++) {
        simscript_run(&script, node, 20);
        settle(node);
    }
    assert_true(simnode_stats(node).checkpoints > 0);
    simhistory_check_replies(node->history);
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(disk);
}

/* While manifests cannot be written the log grows to its limit; then writes wait, and are answered
 * when a checkpoint succeeds. */
static void test_writes_wait_for_a_checkpoint_when_the_log_is_too_long(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(6);
    struct simnode *node =
        simnode_start(&(struct simnode_options){.seed = 6, .log_budget = 512u << 10}, disk);
    for (uint64_t n = 1; n <= 8; n++)
        simdisk_fail_nth(disk, SIM_RENAME, "/manifest", n, -EIO);
    char text[8192] = "APPEND k";
    memset(text + 8, 'v', sizeof(text) - 9);
    text[8] = ' ';
    for (unsigned i = 1; i <= 300; i++) {
        char length[32];
        snprintf(length, sizeof(length), ":%u\r\n", i * (unsigned)(sizeof(text) - 10));
        assert_string_equal(simnode_ask(node, text), length);
    }
    simnode_advance(node, 1000);
    assert_true(simdisk_fault_fired(disk));
    assert_true(simnode_stats(node).log_live_bytes <= 2 * (512u << 10) + (256u << 10));
    assert_non_null(strstr(node->last_log, "checkpoint failed"));
    simnode_close(node);
    simdisk_free(disk);
}

/* A node whose log is too long for any write, because no manifest can be written. */
static struct simnode *node_with_a_log_too_long(struct simdisk *disk, uint64_t *out_waiting)
{
    struct simnode *node =
        simnode_start(&(struct simnode_options){.seed = 7, .log_budget = 256u << 10}, disk);
    char text[8192] = "SET k";
    for (uint64_t n = 1; n <= 400; n++)
        simdisk_fail_nth(disk, SIM_RENAME, "/manifest", n, -EIO);
    memset(text + 5, 'v', sizeof(text) - 6);
    text[5] = ' ';
    for (unsigned sent = 0; sent < 200; sent++) {
        *out_waiting = simnode_send(node, 0, text);
        for (int i = 0; i < 20; i++)
            simnode_dry(node);
        if (simnode_reply(node, *out_waiting) == NULL)
            return node;
    }
    fail_msg("the log grows without a limit: %llu failed renames",
             (unsigned long long)simdisk_count(disk, SIM_RENAME, "/manifest"));
    return NULL;
}

/* They wait without trying for a checkpoint again and again: that is once a second. */
static void test_a_checkpoint_that_fails_is_not_tried_again_at_once(void **unused)
{
    (void)unused;
    uint64_t waiting;
    struct simdisk *disk = simnode_disk(7);
    struct simnode *node = node_with_a_log_too_long(disk, &waiting);
    uint64_t before = simdisk_count(disk, SIM_RENAME, "/manifest");
    for (int i = 0; i < 200; i++)
        simnode_turn(node);
    assert_in_range(simdisk_count(disk, SIM_RENAME, "/manifest"), before, before + 1);
    for (int i = 0; i < 10; i++)
        simnode_advance(node, 1000);
    assert_in_range(simdisk_count(disk, SIM_RENAME, "/manifest"), before + 2, before + 12);
    assert_true(simnode_stats(node).is_checkpoint_failing);
    assert_null(simnode_reply(node, waiting));
    for (int i = 0; i < 400; i++)
        simnode_advance(node, 1000);
    assert_string_equal(simnode_reply(node, waiting), "+OK\r\n");
    assert_false(simnode_stats(node).is_checkpoint_failing);
    simnode_close(node);
    simdisk_free(disk);
}

/* Whoever waits for that when the end comes is refused, and the end comes. */
static void test_a_log_that_is_too_long_can_be_stopped(void **unused)
{
    (void)unused;
    uint64_t waiting;
    struct simdisk *disk = simnode_disk(7);
    struct simnode *node = node_with_a_log_too_long(disk, &waiting);
    assert_int_equal(simnode_stop(node, true), -EIO);
    expect_begins(simnode_reply(node, waiting), "-ERR Ferric is shutting down");
    simhistory_check_replies(node->history);
    simnode_close(node);
    simdisk_free(disk);
}

/* ---- The end with data files that cannot be written ---- */

/* More is committed than may be applied while the disk is behind (R32): the end does not wait for
 * room that may never come. What is not in the files is in the log. */
static void test_a_full_disk_does_not_keep_the_end_from_coming(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(8);
    const struct simnode_options options = {
        .seed = 8, .shard_count = 1, .frames_in_flight = 3, .max_unwritten_bytes = 4096};
    struct simnode *node = simnode_start(&options, disk);
    char text[6000] = "APPEND k";
    memset(text + 8, 'v', sizeof(text) - 9);
    text[8] = ' ';
    assert_string_equal(simnode_ask(node, "SET k v"), "+OK\r\n");
    simnode_advance(node, 1500);
    simdisk_hold(disk, true);
    uint64_t writes[3];
    for (int i = 0; i < 3; i++) {
        writes[i] = simnode_send(node, 0, text);
        simnode_dry(node);
    }
    simdisk_set_capacity(disk, 1);
    simdisk_hold(disk, false);
    simnode_advance(node, 1000);
    assert_null(simnode_reply(node, writes[2]));
    assert_int_equal(simnode_stats(node).shards_failing, 1);
    assert_int_equal(simnode_stop(node, true), -ENOSPC);
    assert_string_equal(simnode_reply(node, writes[2]), ":17971\r\n");
    simnode_close(node);
    simdisk_set_capacity(disk, UINT64_MAX);
    node = simnode_start(&(struct simnode_options){.seed = 9}, disk);
    assert_string_equal(simnode_ask(node, "STRLEN k"), ":17971\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_when_a_write_of_the_log_fails),
        cmocka_unit_test(test_a_short_write_of_the_log_is_a_failed_one),
        cmocka_unit_test(test_writes_that_wait_for_the_log_are_refused_when_it_fails),
        cmocka_unit_test(test_what_is_unknown_is_decided_by_the_next_start),
        cmocka_unit_test(test_a_full_disk_refuses_writes_until_there_is_space),
        cmocka_unit_test(test_writes_go_on_when_there_are_descriptors_again),
        cmocka_unit_test(test_a_budget_below_one_segment_stops_nobody),
        cmocka_unit_test(test_writes_wait_for_a_checkpoint_when_the_log_is_too_long),
        cmocka_unit_test(test_a_checkpoint_that_fails_is_not_tried_again_at_once),
        cmocka_unit_test(test_a_log_that_is_too_long_can_be_stopped),
        cmocka_unit_test(test_a_full_disk_does_not_keep_the_end_from_coming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
