/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to raft_step(): an event goes in, and what the update asks for is carried out.
 *
 * Order within one update (C1, C2): first term and vote go to the log, then its entries, behind
 * them; then its messages are taken over, to leave only when that hard state is durable. The log
 * counts a frame as durable only when all before it are, so nobody waits here: what must come later
 * simply lies later in the log.
 *
 * An error of the core undoes nothing of what it had done before it, so term and vote of a refused
 * event are written as well. Without memory the core's state is not to be trusted: the process ends
 * (rule G).
 *
 * The core's asserts are compiled out in the builds that exist; what they guard is checked here or
 * in receive.c before the event is made.
 */
#include "consensus/consensus_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

/* Small frames of the log's own, a hard state and a truncation, may come between the question
 * whether a frame has room and its append. */
#define OWN_ROOM ((size_t)2 * FRAME_ALIGN)

STATIC_ASSERT(SEGLOG_CONFIGURATION_MAX > 16 + CONSENSUS_MEMBERS_MAX * (CONSENSUS_ADDRESS_MAX + 10),
              "the log holds every configuration");
STATIC_ASSERT((int)ENTRY_COMMAND == (int)RAFT_COMMAND, "entry types are the library's");
STATIC_ASSERT((int)ENTRY_BARRIER == (int)RAFT_BARRIER, "entry types are the library's");
STATIC_ASSERT((int)ENTRY_CHANGE == (int)RAFT_CHANGE, "entry types are the library's");

void change_set(struct change *change, uint64_t index, struct slice configuration)
{
    change->index = index;
    buf_reset(&change->configuration, SIZE_MAX);
    buf_append_slice(&change->configuration, configuration);
}

void change_clear(struct change *change)
{
    buf_fini(&change->configuration);
    change->index = 0;
}

/* The trail has one record per term: the index of the term's last entry. */
uint64_t core_term(const struct consensus *c, uint64_t index)
{
    const struct raft_trail *trail = &c->raft.trail;
    uint64_t term = 0;
    if (index == trail->snapshot.index)
        return trail->snapshot.term;
    if (index <= trail->offset)
        return 0;
    for (unsigned i = trail->back; i != trail->front;) {
        i = (i == 0 ? trail->size : i) - 1;
        if (index > trail->records[i].index)
            break;
        term = trail->records[i].term;
    }
    return term;
}

int core_room(const struct consensus *c, size_t size)
{
    size_t max_size = seglog_max_frame(c->log);
    if (size > max_size)
        return ERR_TOO_BIG;
    if (!seglog_has_slot(c->log))
        return ERR_AGAIN;
    return seglog_admit(c->log, size + OWN_ROOM < max_size ? size + OWN_ROOM : max_size);
}

/* The log's small frames have a reserve; without it, it has failed. */
static void note_put(struct consensus *c, uint64_t sequence)
{
    c->has_appended = true;
    if (sequence == UINT64_MAX)
        c->is_log_lost = true;
}

void core_put_hard_state(struct consensus *c, uint64_t term, uint64_t vote)
{
    c->hard_sequence = seglog_put_hard_state(c->log, term, vote);
    note_put(c, c->hard_sequence);
}

struct frame *core_small_frame(struct slice payload, enum entry_type type)
{
    struct frame *frame = frame_new(payload.len);
    if (frame == NULL)
        UNREACHABLE("memory is out");
    memcpy(frame->data + FRAME_PAYLOAD_OFF, payload.data, payload.len);
    frame_put_entry_header(frame, FRAME_HEADER_SIZE, payload.len, type);
    frame->size = FRAME_PAYLOAD_OFF + payload.len;
    frame->entry_count = 1;
    return frame;
}

/* The newest configuration may be another one now. */
static void refresh_members(struct consensus *c)
{
    const struct raft_configuration *conf = &c->raft.configuration;
    ASSERT(conf->n <= CONSENSUS_MEMBERS_MAX); /* C9 */
    c->members = (struct configuration){.count = conf->n};
    for (unsigned i = 0; i < conf->n; i++) {
        const struct raft_server *server = &conf->servers[i];
        c->members.voter_count += server->role == RAFT_VOTER;
        c->members.members[i] = (struct consensus_member){
            .id = server->id,
            .address = server->address,
            .role = (enum member_role)server->role,
        };
    }
    c->is_sole_voter = configuration_is_sole_voter(&c->members, c->self_id);
}

/* Entries from `index` on are to be replaced. */
static void cut(struct consensus *c, uint64_t index)
{
    ASSERT(index > c->commit); /* C4 */
    ASSERT(c->last_index == seglog_last_index(c->log));
    tail_cut(&c->tail, index);
    note_put(c, seglog_truncate(c->log, index - 1));
    c->last_index = index - 1;
    if (c->stored >= index)
        c->stored = index - 1;
    if (c->uncommitted.index >= index)
        change_clear(&c->uncommitted);
}

static void append(struct consensus *c, const struct raft_update *update, struct frame *frame)
{
    const struct raft_entry *first = &update->entries.batch[0];
    uint64_t index = update->entries.index;
    bool is_cut = index <= c->last_index;
    if (is_cut)
        cut(c, index);
    ASSERT(index == c->last_index + 1);
    ASSERT(frame->entry_count == update->entries.n);
    frame->first_index = index;
    frame->term = first->term;
    if (c->is_log_lost || !seglog_has_slot(c->log) || seglog_admit(c->log, frame->size) != 0) {
        c->is_log_lost = true;
        return;
    }
    seglog_append(c->log, frame);
    tail_push(&c->tail, frame);
    c->last_index += frame->entry_count;
    c->has_appended = true;
    if (first->type == RAFT_CHANGE)
        change_set(&c->uncommitted, index, slice_of(first->buf.base, first->buf.len));
    if (is_cut || first->type == RAFT_CHANGE)
        refresh_members(c);
}

/* The entry with which a new leader begins is the core's own. */
static void append_barrier(struct consensus *c, const struct raft_update *update)
{
    const struct raft_entry *entry = &update->entries.batch[0];
    ASSERT(update->entries.n == 1 && entry->type == RAFT_BARRIER);
    struct frame *frame =
        core_small_frame(slice_of(entry->buf.base, entry->buf.len), ENTRY_BARRIER);
    append(c, update, frame);
    frame_unref(frame);
    raft_free(entry->batch);
}

void core_confirm_change(struct consensus *c)
{
    struct slice configuration = buf_slice(&c->uncommitted.configuration);
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    ASSERT(c->uncommitted.index != 0);
    event.configuration.index = c->uncommitted.index;
    event.configuration.conf = configuration_to_raft(configuration);
    change_clear(&c->uncommitted);
    core_tell(c, &event);
}

static enum consensus_role current_role(const struct consensus *c)
{
    if (c->raft.state == RAFT_LEADER)
        return ROLE_LEADER;
    return c->raft.state == RAFT_CANDIDATE ? ROLE_CANDIDATE : ROLE_FOLLOWER;
}

/* Tells of a new role or term; all else of the update has been taken in. */
static void note_role(struct consensus *c)
{
    enum consensus_role role = current_role(c);
    uint64_t term = raft_current_term(&c->raft);
    if (role == c->role && term == c->term)
        return;
    ASSERT(term >= c->term);
    bool was_leader = c->role == ROLE_LEADER;
    c->role = role;
    c->term = term;
    if (role == ROLE_LEADER)
        c->ready_index = c->last_index;
    if (was_leader)
        c->events->on_unknown(c->ctx, c->commit + 1, ERR_NOT_LEADER);
    c->events->on_role(c->ctx, role, term);
}

static int from_raft(int rv)
{
    switch (rv) {
    case 0:
        return 0;
    case RAFT_NOMEM:
        UNREACHABLE("memory is out in the consensus core"); /* rule G */
    case RAFT_NOTLEADER:
        return ERR_NOT_LEADER;
    case RAFT_CANTCHANGE:
    case RAFT_BUSY:
        return ERR_AGAIN;
    case RAFT_SHUTDOWN:
        return ERR_PROTOCOL;
    default:
        return ERR_INVALID;
    }
}

/* The log cannot take what the core has already counted in. */
static int lose_log(struct consensus *c)
{
    int rc = seglog_poll(c->log);
    deliver_fail(c, rc != 0 ? rc : -ENOSPC);
    return ERR_LOG_FAILED;
}

static void write_update(struct consensus *c, const struct raft_update *update, struct frame *frame)
{
    if ((update->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) != 0)
        core_put_hard_state(c, raft_current_term(&c->raft), raft_voted_for(&c->raft));
    if ((update->flags & (RAFT_UPDATE_ENTRIES)) == 0)
        return;
    if (frame != NULL)
        append(c, update, frame);
    else
        append_barrier(c, update);
}

int core_step(struct consensus *c, struct raft_event *event, struct frame *frame,
              bool *out_appended)
{
    struct raft_update update;
    event->time = c->now_ms;
    event->capacity = UINT16_MAX;
    int rc = from_raft(raft_step(&c->raft, event, &update));
    bool has_entries = (update.flags & (RAFT_UPDATE_ENTRIES)) != 0;
    ASSERT(rc == 0 || !has_entries);
    ASSERT((update.flags & (RAFT_UPDATE_SNAPSHOT)) == 0);
    if (out_appended != NULL)
        *out_appended = has_entries;
    write_update(c, &update, frame);
    if (c->is_log_lost)
        return lose_log(c);
    if ((current_role(c) == ROLE_LEADER) != (c->role == ROLE_LEADER))
        peers_reset(c);
    if ((update.flags & (RAFT_UPDATE_MESSAGES)) != 0)
        peers_take(c, update.messages.batch, update.messages.n);
    if (c->commit < raft_commit_index(&c->raft))
        c->commit = raft_commit_index(&c->raft); /* rule E */
    if (event->type == RAFT_START)
        refresh_members(c);
    if (c->uncommitted.index != 0 && c->uncommitted.index <= c->commit)
        core_confirm_change(c);
    if (c->phase == PHASE_FAILED)
        return ERR_LOG_FAILED;
    note_role(c);
    return rc;
}

void core_tell(struct consensus *c, struct raft_event *event)
{
    int rc = core_step(c, event, NULL, NULL);
    ASSERT(rc == 0 || c->phase == PHASE_FAILED);
}

void core_set_time(struct consensus *c)
{
    uint64_t now_ms = clock_boot_ms(c->os.clock);
    if (c->now_ms < now_ms)
        c->now_ms = now_ms;
}

/* A leader that is alone needs neither heartbeats nor a check of who is there. */
static bool has_timer(const struct consensus *c)
{
    return c->phase == PHASE_RUNNING && !(c->role == ROLE_LEADER && c->members.count == 1);
}

uint64_t core_deadline(const struct consensus *c)
{
    if (!has_timer(c))
        return UINT64_MAX;
    uint64_t timeout = raft_timeout(&c->raft);
    return timeout > c->hold_ms ? timeout : c->hold_ms;
}

/* Rule B: the core lets a sole voter lead in the term that is there, in which another may have led
 * before. */
static void take_new_term(struct consensus *c)
{
    c->raft.current_term++;
    c->raft.voted_for = c->self_id;
    core_put_hard_state(c, c->raft.current_term, c->self_id);
}

void core_tick(struct consensus *c)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    if (c->now_ms < core_deadline(c))
        return;
    bool elects_itself = c->is_sole_voter && c->role == ROLE_FOLLOWER && c->stored == c->last_index;
    if (elects_itself)
        take_new_term(c);
    core_tell(c, &event);
    ASSERT(!elects_itself || c->role == ROLE_LEADER || c->role == ROLE_FAILED);
    if (elects_itself && c->role == ROLE_LEADER)
        core_tell(c, &event); /* Otherwise members without a vote would hear of it much later. */
    /* A spare member that once got heartbeats keeps the core's deadline in the past. */
    c->hold_ms = raft_timeout(&c->raft) <= c->now_ms ? c->now_ms + c->heartbeat_ms : 0;
}
