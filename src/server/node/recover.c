/* SPDX-License-Identifier: Apache-2.0 */
/* Being reachable while the state on disk is recovered. The recovery has a thread of its own; the
 * first loop runs meanwhile, and its connections get -LOADING for all that needs data. No other
 * loop runs yet, so that all components can be put to work afterwards as if nobody were there.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "server/server_internal.h"

#define PROGRESS_STEP 10 /* per cent between two lines of progress */

/* ---- Progress ---- */

static uint64_t percent_of(uint64_t done, uint64_t total)
{
    return total == 0 ? 100 : done * 100 / total;
}

static void publish(struct server *server, uint64_t done, uint64_t total)
{
    atomic_store_explicit(&server->loading.done_bytes, done, memory_order_relaxed);
    atomic_store_explicit(&server->loading.total_bytes, total, memory_order_relaxed);
}

void server_on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    struct server *server = ctx;
    uint64_t percent = percent_of(done, total);
    if (server->last_what != what)
        atomic_store_explicit(&server->loading.since_ms, clock_wall_ms(server->os.clock),
                              memory_order_relaxed);
    publish(server, done, total);
    if (server->last_what == what && percent < server->last_progress + PROGRESS_STEP)
        return;
    server->last_what = what;
    server->last_progress = percent;
    log_line(&server->log, LOG_NOTICE, "recovery: %s %llu %% (%llu of %llu MiB)", what,
             (unsigned long long)percent, (unsigned long long)(done >> 20),
             (unsigned long long)(total >> 20));
    server_notify(server, "STATUS=Loading: %s %llu %%", what, (unsigned long long)percent);
}

struct server_loading server_loading(const struct server *server)
{
    uint64_t now_ms = clock_wall_ms(server->os.clock);
    uint64_t since_ms = atomic_load_explicit(&server->loading.since_ms, memory_order_relaxed);
    struct server_loading loading = {
        .start_ms = server->started_ms,
        .total_bytes = atomic_load_explicit(&server->loading.total_bytes, memory_order_relaxed),
        .done_bytes = atomic_load_explicit(&server->loading.done_bytes, memory_order_relaxed),
    };
    uint64_t done = loading.done_bytes;
    uint64_t left = loading.total_bytes > done ? loading.total_bytes - done : 0;
    uint64_t took_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    loading.percent = percent_of(done, loading.total_bytes);
    loading.left_s =
        done == 0 ? 1 : (uint64_t)((double)took_ms * (double)left / (double)done) / 1000;
    return loading;
}

/* ---- The recovery ---- */

struct recovery {
    struct server *server;
    struct thread thread;
    struct diag *diag;
    int error;
};

static void recover(void *ctx)
{
    struct recovery *recovery = ctx;
    recovery->error = group_recover(recovery->server->group, recovery->diag);
    loop_stop(recovery->server->loops[0]);
}

/* Damage is refused and never mended on the way (P5): people decide. */
static void add_advice(struct diag *diag)
{
    size_t len = strlen(diag->text);
    snprintf(
        diag->text + len, sizeof(diag->text) - len,
        ". What is damaged was left as it is: keep a copy of the directory, then restore a backup, "
        "or see what 'ferric-check verify' and 'repair' can do");
}

int server_recover(struct server *server, struct diag *diag)
{
    struct recovery recovery = {.server = server, .diag = diag};
    server->is_recovering = true;
    if (thread_start(&recovery.thread, "recovery", recover, &recovery) != 0)
        recover(&recovery); /* nobody is served meanwhile */
    loop_run(server->loops[0]);
    thread_join(&recovery.thread);
    server->is_recovering = false;
    int rc = recovery.error;
    if (rc == ERR_CORRUPT)
        add_advice(diag);
    if (rc == 0)
        rc = group_start(server->group, diag);
    if (rc != 0) {
        if (config_text(server->config, CONF_LOGFILE)[0] != '\0')
            log_line(&server->log, LOG_WARNING, "%s", diag->text);
        server_leave(server);
        return rc;
    }
    server_write_pidfile(server);
    lock_take(&server->config->lock);
    server_apply(server);
    lock_drop(&server->config->lock);
    hub_spread(server->hub);
    return 0;
}

void server_leave(struct server *server)
{
    server_notify(server, "STOPPING=1");
    server_stop_listening(server);
}
