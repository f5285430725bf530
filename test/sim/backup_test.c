/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: what a copy holds is the state at exactly the index it names, whatever goes on meanwhile
 * and wherever a power loss comes; a copy is a data directory like any other, and neither side can
 * change what the other one has (R2, R31, B10).
 *
 * SEED=<n> runs one script, SEEDS=<n> so many.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/manifest.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define COPY       "/copy"
#define CEILING_MS 1000
#ifdef FERRIC_SANITIZED
#    define SCRIPTS 1
#else
#    define SCRIPTS 12
#endif

static struct simnode_options options_of(uint64_t seed)
{
    return (struct simnode_options){
        .seed = seed,
        .shard_count = (uint32_t)(1 + seed % 3),
        .max_file_size = 16u << 10,
        .hot_max_value = seed % 2 == 0 ? 16 : 1 << 20,
        .frames_in_flight = (unsigned)(1 + seed % 3),
        .merge = {.dead_percent = 10, .small_file_bytes = 4u << 10, .min_files = 2, .max_files = 3},
    };
}

static void for_each_seed(void (*run)(uint64_t seed))
{
    uint64_t seed = random_seed();
    const char *text = getenv("SEEDS");
    uint64_t count = getenv("SEED") != NULL ? 1 : text == NULL ? SCRIPTS : strtoull(text, NULL, 0);
    for (uint64_t i = 0; i < count; i++) {
        printf("seed %llu\n", (unsigned long long)(seed + i));
        run(seed + i);
    }
}

/* ---- A node with a past ---- */

struct world {
    uint64_t seed;
    struct simnode_options options;
    struct simdisk *disk;
    struct simnode *node;
    struct simscript script;
};

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .options = options_of(seed), .disk = simnode_disk(seed)};
    world->node = simnode_start(&world->options, world->disk);
    simscript_init(&world->script, seed);
    world->script.large_value = 3000;
    world->script.has_absolute = true;
    world->script.time_ms = 0;
    world->script.checkpoint = 0;
}

static void world_fini(struct world *world)
{
    simnode_close(world->node);
    simscript_fini(&world->script);
    simdisk_free(world->disk);
}

/* Values that stay, so that there are files worth keeping. */
static void send_keepers(struct simnode *node, unsigned first)
{
    char text[1200];
    for (unsigned i = 0; i < 40; i++) {
        int len = snprintf(text, sizeof(text), "@2 SET keep%u ", first + i);
        memset(text + len, 'a' + (int)(i % 26), 1000);
        text[len + 1000] = '\0';
        simnode_send(node, 1, text);
    }
    assert_true(simnode_settle(node));
}

/* With files that are sealed, merged, and have hints. */
static void give_past(struct world *world)
{
    for (unsigned i = 0; i < 4; i++) {
        simscript_run(&world->script, world->node, 60);
        assert_true(simnode_settle(world->node));
        world->node->job_delay = 0;
        send_keepers(world->node, i * 20);
        simnode_advance(world->node, 6000);
    }
    assert_int_equal(simnode_checkpoint(world->node), 0);
}

static struct simnode *open_copy(const struct world *world, struct simdisk *disk, uint64_t wall_ms,
                                 struct diag *diag)
{
    struct simnode_options options = world->options;
    options.dir = COPY;
    options.shard_count = 0;
    options.wall_ms = wall_ms;
    options.seed += 17;
    struct simnode *node = simnode_open(&options, disk, diag);
    if (node != NULL && !simnode_wait_ready(node))
        fail_msg("seed %llu: a copy is never ready: %s", (unsigned long long)world->seed,
                 node->fatal);
    return node;
}

static struct simnode *start_copy(const struct world *world, struct simdisk *disk, uint64_t wall_ms)
{
    struct diag diag = {.text = ""};
    struct simnode *node = open_copy(world, disk, wall_ms, &diag);
    if (node == NULL)
        fail_msg("seed %llu: a copy cannot be started: %s", (unsigned long long)world->seed,
                 diag.text);
    return node;
}

static bool has_name(struct simdisk *disk, const char *path)
{
    struct fs_stat st;
    return fs_stat(simdisk_fs(disk), path, &st) == 0;
}

static uint64_t index_of_copy(struct simdisk *disk)
{
    struct diag diag = {.text = ""};
    struct manifest manifest;
    assert_int_equal(manifest_load(simdisk_fs(disk), COPY, &manifest, &diag), 0);
    assert_true(manifest.begins_log);
    uint64_t index = manifest.index;
    manifest_fini(&manifest);
    return index;
}

/* ---- At exactly its index ---- */

/* An entry of its own, so that the number of the write says its index. */
static void log_one(struct world *world)
{
    struct simnode *node = world->node;
    simnode_send(node, 0, simscript_write(&world->script, simnode_now_ms(node)));
    for (unsigned i = 0; i < 1000 && simnode_stats(node).commands_logged < node->write_count; i++)
        simnode_turn(node);
    assert_true(simnode_stats(node).commands_logged == node->write_count);
}

static void copy_while_writing(struct world *world, struct group_backup_request *copy)
{
    struct random random = {.state = world->seed};
    world->node->job_delay = 6;
    for (unsigned i = 0; !simnode_backup_is_done(copy); i++) {
        assert_true(i < 5000);
        if (random_below(&random, 3) == 0)
            log_one(world);
        if (random_below(&random, 16) == 0)
            simnode_ask_checkpoint(world->node);
        simnode_turn(world->node);
    }
    for (unsigned i = 0; i < 5; i++)
        log_one(world);
    world->node->job_delay = 0;
}

static void copy_at_index(uint64_t seed)
{
    struct world world;
    world_init(&world, seed);
    give_past(&world);
    struct simnode *node = world.node;
    struct simmodel *base = simhistory_state(node->history, simhistory_count(node->history));
    simnode_begin_history(node, base);
    uint64_t first_index = simnode_stats(node).commit_index;
    for (uint64_t i = 0; i < 5 + seed % 20; i++)
        log_one(&world);
    uint64_t low = simhistory_acknowledged(node->history);
    group_merge(node->group);
    struct group_backup_request *copy = simnode_ask_backup(node, COPY);
    copy_while_writing(&world, copy);
    assert_int_equal(copy->error, 0);
    assert_true(simnode_settle(node));
    assert_true(simhistory_count(node->history) > copy->index - first_index);
    assert_true(copy->index - first_index >= low);
    assert_int_equal(index_of_copy(world.disk), copy->index);
    assert_true(simnode_stats(node).last_backup_ms != 0);
    struct simmodel *state = simhistory_state(node->history, copy->index - first_index);
    struct simnode *of_copy = start_copy(&world, world.disk, simnode_now_ms(node) + 2000);
    simnode_expect_state(of_copy, state);
    simnode_close(of_copy);
    simmodel_free(state);
    simmodel_free(base);
    world_fini(&world);
}

static void test_a_copy_is_the_state_at_its_index(void **unused)
{
    (void)unused;
    for_each_seed(copy_at_index);
}

/* ---- A power loss ---- */

/* A copy that has its manifest is whole; what has none is refused, once there is anything of it. */
static void expect_whole_or_refused(const struct world *world, struct simhistory *history,
                                    struct simdisk *image, uint64_t wall_ms, uint64_t high)
{
    struct diag diag = {.text = ""};
    bool is_whole = has_name(image, COPY "/manifest");
    if (!is_whole && !has_name(image, COPY "/data") && !has_name(image, COPY "/" BACKUP_MARKER))
        return;
    struct simnode *node = open_copy(world, image, wall_ms, &diag);
    if (!is_whole) {
        assert_null(node);
        assert_non_null(strstr(diag.text, COPY));
        assert_non_null(strstr(diag.text, "backup that was not finished"));
        return;
    }
    if (node == NULL)
        fail_msg("seed %llu: %s", (unsigned long long)world->seed, diag.text);
    uint64_t n;
    if (!simhistory_find(history, simnode_digest(node), simnode_now_ms(node), 0, high, &n))
        fail_msg("seed %llu: a copy holds no state that ever was", (unsigned long long)world->seed);
    simnode_close(node);
}

static void expect_source_exact(const struct world *world, struct simhistory *history,
                                struct simdisk *image, uint64_t wall_ms, uint64_t low,
                                uint64_t high)
{
    struct simnode_options options = world->options;
    options.shard_count = 0;
    options.wall_ms = wall_ms;
    struct simnode *node = simnode_start(&options, image);
    uint64_t n;
    if (!simhistory_find(history, simnode_digest(node), simnode_now_ms(node), low, high, &n))
        fail_msg("seed %llu: the source has lost writes", (unsigned long long)world->seed);
    simnode_close(node);
}

static void crash_while_copying(uint64_t seed)
{
    struct world world;
    world_init(&world, seed);
    world.script.time_ms = 700; /* keys fall due, too */
    give_past(&world);
    uint64_t first_step = simdisk_steps(world.disk);
    struct group_backup_request *copy = simnode_ask_backup(world.node, COPY);
    simnode_send(world.node, 1, seed % 2 == 0 ? "FLUSHALL" : "FLUSHDB");
    world.script.checkpoint = 10;
    simscript_run(&world.script, world.node, 40);
    assert_true(simnode_settle(world.node));
    simnode_dry(world.node);
    assert_true(simnode_backup_is_done(copy));
    assert_int_equal(copy->error, 0);
    uint64_t last_step = simdisk_steps(world.disk);
    struct simhistory *history = simnode_close_for_history(world.node);
    world.node = NULL;
    for (uint64_t step = first_step; step <= last_step; step++) {
        struct simdisk *image = simdisk_image(world.disk, step, seed + step);
        uint64_t wall_ms = simdisk_noted(world.disk, NOTE_WALL_MS, step) + CEILING_MS + step % 999;
        uint64_t high = simdisk_noted(world.disk, NOTE_SUBMITTED, step);
        expect_source_exact(&world, history, image, wall_ms,
                            simdisk_noted(world.disk, NOTE_ACKNOWLEDGED, step), high);
        expect_whole_or_refused(&world, history, image, wall_ms, high);
        simdisk_free(image);
    }
    simhistory_free(history);
    world_fini(&world);
}

static void test_a_power_loss_leaves_the_source_exact_and_the_copy_whole_or_refused(void **unused)
{
    (void)unused;
    for_each_seed(crash_while_copying);
}

/* ---- A copy goes on by itself ---- */

static void take_copy(struct world *world)
{
    uint64_t index = 0;
    assert_int_equal(simnode_backup(world->node, COPY, &index), 0);
    assert_int_equal(index_of_copy(world->disk), index);
}

static void crash_copy(const struct world *world, struct simdisk *disk, struct simhistory *history,
                       uint64_t step)
{
    struct diag diag = {.text = ""};
    struct simdisk *image = simdisk_image(disk, step, world->seed + step);
    uint64_t wall_ms = simdisk_noted(disk, NOTE_WALL_MS, step) + CEILING_MS + step % 999;
    struct simnode *node = open_copy(world, image, wall_ms, &diag);
    if (node == NULL)
        fail_msg("seed %llu, step %llu (%s %s): %s", (unsigned long long)world->seed,
                 (unsigned long long)step, simdisk_step_name(disk, step),
                 simdisk_step_path(disk, step), diag.text);
    uint64_t n;
    if (!simhistory_find(history, simnode_digest(node), simnode_now_ms(node),
                         simdisk_noted(disk, NOTE_ACKNOWLEDGED, step),
                         simdisk_noted(disk, NOTE_SUBMITTED, step), &n))
        fail_msg("seed %llu, step %llu: a copy has lost writes", (unsigned long long)world->seed,
                 (unsigned long long)step);
    simnode_close(node);
    simdisk_free(image);
}

static void copy_goes_on(uint64_t seed)
{
    struct world world;
    world_init(&world, seed);
    give_past(&world);
    take_copy(&world);
    uint64_t wall_ms = simnode_now_ms(world.node) + 2000;
    struct simmodel *state =
        simhistory_state(world.node->history, simhistory_count(world.node->history));
    struct simdisk *disk = simdisk_image_synced(world.disk, simdisk_steps(world.disk));
    struct simnode *node = start_copy(&world, disk, wall_ms);
    simnode_expect_state(node, state);
    simnode_begin_history(node, state);
    world.script.time_ms = 300;
    world.script.checkpoint = 12;
    simscript_run(&world.script, node, 60);
    assert_true(simnode_settle(node));
    simhistory_check_replies(node->history);
    uint64_t last_step = simdisk_steps(disk);
    struct simhistory *history = simnode_close_for_history(node);
    for (uint64_t step = 0; step <= last_step; step++) {
        /* Before the first write it is what was copied. */
        if (simdisk_step_is_durable(disk, step) || step % 3 == 0)
            crash_copy(&world, disk, history, step);
    }
    simhistory_free(history);
    simmodel_free(state);
    simdisk_free(disk);
    world_fini(&world);
}

static void test_a_copy_goes_on_and_recovers_exactly(void **unused)
{
    (void)unused;
    for_each_seed(copy_goes_on);
}

/* ---- Neither changes the other ---- */

struct print {
    struct simdisk *disk;
    char dir[64];
    uint64_t sum;
    uint64_t linked; /* files with a second name */
};

static int print_file(void *ctx, const char *name)
{
    struct print *print = ctx;
    char path[160];
    struct fs_stat st;
    snprintf(path, sizeof(path), "%s/%s", print->dir, name);
    struct fs *fs = simdisk_fs(print->disk);
    struct file *file = NULL;
    assert_int_equal(fs_stat(fs, path, &st), 0);
    assert_int_equal(fs_open(fs, path, FS_READ, &file), 0);
    uint8_t *bytes = mem_alloc((size_t)st.size + 1);
    assert_int_equal(file_read_full(file, bytes, (size_t)st.size, 0), 0);
    print->sum += hash_mix(hash_check(slice_of(bytes, (size_t)st.size)),
                           hash_check(slice_of(name, strlen(name))));
    print->linked += st.link_count > 1;
    mem_free(bytes);
    file_unref(file);
    return 0;
}

/* One number for names and bytes of all data files and hints below. */
static struct print print_of(struct simdisk *disk, const char *dir, uint32_t shard_count)
{
    struct print print = {.disk = disk};
    for (uint32_t i = 0; i < shard_count; i++) {
        snprintf(print.dir, sizeof(print.dir), "%s/data/shard_%u", dir, i);
        assert_int_equal(fs_list(simdisk_fs(disk), print.dir, print_file, &print), 0);
    }
    return print;
}

/* Writes, merges and restarts; all files that there were are merged away. */
static void live_on(struct world *world, const char *dir, uint64_t wall_ms)
{
    struct simnode_options options = world->options;
    options.dir = dir;
    options.shard_count = 0;
    for (unsigned life = 0; life < 3; life++) {
        options.wall_ms = wall_ms + life * 100000;
        struct simnode *node = simnode_start(&options, world->disk);
        for (unsigned i = 0; i < 3; i++) {
            simscript_run(&world->script, node, 40);
            assert_true(simnode_settle(node));
            node->job_delay = 0;
            group_merge(node->group);
            simnode_advance(node, 6000);
            assert_int_equal(simnode_checkpoint(node), 0);
        }
        assert_int_equal(simnode_stop(node, true), 0);
        simnode_close(node);
    }
}

static void keep_apart(uint64_t seed)
{
    struct world world;
    world_init(&world, seed);
    give_past(&world);
    take_copy(&world);
    uint32_t shards = group_shard_count(world.node->group);
    uint64_t wall_ms = simnode_now_ms(world.node) + 2000;
    struct simmodel *state =
        simhistory_state(world.node->history, simhistory_count(world.node->history));
    assert_int_equal(simnode_stop(world.node, true), 0);
    simnode_close(world.node);
    world.node = NULL;
    struct print copy = print_of(world.disk, COPY, shards);
    assert_true(copy.linked > 0);
    live_on(&world, SIMNODE_DIR, wall_ms);
    assert_true(print_of(world.disk, COPY, shards).sum == copy.sum);
    struct simdisk *image = simdisk_image_synced(world.disk, simdisk_steps(world.disk));
    struct simnode *node = start_copy(&world, image, wall_ms + 500000);
    simnode_expect_state(node, state);
    simnode_close(node);
    simdisk_free(image);
    struct print source = print_of(world.disk, SIMNODE_DIR, shards);
    live_on(&world, COPY, wall_ms + 500000);
    assert_true(print_of(world.disk, SIMNODE_DIR, shards).sum == source.sum);
    simmodel_free(state);
    world_fini(&world);
}

static void test_neither_changes_what_the_other_has(void **unused)
{
    (void)unused;
    for_each_seed(keep_apart);
}

/* A copy of a copy, while all of it still has the names of the first. */
static void test_a_copy_of_a_copy_is_right(void **unused)
{
    (void)unused;
    struct world world;
    uint64_t index = 0;
    world_init(&world, 5);
    give_past(&world);
    take_copy(&world);
    struct simmodel *state =
        simhistory_state(world.node->history, simhistory_count(world.node->history));
    struct simnode *copy = start_copy(&world, world.disk, simnode_now_ms(world.node) + 2000);
    assert_int_equal(simnode_backup(copy, "/second", &index), 0);
    simnode_close(copy);
    struct simnode_options options = world.options;
    options.dir = "/second";
    options.shard_count = 0;
    options.wall_ms = simnode_now_ms(world.node) + 4000;
    struct simnode *second = simnode_start(&options, world.disk);
    simnode_expect_state(second, state);
    simnode_close(second);
    simmodel_free(state);
    world_fini(&world);
}

/* ---- The log of a copy ---- */

static int remove_segment(void *ctx, const char *name)
{
    char path[96];
    snprintf(path, sizeof(path), COPY "/log/%s", name);
    return fs_unlink(simdisk_fs(ctx), path);
}

static void test_a_log_that_a_copy_has_begun_may_not_be_missing(void **unused)
{
    (void)unused;
    struct world world;
    struct diag diag = {.text = ""};
    world_init(&world, 2);
    give_past(&world);
    take_copy(&world);
    uint64_t wall_ms = simnode_now_ms(world.node) + 2000;
    struct simnode *node = start_copy(&world, world.disk, wall_ms);
    simnode_ask(node, "SET after copy");
    simnode_close(node); /* without a checkpoint of its own doing */
    struct simdisk *image = simdisk_image_all(world.disk, simdisk_steps(world.disk));
    node = start_copy(&world, image, wall_ms + 5000);
    assert_string_equal(simnode_ask(node, "GET after"), "$4\r\ncopy\r\n");
    simnode_close(node);
    assert_int_equal(fs_list(simdisk_fs(image), COPY "/log", remove_segment, image), 0);
    assert_null(open_copy(&world, image, wall_ms + 9000, &diag));
    assert_non_null(strstr(diag.text, COPY "/log"));
    simdisk_free(image);
    world_fini(&world);
}

/* ---- What is refused ---- */

static void expect_refused(struct simnode *node, const char *dir, const char *words)
{
    struct group_backup_request *copy = simnode_ask_backup(node, dir);
    simnode_dry(node);
    assert_true(simnode_backup_is_done(copy));
    assert_int_not_equal(copy->error, 0);
    if (strstr(copy->diag.text, words) == NULL)
        fail_msg("%s, without %s", copy->diag.text, words);
}

static void test_a_copy_is_never_made_into_what_is_there(void **unused)
{
    (void)unused;
    struct world world;
    world_init(&world, 3);
    give_past(&world);
    expect_refused(world.node, SIMNODE_DIR, "data directory");
    expect_refused(world.node, SIMNODE_DIR "/log/x", "data directory");
    expect_refused(world.node, "copy", "absolute");
    expect_refused(world.node, "/missing/copy", "/missing/copy");
    take_copy(&world);
    struct print before = print_of(world.disk, COPY, group_shard_count(world.node->group));
    expect_refused(world.node, COPY, "not empty");
    struct print after = print_of(world.disk, COPY, group_shard_count(world.node->group));
    assert_true(before.sum == after.sum);
    struct simmodel *state =
        simhistory_state(world.node->history, simhistory_count(world.node->history));
    simnode_expect_state(world.node, state);
    simmodel_free(state);
    world_fini(&world);
}

static void test_one_backup_at_a_time(void **unused)
{
    (void)unused;
    struct world world;
    world_init(&world, 4);
    give_past(&world);
    struct group_backup_request *first = simnode_ask_backup(world.node, COPY);
    struct group_backup_request *second = simnode_ask_backup(world.node, "/second");
    simnode_dry(world.node);
    assert_int_equal(first->error, 0);
    assert_true(simnode_backup_is_done(second));
    assert_int_not_equal(second->error, 0);
    assert_false(has_name(world.disk, "/second"));
    uint64_t index = 0;
    assert_int_equal(simnode_backup(world.node, "/second", &index), 0);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_the_state_at_its_index),
        cmocka_unit_test(test_a_power_loss_leaves_the_source_exact_and_the_copy_whole_or_refused),
        cmocka_unit_test(test_a_copy_goes_on_and_recovers_exactly),
        cmocka_unit_test(test_neither_changes_what_the_other_has),
        cmocka_unit_test(test_a_copy_of_a_copy_is_right),
        cmocka_unit_test(test_a_log_that_a_copy_has_begun_may_not_be_missing),
        cmocka_unit_test(test_a_copy_is_never_made_into_what_is_there),
        cmocka_unit_test(test_one_backup_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
