/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed command to where it runs: rows of scope NODE here, all others in the group through
 * the port. What comes before that is in Redis's order: is it known, does its arity fit, may this
 * connection run it, can it be run now, is it to be queued.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "command/args.h"
#include "session/multi_internal.h"

/* ---- Replying ---- */

struct reply session_reply_begin(struct session *session)
{
    if (session->first == NULL && session->reply_mode == REPLY_ON)
        return reply_to(conn_out(&session->conn), session->proto);
    session->host->scratch.len = 0;
    return reply_to(&session->host->scratch, session->proto);
}

void session_reply_end(struct session *session, const struct reply *reply)
{
    struct buf *scratch = &session->host->scratch;
    if (reply->out != scratch) {
        conn_commit(&session->conn);
        return;
    }
    if (session->reply_mode == REPLY_ON && scratch->len > 0)
        pending_push_done(session, buf_slice(scratch));
    buf_reset(scratch, SCRATCH_KEEP);
}

void session_count_error(struct session *session, const struct reply *reply, size_t mark)
{
    struct slice text = slice_sub(buf_slice(reply->out), mark, SIZE_MAX);
    if (UNLIKELY(text.len > 0 && text.data[0] == '-'))
        tally_error(port_tally(session->host->port), text);
}

/* ---- Refusing ---- */

/* Ends the reply to a command that has not been run. */
static void end_refusal(struct session *session, const struct command_row *row,
                        const struct reply *reply, size_t mark)
{
    if (row != NULL)
        tally_reject(port_tally(session->host->port), row);
    session_count_error(session, reply, mark);
    session_reply_end(session, reply);
    if (session->in_multi)
        session->is_multi_bad = true;
}

/* The command is refused with `text`, and with it the transaction that it was to be part of, or to
 * end. `text` begins with its prefix, but for what is wrong with EXEC itself. */
static void refuse(struct session *session, const struct command_row *row, const char *text)
{
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    if (row != NULL && row == session->host->hub->exec_row) {
        multi_reset(session);
        reply_errorf(&reply, "EXECABORT Transaction discarded because of: %s", text);
    } else {
        reply_error(&reply, text);
    }
    end_refusal(session, row, &reply, mark);
}

static void refuse_arity(struct session *session, const struct command_row *row)
{
    if (row == session->host->hub->exec_row) {
        refuse(session, row, "wrong number of arguments for 'exec' command");
        return;
    }
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    args_reply_arity(&reply, row);
    end_refusal(session, row, &reply, mark);
}

/* A browser that was tricked into talking to us says one of these first. */
static bool is_http(struct slice name)
{
    return slice_is(name, "post") || slice_is(name, "host:");
}

static void refuse_unknown(struct session *session, const struct command_row *parent,
                           const struct slice *argv, uint32_t argc)
{
    if (parent == NULL && is_http(argv[0])) {
        hub_log(session->host->hub, '#',
                "an HTTP request has come: somebody may be using a browser to reach this server. "
                "Its connection is closed");
        session_close_now(session);
        return;
    }
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    if (parent != NULL)
        args_reply_unknown_sub(&reply, parent, argv[1]);
    else
        args_reply_unknown(&reply, argv, argc);
    end_refusal(session, NULL, &reply, mark);
}

/* Why a known row cannot be run by this session now; NULL if it can. */
static const char *why_not(const struct session *session, const struct command_row *row)
{
    if (!session->is_authenticated && (row->flags & CMD_NO_AUTH) == 0)
        return "NOAUTH Authentication required.";
    if ((row->flags & CMD_LOADING) == 0 &&
        group_state(session->host->hub->options.group) == GROUP_REPLAYING)
        return TEXT_LOADING;
    return NULL;
}

/* RESP2 cannot tell a reply from a message: who listens may say little else. */
static bool fits_subscriber(const struct session *session, const struct command_row *row)
{
    return session->proto >= 3 || (row->flags & CMD_SUBSCRIBED) != 0;
}

static void refuse_subscriber(struct session *session, const struct command_row *row)
{
    char text[256];
    snprintf(text, sizeof(text),
             "ERR Can't execute '%s%s%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
             "RESET are allowed in this context",
             row->parent != NULL ? row->parent : "", row->parent != NULL ? "|" : "", row->name);
    refuse(session, row, text);
}

#define TEXT_NO_DEBUG                                                                             \
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you " \
    "can run it from a local connection, otherwise you need to set this option in the "           \
    "configuration file, and then restart the server."

static bool may_debug(const struct session *session)
{
    enum debug_access access = session->host->hub->options.debug_access;
    return access == DEBUG_FOR_ALL ||
           (access == DEBUG_FOR_LOCAL && net_is_local(session->conn.watch.fd));
}

/* Refuses what this connection may not even ask for, whatever its subcommand: `row` is that or the
 * container. Comes before all but the question whether a command is there, as in Redis. */
static bool is_barred(struct session *session, const struct command_row *row, uint32_t argc)
{
    if (LIKELY((row->flags & CMD_PROTECTED) == 0) || argc < 2 || may_debug(session))
        return false;
    refuse(session, row, TEXT_NO_DEBUG);
    return true;
}

/* The row for a request; NULL if it has been refused. */
static const struct command_row *row_for(struct session *session, const struct slice *argv,
                                         uint32_t argc)
{
    const struct command_row *parent;
    const struct command_row *row =
        command_find(session->host->hub->options.table, argv, argc, &parent);
    if (row == NULL) {
        if (parent == NULL || !is_barred(session, parent, argc))
            refuse_unknown(session, parent, argv, argc);
        return NULL;
    }
    if (is_barred(session, row, argc))
        return NULL;
    if (row->run == NULL || !command_arity_fits(row, argc)) {
        refuse_arity(session, row);
        return NULL;
    }
    const char *text = why_not(session, row);
    if (text != NULL)
        refuse(session, row, text);
    else if (UNLIKELY(session->subscriber != NULL) && !fits_subscriber(session, row))
        refuse_subscriber(session, row);
    else
        return row;
    return NULL;
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
    struct tally *tally = port_tally(session->host->port);
    size_t mark = reply->out->len;
    tally_before(tally, row, 0);
    IGNORE(row->run(&call), "a NODE handler answers its errors itself");
    if (UNLIKELY(session->wants_retry)) {
        /* It has not run yet. */
        tally_other(tally);
        return;
    }
    struct slice text =
        session->is_deferred ? SLICE_EMPTY : slice_sub(buf_slice(reply->out), mark, SIZE_MAX);
    tally_after(tally,
                &(struct tally_call){
                    .row = row, .argv = argv, .argc = argc, .size = text.len, .reply = text});
    session_count_error(session, reply, mark);
    insight_note_slow(session, tally);
}

/* Where a reply that may come at once is written: to the connection, if it is the next one. */
static struct buf *out_for(struct session *session, bool is_direct)
{
    if (is_direct)
        return conn_out(&session->conn);
    session->host->scratch.len = 0;
    return &session->host->scratch;
}

/* What the port has answered or refused is counted there; what it has taken, here. */
static void count_submitted(struct session *session, enum port_result result)
{
    struct tally *tally = port_tally(session->host->port);
    if (result == PORT_ANSWERED)
        insight_note_slow(session, tally);
    else
        tally_other(tally);
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
        .client = session->id,
        .leaves_use = session->is_no_touch,
        .token = pending,
    };
    if (UNLIKELY(session->tracker != NULL))
        tracking_note_read(session, row,
                           &(struct request){.argv = argv, .argc = argc, .db = session->db});
    enum port_result result = port_execute(session->host->port, &request, &reply);
    count_submitted(session, result);
    if (result == PORT_ANSWERED) {
        session_count_error(session, &reply, mark);
        if (is_direct)
            conn_commit(&session->conn);
        else if (!pending->is_silent)
            pending_push_done(session, slice_of(out->data + mark, out->len - mark));
        pending_release(session->host, pending);
        buf_reset(&session->host->scratch, SCRATCH_KEEP);
        return;
    }
    ASSERT(out->len == mark);
    pending->is_loud = argv[0].data[0] >= 'A' && argv[0].data[0] <= 'Z';
    pending_link(session, pending);
    pending_note_taken(session, pending, result);
    pending_expect(session, pending, port_expected(session->host->port, &request));
}

static void run_here(struct session *session, const struct command_row *row,
                     const struct slice *argv, uint32_t argc)
{
    struct reply reply = session_reply_begin(session);
    size_t mark = reply.out->len;
    session->is_deferred = false;
    session_run_begin(session);
    bool is_queued = session->in_multi && (row->flags & CMD_IN_MULTI_NOW) == 0;
    bool is_exec = row == session->host->hub->exec_row;
    if (is_queued)
        multi_queue(session, row, argv, argc, &reply);
    else if (is_exec)
        multi_exec(session, &reply);
    else
        session_run_node(session, row, argv, argc, &reply);
    /* What the session answers itself is shown as it leaves it, EXEC behind what it runs. */
    if (!is_queued && !session->wants_retry)
        monitor_show(session, row, argv, argc);
    if (is_queued || is_exec)
        session_count_error(session, &reply, mark);
    /* What has taken a pending entry of its own has nothing to say now. */
    if (!session->is_deferred)
        session_reply_end(session, &reply);
    else
        ASSERT(reply.out->len == mark);
    session_run_end(session);
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
    bool is_queued = session->in_multi && (row->flags & CMD_IN_MULTI_NOW) == 0;
    bool wants_quiet = ((row->flags & CMD_WANTS_QUIET) != 0 && !is_queued) ||
                       (row == session->host->hub->exec_row && session->watches != NULL);
    if (!wants_quiet || session->ordering_count == 0)
        return false;
    session->waits_for_quiet = true;
    return true;
}

bool session_run(struct session *session, const struct slice *argv, uint32_t argc)
{
    const struct command_row *row = row_for(session, argv, argc);
    if (row == NULL) {
        note_reply_mode(session);
        return true;
    }
    if (must_wait(session, row) || pause_holds(session, row))
        return false;
    session->last_row = row;
    if (UNLIKELY(session->tracker != NULL))
        tracking_keep_limit(session->host);
    bool is_queued = session->in_multi && (row->flags & CMD_IN_MULTI_NOW) == 0;
    if (row->scope == SCOPE_NODE || is_queued || row == session->host->hub->exec_row) {
        run_here(session, row, argv, argc);
    } else {
        monitor_show(session, row, argv, argc);
        run_data(session, row, argv, argc);
    }
    if (session->wants_retry) {
        session->wants_retry = false;
        return false;
    }
    if (UNLIKELY(session->tracker != NULL))
        tracking_after_command(session, row);
    note_reply_mode(session);
    return true;
}
