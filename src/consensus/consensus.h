/* SPDX-License-Identifier: Apache-2.0 */
/* consensus: one Raft group's driver over raft_step(): time, messages and durable writes go in,
 * committed entries and messages come out. Sans-I/O but for the seglog it drives.
 *
 * Sole user of libraft, exactly version 0.22.1. Rules A to H of consensus/README.md remove the
 * known defects of that version; each is asserted or tested by its letter.
 *
 * Threads:  one owner, the log loop. Calls events only from within consensus_step(),
 *           consensus_submit(), consensus_receive() and consensus_open().
 * Order:    term and vote are durable before any message of their update leaves; an entry is handed
 *           to on_commit when it is committed and locally durable, in index order, once, never
 * back. See consensus/README.md, invariants C1-C8.
 */
#ifndef CONSENSUS_CONSENSUS_H
#define CONSENSUS_CONSENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "consensus/message.h"
#include "os/os.h"
#include "seglog/seglog.h"

struct consensus;

enum consensus_role { ROLE_FOLLOWER, ROLE_CANDIDATE, ROLE_LEADER, ROLE_FAILED };

struct consensus_events {
    /* An entry is committed and durable here. `frame` holds its payload: take a reference to keep
     * it beyond the call. BARRIER and CHANGE entries come too. */
    void (*on_commit)(void *ctx, const struct log_entry *entry, struct frame *frame);

    /* Role or term changed. On leaving ROLE_LEADER on_unknown comes first. */
    void (*on_role)(void *ctx, enum consensus_role role, uint64_t term);

    /* The outcome of everything submitted from `from_index` on cannot be known (P4): it may be
     * committed later or never. `error` is why: ERR_NOT_LEADER, or what the disk said. */
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
    struct slice configuration; /* encoded by consensus; empty in a new group */
    uint64_t configuration_index;
    unsigned election_timeout_ms;
    unsigned heartbeat_ms;
    size_t cache_bytes; /* entries kept in memory for peers; 0 with one voter */
    const struct consensus_events *events;
    void *ctx;
};

/* Starts the core. A new group gets a first entry (CHANGE) with this node as its only voter. The
 * entries found in the log are NOT read here: those above the checkpoint come through on_commit as
 * consensus_step() runs, read back from disk within its budget. */
MUST_CHECK
int consensus_open(const struct consensus_options *options, struct consensus **out,
                   struct diag *diag);
void consensus_close(struct consensus *consensus);

/* One round: takes the log's completions in, fires what is due, hands committed entries out (at
 * most about `budget_bytes` of entries that must be read back), starts the disk. True if more could
 * be done at once. 0 or negative code of a failed log in *out_error (sticky; role is ROLE_FAILED).
 */
bool consensus_step(struct consensus *consensus, size_t budget_bytes, int *out_error);

/* When consensus_step() must run at the latest, as clock_mono_us() / 1000. */
uint64_t consensus_deadline_ms(const struct consensus *consensus);

/* May a frame of `size` bytes be submitted now? 0, ERR_NOT_LEADER, ERR_AGAIN (a write slot or a
 * segment is awaited), -ENOSPC/-EIO (no segment can be had), ERR_TOO_BIG, ERR_LOG_FAILED. */
MUST_CHECK
int consensus_can_submit(const struct consensus *consensus, size_t size);

/* Submits a frame with one COMMAND entry whose payload is complete; consensus_can_submit() has said
 * 0 in this turn. Takes a reference. Returns the entry's index in *out_index. An error means that
 * it was not submitted and never will be. */
MUST_CHECK
int consensus_submit(struct consensus *consensus, struct frame *frame, uint64_t *out_index);

/* The index the next submitted entry will get. */
uint64_t consensus_next_index(const struct consensus *consensus);

/* A message from a peer: hostile until checked. ERR_PROTOCOL: it was dropped. */
MUST_CHECK
int consensus_receive(struct consensus *consensus, const struct consensus_message *message);

/* The state up to `index` is durable in the data files and named by a manifest. */
void consensus_checkpoint(struct consensus *consensus, uint64_t index);

/* Term of an entry not older than the checkpoint. */
uint64_t consensus_term_of(const struct consensus *consensus, uint64_t index);
/* The committed configuration, encoded, and its index; borrowed until the next step. */
struct slice consensus_configuration(const struct consensus *consensus, uint64_t *out_index);

enum consensus_role consensus_role(const struct consensus *consensus);
uint64_t consensus_term(const struct consensus *consensus);
uint64_t consensus_commit_index(const struct consensus *consensus);
bool consensus_is_single_voter(const struct consensus *consensus);

/* True once the leader has handed out an entry of its own term, and with it everything that was in
 * the log when it started: reads may be served (R34). */
bool consensus_is_ready(const struct consensus *consensus);

#endif
