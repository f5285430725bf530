/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/file_table.h"

#include "base/assert.h"
#include "base/mem.h"

/* How many entries have an id below `id`. */
static size_t rank_of(const struct file_table *table, uint32_t id)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t bytes_for(size_t count)
{
    return sizeof(struct file_table) + count * sizeof(struct file_entry);
}

struct file_table *file_table_new(size_t count)
{
    struct file_table *table = mem_alloc(bytes_for(count));
    table->count = count;
    return table;
}

struct file_table *file_table_with(const struct file_table *table, struct datafile *df)
{
    size_t at = rank_of(table, df->id);
    ASSERT(at == table->count || table->entries[at].id != df->id);
    struct file_table *with = file_table_new(table->count + 1);
    memcpy(with->entries, table->entries, at * sizeof(struct file_entry));
    with->entries[at] = (struct file_entry){.id = df->id, .df = df};
    memcpy(with->entries + at + 1, table->entries + at,
           (table->count - at) * sizeof(struct file_entry));
    return with;
}

struct file_table *file_table_without(const struct file_table *table, uint32_t id)
{
    size_t at = rank_of(table, id);
    ASSERT(at < table->count && table->entries[at].id == id);
    struct file_table *without = file_table_new(table->count - 1);
    memcpy(without->entries, table->entries, at * sizeof(struct file_entry));
    memcpy(without->entries + at, table->entries + at + 1,
           (table->count - at - 1) * sizeof(struct file_entry));
    return without;
}

struct datafile *file_table_find(const struct file_table *table, uint32_t id)
{
    size_t at = rank_of(table, id);
    if (at == table->count || table->entries[at].id != id)
        return NULL;
    return table->entries[at].df;
}

size_t file_table_bytes(const struct file_table *table)
{
    return bytes_for(table->count);
}
