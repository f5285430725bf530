/* SPDX-License-Identifier: Apache-2.0 */
/* disk_guard: what a group does when its disk is nearly full.
 *
 * Under pressure, commands that may grow the data are refused before they are submitted (R13);
 * deletes, expiry, checkpoints and merges go on. Pressure begins when the volume of the data
 * directory has less than disk-free-low free bytes, or when anything that had to be written found
 * no space. It ends when a checkpoint has succeeded that began after there was space again: a
 * quarter more than disk-free-low, and the reserve, which was given up when a write found no space,
 * is there once more. Invariants G16 to G18.
 *
 * Nobody is refused because free space cannot be told: then only writes that fail begin pressure.
 *
 * Threads:  owned by the log loop; disk is asked on the pool only. What others may call says so.
 */
#ifndef ENGINE_UPKEEP_DISK_GUARD_H
#define ENGINE_UPKEEP_DISK_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop/pool.h"
#include "os/fs.h"

struct checkpoint;
struct group;

enum disk_task {
    DISK_LOOK,    /* how much is free? */
    DISK_GIVE_UP, /* the reserve */
    DISK_MAKE     /* the reserve, of the wanted size; what is there may be it already */
};

/* What a job has found. */
struct disk_report {
    int task_error;
    int space_error;
    struct fs_space space; /* if space_error is 0 */
};

struct disk_guard {
    /* Anyone may read these. */
    _Atomic bool is_pressed;
    _Atomic uint64_t free_bytes; /* as of the last look */
    _Atomic uint64_t low_bytes;
    _Atomic uint64_t reserve_bytes; /* that there are */
    _Atomic int64_t free_low;       /* the setting, as in struct group_options */
    struct loop_post alarm;
    _Atomic unsigned alarm_flags; /* of the alarm on its way; 0: none is */

    /* The log loop's. */
    struct pool_job job;
    enum disk_task task;
    bool is_job_out;
    bool is_stopped;
    struct disk_report report; /* the job's while it is out */
    int space_error;           /* of the last look */
    struct fs_space space;
    uint64_t reserve_left;   /* by the giving up that is under way */
    uint64_t reserve_wanted; /* on a volume of this size */
    uint64_t alarms;         /* so many writes have found no space */
    bool must_look;
    bool must_give_up;
    bool wants_relief; /* a checkpoint that makes log segments ready for use */
    bool may_try;      /* what has failed before: once a second */
    bool is_reserve_sure;
    bool is_reserve_refused; /* it could not be made; tried again in a while */
    bool has_told_unknown;
    uint64_t reserve_retry_ms;
    uint64_t gave_up_ms;
    int64_t looked_free_low; /* the setting at the last look */
    uint64_t looked_ms;
    uint64_t looked_bytes; /* written by then */
};

/* At the recovery, before anything needs space: looks at volume and reserve. */
void disk_guard_open(struct group *group);
/* The reserve goes now; for a start that finds no space. False if there is none. */
bool disk_guard_open_again(struct group *group);
/* No job is sent any more. */
void disk_guard_stop(struct group *group);

/* Every second, on the log loop. */
void disk_guard_tick(struct group *group);

/* A write, or the making of a file, has ended with `error`, and is tried again by its owner. If it
 * found no space there is pressure from now on, and the reserve is given up. Thread: any. */
void disk_guard_saw(struct group *group, int error);
/* The same for what can wait, or for which others may still make room: pressure, and the reserve
 * stays. */
void disk_guard_saw_mild(struct group *group, int error);

/* The log lacks a segment that a checkpoint would give: one is made, once. */
void disk_guard_relieve(struct group *group);

/* Notes at a checkpoint's beginning whether its success will end the pressure. */
uint64_t disk_guard_mark(const struct group *group);
/* It has ended; `mark` is what the other said. */
void disk_guard_on_checkpoint(struct group *group, int error, uint64_t mark);

static inline bool disk_guard_is_pressed(const struct disk_guard *guard)
{
    return atomic_load_explicit(&guard->is_pressed, memory_order_relaxed);
}

/* What a client is told. Thread: any. */
void disk_guard_refusal(const struct group *group, char *text, size_t text_size);

/* "1.5 GiB". */
#define DISK_SIZE_TEXT 32
const char *disk_size_text(char text[DISK_SIZE_TEXT], uint64_t bytes);

#endif
