/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of a connection: a list of chunks. Replies are appended to the last one until it is
 * full; a buffer that is handed over whole is a chunk of its own. A flush is one send of as many
 * chunks as fit one call, without asking first whether the socket has room: mostly it has. Where it
 * takes less than offered, or nothing, it is full; then the queue waits for the loop to report it
 * writable, and nothing is tried before (N5). Chunks that are out go back to the loop's others, so
 * a steady exchange allocates nothing.
 */
#include <errno.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/net_internal.h"

static void append_chunk(struct conn *conn, struct conn_chunk *chunk)
{
    if (conn->out_last == NULL)
        conn->out_first = chunk;
    else
        conn->out_last->next = chunk;
    conn->out_last = chunk;
}

static void drop_first_chunk(struct conn *conn)
{
    struct conn_chunk *chunk = conn->out_first;
    conn->out_first = chunk->next;
    if (conn->out_first == NULL)
        conn->out_last = NULL;
    net_drop_chunk(conn->net, chunk);
}

static void mark_dirty(struct conn *conn)
{
    if (!conn->is_blocked && !list_is_linked(&conn->dirty_node))
        list_push_back(&conn->net->dirty, &conn->dirty_node);
}

static struct buf *swallow(struct net *net)
{
    buf_reset(&net->sink, NET_CHUNK_KEEP);
    return &net->sink;
}

struct buf *conn_out(struct conn *conn)
{
    if (UNLIKELY(conn->is_closing))
        return swallow(conn->net);
    struct conn_chunk *chunk = conn->out_last;
    if (chunk != NULL && !chunk->is_owned && chunk->counted < NET_CHUNK_FULL)
        return &chunk->buf;
    chunk = net_take_chunk(conn->net);
    if (chunk->buf.cap == 0)
        buf_reserve(&chunk->buf, NET_CHUNK_FIRST);
    append_chunk(conn, chunk);
    return &chunk->buf;
}

void conn_commit(struct conn *conn)
{
    struct conn_chunk *chunk = conn->out_last;
    if (UNLIKELY(conn->is_closing) || chunk == NULL)
        return;
    ASSERT(chunk->buf.len >= chunk->counted); /* N2 */
    conn->out_bytes += chunk->buf.len - chunk->counted;
    chunk->counted = chunk->buf.len;
    mark_dirty(conn);
}

void conn_write_owned(struct conn *conn, struct buf *bytes)
{
    if (conn->is_closing) {
        buf_fini(bytes);
        return;
    }
    if (bytes->len <= NET_COPY_SIZE) {
        buf_append_slice(conn_out(conn), buf_slice(bytes));
        buf_fini(bytes);
        conn_commit(conn);
        return;
    }
    conn_commit(conn);
    struct conn_chunk *chunk = mem_calloc(1, sizeof(*chunk));
    chunk->buf = buf_take(bytes);
    chunk->counted = chunk->buf.len;
    chunk->is_owned = true;
    append_chunk(conn, chunk);
    conn->out_bytes += chunk->counted;
    mark_dirty(conn);
}

size_t conn_queued(const struct conn *conn)
{
    return conn->out_bytes;
}

size_t conn_memory(const struct conn *conn)
{
    size_t bytes = conn->unread.cap;
    for (const struct conn_chunk *chunk = conn->out_first; chunk != NULL; chunk = chunk->next)
        bytes += sizeof(*chunk) + chunk->buf.cap;
    return bytes;
}

void conn_free_queue(struct conn *conn)
{
    while (conn->out_first != NULL)
        drop_first_chunk(conn);
    conn->out_bytes = 0;
}

static ssize_t send_many(struct conn *conn, size_t *out_offered)
{
    struct iovec iov[NET_IOV_MAX];
    size_t count = 0;
    size_t offered = 0;
    struct conn_chunk *chunk = conn->out_first;
    for (; chunk != NULL && count < NET_IOV_MAX; chunk = chunk->next) {
        size_t len = chunk->counted - chunk->off;
        if (len == 0)
            continue;
        iov[count++] = (struct iovec){.iov_base = chunk->buf.data + chunk->off, .iov_len = len};
        offered += len;
    }
    *out_offered = offered;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(conn->watch.fd, &message, MSG_NOSIGNAL);
}

/* One send of what is queued, as far as one call can carry it; there is something. */
static ssize_t send_queue(struct conn *conn, size_t *out_offered)
{
    const struct conn_chunk *chunk = conn->out_first;
    size_t len = chunk->counted - chunk->off;
    if (len != conn->out_bytes)
        return send_many(conn, out_offered);
    *out_offered = len;
    return send(conn->watch.fd, chunk->buf.data + chunk->off, len, MSG_NOSIGNAL);
}

/* Takes `sent` bytes and all chunks that are empty off the front of the queue. */
static void take_off(struct conn *conn, size_t sent)
{
    ASSERT(sent <= conn->out_bytes); /* N2 */
    conn->out_bytes -= sent;
    conn->bytes_out += sent;
    while (conn->out_first != NULL) {
        struct conn_chunk *chunk = conn->out_first;
        size_t len = chunk->counted - chunk->off;
        if (sent < len) {
            chunk->off += sent;
            return;
        }
        sent -= len;
        drop_first_chunk(conn);
    }
}

static void set_blocked(struct conn *conn, bool is_blocked)
{
    if (conn->is_blocked == is_blocked)
        return;
    conn->is_blocked = is_blocked;
    conn_update_interest(conn);
}

static void finish_flush(struct conn *conn)
{
    bool was_blocked = conn->is_blocked;
    set_blocked(conn, false);
    if (conn->is_close_after_flush) {
        conn_close_gently(conn);
    } else if ((was_blocked || conn->is_paused) && conn->events->on_drained != NULL) {
        conn->net->is_called = true;
        conn->events->on_drained(conn);
    }
}

void conn_flush(struct conn *conn)
{
    ASSERT(!conn->is_closing); /* N4 */
    size_t offered = 0;
    ssize_t sent = 0;
    if (conn->out_bytes > 0) {
        do {
            sent = send_queue(conn, &offered);
        } while (sent < 0 && errno == EINTR);
    }
    if (sent < 0) {
        if (errno == EAGAIN)
            set_blocked(conn, true);
        else
            conn_fail(conn, err_last());
        return;
    }
    take_off(conn, (size_t)sent);
    if (conn->out_bytes == 0) {
        finish_flush(conn);
    } else if ((size_t)sent < offered) {
        set_blocked(conn, true);
    } else {
        set_blocked(conn, false);
        mark_dirty(conn);
    }
}
