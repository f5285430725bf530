/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_fs: the simulated disk as a struct fs. Each call takes the disk's lock once, meets the
 * faults that wait for it, changes the live state and adds to the trace. */
#include "support/simdisk_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

static struct simdisk *disk_of(struct fs *fs)
{
    return CONTAINER_OF(fs, struct simdisk, fs);
}

/* ---- Names ---- */

static int open_locked(struct simdisk *disk, const char *path, unsigned flags,
                       struct file **out_file)
{
    uint32_t path_idx = sim_path_idx(disk, path);
    int error = 0;
    if (sim_meets_fault(disk, SIM_OPEN, path_idx, &error))
        return error;
    struct sim_place place;
    int rc = sim_resolve(disk, path, &place);
    if (rc < 0)
        return rc;
    if (place.name[0] == '\0')
        return -EISDIR;
    struct sim_inode *inode = sim_look_up(disk, place.dir, place.name);
    if (inode == NULL && (flags & FS_CREATE) == 0)
        return -ENOENT;
    if (inode != NULL && (flags & FS_EXCL) != 0)
        return -EEXIST;
    if (inode != NULL && inode->is_dir)
        return -EISDIR;
    if (inode == NULL) {
        inode = sim_inode_new(disk, content_new());
        sim_step(disk, STEP_CREATE, path_idx);
        sim_set_name(disk, place.dir, place.name, inode);
    }
    *out_file = sim_file_new(disk, inode, flags, path_idx);
    return 0;
}

static int sim_open(struct fs *fs, const char *path, unsigned flags, struct file **out_file)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = open_locked(disk, path, flags, out_file);
    lock_drop(&disk->lock);
    return rc;
}

static int sim_lock(struct fs *fs, const char *path, struct file **out_lock)
{
    struct simdisk *disk = disk_of(fs);
    struct file *file = NULL;
    lock_take(&disk->lock);
    int rc = open_locked(disk, path, FS_WRITE | FS_CREATE, &file);
    bool is_free = rc == 0 && !sim_file_of(file)->inode->is_locked;
    if (is_free) {
        sim_file_of(file)->inode->is_locked = true;
        sim_file_of(file)->has_lock = true;
    }
    lock_drop(&disk->lock);
    if (rc < 0)
        return rc;
    if (!is_free) {
        file->ops->close(file);
        return ERR_BUSY;
    }
    *out_lock = file;
    return 0;
}

static int mkdir_locked(struct simdisk *disk, const char *path)
{
    uint32_t path_idx = sim_path_idx(disk, path);
    struct sim_place place;
    int error = 0;
    if (sim_meets_fault(disk, SIM_MKDIR, path_idx, &error))
        return error;
    int rc = sim_resolve(disk, path, &place);
    if (rc < 0)
        return rc;
    if (place.name[0] == '\0' || sim_look_up(disk, place.dir, place.name) != NULL)
        return -EEXIST;
    sim_step(disk, STEP_MKDIR, path_idx);
    sim_set_name(disk, place.dir, place.name, sim_inode_new(disk, NULL));
    return 0;
}

static int sim_mkdir(struct fs *fs, const char *path)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = mkdir_locked(disk, path);
    lock_drop(&disk->lock);
    return rc;
}

/* unlink() and rmdir(). */
static int remove_locked(struct simdisk *disk, const char *path, bool is_rmdir)
{
    uint32_t path_idx = sim_path_idx(disk, path);
    struct sim_place place;
    int error = 0;
    if (sim_meets_fault(disk, SIM_UNLINK, path_idx, &error))
        return error;
    int rc = sim_resolve(disk, path, &place);
    if (rc < 0)
        return rc;
    if (place.name[0] == '\0')
        return is_rmdir ? -EBUSY : -EISDIR;
    const struct sim_inode *inode = sim_look_up(disk, place.dir, place.name);
    if (inode == NULL)
        return -ENOENT;
    if (inode->is_dir != is_rmdir)
        return is_rmdir ? -ENOTDIR : -EISDIR;
    if (is_rmdir && !sim_dir_is_empty(inode))
        return -ENOTEMPTY;
    sim_step(disk, is_rmdir ? STEP_RMDIR : STEP_UNLINK, path_idx);
    sim_set_name(disk, place.dir, place.name, NULL);
    return 0;
}

static int sim_rmdir(struct fs *fs, const char *path)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = remove_locked(disk, path, true);
    lock_drop(&disk->lock);
    return rc;
}

static int sim_unlink(struct fs *fs, const char *path)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = remove_locked(disk, path, false);
    lock_drop(&disk->lock);
    return rc;
}

/* "from -> to", so that a fault or a count may name either. */
static uint32_t pair_idx(struct simdisk *disk, const char *from, const char *to)
{
    struct buf text = {0};
    buf_append_format(&text, "%s -> %s", from, to);
    buf_append_byte(&text, 0);
    uint32_t idx = sim_path_idx(disk, (const char *)text.data);
    buf_fini(&text);
    return idx;
}

/* Both ends of a rename; `out_moved` is what `from` stands for. */
static int resolve_pair(struct simdisk *disk, const char *from, const char *to,
                        struct sim_place places[2], struct sim_inode **out_moved)
{
    int rc = sim_resolve(disk, from, &places[0]);
    if (rc < 0)
        return rc;
    rc = sim_resolve(disk, to, &places[1]);
    if (rc < 0)
        return rc;
    if (places[0].name[0] == '\0' || places[1].name[0] == '\0')
        return -EBUSY;
    *out_moved = sim_look_up(disk, places[0].dir, places[0].name);
    return *out_moved == NULL ? -ENOENT : 0;
}

static bool is_inside(struct simdisk *disk, const struct sim_inode *dir,
                      const struct sim_inode *outer)
{
    while (dir->id != outer->id && dir->id != SIM_ROOT_INODE)
        dir = disk->inodes[dir->parent_id];
    return dir->id == outer->id;
}

static int may_replace(const struct sim_inode *moved, const struct sim_inode *target)
{
    if (target == NULL)
        return 0;
    if (moved->is_dir && !target->is_dir)
        return -ENOTDIR;
    if (!moved->is_dir && target->is_dir)
        return -EISDIR;
    return target->is_dir && !sim_dir_is_empty(target) ? -ENOTEMPTY : 0;
}

static int rename_locked(struct simdisk *disk, const char *from, const char *to)
{
    uint32_t path_idx = pair_idx(disk, from, to);
    struct sim_place places[2];
    struct sim_inode *moved = NULL;
    int error = 0;
    if (sim_meets_fault(disk, SIM_RENAME, path_idx, &error))
        return error;
    int rc = resolve_pair(disk, from, to, places, &moved);
    if (rc < 0)
        return rc;
    if (moved->is_dir && is_inside(disk, places[1].dir, moved))
        return -EINVAL;
    const struct sim_inode *target = sim_look_up(disk, places[1].dir, places[1].name);
    if (target == moved)
        return 0;
    if (target != NULL && target->is_dir && is_inside(disk, places[0].dir, target))
        return -ENOTEMPTY;
    rc = may_replace(moved, target);
    if (rc < 0)
        return rc;
    sim_step(disk, STEP_RENAME, path_idx);
    sim_set_name(disk, places[1].dir, places[1].name, moved);
    sim_set_name(disk, places[0].dir, places[0].name, NULL);
    return 0;
}

static int sim_rename(struct fs *fs, const char *from, const char *to)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = rename_locked(disk, from, to);
    lock_drop(&disk->lock);
    return rc;
}

static int link_locked(struct simdisk *disk, const char *from, const char *to)
{
    uint32_t path_idx = pair_idx(disk, from, to);
    struct sim_place place;
    struct sim_inode *linked = NULL;
    int error = 0;
    if (sim_meets_fault(disk, SIM_RENAME, path_idx, &error))
        return error;
    int rc = sim_find(disk, from, &linked);
    if (rc < 0)
        return rc;
    rc = sim_resolve(disk, to, &place);
    if (rc < 0)
        return rc;
    if (place.name[0] == '\0' || sim_look_up(disk, place.dir, place.name) != NULL)
        return -EEXIST;
    if (linked->is_dir)
        return -EPERM;
    sim_step(disk, STEP_LINK, path_idx);
    sim_set_name(disk, place.dir, place.name, linked);
    return 0;
}

static int sim_link(struct fs *fs, const char *from, const char *to)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = link_locked(disk, from, to);
    lock_drop(&disk->lock);
    return rc;
}

static int stat_locked(struct simdisk *disk, const char *path, struct fs_stat *out_stat)
{
    int error = 0;
    if (sim_meets_fault(disk, SIM_READ, sim_path_idx(disk, path), &error))
        return error;
    struct sim_inode *inode = NULL;
    int rc = sim_find(disk, path, &inode);
    if (rc < 0)
        return rc;
    *out_stat = (struct fs_stat){
        .size = inode->is_dir ? 0 : inode->live->size,
        .link_count = inode->link_count,
        .is_dir = inode->is_dir,
    };
    return 0;
}

static int sim_stat(struct fs *fs, const char *path, struct fs_stat *out_stat)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = stat_locked(disk, path, out_stat);
    lock_drop(&disk->lock);
    return rc;
}

/* The names of a folder, one behind the other, in an order of chance. */
static int collect_names(struct simdisk *disk, const char *path, struct buf *names)
{
    int error = 0;
    if (sim_meets_fault(disk, SIM_READ, sim_path_idx(disk, path), &error))
        return error;
    struct sim_inode *dir = NULL;
    int rc = sim_find(disk, path, &dir);
    if (rc < 0)
        return rc;
    if (!dir->is_dir)
        return -ENOTDIR;
    size_t *order = mem_alloc(dir->name_count * sizeof(*order));
    for (size_t i = 0; i < dir->name_count; i++) {
        size_t j = (size_t)sim_below(&disk->random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < dir->name_count; i++) {
        const struct sim_name *name = &dir->names[order[i]];
        if (name->states[name->state_count - 1].inode_id != SIM_NO_INODE)
            buf_append(names, name->text, strlen(name->text) + 1);
    }
    mem_free(order);
    return 0;
}

static int sim_list(struct fs *fs, const char *path, fs_visit_fn visit, void *ctx)
{
    struct simdisk *disk = disk_of(fs);
    struct buf names = {0};
    lock_take(&disk->lock);
    int rc = collect_names(disk, path, &names);
    lock_drop(&disk->lock);
    for (size_t at = 0; rc == 0 && at < names.len;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        rc = visit(ctx, name);
    }
    buf_fini(&names);
    return rc;
}

static int sync_dir_locked(struct simdisk *disk, const char *path)
{
    uint32_t path_idx = sim_path_idx(disk, path);
    struct sim_inode *dir = NULL;
    int rc = sim_find(disk, path, &dir);
    if (rc == 0 && !dir->is_dir)
        rc = -ENOTDIR;
    if (rc < 0)
        return rc;
    int error = 0;
    if (sim_meets_fault(disk, SIM_SYNC_DIR, path_idx, &error)) {
        sim_step(disk, STEP_SYNC_DIR_FAILED, path_idx);
        return error;
    }
    dir->syncs = sim_grow(dir->syncs, &dir->sync_cap, dir->sync_count, sizeof(dir->syncs[0]));
    dir->syncs[dir->sync_count++] = sim_step(disk, STEP_SYNC_DIR, path_idx);
    return 0;
}

static int sim_sync_dir(struct fs *fs, const char *path)
{
    struct simdisk *disk = disk_of(fs);
    lock_take(&disk->lock);
    int rc = sync_dir_locked(disk, path);
    lock_drop(&disk->lock);
    return rc;
}

/* There are no links. */
static int sim_resolve_path(struct fs *fs, const char *path, char *to)
{
    struct fs_stat st;
    int rc = sim_stat(fs, path, &st);
    if (rc == 0)
        snprintf(to, FS_PATH_SIZE, "%s", path);
    return rc;
}

/* Nothing is durable by it: whoever relies on it is found out. */
static int sim_write_back(struct fs *fs, const char *path)
{
    struct simdisk *disk = disk_of(fs);
    struct sim_inode *dir = NULL;
    lock_take(&disk->lock);
    int rc = sim_find(disk, path, &dir);
    if (rc == 0 && !dir->is_dir)
        rc = -ENOTDIR;
    lock_drop(&disk->lock);
    return rc;
}

static int sim_space(struct fs *fs, const char *path, struct fs_space *out_space)
{
    struct simdisk *disk = disk_of(fs);
    struct sim_inode *inode = NULL;
    lock_take(&disk->lock);
    int rc = sim_find(disk, path, &inode);
    uint64_t total = disk->capacity_pages;
    uint64_t most = UINT64_MAX / SIM_PAGE_SIZE;
    total = total < most ? total : most;
    uint64_t free_pages = disk->used_pages < total ? total - disk->used_pages : 0;
    struct fs_space space = {.total_bytes = total * SIM_PAGE_SIZE,
                             .free_bytes = free_pages * SIM_PAGE_SIZE};
    if (disk->is_space_fake)
        space = disk->fake_space;
    if (rc == 0)
        rc = disk->space_error;
    disk->space_count++;
    lock_drop(&disk->lock);
    if (rc == 0)
        *out_space = space;
    return rc;
}

void simdisk_fake_space(struct simdisk *disk, int error, const struct fs_space *space)
{
    lock_take(&disk->lock);
    disk->space_error = error;
    disk->is_space_fake = space != NULL;
    if (space != NULL)
        disk->fake_space = *space;
    lock_drop(&disk->lock);
}

uint64_t simdisk_space_count(struct simdisk *disk)
{
    lock_take(&disk->lock);
    uint64_t count = disk->space_count;
    lock_drop(&disk->lock);
    return count;
}

const struct fs_ops sim_fs_ops = {
    .open = sim_open,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .rename = sim_rename,
    .link = sim_link,
    .unlink = sim_unlink,
    .stat = sim_stat,
    .resolve = sim_resolve_path,
    .list = sim_list,
    .sync_dir = sim_sync_dir,
    .write_back = sim_write_back,
    .space = sim_space,
    .lock = sim_lock,
};
