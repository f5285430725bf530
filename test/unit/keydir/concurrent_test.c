/* SPDX-License-Identifier: Apache-2.0 */
/* One writer makes the table grow, shrink, overflow and churn as fast as it can; readers look up
 * and scan all the while. Some keys are never removed, only overwritten: a reader must find them
 * at every moment (K2, K3), and of each never an older row than it has seen before. The tables are
 * small, so that a good part of all lookups meets the bucket that is just being split. */
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

#define READERS   2
#define STAYING   24  /* numbers 0 .. 23 are always there */
#define KEYS      600 /* those up to here come and go, those beyond never come */
#define RUN_MS    2500
#define LARGE     600 /* bytes of a value that does not fit into its row */
#define TURN_LOOK 16

enum fault { FAULT_MISSED, FAULT_WRONG, FAULT_STALE, FAULT_GHOST, FAULT_SCAN, FAULT_COUNT };

struct stage {
    struct epoch *epoch;
    struct keydir *dir;
    struct number_key keys[2 * KEYS];
    uint64_t hashes[2 * KEYS];
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

struct reader_job {
    struct stage *stage;
    struct epoch_reader *reader;
    struct random random;
    uint64_t newest[KEYS];
    uint32_t visits[KEYS];
};

static struct stage *stage_new(uint64_t seed)
{
    struct stage *stage = mem_calloc(1, sizeof(*stage));
    stage->epoch = epoch_new();
    stage->dir = keydir_new(stage->epoch, seed);
    for (uint64_t n = 0; n < 2 * KEYS; n++) {
        stage->keys[n] = number_key(n);
        stage->hashes[n] = keydir_hash(stage->dir, number_slice(&stage->keys[n]));
    }
    return stage;
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
    bool is_present[KEYS];
};

static void put_number_now(struct writer *writer, uint64_t number)
{
    uint8_t value[LARGE] = {0};
    struct content content = {.number = number, .sequence = ++writer->sequence};
    content.check = hash_mix(content.number, content.sequence);
    size_t size = number % 8 == 7 ? LARGE : sizeof(content);
    memcpy(value, &content, sizeof(content));
    memcpy(value + size - sizeof(content), &content, sizeof(content));
    struct slice key = number_slice(&writer->stage->keys[number]);
    keydir_put(writer->stage->dir, hot_row(key, slice_of(value, size)),
               writer->stage->hashes[number]);
    writer->is_present[number] = true;
}

static void del_number_now(struct writer *writer, uint64_t number)
{
    struct slice key = number_slice(&writer->stage->keys[number]);
    (void)keydir_del(writer->stage->dir, key, writer->stage->hashes[number]);
    writer->is_present[number] = false;
}

static void end_writer_turn(struct writer *writer)
{
    if (writer->reader != NULL)
        epoch_quiescent(writer->reader);
    while (keydir_collect(writer->stage->dir, 256) ||
           keydir_retired_bytes(writer->stage->dir) > 8 * 1024 * 1024) {
        if (writer->reader != NULL)
            epoch_quiescent(writer->reader);
    }
}

/* Goes to `target` changing keys by single changes, overwriting others on the way. */
static void change_until(struct writer *writer, size_t target)
{
    struct keydir *dir = writer->stage->dir;
    for (size_t changes = 0; keydir_count(dir) != STAYING + target; changes++) {
        uint64_t number = STAYING + random_below(&writer->random, KEYS - STAYING);
        if (keydir_count(dir) < STAYING + target)
            put_number_now(writer, number);
        else if (writer->is_present[number])
            del_number_now(writer, number);
        if (changes % 8 == 0)
            put_number_now(writer, random_below(&writer->random, STAYING));
        if (changes % 64 == 0)
            end_writer_turn(writer);
    }
}

/* Keeps the size and changes what is there: chains grow and shrink, the table does not. */
static void churn(struct writer *writer)
{
    for (int i = 0; i < 200; i++) {
        uint64_t number = STAYING + random_below(&writer->random, KEYS - STAYING);
        if (writer->is_present[number])
            del_number_now(writer, number);
        else
            put_number_now(writer, number);
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
    uint64_t deadline = now_ms() + RUN_MS;
    while (now_ms() < deadline && !atomic_load(&writer->stage->is_stopping)) {
        change_until(writer, random_below(&writer->random, 300));
        change_until(writer, random_below(&writer->random, 12));
        if (random_below(&writer->random, 4) == 0)
            churn(writer);
    }
    atomic_store(&writer->stage->is_stopping, true);
}

/* ---- The readers ---- */

/* The row is whole and belongs to `number`; gives its sequence, or 0 if something is wrong. */
static uint64_t read_content(struct stage *stage, uint64_t number, const struct row *row)
{
    struct content first;
    struct content last;
    struct slice value = row_value(row);
    if (!slice_eq(row_key(row), number_slice(&stage->keys[number])) || value.len < sizeof(first)) {
        fault(stage, FAULT_WRONG);
        return 0;
    }
    memcpy(&first, value.data, sizeof(first));
    memcpy(&last, value.data + value.len - sizeof(last), sizeof(last));
    bool is_whole = memcmp(&first, &last, sizeof(first)) == 0 && first.number == number &&
                    first.check == hash_mix(first.number, first.sequence);
    if (!is_whole)
        fault(stage, FAULT_WRONG);
    return is_whole ? first.sequence : 0;
}

static void look_up(struct reader_job *job, uint64_t number)
{
    struct stage *stage = job->stage;
    const struct row *row =
        keydir_find(stage->dir, number_slice(&stage->keys[number]), stage->hashes[number]);
    if (number >= KEYS && row != NULL)
        fault(stage, FAULT_GHOST);
    if (number < STAYING && row == NULL)
        fault(stage, FAULT_MISSED);
    if (number >= KEYS || row == NULL)
        return;
    uint64_t sequence = read_content(stage, number, row);
    if (sequence != 0 && sequence < job->newest[number])
        fault(stage, FAULT_STALE);
    job->newest[number] = sequence;
}

/* Mostly keys that must be there, sometimes others. */
static uint64_t pick(struct reader_job *job)
{
    uint64_t chance = random_next(&job->random);
    if (chance % 8 != 0)
        return chance / 8 % STAYING;
    return chance / 8 % (2 * KEYS);
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

static void look_up_batch(struct reader_job *job)
{
    struct stage *stage = job->stage;
    uint64_t numbers[TURN_LOOK];
    for (size_t i = 0; i < TURN_LOOK; i++) {
        numbers[i] = pick(job);
        keydir_prefetch_bucket(stage->dir, stage->hashes[numbers[i]]);
    }
    for (size_t i = 0; i < TURN_LOOK; i++)
        keydir_prefetch_row(stage->dir, stage->hashes[numbers[i]]);
    for (size_t i = 0; i < TURN_LOOK; i++)
        look_up(job, numbers[i]);
    atomic_fetch_add_explicit(&stage->looks, TURN_LOOK, memory_order_relaxed);
}

static void visit(void *ctx, const struct row *row)
{
    struct reader_job *job = ctx;
    uint64_t number = row_number(row);
    if (number >= KEYS) {
        fault(job->stage, FAULT_GHOST);
        return;
    }
    (void)read_content(job->stage, number, row);
    job->visits[number]++;
}

/* A whole scan, every few calls a turn of its own. */
static void scan(struct reader_job *job)
{
    uint64_t cursor = 0;
    memset(job->visits, 0, sizeof(job->visits));
    do {
        cursor = keydir_scan(job->stage->dir, cursor, visit, job);
        if (random_below(&job->random, 4) == 0)
            end_reader_turn(job);
    } while (cursor != 0);
    for (uint64_t number = 0; number < STAYING; number++)
        if (job->visits[number] == 0)
            fault(job->stage, FAULT_SCAN);
    atomic_fetch_add_explicit(&job->stage->scans, 1, memory_order_relaxed);
}

static void *read_on(void *ctx)
{
    struct reader_job *job = ctx;
    job->reader = epoch_register(job->stage->epoch);
    while (!atomic_load_explicit(&job->stage->is_stopping, memory_order_relaxed)) {
        for (uint64_t turns = random_below(&job->random, 16); turns > 0; turns--) {
            look_up_batch(job);
            end_reader_turn(job);
        }
        scan(job);
        end_reader_turn(job);
    }
    epoch_unregister(job->reader);
    return NULL;
}

/* ---- The test ---- */

static void run(bool is_writer_a_reader)
{
    uint64_t seed = random_seed();
    struct stage *stage = stage_new(seed);
    struct writer *writer = mem_calloc(1, sizeof(*writer));
    struct reader_job *jobs = mem_calloc(READERS, sizeof(*jobs));
    pthread_t threads[READERS];
    writer->stage = stage;
    writer->random.state = seed;
    writer->reader = is_writer_a_reader ? epoch_register(stage->epoch) : NULL;
    for (uint64_t number = 0; number < STAYING; number++)
        put_number_now(writer, number);
    for (size_t i = 0; i < READERS; i++) {
        jobs[i].stage = stage;
        jobs[i].random.state = seed + 1 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &jobs[i]), 0);
    }
    write_on(writer);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    for (size_t kind = 0; kind < FAULT_COUNT; kind++)
        assert_int_equal(atomic_load(&stage->faults[kind]), 0);
    assert_true(atomic_load(&stage->looks) > 0 && atomic_load(&stage->scans) > 0);
    printf("%llu lookups, %llu scans, %llu rows written\n",
           (unsigned long long)atomic_load(&stage->looks),
           (unsigned long long)atomic_load(&stage->scans), (unsigned long long)writer->sequence);
    keydir_check(stage->dir);
    if (writer->reader != NULL)
        epoch_unregister(writer->reader);
    keydir_free(stage->dir);
    epoch_free(stage->epoch);
    mem_free(jobs);
    mem_free(writer);
    mem_free(stage);
}

static void readers_beside_a_writer(void **state)
{
    (void)state;
    run(false);
}

static void readers_beside_a_writer_that_reads_too(void **state)
{
    (void)state;
    run(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_beside_a_writer),
        cmocka_unit_test(readers_beside_a_writer_that_reads_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
