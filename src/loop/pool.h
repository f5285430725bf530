/* SPDX-License-Identifier: Apache-2.0 */
/* pool: background threads in lanes, so that no kind of disk work waits behind another.
 *
 * A job runs once on a thread of its lane and then comes back to the loop that sent it. Jobs of one
 * lane start in the order in which they came. Jobs use no keydir and no epoch reader (R18).
 *
 * Threads:  pool_submit from any loop; run on a pool thread; done on the given loop.
 * Lifetime: the job is the pool's from submit to done; embedded by its owner.
 * See loop/README.md, invariants L7 and L8.
 */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H

#include "loop/loop.h"

#define POOL_MAX_THREADS 32 /* of one lane */

enum pool_lane {
    POOL_APPEND, /* data-file appends: short, many */
    POOL_READ,   /* cold reads: a client waits */
    POOL_SYNC,   /* fdatasync, manifest, directory syncs */
    POOL_BULK,   /* segment preparation, scans: a write may wait for it */
    POOL_MERGE,  /* merges, hints, the removal of data files: nobody waits */
    POOL_LANE_COUNT
};

struct pool_job;
struct pool_lane_state;
typedef void (*pool_job_fn)(struct pool_job *job);

struct pool_job {
    struct loop_post post; /* carries it back */
    struct pool_job *next;
    struct pool_lane_state *lane;
    pool_job_fn run;  /* on a pool thread */
    pool_job_fn done; /* on `loop` */
    struct loop *loop;
};

struct pool;

struct pool_options {
    unsigned threads[POOL_LANE_COUNT]; /* at most; 0: the default of the lane (1, 4, 2, 1, 1) */
    bool is_inline; /* no threads: a job runs at the end of the turn in which it was submitted, on
                       its loop. For simulations, where everything is one thread. */
};

MUST_CHECK
int pool_new(const struct pool_options *options, struct pool **out_pool);

/* Runs what is queued, then ends the threads. Loops must still take posts. An inline pool must have
 * nothing queued: turn its loops until they are dry. Not from a pool thread. */
void pool_free(struct pool *pool);

void pool_submit(struct pool *pool, enum pool_lane lane, struct pool_job *job, struct loop *loop,
                 pool_job_fn run, pool_job_fn done);

/* Jobs waiting or running in a lane. Thread: any. */
size_t pool_depth(const struct pool *pool, enum pool_lane lane);

#endif
