/* SPDX-License-Identifier: Apache-2.0 */
/* events: what the keyspace has to tell, on its way from where it happened to every port.
 *
 * A line gathers the events of one shard, or of all shards where they share a loop, and sends them
 * as one batch to all ports. So the events of a key reach each port in the order of its changes.
 * What several shards do together is entered into the lines of the shards that its keys belong to,
 * which are lent to the one that does it (R20).
 *
 * Threads: a line belongs to its shard's or port's owner; a batch is read by all ports.
 */
#ifndef ENGINE_EVENTS_EVENTS_H
#define ENGINE_EVENTS_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "loop/loop.h"
#include "store/event.h"

struct group;
struct event_batch;

/* So many bytes may be on their way before shards wait for the ports (P7). */
#define EVENTS_MAX_BYTES (64u * 1024 * 1024)

struct event_line {
    struct group *group;
    struct event_batch *batch; /* being gathered, or NULL */
};

/* What a group keeps for all its lines. */
struct event_traffic {
    _Atomic unsigned wanted; /* a set of classes */
    _Atomic size_t bytes;    /* gathered and not yet taken in by all ports */
};

void event_line_add(struct event_line *line, const struct event_list *from,
                    const struct event *event, uint64_t client);
/* Sends what has been gathered. */
void event_line_post(struct event_line *line);
void event_line_fini(struct event_line *line);

/* The classes that somebody wants to hear of. Thread: any. */
static inline unsigned events_wanted(const struct event_traffic *traffic)
{
    return atomic_load_explicit(&traffic->wanted, memory_order_relaxed);
}

static inline bool events_are_behind(const struct event_traffic *traffic)
{
    return atomic_load_explicit(&traffic->bytes, memory_order_relaxed) > EVENTS_MAX_BYTES;
}

#endif
