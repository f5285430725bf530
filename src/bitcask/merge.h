/* SPDX-License-Identifier: Apache-2.0 */
/* merge: copies what is still needed of some sealed files into new ones and retires the old.
 *
 * A merge goes in slices, to and fro between a background thread and the owner:
 *
 *   run    writes what was kept of the last slice to the output, reads the next slice
 *   done   tells where the written records lie now (`moved`), asks which of those that were read
 *          are to be kept (`judge`), and gives these their places in the output
 *
 * So the owner never touches the disk, and memory is bounded by two slices. An output is found by
 * readers from its first slice on, but no manifest names it before it is whole, and none stops
 * naming the inputs before: both change in one step of the owner's, between two marks. A process
 * that ends before that leaves the inputs as they were.
 *
 * Live records keep their bytes and their check, which is tied to the new place (record_rebind)
 * after it was verified for the old one (R4).
 *
 * Threads:  owner, but for bitcask_merge_run. One merge of a bitcask at a time.
 * Lifetime: from bitcask_merge_new to bitcask_merge_free, which is not called while a run is out.
 * Source:   Sheehy and Smith, "Bitcask", 2010; what may be dropped: R8.
 */
#ifndef BITCASK_MERGE_H
#define BITCASK_MERGE_H

#include "bitcask/bitcask.h"

struct bitcask_merge;

/* A record that is looked at; valid within the call. */
struct merge_item {
    struct record record;
    uint32_t file_id; /* where it lies */
    uint64_t off;
    size_t size;
    uint32_t new_file_id; /* for `moved`: where its copy lies */
    uint64_t new_off;
};

enum merge_verdict {
    MERGE_DROP,
    MERGE_LIVE,     /* the newest of its key */
    MERGE_KEEP_DEAD /* dead, but it keeps older ones dead that lie in other files; of an expired PUT
                       only that is kept: a TOMBSTONE at its position, one revision later (R4) */
};

struct merge_events {
    /* No file outside the merge has a record with an index below `outside_index` (R8). */
    enum merge_verdict (*judge)(void *ctx, const struct merge_item *item, uint64_t outside_index);
    /* The copy of a live record is in its file and may be read: from now on the key's place, if it
     * still is what it was. The callee accounts for live bytes. */
    void (*moved)(void *ctx, const struct merge_item *item);
    void *ctx;
};

/* A merge of the `count` sealed files with these ids. */
struct bitcask_merge *bitcask_merge_new(struct bitcask *bc, const uint32_t *ids, size_t count,
                                        struct merge_events events);
/* Where an output is not whole it stays what it is: found by readers and named by nobody; there can
 * be no other merge then until the next start. */
void bitcask_merge_free(struct bitcask_merge *merge);

/* Ends it early, at the next done: what has been copied stays so, and the inputs stay, too. */
void bitcask_merge_stop(struct bitcask_merge *merge);

/* Thread: any. */
void bitcask_merge_run(struct bitcask_merge *merge);

enum merge_state {
    MERGE_MORE,    /* run again */
    MERGE_STALLED, /* the output could not be written: run again later; nothing is lost */
    MERGE_DONE,    /* the inputs are retired */
    MERGE_STOPPED, /* ended early, by _stop or because an input could not be read: they stay */
    MERGE_SUSPECT  /* a sync of the output failed, which is final (B8): not to be run again */
};

/* Takes a run back. Fills diag when STALLED or SUSPECT, and when STOPPED by a failure. */
enum merge_state bitcask_merge_done(struct bitcask_merge *merge, struct diag *diag);
/* Why it is STALLED, or STOPPED by itself: ERR_CORRUPT, or what may be over the next time. */
int bitcask_merge_error(const struct bitcask_merge *merge);

struct merge_stats {
    uint64_t bytes_total; /* of the inputs */
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t records_kept;
    uint64_t records_dropped;
};
/* Not while a run is out. */
struct merge_stats bitcask_merge_stats(const struct bitcask_merge *merge);

#endif
