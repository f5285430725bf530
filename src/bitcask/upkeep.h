/* SPDX-License-Identifier: Apache-2.0 */
/* upkeep: what a bitcask needs beside appending: hints of sealed files, the sizes that tell when a
 * merge is worth while, and the end of files that no manifest names any more.
 *
 * A job is taken by the owner, run on any thread, and handed back to the owner; of each kind one at
 * a time. Nothing here is in a hurry: what is left undone costs time at the next start, or space.
 *
 * Threads: owner, but for *_run.
 */
#ifndef BITCASK_UPKEEP_H
#define BITCASK_UPKEEP_H

#include "bitcask/bitcask.h"

/* ---- Live bytes ---- */

/* `bytes` of records in the file have become, or are no longer, their keys' newest. A file that is
 * not there any more is no error: its rows' bytes went with it. */
void bitcask_add_live(struct bitcask *bc, uint32_t file_id, uint64_t bytes);
void bitcask_sub_live(struct bitcask *bc, uint32_t file_id, uint64_t bytes);
/* Nothing is live, as far as is known. */
void bitcask_forget_live(struct bitcask *bc);

/* A file that takes no more records. */
struct bitcask_sealed {
    uint32_t id;
    uint64_t bytes;      /* of its records */
    uint64_t live_bytes; /* of these, the newest of their keys */
    uint64_t dead_bytes; /* of these, what a merge would get rid of, as far as is known */
    uint64_t kept_bytes; /* of these, dead ones that a merge of all sealed files gets rid of */
    uint64_t sealed_ms;  /* 0: before this start */
};

/* Those that a merge can take: wholly written, not known to be damaged, in ascending id. The array
 * is the caller's (mem_free). */
struct bitcask_sealed *bitcask_sealed_files(const struct bitcask *bc, size_t *out_count);

/* Ends the current file if at least so much of it is dead: then a merge can take it, as soon as it
 * has been written. True if it has been ended. */
bool bitcask_seal_dead(struct bitcask *bc, uint32_t percent, uint64_t bytes);

/* ---- Hints ---- */

struct bitcask_hint;

/* A sealed file without hint that is worth one, as a job; with `is_last` any, and the current one,
 * too, if all its bytes have been written and end at a mark. NULL if there is none. */
struct bitcask_hint *bitcask_hint_take(struct bitcask *bc, bool is_last);
void bitcask_hint_run(struct bitcask_hint *hint);
/* 0, or why there is none: the file is not tried again; ERR_CORRUPT: it is damaged, and not merged
 * either. */
MUST_CHECK
int bitcask_hint_done(struct bitcask *bc, struct bitcask_hint *hint, struct diag *diag);

/* ---- Files that nothing needs any more (R2) ---- */

/* The manifest that the last mark was made for is durable: what had been retired before that mark
 * may go. */
void bitcask_checkpointed(struct bitcask *bc);

/* Does it take a checkpoint before something may go, or is something new to be named? */
bool bitcask_wants_checkpoint(const struct bitcask *bc);

struct bitcask_unlink;

/* What may go, as a job; NULL if there is nothing or a job is out. */
struct bitcask_unlink *bitcask_unlink_take(struct bitcask *bc);
/* Hints first. What cannot be removed is left to the next start. */
void bitcask_unlink_run(struct bitcask_unlink *unlink);
/* After a run, before it is done: what could not be removed; no text if all was. */
const struct diag *bitcask_unlink_failure(const struct bitcask_unlink *unlink);
/* The bytes that have been given back to the disk, as far as all could be removed. */
uint64_t bitcask_unlink_done(struct bitcask *bc, struct bitcask_unlink *unlink);

#endif
