/* SPDX-License-Identifier: Apache-2.0 */
/* group_stats: what a group tells of itself, for INFO and for tests. Thread: any. */
#ifndef ENGINE_GROUP_STATS_H
#define ENGINE_GROUP_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/group.h"

/* Counters; a consistent-enough picture from any thread. */
struct group_stats {
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t checkpoint_index;
    uint64_t checkpoint_number;
    uint64_t checkpoints;
    uint64_t last_checkpoint_ms; /* wall clock */
    uint64_t last_checkpoint_took_us;
    bool is_checkpoint_running;
    bool is_checkpoint_failing; /* the last one that was tried has failed */
    bool is_log_failed;         /* for good: no write until a restart */
    bool is_log_full;           /* no write until a log segment can be prepared */
    uint32_t shards_failing;    /* cannot write their data files: no write until they can */
    bool is_disk_pressed;       /* no write that may grow the data */
    uint64_t disk_free_bytes;   /* when last looked at; 0: it cannot be told */
    uint64_t disk_low_bytes;    /* with less there is pressure */
    uint64_t disk_reserve_bytes;
    uint64_t log_entries_frames;
    uint64_t log_other_frames;
    uint64_t log_bytes;
    uint64_t log_live_bytes;
    uint64_t log_segments;
    uint64_t log_spares;
    uint64_t log_recycled;
    uint64_t log_prepared;
    const char *log_writer;
    uint64_t rotations;
    uint64_t data_files;
    uint64_t data_bytes;
    uint64_t data_live_bytes;
    uint64_t data_replaced_bytes; /* of files that go with a checkpoint */
    uint64_t merges;
    uint64_t merges_failed;
    uint64_t merge_freed_bytes;
    uint64_t merge_total_bytes; /* of the one under way; 0: none is */
    uint64_t merge_done_bytes;
    uint64_t hints_written;
    uint64_t backup_total_bytes; /* of the one under way; 0: none is */
    uint64_t backup_done_bytes;
    uint64_t last_backup_ms; /* wall clock; 0: none since the start */
    bool is_backup_failing;  /* the last one */
    uint64_t in_flight_bytes;
    uint64_t commands_logged;
    uint64_t replayed_commands;
    uint64_t expired_keys;
    uint64_t keydir_bytes;
    uint64_t expiry_bytes;
    uint64_t retired_bytes;
    uint64_t unwritten_bytes;
    uint64_t cold_rows;
    uint64_t hlc_ms;
    int64_t clock_refused_ms;
};
struct group_stats group_stats(const struct group *group);
/* Keys of a database over all shards. */
struct store_db_stats group_db_stats(const struct group *group, uint16_t db);
/* Counters of commands over all ports and shards are added; `sum` has been initialised. */
void group_tally(const struct group *group, struct tally_sum *sum);

#endif
