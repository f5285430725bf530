/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the end: what is in flight finishes, a checkpoint is made, the log's end is vouched
 * for. */
#include "base/assert.h"
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

static void on_checkpoint_done(struct group_checkpoint_request *request)
{
    struct sequencer *sequencer = CONTAINER_OF(request, struct sequencer, stop_request);
    sequencer->stop_error = request->error;
    sequencer->stop_phase = STOP_VOUCHING;
}

bool sequencer_stop_step(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    switch (sequencer->stop_phase) {
    case STOP_DRAINING:
        if (sequencer->waiting != NULL || sequencer->pending != NULL || sequencer->rounds_out > 0 ||
            sequencer->reload != NULL || !are_ports_empty(group))
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
        return false;
    case STOP_VOUCHING:
        if (sequencer->checkpoint != NULL || sequencer->prep != NULL)
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
