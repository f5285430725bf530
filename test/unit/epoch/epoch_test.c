/* SPDX-License-Identifier: Apache-2.0 */
#include "epoch/epoch.h"

#include "support/cmocka.h"

struct counter {
    size_t freed;
    int *last;
};

static void count_free(void *ctx, void *object)
{
    struct counter *counter = ctx;
    counter->freed++;
    counter->last = object;
}

struct fixture {
    struct epoch *epoch;
    struct counter counter;
    struct epoch_bag *bag;
    int object;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.epoch = epoch_new()};
    fixture.bag = epoch_bag_new(fixture.epoch, count_free, &fixture.counter);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    epoch_bag_free(f->bag);
    epoch_free(f->epoch);
    return 0;
}

static void without_readers_it_is_freed_at_once(void **state)
{
    struct fixture *f = *state;
    epoch_retire(f->bag, &f->object, 10);
    assert_int_equal(f->counter.freed, 0);
    assert_int_equal(epoch_bag_bytes(f->bag), 10);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 1);
    assert_ptr_equal(f->counter.last, &f->object);
    assert_int_equal(epoch_bag_bytes(f->bag), 0);
}

static void an_online_reader_holds_it_until_quiescent(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *reader = epoch_register(f->epoch);
    epoch_quiescent(reader);
    epoch_retire(f->bag, &f->object, 10);
    for (int i = 0; i < 5; i++)
        assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 0);
    epoch_quiescent(reader);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 1);
    epoch_unregister(reader);
}

/* What counts is a quiescent state behind the sealing, not one between retiring and sealing:
 * the reader may not have met the unlinking yet. */
static void a_quiescent_state_before_the_seal_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *reader = epoch_register(f->epoch);
    epoch_retire(f->bag, &f->object, 10);
    epoch_quiescent(reader);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 0);
    epoch_unregister(reader);
}

static void every_reader_must_pass(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *readers[5];
    for (size_t i = 0; i < 5; i++)
        readers[i] = epoch_register(f->epoch);
    epoch_retire(f->bag, &f->object, 10);
    assert_false(epoch_collect(f->bag, 8));
    static const size_t order[] = {3, 0, 4, 1};
    for (size_t i = 0; i < 4; i++) {
        epoch_quiescent(readers[order[i]]);
        assert_false(epoch_collect(f->bag, 8));
        assert_int_equal(f->counter.freed, 0);
    }
    epoch_quiescent(readers[2]);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 1);
    for (size_t i = 0; i < 5; i++)
        epoch_unregister(readers[i]);
}

static void offline_and_unregistered_readers_hold_nobody_up(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *sleeping = epoch_register(f->epoch);
    struct epoch_reader *leaving = epoch_register(f->epoch);
    epoch_retire(f->bag, &f->object, 10);
    assert_false(epoch_collect(f->bag, 8));
    epoch_offline(sleeping);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 0);
    epoch_unregister(leaving);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 1);

    epoch_retire(f->bag, &f->object, 10);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 2);
    epoch_online(sleeping);
    epoch_retire(f->bag, &f->object, 10);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 2);
    epoch_unregister(sleeping);
}

static void a_late_reader_does_not_hold_older_batches(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *early = epoch_register(f->epoch);
    epoch_retire(f->bag, &f->object, 10);
    assert_false(epoch_collect(f->bag, 8));
    struct epoch_reader *late = epoch_register(f->epoch);
    epoch_quiescent(early);
    assert_false(epoch_collect(f->bag, 8));
    assert_int_equal(f->counter.freed, 1);
    epoch_unregister(early);
    epoch_unregister(late);
}

/* One loop: the owner is the only reader. */
static void a_lone_loop_frees_one_turn_later(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *reader = epoch_register(f->epoch);
    for (size_t turn = 0; turn < 10; turn++) {
        for (size_t i = 0; i < 100; i++)
            epoch_retire(f->bag, &f->object, 1);
        epoch_quiescent(reader);
        assert_false(epoch_collect(f->bag, 1000));
        assert_int_equal(f->counter.freed, turn * 100);
        assert_int_equal(epoch_bag_bytes(f->bag), 100);
    }
    epoch_offline(reader);
    assert_false(epoch_collect(f->bag, 1000));
    assert_int_equal(f->counter.freed, 1000);
    epoch_unregister(reader);
}

static void the_budget_bounds_a_turn(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 1000; i++)
        epoch_retire(f->bag, &f->object, 3);
    size_t calls = 1;
    while (epoch_collect(f->bag, 64)) {
        assert_int_equal(f->counter.freed, calls * 64);
        assert_int_equal(epoch_bag_bytes(f->bag), (1000 - calls * 64) * 3);
        calls++;
    }
    assert_int_equal(calls, 16);
    assert_int_equal(f->counter.freed, 1000);
    assert_false(epoch_collect(f->bag, 0));
}

static void objects_are_freed_in_order(void **state)
{
    struct fixture *f = *state;
    int objects[200];
    struct epoch_reader *reader = epoch_register(f->epoch);
    for (size_t i = 0; i < 200; i++) {
        epoch_retire(f->bag, &objects[i], 1);
        if (i % 7 == 0)
            (void)epoch_collect(f->bag, 1);
        if (i % 31 == 0)
            epoch_quiescent(reader);
    }
    epoch_unregister(reader);
    while (f->counter.freed < 200) {
        size_t before = f->counter.freed;
        (void)epoch_collect(f->bag, 1);
        assert_int_equal(f->counter.freed, before + 1);
        assert_ptr_equal(f->counter.last, &objects[before]);
    }
}

static void bag_free_frees_what_is_left(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *reader = epoch_register(f->epoch);
    struct counter counter = {0};
    struct epoch_bag *bag = epoch_bag_new(f->epoch, count_free, &counter);
    for (size_t i = 0; i < 100; i++)
        epoch_retire(bag, &f->object, 1);
    (void)epoch_collect(bag, 1);
    epoch_quiescent(reader);
    for (size_t i = 0; i < 100; i++)
        epoch_retire(bag, &f->object, 1);
    (void)epoch_collect(bag, 1);
    assert_int_equal(counter.freed, 1);
    epoch_retire(bag, &f->object, 1);
    epoch_bag_free(bag);
    assert_int_equal(counter.freed, 201);
    epoch_unregister(reader);
    epoch_bag_free(NULL);
}

struct family {
    struct epoch_bag *bag;
    size_t left;
    size_t freed;
};

static void free_and_retire_another(void *ctx, void *object)
{
    struct family *family = ctx;
    family->freed++;
    if (family->left-- > 0)
        epoch_retire(family->bag, object, 5);
}

static void freeing_may_retire_more(void **state)
{
    struct fixture *f = *state;
    struct family family = {.left = 3};
    family.bag = epoch_bag_new(f->epoch, free_and_retire_another, &family);
    epoch_retire(family.bag, &f->object, 5);
    assert_false(epoch_collect(family.bag, 8));
    assert_int_equal(family.freed, 1);
    assert_int_equal(epoch_bag_bytes(family.bag), 5);
    epoch_bag_free(family.bag);
    assert_int_equal(family.freed, 4);
}

static void places_of_readers_are_used_again(void **state)
{
    struct fixture *f = *state;
    struct epoch_reader *readers[EPOCH_MAX_READERS];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < EPOCH_MAX_READERS; i++)
            readers[i] = epoch_register(f->epoch);
        epoch_retire(f->bag, &f->object, 1);
        (void)epoch_collect(f->bag, 1);
        assert_int_equal(epoch_bag_bytes(f->bag), 1);
        for (size_t i = 0; i < EPOCH_MAX_READERS; i++)
            epoch_unregister(readers[i]);
        (void)epoch_collect(f->bag, 1);
        assert_int_equal(epoch_bag_bytes(f->bag), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_readers_it_is_freed_at_once),
        TEST(an_online_reader_holds_it_until_quiescent),
        TEST(a_quiescent_state_before_the_seal_does_not_count),
        TEST(every_reader_must_pass),
        TEST(offline_and_unregistered_readers_hold_nobody_up),
        TEST(a_late_reader_does_not_hold_older_batches),
        TEST(a_lone_loop_frees_one_turn_later),
        TEST(the_budget_bounds_a_turn),
        TEST(objects_are_freed_in_order),
        TEST(bag_free_frees_what_is_left),
        TEST(freeing_may_retire_more),
        TEST(places_of_readers_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
