/* SPDX-License-Identifier: Apache-2.0 */
/* mend: segments of a damaged log written anew, for a repair while the log is in nobody's hands.
 *
 * Each call makes a temporary file whole and durable and gives it its name in one step; the file
 * that bore the name before is not touched, so other names of it keep what it held. What of the log
 * counts afterwards, a start or seglog_judge() says.
 */
#ifndef SEGLOG_MEND_H
#define SEGLOG_MEND_H

#include "base/diag.h"
#include "base/slice.h"
#include "os/fs.h"

struct seglog_mend {
    struct fs *fs;
    const char *dir;
    uint64_t number; /* of the segment */
};

/* The segment with [from, to) zero; `to` is at most its size. */
MUST_CHECK
int seglog_mend_zero(const struct seglog_mend *mend, uint64_t from, uint64_t to, struct diag *diag);

/* The segment with a header that fits its frames, which name `epoch`. */
MUST_CHECK
int seglog_mend_header(const struct seglog_mend *mend, uint64_t group_id, uint64_t epoch,
                       struct diag *diag);

/* The segment with `size`, as its header says: what its file has too little is zero. */
MUST_CHECK
int seglog_mend_size(const struct seglog_mend *mend, uint32_t size, struct diag *diag);

struct seglog_beginning {
    uint64_t group_id;
    uint64_t epoch; /* random, not 0 */
    uint64_t index; /* the checkpoint's: the next entry is the one behind it */
    uint64_t term;  /* of that */
    uint64_t node_term;
    uint64_t node_vote;
    uint64_t configuration_index;
    struct slice configuration;
};

/* A new segment, above all others in number, with which a log without entries begins. */
MUST_CHECK
int seglog_mend_begin(const struct seglog_mend *mend, const struct seglog_beginning *beginning,
                      struct diag *diag);

/* Whole frames of a segment, each behind the other. */
struct seglog_run {
    uint64_t off;
    uint64_t end;
    uint64_t sequence; /* of the first one, which has the entry behind the checkpoint */
};

/* The segment with these frames alone, moved to its front, so that the log begins in it behind the
 * checkpoint; entries up to that are left out. Other frames of it need not be readable. */
MUST_CHECK
int seglog_mend_front(const struct seglog_mend *mend, const struct seglog_beginning *beginning,
                      const struct seglog_run *run, struct diag *diag);

#endif
