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
#include "command/rename.h"
#include "engine/group_stats.h"
#include "net/notify.h"
#include "os/crash.h"
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

static void make_id(struct server *server, char *to)
{
    snprintf(
        to, SERVER_ID_SIZE, "%016llx%016llx%08x", (unsigned long long)chance_u64(server->os.chance),
        (unsigned long long)chance_u64(server->os.chance), (unsigned)chance_u64(server->os.chance));
}

void server_repl_id(struct server *server, char *to)
{
    lock_take(&server->id_lock);
    memcpy(to, server->repl_id, SERVER_ID_SIZE);
    lock_drop(&server->id_lock);
}

void server_new_repl_id(struct server *server)
{
    lock_take(&server->id_lock);
    make_id(server, server->repl_id);
    lock_drop(&server->id_lock);
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

/* There is no state yet that could be saved, and what is on disk is right at any time. */
static NORETURN void end_unrecovered(struct server *server)
{
    log_line(&server->log, LOG_NOTICE, "ended before all was loaded; nothing has changed");
    server_leave(server);
    _Exit(0);
}

void server_shutdown(struct server *server, bool with_checkpoint)
{
    if (atomic_exchange(&server->is_stopping, true))
        return;
    if (server->is_recovering)
        end_unrecovered(server);
    server_notify(server, "STOPPING=1\nSTATUS=%s",
                  with_checkpoint ? "Making a checkpoint" : "Ending");
    server->with_checkpoint = with_checkpoint;
    server->shutdown_post.run = on_shutdown;
    loop_post(server->loops[server->log_loop], &server->shutdown_post);
}

static void on_signal(void *ctx, int signum)
{
    struct server *server = ctx;
    /* A second SIGTERM may belong to the same stop, sent to the process and to its group. */
    if (atomic_load(&server->is_stopping) && signum == SIGINT) {
        log_line(&server->log, LOG_WARNING,
                 "SIGINT while stopping: ending at once. Nothing acknowledged is lost");
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

/* All commands, by the names that the configuration gives them. */
static int make_table(const struct config *config, struct command_table **out_table,
                      struct diag *diag)
{
    struct command_table *table = command_table_new(server_families, server_family_count);
    struct slice rest = buf_slice(&config->renames);
    struct slice from;
    struct slice to;
    int rc = 0;
    while (rc == 0 && config_next_rename(&rest, &from, &to)) {
        rc = command_table_rename(table, from, to);
        if (rc != 0)
            rc = diag_set(diag, rc, "rename-command: '%.100s' to '%.100s': %s",
                          (const char *)from.data, (const char *)to.data,
                          rc == ERR_NOT_FOUND ? "there is no such command"
                          : rc == ERR_EXISTS  ? "there is a command of that name"
                                              : "the name is too long");
    }
    if (rc == 0)
        *out_table = table;
    else
        command_table_free(table);
    return rc;
}

int server_check(struct config *config, struct diag *diag)
{
    struct command_table *table = NULL;
    int rc = make_table(config, &table, diag);
    command_table_free(table);
    return rc == 0 ? server_check_places(config, diag) : rc;
}

static int open_parts(struct server *server, struct diag *diag)
{
    server_fit_max_clients(server);
    server->epoch = epoch_new();
    int rc = make_table(server->config, &server->table, diag);
    if (rc != 0)
        return rc;
    rc = pool_new(&(struct pool_options){0}, &server->pool);
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
    server->notify_fd = -1;
    server->started_ms = clock_wall_ms(server->os.clock);
    server->started_memory = mem_stats().allocated;
    make_id(server, server->run_id);
    lock_init(&server->id_lock);
    server_new_repl_id(server);
    const char *path = config_text(config, CONF_LOGFILE);
    int rc =
        log_open(&server->log, path, (enum log_level)config_number(config, CONF_LOGLEVEL), diag);
    if (rc == 0) {
        atomic_store(&server->log.format, (int)config_number(config, CONF_LOG_FORMAT));
        crash_install(server->log.fd, "Ferric " FERRIC_VERSION " (" FERRIC_BUILD ")");
        server_open_notify(server);
        process_ignore_signals();
        log_line(&server->log, LOG_NOTICE, "Ferric " FERRIC_VERSION ", process %d", process_id());
        server_log_remarks(server);
        rc = open_parts(server, diag);
    }
    if (rc != 0) {
        /* The caller tells the terminal; the process ends, and what was opened goes with it. */
        if (path[0] != '\0')
            log_line(&server->log, LOG_WARNING, "%s", diag->text);
        server_leave(server);
        return rc;
    }
    *out_server = server;
    return 0;
}

void server_on_ready(void *ctx)
{
    struct server *server = ctx;
    char where[NET_ADDR_SIZE + 32];
    const char *path = config_text(server->config, CONF_UNIX_SOCKET);
    lock_take(&server->config->lock); /* CONFIG SET may be moving it */
    uint16_t port = server->port;
    lock_drop(&server->config->lock);
    if (port == 0)
        snprintf(where, sizeof(where), "socket %s", path);
    else
        snprintf(where, sizeof(where), "port %u", port);
    log_line(&server->log, LOG_NOTICE, "ready on %s: %s, %u shards, log writer %s", where,
             server->placement, group_shard_count(server->group),
             group_stats(server->group).log_writer);
    log_line(&server->log, LOG_NOTICE,
             "every acknowledged write is durable: one waits for a sync of %.300s/log, which takes "
             "%llu.%03llu ms here",
             config_text(server->config, CONF_DIR), (unsigned long long)(server->sync_us / 1000),
             (unsigned long long)(server->sync_us % 1000));
    server_notify(server, "READY=1\nSTATUS=Serving; every acknowledged write is durable");
}

int server_run(struct server *server)
{
    for (uint32_t i = 1; i < server->loop_count; i++) {
        if (loop_start(server->loops[i]) != 0)
            assert_fail("a thread cannot be started", __FILE__, __LINE__, __func__);
    }
    loop_run(server->loops[0]);
    process_hold_sigterm(); /* with the loop goes who would hear it */
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
    notify_close(server->notify_fd);
    epoch_free(server->epoch);
    lock_fini(&server->id_lock);
    log_close(&server->log);
    config_free(server->config);
    mem_free(server);
}
