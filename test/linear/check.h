/* SPDX-License-Identifier: Apache-2.0 */
/* check: is a history strictly serializable?
 *
 * Keys that some op uses together make a component. What touches different components can be
 * ordered independently, so each is judged by itself, in the way that fits it (see README.md).
 */
#ifndef LINEAR_CHECK_H
#define LINEAR_CHECK_H

#include "linear/history.h"

struct verdict {
    size_t op_count;
    size_t component_count;
    size_t bad_count;
    size_t undecided_count; /* components for which the search took too long */
    struct history bad;     /* ops of the first bad component */
};

#define CHECK_BUDGET 20000000 /* claims tried for a component before it is left undecided */

/* Sorts the history, judges it and says on `explain` (if not NULL) what is wrong. Give the verdict
 * to verdict_fini(). */
void check_history(struct history *history, uint64_t budget, FILE *explain,
                   struct verdict *out_verdict);
void verdict_fini(struct verdict *verdict);

/* Makes a bad history as small as can be done without making a good one bad: leaves out its end
 * and reads. */
void check_shrink(struct history *history, uint64_t budget);

#endif
