/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simnode.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "command/families.h"
#include "command/transaction.h"
#include "support/cmocka.h"
#include "support/simnode_internal.h"

#define DEFAULT_DATABASES 4
#define DEFAULT_SHARDS    3
#define DEFAULT_SEGMENT   (256u << 10)
#define DEFAULT_BUDGET    (768u << 10)
#define DEFAULT_FILE      (64u << 10)

#define DRY_TURNS   24  /* a reap that finds nothing says little: see simdisk_aio() */
#define WAIT_ROUNDS 400 /* of WAIT_MS: ten seconds must do for anything */
#define WAIT_MS     25

struct asked_checkpoint {
    struct group_checkpoint_request request;
    struct group_reload_request reload; /* used instead, if it is one */
    struct group_backup_request backup; /* the same */
    char *dir;                          /* of the backup */
    struct asked_checkpoint *next;
    bool is_done;
};

/* ---- What the group says ---- */

static void on_fatal(void *ctx, const char *text)
{
    struct simnode *node = ctx;
    node->fatal_count++;
    snprintf(node->fatal, sizeof(node->fatal), "%s", text);
}

static void on_log(void *ctx, char level, const char *text)
{
    struct simnode *node = ctx;
    buf_append_str(&node->log, text);
    buf_append_byte(&node->log, '\n');
    if (level != '#')
        return;
    snprintf(node->last_log, sizeof(node->last_log), "%s", text);
    buf_append_str(&node->told, text);
    buf_append_byte(&node->told, '\n');
}

static void on_stopped(void *ctx, int error)
{
    struct simnode *node = ctx;
    node->is_stopped = true;
    node->stop_error = error;
}

static void on_settled(void *ctx)
{
    struct simnode *node = ctx;
    node->is_settled = true;
}

/* ---- Life ---- */

struct simdisk *simnode_disk(uint64_t seed)
{
    struct simdisk *disk = simdisk_new(seed);
    assert_int_equal(fs_mkdir(simdisk_fs(disk), SIMNODE_DIR), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
    return disk;
}

static struct command_table *make_table(void)
{
    static const struct command_family *const families[] = {
        &string_family, &string_number_family, &string_range_family, &keyspace_family,
        &bitmap_family, &bitfield_family,      &hyperloglog_family,  &lcs_family,
        &expire_family, &scan_family,          &transaction_family,
    };
    return command_table_new(families, sizeof(families) / sizeof(families[0]));
}

static void take_defaults(struct simnode_options *options)
{
    if (options->dir == NULL)
        options->dir = SIMNODE_DIR;
    if (options->wall_ms == 0)
        options->wall_ms = SIMNODE_START_MS;
    if (options->database_count == 0)
        options->database_count = DEFAULT_DATABASES;
    if (options->segment_size == 0)
        options->segment_size = DEFAULT_SEGMENT;
    if (options->log_budget == 0)
        options->log_budget = DEFAULT_BUDGET;
    if (options->max_file_size == 0)
        options->max_file_size = DEFAULT_FILE;
}

static struct group_options group_options_of(struct simnode *node)
{
    const struct simnode_options *options = &node->options;
    return (struct group_options){
        .os = {.fs = simdisk_fs(node->disk),
               .clock = &node->clock.clock,
               .chance = &node->chance.chance},
        .aio = simdisk_aio(node->disk),
        .epoch = node->epoch,
        .pool = simpool_pool(node->pool),
        .io_loops = {node->loop},
        .io_loop_count = 1,
        .log_loop = node->loop,
        .shard_loops = {node->loop},
        .shard_loop_count = 1,
        .table = node->table,
        .dir = options->dir,
        .shard_count = options->shard_count,
        .default_shard_count = DEFAULT_SHARDS,
        .database_count = options->database_count,
        .segment_size = options->segment_size,
        .frames_in_flight = options->frames_in_flight,
        .log_budget = options->log_budget,
        .max_file_size = options->max_file_size,
        .max_entry_bytes = options->max_entry_bytes,
        .max_unwritten_bytes = options->max_unwritten_bytes,
        .checkpoint_interval_ms = options->checkpoint_interval_ms,
        .merge = options->merge,
        .max_clock_step_ms = options->max_clock_step_ms,
        .disk_free_low = options->disk_free_low,
        .disk_reserve = options->disk_reserve,
        .is_serial = true,
        .hot_max_value = options->hot_max_value,
        .lfu = {.log_factor = 10, .decay_time = 1},
        .on_fatal = on_fatal,
        .on_log = on_log,
        .ctx = node,
    };
}

/* As pool_free() does, what is queued is run; the loop takes it back when it ends. */
static void free_machine(struct simnode *node)
{
    do {
        while (simpool_run_one(node->pool))
            continue;
    } while (loop_turn(node->loop));
    loop_free(node->loop);
    simpool_free(node->pool);
}

static void free_rest(struct simnode *node)
{
    command_table_free(node->table);
    epoch_free(node->epoch);
    simnode_free_commands(node);
    simhistory_free(node->history);
    buf_fini(&node->told);
    buf_fini(&node->log);
    while (node->asked != NULL) {
        struct asked_checkpoint *next = node->asked->next;
        mem_free(node->asked->dir);
        mem_free(node->asked);
        node->asked = next;
    }
    mem_free(node);
}

struct simnode *simnode_open(const struct simnode_options *options, struct simdisk *disk,
                             struct diag *diag)
{
    struct simnode *node = mem_calloc(1, sizeof(*node));
    node->options = *options;
    take_defaults(&node->options);
    node->disk = disk;
    simclock_init(&node->clock, node->options.wall_ms);
    /* Each life draws other words: a segment used again must not get the epoch it had. */
    simchance_init(&node->chance,
                   options->seed + 1000003 * options->wall_ms + 7 * simdisk_steps(disk));
    simdisk_note(disk, NOTE_WALL_MS, node->options.wall_ms);
    node->epoch = epoch_new();
    node->table = make_table();
    node->history = simhistory_new(NULL);
    node->pool = simpool_new(options->seed + 1);
    int rc = loop_new(
        &(struct loop_options){.name = "sim", .clock = &node->clock.clock, .epoch = node->epoch},
        &node->loop);
    assert_int_equal(rc, 0);
    const struct group_options group_options = group_options_of(node);
    if (group_open(&group_options, &node->group, diag) != 0) {
        free_machine(node);
        free_rest(node);
        return NULL;
    }
    node->port = group_port(node->group, 0);
    simnode_listen(node);
    return node;
}

struct simnode *simnode_start(const struct simnode_options *options, struct simdisk *disk)
{
    struct diag diag = {.text = ""};
    struct simnode *node = simnode_open(options, disk, &diag);
    if (node == NULL)
        fail_msg("cannot open: %s", diag.text);
    if (!simnode_wait_ready(node))
        fail_msg("not ready: %s", node->fatal);
    return node;
}

bool simnode_wait_ready(struct simnode *node)
{
    for (unsigned i = 0; i < WAIT_ROUNDS; i++) {
        simnode_dry(node);
        if (group_state(node->group) == GROUP_READY) {
            simdisk_note(node->disk, NOTE_READY, 1);
            return true;
        }
        if (node->fatal_count > 0)
            return false;
        simnode_pass(node, WAIT_MS);
    }
    return false;
}

void simnode_ask_stop(struct simnode *node, bool with_checkpoint)
{
    group_stop(node->group, with_checkpoint, on_stopped, node);
}

int simnode_stop(struct simnode *node, bool with_checkpoint)
{
    simnode_ask_stop(node, with_checkpoint);
    for (unsigned i = 0; i < WAIT_ROUNDS && node->fatal_count == 0; i++) {
        simnode_dry(node);
        if (node->is_stopped)
            return node->stop_error;
        simnode_pass(node, WAIT_MS);
    }
    return ERR_BUSY;
}

/* After a fatal error nothing settles any more. */
static void settle_parts(struct simnode *node)
{
    if (node->fatal_count > 0)
        return;
    group_settle(node->group, node->loop, on_settled, node);
    for (unsigned i = 0; i < WAIT_ROUNDS && !node->is_settled; i++) {
        simnode_dry(node);
        simnode_pass(node, WAIT_MS);
    }
    assert_true(node->is_settled);
}

void simnode_close(struct simnode *node)
{
    if (node == NULL)
        return;
    if (!node->is_stopped && node->fatal_count == 0 && simnode_stop(node, false) != 0 &&
        node->fatal_count == 0)
        fail_msg("the node cannot be stopped");
    settle_parts(node);
    group_stop_parts(node->group);
    free_machine(node);
    group_close(node->group);
    free_rest(node);
}

struct simhistory *simnode_close_for_history(struct simnode *node)
{
    struct simhistory *history = node->history;
    node->history = NULL;
    simnode_close(node);
    return history;
}

void simnode_begin_history(struct simnode *node, const struct simmodel *base)
{
    assert_int_equal(node->answered_count, node->command_count);
    simhistory_free(node->history);
    node->history = simhistory_new(base);
    simdisk_note(node->disk, NOTE_SUBMITTED, 0);
    simdisk_note(node->disk, NOTE_ACKNOWLEDGED, 0);
}

/* ---- Turning ---- */

static bool run_jobs(struct simnode *node)
{
    bool did = false;
    if (node->job_delay != 0 && chance_u64(&node->chance.chance) % node->job_delay != 0)
        return false;
    while (simpool_run_one(node->pool)) {
        did = true;
        if (node->job_delay != 0)
            break;
    }
    return did;
}

bool simnode_turn(struct simnode *node)
{
    bool did = loop_turn(node->loop);
    return run_jobs(node) || did;
}

void simnode_dry(struct simnode *node)
{
    for (unsigned quiet = 0; quiet < DRY_TURNS;) {
        bool did = simnode_turn(node);
        quiet = did || simpool_run_one(node->pool) ? 0 : quiet + 1;
    }
}

void simnode_pass(struct simnode *node, uint64_t ms)
{
    simclock_advance(&node->clock, ms);
    simdisk_note(node->disk, NOTE_WALL_MS, node->clock.wall_ms);
}

bool simnode_settle(struct simnode *node)
{
    for (unsigned i = 0; i < WAIT_ROUNDS; i++) {
        simnode_dry(node);
        if (node->answered_count == node->command_count)
            return true;
        if (node->fatal_count > 0)
            return false;
        simnode_pass(node, WAIT_MS);
    }
    return false;
}

void simnode_advance(struct simnode *node, uint64_t ms)
{
    simnode_dry(node);
    simnode_pass(node, ms);
    simnode_dry(node);
}

bool simnode_try_pass(struct simnode *node, uint64_t ms)
{
    bool can_pass = simnode_stats(node).commands_logged == node->write_count;
    if (can_pass)
        simnode_pass(node, ms);
    return can_pass;
}

uint64_t simnode_now_ms(struct simnode *node)
{
    return node->clock.wall_ms;
}

/* ---- Checkpoints ---- */

static void on_checkpoint(struct group_checkpoint_request *request)
{
    CONTAINER_OF(request, struct asked_checkpoint, request)->is_done = true;
}

static struct asked_checkpoint *ask_checkpoint(struct simnode *node)
{
    struct asked_checkpoint *asked = mem_calloc(1, sizeof(*asked));
    asked->next = node->asked;
    node->asked = asked;
    asked->request.loop = node->loop;
    asked->request.on_done = on_checkpoint;
    group_checkpoint(node->group, &asked->request);
    return asked;
}

void simnode_ask_checkpoint(struct simnode *node)
{
    ask_checkpoint(node);
}

static bool wait_asked(struct simnode *node, const struct asked_checkpoint *asked)
{
    for (unsigned i = 0; i < WAIT_ROUNDS && node->fatal_count == 0; i++) {
        simnode_dry(node);
        if (asked->is_done)
            return true;
        simnode_pass(node, WAIT_MS);
    }
    return false;
}

int simnode_checkpoint(struct simnode *node)
{
    struct asked_checkpoint *asked = ask_checkpoint(node);
    return wait_asked(node, asked) ? asked->request.error : ERR_BUSY;
}

static void on_reload(struct group_reload_request *request)
{
    CONTAINER_OF(request, struct asked_checkpoint, reload)->is_done = true;
}

static struct asked_checkpoint *ask_reload(struct simnode *node)
{
    struct asked_checkpoint *asked = mem_calloc(1, sizeof(*asked));
    asked->next = node->asked;
    node->asked = asked;
    asked->reload.loop = node->loop;
    asked->reload.on_done = on_reload;
    group_reload(node->group, &asked->reload);
    return asked;
}

const struct group_reload_request *simnode_ask_reload(struct simnode *node)
{
    return &ask_reload(node)->reload;
}

int simnode_reload(struct simnode *node)
{
    struct asked_checkpoint *asked = ask_reload(node);
    return wait_asked(node, asked) ? asked->reload.error : ERR_STOPPING;
}

static void on_backup(struct group_backup_request *request)
{
    CONTAINER_OF(request, struct asked_checkpoint, backup)->is_done = true;
}

struct group_backup_request *simnode_ask_backup(struct simnode *node, const char *dir)
{
    struct asked_checkpoint *asked = mem_calloc(1, sizeof(*asked));
    asked->next = node->asked;
    node->asked = asked;
    asked->dir = mem_dup_str(dir);
    asked->backup.dir = asked->dir;
    asked->backup.loop = node->loop;
    asked->backup.on_done = on_backup;
    group_backup(node->group, &asked->backup);
    return &asked->backup;
}

bool simnode_backup_is_done(struct group_backup_request *request)
{
    return CONTAINER_OF(request, struct asked_checkpoint, backup)->is_done;
}

int simnode_backup(struct simnode *node, const char *dir, uint64_t *out_index)
{
    struct group_backup_request *request = simnode_ask_backup(node, dir);
    if (!wait_asked(node, CONTAINER_OF(request, struct asked_checkpoint, backup)))
        return ERR_STOPPING;
    if (request->error == 0)
        *out_index = request->index;
    return request->error;
}

/* ---- Looking ---- */

bool simnode_has_told(const struct simnode *node, const char *words)
{
    return node->told.len > 0 &&
           memmem(node->told.data, node->told.len, words, strlen(words)) != NULL;
}

struct group_stats simnode_stats(struct simnode *node)
{
    return group_stats(node->group);
}

uint64_t simnode_digest(struct simnode *node)
{
    const struct stores *stores = group_stores(node->group);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < stores->count; i++) {
        struct diag diag = {.text = ""};
        uint64_t digest;
        if (store_digest(stores->shards[i], simnode_now_ms(node), &digest, &diag) != 0)
            fail_msg("%s", diag.text);
        sum += digest;
    }
    return sum;
}

struct comparison {
    struct simnode *node;
    struct buf text;
    struct buf expected;
};

static void expect_reply(struct comparison *comparison)
{
    buf_append_byte(&comparison->text, 0);
    buf_append_byte(&comparison->expected, 0);
    const char *text = (const char *)comparison->text.data;
    assert_string_equal(simnode_ask(comparison->node, text),
                        (const char *)comparison->expected.data);
    comparison->text.len = 0;
    comparison->expected.len = 0;
}

static void compare_key(void *ctx, uint16_t db, struct slice key, struct slice value,
                        uint64_t expire_at_ms)
{
    struct comparison *comparison = ctx;
    buf_append_format(&comparison->text, "@%u GET %.*s", db, SLICE_FMT(key));
    buf_append_format(&comparison->expected, "$%zu\r\n%.*s\r\n", value.len, SLICE_FMT(value));
    expect_reply(comparison);
    long long expected_ms = expire_at_ms == 0 ? -1 : (long long)expire_at_ms;
    buf_append_format(&comparison->text, "@%u PEXPIRETIME %.*s", db, SLICE_FMT(key));
    buf_append_format(&comparison->expected, ":%lld\r\n", expected_ms);
    expect_reply(comparison);
}

void simnode_expect_state(struct simnode *node, const struct simmodel *model)
{
    struct comparison comparison = {.node = node};
    for (uint32_t db = 0; db < node->options.database_count; db++) {
        char text[32];
        char expected[32];
        size_t count = simmodel_count(model, (uint16_t)db, simnode_now_ms(node));
        snprintf(text, sizeof(text), "@%u KEYS *", db);
        int len = snprintf(expected, sizeof(expected), "*%zu\r\n", count);
        const char *reply = simnode_ask(node, text);
        if (strncmp(reply, expected, (size_t)len) != 0)
            fail_msg("database %u has %zu keys, not %.8s", db, count, reply);
    }
    simmodel_visit(model, simnode_now_ms(node), compare_key, &comparison);
    buf_fini(&comparison.text);
    buf_fini(&comparison.expected);
}
