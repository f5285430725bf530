/* SPDX-License-Identifier: Apache-2.0 */
/* When merges begin and that they end, whatever keeps them from getting anywhere. */
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define KB        UINT64_C(1024)
#define FILE_SIZE (64 * KB)
#define TURNS     400
#define ROOM      400 /* for all but the value */

static unsigned count_of(const struct buf *log, const char *words)
{
    unsigned count = 0;
    size_t off = 0;
    while (off < log->len) {
        const uint8_t *found = memmem(log->data + off, log->len - off, words, strlen(words));
        if (found == NULL)
            break;
        count++;
        off = (size_t)(found - log->data) + strlen(words);
    }
    return count;
}

static void set_one(struct simnode *node, const char *key, size_t size, const char *more)
{
    char *text = mem_alloc(size + ROOM);
    int len = snprintf(text, size + ROOM, "SET %s ", key);
    memset(text + len, 'v', size);
    snprintf(text + len + size, ROOM - (size_t)len, "%s", more);
    assert_string_equal(simnode_ask(node, text), "+OK\r\n");
    mem_free(text);
}

/* Each file gets `live` keys of its own and is otherwise overwritten. */
static void write_fragmented(struct simnode *node, unsigned files)
{
    for (unsigned i = 0; i < files; i++) {
        char key[32];
        for (unsigned j = 0; j < 14; j++) {
            snprintf(key, sizeof(key), j < 3 ? "live%u-%u" : "dead", i, j);
            set_one(node, key, 4096, "");
        }
    }
    simnode_dry(node);
}

/* P7: a merge that has no room is tried again in a while, not at once for ever, also where the dead
 * outweigh the living so much that it should not wait. */
static void test_a_merge_without_room_waits(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(1);
    const struct fs_space space = {.total_bytes = 1 << 30, .free_bytes = 4 * KB};
    const struct simnode_options options = {
        .seed = 1,
        .shard_count = 1,
        .disk_free_low = 1,
        .log_budget = 256 * KB,
        .merge = {.mode = MERGE_OFF, .dead_percent = 30, .max_files = 4, .cooldown_ms = 1000}};
    struct simnode *node = simnode_start(&options, disk);
    struct merge_settings settings = options.merge;
    write_fragmented(node, 16);
    simdisk_fake_space(disk, 0, &space);
    settings.mode = MERGE_HOT;
    group_set_merge(node->group, &settings);
    for (unsigned i = 0; i < TURNS; i++)
        simnode_turn(node);
    assert_int_equal(count_of(&node->told, "no room for a merge"), 1);
    for (unsigned i = 0; i < 60; i++)
        simnode_advance(node, 1000);
    assert_int_equal(count_of(&node->told, "no room for a merge"), 1);
    assert_int_equal(simnode_stats(node).merges, 0);
    simdisk_fake_space(disk, 0, NULL);
    for (unsigned i = 0; i < 60; i++)
        simnode_advance(node, 1000);
    assert_true(simnode_stats(node).merges > 0);
    simnode_close(node);
    simdisk_free(disk);
}

/* Keys of 250 bytes that expire: what a merge has to keep of them (R8) is hardly less. */
static void write_expiring(struct simnode *node, unsigned count)
{
    char key[256];
    memset(key, 'k', sizeof(key));
    for (unsigned i = 0; i < count; i++) {
        snprintf(key + 240, sizeof(key) - 240, "%08u", i);
        set_one(node, key, 1, " PX 3600000");
    }
    simnode_dry(node);
}

/* P7: what has to be kept for the sake of a file that no merge can take is no reason to merge all
 * the others again and again. After a start the output of a merge may take records again, and it
 * has the oldest of all. */
static void test_merges_that_win_nothing_end(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(2);
    struct simnode_options options = {
        .seed = 2,
        .shard_count = 1,
        .log_budget = 256 * KB,
        .merge = {.mode = MERGE_OFF, .dead_percent = 40, .max_files = 4, .cooldown_ms = 1000}};
    struct simnode *node = simnode_start(&options, disk);
    write_fragmented(node, 1);
    write_expiring(node, 1500);
    group_merge(node->group);
    simnode_advance(node, 1000);
    assert_int_equal(simnode_stats(node).merges, 1);
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);

    options.merge.mode = MERGE_HOT;
    options.wall_ms = SIMNODE_START_MS + 2 * 3600000u;
    node = simnode_start(&options, disk);
    assert_string_equal(simnode_ask(node, "SET now 1"), "+OK\r\n");
    for (unsigned i = 0; i < 2000; i++) {
        simnode_turn(node);
        if (i % 20 == 0)
            IGNORE(simnode_try_pass(node, 1000), "time passes, or later");
    }
    uint64_t merges = simnode_stats(node).merges;
    assert_true(merges > 0);
    for (unsigned i = 0; i < 500; i++) {
        simnode_turn(node);
        if (i % 20 == 0)
            IGNORE(simnode_try_pass(node, 1000), "time passes, or later");
    }
    assert_int_equal(simnode_stats(node).merges, merges);
    simnode_close(node);
    simdisk_free(disk);
}

/* Who asks while keys are reloaded is not forgotten, though nobody writes any more. */
static void test_a_merge_that_was_asked_for_beside_a_reload_comes_after_it(void **unused)
{
    (void)unused;
    struct simdisk *disk = simnode_disk(3);
    const struct simnode_options options = {
        .seed = 3,
        .shard_count = 1,
        .merge = {.mode = MERGE_OFF, .dead_percent = 30, .max_files = 4}};
    struct simnode *node = simnode_start(&options, disk);
    write_fragmented(node, 2);
    assert_int_equal(simnode_checkpoint(node), 0);
    simnode_advance(node, 5000);
    const struct group_reload_request *reload = simnode_ask_reload(node);
    simnode_turn(node);
    group_merge(node->group);
    for (unsigned i = 0; i < 10; i++)
        simnode_advance(node, 1000);
    assert_int_equal(reload->error, 0);
    assert_int_equal(simnode_stats(node).merges, 1);
    simnode_close(node);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_merge_without_room_waits),
        cmocka_unit_test(test_merges_that_win_nothing_end),
        cmocka_unit_test(test_a_merge_that_was_asked_for_beside_a_reload_comes_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
