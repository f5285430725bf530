/* SPDX-License-Identifier: Apache-2.0 */
#include "consensus/consensus.h"

#include "base/assert.h"
#include "base/err.h"
#include "consensus/consensus_internal.h"

/* ---- One round ---- */

/* The log is durable up to `index`: one report for all that has come back (C5). */
static void report_stored(struct consensus *c, uint64_t index)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
    event.persisted_entries.index = index;
    ASSERT(index > c->stored && index <= c->last_index);
    ASSERT(c->raft.last_stored == c->stored && c->raft.state != RAFT_CANDIDATE);
    c->stored = index;
    core_tell(c, &event);
}

static void take_completions(struct consensus *c)
{
    struct frame *frame;
    uint64_t stored = 0;
    int rc = seglog_poll(c->log);
    while ((frame = seglog_next_durable(c->log)) != NULL) {
        uint64_t last = tail_mark_durable(&c->tail, frame);
        if (stored < last)
            stored = last;
        frame_unref(frame);
    }
    if (c->phase == PHASE_RUNNING && stored > c->stored)
        report_stored(c, stored);
    if (rc == 0)
        return;
    c->is_log_failed = true;
    deliver_fail(c, rc);
    while ((frame = seglog_next_lost(c->log)) != NULL)
        frame_unref(frame);
}

/* Once after an append, also if what vouches is to be vouched for itself: an OPEN frame. */
static bool is_vouch_due(const struct consensus *c)
{
    return !c->is_log_failed && seglog_needs_vouch(c->log) && !c->has_vouched;
}

/* The end of the log is vouched for when it has been quiet for a while (R10). */
static void vouch(struct consensus *c)
{
    if (c->has_appended) {
        c->quiet_ms = c->now_ms;
        c->has_vouched = false;
    }
    c->has_appended = false;
    if (!is_vouch_due(c) || seglog_in_flight(c->log) > 0)
        return;
    if (c->is_finishing || c->now_ms >= c->quiet_ms + VOUCH_MS) {
        seglog_vouch(c->log);
        c->has_vouched = true;
    }
}

bool consensus_step(struct consensus *c, size_t budget_bytes, int *out_error)
{
    ASSERT(!c->is_busy); /* C8 */
    c->is_busy = true;
    core_set_time(c);
    take_completions(c);
    start_step(c);
    core_tick(c);
    bool has_more = deliver_step(c, budget_bytes);
    has_more = peers_step(c) || has_more;
    tail_evict(&c->tail, c->cache_bytes);
    if (!c->is_log_failed) {
        vouch(c);
        seglog_flush(c->log);
    }
    *out_error = c->error;
    c->is_busy = false;
    return has_more;
}

uint64_t consensus_deadline_ms(const struct consensus *c)
{
    uint64_t deadline_ms = core_deadline(c);
    uint64_t now_ms = clock_boot_ms(c->os.clock);
    /* What is in flight wakes us by itself, and is not to be vouched for before. */
    bool is_vouch_near = c->has_appended || (is_vouch_due(c) && seglog_in_flight(c->log) == 0);
    if (!c->is_log_failed && is_vouch_near) {
        uint64_t vouch_ms = (c->has_appended ? now_ms : c->quiet_ms) + VOUCH_MS;
        if (vouch_ms < deadline_ms)
            deadline_ms = vouch_ms;
    }
    if (deadline_ms == UINT64_MAX)
        return UINT64_MAX;
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    return clock_mono_us(c->os.clock) / 1000 + left_ms;
}

bool consensus_finish(struct consensus *c)
{
    c->is_finishing = true;
    if (c->is_log_failed)
        return true;
    return seglog_in_flight(c->log) == 0 && !c->has_appended && !is_vouch_due(c);
}

/* ---- Submitting ---- */

static int can_lead(const struct consensus *c)
{
    if (c->phase == PHASE_FAILED)
        return ERR_LOG_FAILED;
    return c->role == ROLE_LEADER ? 0 : ERR_NOT_LEADER;
}

int consensus_can_submit(const struct consensus *c, size_t size)
{
    int rc = can_lead(c);
    return rc != 0 ? rc : core_room(c, size);
}

/* Always one entry at a time: of several the core may take some and refuse the rest (rule G). */
static int submit(struct consensus *c, struct frame *frame, enum entry_type type)
{
    int rc = consensus_can_submit(c, frame->size);
    if (rc != 0)
        return rc;
    size_t payload_size = frame->size - FRAME_PAYLOAD_OFF;
    frame_put_entry_header(frame, FRAME_HEADER_SIZE, payload_size, type);
    frame->entry_count = 1;
    struct raft_entry entry = {
        .term = raft_current_term(&c->raft),
        .type = (enum raft_entry_type)type,
        .buf = {.base = frame->data + FRAME_PAYLOAD_OFF, .len = payload_size},
        .batch = frame->data,
    };
    struct raft_event event = {.type = RAFT_SUBMIT};
    event.submit.entries = &entry;
    event.submit.n = 1;
    return core_step(c, &event, frame, NULL);
}

int consensus_submit(struct consensus *c, struct frame *frame, uint64_t *out_index)
{
    ASSERT(!c->is_busy); /* C8 */
    ASSERT(frame->size >= FRAME_PAYLOAD_OFF);
    c->is_busy = true;
    int rc = submit(c, frame, ENTRY_COMMAND);
    c->is_busy = false;
    if (rc == 0)
        *out_index = frame->first_index;
    return rc;
}

static int submit_small(struct consensus *c, struct slice payload, enum entry_type type)
{
    struct frame *frame = core_small_frame(payload, type);
    int rc = submit(c, frame, type);
    frame_unref(frame);
    return rc;
}

/* Rule A: not before an entry of the leader's own term is committed. If there is none in the log
 * yet, a barrier will be it. */
static int need_own_entry(struct consensus *c)
{
    static const uint8_t nothing[8];
    if (core_term(c, c->commit) == c->term)
        return 0;
    if (core_term(c, c->last_index) == c->term)
        return ERR_AGAIN;
    int rc = submit_small(c, slice_of(nothing, sizeof(nothing)), ENTRY_BARRIER);
    return rc == 0 ? ERR_AGAIN : rc;
}

/* A new voter must know that it is a member, or it will not vote (rule J), and its vote may be
 * needed before it can be told. So nobody begins as one. */
static int can_vote(const struct consensus *c, const struct configuration *to)
{
    raft_index match = 0;
    for (unsigned i = 0; i < to->count; i++) {
        uint64_t id = to->members[i].id;
        if (to->members[i].role != MEMBER_VOTER || configuration_is_voter(&c->members, id) ||
            id == c->self_id)
            continue;
        if (raft_match_index(&c->raft, id, &match) != 0)
            return ERR_INVALID;
        if (match < c->raft.configuration_committed_index)
            return ERR_AGAIN;
    }
    return 0;
}

static int change(struct consensus *c, struct slice configuration)
{
    struct configuration to;
    int rc = can_lead(c);
    if (rc != 0)
        return rc;
    if (configuration_parse(configuration, &to) != 0)
        return ERR_INVALID;
    if (c->uncommitted.index != 0)
        return ERR_AGAIN;
    /* A leader that is no voter in its own log would not stand for election again, and nobody else
     * could win against the entry that only it has. */
    if (!configuration_is_one_step(&c->members, &to) || !configuration_is_voter(&to, c->self_id))
        return ERR_INVALID;
    rc = can_vote(c, &to);
    if (rc == 0)
        rc = need_own_entry(c);
    if (rc == 0)
        rc = core_room(c, FRAME_PAYLOAD_OFF + configuration.len);
    if (rc != 0)
        return rc;
    return submit_small(c, configuration, ENTRY_CHANGE);
}

int consensus_change(struct consensus *c, struct slice configuration, uint64_t *out_index)
{
    ASSERT(!c->is_busy); /* C8 */
    c->is_busy = true;
    core_set_time(c);
    int rc = change(c, configuration);
    c->is_busy = false;
    if (rc == 0)
        *out_index = c->last_index;
    return rc;
}

/* ---- Checkpoint ---- */

/* How far back the log is kept for members that lag: up to the one furthest behind, but no further
 * than the checkpoint before this one, which bounds it. */
static uint64_t keep_from(const struct consensus *c, uint64_t index)
{
    uint64_t lowest = index;
    if (c->role != ROLE_LEADER)
        return c->checkpoint;
    for (unsigned i = 0; i < c->members.count; i++) {
        raft_index match = 0;
        int rv = raft_match_index(&c->raft, c->members.members[i].id, &match);
        if (rv == 0 && match < lowest)
            lowest = match;
    }
    return lowest > c->checkpoint ? lowest : c->checkpoint;
}

void consensus_checkpoint(struct consensus *c, uint64_t index)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    ASSERT(!c->is_busy); /* C8 */
    ASSERT(index <= deliver_handed(c));
    if (c->phase != PHASE_RUNNING || index <= c->checkpoint)
        return;
    uint64_t keep = keep_from(c, index);
    event.snapshot.metadata = (struct raft_snapshot_metadata){
        .index = index,
        .term = core_term(c, index),
        .configuration = configuration_to_raft(buf_slice(&c->committed.configuration)),
        .configuration_index = c->committed.index,
    };
    /* The entry before the oldest one kept stays known, as what that one follows. */
    event.snapshot.trailing = (unsigned)(index - keep) + (index > keep);
    c->is_busy = true;
    core_tell(c, &event);
    c->is_busy = false;
    c->checkpoint = index;
    seglog_recycle(c->log, keep);
}

/* ---- Questions ---- */

uint64_t consensus_next_index(const struct consensus *c)
{
    return c->last_index + 1;
}

uint64_t consensus_term_of(const struct consensus *c, uint64_t index)
{
    if (c->phase != PHASE_STARTING)
        return index == 0 ? 0 : core_term(c, index);
    return index == c->checkpoint ? c->checkpoint_term : seglog_term(c->log, index);
}

struct slice consensus_configuration(const struct consensus *c, uint64_t *out_index)
{
    *out_index = c->committed.index;
    return buf_slice(&c->committed.configuration);
}

enum consensus_role consensus_role(const struct consensus *c)
{
    return c->role;
}

uint64_t consensus_term(const struct consensus *c)
{
    return c->term;
}

uint64_t consensus_commit_index(const struct consensus *c)
{
    return c->commit;
}

bool consensus_is_single_voter(const struct consensus *c)
{
    return c->is_sole_voter;
}

bool consensus_is_ready(const struct consensus *c)
{
    return c->role == ROLE_LEADER && deliver_handed(c) >= c->ready_index;
}

const char *consensus_failure(const struct consensus *c)
{
    return c->failure.text;
}
