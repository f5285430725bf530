/* SPDX-License-Identifier: Apache-2.0 */
/* random: numbers for tests that need nothing of the machine but a seed. */
#ifndef SUPPORT_RANDOM_H
#define SUPPORT_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* SEED from the environment, or one from the clock; prints "seed <n>" so that a failure can be run
 * again. */
uint64_t random_seed(void);

uint64_t random_next(struct random *random);

/* 0 .. limit - 1. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

#endif
