/* SPDX-License-Identifier: Apache-2.0 */
/* Fault sweep: a short life of a node, from the first open over checkpoints, rotations and segments
 * to the stop, in which one operation of the disk fails; then the same with the next one failing,
 * and so on. And the same for a start after a crash. See support/simfault.h.
 */
#include "base/err.h"
#include "support/cmocka.h"
#include "support/simfault.h"
#include "support/simscript.h"

#ifdef FERRIC_SANITIZED
#    define SCRIPTS 1
#else
#    define SCRIPTS 2
#endif
#define WRITES       240
#define AGAIN_WRITES 12
#define SETTLE_MS    400

static struct simnode_options options_of(const struct simlife *life)
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

static void send_writes(struct simscript *script, struct simnode *node, unsigned count)
{
    script->time_ms = 0;
    script->checkpoint = 0;
    simscript_run(script, node, count);
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

static void act(struct simlife *life, struct simnode *node, unsigned writes)
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
        simlife_expect_executed(life, node);
    const char *reply = simnode_ask(node, "EXISTS n1");
    if (reply[0] != ':')
        simlife_fail(life, "reads are not served");
    if (simnode_stop(node, true) == ERR_BUSY && node->fatal_count == 0)
        simlife_fail(life, "it cannot be stopped");
out:
    simscript_fini(&script);
}

static void act_first(struct simlife *life, struct simnode *node)
{
    act(life, node, WRITES);
}

static void act_again(struct simlife *life, struct simnode *node)
{
    act(life, node, AGAIN_WRITES);
}

static void begin_new(struct simlife *life)
{
    life->disk = simnode_disk(life->seed);
}

/* The disk of a first life that a power loss ended in the middle of things. */
static void begin_after_crash(struct simlife *life)
{
    struct simlife first = {.seed = life->seed, .disk = simnode_disk(life->seed)};
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

static void test_any_operation_may_fail_once_in_a_life(void **unused)
{
    (void)unused;
    static const struct simlife_plan plan = {
        .name = "first",
        .scripts = SCRIPTS,
        .options = options_of,
        .begin = begin_new,
        .act = act_first,
    };
    simfault_sweep(&plan);
}

static void test_any_operation_may_fail_once_after_a_crash(void **unused)
{
    (void)unused;
    static const struct simlife_plan plan = {
        .name = "again",
        .scripts = SCRIPTS,
        .options = options_of,
        .begin = begin_after_crash,
        .act = act_again,
    };
    simfault_sweep(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_operation_may_fail_once_in_a_life),
        cmocka_unit_test(test_any_operation_may_fail_once_after_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
