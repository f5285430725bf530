/* SPDX-License-Identifier: Apache-2.0 */
/* Hints of a bitcask's files: when they are written, what a start makes of them, and when they go.
 */
#include "bitcask/hint.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384

/* Sealed files, all of them named. */
static struct world *world_with_files(uint64_t seed, size_t count)
{
    struct world *world = world_new(seed, FILE_LIMIT);
    world_must_open(world);
    for (size_t i = 0; i < count; i++)
        world_seal(world);
    world_checkpoint(world);
    return world;
}

static void restart(struct world *world)
{
    world_close(world);
    world_must_open(world);
    world_check_reads(world);
}

static void a_start_reads_hints_and_scans_what_they_do_not_cover(void **state)
{
    (void)state;
    struct world *world = world_with_files(3, 4);
    assert_int_equal(world_hint_all(world, false), 4);
    assert_int_equal(world_hint_all(world, true), 1); /* of the current one */
    assert_int_equal(bitcask_stats(world->bc).hints_written, 5);
    uint64_t reads = simdisk_count(world->disk, SIM_READ, ".log");
    restart(world);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 5);
    assert_int_equal(world->remarks, 0);
    /* The current one's goes, for it will be appended to; the others are as good as before. */
    assert_true(simdisk_count(world->disk, SIM_READ, ".log") > reads);
    uint32_t last = world_manifest(world)->named[4].id;
    assert_false(world_has_file(world, world_hint_file(last)));
    assert_true(world_has_file(world, world_hint_file(last - 1)));
    assert_int_equal(world_hint_all(world, false), 0);
    /* Appended to and sealed, it gets another. */
    world_seal(world);
    world_checkpoint(world);
    assert_int_equal(world_hint_all(world, false), 1);
    restart(world);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 5);
    world_free(world);
}

static void with_hints_a_start_reads_no_records(void **state)
{
    (void)state;
    struct world *world = world_with_files(4, 4);
    world_hint_all(world, true);
    world_close(world);
    uint64_t before = simdisk_count(world->disk, SIM_READ, ".log");
    world_must_open(world);
    /* A stat and a header each. */
    assert_int_equal(simdisk_count(world->disk, SIM_READ, ".log") - before, 2 * 5);
    world_free(world);
}

/* The manifest is older than the hint: what it does not name has never been. */
static void a_hint_may_know_more_than_the_manifest(void **state)
{
    (void)state;
    struct world *world = world_new(5, 1 << 20);
    world_must_open(world);
    world_append(world, 50);
    world_checkpoint(world);
    world_append(world, 50);
    world_mark(world);
    assert_int_equal(world_write(world), 0);
    assert_int_equal(world_hint_all(world, true), 1);
    assert_int_equal(world_sync(world), 0);
    world->manifest_count--; /* it was never saved */
    mem_free(world->manifests[world->manifest_count].named);
    mem_free(world->manifests[world->manifest_count].copies.items);
    restart(world);
    assert_int_equal(world->visited, 50);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 1);
    assert_false(world_has_file(world, world_hint_file(1)));
    world_free(world);
}

/* The hint covers less than the manifest names: the file goes on behind it. */
static void what_a_hint_does_not_cover_is_scanned(void **state)
{
    (void)state;
    struct world *world = world_new(6, 1 << 20);
    world_must_open(world);
    world_append(world, 50);
    world_checkpoint(world);
    assert_int_equal(world_hint_all(world, true), 1);
    world_append(world, 50);
    world_checkpoint(world);
    restart(world);
    assert_int_equal(world->visited, 100);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 1);
    /* And what is behind it is judged as ever (P5). */
    world_append(world, 50);
    world_checkpoint(world);
    assert_int_equal(world_hint_all(world, true), 1);
    uint64_t covered = world_manifest(world)->named[0].length;
    world_append(world, 50);
    world_checkpoint(world);
    world_close(world);
    assert_true(simdisk_corrupt(world->disk, world_file(1), covered + 9, 1));
    struct diag diag = {.text = ""};
    assert_int_equal(world_open(world, &diag), ERR_CORRUPT);
    assert_non_null(strstr(diag.text, "00001.log"));
    world_free(world);
}

static void a_damaged_byte_of_a_hint_costs_a_scan_and_a_remark(void **state)
{
    (void)state;
    struct world *world = world_with_files(7, 1);
    assert_int_equal(world_hint_all(world, false), 1);
    struct fs_stat st;
    assert_int_equal(fs_stat(simdisk_fs(world->disk), world_hint_file(1), &st), 0);
    uint64_t step = 1 + st.size / 1500;
    for (uint64_t off = 0; off < st.size; off += step) {
        uint8_t mask = (uint8_t)(1 + random_below(&world->random, 255));
        assert_true(simdisk_corrupt(world->disk, world_hint_file(1), off, mask));
        world_close(world);
        world_must_open(world);
        assert_int_equal(world->remarks, 1);
        assert_non_null(strstr(world->remark, "00001.hint"));
        assert_int_equal(bitcask_stats(world->bc).hints_used, 0);
        assert_true(simdisk_corrupt(world->disk, world_hint_file(1), off, mask));
    }
    /* The next hint takes its place. */
    assert_true(simdisk_corrupt(world->disk, world_hint_file(1), 70, 1));
    restart(world);
    assert_int_equal(world_hint_all(world, false), 1);
    restart(world);
    assert_int_equal(world->remarks, 0);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 1);
    world_free(world);
}

static void a_hint_that_cannot_be_read_costs_a_scan_and_a_remark(void **state)
{
    (void)state;
    struct world *world = world_with_files(8, 2);
    assert_int_equal(world_hint_all(world, false), 2);
    for (uint64_t n = 1;; n++) {
        world_close(world);
        uint64_t before = simdisk_count(world->disk, SIM_OPEN | SIM_READ, ".hint");
        simdisk_fail_nth(world->disk, SIM_OPEN | SIM_READ, ".hint", n, -EIO);
        world_must_open(world);
        if (simdisk_count(world->disk, SIM_OPEN | SIM_READ, ".hint") - before < n)
            break;
        assert_int_equal(world->remarks, 1);
        assert_int_equal(bitcask_stats(world->bc).hints_used, 1);
    }
    world_free(world);
}

/* B7: before a file is cut or appended to, its hint is gone for good. */
static void the_hint_of_a_file_that_changes_goes_first_and_durably(void **state)
{
    (void)state;
    struct world *world = world_new(9, FILE_LIMIT);
    world_must_open(world);
    world_append(world, 10);
    world_checkpoint(world);
    world_seal(world); /* behind the manifest */
    assert_int_equal(world_write(world), 0);
    assert_true(world_hint_all(world, false) > 0);
    assert_true(world_has_file(world, world_hint_file(1)));
    uint64_t begin = simdisk_steps(world->disk);
    restart(world);
    uint64_t removed = 0;
    uint64_t durable = 0;
    uint64_t cut = 0;
    for (uint64_t step = begin + 1; step <= simdisk_steps(world->disk); step++) {
        const char *name = simdisk_step_name(world->disk, step);
        const char *path = simdisk_step_path(world->disk, step);
        if (strcmp(name, "unlink") == 0 && strcmp(path, world_hint_file(1)) == 0)
            removed = step;
        if (strcmp(name, "sync dir") == 0 && strcmp(path, WORLD_DIR) == 0)
            durable = step;
        if (strcmp(name, "truncate") == 0 && strcmp(path, world_file(1)) == 0)
            cut = step;
    }
    assert_true(removed > 0 && removed < durable && durable < cut);
    world_free(world);
}

/* ---- Jobs ---- */

static void the_current_file_has_a_hint_only_where_a_mark_ended(void **state)
{
    (void)state;
    struct world *world = world_new(10, 1 << 20);
    struct diag diag = {.text = ""};
    world_must_open(world);
    assert_int_equal(world_hint(world, true, &diag), ERR_NOT_FOUND);
    world_append(world, 3);
    assert_int_equal(world_hint(world, true, &diag), ERR_NOT_FOUND); /* not written */
    assert_int_equal(world_write(world), 0);
    assert_int_equal(world_hint(world, true, &diag), ERR_NOT_FOUND); /* not at a block */
    world_checkpoint(world);
    assert_int_equal(world_hint(world, false, &diag), ERR_NOT_FOUND);
    assert_int_equal(world_hint(world, true, &diag), 0);
    assert_int_equal(world_hint(world, true, &diag), ERR_NOT_FOUND); /* that was all */
    world_append(world, 3);
    world_checkpoint(world);
    assert_int_equal(world_hint(world, true, &diag), 0);
    world_free(world);
}

/* What is appended while a hint is written is for the next one. */
static void a_hint_covers_what_was_there_when_it_was_asked_for(void **state)
{
    (void)state;
    struct world *world = world_new(21, 1 << 20);
    struct diag diag = {.text = ""};
    world_must_open(world);
    world_append(world, 20);
    world_checkpoint(world);
    struct bitcask_hint *hint = world_hint_take(world, true);
    assert_non_null(hint);
    world_append(world, 20);
    world_checkpoint(world);
    bitcask_hint_run(hint);
    assert_int_equal(bitcask_hint_done(world->bc, hint, &diag), 0);
    restart(world);
    assert_int_equal(world->visited, 40);
    world_checkpoint(world);
    hint = world_hint_take(world, true);
    world_append(world, 20);
    world_checkpoint(world);
    bitcask_hint_run(hint);
    assert_int_equal(bitcask_hint_done(world->bc, hint, &diag), 0);
    assert_int_equal(world_hint_all(world, true), 1);
    world_free(world);
}

static void a_file_that_is_mostly_dead_gets_its_hint_at_the_end(void **state)
{
    (void)state;
    struct world *world = world_with_files(11, 2);
    assert_null(bitcask_hint_take(world->bc, false));
    size_t count = 0;
    struct bitcask_sealed *files = bitcask_sealed_files(world->bc, &count);
    assert_true(count > 0);
    bitcask_add_live(world->bc, files[0].id, files[0].bytes / 2 + 1);
    struct bitcask_hint *hint = bitcask_hint_take(world->bc, false);
    assert_non_null(hint);
    bitcask_hint_run(hint);
    assert_int_equal(bitcask_hint_done(world->bc, hint, NULL), 0);
    assert_null(bitcask_hint_take(world->bc, false));
    bitcask_sub_live(world->bc, files[0].id, files[0].bytes / 2 + 1);
    hint = bitcask_hint_take(world->bc, true);
    assert_non_null(hint);
    bitcask_hint_run(hint);
    assert_int_equal(bitcask_hint_done(world->bc, hint, NULL), 0);
    mem_free(files);
    world_free(world);
}

static void one_hint_is_written_at_a_time(void **state)
{
    (void)state;
    struct world *world = world_with_files(11, 2);
    struct bitcask_hint *hint = world_hint_take(world, false);
    assert_non_null(hint);
    assert_null(world_hint_take(world, false));
    bitcask_hint_run(hint);
    assert_int_equal(bitcask_hint_done(world->bc, hint, NULL), 0);
    assert_int_equal(world_hint_all(world, false), 1);
    world_free(world);
}

static void a_hint_that_failed_is_not_tried_again(void **state)
{
    (void)state;
    struct world *world = world_with_files(12, 2);
    struct diag diag = {.text = ""};
    simdisk_fail_nth(world->disk, SIM_SYNC, ".hint.tmp", 1, -EIO);
    assert_int_equal(world_hint(world, false, &diag), -EIO);
    assert_non_null(strstr(diag.text, "00001.hint"));
    assert_int_equal(world_hint_all(world, false), 1);
    assert_int_equal(bitcask_stats(world->bc).hints_written, 1);
    size_t count = 0;
    mem_free(bitcask_sealed_files(world->bc, &count));
    assert_int_equal(count, 2);
    restart(world);
    assert_int_equal(bitcask_stats(world->bc).hints_used, 1);
    world_free(world);
}

static void a_file_found_damaged_gets_neither_hint_nor_merge(void **state)
{
    (void)state;
    struct world *world = world_with_files(13, 2);
    struct diag diag = {.text = ""};
    assert_true(simdisk_corrupt(world->disk, world_file(1), 4096 + 9, 1));
    assert_int_equal(world_hint(world, false, &diag), ERR_CORRUPT);
    assert_non_null(strstr(diag.text, "00001.log: the record at offset 4096"));
    assert_false(world_has_file(world, world_hint_file(1)));
    assert_int_equal(world_hint_all(world, false), 1);
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    assert_int_equal(count, 1);
    assert_int_equal(sealed[0].id, 2);
    mem_free(sealed);
    world_free(world);
}

/* Whatever becomes of a hint, the start finds what the manifest names. */
static void no_full_disk_and_no_power_loss_leaves_half_a_hint(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t room = 0; room < 16384; room += 4096) {
        struct world *world = world_with_files(seed + room, 2);
        struct fs_stat st;
        uint64_t used = 0;
        for (uint32_t id = 1; id <= 3; id++) {
            assert_int_equal(fs_stat(simdisk_fs(world->disk), world_file(id), &st), 0);
            used += st.size;
        }
        struct diag diag = {.text = ""};
        uint64_t begin = simdisk_steps(world->disk);
        simdisk_set_capacity(world->disk, used + room);
        while (world_hint(world, true, &diag) != ERR_NOT_FOUND)
            world_check_reads(world);
        for (uint64_t step = begin; step <= simdisk_steps(world->disk); step++) {
            for (int i = 0; i < 6; i++) {
                struct simdisk *image =
                    i == 0 ? simdisk_image_all(world->disk, step)
                           : simdisk_image(world->disk, step, random_next(&world->random));
                simdisk_set_capacity(image, UINT64_MAX);
                struct world *after = world_on_image(world, image, 1, seed);
                world_must_open(after);
                world_check_reads(after);
                world_append(after, 5);
                world_checkpoint(after);
                restart(after);
                world_free(after);
            }
        }
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_reads_hints_and_scans_what_they_do_not_cover),
        cmocka_unit_test(with_hints_a_start_reads_no_records),
        cmocka_unit_test(a_hint_may_know_more_than_the_manifest),
        cmocka_unit_test(what_a_hint_does_not_cover_is_scanned),
        cmocka_unit_test(a_damaged_byte_of_a_hint_costs_a_scan_and_a_remark),
        cmocka_unit_test(a_hint_that_cannot_be_read_costs_a_scan_and_a_remark),
        cmocka_unit_test(the_hint_of_a_file_that_changes_goes_first_and_durably),
        cmocka_unit_test(the_current_file_has_a_hint_only_where_a_mark_ended),
        cmocka_unit_test(a_hint_covers_what_was_there_when_it_was_asked_for),
        cmocka_unit_test(a_file_that_is_mostly_dead_gets_its_hint_at_the_end),
        cmocka_unit_test(one_hint_is_written_at_a_time),
        cmocka_unit_test(a_hint_that_failed_is_not_tried_again),
        cmocka_unit_test(a_file_found_damaged_gets_neither_hint_nor_merge),
        cmocka_unit_test(no_full_disk_and_no_power_loss_leaves_half_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
