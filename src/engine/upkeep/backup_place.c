/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upkeep/backup_place.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

/* The same path without empty steps, "." and "..", as far as it can be told without looking; "" is
 * the root. */
static void simplify(const char *path, char *to)
{
    size_t len = 0;
    while (*path != '\0') {
        size_t step = strcspn(path, "/");
        if (step == 2 && memcmp(path, "..", 2) == 0) {
            while (len > 0 && to[--len] != '/') {
            }
        } else if (step > 0 && !(step == 1 && path[0] == '.')) {
            to[len++] = '/';
            memcpy(to + len, path, step);
            len += step;
        }
        path += step;
        path += *path == '/';
    }
    to[len] = '\0';
}

/* Both are simplified or resolved. */
static bool is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    if (len > 0 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int refuse_inner(const char *dir, struct diag *diag)
{
    return diag_set(diag, -EINVAL, "%.400s is the data directory or in it: name another", dir);
}

int backup_refuse_place(const struct group *group, const char *dir, struct diag *diag)
{
    const char *own = group->options.dir;
    if (dir[0] != '/')
        return diag_set(diag, -EINVAL, "name a directory by its absolute path");
    if (strlen(dir) > BACKUP_PATH_SIZE - 64 || strlen(own) > BACKUP_PATH_SIZE - 64)
        return diag_set(diag, -ENAMETOOLONG, "the path is too long");
    char inner[BACKUP_PATH_SIZE];
    char outer[BACKUP_PATH_SIZE];
    simplify(dir, inner);
    simplify(own, outer);
    return is_within(inner, outer) ? refuse_inner(dir, diag) : 0;
}

const char *backup_parent(const char *path, char to[BACKUP_PATH_SIZE])
{
    snprintf(to, BACKUP_PATH_SIZE, "%s", path);
    for (size_t len = strlen(to); len > 1 && to[len - 1] == '/'; len--)
        to[len - 1] = '\0';
    char *slash = strrchr(to, '/');
    ASSERT(slash != NULL);
    const char *name = path + (slash + 1 - to);
    slash[slash == to ? 1 : 0] = '\0';
    return name;
}

/* ---- Links ---- */

/* The last step need not be there yet. */
static int resolve_target(struct fs *fs, const char *dir, char *to)
{
    int rc = fs_resolve(fs, dir, to);
    if (rc != -ENOENT)
        return rc;
    char parent[BACKUP_PATH_SIZE];
    const char *name = backup_parent(dir, parent);
    rc = fs_resolve(fs, parent, to);
    size_t len = rc == 0 ? strlen(to) : 0;
    if (rc == 0 && len + strlen(name) + 2 > FS_PATH_SIZE)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        snprintf(to + len, FS_PATH_SIZE - len, "/%s", name);
    return rc;
}

struct target_place {
    struct fs *fs;
    const char *given;
    char *target; /* resolved */
    char *own;
    struct diag *diag;
};

/* One of our folders may be a link, too. */
static int refuse_folder(const struct target_place *place, const char *folder)
{
    if (fs_resolve(place->fs, folder, place->own) != 0)
        return 0;
    if (is_within(place->target, place->own))
        return refuse_inner(place->given, place->diag);
    if (is_within(place->own, place->target))
        return diag_set(place->diag, -EINVAL, "%.400s holds the data directory: name another",
                        place->given);
    return 0;
}

static int refuse_folders(const struct target_place *place, const struct group *group)
{
    static const char *const folders[] = {"", "/data", "/log"};
    char path[BACKUP_PATH_SIZE];
    int rc = 0;
    for (size_t i = 0; i < ARRAY_COUNT(folders) && rc == 0; i++) {
        snprintf(path, sizeof(path), "%s%s", group->options.dir, folders[i]);
        rc = refuse_folder(place, path);
    }
    for (uint32_t i = 0; i < group->stores.count && rc == 0; i++) {
        snprintf(path, sizeof(path), "%s/data/shard_%u", group->options.dir, i);
        rc = refuse_folder(place, path);
    }
    return rc;
}

int backup_refuse_links(const struct group *group, const char *dir, struct diag *diag)
{
    struct target_place place = {.fs = group->options.os.fs,
                                 .given = dir,
                                 .target = mem_alloc(FS_PATH_SIZE),
                                 .own = mem_alloc(FS_PATH_SIZE),
                                 .diag = diag};
    /* What cannot be resolved cannot be made either. */
    int rc = 0;
    if (resolve_target(place.fs, dir, place.target) == 0)
        rc = refuse_folders(&place, group);
    mem_free(place.target);
    mem_free(place.own);
    return rc;
}
