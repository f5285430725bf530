/* SPDX-License-Identifier: Apache-2.0 */
/* simfault: lives of a node in which one operation of the disk fails, one life for each operation
 * that there is. Whatever it was: nothing acknowledged may be missing afterwards (P1), nothing
 * refused may be there (P4), somebody has been told in words that name a file, and nothing hangs.
 *
 * SEED=<n> runs one script, SEEDS=<n> so many. FAULT=<plan>:<kind>:<n>:<error> makes one fault.
 */
#ifndef SUPPORT_SIMFAULT_H
#define SUPPORT_SIMFAULT_H

#include "support/simnode.h"

struct simfault {
    unsigned op; /* enum simdisk_op */
    const char *name;
    uint64_t nth;
    int error; /* 0: it falls short */
};

struct simlife {
    const struct simlife_plan *plan;
    uint64_t seed;
    struct simfault fault;
    struct simdisk *disk;
    struct simhistory *history; /* of the node that met the fault */
    struct simmodel *base;      /* what there was before; NULL: nothing */
    uint64_t first_step;        /* from here on there is a data directory */
    uint64_t end_ms;
};

struct simlife_plan {
    const char *name;
    unsigned scripts; /* seeds, where SEEDS says nothing else */
    struct simnode_options (*options)(const struct simlife *life);
    /* Fills disk, and base and end_ms where there was a life before. */
    void (*begin)(struct simlife *life);
    /* From ready to the end; ends early when the node has. */
    void (*act)(struct simlife *life, struct simnode *node);
    /* More that is to hold afterwards, of a disk on which no node runs; NULL: nothing. */
    void (*check)(struct simlife *life, struct simdisk *disk);
};

/* A life for each kind of fault and each operation it can meet, until one passes without. */
void simfault_sweep(const struct simlife_plan *plan);

/* The test has failed. */
void simlife_fail(const struct simlife *life, const char *what);
/* What is in memory is what was executed: of writes whose outcome is unknown, nothing (R30). */
void simlife_expect_executed(const struct simlife *life, struct simnode *node);

#endif
