/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of a data file share: datafile.c and cursor.c. */
#ifndef BITCASK_DATAFILE_INTERNAL_H
#define BITCASK_DATAFILE_INTERNAL_H

#include "bitcask/datafile.h"

/* Reads what must be there; a file that ends before is corrupt, not short. */
MUST_CHECK
int datafile_read_piece(const struct datafile *df, void *to, size_t size, uint64_t off,
                        struct diag *diag);

/* Says so and is ERR_CORRUPT. */
int datafile_corrupt_at(const struct datafile *df, uint64_t off, struct diag *diag);

#endif
