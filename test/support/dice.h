/* SPDX-License-Identifier: Apache-2.0 */
/* dice: chance for tests, the same on every machine for the same seed. */
#ifndef SUPPORT_DICE_H
#define SUPPORT_DICE_H

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

/* With SEED from the environment, or a fresh one; prints "seed <n>" so that a failure can be run
 * again. */
void dice_init(struct dice *dice);

uint64_t dice_next(struct dice *dice);

/* 0 .. bound - 1. */
size_t dice_below(struct dice *dice, size_t bound);

#endif
