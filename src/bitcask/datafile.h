/* SPDX-License-Identifier: Apache-2.0 */
/* datafile: one append-only file of records: counted, shared by the shard and by cold reads.
 *
 * Offsets count from the start of the file; the first record lies at DATAFILE_HEADER_SIZE.
 *
 * Threads:  read, scan, ref and unref from any; the rest from the owner of its bitcask, or where
 *           said.
 * Lifetime: from datafile_new to the last unref. Unlinking the name ends nothing (R31).
 * Formats and invariants: bitcask/README.md.
 */
#ifndef BITCASK_DATAFILE_H
#define BITCASK_DATAFILE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/diag.h"
#include "bitcask/record.h"
#include "os/os.h"

#define DATAFILE_HEADER_SIZE 4096
#define DATAFILE_BLOCK       RECORD_BLOCK

/* What the first block of a file says. */
struct datafile_header {
    uint32_t shard;
    uint32_t id;
    uint64_t uid; /* random; ties records and hints to this very file */
};

/* What the merge that made a file had to put into it: dead records that it had to copy (R8), no
 * reason for another merge as long as some file has a record as old as `outside_index`; and the PAD
 * at the end, which never is one. */
struct kept_dead {
    uint64_t bytes;
    uint64_t outside_index;
    uint64_t pad_bytes;
};

struct datafile {
    _Atomic uint32_t ref_count;
    uint32_t id;
    uint32_t shard;
    uint64_t uid;
    uint64_t lowest_index;        /* of a record in it; UINT64_MAX: none; owner only */
    uint64_t append_off;          /* where the next record will lie; owner only */
    uint64_t synced_off;          /* all below is on stable storage; owner only */
    uint64_t live_bytes;          /* of records that are their keys' newest; owner only */
    struct kept_dead kept_dead;   /* owner only */
    uint64_t hinted_off;          /* as far as a hint was made; owner only */
    uint64_t sealed_ms;           /* when, on the wall's clock; 0: before this start; owner only */
    bool has_durable_name;        /* its directory was synced since it was created; owner only */
    bool is_output;               /* of a merge under way: no manifest names it; owner only */
    bool is_damaged;              /* found so: no merge and no hint any more; owner only */
    _Atomic uint64_t written_off; /* all below has been handed to the file: may be read */
    struct file *file;            /* set once it has been created, before written_off moves */
    char *path;
};

/* Appends the header block. */
void datafile_header_encode(const struct datafile_header *header, struct buf *to);
/* ERR_CORRUPT, or ERR_VERSION for a sound header of another version of the format. */
MUST_CHECK
int datafile_header_decode(struct slice block, struct datafile_header *out_header);

/* By the first bytes of a file alone. */
bool datafile_is_one(struct slice bytes);

/* `<dir>/<id><suffix>`, at least five digits; the caller's (mem_free). */
#define DATAFILE_SUFFIX ".log"
char *datafile_path(const char *dir, uint32_t id, const char *suffix);

/* `<dir>/<id>.log`, nothing of it opened or made yet; empty, with one reference. */
struct datafile *datafile_new(const char *dir, const struct datafile_header *header);

/* Makes the file, which must not be there (its header is written with the first records).
 * Thread: that of the write job. */
MUST_CHECK
int datafile_create(struct datafile *df, struct fs *fs);

/* Opens the file as it is and holds its header against `df`: ERR_CORRUPT if it is another's.
 * `flags` as for fs_open. Sets no offset. */
MUST_CHECK
int datafile_open(struct datafile *df, struct fs *fs, unsigned flags, struct diag *diag);

struct datafile *datafile_ref(struct datafile *df);
/* unref(NULL) is a no-op. */
void datafile_unref(struct datafile *df);

/* A cold value that is wanted. */
struct datafile_query {
    uint64_t off; /* of its record, below written_off */
    struct slice key;
    size_t value_size; /* as expected, so that one read brings all; a wrong one costs a second */
    uint16_t db_id;
    bool no_wait; /* -EAGAIN when a disk read would be needed or cannot be ruled out */
};

/* Reads and verifies the record, and that it is a PUT of the key in the db: otherwise ERR_MISMATCH.
 * The value is appended to *out_value, nothing on error. ERR_CORRUPT fills diag with file and
 * offset. Thread: any that holds a ref. */
MUST_CHECK
int datafile_read_value(struct datafile *df, const struct datafile_query *query,
                        struct buf *out_value, struct diag *diag);

/* Called once a record from front to back, PADs left out; non-zero ends the scan. Slices are valid
 * within the call. What a hint tells of a record has the value's length, but not its bytes (data is
 * NULL). */
typedef int (*datafile_visit_fn)(void *ctx, const struct record *record, uint64_t off, size_t size);

/* Offsets where records begin; `from` is DATAFILE_HEADER_SIZE or above. */
struct datafile_range {
    uint64_t from;
    uint64_t end;
};

/* Scans the range: every record must be valid (P5): ERR_CORRUPT names file and offset. */
MUST_CHECK
int datafile_scan(struct datafile *df, struct datafile_range range, datafile_visit_fn visit,
                  void *ctx, struct diag *diag);

#endif
