/* SPDX-License-Identifier: Apache-2.0 */
/* What is in memory can be thrown away at any time and is recovered from disk, under load too; and
 * which database has which number survives whatever way the state is recovered. */
#include <stdio.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/simscript.h"

static void expect_answer(struct simnode *node, const char *text, const char *want)
{
    assert_string_equal(simnode_ask(node, text), want);
}

static void test_a_reload_changes_nothing_that_can_be_seen(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(1);
    struct simnode *node =
        simnode_start(&(struct simnode_options){.seed = 1, .hot_max_value = 1 << 20}, disk);
    expect_answer(node, "SET a 1", "+OK\r\n");
    expect_answer(node, "SET b 2 PX 100000", "+OK\r\n");
    expect_answer(node, "SET dead x PX 10", "+OK\r\n");
    expect_answer(node, "@3 SET c 3", "+OK\r\n");
    expect_answer(node, "DEL a", ":1\r\n");
    for (int i = 0; i < 3; i++)
        simnode_advance(node, 1500);
    uint64_t digest = simnode_digest(node);
    assert_int_equal(simnode_reload(node), 0);
    assert_int_equal(simnode_digest(node), digest);
    assert_int_equal(simnode_stats(node).cold_rows, 2);
    expect_answer(node, "DBSIZE", ":1\r\n");
    expect_answer(node, "GET b", "$1\r\n2\r\n");
    expect_answer(node, "APPEND b 2", ":2\r\n");
    /* Again, with nothing new but reads; and once more behind a write. */
    assert_int_equal(simnode_reload(node), 0);
    assert_int_equal(simnode_reload(node), 0);
    expect_answer(node, "@3 GET c", "$1\r\n3\r\n");
    expect_answer(node, "GET b", "$2\r\n22\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

static void test_what_is_written_meanwhile_waits_and_is_done(void **unused)
{
    (void)unused;
    for (uint64_t seed = random_seed(), last = seed + 20; seed < last; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        struct simdisk *disk = simnode_disk(seed);
        struct simnode *node =
            simnode_start(&(struct simnode_options){.seed = seed, .hot_max_value = 600}, disk);
        struct simscript script;
        simscript_init(&script, seed);
        for (int i = 0; i < 12; i++) {
            simscript_run(&script, node, 25);
            simnode_ask_reload(node);
        }
        assert_true(simnode_settle(node));
        struct simmodel *state = simhistory_state(node->history, simhistory_count(node->history));
        simhistory_check_replies(node->history);
        simnode_expect_state(node, state);
        simmodel_free(state);
        simscript_fini(&script);
        simnode_close(node);
        simdisk_free(disk);
    }
}

static void test_only_one_at_a_time(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(3);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 3}, disk);
    expect_answer(node, "SET a 1", "+OK\r\n");
    simnode_ask_reload(node);
    assert_int_equal(simnode_reload(node), ERR_BUSY);
    assert_int_equal(simnode_reload(node), 0);
    simnode_close(node);
    simdisk_free(disk);
}

/* Both wait for the lane of merges, and writes wait for a reload: they would for a whole copy. */
static void test_none_begins_beside_a_backup(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(8);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 8}, disk);
    uint64_t index;
    expect_answer(node, "SET a 1", "+OK\r\n");
    struct group_backup_request *copy = simnode_ask_backup(node, "/copy");
    const struct group_reload_request *reload = simnode_ask_reload(node);
    simnode_dry(node);
    assert_int_equal(reload->error, ERR_BUSY);
    assert_true(simnode_backup_is_done(copy));
    assert_int_equal(copy->error, 0);
    reload = simnode_ask_reload(node);
    assert_int_equal(simnode_backup(node, "/other", &index), ERR_BUSY);
    simnode_dry(node);
    assert_int_equal(reload->error, 0);
    assert_int_equal(simnode_backup(node, "/other", &index), 0);
    expect_answer(node, "GET a", "$1\r\n1\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

static void test_a_stop_waits_for_it(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(4);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 4}, disk);
    simnode_send(node, 0, "SET a 1");
    simnode_ask_reload(node);
    simnode_turn(node);
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
    node = simnode_start(&(struct simnode_options){.seed = 5}, disk);
    expect_answer(node, "GET a", "$1\r\n1\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

/* R35: nothing but the log tells of a swap until a manifest does. */
static void test_a_swap_is_recovered(void **unused)
{
    (void)unused;
    static const struct {
        bool is_checkpointed;
        bool is_reloaded;
    } ways[] = {{false, false}, {true, false}, {false, true}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct simdisk *disk = simnode_disk(6);
        struct simnode *node = simnode_start(&(struct simnode_options){.seed = 6}, disk);
        expect_answer(node, "SET a 0", "+OK\r\n");
        expect_answer(node, "@3 SET a 3", "+OK\r\n");
        assert_int_equal(simnode_checkpoint(node), 0);
        expect_answer(node, "SWAPDB 0 3", "+OK\r\n");
        if (ways[i].is_checkpointed)
            assert_int_equal(simnode_checkpoint(node), 0);
        if (ways[i].is_reloaded)
            assert_int_equal(simnode_reload(node), 0);
        expect_answer(node, "APPEND a +", ":2\r\n");
        expect_answer(node, "@3 FLUSHDB", "+OK\r\n");
        simnode_close(node);
        node = simnode_start(&(struct simnode_options){.seed = 7}, disk);
        expect_answer(node, "GET a", "$2\r\n3+\r\n");
        expect_answer(node, "@3 DBSIZE", ":0\r\n");
        simnode_close(node);
        simdisk_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reload_changes_nothing_that_can_be_seen),
        cmocka_unit_test(test_what_is_written_meanwhile_waits_and_is_done),
        cmocka_unit_test(test_only_one_at_a_time),
        cmocka_unit_test(test_none_begins_beside_a_backup),
        cmocka_unit_test(test_a_stop_waits_for_it),
        cmocka_unit_test(test_a_swap_is_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
