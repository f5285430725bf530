/* SPDX-License-Identifier: Apache-2.0 */
/* The fault sweep over what goes on beside the writes: hints, merges, the end of merged files,
 * checkpoints, a backup, a reload; and over a start that finds all of that half done. Besides what
 * support/simfault.h holds for every life: a failure that costs anything is told, and a copy is
 * whole or refused.
 */
#include <stdio.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/simfault.h"
#include "support/simscript.h"

#define COPY      "/copy"
#define WRITES    36 /* at a time */
#define SETTLE_MS 1500

static struct simnode_options options_of(const struct simlife *life)
{
    return (struct simnode_options){
        .seed = life->seed,
        .wall_ms = life->end_ms,
        .shard_count = 2,
        .max_file_size = 12u << 10,
        .hot_max_value = life->seed % 2 == 0 ? 16 : 1 << 20,
        .merge = {.dead_percent = 10, .small_file_bytes = 3u << 10, .min_files = 2, .max_files = 3},
    };
}

/* ---- The life ---- */

static bool write_some(struct simlife *life, struct simnode *node, uint64_t salt)
{
    struct simscript script;
    simscript_init(&script, life->seed + salt);
    script.has_absolute = true;
    script.large_value = 3000;
    script.key_count = 24;
    script.time_ms = 0;
    script.checkpoint = 0;
    simscript_run(&script, node, WRITES);
    simscript_fini(&script);
    node->job_delay = 0;
    return simnode_settle(node);
}

static bool is_in(const struct buf *text, const char *words)
{
    return text->len > 0 && memmem(text->data, text->len, words, strlen(words)) != NULL;
}

static void expect_everything_happened(struct simnode *node)
{
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.checkpoints >= 2);
    assert_true(stats.merges >= 2);
    assert_true(is_in(&node->log, "given back"));
}

/* The fault's own words, in the log or as an answer. What is tried in another way, or again, is no
 * failure: a link that cannot be made, a file that cannot be looked at, the reserve (disk_test). */
static void expect_told(const struct simlife *life, const struct simnode *node,
                        const struct diag *of_backup, const struct diag *of_reload)
{
    const char *words = err_text(life->fault.error);
    unsigned quiet = SIM_READ | SIM_RENAME;
    if (!simdisk_fault_fired(life->disk) || life->fault.error == 0 ||
        (life->fault.op & quiet) != 0 || strstr(simdisk_fault_path(life->disk), "reserve") != NULL)
        return;
    if (!is_in(&node->log, words) && strstr(of_backup->text, words) == NULL &&
        strstr(of_reload->text, words) == NULL && strstr(node->fatal, words) == NULL)
        simlife_fail(life, "nobody was told");
}

/* Which file it was, or that it was the checkpoint, which has told what. */
static void expect_copy_answer(const struct simlife *life, const struct group_backup_request *copy)
{
    if (copy->error == 0)
        return;
    if (strstr(copy->diag.text, simdisk_fault_path(life->disk)) == NULL &&
        strstr(copy->diag.text, COPY) == NULL && strstr(copy->diag.text, SIMNODE_DIR) == NULL &&
        strstr(copy->diag.text, "the checkpoint failed") == NULL)
        simlife_fail(life, copy->diag.text);
}

static void end_life(struct simlife *life, struct simnode *node)
{
    if (life->fault.op != SIM_READ) /* looking would be hit itself */
        simlife_expect_executed(life, node);
    const char *reply = simnode_ask(node, "EXISTS n1");
    if (reply[0] != ':')
        simlife_fail(life, "reads are not served");
    if (simnode_stop(node, true) == ERR_BUSY && node->fatal_count == 0)
        simlife_fail(life, "it cannot be stopped");
}

/* False if the node has ended. */
static bool act_to_the_end(struct simlife *life, struct simnode *node, struct diag *of_backup,
                           struct diag *of_reload)
{
    if (!write_some(life, node, 1))
        return false;
    simnode_advance(node, SETTLE_MS);
    IGNORE(simnode_checkpoint(node), "the next one may succeed");
    if (!write_some(life, node, 2))
        return false;
    group_merge(node->group);
    struct group_backup_request *copy = simnode_ask_backup(node, COPY);
    if (!write_some(life, node, 3))
        return false;
    simnode_advance(node, SETTLE_MS);
    if (node->fatal_count > 0)
        return false;
    if (!simnode_backup_is_done(copy))
        simlife_fail(life, "the backup never ends");
    *of_backup = copy->diag;
    expect_copy_answer(life, copy);
    const struct group_reload_request *reloaded = simnode_ask_reload(node);
    if (!write_some(life, node, 4))
        return false;
    *of_reload = reloaded->diag;
    simnode_advance(node, SETTLE_MS);
    group_merge(node->group);
    for (unsigned i = 0; i < 3 && node->fatal_count == 0; i++)
        simnode_advance(node, 6000);
    if (node->fatal_count > 0)
        return false;
    if (!simdisk_fault_fired(life->disk))
        expect_everything_happened(node);
    end_life(life, node);
    return node->fatal_count == 0;
}

static void act(struct simlife *life, struct simnode *node)
{
    struct diag of_backup = {.text = ""};
    struct diag of_reload = {.text = ""};
    IGNORE(act_to_the_end(life, node, &of_backup, &of_reload), "told by fatal_count");
    expect_told(life, node, &of_backup, &of_reload);
}

/* ---- Afterwards ---- */

static bool has_name(struct simdisk *disk, const char *path)
{
    struct fs_stat st;
    return fs_stat(simdisk_fs(disk), path, &st) == 0;
}

/* A copy with a manifest holds the state behind some write; any other is refused, unless it has
 * not come as far as to its first file. */
static void check_copy(struct simlife *life, struct simdisk *disk)
{
    struct diag diag = {.text = ""};
    if (!has_name(disk, COPY "/" BACKUP_MARKER) && !has_name(disk, COPY "/data") &&
        !has_name(disk, COPY "/manifest"))
        return;
    struct simnode_options options = options_of(life);
    options.dir = COPY;
    options.shard_count = 0;
    bool is_whole = has_name(disk, COPY "/manifest");
    struct simnode *node = simnode_open(&options, disk, &diag);
    if (!is_whole && node == NULL && strstr(diag.text, "backup that was not finished") != NULL)
        return;
    if (node == NULL || !is_whole)
        simlife_fail(life, node == NULL ? diag.text : "an unfinished copy was started");
    if (!simnode_wait_ready(node))
        simlife_fail(life, node->fatal);
    uint64_t n;
    if (!simhistory_find(life->history, simnode_digest(node), simnode_now_ms(node), 0,
                         simhistory_count(life->history), &n))
        simlife_fail(life, "the copy holds no state that ever was");
    assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
}

/* ---- Tests ---- */

static void begin_new(struct simlife *life)
{
    life->disk = simnode_disk(life->seed);
}

/* A power loss somewhere in a life with merges and a backup. */
static void begin_after_crash(struct simlife *life)
{
    struct simlife first = {.seed = life->seed, .disk = simnode_disk(life->seed)};
    struct simnode_options options = options_of(&first);
    struct simnode *node = simnode_start(&options, first.disk);
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(write_some(&first, node, i));
        group_merge(node->group);
        simnode_advance(node, SETTLE_MS);
        if (i < 4)
            assert_int_equal(simnode_checkpoint(node), 0);
    }
    life->end_ms = simnode_now_ms(node) + 2000;
    life->base = simhistory_state(node->history, simhistory_count(node->history));
    life->disk = simdisk_image(first.disk, simdisk_steps(first.disk), life->seed);
    simnode_close(node);
    simdisk_free(first.disk);
}

static void act_after_crash(struct simlife *life, struct simnode *node)
{
    if (!write_some(life, node, 9))
        return;
    simnode_advance(node, SETTLE_MS);
    if (node->fatal_count == 0)
        end_life(life, node);
}

static void test_any_operation_may_fail_once_beside_the_writes(void **unused)
{
    (void)unused;
    static const struct simlife_plan plan = {.name = "upkeep",
                                             .scripts = 1,
                                             .options = options_of,
                                             .begin = begin_new,
                                             .act = act,
                                             .check = check_copy};
    simfault_sweep(&plan);
}

static void test_any_operation_may_fail_once_in_a_start_with_leftovers(void **unused)
{
    (void)unused;
    static const struct simlife_plan plan = {.name = "start",
                                             .scripts = 1,
                                             .options = options_of,
                                             .begin = begin_after_crash,
                                             .act = act_after_crash};
    simfault_sweep(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_operation_may_fail_once_beside_the_writes),
        cmocka_unit_test(test_any_operation_may_fail_once_in_a_start_with_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
