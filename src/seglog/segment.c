/* SPDX-License-Identifier: Apache-2.0 */
/* A segment counts as available only when nothing about it can get lost any more (S6): its bytes
 * are written (not merely allocated), its header is synced, its name is in the synced directory.
 * Until then it bears a temporary name, under which recovery removes it.
 *
 *   new:      create T, write header and zeros, sync T, rename T -> N, sync dir
 *   recycled: rename O -> T, sync dir, look at T, write header, sync T, rename T -> N, sync dir
 *
 * The first directory sync of the second row sees to it that a new header never stands under the
 * old name. The old frames stay where they are: they carry the old epoch and are void.
 */
#include "seglog/segment_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "seglog/seglog.h"

#include <errno.h>

#define ZERO_CHUNK (1U << 20)

char *segment_path(const char *dir, uint64_t number, bool is_temporary)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name_format(name, number, is_temporary);
    size_t size = strlen(dir) + 1 + sizeof(name);
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

struct segment *segment_new(const char *dir, const struct segment_header *header)
{
    struct segment *segment = mem_calloc(1, sizeof(*segment));
    atomic_init(&segment->ref_count, 1);
    list_init(&segment->node);
    segment->header = *header;
    segment->path = segment_path(dir, header->number, false);
    segment->used = SEGMENT_HEADER_SIZE;
    return segment;
}

struct segment *segment_ref(struct segment *segment)
{
    uint32_t before = atomic_fetch_add_explicit(&segment->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return segment;
}

void segment_unref(struct segment *segment)
{
    if (segment == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&segment->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    file_unref(segment->file);
    mem_free(segment->path);
    mem_free(segment);
}

bool segment_is_sole(const struct segment *segment)
{
    return atomic_load_explicit(&segment->ref_count, memory_order_acquire) == 1;
}

static int write_all(struct file *file, const uint8_t *data, size_t size, uint64_t off)
{
    size_t done = 0;
    return file_write_full(file, data, size, off, &done);
}

/* Header and zeros up to the size, in aligned pieces. */
static int fill_new(struct file *file, const struct segment_header *header)
{
    uint8_t *chunk = mem_try_alloc_aligned(FRAME_ALIGN, ZERO_CHUNK);
    if (chunk == NULL)
        return -ENOMEM;
    memset(chunk, 0, ZERO_CHUNK);
    segment_header_encode(chunk, header);
    /* On a full disk it ends here, and takes nobody the little that is left. */
    int rc = file_allocate(file, header->size);
    if (rc == -EOPNOTSUPP)
        rc = 0;
    for (uint64_t off = 0; off < header->size && rc == 0; off += ZERO_CHUNK) {
        uint64_t left = header->size - off;
        rc = write_all(file, chunk, left < ZERO_CHUNK ? left : ZERO_CHUNK, off);
        memset(chunk, 0, SEGMENT_HEADER_SIZE);
    }
    mem_free(chunk);
    return rc;
}

static int fill_recycled(struct file *file, const struct segment_header *header)
{
    uint8_t *block = mem_try_alloc_aligned(FRAME_ALIGN, SEGMENT_HEADER_SIZE);
    if (block == NULL)
        return -ENOMEM;
    segment_header_encode(block, header);
    int rc = write_all(file, block, SEGMENT_HEADER_SIZE, 0);
    mem_free(block);
    return rc;
}

/* Moves the spare to the temporary name. Sets was_recycled if its bytes can be used: it has the
 * right size and no other name, which a backup may have given it (S8). */
static int take_spare(struct seglog_prep *prep, const char *temporary)
{
    int rc = fs_rename(prep->fs, prep->spare->path, temporary);
    if (rc != 0)
        return rc;
    rc = fs_sync_dir(prep->fs, prep->dir);
    if (rc != 0)
        return rc;
    struct fs_stat stat;
    rc = fs_stat(prep->fs, temporary, &stat);
    if (rc != 0)
        return rc;
    if (stat.link_count == 1 && stat.size == prep->target->header.size) {
        prep->was_recycled = true;
        return 0;
    }
    return fs_unlink(prep->fs, temporary);
}

static int make_ready(struct seglog_prep *prep, const char *temporary)
{
    struct segment *target = prep->target;
    int rc = prep->spare == NULL ? 0 : take_spare(prep, temporary);
    if (rc != 0)
        return rc;
    unsigned flags = FS_WRITE | prep->open_flags;
    if (!prep->was_recycled)
        flags |= FS_CREATE | FS_EXCL;
    rc = fs_open(prep->fs, temporary, flags, &target->file);
    if (rc != 0)
        return rc;
    rc = prep->was_recycled ? fill_recycled(target->file, &target->header)
                            : fill_new(target->file, &target->header);
    if (rc == 0)
        rc = file_sync(target->file);
    if (rc == 0)
        rc = fs_rename(prep->fs, temporary, target->path);
    if (rc == 0)
        rc = fs_sync_dir(prep->fs, prep->dir);
    return rc;
}

/* After a failure: no name that may have come to be is of use. What cannot be removed is found
 * unused, or void, at the next start. */
static void clean_up(struct seglog_prep *prep, const char *temporary)
{
    file_unref(prep->target->file);
    prep->target->file = NULL;
    IGNORE(fs_unlink(prep->fs, temporary), "it may not be there");
    IGNORE(fs_unlink(prep->fs, prep->target->path), "it may not be there");
    if (prep->spare != NULL)
        IGNORE(fs_unlink(prep->fs, prep->spare->path), "it may not be there");
}

void seglog_prep_run(struct seglog_prep *prep)
{
    LIST_EACH(node, next, &prep->surplus)
    {
        struct segment *segment = LIST_ENTRY(node, struct segment, node);
        IGNORE(fs_unlink(prep->fs, segment->path), "found retired at the next start");
    }
    if (prep->target == NULL)
        return;
    char *temporary = segment_path(prep->dir, prep->target->header.number, true);
    prep->result = make_ready(prep, temporary);
    if (prep->result != 0)
        clean_up(prep, temporary);
    mem_free(temporary);
}
