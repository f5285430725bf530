/* SPDX-License-Identifier: Apache-2.0 */
/* cursor: walks the records of a data file from front to back, in bounded memory.
 *
 * Threads:  one at a time; any that holds a reference to the file.
 * Lifetime: what it hands out is valid until the next call.
 */
#ifndef BITCASK_CURSOR_H
#define BITCASK_CURSOR_H

#include "bitcask/datafile.h"

/* A record where it lies. */
struct datafile_cursor_record {
    struct record record; /* borrows from `bytes` */
    struct slice bytes;   /* as in the file */
    uint64_t off;
};

struct datafile_cursor {
    struct datafile *df; /* the caller's reference */
    uint64_t end;        /* of the walk */
    uint64_t off;        /* of the next record */
    uint64_t window_off; /* where `window` lies in the file */
    struct buf window;
};

/* Over [from, end): both where a record begins, or at the end of the last. */
void datafile_cursor_init(struct datafile_cursor *cursor, struct datafile *df, uint64_t from,
                          uint64_t end);
void datafile_cursor_fini(struct datafile_cursor *cursor);

static inline bool datafile_cursor_is_at_end(const struct datafile_cursor *cursor)
{
    return cursor->off >= cursor->end;
}

/* The next record, PADs too; not at the end. Every record must be valid (P5): ERR_CORRUPT names
 * file and offset, and the cursor stays before it. */
MUST_CHECK
int datafile_cursor_next(struct datafile_cursor *cursor, struct datafile_cursor_record *out,
                         struct diag *diag);

#endif
