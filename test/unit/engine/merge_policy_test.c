/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upkeep/merge_policy.h"

#include "support/cmocka.h"

#define MB (UINT64_C(1) << 20)

static const struct merge_settings defaults = {
    .dead_percent = 50,
    .min_dead_bytes = 128 * MB,
    .small_file_bytes = 10 * MB,
    .min_files = 2,
    .max_files = 10,
    .hour_from = 2,
    .hour_to = 4,
    .min_age_ms = 3600000,
};

static struct bitcask_sealed file_of(uint32_t id, uint64_t live, uint64_t dead, uint64_t kept)
{
    return (struct bitcask_sealed){.id = id,
                                   .bytes = live + dead + kept,
                                   .live_bytes = live,
                                   .dead_bytes = dead,
                                   .kept_bytes = kept};
}

static size_t choose(const struct merge_settings *settings, const struct bitcask_sealed *files,
                     size_t count, bool is_asked, uint32_t *ids)
{
    return merge_choose(settings, files, count, 1700000000000, is_asked, ids);
}

static void what_has_no_reason_stays(void **state)
{
    (void)state;
    const struct bitcask_sealed files[] = {file_of(1, 250 * MB, MB, 0),
                                           file_of(2, 150 * MB, 100 * MB, 0),  /* under the least */
                                           file_of(3, 130 * MB, 126 * MB, 0)}; /* under half */
    uint32_t ids[3];
    assert_int_equal(choose(&defaults, files, 3, false, ids), 0);
    assert_int_equal(choose(&defaults, files, 3, true, ids), 2);
    assert_int_equal(ids[0], 3); /* most to win */
    assert_int_equal(ids[1], 2);
}

static void the_deadest_go_first_and_small_ones_with_them(void **state)
{
    (void)state;
    const struct bitcask_sealed files[] = {
        file_of(1, 100 * MB, 130 * MB, 0), file_of(2, 10 * MB, 200 * MB, 0),
        file_of(3, 5 * MB, 0, 0), file_of(4, 250 * MB, 0, 0), file_of(5, 0, 20 * MB, 0)};
    uint32_t ids[5];
    assert_int_equal(choose(&defaults, files, 5, false, ids), 4);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 1);
    assert_int_equal(ids[2], 5); /* nothing lives in it */
    assert_int_equal(ids[3], 3);
    struct merge_settings settings = defaults;
    settings.max_files = 1;
    assert_int_equal(choose(&settings, files, 5, false, ids), 1);
    assert_int_equal(ids[0], 2);
}

static void small_ones_are_joined_but_never_one_alone(void **state)
{
    (void)state;
    const struct bitcask_sealed files[] = {file_of(7, 3 * MB, 0, 0), file_of(9, 2 * MB, 0, 0),
                                           file_of(11, 200 * MB, 0, 0)};
    uint32_t ids[3];
    assert_int_equal(choose(&defaults, files, 1, false, ids), 0);
    assert_int_equal(choose(&defaults, files, 3, false, ids), 2);
    assert_int_equal(ids[0], 9);
    assert_int_equal(ids[1], 7);
    struct merge_settings settings = defaults;
    settings.max_files = 1;
    assert_int_equal(choose(&settings, files, 3, false, ids), 0);
    settings.min_files = 3;
    settings.max_files = 10;
    assert_int_equal(choose(&settings, files, 3, false, ids), 0);
}

/* What must be kept as long as something older lies elsewhere goes when nothing does. */
static void a_choked_shard_is_merged_whole(void **state)
{
    (void)state;
    struct bitcask_sealed files[20];
    for (uint32_t i = 0; i < 20; i++)
        files[i] = file_of(i + 1, 100 * MB, 0, i < 10 ? 150 * MB : 0);
    uint32_t ids[20];
    assert_int_equal(choose(&defaults, files, 20, false, ids), 0);
    for (uint32_t i = 0; i < 20; i++)
        files[i] = file_of(i + 1, 100 * MB, 0, 110 * MB);
    assert_int_equal(choose(&defaults, files, 20, false, ids), 20);
    /* That is what kept_bytes is 0 for: the merge of all has been tried. */
    for (uint32_t i = 0; i < 20; i++)
        files[i].kept_bytes = 0;
    assert_int_equal(choose(&defaults, files, 20, false, ids), 0);
}

static void a_file_has_to_be_old(void **state)
{
    (void)state;
    struct bitcask_sealed files[] = {file_of(1, 10 * MB, 200 * MB, 0),
                                     file_of(2, 10 * MB, 200 * MB, 0)};
    struct merge_settings settings = defaults;
    settings.mode = MERGE_AGE;
    uint32_t ids[2];
    files[0].sealed_ms = files[1].sealed_ms = 1700000000000 - 1000;
    assert_int_equal(choose(&settings, files, 2, false, ids), 0);
    files[1].sealed_ms -= 3600000;
    assert_int_equal(choose(&settings, files, 2, false, ids), 2);
    files[1].sealed_ms = 1700000000000 + 1000; /* the clock went back */
    assert_int_equal(choose(&settings, files, 2, false, ids), 0);
}

static void windows_of_the_day(void **state)
{
    (void)state;
    struct merge_settings settings = defaults;
    const uint64_t hour = 3600000;
    assert_true(merge_is_time(&settings, 12 * hour));
    settings.mode = MERGE_BULK;
    assert_false(merge_is_time(&settings, 2 * hour - 1));
    assert_true(merge_is_time(&settings, 2 * hour));
    assert_true(merge_is_time(&settings, 4 * hour - 1));
    assert_false(merge_is_time(&settings, 4 * hour));
    settings.hour_from = 23;
    settings.hour_to = 1;
    assert_true(merge_is_time(&settings, 23 * hour));
    assert_true(merge_is_time(&settings, 24 * hour));
    assert_false(merge_is_time(&settings, 25 * hour));
    settings.mode = MERGE_OFF;
    assert_false(merge_is_time(&settings, 23 * hour));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_reason_stays),
        cmocka_unit_test(the_deadest_go_first_and_small_ones_with_them),
        cmocka_unit_test(small_ones_are_joined_but_never_one_alone),
        cmocka_unit_test(a_choked_shard_is_merged_whole),
        cmocka_unit_test(a_file_has_to_be_old),
        cmocka_unit_test(windows_of_the_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
