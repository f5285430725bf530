/* SPDX-License-Identifier: Apache-2.0 */
/* member: one member of a group as tests want it: a consensus over a real log on a simulated disk,
 * which remembers all that it handed out and all that it wanted to send.
 *
 * The disk and the manifest outlive the process: member_crash() and member_start() give the next
 * life on what a power loss has left.
 */
#ifndef SUPPORT_MEMBER_H
#define SUPPORT_MEMBER_H

#include "consensus/consensus.h"
#include "support/simdisk.h"

/* A message and all it points to, owned. */
struct mail {
    struct list_node node;
    uint64_t to;
    uint64_t due_ms; /* the simulation's */
    struct consensus_message message;
    struct log_entry *entries;
    uint8_t *bytes;
};

struct mail *mail_new(uint64_t to, const struct consensus_message *message);
void mail_free(struct mail *mail);
/* Frees all of a list. */
void mail_drop(struct list_node *list);

/* An entry as it was handed out; `value` is the first 8 bytes of a COMMAND. */
struct handed {
    uint64_t index;
    uint64_t term;
    enum entry_type type;
    uint64_t value;
};

struct member {
    uint64_t id;
    struct simdisk *disk;
    struct simclock *clock;
    struct simchance chance;
    /* The manifest. */
    uint64_t checkpoint_index;
    uint64_t checkpoint_term;
    struct buf configuration;
    uint64_t configuration_index;
    /* To be set before member_start() where the defaults do not do. */
    size_t cache_bytes;
    uint32_t segment_size;
    unsigned max_in_flight;
    unsigned election_timeout_ms;
    unsigned heartbeat_ms;

    struct aio *aio;
    struct seglog *log;
    struct seglog_found found;
    struct consensus *consensus; /* NULL: not running */
    struct diag diag;
    int error; /* of the last step */

    /* Since it was started. */
    struct handed *handed;
    size_t handed_count;
    struct list_node outbox; /* of struct mail */
    enum consensus_role role;
    uint64_t term;
    unsigned role_events;
    unsigned unknown_events;
    uint64_t unknown_from;
    int unknown_error;
    uint64_t snapshot_wanted_by;
    bool is_order_broken;
    /* Called at the end of each on_commit and on_role; may be NULL. */
    void (*on_event)(struct member *member, void *ctx);
    void *event_ctx;
};

/* On an empty disk, not started. `clock` is shared between members. */
void member_init(struct member *member, uint64_t id, struct simclock *clock, uint64_t seed);
void member_fini(struct member *member);

/* The manifest of a new group that begins with `voters` voters, ids 1 to `voters`. */
void member_set_voters(struct member *member, unsigned voters);

/* The encoded configuration of ids 1 .. `count`; the last `standbys` of them have no vote. */
struct buf member_configuration(unsigned count, unsigned standbys);

/* Opens log and consensus. What went wrong is in diag. */
int member_start(struct member *member);

/* Closes without waiting for the disk, as kill -9 does. */
void member_stop(struct member *member);

/* The same, and the disk is then as a power loss may leave it. */
void member_crash(struct member *member, uint64_t seed);

/* Steps until there is nothing more to do, preparing segments. */
void member_step(struct member *member);

/* Steps with time standing still until the disk has nothing in flight. */
void member_settle(struct member *member);

/* Goes on by `ms` and settles, in steps of at most 10 ms. */
void member_run(struct member *member, uint64_t ms);

/* A frame with a COMMAND of `size` bytes, at least 8, that begins with `value`. */
struct frame *member_frame(uint64_t value, size_t size);

/* Submits such a frame. */
int member_submit(struct member *member, uint64_t value, uint64_t *out_index);

/* Takes the oldest message out; NULL: none. To be freed. */
struct mail *member_take_mail(struct member *member);
/* The newest of the type, in the outbox or NULL. */
const struct consensus_message *member_find_mail(const struct member *member,
                                                 enum consensus_message_type type);

/* Takes a checkpoint at what has been handed out. */
void member_checkpoint(struct member *member);

/* The last entry handed out; index 0 if none. */
struct handed member_last(const struct member *member);

#endif
