/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/lfu.h"

#define COUNTER_MAX  255
#define SECONDS_MASK 0xffffffU
/* Two threads' clocks may differ a little: what was used less than this after now is used now. */
#define AHEAD_MAX_S 3600U

/* Seconds since the epoch, as far as 24 bits go: they come round every 194 days. */
static uint32_t seconds_of(uint64_t now_ms)
{
    return (uint32_t)(now_ms / 1000) & SECONDS_MASK;
}

static uint32_t word_of(uint32_t seconds, uint32_t counter)
{
    return seconds << 8 | counter;
}

uint32_t lfu_new(uint64_t now_ms)
{
    return word_of(seconds_of(now_ms), LFU_INITIAL);
}

uint32_t lfu_of(uint64_t now_ms, uint64_t idle_s, uint8_t counter)
{
    uint32_t idle =
        idle_s < SECONDS_MASK - AHEAD_MAX_S ? (uint32_t)idle_s : SECONDS_MASK - AHEAD_MAX_S;
    return word_of((seconds_of(now_ms) - idle) & SECONDS_MASK, counter);
}

uint32_t lfu_idle_s(uint32_t word, uint64_t now_ms)
{
    uint32_t idle_s = (seconds_of(now_ms) - (word >> 8)) & SECONDS_MASK;
    return idle_s <= SECONDS_MASK - AHEAD_MAX_S ? idle_s : 0;
}

/* By the minutes that have begun, so that a use each second does not hold the decay up. */
static uint32_t idle_minutes(uint32_t word, uint64_t now_ms)
{
    return (lfu_idle_s(word, now_ms) + (word >> 8) % 60) / 60;
}

uint8_t lfu_counter(uint32_t word, uint64_t now_ms, const struct lfu_options *options)
{
    uint32_t counter = word & COUNTER_MAX;
    if (options->decay_time == 0)
        return (uint8_t)counter;
    uint32_t steps = idle_minutes(word, now_ms) / options->decay_time;
    return (uint8_t)(steps < counter ? counter - steps : 0);
}

/* Goes up with probability 1 / (uses above the initial ones * log_factor + 1). */
static uint32_t counted_up(uint32_t counter, uint64_t chance, uint32_t log_factor)
{
    if (counter == COUNTER_MAX)
        return counter;
    uint64_t above = counter > LFU_INITIAL ? counter - LFU_INITIAL : 0;
    return chance % (above * log_factor + 1) == 0 ? counter + 1 : counter;
}

uint32_t lfu_touch(uint32_t word, uint64_t now_ms, uint64_t chance,
                   const struct lfu_options *options)
{
    uint32_t counter = lfu_counter(word, now_ms, options);
    return word_of(seconds_of(now_ms), counted_up(counter, chance, options->log_factor));
}

uint32_t lfu_seen(uint32_t word, uint64_t now_ms, const struct lfu_options *options)
{
    return word_of(seconds_of(now_ms), lfu_counter(word, now_ms, options));
}
