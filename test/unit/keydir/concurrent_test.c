/* SPDX-License-Identifier: Apache-2.0 */
/* One writer makes the table grow, shrink, overflow and churn as fast as it can; readers look up
 * and scan all the while. A key carries a stamp, even while it is in the table: a reader that finds
 * the same even stamp before and after must have found the key (K2, K3), its row whole, and never
 * an older row than it has seen before. The tables are small, so that a good part of all lookups
 * meets the very bucket that is being changed. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "keydir/keydir.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "unit/keydir/rows.h"

#define READERS    2
#define KEYS_MAX   600
#define RUN_MS     1500
#define LARGE      600 /* bytes of a value that does not fit into its row */
#define TURN_LOOKS 16
#define BAG_LIMIT  (size_t)(8 * 1024 * 1024)

/* Keys are numbered: those below `staying` are only overwritten, those below `keys` come and go,
 * and as many beyond never come. */
struct scenario {
    uint64_t staying;
    uint64_t keys;
    uint64_t least; /* the number of rows goes to and fro between about least and most */
    uint64_t most;
    uint64_t mask; /* all hashes are zero in these bits */
    bool is_writer_a_reader;
};

enum fault { FAULT_MISSED, FAULT_WRONG, FAULT_STALE, FAULT_GHOST, FAULT_SCAN, FAULT_COUNT };

struct key {
    struct number_key text;
    uint64_t hash;
    _Atomic uint64_t stamp; /* even: in the table */
};

struct stage {
    const struct scenario *scenario;
    struct epoch *epoch;
    struct keydir *dir;
    struct key keys[2 * KEYS_MAX];
    atomic_bool is_stopping;
    _Atomic uint64_t faults[FAULT_COUNT];
    _Atomic uint64_t looks;
    _Atomic uint64_t scans;
};

/* What a value says; a large one says it at its beginning and at its end. */
struct content {
    uint64_t number;
    uint64_t sequence;
    uint64_t check;
};

static struct slice key_of(const struct stage *stage, uint64_t number)
{
    return number_slice(&stage->keys[number].text);
}

static void make_keys(struct stage *stage)
{
    uint64_t candidate = 0;
    for (uint64_t n = 0; n < 2 * stage->scenario->keys; n++) {
        struct key *key = &stage->keys[n];
        do {
            key->text = number_key(candidate++);
            key->hash = keydir_hash(stage->dir, number_slice(&key->text));
        } while ((key->hash & stage->scenario->mask) != 0);
        atomic_init(&key->stamp, 1);
    }
}

static void fault(struct stage *stage, enum fault kind)
{
    atomic_fetch_add(&stage->faults[kind], 1);
    atomic_store(&stage->is_stopping, true);
}

/* ---- The writer ---- */

struct writer {
    struct stage *stage;
    struct epoch_reader *reader; /* NULL: the writer's thread is no reader */
    struct random random;
    uint64_t sequence;
};

static bool is_present(struct writer *writer, uint64_t number)
{
    return atomic_load_explicit(&writer->stage->keys[number].stamp, memory_order_relaxed) % 2 == 0;
}

static void put(struct writer *writer, uint64_t number)
{
    struct key *key = &writer->stage->keys[number];
    uint8_t value[LARGE] = {0};
    struct content content = {.number = number, .sequence = ++writer->sequence};
    content.check = hash_mix(content.number, content.sequence);
    size_t size = number % 8 == 7 ? LARGE : sizeof(content);
    memcpy(value, &content, sizeof(content));
    memcpy(value + size - sizeof(content), &content, sizeof(content));
    keydir_put(writer->stage->dir, hot_row(number_slice(&key->text), slice_of(value, size)),
               key->hash);
    if (!is_present(writer, number))
        atomic_fetch_add_explicit(&key->stamp, 1, memory_order_release);
}

static void del(struct writer *writer, uint64_t number)
{
    struct key *key = &writer->stage->keys[number];
    atomic_fetch_add_explicit(&key->stamp, 1, memory_order_release);
    if (!keydir_del(writer->stage->dir, number_slice(&key->text), key->hash))
        fault(writer->stage, FAULT_MISSED);
}

static void end_writer_turn(struct writer *writer)
{
    do {
        if (writer->reader != NULL)
            epoch_quiescent(writer->reader);
    } while (keydir_collect(writer->stage->dir, 256) ||
             keydir_retired_bytes(writer->stage->dir) > BAG_LIMIT);
}

static uint64_t pick_passing(struct writer *writer)
{
    const struct scenario *scenario = writer->stage->scenario;
    return scenario->staying + random_below(&writer->random, scenario->keys - scenario->staying);
}

/* Goes to `target` rows by single changes, overwriting others on the way. */
static void change_until(struct writer *writer, uint64_t target)
{
    struct keydir *dir = writer->stage->dir;
    for (size_t changes = 0; keydir_count(dir) != target; changes++) {
        uint64_t number = pick_passing(writer);
        if (keydir_count(dir) < target)
            put(writer, number);
        else if (is_present(writer, number))
            del(writer, number);
        if (changes % 8 == 0)
            put(writer, random_below(&writer->random, writer->stage->scenario->staying));
        if (changes % 64 == 0)
            end_writer_turn(writer);
    }
}

/* Keeps the size and changes what is there: chains grow and shrink, the table does not. */
static void churn(struct writer *writer)
{
    for (int i = 0; i < 100; i++) {
        uint64_t number = pick_passing(writer);
        if (is_present(writer, number))
            del(writer, number);
        else
            put(writer, number);
    }
    end_writer_turn(writer);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void write_on(struct writer *writer)
{
    const struct scenario *scenario = writer->stage->scenario;
    uint64_t deadline = now_ms() + RUN_MS;
    while (now_ms() < deadline && !atomic_load(&writer->stage->is_stopping)) {
        change_until(writer, scenario->least + random_below(&writer->random, scenario->most));
        change_until(writer, scenario->least + random_below(&writer->random, scenario->most / 4));
        if (random_below(&writer->random, 4) == 0)
            churn(writer);
    }
    atomic_store(&writer->stage->is_stopping, true);
}

/* ---- The readers ---- */

struct reader_job {
    struct stage *stage;
    struct epoch_reader *reader;
    struct random random;
    uint64_t newest[KEYS_MAX];
    uint64_t stamps[KEYS_MAX];
    uint32_t visits[KEYS_MAX];
};

/* Gives what the row says, or false if it is not whole or not of a key that comes and goes. */
static bool read_content(const struct stage *stage, const struct row *row, struct content *out)
{
    struct content last;
    struct slice value = row_value(row);
    if (value.len < sizeof(*out))
        return false;
    memcpy(out, value.data, sizeof(*out));
    memcpy(&last, value.data + value.len - sizeof(last), sizeof(last));
    return memcmp(out, &last, sizeof(last)) == 0 && out->number < stage->scenario->keys &&
           out->check == hash_mix(out->number, out->sequence) &&
           slice_eq(row_key(row), key_of(stage, out->number));
}

/* A row of `number` was found; is it right? */
static void judge(struct reader_job *job, uint64_t number, const struct row *row)
{
    struct content content;
    if (number >= job->stage->scenario->keys) {
        fault(job->stage, FAULT_GHOST);
    } else if (!read_content(job->stage, row, &content) || content.number != number) {
        fault(job->stage, FAULT_WRONG);
    } else {
        if (content.sequence < job->newest[number])
            fault(job->stage, FAULT_STALE);
        job->newest[number] = content.sequence;
    }
}

static void look_up(struct reader_job *job, uint64_t number)
{
    struct stage *stage = job->stage;
    struct key *key = &stage->keys[number];
    uint64_t before = atomic_load_explicit(&key->stamp, memory_order_acquire);
    const struct row *row = keydir_find(stage->dir, number_slice(&key->text), key->hash);
    uint64_t after = atomic_load_explicit(&key->stamp, memory_order_acquire);
    if (row != NULL)
        judge(job, number, row);
    else if (before == after && before % 2 == 0)
        fault(stage, FAULT_MISSED);
}

static void end_reader_turn(struct reader_job *job)
{
    if (random_below(&job->random, 8) == 0) {
        epoch_offline(job->reader);
        epoch_online(job->reader);
    } else {
        epoch_quiescent(job->reader);
    }
}

/* Half of the lookups go to keys that are always there. */
static uint64_t pick_any(struct reader_job *job)
{
    const struct scenario *scenario = job->stage->scenario;
    uint64_t chance = random_next(&job->random);
    return chance % 2 == 0 ? chance / 2 % scenario->staying : chance / 2 % (2 * scenario->keys);
}

static void look_up_batch(struct reader_job *job)
{
    struct stage *stage = job->stage;
    uint64_t numbers[TURN_LOOKS];
    for (size_t i = 0; i < TURN_LOOKS; i++) {
        numbers[i] = pick_any(job);
        keydir_prefetch_bucket(stage->dir, stage->keys[numbers[i]].hash);
    }
    for (size_t i = 0; i < TURN_LOOKS; i++)
        keydir_prefetch_row(stage->dir, stage->keys[numbers[i]].hash);
    for (size_t i = 0; i < TURN_LOOKS; i++)
        look_up(job, numbers[i]);
    atomic_fetch_add_explicit(&stage->looks, TURN_LOOKS, memory_order_relaxed);
}

static void visit(void *ctx, const struct row *row)
{
    struct reader_job *job = ctx;
    struct content content;
    if (read_content(job->stage, row, &content))
        job->visits[content.number]++;
    else
        fault(job->stage, FAULT_WRONG);
}

/* A whole scan, every few calls a turn of its own. */
static void scan(struct reader_job *job)
{
    uint64_t cursor = 0;
    struct stage *stage = job->stage;
    for (uint64_t n = 0; n < stage->scenario->keys; n++) {
        job->stamps[n] = atomic_load_explicit(&stage->keys[n].stamp, memory_order_acquire);
        job->visits[n] = 0;
    }
    do {
        cursor = keydir_scan(stage->dir, cursor, visit, job);
        if (random_below(&job->random, 4) == 0)
            end_reader_turn(job);
    } while (cursor != 0);
    for (uint64_t n = 0; n < stage->scenario->keys; n++) {
        uint64_t after = atomic_load_explicit(&stage->keys[n].stamp, memory_order_acquire);
        if (after % 2 == 0 && job->stamps[n] == after && job->visits[n] == 0)
            fault(stage, FAULT_SCAN);
    }
    atomic_fetch_add_explicit(&stage->scans, 1, memory_order_relaxed);
}

static void *read_on(void *ctx)
{
    struct reader_job *job = ctx;
    job->reader = epoch_register(job->stage->epoch);
    while (!atomic_load_explicit(&job->stage->is_stopping, memory_order_relaxed)) {
        for (uint64_t turns = random_below(&job->random, 8); turns > 0; turns--) {
            look_up_batch(job);
            end_reader_turn(job);
        }
        scan(job);
        end_reader_turn(job);
    }
    epoch_unregister(job->reader);
    return NULL;
}

/* ---- The tests ---- */

static void play(struct stage *stage, uint64_t seed)
{
    pthread_t threads[READERS];
    struct reader_job *jobs = mem_calloc(READERS, sizeof(*jobs));
    struct writer writer = {.stage = stage, .random.state = seed};
    if (stage->scenario->is_writer_a_reader)
        writer.reader = epoch_register(stage->epoch);
    for (uint64_t number = 0; number < stage->scenario->staying; number++)
        put(&writer, number);
    for (size_t i = 0; i < READERS; i++) {
        jobs[i].stage = stage;
        jobs[i].random.state = seed + 1 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &jobs[i]), 0);
    }
    write_on(&writer);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (writer.reader != NULL)
        epoch_unregister(writer.reader);
    mem_free(jobs);
    printf("%llu lookups, %llu scans, %llu rows written\n",
           (unsigned long long)atomic_load(&stage->looks),
           (unsigned long long)atomic_load(&stage->scans), (unsigned long long)writer.sequence);
}

static void run(const struct scenario *scenario)
{
    uint64_t seed = random_seed();
    struct stage *stage = mem_calloc(1, sizeof(*stage));
    stage->scenario = scenario;
    stage->epoch = epoch_new();
    stage->dir = keydir_new(stage->epoch, seed);
    make_keys(stage);
    play(stage, seed);
    for (size_t kind = 0; kind < FAULT_COUNT; kind++)
        assert_int_equal(atomic_load(&stage->faults[kind]), 0);
    keydir_check(stage->dir);
    keydir_free(stage->dir);
    epoch_free(stage->epoch);
    mem_free(stage);
}

static void a_table_that_goes_up_and_down(void **state)
{
    (void)state;
    run(&(struct scenario){.staying = 24, .keys = 600, .least = 24, .most = 300});
}

/* From one bucket to a few: chunks come and go. */
static void a_tiny_table(void **state)
{
    (void)state;
    run(&(struct scenario){
        .staying = 1, .keys = 16, .least = 1, .most = 12, .is_writer_a_reader = true});
}

/* Overflow buckets come and go. */
static void a_table_that_is_one_chain(void **state)
{
    (void)state;
    run(&(struct scenario){.staying = 2, .keys = 50, .least = 2, .most = 40, .mask = 0x3f});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_goes_up_and_down),
        cmocka_unit_test(a_tiny_table),
        cmocka_unit_test(a_table_that_is_one_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
