/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/bitcask_internal.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

/* Records are collected in chunks. A chunk belongs to one file and knows where its first byte will
 * lie, so its bytes go to the same place however often and in however many pieces they are written
 * (B3): a disk that was full for a minute shifts nothing that a row has already been told.
 *
 * The job takes all chunks that are there. A file comes into being with its first chunk, which
 * begins with the file's header; the owner's thread never opens anything. A chunk becomes readable
 * as a whole, when all of it is in the file, because only its ends are known to be ends of records.
 *
 *   append --> queue --take--> job --run--> done: freed
 *                ^                     |
 *                +---------------------+  on error: to the front, to go on where it stopped
 */

/* Where a chunk ends and the next begins; a larger record has a chunk of its own. */
#define CHUNK_SIZE (256u * 1024)

void chunk_queue_init(struct chunk_queue *queue)
{
    list_init(&queue->chunks);
    queue->bytes = 0;
    queue->spare = NULL;
}

static void chunk_free(struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    buf_fini(&chunk->bytes);
    mem_free(chunk);
}

void chunk_queue_fini(struct chunk_queue *queue)
{
    for (struct list_node *node; (node = list_pop_front(&queue->chunks)) != NULL;)
        chunk_free(LIST_ENTRY(node, struct chunk, node));
    chunk_queue_trim(queue);
}

/* Of a queue that is not empty. */
static struct chunk *tail_of(struct chunk_queue *queue)
{
    return LIST_ENTRY(queue->chunks.prev, struct chunk, node);
}

static bool tail_takes(struct chunk_queue *queue, const struct datafile *df, size_t size)
{
    if (list_is_empty(&queue->chunks))
        return false;
    const struct chunk *chunk = tail_of(queue);
    return chunk->df == df && !chunk->is_closed && chunk->bytes.len + size <= CHUNK_SIZE;
}

struct chunk *chunk_queue_tail(struct chunk_queue *queue, struct datafile *df, size_t size)
{
    if (tail_takes(queue, df, size))
        return tail_of(queue);
    struct chunk *chunk = queue->spare;
    if (chunk == NULL)
        chunk = mem_calloc(1, sizeof(*chunk));
    queue->spare = NULL;
    chunk->df = df;
    chunk->off = df->append_off;
    chunk->done = 0;
    chunk->is_closed = false;
    list_push_back(&queue->chunks, &chunk->node);
    return chunk;
}

void chunk_queue_close_tail(struct chunk_queue *queue)
{
    if (!list_is_empty(&queue->chunks))
        tail_of(queue)->is_closed = true;
}

/* Keeps one buffer for the next chunk, until chunk_queue_trim(). */
static void chunk_recycle(struct chunk_queue *queue, struct chunk *chunk)
{
    if (queue->spare != NULL || chunk->bytes.cap > 2 * CHUNK_SIZE) {
        chunk_free(chunk);
        return;
    }
    chunk->bytes.len = 0;
    queue->spare = chunk;
}

void chunk_queue_trim(struct chunk_queue *queue)
{
    chunk_free(queue->spare);
    queue->spare = NULL;
}

/* ---- The job ---- */

struct bitcask_write *bitcask_write_take(struct bitcask *bc)
{
    struct bitcask_write *write = &bc->write;
    if (!list_is_empty(&write->chunks) || list_is_empty(&bc->queue.chunks))
        return NULL;
    list_splice_back(&write->chunks, &bc->queue.chunks);
    write->result = 0;
    write->failed = NULL;
    return write;
}

static int write_chunk(struct fs *fs, struct chunk *chunk)
{
    struct datafile *df = chunk->df;
    if (df->file == NULL) {
        ASSERT(chunk->off == 0);
        int rc = datafile_create(df, fs);
        if (rc != 0)
            return rc;
    }
    size_t n = 0;
    int rc = file_write_full(df->file, chunk->bytes.data + chunk->done,
                             chunk->bytes.len - chunk->done, chunk->off + chunk->done, &n);
    chunk->done += n;
    if (rc != 0)
        return rc;
    ASSERT(chunk->done == chunk->bytes.len);
    ASSERT(atomic_load_explicit(&df->written_off, memory_order_relaxed) == chunk->off); /* B3 */
    /* B4: only now, and with it df->file, may anyone read there. */
    atomic_store_explicit(&df->written_off, chunk->off + chunk->bytes.len, memory_order_release);
    return 0;
}

void bitcask_write_run(struct bitcask_write *write)
{
    LIST_EACH(node, next, &write->chunks)
    {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);
        write->result = write_chunk(write->fs, chunk);
        if (write->result != 0) {
            write->failed = chunk;
            return;
        }
    }
}

int bitcask_write_done(struct bitcask *bc, struct bitcask_write *write, struct diag *diag)
{
    ASSERT(write == &bc->write && !list_is_empty(&write->chunks));
    int rc = write->result;
    if (rc == 0)
        bc->stats.writes++;
    else
        diag_set(diag, rc, "%s: cannot write at offset %" PRIu64 ": %s; it will be tried again",
                 write->failed->df->path, write->failed->off + write->failed->done, err_text(rc));
    LIST_EACH(node, next, &write->chunks)
    {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);
        if (chunk == write->failed)
            break;
        list_del(node);
        bc->queue.bytes -= chunk->bytes.len;
        chunk_recycle(&bc->queue, chunk);
    }
    list_splice_back(&write->chunks, &bc->queue.chunks);
    list_splice_back(&bc->queue.chunks, &write->chunks);
    bitcask_collect(bc);
    return rc;
}
