/* SPDX-License-Identifier: Apache-2.0 */
/* group_backup: a copy of a group's state at one log index, on which a server can be started.
 *
 * A checkpoint is made; what its manifest names is linked where the filesystem can and the file
 * takes no more records, else copied as far as it is named (R31); the manifest is written last, so
 * that a copy without one is none. Nothing stops meanwhile, and nothing of it is in memory.
 */
#ifndef ENGINE_GROUP_BACKUP_H
#define ENGINE_GROUP_BACKUP_H

#include "base/diag.h"
#include "engine/group.h"

/* A file in the target from before its first folder to after its manifest: without it, what an
 * interruption leaves could look like the directory of a server that has never run. */
#define BACKUP_MARKER "unfinished-backup"

struct group_backup_request {
    struct loop_post post;
    struct loop_post back;
    struct group *group;
    struct loop *loop;
    const char *dir; /* absolute; missing or empty; its parent is there */
    int error;       /* ERR_BUSY: one is under way, or the group cannot yet */
    struct diag diag;
    uint64_t index; /* of the copy */
    uint64_t bytes; /* copied; those linked are not among them */
    void (*on_done)(struct group_backup_request *request);
};

/* on_done comes on request->loop; `dir` is the caller's until then. What a failure leaves behind is
 * refused by a start. Thread: any. */
void group_backup(struct group *group, struct group_backup_request *request);

#endif
