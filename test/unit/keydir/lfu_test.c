/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/lfu.h"

#include "support/cmocka.h"
#include "support/random.h"

#define MINUTE_MS UINT64_C(60000)

static const struct lfu_options usual = {.log_factor = 10, .decay_time = 1};

static void a_new_word_begins_at_the_initial_count(void **state)
{
    (void)state;
    uint64_t now = 123456789 * MINUTE_MS + 59999;
    uint32_t word = lfu_new(now);
    assert_int_equal(lfu_counter(word, now, &usual), LFU_INITIAL);
    assert_int_equal(lfu_idle_s(word, now), 0);
    assert_int_equal(lfu_idle_s(word, now + 1), 1);
    assert_false(lfu_is_stale(word, (uint32_t)(now / 1000)));
    assert_true(lfu_is_stale(word, (uint32_t)(now / 1000 + 1)));
}

static void it_decays_by_the_minute(void **state)
{
    (void)state;
    uint32_t word = lfu_new(0) | 100;
    struct lfu_options slow = {.log_factor = 10, .decay_time = 7};
    struct lfu_options never = {.log_factor = 10, .decay_time = 0};
    uint32_t count = word & 255;
    assert_int_equal(lfu_counter(word, 10 * MINUTE_MS, &usual), count - 10);
    assert_int_equal(lfu_counter(word, 20 * MINUTE_MS, &slow), count - 2);
    assert_int_equal(lfu_counter(word, 50000 * MINUTE_MS, &never), count);
    assert_int_equal(lfu_counter(word, (count - 1) * MINUTE_MS, &usual), 1);
    assert_int_equal(lfu_counter(word, count * MINUTE_MS, &usual), 0);
    assert_int_equal(lfu_counter(word, 50000 * MINUTE_MS, &usual), 0);
}

static void seconds_come_round(void **state)
{
    (void)state;
    uint64_t before_ms = ((1U << 24) - 90) * UINT64_C(1000);
    uint32_t word = lfu_new(before_ms);
    assert_int_equal(lfu_idle_s(word, before_ms + 100000), 100);
    assert_int_equal(lfu_counter(word, before_ms + 3 * MINUTE_MS, &usual), LFU_INITIAL - 3);
}

static void a_use_from_a_clock_ahead_is_now(void **state)
{
    (void)state;
    assert_int_equal(lfu_idle_s(lfu_new(9 * MINUTE_MS), 8 * MINUTE_MS), 0);
    assert_int_equal(lfu_counter(lfu_new(9 * MINUTE_MS), 8 * MINUTE_MS, &usual), LFU_INITIAL);
}

static void a_use_each_second_does_not_hold_the_decay_up(void **state)
{
    (void)state;
    uint32_t word = lfu_of(0, 0, 100);
    for (uint64_t s = 1; s <= 600; s++)
        word = lfu_seen(word, s * 1000, &usual);
    assert_int_equal(lfu_counter(word, 600000, &usual), 90);
    assert_int_equal(lfu_idle_s(word, 607000), 7);
}

static void a_word_can_be_made_of_age_and_count(void **state)
{
    (void)state;
    uint64_t now = 123456789 * MINUTE_MS;
    uint32_t word = lfu_of(now, 1000, 77);
    assert_int_equal(lfu_idle_s(word, now), 1000);
    assert_int_equal(lfu_counter(word, now - 1000000, &usual), 77);
    assert_true(lfu_idle_s(lfu_of(now, UINT64_MAX, 1), now) > 190 * 86400);
}

static void a_touch_counts_the_rarer_the_higher(void **state)
{
    (void)state;
    uint32_t word = lfu_new(0);
    word = lfu_touch(word, 0, 12345, &usual);
    assert_int_equal(lfu_counter(word, 0, &usual), LFU_INITIAL + 1);
    assert_int_equal(lfu_touch(word, 0, 12, &usual), word);
    assert_int_equal(lfu_touch(word, 0, 22, &usual), word + 1);
    uint32_t full = lfu_new(0) | 255;
    assert_int_equal(lfu_touch(full, 0, 0, &usual), full);
}

static void a_touch_stores_the_decay_and_the_time(void **state)
{
    (void)state;
    uint32_t word = lfu_new(0) | 255;
    uint64_t now = 3 * MINUTE_MS;
    uint32_t touched = lfu_touch(word, now, 1, &usual);
    assert_int_equal(lfu_counter(touched, now, &usual), 252);
    assert_int_equal(lfu_idle_s(touched, now), 0);
    uint32_t woken = lfu_touch(lfu_new(0), 1000 * MINUTE_MS, 1, &usual);
    assert_int_equal(lfu_counter(woken, 1000 * MINUTE_MS, &usual), 1);
}

static unsigned count_after(struct random *random, unsigned touches,
                            const struct lfu_options *options)
{
    uint32_t word = lfu_new(0);
    for (unsigned i = 0; i < touches; i++)
        word = lfu_touch(word, 0, random_next(random), options);
    return lfu_counter(word, 0, options);
}

/* What Redis documents for its own: about 10, 18, 142 and 255 after 10^2, 10^3, 10^5, 10^6 uses
 * at factor 10, and 255 after 1000 at factor 0. */
static void counts_grow_like_the_logarithm(void **state)
{
    (void)state;
    struct random random = {.state = 1};
    assert_in_range(count_after(&random, 100, &usual), 8, 13);
    assert_in_range(count_after(&random, 1000, &usual), 15, 23);
    assert_in_range(count_after(&random, 100000, &usual), 128, 156);
    assert_int_equal(count_after(&random, 1000000, &usual), 255);
    struct lfu_options plain = {.log_factor = 0, .decay_time = 1};
    assert_int_equal(count_after(&random, 1000, &plain), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_word_begins_at_the_initial_count),
        cmocka_unit_test(it_decays_by_the_minute),
        cmocka_unit_test(seconds_come_round),
        cmocka_unit_test(a_use_from_a_clock_ahead_is_now),
        cmocka_unit_test(a_use_each_second_does_not_hold_the_decay_up),
        cmocka_unit_test(a_word_can_be_made_of_age_and_count),
        cmocka_unit_test(a_touch_counts_the_rarer_the_higher),
        cmocka_unit_test(a_touch_stores_the_decay_and_the_time),
        cmocka_unit_test(counts_grow_like_the_logarithm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
