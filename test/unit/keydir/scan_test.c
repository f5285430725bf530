/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "keydir/keydir_internal.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "unit/keydir/rows.h"

#define STAYING  500
#define CHANGING 6000

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

/* How often each number was visited. */
struct tally {
    const struct keydir *dir;
    uint32_t seen[STAYING + CHANGING];
    size_t visits;
};

static void note(void *ctx, const struct row *row)
{
    struct tally *tally = ctx;
    uint64_t number = row_number(row);
    assert_true(number < STAYING + CHANGING);
    assert_ptr_equal(find_key(tally->dir, row_key(row)), row);
    tally->seen[number]++;
    tally->visits++;
}

static struct tally *tally_new(const struct keydir *dir)
{
    struct tally *tally = mem_calloc(1, sizeof(*tally));
    tally->dir = dir;
    return tally;
}

static void an_empty_table_is_scanned_in_one_call(void **state)
{
    struct fixture *f = *state;
    struct tally *tally = tally_new(f->dir);
    assert_int_equal(keydir_scan(f->dir, 0, note, tally), 0);
    assert_int_equal(tally->visits, 0);
    assert_null(keydir_random(f->dir, 1));
    mem_free(tally);
}

static void a_still_table_shows_each_row_once(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 1; n <= 3000; n++) {
        put_number(f->dir, n);
        if (n % 97 != 0 && n > 20)
            continue;
        struct tally *tally = tally_new(f->dir);
        uint64_t cursor = 0;
        uint64_t calls = 0;
        do {
            uint64_t next = keydir_scan(f->dir, cursor, note, tally);
            assert_true(next == 0 || (next > cursor && next < UINT64_C(1) << 48));
            cursor = next;
            calls++;
        } while (cursor != 0);
        assert_int_equal(calls, table_bucket_count(f->dir));
        assert_int_equal(tally->visits, n);
        for (uint64_t i = 1; i <= n; i++)
            assert_int_equal(tally->seen[i], 1);
        mem_free(tally);
    }
}

/* Inserts or removes some of the changing keys, towards what `is_growing` says. */
static void change_some(struct keydir *dir, bool *present, struct random *random, bool is_growing)
{
    for (uint64_t i = random_below(random, 200); i > 0; i--) {
        uint64_t n = STAYING + random_below(random, CHANGING);
        bool is_wanted = random_below(random, 10) != 0 ? is_growing : !is_growing;
        if (is_wanted && !present[n])
            put_number(dir, n);
        else if (!is_wanted && present[n])
            assert_true(del_number(dir, n));
        present[n] = is_wanted;
    }
}

/* The guarantee, and more: what stays is visited once, whatever the table does between calls. */
static void scan_while_changing(struct fixture *f, struct random *random)
{
    bool *present = mem_calloc(STAYING + CHANGING, sizeof(*present));
    bool is_growing = true;
    for (uint64_t n = 0; n < STAYING; n++)
        put_number(f->dir, n);
    for (int scan = 0; scan < 60; scan++) {
        struct tally *tally = tally_new(f->dir);
        uint64_t pace = 1 + random_below(random, 20);
        uint64_t cursor = 0;
        do {
            if (random_below(random, pace) == 0)
                change_some(f->dir, present, random, is_growing);
            if (random_below(random, 30 * pace) == 0)
                is_growing = !is_growing;
            cursor = keydir_scan(f->dir, cursor, note, tally);
            (void)keydir_collect(f->dir, 1000);
        } while (cursor != 0);
        for (uint64_t n = 0; n < STAYING; n++)
            assert_int_equal(tally->seen[n], 1);
        mem_free(tally);
        keydir_check(f->dir);
        is_growing = !is_growing;
    }
    mem_free(present);
}

static void what_stays_is_visited_while_the_table_changes(void **state)
{
    struct fixture *f = *state;
    struct random random = {.state = random_seed()};
    scan_while_changing(f, &random);
}

/* From the smallest to the largest table and back within one scan. */
static void one_scan_over_a_thousandfold_change(void **state)
{
    struct fixture *f = *state;
    struct tally *tally = tally_new(f->dir);
    put_number(f->dir, 0);
    for (uint64_t n = 1; n < 40; n++)
        put_number(f->dir, n);
    uint64_t cursor = keydir_scan(f->dir, 0, note, tally);
    for (uint64_t n = 40; n < STAYING + CHANGING; n++)
        put_number(f->dir, n);
    for (int i = 0; i < 333; i++)
        cursor = keydir_scan(f->dir, cursor, note, tally);
    for (uint64_t n = 40; n < STAYING + CHANGING; n++)
        assert_true(del_number(f->dir, n));
    while (cursor != 0)
        cursor = keydir_scan(f->dir, cursor, note, tally);
    for (uint64_t n = 0; n < 40; n++)
        assert_int_equal(tally->seen[n], 1);
    mem_free(tally);
}

static void any_cursor_is_borne(void **state)
{
    struct fixture *f = *state;
    struct random random = {.state = 5};
    struct tally *tally = tally_new(f->dir);
    for (uint64_t n = 0; n < 1000; n++)
        put_number(f->dir, n);
    for (int i = 0; i < 1000; i++) {
        uint64_t cursor = random_next(&random);
        uint64_t next = keydir_scan(f->dir, cursor, note, tally);
        assert_true(cursor < UINT64_C(1) << 48 ? next == 0 || next > cursor : next == 0);
        cursor >>= 16;
        next = keydir_scan(f->dir, cursor, note, tally);
        assert_true(next == 0 || next > cursor);
    }
    assert_int_equal(keydir_scan(f->dir, UINT64_C(1) << 48, note, tally), 0);
    assert_int_equal(keydir_scan(f->dir, UINT64_MAX, note, tally), 0);
    assert_int_equal(keydir_scan(f->dir, (UINT64_C(1) << 48) - 1, note, tally), 0);
    mem_free(tally);
}

static void count_visit(void *ctx, const struct row *row)
{
    (void)row;
    ++*(size_t *)ctx;
}

/* A chain longer than what is gathered at once. */
static void a_long_chain_is_visited_whole(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    for (uint64_t number = 0; count < 300; number++) {
        struct number_key key = number_key(number);
        if ((keydir_hash(f->dir, number_slice(&key)) & 0xff) != 0)
            continue;
        put_number(f->dir, number);
        count++;
    }
    assert_int_equal(chain_row_count(table_bucket(f->dir, 0)), 300);
    size_t visits = 0;
    uint64_t cursor = 0;
    do {
        cursor = keydir_scan(f->dir, cursor, count_visit, &visits);
    } while (cursor != 0);
    assert_int_equal(visits, 300);
}

static void visit_bucket_shows_the_whole_chain(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 0; n < 2000; n++)
        put_number(f->dir, n);
    for (uint64_t n = 0; n < 2000; n += 7) {
        struct number_key key = number_key(n);
        uint64_t hash = keydir_hash(f->dir, number_slice(&key));
        struct tally *tally = tally_new(f->dir);
        keydir_visit_bucket(f->dir, hash, note, tally);
        assert_int_equal(tally->seen[n], 1);
        assert_int_equal(tally->visits, chain_row_count(table_head(f->dir, hash)));
        mem_free(tally);
    }
}

static void random_rows_are_nearly_uniform(void **state)
{
    struct fixture *f = *state;
    struct random random = {.state = 77};
    static const uint64_t sizes[] = {1, 2, 7, 8, 30, 500, 700, 900};
    uint64_t count = 0;
    for (size_t s = 0; s < 8; s++) {
        while (count < sizes[s])
            put_number(f->dir, count++);
        uint32_t *drawn = mem_calloc(count, sizeof(*drawn));
        for (uint64_t i = 0; i < 400 * count; i++)
            drawn[row_number(keydir_random(f->dir, random_next(&random)))]++;
        for (uint64_t n = 0; n < count; n++)
            assert_in_range(drawn[n], 300, 500);
        mem_free(drawn);
    }
}

/* Almost nothing left in a table that could not shrink as fast. */
static void random_finds_the_last_row(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 0; n < 1000; n++)
        put_number(f->dir, n);
    for (uint64_t n = 0; n < 999; n++) {
        assert_true(del_number(f->dir, n));
        assert_non_null(keydir_random(f->dir, n));
    }
    assert_int_equal(row_number(keydir_random(f->dir, 3)), 999);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_table_is_scanned_in_one_call),
        TEST(a_still_table_shows_each_row_once),
        TEST(what_stays_is_visited_while_the_table_changes),
        TEST(one_scan_over_a_thousandfold_change),
        TEST(any_cursor_is_borne),
        TEST(a_long_chain_is_visited_whole),
        TEST(visit_bucket_shows_the_whole_chain),
        TEST(random_rows_are_nearly_uniform),
        TEST(random_finds_the_last_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
