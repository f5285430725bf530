/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/upkeep/disk_reserve.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

#define PATH_SIZE  4096
#define NOISE_SIZE (64u * 1024)

struct paths {
    char folder[PATH_SIZE];
    char name[PATH_SIZE];
    char temporary[PATH_SIZE];
};

static int set_path(char *to, const char *dir, const char *name)
{
    int len = snprintf(to, PATH_SIZE, "%s/%s", dir, name);
    return len < 0 || len >= PATH_SIZE ? ERR_TOO_BIG : 0;
}

static int set_paths(struct paths *paths, const char *dir)
{
    int rc = set_path(paths->folder, dir, DISK_RESERVE_FOLDER);
    if (rc == 0)
        rc = set_path(paths->name, dir, DISK_RESERVE_NAME);
    return rc == 0 ? set_path(paths->temporary, dir, DISK_RESERVE_TEMPORARY) : rc;
}

static int remove_name(struct fs *fs, const char *path)
{
    int rc = fs_unlink(fs, path);
    return rc == -ENOENT ? 0 : rc;
}

static int size_of(struct fs *fs, const char *path, uint64_t *out_size)
{
    struct fs_stat st = {0};
    int rc = fs_stat(fs, path, &st);
    if (rc == 0 || rc == -ENOENT)
        *out_size = st.size;
    return rc == -ENOENT ? 0 : rc;
}

int disk_reserve_find(struct fs *fs, const char *dir, uint64_t *out_size)
{
    struct paths paths;
    int rc = set_paths(&paths, dir);
    if (rc != 0)
        return rc;
    rc = remove_name(fs, paths.temporary);
    return rc == 0 ? size_of(fs, paths.name, out_size) : rc;
}

/* Where blocks cannot be asked for they are written, with bytes that no filesystem makes smaller.
 */
static int write_noise(struct file *file, uint64_t size)
{
    uint8_t *noise = mem_try_alloc(NOISE_SIZE);
    if (noise == NULL)
        return -ENOMEM;
    uint64_t word = 1;
    int rc = 0;
    for (uint64_t off = 0; rc == 0 && off < size; off += NOISE_SIZE) {
        for (size_t i = 0; i < NOISE_SIZE; i += sizeof(word)) {
            word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            put_u64(noise + i, word ^ word >> 29);
        }
        size_t done;
        uint64_t left = size - off;
        rc =
            file_write_full(file, noise, left < NOISE_SIZE ? (size_t)left : NOISE_SIZE, off, &done);
    }
    mem_free(noise);
    return rc;
}

static int fill(struct file *file, uint64_t size)
{
    int rc = file_allocate(file, size);
    if (rc == -EOPNOTSUPP)
        rc = write_noise(file, size);
    return rc == 0 ? file_sync(file) : rc;
}

static int make_new(struct fs *fs, const struct paths *paths, uint64_t size)
{
    struct file *file = NULL;
    int rc = fs_create(fs, paths->temporary, &file);
    if (rc != 0)
        return rc;
    rc = fill(file, size);
    file_unref(file);
    if (rc == 0)
        rc = fs_rename(fs, paths->temporary, paths->name);
    if (rc == 0)
        rc = fs_sync_dir(fs, paths->folder);
    if (rc != 0)
        IGNORE(remove_name(fs, paths->temporary), "the next start removes it");
    return rc;
}

/* A copy of a data directory may have lost the blocks, and kept the size. */
static int confirm(struct fs *fs, const struct paths *paths, uint64_t size)
{
    struct file *file = NULL;
    int rc = fs_open(fs, paths->name, FS_WRITE, &file);
    if (rc != 0)
        return rc;
    rc = file_allocate(file, size);
    file_unref(file);
    return rc == -EOPNOTSUPP ? 0 : rc;
}

static int remove_all(struct fs *fs, const struct paths *paths)
{
    int rc = remove_name(fs, paths->temporary);
    if (rc == 0)
        rc = fs_unlink(fs, paths->name);
    if (rc == -ENOENT)
        return 0;
    /* A journal may hold the blocks of a removed file until it is written. */
    return rc == 0 ? fs_sync_dir(fs, paths->folder) : rc;
}

static int shrink(struct fs *fs, const struct paths *paths, uint64_t size)
{
    struct file *file = NULL;
    int rc = fs_open(fs, paths->name, FS_WRITE, &file);
    if (rc != 0)
        return rc;
    rc = file_truncate(file, size);
    if (rc == 0)
        rc = file_sync(file);
    file_unref(file);
    return rc;
}

int disk_reserve_give_up(struct fs *fs, const char *dir, uint64_t size)
{
    struct paths paths;
    int rc = set_paths(&paths, dir);
    if (rc == 0)
        rc = size == 0 ? remove_all(fs, &paths) : shrink(fs, &paths, size);
    return rc;
}

int disk_reserve_make(struct fs *fs, const char *dir, uint64_t size)
{
    struct paths paths;
    uint64_t found = 0;
    int rc = set_paths(&paths, dir);
    if (rc == 0)
        rc = size_of(fs, paths.name, &found);
    if (rc != 0)
        return rc;
    if (found > 0 && found == size)
        return confirm(fs, &paths, size);
    rc = remove_all(fs, &paths);
    return rc == 0 && size > 0 ? make_new(fs, &paths, size) : rc;
}
