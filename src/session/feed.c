/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to commands. A session stops parsing, and lets the kernel hold the client up, while
 *
 *   stalled       a command that must be alone is under way (a cold read of several keys, EXEC with
 *                 NODE commands), or the connection is ending
 *   quiet         a command waits until nothing of the connection is in flight (WATCH)
 *   paused        CLIENT PAUSE holds its next command
 *   backed up     the client does not read its replies, or too many of them are under way (Q3)
 *   no room       the port has as many bytes in flight as it may (R33)
 *   no budget     too many bytes of half commands are held for all clients (budget.c, R33)
 *
 * Whatever ends such a wait calls session_resume(), which looks at all of them again.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "session/session_internal.h"

/* ---- May it go on? ---- */

/* Many clients send a whole pipeline before they read anything, and would wait for ever for a
 * server that does not read on: so a few may have far more waiting than all could have. */
static void note_shared(struct session *session, size_t bytes)
{
    struct host *host = session->host;
    host->shared_bytes = host->shared_bytes - session->shared_bytes + bytes;
    session->shared_bytes = bytes;
}

bool session_is_backed_up(struct session *session)
{
    size_t bytes = conn_queued(&session->conn) + session->kept_bytes + session->expected_bytes;
    note_shared(session, bytes > OUTPUT_PAUSE ? bytes - OUTPUT_PAUSE : 0);
    return (session->shared_bytes > 0 &&
            session->host->shared_bytes > session->host->shared_limit) ||
           session->pending_count >= PENDING_MAX;
}

static bool is_blocked(struct session *session)
{
    if (session->is_stalled || session->is_halted || session->closes_when_answered ||
        session->waits_for_quiet || session->waits_for_pause || session->waits_for_budget ||
        session->conn.is_closing || session->conn.is_close_after_flush)
        return true;
    if (session_is_backed_up(session)) {
        session->is_backed_up = true;
        return true;
    }
    if (!port_has_room(session->host->port)) {
        if (!list_is_linked(&session->no_room_node))
            list_push_back(&session->host->no_room, &session->no_room_node);
        return true;
    }
    return false;
}

void session_resume(struct session *session)
{
    if (!is_blocked(session))
        conn_resume(&session->conn);
}

void session_note_less_queued(struct session *session)
{
    if (!session->is_backed_up && session->shared_bytes == 0)
        return;
    bool is_still = session_is_backed_up(session);
    if (!session->is_backed_up || is_still)
        return;
    session->is_backed_up = false;
    session_resume(session);
}

/* ---- The parser of an unfinished command ---- */

static void keep_parser(struct session *session)
{
    if (session->parser != NULL)
        return;
    /* The host's parser holds this session's unfinished command: the session takes it. */
    session->parser = mem_alloc(sizeof(*session->parser));
    *session->parser = session->host->parser;
    resp_parser_init(&session->host->parser, &session->host->limits);
}

void session_drop_parser(struct session *session)
{
    if (session->parser == NULL)
        return;
    resp_parser_fini(session->parser);
    mem_free(session->parser);
    session->parser = NULL;
}

/* After an error a parser knows nothing but that; the host's serves others, too. */
static void restart_parser(struct session *session)
{
    struct host *host = session->host;
    session_drop_parser(session);
    resp_parser_fini(&host->parser);
    resp_parser_init(&host->parser, &host->limits);
}

static void protocol_error(struct session *session, const char *text)
{
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    reply_errorf(&reply, "ERR Protocol error: %s", text);
    session_count_error(session, &reply, mark);
    session_reply_end(session, &reply);
    session_close_after_reply(session);
    restart_parser(session);
}

/* A command that is not whole yet: room for what is missing, within the limits. */
static void wait_for_more(struct session *session, size_t have)
{
    struct host *host = session->host;
    keep_parser(session);
    size_t need = resp_parser_need(session->parser, have);
    uint64_t limit =
        atomic_load_explicit(&host->hub->settings.query_buffer_limit, memory_order_relaxed);
    if (need > limit || have > limit) {
        count_up(&host->stats.query_closes, 1);
        hub_log(host->hub, '#',
                "client %llu is closed: it sends a command larger than client-query-buffer-limit",
                (unsigned long long)session->id);
        session_close_now(session);
        return;
    }
    session->unfinished_bytes = have;
    session->need_bytes = need;
    budget_ask(session);
}

/* ---- Data ---- */

static void set_limits(struct session *session)
{
    struct host *host = session->host;
    host->limits.is_unauthenticated = !session->is_authenticated;
    host->limits.max_bulk_size =
        atomic_load_explicit(&host->hub->settings.max_bulk_size, memory_order_relaxed);
}

enum fed { FED_ONE, FED_NOTHING, FED_LATER };

/* Runs the command at the front of `rest`. LATER: it is to be parsed again, from its front. */
static enum fed feed_one(struct session *session, struct slice rest, size_t *out_size)
{
    struct host *host = session->host;
    struct resp_parser *parser = session->parser != NULL ? session->parser : &host->parser;
    const char *error = NULL;
    set_limits(session);
    enum resp_result result = resp_parse(parser, rest, out_size, &error);
    if (result == RESP_MORE) {
        wait_for_more(session, rest.len);
        return FED_NOTHING;
    }
    if (result != RESP_COMMAND) {
        protocol_error(session, result == RESP_ERROR ? error : "out of memory");
        *out_size = rest.len;
        return FED_ONE;
    }
    bool is_done = true;
    if (parser->argc > 0) {
        session->running_bytes = *out_size;
        is_done = session_run(session, parser->argv, (uint32_t)parser->argc);
        if (!is_done || session->pending_count == 0)
            session->running_bytes = 0;
        count_up(&host->stats.commands, is_done);
        session->command_count += is_done;
    }
    session_drop_parser(session);
    session->unfinished_bytes = 0;
    budget_note(session);
    return is_done ? FED_ONE : FED_LATER;
}

static size_t feed(struct conn *conn, struct slice bytes)
{
    struct session *session = session_from_conn(conn);
    struct host *host = session->host;
    session->last_ms = loop_now_ms(host->loop);
    size_t used = 0;
    tally_start(port_tally(host->port));
    while (used < bytes.len && !is_blocked(session)) {
        size_t size = 0;
        enum fed fed = feed_one(session, slice_sub(bytes, used, SIZE_MAX), &size);
        if (fed == FED_ONE) {
            used += size;
            continue;
        }
        if (fed == FED_LATER) {
            conn_pause(conn);
            session_resume(session);
        }
        resp_parser_trim(&host->parser);
        tally_split(port_tally(host->port));
        return used;
    }
    if (used < bytes.len)
        conn_pause(conn);
    tally_split(port_tally(host->port));
    resp_parser_trim(&host->parser);
    return used;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    size_t used = feed(conn, bytes);
    /* Before any of it is sent: a client that asks for more than it may have gets nothing. */
    IGNORE(session_check_output(session_from_conn(conn)), "it is closed then");
    return used;
}

/* The peer sends no more, but may still read: it gets the replies that are owed. */
static void on_end(struct conn *conn)
{
    session_close_after_reply(session_from_conn(conn));
}

static void on_drained(struct conn *conn)
{
    session_note_less_queued(session_from_conn(conn));
}

const struct conn_events session_conn_events = {.on_data = on_data,
                                                .on_end = on_end,
                                                .on_drained = on_drained,
                                                .on_closed = session_on_conn_closed};
