/* SPDX-License-Identifier: Apache-2.0 */
/* stores: the shards of a node, and which one a key belongs to. Plain data, fixed after the start.
 */
#ifndef STORE_STORES_H
#define STORE_STORES_H

#include "base/hash.h"
#include "store/store.h"

#define STORES_MAX 64 /* so that a set of shards is one word */

struct stores {
    struct store *shards[STORES_MAX];
    uint32_t count;
    uint64_t hash_seed; /* of all keydirs */
    /* All shards and all readers are on one thread: nothing needs to be validated. */
    bool is_single_threaded;
};

/* Slots go to shards in equal contiguous ranges. */
static inline uint32_t stores_shard_of_slot(const struct stores *stores, uint16_t slot)
{
    return (uint32_t)slot * stores->count / SLOT_COUNT;
}

static inline uint32_t stores_shard_of(const struct stores *stores, struct slice key)
{
    return stores->count == 1 ? 0 : stores_shard_of_slot(stores, hash_slot(key));
}

#endif
