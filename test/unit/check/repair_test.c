/* SPDX-License-Identifier: Apache-2.0 */
/* What repair makes of a damaged directory: one that a start takes, with all that was sound; the
 * rest in the quarantine; and that after a power loss at any step, too. */
#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "support/checkbench.h"
#include "support/cmocka.h"
#include "support/random.h"

#define KEYS 120

static void expect_text(const struct buf *out, const char *wanted)
{
    if (strstr((const char *)out->data, wanted) != NULL)
        return;
    print_error("wanted '%s' in:\n%s\n", wanted, (const char *)out->data);
    fail();
}

/* ---- Damage ---- */

static void flip(struct simdisk *disk, const char *path, uint64_t off)
{
    assert_true(simdisk_corrupt(disk, path, off, 0x21));
}

static void truncate_to(struct simdisk *disk, const char *path, uint64_t size)
{
    struct file *file;
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_WRITE, &file), 0);
    assert_int_equal(file_truncate(file, size), 0);
    assert_int_equal(file_sync(file), 0);
    file_unref(file);
}

static void remove_file(struct simdisk *disk, const char *path, const char *dir)
{
    assert_int_equal(fs_unlink(simdisk_fs(disk), path), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), dir), 0);
}

#define LOG "/data/log"

/* A file that the manifest names. */
struct named {
    unsigned shard;
    unsigned id;
    unsigned long long length;
    char path[64];
};

/* The nth largest one of them all. */
static struct named find_named(struct simdisk *disk, unsigned nth)
{
    struct named files[32];
    unsigned count = 0;
    struct buf dump = {0};
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_run_on(disk, CHECK_DUMP, "/data/manifest", false, &dump, &diag),
                     CHECK_SOUND);
    for (const char *line = (const char *)dump.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        struct named file;
        if (sscanf(line, "named shard=%u id=%u uid=%*s length=%llu", &file.shard, &file.id,
                   &file.length) != 3)
            continue;
        snprintf(file.path, sizeof(file.path), "/data/data/shard_%u/%05u.log", file.shard, file.id);
        unsigned at = count++;
        assert_true(count < ARRAY_COUNT(files));
        for (; at > 0 && files[at - 1].length < file.length; at--)
            files[at] = files[at - 1];
        files[at] = file;
    }
    buf_fini(&dump);
    assert_true(nth < count);
    return files[nth];
}

static void damage_a_record(struct simdisk *disk)
{
    flip(disk, find_named(disk, 0).path, 4096 + 9000);
}
static void damage_two_files(struct simdisk *disk)
{
    struct named first = find_named(disk, 0);
    struct named second = find_named(disk, 1);
    flip(disk, first.path, 4096 + 5000);
    flip(disk, first.path, first.length - 4096 - 5000);
    flip(disk, second.path, 4096 + 100);
    flip(disk, second.path, second.length / 2);
}
static void damage_a_header(struct simdisk *disk)
{
    flip(disk, find_named(disk, 0).path, 20);
}
static void damage_a_length(struct simdisk *disk)
{
    truncate_to(disk, find_named(disk, 0).path, 10000);
}
static void lose_a_file(struct simdisk *disk)
{
    struct named file = find_named(disk, 1);
    char dir[64];
    snprintf(dir, sizeof(dir), "/data/data/shard_%u", file.shard);
    remove_file(disk, file.path, dir);
}
static void damage_a_whole_file(struct simdisk *disk)
{
    truncate_to(disk, find_named(disk, 0).path, 0);
}
/* Of a hint that is made first, whether there was one or not. */
static void damage_a_hint(struct simdisk *disk)
{
    struct named named = find_named(disk, 0);
    char dir[64];
    snprintf(dir, sizeof(dir), "/data/data/shard_%u", named.shard);
    /* The file may be longer than the manifest says, where nobody looks. */
    truncate_to(disk, named.path, named.length);
    checkbench_write_hint(disk, dir, named.id);
    char *path = datafile_path(dir, named.id, HINT_SUFFIX);
    flip(disk, path, 90);
    mem_free(path);
}
static void lose_the_log(struct simdisk *disk)
{
    struct fs *fs = simdisk_fs(disk);
    for (int i = 1; i < 30; i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%020d.seg", LOG, i);
        int rc = fs_unlink(fs, path);
        assert_true(rc == 0 || rc == -ENOENT);
    }
    assert_int_equal(fs_sync_dir(fs, LOG), 0);
}

/* The frame of the nth entry that is replayed, or, below 0, that the checkpoint covers: -1 is its
 * own. Its segment and offset. */
static uint64_t find_entry(struct simdisk *disk, int nth, char *out_path, size_t size)
{
    struct buf dump = {0};
    struct diag diag = {.text = ""};
    long long checkpoint = 0;
    assert_int_not_equal(checkbench_run_on(disk, CHECK_DUMP, "/data", false, &dump, &diag),
                         CHECK_FAILED);
    const char *text = (const char *)dump.data;
    assert_int_equal(sscanf(strstr(text, " index="), " index=%lld", &checkpoint), 1);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        unsigned long long off;
        long long first;
        char file[100];
        if (sscanf(line, "file path=%99s", file) == 1)
            snprintf(out_path, size, "/data/%s", file);
        const char *index = strstr(line, "first_index=");
        if (sscanf(line, "frame off=%llu", &off) == 1 && strstr(line, "type=entries") != NULL &&
            index < strchr(line, '\n') && sscanf(index, "first_index=%lld", &first) == 1 &&
            first > checkpoint + nth) {
            buf_fini(&dump);
            return off;
        }
    }
    fail();
    return 0;
}

static void damage_an_entry(struct simdisk *disk, int nth)
{
    char path[128];
    uint64_t off = find_entry(disk, nth, path, sizeof(path));
    flip(disk, path, off + 70);
}
static void damage_the_first_entry(struct simdisk *disk)
{
    damage_an_entry(disk, 0);
}
static void damage_a_later_entry(struct simdisk *disk)
{
    damage_an_entry(disk, 2);
}
static void damage_a_segments_header(struct simdisk *disk)
{
    char path[128];
    find_entry(disk, 0, path, sizeof(path));
    flip(disk, path, 33);
}
static void damage_a_segments_size(struct simdisk *disk)
{
    char path[128];
    find_entry(disk, 0, path, sizeof(path));
    truncate_to(disk, path, 50 * 4096);
}
static void damage_a_padding(struct simdisk *disk)
{
    char path[128];
    uint64_t off = find_entry(disk, 1, path, sizeof(path));
    flip(disk, path, off - 1);
}
/* A size that no segment has. */
static void damage_a_segments_end(struct simdisk *disk)
{
    char path[128];
    find_entry(disk, 0, path, sizeof(path));
    truncate_to(disk, path, (256 << 10) + 100);
}
static void damage_the_checkpoints_entry(struct simdisk *disk)
{
    damage_an_entry(disk, -1);
}
static void damage_covered_entries(struct simdisk *disk)
{
    damage_an_entry(disk, -4);
    damage_an_entry(disk, -2);
}
static void damage_both_sides(struct simdisk *disk)
{
    damage_an_entry(disk, -1);
    damage_an_entry(disk, 0);
}
static void damage_covered_and_later(struct simdisk *disk)
{
    damage_an_entry(disk, -2);
    damage_an_entry(disk, 2);
}
/* The frame with which the segment of the first entry begins. */
static void damage_an_open(struct simdisk *disk)
{
    char path[128];
    find_entry(disk, 0, path, sizeof(path));
    flip(disk, path, 4096 + 70);
}
static void damage_a_segments_front(struct simdisk *disk)
{
    damage_a_segments_header(disk);
    damage_an_open(disk);
    damage_the_checkpoints_entry(disk);
}
static void damage_everything(struct simdisk *disk)
{
    damage_an_entry(disk, 1);
    damage_two_files(disk);
}

static const struct damage {
    const char *name;
    void (*make)(struct simdisk *disk);
    unsigned lost_keys; /* may be lost, or older, of KEYS, at most */
} damages[] = {
    {"a record", damage_a_record, 1},
    {"two files", damage_two_files, 4},
    {"a header", damage_a_header, 0},
    {"a length", damage_a_length, KEYS},
    {"a file is gone", lose_a_file, KEYS},
    {"a file is empty", damage_a_whole_file, KEYS},
    {"a segment's header", damage_a_segments_header, 0},
    {"a padding", damage_a_padding, 0},
    {"a hint", damage_a_hint, 0},
    {"a segment's size", damage_a_segments_size, 0},
    {"a segment's end", damage_a_segments_end, 0},
    {"the checkpoint's entry", damage_the_checkpoints_entry, 0},
    {"covered entries", damage_covered_entries, 0},
    {"a segment's first frame", damage_an_open, 0},
    {"a segment's front", damage_a_segments_front, 0},
    {"both sides of the checkpoint", damage_both_sides, KEYS},
    {"a covered entry and a later one", damage_covered_and_later, KEYS},
    {"the log is gone", lose_the_log, KEYS},
    {"the first entry", damage_the_first_entry, KEYS},
    {"a later entry", damage_a_later_entry, KEYS},
    {"everything", damage_everything, KEYS},
};

/* ---- One repair ---- */

static struct simdisk *make_disk(void)
{
    return checkbench_disk(&(struct checkbench_options){
        .seed = 21, .writes = 420, .keys = KEYS, .tail = 60, .file_size = 32 << 10});
}

/* How many keys are not as they were. */
static unsigned differing(const struct checkbench_state *a, const struct checkbench_state *b)
{
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        bool is_same = a->values[i] == NULL || b->values[i] == NULL
                           ? a->values[i] == b->values[i]
                           : strcmp(a->values[i], b->values[i]) == 0;
        count += !is_same;
    }
    return count;
}

static void expect_repaired(struct simdisk *disk, const struct checkbench_state *before,
                            const struct damage *damage)
{
    struct buf out = {0};
    struct diag diag = {.text = ""};
    int status = checkbench_run_on(disk, CHECK_VERIFY, SIMNODE_DIR, false, &out, &diag);
    struct checkbench_state after;
    int rc = status == CHECK_SOUND ? checkbench_read(disk, KEYS, &after, &diag) : -1;
    if (rc != 0) {
        print_error("%s: status %d, %s\n%s\n", damage->name, status, diag.text,
                    (const char *)out.data);
        fail();
    }
    unsigned lost = differing(before, &after);
    if (lost > damage->lost_keys) {
        print_error("%s: %u keys differ\n", damage->name, lost);
        fail();
    }
    buf_fini(&out);
    checkbench_state_fini(&after);
}

static void test_every_damage_can_be_repaired(void **unused)
{
    (void)unused;
    struct simdisk *sound = make_disk();
    struct checkbench_state before;
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_read(sound, KEYS, &before, &diag), 0);
    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        struct simdisk *disk = simdisk_image_all(sound, simdisk_steps(sound));
        damages[i].make(disk);
        struct buf out = {0};
        if (checkbench_run(disk, CHECK_VERIFY, &out) != CHECK_DAMAGED) {
            print_error("%s: not found\n", damages[i].name);
            fail();
        }
        out.len = 0;
        int status = checkbench_run(disk, CHECK_REPAIR, &out);
        if (status != CHECK_SOUND) {
            print_error("%s:\n%s\n", damages[i].name, (const char *)out.data);
            fail();
        }
        expect_text(&out, "repaired: the server starts on what is there now");
        if (damages[i].lost_keys == 0)
            assert_null(strstr((const char *)out.data, "LOST: "));
        buf_fini(&out);
        expect_repaired(disk, &before, &damages[i]);
        /* Nothing is left to do. */
        assert_int_equal(checkbench_run(disk, CHECK_REPAIR, &out), CHECK_SOUND);
        expect_text(&out, "sound: nothing is changed");
        buf_fini(&out);
        simdisk_free(disk);
    }
    checkbench_state_fini(&before);
    simdisk_free(sound);
}

/* ---- Killed at every step ---- */

struct kept {
    char path[100];
    uint64_t hash;
    uint64_t size;
};

struct kept_files {
    struct simdisk *disk;
    struct kept files[64];
    unsigned count;
    bool has[64];
    uint64_t digest; /* of what a start finds when the repair has finished */
};

static uint64_t hash_file(struct simdisk *disk, const char *path, uint64_t size)
{
    struct file *file;
    uint8_t *bytes = mem_alloc(size + 1);
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_READ, &file), 0);
    assert_int_equal(file_read_full(file, bytes, size, 0), 0);
    uint64_t hash = hash_check(slice_of(bytes, size));
    mem_free(bytes);
    file_unref(file);
    return hash;
}

static void note_file(void *ctx, const char *path, uint64_t size)
{
    struct kept_files *kept = ctx;
    if (strstr(path, "/data/log/") == NULL && strstr(path, "/shard_") == NULL)
        return;
    assert_true(kept->count < ARRAY_COUNT(kept->files));
    struct kept *file = &kept->files[kept->count++];
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->size = size;
    file->hash = hash_file(kept->disk, path, size);
}

struct search {
    struct kept_files *kept;
    struct simdisk *disk;
    char folder[100];
};

static int on_kept_name(void *ctx, const char *name)
{
    struct search *search = ctx;
    char path[160];
    struct fs_stat st;
    snprintf(path, sizeof(path), "%s/%s", search->folder, name);
    assert_int_equal(fs_stat(simdisk_fs(search->disk), path, &st), 0);
    if (st.is_dir)
        return 0;
    uint64_t hash = hash_file(search->disk, path, st.size);
    for (unsigned i = 0; i < search->kept->count; i++) {
        const struct kept *file = &search->kept->files[i];
        if (file->hash == hash && file->size == st.size)
            search->kept->has[i] = true;
    }
    return 0;
}

static void note_found(void *ctx, const char *path, uint64_t size)
{
    struct search *search = ctx;
    uint64_t hash = hash_file(search->disk, path, size);
    for (unsigned i = 0; i < search->kept->count; i++) {
        const struct kept *file = &search->kept->files[i];
        if (file->hash == hash && file->size == size)
            search->kept->has[i] = true;
    }
}

/* V3: every file of before is there with all its bytes, under its name or in a quarantine. */
static void expect_all_kept(struct kept_files *kept, struct simdisk *disk, const char *what,
                            uint64_t step)
{
    struct search search = {.kept = kept, .disk = disk};
    memset(kept->has, 0, sizeof(kept->has));
    checkbench_each_file(disk, note_found, &search);
    for (unsigned nth = 1; nth < 4; nth++) {
        snprintf(search.folder, sizeof(search.folder), "/data/quarantine/%u", nth);
        int rc = fs_list(simdisk_fs(disk), search.folder, on_kept_name, &search);
        assert_true(rc == 0 || rc == -ENOENT);
    }
    for (unsigned i = 0; i < kept->count; i++) {
        if (kept->has[i])
            continue;
        print_error("%s, step %llu: %s is gone\n", what, (unsigned long long)step,
                    kept->files[i].path);
        fail();
    }
}

/* V7 */
static void expect_refused_or_finished(struct simdisk *disk, uint64_t wanted, const char *what,
                                       uint64_t step)
{
    struct diag diag = {.text = ""};
    uint64_t digest = 0;
    bool is_sound = checkbench_run(disk, CHECK_VERIFY, NULL) == CHECK_SOUND;
    if (!is_sound || (checkbench_start(disk, &digest, &diag) == 0 && digest == wanted))
        return;
    print_error("%s, step %llu: sound, but the start says '%s', digest %d\n", what,
                (unsigned long long)step, diag.text, digest == wanted);
    fail();
}

static void kill_at(const struct damage *damage, struct simdisk *disk, uint64_t step, uint64_t seed,
                    struct kept_files *kept, const struct checkbench_state *before)
{
    struct simdisk *image = simdisk_image(disk, step, seed);
    struct buf out = {0};
    expect_all_kept(kept, image, damage->name, step);
    expect_refused_or_finished(image, kept->digest, damage->name, step);
    int status = checkbench_run(image, CHECK_REPAIR, &out);
    if (status != CHECK_SOUND) {
        print_error("%s, step %llu (%s %s), seed %llu:\n%s\n", damage->name,
                    (unsigned long long)step, simdisk_step_name(disk, step),
                    simdisk_step_path(disk, step), (unsigned long long)seed,
                    (const char *)out.data);
        fail();
    }
    buf_fini(&out);
    expect_repaired(image, before, damage);
    expect_all_kept(kept, image, damage->name, step);
    simdisk_free(image);
}

static void test_a_repair_may_be_killed_at_any_step(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    struct random random = {.state = seed};
    struct simdisk *sound = make_disk();
    struct checkbench_state before;
    struct diag diag = {.text = ""};
    unsigned kills = 0;
    assert_int_equal(checkbench_read(sound, KEYS, &before, &diag), 0);
    for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
        struct simdisk *disk = simdisk_image_all(sound, simdisk_steps(sound));
        damages[i].make(disk);
        struct kept_files kept = {.disk = disk};
        checkbench_each_file(disk, note_file, &kept);
        uint64_t from = simdisk_steps(disk);
        assert_int_equal(checkbench_run(disk, CHECK_REPAIR, NULL), CHECK_SOUND);
        assert_int_equal(checkbench_start(disk, &kept.digest, &diag), 0);
        for (uint64_t step = from; step <= simdisk_steps(disk); step++, kills++)
            kill_at(&damages[i], disk, step, random_next(&random), &kept, &before);
        simdisk_free(disk);
    }
    print_message("%u kills\n", kills);
    checkbench_state_fini(&before);
    simdisk_free(sound);
}

/* ---- Faults ---- */

/* A repair that fails leaves what another one repairs. */
static void test_a_repair_that_fails_can_be_repeated(void **unused)
{
    (void)unused;
    struct simdisk *sound = make_disk();
    struct checkbench_state before;
    struct diag diag = {.text = ""};
    const struct damage *damage = &damages[ARRAY_COUNT(damages) - 1];
    const unsigned ops =
        SIM_OPEN | SIM_WRITE | SIM_SYNC | SIM_RENAME | SIM_SYNC_DIR | SIM_UNLINK | SIM_MKDIR;
    assert_int_equal(checkbench_read(sound, KEYS, &before, &diag), 0);
    bool has_fired = true;
    for (uint64_t nth = 1; has_fired; nth++) {
        struct simdisk *disk = simdisk_image_all(sound, simdisk_steps(sound));
        damage->make(disk);
        struct kept_files kept = {.disk = disk};
        checkbench_each_file(disk, note_file, &kept);
        simdisk_fail_nth(disk, ops, NULL, nth, -ENOSPC);
        int status = checkbench_run_on(disk, CHECK_REPAIR, SIMNODE_DIR, false, NULL, &diag);
        has_fired = simdisk_fault_fired(disk);
        if (!has_fired) { /* it waits for an operation of the test's own */
            assert_int_equal(status, CHECK_SOUND);
            simdisk_free(disk);
            break;
        }
        expect_all_kept(&kept, disk, "fault", nth);
        if (status == CHECK_FAILED)
            assert_int_equal(checkbench_run(disk, CHECK_REPAIR, NULL), CHECK_SOUND);
        expect_repaired(disk, &before, damage);
        simdisk_free(disk);
    }
    checkbench_state_fini(&before);
    simdisk_free(sound);
}

/* ---- What it refuses ---- */

static void test_a_manifest_cannot_be_repaired(void **unused)
{
    (void)unused;
    struct simdisk *disk = make_disk();
    flip(disk, "/data/manifest", 60);
    uint64_t steps = simdisk_steps(disk);
    struct buf out = {0};
    assert_int_equal(checkbench_run(disk, CHECK_REPAIR, &out), CHECK_DAMAGED);
    expect_text(&out, "restore the directory from a backup");
    expect_text(&out, "nothing is changed");
    assert_int_equal(simdisk_steps(disk), steps);
    buf_fini(&out);
    simdisk_free(disk);
}

/* The last segment in use; how many are in use from the one with the first entry that is replayed
 * on. */
static unsigned find_last_segment(struct simdisk *disk, char *out_path, size_t size)
{
    char first[128];
    struct buf dump = {0};
    struct diag diag = {.text = ""};
    char file[100] = "";
    unsigned count = 0;
    find_entry(disk, 0, first, sizeof(first));
    assert_int_not_equal(checkbench_run_on(disk, CHECK_DUMP, "/data", false, &dump, &diag),
                         CHECK_FAILED);
    for (const char *line = (const char *)dump.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        bool is_open = strncmp(line, "frame off=4096 ", 15) == 0;
        sscanf(line, "file path=%99s", file);
        if (!is_open || strncmp(file, "log/", 4) != 0)
            continue;
        snprintf(out_path, size, "/data/%s", file);
        count += strcmp(out_path, first) >= 0;
    }
    buf_fini(&dump);
    return count;
}

/* A later segment whose frames are all there, in a file that has lost some of its end. */
static void test_a_later_segment_gets_its_size_again(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(&(struct checkbench_options){
        .seed = 22, .writes = 920, .keys = KEYS, .tail = 500, .file_size = 32 << 10});
    struct checkbench_state before;
    struct diag diag = {.text = ""};
    struct fs_stat st;
    char path[128];
    struct buf out = {0};
    assert_int_equal(checkbench_read(disk, KEYS, &before, &diag), 0);
    assert_true(find_last_segment(disk, path, sizeof(path)) > 1);
    assert_int_equal(fs_stat(simdisk_fs(disk), path, &st), 0);
    truncate_to(disk, path, st.size - 4096);
    assert_int_equal(checkbench_run(disk, CHECK_REPAIR, &out), CHECK_SOUND);
    expect_text(&out, "it has its size again");
    assert_null(strstr((const char *)out.data, "LOST: "));
    expect_repaired(disk, &before, &(struct damage){.name = "a later segment's size"});
    buf_fini(&out);
    checkbench_state_fini(&before);
    simdisk_free(disk);
}

static void expect_told(void (*damage)(struct simdisk *disk), const char *first, const char *second)
{
    struct simdisk *disk = make_disk();
    damage(disk);
    struct buf out = {0};
    assert_int_equal(checkbench_run(disk, CHECK_REPAIR, &out), CHECK_SOUND);
    expect_text(&out, first);
    expect_text(&out, second);
    buf_fini(&out);
    simdisk_free(disk);
}

static void test_lost_entries_are_told(void **unused)
{
    (void)unused;
    expect_told(damage_a_later_entry, "LOST: log entries ", ": cut at offset ");
    /* The checkpoint is at 25, and the log's last entry is 30. */
    expect_told(damage_both_sides, "LOST: log entries 26 to 30", "the log begins anew in segment ");
    expect_told(damage_covered_and_later, "LOST: log entries 28 to 30",
                "begins with entry 26 now; the checkpoint has all before it");
    expect_told(damage_covered_entries, "begins with entry 26 now",
                "the log now ends with entry 30");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_damage_can_be_repaired),
        cmocka_unit_test(test_a_repair_may_be_killed_at_any_step),
        cmocka_unit_test(test_a_repair_that_fails_can_be_repeated),
        cmocka_unit_test(test_a_manifest_cannot_be_repaired),
        cmocka_unit_test(test_lost_entries_are_told),
        cmocka_unit_test(test_a_later_segment_gets_its_size_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
