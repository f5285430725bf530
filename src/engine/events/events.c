/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/events/events.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

struct event_batch {
    struct group *group;
    struct event_list list;
    size_t bytes; /* counted in the group's traffic */
    _Atomic uint32_t ports_left;
    struct event_post {
        struct loop_post post;
        struct event_batch *batch;
        struct port *port;
    } posts[];
};

void event_line_add(struct event_line *line, const struct event_list *from,
                    const struct event *event, uint64_t client)
{
    uint32_t port_count = line->group->options.io_loop_count;
    if (line->batch == NULL)
        line->batch =
            mem_calloc(1, sizeof(struct event_batch) + port_count * sizeof(struct event_post));
    struct event added = *event;
    added.client = client;
    event_list_add(&line->batch->list, &added, event_key(from, event));
}

static void wake_shards(struct group *group)
{
    for (uint32_t i = 0; i < group->stores.count; i++) {
        struct shard *shard = &group->shards[i];
        if (!atomic_exchange(&shard->is_wake_posted, true))
            loop_post(shard->loop, &shard->wake);
    }
}

static void free_batch(struct event_batch *batch)
{
    event_list_fini(&batch->list);
    mem_free(batch);
}

/* The last port has taken it in. */
static void end_batch(struct event_batch *batch)
{
    struct group *group = batch->group;
    size_t bytes = batch->bytes;
    free_batch(batch);
    /* What the subtraction itself has seen: between two looks others add and take away, and nobody
     * would notice that it was he who ended the wait. */
    size_t before = atomic_fetch_sub(&group->events.bytes, bytes);
    if (before > EVENTS_MAX_BYTES && before - bytes <= EVENTS_MAX_BYTES)
        wake_shards(group);
}

static void on_batch(struct loop_post *post)
{
    struct event_post *mine = CONTAINER_OF(post, struct event_post, post);
    struct event_batch *batch = mine->batch;
    struct port *port = mine->port;
    if (port->events != NULL && port->events->on_events != NULL)
        port->events->on_events(port->ctx, &batch->list);
    if (atomic_fetch_sub(&batch->ports_left, 1) == 1)
        end_batch(batch);
}

void event_line_post(struct event_line *line)
{
    struct event_batch *batch = line->batch;
    if (LIKELY(batch == NULL))
        return;
    struct group *group = line->group;
    line->batch = NULL;
    uint32_t count = group->options.io_loop_count;
    batch->group = group;
    batch->bytes = event_list_bytes(&batch->list);
    atomic_fetch_add(&group->events.bytes, batch->bytes); /* G15 */
    atomic_init(&batch->ports_left, count);
    for (uint32_t i = 0; i < count; i++) {
        struct event_post *mine = &batch->posts[i];
        *mine = (struct event_post){.post.run = on_batch, .batch = batch, .port = &group->ports[i]};
    }
    for (uint32_t i = 0; i < count; i++)
        loop_post(group->ports[i].loop, &batch->posts[i].post);
}

void event_line_fini(struct event_line *line)
{
    if (line->batch != NULL)
        free_batch(line->batch);
    line->batch = NULL;
}
