/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/bitcask.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "bitcask/bitcask_internal.h"

/* The owner's side. One file is current and takes all records; a full one is padded, closes for
 * ever and waits in the table for the sync that covers it. Ids only go up; a file that was never
 * made costs its id all the same. */

/* Old tables freed at a time; each rotation makes one. */
#define COLLECT_BUDGET 16

/* A table that no new reader finds, and the file that went with it (B9). */
struct old_table {
    struct file_table *table;
    struct datafile *removed; /* or NULL */
};

static void free_old_table(void *ctx, void *object)
{
    (void)ctx;
    struct old_table *old = object;
    mem_free(old->table);
    datafile_unref(old->removed);
    mem_free(old);
}

struct bitcask *bitcask_new(const struct bitcask_options *options)
{
    ASSERT(options->max_file_size >= BITCASK_MIN_FILE_SIZE);
    ASSERT(options->max_file_size <= BITCASK_MAX_FILE_SIZE);
    struct bitcask *bc = mem_calloc(1, sizeof(*bc));
    bc->os = options->os;
    bc->bag = epoch_bag_new(options->epoch, free_old_table, NULL);
    bc->dir = mem_dup_str(options->dir);
    bc->shard = options->shard;
    bc->next_id = options->next_id;
    bc->max_file_size = options->max_file_size;
    atomic_init(&bc->table, file_table_new(0));
    chunk_queue_init(&bc->queue);
    list_init(&bc->write.chunks);
    bc->write.fs = bc->os.fs;
    bc->mark.sync.fs = bc->os.fs;
    bc->mark.sync.dir = bc->dir;
    bitcask_retired_init(bc);
    return bc;
}

void bitcask_close(struct bitcask *bc)
{
    if (bc == NULL)
        return;
    ASSERT(list_is_empty(&bc->write.chunks) && bc->hint.df == NULL);
    bitcask_retired_fini(bc);
    mark_fini(&bc->mark);
    chunk_queue_fini(&bc->queue);
    struct file_table *table = atomic_load_explicit(&bc->table, memory_order_relaxed);
    for (size_t i = 0; i < table->count; i++)
        datafile_unref(table->entries[i].df);
    mem_free(table);
    epoch_bag_free(bc->bag);
    mem_free(bc->dir);
    mem_free(bc);
}

/* ---- Files ---- */

const struct file_table *bitcask_table(const struct bitcask *bc)
{
    return atomic_load_explicit(&bc->table, memory_order_relaxed);
}

static void replace_table(struct bitcask *bc, struct file_table *table, struct datafile *removed)
{
    struct old_table *old = mem_alloc(sizeof(*old));
    *old = (struct old_table){.table = atomic_load_explicit(&bc->table, memory_order_relaxed),
                              .removed = removed};
    atomic_store_explicit(&bc->table, table, memory_order_release);
    epoch_retire(bc->bag, old, file_table_bytes(old->table)); /* B9 */
}

void bitcask_add_file(struct bitcask *bc, struct datafile *df)
{
    replace_table(bc, file_table_with(bitcask_table(bc), df), NULL);
}

void bitcask_remove_file(struct bitcask *bc, struct datafile *df)
{
    replace_table(bc, file_table_without(bitcask_table(bc), df->id), df);
}

void bitcask_collect(struct bitcask *bc)
{
    epoch_collect(bc->bag, COLLECT_BUDGET);
}

struct datafile *bitcask_pin(const struct bitcask *bc, uint32_t file_id)
{
    const struct file_table *table = atomic_load_explicit(&bc->table, memory_order_acquire);
    struct datafile *df = file_table_find(table, file_id);
    return df == NULL ? NULL : datafile_ref(df);
}

struct datafile *bitcask_new_file(struct bitcask *bc)
{
    ASSERT(bc->next_id <= BITCASK_MAX_FILE_ID);
    const struct datafile_header header = {
        .shard = bc->shard, .id = bc->next_id++, .uid = chance_u64(bc->os.chance)};
    return datafile_new(bc->dir, &header);
}

/* Makes a new file current, in memory only: its header is the first thing the write job writes. */
static void start_file(struct bitcask *bc)
{
    struct datafile *df = bitcask_new_file(bc);
    const struct datafile_header header = {.shard = df->shard, .id = df->id, .uid = df->uid};
    struct chunk *chunk = chunk_queue_tail(&bc->queue, df, DATAFILE_HEADER_SIZE);
    datafile_header_encode(&header, &chunk->bytes);
    df->append_off = DATAFILE_HEADER_SIZE;
    bc->queue.bytes += DATAFILE_HEADER_SIZE;
    bitcask_add_file(bc, df);
    bc->current = df;
}

/* ---- Appending ---- */

/* Encodes at the end of the current file. */
static void add_record(struct bitcask *bc, const struct record *record, size_t size)
{
    struct datafile *df = bc->current;
    struct chunk *chunk = chunk_queue_tail(&bc->queue, df, size);
    const struct record_place place = {.uid = df->uid, .off = df->append_off};
    record_encode(record, place, &chunk->bytes);
    df->append_off += size;
    bc->queue.bytes += size;
    ASSERT_SLOW(chunk->off + chunk->bytes.len == df->append_off); /* B3 */
}

void bitcask_pad(struct bitcask *bc)
{
    if (bc->current == NULL)
        return;
    size_t size = (size_t)record_pad_size(bc->current->append_off);
    if (size > 0)
        add_record(bc, &(struct record){.kind = RECORD_PAD, .pad_size = size}, size);
    ASSERT(is_aligned(bc->current->append_off, DATAFILE_BLOCK)); /* B5 */
}

void bitcask_end_current(struct bitcask *bc)
{
    bitcask_pad(bc);
    bc->current->sealed_ms = clock_wall_ms(bc->os.clock);
    bc->current = NULL;
    bc->is_dirty = true;
    bc->stats.rotations++;
}

/* A file that holds no record yet takes one of any size. */
static bool is_full_for(const struct bitcask *bc, size_t size)
{
    uint64_t off = bc->current->append_off;
    return off > DATAFILE_HEADER_SIZE && !bitcask_has_room(bc, off, size);
}

void bitcask_append(struct bitcask *bc, const struct record *record, uint32_t *out_file_id,
                    uint64_t *out_off)
{
    ASSERT(record->kind != RECORD_PAD);
    size_t size = record_size(record);
    if (bc->current != NULL && is_full_for(bc, size))
        bitcask_end_current(bc);
    if (bc->current == NULL)
        start_file(bc);
    struct datafile *df = bc->current;
    *out_file_id = df->id;
    *out_off = df->append_off;
    add_record(bc, record, size);
    uint64_t index = record->position >> 16;
    if (index < df->lowest_index)
        df->lowest_index = index;
    bc->is_dirty = true;
    bc->stats.records++;
}

size_t bitcask_unwritten_bytes(const struct bitcask *bc)
{
    return bc->queue.bytes;
}

bool bitcask_is_written(const struct bitcask *bc, uint32_t file_id, uint64_t off)
{
    const struct datafile *df = file_table_find(bitcask_table(bc), file_id);
    if (df == NULL)
        return true; /* a merge took it, which takes only what is written */
    ASSERT(off < df->append_off);
    return off < atomic_load_explicit(&df->written_off, memory_order_acquire);
}

bool bitcask_is_dirty(const struct bitcask *bc)
{
    return bc->is_dirty;
}

uint32_t bitcask_next_id(const struct bitcask *bc)
{
    return bc->next_id;
}

struct bitcask_stats bitcask_stats(const struct bitcask *bc)
{
    struct bitcask_stats stats = bc->stats;
    const struct file_table *table = bitcask_table(bc);
    stats.file_count = table->count;
    stats.bytes = 0;
    stats.live_bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        stats.bytes += table->entries[i].df->append_off;
        stats.live_bytes += table->entries[i].df->live_bytes;
    }
    stats.retired_bytes = bc->retired.bytes;
    return stats;
}
