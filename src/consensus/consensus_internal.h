/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the driver, and what they share.
 *
 *   start.c    open, a new group's first entry, the START event
 *   core.c     the one door to raft_step(): an event in, its update carried out
 *   receive.c  peers' messages: checked, trimmed, split, fed to the core
 *   peers.c    messages to peers: held, filled with entries, sent
 *   cursor.c   entries in order, from memory or read back from the log
 *   deliver.c  committed entries handed out; the failed log
 *   consensus.c  submit, step, checkpoint, the questions
 */
#ifndef CONSENSUS_INTERNAL_H
#define CONSENSUS_INTERNAL_H

#include <raft.h>

#include "consensus/configuration.h"
#include "consensus/consensus.h"
#include "consensus/cursor_internal.h"
#include "consensus/tail.h"

/* Entries in one message, and in one event to the core. */
#define MESSAGE_ENTRIES_MAX 64
/* Messages that wait for a hard state to be durable; more are dropped, as a network may. */
#define OUTBOX_MAX 256
/* What is read back from the log for one peer in one step. */
#define PEER_READ_BYTES ((size_t)1 << 20)
/* Entries on their way to one peer, not yet acknowledged. */
#define INFLIGHT_ENTRIES_MAX 4096
/* How far a peer's term may be ahead of ours; more is no honest peer's. */
#define TERM_JUMP_MAX (UINT64_C(1) << 32)
/* The end of the log is vouched for so long after the last append (R10). */
#define VOUCH_MS 1000

/* A message that leaves when the log is durable up to `sequence` (C2). */
struct outgoing {
    uint64_t peer_id;
    uint64_t sequence;
    struct consensus_message message;
};

/* What a peer is to get: entries sent + 1 .. wanted, or an empty message behind `sent`. */
struct peer {
    uint64_t id;
    uint64_t sent;
    uint64_t wanted;
    uint64_t heard_ms; /* when it last answered */
    bool is_beat_due;
    bool is_snapshot_due;
    struct cursor cursor;
};

/* A CHANGE entry: its index and its configuration. */
struct change {
    uint64_t index; /* 0: none */
    struct buf configuration;
};

enum phase {
    PHASE_STARTING, /* the first hard state, a new group's first entry too, become durable */
    PHASE_RUNNING,
    PHASE_FAILED
};

struct consensus {
    struct raft raft;
    struct os os;
    struct seglog *log;
    const struct consensus_events *events;
    void *ctx;
    uint64_t self_id;
    unsigned heartbeat_ms;
    size_t cache_bytes;
    enum phase phase;
    bool is_busy; /* within a call that changes something: events must not come back in */
    bool is_finishing;
    bool is_unreadable;  /* the log could not be read back: nothing more is handed out */
    bool is_reply_stale; /* the core answers a leader of an older term: rule H */
    bool is_log_failed;  /* its poll has said so */
    bool is_log_lost;    /* it could not take something that the core has counted in */
    bool has_vouched;    /* since the last append */

    uint64_t now_ms;   /* clock_boot_ms(), as of this call; never back */
    uint64_t hold_ms;  /* no TIMEOUT before */
    uint64_t heard_ms; /* when a leader last spoke */
    uint64_t quiet_ms; /* when something was last appended */
    bool has_appended; /* since the last step */

    enum consensus_role role; /* as last told */
    uint64_t term;
    struct configuration
        members; /* newest in the log, committed or not; addresses are the core's */
    bool is_sole_voter;
    struct change uncommitted; /* the CHANGE that the core has not been told is committed */
    struct change committed;   /* as of the last entry handed out */

    uint64_t checkpoint;    /* index */
    uint64_t last_index;    /* in the log, durable or not */
    uint64_t stored;        /* durable, and told to the core */
    uint64_t commit;        /* the highest ever known: rule E */
    uint64_t ready_index;   /* the leader's last entry when it became one */
    uint64_t hard_sequence; /* of the newest hard state's frame */

    struct tail tail;
    struct cursor delivery; /* .next - 1 has been handed out */
    struct peer peers[CONSENSUS_MEMBERS_MAX];
    unsigned peer_count;
    struct outgoing *outbox; /* ring of OUTBOX_MAX */
    unsigned outbox_head;
    unsigned outbox_count;

    /* While starting. */
    struct change *changes; /* in the log above the checkpoint, ascending */
    unsigned change_count;
    uint64_t checkpoint_term;
    uint64_t boot_term;
    uint64_t boot_vote;

    int error;
    struct diag failure;
};

/* ---- core.c ---- */

/* Steps the core. `frame` holds exactly the entries that the update will append; NULL if none but
 * the core's own can come. *out_appended (may be NULL) says whether any were. Returns 0 or the
 * core's refusal, translated. */
MUST_CHECK
int core_step(struct consensus *c, struct raft_event *event, struct frame *frame,
              bool *out_appended);

/* Steps the core with an event that it cannot refuse. */
void core_tell(struct consensus *c, struct raft_event *event);

/* The CHANGE that was uncommitted is committed. The core must hear of that before the next one
 * comes: it would roll that one back to a configuration older than this. */
void core_confirm_change(struct consensus *c);

/* Term of an entry the core knows of, the checkpoint's included; 0 if it does not. Index > 0. */
uint64_t core_term(const struct consensus *c, uint64_t index);

/* Is there room for a frame of `size` bytes now? As consensus_can_submit(), without its role. */
MUST_CHECK
int core_room(const struct consensus *c, size_t size);

/* Reads the clock. */
void core_set_time(struct consensus *c);

/* Fires the core's TIMEOUT if it is due. */
void core_tick(struct consensus *c);

/* When core_tick() has something to do, in terms of now_ms; UINT64_MAX: never. */
uint64_t core_deadline(const struct consensus *c);

/* Writes term and vote; what follows in the log or leaves for peers comes behind it. */
void core_put_hard_state(struct consensus *c, uint64_t term, uint64_t vote);

/* A frame with one entry of `payload`; ends the process when memory is out: small sizes only. */
struct frame *core_small_frame(struct slice payload, enum entry_type type);

void change_set(struct change *change, uint64_t index, struct slice configuration);
void change_clear(struct change *change);

/* ---- start.c ---- */

/* Starts the core once what it builds on is durable. */
void start_step(struct consensus *c);

/* ---- deliver.c ---- */

/* Hands out what is committed and durable. True if the budget ended it. */
bool deliver_step(struct consensus *c, size_t budget_bytes);

/* Entries up to here may be handed out: min(commit, stored), rules E and F. */
uint64_t deliver_limit(const struct consensus *c);
uint64_t deliver_handed(const struct consensus *c);

/* Nothing more is submitted, stored or sent; tells the outcome of what was (R30). */
void deliver_fail(struct consensus *c, int error);

/* ---- peers.c ---- */

/* Takes over the core's messages of one update. */
void peers_take(struct consensus *c, const struct raft_message *messages, unsigned count);

/* Sends what may leave. True if more entries wait than the budget let through. */
bool peers_step(struct consensus *c);

/* A peer has answered the leader. */
void peers_heard(struct consensus *c, uint64_t id);

/* The role has changed: forgets what was to be sent as leader. */
void peers_reset(struct consensus *c);
void peers_fini(struct consensus *c);

#endif
