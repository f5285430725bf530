/* SPDX-License-Identifier: Apache-2.0 */
/* The log is the truth: replayed from whatever checkpoint, under another hash seed and with other
 * local options, it gives the same state to the byte as the run that wrote it (R12, R13, P2). */
#include <stdio.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define MANIFEST    SIMNODE_DIR "/manifest"
#define CHECKPOINTS 6
#define WRITES      150 /* between two of them */
#define SCRIPTS     3

struct recording {
    uint64_t seed;
    struct simdisk *disk;
    struct buf manifests[CHECKPOINTS]; /* the first: of an empty state */
    struct simmodel *end;
    uint64_t end_ms;
};

static void read_manifest(struct simdisk *disk, struct buf *out)
{
    struct file *file;
    uint64_t size;
    assert_int_equal(fs_open(simdisk_fs(disk), MANIFEST, FS_READ, &file), 0);
    assert_int_equal(file_size(file, &size), 0);
    assert_int_equal(file_read_full(file, buf_extend(out, size), size, 0), 0);
    file_unref(file);
}

static void write_manifest(struct simdisk *disk, struct slice bytes)
{
    struct file *file;
    size_t done;
    assert_int_equal(fs_open(simdisk_fs(disk), MANIFEST, FS_WRITE, &file), 0);
    assert_int_equal(file_truncate(file, 0), 0);
    assert_int_equal(file_write_full(file, bytes.data, bytes.len, 0, &done), 0);
    file_unref(file);
}

/* One segment holds it all, so that every checkpoint can still be gone back to. */
static struct simnode_options options_of(uint64_t seed)
{
    return (struct simnode_options){
        .seed = seed, .segment_size = 32u << 20, .log_budget = 256u << 20};
}

static void record_script(struct recording *recording)
{
    struct simscript script;
    recording->disk = simnode_disk(recording->seed);
    const struct simnode_options options = options_of(recording->seed);
    struct simnode *node = simnode_start(&options, recording->disk);
    read_manifest(recording->disk, &recording->manifests[0]);
    simscript_init(&script, recording->seed);
    script.checkpoint = 0;
    for (int i = 1; i < CHECKPOINTS; i++) {
        simscript_run(&script, node, WRITES);
        assert_true(simnode_settle(node));
        assert_int_equal(simnode_checkpoint(node), 0);
        read_manifest(recording->disk, &recording->manifests[i]);
    }
    simscript_run(&script, node, WRITES);
    assert_true(simnode_settle(node));
    simhistory_check_replies(node->history);
    recording->end = simhistory_state(node->history, simhistory_count(node->history));
    recording->end_ms = simnode_now_ms(node) + 2000;
    assert_true(simnode_digest(node) == simmodel_digest(recording->end, simnode_now_ms(node)));
    simnode_close(node);
    simscript_fini(&script);
}

static void recording_fini(struct recording *recording)
{
    for (int i = 0; i < CHECKPOINTS; i++)
        buf_fini(&recording->manifests[i]);
    simmodel_free(recording->end);
    simdisk_free(recording->disk);
}

/* The directory as it is at the end, with the manifest of an earlier checkpoint. */
static void replay_from(const struct recording *recording, int checkpoint, uint64_t seed)
{
    struct random random = {.state = seed};
    struct simdisk *image = simdisk_image_all(recording->disk, simdisk_steps(recording->disk));
    write_manifest(image, buf_slice(&recording->manifests[checkpoint]));
    struct simnode_options options = options_of(seed);
    options.wall_ms = recording->end_ms;
    options.max_file_size = (16u << 10) << random_below(&random, 5);
    options.hot_max_value = (size_t)random_below(&random, 2000);
    options.frames_in_flight = 1 + (unsigned)random_below(&random, 4);
    options.max_unwritten_bytes = 1u << (10 + random_below(&random, 12));
    struct simnode *node = simnode_start(&options, image);
    uint64_t replayed = simnode_stats(node).replayed_commands;
    assert_int_equal(replayed, (uint64_t)(CHECKPOINTS - checkpoint) * WRITES);
    if (simnode_digest(node) != simmodel_digest(recording->end, simnode_now_ms(node)))
        fail_msg("seed %llu: from checkpoint %d, options %llu, the state is another one",
                 (unsigned long long)recording->seed, checkpoint, (unsigned long long)seed);
    simnode_expect_state(node, recording->end);
    simnode_close(node);
    simdisk_free(image);
}

static void test_replay_from_any_checkpoint_gives_the_same_state(void **unused)
{
    (void)unused;
    uint64_t seed = random_seed();
    for (uint64_t i = 0; i < SCRIPTS; i++) {
        struct recording recording = {.seed = seed + i};
        record_script(&recording);
        for (int checkpoint = 0; checkpoint < CHECKPOINTS; checkpoint++) {
            for (uint64_t other = 1; other <= 3; other++)
                replay_from(&recording, checkpoint, recording.seed * 7 + other);
        }
        recording_fini(&recording);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_from_any_checkpoint_gives_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
