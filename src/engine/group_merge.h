/* SPDX-License-Identifier: Apache-2.0 */
/* group_merge: when a group merges its data files, and how fast. Thread: any. */
#ifndef ENGINE_GROUP_MERGE_H
#define ENGINE_GROUP_MERGE_H

#include <stdint.h>

struct group;

enum merge_mode {
    MERGE_HOT,  /* at any time */
    MERGE_BULK, /* in the hours of the window */
    MERGE_AGE,  /* in these, and only if a file is old enough */
    MERGE_OFF   /* only when asked for */
};

struct merge_settings {
    enum merge_mode mode;
    uint32_t dead_percent;     /* a file is worth a merge from here on, and */
    uint64_t min_dead_bytes;   /* from so many dead bytes */
    uint64_t small_file_bytes; /* smaller ones are joined, when there are */
    uint32_t min_files;
    uint32_t max_files;   /* of one merge */
    uint32_t cooldown_ms; /* after a merge of the same shard */
    uint32_t hour_from;   /* UTC, 0 to 23; the window may go over midnight */
    uint32_t hour_to;
    uint64_t min_age_ms;
    uint32_t min_free_percent; /* of the free space that a merge leaves free */
    uint64_t rate_bytes;       /* read and written a second; 0: no limit */
};

struct merge_settings group_merge_settings(struct group *group);
void group_set_merge(struct group *group, const struct merge_settings *settings);

/* Every shard merges, as soon as it can, whatever would give space back. */
void group_merge(struct group *group);

#endif
