/* SPDX-License-Identifier: Apache-2.0 */
#include "support/dice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void dice_init(struct dice *dice)
{
    const char *given = getenv("SEED");
    if (given != NULL) {
        dice->state = strtoull(given, NULL, 10);
    } else {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        dice->state = ((uint64_t)now.tv_sec << 30) ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid();
    }
    printf("seed %" PRIu64 "\n", dice->state);
    fflush(stdout);
}

/* SplitMix64. */
uint64_t dice_next(struct dice *dice)
{
    uint64_t v = dice->state += 0x9e3779b97f4a7c15u;
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
    return v ^ (v >> 31);
}

size_t dice_below(struct dice *dice, size_t bound)
{
    return (size_t)(dice_next(dice) % bound);
}
