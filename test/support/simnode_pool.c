/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of a simulated node: no threads, and a job runs between two turns, when chance says so.
 *
 * Programs with a simulated node are linked with --wrap=pool_submit: what the engine knows as its
 * pool is a struct simpool. As in the real one, the jobs of a lane start in the order in which they
 * came, and at most as many are under way as the lane has threads; so of the first few of a lane
 * any may be the next to end.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "support/simnode_internal.h"

#define SIMPOOL_MAGIC 0x706f6f6cu

struct simpool {
    unsigned magic;
    struct random random;
    struct pool_job *lanes[POOL_LANE_COUNT];
};

void __wrap_pool_submit(struct pool *pool, enum pool_lane lane, struct pool_job *job,
                        struct loop *loop, pool_job_fn run, pool_job_fn done);

struct simpool *simpool_new(uint64_t seed)
{
    struct simpool *pool = mem_calloc(1, sizeof(*pool));
    pool->magic = SIMPOOL_MAGIC;
    pool->random.state = seed;
    return pool;
}

void simpool_free(struct simpool *pool)
{
    for (unsigned lane = 0; lane < POOL_LANE_COUNT; lane++)
        ASSERT(pool->lanes[lane] == NULL);
    mem_free(pool);
}

struct pool *simpool_pool(struct simpool *pool)
{
    return (struct pool *)(void *)pool;
}

void __wrap_pool_submit(struct pool *pool, enum pool_lane lane, struct pool_job *job,
                        struct loop *loop, pool_job_fn run, pool_job_fn done)
{
    struct simpool *simpool = (struct simpool *)(void *)pool;
    ASSERT(simpool->magic == SIMPOOL_MAGIC && lane < POOL_LANE_COUNT);
    *job = (struct pool_job){.run = run, .done = done, .loop = loop};
    struct pool_job **link = &simpool->lanes[lane];
    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
}

static void on_done(struct loop_post *post)
{
    struct pool_job *job = CONTAINER_OF(post, struct pool_job, post);
    job->done(job);
}

bool simpool_run_one(struct simpool *pool)
{
    static const unsigned threads[POOL_LANE_COUNT] = {
        [POOL_APPEND] = 1, [POOL_READ] = 4, [POOL_SYNC] = 2, [POOL_BULK] = 1, [POOL_MERGE] = 1};
    struct pool_job **candidates[9];
    unsigned count = 0;
    for (unsigned lane = 0; lane < POOL_LANE_COUNT; lane++) {
        struct pool_job **link = &pool->lanes[lane];
        for (unsigned i = 0; i < threads[lane] && *link != NULL; i++) {
            candidates[count++] = link;
            link = &(*link)->next;
        }
    }
    if (count == 0)
        return false;
    struct pool_job **link = candidates[random_below(&pool->random, count)];
    struct pool_job *job = *link;
    *link = job->next;
    job->run(job);
    job->post.run = on_done;
    loop_post(job->loop, &job->post);
    return true;
}
