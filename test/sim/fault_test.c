/* SPDX-License-Identifier: Apache-2.0 */
/* Fault sweep: a short life of a node, from the first open over checkpoints, rotations and segments
 * to the stop, in which one operation of the disk fails; then the same with the next one failing,
 * and so on. Whatever it was: nothing acknowledged may be missing afterwards (P1), nothing refused
 * may be there (P4), somebody has been told in words that name a file, and nothing hangs.
 *
 * SEED=<n> runs one script. FAULT=<kind>:<n>:<error> makes one fault of the first sweep, or with
 * FAULT=again:... of the second.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#ifdef FERRIC_SANITIZED
#    define SCRIPTS 1
#else
#    define SCRIPTS 2
#endif
#define WRITES       240
#define AGAIN_WRITES 12
#define SETTLE_MS    400
#define CRASHES      2 /* behind each fault, at moments of chance */

struct fault {
    unsigned op; /* enum simdisk_op */
    const char *name;
    uint64_t nth;
    int error; /* 0: it falls short */
};

static const struct fault kinds[] = {
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

struct life {
    uint64_t seed;
    struct fault fault;
    struct simdisk *disk;
    struct simhistory *history; /* of the node that met the fault */
    struct simmodel *base;      /* what there was before; NULL: nothing */
    uint64_t first_step;        /* from here on there is a data directory */
    uint64_t end_ms;
};

static struct simnode_options options_of(const struct life *life)
{
    return (struct simnode_options){
        .seed = life->seed,
        .wall_ms = life->end_ms,
        .shard_count = 2,
        .max_file_size = 12u << 10,
        .hot_max_value = life->seed % 2 == 0 ? 16 : 1 << 20,
        .frames_in_flight = (unsigned)(1 + life->seed % 3),
    };
}

static void fail_life(const struct life *life, const char *what)
{
    fail_msg("seed %llu, fault %s:%llu:%d%s: %s", (unsigned long long)life->seed, life->fault.name,
             (unsigned long long)life->fault.nth, life->fault.error,
             life->base == NULL ? "" : " in a second life", what);
}

static void expect_names_a_file(const struct life *life, const char *text)
{
    if (strstr(text, SIMNODE_DIR) == NULL)
        fail_life(life, text);
}

/* ---- The life ---- */

static void send_writes(struct simscript *script, struct simnode *node, unsigned count)
{
    script->time_ms = 0;
    script->checkpoint = 0;
    simscript_run(script, node, count);
}

/* What is in memory is what was executed: of writes whose outcome is unknown, nothing (R30). */
static void expect_executed(const struct life *life, struct simnode *node)
{
    uint64_t n;
    uint64_t acknowledged = simhistory_acknowledged(node->history);
    if (!simhistory_find(node->history, simnode_digest(node), simnode_now_ms(node), acknowledged,
                         acknowledged, &n))
        fail_life(life, "what is in memory is not what was executed");
}

/* The sweep is worth something only if all this is among what may fail. */
static void expect_everything_happened(struct simnode *node)
{
    simnode_advance(node, 1000);
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.checkpoints >= 2);
    assert_true(stats.rotations >= 2);
    assert_true(stats.log_recycled >= 1);
}

static void act(const struct life *life, struct simnode *node, unsigned writes)
{
    struct simscript script;
    simscript_init(&script, life->seed);
    script.has_absolute = true;
    script.large_value = 3000;
    script.burst = 3;
    send_writes(&script, node, writes / 2);
    simnode_ask_checkpoint(node);
    send_writes(&script, node, writes / 4);
    if (!simnode_settle(node))
        goto out;
    simnode_advance(node, SETTLE_MS);
    IGNORE(simnode_checkpoint(node), "the next one may succeed");
    send_writes(&script, node, writes / 4);
    if (!simnode_settle(node))
        goto out;
    if (life->base == NULL && !simdisk_fault_fired(life->disk))
        expect_everything_happened(node);
    if (life->fault.op != SIM_READ) /* looking would be hit itself */
        expect_executed(life, node);
    const char *reply = simnode_ask(node, "EXISTS n1");
    if (reply[0] != ':')
        fail_life(life, "reads are not served");
    if (simnode_stop(node, true) == ERR_BUSY && node->fatal_count == 0)
        fail_life(life, "it cannot be stopped");
out:
    simscript_fini(&script);
}

/* One node's life with the fault in it. False if it has not been met. */
static bool live(struct life *life, unsigned writes)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = options_of(life);
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
        act(life, node, writes);
    } else if (node->fatal_count == 0) {
        fail_life(life, "it is never ready");
    }
    if (node->fatal_count > 0)
        expect_names_a_file(life, node->fatal);
    if (node->fatal_count == 0 && node->answered_count < node->command_count)
        fail_life(life, "a write was never answered");
    if (node->answered_count == node->command_count)
        simhistory_check_replies(node->history);
    life->end_ms = simnode_now_ms(node) + 2000;
    life->history = simnode_close_for_history(node);
    return simdisk_fault_fired(life->disk);
}

/* ---- Afterwards ---- */

/* Without faults it opens, holds the state behind a number of writes that is allowed, and goes on.
 */
static void expect_exact(struct life *life, struct simdisk *disk, uint64_t low, uint64_t high)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = options_of(life);
    options.shard_count = 0;
    options.seed++;
    struct simnode *node = simnode_open(&options, disk, &diag);
    if (node == NULL)
        fail_life(life, diag.text);
    if (!simnode_wait_ready(node))
        fail_life(life, node->fatal);
    uint64_t n;
    if (!simhistory_find(life->history, simnode_digest(node), simnode_now_ms(node), low, high, &n))
        fail_life(life, "afterwards acknowledged writes are missing, or others are there");
    struct simmodel *state = simhistory_state(life->history, n);
    simnode_begin_history(node, state);
    simnode_ask(node, "SET after fault");
    assert_int_equal(simnode_checkpoint(node), 0);
    assert_int_equal(simnode_stop(node, true), 0);
    simmodel_free(state);
    simnode_close(node);
}

static void expect_exact_at(struct life *life, uint64_t step, uint64_t image_seed)
{
    struct simdisk *image = simdisk_image(life->disk, step, image_seed);
    expect_exact(life, image, simdisk_noted(life->disk, NOTE_ACKNOWLEDGED, step),
                 simdisk_noted(life->disk, NOTE_SUBMITTED, step));
    simdisk_free(image);
}

/* After a power loss at the end, one in the middle, and a restart without any. */
static void expect_all_exact(struct life *life)
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

static void life_fini(struct life *life)
{
    simhistory_free(life->history);
    simmodel_free(life->base);
    simdisk_free(life->disk);
}

/* ---- Sweeps ---- */

/* The disk of a first life that a power loss ended in the middle of things. */
static void begin_second_life(struct life *life)
{
    struct life first = {.seed = life->seed, .disk = simnode_disk(life->seed)};
    struct simscript script;
    struct simnode_options options = options_of(&first);
    struct simnode *node = simnode_start(&options, first.disk);
    simscript_init(&script, life->seed);
    script.has_absolute = true;
    send_writes(&script, node, WRITES);
    assert_int_equal(simnode_checkpoint(node), 0);
    send_writes(&script, node, WRITES / 2);
    assert_true(simnode_settle(node));
    simnode_advance(node, 1500); /* so that the log's end is vouched for */
    uint64_t step = simdisk_steps(first.disk);
    life->end_ms = simnode_now_ms(node) + 2000;
    life->base = simhistory_state(node->history, simhistory_count(node->history));
    life->disk = simdisk_image(first.disk, step, life->seed);
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(first.disk);
}

/* True if the fault was met. */
static bool try_fault(uint64_t seed, const struct fault *kind, uint64_t nth, bool is_second)
{
    struct life life = {.seed = seed, .fault = *kind};
    life.fault.nth = nth;
    if (is_second)
        begin_second_life(&life);
    else
        life.disk = simnode_disk(seed);
    life.first_step = simdisk_steps(life.disk);
    bool is_met = live(&life, is_second ? AGAIN_WRITES : WRITES);
    if (is_met)
        expect_all_exact(&life);
    life_fini(&life);
    return is_met;
}

static unsigned script_count(void)
{
    const char *text = getenv("SEEDS");
    return getenv("SEED") != NULL ? 1 : text == NULL ? SCRIPTS : (unsigned)strtoul(text, NULL, 0);
}

/* "aio:17:-5". */
static void try_given(uint64_t seed, const char *text, bool is_second)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].name);
        if (strncmp(text, kinds[i].name, len) != 0 || text[len] != ':')
            continue;
        char *end;
        uint64_t nth = strtoull(text + len + 1, &end, 10);
        struct fault fault = kinds[i];
        fault.error = *end == ':' ? (int)strtol(end + 1, NULL, 10) : fault.error;
        assert_true(try_fault(seed, &fault, nth, is_second));
        return;
    }
    fail_msg("no such fault: %s", text);
}

static void sweep(uint64_t seed, bool is_second)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (uint64_t nth = 1; try_fault(seed, &kinds[i], nth, is_second); nth++)
            count++;
    }
    printf("seed %llu: %llu faults\n", (unsigned long long)seed, (unsigned long long)count);
}

static void run_sweeps(bool is_second)
{
    uint64_t seed = random_seed();
    const char *given = getenv("FAULT");
    bool is_for_second = given != NULL && strncmp(given, "again:", 6) == 0;
    for (unsigned i = 0; i < script_count(); i++) {
        if (given == NULL)
            sweep(seed + i, is_second);
        else if (is_for_second == is_second)
            try_given(seed, given + (is_second ? 6 : 0), is_second);
    }
}

static void test_any_operation_may_fail_once_in_a_life(void **unused)
{
    (void)unused;
    run_sweeps(false);
}

static void test_any_operation_may_fail_once_after_a_crash(void **unused)
{
    (void)unused;
    run_sweeps(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_operation_may_fail_once_in_a_life),
        cmocka_unit_test(test_any_operation_may_fail_once_after_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
