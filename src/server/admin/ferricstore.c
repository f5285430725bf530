/* SPDX-License-Identifier: Apache-2.0 */
/* FERRICSTORE.*: what no Redis has. */
#include "base/err.h"
#include "base/mem.h"
#include "engine/group_backup.h"
#include "engine/group_merge.h"
#include "os/process.h"
#include "server/server_internal.h"

static int run_merge(struct call *call)
{
    struct server *server = session_server(call->session);
    group_merge(server->group);
    reply_ok(call->reply);
    return 0;
}

/* ---- Backup ---- */

struct backing {
    struct group_backup_request request;
    struct server *server;
    struct session_ticket *ticket; /* NULL: nobody waits */
    struct buf dir;
};

static void answer(const struct backing *backing)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(backing->ticket));
    if (backing->request.error == 0)
        reply_ok(&reply);
    else
        reply_errorf(&reply, "ERR backup: %s", backing->request.diag.text);
    session_answer(backing->ticket, buf_slice(&out));
    buf_fini(&out);
}

static void on_backed_up(struct group_backup_request *request)
{
    struct backing *backing = CONTAINER_OF(request, struct backing, request);
    if (backing->ticket != NULL)
        answer(backing);
    else
        server_saved(backing->server, request->error);
    buf_fini(&backing->dir);
    mem_free(backing);
}

void server_begin_backup(struct server *server, struct loop *loop, struct session_ticket *ticket,
                         struct buf *dir)
{
    struct backing *backing = mem_calloc(1, sizeof(*backing));
    backing->server = server;
    backing->ticket = ticket;
    backing->dir = buf_take(dir);
    buf_append_byte(&backing->dir, 0);
    backing->request.loop = loop;
    backing->request.dir = (const char *)backing->dir.data;
    backing->request.on_done = on_backed_up;
    group_backup(server->group, &backing->request);
}

static int run_backup(struct call *call)
{
    struct buf given = {0};
    struct buf dir = {0};
    buf_append_slice(&given, call->argv[1]);
    buf_append_byte(&given, 0);
    int rc = process_absolute_path((const char *)given.data, &dir);
    if (rc != 0 || call->argv[1].len == 0 || memchr(given.data, 0, given.len - 1) != NULL)
        reply_error(call->reply, "ERR backup: name a directory");
    else
        server_begin_backup(session_server(call->session), session_loop(call->session),
                            session_defer(call), &dir);
    buf_fini(&given);
    buf_fini(&dir);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "ferricstore.backup",
        .arity = {2, 2},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "7.2.0",
        .complexity = "O(N), N being the bytes of data files that cannot be linked",
        .summary = "Makes a copy of all data in a new directory, and replies when it is done.",
        .syntax = "directory",
        .run = run_backup,
    },
    {
        .name = "ferricstore.merge",
        .arity = {1, 1},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "7.2.0",
        .complexity = "O(N) in the background, N being the bytes of the data files merged",
        .summary = "Begins to merge the data files that would give space back.",
        .syntax = "",
        .run = run_merge,
    },
};

const struct command_family ferricstore_family = {
    .name = "ferricstore", .rows = rows, .row_count = ARRAY_COUNT(rows)};
