/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "seglog/format_internal.h"

static const struct segment_header segment_sample = {
    .group_id = 7, .number = 42, .epoch = UINT64_C(0x0123456789abcdef), .size = 1U << 20};

static void a_segment_header_reads_back(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_HEADER_SIZE];
    segment_header_encode(block, &segment_sample);
    struct segment_header back;
    assert_int_equal(segment_header_decode(block, &back), 0);
    assert_int_equal(back.group_id, segment_sample.group_id);
    assert_int_equal(back.number, segment_sample.number);
    assert_true(back.epoch == segment_sample.epoch);
    assert_int_equal(back.size, segment_sample.size);
}

static void a_flipped_bit_anywhere_in_a_segment_header_is_found(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_HEADER_SIZE];
    segment_header_encode(block, &segment_sample);
    struct segment_header back;
    for (size_t at = 0; at < sizeof(block); at++)
        for (int bit = 0; bit < 8; bit++) {
            block[at] ^= (uint8_t)(1 << bit);
            assert_int_equal(segment_header_decode(block, &back), ERR_CORRUPT);
            block[at] ^= (uint8_t)(1 << bit);
        }
}

static void another_version_is_told_apart_from_damage(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_HEADER_SIZE];
    struct segment_header back;
    segment_header_encode(block, &segment_sample);
    put_u32(block + 8, SEGMENT_VERSION + 1);
    assert_int_equal(segment_header_decode(block, &back), ERR_CORRUPT);
    put_u64(block + 40, hash_check(slice_of(block, 40)));
    assert_int_equal(segment_header_decode(block, &back), ERR_VERSION);
}

static void a_segment_header_of_impossible_values_is_refused(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_HEADER_SIZE];
    struct segment_header back;
    static const uint32_t sizes[] = {0, 4096, SEGMENT_SIZE_MIN - 4096, SEGMENT_SIZE_MIN + 1,
                                     2 * SEGMENT_SIZE_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        segment_header_encode(block, &segment_sample);
        put_u32(block + 12, sizes[i]);
        put_u64(block + 40, hash_check(slice_of(block, 40)));
        assert_int_equal(segment_header_decode(block, &back), ERR_CORRUPT);
    }
    segment_header_encode(block, &segment_sample);
    put_u64(block + 32, 0);
    put_u64(block + 40, hash_check(slice_of(block, 40)));
    assert_int_equal(segment_header_decode(block, &back), ERR_CORRUPT);
}

/* ---- Frames ---- */

#define OFF 8192

static struct frame_header sample_header(uint32_t size)
{
    return (struct frame_header){
        .epoch = 99,
        .sequence = 1000,
        .durable = 998,
        .first_index = 5001,
        .term = 3,
        .size = size,
        .count = 2,
        .nth = 4,
        .kind = FRAME_ENTRIES,
    };
}

/* Two entries of 5 and 300 bytes. */
static struct frame *sample_frame(void)
{
    struct frame *frame = frame_new(400);
    assert_non_null(frame);
    static const size_t sizes[] = {5, 300};
    for (size_t i = 0; i < 2; i++) {
        frame_put_entry_header(frame, frame->size, sizes[i], ENTRY_COMMAND);
        memset(frame->data + frame->size + ENTRY_HEADER_SIZE, 'a' + (int)i, sizes[i]);
        frame->size += ENTRY_HEADER_SIZE + sizes[i];
    }
    frame->entry_count = 2;
    frame->first_index = 5001;
    frame->term = 3;
    struct frame_header header = sample_header((uint32_t)frame->size);
    frame_header_encode(frame->data, &header, OFF);
    return frame;
}

static int verify(const uint8_t *data, uint64_t off)
{
    struct frame_header header;
    int rc = frame_header_decode(data, 4096, &header);
    return rc != 0 ? rc : frame_verify(data, &header, off);
}

static void a_frame_reads_back(void **state)
{
    (void)state;
    struct frame *frame = sample_frame();
    struct frame_header header;
    assert_int_equal(frame_header_decode(frame->data, 4096, &header), 0);
    assert_int_equal(frame_verify(frame->data, &header, OFF), 0);
    struct frame_header want = sample_header((uint32_t)frame->size);
    assert_memory_equal(&header, &want, sizeof(want));
    assert_true(frame_padding_is_clean(frame->data, header.size));

    size_t at = FRAME_HEADER_SIZE;
    struct log_entry entry;
    assert_true(frame_next_entry(frame, &at, 0, &entry));
    assert_int_equal(entry.index, 5001);
    assert_int_equal(entry.term, 3);
    assert_true(slice_is(entry.payload, "aaaaa"));
    assert_true(frame_next_entry(frame, &at, 1, &entry));
    assert_int_equal(entry.index, 5002);
    assert_int_equal(entry.payload.len, 300);
    assert_false(frame_next_entry(frame, &at, 2, &entry));
    assert_int_equal(at, frame->size);
    frame_unref(frame);
}

static void a_flipped_bit_anywhere_in_a_frame_is_found(void **state)
{
    (void)state;
    struct frame *frame = sample_frame();
    for (size_t at = 0; at < frame_room(frame->size); at++)
        for (int bit = 0; bit < 8; bit++) {
            frame->data[at] ^= (uint8_t)(1 << bit);
            if (at < frame->size)
                assert_int_equal(verify(frame->data, OFF), ERR_TORN);
            else
                assert_false(frame_padding_is_clean(frame->data, (uint32_t)frame->size));
            frame->data[at] ^= (uint8_t)(1 << bit);
        }
    frame_unref(frame);
}

static void a_frame_is_bound_to_its_place_and_use(void **state)
{
    (void)state;
    struct frame *frame = sample_frame();
    assert_int_equal(verify(frame->data, OFF), 0);
    assert_int_equal(verify(frame->data, OFF + 4096), ERR_TORN);
    put_u64(frame->data + 16, 98);
    assert_int_equal(verify(frame->data, OFF), ERR_TORN);
    /* Also when the sum over the bytes is put right for them alone. */
    struct frame_header header = sample_header((uint32_t)frame->size);
    header.epoch = 98;
    frame_header_encode(frame->data, &header, OFF);
    assert_int_equal(verify(frame->data, OFF), 0);
    assert_int_equal(verify(frame->data, 0), ERR_TORN);
    frame_unref(frame);
}

/* Gives damaged bytes the right check. */
static void seal(uint8_t *data)
{
    uint32_t size = get_u32(data + 8);
    put_u64(data, hash_check(slice_of(data + 8, size - 8)) ^ hash_mix(get_u64(data + 16), OFF));
}

static void a_frame_that_checks_and_makes_no_sense_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {
        {12, 0},                                  /* no such kind */
        {12, 6},           {12, FRAME_HARDSTATE}, /* not its payload, and it has no entries */
        {12, FRAME_VOUCH}, {12, FRAME_OPEN},      /* not the first of its segment */
        {13, 1},                                  /* reserved */
        {15, 1},           {56, 1},               /* fewer entries than bytes */
        {56, 3},           {56, 0},
        {60, 0},                    /* the first of its segment must be OPEN */
        {64, 6},                    /* an entry's size */
        {65, 200},         {68, 0}, /* an entry's type */
        {68, 4},           {69, 1}, /* reserved */
        {64 + 8 + 5, 45},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct frame *frame = sample_frame();
        frame->data[rows[i].at] = rows[i].value;
        seal(frame->data);
        assert_int_equal(verify(frame->data, OFF), ERR_CORRUPT);
        frame_unref(frame);
    }
    struct frame *frame = sample_frame();
    put_u64(frame->data + 32, 1000); /* vouches for itself */
    seal(frame->data);
    assert_int_equal(verify(frame->data, OFF), ERR_CORRUPT);
    put_u64(frame->data + 32, 998);
    put_u64(frame->data + 40, 0); /* an index begins at 1 */
    seal(frame->data);
    assert_int_equal(verify(frame->data, OFF), ERR_CORRUPT);
    put_u64(frame->data + 40, UINT64_C(1) << 63);
    seal(frame->data);
    assert_int_equal(verify(frame->data, OFF), ERR_CORRUPT);
    put_u64(frame->data + 40, 1);
    seal(frame->data);
    assert_int_equal(verify(frame->data, OFF), 0);
    put_u64(frame->data + 24, UINT64_C(1) << 63);
    seal(frame->data);
    assert_int_equal(verify(frame->data, OFF), ERR_CORRUPT);
    frame_unref(frame);
}

static void a_size_beyond_what_there_can_be_is_no_frame(void **state)
{
    (void)state;
    struct frame *frame = sample_frame();
    struct frame_header header;
    assert_int_equal(frame_header_decode(frame->data, 300, &header), ERR_TORN);
    put_u32(frame->data + 8, 63);
    assert_int_equal(frame_header_decode(frame->data, 4096, &header), ERR_TORN);
    memset(frame->data, 0, FRAME_HEADER_SIZE);
    assert_int_equal(frame_header_decode(frame->data, 4096, &header), ERR_TORN);
    frame_unref(frame);
}

static void an_open_payload_reads_back(void **state)
{
    (void)state;
    struct frame *frame = frame_new(400);
    struct open_payload payload = {
        .hard_state = {.term = 8, .vote = 2},
        .configuration_index = 77,
        .configuration = SLICE_LIT("three voters"),
    };
    open_payload_encode(frame->data + FRAME_HEADER_SIZE, &payload);
    struct frame_header header = sample_header(FRAME_HEADER_SIZE + OPEN_PAYLOAD_MIN_SIZE + 12);
    header.kind = FRAME_OPEN;
    header.count = 0;
    header.nth = 0;
    frame_header_encode(frame->data, &header, OFF);
    assert_int_equal(verify(frame->data, OFF), 0);
    struct open_payload back = frame_open_payload(frame->data, header.size);
    assert_int_equal(back.hard_state.term, 8);
    assert_int_equal(back.hard_state.vote, 2);
    assert_int_equal(back.configuration_index, 77);
    assert_true(slice_is(back.configuration, "three voters"));
    frame_unref(frame);
}

/* The bytes stand in files: frozen. */
static void the_format_never_changes(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_HEADER_SIZE];
    segment_header_encode(block, &segment_sample);
    assert_true(hash_check(slice_of(block, sizeof(block))) == UINT64_C(0x8313d98c85621152));
    struct frame *frame = sample_frame();
    assert_true(hash_check(slice_of(frame->data, 4096)) == UINT64_C(0x675c200184c26a41));
    frame_unref(frame);
}

/* ---- Names ---- */

static void names_are_exactly_twenty_digits(void **state)
{
    (void)state;
    char name[SEGMENT_NAME_SIZE];
    uint64_t number;
    bool is_temporary;
    segment_name_format(name, 17, false);
    assert_string_equal(name, "00000000000000000017.seg");
    assert_true(segment_name_parse(name, &number, &is_temporary));
    assert_true(number == 17 && !is_temporary);
    segment_name_format(name, INT64_MAX, true);
    assert_string_equal(name, "09223372036854775807.tmp");
    assert_true(segment_name_parse(name, &number, &is_temporary));
    assert_true(number == INT64_MAX && is_temporary);

    static const char *const others[] = {"",
                                         "17.seg",
                                         "0000000000000000001.seg",
                                         "000000000000000000017.seg",
                                         "x0000000000000000017.seg",
                                         "00000000000000000017.sega",
                                         "00000000000000000017",
                                         "09223372036854775808.seg",
                                         "18446744073709551617.seg",
                                         "99999999999999999999.seg",
                                         "00000000000000000017.SEG",
                                         "00000000000000000017.seg.bak",
                                         "+0000000000000000017.seg"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        assert_false(segment_name_parse(others[i], &number, &is_temporary));
}

/* ---- The frame as a growing buffer ---- */

static void a_frame_grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    struct frame *frame = frame_new(0);
    assert_non_null(frame);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(frame_reserve(frame, 4), 0);
        put_u32(frame->data + frame->size, i);
        frame->size += 4;
        assert_true(frame->size <= frame->cap && is_aligned(frame->cap, FRAME_ALIGN));
        assert_true(is_aligned((uintptr_t)frame->data, FRAME_ALIGN));
    }
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(get_u32(frame->data + FRAME_HEADER_SIZE + 4 * i), i);
    assert_true(frame_reserve(frame, SIZE_MAX) < 0);
    assert_true(frame_reserve(frame, (size_t)1 << 31) < 0);
    assert_null(frame_new(SIZE_MAX));
    struct frame *again = frame_ref(frame);
    frame_unref(frame);
    assert_int_equal(get_u32(again->data + FRAME_HEADER_SIZE + 4), 1);
    frame_unref(again);
    frame_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_header_reads_back),
        cmocka_unit_test(a_flipped_bit_anywhere_in_a_segment_header_is_found),
        cmocka_unit_test(another_version_is_told_apart_from_damage),
        cmocka_unit_test(a_segment_header_of_impossible_values_is_refused),
        cmocka_unit_test(a_frame_reads_back),
        cmocka_unit_test(a_flipped_bit_anywhere_in_a_frame_is_found),
        cmocka_unit_test(a_frame_is_bound_to_its_place_and_use),
        cmocka_unit_test(a_frame_that_checks_and_makes_no_sense_is_corrupt),
        cmocka_unit_test(a_size_beyond_what_there_can_be_is_no_frame),
        cmocka_unit_test(an_open_payload_reads_back),
        cmocka_unit_test(the_format_never_changes),
        cmocka_unit_test(names_are_exactly_twenty_digits),
        cmocka_unit_test(a_frame_grows_and_keeps_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
