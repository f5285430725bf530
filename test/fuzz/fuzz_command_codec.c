/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a command of the log. What is decoded must be what the encoder would have
 * written; its keys are looked for, those of the commands that it holds too; and what a start would
 * replay is run over a store with a few keys. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/codec.h"
#include "command/families.h"
#include "command/transaction.h"
#include "support/fuzz.h"
#include "support/simdisk.h"

#define MAX_SIZE  (64u * 1024)
#define DATABASES 3
#define NOW_MS    UINT64_C(1700000000000)

/* Made anew for every input that is run: rows hang on tagged pointers, which a search for leaks
 * does not follow. */
struct world {
    struct simdisk *disk;
    struct simclock clock;
    struct simchance chance;
    struct epoch *epoch;
    struct stores stores;
    struct tx *tx;
};

static const struct command_table *table_of_all(void)
{
    static struct command_table *table;
    static const struct command_family *const families[] = {
        &string_family, &string_number_family, &string_range_family, &keyspace_family,
        &bitmap_family, &bitfield_family,      &hyperloglog_family,  &lcs_family,
        &expire_family, &scan_family,          &transaction_family,
    };
    if (table == NULL)
        table = command_table_new(families, ARRAY_COUNT(families));
    return table;
}

static void begin(struct world *world, uint64_t index)
{
    tx_begin(world->tx, &(struct tx_begin){.mode = TX_APPLY,
                                           .time_ms = NOW_MS,
                                           .now_ms = NOW_MS,
                                           .position = position_of(index, 0)});
}

static void put(struct world *world, const char *key, struct slice value, enum value_type type,
                uint64_t expire_at_ms)
{
    tx_put(world->tx, 0, slice_str(key),
           &(struct tx_value){.type = type, .bytes = value, .expire_at_ms = expire_at_ms});
}

static void make_world(struct world *world)
{
    static const uint16_t ids[DATABASES] = {0, 1, 2};
    *world = (struct world){.disk = simdisk_new(1), .epoch = epoch_new()};
    simclock_init(&world->clock, NOW_MS);
    simchance_init(&world->chance, 1);
    const struct store_options options = {
        .os = {simdisk_fs(world->disk), &world->clock.clock, &world->chance.chance},
        .epoch = world->epoch,
        .dir = "/store",
        .database_count = DATABASES,
        .database_ids = ids,
        .max_file_size = 1u << 20,
        .next_file_id = 1,
        .hot_max_value = SIZE_MAX,
    };
    struct diag diag;
    int rc = store_open(&options, NULL, &world->stores.shards[0], &diag);
    ASSERT(rc == 0);
    world->stores.count = 1;
    world->stores.is_single_threaded = true;
    world->tx = tx_new(&world->stores);
    begin(world, 1);
    put(world, "a", SLICE_LIT("text"), VALUE_STRING, 0);
    put(world, "n", SLICE_LIT("-17"), VALUE_STRING, NOW_MS + 1000);
    put(world, "f", SLICE_LIT("3.25"), VALUE_STRING, 0);
    put(world, "l", SLICE_LIT("list"), VALUE_LIST, 0);
    put(world, "h", SLICE_LIT("HYLL\1\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff"), VALUE_STRING, 0);
    tx_commit(world->tx);
}

static void free_world(struct world *world)
{
    tx_free(world->tx);
    store_close(world->stores.shards[0]);
    epoch_free(world->epoch);
    simdisk_free(world->disk);
}

static void check_fixed_point(const struct coded_command *coded, const struct slice *argv,
                              const uint8_t *bytes)
{
    size_t size = command_coded_size(argv, coded->argc);
    ASSERT(size == coded->size);
    uint8_t *again = mem_alloc(size);
    command_encode(again, coded->id, coded->db, argv, coded->argc);
    ASSERT(memcmp(again, bytes, size) == 0);
    mem_free(again);
}

struct keys {
    size_t bytes;
    bool is_too_long;
};

static void on_key(void *ctx, uint16_t db, struct slice key)
{
    struct keys *keys = ctx;
    ASSERT(db < STORE_MAX_DATABASES || key.data != NULL);
    for (size_t i = 0; i < key.len; i++)
        keys->bytes += key.data[i];
    keys->is_too_long |= key.len > ROW_MAX_KEY;
}

/* SETRANGE and its like may make half a gigabyte out of a few bytes. */
static bool is_large(const struct slice *argv, uint32_t argc)
{
    for (uint32_t i = 0; i < argc; i++) {
        struct slice digits = slice_sub(argv[i], argv[i].len > 0 && argv[i].data[0] == '#', 16);
        if (digits.len >= 6 && digits.len <= 10 && digits.data[0] >= '1' && digits.data[0] <= '9')
            return true;
    }
    return false;
}

static void run(const struct command_row *row, uint16_t db, const struct slice *argv, uint32_t argc)
{
    struct world world;
    struct buf out = {0};
    struct reply reply = reply_to(&out, 3);
    make_world(&world);
    begin(&world, 2);
    int rc = row->run(&(struct call){.row = row,
                                     .argv = argv,
                                     .argc = argc,
                                     .db = db,
                                     .tx = world.tx,
                                     .reply = &reply,
                                     .table = table_of_all()});
    ASSERT(rc == 0 || (rc == ERR_CORRUPT && (row->flags & CMD_INTERNAL) != 0));
    ASSERT(rc != 0 || reply_skip(buf_slice(&out)) == out.len);
    if (rc == 0)
        tx_commit(world.tx);
    free_world(&world);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coded_command coded;
    if (size > MAX_SIZE || command_decode(slice_of(data, size), &coded) != 0)
        return 0;
    struct slice *argv = mem_calloc(coded.argc, sizeof(*argv));
    command_fill_argv(&coded, argv);
    check_fixed_point(&coded, argv, data);
    const struct command_row *row = command_by_id(table_of_all(), coded.id);
    if (row != NULL && command_arity_fits(row, coded.argc)) {
        struct keys keys = {0};
        enum keys_found found = command_keys(
            table_of_all(), row,
            &(struct request){.argv = argv, .argc = coded.argc, .db = coded.db}, on_key, &keys);
        /* What EXEC holds is too deep to be looked into here: its small inputs are run. */
        bool is_bounded =
            (row->flags & CMD_INTERNAL) != 0 ? size < 200 : !is_large(argv, coded.argc);
        if (found != KEYS_MALFORMED && !keys.is_too_long && coded.db < DATABASES && is_bounded)
            run(row, coded.db, argv, coded.argc);
    }
    mem_free(argv);
    return 0;
}
