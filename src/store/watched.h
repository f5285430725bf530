/* SPDX-License-Identifier: Apache-2.0 */
/* watched: what WATCH must know and no version tells.
 *
 * A key that was not there may appear and be gone again, and databases may be swapped there and
 * back. So whoever watches a key leaves a note here, and the shard's owner marks the notes of keys
 * that appear and of those that a swap has moved. Where nobody watches, an appearance costs the
 * owner one load.
 */
#ifndef STORE_WATCHED_H
#define STORE_WATCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "os/thread.h"

#define WATCHED_SLOTS 256

struct watched_keys {
    struct lock lock; /* guards the lists */
    _Atomic uint32_t counts[WATCHED_SLOTS];
    struct list_node slots[WATCHED_SLOTS];
};

/* Embedded by the watcher, which owns it and keeps `key` alive. */
struct watched_note {
    struct list_node node;
    struct watched_keys *in; /* NULL: in none */
    struct slice key;
    uint64_t hash;
    uint16_t db;
    _Atomic bool has_appeared;
    _Atomic bool was_swapped;
};

void watched_init(struct watched_keys *keys);
/* No note may be left. */
void watched_fini(struct watched_keys *keys);

/* Notes the key of this hash in database `db`. What happens after the caller's next look at the
 * keydir is marked; what happens meanwhile may be. Thread: any. */
void watched_add(struct watched_keys *keys, struct watched_note *note, struct slice key,
                 uint64_t hash, uint16_t db);
/* Harmless on a zeroed note and on one that was taken out. Thread: the note's owner. */
void watched_remove(struct watched_note *note);

/* The key may have been written since where it was not, or where it had an expiry. */
bool watched_has_appeared(const struct watched_note *note);
/* The key was there, or came, when its database was swapped. */
bool watched_was_swapped(const struct watched_note *note);

/* Thread of both: owner of the shard. */
void watched_mark(struct watched_keys *keys, uint64_t hash, uint16_t db);
/* Every note for which is_moved(ctx, note) holds. */
void watched_mark_swapped(struct watched_keys *keys,
                          bool (*is_moved)(const void *ctx, const struct watched_note *note),
                          const void *ctx);

#endif
