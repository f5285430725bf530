/* SPDX-License-Identifier: Apache-2.0 */
/* pairs: which claims must stand in the order in which their connection sent them.
 *
 * That is promised for ops of a connection that share a key, pipelined or not. Of pipelined ops on
 * different keys each may take effect first: only real time orders those, and it does not here.
 */
#ifndef LINEAR_PAIRS_H
#define LINEAR_PAIRS_H

#include "linear/claim.h"

struct pair {
    uint32_t earlier; /* places in items */
    uint32_t later;
};

struct pairs {
    struct pair *items; /* by `later` */
    size_t count;
    size_t cap;
};

/* Of each claim and each of its keys: the one before it in its connection with that key, unless it
 * is not known whether that one happened. `items` are numbers of claims as they were asked. */
void pairs_of_connections(struct pairs *pairs, const struct claims *claims, const uint32_t *items,
                          size_t count);
void pairs_fini(struct pairs *pairs);

#endif
