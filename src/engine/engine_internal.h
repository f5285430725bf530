/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of engine/ share: the group and its components. */
#ifndef ENGINE_ENGINE_INTERNAL_H
#define ENGINE_ENGINE_INTERNAL_H

#include "base/assert.h"
#include "engine/checkpoint_internal.h"
#include "engine/events/events.h"
#include "engine/port_internal.h"
#include "engine/sequencer_internal.h"
#include "engine/shard_internal.h"
#include "engine/upkeep/disk_guard.h"
#include "os/thread.h"
#include "store/stores.h"

/* The order of phases in a turn; sockets come before all of them, flushing replies after. */
enum phase_order { PHASE_PORT = 10, PHASE_SEQUENCER = 20, PHASE_SHARD = 30 };

/* ---- Group ---- */

struct group {
    struct group_options options;
    struct file *lock;
    uint64_t identity; /* the group's id */
    struct seglog *log;
    struct manifest manifest; /* the last that is durable; the sequencer's after the start */
    struct stores stores;
    struct shard *shards;
    struct port ports[GROUP_MAX_LOOPS];
    struct sequencer sequencer;
    struct seglog_found found; /* from recovery to start */
    uint32_t fitted_databases; /* the same; 0: as many as the options say */
    _Atomic bool is_started;   /* shards and stores may be looked at */
    _Atomic int state;         /* enum group_state */
    _Atomic bool is_fatal;
    _Atomic bool is_ending; /* group_stop() has been called */
    struct event_traffic events;
    _Atomic uint64_t hlc_ms; /* last stamp or raised time, for readers (R22) */
    _Atomic int log_error;
    _Atomic bool is_expire_passive;  /* no entry is logged only because keys are due */
    _Atomic uint64_t expiry_held_ms; /* on the clock of loops: until then what is due stays */
    _Atomic bool is_disk_full;       /* no segment can be prepared */
    struct disk_guard disk;
    struct tally_settings tally_settings;
    _Atomic uint64_t shards_failing; /* a set: their data files cannot be written */
    struct lock merge_lock;          /* of the settings */
    struct merge_settings merge_settings;
    _Atomic uint32_t merge_token;        /* shard + 1 that merges; 0: none does */
    _Atomic uint32_t merge_holds;        /* above 0: no merge begins */
    _Atomic uint32_t unlink_holds;       /* above 0: no data file is removed */
    _Atomic uint64_t backup_total_bytes; /* of the one under way; 0: none is */
    _Atomic uint64_t backup_done_bytes;
    struct {
        _Atomic uint64_t values[24];
    } published;
};

/* Statistics the log loop publishes; struct group_stats names them. */
enum published {
    PUB_TERM,
    PUB_COMMIT_INDEX,
    PUB_APPLIED_INDEX,
    PUB_CHECKPOINT_INDEX,
    PUB_CHECKPOINT_NUMBER,
    PUB_CHECKPOINTS,
    PUB_LAST_CHECKPOINT_MS,
    PUB_LAST_CHECKPOINT_US,
    PUB_CHECKPOINT_RUNNING,
    PUB_CHECKPOINT_FAILING,
    PUB_ENTRIES_FRAMES,
    PUB_OTHER_FRAMES,
    PUB_LOG_BYTES,
    PUB_LOG_LIVE_BYTES,
    PUB_LOG_SEGMENTS,
    PUB_LOG_SPARES,
    PUB_LOG_RECYCLED,
    PUB_LOG_PREPARED,
    PUB_COMMANDS_LOGGED,
    PUB_REPLAYED,
    PUB_HLC_MS,
    PUB_CLOCK_REFUSED_MS,
    PUB_LAST_BACKUP_MS,
    PUB_BACKUP_FAILED,
    PUB_COUNT
};
STATIC_ASSERT(PUB_COUNT <= ARRAY_COUNT(((struct group *)NULL)->published.values), "all have room");

static inline void group_publish(struct group *group, enum published which, uint64_t value)
{
    atomic_store_explicit(&group->published.values[which], value, memory_order_relaxed);
}

static inline uint64_t group_published(const struct group *group, enum published which)
{
    return atomic_load_explicit(&group->published.values[which], memory_order_relaxed);
}

void group_close_rest(struct group *group);

/* Segments of the log that are kept for use again. */
unsigned group_max_spare(const struct group *group);

/* group_open.c: a shard's content as the manifest's files have it, beside the open store. */
MUST_CHECK
int group_recover_again(const struct group *group, uint32_t shard, struct store **out_fresh,
                        struct diag *diag);

/* reload.c */
/* The shard can take in what has been recovered. */
void reload_take_in(struct shard *shard);
void reload_free(struct reload *reload);
/* upkeep/backup.c: after a fatal error. */
void backup_free(struct backup *backup);

/* Ends everything: the process must not go on with this state. Thread: any. */
void group_fail(struct group *group, const char *format, ...) PRINTF_LIKE(2, 3);
void group_log(struct group *group, char level, const char *format, ...) PRINTF_LIKE(3, 4);
void group_set_state(struct group *group, enum group_state state);

/* What a command involves. */
struct involved {
    uint64_t shards; /* a set */
    uint64_t hash;   /* of its first key; 0: it has none */
};

/* False if the command's keys cannot be found in argv, or one is too long. */
bool group_involved(const struct group *group, const struct command_row *row,
                    const struct slice *argv, uint32_t argc, uint16_t db, struct involved *out);

#endif
