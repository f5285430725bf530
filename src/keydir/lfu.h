/* SPDX-License-Identifier: Apache-2.0 */
/* lfu: a row's 32-bit word of use: seconds (24 bits) and a logarithmic counter (8 bits).
 *
 * Source: Redis, "Using Redis as an LRU cache", approximated LFU. Pure functions.
 */
#ifndef KEYDIR_LFU_H
#define KEYDIR_LFU_H

#include <stdbool.h>
#include <stdint.h>

#define LFU_INITIAL 5

struct lfu_options {
    uint32_t log_factor; /* 10 */
    uint32_t decay_time; /* minutes per step, 0: never */
};

uint32_t lfu_new(uint64_t now_ms);

/* The word of a value that was last used `idle_s` ago and has been used as `counter` says. */
uint32_t lfu_of(uint64_t now_ms, uint64_t idle_s, uint8_t counter);

/* The counter as it stands at `now_ms`, nothing stored. */
uint8_t lfu_counter(uint32_t word, uint64_t now_ms, const struct lfu_options *options);

/* The word after one use; `chance` is a random number. */
uint32_t lfu_touch(uint32_t word, uint64_t now_ms, uint64_t chance,
                   const struct lfu_options *options);

/* The word after a use that is not counted: its time and the decay. */
uint32_t lfu_seen(uint32_t word, uint64_t now_ms, const struct lfu_options *options);

/* Is the word's time another second than now? */
static inline bool lfu_is_stale(uint32_t word, uint32_t now_s)
{
    return word >> 8 != (now_s & 0xffffffU);
}

/* Seconds since the last use, up to 194 days. */
uint32_t lfu_idle_s(uint32_t word, uint64_t now_ms);

#endif
