/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/keydir_internal.h"

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

static void collect_all(struct keydir *dir)
{
    while (keydir_collect(dir, 1000)) {
    }
}

static void every_size_up_and_down_is_sound(void **state)
{
    struct fixture *f = *state;
    const uint64_t most = 1500;
    for (uint64_t n = 0; n < most; n++) {
        uint64_t before = table_bucket_count(f->dir);
        put_number(f->dir, n);
        assert_true(table_bucket_count(f->dir) - before <= 1);
        keydir_check(f->dir);
    }
    for (uint64_t n = 0; n < most; n++) {
        assert_non_null(find_number(f->dir, n));
        uint64_t before = table_bucket_count(f->dir);
        assert_true(del_number(f->dir, n));
        assert_true(before - table_bucket_count(f->dir) <= 1);
        assert_null(find_number(f->dir, n));
        keydir_check(f->dir);
    }
    assert_int_equal(table_bucket_count(f->dir), 1);
    assert_int_equal(keydir_bytes(f->dir), sizeof(struct keydir) + BUCKET_SIZE);
    collect_all(f->dir);
    assert_int_equal(keydir_retired_bytes(f->dir), 0);
}

/* Between growing and shrinking lies a wide band, so that a table near a limit does not go to and
 * fro with every change. */
static void it_does_not_flutter(void **state)
{
    struct fixture *f = *state;
    uint64_t count = 0;
    while (table_bucket_count(f->dir) < 64)
        put_number(f->dir, count++);
    put_number(f->dir, count);
    uint64_t buckets = table_bucket_count(f->dir);
    for (int i = 0; i < 100; i++) {
        assert_true(del_number(f->dir, count));
        put_number(f->dir, count);
        assert_int_equal(table_bucket_count(f->dir), buckets);
    }
    for (uint64_t n = count; n > count / 3; n--)
        assert_true(del_number(f->dir, n));
    assert_int_equal(table_bucket_count(f->dir), buckets);
}

/* What is counted for the table, at every stage of a doubling: the bars are 56 bytes and the key
 * without expiry, and 80 with, less the 10 that an index of what is due will need. */
static void check_bar(struct keydir *dir, uint64_t expire_at_ms, size_t bar)
{
    for (uint64_t n = 0; n < 70000; n++) {
        struct number_key key = number_key(n);
        put_row(dir, cold_row(number_slice(&key), expire_at_ms));
        if (n > 10000 && n % 1000 == 0)
            assert_in_range(keydir_bytes(dir) / n, 40, bar + 16);
    }
}

static void cold_rows_stay_below_the_bar(void **state)
{
    struct fixture *f = *state;
#ifdef FERRIC_SANITIZED
    skip();
#endif
    check_bar(f->dir, 0, 56);
    struct keydir *dir = keydir_new(f->epoch, 43);
    check_bar(dir, 1, 80 - 10);
    keydir_free(dir);
}

/* Keys whose hashes agree in the low bits that `mask` covers. */
static uint64_t next_colliding(const struct keydir *dir, uint64_t number, uint64_t mask)
{
    for (;; number++) {
        struct number_key key = number_key(number);
        if ((keydir_hash(dir, number_slice(&key)) & mask) == 0)
            return number;
    }
}

static void colliding_keys_make_one_long_chain(void **state)
{
    struct fixture *f = *state;
    uint64_t numbers[600];
    uint64_t number = 0;
    for (size_t i = 0; i < 600; i++) {
        numbers[i] = next_colliding(f->dir, number, 0x3ff);
        number = numbers[i] + 1;
        put_number(f->dir, numbers[i]);
        if (i % 50 == 0)
            keydir_check(f->dir);
    }
    assert_int_equal(chain_row_count(table_bucket(f->dir, 0)), 600);
    for (size_t i = 0; i < 600; i += 2)
        assert_true(del_number(f->dir, numbers[i]));
    keydir_check(f->dir);
    for (size_t i = 0; i < 600; i++)
        assert_int_equal(find_number(f->dir, numbers[i]) != NULL, i % 2 == 1);
    for (size_t i = 1; i < 600; i += 2)
        assert_true(del_number(f->dir, numbers[i]));
    keydir_check(f->dir);
    assert_int_equal(keydir_bytes(f->dir), sizeof(struct keydir) + BUCKET_SIZE);
}

/* Same bucket and same tag: only the key itself tells them apart. */
static void equal_tags_are_told_apart_by_the_key(void **state)
{
    struct fixture *f = *state;
    uint64_t mask = UINT64_C(0xffff) << TAG_SHIFT;
    uint64_t numbers[12];
    uint64_t number = 0;
    for (size_t i = 0; i < 12; i++) {
        numbers[i] = next_colliding(f->dir, number, mask);
        number = numbers[i] + 1;
        assert_null(find_number(f->dir, numbers[i]));
        put_number(f->dir, numbers[i]);
    }
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(row_number(find_number(f->dir, numbers[i])), numbers[i]);
    for (size_t i = 0; i < 12; i++) {
        assert_true(del_number(f->dir, numbers[i]));
        assert_null(find_number(f->dir, numbers[i]));
        keydir_check(f->dir);
    }
}

static void indices_follow_the_hash(void **state)
{
    (void)state;
    for (uint64_t count = 1; count < 200; count++) {
        for (uint64_t hash = 0; hash < 300; hash++) {
            uint64_t idx = bucket_idx(count, hash);
            assert_true(idx < count);
            uint64_t grown = bucket_idx(count + 1, hash);
            uint64_t parent = count - (UINT64_C(1) << log2_floor(count));
            assert_true(grown == idx || (grown == count && idx == parent));
        }
    }
    assert_int_equal(bucket_idx(BUCKET_COUNT_MAX, UINT64_MAX), 0x7fffffff);
    assert_int_equal(bucket_idx(BUCKET_COUNT_MAX, UINT64_MAX - 1), 0xfffffffe);
    for (uint64_t idx = 0; idx < 5000; idx++) {
        unsigned c = chunk_of(idx);
        assert_true(idx >= chunk_start(c) && idx < chunk_start(c + 1));
    }
    assert_int_equal(chunk_of(BUCKET_COUNT_MAX - 1), CHUNK_COUNT - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_size_up_and_down_is_sound),      TEST(it_does_not_flutter),
        TEST(cold_rows_stay_below_the_bar),         TEST(colliding_keys_make_one_long_chain),
        TEST(equal_tags_are_told_apart_by_the_key), TEST(indices_follow_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
