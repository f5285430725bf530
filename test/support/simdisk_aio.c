/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_aio: the simulated disk as a durable write queue.
 *
 * A write enters the trace when it is submitted: from then on a power loss may keep any of its
 * sectors. Its completion is the step from which it is durable, whatever else is in flight. What
 * has not been flushed never completes, so that an owner who forgets to flush is found out.
 */
#include "support/simdisk_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"

struct sim_aio {
    struct aio aio;
    struct simdisk *disk;
    struct list_node node; /* of disk->aios */
    struct list_node submitted;
    struct list_node running;
    struct list_node done;
};

struct sim_entry {
    struct list_node node;
    struct aio_write *write;
    struct sim_file *file;
    size_t op_idx;
    bool is_faulty;
    int error; /* of a faulty one; 0: short */
};

static struct sim_aio *sim_aio_of(struct aio *aio)
{
    return CONTAINER_OF(aio, struct sim_aio, aio);
}

static struct sim_entry *entry_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct sim_entry, node);
}

static bool overlaps(const struct list_node *list, const struct sim_file *file,
                     const struct aio_write *write)
{
    LIST_EACH(node, next, list)
    {
        const struct sim_entry *entry = entry_of(node);
        if (entry->file->inode == file->inode && entry->write->off < write->off + write->size &&
            write->off < entry->write->off + entry->write->size)
            return true;
    }
    return false;
}

/* Two writes to one place in flight: nobody could say what is there afterwards. */
static bool is_contested(const struct simdisk *disk, const struct sim_file *file,
                         const struct aio_write *write)
{
    LIST_EACH(node, next, &disk->aios)
    {
        const struct sim_aio *aio = LIST_ENTRY(node, struct sim_aio, node);
        if (overlaps(&aio->submitted, file, write) || overlaps(&aio->running, file, write))
            return true;
    }
    return false;
}

static void sim_aio_submit(struct aio *base, struct aio_write *write)
{
    struct sim_aio *aio = sim_aio_of(base);
    struct simdisk *disk = aio->disk;
    struct sim_file *file = sim_file_of(write->file);
    ASSERT(file->disk == disk && (file->flags & FS_DIRECT) != 0);

    struct sim_entry *entry = mem_calloc(1, sizeof(*entry));
    entry->write = write;
    entry->file = file;
    lock_take(&disk->lock);
    ASSERT(!is_contested(disk, file, write));
    entry->is_faulty = sim_meets_fault(disk, SIM_AIO, file->path_idx, &entry->error);
    if ((file->flags & FS_WRITE) == 0 || write->off + write->size > SIM_FILE_MAX) {
        entry->is_faulty = true;
        entry->error = (file->flags & FS_WRITE) == 0 ? -EBADF : -EFBIG;
    }
    sim_step(disk, STEP_AIO_SUBMIT, file->path_idx);
    entry->op_idx = sim_add_op(disk, file->inode,
                               (struct sim_op){.kind = OP_WRITE,
                                               .is_aio = true,
                                               .durable = SIM_NEVER,
                                               .off = write->off,
                                               .len = write->size,
                                               .data = write->data});
    file->in_flight++;
    list_push_back(&aio->submitted, &entry->node);
    lock_drop(&disk->lock);
}

static void sim_aio_flush(struct aio *base)
{
    struct sim_aio *aio = sim_aio_of(base);
    lock_take(&aio->disk->lock);
    list_splice_back(&aio->running, &aio->submitted);
    lock_drop(&aio->disk->lock);
}

/* ---- Completion ---- */

/* The owner has promised to leave the bytes alone until now. */
static void assert_untouched(const struct aio_write *write, const struct sim_op *op)
{
    if (op->data == NULL)
        ASSERT(bytes_are_zero(write->data, write->size));
    else
        ASSERT(memcmp(op->data, write->data, write->size) == 0);
}

/* Reads may see any sectors of a write that has failed. */
static void leave_pieces(struct simdisk *disk, struct sim_inode *inode, const struct sim_op *op)
{
    for (size_t at = 0; at < op->len; at += SIM_SECTOR_SIZE) {
        struct sim_op piece = {
            .kind = OP_WRITE,
            .off = op->off + at,
            .len = SIM_SECTOR_SIZE,
            .data = op->data == NULL ? NULL : op->data + at,
        };
        bool has_room = content_room(inode->live, piece.off, piece.len, sim_free_pages(disk)) > 0;
        if (has_room && sim_below(&disk->random, 2) == 0)
            sim_apply(disk, inode, &piece);
    }
}

static int complete(struct simdisk *disk, struct sim_entry *entry)
{
    struct sim_inode *inode = entry->file->inode;
    struct sim_op *op = &inode->ops[entry->op_idx];
    assert_untouched(entry->write, op);
    int error = 0;
    if (entry->is_faulty)
        error = entry->error == 0 ? -EIO : entry->error;
    else if (content_room(inode->live, op->off, op->len, sim_free_pages(disk)) < op->len)
        error = -ENOSPC;
    uint32_t path_idx = entry->file->path_idx;
    uint64_t step = sim_step(disk, error == 0 ? STEP_AIO_DONE : STEP_AIO_FAILED, path_idx);
    if (error == 0) {
        op->durable = step;
        sim_apply(disk, inode, op);
    } else {
        leave_pieces(disk, inode, op); /* and never durable */
    }
    return error;
}

static size_t list_count(const struct list_node *list)
{
    size_t count = 0;
    LIST_EACH(node, next, list)
    count++;
    return count;
}

static void complete_nth(struct sim_aio *aio, size_t n)
{
    struct list_node *node = aio->running.next;
    for (; n > 0; n--)
        node = node->next;
    struct sim_entry *entry = entry_of(node);
    entry->write->result = complete(aio->disk, entry);
    entry->file->in_flight--;
    list_del(node);
    list_push_back(&aio->done, node);
}

/* One of the running writes, or, one time in four, none yet. */
static void complete_by_chance(struct sim_aio *aio)
{
    size_t count = list_count(&aio->running);
    if (count > 0 && sim_below(&aio->disk->random, 4) != 0)
        complete_nth(aio, (size_t)sim_below(&aio->disk->random, count));
}

static struct aio_write *sim_aio_reap(struct aio *base)
{
    struct sim_aio *aio = sim_aio_of(base);
    lock_take(&aio->disk->lock);
    if (list_is_empty(&aio->done) && !aio->disk->is_held)
        complete_by_chance(aio);
    struct list_node *node = list_pop_front(&aio->done);
    lock_drop(&aio->disk->lock);
    if (node == NULL)
        return NULL;
    struct aio_write *write = entry_of(node)->write;
    mem_free(entry_of(node));
    return write;
}

void simdisk_hold(struct simdisk *disk, bool is_held)
{
    lock_take(&disk->lock);
    disk->is_held = is_held;
    lock_drop(&disk->lock);
}

bool simdisk_release(struct simdisk *disk)
{
    lock_take(&disk->lock);
    size_t count = 0;
    LIST_EACH(node, next, &disk->aios)
    count += list_count(&LIST_ENTRY(node, struct sim_aio, node)->running);
    size_t n = count == 0 ? 0 : (size_t)sim_below(&disk->random, count);
    LIST_EACH(node, next, &disk->aios)
    {
        struct sim_aio *aio = LIST_ENTRY(node, struct sim_aio, node);
        size_t here = list_count(&aio->running);
        if (n < here) {
            complete_nth(aio, n);
            break;
        }
        n -= here;
    }
    lock_drop(&disk->lock);
    return count > 0;
}

/* ---- The rest of the table ---- */

static int sim_aio_fd(const struct aio *aio)
{
    (void)aio;
    return -1;
}

static unsigned sim_aio_open_flags(const struct aio *aio)
{
    (void)aio;
    return FS_DIRECT;
}

static const char *sim_aio_name(const struct aio *aio)
{
    (void)aio;
    return "simdisk";
}

static void sim_aio_close(struct aio *base)
{
    struct sim_aio *aio = sim_aio_of(base);
    ASSERT(list_is_empty(&aio->submitted));
    ASSERT(list_is_empty(&aio->running));
    ASSERT(list_is_empty(&aio->done));
    lock_take(&aio->disk->lock);
    list_del(&aio->node);
    aio->disk->open_count--;
    lock_drop(&aio->disk->lock);
    mem_free(aio);
}

static const struct aio_ops sim_aio_ops = {
    .submit = sim_aio_submit,
    .flush = sim_aio_flush,
    .reap = sim_aio_reap,
    .fd = sim_aio_fd,
    .open_flags = sim_aio_open_flags,
    .name = sim_aio_name,
    .close = sim_aio_close,
};

struct aio *simdisk_aio(struct simdisk *disk)
{
    struct sim_aio *aio = mem_calloc(1, sizeof(*aio));
    aio->aio.ops = &sim_aio_ops;
    aio->disk = disk;
    list_init(&aio->submitted);
    list_init(&aio->running);
    list_init(&aio->done);
    lock_take(&disk->lock);
    list_push_back(&disk->aios, &aio->node);
    disk->open_count++;
    lock_drop(&disk->lock);
    return &aio->aio;
}
