/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simfault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"

#define CRASHES 2 /* behind each fault, at moments of chance */

static const struct simfault kinds[] = {
    {SIM_OPEN, "open", 0, -EIO},
    {SIM_OPEN, "open", 0, -ENOSPC},
    {SIM_READ, "read", 0, -EIO},
    {SIM_WRITE, "write", 0, -EIO},
    {SIM_WRITE, "write", 0, -ENOSPC},
    {SIM_WRITE, "write", 0, 0},
    {SIM_SYNC, "sync", 0, -EIO},
    {SIM_RENAME, "rename", 0, -EIO},
    {SIM_RENAME, "rename", 0, -ENOSPC},
    {SIM_SYNC_DIR, "sync dir", 0, -EIO},
    {SIM_UNLINK, "unlink", 0, -EIO},
    {SIM_TRUNCATE, "truncate", 0, -EIO},
    {SIM_AIO, "aio", 0, -EIO},
    {SIM_AIO, "aio", 0, -ENOSPC},
    {SIM_AIO, "aio", 0, 0},
    {SIM_MKDIR, "mkdir", 0, -EIO},
    {SIM_MKDIR, "mkdir", 0, -ENOSPC},
};

void simlife_fail(const struct simlife *life, const char *what)
{
    fail_msg("seed %llu, fault %s:%s:%llu:%d (%s): %s", (unsigned long long)life->seed,
             life->plan->name, life->fault.name, (unsigned long long)life->fault.nth,
             life->fault.error, simdisk_fault_path(life->disk), what);
}

static void expect_names_a_file(const struct simlife *life, const char *text)
{
    if (strstr(text, SIMNODE_DIR) == NULL)
        simlife_fail(life, text);
}

void simlife_expect_executed(const struct simlife *life, struct simnode *node)
{
    uint64_t n;
    uint64_t acknowledged = simhistory_acknowledged(node->history);
    if (!simhistory_find(node->history, simnode_digest(node), simnode_now_ms(node), acknowledged,
                         acknowledged, &n))
        simlife_fail(life, "what is in memory is not what was executed");
}

/* One node's life with the fault in it. False if it has not been met. */
static bool live(struct simlife *life)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = life->plan->options(life);
    simdisk_fail_nth(life->disk, life->fault.op, NULL, life->fault.nth, life->fault.error);
    struct simnode *node = simnode_open(&options, life->disk, &diag);
    if (node == NULL) {
        expect_names_a_file(life, diag.text);
        life->history = simhistory_new(life->base);
        return true;
    }
    if (life->base != NULL)
        simnode_begin_history(node, life->base);
    if (simnode_wait_ready(node)) {
        life->plan->act(life, node);
    } else if (node->fatal_count == 0) {
        simlife_fail(life, "it is never ready");
    }
    if (node->fatal_count > 0)
        expect_names_a_file(life, node->fatal);
    if (node->fatal_count == 0 && node->answered_count < node->command_count)
        simlife_fail(life, "a write was never answered");
    if (node->answered_count == node->command_count)
        simhistory_check_replies(node->history);
    life->end_ms = simnode_now_ms(node) + 2000;
    life->history = simnode_close_for_history(node);
    return simdisk_fault_fired(life->disk);
}

/* ---- Afterwards ---- */

/* Without faults it opens, holds the state behind a number of writes that is allowed, and goes on.
 */
static void expect_exact(struct simlife *life, struct simdisk *disk, uint64_t low, uint64_t high)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = life->plan->options(life);
    options.shard_count = 0;
    options.seed++;
    struct simnode *node = simnode_open(&options, disk, &diag);
    if (node == NULL)
        simlife_fail(life, diag.text);
    if (!simnode_wait_ready(node))
        simlife_fail(life, node->fatal);
    uint64_t n;
    if (!simhistory_find(life->history, simnode_digest(node), simnode_now_ms(node), low, high, &n))
        simlife_fail(life, "afterwards acknowledged writes are missing, or others are there");
    struct simmodel *state = simhistory_state(life->history, n);
    simnode_begin_history(node, state);
    simnode_ask(node, "SET after fault");
    assert_int_equal(simnode_checkpoint(node), 0);
    assert_int_equal(simnode_stop(node, true), 0);
    simmodel_free(state);
    simnode_close(node);
    if (life->plan->check != NULL)
        life->plan->check(life, disk);
}

static void expect_exact_at(struct simlife *life, uint64_t step, uint64_t image_seed)
{
    struct simdisk *image = simdisk_image(life->disk, step, image_seed);
    expect_exact(life, image, simdisk_noted(life->disk, NOTE_ACKNOWLEDGED, step),
                 simdisk_noted(life->disk, NOTE_SUBMITTED, step));
    simdisk_free(image);
}

/* After a power loss at the end, one in the middle, and a restart without any. */
static void expect_all_exact(struct simlife *life)
{
    struct random random = {.state = life->seed * 1000 + life->fault.nth};
    uint64_t first = life->first_step;
    uint64_t last = simdisk_steps(life->disk);
    uint64_t low = simhistory_acknowledged(life->history);
    uint64_t high = simhistory_count(life->history);
    struct simdisk *synced = simdisk_image_synced(life->disk, last);
    expect_exact(life, synced, low, high);
    simdisk_free(synced);
    for (unsigned i = 0; i < CRASHES; i++)
        expect_exact_at(life, first + random_below(&random, last + 1 - first),
                        random_next(&random) >> 16);
    expect_exact(life, life->disk, low, high);
}

/* ---- Sweeps ---- */

/* True if the fault was met. */
static bool try_fault(const struct simlife_plan *plan, uint64_t seed, const struct simfault *kind,
                      uint64_t nth)
{
    struct simlife life = {.plan = plan, .seed = seed, .fault = *kind};
    life.fault.nth = nth;
    plan->begin(&life);
    life.first_step = simdisk_steps(life.disk);
    bool is_met = live(&life);
    if (is_met)
        expect_all_exact(&life);
    simhistory_free(life.history);
    simmodel_free(life.base);
    simdisk_free(life.disk);
    return is_met;
}

/* "aio:17:-5". */
static void try_given(const struct simlife_plan *plan, uint64_t seed, const char *text)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].name);
        if (strncmp(text, kinds[i].name, len) != 0 || text[len] != ':')
            continue;
        char *end;
        uint64_t nth = strtoull(text + len + 1, &end, 10);
        struct simfault fault = kinds[i];
        fault.error = *end == ':' ? (int)strtol(end + 1, NULL, 10) : fault.error;
        assert_true(try_fault(plan, seed, &fault, nth));
        return;
    }
    fail_msg("no such fault: %s", text);
}

static void sweep(const struct simlife_plan *plan, uint64_t seed)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (uint64_t nth = 1; try_fault(plan, seed, &kinds[i], nth); nth++)
            count++;
    }
    printf("%s, seed %llu: %llu faults\n", plan->name, (unsigned long long)seed,
           (unsigned long long)count);
}

static unsigned script_count(const struct simlife_plan *plan)
{
    const char *text = getenv("SEEDS");
    if (getenv("SEED") != NULL)
        return 1;
    return text == NULL ? plan->scripts : (unsigned)strtoul(text, NULL, 0);
}

void simfault_sweep(const struct simlife_plan *plan)
{
    uint64_t seed = random_seed();
    const char *given = getenv("FAULT");
    size_t len = strlen(plan->name);
    for (unsigned i = 0; i < script_count(plan); i++) {
        if (given == NULL)
            sweep(plan, seed + i);
        else if (strncmp(given, plan->name, len) == 0 && given[len] == ':')
            try_given(plan, seed, given + len + 1);
    }
}
