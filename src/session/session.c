/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection, and what handlers of scope NODE are given of it. */
#include "session/session.h"

#include "base/assert.h"
#include "base/mem.h"
#include "session/multi_internal.h"

/* ---- Life ---- */

void session_count_bytes(struct session *session)
{
    struct host *host = session->host;
    const struct conn *conn = &session->conn;
    count_up(&host->stats.bytes_in, conn->bytes_in - session->counted_in);
    count_up(&host->stats.bytes_out, conn->bytes_out - session->counted_out);
    session->counted_in = conn->bytes_in;
    session->counted_out = conn->bytes_out;
}

void session_on_conn_closed(struct conn *conn, int error)
{
    (void)error;
    struct session *session = session_from_conn(conn);
    struct host *host = session->host;
    pending_orphan_all(session);
    wait_give_up(session);
    multi_reset(session);
    session_drop_parser(session);
    buf_fini(&session->retry_error);
    budget_drop(session);
    session_forget_topics(session);
    tracking_end(session);
    list_del(&session->target_node);
    pause_forget(session);
    monitor_forget(session);
    host->shared_bytes -= session->shared_bytes;
    list_del(&session->node);
    list_del(&session->no_room_node);
    buf_fini(&session->name);
    buf_fini(&session->lib_name);
    buf_fini(&session->lib_version);
    session_count_bytes(session);
    count_up(&host->stats.clients, (uint64_t)-1);
    atomic_fetch_sub(&host->hub->client_count, 1);
    mem_free(session);
    host_look_closed(host);
}

void session_close_now(struct session *session)
{
    conn_close(&session->conn);
}

void session_close_after_reply(struct session *session)
{
    wait_give_up(session);
    /* What is still pending has no reply yet: the connection ends with the last of them. */
    if (session->first == NULL)
        conn_close_after_flush(&session->conn);
    else
        session->closes_when_answered = true;
}

void session_halt(struct session *session)
{
    session->is_halted = true;
}

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
    list_init(&session->held_node);
    list_init(&session->target_node);
    list_init(&session->pause_node);
    list_init(&session->monitor_node);
    int rc = conn_open(&session->conn, host->net, fd, &session_conn_events);
    if (rc != 0) {
        mem_free(session);
        return rc;
    }
    /* A socket that cannot be kept alive still works. */
    uint64_t keepalive_s =
        atomic_load_explicit(&host->hub->settings.keepalive_s, memory_order_relaxed);
    IGNORE(conn_set_keepalive(&session->conn, (unsigned)keepalive_s), "see above");
    list_push_back(&host->sessions, &session->node);
    host_arm_cron(host);
    count_up(&host->stats.clients, 1);
    count_up(&host->stats.received, 1);
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
    session->host->ticket_count++;
    struct pending *whole = session->running_exec;
    struct pending *pending = pending_new(session, whole != NULL ? PENDING_PART : PENDING_REPLY);
    pending->whole = whole;
    if (whole == NULL)
        pending_link(session, pending);
    return (struct session_ticket *)pending;
}

struct session_ticket *session_defer_sized(struct call *call, size_t size)
{
    struct session_ticket *ticket = session_defer(call);
    struct pending *pending = (struct pending *)ticket;
    /* Within EXEC the connection waits in any case. */
    if (pending->whole == NULL)
        pending_expect(call->session, pending, size);
    return ticket;
}

struct session *session_of_ticket(const struct session_ticket *ticket)
{
    const struct pending *pending = (const struct pending *)ticket;
    return pending->whole != NULL ? pending->whole->session : pending->session;
}

struct session_ticket *session_defer_alone(struct call *call)
{
    struct session *session = call->session;
    ASSERT(session->running_exec == NULL);
    struct session_ticket *ticket = session_defer(call);
    ((struct pending *)ticket)->is_alone = true;
    session->is_stalled = true;
    return ticket;
}

void session_answer(struct session_ticket *ticket, struct slice reply)
{
    struct pending *pending = (struct pending *)ticket;
    struct host *host = pending->host;
    pending_answer(pending, reply);
    ASSERT(host->ticket_count > 0);
    host->ticket_count--;
    host_look_closed(host);
}

uint8_t session_ticket_proto(const struct session_ticket *ticket)
{
    return ((const struct pending *)ticket)->proto;
}
