/* SPDX-License-Identifier: Apache-2.0 */
/* datafile: one append-only file of records: counted, shared by the shard and by cold reads.
 *
 * Threads:  read and pin from any; the rest from the owner of its bitcask, or where said.
 * Lifetime: from open to the last unref. Unlinking the name ends nothing (R31).
 */
#ifndef BITCASK_DATAFILE_H
#define BITCASK_DATAFILE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/diag.h"
#include "bitcask/record.h"
#include "os/os.h"

#define DATAFILE_HEADER_SIZE 4096
#define DATAFILE_BLOCK       4096

struct datafile {
    _Atomic uint32_t ref_count;
    uint32_t id;
    uint32_t shard;
    uint64_t uid;
    uint64_t lowest_index;        /* of a record in it; UINT64_MAX: none */
    uint64_t append_off;          /* where the next record will lie; owner only */
    _Atomic uint64_t written_off; /* all below has been handed to the file: may be read */
    struct file *file;            /* set once it has been created, before written_off moves */
    char *path;
};

struct datafile *datafile_ref(struct datafile *df);
void datafile_unref(struct datafile *df);

/* Reads and verifies the record at `off`, and that it is a PUT of `key` in `db_id`: otherwise
 * ERR_MISMATCH. The value goes to *out_value (appended). With `no_wait` -EAGAIN when a disk read
 * would be needed. ERR_CORRUPT fills diag with file and offset. Thread: any that holds a ref. */
MUST_CHECK
int datafile_read_value(struct datafile *df, uint64_t off, uint16_t db_id, struct slice key,
                        size_t value_size, bool no_wait, struct buf *out_value, struct diag *diag);

/* Called once a record from front to back, PADs left out; non-zero ends the scan. Slices are valid
 * within the call. */
typedef int (*datafile_visit_fn)(void *ctx, const struct record *record, uint64_t off, size_t size);

/* Scans [header, length): every record must be valid (P5): ERR_CORRUPT names file and offset. */
MUST_CHECK
int datafile_scan(struct datafile *df, uint64_t length, datafile_visit_fn visit, void *ctx,
                  struct diag *diag);

#endif
