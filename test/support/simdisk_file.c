/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_file: an open file of the simulated disk, and the trace of what is done to its bytes. */
#include "support/simdisk_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"

/* ---- Ops on the bytes of a file ---- */

size_t sim_add_op(struct simdisk *disk, struct sim_inode *inode, struct sim_op op)
{
    op.step = disk->step_count;
    if (op.kind == OP_WRITE && bytes_are_zero(op.data, op.len)) {
        op.data = NULL;
    } else if (op.kind == OP_WRITE) {
        uint8_t *copy = arena_try_alloc(&disk->data, op.len);
        ASSERT(copy != NULL);
        op.data = memcpy(copy, op.data, op.len);
    }
    inode->ops = sim_grow(inode->ops, &inode->op_cap, inode->op_count, sizeof(inode->ops[0]));
    inode->ops[inode->op_count] = op;
    return inode->op_count++;
}

void sim_apply_to(struct content *content, const struct sim_op *op)
{
    uint8_t byte;
    switch (op->kind) {
    case OP_WRITE:
        content_write(content, op->off, op->data, op->len);
        break;
    case OP_TRUNCATE:
        content_resize(content, op->off);
        break;
    case OP_FLIP:
        if (content_read(content, op->off, &byte, 1) == 1) {
            byte ^= op->mask;
            content_write(content, op->off, &byte, 1);
        }
        break;
    }
}

void sim_apply(struct simdisk *disk, struct sim_inode *inode, const struct sim_op *op)
{
    disk->used_pages -= inode->live->page_count;
    inode->live = content_own(inode->live);
    sim_apply_to(inode->live, op);
    disk->used_pages += inode->live->page_count;
}

/* ---- A file ---- */

static const struct file_ops sim_file_ops;

struct sim_file *sim_file_of(struct file *file)
{
    ASSERT(file->ops == &sim_file_ops);
    return CONTAINER_OF(file, struct sim_file, file);
}

static bool is_askew(const struct sim_file *file, const void *memory, size_t size, uint64_t off)
{
    return (file->flags & FS_DIRECT) != 0 &&
           (!is_aligned(off, AIO_ALIGN) || !is_aligned(size, AIO_ALIGN) ||
            !is_aligned((uintptr_t)memory, AIO_ALIGN));
}

/* A read that must not wait may be refused or cut short at any time. */
static ssize_t read_locked(struct sim_file *file, void *to, size_t size, uint64_t off, bool no_wait)
{
    struct simdisk *disk = file->disk;
    int error = 0;
    if (sim_meets_fault(disk, SIM_READ, file->path_idx, &error))
        return error;
    if (is_askew(file, to, size, off))
        return -EINVAL;
    uint64_t luck = no_wait ? sim_below(&disk->random, 8) : 7;
    if (luck < 2)
        return -EAGAIN;
    if (luck == 2 && size > 1)
        size = (size_t)sim_below(&disk->random, size);
    return (ssize_t)content_read(file->inode->live, off, to, size);
}

static ssize_t sim_pread(struct file *file, void *to, size_t size, uint64_t off, bool no_wait)
{
    struct sim_file *sim = sim_file_of(file);
    lock_take(&sim->disk->lock);
    ssize_t got = read_locked(sim, to, size, off, no_wait);
    lock_drop(&sim->disk->lock);
    return got;
}

static ssize_t write_locked(struct sim_file *file, const void *from, size_t size, uint64_t off)
{
    struct simdisk *disk = file->disk;
    int error = 0;
    bool is_faulty = sim_meets_fault(disk, SIM_WRITE, file->path_idx, &error);
    if (is_faulty && error < 0)
        return error;
    if ((file->flags & FS_WRITE) == 0)
        return -EBADF;
    if (is_askew(file, from, size, off))
        return -EINVAL;
    if (off > SIM_FILE_MAX || size > SIM_FILE_MAX - off)
        return -EFBIG;
    if (size == 0)
        return 0;
    if (is_faulty)
        size = sim_short_len(disk, size, (file->flags & FS_DIRECT) != 0);
    size = content_room(file->inode->live, off, size, sim_free_pages(disk));
    if (size == 0)
        return -ENOSPC;
    sim_step(disk, STEP_WRITE, file->path_idx);
    struct sim_op op = {
        .kind = OP_WRITE, .durable = SIM_NEVER, .off = off, .len = size, .data = from};
    sim_apply(disk, file->inode, &op);
    sim_add_op(disk, file->inode, op);
    return (ssize_t)size;
}

static ssize_t sim_pwrite(struct file *file, const void *from, size_t size, uint64_t off)
{
    struct sim_file *sim = sim_file_of(file);
    lock_take(&sim->disk->lock);
    ssize_t put = write_locked(sim, from, size, off);
    lock_drop(&sim->disk->lock);
    return put;
}

/* Writes that a sync could not bring to the disk are marked clean all the same: no later sync
 * looks at them again. A new size is kept with the file's other data, which is tried again. */
static void mark_synced(struct sim_inode *inode, uint64_t step, bool is_good)
{
    for (size_t i = inode->first_unsynced; i < inode->op_count; i++) {
        struct sim_op *op = &inode->ops[i];
        if (op->is_aio || op->is_suspect || op->durable != SIM_NEVER)
            continue;
        if (is_good)
            op->durable = step;
        else
            op->is_suspect = op->kind == OP_WRITE;
    }
    if (is_good)
        inode->first_unsynced = inode->op_count;
}

static int sim_sync(struct file *file)
{
    struct sim_file *sim = sim_file_of(file);
    struct simdisk *disk = sim->disk;
    lock_take(&disk->lock);
    int error = 0;
    bool is_good = !sim_meets_fault(disk, SIM_SYNC, sim->path_idx, &error);
    uint64_t step = sim_step(disk, is_good ? STEP_SYNC : STEP_SYNC_FAILED, sim->path_idx);
    mark_synced(sim->inode, step, is_good);
    lock_drop(&disk->lock);
    return error;
}

static int truncate_locked(struct sim_file *file, uint64_t size)
{
    struct simdisk *disk = file->disk;
    int error = 0;
    if (sim_meets_fault(disk, SIM_TRUNCATE, file->path_idx, &error))
        return error;
    if ((file->flags & FS_WRITE) == 0)
        return -EINVAL;
    if (size > SIM_FILE_MAX)
        return -EFBIG;
    sim_step(disk, STEP_TRUNCATE, file->path_idx);
    struct sim_op op = {
        .kind = OP_TRUNCATE,
        .durable = SIM_NEVER,
        .off = size,
        .is_shrink = size < file->inode->live->size,
    };
    sim_apply(disk, file->inode, &op);
    sim_add_op(disk, file->inode, op);
    return 0;
}

static int sim_truncate(struct file *file, uint64_t size)
{
    struct sim_file *sim = sim_file_of(file);
    lock_take(&sim->disk->lock);
    int rc = truncate_locked(sim, size);
    lock_drop(&sim->disk->lock);
    return rc;
}

static int sim_size(struct file *file, uint64_t *out_size)
{
    struct sim_file *sim = sim_file_of(file);
    lock_take(&sim->disk->lock);
    *out_size = sim->inode->live->size;
    lock_drop(&sim->disk->lock);
    return 0;
}

static int sim_fd(const struct file *file)
{
    (void)file;
    return -1;
}

static void sim_close(struct file *file)
{
    struct sim_file *sim = sim_file_of(file);
    struct simdisk *disk = sim->disk;
    lock_take(&disk->lock);
    ASSERT(sim->in_flight == 0 && disk->open_count > 0);
    disk->open_count--;
    sim->inode->open_count--;
    if (sim->has_lock)
        sim->inode->is_locked = false;
    sim_inode_settle(disk, sim->inode);
    lock_drop(&disk->lock);
    mem_free(sim);
}

static const struct file_ops sim_file_ops = {
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .size = sim_size,
    .fd = sim_fd,
    .close = sim_close,
};

struct file *sim_file_new(struct simdisk *disk, struct sim_inode *inode, unsigned flags,
                          uint32_t path_idx)
{
    struct sim_file *file = mem_calloc(1, sizeof(*file));
    file->file.ops = &sim_file_ops;
    file->disk = disk;
    file->inode = inode;
    file->flags = flags;
    file->path_idx = path_idx;
    inode->open_count++;
    disk->open_count++;
    return &file->file;
}
