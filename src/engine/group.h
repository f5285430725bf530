/* SPDX-License-Identifier: Apache-2.0 */
/* group: one Raft group on this node: log, shards, and the ports through which io loops reach them.
 *
 * Everything of a group hangs from this object; a process may hold several. It is given its loops
 * and its pool and spreads its components over them: a port on every io loop, the sequencer on the
 * log loop, shards on theirs. All may be one loop.
 *
 * Life: group_new -> group_recover (blocks: manifest, log, data files) -> group_start -> loops run
 * -> replay, progress by group_state() -> READY -> group_stop (checkpoint, vouch) -> on_stopped ->
 * group_settle -> loops end -> group_close. Threads: new, start, stop and close from the thread
 * that drives the log loop or before it runs; the rest as said. See engine/README.md, invariants
 * G1-G12.
 */
#ifndef ENGINE_GROUP_H
#define ENGINE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "command/tally.h"
#include "engine/group_merge.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/aio.h"
#include "os/os.h"

#define GROUP_MAX_LOOPS 64

struct group;
struct port;

enum group_state {
    GROUP_REPLAYING, /* -LOADING; or not even recovered yet */
    GROUP_READY,
    GROUP_LOG_FAILED, /* reads only (R30) */
    GROUP_STOPPING,
    GROUP_STOPPED
};

struct group_options {
    struct os os;
    struct aio *aio; /* the log's; the group closes it */
    struct epoch *epoch;
    struct pool *pool;
    struct loop *io_loops[GROUP_MAX_LOOPS];
    uint32_t io_loop_count;
    struct loop *log_loop;
    struct loop *shard_loops[GROUP_MAX_LOOPS];
    uint32_t shard_loop_count;
    const struct command_table *table;
    const char *dir;      /* the data directory; must exist */
    uint32_t shard_count; /* 0: as the directory has, or default_shard_count in a new one */
    uint32_t default_shard_count;
    uint32_t database_count;
    /* Sizes and times; 0 takes the default. */
    uint32_t segment_size;      /* 64 MiB */
    unsigned frames_in_flight;  /* 2 */
    uint64_t log_budget;        /* bytes between checkpoints, 1 GiB */
    uint64_t max_file_size;     /* of data files, 256 MiB */
    size_t max_entry_bytes;     /* 32 MiB (R33) */
    size_t max_in_flight_bytes; /* submitted and not answered, over all ports; 64 MiB */
    size_t max_unwritten_bytes; /* per shard, collected and not yet in its file; 32 MiB (R32) */
    int64_t disk_free_low;      /* of the volume; -n: n percent of it; 0: by segment and volume */
    uint64_t disk_reserve;      /* as given, and no more than a sixteenth of the volume */
    unsigned flush_interval_ms; /* 10 */
    unsigned checkpoint_interval_ms;  /* 10 s */
    unsigned checkpoint_idle_ms;      /* 250 */
    unsigned checkpoint_max_delay_ms; /* 180 s */
    unsigned max_clock_step_ms;       /* 60 s */
    bool is_serial;                   /* recover shards one after the other: for simulations */
    size_t hot_max_value;             /* as given, 0 too */
    struct lfu_options lfu;
    struct merge_settings merge; /* as given */
    /* What cannot go on: the process (or the test) must end; `text` says which file and what to do.
     * Called once, from any of the group's loops. */
    void (*on_fatal)(void *ctx, const char *text);
    /* For the log of the server: one line, level by Redis's letters '.', '-', '*', '#'. */
    void (*on_log)(void *ctx, char level, const char *text);
    /* Recovery: `what` is "data files", "log" or "replay"; while opening from any thread. */
    void (*on_progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
    /* The log has been replayed: READY. From the log loop; NULL: nobody wants to know. */
    void (*on_ready)(void *ctx);
    void *ctx;
};

/* Looks at nothing on disk yet. The ports are there and answer LOADING; figures are 0. */
struct group *group_new(const struct group_options *options);

/* Recovers the state on disk. Refuses, with what to do, a directory that another process holds, of
 * another shard count or version, without manifest but with data, or with corrupt bytes (P5). Then
 * all that is left to do is to end the process, or group_free_unstarted(). Thread: any, while the
 * loops of ports may run. */
MUST_CHECK
int group_recover(struct group *group, struct diag *diag);

/* Puts all components to work. No loop runs meanwhile. */
MUST_CHECK
int group_start(struct group *group, struct diag *diag);

/* For a group that was refused by one of the two. */
void group_free_unstarted(struct group *group);

/* All of it, one after the other; what was refused is freed. */
MUST_CHECK
int group_open(const struct group_options *options, struct group **out_group, struct diag *diag);

/* Takes no more writes, lets those in flight finish, makes a checkpoint, vouches for the log's end,
 * then calls on_stopped on the log loop. Reads are still served. Thread: log loop's. Can be called
 * once. */
void group_stop(struct group *group, bool with_checkpoint, void (*on_stopped)(void *ctx, int error),
                void *ctx);

/* After that, when no request can come any more: waits for what ports and shards have out on the
 * pool, and sends nothing there again. on_settled comes on `loop`, which is the caller's. */
void group_settle(struct group *group, struct loop *loop, void (*on_settled)(void *ctx), void *ctx);

/* Takes the components off their loops, which have ended but still take posts; then the loops may
 * be freed, and then the group. */
void group_stop_parts(struct group *group);

/* All loops have been freed, the pool too. */
void group_close(struct group *group);

/* Thread: any. */
enum group_state group_state(const struct group *group);
struct port *group_port(struct group *group, uint32_t io_loop_idx);
const struct stores *group_stores(const struct group *group);
uint32_t group_shard_count(const struct group *group);
const struct command_table *group_table(const struct group *group);
/* Of a shard index, where it lives. */
void group_set_hot_max_value(struct group *group, size_t bytes);

/* As the option of that name. Takes effect within a second. Thread: any. */
void group_set_disk_free_low(struct group *group, int64_t free_low);

/* The classes of events (store/event.h) that ports are told of. Thread: any. */
void group_want_events(struct group *group, unsigned classes);
struct tally_settings *group_tally_settings(struct group *group);

/* Asks for a checkpoint at once; on_done comes on `loop`. Thread: any. */
struct group_checkpoint_request {
    struct loop_post post;
    struct loop_post back;
    struct group_checkpoint_request *next;
    struct group *group;
    struct loop *loop;
    int error;
    void (*on_done)(struct group_checkpoint_request *request);
};
void group_checkpoint(struct group *group, struct group_checkpoint_request *request);

/* Makes a checkpoint, forgets every key and recovers them from the data files, as a start does;
 * what is written meanwhile waits. For DEBUG. request->error: ERR_BUSY when one is under way, or
 * why it was left as it was; then diag has more, if it has anything. Thread: any. */
struct group_reload_request {
    struct loop_post post;
    struct loop_post back;
    struct group *group;
    struct loop *loop;
    int error;
    struct diag diag;
    void (*on_done)(struct group_reload_request *request);
};
void group_reload(struct group *group, struct group_reload_request *request);

/* Whether time is logged for no other reason than that keys are due (R14); on at first. Off, they
 * go, all of them, with the next write or with who meets one. For DEBUG. Thread: any. */
void group_set_active_expire(struct group *group, bool is_active);

/* Until `until_ms` on the clock of the loops (loop_now_ms()) no key is taken out because it is due;
 * 0: they are again. For CLIENT PAUSE. Thread: any. */
void group_hold_expiry(struct group *group, uint64_t until_ms);

/* Has what is due by now taken out, as far as that is decided; on_done comes on `loop`. Thread:
 * any, once the group has started. */
struct group_sweep {
    struct loop_post post;
    struct group *group;
    struct loop *loop;
    uint32_t shard;
    uint32_t shard_count;
    void (*on_done)(struct group_sweep *sweep);
};
void group_sweep(struct group *group, struct group_sweep *sweep);

uint32_t group_database_count(const struct group *group);
uint64_t group_id(const struct group *group);

#endif
