/* SPDX-License-Identifier: Apache-2.0 */
/* absent: keys that are watched while they are not there (WATCH).
 *
 * A key that appears and is gone again leaves no version behind that would tell. So whoever watches
 * an absent key leaves a note here, and the shard's owner marks the notes of keys that appear.
 * While nobody watches, an appearance costs the owner one load.
 */
#ifndef STORE_ABSENT_H
#define STORE_ABSENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "os/thread.h"

#define ABSENT_SLOTS 256

struct absent_keys {
    struct lock lock; /* guards the lists */
    _Atomic uint32_t count;
    struct list_node slots[ABSENT_SLOTS];
};

/* Embedded by the watcher, which owns it and keeps `key` alive. */
struct absent_note {
    struct list_node node;
    struct absent_keys *in; /* NULL: in none */
    struct slice key;
    uint64_t hash;
    uint16_t db;
    _Atomic bool has_appeared;
};

void absent_init(struct absent_keys *keys);
/* No note may be left. */
void absent_fini(struct absent_keys *keys);

/* Notes the key of this hash in database `db`. What appears after the caller's next look at the
 * keydir marks it; what appears meanwhile may. Thread: any. */
void absent_add(struct absent_keys *keys, struct absent_note *note, struct slice key, uint64_t hash,
                uint16_t db);
/* Harmless on a zeroed note and on one that was taken out. Thread: the note's owner. */
void absent_remove(struct absent_note *note);

bool absent_has_appeared(const struct absent_note *note);

/* A key is there that was not. Thread: owner of the shard. */
void absent_mark(struct absent_keys *keys, uint64_t hash, uint16_t db);

/* Marks every note for which is_there(ctx, note) holds: after databases were swapped. Thread: owner
 * of the shard. */
void absent_mark_if(struct absent_keys *keys,
                    bool (*is_there)(const void *ctx, const struct absent_note *note),
                    const void *ctx);

#endif
