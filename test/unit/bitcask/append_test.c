/* SPDX-License-Identifier: Apache-2.0 */
/* Appending, rotating, writing and marking, without a crash. */
#include "bitcask/bitcask.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384

static struct record put(uint64_t position, struct slice key, struct slice value)
{
    return (struct record){.kind = RECORD_PUT, .position = position, .key = key, .value = value};
}

struct at {
    uint32_t file_id;
    uint64_t off;
};

static struct at append(struct world *world, const struct record *record)
{
    struct at at;
    bitcask_append(world->bc, record, &at.file_id, &at.off);
    return at;
}

/* A record of exactly `size` bytes. */
static struct at append_sized(struct world *world, uint64_t position, size_t size)
{
    static uint8_t bytes[200000];
    struct record record = put(position, SLICE_LIT("k"), SLICE_EMPTY);
    record.value = slice_of(bytes, size - record_size(&record));
    assert_int_equal(record_size(&record), size);
    return append(world, &record);
}

static uint64_t file_size_of(struct world *world, uint32_t id)
{
    struct fs_stat st;
    if (fs_stat(simdisk_fs(world->disk), world_file(id), &st) != 0)
        return 0;
    return st.size;
}

static struct world *open_world(uint64_t seed)
{
    struct world *world = world_new(seed, FILE_LIMIT);
    world_must_open(world);
    return world;
}

static void an_empty_instance_asks_nothing_of_the_disk(void **state)
{
    (void)state;
    struct world *world = open_world(1);
    uint64_t steps = simdisk_steps(world->disk);
    assert_false(bitcask_is_dirty(world->bc));
    assert_null(bitcask_write_take(world->bc));
    assert_int_equal(bitcask_unwritten_bytes(world->bc), 0);
    size_t count;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    assert_int_equal(count, 0);
    mem_free(named);
    assert_int_equal(bitcask_next_id(world->bc), 1);
    assert_null(bitcask_pin(world->bc, 1));
    world_mark(world);
    assert_true(bitcask_mark_is_written(world->bc));
    assert_int_equal(world_sync(world), 0);
    assert_int_equal(simdisk_steps(world->disk), steps);
    world_free(world);
}

static void records_lie_back_to_back_and_are_read_where_they_were_said_to_lie(void **state)
{
    (void)state;
    struct world *world = open_world(2);
    struct at first = append_sized(world, 1 << 16, 100);
    struct at second = append_sized(world, 2 << 16, 50);
    assert_int_equal(first.file_id, 1);
    assert_int_equal(first.off, DATAFILE_HEADER_SIZE);
    assert_int_equal(second.file_id, 1);
    assert_int_equal(second.off, DATAFILE_HEADER_SIZE + 100);
    assert_int_equal(bitcask_unwritten_bytes(world->bc), DATAFILE_HEADER_SIZE + 150);
    assert_true(bitcask_is_dirty(world->bc));
    assert_false(bitcask_is_written(world->bc, 1, first.off));
    /* The owner's thread has made no file. */
    assert_int_equal(file_size_of(world, 1), 0);
    assert_int_equal(simdisk_count(world->disk, SIM_OPEN, ".log"), 0);

    assert_int_equal(world_write(world), 0);
    assert_int_equal(bitcask_unwritten_bytes(world->bc), 0);
    assert_true(bitcask_is_written(world->bc, 1, second.off));
    assert_int_equal(file_size_of(world, 1), DATAFILE_HEADER_SIZE + 150);
    world_append(world, 200);
    assert_int_equal(world_write(world), 0);
    world_check_reads(world);
    world_free(world);
}

static void one_write_is_out_at_a_time_and_appends_go_on_meanwhile(void **state)
{
    (void)state;
    struct world *world = open_world(3);
    struct at first = append_sized(world, 1 << 16, 100);
    struct bitcask_write *write = bitcask_write_take(world->bc);
    assert_non_null(write);
    struct at second = append_sized(world, 2 << 16, 100);
    assert_null(bitcask_write_take(world->bc));
    bitcask_write_run(write);
    assert_true(bitcask_is_written(world->bc, 1, first.off));
    assert_false(bitcask_is_written(world->bc, 1, second.off));
    struct diag diag;
    assert_int_equal(bitcask_write_done(world->bc, write, &diag), 0);
    assert_int_equal(bitcask_unwritten_bytes(world->bc), 100);
    assert_int_equal(world_write(world), 0);
    assert_true(bitcask_is_written(world->bc, 1, second.off));
    assert_int_equal(bitcask_stats(world->bc).writes, 2);
    world_free(world);
}

static void a_full_file_is_padded_and_a_new_one_begun(void **state)
{
    (void)state;
    struct world *world = open_world(4);
    /* Exactly to the limit, then one more byte than is left. */
    append_sized(world, 1 << 16, FILE_LIMIT - DATAFILE_HEADER_SIZE);
    struct at next = append_sized(world, 2 << 16, 40);
    assert_int_equal(next.file_id, 2);
    assert_int_equal(next.off, DATAFILE_HEADER_SIZE);
    /* 50 bytes short of a block: the PAD fits. 20 short: it would not. */
    next = append_sized(world, 3 << 16, FILE_LIMIT - DATAFILE_HEADER_SIZE - 40 - 50);
    assert_int_equal(next.file_id, 2);
    next = append_sized(world, 4 << 16, 100);
    assert_int_equal(next.file_id, 3);
    next = append_sized(world, 5 << 16, FILE_LIMIT - DATAFILE_HEADER_SIZE - 100 - 20);
    assert_int_equal(next.file_id, 4);
    assert_int_equal(world_write(world), 0);
    for (uint32_t id = 1; id <= 3; id++) {
        assert_true(is_aligned(file_size_of(world, id), DATAFILE_BLOCK));
        assert_true(file_size_of(world, id) <= FILE_LIMIT);
    }
    struct bitcask_stats stats = bitcask_stats(world->bc);
    assert_int_equal(stats.rotations, 3);
    assert_int_equal(stats.file_count, 4);
    assert_int_equal(stats.records, 5);
    assert_int_equal(bitcask_next_id(world->bc), 5);
    world_free(world);
}

static void a_record_larger_than_a_file_gets_a_file_of_its_own(void **state)
{
    (void)state;
    struct world *world = open_world(5);
    assert_int_equal(append_sized(world, 1 << 16, 100000).file_id, 1);
    assert_int_equal(append_sized(world, 2 << 16, 50).file_id, 2);
    assert_int_equal(append_sized(world, 3 << 16, 100000).file_id, 3);
    assert_int_equal(append_sized(world, 4 << 16, 100000).file_id, 4);
    world_checkpoint(world);
    const struct world_manifest *manifest = world_manifest(world);
    assert_int_equal(manifest->named_count, 4);
    for (size_t i = 0; i < manifest->named_count; i++)
        assert_true(is_aligned(manifest->named[i].length, DATAFILE_BLOCK));
    world_free(world);
}

static void a_mark_pads_to_a_block_and_later_records_leave_it_alone(void **state)
{
    (void)state;
    struct world *world = open_world(6);
    append_sized(world, 1 << 16, 100);
    world_mark(world);
    assert_false(bitcask_is_dirty(world->bc));
    assert_false(bitcask_mark_is_written(world->bc));
    struct at next = append_sized(world, 2 << 16, 100);
    assert_int_equal(next.off, 2 * DATAFILE_BLOCK);
    assert_true(bitcask_is_dirty(world->bc));
    size_t count;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    assert_int_equal(count, 1);
    assert_int_equal(named[0].length, 2 * DATAFILE_BLOCK);
    assert_int_equal(named[0].lowest_index, 1);
    mem_free(named);
    assert_int_equal(world_write(world), 0);
    assert_true(bitcask_mark_is_written(world->bc));
    assert_int_equal(world_sync(world), 0);

    /* A second mark at once pads nothing; one with nothing new syncs nothing. */
    world_checkpoint(world);
    uint64_t syncs = simdisk_count(world->disk, SIM_SYNC | SIM_SYNC_DIR, NULL);
    world_checkpoint(world);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC | SIM_SYNC_DIR, NULL), syncs);
    assert_int_equal(bitcask_stats(world->bc).bytes, 3 * DATAFILE_BLOCK);
    world_free(world);
}

static void a_mark_waits_for_its_own_bytes_only(void **state)
{
    (void)state;
    struct world *world = open_world(7);
    append_sized(world, 1 << 16, 100);
    world_mark(world);
    struct at behind = append_sized(world, 2 << 16, 100);
    /* What lies before the mark is written; the piece behind it fails. */
    simdisk_fail_nth(world->disk, SIM_WRITE, ".log", 2, -EIO);
    assert_int_equal(world_write(world), -EIO);
    assert_false(bitcask_is_written(world->bc, 1, behind.off));
    assert_true(bitcask_mark_is_written(world->bc));
    assert_int_equal(world_sync(world), 0);
    assert_int_equal(world_write(world), 0);
    assert_true(bitcask_is_written(world->bc, 1, behind.off));
    world_free(world);
}

static void a_mark_syncs_every_file_that_was_written_since_and_new_names(void **state)
{
    (void)state;
    struct world *world = open_world(8);
    append_sized(world, 1 << 16, 8100);
    append_sized(world, 2 << 16, 8100);
    append_sized(world, 3 << 16, 8100);
    world_checkpoint(world);
    for (uint32_t id = 1; id <= 3; id++)
        assert_int_equal(simdisk_count(world->disk, SIM_SYNC, world_file(id)), 1);
    uint64_t dir_syncs = simdisk_count(world->disk, SIM_SYNC_DIR, WORLD_DIR);

    /* Only what is dirty, and the directory only for a new name. */
    append_sized(world, 4 << 16, 40);
    world_checkpoint(world);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC, world_file(2)), 1);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC, world_file(3)), 2);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC_DIR, WORLD_DIR), dir_syncs);
    append_sized(world, 5 << 16, 10000);
    world_checkpoint(world);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC_DIR, WORLD_DIR), dir_syncs + 1);
    world_free(world);
}

static void bytes_behind_a_mark_stay_dirty_though_its_sync_came_later(void **state)
{
    (void)state;
    struct world *world = open_world(9);
    append_sized(world, 1 << 16, 100);
    world_mark(world);
    append_sized(world, 2 << 16, 100);
    assert_int_equal(world_write(world), 0);
    assert_int_equal(world_sync(world), 0);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC, ".log"), 1);
    world_checkpoint(world);
    assert_int_equal(simdisk_count(world->disk, SIM_SYNC, ".log"), 2);
    world_free(world);
}

static void the_lowest_index_is_kept_per_file_and_as_of_the_mark(void **state)
{
    (void)state;
    struct world *world = open_world(10);
    append_sized(world, 50 << 16 | 3, 8100);
    append_sized(world, 40 << 16 | 9, 100);
    append_sized(world, 60 << 16, 8100);
    world_mark(world);
    append_sized(world, 7 << 16, 100);
    size_t count;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    assert_int_equal(count, 2);
    assert_int_equal(named[0].lowest_index, 40);
    assert_int_equal(named[1].lowest_index, 60);
    mem_free(named);
    assert_int_equal(world_write(world), 0);
    assert_int_equal(world_sync(world), 0);
    world_checkpoint(world);
    assert_int_equal(world_manifest(world)->named[1].lowest_index, 7);
    world_free(world);
}

static void closing_with_bytes_collected_loses_only_those(void **state)
{
    (void)state;
    struct world *world = open_world(11);
    world_append(world, 40);
    world_checkpoint(world);
    world_append(world, 40);
    assert_int_equal(world_write(world), 0);
    world_append(world, 40);
    world_mark(world);
    world_close(world);
    world_must_open(world);
    world_check_reads(world);
    world_free(world);
}

static void a_pinned_file_outlives_its_bitcask(void **state)
{
    (void)state;
    struct world *world = open_world(12);
    struct record record = put(1 << 16, SLICE_LIT("key"), SLICE_LIT("value"));
    struct at at = append(world, &record);
    assert_int_equal(world_write(world), 0);
    struct datafile *df = bitcask_pin(world->bc, at.file_id);
    assert_non_null(df);
    assert_null(bitcask_pin(world->bc, at.file_id + 1));
    world_close(world);
    struct buf value = {0};
    struct diag diag;
    const struct datafile_query query = {.off = at.off, .key = SLICE_LIT("key"), .value_size = 5};
    assert_int_equal(datafile_read_value(df, &query, &value, &diag), 0);
    assert_true(slice_eq(buf_slice(&value), SLICE_LIT("value")));
    buf_fini(&value);
    datafile_unref(df);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_instance_asks_nothing_of_the_disk),
        cmocka_unit_test(records_lie_back_to_back_and_are_read_where_they_were_said_to_lie),
        cmocka_unit_test(one_write_is_out_at_a_time_and_appends_go_on_meanwhile),
        cmocka_unit_test(a_full_file_is_padded_and_a_new_one_begun),
        cmocka_unit_test(a_record_larger_than_a_file_gets_a_file_of_its_own),
        cmocka_unit_test(a_mark_pads_to_a_block_and_later_records_leave_it_alone),
        cmocka_unit_test(a_mark_waits_for_its_own_bytes_only),
        cmocka_unit_test(a_mark_syncs_every_file_that_was_written_since_and_new_names),
        cmocka_unit_test(bytes_behind_a_mark_stay_dirty_though_its_sync_came_later),
        cmocka_unit_test(the_lowest_index_is_kept_per_file_and_as_of_the_mark),
        cmocka_unit_test(closing_with_bytes_collected_loses_only_those),
        cmocka_unit_test(a_pinned_file_outlives_its_bitcask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
