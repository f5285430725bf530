/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/intern.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

void intern_fini(struct intern *intern)
{
    mem_free(intern->items);
    mem_free(intern->hashes);
    mem_free(intern->table);
    arena_fini(&intern->bytes);
    *intern = (struct intern){0};
}

static uint32_t place_of_hash(const struct intern *intern, uint64_t hash, struct slice bytes)
{
    uint32_t mask = intern->table_size - 1;
    uint32_t at = (uint32_t)hash & mask;
    for (; intern->table[at] != 0; at = (at + 1) & mask) {
        uint32_t id = intern->table[at] - 1;
        if (intern->hashes[id] == hash && slice_eq(intern->items[id], bytes))
            break;
    }
    return at;
}

static void grow(struct intern *intern)
{
    intern->cap = intern->cap == 0 ? 64 : intern->cap * 2;
    intern->items = mem_realloc(intern->items, intern->cap * sizeof(*intern->items));
    intern->hashes = mem_realloc(intern->hashes, intern->cap * sizeof(*intern->hashes));
    mem_free(intern->table);
    intern->table_size = intern->cap * 2;
    intern->table = mem_calloc(intern->table_size, sizeof(*intern->table));
    uint32_t mask = intern->table_size - 1;
    for (uint32_t id = 0; id < intern->count; id++) {
        uint32_t at = (uint32_t)intern->hashes[id] & mask;
        while (intern->table[at] != 0)
            at = (at + 1) & mask;
        intern->table[at] = id + 1;
    }
}

bool intern_find(const struct intern *intern, struct slice bytes, uint32_t *out_id)
{
    if (intern->count == 0)
        return false;
    uint32_t at = place_of_hash(intern, hash_check(bytes), bytes);
    if (intern->table[at] == 0)
        return false;
    *out_id = intern->table[at] - 1;
    return true;
}

uint32_t intern_put(struct intern *intern, struct slice bytes)
{
    if (intern->count == intern->cap)
        grow(intern);
    uint64_t hash = hash_check(bytes);
    uint32_t at = place_of_hash(intern, hash, bytes);
    if (intern->table[at] != 0)
        return intern->table[at] - 1;
    void *kept = arena_try_alloc(&intern->bytes, bytes.len + 1);
    ASSERT(kept != NULL);
    if (bytes.len > 0)
        memcpy(kept, bytes.data, bytes.len);
    uint32_t id = intern->count++;
    intern->items[id] = slice_of(kept, bytes.len);
    intern->hashes[id] = hash;
    intern->table[at] = id + 1;
    return id;
}
