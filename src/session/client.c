/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT. What concerns all connections goes round the hosts, one after the other, and comes back.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "session/session_internal.h"

/* ---- Names ---- */

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '!' || text.data[i] > '~')
            return false;
    }
    return true;
}

bool session_set_name(struct session *session, struct slice name, struct reply *reply)
{
    if (!is_printable(name)) {
        reply_error(reply,
                    "ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    buf_fini(&session->name);
    buf_append_slice(&session->name, name);
    return true;
}

static int run_setname(struct call *call)
{
    if (session_set_name(call->session, call->argv[2], call->reply))
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
    if (!is_printable(call->argv[3])) {
        reply_errorf(call->reply, "ERR %s cannot contain spaces, newlines or special characters.",
                     is_name ? "lib-name" : "lib-ver");
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

void session_describe(const struct session *session, struct buf *to)
{
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    conn_addresses(&session->conn, peer, local);
    const struct command_row *row = session->last_row;
    uint64_t wall_ms = loop_wall_ms(session->host->loop);
    uint64_t now_ms = loop_now_ms(session->host->loop);
    uint64_t age_ms = wall_ms > session->created_ms ? wall_ms - session->created_ms : 0;
    size_t unread = session->conn.unread.len;
    buf_append_format(to, "id=%llu addr=%s laddr=%s fd=%d name=%.*s age=%llu idle=%llu flags=%s",
                      (unsigned long long)session->id, peer, local, session->conn.watch.fd,
                      SLICE_FMT(buf_slice(&session->name)), (unsigned long long)(age_ms / 1000),
                      (unsigned long long)((now_ms - session->last_ms) / 1000),
                      session->in_multi ? "x" : "N");
    buf_append_format(to,
                      " db=%u sub=0 psub=0 ssub=0 multi=%lld qbuf=%zu qbuf-free=%zu argv-mem=0 "
                      "multi-mem=%zu rbs=0 rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu events=r",
                      session->db, session->in_multi ? (long long)session->queue_count : -1, unread,
                      session->conn.unread.cap - unread, session->queue_bytes,
                      conn_queued(&session->conn),
                      sizeof(*session) + conn_memory(&session->conn) + session->queue_bytes);
    buf_append_format(to, " cmd=%s%s%s user=default redir=-1 resp=%u lib-name=%.*s lib-ver=%.*s\n",
                      row == NULL           ? "NULL"
                      : row->parent != NULL ? row->parent
                                            : row->name,
                      row != NULL && row->parent != NULL ? "|" : "",
                      row != NULL && row->parent != NULL ? row->name : "", session->proto,
                      SLICE_FMT(buf_slice(&session->lib_name)),
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

/* ---- Round the hosts ---- */

enum filter_kind {
    FILTER_ID = 1,
    FILTER_ADDR = 2,
    FILTER_LADDR = 4,
    FILTER_USER = 8,
    FILTER_TYPE = 16
};

struct filter {
    unsigned kinds;
    uint64_t *ids;
    size_t id_count;
    char addr[NET_ADDR_SIZE];
    char laddr[NET_ADDR_SIZE];
    bool has_wrong_user;
    bool has_other_type; /* pubsub, replica: no connection here is one */
    bool skips_me;
};

struct tour {
    struct loop_post post;
    struct hub *hub;
    uint32_t host_idx;
    uint32_t home_idx;
    bool is_kill;
    bool is_old_kill; /* CLIENT KILL addr: OK or an error */
    struct filter filter;
    uint64_t asker_id;
    uint64_t killed;
    struct buf text;
    struct session_ticket *ticket;
};

static bool has_id(const struct filter *filter, uint64_t id)
{
    for (size_t i = 0; i < filter->id_count; i++) {
        if (filter->ids[i] == id)
            return true;
    }
    return false;
}

static bool passes(const struct tour *tour, const struct session *session)
{
    const struct filter *filter = &tour->filter;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    if (filter->has_wrong_user || filter->has_other_type)
        return false;
    if ((filter->kinds & FILTER_ID) != 0 && !has_id(filter, session->id))
        return false;
    if (filter->skips_me && session->id == tour->asker_id)
        return false;
    conn_addresses(&session->conn, peer, local);
    if ((filter->kinds & FILTER_ADDR) != 0 && strcmp(peer, filter->addr) != 0)
        return false;
    return (filter->kinds & FILTER_LADDR) == 0 || strcmp(local, filter->laddr) == 0;
}

static void visit(struct tour *tour, struct host *host)
{
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->conn.is_closing || !passes(tour, session))
            continue;
        if (!tour->is_kill) {
            session_describe(session, &tour->text);
            continue;
        }
        tour->killed++;
        if (session->id == tour->asker_id)
            session_close_after_reply(session);
        else
            session_close_now(session);
    }
}

static void end_tour(struct tour *tour)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(tour->ticket));
    if (!tour->is_kill)
        reply_verbatim(&reply, "txt", buf_slice(&tour->text));
    else if (!tour->is_old_kill)
        reply_int(&reply, (int64_t)tour->killed);
    else if (tour->killed > 0)
        reply_ok(&reply);
    else
        reply_error(&reply, "ERR No such client");
    session_answer(tour->ticket, buf_slice(&out));
    buf_fini(&out);
    buf_fini(&tour->text);
    mem_free(tour->filter.ids);
    mem_free(tour);
}

static void on_stop_of_tour(struct loop_post *post)
{
    struct tour *tour = CONTAINER_OF(post, struct tour, post);
    uint32_t count = tour->hub->options.loop_count;
    if (tour->host_idx == count) {
        end_tour(tour);
        return;
    }
    visit(tour, &tour->hub->hosts[tour->host_idx]);
    tour->host_idx++;
    uint32_t next = tour->host_idx == count ? tour->home_idx : tour->host_idx;
    loop_post(tour->hub->hosts[next].loop, &tour->post);
}

static void start_tour(struct call *call, const struct tour *plan)
{
    struct host *home = call->session->host;
    struct tour *tour = mem_alloc(sizeof(*tour));
    *tour = *plan;
    tour->hub = home->hub;
    tour->home_idx = (uint32_t)(home - home->hub->hosts);
    tour->asker_id = call->session->id;
    tour->ticket = session_defer(call);
    tour->post.run = on_stop_of_tour;
    loop_post(tour->hub->hosts[0].loop, &tour->post);
}

/* ---- CLIENT LIST and CLIENT KILL ---- */

static bool read_ids(struct call *call, uint32_t from, uint32_t to, struct filter *filter)
{
    filter->kinds |= FILTER_ID;
    filter->ids = mem_realloc(filter->ids, (filter->id_count + to - from) * sizeof(*filter->ids));
    for (uint32_t i = from; i < to; i++) {
        int64_t id;
        if (!num_parse_i64(call->argv[i], &id) || id <= 0) {
            reply_error(call->reply, call->argc == to && !slice_is(call->argv[1], "list")
                                         ? "ERR client-id should be greater than 0"
                                         : "ERR Invalid client ID");
            return false;
        }
        filter->ids[filter->id_count++] = (uint64_t)id;
    }
    return true;
}

static bool read_type(struct call *call, uint32_t nth, struct filter *filter)
{
    struct slice type = call->argv[nth];
    filter->kinds |= FILTER_TYPE;
    if (slice_is(type, "normal"))
        return true;
    if (slice_is(type, "master") || slice_is(type, "replica") || slice_is(type, "slave") ||
        slice_is(type, "pubsub")) {
        filter->has_other_type = true;
        return true;
    }
    reply_errorf(call->reply, "ERR Unknown client type '%.*s'", SLICE_FMT(slice_sub(type, 0, 128)));
    return false;
}

static void copy_addr(char *to, struct slice addr)
{
    size_t len = addr.len < NET_ADDR_SIZE - 1 ? addr.len : NET_ADDR_SIZE - 1;
    memcpy(to, addr.data, len);
    to[len] = '\0';
}

static int run_list(struct call *call)
{
    struct tour plan = {0};
    bool is_good = true;
    if (call->argc == 4 && slice_is(call->argv[2], "type"))
        is_good = read_type(call, 3, &plan.filter);
    else if (call->argc > 3 && slice_is(call->argv[2], "id"))
        is_good = read_ids(call, 3, call->argc, &plan.filter);
    else if (call->argc != 2) {
        reply_error(call->reply, TEXT_SYNTAX);
        is_good = false;
    }
    if (is_good)
        start_tour(call, &plan);
    else
        mem_free(plan.filter.ids);
    return 0;
}

/* One "name value" pair of CLIENT KILL; false after an error. */
static bool read_kill_filter(struct call *call, uint32_t at, struct filter *filter)
{
    struct slice name = call->argv[at];
    struct slice value = call->argv[at + 1];
    if (slice_is(name, "id"))
        return read_ids(call, at + 1, at + 2, filter);
    if (slice_is(name, "type"))
        return read_type(call, at + 1, filter);
    if (slice_is(name, "addr")) {
        filter->kinds |= FILTER_ADDR;
        copy_addr(filter->addr, value);
        return true;
    }
    if (slice_is(name, "laddr")) {
        filter->kinds |= FILTER_LADDR;
        copy_addr(filter->laddr, value);
        return true;
    }
    if (slice_is(name, "user")) {
        filter->kinds |= FILTER_USER;
        filter->has_wrong_user = !slice_is(value, "default");
        if (filter->has_wrong_user)
            reply_errorf(call->reply, "ERR No such user '%.*s'",
                         SLICE_FMT(slice_sub(value, 0, 128)));
        return !filter->has_wrong_user;
    }
    if (slice_is(name, "skipme") && (slice_is(value, "yes") || slice_is(value, "no"))) {
        filter->skips_me = slice_is(value, "yes");
        return true;
    }
    reply_error(call->reply, TEXT_SYNTAX);
    return false;
}

static int run_kill(struct call *call)
{
    struct tour plan = {.is_kill = true};
    if (call->argc == 3) {
        plan.is_old_kill = true;
        plan.filter.kinds = FILTER_ADDR;
        copy_addr(plan.filter.addr, call->argv[2]);
        start_tour(call, &plan);
        return 0;
    }
    plan.filter.skips_me = true;
    bool is_good = call->argc % 2 == 0;
    if (!is_good)
        reply_error(call->reply, TEXT_SYNTAX);
    for (uint32_t i = 2; is_good && i < call->argc; i += 2)
        is_good = read_kill_filter(call, i, &plan.filter);
    if (is_good)
        start_tour(call, &plan);
    else
        mem_free(plan.filter.ids);
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

#define CLIENT_SUB(sub, lo, hi, fn, doc, args)                                           \
    {                                                                                    \
        .name = (sub), .parent = "client", .arity = {(lo), (hi)},                        \
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST, .scope = SCOPE_NODE, \
        .categories = "slow connection", .group = "connection", .since = "2.4.0",        \
        .complexity = "O(1)", .summary = (doc), .syntax = (args), .run = (fn),           \
    }

static const struct command_row rows[] = {
    {
        .name = "client",
        .arity = {2, ARITY_ANY},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "connection",
        .since = "2.4.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for client connection commands.",
        .syntax = "",
    },
    CLIENT_SUB("id", 2, 2, run_id, "Returns the unique client ID of the connection.", ""),
    CLIENT_SUB("info", 2, 2, run_info, "Returns information about the connection.", ""),
    CLIENT_SUB("list", 2, ARITY_ANY, run_list, "Lists open connections.",
               "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]"),
    CLIENT_SUB("getname", 2, 2, run_getname, "Returns the name of the connection.", ""),
    CLIENT_SUB("setname", 3, 3, run_setname, "Sets the connection name.", "connection-name"),
    CLIENT_SUB("setinfo", 4, 4, run_setinfo,
               "Sets information specific to the client or connection.",
               "<LIB-NAME libname | LIB-VER libver>"),
    CLIENT_SUB("kill", 3, ARITY_ANY, run_kill, "Terminates open connections.",
               "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER "
               "username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>]>"),
    CLIENT_SUB("reply", 3, 3, run_reply, "Instructs the server whether to reply to commands.",
               "<ON | OFF | SKIP>"),
};

const struct command_family client_family = {
    .name = "client", .rows = rows, .row_count = ARRAY_COUNT(rows)};
