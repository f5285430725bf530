/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation that may fail is made to fail once, at every place. A failed write or open loses
 * nothing and shifts nothing; a failed sync is final; a failed start can be tried again. */
#include "bitcask/bitcask.h"

#include <errno.h>

#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT  16384
#define MAX_RETRIES 3

/* A write during which the owner goes on. */
static int write_while_appending(struct world *world)
{
    struct bitcask_write *write = bitcask_write_take(world->bc);
    world_append(world, 2);
    bitcask_write_run(write);
    world_append(world, 1);
    struct diag diag = {{0}};
    int rc = bitcask_write_done(world->bc, write, &diag);
    assert_true(rc == 0 || strstr(diag.text, ".log: cannot write at offset ") != NULL);
    return rc;
}

/* Appends and writes; a write that fails is tried again. Returns how often that was. */
static unsigned write_with_retries(struct world *world)
{
    unsigned failures = 0;
    for (int i = 0; i < 12; i++) {
        world_append(world, 8);
        while (write_while_appending(world) != 0) {
            failures++;
            assert_true(failures <= MAX_RETRIES);
            assert_true(bitcask_unwritten_bytes(world->bc) > 0);
            /* What counts as written can be read while the rest waits. */
            world_check_reads(world);
        }
    }
    return failures;
}

static void assert_all_is_there(struct world *world)
{
    world_checkpoint(world);
    world_check_reads(world);
    world_close(world);
    world_must_open(world);
    world_check_reads(world);
}

/* Runs the same appends with the nth operation failing (0: none). Returns how many there were. */
static uint64_t run_appends(unsigned op, int error, uint64_t n)
{
    struct world *world = world_new(1000, FILE_LIMIT);
    world_must_open(world);
    uint64_t before = simdisk_count(world->disk, op, ".log");
    if (n > 0)
        simdisk_fail_nth(world->disk, op, ".log", n, error);
    unsigned failures = write_with_retries(world);
    uint64_t count = simdisk_count(world->disk, op, ".log") - before;
    assert_int_equal(failures, n > 0 && error != 0 ? 1 : 0);
    assert_true(n == 0 || simdisk_fault_fired(world->disk));
    assert_all_is_there(world);
    world_free(world);
    return count;
}

static void sweep_writes(unsigned op, int error)
{
    uint64_t count = run_appends(op, error, 0);
    assert_true(count > 4);
    for (uint64_t n = 1; n <= count; n++)
        run_appends(op, error, n);
}

static void a_failed_write_loses_nothing(void **state)
{
    (void)state;
    sweep_writes(SIM_WRITE, -EIO);
    sweep_writes(SIM_WRITE, -ENOSPC);
}

static void a_failed_open_loses_nothing(void **state)
{
    (void)state;
    sweep_writes(SIM_OPEN, -EMFILE);
}

/* R32 */
static void r32_a_short_write_is_continued_at_its_own_place(void **state)
{
    (void)state;
    sweep_writes(SIM_WRITE, 0);
}

/* R32: the disk fills up in the middle of the collected bytes. What was told about places stays
 * true, nothing counts as written before it is, and when there is room again all goes on. */
static void r32_on_a_full_disk_published_offsets_stay_right(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t capacity = 4096; capacity < 160000; capacity += 1500) {
        struct world *world = world_new(seed + capacity, FILE_LIMIT);
        world_must_open(world);
        simdisk_set_capacity(world->disk, capacity);
        int rc = 0;
        size_t rounds = 0;
        for (; rc == 0 && rounds < 40; rounds++) {
            world_append(world, 20);
            rc = world_write(world);
            world_check_reads(world);
        }
        assert_int_equal(rc, -ENOSPC);
        /* More is appended behind, and fails again. */
        world_append(world, 20);
        assert_int_equal(world_write(world), -ENOSPC);
        assert_false(bitcask_is_written(world->bc, world->entries[world->entry_count - 1].file_id,
                                        world->entries[world->entry_count - 1].off));
        world_mark(world);
        assert_false(bitcask_mark_is_written(world->bc));
        simdisk_set_capacity(world->disk, 1 << 30);
        assert_int_equal(world_write(world), 0);
        assert_true(bitcask_mark_is_written(world->bc));
        assert_int_equal(world_sync(world), 0);
        world_check_reads(world);
        world_close(world);
        world_must_open(world);
        world_free(world);
    }
}

static void a_strange_file_in_the_way_is_an_error_and_is_left_alone(void **state)
{
    (void)state;
    struct world *world = world_new(5, FILE_LIMIT);
    world_must_open(world);
    struct file *file;
    struct fs *fs = simdisk_fs(world->disk);
    assert_int_equal(fs_open(fs, world_file(1), FS_WRITE | FS_CREATE, &file), 0);
    file_unref(file);
    world_append(world, 3);
    assert_int_equal(world_write(world), -EEXIST);
    struct fs_stat st;
    assert_int_equal(fs_stat(fs, world_file(1), &st), 0);
    assert_int_equal(st.size, 0);
    assert_int_equal(fs_unlink(fs, world_file(1)), 0);
    assert_int_equal(world_write(world), 0);
    assert_all_is_there(world);
    world_free(world);
}

/* The state after a failed sync, as the next start finds it. */
static void assert_recovers(struct world *world)
{
    uint64_t step = simdisk_steps(world->disk);
    for (int i = 0; i < 4; i++) {
        struct simdisk *image = simdisk_image(world->disk, step, random_next(&world->random));
        struct world *after = world_on_image(world, image, world->manifest_count - 1, 1);
        world_must_open(after);
        world_free(after);
    }
}

static void assert_sync_failure_is_final(struct world *world, int error)
{
    size_t manifests = world->manifest_count;
    uint64_t syncs = simdisk_count(world->disk, SIM_SYNC | SIM_SYNC_DIR, NULL);
    for (int i = 0; i < 2; i++) {
        world_append(world, 2);
        assert_int_equal(world_write(world), 0);
        world_mark(world);
        assert_int_equal(world_write(world), 0);
        assert_int_equal(world_sync(world), error);
    }
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC | SIM_SYNC_DIR, NULL), syncs);
    assert_int_equal(world->manifest_count, manifests);
    world_check_reads(world);
}

/* A run of checkpoints of which the nth sync fails (0: none). Returns how many there were. */
static uint64_t run_checkpoints(unsigned op, uint64_t n)
{
    struct world *world = world_new(2000, FILE_LIMIT);
    world_must_open(world);
    uint64_t before = simdisk_count(world->disk, op, WORLD_DIR);
    if (n > 0)
        simdisk_fail_nth(world->disk, op, WORLD_DIR, n, -EIO);
    for (int i = 0; i < 6 && !simdisk_fault_fired(world->disk); i++) {
        world_append(world, 40);
        assert_int_equal(world_write(world), 0);
        world_mark(world);
        assert_int_equal(world_write(world), 0);
        int rc = world_sync(world);
        assert_int_equal(rc, simdisk_fault_fired(world->disk) ? -EIO : 0);
    }
    uint64_t count = simdisk_count(world->disk, op, WORLD_DIR) - before;
    assert_int_equal(simdisk_fault_fired(world->disk), n > 0);
    if (n > 0)
        assert_sync_failure_is_final(world, -EIO);
    assert_recovers(world);
    world_free(world);
    return count;
}

static void a_failed_sync_is_final(void **state)
{
    (void)state;
    static const unsigned ops[] = {SIM_SYNC, SIM_SYNC_DIR};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        uint64_t count = run_checkpoints(ops[i], 0);
        assert_true(count > 3);
        for (uint64_t n = 1; n <= count; n++)
            run_checkpoints(ops[i], n);
    }
}

static void make_file(struct world *world, const char *path, size_t size)
{
    static const uint8_t junk[5000] = {9};
    struct file *file;
    size_t done;
    uint64_t end;
    assert_int_equal(fs_open(simdisk_fs(world->disk), path, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_size(file, &end), 0);
    assert_int_equal(file_write_full(file, junk, size, end, &done), 0);
    file_unref(file);
}

/* Three files to scan, two to cut, others to remove. */
static struct world *world_with_work_to_do(void)
{
    struct world *world = world_new(3000, FILE_LIMIT);
    world_must_open(world);
    while (world_manifest(world)->named_count < 3) {
        world_append(world, 20);
        world_checkpoint(world);
    }
    world_append(world, 40);
    assert_int_equal(world_write(world), 0);
    world_close(world);
    make_file(world, world_file(1), 5000);
    make_file(world, world_file(77), 100);
    make_file(world, world_path("00077.hint"), 100);
    make_file(world, world_path("00003.hint.tmp"), 100);
    return world;
}

/* A start of which the nth operation fails (0: none). Returns how many there were. */
static uint64_t run_start(unsigned op, uint64_t n)
{
    struct world *world = world_with_work_to_do();
    uint64_t before = simdisk_count(world->disk, op, NULL);
    if (n > 0)
        simdisk_fail_nth(world->disk, op, NULL, n, -EIO);
    struct diag diag = {{0}};
    int rc = world_open(world, &diag);
    uint64_t count = simdisk_count(world->disk, op, NULL) - before;
    assert_int_equal(rc, n > 0 ? -EIO : 0);
    if (n > 0) {
        assert_true(simdisk_fault_fired(world->disk));
        assert_string_not_equal(diag.text, "");
        assert_recovers(world);
        world_must_open(world);
    }
    world_append(world, 20);
    assert_all_is_there(world);
    world_free(world);
    return count;
}

static void a_failed_start_can_be_tried_again(void **state)
{
    (void)state;
    static const unsigned ops[] = {SIM_OPEN,  SIM_READ,   SIM_SYNC,    SIM_SYNC_DIR,
                                   SIM_MKDIR, SIM_UNLINK, SIM_TRUNCATE};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        uint64_t count = run_start(ops[i], 0);
        assert_true(count > 0);
        for (uint64_t n = 1; n <= count; n++)
            run_start(ops[i], n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_write_loses_nothing),
        cmocka_unit_test(a_failed_open_loses_nothing),
        cmocka_unit_test(r32_a_short_write_is_continued_at_its_own_place),
        cmocka_unit_test(r32_on_a_full_disk_published_offsets_stay_right),
        cmocka_unit_test(a_strange_file_in_the_way_is_an_error_and_is_left_alone),
        cmocka_unit_test(a_failed_sync_is_final),
        cmocka_unit_test(a_failed_start_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
