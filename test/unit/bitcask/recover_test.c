/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: what is looked at, what is refused, what is removed and what is cut. */
#include "bitcask/bitcask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384

/* A few files, checkpointed and closed, with more written behind the last manifest. */
static struct world *closed_world(uint64_t seed)
{
    struct world *world = world_new(seed, FILE_LIMIT);
    world_must_open(world);
    while (world_manifest(world)->named_count < 3) {
        world_append(world, 20);
        world_checkpoint(world);
    }
    world_close(world);
    return world;
}

static struct world_manifest *manifest_of(struct world *world)
{
    return &world->manifests[world->manifest_count - 1];
}

static struct bitcask_named *last_named(struct world *world)
{
    return &manifest_of(world)->named[manifest_of(world)->named_count - 1];
}

static bool exists(struct world *world, const char *path)
{
    struct fs_stat st;
    return fs_stat(simdisk_fs(world->disk), path, &st) == 0;
}

static uint64_t size_of(struct world *world, const char *path)
{
    struct fs_stat st;
    assert_int_equal(fs_stat(simdisk_fs(world->disk), path, &st), 0);
    return st.size;
}

/* Makes a file, or writes at the end of one that is there. */
static void write_behind(struct world *world, const char *path, size_t size)
{
    static const uint8_t junk[10000] = {1, 2, 3};
    struct file *file;
    uint64_t end;
    size_t done;
    assert_int_equal(fs_open(simdisk_fs(world->disk), path, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_size(file, &end), 0);
    assert_int_equal(file_write_full(file, junk, size, end, &done), 0);
    file_unref(file);
}

/* Must be refused, with a text that contains `part`, and without any change to the disk. */
static void assert_refused(struct world *world, int code, const char *part)
{
    uint64_t steps = simdisk_steps(world->disk);
    uint64_t syncs = simdisk_count(world->disk, SIM_SYNC_DIR, NULL);
    struct diag diag = {{0}};
    assert_int_equal(world_open(world, &diag), code);
    if (strstr(diag.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", diag.text, part);
    /* The parent directory was synced, nothing else. */
    assert_true(simdisk_steps(world->disk) - steps <=
                simdisk_count(world->disk, SIM_SYNC_DIR, NULL) - syncs);
}

static void a_named_file_that_is_missing_or_short_is_corruption(void **state)
{
    (void)state;
    struct world *world = closed_world(1);
    uint64_t length = manifest_of(world)->named[1].length;
    struct file *file;
    assert_int_equal(fs_open(simdisk_fs(world->disk), world_file(2), FS_WRITE, &file), 0);
    assert_int_equal(file_truncate(file, length - 1), 0);
    file_unref(file);
    assert_refused(world, ERR_CORRUPT, "00002.log: ends at offset");
    assert_int_equal(fs_unlink(simdisk_fs(world->disk), world_file(2)), 0);
    assert_refused(world, ERR_CORRUPT, "00002.log: missing");
    world_free(world);
}

static void another_files_header_is_corruption(void **state)
{
    (void)state;
    struct world *world = closed_world(2);
    struct bitcask_named *named = &manifest_of(world)->named[1];
    named->uid ^= 1;
    assert_refused(world, ERR_CORRUPT, "00002.log: the file header at offset 0 belongs to another");
    named->uid ^= 1;
    struct fs *fs = simdisk_fs(world->disk);
    assert_int_equal(fs_rename(fs, world_file(2), "/data/aside"), 0);
    assert_int_equal(fs_rename(fs, world_file(3), world_file(2)), 0);
    assert_int_equal(fs_rename(fs, "/data/aside", world_file(3)), 0);
    assert_refused(world, ERR_CORRUPT, "belongs to another");
    world_free(world);
}

static void a_manifest_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct world *world = closed_world(3);
    struct bitcask_named *named = &manifest_of(world)->named[1];
    struct bitcask_named good = *named;
    named->length -= 1;
    assert_refused(world, ERR_CORRUPT, "makes no sense of file 2");
    named->length = 0;
    assert_refused(world, ERR_CORRUPT, "makes no sense of file 2");
    *named = good;
    named->id = 1;
    assert_refused(world, ERR_CORRUPT, "named twice");
    named->id = BITCASK_MAX_FILE_ID + 1;
    assert_refused(world, ERR_CORRUPT, "makes no sense of file 536870912");
    *named = good;
    named->lowest_index += 1;
    assert_refused(world, ERR_CORRUPT, "00002.log: the lowest index");
    *named = good;
    named->length -= DATAFILE_BLOCK; /* in the middle of a record, or short of the lowest index */
    struct diag diag;
    int rc = world_open(world, &diag);
    assert_true(rc == ERR_CORRUPT);
    *named = good;
    world_must_open(world);
    world_free(world);
}

/* The first number behind "offset " in the text. */
static uint64_t told_offset(const struct diag *diag)
{
    const char *at = strstr(diag->text, "offset ");
    assert_non_null(at);
    return strtoull(at + strlen("offset "), NULL, 10);
}

static void assert_found(struct world *world, uint32_t id, uint64_t off)
{
    struct diag diag = {{0}};
    assert_int_equal(world_open(world, &diag), ERR_CORRUPT);
    char name[32];
    snprintf(name, sizeof(name), "%05" PRIu32 ".log", id);
    assert_non_null(strstr(diag.text, name));
    uint64_t told = told_offset(&diag);
    if (told > off)
        fail_msg("damage at %" PRIu64 " of %s was told as %s", off, name, diag.text);
    /* Not just anywhere before it: no record lies between. */
    for (size_t i = 0; i < world_manifest(world)->entry_count; i++) {
        const struct world_entry *entry = &world->entries[i];
        assert_false(entry->file_id == id && entry->off > told && entry->off <= off);
    }
}

static void every_damaged_byte_below_a_length_is_found_and_named(void **state)
{
    (void)state;
    struct random random = {sim_seed()};
    struct world *world = closed_world(4);
    write_behind(world, world_file(90), 100); /* must not go before all is well */
    for (size_t i = 0; i < manifest_of(world)->named_count; i++) {
        const struct bitcask_named *named = &manifest_of(world)->named[i];
        for (uint64_t off = 0; off < named->length; off += 1 + random_below(&random, 8)) {
            uint8_t mask = (uint8_t)(1 << random_below(&random, 8));
            assert_true(simdisk_corrupt(world->disk, world_file(named->id), off, mask));
            assert_found(world, named->id, off);
            assert_true(simdisk_corrupt(world->disk, world_file(named->id), off, mask));
        }
    }
    assert_true(exists(world, world_file(90)));
    world_must_open(world);
    world_free(world);
}

static void what_lies_beyond_a_length_is_cut_without_a_look(void **state)
{
    (void)state;
    struct world *world = closed_world(5);
    write_behind(world, world_file(1), 5000);
    write_behind(world, world_file(3), 1);
    world_must_open(world);
    for (size_t i = 0; i < manifest_of(world)->named_count; i++)
        assert_int_equal(size_of(world, world_file(manifest_of(world)->named[i].id)),
                         manifest_of(world)->named[i].length);
    world_append(world, 50);
    world_checkpoint(world);
    world_close(world);
    world_must_open(world);
    world_check_reads(world);
    world_free(world);
}

static void the_last_file_goes_on_where_it_has_room(void **state)
{
    (void)state;
    struct world *world = closed_world(6);
    struct bitcask_named last = *last_named(world);
    world->max_file_size = last.length + 100000;
    world_must_open(world);
    world_append_seed(world, 77);
    assert_int_equal(world->entries[world->entry_count - 1].file_id, last.id);
    assert_int_equal(world->entries[world->entry_count - 1].off, last.length);
    world_checkpoint(world);
    world_close(world);
    last = *last_named(world);
    world->max_file_size = last.length;
    world_must_open(world);
    world_append_seed(world, 78);
    assert_int_equal(world->entries[world->entry_count - 1].file_id, last.id + 1);
    world_checkpoint(world);
    world_free(world);
}

static void only_unnamed_files_of_our_patterns_are_removed(void **state)
{
    (void)state;
    static const char *const ours[] = {"00007.log",  "00007.hint",     "00008.hint",
                                       "100000.log", "00009.hint.tmp", "00001.hint.tmp"};
    static const char *const others[] = {
        "7.log",     "000007.log", "00007.log~",    "x00007.log", "00007.hint.tmp2", "00007",
        "notes.txt", ".log",       "999999999.log", "-0007.log",  "00001.hint"};
    struct world *world = closed_world(7);
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        write_behind(world, world_path(ours[i]), 10);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        write_behind(world, world_path(others[i]), 10);
    world_must_open(world);
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        assert_false(exists(world, world_path(ours[i])));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        assert_true(exists(world, world_path(others[i])));
    /* Durably: a power loss does not bring them back. */
    struct simdisk *image = simdisk_image(world->disk, simdisk_steps(world->disk), 5);
    struct world *after = world_on_image(world, image, world->manifest_count - 1, 5);
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        assert_false(exists(after, world_path(ours[i])));
    world_free(after);
    world_free(world);
}

static void hints_are_removed_before_their_files(void **state)
{
    (void)state;
    struct world *world = closed_world(8);
    write_behind(world, world_file(40), 10);
    write_behind(world, world_path("00040.hint"), 10);
    simdisk_fail_nth(world->disk, SIM_UNLINK, "00040.log", 1, -EIO);
    struct diag diag;
    assert_int_equal(world_open(world, &diag), -EIO);
    assert_non_null(strstr(diag.text, "00040.log"));
    assert_true(exists(world, world_file(40)));
    assert_false(exists(world, world_path("00040.hint")));
    world_must_open(world);
    assert_false(exists(world, world_file(40)));
    world_free(world);
}

/* R1.4: a hint that was written for a file as it was before the cut would be whole again, and
 * wrong, when the file has grown back. */
static void r1_4_the_hint_of_a_file_that_changes_is_gone_durably_before_the_change(void **state)
{
    (void)state;
    struct world *world = closed_world(9);
    world->max_file_size = last_named(world)->length + 100000;
    write_behind(world, world_path("00001.hint"), 10); /* unchanged: stays */
    write_behind(world, world_file(2), 10);            /* will be cut */
    write_behind(world, world_path("00002.hint"), 10);
    char last[32];
    snprintf(last, sizeof(last), "%05" PRIu32 ".hint", last_named(world)->id);
    write_behind(world, world_path(last), 10); /* will be appended to */
    assert_int_equal(fs_sync_dir(simdisk_fs(world->disk), WORLD_DIR), 0);

    simdisk_fail_nth(world->disk, SIM_TRUNCATE, NULL, 1, -EIO);
    struct diag diag;
    assert_int_equal(world_open(world, &diag), -EIO);
    struct simdisk *image = simdisk_image_synced(world->disk, simdisk_steps(world->disk));
    struct world *after = world_on_image(world, image, world->manifest_count - 1, 5);
    assert_true(exists(after, world_path("00001.hint")));
    assert_false(exists(after, world_path("00002.hint")));
    assert_false(exists(after, world_path(last)));
    world_free(after);
    world_free(world);
}

static void ids_are_never_used_again(void **state)
{
    (void)state;
    struct world *world = closed_world(10);
    write_behind(world, world_path("00044.hint"), 10);
    world->max_file_size = last_named(world)->length;
    world_must_open(world);
    assert_int_equal(bitcask_next_id(world->bc), 45);
    world_append(world, 1);
    assert_int_equal(world->entries[world->entry_count - 1].file_id, 45);
    world_close(world);

    manifest_of(world)->next_id = 300;
    world_must_open(world);
    assert_int_equal(bitcask_next_id(world->bc), 300);
    world_close(world);
    manifest_of(world)->next_id = BITCASK_MAX_FILE_ID + 1;
    assert_refused(world, ERR_TOO_BIG, "file ids are used up");
    world_free(world);
}

/* R2: a second link is somebody's backup. */
static void r2_a_file_with_a_second_link_is_neither_cut_nor_appended_to(void **state)
{
    (void)state;
    struct world *world = closed_world(11);
    struct fs *fs = simdisk_fs(world->disk);
    uint32_t last = last_named(world)->id;
    world->max_file_size = last_named(world)->length + 100000;
    write_behind(world, world_file(1), 100);
    write_behind(world, world_file(last), 100);
    assert_int_equal(fs_link(fs, world_file(1), "/data/copy1"), 0);
    assert_int_equal(fs_link(fs, world_file(last), "/data/copy2"), 0);
    world_must_open(world);
    assert_int_equal(size_of(world, "/data/copy1"), manifest_of(world)->named[0].length + 100);
    assert_int_equal(size_of(world, "/data/copy2"), last_named(world)->length + 100);
    world_append(world, 30);
    assert_true(world->entries[world->entry_count - 1].file_id > last);
    world_checkpoint(world);
    assert_int_equal(simdisk_count(world->disk, SIM_TRUNCATE, NULL), 0);
    world_check_reads(world);
    world_close(world);
    /* Still named with the old length; once the link is gone it is cut. */
    assert_int_equal(fs_unlink(fs, "/data/copy1"), 0);
    world_must_open(world);
    assert_int_equal(size_of(world, world_file(1)), manifest_of(world)->named[0].length);
    world_free(world);
}

static int stop_at_third(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    (void)record;
    (void)file_id;
    (void)off;
    int *calls = ctx;
    return ++*calls == 3 ? -ECANCELED : 0;
}

static void a_visit_that_fails_ends_the_recovery_with_its_code(void **state)
{
    (void)state;
    struct world *world = closed_world(12);
    write_behind(world, world_file(1), 100);
    struct bitcask_options options = world_options(world);
    struct bitcask *bc = NULL;
    struct diag diag;
    int calls = 0;
    assert_int_equal(bitcask_open(&options, stop_at_third, &calls, NULL, &bc, &diag), -ECANCELED);
    assert_null(bc);
    assert_int_equal(calls, 3);
    assert_int_equal(size_of(world, world_file(1)), manifest_of(world)->named[0].length + 100);
    world_free(world);
}

static void before_the_first_mark_the_files_are_those_of_recovery(void **state)
{
    (void)state;
    struct world *world = closed_world(13);
    world_must_open(world);
    world_append(world, 30);
    size_t count;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    assert_int_equal(count, manifest_of(world)->named_count);
    for (size_t i = 0; i < count; i++) {
        const struct bitcask_named *before = &manifest_of(world)->named[i];
        assert_int_equal(named[i].id, before->id);
        assert_true(named[i].uid == before->uid);
        assert_true(named[i].length == before->length);
        assert_true(named[i].lowest_index == before->lowest_index);
    }
    mem_free(named);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_file_that_is_missing_or_short_is_corruption),
        cmocka_unit_test(another_files_header_is_corruption),
        cmocka_unit_test(a_manifest_that_makes_no_sense_is_refused),
        cmocka_unit_test(every_damaged_byte_below_a_length_is_found_and_named),
        cmocka_unit_test(what_lies_beyond_a_length_is_cut_without_a_look),
        cmocka_unit_test(the_last_file_goes_on_where_it_has_room),
        cmocka_unit_test(only_unnamed_files_of_our_patterns_are_removed),
        cmocka_unit_test(hints_are_removed_before_their_files),
        cmocka_unit_test(r1_4_the_hint_of_a_file_that_changes_is_gone_durably_before_the_change),
        cmocka_unit_test(ids_are_never_used_again),
        cmocka_unit_test(r2_a_file_with_a_second_link_is_neither_cut_nor_appended_to),
        cmocka_unit_test(a_visit_that_fails_ends_the_recovery_with_its_code),
        cmocka_unit_test(before_the_first_mark_the_files_are_those_of_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
