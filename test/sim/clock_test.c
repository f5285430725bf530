/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to a node: expiry follows the log and nothing else, what a read has said stays
 * said, and an idle node is idle (R14, R15, R22, R23).
 */
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simnode.h"

#define NULL_REPLY "$-1\r\n"

struct rig {
    struct simdisk *disk;
    struct simnode *node;
};

static void rig_init(struct rig *rig, const struct simnode_options *options)
{
    rig->disk = simnode_disk(1);
    rig->node = simnode_start(options, rig->disk);
}

static void rig_fini(struct rig *rig)
{
    simnode_close(rig->node);
    simdisk_free(rig->disk);
}

/* The same directory as it is on the disk now, under another node with this clock. The first one
 * goes. */
static void restart(struct rig *rig, uint64_t wall_ms)
{
    struct simdisk *image = simdisk_image_synced(rig->disk, simdisk_steps(rig->disk));
    rig_fini(rig);
    rig->disk = image;
    rig->node = simnode_start(&(struct simnode_options){.seed = 2, .wall_ms = wall_ms}, image);
}

/* Sends a write that gets its time now and stays in flight until simdisk_hold(disk, false). */
static uint64_t send_held(struct rig *rig, const char *text)
{
    simdisk_hold(rig->disk, true);
    uint64_t number = simnode_send(rig->node, 1, text);
    simnode_dry(rig->node);
    assert_null(simnode_reply(rig->node, number));
    return number;
}

static void release(struct rig *rig)
{
    simdisk_hold(rig->disk, false);
    simnode_dry(rig->node);
}

/* The state's clock is that of the last entry in it, not that of the moment: the entry behind it
 * may have been stamped before a key fell due that it saves (R15). */
static void test_a_checkpoint_does_not_expire_what_the_next_entry_saves(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "SET k v PX 1000");
    simnode_advance(rig.node, 900);
    uint64_t number = send_held(&rig, "PERSIST k");
    assert_true(simnode_try_pass(rig.node, 200));
    assert_int_equal(simnode_checkpoint(rig.node), 0);
    release(&rig);
    assert_string_equal(simnode_reply(rig.node, number), ":1\r\n");
    restart(&rig, simnode_now_ms(rig.node));
    assert_string_equal(simnode_ask(rig.node, "GET k"), "$1\r\nv\r\n");
    rig_fini(&rig);
}

static void advance_by_seconds(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++)
        simnode_advance(rig->node, 1000);
}

/* ---- R22: a read between the time of what was applied and now ---- */

static void test_a_read_waits_for_what_was_stamped_before_its_key_fell_due(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "SET k v PX 1000");
    simnode_advance(rig.node, 900);
    uint64_t persist = send_held(&rig, "PERSIST k");
    assert_true(simnode_try_pass(rig.node, 200));
    uint64_t get = simnode_send(rig.node, 0, "GET k");
    uint64_t exists = simnode_send(rig.node, 2, "EXISTS k other");
    uint64_t keys = simnode_send(rig.node, 3, "KEYS *");
    simnode_dry(rig.node);
    assert_null(simnode_reply(rig.node, get));
    assert_null(simnode_reply(rig.node, exists));
    release(&rig);
    assert_string_equal(simnode_reply(rig.node, persist), ":1\r\n");
    assert_string_equal(simnode_reply(rig.node, get), "$1\r\nv\r\n");
    assert_string_equal(simnode_reply(rig.node, exists), ":1\r\n");
    assert_string_equal(simnode_reply(rig.node, keys), "*1\r\n$1\r\nk\r\n");
    rig_fini(&rig);
}

static void test_a_key_that_a_read_found_expired_stays_so(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "SET k v PX 1000");
    simnode_advance(rig.node, 1000);
    assert_string_equal(simnode_ask(rig.node, "GET k"), NULL_REPLY);
    rig.node->clock.wall_ms -= 500; /* the clock of the machine is set back */
    assert_string_equal(simnode_ask(rig.node, "GET k"), NULL_REPLY);
    assert_string_equal(simnode_ask(rig.node, "PERSIST k"), ":0\r\n");
    assert_string_equal(simnode_ask(rig.node, "GET k; EXISTS k"), "*2\r\n$-1\r\n:0\r\n");
    rig_fini(&rig);
}

/* ---- R23: the ceiling ---- */

static uint64_t logged_frames(struct rig *rig)
{
    simnode_advance(rig->node, 1000); /* counters of the log are told once a second */
    return simnode_stats(rig->node).log_entries_frames;
}

/* The read moved the clock, and nothing was logged. A start with a clock that is behind must not
 * bring back what was said to be gone. */
static void expired_stays_expired_over_a_restart(bool has_checkpoint)
{
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    uint64_t before = logged_frames(&rig);
    simnode_ask(rig.node, "SET k v PX 700");
    uint64_t set_ms = simnode_now_ms(rig.node);
    if (has_checkpoint)
        assert_int_equal(simnode_checkpoint(rig.node), 0);
    simnode_advance(rig.node, 700);
    assert_string_equal(simnode_ask(rig.node, "GET k"), NULL_REPLY);
    assert_int_equal(simnode_stats(rig.node).commit_index, before + 1);
    restart(&rig, set_ms + 100);
    assert_string_equal(simnode_ask(rig.node, "GET k"), NULL_REPLY);
    assert_string_equal(simnode_ask(rig.node, "TTL k"), ":-2\r\n");
    assert_string_equal(simnode_ask(rig.node, "PERSIST k"), ":0\r\n");
    assert_true(simnode_stats(rig.node).hlc_ms >= set_ms + 700);
    rig_fini(&rig);
}

static void test_a_restart_begins_at_the_ceiling_in_the_log(void **unused)
{
    (void)unused;
    expired_stays_expired_over_a_restart(false);
}

static void test_a_restart_begins_at_the_ceiling_in_the_manifest(void **unused)
{
    (void)unused;
    expired_stays_expired_over_a_restart(true);
}

static void test_reads_beyond_the_ceiling_log_one_clock_entry_a_second(void **unused)
{
    (void)unused;
    struct rig rig;
    char text[64];
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "SET k%d v PX %d", i, 20000 + i * 10);
        simnode_send(rig.node, 0, text);
    }
    assert_true(simnode_settle(rig.node));
    simnode_advance(rig.node, 19999);
    uint64_t before = logged_frames(&rig);
    for (int i = 100; i < 300; i++) {
        simnode_advance(rig.node, 10);
        snprintf(text, sizeof(text), "GET k%d", i);
        assert_string_equal(simnode_ask(rig.node, text), NULL_REPLY);
    }
    /* Two seconds of reads, one of logged_frames(), and what began before. */
    assert_in_range(logged_frames(&rig) - before, 1, 4);
    rig_fini(&rig);
}

/* ---- R14: committed time ---- */

static void test_an_idle_node_without_expiries_logs_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "MSET a 1 b 2 c 3");
    simnode_ask(rig.node, "SET d 4 PX 1000");
    /* d goes, a checkpoint is made, the log's end is vouched for. */
    advance_by_seconds(&rig, 30);
    uint64_t steps = simdisk_steps(rig.disk);
    uint64_t before = logged_frames(&rig);
    advance_by_seconds(&rig, 3600);
    for (int i = 0; i < 48; i++)
        simnode_advance(rig.node, 3600000);
    assert_string_equal(simnode_ask(rig.node, "GET a"), "$1\r\n1\r\n");
    assert_int_equal(logged_frames(&rig), before);
    assert_int_equal(simdisk_steps(rig.disk), steps); /* nor does it touch the disk at all */
    rig_fini(&rig);
}

static void test_an_idle_node_removes_what_is_due_by_clock_entries(void **unused)
{
    (void)unused;
    struct rig rig;
    char text[64];
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "SET k%d v PX %d", i, 5000 + i * 100);
        simnode_send(rig.node, 0, text);
    }
    assert_true(simnode_settle(rig.node));
    uint64_t before = logged_frames(&rig);
    for (int i = 0; i < 40; i++)
        simnode_advance(rig.node, 500);
    struct group_stats stats = simnode_stats(rig.node);
    assert_int_equal(stats.expired_keys, 100);
    /* One a second while keys fall due, and no more: ten seconds and the beginning. */
    assert_in_range(logged_frames(&rig) - before, 5, 13);
    assert_string_equal(simnode_ask(rig.node, "DBSIZE"), ":0\r\n");
    rig_fini(&rig);
}

/* A key that is due in an hour costs a few looks at the wheel, not an entry a second. */
static void test_an_expiry_far_away_logs_next_to_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "SET k v PX 3600000");
    uint64_t before = logged_frames(&rig);
    advance_by_seconds(&rig, 3500);
    assert_in_range(logged_frames(&rig) - before, 0, 4);
    rig_fini(&rig);
}

/* What was swept and what only counts as gone is the same to a handler. */
static void test_a_swept_key_and_one_that_is_only_due_are_the_same(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "MSET swept 1 due 1");
    simnode_ask(rig.node, "PEXPIRE swept 1000; PEXPIRE due 9000");
    advance_by_seconds(&rig, 8);
    assert_int_equal(simnode_stats(rig.node).expired_keys, 1);
    assert_true(simnode_try_pass(rig.node, 1000));
    static const struct {
        const char *word;
        const char *rest;
        const char *reply;
    } writes[] = {
        {"APPEND", " x", ":1\r\n"},
        {"INCR", "", "-ERR value is not an integer or out of range\r\n"},
        {"PERSIST", "", ":0\r\n"},
        {"SET", " v KEEPTTL", "+OK\r\n"},
    };
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s swept%s", writes[i].word, writes[i].rest);
        assert_string_equal(simnode_ask(rig.node, text), writes[i].reply);
        snprintf(text, sizeof(text), "%s due%s", writes[i].word, writes[i].rest);
        assert_string_equal(simnode_ask(rig.node, text), writes[i].reply);
    }
    assert_string_equal(simnode_ask(rig.node, "TTL due"), ":-1\r\n");
    rig_fini(&rig);
}

/* ---- A wall clock that cannot be believed (R23) ---- */

static void test_a_step_of_the_wall_clock_is_not_followed(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, &(struct simnode_options){.seed = 1});
    simnode_ask(rig.node, "SET k v PX 3600000");
    uint64_t before_ms = simnode_stats(rig.node).hlc_ms;
    rig.node->clock.wall_ms += UINT64_C(365) * 86400 * 1000;
    assert_string_equal(simnode_ask(rig.node, "GET k"), "$1\r\nv\r\n");
    assert_string_equal(simnode_ask(rig.node, "SET other v"), "+OK\r\n");
    simnode_advance(rig.node, 2000);
    assert_string_equal(simnode_ask(rig.node, "EXISTS k"), ":1\r\n");
    struct group_stats stats = simnode_stats(rig.node);
    assert_true(stats.hlc_ms <= before_ms + 60000);
    assert_true(stats.clock_refused_ms > 0);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_waits_for_what_was_stamped_before_its_key_fell_due),
        cmocka_unit_test(test_a_key_that_a_read_found_expired_stays_so),
        cmocka_unit_test(test_a_restart_begins_at_the_ceiling_in_the_log),
        cmocka_unit_test(test_a_restart_begins_at_the_ceiling_in_the_manifest),
        cmocka_unit_test(test_reads_beyond_the_ceiling_log_one_clock_entry_a_second),
        cmocka_unit_test(test_an_idle_node_without_expiries_logs_nothing),
        cmocka_unit_test(test_an_idle_node_removes_what_is_due_by_clock_entries),
        cmocka_unit_test(test_an_expiry_far_away_logs_next_to_nothing),
        cmocka_unit_test(test_a_swept_key_and_one_that_is_only_due_are_the_same),
        cmocka_unit_test(test_a_step_of_the_wall_clock_is_not_followed),
        cmocka_unit_test(test_a_checkpoint_does_not_expire_what_the_next_entry_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
