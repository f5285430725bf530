/* SPDX-License-Identifier: Apache-2.0 */
/* What a power loss leaves of the simulated disk: small scenarios with the list of all states that
 * may be found; each must be found and no other. Long random runs are in simdisk_model_test.c. */
#include "support/simdisk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/cmocka.h"

#define SECTOR 512
#define SEEDS  3000

static struct file *create(struct simdisk *disk, const char *path)
{
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_WRITE | FS_CREATE, &file), 0);
    return file;
}

static void put(struct file *file, char letter, size_t len, uint64_t off)
{
    uint8_t bytes[8192];
    assert_true(len <= sizeof(bytes));
    memset(bytes, letter == '.' ? 0 : letter, len);
    assert_int_equal(file_pwrite(file, bytes, len, off), len);
}

static void sync_all(struct simdisk *disk, struct file *file)
{
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
}

/* ---- What is found, as text: "A512 .100", "empty", "none"; several paths with '|' between ---- */

static void describe_bytes(struct buf *out, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        buf_append_str(out, "empty");
    for (size_t at = 0; at < size;) {
        size_t end = at;
        while (end < size && bytes[end] == bytes[at])
            end++;
        char letter = bytes[at] == 0 ? '.' : (char)bytes[at];
        buf_append_format(out, "%s%c%zu", at == 0 ? "" : " ", letter, end - at);
        at = end;
    }
}

static void describe_path(struct buf *out, struct simdisk *disk, const char *path)
{
    struct fs_stat st;
    int rc = fs_stat(simdisk_fs(disk), path, &st);
    if (rc < 0) {
        assert_int_equal(rc, -ENOENT);
        buf_append_str(out, "none");
        return;
    }
    if (st.is_dir) {
        buf_append_str(out, "folder");
        return;
    }
    uint8_t bytes[16384];
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_READ, &file), 0);
    ssize_t got = file_pread(file, bytes, sizeof(bytes), 0);
    assert_int_equal(got, st.size);
    file_unref(file);
    describe_bytes(out, bytes, (size_t)got);
}

/* The text for `paths`, separated by blanks, on `disk`. For mem_free(). */
static char *describe(struct simdisk *disk, const char *paths)
{
    struct buf out = {0};
    char *copy = mem_dup_str(paths);
    char *rest = NULL;
    for (char *path = strtok_r(copy, " ", &rest); path; path = strtok_r(NULL, " ", &rest)) {
        if (out.len > 0)
            buf_append_str(&out, "|");
        describe_path(&out, disk, path);
    }
    mem_free(copy);
    buf_append_byte(&out, 0);
    return (char *)buf_take(&out).data;
}

static void assert_found(struct simdisk *image, const char *paths, const char *expected)
{
    char *found = describe(image, paths);
    assert_string_equal(found, expected);
    mem_free(found);
    simdisk_free(image);
}

/* Over many seeds: exactly these, and all of them. */
static void assert_outcomes(struct simdisk *disk, const char *paths, const char *const *expected,
                            size_t count)
{
    unsigned met[64] = {0};
    assert_true(count <= ARRAY_COUNT(met));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct simdisk *image = simdisk_image(disk, simdisk_steps(disk), seed);
        char *found = describe(image, paths);
        size_t i = 0;
        while (i < count && strcmp(found, expected[i]) != 0)
            i++;
        if (i == count)
            fail_msg("seed %" PRIu64 " leaves \"%s\"", seed, found);
        met[i]++;
        mem_free(found);
        simdisk_free(image);
    }
    for (size_t i = 0; i < count; i++)
        if (met[i] == 0)
            fail_msg("never met: \"%s\"", expected[i]);
}

#define OUTCOMES(disk, paths, ...)                                   \
    assert_outcomes(disk, paths, (const char *const[]){__VA_ARGS__}, \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- Bytes ---- */

static void synced_bytes_stay(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 100, 0);
    put(file, 'B', 1000, 100);
    sync_all(disk, file);
    OUTCOMES(disk, "f", "A100 B1000");
    put(file, 'C', 100, 200);
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "A100 B100 C100 B800");
    file_unref(file);
    OUTCOMES(disk, "f", "A100 B100 C100 B800");
    simdisk_free(disk);
}

static void an_unsynced_overwrite_may_be_kept_by_sector(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 4 * SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', 2 * SECTOR, SECTOR);
    OUTCOMES(disk, "f", "A2048", "A512 B1024 A512", "A512 B512 A1024", "A1024 B512 A512");
    file_unref(file);
    simdisk_free(disk);
}

static void every_set_of_sectors_occurs(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 5 * SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', 5 * SECTOR, 0);
    bool met[32] = {false};
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        struct simdisk *image = simdisk_image(disk, simdisk_steps(disk), seed);
        struct file *copy = create(image, "f");
        unsigned kept = 0;
        for (unsigned i = 0; i < 5; i++) {
            char letter = 0;
            assert_int_equal(file_pread(copy, &letter, 1, i * SECTOR), 1);
            assert_true(letter == 'A' || letter == 'B');
            kept |= letter == 'B' ? 1u << i : 0;
        }
        met[kept] = true;
        file_unref(copy);
        simdisk_free(image);
    }
    for (unsigned i = 0; i < 32; i++)
        assert_true(met[i]);
    file_unref(file);
    simdisk_free(disk);
}

static void writes_are_kept_in_any_combination(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, '.', 3 * SECTOR, 0);
    sync_all(disk, file);
    put(file, 'A', SECTOR, 0);
    put(file, 'B', SECTOR, SECTOR);
    put(file, 'C', SECTOR, 2 * SECTOR);
    OUTCOMES(disk, "f", ".1536", "A512 .1024", ".512 B512 .512", ".1024 C512", "A512 B512 .512",
             "A512 .512 C512", ".512 B512 C512", "A512 B512 C512");
    file_unref(file);
    simdisk_free(disk);
}

static void a_sector_is_in_any_state_it_has_had_since_its_sync(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'X', SECTOR, 0);
    put(file, 'A', SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', SECTOR, 0);
    put(file, 'C', SECTOR, 0);
    OUTCOMES(disk, "f", "A512", "B512", "C512");
    file_unref(file);
    simdisk_free(disk);
}

/* Small appends share a sector: the later is never there without the earlier. */
static void a_sector_goes_to_the_disk_as_a_whole(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 100, 0);
    sync_all(disk, file);
    put(file, 'B', 100, 100);
    put(file, 'C', 100, 200);
    OUTCOMES(disk, "f", "A100", "A100 B100", "A100 B100 C100", "A100 .100", "A100 .200",
             "A100 B100 .100");
    file_unref(file);
    simdisk_free(disk);
}

static void an_append_may_grow_the_file_without_its_bytes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', SECTOR + 10, SECTOR);
    OUTCOMES(disk, "f", "A512", "A512 B522", "A512 .522", "A512 B512", "A512 B512 .10",
             "A512 .512 B10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_truncation_may_be_lost_or_kept(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 2 * SECTOR, 0);
    sync_all(disk, file);
    assert_int_equal(file_truncate(file, 600), 0);
    OUTCOMES(disk, "f", "A1024", "A600");
    assert_int_equal(file_truncate(file, 2000), 0);
    OUTCOMES(disk, "f", "A1024", "A600", "A600 .1400");
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "A600 .1400");
    file_unref(file);
    simdisk_free(disk);
}

/* What was written behind the cut cannot be there while the cut is not. */
static void what_follows_a_cut_brings_the_cut_along(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 2 * SECTOR, 0);
    sync_all(disk, file);
    assert_int_equal(file_truncate(file, 0), 0);
    put(file, 'B', 10, 0);
    OUTCOMES(disk, "f", "A1024", "empty", "B10", ".10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_file_that_has_grown_was_cut_before(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', SECTOR, 0);
    sync_all(disk, file);
    assert_int_equal(file_truncate(file, 0), 0);
    put(file, 'B', 2 * SECTOR, 0);
    OUTCOMES(disk, "f", "A512", "empty", "B1024", ".1024", "B512 .512", ".512 B512", "B512");
    file_unref(file);
    simdisk_free(disk);
}

static void files_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *f = create(disk, "f");
    struct file *g = create(disk, "g");
    put(f, 'A', SECTOR, 0);
    put(g, 'B', SECTOR, 0);
    sync_all(disk, f);
    OUTCOMES(disk, "f g", "A512|empty", "A512|B512", "A512|.512");
    put(f, 'C', SECTOR, 0);
    assert_int_equal(file_sync(g), 0);
    OUTCOMES(disk, "f g", "A512|B512", "C512|B512");
    file_unref(f);
    file_unref(g);
    simdisk_free(disk);
}

static void growing_writes_no_bytes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', 38, SECTOR);
    assert_int_equal(file_truncate(file, 600), 0);
    OUTCOMES(disk, "f", "A512", "A512 B38", "A512 .38", "A512 B38 .50", "A512 .88");
    file_unref(file);
    simdisk_free(disk);
}

/* ---- Names ---- */

static void a_new_name_needs_its_folder_synced(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 10, 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_write_back(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "f", "none", "A10");
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "f", "A10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_synced_name_may_have_no_bytes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 10, 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "f", "empty", "A10", ".10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_rename_may_leave_both_names_either_or_neither(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *tmp = create(disk, "tmp");
    struct file *old = create(disk, "m");
    put(tmp, 'N', 10, 0);
    put(old, 'O', 10, 0);
    assert_int_equal(file_sync(tmp), 0);
    sync_all(disk, old);
    assert_int_equal(fs_rename(simdisk_fs(disk), "tmp", "m"), 0);
    OUTCOMES(disk, "tmp m", "N10|O10", "N10|N10", "none|O10", "none|N10");
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "tmp m", "none|N10");
    file_unref(tmp);
    file_unref(old);
    simdisk_free(disk);
}

static void a_removal_may_be_undone_until_it_is_synced(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 10, 0);
    sync_all(disk, file);
    assert_int_equal(fs_unlink(simdisk_fs(disk), "f"), 0);
    file_unref(file);
    OUTCOMES(disk, "f", "none", "A10");
    file_unref(create(disk, "f"));
    OUTCOMES(disk, "f", "none", "A10", "empty");
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "f", "empty");
    simdisk_free(disk);
}

static void two_names_of_a_file_are_one_file(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 10, 0);
    sync_all(disk, file);
    assert_int_equal(fs_link(simdisk_fs(disk), "f", "g"), 0);
    OUTCOMES(disk, "f g", "A10|none", "A10|A10");
    struct simdisk *image = simdisk_image_all(disk, simdisk_steps(disk));
    struct fs_stat st;
    assert_int_equal(fs_stat(simdisk_fs(image), "g", &st), 0);
    assert_int_equal(st.link_count, 2);
    struct file *g = create(image, "g");
    put(g, 'B', 10, 0);
    file_unref(g);
    assert_found(image, "f g", "B10|B10");
    file_unref(file);
    simdisk_free(disk);
}

static void names_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs *fs = simdisk_fs(disk);
    static const char *const spares[] = {"1", "2", "3", "4", "5", "6"};
    for (int i = 0; i < 6; i++) {
        struct file *file = create(disk, spares[i]);
        put(file, (char)('A' + i), 1, 0);
        assert_int_equal(file_sync(file), 0);
        file_unref(file);
    }
    assert_int_equal(fs_rename(fs, "1", "f"), 0);
    assert_int_equal(fs_rename(fs, "4", "g"), 0);
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    assert_int_equal(fs_rename(fs, "2", "f"), 0);
    assert_int_equal(fs_rename(fs, "5", "g"), 0);
    assert_int_equal(fs_rename(fs, "3", "f"), 0);
    assert_int_equal(fs_rename(fs, "6", "g"), 0);
    OUTCOMES(disk, "f g", "A1|D1", "A1|E1", "A1|F1", "B1|D1", "B1|E1", "B1|F1", "C1|D1", "C1|E1",
             "C1|F1");
    simdisk_free(disk);
}

static void folders_come_and_go_like_files(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs *fs = simdisk_fs(disk);
    assert_int_equal(fs_mkdir(fs, "d"), 0);
    struct file *file = create(disk, "d/f");
    put(file, 'A', 10, 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_sync_dir(fs, "d"), 0);
    /* All of it hangs on a name that nobody has synced. */
    OUTCOMES(disk, "d d/f", "none|none", "folder|A10");
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    OUTCOMES(disk, "d d/f", "folder|A10");
    assert_int_equal(fs_unlink(fs, "d/f"), 0);
    assert_int_equal(fs_rmdir(fs, "d"), 0);
    OUTCOMES(disk, "d d/f", "none|none", "folder|none", "folder|A10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_renamed_folder_is_in_one_place_at_most(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs *fs = simdisk_fs(disk);
    assert_int_equal(fs_mkdir(fs, "d"), 0);
    assert_int_equal(fs_mkdir(fs, "e"), 0);
    file_unref(create(disk, "d/f"));
    assert_int_equal(fs_sync_dir(fs, "d"), 0);
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    assert_int_equal(fs_rename(fs, "d", "e/d"), 0);
    OUTCOMES(disk, "d/f e/d/f", "empty|none", "none|empty", "none|none");
    simdisk_free(disk);
}

/* ---- Failed syncs ---- */

static void a_failed_sync_is_not_mended_by_the_next(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 2 * SECTOR, 0);
    sync_all(disk, file);
    put(file, 'B', SECTOR, 0);
    simdisk_fail_nth(disk, SIM_SYNC, NULL, 1, -EIO);
    assert_int_equal(file_sync(file), -EIO);
    OUTCOMES(disk, "f", "A1024", "B512 A512");
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "A1024", "B512 A512");
    put(file, 'C', SECTOR, SECTOR);
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "A512 C512", "B512 C512");
    put(file, 'D', SECTOR, 0);
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "D512 C512");
    file_unref(file);
    simdisk_free(disk);
}

static void a_new_size_is_synced_with_the_next_sync(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 2 * SECTOR, 0);
    sync_all(disk, file);
    assert_int_equal(file_truncate(file, 10), 0);
    simdisk_fail_nth(disk, SIM_SYNC, NULL, 1, -EIO);
    assert_int_equal(file_sync(file), -EIO);
    OUTCOMES(disk, "f", "A1024", "A10");
    assert_int_equal(file_sync(file), 0);
    OUTCOMES(disk, "f", "A10");
    file_unref(file);
    simdisk_free(disk);
}

static void a_failed_folder_sync_makes_nothing_durable(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    simdisk_fail_nth(disk, SIM_SYNC_DIR, NULL, 1, -EIO);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), -EIO);
    OUTCOMES(disk, "f", "none", "empty");
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    OUTCOMES(disk, "f", "empty");
    file_unref(file);
    simdisk_free(disk);
}

/* ---- Moments, and images of images ---- */

static void an_image_is_of_its_step_whatever_came_later(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', SECTOR, 0);
    sync_all(disk, file);
    uint64_t first = simdisk_steps(disk);
    put(file, 'B', SECTOR, 0);
    uint64_t second = simdisk_steps(disk);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_unlink(simdisk_fs(disk), "f"), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    file_unref(file);

    assert_found(simdisk_image_all(disk, 0), "f", "none");
    assert_found(simdisk_image_all(disk, 1), "f", "empty");
    assert_found(simdisk_image_synced(disk, first), "f", "A512");
    assert_found(simdisk_image_synced(disk, second), "f", "A512");
    assert_found(simdisk_image_all(disk, second), "f", "B512");
    assert_found(simdisk_image_synced(disk, second + 1), "f", "B512");
    assert_found(simdisk_image_all(disk, second + 2), "f", "none");
    assert_found(simdisk_image_synced(disk, second + 2), "f", "B512");
    assert_found(simdisk_image_synced(disk, second + 3), "f", "none");
    simdisk_free(disk);
}

static void an_image_is_the_same_for_the_same_seed(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    sync_all(disk, file);
    for (int i = 0; i < 16; i++)
        put(file, (char)('a' + i), SECTOR, (uint64_t)i * SECTOR);
    unsigned changes = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct simdisk *one = simdisk_image(disk, simdisk_steps(disk), seed);
        struct simdisk *other = simdisk_image(disk, simdisk_steps(disk), seed + 1);
        char *text = describe(one, "f");
        char *next = describe(other, "f");
        assert_found(simdisk_image(disk, simdisk_steps(disk), seed), "f", text);
        changes += strcmp(text, next) != 0;
        mem_free(text);
        mem_free(next);
        simdisk_free(one);
        simdisk_free(other);
    }
    assert_true(changes > 35);
    file_unref(file);
    simdisk_free(disk);
}

static void what_an_image_holds_is_durable_on_it(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 2 * SECTOR, 0);
    simdisk_set_capacity(disk, 2 * 4096);
    struct simdisk *image = simdisk_image_all(disk, simdisk_steps(disk));
    file_unref(file);
    simdisk_free(disk);

    OUTCOMES(image, "f", "A1024");
    file = create(image, "f");
    put(file, 'B', SECTOR, 0);
    OUTCOMES(image, "f", "A1024", "B512 A512");
    assert_int_equal(fs_rename(simdisk_fs(image), "f", "g"), 0);
    OUTCOMES(image, "f g", "A1024|none", "B512 A512|none", "A1024|A1024", "B512 A512|B512 A512",
             "none|A1024", "none|B512 A512", "none|none");
    put(file, 'C', 4096, 4096);
    uint8_t byte = 'x';
    assert_int_equal(file_pwrite(file, &byte, 1, 3 * 4096), -ENOSPC);
    file_unref(file);
    simdisk_free(image);
}

static void images_do_not_see_each_other(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, 'A', 8192, 0);
    sync_all(disk, file);
    struct simdisk *one = simdisk_image_synced(disk, simdisk_steps(disk));
    struct simdisk *two = simdisk_image_synced(disk, simdisk_steps(disk));
    put(file, 'B', SECTOR, 0);
    struct file *in_one = create(one, "f");
    put(in_one, 'C', SECTOR, 0);
    assert_int_equal(file_truncate(in_one, 4096), 0);
    file_unref(in_one);
    assert_true(simdisk_corrupt(two, "f", 0, 0xff ^ 'A' ^ 'Z'));
    assert_true(simdisk_corrupt(two, "f", 0, 0xff));
    assert_found(one, "f", "C512 A3584");
    assert_found(two, "f", "Z1 A8191");
    char *text = describe(disk, "f");
    assert_string_equal(text, "B512 A7680");
    mem_free(text);
    file_unref(file);
    simdisk_free(disk);
}

/* ---- The write queue ---- */

static void a_queued_write_is_durable_when_it_completes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct aio *aio = simdisk_aio(disk);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), "f", FS_WRITE | FS_CREATE | FS_DIRECT, &file), 0);
    uint8_t *page = mem_try_alloc_aligned(AIO_ALIGN, 4096);
    memset(page, '.', 4096);
    memset(page, 'A', 4096);
    assert_int_equal(file_pwrite(file, page, 4096, 0), 4096);
    sync_all(disk, file);
    memset(page + 1024, 'B', 3072);
    struct aio_write write = {.file = file, .data = page, .size = 4096};
    simdisk_hold(disk, true);
    aio_submit(aio, &write);
    unsigned whole = 0;
    unsigned none = 0;
    unsigned torn = 0;
    uint64_t submitted = simdisk_steps(disk);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct simdisk *image = simdisk_image(disk, submitted, seed);
        char *text = describe(image, "f");
        bool is_whole = strcmp(text, "A1024 B3072") == 0;
        bool is_none = strcmp(text, "A4096") == 0;
        whole += is_whole;
        none += is_none;
        torn += !is_whole && !is_none;
        mem_free(text);
        simdisk_free(image);
    }
    assert_true(whole > 30 && none > 30 && torn > 30);
    /* A sync of the file is not its completion. */
    assert_int_equal(file_sync(file), 0);
    assert_found(simdisk_image_synced(disk, simdisk_steps(disk)), "f", "A4096");
    aio_flush(aio);
    assert_true(simdisk_release(disk));
    OUTCOMES(disk, "f", "A1024 B3072");
    assert_ptr_equal(aio_reap(aio), &write);
    /* And still not at the step before. */
    assert_found(simdisk_image_synced(disk, submitted), "f", "A4096");
    aio_close(aio);
    file_unref(file);
    mem_free(page);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_stay),
        cmocka_unit_test(an_unsynced_overwrite_may_be_kept_by_sector),
        cmocka_unit_test(every_set_of_sectors_occurs),
        cmocka_unit_test(writes_are_kept_in_any_combination),
        cmocka_unit_test(a_sector_is_in_any_state_it_has_had_since_its_sync),
        cmocka_unit_test(a_sector_goes_to_the_disk_as_a_whole),
        cmocka_unit_test(an_append_may_grow_the_file_without_its_bytes),
        cmocka_unit_test(a_truncation_may_be_lost_or_kept),
        cmocka_unit_test(what_follows_a_cut_brings_the_cut_along),
        cmocka_unit_test(a_file_that_has_grown_was_cut_before),
        cmocka_unit_test(growing_writes_no_bytes),
        cmocka_unit_test(files_do_not_depend_on_each_other),
        cmocka_unit_test(a_new_name_needs_its_folder_synced),
        cmocka_unit_test(a_synced_name_may_have_no_bytes),
        cmocka_unit_test(a_rename_may_leave_both_names_either_or_neither),
        cmocka_unit_test(a_removal_may_be_undone_until_it_is_synced),
        cmocka_unit_test(two_names_of_a_file_are_one_file),
        cmocka_unit_test(names_do_not_depend_on_each_other),
        cmocka_unit_test(folders_come_and_go_like_files),
        cmocka_unit_test(a_renamed_folder_is_in_one_place_at_most),
        cmocka_unit_test(a_failed_sync_is_not_mended_by_the_next),
        cmocka_unit_test(a_new_size_is_synced_with_the_next_sync),
        cmocka_unit_test(a_failed_folder_sync_makes_nothing_durable),
        cmocka_unit_test(an_image_is_of_its_step_whatever_came_later),
        cmocka_unit_test(an_image_is_the_same_for_the_same_seed),
        cmocka_unit_test(what_an_image_holds_is_durable_on_it),
        cmocka_unit_test(images_do_not_see_each_other),
        cmocka_unit_test(a_queued_write_is_durable_when_it_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
