/* SPDX-License-Identifier: Apache-2.0 */
/* consensus: one Raft group's driver over raft_step(): time, messages and durable writes go in,
 * committed entries and messages come out. Sans-I/O but for the seglog it drives.
 *
 * Sole user of libraft, exactly version 0.22.1. Rules A to K of consensus/README.md remove the
 * known defects of that version; each is asserted or tested by its letter.
 *
 * Threads:  one owner, the log loop.
 * Events:   on_commit and on_send come only from within consensus_step(); on_role and on_unknown
 *           from any call that changes something. An event may call the functions that take a const
 *           consensus, and no others (asserted).
 * Order:    term and vote are durable before any message of their update leaves; an entry is handed
 *           to on_commit when it is committed and locally durable, in index order, once, never
 *           back. See consensus/README.md, invariants C1-C9.
 */
#ifndef CONSENSUS_CONSENSUS_H
#define CONSENSUS_CONSENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "consensus/message.h"
#include "os/os.h"
#include "seglog/seglog.h"

struct consensus;

/* Members of one configuration, and bytes of one address, without the zero. */
#define CONSENSUS_MEMBERS_MAX 32
#define CONSENSUS_ADDRESS_MAX 255
/* Positions have 48 bits for it. */
#define CONSENSUS_INDEX_MAX ((UINT64_C(1) << 48) - 1)

/* Numbers are part of the encoded configuration. */
enum member_role {
    MEMBER_STANDBY = 0, /* gets the log, has no vote */
    MEMBER_VOTER = 1,
    MEMBER_SPARE = 2 /* known, gets nothing */
};

struct consensus_member {
    uint64_t id; /* > 0 */
    const char *address;
    enum member_role role;
};

enum consensus_role { ROLE_FOLLOWER, ROLE_CANDIDATE, ROLE_LEADER, ROLE_FAILED };

struct consensus_events {
    /* An entry is committed and durable here. `frame` holds its payload: take a reference to keep
     * it beyond the call. BARRIER and CHANGE entries come too. */
    void (*on_commit)(void *ctx, const struct log_entry *entry, struct frame *frame);

    /* Role or term changed. On leaving ROLE_LEADER on_unknown comes first. */
    void (*on_role)(void *ctx, enum consensus_role role, uint64_t term);

    /* The outcome of everything submitted from `from_index` on cannot be known (P4): it may be
     * committed later or never. What lies before is committed and still comes through on_commit.
     * `error` is why: ERR_NOT_LEADER, or what the disk said; after the latter nothing from
     * `from_index` on is handed out. */
    void (*on_unknown)(void *ctx, uint64_t from_index, int error);

    /* A message for a peer; all it points to is borrowed. NULL where there are no peers. */
    void (*on_send)(void *ctx, uint64_t peer_id, const struct consensus_message *message);

    /* A peer is so far behind that it needs the state as of our checkpoint. Foreseen; may be NULL.
     */
    void (*on_snapshot_wanted)(void *ctx, uint64_t peer_id);
};

struct consensus_options {
    struct os os;
    struct seglog *log;
    const struct seglog_found *found;
    uint64_t self_id; /* > 0 */
    const char *address;
    /* The state as of the checkpoint, as the manifest names it; index 0: a new group. */
    uint64_t checkpoint_index;
    uint64_t checkpoint_term;
    /* That of the checkpoint, encoded by consensus; copied. In a new group what it begins with, the
     * same for all its first members; empty: this node alone. */
    struct slice configuration;
    uint64_t configuration_index; /* 0 in a new group */
    unsigned election_timeout_ms;
    unsigned heartbeat_ms;
    size_t cache_bytes; /* entries kept in memory for peers; 0 with one voter */
    const struct consensus_events *events;
    void *ctx;
};

/* Gets ready to start; the first steps start it, once term and vote are durable where that is
 * needed. A new group gets its configuration as its first entry (CHANGE). Entries found in the log
 * above the checkpoint are read here up to the last change of the configuration, one frame in
 * memory at a time; all come through on_commit as consensus_step() runs, read back from disk within
 * its budget. ERR_VERSION: not the libraft this was written for; ERR_CORRUPT, ERR_FORMAT: log or
 * configuration make no sense; otherwise what the log says. */
MUST_CHECK
int consensus_open(const struct consensus_options *options, struct consensus **out,
                   struct diag *diag);
void consensus_close(struct consensus *consensus);

/* Encodes a configuration behind what `out` holds. ERR_INVALID: no member, too many, an id or
 * address twice, id 0, an empty or overlong address, an unknown role. */
MUST_CHECK
int consensus_encode_configuration(const struct consensus_member *members, size_t count,
                                   struct buf *out);
/* Is it exactly what that call writes? */
bool consensus_configuration_is_valid(struct slice encoded);

/* One round: takes the log's completions in, fires what is due, hands committed entries out (at
 * most about `budget_bytes` of entries that must be read back), starts the disk. True if more could
 * be done at once. 0 or negative code of a failed log in *out_error (sticky; role is ROLE_FAILED).
 */
bool consensus_step(struct consensus *consensus, size_t budget_bytes, int *out_error);

/* When consensus_step() must run at the latest, as clock_mono_us() / 1000; UINT64_MAX: not before
 * something happens. */
uint64_t consensus_deadline_ms(const struct consensus *consensus);

/* May a frame of `size` bytes be submitted now? 0, ERR_NOT_LEADER, ERR_AGAIN (a write slot or a
 * segment is awaited), -ENOSPC/-EIO (no segment can be had), ERR_TOO_BIG, ERR_LOG_FAILED. */
MUST_CHECK
int consensus_can_submit(const struct consensus *consensus, size_t size);

/* Submits a frame of which the payload lies complete between FRAME_PAYLOAD_OFF and size, as one
 * COMMAND entry (the headers are written here); consensus_can_submit() has said 0 for frame->size
 * in this turn. Takes a reference. Returns the entry's index in *out_index. An error means that it
 * was not submitted and never will be. */
MUST_CHECK
int consensus_submit(struct consensus *consensus, struct frame *frame, uint64_t *out_index);

/* Submits a new configuration: the current one with one member added at its end, not as a voter,
 * or removed, or given another role, in which the leader is still a voter (ERR_INVALID otherwise).
 * It counts from now on, and is committed when its CHANGE entry comes through on_commit. ERR_AGAIN:
 * another change or the leader's own first entry is to be committed first (rule A), the new voter
 * does not have the log so far, or as consensus_can_submit(). */
MUST_CHECK
int consensus_change(struct consensus *consensus, struct slice configuration, uint64_t *out_index);

/* The index the next submitted entry will get. */
uint64_t consensus_next_index(const struct consensus *consensus);

/* A message from a peer: hostile until checked; nothing of it is kept. ERR_PROTOCOL: it breaks the
 * protocol, or answers what a stranger was never asked, and was dropped. ERR_AGAIN: the log has no
 * room for it now; give it again after a step, or never: peers repeat. ERR_TOO_BIG: an entry that
 * this node's segments cannot hold. -ENOMEM, ERR_LOG_FAILED. A state transfer (INSTALL_SNAPSHOT) is
 * not taken here. */
MUST_CHECK
int consensus_receive(struct consensus *consensus, const struct consensus_message *message);

/* The state up to `index` is durable in the data files and named by a manifest. */
void consensus_checkpoint(struct consensus *consensus, uint64_t index);

/* Term of an entry not older than the checkpoint. */
uint64_t consensus_term_of(const struct consensus *consensus, uint64_t index);
/* The configuration as of the last entry handed out, encoded, and its index; borrowed until the
 * next step. */
struct slice consensus_configuration(const struct consensus *consensus, uint64_t *out_index);

enum consensus_role consensus_role(const struct consensus *consensus);
uint64_t consensus_term(const struct consensus *consensus);
uint64_t consensus_commit_index(const struct consensus *consensus);
bool consensus_is_single_voter(const struct consensus *consensus);

/* True once the leader has handed out everything that was in its log when it became leader, the
 * entry of its own term that it then may have needed included: reads may be served (R34). */
bool consensus_is_ready(const struct consensus *consensus);

/* For shutdown, when nothing will be submitted any more: has the next steps vouch for the log's
 * last frame at once instead of a second later (R10). True once nothing is in flight and that is
 * done, or the log has failed: all may be closed. */
bool consensus_finish(struct consensus *consensus);

/* What *out_error of consensus_step() was about, for people; empty while it is 0. */
const char *consensus_failure(const struct consensus *consensus);

#endif
