/* SPDX-License-Identifier: Apache-2.0 */
/* What verify says of directories as nodes leave them: sound ones, torn ones, and one with a byte
 * flipped in each block of every file; its verdict is held against that of a start. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "bitcask/hint.h"
#include "support/checkbench.h"
#include "support/cmocka.h"
#include "support/random.h"

#define BLOCK 4096u

static void expect_text(const struct buf *out, const char *wanted)
{
    if (strstr((const char *)out->data, wanted) != NULL)
        return;
    print_error("wanted '%s' in:\n%s\n", wanted, (const char *)out->data);
    fail();
}

static void test_what_a_node_leaves_is_sound(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct simdisk *disk = checkbench_disk(&(struct checkbench_options){
            .seed = 3 + i, .writes = 400, .keys = 150, .tail = 60, .is_stopped = i == 1});
        uint64_t steps = simdisk_steps(disk);
        struct buf out = {0};
        assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_SOUND);
        expect_text(&out, "\nsound\n");
        assert_null(strstr((const char *)out.data, "damage"));
        /* V1 */
        assert_int_equal(simdisk_steps(disk), steps);
        buf_fini(&out);
        simdisk_free(disk);
    }
}

static void test_what_is_no_directory_of_ours_is_refused(void **unused)
{
    (void)unused;
    struct diag diag = {.text = ""};
    struct simdisk *disk = simnode_disk(1);
    assert_int_equal(checkbench_run_on(disk, CHECK_VERIFY, "/data", false, NULL, &diag),
                     CHECK_FAILED);
    assert_non_null(strstr(diag.text, "no data directory"));
    assert_int_equal(checkbench_run_on(disk, CHECK_REPAIR, "/data", false, NULL, &diag),
                     CHECK_FAILED);
    assert_int_equal(checkbench_run_on(disk, CHECK_VERIFY, "/nothing", false, NULL, &diag),
                     CHECK_FAILED);
    struct fs_stat st;
    assert_int_equal(fs_stat(simdisk_fs(disk), "/data/lock", &st), -ENOENT);
    simdisk_free(disk);
}

static void test_a_directory_in_use_is_refused(void **unused)
{
    (void)unused;
    struct diag diag = {.text = ""};
    struct simdisk *disk =
        checkbench_disk(&(struct checkbench_options){.seed = 3, .writes = 40, .keys = 15});
    struct file *lock;
    assert_int_equal(fs_lock(simdisk_fs(disk), "/data/lock", &lock), 0);
    const enum check_verb verbs[] = {CHECK_VERIFY, CHECK_DUMP, CHECK_STATS, CHECK_REPAIR};
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        diag.text[0] = '\0';
        assert_int_equal(checkbench_run_on(disk, verbs[i], "/data", false, NULL, &diag),
                         CHECK_FAILED);
        assert_non_null(strstr(diag.text, "in use: stop the server"));
    }
    file_unref(lock);
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, NULL), CHECK_SOUND);
    simdisk_free(disk);
}

/* After a power loss at any moment a start goes well, and verify says the same. */
static void test_a_torn_end_is_no_damage(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    struct random random = {.state = seed};
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = seed, .writes = 300, .keys = 100, .tail = 100});
    uint64_t steps = simdisk_steps(disk);
    for (unsigned i = 0; i < 150; i++) {
        uint64_t step = steps - random_below(&random, steps * 3 / 4);
        uint64_t image_seed = random_next(&random);
        struct simdisk *image = simdisk_image(disk, step, image_seed);
        struct buf out = {0};
        struct diag diag = {.text = ""};
        int status = checkbench_run_on(image, CHECK_VERIFY, SIMNODE_DIR, false, &out, &diag);
        if (status != CHECK_SOUND) {
            print_error("seed %llu, step %llu, image %llu: %s\n%s\n", (unsigned long long)seed,
                        (unsigned long long)step, (unsigned long long)image_seed, diag.text,
                        (const char *)out.data);
            fail();
        }
        buf_fini(&out);
        simdisk_free(image);
    }
    simdisk_free(disk);
}

/* ---- A flipped byte in each block ---- */

struct flipping {
    struct simdisk *disk;
    struct random random;
    uint64_t digest;
    unsigned flips;
    unsigned found;
    unsigned starts;
};

/* Verify found nothing: then nothing may be wrong. */
static void expect_harmless(struct flipping *flipping, const char *path, uint64_t off)
{
    struct diag diag = {.text = ""};
    uint64_t digest = 0;
    int rc = checkbench_start(flipping->disk, &digest, &diag);
    if (rc == 0 && digest == flipping->digest)
        return;
    print_error("%s, offset %llu: verify finds nothing, the start says '%s'\n", path,
                (unsigned long long)off, diag.text);
    fail();
}

/* Does a line of damage name the file and, of data files, a range with the offset? */
static bool is_named(const struct buf *out, const char *path, uint64_t off)
{
    for (const char *line = (const char *)out->data; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        unsigned long long from;
        unsigned long long to;
        const char *at = strstr(line, path);
        const char *end = strchr(line, '\n');
        if (strncmp(line, "damage: ", 8) != 0 || at == NULL || (end != NULL && at > end))
            continue;
        bool is_record = strstr(path, ".log") != NULL && off >= BLOCK;
        if (!is_record)
            return true;
        if (sscanf(at + strlen(path), ": bytes %llu to %llu", &from, &to) == 2 && from <= off &&
            off < to)
            return true;
    }
    return false;
}

static void flip_one(struct flipping *flipping, const char *path, uint64_t off)
{
    uint8_t mask = (uint8_t)(1 + random_below(&flipping->random, 255));
    assert_true(simdisk_corrupt(flipping->disk, path, off, mask));
    struct buf out = {0};
    struct diag diag = {.text = ""};
    int status = checkbench_run_on(flipping->disk, CHECK_VERIFY, SIMNODE_DIR, false, &out, &diag);
    flipping->flips++;
    if (status == CHECK_SOUND && flipping->starts++ < 40) {
        expect_harmless(flipping, path, off);
    } else if (status == CHECK_DAMAGED) {
        flipping->found++;
        if (!is_named(&out, path, off)) {
            print_error("%s, offset %llu, mask %u:\n%s\n", path, (unsigned long long)off, mask,
                        (const char *)out.data);
            fail();
        }
    } else if (status == CHECK_FAILED && strstr(path, "/manifest") != NULL &&
               strstr(diag.text, "/data/manifest: its format version is") != NULL) {
        flipping->found++; /* what it is by another version cannot be judged */
    } else if (status == CHECK_FAILED) {
        print_error("%s, offset %llu: %s\n", path, (unsigned long long)off, diag.text);
        fail();
    }
    buf_fini(&out);
    assert_true(simdisk_corrupt(flipping->disk, path, off, mask));
}

static void flip_in_file(void *ctx, const char *path, uint64_t size)
{
    struct flipping *flipping = ctx;
    unsigned found = flipping->found;
    for (uint64_t off = 0; off < size; off += BLOCK) {
        uint64_t room = size - off < BLOCK ? size - off : BLOCK;
        flip_one(flipping, path, off + random_below(&flipping->random, room));
    }
    /* All bytes of data files and the manifest hold state. */
    if (strstr(path, "/lock") == NULL && strstr(path, "/log/") == NULL)
        assert_int_equal(flipping->found - found, (size + BLOCK - 1) / BLOCK);
}

static void test_a_flipped_byte_in_any_block_is_found_or_harmless(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    struct flipping flipping = {.random = {.state = seed}};
    flipping.disk = checkbench_disk(
        &(struct checkbench_options){.seed = 11, .writes = 260, .keys = 90, .tail = 40});
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_start(flipping.disk, &flipping.digest, &diag), 0);
    checkbench_each_file(flipping.disk, flip_in_file, &flipping);
    print_message("%u flips, %u found\n", flipping.flips, flipping.found);
    assert_true(flipping.found > 20);
    simdisk_free(flipping.disk);
}

/* ---- By name ---- */

static void damage(struct simdisk *disk, const char *path, uint64_t off)
{
    assert_true(simdisk_corrupt(disk, path, off, 0x40));
}

static void test_all_damage_is_told_with_its_keys(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = 4, .writes = 60, .is_stopped = true, .shards = 1});
    const char *path = "/data/data/shard_0/00001.log";
    checkbench_write_hint(disk, "/data/data/shard_0", 1);
    struct buf dump = {0};
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_run_on(disk, CHECK_DUMP, path, false, &dump, &diag), CHECK_SOUND);
    /* The last byte of the values of two keys. */
    for (unsigned key = 5; key <= 20; key += 15) {
        char wanted[32];
        unsigned long long off;
        unsigned long long size;
        snprintf(wanted, sizeof(wanted), "key=\"k%u\"", key);
        char *at = strstr((char *)dump.data, wanted);
        assert_non_null(at);
        while (at[-1] != '\n')
            at--;
        assert_int_equal(sscanf(at, "record off=%llu size=%llu", &off, &size), 2);
        damage(disk, path, off + size - 1);
    }
    /* For sure by the hint, as a guess without one. */
    struct buf out = {0};
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_DAMAGED);
    expect_text(&out, "by its hint, there stood");
    expect_text(&out, " the value of \"k5\", database id 0");
    expect_text(&out, " the value of \"k20\", database id 0");
    assert_null(strstr((const char *)out.data, "perhaps"));
    buf_fini(&out);
    assert_int_equal(fs_unlink(simdisk_fs(disk), "/data/data/shard_0/00001.hint"), 0);
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_DAMAGED);
    expect_text(&out, "perhaps the value of \"k5\", database id 0");
    expect_text(&out, "perhaps the value of \"k20\", database id 0");
    expect_text(&out, "2 findings of damage");
    buf_fini(&out);
    buf_fini(&dump);
    simdisk_free(disk);
}

static void test_files_that_are_missing_short_or_left_over(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = 4, .writes = 400, .keys = 200, .is_stopped = true});
    struct fs *fs = simdisk_fs(disk);
    struct file *file;
    assert_int_equal(fs_unlink(fs, "/data/data/shard_0/00001.log"), 0);
    assert_int_equal(fs_open(fs, "/data/data/shard_1/00001.log", FS_WRITE, &file), 0);
    assert_int_equal(file_truncate(file, 8192), 0);
    file_unref(file);
    assert_int_equal(fs_open(fs, "/data/data/shard_1/00099.log", FS_WRITE | FS_CREATE, &file), 0);
    file_unref(file);
    assert_int_equal(fs_open(fs, "/data/data/shard_1/notes", FS_WRITE | FS_CREATE, &file), 0);
    file_unref(file);
    struct buf out = {0};
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_DAMAGED);
    expect_text(&out, "damage: /data/data/shard_0/00001.log: missing, but the manifest names it");
    expect_text(&out, "damage: /data/data/shard_1/00001.log: ends at offset 8192, the manifest");
    expect_text(&out, "note: /data/data/shard_1/00099.log: left over");
    expect_text(&out, "note: /data/data/shard_1/notes: no file of Ferric's");
    buf_fini(&out);
    assert_int_equal(fs_unlink(fs, "/data/manifest"), 0);
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_DAMAGED);
    expect_text(&out, "/data/manifest: missing, though there are data files");
    expect_text(&out, "no repair can make one: restore the directory from a backup");
    assert_null(strstr((const char *)out.data, "ferric-check repair"));
    buf_fini(&out);
    simdisk_free(disk);
}

/* ---- Hints ---- */

#define SHARD "/data/data/shard_0"

static struct datafile_header header_of(struct simdisk *disk, const char *path)
{
    struct file *file;
    uint8_t block[DATAFILE_HEADER_SIZE];
    struct datafile_header header;
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_READ, &file), 0);
    assert_int_equal(file_read_full(file, block, sizeof(block), 0), 0);
    assert_int_equal(datafile_header_decode(slice_of(block, sizeof(block)), &header), 0);
    file_unref(file);
    return header;
}

/* A hint that is whole and of the very file, and was made from other records. */
static void plant_hint(struct simdisk *disk, unsigned records)
{
    struct fs *fs = simdisk_fs(disk);
    const struct datafile_header header = header_of(disk, SHARD "/00001.log");
    struct buf bytes = {0};
    struct file *file;
    size_t done;
    datafile_header_encode(&header, &bytes);
    for (unsigned i = 0; i < records; i++) {
        const struct record record = {
            .kind = RECORD_PUT, .type = 1, .position = 2 << 16, .key = SLICE_LIT("planted")};
        record_encode(&record, (struct record_place){.uid = header.uid, .off = bytes.len}, &bytes);
    }
    const struct record pad = {.kind = RECORD_PAD, .pad_size = record_pad_size(bytes.len)};
    if (pad.pad_size > 0)
        record_encode(&pad, (struct record_place){.uid = header.uid, .off = bytes.len}, &bytes);
    assert_int_equal(fs_mkdir(fs, "/x"), 0);
    assert_int_equal(fs_open(fs, "/x/00001.log", FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_write_full(file, bytes.data, bytes.len, 0, &done), 0);
    file_unref(file);
    struct datafile *df = datafile_new("/x", &header);
    struct diag diag = {.text = ""};
    assert_int_equal(datafile_open(df, fs, FS_READ, &diag), 0);
    assert_int_equal(hint_write(fs, df, bytes.len, &diag), 0);
    assert_int_equal(fs_rename(fs, "/x/00001.hint", SHARD "/00001.hint"), 0);
    datafile_unref(df);
    buf_fini(&bytes);
}

static void test_a_hint_must_say_what_the_file_does(void **unused)
{
    (void)unused;
    for (unsigned records = 0; records < 2; records++) {
        struct simdisk *disk = checkbench_disk(
            &(struct checkbench_options){.seed = 4, .writes = 60, .is_stopped = true, .shards = 1});
        struct buf out = {0};
        plant_hint(disk, records);
        /* One that covers no record lacks none. */
        int wanted = records == 0 ? CHECK_SOUND : CHECK_DAMAGED;
        assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), wanted);
        if (records > 0) {
            expect_text(&out, "its hint says of offset 4096 what is not there");
            expect_text(&out, "it tells the value of \"planted\"");
            expect_text(&out, "records that it should have");
            out.len = 0;
            assert_int_equal(checkbench_run(disk, CHECK_REPAIR, &out), CHECK_SOUND);
            struct fs_stat st;
            assert_int_equal(fs_stat(simdisk_fs(disk), SHARD "/00001.hint", &st), -ENOENT);
            assert_int_equal(
                fs_stat(simdisk_fs(disk), "/data/quarantine/1/data-shard_0-00001.hint", &st), 0);
            assert_int_equal(checkbench_run(disk, CHECK_VERIFY, NULL), CHECK_SOUND);
        }
        buf_fini(&out);
        simdisk_free(disk);
    }
}

static void test_a_lost_file_is_told_by_its_hint(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = 4, .writes = 60, .is_stopped = true, .shards = 1});
    struct buf out = {0};
    checkbench_write_hint(disk, SHARD, 1);
    assert_int_equal(fs_unlink(simdisk_fs(disk), SHARD "/00001.log"), 0);
    assert_int_equal(checkbench_run(disk, CHECK_VERIFY, &out), CHECK_DAMAGED);
    expect_text(&out, "missing, but the manifest names it");
    expect_text(&out, " the value of \"k59\", database id 0");
    buf_fini(&out);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_node_leaves_is_sound),
        cmocka_unit_test(test_what_is_no_directory_of_ours_is_refused),
        cmocka_unit_test(test_a_directory_in_use_is_refused),
        cmocka_unit_test(test_a_torn_end_is_no_damage),
        cmocka_unit_test(test_a_flipped_byte_in_any_block_is_found_or_harmless),
        cmocka_unit_test(test_all_damage_is_told_with_its_keys),
        cmocka_unit_test(test_files_that_are_missing_short_or_left_over),
        cmocka_unit_test(test_a_hint_must_say_what_the_file_does),
        cmocka_unit_test(test_a_lost_file_is_told_by_its_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
