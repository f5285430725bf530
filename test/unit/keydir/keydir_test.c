/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/keydir.h"

#include "base/mem.h"
#include "support/cmocka.h"
#include "unit/keydir/rows.h"

struct fixture {
    struct epoch *epoch;
    struct keydir *dir;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.epoch = epoch_new();
    fixture.dir = keydir_new(fixture.epoch, 42);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keydir_free(f->dir);
    epoch_free(f->epoch);
    return 0;
}

static void what_is_put_is_found(void **state)
{
    struct fixture *f = *state;
    struct slice key = SLICE_LIT("name");
    assert_null(find_key(f->dir, key));
    struct row *row = hot_row(key, SLICE_LIT("value"));
    put_row(f->dir, row);
    assert_ptr_equal(find_key(f->dir, key), row);
    assert_ptr_equal(keydir_find_mine(f->dir, key, keydir_hash(f->dir, key)), row);
    assert_null(find_key(f->dir, SLICE_LIT("Name")));
    assert_null(keydir_find_mine(f->dir, SLICE_EMPTY, keydir_hash(f->dir, SLICE_EMPTY)));
    assert_int_equal(keydir_count(f->dir), 1);
    keydir_check(f->dir);
}

static void a_newer_row_takes_the_place_of_the_older(void **state)
{
    struct fixture *f = *state;
    struct slice key = SLICE_LIT("name");
    struct epoch_reader *reader = epoch_register(f->epoch);
    put_row(f->dir, hot_row(key, SLICE_LIT("old")));
    const struct row *old = find_key(f->dir, key);
    size_t old_bytes = row_bytes(old);
    size_t before = keydir_bytes(f->dir);
    put_row(f->dir, cold_row(key, 99));
    const struct row *row = find_key(f->dir, key);
    assert_false(row_is_hot(row));
    assert_int_equal(row_expire_at_ms(row), 99);
    assert_int_equal(keydir_count(f->dir), 1);
    assert_int_equal(keydir_expire_count(f->dir), 1);
    assert_int_equal(keydir_bytes(f->dir), before + row_bytes(row) - old_bytes);

    assert_int_equal(keydir_retired_bytes(f->dir), old_bytes);
    assert_false(keydir_collect(f->dir, 10));
    assert_true(slice_eq(row_value(old), SLICE_LIT("old")));
    assert_int_equal(keydir_retired_bytes(f->dir), old_bytes);
    epoch_quiescent(reader);
    assert_false(keydir_collect(f->dir, 10));
    assert_int_equal(keydir_retired_bytes(f->dir), 0);
    keydir_check(f->dir);
    epoch_unregister(reader);
}

static void the_mean_expiry_follows_every_change(void **state)
{
    struct fixture *f = *state;
    put_row(f->dir, cold_row(SLICE_LIT("a"), 1000000));
    put_row(f->dir, cold_row(SLICE_LIT("b"), 3000000));
    put_row(f->dir, cold_row(SLICE_LIT("c"), 0));
    assert_in_range(keydir_mean_expire_at_ms(f->dir), 2000000 - 64, 2000000);
    put_row(f->dir, cold_row(SLICE_LIT("a"), 5000000));
    assert_in_range(keydir_mean_expire_at_ms(f->dir), 4000000 - 64, 4000000);
    assert_true(del_key(f->dir, SLICE_LIT("b")));
    assert_in_range(keydir_mean_expire_at_ms(f->dir), 5000000 - 64, 5000000);
    assert_true(del_key(f->dir, SLICE_LIT("a")));
    assert_int_equal(keydir_mean_expire_at_ms(f->dir), 0);
}

static void what_is_removed_is_gone(void **state)
{
    struct fixture *f = *state;
    size_t empty = keydir_bytes(f->dir);
    struct slice key = SLICE_LIT("name");
    assert_false(del_key(f->dir, key));
    put_row(f->dir, cold_row(key, 5));
    assert_true(keydir_bytes(f->dir) > empty);
    assert_true(del_key(f->dir, key));
    assert_null(find_key(f->dir, key));
    assert_false(del_key(f->dir, key));
    assert_int_equal(keydir_count(f->dir), 0);
    assert_int_equal(keydir_expire_count(f->dir), 0);
    assert_int_equal(keydir_mean_expire_at_ms(f->dir), 0);
    assert_int_equal(keydir_bytes(f->dir), empty);
    assert_true(keydir_retired_bytes(f->dir) > 0);
    keydir_check(f->dir);
}

static void keys_of_any_length(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = mem_calloc(1, ROW_MAX_KEY);
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 240, 241, 4096, ROW_MAX_KEY - 1, ROW_MAX_KEY};
    for (size_t i = 0; i < 11; i++)
        put_row(f->dir, hot_row(slice_of(bytes, sizes[i]), slice_of(&sizes[i], sizeof(size_t))));
    assert_int_equal(keydir_count(f->dir), 11);
    for (size_t i = 0; i < 11; i++) {
        const struct row *row = find_key(f->dir, slice_of(bytes, sizes[i]));
        assert_non_null(row);
        assert_true(slice_eq(row_value(row), slice_of(&sizes[i], sizeof(size_t))));
    }
    assert_null(find_key(f->dir, slice_of(bytes, 3)));
    keydir_check(f->dir);
    mem_free(bytes);
}

static void large_values_count_in_full(void **state)
{
    struct fixture *f = *state;
    size_t before = keydir_bytes(f->dir);
    struct shared_value *value = shared_value_new(100000);
    memset(value->data, 1, 100000);
    put_row(f->dir, row_new(&(struct row_desc){.key = SLICE_LIT("big"),
                                               .shared = shared_value_ref(value)}));
    assert_true(keydir_bytes(f->dir) >= before + 100000);
    assert_true(del_key(f->dir, SLICE_LIT("big")));
    assert_true(keydir_retired_bytes(f->dir) >= 100000);
    assert_int_equal(keydir_bytes(f->dir), before);
    (void)keydir_collect(f->dir, 10);
    assert_int_equal(atomic_load(&value->ref_count), 1);
    shared_value_unref(value);
}

static void the_writer_changes_place_and_use(void **state)
{
    struct fixture *f = *state;
    struct slice key = SLICE_LIT("name");
    put_row(f->dir, cold_row(key, 0));
    struct row *mine = keydir_find_mine(f->dir, key, keydir_hash(f->dir, key));
    row_set_place(mine, place_of(PLACE_SHARED, 3, 4));
    const struct row *row = find_key(f->dir, key);
    assert_int_equal(place_off(row_place(row)), 4);
    row_set_lfu(row, 17);
    assert_int_equal(row_lfu(mine), 17);
}

/* Prefetching is a hint: it must bear every state of the table. */
static void prefetching_changes_nothing(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 3000; i++) {
        keydir_prefetch_bucket(f->dir, i * 0x9e3779b97f4a7c15ULL);
        keydir_prefetch_row(f->dir, i * 0x9e3779b97f4a7c15ULL);
        put_number(f->dir, i);
        struct number_key key = number_key(i);
        keydir_prefetch_bucket(f->dir, keydir_hash(f->dir, number_slice(&key)));
        keydir_prefetch_row(f->dir, keydir_hash(f->dir, number_slice(&key)));
    }
    keydir_check(f->dir);
}

static void another_seed_is_another_order(void **state)
{
    struct fixture *f = *state;
    struct keydir *other = keydir_new(f->epoch, 43);
    assert_true(keydir_hash(f->dir, SLICE_LIT("a")) != keydir_hash(other, SLICE_LIT("a")));
    keydir_free(other);
}

static void it_is_freed_in_steps(void **state)
{
    struct fixture *f = *state;
    struct keydir *dir = keydir_new(f->epoch, 1);
    for (uint64_t i = 0; i < 10000; i++)
        put_number(dir, i);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(del_number(dir, i));
    size_t calls = 1;
    size_t before = keydir_count(dir);
    while (keydir_free_step(dir, 100, NULL, NULL)) {
        assert_true(keydir_count(dir) + 200 >= before);
        before = keydir_count(dir);
        calls++;
    }
    assert_in_range(calls, 90, 200);
    keydir_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_found),
        TEST(a_newer_row_takes_the_place_of_the_older),
        TEST(what_is_removed_is_gone),
        TEST(keys_of_any_length),
        TEST(the_mean_expiry_follows_every_change),
        TEST(large_values_count_in_full),
        TEST(the_writer_changes_place_and_use),
        TEST(prefetching_changes_nothing),
        TEST(another_seed_is_another_order),
        TEST(it_is_freed_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
