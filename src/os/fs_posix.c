/* SPDX-License-Identifier: Apache-2.0 */
/* fs_posix: the machine's own filesystem behind the table of os/fs.h.
 *
 * Every call that a signal may interrupt is made again on EINTR. For fdatasync that is not the
 * forbidden second try (R21): an interrupted one has reported neither success nor a lost page.
 */
#include "os/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define FILE_MODE 0600
#define DIR_MODE  0700
#define MAX_IO    ((size_t)1 << 30) /* the kernel gives up at 2 GiB - 4096 by itself */

struct posix_file {
    struct file file;
    int fd;
};

static struct posix_file *posix_file_of(struct file *file)
{
    return CONTAINER_OF(file, struct posix_file, file);
}

static bool is_interrupted(long result)
{
    return result < 0 && errno == EINTR;
}

/* A count or 0 as it is, -1 as the negative errno. */
static int result_of(int result)
{
    return result < 0 ? err_last() : result;
}

static size_t at_most(size_t size)
{
    return size < MAX_IO ? size : MAX_IO;
}

/* ---- A file ---- */

static ssize_t posix_pread(struct file *file, void *to, size_t size, uint64_t off, bool no_wait)
{
    struct iovec iov = {.iov_base = to, .iov_len = at_most(size)};
    ssize_t got;
    do {
        got = preadv2(posix_file_of(file)->fd, &iov, 1, (off_t)off, no_wait ? RWF_NOWAIT : 0);
    } while (is_interrupted(got));
    if (got >= 0)
        return got;
    return no_wait && errno == ENOSYS ? -EOPNOTSUPP : err_last();
}

static ssize_t posix_pwrite(struct file *file, const void *from, size_t size, uint64_t off)
{
    ssize_t put;
    do {
        put = pwrite(posix_file_of(file)->fd, from, at_most(size), (off_t)off);
    } while (is_interrupted(put));
    return put < 0 ? err_last() : put;
}

static int posix_sync(struct file *file)
{
    int rc;
    do {
        rc = fdatasync(posix_file_of(file)->fd);
    } while (is_interrupted(rc));
    return result_of(rc);
}

static int posix_truncate(struct file *file, uint64_t size)
{
    int rc;
    do {
        rc = ftruncate(posix_file_of(file)->fd, (off_t)size);
    } while (is_interrupted(rc));
    return result_of(rc);
}

static int posix_allocate(struct file *file, uint64_t size)
{
    int rc;
    do {
        rc = fallocate(posix_file_of(file)->fd, 0, 0, (off_t)size);
    } while (is_interrupted(rc));
    if (rc < 0 && errno == ENOSYS)
        return -EOPNOTSUPP;
    return result_of(rc);
}

static int posix_size(struct file *file, uint64_t *out_size)
{
    struct stat st;
    if (fstat(posix_file_of(file)->fd, &st) < 0)
        return err_last();
    *out_size = (uint64_t)st.st_size;
    return 0;
}

static int posix_fd(const struct file *file)
{
    STATIC_ASSERT(offsetof(struct posix_file, file) == 0, "the cast below");
    const struct posix_file *posix = (const void *)file;
    return posix->fd;
}

static void posix_close(struct file *file)
{
    struct posix_file *posix = posix_file_of(file);
    /* An error of close() tells nothing that file_sync() has not told; the descriptor is gone
     * in any case, on EINTR too. */
    IGNORE(close(posix->fd), "what must be durable was synced before");
    mem_free(posix);
}

static const struct file_ops posix_file_ops = {
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .fd = posix_fd,
    .close = posix_close,
};

/* ---- Names ---- */

static int open_fd(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, FILE_MODE);
    } while (is_interrupted(fd));
    return result_of(fd);
}

static int system_flags(unsigned flags)
{
    int to = (flags & FS_WRITE) != 0 ? O_RDWR : O_RDONLY;
    to |= (flags & FS_CREATE) != 0 ? O_CREAT : 0;
    to |= (flags & FS_EXCL) != 0 ? O_EXCL : 0;
    to |= (flags & FS_DIRECT) != 0 ? O_DIRECT : 0;
    return to;
}

/* Opening a folder for reading works, and fails only at the first read: refuse it here. */
static int refuse_dir(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_last();
    return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

static int posix_open(struct fs *fs, const char *path, unsigned flags, struct file **out_file)
{
    (void)fs;
    int fd = open_fd(path, system_flags(flags));
    if (fd < 0)
        return fd;
    int rc = refuse_dir(fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    struct posix_file *posix = mem_calloc(1, sizeof(*posix));
    posix->file.ops = &posix_file_ops;
    posix->fd = fd;
    *out_file = &posix->file;
    return 0;
}

static int posix_mkdir(struct fs *fs, const char *path)
{
    (void)fs;
    return result_of(mkdir(path, DIR_MODE));
}

static int posix_rmdir(struct fs *fs, const char *path)
{
    (void)fs;
    return result_of(rmdir(path));
}

static int posix_rename(struct fs *fs, const char *from, const char *to)
{
    (void)fs;
    return result_of(rename(from, to));
}

static int posix_link(struct fs *fs, const char *from, const char *to)
{
    (void)fs;
    return result_of(link(from, to));
}

static int posix_unlink(struct fs *fs, const char *path)
{
    (void)fs;
    return result_of(unlink(path));
}

static int posix_stat(struct fs *fs, const char *path, struct fs_stat *out_stat)
{
    (void)fs;
    struct stat st;
    if (stat(path, &st) < 0)
        return err_last();
    *out_stat = (struct fs_stat){
        .size = (uint64_t)st.st_size,
        .link_count = (uint64_t)st.st_nlink,
        .is_dir = S_ISDIR(st.st_mode),
    };
    return 0;
}

/* Appends every name of the folder, each with its terminating zero. */
static int read_names(DIR *dir, struct buf *names)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir); /* NOLINT(concurrency-mt-unsafe): own stream */
        if (entry == NULL)
            return errno == 0 ? 0 : err_last();
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        size_t len = strlen(entry->d_name) + 1;
        int rc = buf_try_reserve(names, len);
        if (rc < 0)
            return rc;
        buf_append(names, entry->d_name, len);
    }
}

static int posix_list(struct fs *fs, const char *path, fs_visit_fn visit, void *ctx)
{
    (void)fs;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return err_last();
    struct buf names = {0};
    int rc = read_names(dir, &names);
    closedir(dir);
    for (size_t at = 0; rc == 0 && at < names.len;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        rc = visit(ctx, name);
    }
    buf_fini(&names);
    return rc;
}

/* fsync() or syncfs() through a folder's own descriptor. */
static int sync_through(const char *path, int (*sync)(int fd))
{
    int fd = open_fd(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    int rc;
    do {
        rc = sync(fd);
    } while (is_interrupted(rc));
    rc = result_of(rc);
    close(fd);
    return rc;
}

STATIC_ASSERT(FS_PATH_SIZE >= PATH_MAX, "as much as the system writes");

static int posix_resolve(struct fs *fs, const char *path, char *to)
{
    (void)fs;
    return realpath(path, to) == NULL ? err_last() : 0;
}

static int posix_sync_dir(struct fs *fs, const char *path)
{
    (void)fs;
    return sync_through(path, fsync);
}

static int posix_write_back(struct fs *fs, const char *path)
{
    (void)fs;
    return sync_through(path, syncfs);
}

/* Filesystems in user space say what they like. */
static uint64_t bytes_of(uint64_t blocks, uint64_t block_size)
{
    uint64_t bytes;
    return __builtin_mul_overflow(blocks, block_size, &bytes) ? UINT64_MAX : bytes;
}

static int posix_space(struct fs *fs, const char *path, struct fs_space *out_space)
{
    (void)fs;
    struct statvfs st;
    int rc;
    do {
        rc = statvfs(path, &st);
    } while (is_interrupted(rc));
    if (rc < 0)
        return err_last();
    *out_space = (struct fs_space){
        .total_bytes = bytes_of(st.f_blocks, st.f_frsize),
        .free_bytes = bytes_of(st.f_bavail, st.f_frsize),
    };
    return 0;
}

/* flock() belongs to the open file description, so a second open of the same process is refused
 * too, and it goes with the last descriptor whatever ends the process. */
static int posix_lock(struct fs *fs, const char *path, struct file **out_lock)
{
    struct file *file = NULL;
    int rc = posix_open(fs, path, FS_WRITE | FS_CREATE, &file);
    if (rc < 0)
        return rc;
    do {
        rc = flock(posix_fd(file), LOCK_EX | LOCK_NB);
    } while (is_interrupted(rc));
    if (rc < 0) {
        rc = errno == EWOULDBLOCK ? ERR_BUSY : err_last();
        posix_close(file);
        return rc;
    }
    *out_lock = file;
    return 0;
}

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .rename = posix_rename,
    .link = posix_link,
    .unlink = posix_unlink,
    .stat = posix_stat,
    .resolve = posix_resolve,
    .list = posix_list,
    .sync_dir = posix_sync_dir,
    .write_back = posix_write_back,
    .space = posix_space,
    .lock = posix_lock,
};

struct fs *fs_posix(void)
{
    static struct fs posix = {.ops = &posix_ops};
    return &posix;
}

enum fs_kind fs_posix_kind(const char *path)
{
    struct statfs info;
    if (statfs(path, &info) != 0)
        return FS_KIND_OTHER;
    if (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC)
        return FS_KIND_MEMORY;
    return info.f_type == OVERLAYFS_SUPER_MAGIC ? FS_KIND_OVERLAY : FS_KIND_OTHER;
}
