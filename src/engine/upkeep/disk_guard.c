/* SPDX-License-Identifier: Apache-2.0 */
/* The guard is asked to act by the second's tick, by alarms, and by what its one job brings back;
 * each time it does the first of these that is wanted:
 *
 *   give up     a write has found no space: the reserve, and if that has gone, all but one of the
 *               log's spare segments
 *   look        once a second under pressure; else only when something was written, and then after
 *               a quarter of what was free above the limit has been, or after ten seconds
 *   relieve     a checkpoint as soon as pressure begins, and whenever a log segment is lacking: the
 *               log's closed segments are used again, which takes no space
 *   make        the reserve, when there is room for it beside what is to stay free
 *   lift        there is space: a checkpoint, even if nothing is new. Its success proves that data
 *               files and manifest can be written; until then the pressure stays
 *
 * So an idle server asks nothing of the disk. An alarm between a checkpoint's beginning and its end
 * voids what it would have proved: `alarms` counts them.
 */
#include "engine/upkeep/disk_guard.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "engine/engine_internal.h"
#include "engine/upkeep/disk_reserve.h"

#define MB               (UINT64_C(1) << 20)
#define PATH_SIZE        4096
#define LOOK_MS          10000
#define RESERVE_RETRY_MS 60000
#define GIVE_UP_PAUSE_MS 300 /* until what has failed before has been tried again */
#define ROOM_FOR_RECORDS (64 * MB)
#define LOW_PART         10 /* of the volume, if the limit is ours to choose */
#define RESERVE_PART     16
#define BLOCK            4096

static struct group *group_of(struct disk_guard *guard)
{
    return CONTAINER_OF(guard, struct group, disk);
}

static bool is_no_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

const char *disk_size_text(char text[DISK_SIZE_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < ARRAY_COUNT(units); unit++)
        size /= 1024;
    snprintf(text, DISK_SIZE_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return text;
}

/* ---- How much is free ---- */

static uint64_t low_of(const struct group *group, uint64_t total_bytes)
{
    int64_t setting = atomic_load_explicit(&group->disk.free_low, memory_order_relaxed);
    if (setting > 0)
        return (uint64_t)setting;
    if (setting < 0)
        return total_bytes / 100 * (uint64_t)-setting;
    uint64_t own = 2 * (uint64_t)group->options.segment_size + ROOM_FOR_RECORDS;
    return own < total_bytes / LOW_PART ? own : total_bytes / LOW_PART;
}

static bool is_space_known(const struct disk_guard *guard)
{
    return guard->space_error == 0;
}

static uint64_t reserve_held(const struct disk_guard *guard)
{
    return atomic_load_explicit(&guard->reserve_bytes, memory_order_relaxed);
}

/* Volumes that share their space change their size all the time: it need not be exact. */
static bool is_reserve_large_enough(const struct disk_guard *guard)
{
    return reserve_held(guard) >= guard->reserve_wanted - guard->reserve_wanted / 4;
}

static uint64_t reserve_missing(const struct disk_guard *guard)
{
    if (guard->is_reserve_refused || is_reserve_large_enough(guard))
        return 0;
    return guard->reserve_wanted - reserve_held(guard);
}

/* Is so much free that the pressure may end? */
static bool has_space(const struct disk_guard *guard)
{
    if (!is_space_known(guard))
        return true;
    uint64_t low = atomic_load_explicit(&guard->low_bytes, memory_order_relaxed);
    uint64_t need = low + low / 4;
    return guard->space.free_bytes >= need &&
           guard->space.free_bytes - need >= reserve_missing(guard);
}

/* Thread: any. */
static int ask_space(const struct group *group, struct fs_space *out_space)
{
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/" DISK_RESERVE_FOLDER, group->options.dir);
    if (len < 0 || (size_t)len >= sizeof(path))
        return ERR_TOO_BIG;
    int rc = fs_space(group->options.os.fs, path, out_space);
    /* Some filesystems have no idea how large they are. G18 */
    if (rc == 0 && (out_space->total_bytes == 0 || out_space->free_bytes > out_space->total_bytes))
        rc = ERR_INVALID;
    return rc;
}

static void tell_unknown(struct disk_guard *guard)
{
    struct group *group = group_of(guard);
    if (guard->has_told_unknown)
        return;
    guard->has_told_unknown = true;
    group_log(group, '#',
              "%.300s: the filesystem does not tell how much space is free (%s): pressure is felt "
              "only when a write fails",
              group->options.dir, err_text(guard->space_error));
}

/* True if it was not there before. */
static bool begin_pressure(struct group *group, int error)
{
    if (atomic_exchange(&group->disk.is_pressed, true))
        return false;
    char free[DISK_SIZE_TEXT];
    char low[DISK_SIZE_TEXT];
    disk_size_text(free, atomic_load(&group->disk.free_bytes));
    disk_size_text(low, atomic_load(&group->disk.low_bytes));
    if (error == 0)
        group_log(group, '#',
                  "disk pressure: %s are free for %.300s, and disk-free-low is %s. Commands that "
                  "may grow the data are refused until there is space; deletes go on",
                  free, group->options.dir, low);
    else
        group_log(group, '#',
                  "disk pressure: a write below %.300s failed: %s. Commands that may grow the data "
                  "are refused until there is space; deletes go on",
                  group->options.dir, err_text(error));
    return true;
}

/* Takes in what has been seen of the volume. */
static void take_space(struct disk_guard *guard)
{
    struct group *group = group_of(guard);
    if (!is_space_known(guard)) {
        tell_unknown(guard);
        return;
    }
    uint64_t part = guard->space.total_bytes / RESERVE_PART;
    uint64_t wanted = group->options.disk_reserve;
    guard->reserve_wanted = (wanted < part ? wanted : part) / BLOCK * BLOCK;
    uint64_t low = low_of(group, guard->space.total_bytes);
    atomic_store_explicit(&guard->low_bytes, low, memory_order_relaxed);
    atomic_store_explicit(&guard->free_bytes, guard->space.free_bytes, memory_order_relaxed);
    if (guard->space.free_bytes < low)
        guard->wants_relief |= begin_pressure(group, 0);
}

static uint64_t written_bytes(const struct group *group)
{
    uint64_t sum = seglog_stats(group->log).bytes;
    for (uint32_t i = 0; i < group->stores.count; i++)
        sum += atomic_load_explicit(&group->shards[i].stats.data_bytes, memory_order_relaxed);
    return sum;
}

static bool is_look_due(const struct disk_guard *guard, const struct group *group)
{
    uint64_t written = written_bytes(group);
    /* Files may have been removed, too. */
    uint64_t change = written > guard->looked_bytes ? written - guard->looked_bytes
                                                    : guard->looked_bytes - written;
    uint64_t low = atomic_load_explicit(&guard->low_bytes, memory_order_relaxed);
    uint64_t above = guard->space.free_bytes > low ? guard->space.free_bytes - low : 0;
    bool is_long_ago = loop_now_ms(group->sequencer.loop) - guard->looked_ms >= LOOK_MS;
    if (atomic_load_explicit(&guard->free_low, memory_order_relaxed) != guard->looked_free_low)
        return true;
    return change > 0 && (is_long_ago || change >= above / 4);
}

/* ---- The job ---- */

static void disk_guard_step(struct disk_guard *guard);

static void run_task(struct pool_job *job)
{
    struct disk_guard *guard = CONTAINER_OF(job, struct disk_guard, job);
    const struct group *group = group_of(guard);
    struct fs *fs = group->options.os.fs;
    const char *dir = group->options.dir;
    struct disk_report report = {0};
    if (guard->task == DISK_GIVE_UP)
        report.task_error = disk_reserve_give_up(fs, dir, guard->reserve_left);
    if (guard->task == DISK_MAKE)
        report.task_error = disk_reserve_make(fs, dir, guard->reserve_wanted);
    report.space_error = ask_space(group, &report.space);
    guard->report = report;
}

static void take_given_up(struct disk_guard *guard, int error)
{
    struct group *group = group_of(guard);
    char size[DISK_SIZE_TEXT];
    disk_size_text(size, reserve_held(guard) - guard->reserve_left);
    if (error != 0) {
        group_log(group, '#', "%.300s/" DISK_RESERVE_NAME " cannot be given up: %s",
                  group->options.dir, err_text(error));
        return;
    }
    group_log(group, '#', "the reserve on disk is given up: %s for deletes and checkpoints", size);
    atomic_store_explicit(&guard->reserve_bytes, guard->reserve_left, memory_order_relaxed);
    group->sequencer.prep_error = 0; /* what has failed may be tried at once */
    guard->wants_relief = true;
}

static void take_made(struct disk_guard *guard, int error, uint64_t retry_ms)
{
    struct group *group = group_of(guard);
    guard->is_reserve_sure = error == 0;
    if (error == 0) {
        guard->is_reserve_refused = false;
        atomic_store_explicit(&guard->reserve_bytes, guard->reserve_wanted, memory_order_relaxed);
        return;
    }
    if (!guard->is_reserve_refused)
        group_log(group, '#',
                  "%.300s/" DISK_RESERVE_NAME
                  " cannot be made, will be tried again: %s. Without "
                  "it deletes may fail on a full disk",
                  group->options.dir, err_text(error));
    atomic_store_explicit(&guard->reserve_bytes, 0, memory_order_relaxed);
    guard->is_reserve_refused = true;
    guard->reserve_retry_ms = retry_ms;
}

static void on_task_done(struct pool_job *job)
{
    struct disk_guard *guard = CONTAINER_OF(job, struct disk_guard, job);
    guard->is_job_out = false;
    if (guard->task == DISK_GIVE_UP)
        take_given_up(guard, guard->report.task_error);
    if (guard->task == DISK_MAKE)
        take_made(guard, guard->report.task_error,
                  loop_now_ms(group_of(guard)->sequencer.loop) + RESERVE_RETRY_MS);
    guard->space_error = guard->report.space_error;
    guard->space = guard->report.space;
    take_space(guard);
    disk_guard_step(guard);
}

static void send(struct disk_guard *guard, enum disk_task task)
{
    struct group *group = group_of(guard);
    guard->task = task;
    guard->is_job_out = true;
    guard->must_look = false;
    guard->looked_ms = loop_now_ms(group->sequencer.loop);
    guard->looked_bytes = written_bytes(group);
    guard->looked_free_low = atomic_load_explicit(&guard->free_low, memory_order_relaxed);
    /* Who is out of space cannot wait behind a merge or a sync. */
    pool_submit(group->options.pool, task == DISK_MAKE ? POOL_BULK : POOL_READ, &guard->job,
                group->sequencer.loop, run_task, on_task_done);
}

/* ---- What is wanted ---- */

static bool is_serving(const struct group *group)
{
    return group_state(group) == GROUP_READY && !group->sequencer.is_stopping;
}

static bool wants_reserve(const struct disk_guard *guard, const struct group *group)
{
    uint64_t held = reserve_held(guard);
    bool is_none_wanted = held == 0 && guard->reserve_wanted == 0;
    bool is_right = guard->is_reserve_sure && is_reserve_large_enough(guard) &&
                    held <= group->options.disk_reserve;
    return !is_none_wanted && !is_right && has_space(guard);
}

static bool may_make_reserve(const struct disk_guard *guard, const struct group *group)
{
    return is_serving(group) && !(guard->is_reserve_refused &&
                                  loop_now_ms(group->sequencer.loop) < guard->reserve_retry_ms);
}

/* Is all well again, as far as can be told without a checkpoint? */
static bool is_well(const struct disk_guard *guard, const struct group *group)
{
    return has_space(guard) && reserve_missing(guard) == 0 && !group->sequencer.is_prep_failing &&
           atomic_load_explicit(&group->shards_failing, memory_order_relaxed) == 0;
}

static void relieve(struct disk_guard *guard, struct group *group)
{
    struct sequencer *sequencer = &group->sequencer;
    bool wants = guard->wants_relief || (guard->may_try && sequencer->is_prep_failing);
    if (!wants || !is_serving(group) || (sequencer->is_checkpoint_failing && !guard->may_try))
        return;
    guard->wants_relief = false;
    if (sequencer->is_checkpoint_failing)
        guard->may_try = false;
    checkpoint_begin(sequencer);
}

void disk_guard_relieve(struct group *group)
{
    struct disk_guard *guard = &group->disk;
    guard->wants_relief |= group->sequencer.checkpoint == NULL;
    relieve(guard, group);
}

static void try_lift(struct disk_guard *guard, struct group *group)
{
    if (!disk_guard_is_pressed(guard) || !guard->may_try || !is_serving(group) ||
        !is_well(guard, group) || group->sequencer.checkpoint != NULL ||
        group->sequencer.reload != NULL)
        return;
    guard->may_try = false;
    group->sequencer.must_checkpoint = true;
    checkpoint_begin(&group->sequencer);
}

static void disk_guard_step(struct disk_guard *guard)
{
    struct group *group = group_of(guard);
    if (guard->is_job_out || guard->is_stopped || group->sequencer.stop_phase == STOP_DONE)
        return;
    bool must_give_up = guard->must_give_up;
    guard->must_give_up = false;
    if (must_give_up && reserve_held(guard) > 0) {
        /* A start takes a new segment: its share goes last. */
        uint64_t segment = group->options.segment_size;
        guard->reserve_left = reserve_held(guard) > segment ? segment : 0;
        guard->gave_up_ms = loop_now_ms(group->sequencer.loop);
        send(guard, DISK_GIVE_UP);
        return;
    }
    if (must_give_up)
        seglog_set_max_spare(group->log, 1); /* all that is left to be given */
    if (guard->must_look) {
        send(guard, DISK_LOOK);
        return;
    }
    relieve(guard, group);
    if (may_make_reserve(guard, group) && wants_reserve(guard, group))
        send(guard, DISK_MAKE);
    else
        try_lift(guard, group);
}

void disk_guard_tick(struct group *group)
{
    struct disk_guard *guard = &group->disk;
    guard->may_try = disk_guard_is_pressed(guard);
    guard->must_look = guard->may_try || is_look_due(guard, group);
    disk_guard_step(guard);
}

/* ---- Alarms ---- */

enum alarm_flag { ALARM_POSTED = 1, ALARM_NEEDS_RESERVE = 2 };

static void on_alarm(struct loop_post *post)
{
    struct disk_guard *guard = CONTAINER_OF(post, struct disk_guard, alarm);
    unsigned flags = atomic_exchange(&guard->alarm_flags, 0);
    uint64_t now_ms = loop_now_ms(group_of(guard)->sequencer.loop);
    bool has_been_tried = guard->gave_up_ms == 0 || now_ms - guard->gave_up_ms >= GIVE_UP_PAUSE_MS;
    guard->alarms++;
    /* Perhaps it ended between the alarm and now. */
    IGNORE(begin_pressure(group_of(guard), -ENOSPC), "relief is wanted in any case");
    guard->wants_relief = true;
    guard->must_give_up |= (flags & ALARM_NEEDS_RESERVE) != 0 && has_been_tried;
    disk_guard_step(guard);
}

static void raise_alarm(struct group *group, int error, unsigned flags)
{
    struct disk_guard *guard = &group->disk;
    if (!is_no_space(error))
        return;
    IGNORE(begin_pressure(group, error), "the alarm sees to what follows");
    if (atomic_fetch_or(&guard->alarm_flags, ALARM_POSTED | flags) == 0) {
        guard->alarm.run = on_alarm;
        loop_post(group->sequencer.loop, &guard->alarm);
    }
}

void disk_guard_saw(struct group *group, int error)
{
    raise_alarm(group, error, ALARM_NEEDS_RESERVE);
}

void disk_guard_saw_mild(struct group *group, int error)
{
    raise_alarm(group, error, 0);
}

/* ---- Checkpoints ---- */

uint64_t disk_guard_mark(const struct group *group)
{
    return is_well(&group->disk, group) ? group->disk.alarms + 1 : 0;
}

void disk_guard_on_checkpoint(struct group *group, int error, uint64_t mark)
{
    struct disk_guard *guard = &group->disk;
    disk_guard_saw(group, error);
    if (error != 0 || mark != guard->alarms + 1 || !disk_guard_is_pressed(guard) ||
        atomic_load(&guard->alarm_flags) != 0 || !is_well(guard, group))
        return; /* G17 */
    char free[DISK_SIZE_TEXT];
    disk_size_text(free, atomic_load(&guard->free_bytes));
    atomic_store(&guard->is_pressed, false);
    seglog_set_max_spare(group->log, group_max_spare(group));
    group_log(group, '*', "disk pressure has ended: %s are free; all writes are taken again", free);
}

void disk_guard_refusal(const struct group *group, char *text, size_t text_size)
{
    uint64_t free = atomic_load_explicit(&group->disk.free_bytes, memory_order_relaxed);
    uint64_t low = atomic_load_explicit(&group->disk.low_bytes, memory_order_relaxed);
    char size[DISK_SIZE_TEXT];
    disk_size_text(size, free);
    snprintf(
        text, text_size,
        "MISCONF The disk of %.200s is full or nearly so (%s%s), so commands that may grow the "
        "data are refused: delete keys or free space on the volume; no restart is needed",
        group->options.dir, free < low ? size : "a write found no space",
        free < low ? " free" : "");
}

/* ---- Life ---- */

void disk_guard_open(struct group *group)
{
    struct disk_guard *guard = &group->disk;
    const struct group_options *options = &group->options;
    atomic_store(&guard->free_low, options->disk_free_low);
    guard->reserve_wanted = options->disk_reserve / BLOCK * BLOCK;
    uint64_t found = 0;
    if (disk_reserve_find(options->os.fs, options->dir, &found) == 0)
        atomic_store(&guard->reserve_bytes, found);
    guard->space_error = ask_space(group, &guard->space);
    take_space(guard);
    if (!wants_reserve(guard, group))
        return;
    /* Not later: a disk may be full a second after the start. */
    int rc = disk_reserve_make(options->os.fs, options->dir, guard->reserve_wanted);
    take_made(guard, rc, 0);
    guard->space_error = ask_space(group, &guard->space);
    take_space(guard);
}

bool disk_guard_open_again(struct group *group)
{
    struct disk_guard *guard = &group->disk;
    if (reserve_held(guard) == 0)
        return false;
    guard->reserve_left = 0;
    int rc = disk_reserve_give_up(group->options.os.fs, group->options.dir, 0);
    take_given_up(guard, rc);
    IGNORE(begin_pressure(group, -ENOSPC), "a checkpoint is wanted in any case");
    return rc == 0;
}

void disk_guard_stop(struct group *group)
{
    group->disk.is_stopped = true;
}
