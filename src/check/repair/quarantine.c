/* SPDX-License-Identifier: Apache-2.0 */
#include "check/repair/quarantine.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"

#define COPY_CHUNK (1u << 20)
#define KEEP_TRIES 1000

static int make_dir(struct fs *fs, const char *path, const char *parent, struct diag *diag)
{
    int rc = fs_mkdir(fs, path);
    if (rc == -EEXIST)
        rc = 0;
    if (rc == 0)
        rc = fs_sync_dir(fs, parent);
    return rc == 0 ? 0 : diag_set(diag, rc, "%.300s cannot be made: %s", path, err_text(rc));
}

static int note_number(void *ctx, const char *name)
{
    uint64_t *highest = ctx;
    uint64_t number;
    if (num_parse_u64(slice_str(name), &number) && number > *highest && number < UINT32_MAX)
        *highest = number;
    return 0;
}

int quarantine_open(struct quarantine *quarantine, const struct folder *folder, struct diag *diag)
{
    *quarantine = (struct quarantine){.folder = folder};
    char *parent = path_format("%s/quarantine", folder->dir);
    uint64_t highest = 0;
    int rc = make_dir(folder->fs, parent, folder->dir, diag);
    if (rc == 0)
        rc = fs_list(folder->fs, parent, note_number, &highest);
    if (rc == 0) {
        quarantine->path = path_format("%s/%llu", parent, (unsigned long long)highest + 1);
        rc = make_dir(folder->fs, quarantine->path, parent, diag);
    }
    mem_free(parent);
    return rc;
}

void quarantine_close(struct quarantine *quarantine)
{
    mem_free(quarantine->path);
    *quarantine = (struct quarantine){0};
}

/* ---- Keeping ---- */

static int copy_bytes(struct file *from, struct file *to)
{
    uint64_t size;
    int rc = file_size(from, &size);
    uint8_t *chunk = mem_alloc(COPY_CHUNK);
    for (uint64_t off = 0; rc == 0 && off < size; off += COPY_CHUNK) {
        size_t part = size - off < COPY_CHUNK ? (size_t)(size - off) : COPY_CHUNK;
        size_t done = 0;
        rc = file_read_full(from, chunk, part, off);
        if (rc == 0)
            rc = file_write_full(to, chunk, part, off, &done);
    }
    mem_free(chunk);
    return rc == 0 ? file_sync(to) : rc;
}

static int copy_file(struct fs *fs, const char *path, const char *kept)
{
    struct file *from;
    struct file *to;
    int rc = fs_open(fs, path, FS_READ, &from);
    if (rc != 0)
        return rc;
    rc = fs_open(fs, kept, FS_WRITE | FS_CREATE | FS_EXCL, &to);
    if (rc == 0) {
        rc = copy_bytes(from, to);
        file_unref(to);
    }
    file_unref(from);
    return rc;
}

static int keep_as(struct fs *fs, const char *path, const char *kept)
{
    int rc = fs_link(fs, path, kept);
    bool has_links = rc != -EPERM && rc != -EOPNOTSUPP && rc != -ENOSYS && rc != -EMLINK;
    return has_links ? rc : copy_file(fs, path, kept);
}

/* "data/shard_0/00001.log" is kept as "data-shard_0-00001.log", a second one of that name with a
 * number behind it. */
static char *kept_path(const struct quarantine *quarantine, const char *path, unsigned nth)
{
    size_t root = strlen(quarantine->folder->dir) + 1;
    ASSERT(strlen(path) > root);
    char *name = mem_dup_str(path + root);
    for (char *at = name; *at != '\0'; at++) {
        if (*at == '/')
            *at = '-';
    }
    char *kept = nth == 0 ? path_format("%s/%s", quarantine->path, name)
                          : path_format("%s/%s.%u", quarantine->path, name, nth);
    mem_free(name);
    return kept;
}

int quarantine_keep(struct quarantine *quarantine, const char *path, struct diag *diag)
{
    struct fs *fs = quarantine->folder->fs;
    int rc = -EEXIST;
    for (unsigned nth = 0; rc == -EEXIST && nth < KEEP_TRIES; nth++) {
        char *kept = kept_path(quarantine, path, nth);
        rc = keep_as(fs, path, kept);
        mem_free(kept);
    }
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = fs_sync_dir(fs, quarantine->path);
    return rc == 0 ? 0
                   : diag_set(diag, rc, "%.300s cannot be kept in %.150s: %s", path,
                              quarantine->path, err_text(rc));
}

int quarantine_put_report(struct quarantine *quarantine, struct slice text, struct diag *diag)
{
    struct fs *fs = quarantine->folder->fs;
    char *path = path_format("%s/report.txt", quarantine->path);
    char *temporary = path_format("%s/report.tmp", quarantine->path);
    int rc = fs_write_new(fs, temporary, text);
    if (rc == 0)
        rc = fs_rename(fs, temporary, path);
    if (rc == 0)
        rc = fs_sync_dir(fs, quarantine->path);
    if (rc != 0)
        diag_set(diag, rc, "%.300s cannot be written: %s", path, err_text(rc));
    mem_free(temporary);
    mem_free(path);
    return rc;
}
