/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that the manifest names goes (R2, P6): under load, with merges, checkpoints that follow
 * each other at once, reloads and shards that wait for cold values, the manifest on the disk is
 * held against the files after every turn.
 */
#include <stdio.h>

#include "store/manifest.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define SCRIPTS 20
#define TURNS   1500
#define HOUR_MS 3600000u

static void expect_named_are_there(struct simnode *node)
{
    struct manifest manifest;
    struct diag diag = {.text = ""};
    if (manifest_load(simdisk_fs(node->disk), SIMNODE_DIR, &manifest, &diag) != 0)
        fail_msg("%s", diag.text);
    for (uint32_t shard = 0; shard < manifest.shard_count; shard++) {
        for (size_t i = 0; i < manifest.shards[shard].file_count; i++) {
            char path[128];
            struct fs_stat st;
            snprintf(path, sizeof(path), SIMNODE_DIR "/data/shard_%u/%05u.log", shard,
                     manifest.shards[shard].files[i].id);
            if (fs_stat(simdisk_fs(node->disk), path, &st) != 0)
                fail_msg("checkpoint %llu names %s, which is gone",
                         (unsigned long long)manifest.checkpoint_number, path);
        }
    }
    manifest_fini(&manifest);
}

static void send_one(struct simnode *node, struct random *random)
{
    unsigned connection = (unsigned)random_below(random, SIMNODE_CONNECTIONS);
    unsigned key = (unsigned)random_below(random, 20);
    unsigned other = (unsigned)random_below(random, 20);
    char text[1100];
    int len = 0;
    switch (random_below(random, 4)) {
    case 0:
        len = snprintf(text, sizeof(text), "APPEND k%u ab", key);
        break;
    case 1:
        len = snprintf(text, sizeof(text), "RENAME k%u k%u", key, other);
        break;
    default:
        len = snprintf(text, sizeof(text), "SET k%u ", key);
        memset(text + len, 'v', 1000);
        len += 1000;
        break;
    }
    text[len] = '\0';
    simnode_send(node, connection, text);
}

static void run_one(uint64_t seed)
{
    struct random random = {.state = seed};
    struct simdisk *disk = simnode_disk(seed);
    struct simnode_options options = {
        .seed = seed,
        .shard_count = (uint32_t)(1 + seed % 3),
        .max_file_size = 12u << 10,
        .hot_max_value = 0,
        .merge = {.dead_percent = 10, .small_file_bytes = 3u << 10, .min_files = 2, .max_files = 3},
    };
    struct simnode *node = simnode_start(&options, disk);
    node->job_delay = 1;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned count = (unsigned)random_below(&random, 4);
        for (unsigned i = 0; i < count; i++)
            send_one(node, &random);
        if (random_below(&random, 3) == 0)
            simnode_ask_checkpoint(node);
        if (random_below(&random, 100) == 0)
            simnode_ask_reload(node);
        simnode_turn(node);
        expect_named_are_there(node);
        IGNORE(simnode_try_pass(node, random_below(&random, 5)), "time passes, or later");
    }
    node->job_delay = 0;
    assert_true(simnode_settle(node));
    assert_true(simnode_stats(node).merges > 0);
    uint64_t digest = simnode_digest(node);
    assert_int_equal(simnode_stop(node, true), 0);
    expect_named_are_there(node);
    simnode_close(node);
    options.wall_ms = SIMNODE_START_MS + HOUR_MS;
    node = simnode_start(&options, disk);
    assert_true(simnode_digest(node) == digest);
    simnode_close(node);
    simdisk_free(disk);
}

static void test_what_the_manifest_names_is_there_at_every_moment(void **unused)
{
    (void)unused;
    uint64_t seed = random_seed();
    for (uint64_t i = 0; i < SCRIPTS; i++) {
        printf("seed %llu\n", (unsigned long long)(seed + i));
        run_one(seed + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_manifest_names_is_there_at_every_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
