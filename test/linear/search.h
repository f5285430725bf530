/* SPDX-License-Identifier: Apache-2.0 */
/* search: is there an order of these claims that agrees with real time, with the order of each
 * connection, and with the model?
 *
 * Complete: it says no only if there is none. Sources: Wing, Gong, "Testing and verifying
 * concurrent objects", 1993; Lowe, "Testing for linearizability", 2017.
 */
#ifndef LINEAR_SEARCH_H
#define LINEAR_SEARCH_H

#include "linear/claim.h"

enum search_result { SEARCH_FOUND, SEARCH_NONE, SEARCH_GAVE_UP };

struct search {
    struct claims *claims;
    const uint32_t *items; /* numbers of claims, in the order in which they were asked */
    size_t count;
    const uint32_t *keys; /* all that they touch */
    size_t key_count;
    uint64_t budget; /* claims tried before it gives up */
    FILE *explain;   /* where to say how far it came, or NULL */
};

enum search_result search_run(const struct search *search);

#endif
