/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/lfu.h"

#define COUNTER_MAX  255
#define MINUTES_MASK 0xffffU

/* Minutes since the epoch, as far as 16 bits go: they come round every 45 days. */
static uint32_t minutes_of(uint64_t now_ms)
{
    return (uint32_t)(now_ms / 60000) & MINUTES_MASK;
}

static uint32_t word_of(uint32_t minutes, uint32_t counter)
{
    return minutes << 8 | counter;
}

uint32_t lfu_new(uint64_t now_ms)
{
    return word_of(minutes_of(now_ms), LFU_INITIAL);
}

uint32_t lfu_idle_minutes(uint32_t word, uint64_t now_ms)
{
    return (minutes_of(now_ms) - (word >> 8)) & MINUTES_MASK;
}

uint8_t lfu_counter(uint32_t word, uint64_t now_ms, const struct lfu_options *options)
{
    uint32_t counter = word & COUNTER_MAX;
    if (options->decay_time == 0)
        return (uint8_t)counter;
    uint32_t steps = lfu_idle_minutes(word, now_ms) / options->decay_time;
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
    return word_of(minutes_of(now_ms), counted_up(counter, chance, options->log_factor));
}
