/* SPDX-License-Identifier: Apache-2.0 */
#include "command/keys/rdb.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/num.h"
#include "support/cmocka.h"
#include "support/commandbench.h"
#include "support/random.h"

static void the_checksum_is_that_of_redis(void **state)
{
    (void)state;
    assert_int_equal(rdb_crc64(SLICE_LIT("123456789")), UINT64_C(0xe9c6d914c4b8d9ca));
    assert_int_equal(rdb_crc64(SLICE_EMPTY), 0);
}

/* Many bytes go another way than few: cut at any place they must agree with one byte at a time. */
static void the_checksum_of_many_bytes_is_the_same(void **state)
{
    (void)state;
    struct random random = {.state = random_seed()};
    uint8_t bytes[3001];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)random_next(&random);
    for (size_t len = 1000; len <= sizeof(bytes); len += 7) {
        uint64_t crc = 0;
        for (size_t i = 0; i < len; i++) {
            crc ^= bytes[i];
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? crc >> 1 ^ UINT64_C(0x95ac9329ac4bc9b5) : crc >> 1;
        }
        assert_int_equal(rdb_crc64(slice_of(bytes, len)), crc);
    }
}

/* What valkey 8.0.1 has written. */
static void strings_are_written_as_by_redis(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 1 -> +OK\n"
        "DUMP a -> \"\\x00\\xc0\\x01\\x0b\\x00O\\xa7Z\\xc5,\\x9e\\xf8u\"\n"
        "DUMP nothing -> nil\n"
        "DUMP -> -ERR wrong number of arguments for 'dump' command\n");
}

static void give_footer(struct buf *payload)
{
    put_u16(buf_extend(payload, 2), RDB_VERSION);
    put_u64(buf_extend(payload, 8), rdb_crc64(buf_slice(payload)));
}

/* What a body of these bytes is read as; the caller frees `out`. */
static int read_body(struct slice body, struct buf *out)
{
    struct buf payload = {0};
    uint8_t type;
    buf_append_slice(&payload, body);
    give_footer(&payload);
    int rc = rdb_get_string(buf_slice(&payload), out, &type);
    buf_fini(&payload);
    return rc;
}

static void expect_body(struct slice body, struct slice want)
{
    struct buf out = {0};
    assert_int_equal(read_body(body, &out), 0);
    assert_true(slice_eq(buf_slice(&out), want));
    buf_fini(&out);
}

static void expect_refused(struct slice body, int rc)
{
    struct buf out = {0};
    assert_int_equal(read_body(body, &out), rc);
    buf_fini(&out);
}

static void all_forms_are_read(void **state)
{
    (void)state;
    expect_body(SLICE_LIT("\x00\x03"
                          "abc"),
                SLICE_LIT("abc"));
    expect_body(SLICE_LIT("\x00\x40\x03"
                          "abc"),
                SLICE_LIT("abc"));
    expect_body(SLICE_LIT("\x00\x80\x00\x00\x00\x03"
                          "abc"),
                SLICE_LIT("abc"));
    expect_body(SLICE_LIT("\x00\x81\x00\x00\x00\x00\x00\x00\x00\x03"
                          "abc"),
                SLICE_LIT("abc"));
    expect_body(SLICE_LIT("\x00\xc0\xff"), SLICE_LIT("-1"));
    expect_body(SLICE_LIT("\x00\xc1\x00\x80"), SLICE_LIT("-32768"));
    expect_body(SLICE_LIT("\x00\xc2\xff\xff\xff\x7f"), SLICE_LIT("2147483647"));
    /* LZF: "a" as it is, then nine more by repeating what is one back, seven more the long way. */
    expect_body(SLICE_LIT("\x00\xc3\x05\x0a\x00"
                          "a\xe0\x00\x00"),
                SLICE_LIT("aaaaaaaaaa"));
    expect_body(SLICE_LIT("\x00\xc3\x04\x04\x00"
                          "a\x20\x00"),
                SLICE_LIT("aaaa"));
}

static void broken_payloads_are_refused(void **state)
{
    (void)state;
    expect_refused(SLICE_EMPTY, ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x01\x00"), ERR_NOT_FOUND);
    expect_refused(SLICE_LIT("\x00\x04"
                             "abc"),
                   ERR_CORRUPT); /* too short */
    expect_refused(SLICE_LIT("\x00\x02"
                             "abc"),
                   ERR_CORRUPT); /* too long */
    expect_refused(SLICE_LIT("\x00\x82"), ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc4"), ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc1\x00"), ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_CORRUPT);
    /* Compressed: reaches before the start, ends early, says too much, says what cannot be. */
    expect_refused(SLICE_LIT("\x00\xc3\x04\x04\x00"
                             "a\x20\x01"),
                   ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc3\x04\x05\x00"
                             "a\x20\x00"),
                   ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc3\x04\x03\x00"
                             "a\x20\x00"),
                   ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc3\x04\x81\x00\x00\x00\x00\x10\x00\x00\x00\x00"
                             "a\x20\x00"),
                   ERR_CORRUPT);
    expect_refused(SLICE_LIT("\x00\xc3\xc0\x01\x04"), ERR_CORRUPT);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 11, 12, 44, 63, 64, 65, 16383, 16384, 70000};
    struct random random = {.state = random_seed()};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct buf value = {0};
        struct buf payload = {0};
        struct buf out = {0};
        uint8_t type;
        for (size_t j = 0; j < sizes[i]; j++)
            buf_append_byte(&value, (uint8_t)random_next(&random));
        rdb_put_string(&payload, buf_slice(&value));
        assert_int_equal(payload.len, rdb_string_size(buf_slice(&value)) + 11);
        assert_int_equal(rdb_get_string(buf_slice(&payload), &out, &type), 0);
        assert_true(slice_eq(buf_slice(&out), buf_slice(&value)));
        /* Any one byte changed is noticed. */
        size_t at = random_next(&random) % payload.len;
        payload.data[at] ^= 0x10;
        assert_int_equal(rdb_get_string(buf_slice(&payload), &out, &type), ERR_VERSION);
        buf_fini(&value);
        buf_fini(&payload);
        buf_fini(&out);
    }
}

static void integers_of_all_sizes_come_back(void **state)
{
    (void)state;
    static const int64_t numbers[] = {
        0,         1,        -1,     127,    128,       -128,      -129,
        32767,     32768,    -32768, -32769, INT32_MAX, INT32_MIN, INT32_MAX + INT64_C(1),
        INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        char text[NUM_I64_SIZE];
        struct slice value = slice_of(text, num_format_i64(text, numbers[i]));
        struct buf payload = {0};
        struct buf out = {0};
        uint8_t type;
        rdb_put_string(&payload, value);
        assert_int_equal(rdb_get_string(buf_slice(&payload), &out, &type), 0);
        assert_true(slice_eq(buf_slice(&out), value));
        buf_fini(&payload);
        buf_fini(&out);
    }
}

#define ONE "\"\\x00\\xc0\\x01\\x0b\\x00O\\xa7Z\\xc5,\\x9e\\xf8u\""

static void restore_makes_a_key(void **state)
{
    (void)state;
    commandbench_play("RESTORE a 0 " ONE
                      " -> +OK\n"
                      "GET a -> \"1\"\n"
                      "TTL a -> :-1\n"
                      "RESTORE a 0 " ONE
                      " -> -BUSYKEY Target key name already exists.\n"
                      "RESTORE a 5000 " ONE
                      " REPLACE -> +OK\n"
                      "PTTL a -> :5000\n"
                      "RESTORE b 1 " ONE
                      " ABSTTL -> +OK\n"
                      "EXISTS b -> :0\n"
                      "RESTORE a 1 " ONE
                      " ABSTTL REPLACE -> +OK\n"
                      "EXISTS a -> :0\n"
                      "RESTORE a 9223372036854775807 " ONE
                      " -> +OK\n"
                      "EXISTS a -> :1\n"
                      "DEL a -> :1\n"
                      "RESTORE a 0 " ONE
                      " IDLETIME 1000 -> +OK\n"
                      "OBJECT IDLETIME a -> :1000\n"
                      "RESTORE a 0 " ONE
                      " REPLACE FREQ 77 -> +OK\n"
                      "OBJECT FREQ a -> :77\n");
}

static void restore_refuses(void **state)
{
    (void)state;
    commandbench_play(
        "RESTORE a 0 x -> -ERR DUMP payload version or checksum are wrong\n"
        "RESTORE a 0 \"\" -> -ERR DUMP payload version or checksum are wrong\n"
        "RESTORE a -1 " ONE
        " -> -ERR Invalid TTL value, must be >= 0\n"
        "RESTORE a x " ONE
        " -> -ERR value is not an integer or out of range\n"
        "RESTORE a 0 " ONE
        " IDLETIME -1 -> -ERR Invalid IDLETIME value, must be >= 0\n"
        "RESTORE a 0 " ONE
        " FREQ 256 -> -ERR Invalid FREQ value, must be >= 0 and <= 255\n"
        "RESTORE a 0 " ONE
        " FREQ x -> -ERR value is not an integer or out of range\n"
        "RESTORE a 0 " ONE
        " FREQ 1 IDLETIME 1 -> -ERR syntax error\n"
        "RESTORE a 0 " ONE
        " FREQ -> -ERR syntax error\n"
        "RESTORE a 0 " ONE
        " BAD -> -ERR syntax error\n"
        "RESTORE a 0 -> -ERR wrong number of arguments for 'restore' command\n"
        "EXISTS a -> :0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_that_of_redis),
        cmocka_unit_test(the_checksum_of_many_bytes_is_the_same),
        cmocka_unit_test(strings_are_written_as_by_redis),
        cmocka_unit_test(all_forms_are_read),
        cmocka_unit_test(broken_payloads_are_refused),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(integers_of_all_sizes_come_back),
        cmocka_unit_test(restore_makes_a_key),
        cmocka_unit_test(restore_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
