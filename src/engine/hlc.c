/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hlc.h"

#include "base/assert.h"

/* One part in so many of the time that passes goes into catching up with a refused step. */
#define SLEW_DIVISOR 1000

void hlc_init(struct hlc *hlc, struct clock *clock, uint64_t floor_ms, uint64_t max_step_ms)
{
    uint64_t wall_ms = clock_wall_ms(clock);
    *hlc = (struct hlc){
        .clock = clock,
        .max_step_ms = max_step_ms,
        .word = floor_ms << 16,
        .ceiling_ms = floor_ms,
        .base_wall_ms = wall_ms,
        .base_boot_ms = clock_boot_ms(clock),
    };
}

uint64_t hlc_now_ms(struct hlc *hlc)
{
    uint64_t wall_ms = clock_wall_ms(hlc->clock);
    uint64_t passed_ms = clock_boot_ms(hlc->clock) - hlc->base_boot_ms;
    uint64_t expected_ms = hlc->base_wall_ms + passed_ms;
    int64_t step_ms = (int64_t)(wall_ms - expected_ms);
    uint64_t distance_ms = step_ms < 0 ? 0 - (uint64_t)step_ms : (uint64_t)step_ms;
    uint64_t now_ms = wall_ms;
    hlc->refused_ms = 0;
    if (distance_ms > hlc->max_step_ms) {
        uint64_t slew_ms = passed_ms / SLEW_DIVISOR;
        if (slew_ms > distance_ms)
            slew_ms = distance_ms;
        now_ms = step_ms < 0 ? expected_ms - slew_ms : expected_ms + slew_ms;
        hlc->refused_ms = (int64_t)(wall_ms - now_ms);
    }
    /* The base moves on where nothing is lost by it: small steps of a disciplined clock add up. */
    if (distance_ms <= hlc->max_step_ms || passed_ms >= SLEW_DIVISOR) {
        hlc->base_wall_ms = now_ms;
        hlc->base_boot_ms += passed_ms;
    }
    uint64_t last_ms = hlc_ms(hlc->word);
    return now_ms > last_ms ? now_ms : last_ms;
}

uint64_t hlc_stamp(struct hlc *hlc)
{
    uint64_t word = hlc_now_ms(hlc) << 16;
    hlc->word = word > hlc->word ? word : hlc->word + 1;
    if (hlc_ms(hlc->word) + HLC_CEILING_MS > hlc->ceiling_ms)
        hlc->ceiling_ms = hlc_ms(hlc->word) + HLC_CEILING_MS;
    return hlc->word;
}

void hlc_raise(struct hlc *hlc, uint64_t ms)
{
    ASSERT(ms <= hlc->ceiling_ms);
    if (ms << 16 > hlc->word)
        hlc->word = ms << 16;
}

void hlc_saw(struct hlc *hlc, uint64_t word, uint64_t ceiling_ms)
{
    if (word > hlc->word)
        hlc->word = word;
    if (ceiling_ms > hlc->ceiling_ms)
        hlc->ceiling_ms = ceiling_ms;
}

void hlc_resume(struct hlc *hlc)
{
    hlc_raise(hlc, hlc->ceiling_ms);
    uint64_t wall_ms = clock_wall_ms(hlc->clock);
    uint64_t floor_ms = hlc_ms(hlc->word);
    hlc->base_wall_ms = wall_ms > floor_ms ? wall_ms : floor_ms;
    hlc->base_boot_ms = clock_boot_ms(hlc->clock);
}
