/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/mem.h"
#include "store/tx_internal.h"

#define SEARCHED_CHANGES 8 /* up to so many are searched one by one */

static uint64_t index_hash(uint64_t hash, uint16_t db)
{
    return hash_mix(hash, db);
}

static void index_put(struct overlay *overlay, size_t nth)
{
    const struct change *change = &overlay->changes[nth];
    size_t mask = overlay->index_size - 1;
    size_t at = index_hash(change->hash, change->db) & mask;
    while (overlay->index[at] != 0)
        at = (at + 1) & mask;
    overlay->index[at] = (uint32_t)nth + 1;
}

static void index_drop(struct overlay *overlay)
{
    mem_free(overlay->index);
    overlay->index = NULL;
    overlay->index_size = 0;
}

static void index_rebuild(struct overlay *overlay, size_t size)
{
    mem_free(overlay->index);
    overlay->index = mem_calloc(size, sizeof(*overlay->index));
    overlay->index_size = size;
    for (size_t i = 0; i < overlay->count; i++)
        index_put(overlay, i);
}

static bool is_change_of(const struct change *change, const struct located *at, struct slice key)
{
    return change->hash == at->hash && change->db == at->db && slice_eq(change->key, key);
}

struct change *overlay_find(const struct overlay *overlay, const struct located *at,
                            struct slice key)
{
    if (overlay->count <= SEARCHED_CHANGES) {
        for (size_t i = 0; i < overlay->count; i++) {
            if (is_change_of(&overlay->changes[i], at, key))
                return &overlay->changes[i];
        }
        return NULL;
    }
    size_t mask = overlay->index_size - 1;
    for (size_t i = index_hash(at->hash, at->db) & mask; overlay->index[i] != 0;
         i = (i + 1) & mask) {
        struct change *change = &overlay->changes[overlay->index[i] - 1];
        if (is_change_of(change, at, key))
            return change;
    }
    return NULL;
}

struct change *overlay_add(struct overlay *overlay, const struct located *at, struct slice key)
{
    if (overlay->count == overlay->cap) {
        overlay->cap = overlay->cap == 0 ? SEARCHED_CHANGES : overlay->cap * 2;
        overlay->changes = mem_realloc(overlay->changes, overlay->cap * sizeof(*overlay->changes));
    }
    ASSERT_SLOW(overlay_find(overlay, at, key) == NULL); /* T3 */
    size_t nth = overlay->count++;
    overlay->changes[nth] =
        (struct change){.key = key, .hash = at->hash, .shard = at->shard, .db = at->db};
    if (overlay->count > SEARCHED_CHANGES) {
        if (overlay->count * 2 > overlay->index_size)
            index_rebuild(overlay, overlay->cap * 4);
        else
            index_put(overlay, nth);
    }
    return &overlay->changes[nth];
}

void overlay_clear(struct overlay *overlay, bool with_rows)
{
    for (size_t i = 0; i < overlay->count; i++) {
        ASSERT(with_rows || overlay->changes[i].row == NULL);
        row_free(overlay->changes[i].row);
    }
    overlay->count = 0;
    if (overlay->index_size == 0 && overlay->cap <= TX_KEPT_ENTRIES)
        return;
    /* The index is only right while it is in use: it starts afresh with the next large command. */
    index_drop(overlay);
    if (overlay->cap > TX_KEPT_ENTRIES) {
        mem_free(overlay->changes);
        overlay->changes = NULL;
        overlay->cap = 0;
    }
}

void overlay_drop_db(struct overlay *overlay, uint16_t db)
{
    size_t kept = 0;
    for (size_t i = 0; i < overlay->count; i++) {
        if (overlay->changes[i].db == db)
            row_free(overlay->changes[i].row);
        else
            overlay->changes[kept++] = overlay->changes[i];
    }
    overlay->count = kept;
    /* Few changes are not entered into the index: there must be none then. */
    if (kept <= SEARCHED_CHANGES)
        index_drop(overlay);
    else
        index_rebuild(overlay, overlay->index_size);
}

void overlay_fini(struct overlay *overlay)
{
    overlay_clear(overlay, true);
    mem_free(overlay->changes);
    mem_free(overlay->index);
    *overlay = (struct overlay){0};
}
