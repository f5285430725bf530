/* SPDX-License-Identifier: Apache-2.0 */
/* Lock-free readers of cold values while their records are moved from file to file and the files
 * go: whoever reads finds the value that the row's version stands for, or looks again; never
 * damage. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/storebench.h"

#define KEYS      300
#define READERS   2
#define MIN_READS 2000
#ifdef FERRIC_SANITIZED
#    define MERGES 120
#else
#    define MERGES 250
#endif

struct world {
    struct storebench *bench;
    _Atomic bool is_over;
    _Atomic uint64_t reads;
};

struct observer {
    struct world *world;
    struct thread thread;
    uint64_t seed;
    uint64_t at_once; /* found in the cache */
    uint64_t later;   /* read by whoever took the file */
    uint64_t again;   /* had to look again */
    uint64_t wrong;
    struct diag diag; /* of what was wrong last */
};

static const char *name_of(uint64_t key)
{
    static _Thread_local char name[16];
    snprintf(name, sizeof(name), "k%u", (unsigned)key);
    return name;
}

/* Says of which key and which entry it is, over and over. */
static struct slice value_of(uint64_t key, uint64_t index, uint8_t *bytes)
{
    size_t words = 2 + (size_t)((key * 31 + index) % 80);
    for (size_t i = 0; i < words; i++)
        put_u64(bytes + 8 * i, i % 2 == 0 ? key : index);
    return slice_of(bytes, 8 * words);
}

/* ---- Readers ---- */

static void judge(struct observer *reader, uint64_t key, const struct item *item,
                  struct slice value)
{
    uint8_t bytes[8 * 100];
    if (!slice_eq(value, value_of(key, position_index(item->version), bytes)))
        reader->wrong++;
}

static void read_later(struct observer *reader, struct tx *tx, uint64_t key)
{
    struct tx_want want = tx_want_take(tx, 0);
    struct buf value = {0};
    int rc = datafile_read_value(want.file,
                                 &(struct datafile_query){.off = place_off(want.place),
                                                          .key = want.item.key,
                                                          .value_size = want.item.size,
                                                          .db_id = want.item.database_id},
                                 &value, &reader->diag);
    if (rc == 0)
        judge(reader, key, &want.item, buf_slice(&value));
    reader->wrong += rc != 0;
    reader->later++;
    datafile_unref(want.file);
    buf_fini(&value);
}

static void read_key(struct observer *reader, struct tx *tx, uint64_t key)
{
    struct item item;
    struct slice value;
    tx_begin(tx, &(struct tx_begin){.mode = TX_INLINE, .now_ms = BENCH_START_MS});
    int rc = tx_get(tx, 0, slice_str(name_of(key)), &item);
    if (rc == 0 && item.type != VALUE_NONE)
        rc = tx_load(tx, &item, &value);
    switch (rc) {
    case 0:
        if (item.type != VALUE_NONE)
            judge(reader, key, &item, value);
        reader->at_once++;
        break;
    case ERR_COLD:
        read_later(reader, tx, key);
        break;
    case ERR_RETRY:
        reader->again++;
        break;
    default:
        reader->wrong++;
        reader->diag = *tx_diag(tx);
    }
    tx_reset(tx);
}

static void read_on(void *ctx)
{
    struct observer *reader = ctx;
    struct world *world = reader->world;
    struct epoch_reader *epoch = epoch_register(world->bench->epoch);
    struct tx *tx = tx_new(&world->bench->stores);
    struct random random = {reader->seed};
    while (!atomic_load(&world->is_over)) {
        read_key(reader, tx, random_below(&random, KEYS));
        atomic_fetch_add(&world->reads, 1);
        epoch_quiescent(epoch);
    }
    tx_free(tx);
    epoch_unregister(epoch);
}

/* ---- Whoever runs the merge's jobs ---- */

struct runner {
    struct thread thread;
    struct lock lock;
    struct signal signal;
    struct bitcask_merge *merge; /* to be run; NULL: done */
    bool is_over;
};

static void run_on(void *ctx)
{
    struct runner *runner = ctx;
    lock_take(&runner->lock);
    while (!runner->is_over) {
        if (runner->merge == NULL) {
            signal_wait(&runner->signal, &runner->lock);
            continue;
        }
        lock_drop(&runner->lock);
        bitcask_merge_run(runner->merge);
        lock_take(&runner->lock);
        runner->merge = NULL;
        signal_all(&runner->signal);
    }
    lock_drop(&runner->lock);
}

static void give(struct runner *runner, struct bitcask_merge *merge, bool is_over)
{
    lock_take(&runner->lock);
    runner->merge = merge;
    runner->is_over = is_over;
    signal_all(&runner->signal);
    lock_drop(&runner->lock);
}

static void wait_for(struct runner *runner)
{
    lock_take(&runner->lock);
    while (runner->merge != NULL)
        signal_wait(&runner->signal, &runner->lock);
    lock_drop(&runner->lock);
}

/* ---- The owner ---- */

static void change(struct storebench *bench, struct random *random)
{
    uint8_t bytes[8 * 100];
    uint64_t key = random_below(random, KEYS);
    if (random_below(random, 12) == 0)
        storebench_del(bench, 0, name_of(key));
    else
        storebench_put(bench, 0, name_of(key), value_of(key, bench->index + 1, bytes), 0);
}

static struct bitcask_merge *begin_merge(struct storebench *bench)
{
    size_t count = 0;
    uint32_t *ids = storebench_sealed(bench, 0, &count);
    struct bitcask_merge *merge = NULL;
    if (count >= 3)
        merge = store_merge_new(bench->stores.shards[0], ids, count);
    mem_free(ids);
    return merge;
}

/* A slice, with changes before it is taken back. */
static void step_merge(struct storebench *bench, struct runner *runner, struct random *random,
                       struct bitcask_merge **merge)
{
    struct bitcask_merge *given = *merge;
    struct diag diag = {.text = ""};
    give(runner, given, false);
    change(bench, random);
    storebench_settle(bench);
    wait_for(runner);
    enum merge_state state = bitcask_merge_done(given, &diag);
    assert_true(state == MERGE_MORE || state == MERGE_DONE);
    if (state != MERGE_DONE)
        return;
    bitcask_merge_free(given);
    *merge = NULL;
    assert_int_equal(storebench_checkpoint(bench), 0);
    storebench_unlink(bench);
}

static void own(struct world *world, struct runner *runner, uint64_t seed)
{
    struct storebench *bench = world->bench;
    struct random random = {seed};
    struct bitcask_merge *merge = NULL;
    uint64_t merges = 0;
    for (uint64_t i = 0; merges < MERGES || atomic_load(&world->reads) < MIN_READS; i++) {
        change(bench, &random);
        if (i % 16 == 0)
            storebench_write(bench);
        if (merge == NULL)
            merge = begin_merge(bench);
        if (merge != NULL)
            step_merge(bench, runner, &random, &merge);
        epoch_quiescent(bench->reader);
        merges = bitcask_stats(store_bitcask(bench->stores.shards[0])).merges;
    }
    bitcask_merge_free(merge);
}

static void readers_find_every_value_while_merges_move_them(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    struct world world = {.bench = storebench_new(&(struct storebench_options){
                              .seed = seed, .max_file_size = 16384, .has_threads = true})};
    struct observer readers[READERS] = {{.world = NULL}};
    struct runner runner = {.merge = NULL};
    lock_init(&runner.lock);
    signal_init(&runner.signal);
    assert_int_equal(thread_start(&runner.thread, "runner", run_on, &runner), 0);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct observer){.world = &world, .seed = seed + i};
        assert_int_equal(thread_start(&readers[i].thread, "reader", read_on, &readers[i]), 0);
    }
    own(&world, &runner, seed);
    atomic_store(&world.is_over, true);
    give(&runner, NULL, true);
    thread_join(&runner.thread);
    for (size_t i = 0; i < READERS; i++) {
        thread_join(&readers[i].thread);
        print_message("%llu at once, %llu later, %llu again\n",
                      (unsigned long long)readers[i].at_once, (unsigned long long)readers[i].later,
                      (unsigned long long)readers[i].again);
        if (readers[i].wrong > 0)
            fail_msg("%llu wrong: %s", (unsigned long long)readers[i].wrong, readers[i].diag.text);
    }
    storebench_recount(world.bench);
    storebench_free(world.bench);
    lock_fini(&runner.lock);
    signal_fini(&runner.signal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_find_every_value_while_merges_move_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
