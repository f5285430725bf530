/* SPDX-License-Identifier: Apache-2.0 */
/* simscript: writes by chance, for a node and the model beside it, and how they are sent: in
 * bursts, with slow writes of the log, with time that passes and with checkpoints.
 */
#ifndef SUPPORT_SIMSCRIPT_H
#define SUPPORT_SIMSCRIPT_H

#include "support/random.h"
#include "support/simnode.h"

struct simscript {
    struct random random;
    unsigned key_count;
    unsigned counter_count;
    size_t large_value;  /* some values are up to this long */
    bool has_absolute;   /* expiry by absolute times alone: nothing hangs on an entry's own time */
    unsigned burst;      /* at most so many writes are sent at a time */
    unsigned time_ms;    /* at most so much passes at a time; 0: time stands still */
    unsigned checkpoint; /* one burst in so many asks for a checkpoint; 0: none does */
    struct buf text;
};

/* With values that suit the default geometry of a node. */
void simscript_init(struct simscript *script, uint64_t seed);
void simscript_fini(struct simscript *script);

/* The next write; valid until the next call. */
const char *simscript_write(struct simscript *script, uint64_t now_ms);

/* Sends `count` writes on connection 0. They may not all have been answered when it returns. */
void simscript_run(struct simscript *script, struct simnode *node, unsigned count);

#endif
