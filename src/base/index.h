/* SPDX-License-Identifier: Apache-2.0 */
/* index: an intrusive hash table. Owners embed a node, hash what they look for and compare it
 * themselves; several entries may have one hash. It grows by one bucket with each entry (linear
 * hashing), so that no addition has to move all the others.
 *
 * Lifetime: entries belong to whoever embeds the node; a zeroed index is empty.
 * Threads:  none of its own.
 */
#ifndef BASE_INDEX_H
#define BASE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct index_node {
    struct index_node *next;
    uint64_t hash;
};

struct index {
    struct index_node **buckets;
    size_t bucket_count;
    size_t room; /* of the array */
    size_t count;
};

/* Must be empty, or its entries are no longer wanted as such. */
void index_fini(struct index *index);

void index_add(struct index *index, struct index_node *node, uint64_t hash);
/* The node must be in it. The last one out takes the memory with it. */
void index_del(struct index *index, struct index_node *node);

/* The entries with a hash, one after the other; NULL at the end. */
struct index_node *index_find(const struct index *index, uint64_t hash);
struct index_node *index_find_next(const struct index_node *node);

/* All entries: the first of a bucket, the rest by node->next. */
static inline struct index_node *index_bucket(const struct index *index, size_t nth)
{
    return index->buckets[nth];
}

/* An entry by chance, where `chance` is any number; NULL if there is none. */
struct index_node *index_random(const struct index *index, uint64_t chance);

size_t index_bytes(const struct index *index);

#endif
