/* SPDX-License-Identifier: Apache-2.0 */
/* fs: everything asked of a filesystem, as a table that a simulated disk can stand behind.
 *
 * Units:    offsets and sizes in bytes.
 * Errors:   0 or a positive count, else a negative code of base/err.h. Nothing here retries except
 *           on EINTR, and nothing hides a short read or write.
 * Threads:  any; one file's reads and writes may run in parallel. Ordering two writes to one place
 *           is the caller's business.
 * Lifetime: a file lives from open to its last unref; unlinking its name does not end it (R31).
 * Durable:  bytes by file_sync(), names by fs_sync_dir(). Without them both may be lost or kept,
 *           in any combination and order, by a power loss.
 */
#ifndef OS_FS_H
#define OS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/slice.h"

struct fs;
struct file;

enum fs_open_flags {
    FS_READ = 1,   /* the default; may be combined with the others */
    FS_WRITE = 2,  /* also allows reading */
    FS_CREATE = 4, /* make it if it is missing */
    FS_EXCL = 8,   /* with FS_CREATE: -EEXIST if it is there */
    FS_DIRECT = 16 /* O_DIRECT: offset, size and address aligned to 4096; -EINVAL if unsupported */
};

struct fs_stat {
    uint64_t size;
    uint64_t link_count;
    bool is_dir;
};

struct fs_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* for an ordinary user */
};

/* Called once a name, "." and ".." left out, in no order; a non-zero result ends the walk and is
 * returned. It may change the folder: the names were collected before. */
typedef int (*fs_visit_fn)(void *ctx, const char *name);

/* Implementations embed these and find themselves by CONTAINER_OF; fs_open() and fs_lock() set the
 * count of a new file to 1. */
struct fs {
    const struct fs_ops *ops;
};
struct file {
    const struct file_ops *ops;
    _Atomic uint32_t ref_count;
};

struct fs_ops {
    int (*open)(struct fs *fs, const char *path, unsigned flags, struct file **out_file);
    int (*mkdir)(struct fs *fs, const char *path);
    int (*rmdir)(struct fs *fs, const char *path);
    int (*rename)(struct fs *fs, const char *from, const char *to);
    int (*link)(struct fs *fs, const char *from, const char *to);
    int (*unlink)(struct fs *fs, const char *path);
    int (*stat)(struct fs *fs, const char *path, struct fs_stat *out_stat);
    int (*resolve)(struct fs *fs, const char *path, char *to);
    int (*list)(struct fs *fs, const char *path, fs_visit_fn visit, void *ctx);
    int (*sync_dir)(struct fs *fs, const char *path);
    int (*write_back)(struct fs *fs, const char *path);
    int (*space)(struct fs *fs, const char *path, struct fs_space *out_space);
    int (*lock)(struct fs *fs, const char *path, struct file **out_lock);
};

struct file_ops {
    ssize_t (*pread)(struct file *file, void *to, size_t size, uint64_t off, bool no_wait);
    ssize_t (*pwrite)(struct file *file, const void *from, size_t size, uint64_t off);
    int (*sync)(struct file *file);
    int (*truncate)(struct file *file, uint64_t size);
    int (*allocate)(struct file *file, uint64_t size); /* NULL: unsupported */
    int (*size)(struct file *file, uint64_t *out_size);
    int (*fd)(const struct file *file);
    void (*close)(struct file *file);
};

/* Opens `path`; the caller holds the one reference. -ENOENT, -EEXIST, -EISDIR, -ENOSPC, ... */
MUST_CHECK
int fs_open(struct fs *fs, const char *path, unsigned flags, struct file **out_file);

/* A new, empty file for writing under the name, whatever had it before (O10). */
MUST_CHECK
int fs_create(struct fs *fs, const char *path, struct file **out_file);
/* The same, with these bytes, synced. The name is not. */
MUST_CHECK
int fs_write_new(struct fs *fs, const char *path, struct slice bytes);

/* -EEXIST if there is such a name. The name is durable after fs_sync_dir() of the parent. */
MUST_CHECK
int fs_mkdir(struct fs *fs, const char *path);
MUST_CHECK
int fs_rmdir(struct fs *fs, const char *path);

/* Replaces `to` in one step. */
MUST_CHECK
int fs_rename(struct fs *fs, const char *from, const char *to);
MUST_CHECK
int fs_link(struct fs *fs, const char *from, const char *to);
MUST_CHECK
int fs_unlink(struct fs *fs, const char *path);
MUST_CHECK
int fs_stat(struct fs *fs, const char *path, struct fs_stat *out_stat);
/* The absolute path of what is there, without links, "." and "..". `to` has FS_PATH_SIZE bytes. */
#define FS_PATH_SIZE 4096
MUST_CHECK
int fs_resolve(struct fs *fs, const char *path, char *to);
MUST_CHECK
int fs_list(struct fs *fs, const char *path, fs_visit_fn visit, void *ctx);

/* Makes all names created, renamed and removed in the directory durable. */
MUST_CHECK
int fs_sync_dir(struct fs *fs, const char *path);

/* Has everything dirty written that lies on the filesystem of the folder `path` (syncfs). Makes
 * many syncs that follow cheap and takes the place of none (R3). */
MUST_CHECK
int fs_write_back(struct fs *fs, const char *path);
MUST_CHECK
int fs_space(struct fs *fs, const char *path, struct fs_space *out_space);

/* Creates the file if needed and locks it against everyone else until the last unref. ERR_BUSY if
 * it is held, by another process or by this one. */
MUST_CHECK
int fs_lock(struct fs *fs, const char *path, struct file **out_lock);

/* Up to `size` bytes from `off`; fewer at the end of the file. */
MUST_CHECK
ssize_t file_pread(struct file *file, void *to, size_t size, uint64_t off);

/* The same only if no disk read is needed, else -EAGAIN; -EOPNOTSUPP where the system cannot tell.
 * May give fewer bytes than are there: the caller goes on with file_pread(). */
MUST_CHECK
ssize_t file_pread_nowait(struct file *file, void *to, size_t size, uint64_t off);

/* Reads exactly `size` bytes; ERR_TORN if the file ends before. */
MUST_CHECK
int file_read_full(struct file *file, void *to, size_t size, uint64_t off);

/* Writes up to `size` bytes at `off`; may write fewer. */
MUST_CHECK
ssize_t file_pwrite(struct file *file, const void *from, size_t size, uint64_t off);

/* Writes all, continuing short writes at their own place (R32). *out_done counts what has reached
 * the file also when an error ends it, so that a retry goes on there. */
MUST_CHECK
int file_write_full(struct file *file, const void *from, size_t size, uint64_t off,
                    size_t *out_done);

/* fdatasync. After an error the file's recent bytes are suspect for ever: never call it again to
 * learn better (R21, R30). */
MUST_CHECK
int file_sync(struct file *file);
MUST_CHECK
int file_truncate(struct file *file, uint64_t size);

/* Gives the file's first `size` bytes their blocks on the disk, and the file that size if it was
 * smaller; what was never written reads as zeros. -ENOSPC: it may have got some. -EOPNOTSUPP: this
 * filesystem cannot. */
MUST_CHECK
int file_allocate(struct file *file, uint64_t size);
MUST_CHECK
int file_size(struct file *file, uint64_t *out_size);

/* The descriptor for io_uring and sendfile, or -1 if there is none behind it. */
int file_fd(const struct file *file);

/* Counted share of a file; the last unref closes it. unref(NULL) is a no-op. */
struct file *file_ref(struct file *file);
void file_unref(struct file *file);

/* The machine's own filesystem; static, never freed. */
struct fs *fs_posix(void);

/* What kind of filesystem the path lies on, as far as it matters for what lasts. */
enum fs_kind {
    FS_KIND_OTHER,  /* or it cannot be told */
    FS_KIND_MEMORY, /* tmpfs, ramfs: a restart of the machine empties it */
    FS_KIND_OVERLAY /* most often a container's own layer, which goes with the container */
};
enum fs_kind fs_posix_kind(const char *path);

#endif
