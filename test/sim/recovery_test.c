/* SPDX-License-Identifier: Apache-2.0 */
/* Exact recovery: a script of writes runs once, and the disk remembers every step. Then the node is
 * opened again on what a power loss behind each step may have left. What it holds must be, to the
 * byte, what the model says after n writes, for some n between the last write that had been
 * acknowledged and the last that had been submitted (P1, P2, P4).
 *
 * SEED=<n> runs one script. With SEED and CRASH=<step>:<image seed> one crash of it is made.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#ifdef FERRIC_SANITIZED
#    define SCRIPTS 1
#else
#    define SCRIPTS 6
#endif
#define WRITES        1500
#define IMAGES        2  /* of each durable step */
#define AGAIN_EVERY   40 /* one recovery in so many is crashed in turn */
#define AGAIN_WRITES  25
#define AGAIN_CRASHES 8
#define CEILING_MS    1000
#define FULL_EVERY    50 /* one recovery in so many is compared key by key */

struct script_run {
    uint64_t seed;
    struct simnode_options options;
    struct simdisk *disk;
    struct simhistory *history;
    uint64_t first_step; /* the data directory is there from here on */
    uint64_t last_step;
    uint64_t crashes;
};

/* What a crash has left, and what may be found in it. */
struct crash {
    const struct script_run *run;
    struct simdisk *disk; /* the trace it is taken from */
    struct simhistory *history;
    uint64_t step;
    uint64_t image_seed;
    uint64_t low;
    uint64_t high;
};

static unsigned script_count(void)
{
    const char *text = getenv("SEEDS");
    return getenv("SEED") != NULL ? 1 : text == NULL ? SCRIPTS : (unsigned)strtoul(text, NULL, 0);
}

static struct simnode_options options_of(uint64_t seed)
{
    static const size_t hot_sizes[] = {0, 64, 1 << 20};
    struct random random = {.state = seed ^ 0x5eed};
    return (struct simnode_options){
        .seed = seed,
        .shard_count = (uint32_t)(1 + random_below(&random, 4)),
        .segment_size = (256u << 10) << random_below(&random, 2),
        .frames_in_flight = (unsigned)(1 + random_below(&random, 4)),
        .max_file_size = (16u << 10) << random_below(&random, 3),
        .hot_max_value = hot_sizes[random_below(&random, 3)],
        .merge = {.dead_percent = (uint32_t)(1 + random_below(&random, 60)),
                  .small_file_bytes = random_below(&random, 2) * (8u << 10),
                  .min_files = 2,
                  .max_files = (uint32_t)(1 + random_below(&random, 4))},
    };
}

/* ---- The script ---- */

/* All that recovery has to cope with must have been there. */
static void expect_everything_happened(struct simnode *node)
{
    simnode_advance(node, 1000); /* counters of the log are told once a second */
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.checkpoints >= 3);
    assert_true(stats.rotations >= 3);
    assert_true(stats.merges >= 3);
    assert_true(stats.log_prepared + stats.log_recycled >= 4);
    assert_true(stats.log_recycled >= 2);
    assert_true(stats.expired_keys >= 3);
}

static void run_script(struct script_run *run)
{
    struct simscript script;
    run->options = options_of(run->seed);
    run->disk = simnode_disk(run->seed);
    run->first_step = simdisk_steps(run->disk);
    struct simnode *node = simnode_start(&run->options, run->disk);
    simscript_init(&script, run->seed);
    simscript_run(&script, node, WRITES);
    assert_true(simnode_settle(node));
    expect_everything_happened(node);
    struct simmodel *end = simhistory_state(node->history, simhistory_count(node->history));
    simnode_expect_state(node, end);
    assert_true(simnode_digest(node) == simmodel_digest(end, simnode_now_ms(node)));
    simmodel_free(end);
    simhistory_check_replies(node->history);
    assert_int_equal(simnode_stop(node, true), 0);
    run->last_step = simdisk_steps(run->disk);
    run->history = simnode_close_for_history(node);
    simscript_fini(&script);
}

static void script_run_fini(struct script_run *run)
{
    simhistory_free(run->history);
    simdisk_free(run->disk);
}

/* ---- One crash ---- */

static void describe(const struct crash *crash, const char *what)
{
    fail_msg("seed %llu, %s step %llu (%s %s), image %llu: %s; between %llu and %llu expected",
             (unsigned long long)crash->run->seed,
             crash->disk == crash->run->disk ? "script" : "recovery",
             (unsigned long long)crash->step, simdisk_step_name(crash->disk, crash->step),
             simdisk_step_path(crash->disk, crash->step), (unsigned long long)crash->image_seed,
             what, (unsigned long long)crash->low, (unsigned long long)crash->high);
}

static struct simnode *open_image(const struct crash *crash, struct simdisk *image)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = crash->run->options;
    options.seed = crash->image_seed;
    options.shard_count = 0;
    uint64_t noted_ms = simdisk_noted(crash->disk, NOTE_WALL_MS, crash->step);
    /* Later than any ceiling that has been promised (R23), so that the wall clock counts. */
    options.wall_ms = noted_ms == 0 ? 0 : noted_ms + CEILING_MS + crash->image_seed % 1500;
    if (simdisk_noted(crash->run->disk, NOTE_READY, crash->step) == 0)
        options.shard_count = crash->run->options.shard_count;
    struct simnode *node = simnode_open(&options, image, &diag);
    if (node == NULL)
        describe(crash, diag.text);
    if (!simnode_wait_ready(node))
        describe(crash, node->fatal[0] != '\0' ? node->fatal : "never ready");
    return node;
}

/* What the wrong state is the right one of, for whoever has to find out. */
static void describe_state(const struct crash *crash, struct simnode *node)
{
    char text[128];
    uint64_t n;
    bool is_found = simhistory_find(crash->history, simnode_digest(node), simnode_now_ms(node), 0,
                                    simhistory_count(crash->history), &n);
    if (!is_found)
        snprintf(text, sizeof(text), "the state after no number of writes");
    else
        snprintf(text, sizeof(text), "%s the state after %llu writes",
                 n < crash->low ? "acknowledged writes are lost," : "", (unsigned long long)n);
    describe(crash, text);
}

/* The node on the image, ready, and the number of writes whose state it has. */
static struct simnode *recover(const struct crash *crash, struct simdisk *image, uint64_t *out_n)
{
    struct simnode *node = open_image(crash, image);
    if (!simhistory_find(crash->history, simnode_digest(node), simnode_now_ms(node), crash->low,
                         crash->high, out_n))
        describe_state(crash, node);
    return node;
}

static struct crash crash_at(const struct script_run *run, uint64_t step, uint64_t image_seed)
{
    return (struct crash){
        .run = run,
        .disk = run->disk,
        .history = run->history,
        .step = step,
        .image_seed = image_seed,
        .low = simdisk_noted(run->disk, NOTE_ACKNOWLEDGED, step),
        .high = simdisk_noted(run->disk, NOTE_SUBMITTED, step),
    };
}

/* ---- A crash of a recovery, or soon after it ---- */

/* Until reads were served nobody has seen what had been recovered, and it may still be any state
 * that the first crash allowed; from then on it is what everything goes on from (R11, R1). */
static void crash_again(const struct crash *first, struct simdisk *image, struct simhistory *second,
                        uint64_t step)
{
    bool was_ready = simdisk_noted(image, NOTE_READY, step) != 0;
    struct crash crash = *first;
    crash.disk = image;
    crash.step = step;
    if (was_ready) {
        crash.history = second;
        crash.low = simdisk_noted(image, NOTE_ACKNOWLEDGED, step);
        crash.high = simdisk_noted(image, NOTE_SUBMITTED, step);
    }
    uint64_t n;
    struct simdisk *next = simdisk_image(image, step, first->image_seed + step);
    struct simnode *node = recover(&crash, next, &n);
    struct simmodel *state = simhistory_state(crash.history, n);
    simnode_begin_history(node, state);
    simnode_ask(node, "SET after again");
    assert_int_equal(simnode_checkpoint(node), 0);
    simnode_close(node);
    simmodel_free(state);
    simdisk_free(next);
}

static void crash_recovery(struct script_run *run, const struct crash *first, struct simdisk *image,
                           struct simnode *node, uint64_t n)
{
    struct simscript script;
    struct simmodel *state = simhistory_state(run->history, n);
    simscript_init(&script, first->image_seed);
    simnode_begin_history(node, state);
    simscript_run(&script, node, AGAIN_WRITES);
    uint64_t last_step = simdisk_steps(image);
    assert_true(simnode_settle(node));
    simhistory_check_replies(node->history);
    struct simhistory *second = simnode_close_for_history(node);
    for (unsigned i = 0; i < AGAIN_CRASHES; i++) {
        crash_again(first, image, second, random_below(&script.random, last_step + 1));
        run->crashes++;
    }
    simhistory_free(second);
    simmodel_free(state);
    simscript_fini(&script);
}

static void crash_script(struct script_run *run, uint64_t step, uint64_t image_seed)
{
    uint64_t n;
    const struct crash crash = crash_at(run, step, image_seed);
    struct simdisk *image = simdisk_image(run->disk, step, image_seed);
    struct simnode *node = recover(&crash, image, &n);
    run->crashes++;
    if (run->crashes % FULL_EVERY == 0) {
        struct simmodel *state = simhistory_state(run->history, n);
        simnode_expect_state(node, state);
        simmodel_free(state);
    }
    if (run->crashes % AGAIN_EVERY == 0)
        crash_recovery(run, &crash, image, node, n);
    else
        simnode_close(node);
    simdisk_free(image);
}

/* ---- Tests ---- */

static void crash_everywhere(struct script_run *run)
{
    struct random random = {.state = run->seed + 1};
    for (uint64_t step = run->first_step; step <= run->last_step; step++) {
        unsigned images =
            simdisk_step_is_durable(run->disk, step) ? IMAGES : random_below(&random, 3) == 0;
        for (unsigned i = 0; i < images; i++)
            crash_script(run, step, random_next(&random) >> 16);
    }
}

static void crash_once(struct script_run *run, const char *where)
{
    char *end;
    uint64_t step = strtoull(where, &end, 0);
    crash_script(run, step, *end == ':' ? strtoull(end + 1, NULL, 0) : 0);
}

static void test_every_crash_of_a_script_recovers_exactly(void **unused)
{
    (void)unused;
    uint64_t seed = random_seed();
    const char *where = getenv("CRASH");
    for (unsigned i = 0; i < script_count(); i++) {
        struct script_run run = {.seed = seed + i};
        run_script(&run);
        if (where != NULL)
            crash_once(&run, where);
        else
            crash_everywhere(&run);
        printf("seed %llu: %llu steps, %llu crashes\n", (unsigned long long)run.seed,
               (unsigned long long)run.last_step, (unsigned long long)run.crashes);
        script_run_fini(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_crash_of_a_script_recovers_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
