/* SPDX-License-Identifier: Apache-2.0 */
/* lfu: a row's 24-bit word of use: minutes (16 bits) and a logarithmic counter (8 bits).
 *
 * Source: Redis, "Using Redis as an LRU cache", approximated LFU. Pure functions.
 */
#ifndef KEYDIR_LFU_H
#define KEYDIR_LFU_H

#include <stdint.h>

#define LFU_INITIAL 5

struct lfu_options {
    uint32_t log_factor; /* 10 */
    uint32_t decay_time; /* minutes per step, 0: never */
};

uint32_t lfu_new(uint64_t now_ms);

/* The counter as it stands at `now_ms`, nothing stored. */
uint8_t lfu_counter(uint32_t word, uint64_t now_ms, const struct lfu_options *options);

/* The word after one use; `chance` is a random number. */
uint32_t lfu_touch(uint32_t word, uint64_t now_ms, uint64_t chance,
                   const struct lfu_options *options);

/* Minutes since the last touch. */
uint32_t lfu_idle_minutes(uint32_t word, uint64_t now_ms);

#endif
