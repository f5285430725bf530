/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/record.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "support/cmocka.h"
#include "support/random.h"

static const struct record_place place = {.uid = 0x1122334455667788, .off = 4096};

static const struct record put_full = {.kind = RECORD_PUT,
                                       .type = 3,
                                       .promotion = 2,
                                       .db_id = 0x0102,
                                       .revision = 7,
                                       .position = 0x0000000000650004,
                                       .expire_at_ms = 1700000000000,
                                       .collection = {.position = 0x0000000000640001, .counter = 9},
                                       .key = {(const uint8_t *)"user:1", 6},
                                       .value = {(const uint8_t *)"hello", 5}};
static const struct record put_plain = {.kind = RECORD_PUT,
                                        .type = 1,
                                        .position = 0x10000,
                                        .key = {(const uint8_t *)"k", 1},
                                        .value = {(const uint8_t *)"v", 1}};
static const struct record tombstone = {.kind = RECORD_TOMBSTONE,
                                        .type = 1,
                                        .db_id = 1,
                                        .position = 0x20000,
                                        .key = {(const uint8_t *)"gone", 4}};
static const struct record flush = {
    .kind = RECORD_FLUSH, .db_id = 5, .revision = 0, .position = 0x30002};
static const struct record pad = {.kind = RECORD_PAD, .pad_size = 40};
static const struct record_place pad_place = {.uid = 0x1122334455667788, .off = 8192 - 40};

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->promotion, b->promotion);
    assert_int_equal(a->db_id, b->db_id);
    assert_int_equal(a->revision, b->revision);
    assert_true(a->position == b->position);
    assert_true(a->expire_at_ms == b->expire_at_ms);
    assert_true(a->collection.position == b->collection.position);
    assert_int_equal(a->collection.counter, b->collection.counter);
    assert_true(slice_eq(a->key, b->key));
    assert_true(slice_eq(a->value, b->value));
    assert_true(a->pad_size == b->pad_size);
}

static void assert_decodes_to(struct slice bytes, struct record_place at, const struct record *want)
{
    struct record got;
    size_t size;
    assert_int_equal(record_decode(bytes, at, &got, &size), 0);
    assert_int_equal(size, record_size(want));
    assert_same(&got, want);
}

static uint8_t random_bytes[70000];

static void fill_random_bytes(struct random *random)
{
    for (size_t i = 0; i < sizeof(random_bytes); i++)
        random_bytes[i] = (uint8_t)random_next(random);
}

static struct slice random_slice(struct random *random, size_t max)
{
    size_t len =
        random_below(random, 4) == 0 ? random_below(random, max + 1) : random_below(random, 40);
    return slice_of(random_bytes + random_below(random, sizeof(random_bytes) - len), len);
}

/* Any record that may be written at `at`. */
static struct record random_record(struct random *random, struct record_place at)
{
    struct record record = {.kind = (enum record_kind)(1 + random_below(random, 4))};
    if (record.kind == RECORD_PAD) {
        record.pad_size = record_pad_size(at.off);
        if (record.pad_size > 0)
            return record;
        record.kind = RECORD_PUT;
    }
    record.db_id = (uint16_t)random_next(random);
    record.position = random_next(random);
    record.revision = (uint32_t)random_next(random);
    if (record.kind == RECORD_FLUSH)
        return record;
    record.type = (uint8_t)random_next(random);
    record.promotion = (uint8_t)random_below(random, 3);
    record.key = random_slice(random, RECORD_MAX_KEY);
    if (random_below(random, 2) == 0)
        record.collection =
            (struct collection_id){random_next(random), (uint32_t)random_below(random, 3)};
    if (record.kind == RECORD_TOMBSTONE)
        return record;
    record.value = random_slice(random, 60000);
    if (random_below(random, 2) == 0)
        record.expire_at_ms = random_next(random);
    return record;
}

static void every_shape_comes_back_as_it_was(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    fill_random_bytes(&random);
    struct buf bytes = {0};
    buf_reserve(&bytes, 8);
    for (int i = 0; i < 20000; i++) {
        struct record_place at = {random_next(&random), random_below(&random, 1ULL << 32)};
        struct record record = random_record(&random, at);
        bytes.len = random_below(&random, 8);
        size_t front = bytes.len;
        record_encode(&record, at, &bytes);
        assert_int_equal(bytes.len - front, record_size(&record));
        struct slice encoded = slice_of(bytes.data + front, bytes.len - front);
        assert_decodes_to(encoded, at, &record);
        /* What follows does not matter. */
        buf_append(&bytes, random_bytes, 100);
        encoded = slice_of(bytes.data + front, bytes.len - front);
        assert_decodes_to(encoded, at, &record);
        if (record.value.len > 0)
            assert_memory_equal(encoded.data + record_value_off(&record), record.value.data,
                                record.value.len);
    }
    buf_fini(&bytes);
}

static void the_largest_key_fits_and_no_larger_value_is_believed(void **state)
{
    (void)state;
    struct buf key = {0};
    struct buf bytes = {0};
    memset(buf_extend(&key, RECORD_MAX_KEY), 'k', RECORD_MAX_KEY);
    struct record record = {.kind = RECORD_PUT,
                            .position = 1,
                            .expire_at_ms = 1,
                            .collection = {1, 1},
                            .key = buf_slice(&key),
                            .value = buf_slice(&key)};
    record_encode(&record, place, &bytes);
    assert_decodes_to(buf_slice(&bytes), place, &record);

    /* Known from the fixed part, before anybody reads or reserves that much. */
    struct slice fixed = slice_of(bytes.data, RECORD_FIXED_SIZE);
    struct record got;
    size_t size;
    put_u32(bytes.data + 16, RECORD_MAX_VALUE);
    assert_int_equal(record_decode(fixed, place, &got, &size), ERR_TORN);
    assert_int_equal(size, RECORD_MAX_HEADER + RECORD_MAX_KEY + RECORD_MAX_VALUE);
    put_u32(bytes.data + 16, RECORD_MAX_VALUE + 1);
    assert_int_equal(record_decode(fixed, place, &got, &size), ERR_CORRUPT);
    buf_fini(&key);
    buf_fini(&bytes);
}

static const struct {
    const struct record *record;
    const struct record_place *place;
} samples[] = {
    {&put_full, &place}, {&put_plain, &place}, {&tombstone, &place},
    {&flush, &place},    {&pad, &pad_place},
};

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_COUNT(samples); s++) {
        struct buf bytes = {0};
        record_encode(samples[s].record, *samples[s].place, &bytes);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            struct record got;
            size_t size;
            int rc = record_decode(buf_slice(&bytes), *samples[s].place, &got, &size);
            /* A length that became larger asks for more than there is; no other way out. */
            assert_true(rc == ERR_CORRUPT || (rc == ERR_TORN && size > bytes.len));
            bytes.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        }
        assert_decodes_to(buf_slice(&bytes), *samples[s].place, samples[s].record);
        buf_fini(&bytes);
    }
}

static void every_prefix_is_torn(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_COUNT(samples); s++) {
        struct buf bytes = {0};
        record_encode(samples[s].record, *samples[s].place, &bytes);
        for (size_t len = 0; len < bytes.len; len++) {
            struct record got;
            size_t size = 12345;
            int rc = record_decode(slice_of(bytes.data, len), *samples[s].place, &got, &size);
            assert_int_equal(rc, ERR_TORN);
            assert_int_equal(size, len < RECORD_FIXED_SIZE ? 0 : bytes.len);
        }
        buf_fini(&bytes);
    }
}

static void another_place_is_corrupt(void **state)
{
    (void)state;
    struct buf bytes = {0};
    record_encode(&put_full, place, &bytes);
    struct record got;
    size_t size;
    for (uint64_t i = 1; i < 100000; i++) {
        struct record_place other = {place.uid, place.off + i};
        assert_int_equal(record_decode(buf_slice(&bytes), other, &got, &size), ERR_CORRUPT);
        other = (struct record_place){place.uid + i, place.off};
        assert_int_equal(record_decode(buf_slice(&bytes), other, &got, &size), ERR_CORRUPT);
    }
    buf_fini(&bytes);
}

static void rebinding_moves_a_record_without_a_look_at_it(void **state)
{
    (void)state;
    struct record_place other = {.uid = 99, .off = 123456};
    struct buf moved = {0};
    struct buf fresh = {0};
    record_encode(&put_full, place, &moved);
    record_encode(&put_full, other, &fresh);
    record_rebind(moved.data, place, other);
    assert_true(slice_eq(buf_slice(&moved), buf_slice(&fresh)));

    /* Damage that came before the move is still found after it. */
    record_rebind(moved.data, other, place);
    moved.data[moved.len - 1] ^= 1;
    record_rebind(moved.data, place, other);
    struct record got;
    size_t size;
    assert_int_equal(record_decode(buf_slice(&moved), other, &got, &size), ERR_CORRUPT);
    buf_fini(&moved);
    buf_fini(&fresh);
}

/* Gives bytes that were tampered with a check that is right for them. */
static void seal(uint8_t *bytes, size_t len, struct record_place at)
{
    put_u64(bytes, hash_check(slice_of(bytes + 8, len - 8)) ^ hash_mix(at.uid, at.off));
}

/* Encodes, changes one byte, seals again: what is then decoded. */
static int decode_changed(const struct record *record, struct record_place at, size_t off,
                          uint8_t byte)
{
    struct buf bytes = {0};
    record_encode(record, at, &bytes);
    assert_int_not_equal(bytes.data[off], byte);
    bytes.data[off] = byte;
    seal(bytes.data, bytes.len, at);
    struct record got;
    size_t size;
    int rc = record_decode(buf_slice(&bytes), at, &got, &size);
    buf_fini(&bytes);
    return rc;
}

static void what_no_encoder_writes_is_corrupt_though_its_check_is_right(void **state)
{
    (void)state;
    enum { KIND = 8, TYPE = 9, FLAGS = 10, PROMOTION = 11, DB = 12, KEY_LEN = 14, VALUE_LEN = 16 };
    enum { REVISION = 20, POSITION = 24, EXPIRE = 32 };
    struct record expiring = put_plain;
    expiring.expire_at_ms = 1;
    struct record collected = put_plain;
    collected.collection.counter = 1;

    assert_int_equal(decode_changed(&put_plain, place, TYPE, 9), 0); /* sealing works */
    for (unsigned kind = 0; kind < 256; kind++) {
        if (kind != RECORD_PUT && kind != RECORD_TOMBSTONE)
            assert_int_equal(decode_changed(&put_plain, place, KIND, (uint8_t)kind), ERR_CORRUPT);
    }
    for (unsigned flags = 4; flags < 256; flags++)
        assert_int_equal(decode_changed(&put_plain, place, FLAGS, (uint8_t)flags), ERR_CORRUPT);
    assert_int_equal(decode_changed(&expiring, place, EXPIRE, 0), ERR_CORRUPT);
    assert_int_equal(decode_changed(&collected, place, EXPIRE + 8, 0), ERR_CORRUPT);
    /* A tombstone has no value and never expires, */
    assert_int_equal(decode_changed(&put_plain, place, KIND, RECORD_TOMBSTONE), ERR_CORRUPT);
    expiring.value.len = 0;
    assert_int_equal(decode_changed(&expiring, place, KIND, RECORD_TOMBSTONE), ERR_CORRUPT);
    /* a flush nothing but its place in the order, */
    assert_int_equal(decode_changed(&tombstone, place, KIND, RECORD_FLUSH), ERR_CORRUPT);
    assert_int_equal(decode_changed(&flush, place, TYPE, 1), ERR_CORRUPT);
    assert_int_equal(decode_changed(&flush, place, PROMOTION, 1), ERR_CORRUPT);
    /* and a pad not even that. */
    const uint8_t fields[] = {TYPE, PROMOTION, DB, REVISION, POSITION, RECORD_FIXED_SIZE, 39};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        assert_int_equal(decode_changed(&pad, pad_place, fields[i], 1), ERR_CORRUPT);
    assert_int_equal(decode_changed(&pad, pad_place, VALUE_LEN, 7), ERR_CORRUPT);
    assert_int_equal(decode_changed(&pad, pad_place, KEY_LEN, 1), ERR_CORRUPT);
}

static void a_pad_ends_at_a_block_and_has_room_for_itself(void **state)
{
    (void)state;
    for (uint64_t off = 4096; off <= 4096 * 3; off++) {
        uint64_t size = record_pad_size(off);
        assert_true(is_aligned(off + size, RECORD_BLOCK));
        assert_true(size == 0 ? is_aligned(off, RECORD_BLOCK) : size >= RECORD_FIXED_SIZE);
        assert_true(size < RECORD_BLOCK + RECORD_FIXED_SIZE);
        if (size == 0)
            continue;
        struct buf bytes = {0};
        struct record record = {.kind = RECORD_PAD, .pad_size = size};
        record_encode(&record, (struct record_place){1, off}, &bytes);
        assert_decodes_to(buf_slice(&bytes), (struct record_place){1, off}, &record);
        buf_fini(&bytes);
    }
}

static void assert_golden(const struct record *record, struct record_place at, const char *hex)
{
    struct buf bytes = {0};
    struct buf text = {0};
    record_encode(record, at, &bytes);
    for (size_t i = 0; i < bytes.len; i++)
        buf_append_format(&text, "%02x", bytes.data[i]);
    buf_append_byte(&text, 0);
    assert_string_equal((const char *)text.data, hex);
    buf_fini(&bytes);
    buf_fini(&text);
}

/* Files outlive programs: these bytes may never change. */
static void the_format_is_frozen(void **state)
{
    (void)state;
    assert_golden(&put_full, place,
                  "4e666bec682fd8a80103030202010600050000000700000004006500000000000068e5cf8b010000"
                  "010064000000000009000000757365723a3168656c6c6f");
    assert_golden(&put_plain, place,
                  "b8fa68638c38d8860101000000000100010000000000000000000100000000006b76");
    assert_golden(&tombstone, place,
                  "03348c9a5a9b5711020100000100040000000000000000000000020000000000676f6e65");
    assert_golden(&flush, place,
                  "30adf6f3952fb4f9030000000500000000000000000000000200030000000000");
    assert_golden(
        &pad, pad_place,
        "63bf523488157df50400000000000000080000000000000000000000000000000000000000000000");
}

/* Header and key are enough, and nothing of it is verified. */
static void a_claim_is_what_the_bytes_say(void **unused)
{
    (void)unused;
    const struct record *records[] = {&put_full, &put_plain, &tombstone, &flush};
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        struct buf bytes = {0};
        struct record got;
        size_t size;
        record_encode(records[i], place, &bytes);
        bytes.data[0] ^= 1;
        size_t needed = record_value_off(records[i]);
        assert_true(record_claim(slice_of(bytes.data, needed), 77, &got, &size));
        assert_int_equal(size, record_size(records[i]));
        assert_null(got.value.data);
        assert_int_equal(got.value.len, records[i]->value.len);
        got.value = records[i]->value;
        assert_same(&got, records[i]);
        assert_false(record_claim(slice_of(bytes.data, needed - 1), 77, &got, &size));
        bytes.data[8] = 9; /* no such kind */
        assert_false(record_claim(buf_slice(&bytes), 77, &got, &size));
        buf_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_comes_back_as_it_was),
        cmocka_unit_test(the_largest_key_fits_and_no_larger_value_is_believed),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_prefix_is_torn),
        cmocka_unit_test(another_place_is_corrupt),
        cmocka_unit_test(rebinding_moves_a_record_without_a_look_at_it),
        cmocka_unit_test(what_no_encoder_writes_is_corrupt_though_its_check_is_right),
        cmocka_unit_test(a_pad_ends_at_a_block_and_has_room_for_itself),
        cmocka_unit_test(a_claim_is_what_the_bytes_say),
        cmocka_unit_test(the_format_is_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
