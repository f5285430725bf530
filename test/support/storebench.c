/* SPDX-License-Identifier: Apache-2.0 */
#include "support/storebench.h"

#include <stdio.h>

#include "base/mem.h"
#include "bitcask/upkeep.h"
#include "support/cmocka.h"

#define DEFAULT_DATABASES 4
#define DEFAULT_FILE_SIZE (64u * 1024)
#define STEP_BUDGET       7 /* small and odd, so that work is really done in slices */
#define PATH_SIZE         64

static struct os os_of(struct storebench *bench)
{
    return (struct os){.fs = simdisk_fs(bench->disk),
                       .clock = &bench->clock.clock,
                       .chance = &bench->chance.chance};
}

static struct storebench *bench_on(const struct storebench_options *options, struct simdisk *disk)
{
    struct storebench *bench = mem_calloc(1, sizeof(*bench));
    bench->options = *options;
    struct storebench_options *mine = &bench->options;
    mine->shard_count = mine->shard_count == 0 ? 1 : mine->shard_count;
    mine->database_count = mine->database_count == 0 ? DEFAULT_DATABASES : mine->database_count;
    mine->max_file_size = mine->max_file_size == 0 ? DEFAULT_FILE_SIZE : mine->max_file_size;
    bench->disk = disk;
    bench->now_ms = BENCH_START_MS;
    simclock_init(&bench->clock, bench->now_ms);
    simchance_init(&bench->chance, options->seed);
    bench->epoch = epoch_new();
    bench->reader = epoch_register(bench->epoch);
    bench->stores.is_single_threaded = !options->has_threads;
    return bench;
}

char *storebench_dir(char *to, size_t size, uint32_t shard)
{
    snprintf(to, size, BENCH_DIR "/shard_%u", shard);
    return to;
}

struct store_options storebench_store_options(struct storebench *bench, uint32_t shard,
                                              const char *dir)
{
    const struct manifest *manifest = &bench->manifest;
    return (struct store_options){
        .os = os_of(bench),
        .epoch = bench->epoch,
        .dir = dir,
        .shard = shard,
        .hash_seed = bench->hash_seed,
        .database_count = manifest->database_count,
        .database_ids = manifest->database_ids,
        .max_file_size = bench->options.max_file_size,
        .state_ms = manifest->state_ms,
        .next_file_id = manifest->shards[shard].next_file_id,
        .named = manifest->shards[shard].files,
        .named_count = manifest->shards[shard].file_count,
        .lfu = {.log_factor = 10, .decay_time = 1},
        .hot_max_value = bench->options.hot_max_value,
    };
}

static int open_stores(struct storebench *bench, struct diag *diag)
{
    const struct manifest *manifest = &bench->manifest;
    bench->hash_seed = chance_u64(&bench->chance.chance);
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        char dir[PATH_SIZE];
        struct store_options options =
            storebench_store_options(bench, i, storebench_dir(dir, sizeof(dir), i));
        int rc = store_open(&options, NULL, &bench->stores.shards[i], diag);
        if (rc != 0)
            return rc;
        bench->stores.count++;
    }
    bench->tx = tx_new(&bench->stores);
    bench->index = manifest->index;
    return 0;
}

static void fill_first_manifest(struct storebench *bench)
{
    struct manifest *manifest = &bench->manifest;
    uint32_t databases = bench->options.database_count;
    *manifest = (struct manifest){
        .group_id = 1,
        .node_id = 1,
        .hash_point = 7,
        .database_count = databases,
        .database_ids = mem_calloc(databases, sizeof(*manifest->database_ids)),
        .shard_count = bench->options.shard_count,
        .shards = mem_calloc(bench->options.shard_count, sizeof(*manifest->shards)),
    };
    for (uint32_t i = 0; i < databases; i++)
        manifest->database_ids[i] = (uint16_t)i;
    for (uint32_t i = 0; i < manifest->shard_count; i++)
        manifest->shards[i].next_file_id = 1;
}

struct storebench *storebench_new(const struct storebench_options *options)
{
    struct storebench *bench = bench_on(options, simdisk_new(options->seed));
    struct fs *fs = simdisk_fs(bench->disk);
    struct diag diag = {.text = ""};
    assert_int_equal(fs_mkdir(fs, BENCH_DIR), 0);
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    fill_first_manifest(bench);
    assert_int_equal(manifest_save(fs, BENCH_DIR, &bench->manifest, &diag), 0);
    if (open_stores(bench, &diag) != 0)
        fail_msg("%s", diag.text);
    return bench;
}

struct storebench *storebench_open(const struct storebench_options *options, struct simdisk *disk,
                                   struct diag *diag)
{
    struct storebench *bench = bench_on(options, disk);
    int rc = manifest_load(simdisk_fs(disk), BENCH_DIR, &bench->manifest, diag);
    if (rc == 0)
        rc = open_stores(bench, diag);
    if (rc != 0) {
        storebench_free(bench);
        return NULL;
    }
    if (bench->manifest.state_ms > bench->now_ms)
        bench->now_ms = bench->manifest.state_ms;
    return bench;
}

void storebench_free(struct storebench *bench)
{
    if (bench == NULL)
        return;
    tx_free(bench->tx);
    epoch_unregister(bench->reader);
    for (uint32_t i = 0; i < bench->stores.count; i++)
        store_close(bench->stores.shards[i]);
    manifest_fini(&bench->manifest);
    epoch_free(bench->epoch);
    simdisk_free(bench->disk);
    mem_free(bench);
}

/* ---- Transactions ---- */

static void begin_now(struct storebench *bench, enum tx_mode mode)
{
    uint64_t time_ms = 0; /* INLINE does without */
    if (mode == TX_APPLY)
        time_ms = bench->now_ms;
    else if (mode == TX_READ)
        time_ms = store_applied_ms(bench->stores.shards[0]);
    tx_begin(bench->tx,
             &(struct tx_begin){.mode = mode,
                                .time_ms = time_ms,
                                .now_ms = bench->now_ms,
                                .position = position_of(mode == TX_APPLY ? bench->index : 0, 0)});
}

void storebench_begin(struct storebench *bench, enum tx_mode mode)
{
    if (mode == TX_APPLY)
        bench->index++;
    begin_now(bench, mode);
}

void storebench_begin_again(struct storebench *bench)
{
    begin_now(bench, TX_APPLY);
}

static void apply_time(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++)
        store_set_applied_ms(bench->stores.shards[i], bench->now_ms);
}

void storebench_commit(struct storebench *bench)
{
    tx_commit(bench->tx);
    apply_time(bench);
    tx_reset(bench->tx);
}

size_t storebench_load(struct storebench *bench)
{
    size_t count = tx_want_count(bench->tx);
    for (size_t i = 0; i < count; i++) {
        struct tx_want want = tx_want_take(bench->tx, i);
        struct buf value = {0};
        struct diag diag = {.text = ""};
        int rc = datafile_read_value(want.file,
                                     &(struct datafile_query){.off = place_off(want.place),
                                                              .key = want.item.key,
                                                              .value_size = want.item.size,
                                                              .db_id = want.item.database_id},
                                     &value, &diag);
        if (rc != 0)
            fail_msg("a cold value cannot be read: %s", diag.text);
        tx_put_loaded(bench->tx, &want.item, &value);
        datafile_unref(want.file);
    }
    return count;
}

void storebench_tick(struct storebench *bench, uint64_t ms)
{
    bench->now_ms += ms;
    simclock_advance(&bench->clock, ms);
}

void storebench_advance(struct storebench *bench, uint64_t ms)
{
    storebench_tick(bench, ms);
    apply_time(bench);
}

/* ---- Work ---- */

void storebench_settle(struct storebench *bench)
{
    /* What is retired in one turn can be freed in the next. */
    for (int idle_turns = 0; idle_turns < 2; idle_turns++) {
        epoch_quiescent(bench->reader);
        for (uint32_t i = 0; i < bench->stores.count; i++) {
            if (store_step(bench->stores.shards[i], STEP_BUDGET))
                idle_turns = -1;
        }
    }
}

static int write_shard(struct storebench *bench, uint32_t shard)
{
    struct bitcask *bc = store_bitcask(bench->stores.shards[shard]);
    struct diag diag;
    struct bitcask_write *write;
    int rc = 0;
    while (rc == 0 && (write = bitcask_write_take(bc)) != NULL) {
        bitcask_write_run(write);
        rc = bitcask_write_done(bc, write, &diag);
    }
    return rc;
}

void storebench_write(struct storebench *bench)
{
    for (uint32_t i = 0; i < bench->stores.count; i++)
        assert_int_equal(write_shard(bench, i), 0);
    storebench_settle(bench);
}

static int sync_shard(struct storebench *bench, uint32_t shard, struct manifest_shard *out)
{
    struct bitcask *bc = store_bitcask(bench->stores.shards[shard]);
    bitcask_mark(bc);
    int rc = write_shard(bench, shard);
    if (rc != 0)
        return rc;
    assert_true(bitcask_mark_is_written(bc));
    struct bitcask_sync *sync = bitcask_sync_take(bc);
    if (sync != NULL) {
        struct diag diag;
        bitcask_sync_run(sync);
        rc = bitcask_sync_done(bc, sync, &diag);
    }
    mem_free(out->files);
    out->files = bitcask_mark_files(bc, &out->file_count);
    out->next_file_id = bitcask_next_id(bc);
    return rc;
}

int storebench_checkpoint(struct storebench *bench)
{
    struct manifest *manifest = &bench->manifest;
    struct diag diag;
    manifest->checkpoint_number++;
    manifest->index = bench->index;
    manifest->term = 1;
    manifest->state_ms = store_applied_ms(bench->stores.shards[0]);
    manifest->ceiling_ms = manifest->state_ms + 1000;
    for (uint32_t i = 0; i < manifest->database_count; i++)
        manifest->database_ids[i] = store_database_id(bench->stores.shards[0], (uint16_t)i);
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        int rc = sync_shard(bench, i, &manifest->shards[i]);
        if (rc != 0)
            return rc;
    }
    int rc = manifest_save(simdisk_fs(bench->disk), BENCH_DIR, manifest, &diag);
    for (uint32_t i = 0; i < bench->stores.count && rc == 0; i++)
        bitcask_checkpointed(store_bitcask(bench->stores.shards[i]));
    return rc;
}

/* ---- Looking ---- */

uint64_t storebench_digest(struct storebench *bench)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < bench->stores.count; i++) {
        uint64_t digest = 0;
        struct diag diag = {.text = ""};
        if (store_digest(bench->stores.shards[i], bench->now_ms, &digest, &diag) != 0)
            fail_msg("%s", diag.text);
        sum += digest;
    }
    return sum;
}

uint64_t storebench_row_count(const struct storebench *bench)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < bench->stores.count; i++)
        count += store_stats(bench->stores.shards[i]).keys;
    return count;
}

/* ---- One key ---- */

void storebench_put(struct storebench *bench, uint16_t db, const char *key, struct slice value,
                    uint64_t expire_at_ms)
{
    storebench_begin(bench, TX_APPLY);
    tx_put(bench->tx, db, slice_str(key),
           &(struct tx_value){.type = VALUE_STRING, .bytes = value, .expire_at_ms = expire_at_ms});
    storebench_commit(bench);
}

void storebench_del(struct storebench *bench, uint16_t db, const char *key)
{
    storebench_begin(bench, TX_APPLY);
    tx_del(bench->tx, db, slice_str(key));
    storebench_commit(bench);
}

void storebench_expect(struct storebench *bench, uint16_t db, const char *key, const char *want)
{
    struct item item;
    struct slice value = SLICE_EMPTY;
    storebench_begin(bench, TX_READ);
    assert_int_equal(tx_peek(bench->tx, db, slice_str(key), &item), 0);
    assert_int_equal(item.type != VALUE_NONE, want != NULL);
    if (want != NULL) {
        int rc = tx_load(bench->tx, &item, &value);
        if (rc == ERR_COLD) {
            storebench_load(bench);
            rc = tx_load(bench->tx, &item, &value);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(value.len, strlen(want));
        assert_memory_equal(value.data, want, value.len);
    }
    tx_reset(bench->tx);
}

/* ---- For tests of transactions ---- */

struct storebench *storebench_hot(uint32_t shard_count)
{
    return storebench_new(&(struct storebench_options){
        .seed = 11, .shard_count = shard_count, .hot_max_value = SIZE_MAX, .has_threads = true});
}

void storebench_tx_put(struct tx *tx, uint16_t db, const char *key, const char *value)
{
    tx_put(tx, db, slice_str(key),
           &(struct tx_value){.type = VALUE_STRING, .bytes = slice_str(value)});
}

struct item storebench_item(struct tx *tx, uint16_t db, const char *key)
{
    struct item item;
    assert_int_equal(tx_get(tx, db, slice_str(key), &item), 0);
    return item;
}

void storebench_tx_expect(struct tx *tx, uint16_t db, const char *key, const char *want)
{
    struct slice value;
    struct item item = storebench_item(tx, db, key);
    assert_int_equal(item.type != VALUE_NONE, want != NULL);
    if (want == NULL)
        return;
    assert_int_equal(tx_load(tx, &item, &value), 0);
    assert_true(slice_eq(value, slice_str(want)));
}
