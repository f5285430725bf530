/* SPDX-License-Identifier: Apache-2.0 */
/* disk_reserve: a file that holds nothing but blocks, for the day on which the disk is full.
 *
 * It lies in the data directory under DISK_RESERVE_NAME and has real blocks of its own. Given up,
 * it leaves them to what has to be written even then: tombstones, log segments, manifests, hints.
 * It is no part of the state, no manifest names it, and it may be missing, or be removed by hand,
 * at any time. It has its name only when it is whole and durable; a half-made one has the other
 * name.
 *
 * Threads: any, one call at a time; all of them wait for the disk.
 */
#ifndef ENGINE_UPKEEP_DISK_RESERVE_H
#define ENGINE_UPKEEP_DISK_RESERVE_H

#include <stdint.h>

#include "base/attr.h"
#include "os/fs.h"

/* Both below the data directory. In the folder of data files, which may be a volume of its own. */
#define DISK_RESERVE_FOLDER    "data"
#define DISK_RESERVE_NAME      DISK_RESERVE_FOLDER "/reserve"
#define DISK_RESERVE_TEMPORARY DISK_RESERVE_NAME ".tmp"

/* Its size; 0 if there is none. A half-made one is removed. */
MUST_CHECK
int disk_reserve_find(struct fs *fs, const char *dir, uint64_t *out_size);

/* Afterwards there is one of `size` bytes with all its blocks; 0: there is none. An error leaves
 * none, or the one of that size that was there. */
MUST_CHECK
int disk_reserve_make(struct fs *fs, const char *dir, uint64_t size);

/* Leaves `size` bytes of it; 0: none. The others' blocks are free when this returns 0, also where
 * the filesystem frees only behind its journal. */
MUST_CHECK
int disk_reserve_give_up(struct fs *fs, const char *dir, uint64_t size);

#endif
