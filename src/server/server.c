/* SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/process.h"

#define MAX_LISTENERS  16
#define RESERVED_FDS   128 /* data files, log, loops */
#define PROGRESS_STEP  10  /* per cent between two lines of progress */
#define PLACEMENT_SIZE 96

struct server {
    struct config config;
    struct log log;
    struct os os;
    struct epoch *epoch;
    struct pool *pool;
    struct aio *aio;
    struct loop *loops[GROUP_MAX_LOOPS];
    uint32_t loop_count;
    uint32_t io_count;
    uint32_t shard_loop_first;
    uint32_t shard_loop_count;
    uint32_t log_loop;
    char placement[PLACEMENT_SIZE];
    struct command_table *table;
    struct group *group;
    struct hub *hub;
    struct listener *listeners[MAX_LISTENERS];
    size_t listener_count;
    uint16_t port;
    uint64_t started_ms;
    char run_id[41];
    struct loop_post shutdown_post;
    _Atomic bool is_stopping;
    bool with_checkpoint;
    int exit_status;
    uint64_t last_progress;
    const char *last_what;
};

/* ---- Accessors ---- */

struct config *server_config(struct server *server)
{
    return &server->config;
}

struct log *server_log(struct server *server)
{
    return &server->log;
}

struct group *server_group(struct server *server)
{
    return server->group;
}

struct hub *server_hub(struct server *server)
{
    return server->hub;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

uint64_t server_started_ms(const struct server *server)
{
    return server->started_ms;
}

const char *server_run_id(const struct server *server)
{
    return server->run_id;
}

const char *server_placement(const struct server *server)
{
    return server->placement;
}

uint32_t server_loop_count(const struct server *server)
{
    return server->loop_count;
}

struct loop *server_loop(struct server *server, uint32_t idx)
{
    return server->loops[idx];
}

/* ---- What the group says ---- */

static void on_fatal(void *ctx, const char *text)
{
    struct server *server = ctx;
    log_line(&server->log, LOG_WARNING, "FATAL: %s", text);
    /* No clean-up: what is on disk is right, and nothing may write to it any more. */
    _Exit(1);
}

static void on_group_log(void *ctx, char level, const char *text)
{
    struct server *server = ctx;
    enum log_level number = level == '.'   ? LOG_DEBUG
                            : level == '-' ? LOG_VERBOSE
                            : level == '*' ? LOG_NOTICE
                                           : LOG_WARNING;
    log_line(&server->log, number, "%s", text);
}

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    struct server *server = ctx;
    uint64_t percent = total == 0 ? 100 : done * 100 / total;
    if (server->last_what == what && percent < server->last_progress + PROGRESS_STEP)
        return;
    server->last_what = what;
    server->last_progress = percent;
    log_line(&server->log, LOG_NOTICE, "recovery: %s %llu %% (%llu of %llu MiB)", what,
             (unsigned long long)percent, (unsigned long long)(done >> 20),
             (unsigned long long)(total >> 20));
}

/* ---- Placement ---- */

/* By processors: up to two share one loop; up to four have one or two io loops and one for the
 * rest; more: about a third each for io and shards, one for the log. */
static void choose_placement(struct server *server)
{
    unsigned cpus = thread_cpu_count();
    uint32_t io = (uint32_t)config_number(&server->config, CONF_IO_THREADS);
    uint32_t shard = (uint32_t)config_number(&server->config, CONF_SHARD_THREADS);
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

static int make_loops(struct server *server, struct diag *diag)
{
    uint64_t watchdog_us = config_number(&server->config, CONF_WATCHDOG_MS) * 1000;
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

/* ---- Assembly ---- */

static int open_group(struct server *server, struct diag *diag)
{
    const struct config *config = &server->config;
    static const enum aio_kind kinds[] = {AIO_AUTO, AIO_URING, AIO_THREAD};
    unsigned frames = (unsigned)config_number(config, CONF_FRAMES_IN_FLIGHT);
    if (frames == 0)
        frames = thread_cpu_count() <= 2 ? 2 : 4;
    const char *dir = config_text(config, CONF_DIR);
    int rc = fs_mkdir(server->os.fs, dir);
    if (rc != 0 && rc != ERR_EXISTS && rc != -17)
        return diag_set(diag, rc, "data directory %.300s: %s", dir, err_text(rc));
    rc = aio_open(kinds[config_number(config, CONF_LOG_WRITER)], dir, frames + 8, &server->aio,
                  diag);
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
        .flush_interval_ms = (unsigned)config_number(config, CONF_FLUSH_INTERVAL_MS),
        .checkpoint_interval_ms = (unsigned)config_number(config, CONF_CHECKPOINT_INTERVAL_MS),
        .checkpoint_idle_ms = (unsigned)config_number(config, CONF_CHECKPOINT_IDLE_MS),
        .checkpoint_max_delay_ms = (unsigned)config_number(config, CONF_CHECKPOINT_MAX_DELAY_MS),
        .max_clock_step_ms = (unsigned)config_number(config, CONF_MAX_CLOCK_STEP) * 1000,
        .hot_max_value = config_number(config, CONF_HOT_MAX_VALUE),
        .lfu = {.log_factor = (uint32_t)config_number(config, CONF_LFU_LOG_FACTOR),
                .decay_time = (uint32_t)config_number(config, CONF_LFU_DECAY_TIME)},
        .on_fatal = on_fatal,
        .on_log = on_group_log,
        .on_progress = on_progress,
        .ctx = server,
    };
    for (uint32_t i = 0; i < server->io_count; i++)
        options.io_loops[i] = server->loops[i];
    for (uint32_t i = 0; i < server->shard_loop_count; i++)
        options.shard_loops[i] = server->loops[server->shard_loop_first + i];
    return group_open(&options, &server->group, diag);
}

static int open_hub(struct server *server, struct diag *diag)
{
    struct hub_options options = {
        .group = server->group,
        .table = server->table,
        .loop_count = server->io_count,
        .server_version = FERRIC_REDIS_VERSION,
        .server = server,
    };
    for (uint32_t i = 0; i < server->io_count; i++)
        options.loops[i] = server->loops[i];
    int rc = hub_new(&options, &server->hub);
    if (rc != 0)
        return diag_set(diag, rc, "connections cannot be served: %s", err_text(rc));
    server_apply(server);
    return 0;
}

void server_apply(struct server *server)
{
    const struct config *config = &server->config;
    struct hub_settings *settings = hub_settings(server->hub);
    atomic_store(&settings->max_clients, config_number(config, CONF_MAX_CLIENTS));
    atomic_store(&settings->query_buffer_limit, config_number(config, CONF_CLIENT_QUERY_LIMIT));
    atomic_store(&settings->output_buffer_limit, config_number(config, CONF_CLIENT_OUTPUT_LIMIT));
    atomic_store(&settings->max_bulk_size, config_number(config, CONF_PROTO_MAX_BULK));
    atomic_store(&settings->idle_timeout_s, config_number(config, CONF_TIMEOUT));
    atomic_store(&settings->keepalive_s, config_number(config, CONF_TCP_KEEPALIVE));
    atomic_store(&settings->protects, config_number(config, CONF_PROTECTED_MODE) != 0);
    hub_set_password(server->hub, buf_slice(&config->values[CONF_REQUIREPASS].text));
    group_set_hot_max_value(server->group, config_number(config, CONF_HOT_MAX_VALUE));
    atomic_store(&server->log.level, (int)config_number(config, CONF_LOGLEVEL));
}

/* ---- Listening ---- */

static void on_accept(void *ctx, int fd)
{
    struct server *server = ctx;
    hub_accept(server->hub, fd);
}

/* One word of `bind`; with '-' in front it may fail. */
static int listen_on(struct server *server, struct slice word, struct diag *diag)
{
    bool is_optional = word.len > 0 && word.data[0] == '-';
    if (is_optional)
        word = slice_sub(word, 1, SIZE_MAX);
    char host[NET_ADDR_SIZE];
    snprintf(host, sizeof(host), "%.*s", SLICE_FMT(word));
    const char *numeric = slice_is(word, "*")           ? "0.0.0.0"
                          : slice_is(word, "localhost") ? "127.0.0.1"
                                                        : host;
    struct diag why = {.text = ""};
    int rc = listener_open(
        &(struct listener_options){
            .loop = server->loops[0],
            .host = numeric,
            .port = server->port,
            .backlog = (unsigned)config_number(&server->config, CONF_TCP_BACKLOG),
            .on_accept = on_accept,
            .ctx = server,
        },
        &server->listeners[server->listener_count], &why);
    if (rc != 0 && is_optional)
        return 0;
    if (rc != 0)
        return diag_set(diag, rc, "%.400s", why.text);
    if (server->port == 0)
        server->port = listener_port(server->listeners[server->listener_count]);
    server->listener_count++;
    return 0;
}

static int listen_all(struct server *server, struct diag *diag)
{
    struct slice rest = buf_slice(&server->config.values[CONF_BIND].text);
    server->port = (uint16_t)config_number(&server->config, CONF_PORT);
    while (rest.len > 0 && server->listener_count < MAX_LISTENERS) {
        const uint8_t *blank = memchr(rest.data, ' ', rest.len);
        size_t len = blank == NULL ? rest.len : (size_t)(blank - rest.data);
        int rc = len == 0 ? 0 : listen_on(server, slice_sub(rest, 0, len), diag);
        if (rc != 0)
            return rc;
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
    if (server->listener_count == 0)
        return diag_set(diag, ERR_INVALID, "no address of 'bind' could be listened on");
    return 0;
}

/* ---- Limits of the machine ---- */

static void fit_max_clients(struct server *server)
{
    uint64_t wanted = config_number(&server->config, CONF_MAX_CLIENTS);
    uint64_t need = wanted + RESERVED_FDS;
    uint64_t limit = process_raise_open_files(need);
    if (limit >= need)
        return;
    uint64_t fits = limit > 2 * RESERVED_FDS ? limit - RESERVED_FDS : limit / 2;
    server->config.values[CONF_MAX_CLIENTS].number = fits;
    log_line(&server->log, LOG_WARNING,
             "the limit of open files is %llu: maxclients is lowered from %llu to %llu. Raise it "
             "with 'ulimit -n'",
             (unsigned long long)limit, (unsigned long long)wanted, (unsigned long long)fits);
}

static int write_pidfile(struct server *server, struct diag *diag)
{
    const char *path = config_text(&server->config, CONF_PIDFILE);
    if (path[0] == '\0')
        return 0;
    struct file *file;
    int rc = fs_open(server->os.fs, path, FS_WRITE | FS_CREATE, &file);
    if (rc == 0) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%d\n", process_id());
        size_t done;
        rc = file_truncate(file, 0);
        if (rc == 0)
            rc = file_write_full(file, text, (size_t)len, 0, &done);
        file_unref(file);
    }
    return rc == 0 ? 0 : diag_set(diag, rc, "pid file %.300s: %s", path, err_text(rc));
}

/* ---- The end ---- */

static void stop_loops(void *ctx)
{
    struct server *server = ctx;
    for (uint32_t i = 0; i < server->loop_count; i++)
        loop_stop(server->loops[i]);
}

static void on_all_closed(void *ctx)
{
    struct server *server = ctx;
    group_settle(server->group, server->loops[0], stop_loops, server);
}

static void on_group_stopped(void *ctx, int error)
{
    struct server *server = ctx;
    if (error != 0) {
        log_line(&server->log, LOG_WARNING,
                 "the last checkpoint failed: %s. Nothing is lost: the "
                 "next start replays the log",
                 err_text(error));
        server->exit_status = 1;
    }
    hub_close_all(server->hub, true, server->loops[0], on_all_closed, server);
}

static void on_shutdown(struct loop_post *post)
{
    struct server *server = CONTAINER_OF(post, struct server, shutdown_post);
    log_line(&server->log, LOG_NOTICE, "shutting down%s",
             server->with_checkpoint ? ": making a checkpoint" : "");
    group_stop(server->group, server->with_checkpoint, on_group_stopped, server);
}

void server_shutdown(struct server *server, bool with_checkpoint)
{
    if (atomic_exchange(&server->is_stopping, true))
        return;
    server->with_checkpoint = with_checkpoint;
    server->shutdown_post.run = on_shutdown;
    loop_post(server->loops[server->log_loop], &server->shutdown_post);
}

static void on_signal(void *ctx, int signum)
{
    struct server *server = ctx;
    if (atomic_load(&server->is_stopping)) {
        log_line(&server->log, LOG_WARNING,
                 "second signal: ending at once. Nothing acknowledged "
                 "is lost");
        _Exit(1);
    }
    log_line(&server->log, LOG_NOTICE, "received %s", signum == SIGINT ? "SIGINT" : "SIGTERM");
    server_shutdown(server, true);
}

/* ---- Life ---- */

static void log_remarks(struct server *server)
{
    struct slice rest = buf_slice(&server->config.remarks);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
        log_line(&server->log, LOG_WARNING, "%.*s", SLICE_FMT(slice_sub(rest, 0, len)));
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
}

static int open_parts(struct server *server, struct diag *diag)
{
    fit_max_clients(server);
    choose_placement(server);
    server->epoch = epoch_new();
    server->table = command_table_new(server_families, server_family_count);
    int rc = pool_new(&(struct pool_options){0}, &server->pool);
    if (rc != 0)
        return diag_set(diag, rc, "background threads cannot be started: %s", err_text(rc));
    rc = make_loops(server, diag);
    if (rc == 0)
        rc = open_group(server, diag);
    if (rc == 0)
        rc = open_hub(server, diag);
    if (rc == 0)
        rc = listen_all(server, diag);
    if (rc == 0)
        rc = write_pidfile(server, diag);
    if (rc == 0)
        rc = loop_signal_watch(server->loops[0], SIGTERM, on_signal, server);
    if (rc == 0)
        rc = loop_signal_watch(server->loops[0], SIGINT, on_signal, server);
    return rc;
}

int server_new(struct config *config, struct server **out_server, struct diag *diag)
{
    struct server *server = mem_calloc(1, sizeof(*server));
    server->config = *config;
    server->os = os_posix();
    server->started_ms = clock_wall_ms(server->os.clock);
    snprintf(server->run_id, sizeof(server->run_id), "%016llx%016llx%08x",
             (unsigned long long)chance_u64(server->os.chance),
             (unsigned long long)chance_u64(server->os.chance),
             (unsigned)chance_u64(server->os.chance));
    int rc = log_open(&server->log, config_text(&server->config, CONF_LOGFILE),
                      (enum log_level)config_number(&server->config, CONF_LOGLEVEL), diag);
    if (rc == 0) {
        log_line(&server->log, LOG_NOTICE, "Ferric " FERRIC_VERSION ", process %d", process_id());
        log_remarks(server);
        rc = open_parts(server, diag);
    }
    if (rc != 0) {
        if (server->log.fd > 0)
            log_line(&server->log, LOG_WARNING, "%s", diag->text);
        return rc; /* the process ends: what was opened goes with it */
    }
    *out_server = server;
    return 0;
}

int server_run(struct server *server)
{
    for (uint32_t i = 1; i < server->loop_count; i++) {
        if (loop_start(server->loops[i]) != 0)
            assert_fail("a thread cannot be started", __FILE__, __LINE__, __func__);
    }
    log_line(&server->log, LOG_NOTICE,
             "ready on port %u: %s, %u shards, log writer %s; every acknowledged write is durable",
             server->port, server->placement, group_shard_count(server->group),
             group_stats(server->group).log_writer);
    loop_run(server->loops[0]);
    for (uint32_t i = 1; i < server->loop_count; i++)
        loop_join(server->loops[i]);
    log_line(&server->log, LOG_NOTICE, "bye");
    return server->exit_status;
}

void server_free(struct server *server)
{
    const char *pidfile = config_text(&server->config, CONF_PIDFILE);
    if (pidfile[0] != '\0')
        IGNORE(fs_unlink(server->os.fs, pidfile), "the process ends all the same");
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(server->listeners[i]);
    hub_free(server->hub);
    group_stop_parts(server->group);
    pool_free(server->pool);
    for (uint32_t i = 0; i < server->loop_count; i++)
        loop_free(server->loops[i]);
    group_close(server->group);
    command_table_free(server->table);
    epoch_free(server->epoch);
    log_close(&server->log);
    config_fini(&server->config);
    mem_free(server);
}
