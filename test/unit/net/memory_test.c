/* SPDX-License-Identifier: Apache-2.0 */
/* What idle connections cost, as the system counts it. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/net_internal.h"
#include "support/cmocka.h"
#include "support/looprig.h"

#define CONNS_MAX  2000
#define IDLE_LIMIT 1024 /* bytes for a connection: its struct, its watch, its share of tables */

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t size = 0;
    size_t pages = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &size, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t echo(struct conn *conn, struct slice bytes)
{
    buf_append_slice(conn_out(conn), bytes);
    conn_commit(conn);
    return bytes.len;
}

static void ignore_close(struct conn *conn, int error)
{
    (void)conn;
    assert_int_equal(error, 0);
}

static const struct conn_events events = {.on_data = echo, .on_closed = ignore_close};

/* As many as the limit of descriptors allows, two for each. */
static size_t affordable(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    size_t count = limit.rlim_cur > 200 ? (size_t)(limit.rlim_cur - 100) / 2 : 50;
    return count < CONNS_MAX ? count : CONNS_MAX;
}

static void exchange(struct loop *loop, int peer)
{
    char answer[8];
    assert_int_equal(send(peer, "PING", 4, 0), 4);
    loop_turn(loop);
    assert_int_equal(recv(peer, answer, sizeof(answer), MSG_DONTWAIT), 4);
}

/* N3 */
static void an_idle_connection_is_small(void **state)
{
    (void)state;
    static int fds[CONNS_MAX][2];
    size_t count = affordable();
    struct loop *loop = rig_loop("memory", NULL, NULL);
    struct net *net = NULL;
    struct net_options options = {.loop = loop, .flush_order = 1};
    assert_int_equal(net_new(&options, &net), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
    size_t before = resident_bytes();
    struct conn *conns = mem_calloc(count, sizeof(*conns));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(conn_open(&conns[i], net, fds[i][0], &events), 0);
        exchange(loop, fds[i][1]);
        assert_int_equal(conn_memory(&conns[i]), 0);
    }
    size_t each = (resident_bytes() - before) / count;
    print_message("%zu bytes for each of %zu idle connections\n", each, count);
#ifndef FERRIC_SANITIZED
    assert_true(each <= IDLE_LIMIT);
#endif
    for (size_t i = 0; i < count; i++) {
        conn_close(&conns[i]);
        close(fds[i][1]);
    }
    rig_turn_dry(loop);
    net_free(net);
    loop_free(loop);
    mem_free(conns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
