/* SPDX-License-Identifier: Apache-2.0 */
/* A lane is a queue under a lock with threads of its own. One thread of each lane is started with
 * the pool, so that a pool that exists can run every job; the others start when a job comes and
 * nobody is free, and where the system then refuses a thread the ones at hand do the work.
 *
 * Inline, a job is a late post of its loop: it runs when the turn has run dry, and its completion
 * is an ordinary post, which makes the turn go on. One list over all lanes: order of submission.
 */
#include "loop/pool.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "loop/loop_internal.h"
#include "os/thread.h"

struct pool_lane_state {
    struct lock lock;
    struct signal work;
    struct pool_job *first;
    struct pool_job *last;
    size_t queued;
    unsigned idle;
    unsigned started;
    unsigned limit; /* of threads */
    bool is_stopping;
    const char *name;
    _Atomic size_t depth; /* queued and running */
    struct thread threads[POOL_MAX_THREADS];
};

struct pool {
    bool is_inline;
    struct pool_lane_state lanes[POOL_LANE_COUNT];
};

static const struct {
    const char *name;
    unsigned threads;
} lane_defaults[POOL_LANE_COUNT] = {
    [POOL_APPEND] = {"append", 1}, [POOL_READ] = {"read", 4},   [POOL_SYNC] = {"sync", 2},
    [POOL_BULK] = {"bulk", 1},     [POOL_MERGE] = {"merge", 1},
};

static struct pool_job *job_from(struct loop_post *post)
{
    return CONTAINER_OF(post, struct pool_job, post);
}

static void on_done(struct loop_post *post)
{
    struct pool_job *job = job_from(post);
    job->done(job);
}

/* The job is its loop's afterwards and must not be touched. */
static void run_job(struct pool_lane_state *lane, struct pool_job *job)
{
    job->run(job);
    job->post.run = on_done;
    atomic_fetch_sub_explicit(&lane->depth, 1, memory_order_relaxed);
    loop_post(job->loop, &job->post);
}

static void run_inline(struct loop_post *post)
{
    struct pool_job *job = job_from(post);
    run_job(job->lane, job);
}

static struct pool_job *take_job(struct pool_lane_state *lane)
{
    struct pool_job *job = lane->first;
    if (job == NULL)
        return NULL;
    lane->first = job->next;
    lane->queued--;
    return job;
}

static void thread_main(void *ctx)
{
    struct pool_lane_state *lane = ctx;
    lock_take(&lane->lock);
    for (;;) {
        struct pool_job *job = take_job(lane);
        if (job != NULL) {
            lock_drop(&lane->lock);
            run_job(lane, job);
            lock_take(&lane->lock);
        } else if (lane->is_stopping) {
            break;
        } else {
            lane->idle++;
            signal_wait(&lane->work, &lane->lock);
            lane->idle--;
        }
    }
    lock_drop(&lane->lock);
}

static int start_thread(struct pool_lane_state *lane)
{
    char name[16];
    snprintf(name, sizeof(name), "%s-%u", lane->name, lane->started % 1000);
    int error = thread_start(&lane->threads[lane->started], name, thread_main, lane);
    if (error == 0)
        lane->started++;
    return error;
}

static void stop_lane(struct pool_lane_state *lane)
{
    lock_take(&lane->lock);
    lane->is_stopping = true;
    signal_all(&lane->work);
    lock_drop(&lane->lock);
    for (unsigned i = 0; i < lane->started; i++)
        thread_join(&lane->threads[i]);
    ASSERT(lane->first == NULL);
    ASSERT(atomic_load(&lane->depth) == 0);
    signal_fini(&lane->work);
    lock_fini(&lane->lock);
}

int pool_new(const struct pool_options *options, struct pool **out_pool)
{
    struct pool *pool = mem_calloc(1, sizeof(*pool));
    pool->is_inline = options->is_inline;
    int error = 0;
    for (int i = 0; i < POOL_LANE_COUNT; i++) {
        struct pool_lane_state *lane = &pool->lanes[i];
        unsigned wanted = options->threads[i];
        ASSERT(wanted <= POOL_MAX_THREADS);
        lane->name = lane_defaults[i].name;
        lane->limit = wanted != 0 ? wanted : lane_defaults[i].threads;
        lock_init(&lane->lock);
        signal_init(&lane->work);
        if (!pool->is_inline && error == 0)
            error = start_thread(lane);
    }
    if (error != 0) {
        pool_free(pool);
        return error;
    }
    *out_pool = pool;
    return 0;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    for (int i = 0; i < POOL_LANE_COUNT; i++)
        stop_lane(&pool->lanes[i]);
    mem_free(pool);
}

static void queue_job(struct pool_lane_state *lane, struct pool_job *job)
{
    lock_take(&lane->lock);
    ASSERT(!lane->is_stopping);
    if (lane->first == NULL)
        lane->first = job;
    else
        lane->last->next = job;
    lane->last = job;
    lane->queued++;
    if (lane->queued > lane->idle && lane->started < lane->limit)
        IGNORE(start_thread(lane), "the lane's other threads will come to the job");
    signal_one(&lane->work);
    lock_drop(&lane->lock);
}

void pool_submit(struct pool *pool, enum pool_lane lane_id, struct pool_job *job, struct loop *loop,
                 pool_job_fn run, pool_job_fn done)
{
    ASSERT(lane_id < POOL_LANE_COUNT);
    struct pool_lane_state *lane = &pool->lanes[lane_id];
    job->next = NULL;
    job->lane = lane;
    job->run = run;
    job->done = done;
    job->loop = loop;
    atomic_fetch_add_explicit(&lane->depth, 1, memory_order_relaxed);
    if (pool->is_inline) {
        job->post.run = run_inline;
        mailbox_post_late(loop, &job->post);
    } else {
        queue_job(lane, job);
    }
}

size_t pool_depth(const struct pool *pool, enum pool_lane lane)
{
    ASSERT(lane < POOL_LANE_COUNT);
    return atomic_load_explicit(&pool->lanes[lane].depth, memory_order_relaxed);
}
