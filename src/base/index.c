/* SPDX-License-Identifier: Apache-2.0 */
/* With b buckets and p the greatest power of two not above b, an entry lies in bucket hash mod 2p
 * where there is one, else in hash mod p. Bucket b is added by dividing bucket b - p between the
 * two.
 */
#include "base/index.h"

#include "base/assert.h"
#include "base/mem.h"

#define FIRST_BUCKETS 8

void index_fini(struct index *index)
{
    mem_free(index->buckets);
    *index = (struct index){0};
}

static size_t power_below(size_t count)
{
    return (size_t)1 << (63 - __builtin_clzll(count));
}

static size_t bucket_of(const struct index *index, uint64_t hash)
{
    size_t power = power_below(index->bucket_count);
    size_t at = hash & (2 * power - 1);
    return at < index->bucket_count ? at : hash & (power - 1);
}

static void push(struct index *index, struct index_node *node)
{
    struct index_node **bucket = &index->buckets[bucket_of(index, node->hash)];
    node->next = *bucket;
    *bucket = node;
}

/* Distributes the entries of a chain anew. */
static void push_all(struct index *index, struct index_node *node)
{
    while (node != NULL) {
        struct index_node *next = node->next;
        push(index, node);
        node = next;
    }
}

static void add_bucket(struct index *index)
{
    if (index->bucket_count == index->room) {
        index->room *= 2;
        index->buckets = mem_realloc(index->buckets, index->room * sizeof(struct index_node *));
    }
    size_t nth = index->bucket_count++;
    size_t divided = nth - power_below(nth);
    struct index_node *chain = index->buckets[divided];
    index->buckets[divided] = NULL;
    index->buckets[nth] = NULL;
    push_all(index, chain);
}

void index_add(struct index *index, struct index_node *node, uint64_t hash)
{
    node->hash = hash;
    if (index->buckets == NULL) {
        index->room = FIRST_BUCKETS;
        index->bucket_count = FIRST_BUCKETS;
        index->buckets = mem_calloc(index->room, sizeof(struct index_node *));
    } else if (index->count >= index->bucket_count) {
        add_bucket(index);
    }
    push(index, node);
    index->count++;
}

void index_del(struct index *index, struct index_node *node)
{
    ASSERT(index->count > 0);
    struct index_node **at = &index->buckets[bucket_of(index, node->hash)];
    while (*at != node) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    if (--index->count == 0)
        index_fini(index);
}

struct index_node *index_find_next(const struct index_node *node)
{
    struct index_node *next = node->next;
    while (next != NULL && next->hash != node->hash)
        next = next->next;
    return next;
}

struct index_node *index_find(const struct index *index, uint64_t hash)
{
    if (index->count == 0)
        return NULL;
    struct index_node *node = index->buckets[bucket_of(index, hash)];
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct index_node *index_random(const struct index *index, uint64_t chance)
{
    if (index->count == 0)
        return NULL;
    size_t at = chance % index->bucket_count;
    while (index->buckets[at] == NULL)
        at = at + 1 < index->bucket_count ? at + 1 : 0;
    return index->buckets[at];
}

size_t index_bytes(const struct index *index)
{
    return index->room * sizeof(struct index_node *);
}
