/* SPDX-License-Identifier: Apache-2.0 */
/* From changes of keys to messages.
 *
 * A client must never be left with an old value that nothing will call void. It has two parts here:
 * a key is entered into the table before it is read (tracking_note_read), so that a change which
 * the read has not seen finds it there; and what the change sends goes behind all that the reading
 * connection is owed at that moment (Q9), be it to that connection itself or to the one that it
 * redirects to. So the message comes behind the value it calls void. It may come for a value that
 * is new already, which costs the client one more read.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "session/tracking/tracking_internal.h"

#define EVICTED_AT_ONCE   1000
#define FORGOTTEN_AT_ONCE 10000

/* ---- Reaching a session ---- */

struct session *host_find_session(struct host *host, uint64_t id)
{
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->id == id && !session->conn.is_closing)
            return session;
    }
    return NULL;
}

/* Among those that others redirect to: a few. */
static struct session *find_target(struct host *host, uint64_t id)
{
    LIST_EACH(node, next, &host->targets)
    {
        struct session *session = LIST_ENTRY(node, struct session, target_node);
        if (session->id == id && !session->conn.is_closing)
            return session;
    }
    return NULL;
}

/* Writes the message as `session` can take it; false if it cannot. Empty keys: all. */
static bool put_invalidation(const struct session *session, bool is_redirected, struct slice keys,
                             struct buf *to)
{
    struct reply reply = reply_to(to, session->proto);
    if (session->proto >= 3) {
        reply_push(&reply, 2);
        reply_bulk_str(&reply, "invalidate");
    } else if (is_redirected && session_is_subscribed(session)) {
        reply_push(&reply, 3);
        reply_bulk_str(&reply, "message");
        reply_bulk_str(&reply, "__redis__:invalidate");
    } else {
        return false;
    }
    if (keys.len == 0)
        reply_null(&reply);
    else
        buf_append_slice(to, keys);
    return true;
}

static void push_invalidation(struct session *session, bool is_redirected, struct slice keys)
{
    struct buf text = {0};
    if (put_invalidation(session, is_redirected, keys, &text))
        session_push(session, buf_slice(&text));
    buf_fini(&text);
}

/* ---- Redirection ---- */

static void note_broken(struct session *session)
{
    struct tracker *tracker = session->tracker;
    tracker->is_broken = true;
    if (session->proto < 3)
        return;
    struct buf text = {0};
    struct reply reply = reply_to(&text, session->proto);
    reply_push(&reply, 2);
    reply_bulk_str(&reply, "tracking-redir-broken");
    reply_int(&reply, (int64_t)tracker->redirect);
    session_push(session, buf_slice(&text));
    buf_fini(&text);
}

struct relay {
    struct loop_post post;
    struct host *from;
    struct host *to;
    uint64_t from_id;
    uint64_t to_id;
    struct buf keys;
};

static void on_relay_broken(struct loop_post *post)
{
    struct relay *relay = CONTAINER_OF(post, struct relay, post);
    struct session *session = host_find_session(relay->from, relay->from_id);
    if (session != NULL && session->tracker != NULL && session->tracker->redirect == relay->to_id)
        note_broken(session);
    mem_free(relay);
}

static void on_relay(struct loop_post *post)
{
    struct relay *relay = CONTAINER_OF(post, struct relay, post);
    struct session *target = find_target(relay->to, relay->to_id);
    if (target != NULL)
        push_invalidation(target, true, buf_slice(&relay->keys));
    buf_fini(&relay->keys);
    if (target != NULL) {
        mem_free(relay);
        return;
    }
    relay->post.run = on_relay_broken;
    loop_post(relay->from->loop, &relay->post);
}

void tracking_relay(struct session *session, struct slice keys)
{
    struct tracker *tracker = session->tracker;
    if (tracker == NULL || tracker->redirect == 0)
        return;
    struct host *host = session->host;
    struct host *to = &host->hub->hosts[tracker->redirect_host];
    if (to != host) {
        struct relay *relay = mem_calloc(1, sizeof(*relay));
        *relay = (struct relay){.post.run = on_relay,
                                .from = host,
                                .to = to,
                                .from_id = session->id,
                                .to_id = tracker->redirect};
        buf_append_slice(&relay->keys, keys);
        loop_post(to->loop, &relay->post);
        return;
    }
    struct session *target = find_target(host, tracker->redirect);
    if (target != NULL)
        push_invalidation(target, true, keys);
    else
        note_broken(session);
}

void tracker_send(struct tracker *tracker, struct slice keys)
{
    struct session *session = tracker->session;
    ASSERT(session != NULL);
    if (tracker->redirect == 0)
        push_invalidation(session, false, keys);
    else if (session->first == NULL)
        tracking_relay(session, keys);
    else
        pending_push_relay(session, keys);
}

/* ---- Changes ---- */

struct change {
    struct buf keys;
    uint64_t client;
};

static void tell_tracker(void *ctx, struct tracker *tracker)
{
    const struct change *change = ctx;
    bool is_own = tracker->session->id == change->client;
    if (!tracker->is_bcast && !(tracker->is_noloop && is_own))
        tracker_send(tracker, buf_slice(&change->keys));
}

static void invalidate(struct tracking *tracking, struct slice key, uint64_t client)
{
    struct change change = {.client = client};
    struct reply reply = reply_to(&change.keys, 2);
    reply_array(&reply, 1);
    reply_bulk(&reply, key);
    tracking_table_take(tracking, key, tell_tracker, &change);
    buf_fini(&change.keys);
}

static void invalidate_all(struct tracking *tracking)
{
    LIST_EACH(node, next, &tracking->trackers)
    {
        tracker_send(LIST_ENTRY(node, struct tracker, node), SLICE_EMPTY);
    }
    tracking_table_clear(tracking);
}

void tracking_on_event(struct host *host, const struct event *event, struct slice key)
{
    struct tracking *tracking = host->tracking;
    if (list_is_empty(&tracking->trackers))
        return;
    if (event->class == EVENT_FLUSHED) {
        prefixes_tell(tracking);
        invalidate_all(tracking);
        return;
    }
    prefixes_note(tracking, key, event->client);
    invalidate(tracking, key, event->client);
}

void tracking_end_events(struct host *host)
{
    prefixes_tell(host->tracking);
}

/* ---- Reads ---- */

struct noted_read {
    struct tracking *tracking;
    struct tracker *tracker;
};

static void note_key(void *ctx, uint16_t db, struct slice key)
{
    (void)db;
    const struct noted_read *read = ctx;
    tracking_table_add(read->tracking, read->tracker, key);
}

static bool is_tracked(const struct tracker *tracker)
{
    return !tracker->is_bcast && !(tracker->is_optin && !tracker->is_caching) &&
           !(tracker->is_optout && tracker->is_caching);
}

void tracking_note_read(struct session *session, const struct command_row *row,
                        const struct request *request)
{
    struct host *host = session->host;
    if ((row->flags & (CMD_READONLY | CMD_SHOWN_READ)) == 0 || row->scope == SCOPE_NODE ||
        !is_tracked(session->tracker))
        return;
    struct noted_read read = {.tracking = host->tracking, .tracker = session->tracker};
    IGNORE(command_keys(host->hub->options.table, row, request, note_key, &read),
           "what is malformed is refused");
}

void tracking_forget_some(struct tracking *tracking)
{
    struct buf key = {0};
    for (size_t i = 0; i < FORGOTTEN_AT_ONCE && tracking_table_draw(tracking, &key); i++) {
        tracking_table_take(tracking, buf_slice(&key), NULL, NULL);
        key.len = 0;
    }
    buf_fini(&key);
}

/* All hosts together may have so many keys; each takes out its own: as many as it has added, or the
 * table would grow with commands that name many, and some more, if the limit has come down. */
void tracking_keep_limit(struct host *host)
{
    struct hub *hub = host->hub;
    if (list_is_empty(&host->tracking->trackers)) {
        tracking_forget_some(host->tracking);
        return;
    }
    uint64_t max = atomic_load_explicit(&hub->settings.tracking_max_keys, memory_order_relaxed);
    size_t at_once = EVICTED_AT_ONCE + host->tracking->added;
    host->tracking->added = 0;
    struct buf key = {0};
    for (size_t i = 0; max > 0 && i < at_once; i++) {
        if (atomic_load_explicit(&hub->tracked_keys, memory_order_relaxed) <= max)
            break;
        key.len = 0;
        if (!tracking_table_draw(host->tracking, &key))
            break;
        invalidate(host->tracking, buf_slice(&key), 0);
    }
    buf_fini(&key);
}
