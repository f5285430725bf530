/* SPDX-License-Identifier: Apache-2.0 */
/* merge_policy: which files of a shard are worth a merge, and when.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef ENGINE_UPKEEP_MERGE_POLICY_H
#define ENGINE_UPKEEP_MERGE_POLICY_H

#include "bitcask/upkeep.h"
#include "engine/group.h"

/* Chooses from `files` (sealed ones, `count` of them) and writes their ids to `out_ids`, which has
 * room for all: at most max_files, or every one where nothing less would help. 0: nothing to do.
 * With `is_asked` whatever would save anything is chosen. `wall_ms`: now. */
size_t merge_choose(const struct merge_settings *settings, const struct bitcask_sealed *files,
                    size_t count, uint64_t wall_ms, bool is_asked, uint32_t *out_ids);

/* True if merges may begin at this time of the day (UTC). */
bool merge_is_time(const struct merge_settings *settings, uint64_t wall_ms);

#endif
