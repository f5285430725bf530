/* SPDX-License-Identifier: Apache-2.0 */
/* backup_place: folders in which a copy could harm what it is of. */
#ifndef ENGINE_UPKEEP_BACKUP_PLACE_H
#define ENGINE_UPKEEP_BACKUP_PLACE_H

#include "base/attr.h"
#include "base/diag.h"

struct group;

/* Of any path in a backup. */
#define BACKUP_PATH_SIZE 1024

/* The folder that an absolute path lies in. Returns where the path's last step begins. */
const char *backup_parent(const char *path, char to[BACKUP_PATH_SIZE]);

/* 0, or an error with diag: by the names alone, without a look at the disk. */
MUST_CHECK
int backup_refuse_place(const struct group *group, const char *dir, struct diag *diag);

/* The same for where links lead, of a path that the call above has let pass. Thread: a pool's. */
MUST_CHECK
int backup_refuse_links(const struct group *group, const char *dir, struct diag *diag);

#endif
