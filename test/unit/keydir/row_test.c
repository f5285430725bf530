/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/row.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"

static uint8_t filler[70000];

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (uint8_t)(i * 31 + 7);
    return 0;
}

static void check_parts(const struct row_desc *desc)
{
    struct row *row = row_new(desc);
    assert_non_null(row);
    assert_true(slice_eq(row_key(row), desc->key));
    assert_int_equal(row_expire_at_ms(row), desc->expire_at_ms);
    assert_int_equal(row_is_hot(row), desc->has_value);
    assert_int_equal(row->type, desc->type);
    assert_int_equal(row_version(row).word, desc->version.word);
    assert_int_equal(row_place(row).word, desc->place.word);
    assert_int_equal(row_lfu(row), desc->lfu);
    if (desc->has_value) {
        assert_true(slice_eq(row_value(row), desc->value));
        assert_int_equal(row->value_size, desc->value.len);
        assert_int_equal(row_shared(row) != NULL, desc->value.len > ROW_MAX_INLINE);
    } else {
        assert_int_equal(row->value_size, desc->value_size);
        assert_null(row_shared(row));
    }
    assert_true(row_bytes(row) >= ROW_HEADER_SIZE + desc->key.len + desc->value.len);
    row_free(row);
}

static void parts_come_back(void **state)
{
    (void)state;
    static const size_t keys[] = {0, 1, 16, 100, ROW_MAX_KEY};
    static const size_t values[] = {0, 1, 100, ROW_MAX_INLINE, ROW_MAX_INLINE + 1, 70000};
    for (size_t k = 0; k < 5; k++) {
        for (size_t v = 0; v < 6; v++) {
            struct row_desc desc = {
                .key = slice_of(filler, keys[k]),
                .value = slice_of(filler + 3, values[v] < 69000 ? values[v] : 69000),
                .has_value = true,
                .type = 9,
                .version = position_of(77, 5),
                .place = place_of(PLACE_SHARED, 12, 3456),
                .lfu = 0xabcdef,
            };
            check_parts(&desc);
            desc.expire_at_ms = UINT64_C(0x123456789a);
            check_parts(&desc);
            desc.has_value = false;
            desc.value = SLICE_EMPTY;
            desc.value_size = 4000000000U;
            check_parts(&desc);
            desc.expire_at_ms = 0;
            check_parts(&desc);
        }
    }
}

static void an_empty_key_may_be_no_pointer(void **state)
{
    (void)state;
    struct row *row =
        row_new(&(struct row_desc){.key = SLICE_EMPTY, .value = SLICE_EMPTY, .has_value = true});
    assert_int_equal(row_key(row).len, 0);
    assert_int_equal(row_value(row).len, 0);
    row_free(row);
    row_free(NULL);
}

static void a_shared_value_lives_as_long_as_its_last_share(void **state)
{
    (void)state;
    struct shared_value *value = shared_value_new(1000);
    memset(value->data, 'x', 1000);
    struct row_desc desc = {.key = SLICE_LIT("a"), .shared = value};
    struct row *first = row_new(&desc);
    desc.shared = shared_value_ref(value);
    desc.key = SLICE_LIT("b");
    struct row *second = row_new(&desc);
    assert_ptr_equal(row_shared(first), value);
    assert_ptr_equal(row_shared(second), value);
    assert_true(row_is_hot(first));
    assert_int_equal(row_value(first).len, 1000);
    assert_true(row_bytes(first) > 1000);

    struct shared_value *reply = shared_value_ref(row_shared(second));
    row_free(first);
    row_free(second);
    assert_int_equal(atomic_load(&reply->ref_count), 1);
    assert_int_equal(reply->data[999], 'x');
    shared_value_unref(reply);
    shared_value_unref(NULL);
}

static void place_and_use_change_in_place(void **state)
{
    (void)state;
    struct row *row = row_new(&(struct row_desc){.key = SLICE_LIT("k"), .value_size = 3});
    assert_int_equal(place_class(row_place(row)), PLACE_PENDING);
    row_set_place(row, place_of(PLACE_SHARED, 0x1fffffff, 0xfffffffe));
    assert_int_equal(place_class(row_place(row)), PLACE_SHARED);
    assert_int_equal(place_file_id(row_place(row)), 0x1fffffff);
    assert_int_equal(place_off(row_place(row)), 0xfffffffe);
    row_set_lfu(row, 0x00123456);
    assert_int_equal(row_lfu(row), 0x00123456);
    row_free(row);
}

static void positions_are_ordered_words(void **state)
{
    (void)state;
    struct position low = position_of(5, 65535);
    struct position high = position_of(6, 0);
    assert_true(low.word < high.word);
    assert_int_equal(position_index(low), 5);
    assert_int_equal(position_index(position_of((UINT64_C(1) << 48) - 1, 3)),
                     (UINT64_C(1) << 48) - 1);
}

/* The bars of memory rest on these: 48 bytes for a cold row with a key of 16, 64 with expiry. */
static void cold_rows_are_small(void **state)
{
    (void)state;
#ifdef FERRIC_SANITIZED
    skip();
#endif
    struct row_desc desc = {.key = slice_of(filler, 16), .value_size = 100};
    struct row *row = row_new(&desc);
    assert_int_equal(row_bytes(row), 48);
    row_free(row);
    desc.expire_at_ms = 1;
    row = row_new(&desc);
    assert_int_equal(row_bytes(row), 64);
    row_free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back),
        cmocka_unit_test(an_empty_key_may_be_no_pointer),
        cmocka_unit_test(a_shared_value_lives_as_long_as_its_last_share),
        cmocka_unit_test(place_and_use_change_in_place),
        cmocka_unit_test(positions_are_ordered_words),
        cmocka_unit_test(cold_rows_are_small),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
