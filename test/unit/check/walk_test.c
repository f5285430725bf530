/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a data file: every record that is sound is found, wherever damage lies. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "bitcask/datafile.h"
#include "check/walk.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/simdisk.h"

#define PATH "/f"
#define UID  UINT64_C(0x1234567890)

struct rig {
    struct simdisk *disk;
    struct random random;
    uint64_t offs[2000]; /* where records begin, the end behind them */
    unsigned count;
    bool is_hit[2000];
};

/* Values are zeros, noise, or bytes that look like headers. */
static void fill_value(struct random *random, uint8_t *at, size_t size, const struct buf *like)
{
    unsigned how = (unsigned)random_below(random, 3);
    for (size_t i = 0; i < size; i++)
        at[i] = how == 0   ? 0
                : how == 1 ? (uint8_t)random_next(random)
                           : like->data[i % (like->len < 48 ? like->len : 48)];
}

static void make_file(struct rig *rig, unsigned count)
{
    struct buf bytes = {0};
    struct buf like = {0};
    memset(buf_extend(&like, 48), 1, 48);
    datafile_header_encode(&(struct datafile_header){.shard = 0, .id = 1, .uid = UID}, &bytes);
    for (unsigned i = 0; i < count; i++) {
        uint8_t value[9000];
        char key[20];
        size_t size = random_below(&rig->random, random_below(&rig->random, 8) == 0 ? 9000 : 90);
        fill_value(&rig->random, value, size, &like);
        snprintf(key, sizeof(key), "key%u", i);
        const struct record record = {.kind = RECORD_PUT,
                                      .type = 1,
                                      .position = (uint64_t)(i + 1) << 16,
                                      .key = slice_str(key),
                                      .value = slice_of(value, size)};
        rig->offs[i] = bytes.len;
        record_encode(&record, (struct record_place){.uid = UID, .off = bytes.len}, &bytes);
        like.len = 0;
        buf_append(&like, bytes.data + rig->offs[i], bytes.len - rig->offs[i]);
    }
    rig->offs[count] = bytes.len;
    rig->count = count;
    struct file *file;
    size_t done;
    assert_int_equal(fs_open(simdisk_fs(rig->disk), PATH, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_write_full(file, bytes.data, bytes.len, 0, &done), 0);
    file_unref(file);
    buf_fini(&bytes);
    buf_fini(&like);
}

/* Everything but what was hit is found, and the ranges of damage are exactly those. */
static void walk_all(struct rig *rig)
{
    struct file *file;
    struct walk walk;
    struct walk_item item;
    struct diag diag = {.text = ""};
    unsigned next = 0;
    assert_int_equal(fs_open(simdisk_fs(rig->disk), PATH, FS_READ, &file), 0);
    walk_init(&walk, file, PATH, UID, rig->offs[rig->count]);
    while (walk_next(&walk, &item, &diag) == 0) {
        assert_int_equal(item.off, rig->offs[next]);
        assert_int_equal(item.is_damage, rig->is_hit[next]);
        if (!item.is_damage) {
            assert_null(item.wrong);
            assert_int_equal(item.record.position >> 16, next + 1);
            assert_int_equal(item.end, rig->offs[next + 1]);
            next++;
            continue;
        }
        while (next < rig->count && rig->is_hit[next])
            next++;
        assert_int_equal(item.end, rig->offs[next]);
    }
    assert_int_equal(next, rig->count);
    walk_fini(&walk);
    file_unref(file);
}

static void rig_init(struct rig *rig, uint64_t seed, unsigned count)
{
    *rig = (struct rig){.disk = simdisk_new(seed), .random = {.state = seed}};
    make_file(rig, count);
}

static void test_all_sound_records_are_found(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    for (unsigned round = 0; round < 60; round++) {
        struct rig rig;
        rig_init(&rig, seed + round, 200);
        unsigned hits = (unsigned)random_below(&rig.random, 12);
        for (unsigned i = 0; i < hits; i++) {
            unsigned nth = (unsigned)random_below(&rig.random, rig.count);
            uint64_t size = rig.offs[nth + 1] - rig.offs[nth];
            if (rig.is_hit[nth])
                continue; /* two could undo each other */
            rig.is_hit[nth] = true;
            assert_true(simdisk_corrupt(rig.disk, PATH,
                                        rig.offs[nth] + random_below(&rig.random, size),
                                        (uint8_t)(1 + random_below(&rig.random, 255))));
        }
        walk_all(&rig);
        simdisk_free(rig.disk);
    }
}

/* V4: a block that the disk refuses to give takes only what lies in it. */
static void test_a_block_that_cannot_be_read_takes_only_itself(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 9, 150);
    /* The whole is refused, then the fourth block of those that are tried alone. */
    simdisk_fail_nth(rig.disk, SIM_READ, PATH, 1, -EIO);
    simdisk_fail_nth(rig.disk, SIM_READ, PATH, 5, -EIO);
    const uint64_t from = DATAFILE_HEADER_SIZE + 3 * 4096;
    for (unsigned i = 0; i < rig.count; i++)
        rig.is_hit[i] = rig.offs[i] < from + 4096 && rig.offs[i + 1] > from;
    walk_all(&rig);
    simdisk_free(rig.disk);
}

static void test_what_a_start_would_not_take(void **unused)
{
    (void)unused;
    uint16_t ids[] = {0, 4};
    struct manifest manifest = {.index = 9, .database_count = 2, .database_ids = ids};
    const struct walk_rules rules = {.manifest = &manifest};
    struct record record = {.kind = RECORD_PUT, .type = 1, .db_id = 4, .position = 9 << 16};
    assert_null(walk_judge(&rules, &record));
    record.db_id = 1;
    assert_non_null(strstr(walk_judge(&rules, &record), "database"));
    record.db_id = 0;
    record.position = 10 << 16;
    assert_non_null(strstr(walk_judge(&rules, &record), "newer than the checkpoint"));
    record.position = 1 << 16;
    record.type = 63;
    assert_non_null(strstr(walk_judge(&rules, &record), "type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sound_records_are_found),
        cmocka_unit_test(test_a_block_that_cannot_be_read_takes_only_itself),
        cmocka_unit_test(test_what_a_start_would_not_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
