/* SPDX-License-Identifier: Apache-2.0 */
/* What a client is sent without having asked for it just now: messages, invalidations.
 *
 * It goes behind everything that the client is owed at this moment (Q9): behind replies that have
 * not come, and behind the reply of the very command that caused it. So a client never hears that a
 * key has changed before it has been told the key's old value.
 *
 * What a client lets pile up has limits. They are looked at with each push, and once a second for
 * those that nothing is pushed to any more.
 */
#include "base/mem.h"
#include "session/session_internal.h"

/* ---- Limits ---- */

static enum client_class class_of(const struct session *session)
{
    return session->subscriber != NULL ? CLIENT_PUBSUB : CLIENT_NORMAL;
}

static uint64_t read_word(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* True from the moment on at which it has been over the soft limit for too long. */
static bool is_over_soft(struct session *session, const struct output_limit *limit, size_t bytes)
{
    uint64_t soft = read_word(&limit->soft);
    if (soft == 0 || bytes <= soft) {
        session->over_soft_since_ms = 0;
        return false;
    }
    uint64_t now_ms = loop_now_ms(session->host->loop);
    if (session->over_soft_since_ms == 0)
        session->over_soft_since_ms = now_ms > 0 ? now_ms : 1;
    return now_ms - session->over_soft_since_ms > read_word(&limit->soft_s) * 1000;
}

/* Pushes that wait for the end of its own command count, too: one PUBLISH can match many patterns
 * of the publisher's. */
static size_t waiting_bytes(struct session *session)
{
    const struct host *host = session->host;
    size_t held = host->running == session ? host->held_pushes.len : 0;
    return conn_queued(&session->conn) + session->kept_bytes + held;
}

static bool is_over_limit(struct session *session)
{
    const struct output_limit *limit =
        &session->host->hub->settings.output_limits[class_of(session)];
    size_t bytes = waiting_bytes(session);
    uint64_t hard = read_word(&limit->hard);
    return (hard > 0 && bytes > hard) || is_over_soft(session, limit, bytes);
}

/* What others send must not pile up either for a client whose own replies have no limit. */
static bool is_over_pushed(struct session *session)
{
    uint64_t hard = read_word(&session->host->hub->settings.output_limits[CLIENT_PUBSUB].hard);
    return hard > 0 && session->pushed_bytes > hard && waiting_bytes(session) > hard;
}

bool session_check_output(struct session *session)
{
    if (session->conn.is_closing || (!is_over_limit(session) && !is_over_pushed(session)))
        return true;
    struct host *host = session->host;
    count_up(&host->stats.output_closes, 1);
    hub_log(host->hub, '#',
            "client %llu is closed: it does not read, and what waits for it has reached "
            "client-output-buffer-limit",
            (unsigned long long)session->id);
    session_close_now(session);
    return false;
}

/* ---- Pushing ---- */

void session_push(struct session *session, struct slice bytes)
{
    struct host *host = session->host;
    if (session->conn.is_closing || session->conn.is_close_after_flush)
        return;
    if (host->running == session) {
        buf_append_slice(&host->held_pushes, bytes);
        IGNORE(session_check_output(session), "it is closed then, and no more is held");
        return;
    }
    if (session->first == NULL && conn_queued(&session->conn) == 0)
        session->pushed_bytes = 0;
    session->pushed_bytes += bytes.len;
    pending_push(session, bytes);
    IGNORE(session_check_output(session), "it is closed then");
}

void session_run_begin(struct session *session)
{
    session->host->running = session;
}

void session_run_end(struct session *session)
{
    struct host *host = session->host;
    host->running = NULL;
    if (LIKELY(host->held_pushes.len == 0))
        return;
    struct buf held = buf_take(&host->held_pushes);
    session_push(session, buf_slice(&held));
    buf_fini(&held);
}
