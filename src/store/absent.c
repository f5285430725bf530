/* SPDX-License-Identifier: Apache-2.0 */
#include "store/absent.h"

#include "base/assert.h"

static struct list_node *slot_of(struct absent_keys *keys, uint64_t hash)
{
    return &keys->slots[hash % ABSENT_SLOTS];
}

void absent_init(struct absent_keys *keys)
{
    lock_init(&keys->lock);
    atomic_init(&keys->count, 0);
    for (size_t i = 0; i < ABSENT_SLOTS; i++)
        list_init(&keys->slots[i]);
}

void absent_fini(struct absent_keys *keys)
{
    ASSERT(atomic_load_explicit(&keys->count, memory_order_relaxed) == 0);
    lock_fini(&keys->lock);
}

void absent_add(struct absent_keys *keys, struct absent_note *note, struct slice key, uint64_t hash,
                uint16_t db)
{
    *note = (struct absent_note){.in = keys, .key = key, .hash = hash, .db = db};
    lock_take(&keys->lock);
    list_push_back(slot_of(keys, hash), &note->node);
    atomic_fetch_add(&keys->count, 1);
    lock_drop(&keys->lock);
}

void absent_remove(struct absent_note *note)
{
    struct absent_keys *keys = note->in;
    if (keys == NULL)
        return;
    lock_take(&keys->lock);
    list_del(&note->node);
    atomic_fetch_sub(&keys->count, 1);
    lock_drop(&keys->lock);
    note->in = NULL;
}

bool absent_has_appeared(const struct absent_note *note)
{
    return atomic_load_explicit(&note->has_appeared, memory_order_acquire);
}

static bool anybody_watches(const struct absent_keys *keys)
{
    return atomic_load(&keys->count) > 0;
}

static void mark(struct absent_note *note)
{
    atomic_store_explicit(&note->has_appeared, true, memory_order_release);
}

void absent_mark(struct absent_keys *keys, uint64_t hash, uint16_t db)
{
    if (!anybody_watches(keys))
        return;
    lock_take(&keys->lock);
    struct list_node *slot = slot_of(keys, hash);
    for (struct list_node *at = slot->next; at != slot; at = at->next) {
        struct absent_note *note = LIST_ENTRY(at, struct absent_note, node);
        if (note->hash == hash && note->db == db)
            mark(note);
    }
    lock_drop(&keys->lock);
}

void absent_mark_if(struct absent_keys *keys,
                    bool (*is_there)(const void *ctx, const struct absent_note *note),
                    const void *ctx)
{
    if (!anybody_watches(keys))
        return;
    lock_take(&keys->lock);
    for (size_t i = 0; i < ABSENT_SLOTS; i++) {
        struct list_node *slot = &keys->slots[i];
        for (struct list_node *at = slot->next; at != slot; at = at->next) {
            struct absent_note *note = LIST_ENTRY(at, struct absent_note, node);
            if (is_there(ctx, note))
                mark(note);
        }
    }
    lock_drop(&keys->lock);
}
