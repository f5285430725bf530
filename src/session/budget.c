/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes received and not yet run, over all connections of a host (R33, P7).
 *
 * A connection holds what it has sent of an unfinished command, and what it has queued in MULTI and
 * noted in WATCH. Up to HELD_FREE of that is nobody's business. Beyond, it is a holder: it asks
 * before it reads on, in steps that double, so that an announcement alone counts for little. While
 * all holders together have more than the host's limit, only the first of them, the one that has
 * been a holder for longest, may read on; the others wait, in order. So somebody always gets to the
 * end. A first one that keeps others waiting and brings next to nothing is closed.
 */
#include "base/assert.h"
#include "session/session_internal.h"

#define HELD_FREE         (16u * 1024)
#define HELD_STEP         (64u * 1024)
#define PATIENCE_MS       10000
#define PROGRESS_EXPECTED (16u * 1024) /* in that time */

static struct session *session_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct session, held_node);
}

static struct session *first_of(struct host *host)
{
    return list_is_empty(&host->holders) ? NULL : session_of(host->holders.next);
}

/* What counts if the unfinished command has `unfinished` bytes. */
static size_t charge_of(const struct session *session, size_t unfinished)
{
    size_t bytes = unfinished + session->queue_bytes + session->watch_bytes;
    if (session->parser != NULL)
        bytes += resp_parser_bytes(session->parser);
    return bytes > HELD_FREE ? bytes : 0;
}

static void set_held(struct session *session, size_t bytes)
{
    struct host *host = session->host;
    ASSERT(host->held_bytes >= session->held_bytes); /* Q4 */
    host->held_bytes = host->held_bytes - session->held_bytes + bytes;
    session->held_bytes = bytes;
    bool is_in = bytes > 0 || session->waits_for_budget;
    if (is_in && !list_is_linked(&session->held_node))
        list_push_back(&host->holders, &session->held_node);
    else if (!is_in)
        list_del(&session->held_node);
}

static void set_waiting(struct session *session, bool is_waiting)
{
    struct host *host = session->host;
    host->held_waiting = host->held_waiting - session->waits_for_budget + is_waiting;
    session->waits_for_budget = is_waiting;
    set_held(session, session->held_bytes);
}

/* Lets the session read the next step of its command, if that is allowed now. */
static bool grant(struct session *session)
{
    struct host *host = session->host;
    size_t have = session->unfinished_bytes;
    size_t step = 2 * have + HELD_STEP;
    size_t want = session->need_bytes < step ? session->need_bytes : step;
    set_held(session, charge_of(session, want));
    if (session->held_bytes == 0 || host->held_bytes <= host->held_limit ||
        first_of(host) == session) {
        conn_expect(&session->conn, want);
        return true;
    }
    set_held(session, charge_of(session, have));
    return false;
}

static void wake_waiting(struct host *host)
{
    LIST_EACH(node, next, &host->holders)
    {
        struct session *session = session_of(node);
        if (host->held_waiting == 0)
            return;
        if (!session->waits_for_budget)
            continue;
        if (!grant(session))
            return;
        set_waiting(session, false);
        session_resume(session);
    }
}

void budget_ask(struct session *session)
{
    if (grant(session))
        return;
    set_waiting(session, true);
    conn_pause(&session->conn);
}

void budget_note(struct session *session)
{
    size_t charge = charge_of(session, session->unfinished_bytes);
    if (charge == session->held_bytes)
        return;
    set_held(session, charge);
    wake_waiting(session->host);
}

void budget_drop(struct session *session)
{
    if (!list_is_linked(&session->held_node))
        return;
    set_waiting(session, false);
    set_held(session, 0);
    wake_waiting(session->host);
}

void budget_check(struct host *host)
{
    struct session *first = first_of(host);
    if (host->held_waiting == 0 || first == NULL) {
        host->first_id = 0;
        return;
    }
    uint64_t now_ms = loop_now_ms(host->loop);
    if (host->first_id != first->id ||
        first->conn.bytes_in - host->first_bytes >= PROGRESS_EXPECTED) {
        host->first_id = first->id;
        host->first_bytes = first->conn.bytes_in;
        host->first_ms = now_ms;
    } else if (now_ms - host->first_ms >= PATIENCE_MS) {
        count_up(&host->stats.query_closes, 1);
        hub_log(host->hub, '#',
                "client %llu is closed: it holds %zu bytes of a command that it does not finish, "
                "and others wait for the room",
                (unsigned long long)first->id, first->held_bytes);
        session_close_now(first);
    }
}
