/* SPDX-License-Identifier: Apache-2.0 */
/* hint: what the records of one data file say, without their values, so that a start need not read
 * the values to find the keys.
 *
 * A hint is worth what it can prove: header, every block and the count at the end must be right and
 * the uid that of the very file, or it is not used and the file is scanned instead. It covers the
 * records up to an offset; those behind are scanned. It never says more than the file: its entries
 * come from a scan in which every record was valid.
 *
 * Threads: any that holds a reference to the file. Both calls block on the disk.
 * Source:  Sheehy and Smith, "Bitcask: a log-structured hash table for fast key/value data", 2010.
 * Format:  bitcask/README.md.
 */
#ifndef BITCASK_HINT_H
#define BITCASK_HINT_H

#include "bitcask/datafile.h"

#define HINT_SUFFIX      ".hint"
#define HINT_TEMP_SUFFIX ".hint.tmp"

/* Scans [header, covered) of the file and writes its hint: beside it, synced, renamed. The name
 * needs no sync: without it there is no hint. An older hint is replaced. ERR_CORRUPT if the file
 * is. */
MUST_CHECK
int hint_write(struct fs *fs, struct datafile *df, uint64_t covered, struct diag *diag);

/* Visits the file's records that begin below *io_covered, the length that counts, as the hint tells
 * them, in ascending offset; afterwards *io_covered is from where the file is to be scanned, at
 * most that length. ERR_NOT_FOUND if there is none; ERR_CORRUPT, ERR_VERSION if it cannot be
 * trusted, which may show after some visits. Input is hostile. */
MUST_CHECK
int hint_read(struct fs *fs, const struct datafile *df, uint64_t *io_covered,
              datafile_visit_fn visit, void *ctx, struct diag *diag);

/* The same for a hint that lies anywhere: of the file that its header names. */
MUST_CHECK
int hint_read_alone(struct fs *fs, const char *path, uint64_t *io_covered, datafile_visit_fn visit,
                    void *ctx, struct diag *diag);

/* By the first bytes of a file alone. */
bool hint_is_one(struct slice bytes);

#endif
