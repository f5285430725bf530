/* SPDX-License-Identifier: Apache-2.0 */
/* The read side and the life of a connection.
 *
 * Mostly a request arrives whole: it is read into the loop's buffer, used up there, and the
 * connection never owns a byte. An unfinished rest is copied out and, at the next read, put in
 * front of the loop's buffer again, so that small pieces cost two small copies and no growth. A
 * request known to be large (conn_expect), or a rest that has become large, is read straight to
 * where it will lie whole.
 *
 *     read_joined    rest <= NET_JOIN_SIZE, nothing large expected   [ rest | new bytes ] in net
 *     read_direct    otherwise                                       [ rest | new bytes ] in conn
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/net_internal.h"

#define KEEPALIVE_PROBES 3

static struct conn *conn_of(struct loop_watch *watch)
{
    return CONTAINER_OF(watch, struct conn, watch);
}

static bool wants_data(const struct conn *conn)
{
    return !conn->is_paused && !conn->is_ended && !conn->is_close_after_flush && !conn->is_closing;
}

void conn_update_interest(struct conn *conn)
{
    if (conn->is_closing)
        return;
    unsigned events = wants_data(conn) ? LOOP_READABLE : 0;
    if (conn->is_blocked)
        events |= LOOP_WRITABLE;
    loop_watch_set(&conn->watch, events);
}

/* ---- Reading ---- */

size_t conn_unused(const struct conn *conn)
{
    return conn->unread.len - conn->unread_off;
}

static void forget_rest(struct conn *conn)
{
    if (conn->unread.data == NULL)
        return;
    buf_fini(&conn->unread); /* N3 */
    conn->unread_off = 0;
}

/* Appends to the kept rest. */
static void keep(struct conn *conn, const uint8_t *data, size_t len)
{
    if (buf_try_reserve(&conn->unread, len) != 0)
        conn_fail(conn, -ENOMEM);
    else
        buf_append(&conn->unread, data, len);
}

/* A small rest does not hold on to the memory of the large request that came before it (N3). */
static void shrink_rest(struct conn *conn)
{
    size_t rest = conn_unused(conn);
    if (conn->unread.cap <= NET_READ_SIZE || rest > conn->unread.cap / 4)
        return;
    struct buf smaller = {0};
    if (buf_try_reserve(&smaller, rest) != 0)
        return;
    buf_append(&smaller, conn->unread.data + conn->unread_off, rest);
    buf_fini(&conn->unread);
    conn->unread = smaller;
    conn->unread_off = 0;
}

/* Returns how many bytes of `bytes` the owner has used up. */
static size_t call_owner(struct conn *conn, struct slice bytes)
{
    conn->need = 0;
    conn->is_reading = true;
    size_t used = conn->events->on_data(conn, bytes);
    conn->is_reading = false;
    ASSERT(used <= bytes.len);
    return used;
}

static void deliver_kept(struct conn *conn)
{
    struct slice bytes = slice_sub(buf_slice(&conn->unread), conn->unread_off, SIZE_MAX);
    size_t used = call_owner(conn, bytes);
    if (conn->is_closing)
        return;
    conn->unread_off += used;
    if (conn->unread_off == conn->unread.len)
        forget_rest(conn);
    else if (used > 0)
        shrink_rest(conn);
}

void conn_deliver_rest(struct conn *conn)
{
    size_t have = conn_unused(conn);
    if (wants_data(conn) && have > 0 && have >= conn->need)
        deliver_kept(conn);
}

/* Receives up to `room` bytes. 0: nothing came, or the connection has ended or failed. */
static size_t receive(struct conn *conn, uint8_t *to, size_t room)
{
    ssize_t got;
    do {
        got = recv(conn->watch.fd, to, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        conn->bytes_in += (size_t)got;
        return (size_t)got;
    }
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got < 0) {
        conn_fail(conn, err_last());
        return 0;
    }
    conn->is_ended = true;
    conn_update_interest(conn);
    if (conn->events->on_end == NULL)
        conn_close_after_flush(conn);
    else
        conn->events->on_end(conn);
    return 0;
}

static void read_joined(struct conn *conn)
{
    uint8_t *front = conn->net->read_buf;
    size_t have = conn_unused(conn);
    if (have > 0)
        memcpy(front, conn->unread.data + conn->unread_off, have);
    size_t got = receive(conn, front + have, NET_READ_SIZE);
    if (got == 0)
        return;
    size_t total = have + got;
    size_t used = total < conn->need ? 0 : call_owner(conn, slice_of(front, total));
    if (conn->is_closing)
        return;
    if (used > 0) {
        forget_rest(conn);
        have = 0;
    }
    if (used + have < total)
        keep(conn, front + used + have, total - used - have);
}

/* How much to receive behind a rest that stays where it is. */
static size_t room_wanted(const struct conn *conn)
{
    size_t have = conn_unused(conn);
    return conn->need > have ? conn->need - have : NET_READ_SIZE;
}

/* Makes room behind the kept rest: `wanted` bytes, as far as a mere announcement may claim them. */
static int make_room(struct conn *conn, size_t wanted)
{
    struct buf *unread = &conn->unread;
    if (conn->unread_off > 0) {
        buf_drop_front(unread, conn->unread_off);
        conn->unread_off = 0;
    }
    size_t room = unread->cap - unread->len;
    if (room >= wanted || room >= NET_READ_SIZE)
        return 0;
    size_t limit = unread->len > NET_EXPECT_AT_ONCE ? unread->len : NET_EXPECT_AT_ONCE;
    return buf_try_reserve(unread, wanted < limit ? wanted : limit);
}

static void read_direct(struct conn *conn)
{
    size_t wanted = room_wanted(conn);
    if (make_room(conn, wanted) != 0) {
        conn_fail(conn, -ENOMEM);
        return;
    }
    struct buf *unread = &conn->unread;
    size_t room = unread->cap - unread->len;
    room = room < wanted ? room : wanted;
    room = room < NET_DIRECT_SIZE ? room : NET_DIRECT_SIZE;
    size_t got = receive(conn, unread->data + unread->len, room);
    if (got == 0)
        return;
    unread->len += got;
    conn_deliver_rest(conn);
}

static void read_once(struct conn *conn)
{
    if (conn->need > NET_READ_SIZE || conn_unused(conn) > NET_JOIN_SIZE)
        read_direct(conn);
    else
        read_joined(conn);
}

void conn_pause(struct conn *conn)
{
    conn->is_paused = true;
    conn_update_interest(conn);
}

void conn_resume(struct conn *conn)
{
    if (!conn->is_paused)
        return;
    conn->is_paused = false;
    conn_update_interest(conn);
    bool has_rest = conn->is_reading || conn_unused(conn) > 0;
    if (has_rest && wants_data(conn) && !list_is_linked(&conn->resume_node))
        list_push_back(&conn->net->resumed, &conn->resume_node);
}

void conn_expect(struct conn *conn, size_t bytes)
{
    conn->need = bytes;
}

/* ---- Life ---- */

static void on_event(struct loop_watch *watch, unsigned events)
{
    struct conn *conn = conn_of(watch);
    if ((events & LOOP_WRITABLE) != 0 && conn->is_blocked)
        conn_flush(conn);
    if ((events & LOOP_READABLE) != 0 && wants_data(conn))
        read_once(conn);
}

int conn_open(struct conn *conn, struct net *net, int fd, const struct conn_events *events)
{
    *conn = (struct conn){.net = net, .events = events};
    list_init(&conn->dirty_node);
    list_init(&conn->resume_node);
    int error = loop_watch_open(net->loop, &conn->watch, fd, on_event);
    if (error != 0)
        return error;
    net->conn_count++;
    conn_update_interest(conn);
    return 0;
}

/* N1: the descriptor is closed, the buffers are gone, and nothing here touches the connection once
 * the owner has been told. */
static void on_watch_closed(struct loop_watch *watch)
{
    struct conn *conn = conn_of(watch);
    ASSERT(!list_is_linked(&conn->dirty_node) && !list_is_linked(&conn->resume_node));
    close(watch->fd);
    forget_rest(conn);
    conn_free_queue(conn);
    conn->net->conn_count--;
    conn->events->on_closed(conn, conn->error);
}

void conn_close(struct conn *conn)
{
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    list_del(&conn->dirty_node);
    list_del(&conn->resume_node);
    /* The descriptor goes later; the peer sees the end before whoever asked for it hears of it. */
    IGNORE(shutdown(conn->watch.fd, SHUT_RDWR), "the peer may have ended it");
    loop_watch_close(&conn->watch, on_watch_closed);
}

void conn_fail(struct conn *conn, int error)
{
    if (!conn->is_closing)
        conn->error = error;
    conn_close(conn);
}

void conn_close_after_flush(struct conn *conn)
{
    if (conn->is_closing || conn->is_close_after_flush)
        return;
    conn->is_close_after_flush = true;
    conn_update_interest(conn);
    if (!conn->is_blocked && !list_is_linked(&conn->dirty_node))
        list_push_back(&conn->net->dirty, &conn->dirty_node);
}

/* A socket that is closed with unread input resets the connection, which can destroy the last
 * replies before the peer has read them. So what has come is thrown away first. */
void conn_close_gently(struct conn *conn)
{
    for (int i = 0; i < NET_DRAIN_MAX && !conn->is_ended; i++) {
        ssize_t got = recv(conn->watch.fd, conn->net->read_buf, NET_READ_SIZE, MSG_DONTWAIT);
        if (got < NET_READ_SIZE)
            break;
    }
    conn_close(conn);
}

int conn_set_keepalive(struct conn *conn, unsigned seconds)
{
    int fd = conn->watch.fd;
    int family;
    socklen_t len = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0)
        return err_last();
    if (family == AF_UNIX)
        return 0;
    int is_on = seconds > 0;
    int idle = (int)(seconds < INT16_MAX ? seconds : INT16_MAX); /* the kernel's own limit */
    int interval = idle / KEEPALIVE_PROBES > 0 ? idle / KEEPALIVE_PROBES : 1;
    int probes = KEEPALIVE_PROBES;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on, sizeof(is_on)) != 0)
        return err_last();
    if (!is_on)
        return 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) != 0)
        return err_last();
    return 0;
}
