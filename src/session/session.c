/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: bytes to commands, commands to where they run.
 *
 * A session stops parsing, and lets the kernel hold the client up, while
 *   - a command that must be alone is under way (a cold read of several keys, EXEC with NODE
 * commands);
 *   - a command waits for the connection to be quiet (WATCH behind writes);
 *   - the port has no room for more bytes in flight (P7);
 *   - the client does not read its replies (P7).
 */
#include "session/session.h"

#include "base/assert.h"
#include "base/mem.h"
#include "command/args.h"
#include "session/session_internal.h"

/* ---- Replying ---- */

struct reply session_reply_begin(struct session *session)
{
    if (session->first == NULL && session->reply_mode == REPLY_ON)
        return reply_to(conn_out(&session->conn), session->proto);
    session->host->scratch.len = 0;
    return reply_to(&session->host->scratch, session->proto);
}

void session_reply_end(struct session *session)
{
    if (session->first == NULL && session->reply_mode == REPLY_ON) {
        conn_commit(&session->conn);
        return;
    }
    if (session->reply_mode == REPLY_ON && session->host->scratch.len > 0)
        pending_push_done(session, buf_slice(&session->host->scratch));
    buf_reset(&session->host->scratch, 65536);
}

/* ---- Running ---- */

void session_run_node(struct session *session, const struct command_row *row,
                      const struct slice *argv, uint32_t argc, struct reply *reply)
{
    struct call call = {.row = row,
                        .argv = argv,
                        .argc = argc,
                        .db = session->db,
                        .reply = reply,
                        .table = session->host->hub->options.table,
                        .session = session};
    IGNORE(row->run(&call), "a NODE handler answers its errors itself");
}

/* Where a reply that may come at once is written: to the connection, if it is the next one. */
static struct buf *out_for(struct session *session, bool is_direct)
{
    if (is_direct)
        return conn_out(&session->conn);
    session->host->scratch.len = 0;
    return &session->host->scratch;
}

static void run_data(struct session *session, const struct command_row *row,
                     const struct slice *argv, uint32_t argc)
{
    struct pending *pending = pending_new(session, PENDING_REPLY);
    bool is_direct = session->first == NULL && !pending->is_silent;
    struct buf *out = out_for(session, is_direct);
    size_t mark = out->len;
    struct reply reply = reply_to(out, session->proto);
    struct port_request request = {
        .row = row,
        .argv = argv,
        .argc = argc,
        .db = session->db,
        .proto = session->proto,
        .must_follow = session->ordering_count > 0,
        .token = pending,
    };
    enum port_result result = port_execute(session->host->port, &request, &reply);
    if (result == PORT_ANSWERED) {
        if (is_direct)
            conn_commit(&session->conn);
        else if (!pending->is_silent)
            pending_push_done(session, slice_of(out->data + mark, out->len - mark));
        pending_release(session->host, pending);
        return;
    }
    ASSERT(out->len == mark);
    pending_link(session, pending);
    pending_note_taken(session, pending, result);
}

static void reply_text(struct session *session, const char *text)
{
    struct reply reply = session_reply_begin(session);
    reply_error(&reply, text);
    session_reply_end(session);
}

static void refuse(struct session *session)
{
    if (session->in_multi)
        session->is_multi_bad = true;
}

/* The row for a request whose arity fits and which the session may run; otherwise the refusal has
 * been replied. */
static const struct command_row *row_for(struct session *session, const struct slice *argv,
                                         uint32_t argc)
{
    const struct command_row *parent;
    const struct command_row *row =
        command_find(session->host->hub->options.table, argv, argc, &parent);
    bool is_known = row != NULL;
    bool has_run = is_known && row->run != NULL;
    if (has_run && command_arity_fits(row, argc)) {
        if (session->is_authenticated || (row->flags & CMD_NO_AUTH) != 0)
            return row;
        refuse(session);
        reply_text(session, "NOAUTH Authentication required.");
        return NULL;
    }
    struct reply reply = session_reply_begin(session);
    if (is_known)
        args_reply_arity(&reply, row);
    else if (parent != NULL)
        args_reply_unknown_sub(&reply, parent, argv[1]);
    else
        args_reply_unknown(&reply, argv, argc);
    session_reply_end(session);
    refuse(session);
    return NULL;
}

static void run_here(struct session *session, const struct command_row *row,
                     const struct slice *argv, uint32_t argc)
{
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    session->is_deferred = false;
    if (session->in_multi && (row->flags & CMD_IN_MULTI_NOW) == 0)
        multi_queue(session, row, argv, argc, &reply);
    else if (row == session->host->hub->exec_row)
        multi_exec(session, &reply);
    else
        session_run_node(session, row, argv, argc, &reply);
    /* What has taken a pending entry of its own has nothing to say now. */
    if (!session->is_deferred)
        session_reply_end(session);
    else
        ASSERT(reply.out->len == mark);
}

static void note_reply_mode(struct session *session)
{
    if (session->reply_mode == REPLY_SKIP_NEXT)
        session->reply_mode = REPLY_SKIPPING;
    else if (session->reply_mode == REPLY_SKIPPING)
        session->reply_mode = REPLY_ON;
}

/* True if the command has to be parsed again later: nothing of it has been done. */
static bool must_wait(struct session *session, const struct command_row *row)
{
    if ((row->flags & CMD_WANTS_QUIET) == 0 || session->ordering_count == 0)
        return false;
    session->waits_for_quiet = true;
    return true;
}

void session_run(struct session *session, const struct slice *argv, uint32_t argc, bool *out_again)
{
    session->command_count++;
    const struct command_row *row = row_for(session, argv, argc);
    if (row == NULL) {
        note_reply_mode(session);
        return;
    }
    if (must_wait(session, row)) {
        session->command_count--;
        *out_again = true;
        return;
    }
    session->last_row = row;
    bool is_queued = session->in_multi && (row->flags & CMD_IN_MULTI_NOW) == 0;
    if (row->scope == SCOPE_NODE || is_queued || row == session->host->hub->exec_row)
        run_here(session, row, argv, argc);
    else
        run_data(session, row, argv, argc);
    if (session->wants_retry) {
        session->wants_retry = false;
        *out_again = true;
        return;
    }
    note_reply_mode(session);
}

/* ---- Reading ---- */

static void keep_parser(struct session *session)
{
    if (session->parser != NULL)
        return;
    /* The host's parser holds this session's unfinished command: the session takes it. */
    session->parser = mem_alloc(sizeof(*session->parser));
    *session->parser = session->host->parser;
    resp_parser_init(&session->host->parser, &session->host->limits);
}

static void drop_parser(struct session *session)
{
    if (session->parser == NULL)
        return;
    resp_parser_fini(session->parser);
    mem_free(session->parser);
    session->parser = NULL;
}

static bool is_blocked(struct session *session)
{
    if (session->is_stalled || session->waits_for_quiet || session->conn.is_closing ||
        session->conn.is_close_after_flush)
        return true;
    if (conn_queued(&session->conn) > OUTPUT_PAUSE) {
        session->waits_for_output = true;
        return true;
    }
    if (!port_has_room(session->host->port)) {
        if (!list_is_linked(&session->no_room_node))
            list_push_back(&session->host->no_room, &session->no_room_node);
        return true;
    }
    return false;
}

static void protocol_error(struct session *session, const char *text)
{
    struct reply reply = session_reply_begin(session);
    reply_errorf(&reply, "ERR Protocol error: %s", text);
    session_reply_end(session);
    session_close_after_reply(session);
}

/* A command that is not whole yet: room for what is missing, within the limits. */
static void wait_for_more(struct session *session, struct slice rest)
{
    const struct hub_settings *settings = &session->host->hub->settings;
    keep_parser(session);
    size_t need = resp_parser_need(session->parser, rest.len);
    uint64_t limit = atomic_load_explicit(&settings->query_buffer_limit, memory_order_relaxed);
    if (need > limit || rest.len > limit) {
        count_up(&session->host->stats.query_closes, 1);
        session_close_now(session);
        return;
    }
    conn_expect(&session->conn, need);
}

static void limits_of(struct session *session)
{
    struct host *host = session->host;
    host->limits.is_unauthenticated = !session->is_authenticated;
    host->limits.max_bulk_size =
        atomic_load_explicit(&host->hub->settings.max_bulk_size, memory_order_relaxed);
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct session *session = session_from_conn(conn);
    struct host *host = session->host;
    session->last_ms = loop_now_ms(host->loop);
    size_t used = 0;
    bool is_again = false;
    while (used < bytes.len && !is_again && !is_blocked(session)) {
        struct resp_parser *parser = session->parser != NULL ? session->parser : &host->parser;
        struct slice rest = slice_of(bytes.data + used, bytes.len - used);
        size_t size = 0;
        const char *error = NULL;
        limits_of(session);
        enum resp_result result = resp_parse(parser, rest, &size, &error);
        if (result == RESP_MORE) {
            wait_for_more(session, rest);
            return used;
        }
        if (result != RESP_COMMAND) {
            protocol_error(session, result == RESP_ERROR ? error : "out of memory");
            return bytes.len;
        }
        bool is_empty = parser->argc == 0;
        if (!is_empty)
            session_run(session, parser->argv, (uint32_t)parser->argc, &is_again);
        drop_parser(session);
        used += is_again ? 0 : size;
        count_up(&host->stats.commands, !is_empty && !is_again);
    }
    if (used < bytes.len)
        conn_pause(conn);
    if (is_again)
        session_resume(session);
    resp_parser_trim(&host->parser);
    return used;
}

void session_resume(struct session *session)
{
    if (!is_blocked(session) && !list_is_linked(&session->no_room_node))
        conn_resume(&session->conn);
}

static void on_drained(struct conn *conn)
{
    struct session *session = session_from_conn(conn);
    if (session->waits_for_output) {
        session->waits_for_output = false;
        session_resume(session);
    }
}

/* ---- Life ---- */

static void on_closed(struct conn *conn, int error)
{
    (void)error;
    struct session *session = session_from_conn(conn);
    struct host *host = session->host;
    pending_orphan_all(session);
    multi_reset(session);
    drop_parser(session);
    list_del(&session->node);
    list_del(&session->no_room_node);
    buf_fini(&session->name);
    buf_fini(&session->lib_name);
    buf_fini(&session->lib_version);
    count_up(&host->stats.bytes_in, conn->bytes_in);
    count_up(&host->stats.bytes_out, conn->bytes_out);
    count_up(&host->stats.clients, (uint64_t)-1);
    atomic_fetch_sub(&host->hub->client_count, 1);
    mem_free(session);
    host_on_session_closed(host);
}

void session_close_now(struct session *session)
{
    conn_close(&session->conn);
}

void session_close_after_reply(struct session *session)
{
    /* What is still pending has no reply yet: the connection ends with the last of them. */
    if (session->first == NULL)
        conn_close_after_flush(&session->conn);
    else
        session->closes_when_answered = true;
    session->is_stalled = true;
}

static const struct conn_events conn_events = {
    .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed};

int session_open(struct host *host, int fd)
{
    struct session *session = mem_calloc(1, sizeof(*session));
    session->host = host;
    session->proto = 2;
    session->id = atomic_fetch_add(&host->hub->next_id, 1);
    session->created_ms = loop_wall_ms(host->loop);
    session->last_ms = loop_now_ms(host->loop);
    session->is_authenticated = !atomic_load(&host->hub->settings.needs_auth);
    list_init(&session->node);
    list_init(&session->no_room_node);
    int rc = conn_open(&session->conn, host->net, fd, &conn_events);
    if (rc != 0) {
        mem_free(session);
        return rc;
    }
    /* A socket that cannot be kept alive still works. */
    uint64_t keepalive_s =
        atomic_load_explicit(&host->hub->settings.keepalive_s, memory_order_relaxed);
    IGNORE(conn_set_keepalive(&session->conn, (unsigned)keepalive_s), "see above");
    list_push_back(&host->sessions, &session->node);
    count_up(&host->stats.clients, 1);
    count_up(&host->stats.received, 1);
    atomic_fetch_add(&host->hub->client_count, 1);
    return 0;
}

/* ---- For NODE handlers ---- */

struct hub *session_hub(struct session *session)
{
    return session->host->hub;
}

void *session_server(struct session *session)
{
    return session->host->hub->options.server;
}

struct loop *session_loop(struct session *session)
{
    return session->host->loop;
}

uint64_t session_id(const struct session *session)
{
    return session->id;
}

struct session_ticket *session_defer(struct call *call)
{
    struct session *session = call->session;
    ASSERT(!session->is_deferred);
    session->is_deferred = true;
    struct pending *pending = pending_new(session, PENDING_REPLY);
    pending_link(session, pending);
    return (struct session_ticket *)pending;
}

void session_answer(struct session_ticket *ticket, struct slice reply)
{
    pending_answer((struct pending *)ticket, reply);
}

uint8_t session_ticket_proto(const struct session_ticket *ticket)
{
    return ((const struct pending *)ticket)->proto;
}
