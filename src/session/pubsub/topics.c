/* SPDX-License-Identifier: Apache-2.0 */
/* A topic has the list of its subscriptions, a session the lists of its own, by kind; a third way
 * to a subscription is a table by topic and session, so that neither list is ever searched.
 * Patterns are in a list, too: each of them has to be tried.
 */
#include "session/pubsub/topics_internal.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "os/thread.h"
#include "session/session_internal.h"

struct topic {
    struct index_node node; /* in topics->by_name */
    struct list_node all;   /* in topics->patterns */
    struct list_node subscriptions;
    struct slice name; /* behind this */
};

struct subscription {
    struct index_node node; /* in topics->by_pair */
    struct list_node of_topic;
    struct list_node of_session;
    struct topic *topic;
    struct session *session;
};

struct topics {
    struct topic_totals *totals;
    struct index by_name[TOPIC_KINDS];
    struct index by_pair;
    struct list_node patterns;
    _Atomic uint64_t count; /* of subscriptions */
};

/* ---- Totals ---- */

struct total {
    struct index_node node;
    uint64_t subscribers;
    struct slice name; /* behind this */
};

struct topic_totals {
    struct lock lock; /* guards all below */
    struct index by_name[TOPIC_KINDS];
};

struct topic_totals *topic_totals_new(void)
{
    struct topic_totals *totals = mem_calloc(1, sizeof(*totals));
    lock_init(&totals->lock);
    return totals;
}

void topic_totals_free(struct topic_totals *totals)
{
    if (totals == NULL)
        return;
    for (size_t kind = 0; kind < TOPIC_KINDS; kind++)
        ASSERT(totals->by_name[kind].count == 0);
    lock_fini(&totals->lock);
    mem_free(totals);
}

static uint64_t hash_of(struct slice name)
{
    return hash_key(name, 0);
}

static struct total *find_total(const struct topic_totals *totals, enum topic_kind kind,
                                struct slice name)
{
    struct index_node *node = index_find(&totals->by_name[kind], hash_of(name));
    while (node != NULL && !slice_eq(CONTAINER_OF(node, struct total, node)->name, name))
        node = index_find_next(node);
    return node == NULL ? NULL : CONTAINER_OF(node, struct total, node);
}

/* A copy of `name` behind a struct of `size` bytes. */
static void *new_with_name(size_t size, struct slice name, struct slice *out_copy)
{
    uint8_t *bytes = mem_calloc(1, size + name.len);
    if (name.len > 0)
        memcpy(bytes + size, name.data, name.len);
    *out_copy = slice_of(bytes + size, name.len);
    return bytes;
}

static void count_in(struct topic_totals *totals, enum topic_kind kind, struct slice name)
{
    lock_take(&totals->lock);
    struct total *total = find_total(totals, kind, name);
    if (total == NULL) {
        struct slice copy;
        total = new_with_name(sizeof(*total), name, &copy);
        total->name = copy;
        index_add(&totals->by_name[kind], &total->node, hash_of(name));
    }
    total->subscribers++;
    lock_drop(&totals->lock);
}

static void count_out(struct topic_totals *totals, enum topic_kind kind, struct slice name)
{
    lock_take(&totals->lock);
    struct total *total = find_total(totals, kind, name);
    ASSERT(total != NULL && total->subscribers > 0);
    if (--total->subscribers == 0) {
        index_del(&totals->by_name[kind], &total->node);
        mem_free(total);
    }
    lock_drop(&totals->lock);
}

uint64_t topic_totals_count(struct topic_totals *totals, enum topic_kind kind)
{
    lock_take(&totals->lock);
    uint64_t count = totals->by_name[kind].count;
    lock_drop(&totals->lock);
    return count;
}

uint64_t topic_totals_subscribers(struct topic_totals *totals, enum topic_kind kind,
                                  struct slice name)
{
    lock_take(&totals->lock);
    const struct total *total = find_total(totals, kind, name);
    uint64_t count = total == NULL ? 0 : total->subscribers;
    lock_drop(&totals->lock);
    return count;
}

void topic_totals_names(struct topic_totals *totals, enum topic_kind kind, topic_name_fn on_name,
                        void *ctx)
{
    lock_take(&totals->lock);
    const struct index *index = &totals->by_name[kind];
    for (size_t i = 0; i < index->bucket_count; i++) {
        struct index_node *node = index_bucket(index, i);
        for (; node != NULL; node = node->next)
            on_name(ctx, CONTAINER_OF(node, struct total, node)->name);
    }
    lock_drop(&totals->lock);
}

/* ---- Topics of a host ---- */

struct topics *topics_new(struct topic_totals *totals)
{
    struct topics *topics = mem_calloc(1, sizeof(*topics));
    topics->totals = totals;
    list_init(&topics->patterns);
    return topics;
}

void topics_free(struct topics *topics)
{
    if (topics == NULL)
        return;
    ASSERT(topics->by_pair.count == 0);
    mem_free(topics);
}

bool topics_is_wanted(const struct topics *topics)
{
    return atomic_load(&topics->count) > 0;
}

static struct topic *find_topic(const struct topics *topics, enum topic_kind kind,
                                struct slice name)
{
    struct index_node *node = index_find(&topics->by_name[kind], hash_of(name));
    while (node != NULL && !slice_eq(CONTAINER_OF(node, struct topic, node)->name, name))
        node = index_find_next(node);
    return node == NULL ? NULL : CONTAINER_OF(node, struct topic, node);
}

static uint64_t hash_pair(const struct topic *topic, const struct session *session)
{
    return hash_mix((uint64_t)(uintptr_t)topic, (uint64_t)(uintptr_t)session);
}

static struct subscription *find_subscription(const struct topics *topics,
                                              const struct topic *topic,
                                              const struct session *session)
{
    struct index_node *node = index_find(&topics->by_pair, hash_pair(topic, session));
    for (; node != NULL; node = index_find_next(node)) {
        struct subscription *one = CONTAINER_OF(node, struct subscription, node);
        if (one->topic == topic && one->session == session)
            return one;
    }
    return NULL;
}

static struct topic *add_topic(struct topics *topics, enum topic_kind kind, struct slice name)
{
    struct slice copy;
    struct topic *topic = new_with_name(sizeof(*topic), name, &copy);
    topic->name = copy;
    list_init(&topic->subscriptions);
    list_init(&topic->all);
    index_add(&topics->by_name[kind], &topic->node, hash_of(name));
    if (kind == TOPIC_PATTERN)
        list_push_back(&topics->patterns, &topic->all);
    return topic;
}

static struct subscriber *subscriber_of(struct session *session)
{
    if (session->subscriber != NULL)
        return session->subscriber;
    struct subscriber *subscriber = mem_calloc(1, sizeof(*subscriber));
    for (size_t kind = 0; kind < TOPIC_KINDS; kind++)
        list_init(&subscriber->subscriptions[kind]);
    session->subscriber = subscriber;
    return subscriber;
}

static void release_subscriber(struct session *session)
{
    for (size_t kind = 0; kind < TOPIC_KINDS; kind++) {
        if (session->subscriber->counts[kind] > 0)
            return;
    }
    mem_free(session->subscriber);
    session->subscriber = NULL;
}

bool topics_add(struct topics *topics, struct session *session, enum topic_kind kind,
                struct slice name)
{
    struct topic *topic = find_topic(topics, kind, name);
    if (topic == NULL)
        topic = add_topic(topics, kind, name);
    else if (find_subscription(topics, topic, session) != NULL)
        return false;
    struct subscriber *subscriber = subscriber_of(session);
    struct subscription *one = mem_calloc(1, sizeof(*one));
    one->topic = topic;
    one->session = session;
    list_push_back(&topic->subscriptions, &one->of_topic);
    list_push_back(&subscriber->subscriptions[kind], &one->of_session);
    index_add(&topics->by_pair, &one->node, hash_pair(topic, session));
    subscriber->counts[kind]++;
    count_in(topics->totals, kind, name);
    atomic_fetch_add(&topics->count, 1);
    return true;
}

static void drop(struct topics *topics, enum topic_kind kind, struct subscription *one)
{
    struct topic *topic = one->topic;
    struct session *session = one->session;
    count_out(topics->totals, kind, topic->name);
    atomic_fetch_sub(&topics->count, 1);
    list_del(&one->of_topic);
    list_del(&one->of_session);
    index_del(&topics->by_pair, &one->node);
    mem_free(one);
    session->subscriber->counts[kind]--;
    if (!list_is_empty(&topic->subscriptions))
        return;
    list_del(&topic->all);
    index_del(&topics->by_name[kind], &topic->node);
    mem_free(topic);
}

bool topics_del(struct topics *topics, struct session *session, enum topic_kind kind,
                struct slice name)
{
    struct topic *topic = find_topic(topics, kind, name);
    struct subscription *one = topic == NULL ? NULL : find_subscription(topics, topic, session);
    if (one == NULL)
        return false;
    drop(topics, kind, one);
    release_subscriber(session);
    return true;
}

static struct subscription *first_of(const struct session *session, enum topic_kind kind)
{
    const struct subscriber *subscriber = session->subscriber;
    if (subscriber == NULL || subscriber->counts[kind] == 0)
        return NULL;
    return LIST_ENTRY(subscriber->subscriptions[kind].next, struct subscription, of_session);
}

bool topics_del_one(struct topics *topics, struct session *session, enum topic_kind kind,
                    struct buf *name)
{
    struct subscription *one = first_of(session, kind);
    if (one == NULL)
        return false;
    buf_append_slice(name, one->topic->name);
    drop(topics, kind, one);
    release_subscriber(session);
    return true;
}

void topics_drop(struct topics *topics, struct session *session)
{
    if (session->subscriber == NULL)
        return;
    for (size_t kind = 0; kind < TOPIC_KINDS; kind++) {
        struct subscription *one;
        while ((one = first_of(session, (enum topic_kind)kind)) != NULL)
            drop(topics, (enum topic_kind)kind, one);
    }
    release_subscriber(session);
}

/* ---- Visiting ---- */

void topic_visit(const struct topic *topic, topic_visit_fn visit, void *ctx)
{
    const struct list_node *head = &topic->subscriptions;
    for (const struct list_node *node = head->next; node != head; node = node->next)
        visit(ctx, LIST_ENTRY((uintptr_t)node, struct subscription, of_topic)->session);
}

void topics_visit(const struct topics *topics, enum topic_kind kind, struct slice name,
                  topic_visit_fn visit, void *ctx)
{
    const struct topic *topic = find_topic(topics, kind, name);
    if (topic != NULL)
        topic_visit(topic, visit, ctx);
}

struct slice topic_name(const struct topic *topic)
{
    return topic->name;
}

const struct topic *topics_next_match(const struct topics *topics, const struct topic *last,
                                      struct slice name)
{
    const struct list_node *node = last == NULL ? topics->patterns.next : last->all.next;
    for (; node != &topics->patterns; node = node->next) {
        const struct topic *topic = LIST_ENTRY((uintptr_t)node, struct topic, all);
        if (glob_match(topic->name, name, false))
            return topic;
    }
    return NULL;
}
