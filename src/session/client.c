/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT, but for what concerns other connections: client_tour.c. */
#include "command/args.h"
#include "command/help.h"
#include "session/session_internal.h"

#define NAME_MAX_SIZE 4096

/* ---- Names ---- */

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '!' || text.data[i] > '~')
            return false;
    }
    return true;
}

/* Redis sets no limit of its own; a name is for people to read. */
static bool is_short(struct slice text, struct reply *reply)
{
    if (text.len <= NAME_MAX_SIZE)
        return true;
    reply_errorf(reply, "ERR a name is longer than %d bytes", NAME_MAX_SIZE);
    return false;
}

bool session_check_name(struct slice name, struct reply *reply)
{
    if (!is_short(name, reply))
        return false;
    if (is_printable(name))
        return true;
    reply_error(reply, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

void session_set_name(struct session *session, struct slice name)
{
    buf_fini(&session->name);
    buf_append_slice(&session->name, name);
}

static int run_setname(struct call *call)
{
    if (!session_check_name(call->argv[2], call->reply))
        return 0;
    session_set_name(call->session, call->argv[2]);
    reply_ok(call->reply);
    return 0;
}

static int run_getname(struct call *call)
{
    if (call->session->name.len == 0)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, buf_slice(&call->session->name));
    return 0;
}

static int run_setinfo(struct call *call)
{
    struct session *session = call->session;
    bool is_name = slice_is(call->argv[2], "lib-name");
    if (!is_name && !slice_is(call->argv[2], "lib-ver")) {
        reply_errorf(call->reply, "ERR Unrecognized option '%.*s'",
                     SLICE_FMT(slice_sub(call->argv[2], 0, 128)));
        return 0;
    }
    if (!is_short(call->argv[3], call->reply))
        return 0;
    if (!is_printable(call->argv[3])) {
        reply_errorf(call->reply, "ERR %.*s cannot contain spaces, newlines or special characters.",
                     SLICE_FMT(call->argv[2]));
        return 0;
    }
    struct buf *field = is_name ? &session->lib_name : &session->lib_version;
    buf_fini(field);
    buf_append_slice(field, call->argv[3]);
    reply_ok(call->reply);
    return 0;
}

static int run_id(struct call *call)
{
    reply_int(call->reply, (int64_t)call->session->id);
    return 0;
}

/* ---- Describing ---- */

static void put_flags(const struct session *session, struct buf *to)
{
    size_t mark = to->len;
    if (session->is_monitor)
        buf_append_byte(to, 'O');
    if (session_is_subscribed(session))
        buf_append_byte(to, 'P');
    if (session->in_multi)
        buf_append_byte(to, 'x');
    if (session->tracker != NULL)
        buf_append_byte(to, 't');
    if (tracking_is_broken(session))
        buf_append_byte(to, 'R');
    if (tracking_is_bcast(session))
        buf_append_byte(to, 'B');
    if (session->waits_for_pause || session->wait != NULL)
        buf_append_byte(to, 'b');
    if (!session->conn.is_closing && net_is_unix(session->conn.watch.fd))
        buf_append_byte(to, 'U');
    if (session->is_no_evict)
        buf_append_byte(to, 'e');
    if (session->is_no_touch)
        buf_append_byte(to, 'T');
    if (to->len == mark)
        buf_append_byte(to, 'N');
}

size_t session_bytes(const struct session *session)
{
    return sizeof(*session) + conn_memory(&session->conn) + session->queue_bytes +
           session->unfinished_bytes;
}

void session_describe(const struct session *session, struct buf *to)
{
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    conn_addresses(&session->conn, peer, local);
    const struct command_row *row = session->last_row;
    uint64_t wall_ms = loop_wall_ms(session->host->loop);
    uint64_t now_ms = loop_now_ms(session->host->loop);
    uint64_t age_ms = wall_ms > session->created_ms ? wall_ms - session->created_ms : 0;
    size_t unread = conn_unused(&session->conn);
    buf_append_format(to, "id=%llu addr=%s laddr=%s fd=%d name=%.*s age=%llu idle=%llu flags=",
                      (unsigned long long)session->id, peer, local, session->conn.watch.fd,
                      SLICE_FMT(buf_slice(&session->name)), (unsigned long long)(age_ms / 1000),
                      (unsigned long long)((now_ms - session->last_ms) / 1000));
    put_flags(session, to);
    buf_append_format(to,
                      " db=%u sub=%u psub=%u ssub=%u multi=%lld qbuf=%zu qbuf-free=%zu argv-mem=0 "
                      "multi-mem=%zu rbs=0 rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu events=r",
                      session->db, session_subscriptions(session, TOPIC_CHANNEL),
                      session_subscriptions(session, TOPIC_PATTERN),
                      session_subscriptions(session, TOPIC_SHARD),
                      session->in_multi ? (long long)session->queue_count : -1,
                      unread + session->running_bytes, session->conn.unread.cap - unread,
                      session->queue_bytes, conn_queued(&session->conn), session_bytes(session));
    buf_append_format(
        to, " cmd=%s%s%s user=default redir=%lld resp=%u lib-name=%.*s lib-ver=%.*s\n",
        row == NULL           ? "NULL"
        : row->parent != NULL ? row->parent
                              : row->name,
        row != NULL && row->parent != NULL ? "|" : "",
        row != NULL && row->parent != NULL ? row->name : "", (long long)tracking_redirect(session),
        session->proto, SLICE_FMT(buf_slice(&session->lib_name)),
        SLICE_FMT(buf_slice(&session->lib_version)));
}

static int run_info(struct call *call)
{
    struct buf text = {0};
    session_describe(call->session, &text);
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

static int run_reply(struct call *call)
{
    struct session *session = call->session;
    struct slice mode = call->argv[2];
    if (slice_is(mode, "on")) {
        session->reply_mode = REPLY_ON;
        reply_ok(call->reply);
    } else if (slice_is(mode, "off")) {
        session->reply_mode = REPLY_OFF;
    } else if (slice_is(mode, "skip")) {
        if (session->reply_mode == REPLY_ON)
            session->reply_mode = REPLY_SKIP_NEXT;
    } else {
        reply_error(call->reply, TEXT_SYNTAX);
    }
    return 0;
}

/* ON or OFF. */
static int set_switch(struct call *call, bool *to)
{
    bool is_on = slice_is(call->argv[2], "on");
    if (is_on || slice_is(call->argv[2], "off")) {
        *to = is_on;
        reply_ok(call->reply);
    } else {
        reply_error(call->reply, TEXT_SYNTAX);
    }
    return 0;
}

/* Both are shown by CLIENT LIST and change nothing else: no client is closed to free memory, and no
 * key either. */
static int run_no_evict(struct call *call)
{
    return set_switch(call, &call->session->is_no_evict);
}

static int run_no_touch(struct call *call)
{
    return set_switch(call, &call->session->is_no_touch);
}

#define CLIENT_SUB(sub, lo, hi, more_flags, more_categories, hints, from, fn, doc, args)         \
    {                                                                                            \
        .name = (sub), .parent = "client", .arity = {(lo), (hi)},                                \
        .flags = CMD_LOADING | CMD_STALE | (more_flags), .scope = SCOPE_NODE,                    \
        .categories = "slow connection" more_categories, .tips = (hints), .group = "connection", \
        .since = (from), .complexity = "O(1)", .summary = (doc), .syntax = (args), .run = (fn),  \
    }
#define FOR_ADMINS    " admin dangerous"
#define ON_EVERY_NODE "request_policy:all_nodes response_policy:all_succeeded"

static const struct command_row rows[] = {
    {
        .name = "client",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "connection",
        .since = "2.4.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for client connection commands.",
        .syntax = "",
    },
    CLIENT_SUB("getname", 2, 2, CMD_NOSCRIPT, "", NULL, "2.6.9", run_getname,
               "Returns the name of the connection.", ""),
    CLIENT_SUB("help", 2, 2, 0, "", NULL, "5.0.0", help_run,
               "Returns helpful text about the different subcommands.", ""),
    CLIENT_SUB("id", 2, 2, CMD_NOSCRIPT, "", NULL, "5.0.0", run_id,
               "Returns the unique client ID of the connection.", ""),
    CLIENT_SUB("info", 2, 2, CMD_NOSCRIPT, "", "nondeterministic_output", "6.2.0", run_info,
               "Returns information about the connection.", ""),
    CLIENT_SUB("kill", 3, ARITY_ANY, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS, NULL, "2.4.0",
               client_kill, "Terminates open connections.",
               "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER "
               "username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>]>"),
    CLIENT_SUB("list", 2, ARITY_ANY, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS,
               "nondeterministic_output", "2.4.0", client_list, "Lists open connections.",
               "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]"),
    CLIENT_SUB("no-evict", 3, 3, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS, NULL, "7.0.0", run_no_evict,
               "Sets the client eviction mode of the connection; nothing is evicted.",
               "<ON | OFF>"),
    CLIENT_SUB("no-touch", 3, 3, CMD_NOSCRIPT, "", NULL, "7.2.0", run_no_touch,
               "Sets whether the connection's reads are to count as uses of keys; for CLIENT LIST.",
               "<ON | OFF>"),
    CLIENT_SUB("pause", 3, ARITY_ANY, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS, NULL, "3.0.0",
               client_pause, "Suspends commands processing.", "timeout [WRITE | ALL]"),
    CLIENT_SUB("reply", 3, 3, CMD_NOSCRIPT, "", NULL, "3.2.0", run_reply,
               "Instructs the server whether to reply to commands.", "<ON | OFF | SKIP>"),
    CLIENT_SUB("setinfo", 4, 4, CMD_NOSCRIPT, "", ON_EVERY_NODE, "7.2.0", run_setinfo,
               "Sets information specific to the client or connection.",
               "<LIB-NAME libname | LIB-VER libver>"),
    CLIENT_SUB("setname", 3, 3, CMD_NOSCRIPT, "", ON_EVERY_NODE, "2.6.9", run_setname,
               "Sets the connection name.", "connection-name"),
    CLIENT_SUB("unblock", 3, ARITY_ANY, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS, NULL, "5.0.0",
               client_unblock, "Ends the WAIT or WAITAOF of another client.",
               "client-id [TIMEOUT | ERROR]"),
    CLIENT_SUB("unpause", 2, 2, CMD_NOSCRIPT | CMD_ADMIN, FOR_ADMINS, NULL, "6.2.0", client_unpause,
               "Resumes processing commands from paused clients.", ""),
};

const struct command_family client_family = {
    .name = "client", .rows = rows, .row_count = ARRAY_COUNT(rows)};
