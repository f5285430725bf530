/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"

#define BLOCK_SIZE 16384
#define ALIGNMENT  16

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    _Alignas(ALIGNMENT) uint8_t data[];
};

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_try_alloc(sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->used = 0;
    arena->bytes += size;
    return block;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = align_up(size == 0 ? 1 : size, ALIGNMENT);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - arena->used < size) {
        block = add_block(arena, size > BLOCK_SIZE ? size : BLOCK_SIZE);
        if (block == NULL)
            return NULL;
    }
    void *at = block->data + arena->used;
    arena->used += size;
    return at;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        if (kept == NULL && block->size == BLOCK_SIZE)
            kept = block;
        else
            mem_free(block);
        block = next;
    }
    if (kept != NULL)
        kept->next = NULL;
    *arena = (struct arena){.blocks = kept, .used = 0, .bytes = kept == NULL ? 0 : kept->size};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
    *arena = (struct arena){0};
}
