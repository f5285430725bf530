/* SPDX-License-Identifier: Apache-2.0 */
/* BCAST: whoever waits for a prefix hears of all keys that begin with it, read or not. What comes
 * in one batch of events goes to a member in one message for each of its prefixes.
 */
#include "base/mem.h"
#include "resp/reply.h"
#include "session/tracking/tracking_internal.h"

static bool begins_with(struct slice text, struct slice prefix)
{
    return slice_eq(slice_sub(text, 0, prefix.len), prefix);
}

const struct prefix *prefixes_overlap(const struct tracker *tracker, struct slice text)
{
    const struct list_node *head = &tracker->prefixes;
    for (const struct list_node *node = head->next; node != head; node = node->next) {
        const struct membership *one = LIST_ENTRY((uintptr_t)node, struct membership, of_tracker);
        struct slice mine = buf_slice(&one->prefix->text);
        if (begins_with(text, mine) || begins_with(mine, text))
            return one->prefix;
    }
    return NULL;
}

static struct prefix *find(const struct tracking *tracking, struct slice text)
{
    LIST_EACH(node, next, (struct list_node *)(uintptr_t)&tracking->prefixes)
    {
        struct prefix *prefix = LIST_ENTRY(node, struct prefix, node);
        if (slice_eq(buf_slice(&prefix->text), text))
            return prefix;
    }
    return NULL;
}

void prefixes_join(struct tracking *tracking, struct tracker *tracker, struct slice text)
{
    struct prefix *prefix = find(tracking, text);
    if (prefix == NULL) {
        prefix = mem_calloc(1, sizeof(*prefix));
        buf_append_slice(&prefix->text, text);
        list_init(&prefix->members);
        list_push_back(&tracking->prefixes, &prefix->node);
        count_up(&tracking->prefix_count, 1);
    }
    struct membership *one = mem_calloc(1, sizeof(*one));
    one->prefix = prefix;
    one->tracker = tracker;
    list_push_back(&prefix->members, &one->of_prefix);
    list_push_back(&tracker->prefixes, &one->of_tracker);
}

static void free_prefix(struct tracking *tracking, struct prefix *prefix)
{
    list_del(&prefix->node);
    buf_fini(&prefix->text);
    buf_fini(&prefix->keys);
    mem_free(prefix->changed);
    mem_free(prefix);
    count_up(&tracking->prefix_count, (uint64_t)-1);
}

void prefixes_leave(struct tracking *tracking, struct tracker *tracker)
{
    struct list_node *node;
    while ((node = list_pop_front(&tracker->prefixes)) != NULL) {
        struct membership *one = LIST_ENTRY(node, struct membership, of_tracker);
        struct prefix *prefix = one->prefix;
        list_del(&one->of_prefix);
        mem_free(one);
        if (list_is_empty(&prefix->members))
            free_prefix(tracking, prefix);
    }
}

static void add_changed(struct prefix *prefix, struct slice key, uint64_t client)
{
    if (prefix->changed_count == prefix->changed_cap) {
        prefix->changed_cap = prefix->changed_cap == 0 ? 16 : prefix->changed_cap * 2;
        prefix->changed =
            mem_realloc(prefix->changed, prefix->changed_cap * sizeof(*prefix->changed));
    }
    size_t off = prefix->keys.len;
    struct reply reply = reply_to(&prefix->keys, 2);
    reply_bulk(&reply, key);
    prefix->changed[prefix->changed_count++] =
        (struct changed_key){.off = off, .len = prefix->keys.len - off, .client = client};
}

void prefixes_note(struct tracking *tracking, struct slice key, uint64_t client)
{
    LIST_EACH(node, next, &tracking->prefixes)
    {
        struct prefix *prefix = LIST_ENTRY(node, struct prefix, node);
        if (begins_with(key, buf_slice(&prefix->text)))
            add_changed(prefix, key, client);
    }
}

/* The array for one who does not want to hear of its own changes. */
static size_t put_others(const struct prefix *prefix, uint64_t me, struct buf *to)
{
    size_t count = 0;
    for (size_t i = 0; i < prefix->changed_count; i++)
        count += prefix->changed[i].client != me;
    struct reply reply = reply_to(to, 2);
    reply_array(&reply, count);
    for (size_t i = 0; i < prefix->changed_count; i++) {
        const struct changed_key *key = &prefix->changed[i];
        if (key->client != me)
            buf_append_slice(to, slice_sub(buf_slice(&prefix->keys), key->off, key->len));
    }
    return count;
}

static void tell(struct prefix *prefix)
{
    struct buf all = {0};
    put_others(prefix, UINT64_MAX, &all);
    LIST_EACH(node, next, &prefix->members)
    {
        struct tracker *tracker = LIST_ENTRY(node, struct membership, of_prefix)->tracker;
        if (!tracker->is_noloop) {
            tracker_send(tracker, buf_slice(&all));
            continue;
        }
        struct buf others = {0};
        if (put_others(prefix, tracker->session->id, &others) > 0)
            tracker_send(tracker, buf_slice(&others));
        buf_fini(&others);
    }
    buf_fini(&all);
}

void prefixes_tell(struct tracking *tracking)
{
    LIST_EACH(node, next, &tracking->prefixes)
    {
        struct prefix *prefix = LIST_ENTRY(node, struct prefix, node);
        if (prefix->changed_count == 0)
            continue;
        tell(prefix);
        buf_fini(&prefix->keys);
        mem_free(prefix->changed);
        prefix->changed = NULL;
        prefix->changed_count = 0;
        prefix->changed_cap = 0;
    }
}
