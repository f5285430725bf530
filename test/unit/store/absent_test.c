/* SPDX-License-Identifier: Apache-2.0 */
#include "store/absent.h"

#include "os/thread.h"
#include "support/cmocka.h"

#define ROUNDS 20000
#define HASH   0x1234567800000101u

static struct absent_keys *keys_of(void **state)
{
    static struct absent_keys keys; /* one test at a time */
    absent_init(&keys);
    *state = &keys;
    return &keys;
}

static void test_only_the_same_key_of_the_same_database_marks(void **state)
{
    struct absent_keys *keys = keys_of(state);
    struct absent_note note;
    absent_mark(keys, HASH, 3);
    absent_add(keys, &note, SLICE_LIT("k"), HASH, 3);
    assert_false(absent_has_appeared(&note));
    absent_mark(keys, HASH + ABSENT_SLOTS, 3); /* of the same slot */
    absent_mark(keys, HASH, 2);
    assert_false(absent_has_appeared(&note));
    absent_mark(keys, HASH, 3);
    assert_true(absent_has_appeared(&note));
    absent_remove(&note);
    absent_remove(&note);
    absent_fini(keys);
}

static void test_every_watcher_of_a_key_is_told(void **state)
{
    struct absent_keys *keys = keys_of(state);
    struct absent_note notes[3];
    for (size_t i = 0; i < ARRAY_COUNT(notes); i++)
        absent_add(keys, &notes[i], SLICE_LIT("k"), HASH, 0);
    absent_remove(&notes[1]);
    absent_mark(keys, HASH, 0);
    assert_true(absent_has_appeared(&notes[0]));
    assert_false(absent_has_appeared(&notes[1]));
    assert_true(absent_has_appeared(&notes[2]));
    absent_remove(&notes[0]);
    absent_remove(&notes[2]);
    absent_fini(keys);
}

static bool is_in_database(const void *ctx, const struct absent_note *note)
{
    return note->db == *(const uint16_t *)ctx;
}

static void test_a_swap_looks_at_all(void **state)
{
    struct absent_keys *keys = keys_of(state);
    struct absent_note notes[2];
    uint16_t there = 1;
    for (uint16_t i = 0; i < 2; i++)
        absent_add(keys, &notes[i], SLICE_LIT("k"), HASH + i, i);
    absent_mark_if(keys, is_in_database, &there);
    assert_false(absent_has_appeared(&notes[0]));
    assert_true(absent_has_appeared(&notes[1]));
    for (size_t i = 0; i < 2; i++)
        absent_remove(&notes[i]);
    absent_fini(keys);
}

static void keep_marking(void *ctx)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        absent_mark(ctx, HASH, 0);
}

/* For the sanitizers: an owner marks while watchers come and go. */
static void test_threads(void **state)
{
    struct absent_keys *keys = keys_of(state);
    struct thread owner = {0};
    assert_int_equal(thread_start(&owner, "owner", keep_marking, keys), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct absent_note note;
        absent_add(keys, &note, SLICE_LIT("k"), HASH, 0);
        (void)absent_has_appeared(&note);
        absent_remove(&note);
    }
    thread_join(&owner);
    absent_fini(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_same_key_of_the_same_database_marks),
        cmocka_unit_test(test_every_watcher_of_a_key_is_told),
        cmocka_unit_test(test_a_swap_looks_at_all),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
