/* SPDX-License-Identifier: Apache-2.0 */
/* Which component runs on which loop, and the options of every part from the configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "server/event_flags.h"
#include "server/output_limits.h"
#include "server/server_internal.h"
#include "store/manifest.h"

#define PATH_SIZE       4096
#define MAX_PLACED_CPUS 32 /* more loops than that have not been tried */

/* ---- What the group says ---- */

static void on_fatal(void *ctx, const char *text)
{
    struct server *server = ctx;
    log_line(&server->log, LOG_WARNING, "FATAL: %s", text);
    /* No clean-up: what is on disk is right, and nothing may write to it any more. */
    _Exit(1);
}

static void on_log(void *ctx, char level, const char *text)
{
    struct server *server = ctx;
    enum log_level number = level == '.'   ? LOG_DEBUG
                            : level == '-' ? LOG_VERBOSE
                            : level == '*' ? LOG_NOTICE
                                           : LOG_WARNING;
    log_line(&server->log, number, "%s", text);
}

/* ---- Placement ---- */

/* By processors: up to two share one loop; up to four have one or two io loops and one for the
 * rest; more: one for the log, and of the others half for io and half for shards. */
static void choose_placement(struct server *server)
{
    unsigned cpus = thread_cpu_count();
    cpus = cpus < MAX_PLACED_CPUS ? cpus : MAX_PLACED_CPUS;
    uint32_t io = (uint32_t)config_number(server->config, CONF_IO_THREADS);
    uint32_t shard = (uint32_t)config_number(server->config, CONF_SHARD_THREADS);
    bool is_auto = io == 0 && shard == 0;
    if (io == 0)
        io = !is_auto || cpus <= 3 ? 1 : cpus <= 4 ? 2 : (cpus - 1) / 2;
    if (is_auto && cpus > 4)
        shard = cpus - 1 - io;
    bool is_one = shard == 0 && io == 1 && (!is_auto || cpus <= 2);
    server->io_count = io;
    server->log_loop = is_one ? 0 : io;
    server->shard_loop_first = shard == 0 ? server->log_loop : io + 1;
    server->shard_loop_count = shard == 0 ? 1 : shard;
    server->loop_count = is_one ? 1 : io + 1 + shard;
    ASSERT(server->loop_count <= GROUP_MAX_LOOPS);
    if (is_one)
        snprintf(server->placement, sizeof(server->placement), "one loop");
    else if (shard == 0)
        snprintf(server->placement, sizeof(server->placement), "%u io loops, 1 for log and shards",
                 io);
    else
        snprintf(server->placement, sizeof(server->placement),
                 "%u io loops, 1 log loop, %u shard loops", io, shard);
}

int server_make_loops(struct server *server, struct diag *diag)
{
    choose_placement(server);
    uint64_t watchdog_us = config_number(server->config, CONF_WATCHDOG_MS) * 1000;
    for (uint32_t i = 0; i < server->loop_count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "loop-%u", i);
        int rc = loop_new(&(struct loop_options){.name = name,
                                                 .clock = server->os.clock,
                                                 .epoch = server->epoch,
                                                 .watchdog_us = watchdog_us},
                          &server->loops[i]);
        if (rc != 0)
            return diag_set(diag, rc, "an event loop cannot be made: %s", err_text(rc));
    }
    return 0;
}

/* ---- Parts ---- */

static void warn_of_place(struct server *server, const char *dir)
{
    enum fs_kind kind = fs_posix_kind(dir);
    if (kind == FS_KIND_MEMORY)
        log_line(
            &server->log, LOG_WARNING,
            "data directory %.300s lies in memory (tmpfs): a restart of the machine or a power "
            "loss takes all of it. Give a --dir on a disk",
            dir);
    if (kind == FS_KIND_OVERLAY)
        log_line(
            &server->log, LOG_WARNING,
            "data directory %.300s lies on an overlay filesystem: if that is a container's own "
            "layer, all of it goes with the container. Give a --dir on a volume",
            dir);
}

/* ---- Files of Redis where Ferric's are to be ---- */

#define FOREIGN_NAMES_SIZE 200

static bool ends_with(struct slice name, const char *end)
{
    size_t len = strlen(end);
    return name.len > len && slice_is(slice_sub(name, name.len - len, SIZE_MAX), end);
}

static int on_name(void *ctx, const char *name)
{
    struct buf *found = ctx;
    struct slice text = slice_str(name);
    bool is_redis =
        ends_with(text, ".rdb") || ends_with(text, ".aof") || slice_is(text, "appendonlydir");
    if (is_redis && found->len < FOREIGN_NAMES_SIZE)
        buf_append_format(found, "%s%.100s", found->len > 0 ? ", " : "", name);
    return 0;
}

/* Who gives Ferric the folder of a Redis, and has an empty server, is told why. */
static void warn_of_foreign(struct server *server, const char *dir)
{
    char path[PATH_SIZE];
    struct fs_stat st;
    int len = snprintf(path, sizeof(path), "%s/" MANIFEST_NAME, dir);
    if (len < 0 || (size_t)len >= sizeof(path) || fs_stat(server->os.fs, path, &st) == 0)
        return;
    struct buf found = {0};
    IGNORE(fs_list(server->os.fs, dir, on_name, &found), "what cannot be read is refused below");
    if (found.len > 0)
        log_line(&server->log, LOG_WARNING,
                 "data directory %.300s has files of Redis (%.*s), which are left alone and not "
                 "read: Ferric starts without their data. Give it a folder of its own, and bring "
                 "strings from a running Redis key by key, with DUMP there and RESTORE here",
                 dir, SLICE_FMT(buf_slice(&found)));
    buf_fini(&found);
}

/* What every write will wait for. The log's folder may be a mount of its own. */
static int measure_sync(struct server *server, const char *dir, struct diag *diag)
{
    char log_dir[PATH_SIZE];
    struct fs_stat st;
    int len = snprintf(log_dir, sizeof(log_dir), "%s/log", dir);
    bool is_there = len > 0 && (size_t)len < sizeof(log_dir) &&
                    fs_stat(server->os.fs, log_dir, &st) == 0 && st.is_dir;
    const char *place = is_there ? log_dir : dir;
    int rc = aio_measure(server->aio, place, &server->sync_us);
    /* On a full disk it may still start: what is there is served. */
    if (rc == 0 || rc == -ENOSPC || rc == -EDQUOT)
        return 0;
    return diag_set(diag, rc,
                    "%.300s: a file in it cannot be written: %s. The data directory must "
                    "be a folder that this user may write",
                    place, err_text(rc));
}

static struct merge_settings merge_settings_of(const struct config *config)
{
    return (struct merge_settings){
        .mode = (enum merge_mode)config_number(config, CONF_MERGE_MODE),
        .dead_percent = (uint32_t)config_number(config, CONF_MERGE_DEAD_PERCENT),
        .min_dead_bytes = config_number(config, CONF_MERGE_MIN_DEAD_BYTES),
        .small_file_bytes = config_number(config, CONF_MERGE_SMALL_FILE),
        .min_files = (uint32_t)config_number(config, CONF_MERGE_MIN_FILES),
        .max_files = (uint32_t)config_number(config, CONF_MERGE_MAX_FILES),
        .cooldown_ms = (uint32_t)config_number(config, CONF_MERGE_COOLDOWN_MS),
        .hour_from = (uint32_t)config_number(config, CONF_MERGE_WINDOW_START),
        .hour_to = (uint32_t)config_number(config, CONF_MERGE_WINDOW_END),
        .min_age_ms = config_number(config, CONF_MERGE_MIN_AGE_MS),
        .min_free_percent = (uint32_t)config_number(config, CONF_MERGE_MIN_FREE_PERCENT),
        .rate_bytes = config_number(config, CONF_MERGE_RATE),
    };
}

int server_open_group(struct server *server, struct diag *diag)
{
    const struct config *config = server->config;
    static const enum aio_kind kinds[] = {AIO_AUTO, AIO_URING, AIO_THREAD};
    unsigned frames = (unsigned)config_number(config, CONF_FRAMES_IN_FLIGHT);
    if (frames == 0)
        frames = thread_cpu_count() <= 2 ? 2 : 4;
    const char *dir = config_text(config, CONF_DIR);
    int rc = fs_mkdir(server->os.fs, dir);
    if (rc != 0 && rc != -EEXIST)
        return diag_set(diag, rc, "data directory %.300s: cannot be made: %s%s", dir, err_text(rc),
                        rc == -ENOENT ? ". Make the folder above it first" : "");
    warn_of_place(server, dir);
    warn_of_foreign(server, dir);
    rc = aio_open(kinds[config_number(config, CONF_LOG_WRITER)], dir, frames + 8, &server->aio,
                  diag);
    if (rc == 0)
        rc = measure_sync(server, dir, diag);
    if (rc != 0)
        return rc;
    struct group_options options = {
        .os = server->os,
        .aio = server->aio,
        .epoch = server->epoch,
        .pool = server->pool,
        .io_loop_count = server->io_count,
        .log_loop = server->loops[server->log_loop],
        .shard_loop_count = server->shard_loop_count,
        .table = server->table,
        .dir = dir,
        .shard_count = (uint32_t)config_number(config, CONF_SHARDS),
        .default_shard_count = thread_cpu_count() < STORES_MAX ? thread_cpu_count() : STORES_MAX,
        .database_count = (uint32_t)config_number(config, CONF_DATABASES),
        .segment_size = (uint32_t)config_number(config, CONF_LOG_SEGMENT_SIZE),
        .frames_in_flight = frames,
        .log_budget = config_number(config, CONF_LOG_BUDGET),
        .max_file_size = config_number(config, CONF_DATA_FILE_SIZE),
        .max_entry_bytes = config_number(config, CONF_MAX_ENTRY_BYTES),
        .max_in_flight_bytes = config_number(config, CONF_MAX_IN_FLIGHT),
        .max_unwritten_bytes = config_number(config, CONF_MAX_UNWRITTEN),
        .disk_free_low = config_signed(config, CONF_DISK_FREE_LOW),
        .disk_reserve = config_number(config, CONF_DISK_RESERVE),
        .flush_interval_ms = (unsigned)config_number(config, CONF_FLUSH_INTERVAL_MS),
        .checkpoint_interval_ms = (unsigned)config_number(config, CONF_CHECKPOINT_INTERVAL_MS),
        .checkpoint_idle_ms = (unsigned)config_number(config, CONF_CHECKPOINT_IDLE_MS),
        .checkpoint_max_delay_ms = (unsigned)config_number(config, CONF_CHECKPOINT_MAX_DELAY_MS),
        .max_clock_step_ms = (unsigned)config_number(config, CONF_MAX_CLOCK_STEP) * 1000,
        .hot_max_value = config_number(config, CONF_HOT_MAX_VALUE),
        .lfu = {.log_factor = (uint32_t)config_number(config, CONF_LFU_LOG_FACTOR),
                .decay_time = (uint32_t)config_number(config, CONF_LFU_DECAY_TIME)},
        .merge = merge_settings_of(config),
        .on_fatal = on_fatal,
        .on_log = on_log,
        .on_progress = server_on_progress,
        .on_ready = server_on_ready,
        .ctx = server,
    };
    for (uint32_t i = 0; i < server->io_count; i++)
        options.io_loops[i] = server->loops[i];
    for (uint32_t i = 0; i < server->shard_loop_count; i++)
        options.shard_loops[i] = server->loops[server->shard_loop_first + i];
    server->group = group_new(&options);
    return 0;
}

int server_open_hub(struct server *server, struct diag *diag)
{
    struct hub_options options = {
        .group = server->group,
        .table = server->table,
        .loop_count = server->io_count,
        .server_version = FERRIC_REDIS_VERSION,
        .max_held_bytes = config_number(server->config, CONF_MAX_IN_FLIGHT),
        .max_multi_bytes = config_number(server->config, CONF_MAX_ENTRY_BYTES),
        .debug_access = (enum debug_access)config_number(server->config, CONF_ENABLE_DEBUG),
        .server = server,
        .on_log = on_log,
    };
    for (uint32_t i = 0; i < server->io_count; i++)
        options.loops[i] = server->loops[i];
    int rc = hub_new(&options, &server->hub);
    if (rc != 0)
        return diag_set(diag, rc, "connections cannot be served: %s", err_text(rc));
    server_apply(server);
    return 0;
}

static void apply_output_limits(struct hub_settings *settings, const struct config *config)
{
    struct output_limits limits = {0};
    struct slice text = buf_slice(&config->values[CONF_CLIENT_OUTPUT_LIMIT].text);
    IGNORE(output_limits_parse(&limits, &text, 1, NULL), "written by us");
    for (size_t i = 0; i < CLIENT_CLASSES; i++) {
        atomic_store(&settings->output_limits[i].hard, limits.hard[i]);
        atomic_store(&settings->output_limits[i].soft, limits.soft[i]);
        atomic_store(&settings->output_limits[i].soft_s, limits.soft_s[i]);
    }
}

void server_apply(struct server *server)
{
    const struct config *config = server->config;
    struct hub_settings *settings = hub_settings(server->hub);
    atomic_store(&settings->max_clients, config_number(config, CONF_MAX_CLIENTS));
    atomic_store(&settings->query_buffer_limit, config_number(config, CONF_CLIENT_QUERY_LIMIT));
    atomic_store(&settings->tracking_max_keys, config_number(config, CONF_TRACKING_MAX_KEYS));
    apply_output_limits(settings, config);
    unsigned classes = 0;
    IGNORE(event_flags_parse(buf_slice(&config->values[CONF_NOTIFY_EVENTS].text), &classes),
           "written by us");
    hub_set_notify(server->hub, classes);
    atomic_store(&settings->max_bulk_size, config_number(config, CONF_PROTO_MAX_BULK));
    atomic_store(&settings->idle_timeout_s, config_number(config, CONF_TIMEOUT));
    atomic_store(&settings->keepalive_s, config_number(config, CONF_TCP_KEEPALIVE));
    atomic_store(&settings->protects, config_number(config, CONF_PROTECTED_MODE) != 0);
    atomic_store(&settings->slowlog_us, config_signed(config, CONF_SLOWLOG_US));
    atomic_store(&settings->slowlog_max, config_number(config, CONF_SLOWLOG_MAX_LEN));
    atomic_store(&settings->latency_ms, config_number(config, CONF_LATENCY_MONITOR_MS));
    atomic_store(&settings->tracks_latency, config_number(config, CONF_LATENCY_TRACKING) != 0);
    hub_settings_changed(server->hub);
    hub_set_password(server->hub, buf_slice(&config->values[CONF_REQUIREPASS].text));
    struct merge_settings merge = merge_settings_of(config);
    group_set_merge(server->group, &merge);
    group_set_disk_free_low(server->group, config_signed(config, CONF_DISK_FREE_LOW));
    group_set_hot_max_value(server->group, config_number(config, CONF_HOT_MAX_VALUE));
    atomic_store(&server->log.level, (int)config_number(config, CONF_LOGLEVEL));
    atomic_store(&server->log.format, (int)config_number(config, CONF_LOG_FORMAT));
}
