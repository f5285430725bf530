/* SPDX-License-Identifier: Apache-2.0 */
/* quarantine: where what is taken out of a directory is kept: <dir>/quarantine/<number>/.
 *
 * A file is kept by a second name, which costs nothing and needs no reading; where the filesystem
 * has no such names, by a copy. Either is durable before quarantine_keep() returns (V3).
 */
#ifndef CHECK_REPAIR_QUARANTINE_H
#define CHECK_REPAIR_QUARANTINE_H

#include "check/folder.h"

struct quarantine {
    const struct folder *folder;
    char *path; /* NULL: not made yet */
};

/* Makes it, durably, under the next free number. */
MUST_CHECK
int quarantine_open(struct quarantine *quarantine, const struct folder *folder, struct diag *diag);
void quarantine_close(struct quarantine *quarantine);

/* Keeps a file of the folder; one that is not there is none to keep. */
MUST_CHECK
int quarantine_keep(struct quarantine *quarantine, const char *path, struct diag *diag);

/* Replaces report.txt. */
MUST_CHECK
int quarantine_put_report(struct quarantine *quarantine, struct slice text, struct diag *diag);

#endif
