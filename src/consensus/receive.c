/* SPDX-License-Identifier: Apache-2.0 */
/* Peers' messages: checked, trimmed, split, fed to the core.
 *
 * The core believes what it is told: with its asserts compiled out, an AppendEntries that no leader
 * may send ends in memory it does not own. So nothing reaches it here that an honest peer could not
 * have sent to this node in this state.
 *
 * AppendEntries is where the rules meet. What lies at or below the checkpoint is taken off (rule
 * C). The rest is fed in parts: a part ends before a change of term, before a CHANGE (rule D, also
 * against peers that do not keep it) and where a frame is full, so that the new entries of a part
 * are one frame, which is built before the core hears of them. Being short of memory or of room in
 * the log is thus found out while the message can still be dropped.
 */
#include "consensus/consensus_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

/* Versions in which the library's messages have the fields that are filled here. */
#define VOTE_VERSION          2
#define VOTE_RESULT_VERSION   2
#define APPEND_RESULT_VERSION 2

/* What the core is given for every peer's address, which it copies and compares. */
#define NO_ADDRESS "-"

struct span {
    uint64_t prev_index;
    uint64_t prev_term;
    const struct log_entry *entries;
    uint32_t count;
};

static bool is_index(uint64_t index)
{
    return index <= CONSENSUS_INDEX_MAX;
}

/* An index and the term of its entry: both or neither. */
static bool is_position(uint64_t index, uint64_t term, uint64_t max_term)
{
    return is_index(index) && (index == 0) == (term == 0) && term <= max_term;
}

static bool is_entry(const struct log_entry *entry, uint64_t index, uint64_t min_term,
                     uint64_t max_term)
{
    struct configuration conf;
    if (entry->index != index || entry->term < min_term || entry->term > max_term ||
        entry->term == 0)
        return false;
    if (entry->payload.len > 0 && entry->payload.data == NULL)
        return false;
    if (entry->type == ENTRY_CHANGE)
        return configuration_parse(entry->payload, &conf) == 0; /* C9 */
    return entry->type == ENTRY_COMMAND || entry->type == ENTRY_BARRIER;
}

static bool is_append(const struct consensus_message *m)
{
    uint64_t index = m->append.prev_index;
    uint64_t term = m->append.prev_term;
    if (!is_position(index, term, m->term) || !is_index(m->append.leader_commit) ||
        !is_index(index + m->append.entry_count))
        return false;
    if (m->append.entry_count > 0 && m->append.entries == NULL)
        return false;
    for (uint32_t i = 0; i < m->append.entry_count; i++) {
        if (!is_entry(&m->append.entries[i], ++index, term, m->term))
            return false;
        term = m->append.entries[i].term;
    }
    return true;
}

static bool is_append_result(const struct consensus *c, const struct consensus_message *m)
{
    uint64_t rejected = m->append_result.rejected;
    uint64_t last = m->append_result.last_index;
    return configuration_has(&c->members, m->from_id) && is_index(rejected) && is_index(last) &&
           (rejected == 0 || last < rejected);
}

static bool is_well_formed(const struct consensus *c, const struct consensus_message *m)
{
    if (m->from_id == 0 || m->from_id == c->self_id || m->term == 0 ||
        m->term > raft_current_term(&c->raft) + TERM_JUMP_MAX)
        return false;
    switch (m->type) {
    case MESSAGE_APPEND_ENTRIES:
        return is_append(m);
    case MESSAGE_APPEND_ENTRIES_RESULT:
        return is_append_result(c, m);
    case MESSAGE_REQUEST_VOTE:
        return m->vote.candidate_id == m->from_id &&
               is_position(m->vote.last_index, m->vote.last_term, m->term);
    case MESSAGE_REQUEST_VOTE_RESULT:
        return configuration_has(&c->members, m->from_id);
    case MESSAGE_TIMEOUT_NOW:
        return configuration_has(&c->members, m->from_id) &&
               is_position(m->timeout_now.last_index, m->timeout_now.last_term, m->term);
    case MESSAGE_INSTALL_SNAPSHOT:
        break;
    }
    return false;
}

static int feed(struct consensus *c, struct raft_message *message, struct frame *frame,
                bool *out_appended)
{
    struct raft_event event = {.type = RAFT_RECEIVE};
    message->server_address = NO_ADDRESS;
    event.receive.message = message;
    return core_step(c, &event, frame, out_appended);
}

/* ---- AppendEntries ---- */

/* Feeds a part; `frame` holds those of its entries that are new. The core frees the batch unless it
 * takes entries of it over. */
static int feed_span(struct consensus *c, const struct consensus_message *m,
                     const struct span *span, struct frame *frame)
{
    struct raft_entry entries[MESSAGE_ENTRIES_MAX];
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES, .server_id = m->from_id};
    bool has_appended;
    void *batch = span->count == 0 ? NULL : raft_malloc(1);
    if (span->count > 0 && batch == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < span->count; i++) {
        const struct log_entry *entry = &span->entries[i];
        entries[i].term = entry->term;
        entries[i].type = (enum raft_entry_type)entry->type;
        /* The core has no const, but writes nowhere. */
        entries[i].buf.base = (void *)(uintptr_t)entry->payload.data;
        entries[i].buf.len = entry->payload.len;
        entries[i].batch = batch;
    }
    message.append_entries.term = m->term;
    message.append_entries.prev_log_index = span->prev_index;
    message.append_entries.prev_log_term = span->prev_term;
    message.append_entries.leader_commit = m->append.leader_commit;
    message.append_entries.entries = span->count == 0 ? NULL : entries;
    message.append_entries.n_entries = span->count;
    int rc = feed(c, &message, frame, &has_appended);
    ASSERT(rc != 0 || has_appended == (frame != NULL));
    if (has_appended)
        raft_free(batch);
    return rc;
}

static int feed_empty(struct consensus *c, const struct consensus_message *m, uint64_t prev_index,
                      uint64_t prev_term)
{
    struct span span = {.prev_index = prev_index, .prev_term = prev_term};
    return feed_span(c, m, &span, NULL);
}

/* Rule C: the core mistakes entries it has already trimmed for new ones. What the checkpoint covers
 * is committed, so every leader has it as it is here. */
static struct span trim(const struct consensus *c, const struct consensus_message *m)
{
    struct span span = {
        .prev_index = m->append.prev_index,
        .prev_term = m->append.prev_term,
        .entries = m->append.entries,
        .count = m->append.entry_count,
    };
    uint64_t checkpoint = c->raft.trail.snapshot.index;
    if (span.prev_index >= checkpoint)
        return span;
    uint64_t known = checkpoint - span.prev_index;
    uint32_t skip = known < span.count ? (uint32_t)known : span.count;
    span.prev_index = checkpoint;
    span.prev_term = c->raft.trail.snapshot.term;
    span.count -= skip;
    span.entries = span.count == 0 ? NULL : span.entries + skip;
    return span;
}

/* Does the message contradict what is known to be committed? No leader of this term does. */
static bool is_contradiction(const struct consensus *c, const struct span *span)
{
    if (span->prev_index > 0 && span->prev_index <= c->commit &&
        core_term(c, span->prev_index) != span->prev_term)
        return true;
    if (span->count > 0 && span->entries[0].term < span->prev_term)
        return true; /* Of what was taken off, which it must have had as it is here. */
    for (uint32_t i = 0; i < span->count && span->entries[i].index <= c->commit; i++)
        if (core_term(c, span->entries[i].index) != span->entries[i].term)
            return true;
    return false;
}

static size_t entry_size(const struct log_entry *entry)
{
    return ENTRY_HEADER_SIZE + entry->payload.len;
}

/* How many of the entries make one part. At least one. */
static uint32_t part_count(const struct consensus *c, const struct span *span)
{
    size_t size = FRAME_HEADER_SIZE + entry_size(&span->entries[0]);
    uint32_t count = 1;
    while (count < span->count && count < MESSAGE_ENTRIES_MAX) {
        const struct log_entry *entry = &span->entries[count];
        size += entry_size(entry);
        if (entry->type == ENTRY_CHANGE || entry->term != span->entries[0].term ||
            size > seglog_max_frame(c->log))
            break;
        count++;
    }
    return count;
}

/* A frame of the part's entries from the `skip`th on. */
static int build_frame(struct consensus *c, const struct span *part, uint32_t skip,
                       struct frame **out_frame)
{
    size_t size = FRAME_HEADER_SIZE;
    for (uint32_t i = skip; i < part->count; i++) {
        size += entry_size(&part->entries[i]);
        if (size > seglog_max_frame(c->log))
            return ERR_TOO_BIG;
    }
    int rc = core_room(c, size);
    if (rc != 0)
        return rc == ERR_TOO_BIG ? rc : ERR_AGAIN;
    struct frame *frame = frame_new(size - FRAME_PAYLOAD_OFF);
    if (frame == NULL)
        return -ENOMEM;
    size_t off = FRAME_HEADER_SIZE;
    for (uint32_t i = skip; i < part->count; i++) {
        struct slice payload = part->entries[i].payload;
        frame_put_entry_header(frame, off, payload.len, part->entries[i].type);
        if (payload.len > 0)
            memcpy(frame->data + off + ENTRY_HEADER_SIZE, payload.data, payload.len);
        off += entry_size(&part->entries[i]);
    }
    frame->size = size;
    frame->entry_count = part->count - skip;
    *out_frame = frame;
    return 0;
}

/* The core keeps one uncommitted CHANGE apart from the committed configuration. No leader adds the
 * next before that one is committed, though the one that sends it may be new and not know yet. */
static void settle_change(struct consensus *c, const struct span *part)
{
    const struct log_entry *first = &part->entries[0];
    if (first->type == ENTRY_CHANGE && c->uncommitted.index != 0 &&
        c->uncommitted.index < first->index)
        core_confirm_change(c);
}

static int feed_part(struct consensus *c, const struct consensus_message *m,
                     const struct span *part)
{
    struct frame *frame;
    uint32_t known = 0;
    while (known < part->count &&
           core_term(c, part->entries[known].index) == part->entries[known].term)
        known++;
    if (known == part->count)
        return feed_span(c, m, part, NULL);
    int rc = build_frame(c, part, known, &frame);
    if (rc != 0)
        return rc;
    if (known == 0)
        settle_change(c, part);
    rc = feed_span(c, m, part, frame);
    frame_unref(frame);
    return rc;
}

static int receive_append(struct consensus *c, const struct consensus_message *m)
{
    uint64_t term = raft_current_term(&c->raft);
    if (m->term < term) {
        c->is_reply_stale = true;
        int rc = feed_empty(c, m, m->append.prev_index, m->append.prev_term);
        c->is_reply_stale = false;
        return rc;
    }
    struct span span = trim(c, m);
    if ((m->term == term && c->raft.state == RAFT_LEADER) || is_contradiction(c, &span))
        return ERR_PROTOCOL;
    c->heard_ms = c->now_ms;
    bool is_match = span.prev_index == 0 || core_term(c, span.prev_index) == span.prev_term;
    if (!is_match || span.count == 0)
        return feed_empty(c, m, span.prev_index, span.prev_term);
    while (span.count > 0) {
        struct span part = span;
        part.count = part_count(c, &span);
        int rc = feed_part(c, m, &part);
        if (rc != 0)
            return rc;
        span.prev_index += part.count;
        span.prev_term = part.entries[part.count - 1].term;
        span.entries += part.count;
        span.count -= part.count;
    }
    return 0;
}

/* ---- The others ---- */

/* Rule I: a refusal that was long under way, of what the peer has acknowledged since, would have
 * the core go back behind that, and there it stays, sending nothing. */
static int receive_append_result(struct consensus *c, const struct consensus_message *m)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES_RESULT, .server_id = m->from_id};
    uint64_t last_index = m->append_result.last_index;
    raft_index match = 0;
    bool is_refusal = m->append_result.rejected > 0 && m->term == raft_current_term(&c->raft) &&
                      raft_match_index(&c->raft, m->from_id, &match) == 0;
    if (m->term == raft_current_term(&c->raft))
        peers_heard(c, m->from_id);
    if (is_refusal && m->append_result.rejected <= match)
        return 0;
    if (is_refusal && last_index < match)
        last_index = match;
    message.append_entries_result = (struct raft_append_entries_result){
        .version = APPEND_RESULT_VERSION,
        .term = m->term,
        .rejected = m->append_result.rejected,
        .last_log_index = last_index,
        .features = m->append_result.features,
        .capacity = m->append_result.capacity,
    };
    return feed(c, &message, NULL, NULL);
}

static struct raft_server *find_self(struct consensus *c)
{
    for (unsigned i = 0; i < c->raft.configuration.n; i++)
        if (c->raft.configuration.servers[i].id == c->self_id)
            return &c->raft.configuration.servers[i];
    return NULL;
}

/* Rule J: the core refuses its vote while it does not know itself as a voter, and remembers its
 * last leader for as long. But it may be a voter in the log of a candidate that cannot win, and
 * tell it so, without that vote. Whether a vote counts is the candidate's business; so for this
 * question every member is a voter, and has a leader only if it has heard of it lately. */
static int receive_vote(struct consensus *c, const struct consensus_message *m)
{
    struct raft_server *self = find_self(c);
    struct raft_message message = {.type = RAFT_REQUEST_VOTE, .server_id = m->from_id};
    message.request_vote = (struct raft_request_vote){
        .version = VOTE_VERSION,
        .term = m->term,
        .candidate_id = m->vote.candidate_id,
        .last_log_index = m->vote.last_index,
        .last_log_term = m->vote.last_term,
        .disrupt_leader = m->vote.disrupt_leader,
        .pre_vote = m->vote.pre_vote,
    };
    if (self == NULL || self->role == RAFT_VOTER)
        return feed(c, &message, NULL, NULL);
    if (c->role == ROLE_FOLLOWER && c->now_ms >= c->heard_ms + c->raft.election_timeout)
        message.request_vote.disrupt_leader = true;
    int role = self->role;
    self->role = RAFT_VOTER;
    int rc = feed(c, &message, NULL, NULL);
    self->role = role;
    return rc;
}

/* A vote may make this node leader, whose first entry must find room. */
static int receive_vote_result(struct consensus *c, const struct consensus_message *m)
{
    struct raft_message message = {.type = RAFT_REQUEST_VOTE_RESULT, .server_id = m->from_id};
    message.request_vote_result = (struct raft_request_vote_result){
        .version = VOTE_RESULT_VERSION,
        .term = m->term,
        .vote_granted = m->vote_result.granted,
        .pre_vote = m->vote_result.pre_vote,
        .features = m->vote_result.features,
        .capacity = m->vote_result.capacity,
    };
    if (c->raft.state == RAFT_CANDIDATE && m->vote_result.granted && core_room(c, FRAME_ALIGN) != 0)
        return ERR_AGAIN;
    return feed(c, &message, NULL, NULL);
}

/* A sole voter would take over in the term of the one that hands over: rule B. It takes over by
 * itself soon enough. */
static int receive_timeout_now(struct consensus *c, const struct consensus_message *m)
{
    struct raft_message message = {.type = RAFT_TIMEOUT_NOW, .server_id = m->from_id};
    message.timeout_now = (struct raft_timeout_now){
        .term = m->term,
        .last_log_index = m->timeout_now.last_index,
        .last_log_term = m->timeout_now.last_term,
    };
    if (c->is_sole_voter)
        return 0;
    return feed(c, &message, NULL, NULL);
}

static int dispatch(struct consensus *c, const struct consensus_message *m)
{
    switch (m->type) {
    case MESSAGE_APPEND_ENTRIES:
        return receive_append(c, m);
    case MESSAGE_APPEND_ENTRIES_RESULT:
        return receive_append_result(c, m);
    case MESSAGE_REQUEST_VOTE:
        return receive_vote(c, m);
    case MESSAGE_REQUEST_VOTE_RESULT:
        return receive_vote_result(c, m);
    case MESSAGE_TIMEOUT_NOW:
        return receive_timeout_now(c, m);
    case MESSAGE_INSTALL_SNAPSHOT:
        break;
    }
    return ERR_PROTOCOL;
}

int consensus_receive(struct consensus *c, const struct consensus_message *message)
{
    ASSERT(!c->is_busy); /* C8 */
    if (c->phase == PHASE_FAILED)
        return ERR_LOG_FAILED;
    if (c->phase == PHASE_STARTING)
        return ERR_AGAIN;
    if (!is_well_formed(c, message))
        return ERR_PROTOCOL;
    c->is_busy = true;
    core_set_time(c);
    int rc = dispatch(c, message);
    c->is_busy = false;
    return rc;
}
