/* SPDX-License-Identifier: Apache-2.0 */
/* event: what a command tells those who watch the keyspace. Handlers name events, transactions
 * collect them, and they leave the engine once the change is durable and published.
 *
 * Lifetime: a list owns its keys; names are constants.
 */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "base/buf.h"

/* Redis's classes and their letters. The first two say in which form, and are of no event. */
enum event_class {
    EVENT_IN_KEYSPACE = 1 << 0, /* K */
    EVENT_BY_NAME = 1 << 1,     /* E */
    EVENT_GENERIC = 1 << 2,     /* g */
    EVENT_STRING = 1 << 3,      /* $ */
    EVENT_LIST = 1 << 4,        /* l */
    EVENT_SET = 1 << 5,         /* s */
    EVENT_HASH = 1 << 6,        /* h */
    EVENT_ZSET = 1 << 7,        /* z */
    EVENT_EXPIRED = 1 << 8,     /* x */
    EVENT_EVICTED = 1 << 9,     /* e */
    EVENT_STREAM = 1 << 10,     /* t */
    EVENT_MISS = 1 << 11,       /* m */
    EVENT_MODULE = 1 << 13,     /* d */
    EVENT_NEW = 1 << 14,        /* n */
    /* Ours, for clients that keep copies: not to be published. */
    EVENT_TOUCHED = 1 << 20, /* the key has changed or gone */
    EVENT_FLUSHED = 1 << 21  /* a whole database is empty, or another one; no key */
};

struct event {
    const char *name;
    size_t key_off;
    uint32_t key_len;
    uint32_t shard;
    unsigned class;
    uint16_t db;
    uint64_t client; /* whose command it was; 0: nobody's */
};

struct event_list {
    struct event *events;
    size_t count;
    size_t cap;
    struct buf keys;
};

/* Copies; key_off and key_len are set here. */
void event_list_add(struct event_list *list, const struct event *event, struct slice key);
/* Empties it and keeps little memory. */
void event_list_clear(struct event_list *list);
void event_list_fini(struct event_list *list);
size_t event_list_bytes(const struct event_list *list);

static inline struct slice event_key(const struct event_list *list, const struct event *event)
{
    return slice_of(list->keys.data + event->key_off, event->key_len);
}

#endif
