/* SPDX-License-Identifier: Apache-2.0 */
/* An owner that appends and rotates, a thread that writes and syncs for it, and readers that look
 * for files and values all the while, on a real filesystem. */
#include "bitcask/bitcask.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/tmpdir.h"

#define READERS       2
#define RECORDS       6000
#define FILE_LIMIT    16384
#define RING          1024
#define MAX_IN_FLIGHT 200

/* A place whose value may be read, one word each so that readers may look at any time. */
struct ring {
    _Atomic uint64_t places[RING]; /* record number << 48 | file id << 32 | offset */
    _Atomic uint64_t published;
};

struct shared {
    struct bitcask *bc;
    struct epoch *epoch;
    struct ring ring;
    _Atomic bool is_over;
    _Atomic uint64_t reads;
    uint64_t seed;
};

static struct record record_of(uint64_t number, char *key, uint8_t *value)
{
    int len = snprintf(key, 32, "key:%" PRIu64, number);
    size_t size = (size_t)(number * 37 % 600);
    memset(value, (int)(number & 0xff), size);
    return (struct record){.kind = RECORD_PUT,
                           .position = number << 16,
                           .key = slice_of(key, (size_t)len),
                           .value = slice_of(value, size)};
}

static void read_one(struct shared *shared, uint64_t place)
{
    char key[32];
    uint8_t bytes[600];
    struct record record = record_of(place >> 48, key, bytes);
    struct datafile *df = bitcask_pin(shared->bc, (uint32_t)(place >> 32) & 0xffff);
    ASSERT(df != NULL);
    const struct datafile_query query = {
        .off = (uint32_t)place, .key = record.key, .value_size = record.value.len};
    struct buf value = {0};
    struct diag diag;
    ASSERT(datafile_read_value(df, &query, &value, &diag) == 0);
    ASSERT(slice_eq(buf_slice(&value), record.value));
    buf_fini(&value);
    datafile_unref(df);
}

static void read_on(void *ctx)
{
    struct shared *shared = ctx;
    struct epoch_reader *reader = epoch_register(shared->epoch);
    struct random random = {shared->seed};
    while (!atomic_load(&shared->is_over)) {
        uint64_t published = atomic_load(&shared->ring.published);
        if (published > 0) {
            uint64_t back = random_below(&random, published < RING ? published : RING);
            read_one(shared, atomic_load(&shared->ring.places[(published - 1 - back) % RING]));
            atomic_fetch_add(&shared->reads, 1);
        }
        epoch_quiescent(reader);
    }
    epoch_unregister(reader);
}

/* One job at a time for another thread. */
struct worker {
    struct lock lock;
    struct signal signal;
    struct bitcask_write *write;
    struct bitcask_sync *sync;
    bool is_done;
    bool is_over;
};

static void work_on(void *ctx)
{
    struct worker *worker = ctx;
    lock_take(&worker->lock);
    for (;;) {
        while (!worker->is_over && (worker->is_done || (!worker->write && !worker->sync)))
            signal_wait(&worker->signal, &worker->lock);
        if (worker->is_over)
            break;
        lock_drop(&worker->lock);
        if (worker->write != NULL)
            bitcask_write_run(worker->write);
        else
            bitcask_sync_run(worker->sync);
        lock_take(&worker->lock);
        worker->is_done = true;
        signal_all(&worker->signal);
    }
    lock_drop(&worker->lock);
}

static void start_job(struct worker *worker, struct bitcask_write *write, struct bitcask_sync *sync)
{
    lock_take(&worker->lock);
    worker->write = write;
    worker->sync = sync;
    worker->is_done = false;
    signal_all(&worker->signal);
    lock_drop(&worker->lock);
}

static void finish_job(struct bitcask *bc, struct worker *worker)
{
    lock_take(&worker->lock);
    while (!worker->is_done)
        signal_wait(&worker->signal, &worker->lock);
    lock_drop(&worker->lock);
    struct diag diag;
    if (worker->write != NULL)
        assert_int_equal(bitcask_write_done(bc, worker->write, &diag), 0);
    else
        assert_int_equal(bitcask_sync_done(bc, worker->sync, &diag), 0);
    worker->write = NULL;
    worker->sync = NULL;
}

/* The owner's turns: a few appends, publication of what is written, a job now and then. */
struct owner {
    struct shared *shared;
    struct worker *worker;
    struct random random;
    uint64_t places[RECORDS];
    uint64_t appended;
    uint64_t published;
};

static void append_some(struct owner *owner)
{
    uint64_t count = 1 + random_below(&owner->random, 30);
    for (; count > 0 && owner->appended < RECORDS; count--) {
        char key[32];
        uint8_t value[600];
        struct record record = record_of(owner->appended, key, value);
        uint32_t file_id;
        uint64_t off;
        bitcask_append(owner->shared->bc, &record, &file_id, &off);
        owner->places[owner->appended] = owner->appended << 48 | (uint64_t)file_id << 32 | off;
        owner->appended++;
    }
}

static void publish_written(struct owner *owner)
{
    struct ring *ring = &owner->shared->ring;
    for (; owner->published < owner->appended; owner->published++) {
        uint64_t place = owner->places[owner->published];
        if (!bitcask_is_written(owner->shared->bc, (uint32_t)(place >> 32) & 0xffff,
                                (uint32_t)place))
            return;
        atomic_store(&ring->places[owner->published % RING], place);
        atomic_store(&ring->published, owner->published + 1);
    }
}

static void run_owner(struct owner *owner)
{
    struct bitcask *bc = owner->shared->bc;
    struct epoch_reader *reader = epoch_register(owner->shared->epoch);
    bool is_marked = false;
    while (owner->published < RECORDS) {
        if (owner->appended - owner->published < MAX_IN_FLIGHT)
            append_some(owner);
        if (!is_marked && random_below(&owner->random, 4) == 0) {
            bitcask_mark(bc);
            is_marked = true;
        }
        struct bitcask_write *write = NULL;
        struct bitcask_sync *sync = NULL;
        if (is_marked && bitcask_mark_is_written(bc))
            sync = bitcask_sync_take(bc);
        else
            write = bitcask_write_take(bc);
        if (write != NULL || sync != NULL) {
            start_job(owner->worker, write, sync);
            append_some(owner); /* while the job runs */
            publish_written(owner);
            finish_job(bc, owner->worker);
            is_marked = is_marked && sync == NULL;
        }
        publish_written(owner);
        epoch_quiescent(reader);
    }
    while (atomic_load(&owner->shared->reads) < 500)
        epoch_quiescent(reader);
    if (is_marked) {
        assert_true(bitcask_mark_is_written(bc));
        start_job(owner->worker, NULL, bitcask_sync_take(bc));
        finish_job(bc, owner->worker);
    }
    epoch_unregister(reader);
}

static int no_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    (void)ctx;
    (void)record;
    (void)file_id;
    (void)off;
    fail();
    return 0;
}

static void readers_find_every_published_value_while_files_come_and_go(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    struct tmpdir dir;
    tmpdir_make(&dir);
    struct tmpdir_path path = tmpdir_join(&dir, "shard");
    static struct shared shared;
    static struct owner owner;
    static struct worker worker;
    shared.epoch = epoch_new();
    shared.seed = seed;
    const struct bitcask_options options = {.os = os_posix(),
                                            .epoch = shared.epoch,
                                            .dir = path.text,
                                            .max_file_size = FILE_LIMIT,
                                            .next_id = 1};
    struct diag diag;
    assert_int_equal(bitcask_open(&options, no_record, NULL, NULL, &shared.bc, &diag), 0);
    lock_init(&worker.lock);
    signal_init(&worker.signal);
    struct thread threads[READERS + 1] = {0};
    assert_int_equal(thread_start(&threads[READERS], "worker", work_on, &worker), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(thread_start(&threads[i], "reader", read_on, &shared), 0);

    owner.shared = &shared;
    owner.worker = &worker;
    owner.random.state = seed;
    run_owner(&owner);

    atomic_store(&shared.is_over, true);
    lock_take(&worker.lock);
    worker.is_over = true;
    signal_all(&worker.signal);
    lock_drop(&worker.lock);
    for (int i = 0; i <= READERS; i++)
        thread_join(&threads[i]);
    assert_true(bitcask_stats(shared.bc).file_count > 50);
    bitcask_close(shared.bc);
    epoch_free(shared.epoch);
    lock_fini(&worker.lock);
    signal_fini(&worker.signal);
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_find_every_published_value_while_files_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
