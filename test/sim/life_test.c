/* SPDX-License-Identifier: Apache-2.0 */
/* How a node begins and how it ends: what it refuses to open, what it says while it replays, and
 * that a stop leaves nobody without an answer and nothing to be replayed. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

static void expect_begins(const char *reply, const char *text)
{
    assert_non_null(reply);
    if (strncmp(reply, text, strlen(text)) != 0)
        fail_msg("%.60s, not %s", reply, text);
}

/* A directory with a checkpoint, log behind it, and the state it stands for. */
struct past {
    struct simdisk *disk;
    struct simmodel *state;
    uint64_t wall_ms;
};

static void past_init(struct past *past, uint64_t seed)
{
    struct simscript script;
    past->disk = simnode_disk(seed);
    struct simnode *node = simnode_start(
        &(struct simnode_options){.seed = seed, .hot_max_value = 1 << 20}, past->disk);
    simscript_init(&script, seed);
    script.has_absolute = true;
    script.checkpoint = 0;
    script.time_ms = 0;
    simscript_run(&script, node, 200);
    assert_int_equal(simnode_checkpoint(node), 0);
    simscript_run(&script, node, 200);
    assert_true(simnode_settle(node));
    past->state = simhistory_state(node->history, simhistory_count(node->history));
    past->wall_ms = simnode_now_ms(node) + 2000;
    simnode_close(node);
    simscript_fini(&script);
}

static void past_fini(struct past *past)
{
    simmodel_free(past->state);
    simdisk_free(past->disk);
}

static struct simnode_options options_of(const struct past *past)
{
    return (struct simnode_options){.seed = 7, .wall_ms = past->wall_ms, .hot_max_value = 1 << 20};
}

static struct simnode *start(const struct past *past)
{
    const struct simnode_options options = options_of(past);
    return simnode_start(&options, past->disk);
}

static struct simnode *open_only(const struct past *past)
{
    struct diag diag = {.text = ""};
    const struct simnode_options options = options_of(past);
    struct simnode *node = simnode_open(&options, past->disk, &diag);
    if (node == NULL)
        fail_msg("%s", diag.text);
    return node;
}

/* It cannot be opened, and is told why in words that hold this. */
static void expect_refused(const struct past *past, const struct simnode_options *options,
                           const char *text)
{
    struct diag diag = {.text = ""};
    assert_null(simnode_open(options, past->disk, &diag));
    if (strstr(diag.text, text) == NULL)
        fail_msg("%s, without %s", diag.text, text);
}

/* ---- Replay ---- */

static void test_requests_are_refused_until_the_log_has_been_replayed(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 1);
    struct simnode *node = open_only(&past);
    static const char *const texts[] = {"GET n1", "KEYS *", "SET a 1", "GET a; INCR b"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_begins(simnode_reply(node, simnode_send(node, 0, texts[i])), "-LOADING ");
    assert_true(simnode_wait_ready(node));
    assert_true(simnode_stats(node).replayed_commands > 0);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

/* A stop that comes too early must not make half a state visible (R34). */
static void test_a_stop_during_replay_serves_no_half_state(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 2);
    struct simnode *node = open_only(&past);
    simnode_ask_stop(node, true);
    for (int i = 0; i < 50; i++) {
        uint64_t number = simnode_send(node, 0, "GET n1");
        simnode_turn(node);
        expect_begins(simnode_reply(node, number), "-LOADING ");
    }
    simnode_dry(node);
    assert_true(node->is_stopped);
    assert_int_equal(node->stop_error, 0);
    simnode_close(node);
    node = start(&past);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

static void test_a_checkpoint_asked_for_during_replay_is_made_behind_it(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 3);
    struct simnode *node = open_only(&past);
    assert_int_equal(simnode_checkpoint(node), 0);
    assert_int_equal(group_state(node->group), GROUP_READY);
    struct group_stats stats = simnode_stats(node);
    assert_int_equal(stats.checkpoint_index, stats.commit_index);
    simnode_close(node);
    past_fini(&past);
}

/* ---- Stopping ---- */

/* R13: the next start, perhaps of another version, finds nothing to replay. */
static void test_a_stop_with_a_checkpoint_leaves_nothing_to_replay(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 4);
    struct simnode *node = start(&past);
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
    node = start(&past);
    assert_int_equal(simnode_stats(node).replayed_commands, 0);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

/* Every request gets its one answer, wherever the stop meets it; what was acknowledged is there at
 * the next start. */
static void stop_amid_writes(uint64_t seed)
{
    struct simscript script;
    struct simdisk *disk = simnode_disk(seed);
    const struct simnode_options options = {.seed = seed, .hot_max_value = 8};
    struct simnode *node = simnode_start(&options, disk);
    simscript_init(&script, seed);
    script.has_absolute = true;
    script.time_ms = 0;
    simscript_run(&script, node, 40 + (unsigned)(seed % 7));
    for (unsigned i = 1; i < SIMNODE_CONNECTIONS; i++) {
        simnode_send(node, i, "GET n1");
        simnode_send(node, i, "INCR n2");
        simnode_send(node, i, "KEYS *");
    }
    for (uint64_t i = seed % 5; i > 0; i--)
        simnode_turn(node);
    assert_int_equal(simnode_stop(node, seed % 2 == 0), 0);
    expect_begins(simnode_ask(node, "SET late 1"), "-ERR Ferric is shutting down");
    assert_string_equal(simnode_ask(node, "EXISTS late"), ":0\r\n");
    assert_true(simnode_settle(node));
    uint64_t digest = simnode_digest(node);
    uint64_t count = simhistory_count(node->history);
    uint64_t n;
    assert_true(simhistory_find(node->history, digest, simnode_now_ms(node), count, count, &n));
    simnode_close(node);
    node = simnode_start(&(struct simnode_options){.seed = 1}, disk);
    assert_true(simnode_digest(node) == digest);
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(disk);
}

static void test_a_stop_leaves_nobody_without_an_answer(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 60; seed++)
        stop_amid_writes(seed);
}

/* ---- What is refused ---- */

static void test_a_directory_in_use_is_refused(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 5);
    struct simnode *node = start(&past);
    const struct simnode_options options = options_of(&past);
    expect_refused(&past, &options, "in use by another Ferric");
    simnode_close(node);
    past_fini(&past);
}

static void test_another_shard_count_is_refused(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 6);
    struct simnode_options options = options_of(&past);
    options.shard_count = 2;
    expect_refused(&past, &options, "has 3 shards");
    options.shard_count = 3;
    struct simnode *node = simnode_start(&options, past.disk);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

static void stop_in_order(const struct past *past)
{
    struct simnode *node = start(past);
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
}

/* R13: the reply of a command hangs on how many there are, and so may what it changes. */
static void test_no_databases_are_added_while_there_is_a_log_to_replay(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 11);
    struct simnode *node = start(&past);
    assert_int_equal(group_database_count(node->group), 4);
    expect_begins(simnode_ask(node, "SET here 1"), "+OK");
    expect_begins(simnode_ask(node, "COPY here there DB 8"), "-ERR DB index is out of range");
    simnode_close(node);
    struct simnode_options options = options_of(&past);
    options.database_count = 9;
    node = simnode_start(&options, past.disk);
    assert_int_equal(group_database_count(node->group), 4);
    expect_begins(node->last_log, "there will be 4 databases, not 9");
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
    node = simnode_start(&options, past.disk);
    assert_int_equal(group_database_count(node->group), 9);
    expect_begins(simnode_ask(node, "@8 DBSIZE"), ":0");
    simnode_close(node);
    past_fini(&past);
}

/* A database that is new with this start holds writes before the first checkpoint; whoever starts
 * with fewer databases afterwards does not see it, and loses nothing of it. */
static void test_databases_may_become_more_and_fewer(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 10);
    struct simnode_options options = options_of(&past);
    stop_in_order(&past);
    options.database_count = 9;
    struct simnode *node = simnode_start(&options, past.disk);
    assert_int_equal(group_database_count(node->group), 9);
    assert_string_equal(simnode_ask(node, "@8 SET a 1"), "+OK\r\n");
    struct simdisk *image = simdisk_image_synced(past.disk, simdisk_steps(past.disk));
    simnode_close(node);
    simdisk_free(past.disk);
    past.disk = image;
    node = start(&past);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    node = simnode_start(&options, past.disk);
    assert_string_equal(simnode_ask(node, "@8 GET a"), "$1\r\n1\r\n");
    simnode_close(node);
    past_fini(&past);
}

/* R1: what a lost manifest named must not look like garbage. */
static void test_data_without_a_manifest_is_refused_and_left_alone(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 7);
    const struct simnode_options options = options_of(&past);
    struct fs *fs = simdisk_fs(past.disk);
    assert_int_equal(fs_rename(fs, SIMNODE_DIR "/manifest", SIMNODE_DIR "/elsewhere"), 0);
    uint64_t writes =
        simdisk_count(past.disk, SIM_WRITE | SIM_TRUNCATE | SIM_UNLINK | SIM_AIO, NULL);
    expect_refused(&past, &options, SIMNODE_DIR "/manifest");
    assert_int_equal(
        simdisk_count(past.disk, SIM_WRITE | SIM_TRUNCATE | SIM_UNLINK | SIM_AIO, NULL), writes);
    assert_int_equal(fs_rename(fs, SIMNODE_DIR "/elsewhere", SIMNODE_DIR "/manifest"), 0);
    struct simnode *node = start(&past);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

struct first_name {
    char path[64]; /* of the first file in order that the folder has */
    const char *dir;
};

static int note_first(void *ctx, const char *name)
{
    struct first_name *first = ctx;
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", first->dir, name);
    if (first->path[0] == '\0' || strcmp(path, first->path) < 0)
        memcpy(first->path, path, sizeof(path));
    return 0;
}

/* P5: what a manifest or a later frame vouches for is right, or the start is refused by name, and
 * nothing is changed. */
static void expect_rot_is_told(const char *dir, uint64_t off)
{
    struct past past;
    struct first_name first = {.dir = dir};
    past_init(&past, 8);
    const struct simnode_options options = options_of(&past);
    assert_int_equal(fs_list(simdisk_fs(past.disk), dir, note_first, &first), 0);
    assert_true(simdisk_corrupt(past.disk, first.path, off, 0x10));
    expect_refused(&past, &options, first.path);
    assert_true(simdisk_corrupt(past.disk, first.path, off, 0x10));
    struct simnode *node = start(&past);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

static void test_rot_is_refused_by_its_file(void **unused)
{
    (void)unused;
    expect_rot_is_told(SIMNODE_DIR "/data/shard_0", 100);
    expect_rot_is_told(SIMNODE_DIR "/data/shard_1", 4200);
    expect_rot_is_told(SIMNODE_DIR "/log", 30);
    expect_rot_is_told(SIMNODE_DIR "/log", 4096 + 70);
    expect_rot_is_told(SIMNODE_DIR "/log", 12288 + 70);
}

static void test_a_rotten_manifest_is_refused(void **unused)
{
    (void)unused;
    struct past past;
    past_init(&past, 9);
    const struct simnode_options options = options_of(&past);
    for (uint64_t off = 0; off < 200; off += 13) {
        assert_true(simdisk_corrupt(past.disk, SIMNODE_DIR "/manifest", off, 1));
        expect_refused(&past, &options, SIMNODE_DIR "/manifest");
        assert_true(simdisk_corrupt(past.disk, SIMNODE_DIR "/manifest", off, 1));
    }
    struct simnode *node = start(&past);
    simnode_expect_state(node, past.state);
    simnode_close(node);
    past_fini(&past);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_refused_until_the_log_has_been_replayed),
        cmocka_unit_test(test_a_stop_during_replay_serves_no_half_state),
        cmocka_unit_test(test_a_checkpoint_asked_for_during_replay_is_made_behind_it),
        cmocka_unit_test(test_a_stop_with_a_checkpoint_leaves_nothing_to_replay),
        cmocka_unit_test(test_a_stop_leaves_nobody_without_an_answer),
        cmocka_unit_test(test_a_directory_in_use_is_refused),
        cmocka_unit_test(test_another_shard_count_is_refused),
        cmocka_unit_test(test_no_databases_are_added_while_there_is_a_log_to_replay),
        cmocka_unit_test(test_databases_may_become_more_and_fewer),
        cmocka_unit_test(test_data_without_a_manifest_is_refused_and_left_alone),
        cmocka_unit_test(test_rot_is_refused_by_its_file),
        cmocka_unit_test(test_a_rotten_manifest_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
