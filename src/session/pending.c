/* SPDX-License-Identifier: Apache-2.0 */
/* The order of replies. A session's pending entries stand in the order of their requests; an answer
 * for the first goes straight to the connection, any other is kept until those before it have gone.
 */
#include "session/pending_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "session/multi_internal.h"

#define KEPT_PENDINGS 4096

static struct pending *pending_alloc(struct host *host)
{
    struct pending *pending = host->free_pendings;
    if (pending == NULL)
        return mem_calloc(1, sizeof(*pending));
    host->free_pendings = pending->next;
    host->free_pending_count--;
    *pending = (struct pending){0};
    return pending;
}

void pending_release(struct host *host, struct pending *pending)
{
    buf_fini(&pending->bytes);
    exec_free(pending->exec);
    if (host->free_pending_count >= KEPT_PENDINGS) {
        mem_free(pending);
        return;
    }
    pending->next = host->free_pendings;
    host->free_pendings = pending;
    host->free_pending_count++;
}

void host_free_pendings(struct host *host)
{
    while (host->free_pendings != NULL) {
        struct pending *next = host->free_pendings->next;
        mem_free(host->free_pendings);
        host->free_pendings = next;
    }
    host->free_pending_count = 0;
}

struct pending *pending_new(struct session *session, enum pending_kind kind)
{
    struct pending *pending = pending_alloc(session->host);
    pending->host = session->host;
    pending->session = session;
    pending->kind = kind;
    pending->proto = session->proto;
    pending->is_silent = session->reply_mode == REPLY_OFF || session->reply_mode == REPLY_SKIPPING;
    return pending;
}

void pending_link(struct session *session, struct pending *pending)
{
    if (session->last == NULL)
        session->first = pending;
    else
        session->last->next = pending;
    session->last = pending;
    session->pending_count++;
}

void pending_note_taken(struct session *session, struct pending *pending, enum port_result result)
{
    if (result == PORT_TAKEN_FREE)
        return;
    pending->is_ordering = true;
    session->ordering_count++;
    if (result == PORT_TAKEN_ALONE) {
        pending->is_alone = true;
        session->is_stalled = true;
    }
}

void pending_expect(struct session *session, struct pending *pending, size_t bytes)
{
    pending->expected += bytes;
    session->expected_bytes += bytes;
}

static void keep(struct session *session, struct pending *pending, struct slice reply)
{
    session->kept_bytes += reply.len;
    if (reply.len <= PENDING_INLINE) {
        pending->inline_len = (uint8_t)reply.len;
        if (reply.len > 0)
            memcpy(pending->inline_bytes, reply.data, reply.len);
        return;
    }
    buf_append_slice(&pending->bytes, reply);
}

static void send(struct session *session, const struct pending *pending, struct slice reply)
{
    if (pending->is_silent || reply.len == 0)
        return;
    buf_append_slice(conn_out(&session->conn), reply);
    conn_commit(&session->conn);
}

void pending_push_done(struct session *session, struct slice reply)
{
    struct pending *pending = pending_new(session, PENDING_REPLY);
    if (session->first == NULL) {
        send(session, pending, reply);
        pending_release(session->host, pending);
        return;
    }
    pending->is_done = true;
    keep(session, pending, reply);
    pending_link(session, pending);
}

void pending_push(struct session *session, struct slice bytes)
{
    if (session->first == NULL) {
        buf_append_slice(conn_out(&session->conn), bytes);
        conn_commit(&session->conn);
        return;
    }
    struct pending *pending = pending_new(session, PENDING_REPLY);
    pending->is_silent = false;
    pending->is_done = true;
    keep(session, pending, bytes);
    pending_link(session, pending);
}

void pending_push_relay(struct session *session, struct slice keys)
{
    struct pending *pending = pending_new(session, PENDING_RELAY);
    pending->is_done = true;
    keep(session, pending, keys);
    pending_link(session, pending);
}

static void pop_first(struct session *session)
{
    struct pending *pending = session->first;
    session->first = pending->next;
    if (session->first == NULL) {
        session->last = NULL;
        session->running_bytes = 0;
    }
    ASSERT(session->pending_count > 0);
    session->pending_count--;
    pending_release(session->host, pending);
}

static void send_done(struct session *session)
{
    while (session->first != NULL && session->first->is_done) {
        struct pending *pending = session->first;
        struct slice reply = pending->bytes.len > 0
                                 ? buf_slice(&pending->bytes)
                                 : slice_of(pending->inline_bytes, pending->inline_len);
        ASSERT(session->kept_bytes >= reply.len);
        session->kept_bytes -= reply.len;
        if (pending->kind == PENDING_RELAY)
            tracking_relay(session, reply);
        else
            send(session, pending, reply);
        pop_first(session);
    }
}

/* What the answer means for what the connection may do next. */
static bool note_answer(struct session *session, struct pending *pending)
{
    bool may_resume = false;
    ASSERT(session->expected_bytes >= pending->expected);
    session->expected_bytes -= pending->expected;
    pending->expected = 0;
    if (pending->is_ordering) {
        ASSERT(session->ordering_count > 0);
        session->ordering_count--;
        pending->is_ordering = false;
        may_resume = session->waits_for_quiet && session->ordering_count == 0;
        if (may_resume)
            session->waits_for_quiet = false;
    }
    if (pending->is_alone) {
        pending->is_alone = false;
        session->is_stalled = false;
        may_resume = true;
    }
    return may_resume;
}

static void finish(struct pending *pending, struct slice reply)
{
    struct session *session = pending->session;
    bool may_resume = note_answer(session, pending);
    /* A CLIENT REPLY SKIP in the transaction means the command behind EXEC. */
    if (pending->kind == PENDING_EXEC && session->reply_mode == REPLY_SKIP_NEXT)
        session->reply_mode = REPLY_SKIPPING;
    pending->is_done = true;
    if (session->first == pending) {
        send(session, pending, reply);
        pop_first(session);
        send_done(session);
    } else {
        keep(session, pending, reply);
    }
    if (!session_check_output(session))
        return;
    if (session->closes_when_answered && session->first == NULL)
        conn_close_after_flush(&session->conn);
    else if (may_resume)
        session_resume(session);
    else
        session_note_less_queued(session);
}

void pending_place(struct pending *pending)
{
    struct session *session = pending->session;
    /* The others are alone for reasons of their own until they are answered. */
    if (session == NULL || pending->kind != PENDING_REPLY || !pending->is_alone)
        return;
    pending->is_alone = false;
    session->is_stalled = false;
    session_resume(session);
}

static void answer_part(struct pending *part, struct slice reply)
{
    struct pending *whole = part->whole;
    pending_release(part->host, part);
    if (whole->session == NULL)
        pending_release(whole->host, whole);
    else if (exec_on_part(whole, reply))
        finish(whole, buf_slice(&whole->exec->out));
}

void pending_answer(struct pending *pending, struct slice reply)
{
    if (UNLIKELY(reply.len > 0 && reply.data[0] == '-') && pending->kind != PENDING_RETRY)
        tally_error(port_tally(pending->host->port), reply);
    if (pending->kind == PENDING_PART) {
        answer_part(pending, reply);
        return;
    }
    if (pending->session == NULL) {
        pending_release(pending->host, pending);
        return;
    }
    ASSERT(!pending->is_done);
    if (pending->kind == PENDING_EXEC) {
        if (!exec_on_reply(pending, reply))
            return;
        reply = buf_slice(&pending->exec->out);
    } else if (pending->kind == PENDING_RETRY) {
        session_note_retry(pending->session, reply);
        reply = SLICE_EMPTY;
    }
    finish(pending, reply);
}

void pending_orphan_all(struct session *session)
{
    struct pending *pending = session->first;
    while (pending != NULL) {
        struct pending *next = pending->next;
        if (pending->is_done)
            pending_release(session->host, pending);
        else
            pending->session = NULL;
        pending = next;
    }
    session->first = NULL;
    session->last = NULL;
    session->pending_count = 0;
    session->kept_bytes = 0;
    session->expected_bytes = 0;
}
