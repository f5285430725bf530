/* SPDX-License-Identifier: Apache-2.0 */
/* appends: strict serializability of transactions that only append to lists and read them whole.
 *
 * Every token that is appended is different and ends with '.', so that a read shows in which order
 * the appends before it happened, and from all reads follows nearly all that must come before what.
 * Whatever the number of keys and clients, that takes time in proportion to the history.
 * Source: Kingsbury, Alvaro, "Elle: inferring isolation anomalies from experimental observations",
 * 2020.
 */
#ifndef LINEAR_APPENDS_H
#define LINEAR_APPENDS_H

#include "linear/claim.h"

/* Is it such a history? */
bool appends_suit(struct claims *claims, const uint32_t *items, size_t count);

/* False after having said on `explain` (if not NULL) what is wrong. items are numbers of claims in
 * the order in which they were asked. */
bool appends_check(struct claims *claims, const uint32_t *items, size_t count, FILE *explain);

#endif
