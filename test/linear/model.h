/* SPDX-License-Identifier: Apache-2.0 */
/* model: what a Redis of a few keys does, one claim at a time.
 *
 * A state is the values and lives of all keys of a component, and the least time that it can be.
 * States are numbered; equal ones have one number. A key whose life may have ended at the time of a
 * claim gives that claim a choice: it was there, or it was gone. Once gone it stays gone.
 */
#ifndef LINEAR_MODEL_H
#define LINEAR_MODEL_H

#include <stdio.h>

#include "linear/claim.h"

struct model;

/* Begins with none of the `key_count` keys there. Borrows both; values are added to claims. */
struct model *model_new(struct claims *claims, const uint32_t *keys, size_t key_count);
void model_free(struct model *model);

uint32_t model_first_state(const struct model *model);

enum model_result {
    MODEL_FITS,
    MODEL_CONFLICTS, /* the claim cannot have happened here, chosen so */
    MODEL_NO_CHOICE  /* there are no more than `choice` choices */
};

/* Does the claim fit `state`, and what comes after it? Choices are counted from 0. */
enum model_result model_apply(struct model *model, uint32_t state, const struct claim *claim,
                              unsigned choice, uint32_t *out_state);

void model_print(const struct model *model, uint32_t state, FILE *to);

#endif
