/* SPDX-License-Identifier: Apache-2.0 */
#include "store/manifest.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/simdisk.h"

#define DIR "/data"

static void fill_shard(struct manifest_shard *shard, struct random *random)
{
    shard->file_count = random_below(random, 5);
    shard->files = mem_calloc(shard->file_count, sizeof(*shard->files));
    shard->next_file_id = 100 + (uint32_t)random_below(random, 1000);
    for (size_t i = 0; i < shard->file_count; i++)
        shard->files[i] = (struct bitcask_named){.id = (uint32_t)i * 7 + 1,
                                                 .uid = random_next(random),
                                                 .length = 4096 * (1 + random_below(random, 1000)),
                                                 .lowest_index = random_next(random)};
}

static void make_manifest(struct manifest *manifest, struct random *random)
{
    *manifest = (struct manifest){
        .group_id = random_next(random),
        .node_id = random_next(random),
        .checkpoint_number = random_next(random),
        .index = random_next(random),
        .term = random_next(random),
        .state_ms = random_next(random),
        .ceiling_ms = random_next(random),
        .hash_point = random_next(random),
        .configuration_index = random_next(random),
        .database_count = 1 + (uint32_t)random_below(random, 20),
        .shard_count = 1 + (uint32_t)random_below(random, 5),
    };
    buf_append_format(&manifest->configuration, "%.*s", (int)random_below(random, 20),
                      "a configuration of the group");
    manifest->database_ids = mem_calloc(manifest->database_count, sizeof(uint16_t));
    for (uint32_t i = 0; i < manifest->database_count; i++)
        manifest->database_ids[i] = (uint16_t)(i * 31 + 5);
    manifest->shards = mem_calloc(manifest->shard_count, sizeof(*manifest->shards));
    for (uint32_t i = 0; i < manifest->shard_count; i++)
        fill_shard(&manifest->shards[i], random);
}

static void expect_same(const struct manifest *a, const struct manifest *b)
{
    assert_int_equal(a->group_id, b->group_id);
    assert_int_equal(a->node_id, b->node_id);
    assert_int_equal(a->checkpoint_number, b->checkpoint_number);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->state_ms, b->state_ms);
    assert_int_equal(a->ceiling_ms, b->ceiling_ms);
    assert_int_equal(a->hash_point, b->hash_point);
    assert_int_equal(a->configuration_index, b->configuration_index);
    assert_true(slice_eq(buf_slice(&a->configuration), buf_slice(&b->configuration)));
    assert_int_equal(a->database_count, b->database_count);
    assert_memory_equal(a->database_ids, b->database_ids, a->database_count * sizeof(uint16_t));
    assert_int_equal(a->shard_count, b->shard_count);
    for (uint32_t i = 0; i < a->shard_count; i++) {
        const struct manifest_shard *left = &a->shards[i];
        const struct manifest_shard *right = &b->shards[i];
        assert_int_equal(left->next_file_id, right->next_file_id);
        assert_int_equal(left->file_count, right->file_count);
        for (size_t j = 0; j < left->file_count; j++) {
            assert_int_equal(left->files[j].id, right->files[j].id);
            assert_int_equal(left->files[j].uid, right->files[j].uid);
            assert_int_equal(left->files[j].length, right->files[j].length);
            assert_int_equal(left->files[j].lowest_index, right->files[j].lowest_index);
        }
    }
}

/* ---- Bytes ---- */

static void what_is_encoded_comes_back(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    for (int i = 0; i < 300; i++) {
        struct manifest manifest;
        struct manifest decoded;
        struct buf bytes = {0};
        struct diag diag;
        make_manifest(&manifest, &random);
        manifest_encode(&manifest, &bytes);
        assert_int_equal(manifest_decode(buf_slice(&bytes), &decoded, &diag), 0);
        expect_same(&manifest, &decoded);
        manifest_fini(&manifest);
        manifest_fini(&decoded);
        buf_fini(&bytes);
    }
}

static void expect_refused(struct slice bytes, int code)
{
    struct manifest manifest;
    struct diag diag = {.text = ""};
    /* In memory of its own, so that sanitizers see a read beyond the end. */
    uint8_t *copy = mem_dup(bytes.data, bytes.len);
    assert_int_equal(manifest_decode(slice_of(copy, bytes.len), &manifest, &diag), code);
    assert_true(diag.text[0] != '\0');
    mem_free(copy);
}

static void every_byte_counts(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    struct manifest manifest;
    struct buf bytes = {0};
    make_manifest(&manifest, &random);
    manifest_encode(&manifest, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t flipped = (uint8_t)(1u << random_below(&random, 8));
        bytes.data[i] ^= flipped;
        expect_refused(buf_slice(&bytes), i >= 8 && i < 12 ? ERR_VERSION : ERR_CORRUPT);
        bytes.data[i] ^= flipped;
        expect_refused(slice_sub(buf_slice(&bytes), 0, i), ERR_CORRUPT);
    }
    buf_append_byte(&bytes, 0);
    expect_refused(buf_slice(&bytes), ERR_CORRUPT);
    buf_fini(&bytes);
    manifest_fini(&manifest);
}

/* Sets length and checksum right again, so that what lies behind them is looked at. */
static void seal(struct buf *bytes)
{
    put_u64(bytes->data + 16, bytes->len);
    put_u64(bytes->data + 24,
            hash_check2(slice_of(bytes->data, 24), slice_sub(buf_slice(bytes), 32, SIZE_MAX)));
}

static void spoil(struct manifest *manifest, int how)
{
    struct bitcask_named *file = &manifest->shards[0].files[0];
    switch (how) {
    case 0:
        file->length = 0;
        break;
    case 1:
        file->length = 4097;
        break;
    case 2:
        manifest->shards[0].next_file_id = file->id;
        break;
    case 3:
        manifest->database_ids[1] = manifest->database_ids[0];
        break;
    case 4:
        manifest->database_count = 0;
        break;
    default:
        manifest->shard_count = 0;
    }
}

static void fields_that_contradict_each_other(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        struct random random = {4};
        struct manifest manifest = {0};
        struct buf bytes = {0};
        do {
            manifest_fini(&manifest);
            make_manifest(&manifest, &random);
        } while (manifest.shards[0].file_count == 0 || manifest.database_count < 2);
        uint32_t shard_count = manifest.shard_count;
        spoil(&manifest, how);
        manifest_encode(&manifest, &bytes);
        expect_refused(buf_slice(&bytes), ERR_CORRUPT);
        manifest.shard_count = shard_count;
        buf_fini(&bytes);
        manifest_fini(&manifest);
    }
}

/* Wherever four bytes claim to be a huge number, nothing huge is allocated or read. */
static void hostile_counts(void **state)
{
    (void)state;
    struct random random = {5};
    struct manifest manifest;
    struct buf bytes = {0};
    make_manifest(&manifest, &random);
    manifest_encode(&manifest, &bytes);
    for (size_t off = 32; off + 4 <= bytes.len; off++) {
        uint32_t was = get_u32(bytes.data + off);
        const uint32_t claims[] = {UINT32_MAX, UINT32_MAX / 2, 0x10000};
        for (size_t i = 0; i < ARRAY_COUNT(claims); i++) {
            struct manifest decoded;
            struct diag diag;
            put_u32(bytes.data + off, claims[i]);
            seal(&bytes);
            if (manifest_decode(buf_slice(&bytes), &decoded, &diag) == 0)
                manifest_fini(&decoded);
        }
        put_u32(bytes.data + off, was);
    }
    buf_fini(&bytes);
    manifest_fini(&manifest);
}

/* What an older program has written must be read for ever. */
static void the_format_is_permanent(void **state)
{
    (void)state;
    static const uint8_t golden[] = {
        0x46, 0x45, 0x52, 0x43, 0x4d, 0x41, 0x4e, 0x31, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0xae, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x38, 0xea, 0x4f, 0x38, 0xa5, 0x91,
        0x23, 0xb0, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24,
        0x23, 0x22, 0x21, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x90, 0x01, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x68, 0xe5,
        0xcf, 0x8b, 0x01, 0x00, 0x00, 0xef, 0x6b, 0xe5, 0xcf, 0x8b, 0x01, 0x00, 0x00, 0x08, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06,
        0x00, 0x00, 0x00, 0x76, 0x6f, 0x74, 0x65, 0x72, 0x73, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00,
        0x07, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c,
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x86, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    struct manifest manifest;
    struct diag diag = {.text = ""};
    struct buf again = {0};
    if (manifest_decode(slice_of(golden, sizeof(golden)), &manifest, &diag) != 0)
        fail_msg("%s", diag.text);
    assert_int_equal(manifest.group_id, 0x1112131415161718);
    assert_int_equal(manifest.node_id, 0x2122232425262728);
    assert_int_equal(manifest.checkpoint_number, 3);
    assert_int_equal(manifest.index, 400);
    assert_int_equal(manifest.term, 5);
    assert_int_equal(manifest.state_ms, 1700000000006);
    assert_int_equal(manifest.ceiling_ms, 1700000001007);
    assert_int_equal(manifest.hash_point, 8);
    assert_int_equal(manifest.configuration_index, 9);
    assert_true(slice_eq(buf_slice(&manifest.configuration), SLICE_LIT("voters")));
    assert_int_equal(manifest.database_count, 2);
    assert_int_equal(manifest.database_ids[1], 7);
    assert_int_equal(manifest.shard_count, 2);
    assert_int_equal(manifest.shards[0].file_count, 0);
    assert_int_equal(manifest.shards[1].next_file_id, 12);
    assert_int_equal(manifest.shards[1].files[0].id, 11);
    assert_int_equal(manifest.shards[1].files[0].uid, 0x3132333435363738);
    assert_int_equal(manifest.shards[1].files[0].length, 8192);
    assert_int_equal(manifest.shards[1].files[0].lowest_index, 390);
    manifest_encode(&manifest, &again);
    assert_int_equal(again.len, sizeof(golden));
    assert_memory_equal(again.data, golden, sizeof(golden));
    buf_fini(&again);
    manifest_fini(&manifest);
}

/* ---- The file ---- */

struct pair {
    struct simdisk *disk;
    struct manifest old;
    struct manifest fresh;
};

/* A disk on which the old one is durable. */
static void make_pair(struct pair *pair)
{
    struct random random = {6};
    struct diag diag;
    make_manifest(&pair->old, &random);
    make_manifest(&pair->fresh, &random);
    pair->disk = simdisk_new(7);
    assert_int_equal(fs_mkdir(simdisk_fs(pair->disk), DIR), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(pair->disk), "/"), 0);
    assert_int_equal(manifest_save(simdisk_fs(pair->disk), DIR, &pair->old, &diag), 0);
}

/* The fresh one has been saved, too. The number of the step before that. */
static uint64_t make_saved_pair(struct pair *pair)
{
    struct diag diag;
    make_pair(pair);
    uint64_t first = simdisk_steps(pair->disk);
    assert_int_equal(manifest_save(simdisk_fs(pair->disk), DIR, &pair->fresh, &diag), 0);
    return first;
}

static void free_pair(struct pair *pair)
{
    manifest_fini(&pair->old);
    manifest_fini(&pair->fresh);
    simdisk_free(pair->disk);
}

/* 1 for the old one, 2 for the fresh one. */
static int which(const struct pair *pair, struct simdisk *disk)
{
    struct manifest found;
    struct diag diag = {.text = ""};
    if (manifest_load(simdisk_fs(disk), DIR, &found, &diag) != 0)
        fail_msg("%s", diag.text);
    bool is_old = found.checkpoint_number == pair->old.checkpoint_number;
    expect_same(&found, is_old ? &pair->old : &pair->fresh);
    manifest_fini(&found);
    return is_old ? 1 : 2;
}

static void there_is_none_at_first(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(8);
    struct manifest manifest;
    struct diag diag;
    assert_int_equal(fs_mkdir(simdisk_fs(disk), DIR), 0);
    assert_int_equal(manifest_load(simdisk_fs(disk), DIR, &manifest, &diag), ERR_NOT_FOUND);
    simdisk_free(disk);
}

static void power_may_go_at_any_step(void **state)
{
    (void)state;
    struct pair pair;
    uint64_t first = make_saved_pair(&pair);
    uint64_t last = simdisk_steps(pair.disk);
    assert_true(last > first + 3);
    unsigned seen[3] = {0};
    for (uint64_t step = first; step <= last; step++) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct simdisk *image = simdisk_image(pair.disk, step, seed);
            int found = which(&pair, image);
            seen[found]++;
            if (step == last)
                assert_int_equal(found, 2);
            simdisk_free(image);
        }
    }
    assert_true(seen[1] > 40 && seen[2] > 40);
    free_pair(&pair);
}

/* What a crashed save has left, which may be one file under both names, does not harm the next. */
static void power_may_go_again_in_the_next_save(void **state)
{
    (void)state;
    struct pair pair;
    struct diag diag;
    uint64_t first = make_saved_pair(&pair);
    uint64_t last = simdisk_steps(pair.disk);
    for (uint64_t step = first; step <= last; step++) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct simdisk *image = simdisk_image(pair.disk, step, seed);
            assert_int_equal(manifest_save(simdisk_fs(image), DIR, &pair.fresh, &diag), 0);
            for (uint64_t again = 0; again <= simdisk_steps(image); again++) {
                struct simdisk *next = simdisk_image(image, again, seed);
                if (which(&pair, next) == 1)
                    assert_true(again < simdisk_steps(image));
                simdisk_free(next);
            }
            simdisk_free(image);
        }
    }
    free_pair(&pair);
}

static void any_operation_may_fail(void **state)
{
    (void)state;
    bool is_through = false;
    for (uint64_t nth = 1; !is_through; nth++) {
        is_through = true;
        for (int error = 0; error < 3; error++) {
            const int errors[] = {-EIO, -ENOSPC, 0};
            struct pair pair;
            struct diag diag = {.text = ""};
            make_pair(&pair);
            simdisk_fail_nth(pair.disk, errors[error] == 0 ? SIM_WRITE : SIM_ANY, NULL, nth,
                             errors[error]);
            int rc = manifest_save(simdisk_fs(pair.disk), DIR, &pair.fresh, &diag);
            bool has_fired = simdisk_fault_fired(pair.disk);
            is_through = is_through && !has_fired;
            if (rc != 0)
                assert_non_null(strstr(diag.text, DIR "/manifest"));
            for (uint64_t seed = 1; seed <= 10; seed++) {
                struct simdisk *image = simdisk_image(pair.disk, simdisk_steps(pair.disk), seed);
                int found = which(&pair, image);
                if (rc == 0)
                    assert_int_equal(found, 2);
                simdisk_free(image);
            }
            /* And the next save succeeds, whatever the last one has left behind. */
            if (has_fired)
                rc = manifest_save(simdisk_fs(pair.disk), DIR, &pair.fresh, &diag);
            assert_int_equal(rc, 0);
            struct simdisk *image = simdisk_image_synced(pair.disk, simdisk_steps(pair.disk));
            assert_int_equal(which(&pair, image), 2);
            simdisk_free(image);
            free_pair(&pair);
        }
        assert_true(nth < 20);
    }
}

static void rot_is_told_with_its_place(void **state)
{
    (void)state;
    struct pair pair;
    struct manifest manifest;
    struct diag diag = {.text = ""};
    make_pair(&pair);
    assert_true(simdisk_corrupt(pair.disk, DIR "/manifest", 50, 4));
    assert_int_equal(manifest_load(simdisk_fs(pair.disk), DIR, &manifest, &diag), ERR_CORRUPT);
    assert_non_null(strstr(diag.text, DIR "/manifest: its checksum is wrong"));
    simdisk_fail_nth(pair.disk, SIM_READ, NULL, 1, -EIO);
    assert_int_equal(manifest_load(simdisk_fs(pair.disk), DIR, &manifest, &diag), -EIO);
    free_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(fields_that_contradict_each_other),
        cmocka_unit_test(hostile_counts),
        cmocka_unit_test(the_format_is_permanent),
        cmocka_unit_test(there_is_none_at_first),
        cmocka_unit_test(power_may_go_at_any_step),
        cmocka_unit_test(power_may_go_again_in_the_next_save),
        cmocka_unit_test(any_operation_may_fail),
        cmocka_unit_test(rot_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
