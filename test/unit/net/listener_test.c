/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/net_internal.h"
#include "support/cmocka.h"
#include "support/looprig.h"
#include "support/netrig.h"
#include "support/tmpdir.h"

#define DEADLINE_MS 20000
#define ACCEPT_MAX  256

/* A listener whose connections the test gets as descriptors. */
struct door {
    struct hand_clock clock;
    struct loop *loop;
    struct listener *listener;
    struct diag diag;
    int fds[ACCEPT_MAX];
    size_t count;
    size_t expected;
    bool is_closing; /* closes the listener with the next connection */
};

static void on_accept(void *ctx, int fd)
{
    struct door *door = ctx;
    assert_true(door->count < ACCEPT_MAX);
    door->fds[door->count++] = fd;
    if (door->is_closing)
        listener_close(door->listener);
}

static int setup(void **state)
{
    static struct door door;
    memset(&door, 0, sizeof(door));
    hand_clock_init(&door.clock, 1000);
    door.loop = rig_loop("door", &door.clock.clock, NULL);
    *state = &door;
    return 0;
}

static int teardown(void **state)
{
    struct door *door = *state;
    for (size_t i = 0; i < door->count; i++)
        close(door->fds[i]);
    loop_free(door->loop);
    return 0;
}

static int open_door(struct door *door, struct listener_options options)
{
    options.loop = door->loop;
    options.on_accept = on_accept;
    options.ctx = door;
    return listener_open(&options, &door->listener, &door->diag);
}

static int open_local(struct door *door)
{
    return open_door(door, (struct listener_options){.host = "127.0.0.1"});
}

static bool has_all(void *ctx)
{
    struct door *door = ctx;
    return door->count >= door->expected;
}

static void await_accepts(struct door *door, size_t count)
{
    door->expected = count;
    assert_true(rig_turn_until(door->loop, has_all, door, DEADLINE_MS));
    assert_int_equal(door->count, count);
}

static int connect_local(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* ---- TCP ---- */

static void an_accepted_socket_is_ready_for_use(void **state)
{
    struct door *door = *state;
    assert_int_equal(open_local(door), 0);
    int client = connect_local(listener_port(door->listener));
    await_accepts(door, 1);
    int fd = door->fds[0];
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    int no_delay = 0;
    socklen_t len = sizeof(no_delay);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    assert_int_not_equal(no_delay, 0);
    close(client);
    listener_close(door->listener);
}

static void a_port_in_use_is_named(void **state)
{
    struct door *door = *state;
    struct door other = {.loop = door->loop};
    assert_int_equal(open_local(door), 0);
    uint16_t port = listener_port(door->listener);
    struct listener_options options = {.host = "127.0.0.1", .port = port};
    assert_int_equal(open_door(&other, options), -EADDRINUSE);
    char expected[64];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u: ", (unsigned)port);
    assert_non_null(strstr(other.diag.text, expected));
    options.port = 0;
    options.host = "localhost";
    assert_true(open_door(&other, options) < 0);
    options.host = "2001:db8::1";
    assert_true(open_door(&other, options) < 0);
    assert_non_null(strstr(other.diag.text, "[2001:db8::1]:0: "));
    listener_close(door->listener);
}

static void the_port_is_free_again_after_close(void **state)
{
    struct door *door = *state;
    assert_int_equal(open_local(door), 0);
    uint16_t port = listener_port(door->listener);
    int client = connect_local(port);
    await_accepts(door, 1);
    listener_close(door->listener);
    rig_turn_dry(door->loop);
    assert_int_equal(open_door(door, (struct listener_options){.host = "0.0.0.0", .port = port}),
                     0);
    close(client);
    listener_close(door->listener);
}

static void a_listener_may_close_while_it_accepts(void **state)
{
    struct door *door = *state;
    assert_int_equal(open_local(door), 0);
    uint16_t port = listener_port(door->listener);
    int clients[] = {connect_local(port), connect_local(port)};
    door->is_closing = true;
    await_accepts(door, 1);
    rig_turn_dry(door->loop);
    assert_int_equal(door->count, 1);
    close(clients[0]);
    close(clients[1]);
}

static void a_turn_accepts_a_bounded_number(void **state)
{
    struct door *door = *state;
    assert_int_equal(open_local(door), 0);
    uint16_t port = listener_port(door->listener);
    int clients[NET_ACCEPT_MAX + 10];
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
        clients[i] = connect_local(port);
    loop_turn(door->loop);
    assert_int_equal(door->count, NET_ACCEPT_MAX);
    await_accepts(door, ARRAY_COUNT(clients));
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
        close(clients[i]);
    listener_close(door->listener);
}

/* ---- Addresses ---- */

static void ignore_close(struct conn *conn, int error)
{
    (void)conn;
    (void)error;
}

/* The accepted connection's own idea of who talks to whom. */
static void get_addresses(struct door *door, char *peer, char *local)
{
    static const struct conn_events events = {.on_closed = ignore_close};
    struct net_options options = {.loop = door->loop};
    struct net *net = NULL;
    struct conn conn;
    assert_int_equal(net_new(&options, &net), 0);
    assert_int_equal(conn_open(&conn, net, door->fds[--door->count], &events), 0);
    conn_addresses(&conn, peer, local);
    conn_close(&conn);
    rig_turn_dry(door->loop);
    net_free(net);
}

static void addresses_of_ipv4(void **state)
{
    struct door *door = *state;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    char expected[NET_ADDR_SIZE];
    assert_int_equal(open_local(door), 0);
    int client = connect_local(listener_port(door->listener));
    await_accepts(door, 1);
    get_addresses(door, peer, local);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    assert_int_equal(getsockname(client, (struct sockaddr *)&in, &len), 0);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)ntohs(in.sin_port));
    assert_string_equal(peer, expected);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)listener_port(door->listener));
    assert_string_equal(local, expected);
    close(client);
    listener_close(door->listener);
}

static void addresses_of_ipv6(void **state)
{
    struct door *door = *state;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    char expected[NET_ADDR_SIZE];
    if (open_door(door, (struct listener_options){.host = "::1"}) != 0)
        skip(); /* this machine has no IPv6 */
    struct sockaddr_in6 in = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(listener_port(door->listener)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    await_accepts(door, 1);
    get_addresses(door, peer, local);
    snprintf(expected, sizeof(expected), "[::1]:%u", (unsigned)listener_port(door->listener));
    assert_string_equal(local, expected);
    assert_memory_equal(peer, "[::1]:", 6);
    close(client);
    listener_close(door->listener);
}

static void addresses_of_a_nameless_pair(void **state)
{
    struct door *door = *state;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    door->fds[door->count++] = fds[0];
    get_addresses(door, peer, local);
    assert_string_equal(peer, "?");
    assert_string_equal(local, "?");
    close(fds[1]);
}

/* ---- Unix sockets ---- */

static void a_unix_socket_comes_and_goes_with_its_listener(void **state)
{
    struct door *door = *state;
    struct tmpdir dir;
    struct stat st;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    tmpdir_make(&dir);
    struct tmpdir_path path = tmpdir_join(&dir, "sock");
    struct listener_options options = {.path = path.text, .path_mode = 0700};
    assert_int_equal(open_door(door, options), 0);
    assert_int_equal(listener_port(door->listener), 0);
    assert_int_equal(stat(path.text, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    int client = connect_unix(path.text);
    await_accepts(door, 1);
    get_addresses(door, peer, local);
    char expected[NET_ADDR_SIZE];
    snprintf(expected, sizeof(expected), "%.100s:0", path.text);
    assert_string_equal(local, expected);
    assert_string_equal(peer, expected);
    listener_close(door->listener);
    rig_turn_dry(door->loop);
    assert_int_not_equal(stat(path.text, &st), 0);
    close(client);
    tmpdir_remove(&dir);
}

static void leave_stale_socket(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static void only_a_socket_that_nobody_listens_to_is_replaced(void **state)
{
    struct door *door = *state;
    struct door other = {.loop = door->loop};
    struct tmpdir dir;
    struct stat st;
    tmpdir_make(&dir);
    struct tmpdir_path path = tmpdir_join(&dir, "sock");
    struct listener_options options = {.path = path.text};
    leave_stale_socket(path.text);
    assert_int_equal(open_door(door, options), 0);
    assert_int_equal(open_door(&other, options), -EADDRINUSE);
    assert_non_null(strstr(other.diag.text, path.text));
    int client = connect_unix(path.text);
    assert_true(client >= 0);
    close(client);

    struct tmpdir_path file = tmpdir_join(&dir, "file");
    options.path = file.text;
    close(open(file.text, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(open_door(&other, options), -EADDRINUSE);
    assert_int_equal(stat(file.text, &st), 0);

    /* A successor's socket stays when the predecessor goes. */
    unlink(path.text);
    leave_stale_socket(path.text);
    listener_close(door->listener);
    rig_turn_dry(door->loop);
    assert_int_equal(stat(path.text, &st), 0);
    tmpdir_remove(&dir);
}

static void a_path_too_long_is_refused(void **state)
{
    struct door *door = *state;
    char path[200];
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(open_door(door, (struct listener_options){.path = path}), -ENAMETOOLONG);
    assert_int_equal(open_door(door, (struct listener_options){.path = ""}), -ENAMETOOLONG);
}

/* ---- Out of descriptors ---- */

static int highest_fd(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void set_fd_limit(rlim_t limit)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

/* N6: what cannot be accepted waits in the backlog, and the loop sleeps meanwhile. */
static void without_descriptors_the_listener_rests(void **state)
{
    struct door *door = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(open_local(door), 0);
    int clients[5];
    for (size_t i = 0; i < 5; i++)
        clients[i] = connect_local(listener_port(door->listener));
    set_fd_limit((rlim_t)highest_fd() + 2);
    await_accepts(door, 2);
    while (listener_stalls(door->listener) == 0)
        loop_turn(door->loop);
    for (int i = 0; i < 10; i++)
        assert_false(loop_turn(door->loop));
    hand_clock_advance_ms(&door->clock, NET_STALL_MS);
    while (listener_stalls(door->listener) == 1)
        loop_turn(door->loop);
    assert_int_equal(door->count, 2);
    assert_false(loop_turn(door->loop));
    set_fd_limit(before.rlim_cur);
    assert_false(loop_turn(door->loop));
    hand_clock_advance_ms(&door->clock, NET_STALL_MS);
    await_accepts(door, 5);
    assert_int_equal(listener_stalls(door->listener), 2);
    for (size_t i = 0; i < 5; i++)
        close(clients[i]);
    listener_close(door->listener);
}

/* ---- Many short connections, on the same loop and on another ---- */

struct guest {
    struct conn conn;
    struct house *house;
    struct loop_post post;
    int fd;
};

struct house {
    struct loop *loop; /* of the connections */
    struct net *net;
    size_t opened;
    size_t closed;
};

static size_t echo(struct conn *conn, struct slice bytes)
{
    buf_append_slice(conn_out(conn), bytes);
    conn_commit(conn);
    return bytes.len;
}

static void guest_closed(struct conn *conn, int error)
{
    struct guest *guest = CONTAINER_OF(conn, struct guest, conn);
    ASSERT(error == 0);
    guest->house->closed++;
    mem_free(guest);
}

static const struct conn_events guest_events = {.on_data = echo, .on_closed = guest_closed};

static void let_in(struct loop_post *post)
{
    struct guest *guest = CONTAINER_OF(post, struct guest, post);
    int error = conn_open(&guest->conn, guest->house->net, guest->fd, &guest_events);
    ASSERT(error == 0);
    guest->house->opened++;
}

static void send_to_house(void *ctx, int fd)
{
    struct house *house = ctx;
    struct guest *guest = mem_calloc(1, sizeof(*guest));
    guest->house = house;
    guest->fd = fd;
    guest->post.run = let_in;
    loop_post(house->loop, &guest->post);
}

static void open_house(struct house *house, struct loop *loop)
{
    *house = (struct house){.loop = loop};
    struct net_options options = {.loop = loop, .flush_order = 50};
    assert_int_equal(net_new(&options, &house->net), 0);
}

static struct listener *open_house_door(struct house *house, struct loop *loop)
{
    struct listener_options options = {
        .loop = loop,
        .host = "127.0.0.1",
        .on_accept = send_to_house,
        .ctx = house,
    };
    struct listener *listener = NULL;
    assert_int_equal(listener_open(&options, &listener, NULL), 0);
    return listener;
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

#define SHORT_TOTAL 2000
#define SHORT_BATCH 50

static bool are_all_closed(void *ctx)
{
    struct house *house = ctx;
    return house->opened > 0 && house->closed == house->opened;
}

static void visit(struct loop *loop, uint16_t port)
{
    int clients[SHORT_BATCH];
    for (int i = 0; i < SHORT_BATCH; i++) {
        clients[i] = connect_local(port);
        assert_int_equal(send(clients[i], "PING", 4, MSG_NOSIGNAL), 4);
    }
    for (int i = 0; i < SHORT_BATCH; i++) {
        char answer[8];
        ssize_t got;
        while ((got = recv(clients[i], answer, sizeof(answer), MSG_DONTWAIT)) < 0)
            loop_turn(loop);
        assert_int_equal(got, 4);
        close(clients[i]);
    }
}

static void short_connections_leave_nothing_behind(void **state)
{
    struct door *door = *state;
    struct house house;
    open_house(&house, door->loop);
    struct listener *listener = open_house_door(&house, door->loop);
    size_t before = open_descriptors();
    for (int i = 0; i < SHORT_TOTAL / SHORT_BATCH; i++)
        visit(door->loop, listener_port(listener));
    assert_true(rig_turn_until(door->loop, are_all_closed, &house, DEADLINE_MS));
    assert_int_equal(house.opened, SHORT_TOTAL);
    assert_int_equal(open_descriptors(), before);
    listener_close(listener);
    rig_turn_dry(door->loop);
    net_free(house.net);
}

static void await_answer(int client)
{
    struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    char answer[8];
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(recv(client, answer, sizeof(answer), 0), 4);
}

static void connections_are_handed_to_another_loop(void **state)
{
    struct door *door = *state;
    struct house house;
    struct loop *inner = rig_loop("inner", NULL, NULL);
    struct loop *outer = rig_loop("outer", NULL, NULL);
    (void)door;
    open_house(&house, inner);
    struct listener *listener = open_house_door(&house, outer);
    uint16_t port = listener_port(listener);
    assert_int_equal(loop_start(inner), 0);
    assert_int_equal(loop_start(outer), 0);
    for (int i = 0; i < 200; i++) {
        int client = connect_local(port);
        assert_int_equal(send(client, "PING", 4, MSG_NOSIGNAL), 4);
        await_answer(client);
        close(client);
    }
    loop_stop(outer);
    loop_join(outer);
    loop_stop(inner);
    loop_join(inner);
    listener_close(listener);
    loop_free(outer);
    assert_true(rig_turn_until(inner, are_all_closed, &house, DEADLINE_MS));
    assert_int_equal(house.opened, 200);
    net_free(house.net);
    loop_free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_accepted_socket_is_ready_for_use, setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(the_port_is_free_again_after_close, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listener_may_close_while_it_accepts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_accepts_a_bounded_number, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_ipv4, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_a_nameless_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(a_unix_socket_comes_and_goes_with_its_listener, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_a_socket_that_nobody_listens_to_is_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_path_too_long_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(without_descriptors_the_listener_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(short_connections_leave_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_are_handed_to_another_loop, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
