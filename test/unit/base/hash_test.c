/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "support/cmocka.h"

static uint16_t crc16_by_bits(struct slice bytes)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint16_t)(bytes.data[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0));
    }
    return crc;
}

static void crc16_is_xmodem(void **state)
{
    (void)state;
    assert_int_equal(hash_crc16(SLICE_LIT("123456789")), 0x31c3);
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(hash_crc16(slice_of(&byte, 1)), crc16_by_bits(slice_of(&byte, 1)));
    }
}

static void slots_follow_the_tag(void **state)
{
    (void)state;
    assert_int_equal(hash_slot(SLICE_LIT("foo")), 12182);
    assert_int_equal(hash_slot(SLICE_LIT("")), 0);
    uint16_t tagged = hash_slot(SLICE_LIT("user1000"));
    assert_int_equal(hash_slot(SLICE_LIT("{user1000}.following")), tagged);
    assert_int_equal(hash_slot(SLICE_LIT("x{user1000}y{other}")), tagged);
    struct slice empty_tag = SLICE_LIT("foo{}{bar}");
    assert_int_equal(hash_slot(empty_tag), hash_crc16(empty_tag) & (SLOT_COUNT - 1));
    struct slice open_only = SLICE_LIT("foo{bar");
    assert_int_equal(hash_slot(open_only), hash_crc16(open_only) & (SLOT_COUNT - 1));
}

static void checksums_never_change(void **state)
{
    (void)state;
    /* They stand in files: these values are frozen. */
    assert_true(hash_check(SLICE_LIT("ferric")) == UINT64_C(0x5c066ebbe34b95ae));
    assert_true(hash_mix(1, 2) == UINT64_C(0xf8f76353b6d877c5));
    assert_true(hash_check2(SLICE_LIT("fer"), SLICE_LIT("ric")) == hash_check(SLICE_LIT("ferric")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc16_is_xmodem),
        cmocka_unit_test(slots_follow_the_tag),
        cmocka_unit_test(checksums_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
