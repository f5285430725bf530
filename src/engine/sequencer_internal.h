/* SPDX-License-Identifier: Apache-2.0 */
/* What sequencer.c, sequencer_submit.c, sequencer_replay.c and sequencer_stop.c share. */
#ifndef ENGINE_SEQUENCER_INTERNAL_H
#define ENGINE_SEQUENCER_INTERNAL_H

#include "engine/engine_internal.h"

struct pending_entry *pop_pending(struct sequencer *sequencer);

/* Puts batches at the end of those that wait to be submitted. */
void sequencer_wait(struct sequencer *sequencer, struct batch *batch);

/* Submits one entry if there is something for it and room in the log. True if it did something. */
bool sequencer_submit_one(struct sequencer *sequencer);

/* Reads behind what is in flight: dispatched when that is, at `time_ms` if it is later. */
void sequencer_pend_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms);
void sequencer_push_pending(struct sequencer *sequencer, struct pending_entry *entry);
void sequencer_dispatch_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms,
                              uint64_t now_ms);
uint64_t sequencer_now_for_reads(struct sequencer *sequencer);

/* Makes the ops of a round from the bytes of an entry. False after group_fail(). */
bool sequencer_decode(struct sequencer *sequencer, struct round *round,
                      const struct log_entry *entry, uint32_t count);

/* One step towards the end; true if it did something. */
bool sequencer_stop_step(struct sequencer *sequencer);

#endif
