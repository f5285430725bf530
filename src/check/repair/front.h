/* SPDX-License-Identifier: Apache-2.0 */
/* front: where in a damaged log the entries behind the checkpoint begin. */
#ifndef CHECK_REPAIR_FRONT_H
#define CHECK_REPAIR_FRONT_H

#include "check/verify.h"
#include "seglog/mend.h"

struct front {
    uint64_t number; /* of the segment; 0: there is none behind the damage */
    struct seglog_run run;
    struct seglog_hard_state hard_state; /* of the node, before the run */
};

/* What a segment whose header does not check was used for last. */
struct segment_use {
    uint64_t begins; /* the sequence of its first frame; 0: what frames it has are void */
    uint64_t epoch;
};

/* A spare segment keeps the frames of its use before, and without its header nothing says that they
 * are void but this: a segment goes on behind the beginnings of all that are older by number. */
MUST_CHECK
int front_find_use(const struct folder *folder, const struct names *names, uint64_t number,
                   struct segment_use *out_use, struct diag *diag);

/* Looks behind the stop of `verdict` for the frame that has the entry behind the checkpoint. If it
 * is there, nothing that was damaged before it is needed: the log can begin with it. */
MUST_CHECK
int front_find(const struct folder *folder, const struct log_verdict *verdict,
               const struct names *names, struct front *out_front, struct diag *diag);

/* What a node takes that may have voted in any term up to `term`, or one that was seen: a term in
 * which it has not. */
struct seglog_hard_state front_forgotten_state(const struct log_verdict *verdict, uint64_t term);

#endif
