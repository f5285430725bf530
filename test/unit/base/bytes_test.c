/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "support/cmocka.h"

static void reader_never_passes_the_end(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 0, 3, 0, 0, 0, 4};
    struct reader reader;
    reader_init(&reader, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(reader_u8(&reader), 1);
    assert_int_equal(reader_u16(&reader), 2);
    assert_int_equal(reader_u32(&reader), 3);
    assert_false(reader_is_done(&reader));
    assert_int_equal(reader_u64(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(reader_u8(&reader), 0);
    assert_int_equal(reader_bytes(&reader, 1).len, 0);
    assert_false(reader_is_done(&reader));
}

static void reader_takes_an_empty_input(void **state)
{
    (void)state;
    struct reader reader;
    reader_init(&reader, SLICE_EMPTY);
    assert_true(reader_is_done(&reader));
    assert_int_equal(reader_bytes(&reader, 0).len, 0);
    assert_true(reader_is_done(&reader));
}

static void zero_check_sees_every_byte(void **state)
{
    (void)state;
    uint8_t bytes[37] = {0};
    assert_true(bytes_are_zero(bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        assert_false(bytes_are_zero(bytes, sizeof(bytes)));
        bytes[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_never_passes_the_end),
        cmocka_unit_test(reader_takes_an_empty_input),
        cmocka_unit_test(zero_check_sees_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
