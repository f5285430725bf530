/* SPDX-License-Identifier: Apache-2.0 */
/* repair: the parts of check_repair(): data files and log. */
#ifndef CHECK_REPAIR_REPAIR_H
#define CHECK_REPAIR_REPAIR_H

#include "check/repair/quarantine.h"
#include "check/report.h"
#include "check/verify.h"

struct repair {
    struct folder *folder; /* its manifest becomes the repaired one */
    struct os os;
    struct report *report; /* of what is done and lost */
    struct quarantine quarantine;
    struct names gone; /* paths that go when the new manifest is durable (V6) */
};

/* A data file that is not sound: a new one with all that is, or none where nothing is; the folder's
 * manifest names it, in memory only. */
MUST_CHECK
int repair_data_file(struct repair *repair, uint32_t shard, size_t idx,
                     const struct data_verdict *verdict, struct diag *diag);

/* Changes the log step by step until a start would take it; no step needs a later one. */
MUST_CHECK
int repair_log(struct repair *repair, const struct log_verdict *found, struct diag *diag);

/* The path goes after the manifest. */
void repair_note_gone(struct repair *repair, const char *path);

#endif
