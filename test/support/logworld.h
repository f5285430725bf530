/* SPDX-License-Identifier: Apache-2.0 */
/* logworld: a segment log on a simulated disk beside a model of what was put into it.
 *
 * The model is the history: one record for each frame by its sequence. The state after the first n
 * records is what a log that holds exactly n frames must show. Recovery may give any n that is not
 * below what was reported durable; logworld_check() holds the log against the state after its n.
 *
 * On the disk stand, as notes by step: what was reported durable (slot 0), and what a manifest says
 * (slots 1 and 2), so that an image of any step can be recovered as it would have been then.
 */
#ifndef SUPPORT_LOGWORLD_H
#define SUPPORT_LOGWORLD_H

#include "seglog/seglog.h"
#include "support/simdisk.h"

#define LOGWORLD_SEGMENT (256U << 10)
#define LOGWORLD_GROUP   UINT64_C(0x6772)

enum logworld_note { NOTE_DURABLE, NOTE_CHECKPOINT, NOTE_CHECKPOINT_TERM };

struct log_record {
    enum frame_kind kind; /* 0: nothing that counts (OPEN, VOUCH) */
    uint64_t first_index; /* of TRUNCATE: last_index + 1 */
    uint32_t count;
    uint64_t term;
    uint64_t vote;
    uint64_t seed; /* of the entries' bytes */
};

struct history {
    struct log_record *records; /* of sequence i + 1 */
    size_t count;
    size_t cap;
};

struct history history_copy(const struct history *from, uint64_t count);
void history_fini(struct history *history);

/* The state after the first records. */
struct log_state {
    uint64_t term;
    uint64_t vote;
    uint64_t last_index;
    struct entry_origin {
        const struct log_record *record;
        uint32_t nth;
    } * entries; /* by index */
    size_t cap;
};
struct log_state history_state(const struct history *history, uint64_t count);
void log_state_fini(struct log_state *state);

struct logworld {
    uint64_t random;
    struct simdisk *disk;
    struct simclock clock;
    struct simchance chance;
    struct aio *aio;
    struct seglog_options options;
    struct seglog *log;
    struct seglog_found found;
    struct diag diag;
    struct history history;
    struct seglog_prep *prep; /* has run, is not done */
    uint64_t term;
    uint64_t next_seed;
    uint64_t checkpoint_index;
    uint64_t checkpoint_term;
};

uint64_t logworld_random(struct logworld *world, uint64_t bound);

/* A world on `disk`, which it takes over; the log is not open yet. */
void logworld_init(struct logworld *world, struct simdisk *disk, uint64_t seed);

/* Opens the log with what the world knows of the checkpoint; history is cut to what was found. */
int logworld_try_open(struct logworld *world);
void logworld_open(struct logworld *world);

/* Closes the log as a crash would: whatever is in flight. */
void logworld_drop(struct logworld *world);
/* Closes everything and frees the disk. */
void logworld_fini(struct logworld *world);

/* The world that a power loss right behind `step` leaves: a new disk, the history and the manifest
 * of then, the log not open. *out_durable is what had been reported. */
void logworld_crash(const struct logworld *from, uint64_t step, struct simdisk *image,
                    uint64_t seed, struct logworld *out_world, uint64_t *out_durable);

/* ---- What is done to the log ---- */

/* A frame of `count` entries of about `size` bytes each, at the end. */
struct frame *logworld_frame(struct logworld *world, uint32_t count, size_t size);
/* Appends it; false if there is no slot or no room now. */
bool logworld_append(struct logworld *world, uint32_t count, size_t size);
uint64_t logworld_hard_state(struct logworld *world, uint64_t term, uint64_t vote);
uint64_t logworld_truncate(struct logworld *world, uint64_t last_index);
void logworld_checkpoint(struct logworld *world, uint64_t index);
/* Takes completions in and notes what has become durable. */
int logworld_poll(struct logworld *world);
/* Flushes and polls until nothing is in flight. */
void logworld_settle(struct logworld *world);
/* Prepares segments until there is nothing to do. Returns the last result. */
int logworld_prepare(struct logworld *world);
/* Something, by chance. */
void logworld_act(struct logworld *world);

/* ---- What the log says ---- */

/* Asserts that the log is the state after as many records as it holds frames, at least
 * `durable`, entry by entry. */
void logworld_check(struct logworld *world, uint64_t durable);

#endif
