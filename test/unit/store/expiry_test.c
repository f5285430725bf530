/* SPDX-License-Identifier: Apache-2.0 */
#include "store/expiry.h"

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"

#define START_MS UINT64_C(1700000000000)
#define DAY_MS   UINT64_C(86400000)

/* The same without a wheel: every hint with the second from which on it may fire. */
struct naive {
    struct naive_hint {
        uint64_t second;
        uint32_t hash;
    } * hints;
    size_t count;
    size_t cap;
    uint64_t now_s;
};

struct trial {
    struct expiry *expiry;
    struct naive naive;
    struct random random;
    unsigned fired;
    unsigned again; /* hints that were added while others fired */
};

static void naive_add(struct naive *naive, uint64_t expire_at_ms, uint32_t hash)
{
    uint64_t second = (expire_at_ms + 999) / 1000;
    if (naive->count == naive->cap) {
        naive->cap = naive->cap == 0 ? 64 : naive->cap * 2;
        naive->hints = mem_realloc(naive->hints, naive->cap * sizeof(*naive->hints));
    }
    naive->hints[naive->count++] = (struct naive_hint){
        .second = second <= naive->now_s ? naive->now_s + 1 : second, .hash = hash};
}

static uint64_t naive_next(const struct naive *naive)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < naive->count; i++) {
        if (naive->hints[i].second < next)
            next = naive->hints[i].second;
    }
    return next;
}

static void add(struct trial *trial, uint64_t expire_at_ms, uint32_t hash)
{
    naive_add(&trial->naive, expire_at_ms, hash);
    expiry_add(trial->expiry, expire_at_ms, hash);
}

/* A hint that fires must be one of the earliest. */
static void on_due(void *ctx, uint32_t hash)
{
    struct trial *trial = ctx;
    struct naive *naive = &trial->naive;
    uint64_t next = naive_next(naive);
    size_t i = 0;
    while (i < naive->count && (naive->hints[i].hash != hash || naive->hints[i].second != next))
        i++;
    if (i == naive->count)
        fail_msg("a hint fired that is not due first");
    naive->hints[i] = naive->hints[--naive->count];
    naive->now_s = next; /* what is added meanwhile may fire with the next one */
    trial->fired++;
    if (trial->again > 0) {
        trial->again--;
        uint64_t ms = random_below(&trial->random, 3) == 0
                          ? 0
                          : next * 1000 + 1 + random_below(&trial->random, 100000);
        add(trial, ms, (uint32_t)random_next(&trial->random));
    }
}

static void advance(struct trial *trial, uint64_t now_ms)
{
    size_t budget = 1 + random_below(&trial->random, 20);
    unsigned before = trial->fired;
    while (expiry_advance(trial->expiry, now_ms, budget, on_due, trial)) {
        assert_in_range(trial->fired - before, 1, budget);
        before = trial->fired;
    }
    trial->naive.now_s = now_ms / 1000;
    assert_true(naive_next(&trial->naive) > trial->naive.now_s);
    assert_int_equal(expiry_count(trial->expiry), trial->naive.count);
}

static uint64_t random_distance(struct random *random)
{
    switch (random_below(random, 8)) {
    case 0:
        return random_below(random, 1000);
    case 1:
    case 2:
        return random_below(random, 20000);
    case 3:
    case 4:
        return random_below(random, 600000);
    case 5:
        return random_below(random, 3 * DAY_MS);
    case 6:
        return random_below(random, 400 * DAY_MS);
    default:
        return random_below(random, 64) * 256000;
    }
}

static void check_next(const struct trial *trial)
{
    uint64_t next_ms = expiry_next_ms(trial->expiry);
    if (trial->naive.count == 0) {
        assert_true(next_ms == UINT64_MAX);
        return;
    }
    /* Never too late, and never now: whoever waits for it makes headway. */
    assert_true(next_ms <= naive_next(&trial->naive) * 1000);
    assert_true(next_ms > trial->naive.now_s * 1000);
}

static void run_trial(struct trial *trial, int rounds)
{
    uint64_t now_ms = START_MS + random_below(&trial->random, 1000000);
    trial->expiry = expiry_new(now_ms);
    trial->naive.now_s = now_ms / 1000;
    for (int i = 0; i < rounds; i++) {
        for (uint64_t left = random_below(&trial->random, 12); left > 0; left--) {
            uint64_t ms = now_ms + random_distance(&trial->random);
            if (random_below(&trial->random, 10) == 0)
                ms = random_below(&trial->random, now_ms);
            add(trial, ms, (uint32_t)random_next(&trial->random));
        }
        check_next(trial);
        trial->again = (unsigned)random_below(&trial->random, 3);
        now_ms += random_below(&trial->random, 10) == 0 ? random_distance(&trial->random)
                                                        : random_below(&trial->random, 5000);
        advance(trial, now_ms);
        check_next(trial);
    }
    /* Following the lower bound alone, everything fires in the end. */
    trial->again = 0;
    for (int steps = 0; expiry_count(trial->expiry) > 0; steps++) {
        assert_true(steps < 100000);
        advance(trial, expiry_next_ms(trial->expiry));
    }
    assert_int_equal(trial->naive.count, 0);
    expiry_free(trial->expiry);
    mem_free(trial->naive.hints);
}

static void hints_fire_as_in_a_list(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    for (int i = 0; i < 60; i++) {
        struct trial trial = {.random = {random_next(&random)}};
        run_trial(&trial, 150);
        assert_true(trial.fired > 100);
    }
}

static void count_hint(void *ctx, uint32_t hash)
{
    (void)hash;
    (*(unsigned *)ctx)++;
}

static void add_five_seconds_on(void *ctx, uint32_t hash)
{
    if (hash == 1)
        expiry_add(ctx, (START_MS / 256000 + 1) * 256000 + 5000, 2);
}

/* A hint that fires with the first second of a block, and another that is added then. */
static void what_is_added_while_a_block_begins(void **state)
{
    (void)state;
    struct expiry *expiry = expiry_new(START_MS);
    uint64_t block_ms = (START_MS / 256000 + 1) * 256000;
    expiry_add(expiry, block_ms, 1);
    assert_false(expiry_advance(expiry, block_ms, 10, add_five_seconds_on, expiry));
    assert_int_equal(expiry_next_ms(expiry), block_ms + 5000);
    unsigned fired = 0;
    assert_false(expiry_advance(expiry, block_ms + 5000, 10, count_hint, &fired));
    assert_int_equal(fired, 1);
    expiry_free(expiry);
}

static void seconds_are_rounded_up(void **state)
{
    (void)state;
    unsigned fired = 0;
    struct expiry *expiry = expiry_new(START_MS);
    expiry_add(expiry, START_MS + 1001, 1);
    assert_int_equal(expiry_next_ms(expiry), START_MS + 2000);
    assert_false(expiry_advance(expiry, START_MS + 1999, 10, count_hint, &fired));
    assert_int_equal(fired, 0);
    assert_false(expiry_advance(expiry, START_MS + 2000, 10, count_hint, &fired));
    assert_int_equal(fired, 1);
    assert_int_equal(expiry_second(START_MS), START_MS / 1000);
    assert_int_equal(expiry_second(START_MS + 1), START_MS / 1000 + 1);
    expiry_free(expiry);
}

/* Redis allows times of day up to 2^63 ms; they never come, and hurt nobody. */
static void times_beyond_the_wheel(void **state)
{
    (void)state;
    unsigned fired = 0;
    struct expiry *expiry = expiry_new(START_MS);
    expiry_add(expiry, UINT64_MAX, 1);
    expiry_add(expiry, INT64_MAX, 2);
    expiry_add(expiry, UINT64_C(4294967295000), 3);
    expiry_add(expiry, START_MS + 5000, 4);
    assert_false(expiry_advance(expiry, START_MS + 100 * 365 * DAY_MS / 2, 10, count_hint, &fired));
    assert_int_equal(fired, 1);
    assert_int_equal(expiry_count(expiry), 3);
    assert_true(expiry_next_ms(expiry) != UINT64_MAX);
    /* Even when the clock says so. */
    while (expiry_advance(expiry, UINT64_MAX, 10, count_hint, &fired))
        continue;
    expiry_add(expiry, UINT64_MAX, 5);
    while (expiry_advance(expiry, UINT64_MAX, 10, count_hint, &fired))
        continue;
    expiry_free(expiry);
}

/* The wheel of a new directory begins at the epoch: the way to now is not walked block by block. */
static void a_new_wheel_comes_to_the_present_at_once(void **state)
{
    (void)state;
    unsigned fired = 0;
    for (int i = 0; i < 1000; i++) {
        struct expiry *expiry = expiry_new(0);
        expiry_add(expiry, START_MS + 5000, 1);
        assert_false(expiry_advance(expiry, START_MS, 10, count_hint, &fired));
        assert_int_equal(expiry_next_ms(expiry), START_MS + 5000);
        assert_false(expiry_advance(expiry, START_MS + 5000, 10, count_hint, &fired));
        expiry_free(expiry);
    }
    assert_int_equal(fired, 1000);
}

/* Wherever the second lies, the first of a block too; what else lies in its slot stays. */
static void the_second_that_has_begun(void **state)
{
    (void)state;
    const uint64_t starts[] = {START_MS / 256000 * 256000 + 5000,
                               START_MS / 256000 * 256000 + 255000,
                               START_MS / 65536000 * 65536000 + 65535000};
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        struct expiry *expiry = expiry_new(starts[i]);
        unsigned fired = 0;
        expiry_add(expiry, starts[i] + 300, 1);
        expiry_add(expiry, starts[i] + 1000, 2);
        expiry_add(expiry, starts[i] + 1001, 3);
        expiry_look_ahead(expiry, count_hint, &fired);
        assert_int_equal(fired, 2);
        assert_int_equal(expiry_count(expiry), 1);
        assert_false(expiry_advance(expiry, starts[i] + 1999, SIZE_MAX, count_hint, &fired));
        assert_int_equal(fired, 2);
        assert_false(expiry_advance(expiry, starts[i] + 2000, SIZE_MAX, count_hint, &fired));
        assert_int_equal(fired, 3);
        expiry_free(expiry);
    }
}

static void memory_follows_the_hints(void **state)
{
    (void)state;
    unsigned fired = 0;
    struct expiry *expiry = expiry_new(START_MS);
    size_t empty = expiry_bytes(expiry);
    for (uint32_t i = 0; i < 100000; i++)
        expiry_add(expiry, START_MS + 1000 + i * 10, i);
    assert_in_range(expiry_bytes(expiry) - empty, 800000, 1200000);
    assert_true(expiry_advance(expiry, START_MS + 2000000, 99999, count_hint, &fired));
    assert_int_equal(fired, 99999);
    assert_false(expiry_advance(expiry, START_MS + 2000000, 99999, count_hint, &fired));
    assert_int_equal(fired, 100000);
    assert_int_equal(expiry_bytes(expiry), empty);
    expiry_free(expiry);
    expiry_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_fire_as_in_a_list),
        cmocka_unit_test(what_is_added_while_a_block_begins),
        cmocka_unit_test(seconds_are_rounded_up),
        cmocka_unit_test(times_beyond_the_wheel),
        cmocka_unit_test(a_new_wheel_comes_to_the_present_at_once),
        cmocka_unit_test(the_second_that_has_begun),
        cmocka_unit_test(memory_follows_the_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
