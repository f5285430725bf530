/* SPDX-License-Identifier: Apache-2.0 */
/* keydir_bench [rows [expire_at_ms]]: what the keydir costs, in nanoseconds per operation and bytes
 * per row.
 *
 * Rows are cold and have keys of 16 bytes. Lookups go to random keys in batches of 16, as a loop
 * does that has parsed a pipeline; the keys of a batch are made before its time is taken. Memory is
 * the growth of the resident set.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "epoch/epoch.h"
#include "keydir/keydir.h"

#define BATCH    16
#define BATCHES  200000
#define KEY_SIZE 16

struct bench {
    struct keydir *dir;
    struct epoch_reader *reader;
    size_t rows;
};

struct key {
    char text[KEY_SIZE + 1];
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double resident_bytes(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2)
        exit(1);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static struct key key_of(uint64_t number)
{
    struct key key;
    snprintf(key.text, sizeof(key.text), "%016llx", (unsigned long long)hash_mix(number, 7));
    return key;
}

static struct slice key_slice(const struct key *key)
{
    return slice_of(key->text, KEY_SIZE);
}

static struct row *cold_row(uint64_t number, uint64_t expire_at_ms)
{
    struct key key = key_of(number);
    struct row *row = row_new(&(struct row_desc){
        .key = key_slice(&key), .value_size = 100, .expire_at_ms = expire_at_ms});
    if (row == NULL)
        exit(1);
    return row;
}

/* Ends a turn of a loop that is its own only reader. */
static void end_turn(struct bench *bench)
{
    epoch_quiescent(bench->reader);
    while (keydir_collect(bench->dir, 1000)) {
    }
}

static void put_all(struct bench *bench, uint64_t expire_at_ms, const char *what)
{
    double spent = 0;
    struct row *rows[BATCH];
    uint64_t hashes[BATCH];
    for (size_t done = 0; done < bench->rows; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            rows[i] = cold_row(done + i, expire_at_ms);
        double begin = now_ns();
        for (size_t i = 0; i < BATCH; i++) {
            hashes[i] = keydir_hash(bench->dir, row_key(rows[i]));
            keydir_prefetch_bucket(bench->dir, hashes[i]);
        }
        for (size_t i = 0; i < BATCH; i++)
            keydir_put(bench->dir, rows[i], hashes[i]);
        end_turn(bench);
        spent += now_ns() - begin;
    }
    printf("%-24s %8.1f ns\n", what, spent / (double)bench->rows);
}

static void delete_all(struct bench *bench)
{
    double spent = 0;
    struct key keys[BATCH];
    for (size_t done = 0; done < bench->rows; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            keys[i] = key_of(done + i);
        double begin = now_ns();
        for (size_t i = 0; i < BATCH; i++) {
            struct slice key = key_slice(&keys[i]);
            (void)keydir_del(bench->dir, key, keydir_hash(bench->dir, key));
        }
        end_turn(bench);
        spent += now_ns() - begin;
    }
    printf("%-24s %8.1f ns\n", "delete", spent / (double)bench->rows);
}

static size_t find_batch(const struct keydir *dir, const struct key *keys, bool is_prefetching)
{
    uint64_t hashes[BATCH];
    size_t found = 0;
    for (size_t i = 0; i < BATCH; i++) {
        hashes[i] = keydir_hash(dir, key_slice(&keys[i]));
        if (is_prefetching)
            keydir_prefetch_bucket(dir, hashes[i]);
    }
    for (size_t i = 0; is_prefetching && i < BATCH; i++)
        keydir_prefetch_row(dir, hashes[i]);
    for (size_t i = 0; i < BATCH; i++)
        found += keydir_find(dir, key_slice(&keys[i]), hashes[i]) != NULL;
    return found;
}

/* Keys from `first` on are looked up. */
static void find_many(struct bench *bench, size_t first, bool is_prefetching, const char *what)
{
    double spent = 0;
    size_t found = 0;
    struct key keys[BATCH];
    for (size_t batch = 0; batch < BATCHES; batch++) {
        for (size_t i = 0; i < BATCH; i++)
            keys[i] = key_of(first + hash_mix(batch * BATCH + i, 5) % bench->rows);
        double begin = now_ns();
        found += find_batch(bench->dir, keys, is_prefetching);
        spent += now_ns() - begin;
    }
    printf("%-24s %8.1f ns  (%zu of %d found)\n", what, spent / (BATCHES * BATCH), found,
           BATCHES * BATCH);
}

static void count_visit(void *ctx, const struct row *row)
{
    size_t *sum = ctx;
    *sum += row->key_size;
}

static void scan_all(struct bench *bench)
{
    size_t sum = 0;
    uint64_t cursor = 0;
    double begin = now_ns();
    do {
        cursor = keydir_scan(bench->dir, cursor, count_visit, &sum);
    } while (cursor != 0);
    printf("%-24s %8.1f ns\n", "scan, a row", (now_ns() - begin) / (double)bench->rows);
}

static void idle_turns(struct bench *bench)
{
    double begin = now_ns();
    for (size_t i = 0; i < 10000000; i++)
        end_turn(bench);
    printf("%-24s %8.1f ns\n", "turn, nothing retired", (now_ns() - begin) / 1e7);
}

static void print_memory(struct bench *bench, double before, const char *what)
{
    double rows = (double)bench->rows;
    double table = (double)keydir_bytes(bench->dir);
    printf("%-24s %8.1f B resident, %.1f B counted\n", what, (resident_bytes() - before) / rows,
           table / rows);
}

static void run(struct bench *bench, uint64_t expire_at_ms)
{
    double before = resident_bytes();
    put_all(bench, expire_at_ms, "insert");
    print_memory(bench, before, "memory, a row");
    find_many(bench, 0, false, "find");
    find_many(bench, 0, true, "find, prefetched");
    find_many(bench, bench->rows, false, "find absent");
    find_many(bench, bench->rows, true, "find absent, prefetched");
    put_all(bench, expire_at_ms, "overwrite");
    scan_all(bench);
    idle_turns(bench);
    delete_all(bench);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t expire_at_ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct epoch *epoch = epoch_new();
    struct bench bench = {.dir = keydir_new(epoch, 42),
                          .reader = epoch_register(epoch),
                          .rows = rows / BATCH * BATCH};
    run(&bench, expire_at_ms);
    epoch_unregister(bench.reader);
    keydir_free(bench.dir);
    epoch_free(epoch);
    return 0;
}
