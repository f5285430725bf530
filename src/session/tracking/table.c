/* SPDX-License-Identifier: Apache-2.0 */
/* The table: a key has the list of its entries, one for each tracker that has read it; a table by
 * key and tracker finds an entry. When tracking ends, entries stay behind until their key changes
 * or is drawn: a client that has read a million keys goes in no time.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "session/tracking/tracking_internal.h"

struct tracked_entry {
    struct index_node node;
    struct tracked_entry *next; /* of the same key */
    struct tracked_key *key;
    struct tracker *tracker;
};

struct tracked_key {
    struct index_node node;
    struct tracked_entry *first;
    struct slice name; /* behind this */
};

static uint64_t hash_of(struct slice name)
{
    return hash_key(name, 0);
}

static struct tracked_key *find_key(const struct tracking *tracking, struct slice name)
{
    struct index_node *node = index_find(&tracking->keys, hash_of(name));
    while (node != NULL && !slice_eq(CONTAINER_OF(node, struct tracked_key, node)->name, name))
        node = index_find_next(node);
    return node == NULL ? NULL : CONTAINER_OF(node, struct tracked_key, node);
}

static uint64_t hash_pair(const struct tracked_key *key, const struct tracker *tracker)
{
    return hash_mix((uint64_t)(uintptr_t)key, (uint64_t)(uintptr_t)tracker);
}

static bool has_entry(const struct tracking *tracking, const struct tracked_key *key,
                      const struct tracker *tracker)
{
    struct index_node *node = index_find(&tracking->entries, hash_pair(key, tracker));
    for (; node != NULL; node = index_find_next(node)) {
        const struct tracked_entry *entry = CONTAINER_OF(node, struct tracked_entry, node);
        if (entry->key == key && entry->tracker == tracker)
            return true;
    }
    return false;
}

static struct tracked_key *add_key(struct tracking *tracking, struct slice name)
{
    struct tracked_key *key = mem_alloc(sizeof(*key) + name.len);
    uint8_t *bytes = (uint8_t *)(key + 1);
    *key = (struct tracked_key){.name = slice_of(bytes, name.len)};
    if (name.len > 0)
        memcpy(bytes, name.data, name.len);
    index_add(&tracking->keys, &key->node, hash_of(name));
    count_up(&tracking->key_count, 1);
    tracking->added++;
    atomic_fetch_add(&tracking->host->hub->tracked_keys, 1);
    return key;
}

void tracking_table_add(struct tracking *tracking, struct tracker *tracker, struct slice name)
{
    struct tracked_key *key = find_key(tracking, name);
    if (key == NULL)
        key = add_key(tracking, name);
    else if (has_entry(tracking, key, tracker))
        return;
    struct tracked_entry *entry = mem_alloc(sizeof(*entry));
    *entry = (struct tracked_entry){.next = key->first, .key = key, .tracker = tracker};
    key->first = entry;
    tracker->entry_count++;
    index_add(&tracking->entries, &entry->node, hash_pair(key, tracker));
    count_up(&tracking->entry_count, 1);
}

static void release(struct tracker *tracker)
{
    if (tracker->session == NULL && tracker->entry_count == 0)
        mem_free(tracker);
}

void tracker_end(struct tracker *tracker)
{
    tracker->session = NULL;
    release(tracker);
}

/* Frees the key, which is in the table no more, and its entries. */
static void take_apart(struct tracking *tracking, struct tracked_key *key, tracker_visit_fn visit,
                       void *ctx)
{
    struct tracked_entry *entry = key->first;
    while (entry != NULL) {
        struct tracked_entry *next = entry->next;
        struct tracker *tracker = entry->tracker;
        if (visit != NULL && tracker->session != NULL)
            visit(ctx, tracker);
        index_del(&tracking->entries, &entry->node);
        count_up(&tracking->entry_count, (uint64_t)-1);
        ASSERT(tracker->entry_count > 0);
        tracker->entry_count--;
        release(tracker);
        mem_free(entry);
        entry = next;
    }
    count_up(&tracking->key_count, (uint64_t)-1);
    atomic_fetch_sub(&tracking->host->hub->tracked_keys, 1);
    mem_free(key);
}

void tracking_table_take(struct tracking *tracking, struct slice name, tracker_visit_fn visit,
                         void *ctx)
{
    struct tracked_key *key = find_key(tracking, name);
    if (key == NULL)
        return;
    index_del(&tracking->keys, &key->node);
    take_apart(tracking, key, visit, ctx);
}

bool tracking_table_draw(struct tracking *tracking, struct buf *out_key)
{
    struct index_node *node =
        index_random(&tracking->keys, hash_mix(++tracking->draws, tracking->keys.count));
    if (node == NULL)
        return false;
    buf_append_slice(out_key, CONTAINER_OF(node, struct tracked_key, node)->name);
    return true;
}

void tracking_table_clear(struct tracking *tracking)
{
    struct index keys = tracking->keys;
    tracking->keys = (struct index){0};
    for (size_t i = 0; i < keys.bucket_count; i++) {
        struct index_node *node = index_bucket(&keys, i);
        while (node != NULL) {
            struct index_node *next = node->next;
            take_apart(tracking, CONTAINER_OF(node, struct tracked_key, node), NULL, NULL);
            node = next;
        }
    }
    index_fini(&keys);
}
