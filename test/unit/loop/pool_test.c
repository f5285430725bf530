/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/looprig.h"

#define JOBS 500

struct task {
    struct pool_job job;
    struct crew *crew;
    int id;
};

struct crew {
    struct loop *loop;
    struct pool *pool;
    struct lock lock;
    int ran[JOBS]; /* ids in the order of running */
    int ran_count;
    int done[JOBS];
    int done_count;
    int expected;
    pthread_barrier_t gate;
    struct task tasks[JOBS];
};

static void run_task(struct pool_job *job)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    struct crew *crew = task->crew;
    lock_take(&crew->lock);
    crew->ran[crew->ran_count++] = task->id;
    lock_drop(&crew->lock);
}

static void run_gated(struct pool_job *job)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    pthread_barrier_wait(&task->crew->gate);
    run_task(job);
}

static void run_off_loop(struct pool_job *job)
{
    ASSERT(!loop_is_mine(job->loop));
    run_task(job);
}

static void task_done(struct pool_job *job)
{
    struct task *task = CONTAINER_OF(job, struct task, job);
    struct crew *crew = task->crew;
    ASSERT(loop_is_mine(crew->loop));
    crew->done[crew->done_count++] = task->id;
}

static struct crew *crew_new(struct pool_options options)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    crew->loop = rig_loop("crew", NULL, NULL);
    lock_init(&crew->lock);
    assert_int_equal(pool_new(&options, &crew->pool), 0);
    for (int i = 0; i < JOBS; i++) {
        crew->tasks[i].crew = crew;
        crew->tasks[i].id = i;
    }
    return crew;
}

static void crew_free(struct crew *crew)
{
    pool_free(crew->pool);
    loop_free(crew->loop);
    lock_fini(&crew->lock);
    free(crew);
}

static void submit(struct crew *crew, enum pool_lane lane, int id, pool_job_fn run)
{
    pool_submit(crew->pool, lane, &crew->tasks[id].job, crew->loop, run, task_done);
}

static bool all_done(void *ctx)
{
    struct crew *crew = ctx;
    return crew->done_count == crew->expected;
}

static void wait_for(struct crew *crew, int count)
{
    crew->expected = count;
    assert_true(rig_run_until(crew->loop, all_done, crew, 20000));
}

static void a_lane_of_one_thread_keeps_the_order(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){0});
    for (int i = 0; i < JOBS; i++)
        submit(crew, POOL_APPEND, i, run_off_loop);
    wait_for(crew, JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(crew->ran[i], i);
        assert_int_equal(crew->done[i], i);
    }
    assert_int_equal(pool_depth(crew->pool, POOL_APPEND), 0);
    crew_free(crew);
}

/* The jobs end only if all of them run at once. */
static void a_lane_of_four_threads_runs_four_jobs_at_once(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){.threads = {[POOL_READ] = 4}});
    pthread_barrier_init(&crew->gate, NULL, 4);
    for (int round = 0; round < 20; round++) {
        crew->done_count = 0;
        crew->ran_count = 0;
        for (int i = 0; i < 4; i++)
            submit(crew, POOL_READ, i, run_gated);
        wait_for(crew, 4);
    }
    pthread_barrier_destroy(&crew->gate);
    crew_free(crew);
}

static void a_busy_lane_holds_up_no_other(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){0});
    pthread_barrier_init(&crew->gate, NULL, 2);
    submit(crew, POOL_BULK, 0, run_gated);
    submit(crew, POOL_BULK, 1, run_task);
    submit(crew, POOL_READ, 2, run_task);
    submit(crew, POOL_SYNC, 3, run_task);
    submit(crew, POOL_APPEND, 4, run_task);
    wait_for(crew, 3);
    assert_int_equal(pool_depth(crew->pool, POOL_BULK), 2);
    pthread_barrier_wait(&crew->gate);
    wait_for(crew, 5);
    assert_int_equal(crew->done[3], 0);
    assert_int_equal(crew->done[4], 1);
    pthread_barrier_destroy(&crew->gate);
    crew_free(crew);
}

static void freeing_runs_what_is_queued(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){0});
    for (int i = 0; i < JOBS; i++)
        submit(crew, (enum pool_lane)(i % POOL_LANE_COUNT), i, run_task);
    pool_free(crew->pool);
    crew->pool = NULL;
    assert_int_equal(crew->ran_count, JOBS);
    rig_turn_dry(crew->loop);
    assert_int_equal(crew->done_count, JOBS);
    crew_free(crew);
}

static void done_comes_back_to_the_loop_that_was_named(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){0});
    struct loop *home = crew->loop;
    crew->loop = rig_loop("other", NULL, NULL);
    assert_int_equal(loop_start(crew->loop), 0);
    for (int i = 0; i < 10; i++)
        submit(crew, POOL_SYNC, i, run_task);
    pool_free(crew->pool);
    crew->pool = NULL;
    loop_stop(crew->loop);
    loop_join(crew->loop);
    loop_free(crew->loop);
    assert_int_equal(crew->done_count, 10);
    crew->loop = home;
    crew_free(crew);
}

/* ---- Inline ---- */

struct chatter {
    struct loop_post post;
    struct crew *crew;
    int seen_ran;
};

static void look(struct loop_post *post)
{
    struct chatter *chatter = CONTAINER_OF(post, struct chatter, post);
    chatter->seen_ran = chatter->crew->ran_count;
}

static void inline_jobs_run_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct crew *crew = crew_new((struct pool_options){.is_inline = true});
    struct chatter chatter = {.post.run = look, .crew = crew, .seen_ran = -1};
    submit(crew, POOL_BULK, 0, run_task);
    submit(crew, POOL_APPEND, 1, run_task);
    submit(crew, POOL_BULK, 2, run_task);
    assert_int_equal(crew->ran_count, 0);
    assert_int_equal(pool_depth(crew->pool, POOL_BULK), 2);
    loop_post(crew->loop, &chatter.post);
    assert_true(loop_turn(crew->loop));
    assert_int_equal(chatter.seen_ran, 0);
    assert_int_equal(crew->done_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(crew->ran[i], i);
        assert_int_equal(crew->done[i], i);
    }
    assert_false(loop_turn(crew->loop));
    crew_free(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_of_one_thread_keeps_the_order),
        cmocka_unit_test(a_lane_of_four_threads_runs_four_jobs_at_once),
        cmocka_unit_test(a_busy_lane_holds_up_no_other),
        cmocka_unit_test(freeing_runs_what_is_queued),
        cmocka_unit_test(done_comes_back_to_the_loop_that_was_named),
        cmocka_unit_test(inline_jobs_run_at_the_end_of_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
