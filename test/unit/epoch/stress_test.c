/* SPDX-License-Identifier: Apache-2.0 */
/* Readers follow pointers that two writers replace all the time. What a writer gets back from its
 * bag it marks as dead at once, so a reader that meets a dead object holds what was freed too
 * early; the sanitizer presets really free it and see the same. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/mem.h"
#include "epoch/epoch.h"
#include "support/cmocka.h"
#include "support/random.h"

#define CELLS        16
#define WRITERS      2
#define READERS      3
#define RUN_MS       1500
#define BAG_LIMIT    (size_t)1000000
#define MAGIC_LIVE   UINT64_C(0x11fe11fe11fe11fe)
#define MAGIC_DEAD   UINT64_C(0xdeaddeaddeaddead)
#define KEPT_OBJECTS 64

struct object {
    _Atomic uint64_t magic;
    uint64_t twice[2]; /* equal in a live object */
};

/* Dead objects rest here before their memory is used again, so that reading one is seen. */
struct writer {
    struct stage *stage;
    _Atomic(struct object *) *cells;
    struct epoch_bag *bag;
    struct random random;
    struct object *dead[KEPT_OBJECTS];
    size_t dead_count;
    size_t freed;
};

struct stage {
    struct epoch *epoch;
    _Atomic(struct object *) cells[WRITERS][CELLS];
    atomic_bool is_stopping;
    _Atomic uint64_t bad;
    uint64_t seed;
};

struct reader_job {
    struct stage *stage;
    struct random random;
    uint64_t looks;
};

static void bury(void *ctx, void *object)
{
    struct writer *writer = ctx;
    struct object *dead = object;
    writer->freed++;
    atomic_store_explicit(&dead->magic, MAGIC_DEAD, memory_order_relaxed);
#ifdef FERRIC_SANITIZED
    mem_free(dead);
#else
    size_t place = writer->dead_count++ % KEPT_OBJECTS;
    mem_free(writer->dead[place]);
    writer->dead[place] = dead;
#endif
}

static struct object *object_new(uint64_t value)
{
    struct object *object = mem_alloc(sizeof(*object));
    atomic_init(&object->magic, MAGIC_LIVE);
    object->twice[0] = value;
    object->twice[1] = value;
    return object;
}

static void look(struct reader_job *job)
{
    struct stage *stage = job->stage;
    uint64_t pick = random_next(&job->random);
    struct object *held[4];
    for (size_t i = 0; i < 4; i++) {
        uint64_t cell = pick >> (8 * i);
        held[i] = atomic_load_explicit(&stage->cells[cell % WRITERS][cell / WRITERS % CELLS],
                                       memory_order_acquire);
    }
    for (size_t i = 0; i < 4; i++) {
        bool is_live = atomic_load_explicit(&held[i]->magic, memory_order_relaxed) == MAGIC_LIVE;
        if (!is_live || held[i]->twice[0] != held[i]->twice[1])
            atomic_fetch_add(&stage->bad, 1);
    }
    job->looks++;
}

/* For a while ends every turn by being quiescent, for a while by a nap; leaves and comes back in
 * between. */
static void *read_on(void *ctx)
{
    struct reader_job *job = ctx;
    struct stage *stage = job->stage;
    struct epoch_reader *reader = epoch_register(stage->epoch);
    for (uint64_t turn = 1; !atomic_load(&stage->is_stopping); turn++) {
        if (turn % 4096 == 0) {
            epoch_unregister(reader);
            reader = epoch_register(stage->epoch);
        }
        look(job);
        if (turn / 4096 % 2 == 0) {
            epoch_quiescent(reader);
        } else {
            epoch_offline(reader);
            epoch_online(reader);
        }
    }
    epoch_unregister(reader);
    return NULL;
}

static void replace_some(struct writer *writer)
{
    for (uint64_t n = random_below(&writer->random, 3); n > 0; n--) {
        struct object *next = object_new(random_next(&writer->random));
        struct object *old = atomic_exchange_explicit(
            &writer->cells[random_below(&writer->random, CELLS)], next, memory_order_acq_rel);
        epoch_retire(writer->bag, old, sizeof(*old));
    }
}

/* The bag must come down again however busy the readers are (P7). */
static void *write_on(void *ctx)
{
    struct writer *writer = ctx;
    while (!atomic_load_explicit(&writer->stage->is_stopping, memory_order_relaxed)) {
        replace_some(writer);
        do {
            (void)epoch_collect(writer->bag, 64);
        } while (epoch_bag_bytes(writer->bag) > BAG_LIMIT);
    }
    return NULL;
}

static void writer_init(struct writer *writer, struct stage *stage, size_t idx)
{
    *writer = (struct writer){.stage = stage, .cells = stage->cells[idx]};
    writer->random.state = stage->seed + idx;
    writer->bag = epoch_bag_new(stage->epoch, bury, writer);
    for (size_t i = 0; i < CELLS; i++)
        atomic_init(&stage->cells[idx][i], object_new(i));
}

static void writer_fini(struct writer *writer)
{
    epoch_bag_free(writer->bag);
    for (size_t i = 0; i < KEPT_OBJECTS; i++)
        mem_free(writer->dead[i]);
    for (size_t i = 0; i < CELLS; i++)
        mem_free(atomic_load(&writer->cells[i]));
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run(size_t writer_count, size_t reader_count)
{
    struct stage stage = {.epoch = epoch_new(), .seed = random_seed()};
    struct writer writers[WRITERS];
    struct reader_job jobs[READERS];
    pthread_t threads[READERS + WRITERS];
    for (size_t i = 0; i < WRITERS; i++)
        writer_init(&writers[i], &stage, i);
    size_t started = 0;
    for (size_t i = 0; i < reader_count; i++) {
        jobs[i] = (struct reader_job){.stage = &stage, .random.state = stage.seed + 100 + i};
        assert_int_equal(pthread_create(&threads[started++], NULL, read_on, &jobs[i]), 0);
    }
    for (size_t i = 1; i < writer_count; i++)
        assert_int_equal(pthread_create(&threads[started++], NULL, write_on, &writers[i]), 0);

    uint64_t deadline = now_ms() + RUN_MS;
    while (now_ms() < deadline && atomic_load(&stage.bad) == 0) {
        for (int i = 0; i < 200; i++) {
            replace_some(&writers[0]);
            (void)epoch_collect(writers[0].bag, 64);
        }
    }
    atomic_store(&stage.is_stopping, true);
    for (size_t i = 0; i < started; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    assert_int_equal(atomic_load(&stage.bad), 0);
    for (size_t i = 0; i < writer_count; i++)
        assert_true(writers[i].freed > 0);
    for (size_t i = 0; i < reader_count; i++)
        assert_true(jobs[i].looks > 0);
    for (size_t i = 0; i < WRITERS; i++)
        writer_fini(&writers[i]);
    epoch_free(stage.epoch);
}

static void one_writer_one_reader(void **state)
{
    (void)state;
    run(1, 1);
}

static void many_of_both(void **state)
{
    (void)state;
    run(WRITERS, READERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_writer_one_reader),
        cmocka_unit_test(many_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
