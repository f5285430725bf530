/* SPDX-License-Identifier: Apache-2.0 */
/* load: clients at work against a target for a while, and the history of it. */
#ifndef LINEAR_LOAD_H
#define LINEAR_LOAD_H

#include "linear/history.h"
#include "linear/steps.h"
#include "linear/target.h"

#define LOAD_CLIENTS 16

struct load {
    struct target *target;
    const char *name;  /* begins the names of all its keys */
    const char *kinds; /* letters of STEP_LETTERS, each as often as it is to be drawn */
    uint64_t seed;
    unsigned ms;
    bool is_cold;  /* values leave memory at once, and the page cache all the time */
    bool has_kill; /* half way through the server is killed and started again */
};

enum load_result {
    LOAD_DONE,
    LOAD_FAILED /* the server hung, died or could not be started; the reason has been told */
};

/* Adds what the clients did to `history`. */
MUST_CHECK
enum load_result load_run(const struct load *load, struct history *history);

#endif
