/* SPDX-License-Identifier: Apache-2.0 */
/* bitcask: the data files of one instance: append, rotate, mark, sync, recover, read.
 *
 * The owner collects encoded records in memory and knows their offsets at once; the bytes are
 * written by a background thread, one write in flight, in order (R32). Nothing here is the source
 * of truth before a manifest names it: the state on disk is exactly the bytes that the manifest
 * names, up to the length each file had when the mark passed (R1).
 *
 * Threads:  one owner, the shard's thread; *_run on any; bitcask_pin from any epoch reader.
 * Lifetime: what *_take returns is handed back to *_done exactly once.
 * Source:   Sheehy and Smith, "Bitcask: a log-structured hash table for fast key/value data", 2010.
 * Formats and invariants B1-B12: bitcask/README.md.
 */
#ifndef BITCASK_BITCASK_H
#define BITCASK_BITCASK_H

#include "bitcask/datafile.h"
#include "epoch/epoch.h"

/* File ids fit a place word of the keydir. */
#define BITCASK_MAX_FILE_ID 0x1fffffffu

/* The limits of max_file_size: room for a record, and offsets that fit 32 bits. */
#define BITCASK_MIN_FILE_SIZE (2u * DATAFILE_BLOCK)
#define BITCASK_MAX_FILE_SIZE (1u << 31)

struct bitcask;

/* A file as a manifest names it. */
struct bitcask_named {
    uint32_t id;
    uint64_t uid;
    uint64_t length; /* a multiple of DATAFILE_BLOCK */
    uint64_t lowest_index;
    bool is_sealed; /* takes no more records; no part of a manifest */
};

struct bitcask_options {
    struct os os;
    struct epoch *epoch; /* for the table of files that readers look into */
    const char *dir;     /* made if missing */
    uint32_t shard;
    uint64_t max_file_size;            /* rotate beyond; 256 MiB */
    uint32_t next_id;                  /* the manifest's; raised to the highest found + 1 */
    const struct bitcask_named *named; /* in any order */
    size_t named_count;
    /* What is not as it should be but costs nothing, one line; from the thread that opens. NULL:
     * nobody wants to know. */
    void (*on_remark)(void *ctx, const char *text);
    void *remark_ctx;
};

/* A record found by recovery and where it lies; non-zero ends recovery with that code. Of a record
 * that a hint tells of, `value` has the length only (data is NULL). One may be told of twice. */
typedef int (*bitcask_visit_fn)(void *ctx, const struct record *record, uint32_t file_id,
                                uint64_t off);

/* Recovers to exactly what `named` says, which a durable manifest must have said: reads the named
 * files in ascending id, as far as they have a sound hint that, else every record below a length,
 * which must be valid; then removes files of our name
 * patterns that are not named (hints first) and cuts named ones to their length (ftruncate,
 * fsync). Nothing on disk is changed before all has been found good. A named file that is missing,
 * too short or another's is ERR_CORRUPT. A file with a second link is left uncut and never appended
 * to. `progress_bytes` (may be NULL) is raised by the bytes of records as they are found. */
MUST_CHECK
int bitcask_open(const struct bitcask_options *options, bitcask_visit_fn visit, void *ctx,
                 _Atomic uint64_t *progress_bytes, struct bitcask **out_bitcask, struct diag *diag);

/* Scans what `named` says in the same way and changes nothing: what a start would find, while a
 * bitcask has these files open and appends to them. Thread: any. */
MUST_CHECK
int bitcask_scan(const struct bitcask_options *options, bitcask_visit_fn visit, void *ctx,
                 struct diag *diag);

/* Drops its share of all files; what no checkpoint has covered is for the next recovery to cut. No
 * job may be out and no reader may look for files any more; those that hold one keep it.
 * close(NULL) is a no-op. */
void bitcask_close(struct bitcask *bc);

/* ---- Appending ---- */

/* Adds a record (any but a PAD) to the collected bytes and says where it will lie. Never fails and
 * never blocks; the owner keeps bitcask_unwritten_bytes() within its limit (P7). Starts a new file
 * where the current one is full; a record never spans files, and one that is larger than a file
 * gets a file of its own. */
void bitcask_append(struct bitcask *bc, const struct record *record, uint32_t *out_file_id,
                    uint64_t *out_off);

/* Collected or being written. */
size_t bitcask_unwritten_bytes(const struct bitcask *bc);
/* True once the write with this record has returned: only then may its row be cold (R32). A file
 * that a merge has replaced had been written. */
bool bitcask_is_written(const struct bitcask *bc, uint32_t file_id, uint64_t off);

struct bitcask_write;

/* The collected bytes as one job; NULL if there are none or a job is out. */
struct bitcask_write *bitcask_write_take(struct bitcask *bc);
/* Creates the file where needed and writes at the records' own offsets. Thread: any. */
void bitcask_write_run(struct bitcask_write *write);
/* 0: written and freed. Otherwise nothing is lost: the bytes stay at the front, the next take hands
 * them out again from where the write stopped. Fills diag. */
MUST_CHECK
int bitcask_write_done(struct bitcask *bc, struct bitcask_write *write, struct diag *diag);

/* ---- Marks ---- */

/* Has anything been appended or created since the last mark? */
bool bitcask_is_dirty(const struct bitcask *bc);

/* Sets the mark: pads the current file to a block, so that later writes never touch a block below,
 * and notes every file's length. One mark at a time: until its sync is done. */
void bitcask_mark(struct bitcask *bc);
/* True once all bytes before the mark have been written: then take the sync. */
bool bitcask_mark_is_written(const struct bitcask *bc);

struct bitcask_sync;

/* fdatasync of each file that is dirty up to the mark, through the descriptor that wrote it, and
 * the directory where a name was created (R3). A write may be out at the same time. */
struct bitcask_sync *bitcask_sync_take(struct bitcask *bc);
void bitcask_sync_run(struct bitcask_sync *sync);
/* 0, or the failure, which is final: the bytes since the last checkpoint are suspect (R21). Every
 * later mark then fails with the same code, without another sync. */
MUST_CHECK
int bitcask_sync_done(struct bitcask *bc, struct bitcask_sync *sync, struct diag *diag);

/* The files as of the last mark (before the first: as recovered), for the manifest, in ascending
 * id; the array is the caller's (mem_free). */
struct bitcask_named *bitcask_mark_files(const struct bitcask *bc, size_t *out_count);
uint32_t bitcask_next_id(const struct bitcask *bc);

/* ---- Reading ---- */

/* A counted share of a file, or NULL if there is no such file. Thread: any epoch reader; lock-free.
 */
struct datafile *bitcask_pin(const struct bitcask *bc, uint32_t file_id);

struct bitcask_stats {
    uint64_t file_count;
    uint64_t bytes;         /* of all files, what is collected included */
    uint64_t records;       /* recovered and appended, PADs left out */
    uint64_t live_bytes;    /* of records that are their keys' newest */
    uint64_t retired_bytes; /* of files that go when no manifest names them */
    uint64_t rotations;
    uint64_t writes; /* jobs that succeeded */
    uint64_t syncs;
    uint64_t merges;
    uint64_t hints_written;
    uint64_t hints_used; /* by recovery */
};
struct bitcask_stats bitcask_stats(const struct bitcask *bc);

#endif
