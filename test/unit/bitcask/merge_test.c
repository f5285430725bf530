/* SPDX-License-Identifier: Apache-2.0 */
/* Merges: what is kept comes to lie elsewhere with the same bytes, what is not named goes, and
 * nothing of it depends on the disk being kind. */
#include "bitcask/merge.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/bitcask_world.h"
#include "support/cmocka.h"

#define FILE_LIMIT 16384
#define BIG_LIMIT  (1u << 20)
#define HUGE_LIMIT (1u << 21)

static enum merge_verdict judge_live(void *ctx, const struct record *record, size_t entry,
                                     uint64_t outside_index)
{
    (void)ctx;
    (void)entry;
    (void)outside_index;
    return record->kind == RECORD_PUT ? MERGE_LIVE : MERGE_KEEP_DEAD;
}

static enum merge_verdict judge_dead(void *ctx, const struct record *record, size_t entry,
                                     uint64_t outside_index)
{
    (void)ctx;
    (void)record;
    (void)entry;
    (void)outside_index;
    return MERGE_DROP;
}

static void open_world(struct world *world, world_judge_fn judge)
{
    world->judge = judge;
    world_must_open(world);
}

/* An open world with `count` sealed files and a current one, all named. */
static struct world *world_with_files(uint64_t seed, size_t count, world_judge_fn judge)
{
    struct world *world = world_new(seed, FILE_LIMIT);
    open_world(world, judge);
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

static size_t sealed_count(const struct world *world)
{
    size_t count = 0;
    mem_free(bitcask_sealed_files(world->bc, &count));
    return count;
}

static size_t readable_count(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->entry_count; i++)
        count += world->entries[i].file_id != 0;
    return count;
}

/* ---- What comes of it ---- */

static void several_small_files_become_one(void **state)
{
    (void)state;
    struct world *world = world_with_files(1, 6, judge_live);
    world_close(world);
    world->max_file_size = BIG_LIMIT;
    world_must_open(world);
    assert_int_equal(sealed_count(world), 6);
    world_merge(world);
    assert_int_equal(sealed_count(world), 1);
    assert_int_equal(bitcask_stats(world->bc).file_count, 2);
    assert_int_equal(bitcask_stats(world->bc).merges, 1);
    world_check_reads(world);
    world_checkpoint(world);
    assert_int_equal(world_manifest(world)->named_count, 2);
    world_unlink(world);
    for (uint32_t id = 1; id <= 6; id++)
        assert_false(world_has_file(world, world_file(id)));
    restart(world);
    assert_int_equal(world->visited, world->entry_count);
    world_free(world);
}

static void what_is_all_dead_leaves_no_file(void **state)
{
    (void)state;
    struct world *world = world_with_files(2, 3, judge_dead);
    uint32_t next_id = bitcask_next_id(world->bc);
    uint64_t bytes = bitcask_stats(world->bc).bytes;
    world_merge(world);
    assert_int_equal(bitcask_next_id(world->bc), next_id);
    assert_int_equal(bitcask_stats(world->bc).file_count, 1);
    struct bitcask_stats stats = bitcask_stats(world->bc);
    assert_true(stats.retired_bytes > 0 && stats.bytes + stats.retired_bytes == bytes);
    world_checkpoint(world);
    assert_true(world_unlink(world) == stats.retired_bytes);
    assert_true(bitcask_stats(world->bc).retired_bytes == 0);
    restart(world);
    world_free(world);
}

static size_t copies_in(const struct world *world, uint32_t file_id)
{
    size_t count = 0;
    for (size_t i = 0; i < world->copies.count; i++)
        count += world->copies.items[i].file_id == file_id;
    return count;
}

static void outputs_are_no_larger_than_a_file(void **state)
{
    (void)state;
    struct world *world = world_with_files(3, 12, NULL);
    world_merge(world);
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    assert_true(count > 2 && count < 12);
    for (size_t i = 0; i < count; i++) {
        bool is_single = copies_in(world, sealed[i].id) == 1;
        assert_true(is_single || sealed[i].bytes + DATAFILE_HEADER_SIZE <= FILE_LIMIT);
    }
    mem_free(sealed);
    world_check_reads(world);
    world_checkpoint(world);
    restart(world);
    world_free(world);
}

/* A seed whose record is larger than a file. */
static uint64_t large_seed(struct world *world)
{
    for (uint64_t seed = 1;; seed++) {
        struct record record =
            world_record(world, &(struct world_entry){.seed = seed, .position = 1 << 16});
        if (record.kind == RECORD_PUT && record.value.len > FILE_LIMIT)
            return seed;
    }
}

static void a_record_larger_than_a_file_moves_to_one_of_its_own(void **state)
{
    (void)state;
    struct world *world = world_new(4, FILE_LIMIT);
    open_world(world, judge_live);
    uint64_t seed = large_seed(world);
    world_append_seed(world, seed);
    world_append_seed(world, seed);
    world_seal(world);
    world_append_seed(world, seed);
    world_seal(world);
    world_checkpoint(world);
    world_merge(world);
    world_check_reads(world);
    world_checkpoint(world);
    world_unlink(world);
    restart(world);
    assert_int_equal(world->visited, world->entry_count);
    world_free(world);
}

/* More than a slice of bytes, of records, and of what is gathered for a write. */
static void slices_end_wherever_they_do(void **state)
{
    (void)state;
    struct world *world = world_new(5, BIG_LIMIT);
    open_world(world, judge_live);
    world_append(world, 2500);
    world_seal(world);
    world_seal(world);
    world_checkpoint(world);
    struct merge_stats stats = {0};
    size_t steps = 0;
    assert_true(world_merge_all(world));
    enum merge_state merge_state;
    do {
        struct diag diag;
        struct merge_stats now = bitcask_merge_stats(world->merge);
        assert_true(now.bytes_read >= stats.bytes_read);
        assert_true(now.bytes_read <= now.bytes_total);
        stats = now;
        world_check_reads(world);
        merge_state = world_merge_step(world, &diag);
        steps++;
    } while (merge_state == MERGE_MORE);
    assert_int_equal(merge_state, MERGE_DONE);
    assert_true(steps > 8);
    assert_true(stats.bytes_read == stats.bytes_total);
    world_checkpoint(world);
    restart(world);
    assert_int_equal(world->visited, world->entry_count);
    world_free(world);
}

/* Files as a manifest may name them: nothing but the header, nothing but a PAD. */
static void make_file(struct world *world, uint32_t id, uint64_t length)
{
    const struct datafile_header header = {.shard = 3, .id = id, .uid = id * 77};
    struct buf bytes = {0};
    struct file *file;
    size_t done;
    datafile_header_encode(&header, &bytes);
    assert_int_equal(fs_open(simdisk_fs(world->disk), world_file(id), FS_WRITE | FS_CREATE, &file),
                     0);
    assert_int_equal(file_write_full(file, bytes.data, bytes.len, 0, &done), 0);
    file_unref(file);
    buf_fini(&bytes);
    struct world_manifest *manifest = &world->manifests[world->manifest_count - 1];
    manifest->named =
        mem_realloc(manifest->named, (manifest->named_count + 1) * sizeof(*manifest->named));
    manifest->named[manifest->named_count++] = (struct bitcask_named){
        .id = id, .uid = header.uid, .length = length, .lowest_index = UINT64_MAX};
}

static void empty_files_are_merged_away(void **state)
{
    (void)state;
    struct world *world = world_with_files(6, 1, judge_live);
    world_close(world);
    make_file(world, 50, DATAFILE_HEADER_SIZE);
    make_file(world, 51, DATAFILE_HEADER_SIZE);
    make_file(world, 52, DATAFILE_HEADER_SIZE);
    world_must_open(world);
    /* The last one goes on. */
    world_merge_begin(world, (const uint32_t[]){50, 51}, 2);
    world_merge_finish(world);
    world_merge(world);
    world_checkpoint(world);
    world_unlink(world);
    assert_false(world_has_file(world, world_file(50)));
    assert_false(world_has_file(world, world_file(51)));
    restart(world);
    assert_int_equal(world->visited, world->entry_count);
    world_free(world);
}

static void merged_files_are_merged_again(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 40; round++) {
        struct world *world = world_with_files(seed + round, 4, round % 2 == 0 ? judge_live : NULL);
        for (int i = 0; i < 4; i++) {
            if (sealed_count(world) == 0)
                world_seal(world);
            world_checkpoint(world);
            world_merge(world);
            world_check_reads(world);
            world_append(world, 10);
            if (i == 2)
                world_hint_all(world, false);
            world_checkpoint(world);
            world_unlink(world);
            if (i % 2 == 1)
                restart(world);
        }
        world_free(world);
    }
}

/* ---- R8, as far as it is decided here: what lies outside of the merge ---- */

struct outside {
    uint64_t want;
    size_t count;
};

static enum merge_verdict check_outside(void *ctx, const struct record *record, size_t entry,
                                        uint64_t outside_index)
{
    struct outside *outside = ctx;
    (void)record;
    (void)entry;
    assert_true(outside_index == outside->want);
    outside->count++;
    return MERGE_DROP;
}

static void r8_the_lowest_index_outside_is_that_of_all_other_files(void **state)
{
    (void)state;
    struct world *world = world_with_files(7, 4, check_outside);
    const struct bitcask_named *named = world_manifest(world)->named;
    struct outside outside = {.want = named[1].lowest_index};
    world->judge_ctx = &outside;
    world_merge_begin(world, &named[0].id, 1);
    world_merge_finish(world);
    /* What is retired counts no more: no manifest that comes will name it. */
    const uint32_t two[] = {named[1].id, named[3].id};
    outside.want = named[2].lowest_index;
    world_merge_begin(world, two, 2);
    world_merge_finish(world);
    outside.want = named[4].lowest_index; /* the current one */
    world_merge_begin(world, &named[2].id, 1);
    world_merge_finish(world);
    assert_true(outside.count > 0);
    world_free(world);
}

/* Nothing lies outside but what is newer than all inputs, however much is appended meanwhile. */
static void r8_appends_do_not_matter(void **state)
{
    (void)state;
    struct world *world = world_with_files(8, 3, check_outside);
    struct outside outside = {.want = world_manifest(world)->named[3].lowest_index};
    world->judge_ctx = &outside;
    assert_true(world_merge_all(world));
    enum merge_state merge_state;
    do {
        struct diag diag;
        world_append(world, 5);
        merge_state = world_merge_step(world, &diag);
    } while (merge_state == MERGE_MORE);
    assert_int_equal(merge_state, MERGE_DONE);
    world_free(world);
}

/* ---- R2: when files may go ---- */

static void r2_a_copies_are_synced_and_named_before_the_originals_go(void **state)
{
    (void)state;
    struct world *world = world_with_files(9, 2, judge_live);
    assert_false(bitcask_wants_checkpoint(world->bc));
    world_merge(world); /* not a single new entry */
    assert_true(bitcask_wants_checkpoint(world->bc));
    bitcask_checkpointed(world->bc); /* a checkpoint that was marked before */
    assert_true(world_unlink(world) == 0);
    world_checkpoint(world);
    /* Durable, with the copies: now. */
    struct simdisk *image = simdisk_image_synced(world->disk, simdisk_steps(world->disk));
    assert_true(world_unlink(world) > 0);
    assert_false(bitcask_wants_checkpoint(world->bc));
    struct world *after = world_on_image(world, image, world->manifest_count - 1, 1);
    world_must_open(after);
    world_check_reads(after);
    assert_int_equal(after->visited, after->entry_count);
    world_free(after);
    world_free(world);
}

static void r2_b_a_checkpoint_that_was_under_way_frees_nothing(void **state)
{
    (void)state;
    struct world *world = world_with_files(10, 2, judge_live);
    world_append(world, 5);
    world_mark(world);
    assert_int_equal(world_write(world), 0);
    struct bitcask_sync *sync = bitcask_sync_take(world->bc);
    world_merge(world);
    bitcask_checkpointed(world->bc); /* too early by any measure */
    bitcask_sync_run(sync);
    struct diag diag;
    assert_int_equal(bitcask_sync_done(world->bc, sync, &diag), 0);
    size_t count = 0;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    assert_int_equal(count, 3); /* as of the mark */
    assert_int_equal(named[0].id, 1);
    mem_free(named);
    bitcask_checkpointed(world->bc);
    assert_true(world_unlink(world) == 0);
    assert_true(world_has_file(world, world_file(1)));
    world_checkpoint(world);
    assert_true(world_unlink(world) > 0);
    assert_false(world_has_file(world, world_file(1)));
    restart(world);
    world_free(world);
}

static void r2_c_what_waits_wants_a_checkpoint(void **state)
{
    (void)state;
    struct world *world = world_with_files(11, 2, judge_dead);
    world_merge(world);
    assert_true(bitcask_wants_checkpoint(world->bc));
    /* A checkpoint whose manifest is not saved. */
    world_mark(world);
    assert_int_equal(world_write(world), 0);
    struct bitcask_sync *sync = bitcask_sync_take(world->bc);
    bitcask_sync_run(sync);
    struct diag diag;
    assert_int_equal(bitcask_sync_done(world->bc, sync, &diag), 0);
    assert_false(bitcask_is_dirty(world->bc));
    assert_true(bitcask_wants_checkpoint(world->bc));
    assert_true(world_unlink(world) == 0);
    world_checkpoint(world);
    assert_true(world_unlink(world) > 0);
    assert_false(bitcask_wants_checkpoint(world->bc));
    world_free(world);
}

/* B11: neither named nor synced before it is whole. */
static void an_output_under_way_is_named_by_no_manifest(void **state)
{
    (void)state;
    struct world *world = world_new(12, HUGE_LIMIT);
    open_world(world, judge_live);
    world_seal(world);
    world_checkpoint(world);
    uint32_t output = bitcask_next_id(world->bc);
    struct diag diag;
    assert_true(world_merge_all(world));
    for (int i = 0; i < 4; i++)
        assert_int_equal(world_merge_step(world, &diag), MERGE_MORE);
    assert_true(world_has_file(world, world_file(output)));
    assert_int_equal(sealed_count(world), 1);
    assert_int_equal(world_hint_all(world, false), 1); /* of the input */
    uint64_t syncs = simdisk_count(world->disk, SIM_SYNC, world_file(output));
    world_checkpoint(world);
    const struct world_manifest *manifest = world_manifest(world);
    assert_int_equal(manifest->named_count, 2);
    assert_true(manifest->named[0].id < output && manifest->named[1].id < output);
    assert_true(simdisk_count(world->disk, SIM_SYNC, world_file(output)) == syncs);
    world_merge_finish(world);
    world_checkpoint(world);
    manifest = world_manifest(world);
    assert_int_equal(manifest->named_count, 2);
    assert_int_equal(manifest->named[1].id, output);
    assert_true(simdisk_count(world->disk, SIM_SYNC, world_file(output)) > syncs);
    world_free(world);
}

/* A server that ends in the middle of a merge. */
static void an_output_that_nobody_names_is_removed_by_the_next_start(void **state)
{
    (void)state;
    struct world *world = world_new(13, HUGE_LIMIT);
    open_world(world, judge_live);
    world_seal(world);
    world_checkpoint(world);
    uint32_t output = bitcask_next_id(world->bc);
    struct diag diag;
    assert_true(world_merge_all(world));
    for (int i = 0; i < 4; i++)
        assert_int_equal(world_merge_step(world, &diag), MERGE_MORE);
    world_checkpoint(world);
    restart(world);
    assert_false(world_has_file(world, world_file(output)));
    assert_int_equal(world->visited, world->entry_count);
    world_merge(world);
    world_check_reads(world);
    world_free(world);
}

static void names_go_hints_first_and_what_stays_is_left_to_the_next_start(void **state)
{
    (void)state;
    struct world *world = world_with_files(14, 2, judge_live);
    world_hint_all(world, false);
    world_merge(world);
    world_checkpoint(world);
    uint64_t begin = simdisk_steps(world->disk);
    simdisk_fail_nth(world->disk, SIM_UNLINK, NULL, 4, -EIO);
    struct bitcask_unlink *unlink = bitcask_unlink_take(world->bc);
    assert_non_null(unlink);
    assert_null(bitcask_unlink_take(world->bc));
    bitcask_unlink_run(unlink);
    assert_true(bitcask_unlink_done(world->bc, unlink) > 0);
    assert_string_equal(simdisk_step_path(world->disk, begin + 1), world_hint_file(1));
    assert_string_equal(simdisk_step_path(world->disk, begin + 2), world_file(1));
    assert_true(world_has_file(world, world_file(2)));
    restart(world);
    assert_false(world_has_file(world, world_file(2)));
    world_free(world);
}

/* ---- Ends before the end ---- */

static void a_merge_that_is_stopped_keeps_inputs_and_copies(void **state)
{
    (void)state;
    for (int steps = 0; steps < 12; steps++) {
        struct world *world = world_new(15, HUGE_LIMIT);
        open_world(world, judge_live);
        world_seal(world);
        world_checkpoint(world);
        struct diag diag = {.text = ""};
        assert_true(world_merge_all(world));
        enum merge_state merge_state = MERGE_MORE;
        for (int i = 0; i < steps && merge_state == MERGE_MORE; i++)
            merge_state = world_merge_step(world, &diag);
        while (merge_state == MERGE_MORE) {
            bitcask_merge_stop(world->merge);
            merge_state = world_merge_step(world, &diag);
        }
        bool is_whole = merge_state == MERGE_DONE;
        assert_true(is_whole || merge_state == MERGE_STOPPED);
        assert_string_equal(diag.text, "");
        assert_int_equal(bitcask_stats(world->bc).merges, is_whole);
        assert_int_equal(sealed_count(world), steps == 0 || is_whole ? 1 : 2);
        world_check_reads(world);
        assert_int_equal(readable_count(world) > 2000, true);
        world_checkpoint(world);
        assert_int_equal(world_unlink(world) > 0, is_whole);
        restart(world);
        assert_true(world->visited >= world->entry_count);
        /* Two copies of the same, and it is none the worse. The newest file has gone on. */
        world_seal(world);
        world_checkpoint(world);
        world_merge(world);
        world_check_reads(world);
        world_checkpoint(world);
        restart(world);
        assert_int_equal(world->visited, world->entry_count);
        world_free(world);
    }
}

static void a_corrupt_input_ends_a_merge_and_is_left_as_it_is(void **state)
{
    (void)state;
    struct world *world = world_with_files(16, 3, judge_live);
    world_check_reads(world);
    size_t bad = 0;
    while (world->entries[bad].file_id != 2)
        bad++;
    bad += 3;
    struct world_entry entry = world->entries[bad];
    assert_int_equal(entry.file_id, 2);
    assert_true(simdisk_corrupt(world->disk, world_file(2), entry.off + 8, 1));
    assert_true(world_merge_all(world));
    struct diag diag = {.text = ""};
    enum merge_state merge_state;
    do {
        merge_state = world_merge_step(world, &diag);
    } while (merge_state == MERGE_MORE);
    assert_int_equal(merge_state, MERGE_STOPPED);
    char where[64];
    snprintf(where, sizeof(where), "00002.log: the record at offset %llu is corrupt",
             (unsigned long long)entry.off);
    assert_non_null(strstr(diag.text, where));
    /* The damaged file is not touched again; the others are. */
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(sealed[i].id, 2);
    assert_true(count >= 2);
    mem_free(sealed);
    world_merge(world);
    world_checkpoint(world);
    world_unlink(world);
    assert_true(world_has_file(world, world_file(2)));
    assert_false(world_has_file(world, world_file(1)));
    /* Nothing is lost but what is corrupt. */
    world->entries[bad].file_id = 0;
    world_check_reads(world);
    for (size_t i = 0; i < world->entry_count; i++) {
        bool is_put = world_record(world, &world->entries[i]).kind == RECORD_PUT;
        assert_true(i == bad || !is_put || world->entries[i].file_id != 0);
    }
    world_free(world);
}

/* ---- Faults ---- */

/* A merge of which the nth operation fails (0: none); how many there were. */
static uint64_t merge_with_fault(unsigned op, const char *path, int error, uint64_t n)
{
    struct world *world = world_with_files(17, 8, NULL);
    uint64_t before = simdisk_count(world->disk, op, path);
    if (n > 0)
        simdisk_fail_nth(world->disk, op, path, n, error);
    assert_true(world_merge_all(world));
    unsigned stalls = 0;
    enum merge_state merge_state;
    do {
        struct diag diag = {.text = ""};
        merge_state = world_merge_step(world, &diag);
        assert_true(merge_state != MERGE_STALLED || strstr(diag.text, "cannot write") != NULL);
        stalls += merge_state == MERGE_STALLED;
        world_check_reads(world);
        assert_true(stalls <= 1);
    } while (merge_state == MERGE_MORE || merge_state == MERGE_STALLED);
    uint64_t count = simdisk_count(world->disk, op, path) - before;
    assert_int_equal(merge_state, MERGE_DONE);
    assert_int_equal(stalls, n > 0 && error != 0);
    assert_int_equal(simdisk_fault_fired(world->disk), n > 0);
    world_checkpoint(world);
    world_unlink(world);
    restart(world);
    world_free(world);
    return count;
}

static void a_write_that_fails_stalls_a_merge_and_loses_nothing(void **state)
{
    (void)state;
    static const struct {
        unsigned op;
        int error;
    } faults[] = {{SIM_WRITE, -ENOSPC}, {SIM_WRITE, -EIO}, {SIM_WRITE, 0}, {SIM_OPEN, -EMFILE}};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        uint64_t count = merge_with_fault(faults[i].op, ".log", faults[i].error, 0);
        assert_true(count > 3);
        for (uint64_t n = 1; n <= count; n++)
            merge_with_fault(faults[i].op, ".log", faults[i].error, n);
    }
}

static void on_a_full_disk_a_merge_waits(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t room = 0; room < 60000; room += 1500) {
        struct world *world = world_with_files(seed, 6, judge_live);
        uint64_t used = 0;
        for (size_t i = 0; i < world_manifest(world)->named_count; i++)
            used += world_manifest(world)->named[i].length;
        simdisk_set_capacity(world->disk, used + room);
        assert_true(world_merge_all(world));
        struct diag diag;
        enum merge_state merge_state;
        do {
            merge_state = world_merge_step(world, &diag);
        } while (merge_state == MERGE_MORE);
        if (merge_state == MERGE_STALLED) {
            assert_int_equal(world_merge_step(world, &diag), MERGE_STALLED);
            world_check_reads(world);
            simdisk_set_capacity(world->disk, UINT64_MAX);
            world_merge_finish(world);
        }
        simdisk_set_capacity(world->disk, UINT64_MAX);
        world_check_reads(world);
        world_checkpoint(world);
        world_unlink(world);
        restart(world);
        assert_int_equal(world->visited, world->entry_count);
        world_free(world);
    }
}

static void a_read_that_fails_ends_a_merge_and_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct world *world = world_with_files(18, 5, judge_live);
        simdisk_fail_nth(world->disk, SIM_READ, ".log", n, -EIO);
        assert_true(world_merge_all(world));
        struct diag diag = {.text = ""};
        enum merge_state merge_state;
        do {
            merge_state = world_merge_step(world, &diag);
        } while (merge_state == MERGE_MORE);
        bool has_failed = simdisk_fault_fired(world->disk);
        assert_int_equal(merge_state, has_failed ? MERGE_STOPPED : MERGE_DONE);
        assert_int_equal(has_failed, strstr(diag.text, "cannot read") != NULL);
        if (!has_failed) {
            assert_true(n > 5);
            world_free(world);
            return;
        }
        world_check_reads(world);
        world_checkpoint(world);
        restart(world);
        assert_true(world->visited >= world->entry_count);
        world_free(world);
    }
}

/* ---- Live and dead ---- */

static struct bitcask_sealed sealed_of(const struct world *world, uint32_t id)
{
    size_t count = 0;
    struct bitcask_sealed *sealed = bitcask_sealed_files(world->bc, &count);
    struct bitcask_sealed found = {0};
    for (size_t i = 0; i < count; i++) {
        if (sealed[i].id == id)
            found = sealed[i];
    }
    mem_free(sealed);
    assert_int_equal(found.id, id);
    return found;
}

static void what_does_not_live_is_dead(void **state)
{
    (void)state;
    struct world *world = world_with_files(19, 2, judge_live);
    struct bitcask_sealed file = sealed_of(world, 1);
    assert_true(file.live_bytes == 0 && file.dead_bytes == file.bytes);
    assert_true(file.bytes == world_manifest(world)->named[0].length - DATAFILE_HEADER_SIZE);
    assert_true(file.sealed_ms == 1700000000000);
    bitcask_add_live(world->bc, 1, 1000);
    bitcask_add_live(world->bc, 3, 70); /* the current one */
    bitcask_add_live(world->bc, 99, 5); /* there is none */
    bitcask_sub_live(world->bc, 99, 5);
    bitcask_sub_live(world->bc, 1, 400);
    file = sealed_of(world, 1);
    assert_true(file.live_bytes == 600 && file.dead_bytes == file.bytes - 600);
    assert_true(bitcask_stats(world->bc).live_bytes == 670);
    bitcask_forget_live(world->bc);
    assert_true(bitcask_stats(world->bc).live_bytes == 0);
    world_free(world);
}

static enum merge_verdict judge_kept(void *ctx, const struct record *record, size_t entry,
                                     uint64_t outside_index)
{
    (void)ctx;
    (void)entry;
    if (record->kind == RECORD_PUT)
        return MERGE_DROP;
    return record->position >> 16 < outside_index ? MERGE_DROP : MERGE_KEEP_DEAD;
}

/* What had to be kept (R8) is no reason to merge again before its reason has gone. */
static void dead_records_that_were_kept_count_when_their_reason_has_gone(void **state)
{
    (void)state;
    struct world *world = world_with_files(20, 3, judge_kept);
    const struct bitcask_named *named = world_manifest(world)->named;
    uint32_t output = bitcask_next_id(world->bc);
    world_merge_begin(world, &named[1].id, 1); /* the first file is older */
    world_merge_finish(world);
    struct bitcask_sealed file = sealed_of(world, output);
    assert_true(file.bytes > 0 && file.live_bytes == 0);
    assert_true(file.dead_bytes == 0 && file.kept_bytes > 0);
    world_merge_begin(world, &named[0].id, 1);
    world_merge_finish(world); /* all of it is older than what is outside */
    file = sealed_of(world, output);
    assert_true(file.dead_bytes > 0 && file.dead_bytes <= file.bytes); /* all but its PAD */
    assert_int_equal(file.kept_bytes, 0);
    assert_true(file.dead_bytes + 4128 > file.bytes);
    world_merge_begin(world, &output, 1);
    world_merge_finish(world);
    assert_int_equal(sealed_count(world), 1);
    world_checkpoint(world);
    restart(world);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_small_files_become_one),
        cmocka_unit_test(what_is_all_dead_leaves_no_file),
        cmocka_unit_test(outputs_are_no_larger_than_a_file),
        cmocka_unit_test(a_record_larger_than_a_file_moves_to_one_of_its_own),
        cmocka_unit_test(slices_end_wherever_they_do),
        cmocka_unit_test(empty_files_are_merged_away),
        cmocka_unit_test(merged_files_are_merged_again),
        cmocka_unit_test(r8_the_lowest_index_outside_is_that_of_all_other_files),
        cmocka_unit_test(r8_appends_do_not_matter),
        cmocka_unit_test(r2_a_copies_are_synced_and_named_before_the_originals_go),
        cmocka_unit_test(r2_b_a_checkpoint_that_was_under_way_frees_nothing),
        cmocka_unit_test(r2_c_what_waits_wants_a_checkpoint),
        cmocka_unit_test(an_output_under_way_is_named_by_no_manifest),
        cmocka_unit_test(an_output_that_nobody_names_is_removed_by_the_next_start),
        cmocka_unit_test(names_go_hints_first_and_what_stays_is_left_to_the_next_start),
        cmocka_unit_test(a_merge_that_is_stopped_keeps_inputs_and_copies),
        cmocka_unit_test(a_corrupt_input_ends_a_merge_and_is_left_as_it_is),
        cmocka_unit_test(a_write_that_fails_stalls_a_merge_and_loses_nothing),
        cmocka_unit_test(on_a_full_disk_a_merge_waits),
        cmocka_unit_test(a_read_that_fails_ends_a_merge_and_loses_nothing),
        cmocka_unit_test(what_does_not_live_is_dead),
        cmocka_unit_test(dead_records_that_were_kept_count_when_their_reason_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
