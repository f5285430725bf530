/* SPDX-License-Identifier: Apache-2.0 */
/* Lock-free readers beside the thread that changes the stores. Every transaction keeps a sum over a
 * few accounts, or moves one key to another name: whoever takes a read for one instant must find
 * the sum, and exactly one of the names. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/bytes.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/storebench.h"

#define ACCOUNTS 5
#define NAMES    4
#define TOTAL    1000
#define READERS  2
#ifdef FERRIC_SANITIZED
#    define CHANGES 20000
#else
#    define CHANGES 60000
#endif

struct world {
    struct storebench *bench;
    _Atomic bool is_over;
};

struct observer {
    struct world *world;
    struct thread thread;
    uint64_t seed;
    uint64_t valid;
    uint64_t invalid;
    uint64_t wrong_sums;
    uint64_t wrong_names;
};

static const char *const accounts[ACCOUNTS] = {"a", "b", "c", "{t}d", "{t}e"};
static const char *const names[NAMES] = {"w", "x", "{t}y", "{t}z"};

static void put_number(struct tx *tx, const char *key, uint64_t number)
{
    uint8_t bytes[8];
    put_u64(bytes, number);
    tx_put(tx, 0, slice_str(key),
           &(struct tx_value){.type = VALUE_STRING, .bytes = slice_of(bytes, 8)});
}

/* False if the run is void. */
static bool read_number(struct tx *tx, const char *key, uint64_t *out)
{
    struct item item;
    struct slice value;
    if (tx_get(tx, 0, slice_str(key), &item) != 0)
        return false;
    *out = 0;
    if (item.type == VALUE_NONE)
        return true;
    if (tx_load(tx, &item, &value) != 0)
        return false;
    *out = get_u64(value.data);
    return true;
}

/* ---- Readers ---- */

static bool read_sum(struct tx *tx, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < ACCOUNTS; i++) {
        uint64_t number;
        if (!read_number(tx, accounts[i], &number))
            return false;
        *out += number;
    }
    return true;
}

static bool count_names(struct tx *tx, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < NAMES; i++) {
        struct item item;
        if (tx_peek(tx, 0, slice_str(names[i]), &item) != 0)
            return false;
        *out += item.type != VALUE_NONE;
    }
    return true;
}

static void observe(void *ctx)
{
    struct observer *observer = ctx;
    struct storebench *bench = observer->world->bench;
    struct epoch_reader *reader = epoch_register(bench->epoch);
    struct tx *tx = tx_new(&bench->stores);
    for (uint64_t i = 0; !atomic_load(&observer->world->is_over); i++) {
        uint64_t found;
        bool is_sum = i % 2 == 0;
        tx_begin(tx, &(struct tx_begin){.mode = TX_INLINE, .now_ms = BENCH_START_MS});
        bool is_read = is_sum ? read_sum(tx, &found) : count_names(tx, &found);
        bool is_valid = is_read && tx_is_valid(tx);
        observer->valid += is_valid;
        observer->invalid += !is_valid;
        observer->wrong_sums += is_valid && is_sum && found != TOTAL;
        observer->wrong_names += is_valid && !is_sum && found != 1;
        tx_reset(tx);
        epoch_quiescent(reader);
    }
    tx_free(tx);
    epoch_unregister(reader);
}

/* ---- The writer ---- */

static void move_money(struct storebench *bench, struct random *random)
{
    size_t from = random_below(random, ACCOUNTS);
    size_t to = random_below(random, ACCOUNTS);
    uint64_t have;
    uint64_t there;
    storebench_begin(bench, TX_APPLY);
    assert_true(read_number(bench->tx, accounts[from], &have));
    uint64_t amount = random_below(random, have + 1);
    put_number(bench->tx, accounts[from], have - amount);
    assert_true(read_number(bench->tx, accounts[to], &there));
    put_number(bench->tx, accounts[to], there + amount);
    storebench_commit(bench);
}

static size_t move_name(struct storebench *bench, struct random *random, size_t at)
{
    size_t to = random_below(random, NAMES);
    if (to == at)
        return at;
    storebench_begin(bench, TX_APPLY);
    put_number(bench->tx, names[to], 1);
    tx_del(bench->tx, 0, slice_str(names[at]));
    storebench_commit(bench);
    return to;
}

static void write_all(struct storebench *bench, struct random *random)
{
    size_t name = 0;
    for (int i = 0; i < CHANGES; i++) {
        if (i % 2 == 0)
            move_money(bench, random);
        else
            name = move_name(bench, random, name);
        if (i % 7 == 0) { /* a row among others that comes and goes by itself */
            storebench_put(bench, 0, "bystander", SLICE_LIT("v"), 0);
            storebench_del(bench, 0, "bystander");
        }
        if (i % 64 == 0)
            storebench_settle(bench);
        if (i % 4096 == 0)
            storebench_write(bench);
    }
}

static void run_trial(uint32_t shard_count)
{
    struct random random = {random_seed()};
    struct world world = {
        .bench = storebench_new(&(struct storebench_options){.seed = random.state,
                                                             .shard_count = shard_count,
                                                             .max_file_size = 1u << 20,
                                                             .hot_max_value = SIZE_MAX,
                                                             .has_threads = true})};
    struct observer observers[READERS] = {{.world = NULL}};
    storebench_begin(world.bench, TX_APPLY);
    put_number(world.bench->tx, accounts[0], TOTAL);
    put_number(world.bench->tx, names[0], 1);
    storebench_commit(world.bench);
    for (size_t i = 0; i < READERS; i++) {
        observers[i].world = &world;
        assert_int_equal(thread_start(&observers[i].thread, "reader", observe, &observers[i]), 0);
    }
    write_all(world.bench, &random);
    atomic_store(&world.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        thread_join(&observers[i].thread);
        print_message("%llu reads were one instant, %llu were not\n",
                      (unsigned long long)observers[i].valid,
                      (unsigned long long)observers[i].invalid);
        assert_int_equal(observers[i].wrong_sums, 0);
        assert_int_equal(observers[i].wrong_names, 0);
        assert_true(observers[i].valid > 0);
    }
    storebench_settle(world.bench);
    storebench_free(world.bench);
}

/* ---- A key that is kept in the last moment ---- */

struct watcher {
    struct world *world;
    struct thread thread;
    uint64_t there;
    uint64_t undecided;
    uint64_t gone;
};

static void watch_key(void *ctx)
{
    struct watcher *watcher = ctx;
    struct storebench *bench = watcher->world->bench;
    struct epoch_reader *reader = epoch_register(bench->epoch);
    struct tx *tx = tx_new(&bench->stores);
    while (!atomic_load(&watcher->world->is_over)) {
        struct item item;
        tx_begin(tx, &(struct tx_begin){.mode = TX_INLINE, .now_ms = UINT64_MAX});
        if (tx_peek(tx, 0, SLICE_LIT("kept"), &item) != 0)
            watcher->undecided++;
        else if (tx_is_valid(tx))
            item.type == VALUE_NONE ? watcher->gone++ : watcher->there++;
        tx_reset(tx);
        epoch_quiescent(reader);
    }
    tx_free(tx);
    epoch_unregister(reader);
}

/* Before the key's time is applied it has been kept: nobody may find it gone. A reader that takes
 * the old row and only then asks what has been applied would (R22). */
static void a_key_that_was_kept_has_never_ended(void **state)
{
    (void)state;
    struct world world = {
        .bench = storebench_new(&(struct storebench_options){
            .max_file_size = 1u << 20, .hot_max_value = SIZE_MAX, .has_threads = true})};
    struct watcher watchers[READERS] = {{.world = NULL}};
    storebench_put(world.bench, 0, "kept", SLICE_LIT("v"), 0);
    for (size_t i = 0; i < READERS; i++) {
        watchers[i].world = &world;
        assert_int_equal(thread_start(&watchers[i].thread, "watcher", watch_key, &watchers[i]), 0);
    }
    for (int i = 0; i < CHANGES * 2; i++) {
        storebench_put(world.bench, 0, "kept", SLICE_LIT("v"), world.bench->now_ms + 1);
        storebench_put(world.bench, 0, "kept", SLICE_LIT("v"), 0);
        storebench_advance(world.bench, 1);
        if (i % 64 == 0)
            storebench_settle(world.bench);
        if (i % 4096 == 0)
            storebench_write(world.bench);
    }
    atomic_store(&world.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        thread_join(&watchers[i].thread);
        print_message("%llu times there, %llu times undecided\n",
                      (unsigned long long)watchers[i].there,
                      (unsigned long long)watchers[i].undecided);
        assert_int_equal(watchers[i].gone, 0);
        assert_true(watchers[i].there > 0 && watchers[i].undecided > 0);
    }
    storebench_settle(world.bench);
    storebench_free(world.bench);
}

static void reads_are_one_instant_of_one_shard(void **state)
{
    (void)state;
    run_trial(1);
}

static void reads_are_one_instant_of_three_shards(void **state)
{
    (void)state;
    run_trial(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_one_instant_of_one_shard),
        cmocka_unit_test(a_key_that_was_kept_has_never_ended),
        cmocka_unit_test(reads_are_one_instant_of_three_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
