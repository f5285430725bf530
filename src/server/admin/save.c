/* SPDX-License-Identifier: Apache-2.0 */
/* SAVE, BGSAVE, LASTSAVE and BGREWRITEAOF: every one of them makes a checkpoint, the difference is
 * who waits for it. No write needs any of them to be durable (P1). */

#include "base/err.h"
#include "base/mem.h"
#include "command/args.h"
#include "engine/group_stats.h"
#include "os/process.h"
#include "server/config/config_internal.h"
#include "server/server_internal.h"

struct saving {
    struct group_checkpoint_request request;
    struct server *server;
    struct session_ticket *ticket; /* NULL: nobody waits */
};

static void answer(struct session_ticket *ticket, int error)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(ticket));
    if (error == 0)
        reply_ok(&reply);
    else
        reply_errorf(&reply, "ERR the checkpoint failed: %s", err_text(error));
    session_answer(ticket, buf_slice(&out));
    buf_fini(&out);
}

void server_saved(struct server *server, int error)
{
    if (error == 0)
        atomic_store(&server->saved_ms, clock_wall_ms(server->os.clock));
    atomic_store(&server->is_saving, false);
}

static void on_saved(struct group_checkpoint_request *request)
{
    struct saving *saving = CONTAINER_OF(request, struct saving, request);
    struct server *server = saving->server;
    if (saving->ticket == NULL) {
        server_saved(server, request->error);
    } else {
        if (request->error == 0)
            atomic_store(&server->saved_ms, clock_wall_ms(server->os.clock));
        answer(saving->ticket, request->error);
    }
    mem_free(saving);
}

static void begin_saving(struct call *call, bool is_waiting)
{
    struct server *server = session_server(call->session);
    struct saving *saving = mem_calloc(1, sizeof(*saving));
    saving->server = server;
    saving->request.loop = session_loop(call->session);
    saving->request.on_done = on_saved;
    saving->ticket = is_waiting ? session_defer(call) : NULL;
    group_checkpoint(server->group, &saving->request);
}

static int run_save(struct call *call)
{
    struct server *server = session_server(call->session);
    if (atomic_load(&server->is_saving))
        reply_error(call->reply, "ERR Background save already in progress");
    else
        begin_saving(call, true);
    return 0;
}

static void begin_in_background(struct call *call, const char *busy, const char *started)
{
    struct server *server = session_server(call->session);
    if (atomic_exchange(&server->is_saving, true)) {
        reply_error(call->reply, busy);
        return;
    }
    begin_saving(call, false);
    reply_status(call->reply, started);
}

/* `<backup-dir>/ferric-<time>`, absolute; empty if no backup-dir is set. */
static void backup_path(struct server *server, struct buf *out)
{
    char date[48];
    struct buf dir = {0};
    lock_take(&server->config->lock);
    buf_append_str(&dir, config_text(server->config, CONF_BACKUP_DIR));
    lock_drop(&server->config->lock);
    if (dir.len > 0) {
        IGNORE(process_date_iso(date, sizeof(date)), "it fits");
        buf_append_format(&dir, "/ferric-%s", date);
        buf_append_byte(&dir, 0);
        IGNORE(process_absolute_path((const char *)dir.data, out), "then it is refused");
    }
    buf_fini(&dir);
}

static int run_bgsave(struct call *call)
{
    struct server *server = session_server(call->session);
    struct buf dir = {0};
    if (call->argc == 1)
        backup_path(server, &dir);
    if (dir.len > 0) {
        if (group_stats(server->group).backup_total_bytes != 0 ||
            atomic_exchange(&server->is_saving, true)) {
            reply_error(call->reply, "ERR Background save already in progress");
        } else {
            server_begin_backup(server, session_loop(call->session), NULL, &dir);
            reply_status(call->reply, "Background saving started");
        }
        buf_fini(&dir);
        return 0;
    }
    if (call->argc > 2 || (call->argc == 2 && !slice_is(call->argv[1], "schedule")))
        reply_error(call->reply, TEXT_SYNTAX);
    else
        begin_in_background(call, "ERR Background save already in progress",
                            "Background saving started");
    return 0;
}

static int run_bgrewriteaof(struct call *call)
{
    begin_in_background(call, "ERR Background append only file rewriting already in progress",
                        "Background append only file rewriting started");
    return 0;
}

uint64_t server_last_save_ms(struct server *server)
{
    uint64_t asked_ms = atomic_load(&server->saved_ms);
    uint64_t made_ms = group_stats(server->group).last_checkpoint_ms;
    uint64_t last_ms = asked_ms > made_ms ? asked_ms : made_ms;
    return last_ms != 0 ? last_ms : server->started_ms;
}

bool server_is_saving(struct server *server)
{
    return atomic_load(&server->is_saving);
}

static int run_lastsave(struct call *call)
{
    uint64_t last_ms = server_last_save_ms(session_server(call->session));
    reply_int(call->reply, (int64_t)(last_ms / 1000));
    return 0;
}

#define SAVE_FLAGS (CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING)
#define COST       "O(N), N being the bytes written since the last checkpoint"

static const struct command_row rows[] = {
    {
        .name = "save",
        .arity = {1, 1},
        .flags = SAVE_FLAGS | CMD_NO_MULTI,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = COST,
        .summary = "Makes a checkpoint and replies when it is done; others are served meanwhile.",
        .syntax = "",
        .run = run_save,
    },
    {
        .name = "bgsave",
        .arity = {1, ARITY_ANY},
        .flags = SAVE_FLAGS,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = COST,
        .summary = "Begins a checkpoint.",
        .syntax = "[SCHEDULE]",
        .run = run_bgsave,
    },
    {
        .name = "bgrewriteaof",
        .arity = {1, 1},
        .flags = SAVE_FLAGS,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = COST,
        .summary = "Begins a checkpoint, behind which the log is used again.",
        .syntax = "",
        .run = run_bgrewriteaof,
    },
    {
        .name = "lastsave",
        .arity = {1, 1},
        .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
        .scope = SCOPE_NODE,
        .categories = "admin fast dangerous",
        .tips = "nondeterministic_output",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns when the last checkpoint was made, in seconds since the epoch.",
        .syntax = "",
        .run = run_lastsave,
    },
};

const struct command_family save_family = {
    .name = "save", .rows = rows, .row_count = ARRAY_COUNT(rows)};
