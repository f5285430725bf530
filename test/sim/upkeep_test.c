/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on beside the writes, looked at from outside: that it comes to an end and then asks the
 * disk for nothing, that what is told of it is true, and what happens where it meets others. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define EVERYTHING SIM_ANY

static const struct merge_settings eager = {
    .dead_percent = 10, .small_file_bytes = 3u << 10, .min_files = 2, .max_files = 3};

static void expect_answer(struct simnode *node, const char *text, const char *want)
{
    assert_string_equal(simnode_ask(node, text), want);
}

static void set_value(struct simnode *node, const char *key, size_t size)
{
    struct buf text = {0};
    buf_append_format(&text, "SET %s ", key);
    memset(buf_extend(&text, size), 'v', size);
    buf_append_byte(&text, 0);
    expect_answer(node, (const char *)text.data, "+OK\r\n");
    buf_fini(&text);
}

static void set_values(struct simnode *node, const char *prefix, unsigned count, size_t size)
{
    char key[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%u", prefix, i);
        set_value(node, key, size);
    }
}

static void del_values(struct simnode *node, const char *prefix, unsigned from, unsigned count)
{
    char text[48];
    for (unsigned i = from; i < count; i++) {
        snprintf(text, sizeof(text), "DEL %s%u", prefix, i);
        expect_answer(node, text, ":1\r\n");
    }
}

static void let_pass(struct simnode *node, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++)
        simnode_advance(node, 1000);
}

/* ---- Idle ---- */

static uint64_t operations(struct simdisk *disk, const char *path_part)
{
    return simdisk_count(disk, EVERYTHING, path_part);
}

/* Once checkpoint, hints, merges and the log's last word are done, nothing at all. */
static void test_an_idle_group_asks_the_disk_for_nothing(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(1);
    struct simnode *node =
        simnode_start(&(struct simnode_options){.max_file_size = 12u << 10, .merge = eager}, disk);
    struct simscript script;
    simscript_init(&script, random_seed());
    script.has_absolute = true;
    script.time_ms = 0;
    simscript_run(&script, node, 300);
    assert_true(simnode_settle(node));
    node->job_delay = 0;
    expect_answer(node, "FLUSHALL", "+OK\r\n"); /* nothing falls due any more */
    let_pass(node, 120);
    struct group_stats before = simnode_stats(node);
    assert_true(before.checkpoints > 0 && before.merges > 0);
    assert_int_equal(before.checkpoint_index, before.commit_index);
    assert_int_equal(before.data_replaced_bytes, 0);
    uint64_t count = operations(disk, NULL);
    let_pass(node, 600);
    assert_int_equal(operations(disk, NULL), count);
    assert_int_equal(simnode_stats(node).checkpoints, before.checkpoints);
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(disk);
}

/* Checkpoints go on for the one that is written; the files of the others are left alone. */
static void test_idle_shards_ask_the_disk_for_nothing(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(2);
    struct simnode *node = simnode_start(
        &(struct simnode_options){.shard_count = 3, .max_file_size = 12u << 10, .merge = eager},
        disk);
    set_values(node, "k", 90, 600);
    let_pass(node, 60);
    uint64_t counts[3];
    for (unsigned i = 0; i < 3; i++) {
        char dir[32];
        snprintf(dir, sizeof(dir), "/data/shard_%u", i);
        counts[i] = operations(disk, dir);
        assert_true(counts[i] > 0);
    }
    uint64_t checkpoints = simnode_stats(node).checkpoints;
    for (unsigned i = 0; i < 60; i++) {
        set_values(node, "{one}", 2, 600);
        simnode_advance(node, 1000);
    }
    assert_true(simnode_stats(node).checkpoints > checkpoints + 3);
    unsigned busy = 0;
    for (unsigned i = 0; i < 3; i++) {
        char dir[32];
        snprintf(dir, sizeof(dir), "/data/shard_%u", i);
        busy += operations(disk, dir) != counts[i];
    }
    assert_int_equal(busy, 1);
    simnode_close(node);
    simdisk_free(disk);
}

/* ---- What is told ---- */

static void expect_same_checkpoint(struct simnode *node, const struct group_stats *before)
{
    struct group_stats now = simnode_stats(node);
    assert_int_equal(now.last_checkpoint_ms, before->last_checkpoint_ms);
    assert_int_equal(now.checkpoint_index, before->checkpoint_index);
    assert_int_equal(now.checkpoint_number, before->checkpoint_number);
    assert_int_equal(now.checkpoints, before->checkpoints);
}

/* LASTSAVE and INFO say what is durable, not what was tried. */
static void fail_checkpoint(enum simdisk_op op, int error)
{
    struct simdisk *disk = simnode_disk(3);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 3}, disk);
    set_value(node, "a", 10);
    assert_int_equal(simnode_checkpoint(node), 0);
    struct group_stats before = simnode_stats(node);
    assert_int_equal(before.last_checkpoint_ms, simnode_now_ms(node));
    simnode_advance(node, 1500);
    set_value(node, "b", 10);
    simdisk_fail_nth(disk, op, SIMNODE_DIR "/manifest", 1, error);
    assert_int_equal(simnode_checkpoint(node), error);
    assert_true(simdisk_fault_fired(disk));
    expect_same_checkpoint(node, &before);
    assert_true(simnode_stats(node).is_checkpoint_failing);
    assert_true(simnode_has_told(node, "checkpoint failed"));
    let_pass(node, 15); /* the next try is its own */
    struct group_stats after = simnode_stats(node);
    assert_false(after.is_checkpoint_failing);
    assert_false(after.is_checkpoint_running);
    assert_int_equal(after.checkpoints, before.checkpoints + 1);
    assert_int_equal(after.checkpoint_index, after.commit_index);
    assert_true(after.last_checkpoint_ms > before.last_checkpoint_ms);
    simnode_close(node);
    simdisk_free(disk);
}

static void test_a_checkpoint_that_fails_is_not_told_as_one(void **unused)
{
    (void)unused;
    fail_checkpoint(SIM_OPEN, -ENOSPC);
    fail_checkpoint(SIM_WRITE, -EIO);
    fail_checkpoint(SIM_SYNC, -EIO);
    fail_checkpoint(SIM_RENAME, -EIO);
}

static void test_a_backup_that_fails_is_told_as_failed(void **unused)
{
    (void)unused;
    uint64_t index = 0;
    struct simdisk *disk = simnode_disk(4);
    struct simnode *node = simnode_start(&(struct simnode_options){.seed = 4}, disk);
    set_value(node, "a", 10);
    simdisk_fail_nth(disk, SIM_WRITE, "/copy", 1, -ENOSPC);
    assert_int_equal(simnode_backup(node, "/copy", &index), -ENOSPC);
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.is_backup_failing);
    assert_int_equal(stats.last_backup_ms, 0);
    assert_int_equal(stats.backup_total_bytes, 0);
    assert_int_equal(simnode_backup(node, "/second", &index), 0);
    stats = simnode_stats(node);
    assert_false(stats.is_backup_failing);
    assert_int_equal(stats.last_backup_ms, simnode_now_ms(node));
    assert_int_equal(index, stats.checkpoint_index);
    simnode_close(node);
    simdisk_free(disk);
}

/* ---- A sync of a merge's output that fails (R21) ---- */

/* Path of the newest data file of shard 0. */
static int note_newest(void *ctx, const char *name)
{
    char *newest = ctx;
    if (strstr(name, ".log") != NULL && strcmp(name, newest) > 0)
        snprintf(newest, 32, "%.30s", name);
    return 0;
}

/* By what had been synced, and by what the system may have written besides. */
static void expect_recovered(struct simdisk *disk, struct simnode_options options, uint64_t digest)
{
    struct simdisk *image = simdisk_image_synced(disk, simdisk_steps(disk));
    struct simdisk *disks[] = {image, disk};
    options.wall_ms = SIMNODE_START_MS + 60000;
    for (unsigned i = 0; i < 2; i++) {
        struct simnode *node = simnode_start(&options, disks[i]);
        assert_true(simnode_digest(node) == digest);
        simnode_close(node);
    }
    simdisk_free(image);
}

static void test_a_failed_sync_of_a_merged_file_ends_the_process_by_its_name(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(5);
    struct simnode_options options = {.seed = 5, .shard_count = 1, .max_file_size = 16u << 10};
    struct simnode *node = simnode_start(&options, disk);
    set_values(node, "k", 40, 1000);
    del_values(node, "k", 0, 6);
    simnode_advance(node, 1500);
    assert_int_equal(simnode_checkpoint(node), 0);
    group_set_merge(node->group, &eager);
    group_merge(node->group);
    simnode_advance(node, 1500);
    assert_true(simnode_stats(node).merges > 0);
    char newest[32] = "";
    assert_int_equal(fs_list(simdisk_fs(disk), SIMNODE_DIR "/data/shard_0", note_newest, newest),
                     0);
    uint64_t digest = simnode_digest(node);
    simdisk_fail_nth(disk, SIM_SYNC, newest, 1, -EIO);
    simnode_ask_checkpoint(node);
    simnode_dry(node);
    assert_int_equal(node->fatal_count, 1);
    assert_non_null(strstr(node->fatal, newest));
    simnode_close(node);
    expect_recovered(disk, options, digest);
    simdisk_free(disk);
}

#define LARGE ((size_t)64 << 10)

/* One file of 14 MiB of which a twelfth is dead, and nothing to be synced. */
static struct simnode *start_with_much(struct simdisk *disk, const struct simnode_options *options)
{
    struct simnode *node = simnode_start(options, disk);
    set_values(node, "k", 220, LARGE);
    del_values(node, "k", 0, 20);
    simnode_advance(node, 1500);
    assert_int_equal(simnode_checkpoint(node), 0);
    return node;
}

static const struct simnode_options much = {
    .seed = 7, .shard_count = 1, .max_file_size = 32u << 20, .merge = {.mode = MERGE_OFF}};

static void test_a_merge_leaves_little_for_the_checkpoint_to_sync(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(7);
    struct simnode *node = start_with_much(disk, &much);
    uint64_t syncs = simdisk_count(disk, SIM_SYNC, ".log");
    uint64_t checkpoints = simnode_stats(node).checkpoints;
    struct merge_settings settings = {.mode = MERGE_OFF, .dead_percent = 1, .max_files = 3};
    group_set_merge(node->group, &settings);
    group_merge(node->group);
    for (unsigned i = 0; i < 20 && simnode_stats(node).merges == 0; i++)
        simnode_advance(node, 100);
    assert_int_equal(simnode_stats(node).merges, 1);
    assert_int_equal(simnode_stats(node).checkpoints, checkpoints);
    assert_int_equal(simdisk_count(disk, SIM_SYNC, ".log"), syncs + 1);
    simnode_close(node);
    simdisk_free(disk);
}

static void test_a_failed_sync_in_a_merge_ends_the_process(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(7);
    struct simnode *node = start_with_much(disk, &much);
    uint64_t digest = simnode_digest(node);
    struct merge_settings settings = {.mode = MERGE_OFF, .dead_percent = 1, .max_files = 3};
    group_set_merge(node->group, &settings);
    simdisk_fail_nth(disk, SIM_SYNC, ".log", 1, -EIO);
    group_merge(node->group);
    for (unsigned i = 0; i < 20 && node->fatal_count == 0; i++)
        simnode_advance(node, 100);
    uint64_t count = operations(disk, ".log");
    simnode_dry(node);
    assert_int_equal(operations(disk, ".log"), count);
    assert_int_equal(node->fatal_count, 1);
    assert_non_null(strstr(node->fatal, "00002.log: cannot sync"));
    assert_int_equal(simnode_stats(node).merges, 0);
    simnode_close(node);
    expect_recovered(disk, much, digest);
    simdisk_free(disk);
}

/* ---- Where it meets others ---- */

/* A value that is to lose its place in memory waits for its record to be written, and others wait
 * behind it: until then a merge may have moved their records twice. */
static void test_a_row_that_is_to_be_cold_may_be_moved_twice_before(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(6);
    struct simnode_options options = {
        .seed = 6, .shard_count = 1, .max_file_size = 32u << 10, .hot_max_value = 1 << 20};
    struct simnode *node = simnode_start(&options, disk);
    set_values(node, "a", 26, 1000);
    set_values(node, "b", 26, 1000);
    set_values(node, "c", 10, 1000);
    del_values(node, "a", 1, 26);
    del_values(node, "b", 1, 26);
    simnode_advance(node, 1500);
    assert_int_equal(simnode_checkpoint(node), 0);
    char newest[32] = "";
    assert_int_equal(fs_list(simdisk_fs(disk), SIMNODE_DIR "/data/shard_0", note_newest, newest),
                     0);
    for (unsigned i = 1; i <= 60; i++)
        simdisk_fail_nth(disk, SIM_WRITE, newest, i, -EIO);
    group_set_hot_max_value(node->group, 16);
    set_value(node, "late", 500);
    simnode_advance(node, 50); /* its append fails from now on */
    struct merge_settings settings = {.dead_percent = 50, .max_files = 1};
    group_set_merge(node->group, &settings);
    for (unsigned i = 0; i < 2; i++) {
        group_merge(node->group);
        simnode_advance(node, 200);
    }
    uint64_t merges = simnode_stats(node).merges;
    assert_true(merges >= 2);
    settings = (struct merge_settings){
        .dead_percent = 90, .small_file_bytes = 8u << 10, .min_files = 2, .max_files = 4};
    group_set_merge(node->group, &settings);
    group_merge(node->group);
    simnode_advance(node, 1500);
    assert_true(simnode_stats(node).merges > merges);
    let_pass(node, 120);
    assert_true(simdisk_fault_fired(disk));
    expect_answer(node, "STRLEN late", ":500\r\n");
    expect_answer(node, "STRLEN a0", ":1000\r\n");
    expect_answer(node, "STRLEN b0", ":1000\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

/* A reload waits for the merge under way to end; the stop waits for the reload. */
static void test_a_stop_comes_to_its_end_behind_a_reload_behind_a_merge(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(7);
    struct simnode_options options = {.seed = 7, .shard_count = 1, .max_file_size = 16u << 10};
    struct simnode *node = simnode_start(&options, disk);
    set_values(node, "k", 40, 1000);
    del_values(node, "k", 0, 9);
    simnode_advance(node, 1500);
    struct merge_settings slow = eager;
    slow.rate_bytes = 1; /* it would take hours */
    group_set_merge(node->group, &slow);
    group_merge(node->group);
    simnode_advance(node, 1);
    assert_true(simnode_stats(node).merge_total_bytes > 0);
    const struct group_reload_request *reload = simnode_ask_reload(node);
    assert_int_equal(simnode_stop(node, true), 0);
    assert_true(reload->error == 0 || reload->error == ERR_BUSY);
    simnode_close(node);
    options.wall_ms = SIMNODE_START_MS + 60000;
    node = simnode_start(&options, disk);
    expect_answer(node, "DBSIZE", ":31\r\n");
    simnode_close(node);
    simdisk_free(disk);
}

/* A merge that waits for its rate holds up neither a checkpoint nor a reload nor a backup. */
static void test_a_slow_merge_holds_up_nobody(void **unused)
{
    (void)unused;
    uint64_t index = 0;
    struct simdisk *disk = simnode_disk(8);
    struct simnode_options options = {.seed = 8, .shard_count = 1, .max_file_size = 16u << 10};
    struct simnode *node = simnode_start(&options, disk);
    set_values(node, "k", 40, 1000);
    del_values(node, "k", 0, 9);
    simnode_advance(node, 1500);
    struct merge_settings slow = eager;
    slow.rate_bytes = 1;
    group_set_merge(node->group, &slow);
    group_merge(node->group);
    simnode_advance(node, 1);
    assert_true(simnode_stats(node).merge_total_bytes > 0);
    assert_int_equal(simnode_checkpoint(node), 0);
    assert_int_equal(simnode_backup(node, "/copy", &index), 0);
    assert_int_equal(simnode_reload(node), 0);
    expect_answer(node, "DBSIZE", ":31\r\n");
    options.dir = "/copy";
    options.wall_ms = SIMNODE_START_MS + 60000;
    struct simnode *copy = simnode_start(&options, disk);
    expect_answer(copy, "DBSIZE", ":31\r\n");
    simnode_close(copy);
    simnode_close(node);
    simdisk_free(disk);
}

/* What merges have replaced stays as long as a backup may need it, and goes soon afterwards. */
static void test_replaced_files_go_after_a_backup(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(9);
    struct simnode_options options = {.seed = 9, .shard_count = 1, .max_file_size = 16u << 10};
    struct simnode *node = simnode_start(&options, disk);
    set_values(node, "k", 40, 1000);
    del_values(node, "k", 0, 9);
    simnode_advance(node, 1500);
    group_set_merge(node->group, &eager);
    node->job_delay = 50;
    group_merge(node->group);
    struct group_backup_request *copy = simnode_ask_backup(node, "/copy");
    simnode_ask_checkpoint(node);
    simnode_dry(node);
    node->job_delay = 0;
    assert_true(simnode_backup_is_done(copy));
    assert_int_equal(copy->error, 0);
    let_pass(node, 30);
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.merges > 0);
    assert_int_equal(stats.data_replaced_bytes, 0);
    simnode_close(node);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_group_asks_the_disk_for_nothing),
        cmocka_unit_test(test_idle_shards_ask_the_disk_for_nothing),
        cmocka_unit_test(test_a_checkpoint_that_fails_is_not_told_as_one),
        cmocka_unit_test(test_a_backup_that_fails_is_told_as_failed),
        cmocka_unit_test(test_a_failed_sync_of_a_merged_file_ends_the_process_by_its_name),
        cmocka_unit_test(test_a_merge_leaves_little_for_the_checkpoint_to_sync),
        cmocka_unit_test(test_a_failed_sync_in_a_merge_ends_the_process),
        cmocka_unit_test(test_a_row_that_is_to_be_cold_may_be_moved_twice_before),
        cmocka_unit_test(test_a_stop_comes_to_its_end_behind_a_reload_behind_a_merge),
        cmocka_unit_test(test_a_slow_merge_holds_up_nobody),
        cmocka_unit_test(test_replaced_files_go_after_a_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
