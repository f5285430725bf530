/* SPDX-License-Identifier: Apache-2.0 */
#include "support/bitcask_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"

#define SCRATCH_SIZE (256 * 1024)

struct world *world_new(uint64_t seed, uint64_t max_file_size)
{
    struct world *world = mem_calloc(1, sizeof(*world));
    world->disk = simdisk_new(seed);
    world->owns_disk = true;
    world->random.state = seed;
    world->max_file_size = max_file_size;
    simclock_init(&world->clock, 1700000000000);
    simchance_init(&world->chance, seed);
    world->epoch = epoch_new();
    world->scratch = mem_alloc(SCRATCH_SIZE);
    world->manifests = mem_calloc(1, sizeof(*world->manifests));
    world->manifests[0].next_id = 1;
    world->manifest_count = 1;
    struct fs *fs = simdisk_fs(world->disk);
    assert_int_equal(fs_mkdir(fs, "/data"), 0);
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    return world;
}

static struct world_copies dup_copies(const struct world_copies *from)
{
    return (struct world_copies){.items = mem_dup(from->items, from->count * sizeof(*from->items)),
                                 .count = from->count,
                                 .cap = from->count};
}

static void push_copy(struct world_copies *to, struct world_copy copy)
{
    if (to->count == to->cap) {
        to->cap = to->cap * 2 + 64;
        to->items = mem_realloc(to->items, to->cap * sizeof(*to->items));
    }
    to->items[to->count++] = copy;
}

static struct world_manifest copy_manifest(const struct world_manifest *from)
{
    struct world_manifest copy = *from;
    copy.named = mem_dup(from->named, from->named_count * sizeof(*from->named));
    copy.copies = dup_copies(&from->copies);
    return copy;
}

struct world *world_on_image(const struct world *before, struct simdisk *image, size_t manifest,
                             uint64_t seed)
{
    assert_true(manifest < before->manifest_count);
    struct world *world = mem_calloc(1, sizeof(*world));
    world->disk = image;
    world->owns_disk = true;
    world->random.state = seed;
    world->max_file_size = before->max_file_size;
    simclock_init(&world->clock, 1700000000000);
    simchance_init(&world->chance, seed);
    world->epoch = epoch_new();
    world->scratch = mem_alloc(SCRATCH_SIZE);
    world->manifests = mem_calloc(1, sizeof(*world->manifests));
    world->manifests[0] = copy_manifest(&before->manifests[manifest]);
    world->manifest_count = 1;
    world->entry_count = world->manifests[0].entry_count;
    world->entry_cap = world->entry_count;
    world->entries = mem_dup(before->entries, world->entry_count * sizeof(*world->entries));
    world->judge = before->judge;
    world->judge_ctx = before->judge_ctx;
    return world;
}

void world_free(struct world *world)
{
    world_close(world);
    epoch_free(world->epoch);
    for (size_t i = 0; i < world->manifest_count; i++) {
        mem_free(world->manifests[i].named);
        mem_free(world->manifests[i].copies.items);
    }
    mem_free(world->manifests);
    mem_free(world->copies.items);
    mem_free(world->marked.items);
    mem_free(world->entries);
    mem_free(world->scratch);
    if (world->owns_disk)
        simdisk_free(world->disk);
    mem_free(world);
}

/* ---- Records ---- */

static struct slice scratch_bytes(struct world *world, struct random *random, size_t *used,
                                  size_t len)
{
    uint8_t *start = world->scratch + *used;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = random_next(random);
        memcpy(start + i, &word, 8);
    }
    *used += (len + 7) & ~(size_t)7;
    assert_true(*used <= SCRATCH_SIZE);
    return slice_of(start, len);
}

/* Mostly small, sometimes several blocks, now and then more than a test's file may hold. */
static size_t random_value_size(struct random *random)
{
    switch (random_below(random, 16)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return random_below(random, 9000);
    case 3:
        return random_below(random, 8) == 0 ? 20000 + random_below(random, 20000) : 1;
    default:
        return random_below(random, 300);
    }
}

struct record world_record(struct world *world, const struct world_entry *entry)
{
    struct random random = {entry->seed};
    size_t used = 0;
    struct record record = {.kind = RECORD_PUT, .position = entry->position};
    uint64_t shape = random_below(&random, 10);
    record.db_id = (uint16_t)random_below(&random, 3);
    record.revision = (uint32_t)random_below(&random, 2);
    if (shape == 0) {
        record.kind = RECORD_FLUSH;
        return record;
    }
    record.type = (uint8_t)random_below(&random, 6);
    record.key = scratch_bytes(world, &random, &used, random_below(&random, 40));
    if (random_below(&random, 3) == 0)
        record.collection =
            (struct collection_id){.position = 1 + random_below(&random, 1000), .counter = 1};
    if (shape == 1) {
        record.kind = RECORD_TOMBSTONE;
        return record;
    }
    record.value = scratch_bytes(world, &random, &used, random_value_size(&random));
    if (random_below(&random, 3) == 0)
        record.expire_at_ms = 1 + random_next(&random) / 2;
    return record;
}

static bool is_same(const struct record *a, const struct record *b)
{
    return a->kind == b->kind && a->type == b->type && a->promotion == b->promotion &&
           a->db_id == b->db_id && a->revision == b->revision && a->position == b->position &&
           a->expire_at_ms == b->expire_at_ms && a->collection.position == b->collection.position &&
           a->collection.counter == b->collection.counter && slice_eq(a->key, b->key) &&
           a->value.len == b->value.len &&
           (a->value.data == NULL || slice_eq(a->value, b->value)); /* a hint has no bytes */
}

/* ---- Opening ---- */

static int by_place(const void *a, const void *b)
{
    const struct world_copy *left = a;
    const struct world_copy *right = b;
    if (left->file_id != right->file_id)
        return left->file_id < right->file_id ? -1 : 1;
    return left->off < right->off ? -1 : left->off > right->off;
}

void world_check_entry(struct world *world, const struct record *record, size_t entry)
{
    assert_true(entry < world->entry_count);
    struct record expected = world_record(world, &world->entries[entry]);
    if (!is_same(record, &expected))
        fail_msg("entry %zu came back as another", entry);
}

static int on_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    struct world *world = ctx;
    const struct world_copies *copies = &world_manifest(world)->copies;
    const struct world_copy wanted = {.file_id = file_id, .off = off};
    const struct world_copy *found =
        copies->count == 0
            ? NULL
            : bsearch(&wanted, copies->items, copies->count, sizeof(wanted), by_place);
    if (found == NULL)
        fail_msg("a record too many: file %u offset %llu", file_id, (unsigned long long)off);
    world_check_entry(world, record, found->entry);
    bool *is_told = &world->told[found - copies->items];
    world->visited += !*is_told;
    *is_told = true;
    return 0;
}

static void on_remark(void *ctx, const char *text)
{
    struct world *world = ctx;
    world->remarks++;
    snprintf(world->remark, sizeof(world->remark), "%s", text);
}

struct bitcask_options world_options(struct world *world)
{
    const struct world_manifest *manifest = world_manifest(world);
    return (struct bitcask_options){.os = {.fs = simdisk_fs(world->disk),
                                           .clock = &world->clock.clock,
                                           .chance = &world->chance.chance},
                                    .epoch = world->epoch,
                                    .dir = WORLD_DIR,
                                    .shard = 3,
                                    .max_file_size = world->max_file_size,
                                    .next_id = manifest->next_id,
                                    .named = manifest->named,
                                    .named_count = manifest->named_count,
                                    .on_remark = on_remark,
                                    .remark_ctx = world};
}

/* The manifest's entries lie where it says, and there are no others. */
static void take_manifest(struct world *world, const struct world_manifest *manifest)
{
    world->entry_count = manifest->entry_count;
    world->marked_entries = manifest->entry_count;
    mem_free(world->copies.items);
    world->copies = dup_copies(&manifest->copies);
    for (size_t i = 0; i < world->entry_count; i++)
        world->entries[i].file_id = 0;
    for (size_t i = manifest->copies.count; i > 0; i--) {
        const struct world_copy *copy = &manifest->copies.items[i - 1];
        world->entries[copy->entry].file_id = copy->file_id;
        world->entries[copy->entry].off = copy->off;
    }
}

int world_open(struct world *world, struct diag *diag)
{
    assert_null(world->bc);
    const struct world_manifest *manifest = world_manifest(world);
    world->visited = 0;
    world->remarks = 0;
    world->entry_count = manifest->entry_count;
    world->told = mem_calloc(manifest->copies.count, sizeof(*world->told));
    struct bitcask_options options = world_options(world);
    _Atomic uint64_t progress = 0;
    int rc = bitcask_open(&options, on_record, world, &progress, &world->bc, diag);
    mem_free(world->told);
    world->told = NULL;
    if (rc != 0) {
        assert_null(world->bc);
        return rc;
    }
    assert_int_equal(world->visited, manifest->copies.count);
    assert_int_equal(bitcask_stats(world->bc).records, manifest->copies.count);
    take_manifest(world, manifest);
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->named_count; i++)
        bytes += manifest->named[i].length - DATAFILE_HEADER_SIZE;
    assert_int_equal(progress, bytes);
    return 0;
}

void world_must_open(struct world *world)
{
    struct diag diag = {{0}};
    int rc = world_open(world, &diag);
    if (rc != 0)
        fail_msg("open: %d, %s", rc, diag.text);
}

void world_close(struct world *world)
{
    bitcask_merge_free(world->merge);
    world->merge = NULL;
    bitcask_close(world->bc);
    world->bc = NULL;
}

/* ---- Doing ---- */

void world_add_copy(struct world *world, size_t entry, uint32_t file_id, uint64_t off)
{
    push_copy(&world->copies, (struct world_copy){.entry = entry, .file_id = file_id, .off = off});
}

void world_append_seed(struct world *world, uint64_t seed)
{
    if (world->entry_count == world->entry_cap) {
        world->entry_cap = world->entry_cap * 2 + 64;
        world->entries = mem_realloc(world->entries, world->entry_cap * sizeof(*world->entries));
    }
    struct world_entry *entry = &world->entries[world->entry_count];
    *entry = (struct world_entry){.seed = seed, .position = (world->entry_count + 1) << 16};
    struct record record = world_record(world, entry);
    bitcask_append(world->bc, &record, &entry->file_id, &entry->off);
    world_add_copy(world, world->entry_count, entry->file_id, entry->off);
    world->entry_count++;
}

void world_append(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++)
        world_append_seed(world, random_next(&world->random));
}

int world_write(struct world *world)
{
    struct bitcask_write *write = bitcask_write_take(world->bc);
    if (write == NULL)
        return 0;
    bitcask_write_run(write);
    struct diag diag;
    return bitcask_write_done(world->bc, write, &diag);
}

void world_mark(struct world *world)
{
    bitcask_mark(world->bc);
    world->marked_entries = world->entry_count;
    size_t count = 0;
    struct bitcask_named *named = bitcask_mark_files(world->bc, &count);
    world->marked.count = 0;
    for (size_t i = 0; i < world->copies.count; i++) {
        const struct world_copy *copy = &world->copies.items[i];
        bool is_named = false;
        for (size_t j = 0; j < count; j++)
            is_named |= named[j].id == copy->file_id && copy->off < named[j].length;
        if (is_named)
            push_copy(&world->marked, *copy);
    }
    if (world->marked.count > 0)
        qsort(world->marked.items, world->marked.count, sizeof(*world->marked.items), by_place);
    mem_free(named);
}

int world_sync(struct world *world)
{
    struct bitcask_sync *sync = bitcask_sync_take(world->bc);
    bitcask_sync_run(sync);
    struct diag diag;
    int rc = bitcask_sync_done(world->bc, sync, &diag);
    if (rc != 0)
        return rc;
    struct world_manifest manifest = {.next_id = bitcask_next_id(world->bc),
                                      .entry_count = world->marked_entries};
    manifest.named = bitcask_mark_files(world->bc, &manifest.named_count);
    manifest.copies = dup_copies(&world->marked);
    world->manifests =
        mem_realloc(world->manifests, (world->manifest_count + 1) * sizeof(*world->manifests));
    world->manifests[world->manifest_count] = manifest;
    simdisk_note(world->disk, 0, world->manifest_count);
    world->manifest_count++;
    bitcask_checkpointed(world->bc);
    return 0;
}

void world_checkpoint(struct world *world)
{
    assert_int_equal(world_write(world), 0);
    world_mark(world);
    assert_int_equal(world_write(world), 0);
    assert_true(bitcask_mark_is_written(world->bc));
    assert_int_equal(world_sync(world), 0);
}

const struct world_manifest *world_manifest(const struct world *world)
{
    return &world->manifests[world->manifest_count - 1];
}

static void check_read(struct world *world, const struct world_entry *entry)
{
    struct record record = world_record(world, entry);
    if (record.kind != RECORD_PUT)
        return;
    struct datafile *df = bitcask_pin(world->bc, entry->file_id);
    assert_non_null(df);
    const struct datafile_query query = {.off = entry->off,
                                         .key = record.key,
                                         .value_size = record.value.len,
                                         .db_id = record.db_id};
    struct buf value = {0};
    struct diag diag = {{0}};
    int rc = datafile_read_value(df, &query, &value, &diag);
    if (rc != 0)
        fail_msg("read: %d, %s", rc, diag.text);
    assert_true(slice_eq(buf_slice(&value), record.value));
    buf_fini(&value);
    datafile_unref(df);
}

void world_check_reads(struct world *world)
{
    for (size_t i = 0; i < world->entry_count; i++) {
        const struct world_entry *entry = &world->entries[i];
        if (entry->file_id != 0 && bitcask_is_written(world->bc, entry->file_id, entry->off))
            check_read(world, entry);
    }
}

const char *world_path(const char *name)
{
    static _Thread_local char paths[4][64];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", WORLD_DIR, name);
    return path;
}

const char *world_file(uint32_t id)
{
    char name[32];
    snprintf(name, sizeof(name), "%05u.log", id);
    return world_path(name);
}

const char *world_hint_file(uint32_t id)
{
    char name[32];
    snprintf(name, sizeof(name), "%05u.hint", id);
    return world_path(name);
}
