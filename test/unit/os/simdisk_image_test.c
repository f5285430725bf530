/* SPDX-License-Identifier: Apache-2.0 */
/* What a power loss leaves of the simulated disk. Small scenarios list every state that may be
 * found, and each must be found and no other; long random runs are held against a model that knows
 * nothing of the trace: whole copies of all files after every step. */
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

#define BLOCKS 6

struct version {
    uint32_t block;
    uint64_t submitted;
    uint64_t done; /* step, or UINT64_MAX: failed or in flight */
};

struct queue {
    struct simdisk *disk;
    struct aio *aio;
    struct file *file;
    struct simchance chance;
    struct aio_write writes[BLOCKS]; /* one for each block */
    bool is_busy[BLOCKS];
    struct version versions[400]; /* version 0 is none */
    uint64_t version_count;
};

static uint64_t below(struct simchance *chance, uint64_t bound)
{
    return chance_u64(&chance->chance) % bound;
}

static void submit_version(struct queue *queue, uint32_t block)
{
    uint64_t version = queue->version_count++;
    uint64_t *words = (uint64_t *)(uintptr_t)queue->writes[block].data;
    for (size_t i = 0; i < 4096 / 8; i++)
        words[i] = version;
    if (below(&queue->chance, 12) == 0)
        simdisk_fail_nth(queue->disk, SIM_AIO, NULL, 1, below(&queue->chance, 2) == 0 ? 0 : -EIO);
    queue->writes[block].ctx = &queue->versions[version];
    aio_submit(queue->aio, &queue->writes[block]);
    aio_flush(queue->aio);
    queue->is_busy[block] = true;
    queue->versions[version] = (struct version){
        .block = block, .submitted = simdisk_steps(queue->disk), .done = UINT64_MAX};
}

static void release_one(struct queue *queue)
{
    if (!simdisk_release(queue->disk))
        return;
    struct aio_write *write = aio_reap(queue->aio);
    assert_non_null(write);
    struct version *version = write->ctx;
    if (write->result == 0)
        version->done = simdisk_steps(queue->disk);
    queue->is_busy[version->block] = false;
}

/* A sector holds what the last completed write of its block has put there, or a later one that
 * has failed or was not done. */
static void check_sector(const struct queue *queue, uint32_t block, uint64_t step,
                         const uint64_t *words)
{
    uint64_t last_done = 0;
    for (uint64_t v = 1; v < queue->version_count; v++)
        if (queue->versions[v].block == block && queue->versions[v].done <= step)
            last_done = v;
    uint64_t found = words[0];
    for (size_t i = 1; i < SECTOR / 8; i++)
        assert_int_equal(words[i], found);
    if (found == last_done)
        return;
    assert_in_range(found, last_done + 1, queue->version_count - 1);
    assert_int_equal(queue->versions[found].block, block);
    assert_true(queue->versions[found].submitted <= step);
    assert_true(queue->versions[found].done > step);
}

static void check_image(const struct queue *queue, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(queue->disk, step, seed);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(image), "f", FS_READ, &file), 0);
    static uint64_t words[BLOCKS * 4096 / 8];
    memset(words, 0, sizeof(words));
    assert_true(file_pread(file, words, sizeof(words), 0) >= 0);
    for (uint32_t sector = 0; sector < BLOCKS * 8; sector++)
        check_sector(queue, sector / 8, step, words + sector * (SECTOR / 8));
    file_unref(file);
    simdisk_free(image);
}

static void queued_writes_are_lost_only_before_they_complete(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 12; round++) {
        struct queue queue = {.disk = simdisk_new(seed + round), .version_count = 1};
        simchance_init(&queue.chance, seed + round);
        queue.aio = simdisk_aio(queue.disk);
        unsigned flags = FS_WRITE | FS_CREATE | FS_DIRECT;
        assert_int_equal(fs_open(simdisk_fs(queue.disk), "f", flags, &queue.file), 0);
        assert_int_equal(fs_sync_dir(simdisk_fs(queue.disk), ""), 0);
        simdisk_hold(queue.disk, true);
        for (uint32_t i = 0; i < BLOCKS; i++)
            queue.writes[i] = (struct aio_write){.file = queue.file,
                                                 .data = mem_try_alloc_aligned(4096, 4096),
                                                 .size = 4096,
                                                 .off = i * 4096};
        while (queue.version_count < ARRAY_COUNT(queue.versions)) {
            uint32_t block = (uint32_t)below(&queue.chance, BLOCKS);
            if (queue.is_busy[block] || below(&queue.chance, 2) == 0)
                release_one(&queue);
            else
                submit_version(&queue, block);
        }
        for (uint64_t i = 0; i < 150; i++)
            check_image(&queue, 2 + below(&queue.chance, simdisk_steps(queue.disk) - 1), i);
        for (int i = 0; i < BLOCKS; i++)
            release_one(&queue);
        for (int i = 0; i < BLOCKS; i++)
            mem_free((void *)(uintptr_t)queue.writes[i].data);
        aio_close(queue.aio);
        file_unref(queue.file);
        simdisk_free(queue.disk);
    }
}

/* ---- Random bytes, against whole copies ---- */

#define MODEL_END     6144
#define MODEL_SECTORS (MODEL_END / SECTOR)
#define MODEL_STEPS   260

struct copy {
    uint8_t bytes[MODEL_END]; /* zero beyond size */
    uint64_t size;
    uint64_t durable[MODEL_SECTORS]; /* the step of the oldest copy a sector may show */
    uint64_t oldest_size;            /* the step of the oldest size */
};

/* One file, created and durable as a name at `first`. */
struct model {
    struct simdisk *disk;
    struct file *file;
    struct simchance chance;
    uint64_t first;
    struct copy *copies; /* by step */
    bool is_dirty[MODEL_SECTORS];
    bool is_lost[MODEL_SECTORS]; /* dirty when a sync failed, and not written since */
    bool is_size_lost;
};

static void mark_dirty(struct model *model, uint64_t off, uint64_t end)
{
    for (uint64_t s = off / SECTOR; s * SECTOR < end; s++) {
        model->is_dirty[s] = true;
        model->is_lost[s] = false;
    }
}

static void model_write(struct model *model, struct copy *now)
{
    uint64_t off = below(&model->chance, MODEL_END - 1);
    size_t len = (size_t)(1 + below(&model->chance, MODEL_END - off));
    len = below(&model->chance, 3) == 0 ? len : len % 700 + 1;
    len = off + len > MODEL_END ? MODEL_END - off : len;
    uint8_t bytes[MODEL_END];
    memset(bytes, (int)(1 + below(&model->chance, 255)), len);
    assert_int_equal(file_pwrite(model->file, bytes, len, off), len);
    memcpy(now->bytes + off, bytes, len);
    now->size = off + len > now->size ? off + len : now->size;
    mark_dirty(model, off, off + len);
}

static void model_truncate(struct model *model, struct copy *now)
{
    uint64_t size = below(&model->chance, MODEL_END);
    assert_int_equal(file_truncate(model->file, size), 0);
    if (size < now->size) {
        memset(now->bytes + size, 0, MODEL_END - size);
        mark_dirty(model, size, MODEL_END);
        /* The sector of the cut itself may be all that is left of a failed sync's writes. */
    }
    now->size = size;
}

static void model_sync(struct model *model, struct copy *now, uint64_t step)
{
    bool is_bad = below(&model->chance, 5) == 0;
    if (is_bad)
        simdisk_fail_nth(model->disk, SIM_SYNC, NULL, 1, -EIO);
    assert_int_equal(file_sync(model->file), is_bad ? -EIO : 0);
    for (size_t s = 0; s < MODEL_SECTORS; s++) {
        if (is_bad)
            model->is_lost[s] = model->is_lost[s] || model->is_dirty[s];
        else if (!model->is_lost[s])
            now->durable[s] = step;
        model->is_dirty[s] = is_bad && model->is_dirty[s];
    }
    model->is_size_lost = model->is_size_lost || is_bad;
    if (!model->is_size_lost)
        now->oldest_size = step;
}

static void model_step(struct model *model)
{
    uint64_t step = simdisk_steps(model->disk) + 1;
    struct copy *now = &model->copies[step];
    *now = model->copies[step - 1];
    switch (below(&model->chance, 6)) {
    case 0:
        model_truncate(model, now);
        break;
    case 1:
        model_sync(model, now, step);
        break;
    default:
        model_write(model, now);
    }
    assert_int_equal(simdisk_steps(model->disk), step);
}

static bool is_copy(const struct copy *copy, size_t sector, const uint8_t *found, size_t len)
{
    return memcmp(copy->bytes + sector * SECTOR, found, len) == 0;
}

static void check_copy(const struct model *model, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(model->disk, step, seed);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(image), "f", FS_READ, &file), 0);
    uint8_t bytes[MODEL_END + 1];
    ssize_t got = file_pread(file, bytes, sizeof(bytes), 0);
    assert_in_range(got, 0, MODEL_END);
    const struct copy *now = &model->copies[step];
    uint64_t least = now->size;
    uint64_t most = now->size;
    for (uint64_t i = now->oldest_size; i < step; i++) {
        uint64_t size = model->copies[i].size;
        least = size < least ? size : least;
        most = size > most ? size : most;
    }
    assert_in_range(got, least, most);
    for (size_t s = 0; s * SECTOR < (size_t)got; s++) {
        size_t len = (size_t)got - s * SECTOR;
        len = len < SECTOR ? len : SECTOR;
        uint64_t at = now->durable[s];
        while (at <= step && !is_copy(&model->copies[at], s, bytes + s * SECTOR, len))
            at++;
        if (at > step)
            fail_msg("step %" PRIu64 ", image %" PRIu64 ": sector %zu was never so", step, seed, s);
    }
    file_unref(file);
    simdisk_free(image);
}

static void a_sector_never_holds_what_it_never_held(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    struct copy *copies = mem_calloc(MODEL_STEPS + 8, sizeof(*copies));
    for (uint64_t round = 0; round < 40; round++) {
        struct model model = {.disk = simdisk_new(seed + round), .copies = copies};
        simchance_init(&model.chance, seed + round);
        model.file = create(model.disk, "f");
        sync_all(model.disk, model.file);
        model.first = simdisk_steps(model.disk);
        memset(&copies[model.first], 0, sizeof(copies[0]));
        copies[model.first].oldest_size = model.first;
        for (size_t s = 0; s < MODEL_SECTORS; s++)
            copies[model.first].durable[s] = model.first;
        while (simdisk_steps(model.disk) < MODEL_STEPS)
            model_step(&model);
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t span = MODEL_STEPS - model.first + 1;
            check_copy(&model, model.first + below(&model.chance, span), i);
        }
        file_unref(model.file);
        simdisk_free(model.disk);
    }
    mem_free(copies);
}

/* ---- Random names, against lists of what each has been ---- */

#define TREE_NAMES 9
#define TREE_STEPS 300

static const char *const tree_names[TREE_NAMES] = {"a",   "b",   "c",   "d/a", "d/b",
                                                   "d/c", "e/a", "e/b", "e/c"};

struct tree {
    struct simdisk *disk;
    struct simchance chance;
    uint64_t next_id;
    uint64_t ids[TREE_NAMES];                 /* 0: absent */
    uint64_t history[TREE_NAMES][TREE_STEPS]; /* by step */
    uint64_t synced[3][TREE_STEPS];           /* of /, d, e: the step of the last sync */
};

static void tree_create(struct tree *tree, size_t i)
{
    uint64_t id = tree->next_id++;
    uint64_t words[4] = {id, id, id, id};
    struct file *file = create(tree->disk, "spare");
    size_t done = 0;
    assert_int_equal(file_write_full(file, words, sizeof(words), 0, &done), 0);
    assert_int_equal(file_sync(file), 0);
    file_unref(file);
    assert_int_equal(fs_rename(simdisk_fs(tree->disk), "spare", tree_names[i]), 0);
    tree->ids[i] = id;
}

static void tree_change(struct tree *tree)
{
    static const char *const dirs[] = {"/", "d", "e"};
    struct fs *fs = simdisk_fs(tree->disk);
    size_t i = (size_t)below(&tree->chance, TREE_NAMES);
    size_t j = (size_t)below(&tree->chance, TREE_NAMES);
    uint64_t what = below(&tree->chance, 5);
    uint64_t dir = below(&tree->chance, 3);
    uint64_t before = simdisk_steps(tree->disk);
    if (what == 0) {
        tree_create(tree, i);
    } else if (what == 1 && tree->ids[i] != 0) {
        assert_int_equal(fs_unlink(fs, tree_names[i]), 0);
        tree->ids[i] = 0;
    } else if (what == 2 && tree->ids[i] != 0 && tree->ids[i] != tree->ids[j]) {
        assert_int_equal(fs_rename(fs, tree_names[i], tree_names[j]), 0);
        tree->ids[j] = tree->ids[i];
        tree->ids[i] = 0;
    } else if (what == 3 && tree->ids[i] != 0 && tree->ids[j] == 0) {
        assert_int_equal(fs_link(fs, tree_names[i], tree_names[j]), 0);
        tree->ids[j] = tree->ids[i];
    } else if (what == 4) {
        assert_int_equal(fs_sync_dir(fs, dirs[dir]), 0);
    }
    /* All changes of the names that are looked at come with the last of the steps. */
    uint64_t now = simdisk_steps(tree->disk);
    for (uint64_t step = before + 1; step <= now && step < TREE_STEPS; step++) {
        for (size_t n = 0; n < TREE_NAMES; n++)
            tree->history[n][step] = step == now ? tree->ids[n] : tree->history[n][step - 1];
        for (uint64_t d = 0; d < 3; d++)
            tree->synced[d][step] = what == 4 && d == dir ? step : tree->synced[d][step - 1];
    }
}

static uint64_t read_id(struct simdisk *disk, const char *path)
{
    struct file *file = NULL;
    int rc = fs_open(simdisk_fs(disk), path, FS_READ, &file);
    if (rc == -ENOENT)
        return 0;
    assert_int_equal(rc, 0);
    uint64_t words[4];
    assert_int_equal(file_read_full(file, words, sizeof(words), 0), 0);
    assert_true(words[0] != 0 && words[0] == words[3]);
    file_unref(file);
    return words[0];
}

static void check_tree(const struct tree *tree, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(tree->disk, step, seed);
    struct simdisk *synced = simdisk_image_synced(tree->disk, step);
    struct simdisk *all = simdisk_image_all(tree->disk, step);
    for (size_t n = 0; n < TREE_NAMES; n++) {
        uint64_t oldest = tree->synced[n / 3][step];
        uint64_t found = read_id(image, tree_names[n]);
        uint64_t at = oldest;
        while (at <= step && tree->history[n][at] != found)
            at++;
        assert_true(at <= step);
        assert_int_equal(read_id(synced, tree_names[n]), tree->history[n][oldest]);
        assert_int_equal(read_id(all, tree_names[n]), tree->history[n][step]);
    }
    simdisk_free(image);
    simdisk_free(synced);
    simdisk_free(all);
}

static void a_name_is_only_what_it_has_been_since_its_sync(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    struct tree *tree = mem_alloc(sizeof(*tree));
    for (uint64_t round = 0; round < 15; round++) {
        memset(tree, 0, sizeof(*tree));
        tree->disk = simdisk_new(seed + round);
        tree->next_id = 1;
        simchance_init(&tree->chance, seed + round);
        assert_int_equal(fs_mkdir(simdisk_fs(tree->disk), "d"), 0);
        assert_int_equal(fs_mkdir(simdisk_fs(tree->disk), "e"), 0);
        assert_int_equal(fs_sync_dir(simdisk_fs(tree->disk), ""), 0);
        for (uint64_t d = 0; d < 3; d++)
            tree->synced[d][3] = 3;
        while (simdisk_steps(tree->disk) < TREE_STEPS)
            tree_change(tree);
        for (uint64_t i = 0; i < 100; i++)
            check_tree(tree, 3 + below(&tree->chance, TREE_STEPS - 3), i);
        simdisk_free(tree->disk);
    }
    mem_free(tree);
}

/* ---- Size ---- */

/* 20 MB of traffic over many files, thousands of images: in seconds, in any order of steps. */
static void many_images_of_much_traffic_are_cheap(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(sim_seed());
    struct simchance chance;
    simchance_init(&chance, 7);
    uint8_t *bytes = mem_alloc(20000);
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%d", i);
        struct file *file = create(disk, path);
        uint64_t off = 0;
        for (int j = 0; off < 1000000; j++) {
            size_t len = (size_t)(1 + below(&chance, 20000));
            memset(bytes, i * 7 + j, len);
            assert_int_equal(file_pwrite(file, bytes, len, off), len);
            off += len;
            if (j % 4 == 3)
                assert_int_equal(file_sync(file), 0);
        }
        sync_all(disk, file);
        file_unref(file);
    }
    mem_free(bytes);
    uint64_t steps = simdisk_steps(disk);
    for (uint64_t i = 0; i < 2000; i++) {
        struct simdisk *image = simdisk_image(disk, below(&chance, steps) + 1, i);
        struct file *file = create(image, "new");
        put(file, 'x', 4096, 0);
        file_unref(file);
        simdisk_free(image);
    }
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
        cmocka_unit_test(queued_writes_are_lost_only_before_they_complete),
        cmocka_unit_test(a_sector_never_holds_what_it_never_held),
        cmocka_unit_test(a_name_is_only_what_it_has_been_since_its_sync),
        cmocka_unit_test(many_images_of_much_traffic_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
