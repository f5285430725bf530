/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to peers.
 *
 * The core says "entries 101 to 140 to peer 3" once and assumes that it happens. Here that is a
 * range per peer, worked off in messages that each carry entries of one frame, from memory or, for
 * a peer that lags, read back within a budget per step. What the core asks for next either goes on
 * where the range ends or starts anew. An empty message (heartbeat, probe) that would stand behind
 * entries still to be sent is anchored at what has been sent, so that the peer does not refuse it.
 *
 * All other messages wait in one queue until the hard state that was written before them is
 * durable; so do the ranges (C2). A full queue drops: a network may, too.
 */
#include "consensus/consensus_internal.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

static struct peer *find_peer(struct consensus *c, uint64_t id)
{
    for (unsigned i = 0; i < c->peer_count; i++)
        if (c->peers[i].id == id)
            return &c->peers[i];
    return NULL;
}

static struct peer *find_or_add_peer(struct consensus *c, uint64_t id)
{
    struct peer *peer = find_peer(c, id);
    if (peer != NULL || c->peer_count == CONSENSUS_MEMBERS_MAX)
        return peer;
    peer = &c->peers[c->peer_count++];
    *peer = (struct peer){.id = id};
    return peer;
}

void peers_reset(struct consensus *c)
{
    for (unsigned i = 0; i < c->peer_count; i++)
        cursor_fini(&c->peers[i].cursor);
    c->peer_count = 0;
}

void peers_fini(struct consensus *c)
{
    peers_reset(c);
    mem_free(c->outbox);
    c->outbox = NULL;
}

/* Forgets those that are no longer members, so that the table has room for those that are. */
static void drop_strangers(struct consensus *c)
{
    for (unsigned i = 0; i < c->peer_count;) {
        struct peer *peer = &c->peers[i];
        if (configuration_has(&c->members, peer->id)) {
            i++;
            continue;
        }
        cursor_fini(&peer->cursor);
        *peer = c->peers[--c->peer_count];
    }
}

static void set_range(struct peer *peer, uint64_t prev, uint64_t count)
{
    cursor_fini(&peer->cursor);
    peer->cursor.next = prev + 1;
    peer->sent = prev;
    peer->wanted = prev + count;
}

/* A peer that has not answered lately gets one entry, as a question: all that the core would send
 * it would be sent again and again. */
static void take_append(const struct consensus *c, struct peer *peer,
                        const struct raft_append_entries *args)
{
    bool is_quiet = c->now_ms >= peer->heard_ms + c->raft.election_timeout / 2;
    uint64_t count = args->n_entries;
    if (peer->sent < peer->wanted && args->prev_log_index == peer->wanted)
        peer->wanted += count;
    else
        set_range(peer, args->prev_log_index, is_quiet && count > 0 ? 1 : count);
    peer->is_beat_due = true;
}

void peers_heard(struct consensus *c, uint64_t id)
{
    struct peer *peer = find_peer(c, id);
    if (peer != NULL)
        peer->heard_ms = c->now_ms;
}

/* Rule K: to a candidate that asks what it would get in a term that is over here, the core answers
 * with the candidate's own term, which would have it ask the same again for ever. */
static uint64_t vote_term(const struct consensus *c, const struct raft_request_vote_result *result)
{
    uint64_t own_term = raft_current_term(&c->raft);
    bool is_refusal = result->pre_vote && !result->vote_granted;
    return is_refusal && result->term < own_term ? own_term : result->term;
}

/* Fills `out` from the core's message; false if it is of the kinds handled elsewhere. */
static bool convert(const struct consensus *c, const struct raft_message *m,
                    struct consensus_message *out)
{
    *out = (struct consensus_message){.from_id = c->self_id};
    switch (m->type) {
    case RAFT_APPEND_ENTRIES_RESULT:
        out->type = MESSAGE_APPEND_ENTRIES_RESULT;
        out->term = m->append_entries_result.term;
        out->append_result.rejected = m->append_entries_result.rejected;
        /* Rule H: nobody has set it. */
        out->append_result.last_index =
            c->is_reply_stale ? 0 : m->append_entries_result.last_log_index;
        out->append_result.features = m->append_entries_result.features;
        out->append_result.capacity = m->append_entries_result.capacity;
        return true;
    case RAFT_REQUEST_VOTE:
        out->type = MESSAGE_REQUEST_VOTE;
        out->term = m->request_vote.term;
        out->vote.candidate_id = m->request_vote.candidate_id;
        out->vote.last_index = m->request_vote.last_log_index;
        out->vote.last_term = m->request_vote.last_log_term;
        out->vote.disrupt_leader = m->request_vote.disrupt_leader;
        out->vote.pre_vote = m->request_vote.pre_vote;
        return true;
    case RAFT_REQUEST_VOTE_RESULT:
        out->type = MESSAGE_REQUEST_VOTE_RESULT;
        out->term = vote_term(c, &m->request_vote_result);
        out->vote_result.granted = m->request_vote_result.vote_granted;
        out->vote_result.pre_vote = m->request_vote_result.pre_vote;
        out->vote_result.features = m->request_vote_result.features;
        out->vote_result.capacity = m->request_vote_result.capacity;
        return true;
    case RAFT_TIMEOUT_NOW:
        out->type = MESSAGE_TIMEOUT_NOW;
        out->term = m->timeout_now.term;
        out->timeout_now.last_index = m->timeout_now.last_log_index;
        out->timeout_now.last_term = m->timeout_now.last_log_term;
        return true;
    case RAFT_APPEND_ENTRIES:
    case RAFT_INSTALL_SNAPSHOT:
        break;
    }
    return false;
}

/* What is for one peer in its own time: entries, and word that it needs the state. */
static bool take_for_peer(struct consensus *c, const struct raft_message *m)
{
    if (m->type != RAFT_APPEND_ENTRIES && m->type != RAFT_INSTALL_SNAPSHOT)
        return false;
    struct peer *peer = find_or_add_peer(c, m->server_id);
    if (peer != NULL && m->type == RAFT_APPEND_ENTRIES)
        take_append(c, peer, &m->append_entries);
    else if (peer != NULL)
        peer->is_snapshot_due = true;
    return true;
}

static void take_message(struct consensus *c, const struct raft_message *m)
{
    struct outgoing *out;
    if (c->outbox_count == OUTBOX_MAX)
        return;
    out = &c->outbox[(c->outbox_head + c->outbox_count) % OUTBOX_MAX];
    if (!convert(c, m, &out->message))
        return;
    out->peer_id = m->server_id;
    out->sequence = c->hard_sequence;
    c->outbox_count++;
}

void peers_take(struct consensus *c, const struct raft_message *messages, unsigned count)
{
    drop_strangers(c);
    for (unsigned i = 0; i < count; i++)
        if (!take_for_peer(c, &messages[i]))
            take_message(c, &messages[i]);
}

static void post(struct consensus *c, uint64_t peer_id, const struct consensus_message *message)
{
    if (c->events->on_send != NULL)
        c->events->on_send(c->ctx, peer_id, message);
}

static void flush_outbox(struct consensus *c)
{
    uint64_t durable = seglog_durable_sequence(c->log);
    while (c->outbox_count > 0 && c->outbox[c->outbox_head].sequence <= durable) {
        const struct outgoing *out = &c->outbox[c->outbox_head];
        post(c, out->peer_id, &out->message);
        c->outbox_head = (c->outbox_head + 1) % OUTBOX_MAX;
        c->outbox_count--;
    }
}

static void send_append(struct consensus *c, struct peer *peer, const struct log_entry *entries,
                        uint32_t count)
{
    struct consensus_message message = {
        .type = MESSAGE_APPEND_ENTRIES,
        .from_id = c->self_id,
        .term = c->term,
        .append.prev_index = peer->sent,
        .append.prev_term = peer->sent == 0 ? 0 : core_term(c, peer->sent),
        .append.leader_commit = raft_commit_index(&c->raft),
        .append.entries = entries,
        .append.entry_count = count,
    };
    peer->is_beat_due = false;
    peer->sent += count;
    if (peer->sent == count || message.append.prev_term != 0)
        post(c, peer->id, &message);
    else
        peer->wanted = peer->sent; /* Trimmed meanwhile: the core will find out. */
}

/* Entries of the cursor's frame, as many as one message takes. A CHANGE can only come first, as it
 * is the first of its frame: rule D. */
static uint32_t gather(struct consensus *c, struct peer *peer,
                       struct log_entry entries[MESSAGE_ENTRIES_MAX])
{
    uint32_t count = 0;
    while (count < MESSAGE_ENTRIES_MAX &&
           cursor_take(c, &peer->cursor, peer->wanted, &entries[count])) {
        ASSERT(count == 0 || entries[count].type != ENTRY_CHANGE); /* C6 */
        count++;
    }
    return count;
}

/* Sends entries until all are sent or the budget is used up; true in the latter case. */
static bool send_range(struct consensus *c, struct peer *peer)
{
    struct log_entry entries[MESSAGE_ENTRIES_MAX];
    size_t read_bytes = 0;
    while (c->phase == PHASE_RUNNING && peer->sent < peer->wanted) {
        uint32_t count = gather(c, peer, entries);
        if (count > 0) {
            send_append(c, peer, entries, count);
            continue;
        }
        if (read_bytes >= PEER_READ_BYTES)
            return true;
        int rc = cursor_load(c, &peer->cursor, &read_bytes, &c->failure);
        if (rc == ERR_NOT_FOUND)
            set_range(peer, peer->sent, 0);
        else if (rc != 0)
            deliver_fail(c, rc);
    }
    return false;
}

static bool serve(struct consensus *c, struct peer *peer)
{
    if (peer->is_snapshot_due && c->events->on_snapshot_wanted != NULL)
        c->events->on_snapshot_wanted(c->ctx, peer->id);
    peer->is_snapshot_due = false;
    bool has_more = send_range(c, peer);
    if (peer->is_beat_due && c->phase == PHASE_RUNNING)
        send_append(c, peer, NULL, 0);
    return has_more;
}

bool peers_step(struct consensus *c)
{
    bool has_more = false;
    if (c->phase != PHASE_RUNNING)
        return false;
    flush_outbox(c);
    if (c->hard_sequence > seglog_durable_sequence(c->log))
        return false;
    for (unsigned i = 0; i < c->peer_count; i++)
        has_more = serve(c, &c->peers[i]) || has_more;
    return has_more;
}
