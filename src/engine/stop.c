/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the end: what is in flight finishes, a checkpoint is made, the log's end is vouched
 * for.
 *
 * Then settling, the last thing before loops and pool may end. When nobody can ask for anything any
 * more, there may still be jobs out: a shard's append, a value that a port has read for a client
 * who has gone. Each part is asked on its own loop and answers when its jobs have come back; from
 * then on a shard sends none. What it has collected and not written is in the log.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

void group_stop(struct group *group, bool with_checkpoint, void (*on_stopped)(void *ctx, int error),
                void *ctx)
{
    struct sequencer *sequencer = &group->sequencer;
    ASSERT(!sequencer->is_stopping && loop_is_mine(sequencer->loop));
    sequencer->is_stopping = true;
    atomic_store(&group->is_ending, true);
    sequencer->stop_with_checkpoint = with_checkpoint;
    sequencer->on_stopped = on_stopped;
    sequencer->stop_ctx = ctx;
    /* Half a state is no state: it stays LOADING to readers (R34) and makes no checkpoint. What has
     * not been replayed is in the log for the next start. */
    if (group_state(group) == GROUP_REPLAYING)
        sequencer->stop_phase = STOP_VOUCHING;
    else if (group_state(group) != GROUP_LOG_FAILED)
        group_set_state(group, GROUP_STOPPING);
    loop_again(sequencer->loop);
}

static bool are_ports_empty(const struct group *group)
{
    for (uint32_t i = 0; i < group->options.io_loop_count; i++) {
        if (atomic_load(&group->ports[i].waiting_batches) != 0)
            return false;
        if (group->ports[i].loop == group->sequencer.loop && group->ports[i].ordered != NULL)
            return false;
    }
    return true;
}

static void on_last_hint(struct upkeep_wish *wish)
{
    struct sequencer *sequencer = wish->ctx;
    if (--sequencer->stop_hints_left > 0)
        return;
    mem_free(sequencer->stop_hints);
    sequencer->stop_hints = NULL;
    sequencer->stop_phase = STOP_VOUCHING;
    loop_again(sequencer->loop);
}

/* All is in the data files now: with hints for them the next start reads no values. */
static void begin_hints(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    uint32_t count = group->stores.count;
    sequencer->stop_phase = STOP_HINTING;
    sequencer->stop_hints_left = count;
    sequencer->stop_hints = mem_calloc(count, sizeof(*sequencer->stop_hints));
    for (uint32_t i = 0; i < count; i++) {
        sequencer->stop_hints[i].on_done = on_last_hint;
        sequencer->stop_hints[i].ctx = sequencer;
        upkeep_write_last_hint(&group->shards[i], &sequencer->stop_hints[i]);
    }
}

static void on_checkpoint_done(struct group_checkpoint_request *request)
{
    struct sequencer *sequencer = CONTAINER_OF(request, struct sequencer, stop_request);
    sequencer->stop_error = request->error;
    if (request->error == 0)
        begin_hints(sequencer);
    else
        sequencer->stop_phase = STOP_VOUCHING;
}

bool sequencer_stop_step(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    switch (sequencer->stop_phase) {
    case STOP_DRAINING:
        if (sequencer->waiting != NULL || sequencer->pending != NULL || sequencer->rounds_out > 0 ||
            sequencer->reload != NULL || sequencer->backup != NULL || !are_ports_empty(group))
            return false;
        if (!sequencer->stop_with_checkpoint || sequencer->log_error != 0) {
            sequencer->stop_phase = STOP_VOUCHING;
            return true;
        }
        sequencer->stop_phase = STOP_CHECKPOINTING;
        sequencer->stop_request.loop = sequencer->loop;
        sequencer->stop_request.on_done = on_checkpoint_done;
        group_checkpoint(group, &sequencer->stop_request);
        return true;
    case STOP_CHECKPOINTING:
    case STOP_HINTING:
        return false;
    case STOP_VOUCHING:
        if (sequencer->checkpoint != NULL || sequencer->prep != NULL || group->disk.is_job_out)
            return false;
        if (!consensus_finish(sequencer->consensus))
            return false;
        sequencer->stop_phase = STOP_DONE;
        if (group_state(group) != GROUP_REPLAYING)
            group_set_state(group, GROUP_STOPPED);
        sequencer->on_stopped(sequencer->stop_ctx, sequencer->stop_error);
        return false;
    case STOP_DONE:
        return false;
    default:
        UNREACHABLE("all phases of stopping are listed");
    }
}

/* ---- Settling ---- */

struct settling {
    uint32_t parts_left;
    struct loop *loop;
    void (*on_settled)(void *ctx);
    void *ctx;
    struct settle_part parts[];
};

static void on_part_back(struct loop_post *post)
{
    struct settle_part *part = CONTAINER_OF(post, struct settle_part, post);
    struct settling *settling = part->settling;
    if (--settling->parts_left > 0)
        return;
    void (*on_settled)(void *ctx) = settling->on_settled;
    void *ctx = settling->ctx;
    mem_free(settling);
    on_settled(ctx);
}

static void send_back(struct settle_part *part)
{
    part->post.run = on_part_back;
    loop_post(part->settling->loop, &part->post);
}

void shard_look_settled(struct shard *shard)
{
    struct settle_part *part = shard->settle;
    if (part == NULL || shard->write != NULL || shard->sync != NULL || !upkeep_is_settled(shard))
        return;
    shard->settle = NULL;
    send_back(part);
}

void port_look_settled(struct port *port)
{
    struct settle_part *part = port->settle;
    if (part == NULL || port->in_flight_bytes > 0)
        return;
    port->settle = NULL;
    send_back(part);
}

static void settle_shard(struct loop_post *post)
{
    struct settle_part *part = CONTAINER_OF(post, struct settle_part, post);
    part->shard->is_settling = true;
    part->shard->settle = part;
    shard_look_settled(part->shard);
}

static void settle_port(struct loop_post *post)
{
    struct settle_part *part = CONTAINER_OF(post, struct settle_part, post);
    part->port->settle = part;
    port_look_settled(part->port);
}

void group_settle(struct group *group, struct loop *loop, void (*on_settled)(void *ctx), void *ctx)
{
    uint32_t shards = group->stores.count;
    uint32_t count = shards + group->options.io_loop_count;
    struct settling *settling =
        mem_calloc(1, sizeof(*settling) + count * sizeof(struct settle_part));
    *settling =
        (struct settling){.parts_left = count, .loop = loop, .on_settled = on_settled, .ctx = ctx};
    for (uint32_t i = 0; i < count; i++) {
        struct settle_part *part = &settling->parts[i];
        part->settling = settling;
        part->shard = i < shards ? &group->shards[i] : NULL;
        part->port = i < shards ? NULL : &group->ports[i - shards];
        part->post.run = i < shards ? settle_shard : settle_port;
    }
    /* The last part to come back frees them all, so nothing is touched behind its post. */
    for (uint32_t i = 0; i < count; i++) {
        struct settle_part *part = &settling->parts[i];
        ASSERT(part->shard != NULL || part->port != NULL);
        loop_post(part->shard != NULL ? part->shard->loop : part->port->loop, &part->post);
    }
}
