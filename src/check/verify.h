/* SPDX-License-Identifier: Apache-2.0 */
/* verify: what is wrong with each part of a directory; also what repair has to go by. */
#ifndef CHECK_VERIFY_H
#define CHECK_VERIFY_H

#include "check/folder.h"
#include "check/report.h"
#include "check/walk.h"
#include "seglog/look.h"

/* ---- Data files (verify_data.c) ---- */

struct data_verdict {
    bool is_missing;      /* the file */
    bool is_header_bad;   /* or another file's */
    bool is_damaged;      /* records are missing */
    bool is_lowest_wrong; /* the index that the manifest gives; all records are good */
    bool has_hint;
    bool is_hint_bad;
    uint64_t records; /* that are sound */
    uint64_t bytes;   /* of these */
    uint64_t lowest_index;
};

/* Looks at a named file and its hint, and tells what it finds. 0, or what keeps it from looking. */
MUST_CHECK
int verify_data_file(const struct folder *folder, uint32_t shard, const struct bitcask_named *named,
                     struct report *report, struct data_verdict *out_verdict, struct diag *diag);

static inline bool data_is_sound(const struct data_verdict *verdict)
{
    return !verdict->is_missing && !verdict->is_header_bad && !verdict->is_damaged &&
           !verdict->is_lowest_wrong;
}

/* Files that nobody names. */
MUST_CHECK
int verify_leftovers(const struct folder *folder, struct report *report, struct diag *diag);

/* ---- Log (verify_log.c) ---- */

struct log_verdict {
    int judgement; /* 0, or the code with which a start would refuse the log */
    struct seglog_judged judged;
    uint64_t entries;    /* above the checkpoint */
    uint64_t bad_number; /* the first frame with an entry that cannot be replayed; 0: none */
    uint64_t bad_off;
    uint64_t bad_first_index;
    uint64_t seen_index; /* the highest that any whole frame has, also behind damage */
    uint64_t seen_term;  /* of an entry or of the node */
};

MUST_CHECK
int verify_log(const struct folder *folder, struct report *report, struct log_verdict *out_verdict,
               struct diag *diag);

/* Why there is no manifest, and what to do: nothing else says what files and log should hold. */
void verify_tell_manifest(const struct folder *folder, struct report *report);

/* Bytes that verify_log() and verify_data_file() will read. */
uint64_t verify_bytes_of_log(const struct folder *folder);
uint64_t verify_bytes_of_data(const struct folder *folder);

#endif
