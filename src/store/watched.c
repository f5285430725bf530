/* SPDX-License-Identifier: Apache-2.0 */
#include "store/watched.h"

#include "base/assert.h"

static size_t slot_of(uint64_t hash)
{
    return hash % WATCHED_SLOTS;
}

void watched_init(struct watched_keys *keys)
{
    lock_init(&keys->lock);
    for (size_t i = 0; i < WATCHED_SLOTS; i++) {
        atomic_init(&keys->counts[i], 0);
        list_init(&keys->slots[i]);
    }
}

void watched_fini(struct watched_keys *keys)
{
    for (size_t i = 0; i < WATCHED_SLOTS; i++)
        ASSERT(list_is_empty(&keys->slots[i]));
    lock_fini(&keys->lock);
}

void watched_add(struct watched_keys *keys, struct watched_note *note, struct slice key,
                 uint64_t hash, uint16_t db)
{
    *note = (struct watched_note){.in = keys, .key = key, .hash = hash, .db = db};
    lock_take(&keys->lock);
    list_push_back(&keys->slots[slot_of(hash)], &note->node);
    atomic_fetch_add(&keys->counts[slot_of(hash)], 1);
    lock_drop(&keys->lock);
}

void watched_remove(struct watched_note *note)
{
    struct watched_keys *keys = note->in;
    if (keys == NULL)
        return;
    lock_take(&keys->lock);
    list_del(&note->node);
    atomic_fetch_sub(&keys->counts[slot_of(note->hash)], 1);
    lock_drop(&keys->lock);
    note->in = NULL;
}

bool watched_has_appeared(const struct watched_note *note)
{
    return atomic_load_explicit(&note->has_appeared, memory_order_acquire);
}

bool watched_was_swapped(const struct watched_note *note)
{
    return atomic_load_explicit(&note->was_swapped, memory_order_acquire);
}

static bool is_slot_watched(const struct watched_keys *keys, size_t slot)
{
    return atomic_load(&keys->counts[slot]) > 0;
}

void watched_mark(struct watched_keys *keys, uint64_t hash, uint16_t db)
{
    if (!is_slot_watched(keys, slot_of(hash)))
        return;
    lock_take(&keys->lock);
    struct list_node *slot = &keys->slots[slot_of(hash)];
    for (struct list_node *at = slot->next; at != slot; at = at->next) {
        struct watched_note *note = LIST_ENTRY(at, struct watched_note, node);
        if (note->hash == hash && note->db == db)
            atomic_store_explicit(&note->has_appeared, true, memory_order_release);
    }
    lock_drop(&keys->lock);
}

void watched_mark_swapped(struct watched_keys *keys,
                          bool (*is_moved)(const void *ctx, const struct watched_note *note),
                          const void *ctx)
{
    lock_take(&keys->lock);
    for (size_t i = 0; i < WATCHED_SLOTS; i++) {
        struct list_node *slot = &keys->slots[i];
        for (struct list_node *at = slot->next; at != slot; at = at->next) {
            struct watched_note *note = LIST_ENTRY(at, struct watched_note, node);
            if (is_moved(ctx, note))
                atomic_store_explicit(&note->was_swapped, true, memory_order_release);
        }
    }
    lock_drop(&keys->lock);
}
