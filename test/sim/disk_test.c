/* SPDX-License-Identifier: Apache-2.0 */
/* Disk pressure: a node on a disk that fills up, and is given room again. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/upkeep/disk_reserve.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define KB           UINT64_C(1024)
#define SEGMENT      (256 * KB)
#define LOW          (128 * KB)
#define DISK_SIZE    (8192 * KB)
#define CRASHES      150
#define PAGE         4096
#define RESERVE      (512 * KB) /* a sixteenth of it */
#define RESERVE_PATH SIMNODE_DIR "/" DISK_RESERVE_NAME
#define REFUSAL      "-MISCONF The disk of " SIMNODE_DIR " is full or nearly so ("

static void expect_begins(const char *reply, const char *text)
{
    assert_non_null(reply);
    if (strncmp(reply, text, strlen(text)) != 0)
        fail_msg("%s, not %s", reply, text);
}

#define expect(node, text, reply) assert_string_equal(simnode_ask(node, text), reply)

static const struct simnode_options with_all = {
    .seed = 1, .disk_free_low = LOW, .disk_reserve = RESERVE};

/* A disk of DISK_SIZE, most of which others use: leave_free() says how much. */
static struct simdisk *small_disk(uint64_t seed)
{
    struct simdisk *disk = simnode_disk(seed);
    simdisk_set_capacity(disk, DISK_SIZE);
    return disk;
}

static void write_ballast(struct file *file, uint64_t from, uint64_t to)
{
    uint8_t *page = mem_calloc(1, PAGE);
    size_t done;
    for (uint64_t off = from; off < to; off += PAGE)
        assert_int_equal(file_write_full(file, page, PAGE, off, &done), 0);
    mem_free(page);
}

/* From now on so much is free. */
static void leave_free(struct simdisk *disk, uint64_t bytes)
{
    struct fs_space space;
    struct file *file = NULL;
    uint64_t size = 0;
    assert_int_equal(fs_space(simdisk_fs(disk), SIMNODE_DIR, &space), 0);
    assert_int_equal(fs_open(simdisk_fs(disk), "/ballast", FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_size(file, &size), 0);
    assert_true(size + space.free_bytes >= bytes);
    uint64_t wanted = size + space.free_bytes - bytes;
    if (wanted < size)
        assert_int_equal(file_truncate(file, wanted), 0);
    else
        write_ballast(file, size, wanted);
    assert_int_equal(file_sync(file), 0);
    file_unref(file);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
}

static uint64_t reserve_on(struct simdisk *disk)
{
    struct fs_stat st;
    int rc = fs_stat(simdisk_fs(disk), RESERVE_PATH, &st);
    assert_true(rc == 0 || rc == -ENOENT);
    return rc == 0 ? st.size : 0;
}

/* "SET <key> xxxx...", of `size` bytes. */
static char *long_set(char *text, const char *key, size_t size)
{
    int len = snprintf(text, size, "SET %s ", key);
    memset(text + len, 'x', size - (size_t)len);
    text[size] = '\0';
    return text;
}

/* Writes until one is refused for lack of space. */
static void fill(struct simnode *node, size_t size)
{
    char text[32 * KB];
    for (int i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "f%d", i % 50);
        const char *reply = simnode_ask(node, long_set(text, key, size));
        if (reply[0] != '+') {
            expect_begins(reply, "-MISCONF ");
            return;
        }
        if (i % 20 == 19)
            simnode_advance(node, 1000);
    }
    fail_msg("the disk is never full");
}

static void pass_seconds(struct simnode *node, unsigned seconds)
{
    while (seconds-- > 0)
        simnode_advance(node, 1000);
}

/* What is there is what was acknowledged, now and after a restart on the same disk. */
static void end_exact(struct simnode *node, struct simdisk *disk)
{
    struct simmodel *state = simhistory_state(node->history, simhistory_count(node->history));
    simnode_expect_state(node, state);
    simhistory_check_replies(node->history);
    const struct simnode_options options = {.seed = 9, .wall_ms = simnode_now_ms(node) + 1000};
    simnode_close(node);
    struct simnode *next = simnode_start(&options, disk);
    simnode_expect_state(next, state);
    simnode_close(next);
    simmodel_free(state);
    simdisk_free(disk);
}

static struct simnode *start_on(struct simdisk *disk, const struct simnode_options *options)
{
    struct simnode *node = simnode_start(options, disk);
    pass_seconds(node, 2);
    return node;
}

/* Pressed by the limit alone: no write has failed. */
static struct simnode *start_pressed(struct simdisk *disk)
{
    struct simnode *node = start_on(disk, &with_all);
    expect(node, "MSET a 1 b 2 c 3 n 4 e 5", "+OK\r\n");
    expect(node, "PEXPIRE e 30000", ":1\r\n");
    leave_free(disk, LOW - 4 * KB);
    expect(node, "SET last allowed", "+OK\r\n");
    pass_seconds(node, 11); /* so long a node with plenty of room may not have looked */
    assert_true(simnode_stats(node).is_disk_pressed);
    return node;
}

/* ---- What is refused, and what goes on ---- */

static void test_only_what_may_grow_the_data_is_refused(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(1);
    struct simnode *node = start_pressed(disk);
    static const char *const growing[] = {"SET d 1",        "INCR n",         "APPEND a 1",
                                          "SETRANGE a 9 x", "MSET d 1",       "COPY a d",
                                          "SETBIT a 9 1",   "GET a; SET a 2", "DEL a; INCR n"};
    for (size_t i = 0; i < ARRAY_COUNT(growing); i++)
        expect_begins(simnode_ask(node, growing[i]), REFUSAL);
    expect(node, "GET a", "$1\r\n1\r\n");
    expect(node, "MGET d n", "*2\r\n$-1\r\n$1\r\n4\r\n");
    expect(node, "PEXPIRE a 100000", ":1\r\n");
    expect(node, "PERSIST a", ":1\r\n");
    expect(node, "GETDEL b", "$1\r\n2\r\n");
    expect(node, "DEL c; GET a", "*2\r\n:1\r\n$1\r\n1\r\n");
    expect(node, "DEL a", ":1\r\n");
    expect(node, "EXISTS a b c d", ":0\r\n");
    uint64_t number = simnode_stats(node).checkpoint_number;
    assert_int_equal(simnode_checkpoint(node), 0);
    assert_int_equal(simnode_stats(node).checkpoint_number, number + 1);
    assert_int_equal(reserve_on(disk), RESERVE);
    expect(node, "FLUSHALL", "+OK\r\n");
    expect(node, "DBSIZE", ":0\r\n");
    expect_begins(simnode_ask(node, "SET d 1"), REFUSAL);
    leave_free(disk, 2 * LOW);
    pass_seconds(node, 2);
    expect(node, "SET d 1", "+OK\r\n");
    assert_false(simnode_stats(node).is_disk_pressed);
    end_exact(node, disk);
}

/* Time goes on by entries of its own (R14). */
static void test_keys_expire_under_pressure(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(2);
    struct simnode *node = start_pressed(disk);
    uint64_t index = simnode_stats(node).commit_index;
    pass_seconds(node, 25);
    assert_true(simnode_stats(node).commit_index > index);
    assert_int_equal(simnode_stats(node).expired_keys, 1);
    expect(node, "EXISTS e", ":0\r\n");
    expect_begins(simnode_ask(node, "SET e 1"), REFUSAL);
    end_exact(node, disk);
}

/* Nothing that runs on the pool comes to an end. */
static void hold_jobs(struct simnode *node, bool are_held)
{
    node->job_delay = are_held ? 1u << 30 : 0;
}

/* What a port has taken before the pressure began, and the log has not. */
static void test_growth_that_waits_for_the_log_is_refused_when_pressure_begins(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(3);
    const struct simnode_options options = {
        .seed = 3, .frames_in_flight = 1, .disk_free_low = 1, .disk_reserve = RESERVE};
    struct simnode *node = start_on(disk, &options);
    expect(node, "SET a 1", "+OK\r\n");
    simdisk_hold(disk, true);
    uint64_t under_way = simnode_send(node, 1, "SET b 1");
    simnode_dry(node);
    group_set_disk_free_low(node->group, INT64_MAX);
    hold_jobs(node, true);
    assert_true(simnode_try_pass(node, 1000));
    for (unsigned i = 0; i < 10; i++)
        simnode_turn(node);
    uint64_t waiting = simnode_send(node, 2, "SET c 1");
    uint64_t behind = simnode_send(node, 2, "GET a");
    assert_false(simnode_stats(node).is_disk_pressed);
    hold_jobs(node, false);
    simnode_dry(node);
    assert_true(simnode_stats(node).is_disk_pressed);
    simdisk_hold(disk, false);
    assert_true(simnode_settle(node));
    assert_string_equal(simnode_reply(node, under_way), "+OK\r\n");
    expect_begins(simnode_reply(node, waiting), REFUSAL);
    assert_string_equal(simnode_reply(node, behind), "$1\r\n1\r\n");
    group_set_disk_free_low(node->group, 1);
    pass_seconds(node, 3);
    expect(node, "SET c 2", "+OK\r\n");
    end_exact(node, disk);
}

/* While it is not known whether there will be another segment, growth takes no more than three
 * quarters of the last one; so that deletes can go on for a while even without checkpoints. */
static void test_growth_leaves_a_part_of_the_log_to_deletes(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(14);
    const struct simnode_options options = {.seed = 14, .disk_free_low = 1};
    struct simnode *node = start_on(disk, &options);
    leave_free(disk, SEGMENT / 2);
    for (uint64_t n = 1; n <= 100; n++)
        simdisk_fail_nth(disk, SIM_RENAME, "/manifest", n, -EIO);
    hold_jobs(node, true);
    uint64_t waiting = 0;
    unsigned written = 0;
    for (; written < 200 && (waiting == 0 || simnode_reply(node, waiting) != NULL); written++) {
        waiting = simnode_send(node, 1, "SET k v");
        for (unsigned i = 0; i < 10; i++)
            simnode_turn(node);
    }
    assert_in_range(written, 100, 120); /* two segments of 64 frames, but for a quarter of one */
    hold_jobs(node, false);
    assert_true(simnode_settle(node));
    expect_begins(simnode_reply(node, waiting), "-MISCONF The disk of ");
    for (unsigned i = 0; i < 6; i++) /* the log's own reserve is the other half of that quarter */
        expect(node, "PEXPIRE k 1000000", ":1\r\n");
    leave_free(disk, 2 * SEGMENT); /* for the next start: there is no reserve */
    end_exact(node, disk);
}

/* ---- The end of pressure ---- */

static void test_a_little_more_space_does_not_end_it(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(4);
    struct simnode *node = start_pressed(disk);
    leave_free(disk, LOW + LOW / 4 - 4 * KB);
    pass_seconds(node, 5);
    expect_begins(simnode_ask(node, "SET d 1"), REFUSAL);
    leave_free(disk, LOW + LOW / 4);
    pass_seconds(node, 2);
    expect(node, "SET d 1", "+OK\r\n");
    /* Nor does a little less begin it. */
    leave_free(disk, LOW + 24 * KB);
    expect(node, "SET d 2", "+OK\r\n");
    pass_seconds(node, 12);
    expect(node, "SET d 3", "+OK\r\n");
    end_exact(node, disk);
}

static void test_only_a_checkpoint_that_succeeds_ends_it(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(5);
    struct simnode *node = start_pressed(disk);
    assert_int_equal(simnode_checkpoint(node), 0);
    for (uint64_t n = 1; n <= 3; n++)
        simdisk_fail_nth(disk, SIM_RENAME, "/manifest", n, -EIO);
    uint64_t before = simnode_stats(node).checkpoints;
    leave_free(disk, 4 * LOW);
    for (unsigned i = 0; i < 3; i++) {
        pass_seconds(node, 1);
        assert_true(simnode_stats(node).is_disk_pressed);
        expect_begins(simnode_ask(node, "SET d 1"), REFUSAL);
    }
    assert_true(simdisk_fault_fired(disk));
    pass_seconds(node, 2);
    expect(node, "SET d 1", "+OK\r\n");
    assert_int_equal(simnode_stats(node).checkpoints, before + 1);
    end_exact(node, disk);
}

/* ---- The reserve ---- */

static void test_the_reserve_lets_deletes_be_written_on_a_full_disk(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(6);
    /* Without a limit worth the name: growth is found out by the write that fails. */
    const struct simnode_options options = {.seed = 6, .disk_free_low = 1, .disk_reserve = RESERVE};
    struct simnode *node = start_on(disk, &options);
    assert_int_equal(reserve_on(disk), RESERVE);
    expect(node, "MSET a 1 b 2", "+OK\r\n");
    leave_free(disk, 100 * KB);
    fill(node, 3000);
    pass_seconds(node, 1);
    /* As much as a start may need stays. */
    assert_int_equal(reserve_on(disk), SEGMENT);
    assert_int_equal(simnode_stats(node).disk_reserve_bytes, SEGMENT);
    expect_begins(simnode_ask(node, "SET d 1"), "-MISCONF The disk of ");
    expect(node, "DEL a", ":1\r\n");
    assert_int_equal(simnode_checkpoint(node), 0);
    expect(node, "GETDEL b", "$1\r\n2\r\n");
    assert_int_equal(simnode_stats(node).shards_failing, 0);
    /* That the reserve's room is free now does not end it. */
    pass_seconds(node, 5);
    expect_begins(simnode_ask(node, "SET d 1"), "-MISCONF The disk of ");
    leave_free(disk, RESERVE + 64 * KB);
    pass_seconds(node, 3);
    assert_int_equal(reserve_on(disk), RESERVE);
    assert_int_equal(simnode_stats(node).disk_reserve_bytes, RESERVE);
    expect(node, "SET d 1", "+OK\r\n");
    end_exact(node, disk);
}

static void test_the_reserve_is_found_again_by_the_next_start(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(7);
    struct simnode *node = start_on(disk, &with_all);
    expect(node, "SET a 1", "+OK\r\n");
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), SIMNODE_DIR "/" DISK_RESERVE_TEMPORARY,
                             FS_WRITE | FS_CREATE, &file),
                     0);
    file_unref(file);
    uint64_t writes = simdisk_count(disk, SIM_WRITE, DISK_RESERVE_FOLDER "/reserve");
    assert_true(writes > 0);
    node = start_on(disk, &with_all);
    assert_int_equal(simnode_stats(node).disk_reserve_bytes, RESERVE);
    assert_int_equal(simdisk_count(disk, SIM_WRITE, DISK_RESERVE_FOLDER "/reserve"), writes);
    struct fs_stat st;
    assert_int_equal(fs_stat(simdisk_fs(disk), SIMNODE_DIR "/" DISK_RESERVE_TEMPORARY, &st),
                     -ENOENT);
    expect(node, "GET a", "$1\r\n1\r\n");
    simnode_close(node);
    /* Another size, and none at all. */
    struct simnode_options options = with_all;
    options.disk_reserve = 64 * KB;
    node = start_on(disk, &options);
    assert_int_equal(reserve_on(disk), 64 * KB);
    simnode_close(node);
    options.disk_reserve = 0;
    node = start_on(disk, &options);
    assert_int_equal(reserve_on(disk), 0);
    simnode_close(node);
    simdisk_free(disk);
}

static void test_the_reserve_is_small_on_a_small_disk(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(8);
    simdisk_set_capacity(disk, 4096 * KB);
    struct simnode *node = start_on(disk, &with_all);
    assert_int_equal(reserve_on(disk), 256 * KB);
    end_exact(node, disk);
}

/* ---- The log ---- */

/* Deletes need log, and checkpoints give it back: that goes on for ever. */
static void test_deletes_do_not_run_out_of_log(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(9);
    const struct simnode_options options = {.seed = 9, .disk_free_low = 1};
    struct simnode *node = start_on(disk, &options);
    char text[64];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "SET k%u %u", i, i);
        expect(node, text, "+OK\r\n");
    }
    pass_seconds(node, 12);
    leave_free(disk, 64 * KB); /* for tombstones; no segment fits there */
    unsigned refused = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "DEL k%u", i);
        const char *reply = simnode_ask(node, text);
        refused += reply[0] != ':';
    }
    assert_int_equal(refused, 0);
    pass_seconds(node, 1);
    assert_true(simnode_stats(node).log_recycled > 3);
    expect(node, "DBSIZE", ":0\r\n");
    end_exact(node, disk);
}

/* The same if the log has never had more than two segments. */
static void test_two_segments_are_enough_for_the_log(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(12);
    const struct simnode_options options = {.seed = 12, .disk_free_low = 1};
    struct simnode *node = start_on(disk, &options);
    expect(node, "SET k v", "+OK\r\n");
    leave_free(disk, 96 * KB);
    for (unsigned i = 0; i < 500; i++)
        expect(node, "PEXPIRE k 1000000", ":1\r\n");
    pass_seconds(node, 1);
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.log_recycled > 3);
    assert_in_range(stats.log_segments + stats.log_spares, 1, 2);
    end_exact(node, disk);
}

/* What is still free is for records: a checkpoint gives the log its segments. */
static void test_under_pressure_no_new_segments_are_made(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(13);
    const struct simnode_options options = {.seed = 13, .disk_free_low = 4 * SEGMENT};
    struct simnode *node = start_on(disk, &options);
    expect(node, "SET k v", "+OK\r\n");
    leave_free(disk, 3 * SEGMENT);
    pass_seconds(node, 11);
    assert_true(simnode_stats(node).is_disk_pressed);
    uint64_t prepared = simnode_stats(node).log_prepared;
    for (unsigned i = 0; i < 500; i++)
        expect(node, "PEXPIRE k 1000000", ":1\r\n");
    pass_seconds(node, 1);
    assert_true(simnode_stats(node).log_recycled > 3);
    assert_int_equal(simnode_stats(node).log_prepared, prepared);
    end_exact(node, disk);
}

/* ---- Answers that cannot be believed ---- */

static void nobody_is_refused(int error, const struct fs_space *space)
{
    struct simdisk *disk = small_disk(10);
    simdisk_fake_space(disk, error, space);
    struct simnode *node = start_on(disk, &with_all);
    expect(node, "SET a 1", "+OK\r\n");
    pass_seconds(node, 15);
    expect(node, "SET a 2", "+OK\r\n");
    assert_non_null(strstr(node->last_log, "does not tell how much space is free"));
    node->last_log[0] = '\0';
    pass_seconds(node, 15);
    expect(node, "SET a 3", "+OK\r\n");
    assert_string_equal(node->last_log, ""); /* said once */
    assert_int_equal(reserve_on(disk), RESERVE);
    /* A write that fails begins pressure all the same, and one that succeeds ends it. */
    simdisk_fail_nth(disk, SIM_WRITE, "/shard_", 1, -ENOSPC);
    expect(node, "SET a 4", "+OK\r\n");
    simnode_try_pass(node, 20);
    simnode_dry(node);
    assert_true(simnode_stats(node).is_disk_pressed);
    pass_seconds(node, 3);
    expect(node, "SET a 5", "+OK\r\n");
    simdisk_fake_space(disk, 0, NULL);
    end_exact(node, disk);
}

static void test_free_space_that_cannot_be_told_refuses_nobody(void **unused)
{
    (void)unused;
    nobody_is_refused(-EIO, NULL);
    nobody_is_refused(0, &(struct fs_space){0});
    nobody_is_refused(0, &(struct fs_space){.total_bytes = 4096, .free_bytes = UINT64_MAX});
}

/* ---- How often the disk is asked ---- */

static void test_an_idle_node_asks_nothing(void **unused)
{
    (void)unused;
    struct simdisk *disk = small_disk(11);
    struct simnode *node = start_on(disk, &with_all);
    expect(node, "SET a 1", "+OK\r\n");
    pass_seconds(node, 30);
    uint64_t count = simdisk_space_count(disk);
    uint64_t steps = simdisk_steps(disk);
    pass_seconds(node, 60);
    assert_int_equal(simdisk_space_count(disk), count);
    assert_int_equal(simdisk_steps(disk), steps);
    /* With plenty of room now and then, though something is written all the time. */
    for (unsigned i = 0; i < 60; i++) {
        expect(node, "SET a 2", "+OK\r\n");
        pass_seconds(node, 1);
    }
    assert_in_range(simdisk_space_count(disk) - count, 5, 7);
    /* With little room every second. */
    leave_free(disk, LOW + 4 * KB);
    count = simdisk_space_count(disk) + 2;
    for (unsigned i = 0; i < 20; i++) {
        simnode_ask(node, "SET a 3");
        pass_seconds(node, 1);
    }
    assert_in_range(simdisk_space_count(disk) - count, 10, 21);
    simnode_close(node);
    simdisk_free(disk);
}

/* ---- Sweeps ---- */

static void write_some(struct simnode *node, unsigned from, unsigned count)
{
    char text[4 * KB];
    for (unsigned i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "s%u", i % 20);
        simnode_ask(node, i % 7 == 6 ? "DEL s3" : long_set(text, key, 2000));
    }
}

/* A life with rotations, new segments and checkpoints; then as many seconds as it takes to be well
 * again. */
static bool meets_no_space(unsigned op, const char *path_part, uint64_t nth)
{
    struct simdisk *disk = small_disk(20 + nth);
    const struct simnode_options options = {
        .seed = 20 + nth, .disk_free_low = LOW, .disk_reserve = 64 * KB, .max_file_size = 40 * KB};
    struct simnode *node = simnode_start(&options, disk);
    simdisk_fail_nth(disk, op, path_part, nth, -ENOSPC);
    for (unsigned i = 0; i < 100; i += 20) {
        write_some(node, i, 20);
        simnode_advance(node, 300);
        if (i % 40 == 0)
            IGNORE(simnode_checkpoint(node), "it may be what fails");
    }
    bool has_fired = simdisk_fault_fired(disk);
    pass_seconds(node, 5);
    assert_int_equal(node->fatal_count, 0);
    struct group_stats stats = simnode_stats(node);
    assert_false(stats.is_disk_pressed || stats.is_log_full || stats.shards_failing > 0);
    expect(node, "SET after fault", "+OK\r\n");
    pass_seconds(node, 60);
    assert_int_equal(reserve_on(disk), 64 * KB);
    end_exact(node, disk);
    return has_fired;
}

static void test_no_space_at_any_step_is_got_over(void **unused)
{
    (void)unused;
    /* A folder of data files that cannot be synced ends the process (R21). */
    static const struct {
        unsigned op;
        const char *path_part;
        uint64_t least;
    } ops[] = {{SIM_OPEN, NULL, 8},
               {SIM_WRITE, NULL, 20},
               {SIM_RENAME, NULL, 3},
               {SIM_SYNC_DIR, SIMNODE_DIR "/log", 1}};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        uint64_t nth = 1;
        while (meets_no_space(ops[i].op, ops[i].path_part, nth))
            nth++;
        assert_true(nth > ops[i].least);
    }
}

struct full_life {
    struct simdisk *disk;
    struct simnode *node;
    struct simnode_options options;
};

/* From a crash behind `step` it starts on the disk that is still full; deletes are taken, and
 * everything when there is room. */
static void start_from(struct full_life *life, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(life->disk, step, seed);
    struct simnode_options options = life->options;
    options.seed = seed;
    options.wall_ms = simnode_now_ms(life->node) + 1000;
    struct diag diag = {.text = ""};
    struct simnode *node = simnode_open(&options, image, &diag);
    if (node == NULL)
        fail_msg("step %llu, seed %llu: %s", (unsigned long long)step, (unsigned long long)seed,
                 diag.text);
    assert_true(simnode_wait_ready(node));
    uint64_t n;
    uint64_t low = simdisk_noted(life->disk, NOTE_ACKNOWLEDGED, step);
    uint64_t high = simdisk_noted(life->disk, NOTE_SUBMITTED, step);
    if (!simhistory_find(life->node->history, simnode_digest(node), simnode_now_ms(node), low, high,
                         &n))
        fail_msg("step %llu, seed %llu: acknowledged writes are missing, or others are there",
                 (unsigned long long)step, (unsigned long long)seed);
    struct simmodel *state = simhistory_state(life->node->history, n);
    simnode_begin_history(node, state);
    pass_seconds(node, 3);
    expect_begins(simnode_ask(node, "DEL s1"), ":");
    leave_free(image, 2048 * KB);
    pass_seconds(node, 13);
    expect(node, "SET after crash", "+OK\r\n");
    assert_int_equal(simnode_stop(node, true), 0);
    simmodel_free(state);
    end_exact(node, image);
}

static void test_a_crash_on_the_full_disk_loses_nothing(void **unused)
{
    (void)unused;
    struct random random = {.state = sim_seed()};
    struct full_life life = {
        .disk = small_disk(random.state),
        .options = {.seed = random.state,
                    .disk_free_low = 2 * SEGMENT + LOW, /* as by default: segments and some */
                    .disk_reserve = RESERVE}};
    life.node = start_on(life.disk, &life.options);
    write_some(life.node, 0, 100);
    leave_free(life.disk, 4 * SEGMENT);
    uint64_t first = simdisk_steps(life.disk);
    fill(life.node, 3000);
    pass_seconds(life.node, 1);
    /* Others take the rest. */
    leave_free(life.disk, 0);
    write_some(life.node, 0, 40);
    simnode_ask(life.node, "DEL f1 f2 f3");
    pass_seconds(life.node, 11);
    simnode_ask(life.node, "DEL f4");
    simnode_ask(life.node, "PEXPIRE f5 100000000");
    pass_seconds(life.node, 11);
    uint64_t last = simdisk_steps(life.disk);
    for (unsigned i = 0; i < CRASHES; i++)
        start_from(&life, first + random_below(&random, last + 1 - first),
                   random_next(&random) >> 16);
    end_exact(life.node, life.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_may_grow_the_data_is_refused),
        cmocka_unit_test(test_keys_expire_under_pressure),
        cmocka_unit_test(test_growth_that_waits_for_the_log_is_refused_when_pressure_begins),
        cmocka_unit_test(test_growth_leaves_a_part_of_the_log_to_deletes),
        cmocka_unit_test(test_a_little_more_space_does_not_end_it),
        cmocka_unit_test(test_only_a_checkpoint_that_succeeds_ends_it),
        cmocka_unit_test(test_the_reserve_lets_deletes_be_written_on_a_full_disk),
        cmocka_unit_test(test_the_reserve_is_found_again_by_the_next_start),
        cmocka_unit_test(test_the_reserve_is_small_on_a_small_disk),
        cmocka_unit_test(test_deletes_do_not_run_out_of_log),
        cmocka_unit_test(test_two_segments_are_enough_for_the_log),
        cmocka_unit_test(test_under_pressure_no_new_segments_are_made),
        cmocka_unit_test(test_free_space_that_cannot_be_told_refuses_nobody),
        cmocka_unit_test(test_an_idle_node_asks_nothing),
        cmocka_unit_test(test_no_space_at_any_step_is_got_over),
        cmocka_unit_test(test_a_crash_on_the_full_disk_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
