/* SPDX-License-Identifier: Apache-2.0 */
#include "support/netrig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/looprig.h"

#define FLUSH_ORDER 90
#define DEADLINE_MS 20000

static struct netrig *rig_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct netrig, conn);
}

/* No callback may come behind a close or on_closed (N1, N4). */
static void expect_alive(struct netrig *rig)
{
    assert_int_equal(rig->closed_calls, 0);
    assert_false(rig->conn.is_closing);
}

static size_t lines_in(struct slice bytes)
{
    size_t end = bytes.len;
    while (end > 0 && bytes.data[end - 1] != '\n')
        end--;
    return end;
}

static size_t use_up(struct netrig *rig, struct slice bytes)
{
    size_t used = bytes.len;
    if (rig->mode == NETRIG_REFUSE)
        return 0;
    if (rig->mode == NETRIG_LINES)
        used = lines_in(bytes);
    if (rig->mode == NETRIG_ECHO) {
        buf_append_slice(conn_out(&rig->conn), bytes);
        conn_commit(&rig->conn);
    } else {
        buf_append(&rig->got, bytes.data, used);
    }
    return used;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct netrig *rig = rig_of(conn);
    expect_alive(rig);
    rig->data_calls++;
    rig->last_len = bytes.len;
    size_t used = use_up(rig, bytes);
    if (rig->expect != 0)
        conn_expect(conn, rig->expect);
    rig->expect = 0;
    if (rig->is_pausing_in_data)
        conn_pause(conn);
    if (rig->is_closing_in_data)
        conn_close(conn);
    return used;
}

static void on_end(struct conn *conn)
{
    struct netrig *rig = rig_of(conn);
    expect_alive(rig);
    rig->end_calls++;
    if (rig->is_closing_in_end)
        conn_close(conn);
}

static void on_drained(struct conn *conn)
{
    struct netrig *rig = rig_of(conn);
    expect_alive(rig);
    assert_int_equal(conn_queued(conn), 0);
    rig->drained_calls++;
    if (rig->is_closing_in_drained)
        conn_close(conn);
}

static void on_closed(struct conn *conn, int error)
{
    struct netrig *rig = rig_of(conn);
    assert_int_equal(conn_memory(conn), 0);
    rig->closed_calls++;
    rig->error = error;
    memset(conn, 0xee, sizeof(*conn));
}

static const struct conn_events recorder = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static void open_with(struct netrig *rig, int fds[2])
{
    memset(rig, 0, sizeof(*rig));
    rig->loop = rig_loop("net", NULL, NULL);
    struct net_options options = {.loop = rig->loop, .flush_order = FLUSH_ORDER};
    assert_int_equal(net_new(&options, &rig->net), 0);
    rig->peer = fds[1];
    assert_int_equal(conn_open(&rig->conn, rig->net, fds[0], &recorder), 0);
}

void netrig_open(struct netrig *rig)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    open_with(rig, fds);
}

void netrig_tcp_pair(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&in, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    close(listener);
    int on = 1;
    assert_int_equal(setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

void netrig_open_tcp(struct netrig *rig)
{
    int fds[2];
    netrig_tcp_pair(fds);
    open_with(rig, fds);
}

void netrig_close(struct netrig *rig)
{
    if (rig->closed_calls == 0)
        conn_close(&rig->conn);
    rig_turn_dry(rig->loop);
    assert_int_equal(rig->closed_calls, 1);
    if (rig->peer >= 0)
        close(rig->peer);
    net_free(rig->net);
    loop_free(rig->loop);
    buf_fini(&rig->got);
}

void netrig_turn(struct netrig *rig)
{
    loop_turn(rig->loop);
}

bool netrig_is_closed(void *ctx)
{
    struct netrig *rig = ctx;
    return rig->closed_calls > 0;
}

void netrig_await_close(struct netrig *rig)
{
    assert_true(rig_turn_until(rig->loop, netrig_is_closed, rig, DEADLINE_MS));
}

void netrig_peer_send(struct netrig *rig, const void *data, size_t len)
{
    assert_int_equal(send(rig->peer, data, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
}

size_t netrig_peer_recv(struct netrig *rig, void *to, size_t len)
{
    ssize_t got = recv(rig->peer, to, len, MSG_DONTWAIT);
    if (got < 0)
        assert_int_equal(errno, EAGAIN);
    return got < 0 ? 0 : (size_t)got;
}
