/* SPDX-License-Identifier: Apache-2.0 */
#include "os/fs.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/err.h"

#define OPEN_FLAGS (FS_READ | FS_WRITE | FS_CREATE | FS_EXCL | FS_DIRECT)

int fs_open(struct fs *fs, const char *path, unsigned flags, struct file **out_file)
{
    ASSERT((flags & ~(unsigned)OPEN_FLAGS) == 0);
    ASSERT((flags & FS_EXCL) == 0 || (flags & FS_CREATE) != 0);
    struct file *file = NULL;
    int rc = fs->ops->open(fs, path, flags, &file);
    if (rc < 0)
        return rc;
    atomic_init(&file->ref_count, 1);
    *out_file = file;
    return 0;
}

int fs_create(struct fs *fs, const char *path, struct file **out_file)
{
    int rc = fs_unlink(fs, path);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    return fs_open(fs, path, FS_WRITE | FS_CREATE | FS_EXCL, out_file);
}

int fs_write_new(struct fs *fs, const char *path, struct slice bytes)
{
    struct file *file;
    int rc = fs_create(fs, path, &file);
    if (rc != 0)
        return rc;
    size_t done;
    rc = file_write_full(file, bytes.data, bytes.len, 0, &done);
    if (rc == 0)
        rc = file_sync(file);
    file_unref(file);
    return rc;
}

int fs_mkdir(struct fs *fs, const char *path)
{
    return fs->ops->mkdir(fs, path);
}

int fs_rmdir(struct fs *fs, const char *path)
{
    return fs->ops->rmdir(fs, path);
}

int fs_rename(struct fs *fs, const char *from, const char *to)
{
    return fs->ops->rename(fs, from, to);
}

int fs_link(struct fs *fs, const char *from, const char *to)
{
    return fs->ops->link(fs, from, to);
}

int fs_unlink(struct fs *fs, const char *path)
{
    return fs->ops->unlink(fs, path);
}

int fs_stat(struct fs *fs, const char *path, struct fs_stat *out_stat)
{
    return fs->ops->stat(fs, path, out_stat);
}

int fs_resolve(struct fs *fs, const char *path, char *to)
{
    return fs->ops->resolve(fs, path, to);
}

int fs_list(struct fs *fs, const char *path, fs_visit_fn visit, void *ctx)
{
    return fs->ops->list(fs, path, visit, ctx);
}

int fs_sync_dir(struct fs *fs, const char *path)
{
    return fs->ops->sync_dir(fs, path);
}

int fs_write_back(struct fs *fs, const char *path)
{
    return fs->ops->write_back(fs, path);
}

int fs_space(struct fs *fs, const char *path, struct fs_space *out_space)
{
    return fs->ops->space(fs, path, out_space);
}

int fs_lock(struct fs *fs, const char *path, struct file **out_lock)
{
    struct file *file = NULL;
    int rc = fs->ops->lock(fs, path, &file);
    if (rc < 0)
        return rc;
    atomic_init(&file->ref_count, 1);
    *out_lock = file;
    return 0;
}

ssize_t file_pread(struct file *file, void *to, size_t size, uint64_t off)
{
    return file->ops->pread(file, to, size, off, false);
}

ssize_t file_pread_nowait(struct file *file, void *to, size_t size, uint64_t off)
{
    return file->ops->pread(file, to, size, off, true);
}

int file_read_full(struct file *file, void *to, size_t size, uint64_t off)
{
    uint8_t *at = to;
    size_t done = 0;
    while (done < size) {
        ssize_t got = file_pread(file, at + done, size - done, off + done);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return ERR_TORN;
        done += (size_t)got;
    }
    return 0;
}

ssize_t file_pwrite(struct file *file, const void *from, size_t size, uint64_t off)
{
    return file->ops->pwrite(file, from, size, off);
}

int file_write_full(struct file *file, const void *from, size_t size, uint64_t off,
                    size_t *out_done)
{
    const uint8_t *at = from;
    size_t done = 0;
    int rc = 0;
    while (rc == 0 && done < size) {
        ssize_t put = file_pwrite(file, at + done, size - done, off + done);
        if (put > 0)
            done += (size_t)put;
        else
            rc = put == 0 ? -EIO : (int)put; /* no progress and no reason: not to be tried again */
    }
    *out_done = done;
    return rc;
}

int file_sync(struct file *file)
{
    return file->ops->sync(file);
}

int file_truncate(struct file *file, uint64_t size)
{
    return file->ops->truncate(file, size);
}

int file_allocate(struct file *file, uint64_t size)
{
    return file->ops->allocate == NULL ? -EOPNOTSUPP : file->ops->allocate(file, size);
}

int file_size(struct file *file, uint64_t *out_size)
{
    return file->ops->size(file, out_size);
}

int file_fd(const struct file *file)
{
    return file->ops->fd(file);
}

struct file *file_ref(struct file *file)
{
    uint32_t before = atomic_fetch_add_explicit(&file->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0 && before < UINT32_MAX);
    return file;
}

void file_unref(struct file *file)
{
    if (file == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&file->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        file->ops->close(file);
}
