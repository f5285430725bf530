/* SPDX-License-Identifier: Apache-2.0 */
/* hint_check: does a hint say what its data file holds, and what did damaged bytes hold?
 *
 * Records of the two are compared by the sum of their hashes, which costs no memory; only where
 * that differs, or the file is damaged, are they looked at one by one.
 */
#ifndef CHECK_HINT_CHECK_H
#define CHECK_HINT_CHECK_H

#include "bitcask/datafile.h"
#include "check/report.h"
#include "check/walk.h"

struct hint_sum {
    uint64_t sum;
    uint64_t count;
};

void hint_sum_add(struct hint_sum *sum, const struct record *record, uint64_t off);

struct hint_check {
    struct fs *fs;
    struct datafile *df; /* borrowed */
    struct report *report;
    uint64_t length; /* of the file, as named */
    bool has_hint;
    bool is_bad;
    uint64_t covered; /* 0 unless it is sound */
    struct hint_sum told;
    struct hint_sum found; /* records of the file below `covered`: the caller's to add */
    struct buf damaged;    /* ranges of the file, ascending: struct datafile_range */
};

/* Reads the hint through, if there is one, and tells if it is not whole. 0, or what keeps it from
 * being read. */
MUST_CHECK
int hint_check_begin(struct hint_check *check, struct diag *diag);
/* Bytes [from, end) of the file do not check. */
void hint_check_damage(struct hint_check *check, uint64_t from, uint64_t end);
/* Behind the last record: tells where the two differ, and what stood where the file is damaged.
 * `walk` is that of the file; NULL: it is missing. */
MUST_CHECK
int hint_check_end(struct hint_check *check, struct walk *walk, struct diag *diag);
void hint_check_fini(struct hint_check *check);

/* "lost: the value of "key", database id 0, index 12". */
void tell_record(struct report *report, const char *how, const struct record *record);

#endif
