/* SPDX-License-Identifier: Apache-2.0 */
/* hlc: the group's hybrid logical clock, on the log loop.
 *
 * Stamps never go back, follow the wall clock where it can be believed, and never pass a ceiling
 * that is not committed with them, so that a restart after any crash begins no earlier than
 * anything that was answered (R23). A wall clock that jumps by more than max_step_ms against the
 * boot clock is not followed: the clock goes on by boot time and slews towards it.
 *
 * Source: Kulkarni et al., "Logical physical clocks", 2014.
 */
#ifndef ENGINE_HLC_H
#define ENGINE_HLC_H

#include <stdbool.h>
#include <stdint.h>

#include "os/clock.h"

#define HLC_CEILING_MS 1000

struct hlc {
    struct clock *clock;
    uint64_t max_step_ms;
    uint64_t word;       /* last stamp: ms << 16 | counter */
    uint64_t ceiling_ms; /* highest ceiling put into an entry, committed or not */
    uint64_t base_wall_ms;
    uint64_t base_boot_ms;
    int64_t refused_ms; /* how far the wall clock is from ours, if we do not follow it; else 0 */
};

/* `floor_ms` is the highest ceiling known from manifest and log. */
void hlc_init(struct hlc *hlc, struct clock *clock, uint64_t floor_ms, uint64_t max_step_ms);

/* Believable time now; does not move the clock. */
uint64_t hlc_now_ms(struct hlc *hlc);

/* The next stamp: later than all before. Raises ceiling_ms where needed. */
uint64_t hlc_stamp(struct hlc *hlc);

/* Makes later stamps not earlier than `ms`, which must not be beyond a committed ceiling. */
void hlc_raise(struct hlc *hlc, uint64_t ms);

/* Replay is over: goes on from the highest ceiling, up to which reads may have been answered before
 * the start. From there by boot time, if the wall clock is far behind. */
void hlc_resume(struct hlc *hlc);

/* An entry of the log has been met. */
void hlc_saw(struct hlc *hlc, uint64_t word, uint64_t ceiling_ms);

static inline uint64_t hlc_ms(uint64_t word)
{
    return word >> 16;
}

#endif
