/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a node: its parts are opened bottom first, run, and closed in reverse order. The end
 * begins at the group: it takes no more writes, finishes those under way and makes a checkpoint;
 * then the connections get the replies they are owed and are closed, then the loops end. */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/process.h"
#include "server/server_internal.h"

/* ---- Accessors ---- */

struct config *server_config(struct server *server)
{
    return server->config;
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

struct pool *server_pool(struct server *server)
{
    return server->pool;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

uint64_t server_started_ms(const struct server *server)
{
    return server->started_ms;
}

size_t server_memory_before(const struct server *server)
{
    return server->started_memory;
}

uint64_t server_expired_before(const struct server *server)
{
    return atomic_load(&server->expired_before);
}

void server_reset_stats(struct server *server)
{
    hub_reset_stats(server->hub);
    atomic_store(&server->expired_before, group_stats(server->group).expired_keys);
    for (uint32_t i = 0; i < server->loop_count; i++)
        loop_stats_reset_longest(server->loops[i]);
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
                 "second signal: ending at once. Nothing acknowledged is lost");
        _Exit(1);
    }
    log_line(&server->log, LOG_NOTICE, "received %s", signum == SIGINT ? "SIGINT" : "SIGTERM");
    server_shutdown(server, true);
}

/* ---- Life ---- */

void server_log_remarks(struct server *server)
{
    struct buf *remarks = &server->config->remarks;
    struct slice rest = buf_slice(remarks);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
        log_line(&server->log, LOG_WARNING, "%.*s", SLICE_FMT(slice_sub(rest, 0, len)));
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
    buf_fini(remarks);
}

static int open_parts(struct server *server, struct diag *diag)
{
    server_fit_max_clients(server);
    server->epoch = epoch_new();
    server->table = command_table_new(server_families, server_family_count);
    int rc = pool_new(&(struct pool_options){0}, &server->pool);
    if (rc != 0)
        return diag_set(diag, rc, "background threads cannot be started: %s", err_text(rc));
    rc = server_make_loops(server, diag);
    if (rc == 0)
        rc = server_open_group(server, diag);
    if (rc == 0)
        rc = server_open_hub(server, diag);
    if (rc == 0)
        rc = server_listen(server, diag);
    if (rc == 0)
        rc = server_write_pidfile(server, diag);
    if (rc == 0)
        rc = loop_signal_watch(server->loops[0], SIGTERM, on_signal, server);
    if (rc == 0)
        rc = loop_signal_watch(server->loops[0], SIGINT, on_signal, server);
    return rc;
}

int server_new(struct config *config, struct server **out_server, struct diag *diag)
{
    struct server *server = mem_calloc(1, sizeof(*server));
    server->config = config;
    server->os = os_posix();
    server->started_ms = clock_wall_ms(server->os.clock);
    server->started_memory = mem_stats().allocated;
    snprintf(server->run_id, sizeof(server->run_id), "%016llx%016llx%08x",
             (unsigned long long)chance_u64(server->os.chance),
             (unsigned long long)chance_u64(server->os.chance),
             (unsigned)chance_u64(server->os.chance));
    const char *path = config_text(config, CONF_LOGFILE);
    int rc =
        log_open(&server->log, path, (enum log_level)config_number(config, CONF_LOGLEVEL), diag);
    if (rc == 0) {
        process_ignore_signals();
        log_line(&server->log, LOG_NOTICE, "Ferric " FERRIC_VERSION ", process %d", process_id());
        server_log_remarks(server);
        rc = open_parts(server, diag);
    }
    if (rc != 0) {
        /* The caller tells the terminal; the process ends, and what was opened goes with it. */
        if (path[0] != '\0')
            log_line(&server->log, LOG_WARNING, "%s", diag->text);
        return rc;
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
    server_remove_pidfile(server);
    server_stop_listening(server);
    hub_free(server->hub);
    group_stop_parts(server->group);
    pool_free(server->pool);
    for (uint32_t i = 0; i < server->loop_count; i++)
        loop_free(server->loops[i]);
    group_close(server->group);
    command_table_free(server->table);
    epoch_free(server->epoch);
    log_close(&server->log);
    config_free(server->config);
    mem_free(server);
}
