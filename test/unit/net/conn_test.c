/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/looprig.h"
#include "support/netrig.h"
#include "support/random.h"

static int setup(void **state)
{
    static struct netrig rig;
    netrig_open(&rig);
    *state = &rig;
    return 0;
}

static int setup_tcp(void **state)
{
    static struct netrig rig;
    netrig_open_tcp(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    netrig_close(*state);
    return 0;
}

static void send_text(struct netrig *rig, const char *text)
{
    netrig_peer_send(rig, text, strlen(text));
}

static void expect_got(struct netrig *rig, const char *text)
{
    assert_int_equal(rig->got.len, strlen(text));
    if (rig->got.len > 0)
        assert_memory_equal(rig->got.data, text, rig->got.len);
}

/* ---- Pieces ---- */

static void lines_cut_at_every_byte_come_whole(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_LINES;
    static const char text[] = "first\nsecond line\nlast\n";
    size_t len = sizeof(text) - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        netrig_peer_send(rig, text, cut);
        netrig_turn(rig);
        netrig_turn(rig);
        size_t whole = rig->got.len;
        assert_true(whole == 0 || text[whole - 1] == '\n');
        assert_int_equal(conn_unused(&rig->conn), cut - whole);
        netrig_peer_send(rig, text + cut, len - cut);
        netrig_turn(rig);
        expect_got(rig, text);
        assert_int_equal(conn_memory(&rig->conn), 0);
        buf_reset(&rig->got, SIZE_MAX);
    }
}

static void lines_sent_byte_by_byte_come_whole(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_LINES;
    static const char text[] = "one\ntwo\nthree\n";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        netrig_peer_send(rig, text + i, 1);
        netrig_turn(rig);
    }
    expect_got(rig, text);
    assert_int_equal(conn_memory(&rig->conn), 0);
    assert_int_equal(rig->conn.bytes_in, sizeof(text) - 1);
}

/* A rest that outgrows the joining of small ones stays where it is and is read on there. */
static void a_long_line_without_announcement_comes_whole(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_LINES;
    char piece[1000];
    memset(piece, 'x', sizeof(piece));
    size_t total = 0;
    for (; total < 3 * NET_JOIN_SIZE; total += sizeof(piece)) {
        netrig_peer_send(rig, piece, sizeof(piece));
        netrig_turn(rig);
        assert_int_equal(conn_unused(&rig->conn), total + sizeof(piece));
    }
    assert_int_equal(rig->got.len, 0);
    send_text(rig, "\nrest");
    netrig_turn(rig);
    assert_int_equal(rig->got.len, total + 1);
    assert_int_equal(conn_unused(&rig->conn), 4);
    send_text(rig, "\n");
    netrig_turn(rig);
    assert_int_equal(rig->got.len, total + 6);
    assert_int_equal(conn_memory(&rig->conn), 0);
}

static void one_read_per_turn(void **state)
{
    struct netrig *rig = *state;
    static char flood[150000];
    netrig_peer_send(rig, flood, sizeof(flood));
    for (int i = 1; i <= 3; i++) {
        netrig_turn(rig);
        assert_int_equal(rig->data_calls, i);
        assert_true(rig->last_len <= NET_READ_SIZE);
    }
    assert_int_equal(rig->got.len, sizeof(flood));
}

/* ---- Announced requests ---- */

static void fill(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(i * 31 + (i >> 8));
}

/* Sends as the socket takes it, turning in between, until all of it has been read. */
static void pump(struct netrig *rig, const uint8_t *data, size_t len)
{
    uint64_t target = rig->conn.bytes_in + len;
    size_t sent = 0;
    while (rig->conn.bytes_in < target) {
        size_t left = len - sent;
        ssize_t n = left == 0 ? 0 : send(rig->peer, data + sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        netrig_turn(rig);
    }
}

/* `size` bytes announced by a first short piece; on_data is called once for that, once for all. */
static void check_announced(struct netrig *rig, size_t size)
{
    uint8_t *data = malloc(size);
    fill(data, size);
    rig->mode = NETRIG_REFUSE;
    rig->expect = size;
    netrig_peer_send(rig, data, 10);
    netrig_turn(rig);
    assert_int_equal(rig->data_calls, 1);
    rig->mode = NETRIG_TAKE;
    pump(rig, data + 10, size - 10);
    assert_int_equal(rig->data_calls, 2);
    assert_int_equal(rig->got.len, size);
    assert_memory_equal(rig->got.data, data, size);
    assert_int_equal(conn_memory(&rig->conn), 0);
    send_text(rig, "more");
    netrig_turn(rig);
    assert_int_equal(rig->last_len, 4);
    free(data);
}

static void a_small_announced_request_is_delivered_once(void **state)
{
    check_announced(*state, 5000);
}

static void one_of_just_a_read_is_delivered_once(void **state)
{
    check_announced(*state, NET_READ_SIZE);
}

static void a_large_announced_request_is_delivered_once(void **state)
{
    check_announced(*state, 3 * 1024 * 1024 + 17);
}

static void a_huge_announced_request_is_delivered_once(void **state)
{
    check_announced(*state, 2 * NET_EXPECT_AT_ONCE + 12345);
}

static void an_announcement_alone_claims_no_more_than_its_limit(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_REFUSE;
    rig->expect = (size_t)1 << 40;
    send_text(rig, "boast");
    netrig_turn(rig);
    send_text(rig, "more");
    netrig_turn(rig);
    assert_int_equal(conn_unused(&rig->conn), 9);
    assert_true(conn_memory(&rig->conn) <= NET_EXPECT_AT_ONCE + NET_READ_SIZE);
}

static void a_rest_behind_a_large_request_does_not_keep_its_memory(void **state)
{
    struct netrig *rig = *state;
    size_t size = 3 * 1024 * 1024;
    uint8_t *data = malloc(size);
    memset(data, 'x', size);
    memcpy(data + size - 5, "\nrest", 5);
    rig->mode = NETRIG_LINES;
    rig->expect = size;
    netrig_peer_send(rig, data, 10);
    netrig_turn(rig);
    pump(rig, data + 10, size - 10);
    assert_int_equal(rig->got.len, size - 4);
    assert_int_equal(conn_unused(&rig->conn), 4);
    assert_true(conn_memory(&rig->conn) <= NET_READ_SIZE);
    rig->expect = 0;
    send_text(rig, " of it\n");
    netrig_turn(rig);
    assert_memory_equal(rig->got.data + size - 4, "rest of it\n", 11);
    free(data);
}

/* ---- Pause and resume ---- */

static void a_paused_connection_does_not_read(void **state)
{
    struct netrig *rig = *state;
    conn_pause(&rig->conn);
    send_text(rig, "wait");
    for (int i = 0; i < 3; i++)
        assert_false(loop_turn(rig->loop));
    assert_int_equal(rig->data_calls, 0);
    conn_resume(&rig->conn);
    netrig_turn(rig);
    expect_got(rig, "wait");
}

static void resume_hands_over_the_rest_in_the_same_turn(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_REFUSE;
    rig->is_pausing_in_data = true;
    send_text(rig, "rest");
    netrig_turn(rig);
    assert_int_equal(conn_unused(&rig->conn), 4);
    rig->mode = NETRIG_TAKE;
    rig->is_pausing_in_data = false;
    conn_resume(&rig->conn);
    conn_pause(&rig->conn);
    conn_resume(&rig->conn);
    assert_int_equal(rig->data_calls, 1);
    netrig_turn(rig);
    assert_int_equal(rig->data_calls, 2);
    expect_got(rig, "rest");
    assert_int_equal(conn_memory(&rig->conn), 0);
}

struct witness {
    struct loop_phase phase;
    struct netrig *rig;
    int seen; /* on_data calls at its last run */
};

static bool look(struct loop_phase *phase)
{
    struct witness *witness = CONTAINER_OF(phase, struct witness, phase);
    witness->seen = witness->rig->data_calls;
    return false;
}

/* Phases before ours get to work on what a resumed rest has brought, before the loop sleeps. */
static void a_resumed_rest_counts_as_work(void **state)
{
    struct netrig *rig = *state;
    struct witness witness = {.rig = rig};
    loop_phase_add(rig->loop, &witness.phase, look, 1);
    rig->mode = NETRIG_REFUSE;
    rig->is_pausing_in_data = true;
    send_text(rig, "rest");
    netrig_turn(rig);
    rig->is_pausing_in_data = false;
    conn_resume(&rig->conn);
    netrig_turn(rig);
    assert_int_equal(witness.seen, 2);
    loop_phase_del(rig->loop, &witness.phase);
}

static void a_rest_that_is_still_too_short_is_not_handed_over(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_REFUSE;
    rig->is_pausing_in_data = true;
    rig->expect = 8;
    send_text(rig, "rest");
    netrig_turn(rig);
    conn_resume(&rig->conn);
    netrig_turn(rig);
    assert_int_equal(rig->data_calls, 1);
    rig->mode = NETRIG_TAKE;
    send_text(rig, "less");
    netrig_turn(rig);
    expect_got(rig, "restless");
}

static void closed_while_paused(void **state)
{
    struct netrig *rig = *state;
    conn_pause(&rig->conn);
    send_text(rig, "never read");
    close(rig->peer);
    rig->peer = -1;
    netrig_turn(rig);
    assert_int_equal(rig->closed_calls, 0);
    conn_close(&rig->conn);
    netrig_turn(rig);
    assert_int_equal(rig->closed_calls, 1);
    assert_int_equal(rig->error, 0);
    assert_int_equal(rig->data_calls, 0);
}

/* ---- Ends ---- */

/* The peer has said all it has to say and still gets its answers. */
static void half_closed_peer_is_answered(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_ECHO;
    send_text(rig, "question");
    assert_int_equal(shutdown(rig->peer, SHUT_WR), 0);
    for (int i = 0; i < 4; i++)
        netrig_turn(rig);
    assert_int_equal(rig->end_calls, 1);
    assert_int_equal(rig->closed_calls, 0);
    buf_append_str(conn_out(&rig->conn), ", late answer");
    conn_commit(&rig->conn);
    conn_close_after_flush(&rig->conn);
    netrig_await_close(rig);
    assert_int_equal(rig->error, 0);
    char answer[64] = "";
    assert_int_equal(netrig_peer_recv(rig, answer, sizeof(answer)), 21);
    assert_string_equal(answer, "question, late answer");
    assert_int_equal(netrig_peer_recv(rig, answer, sizeof(answer)), 0);
}

static const struct conn_events *without_on_end(const struct conn_events *events)
{
    static struct conn_events copy;
    copy = *events;
    copy.on_end = NULL;
    copy.on_drained = NULL;
    return &copy;
}

static void without_on_end_the_peers_end_is_the_end(void **state)
{
    struct netrig *rig = *state;
    rig->conn.events = without_on_end(rig->conn.events);
    rig->mode = NETRIG_ECHO;
    send_text(rig, "bye");
    assert_int_equal(shutdown(rig->peer, SHUT_WR), 0);
    netrig_await_close(rig);
    assert_int_equal(rig->error, 0);
    char answer[8];
    assert_int_equal(netrig_peer_recv(rig, answer, sizeof(answer)), 3);
}

static void an_unfinished_rest_goes_with_the_end(void **state)
{
    struct netrig *rig = *state;
    rig->conn.events = without_on_end(rig->conn.events);
    rig->mode = NETRIG_LINES;
    send_text(rig, "unfinis");
    netrig_turn(rig);
    close(rig->peer);
    rig->peer = -1;
    netrig_await_close(rig);
    assert_int_equal(rig->got.len, 0);
    assert_int_equal(rig->error, 0);
}

static void a_reset_is_an_error(void **state)
{
    struct netrig *rig = *state;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(rig->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    netrig_turn(rig);
    close(rig->peer);
    rig->peer = -1;
    netrig_await_close(rig);
    assert_int_equal(rig->error, -ECONNRESET);
    assert_int_equal(rig->end_calls, 0);
}

static void closing_in_on_data_is_the_last_call_but_on_closed(void **state)
{
    struct netrig *rig = *state;
    rig->is_closing_in_data = true;
    rig->mode = NETRIG_LINES;
    rig->expect = 100000;
    send_text(rig, "one\nand a rest");
    netrig_turn(rig);
    netrig_turn(rig);
    assert_int_equal(rig->data_calls, 1);
    assert_int_equal(rig->closed_calls, 1);
    assert_int_equal(rig->error, 0);
}

static void closing_in_on_data_of_a_resumed_rest(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_REFUSE;
    rig->is_pausing_in_data = true;
    send_text(rig, "rest");
    netrig_turn(rig);
    rig->is_pausing_in_data = false;
    rig->is_closing_in_data = true;
    conn_resume(&rig->conn);
    netrig_await_close(rig);
    assert_int_equal(rig->data_calls, 2);
}

static void closing_in_on_end(void **state)
{
    struct netrig *rig = *state;
    rig->is_closing_in_end = true;
    assert_int_equal(shutdown(rig->peer, SHUT_WR), 0);
    netrig_await_close(rig);
    assert_int_equal(rig->end_calls, 1);
}

static void a_resumed_connection_may_close_before_its_rest_comes(void **state)
{
    struct netrig *rig = *state;
    rig->mode = NETRIG_REFUSE;
    rig->is_pausing_in_data = true;
    send_text(rig, "rest");
    netrig_turn(rig);
    conn_resume(&rig->conn);
    conn_close(&rig->conn);
    conn_resume(&rig->conn);
    conn_pause(&rig->conn);
    conn_close(&rig->conn);
    netrig_await_close(rig);
    assert_int_equal(rig->data_calls, 1);
}

static void what_cannot_be_watched_stays_with_the_caller(void **state)
{
    struct netrig *rig = *state;
    struct conn other;
    assert_true(conn_open(&other, rig->net, -1, rig->conn.events) < 0);
}

/* ---- Any sequence ---- */

#define STREAM_SIZE 400000

struct gambler {
    struct conn conn;
    struct random *random;
    uint8_t *stream; /* what the peer sends */
    size_t used;
    bool is_closed;
};

static size_t gamble(struct conn *conn, struct slice bytes)
{
    struct gambler *gambler = CONTAINER_OF(conn, struct gambler, conn);
    assert_true(gambler->used + bytes.len <= STREAM_SIZE);
    assert_memory_equal(bytes.data, gambler->stream + gambler->used, bytes.len);
    size_t used = random_below(gambler->random, 4) == 0 ? bytes.len
                                                        : random_below(gambler->random, bytes.len);
    gambler->used += used;
    size_t left = STREAM_SIZE - gambler->used;
    size_t limit = random_below(gambler->random, 2) == 0 ? 300 : NET_READ_SIZE * 2;
    size_t expect = random_below(gambler->random, limit);
    conn_expect(conn, expect < left ? expect : left);
    if (random_below(gambler->random, 3) == 0)
        conn_pause(conn);
    if (random_below(gambler->random, 6) == 0)
        conn_resume(conn);
    return used;
}

static void gambler_closed(struct conn *conn, int error)
{
    assert_int_equal(error, 0);
    CONTAINER_OF(conn, struct gambler, conn)->is_closed = true;
}

static bool is_used_up(void *ctx)
{
    struct gambler *gambler = ctx;
    conn_resume(&gambler->conn);
    return gambler->used == STREAM_SIZE;
}

static void send_at_random(struct loop *loop, int peer, struct gambler *gambler)
{
    size_t sent = 0;
    while (sent < STREAM_SIZE) {
        size_t limit = random_below(gambler->random, 3) == 0 ? 50000 : 100;
        size_t len = 1 + random_below(gambler->random, limit);
        len = len < STREAM_SIZE - sent ? len : STREAM_SIZE - sent;
        ssize_t n = send(peer, gambler->stream + sent, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(loop);
        if (random_below(gambler->random, 2) == 0)
            conn_resume(&gambler->conn);
    }
}

static void the_stream_is_the_same_however_it_is_cut_and_used(void **state)
{
    struct netrig *rig = *state;
    static const struct conn_events events = {.on_data = gamble, .on_closed = gambler_closed};
    struct random random = {.state = random_seed()};
    uint8_t *stream = malloc(STREAM_SIZE);
    fill(stream, STREAM_SIZE);
    for (int round = 0; round < 20; round++) {
        struct gambler gambler = {.random = &random, .stream = stream};
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(conn_open(&gambler.conn, rig->net, fds[0], &events), 0);
        send_at_random(rig->loop, fds[1], &gambler);
        /* A rest that the owner leaves although all has come is offered again by a resume only. */
        conn_pause(&gambler.conn);
        while (!is_used_up(&gambler)) {
            loop_turn(rig->loop);
            conn_pause(&gambler.conn);
        }
        assert_int_equal(conn_memory(&gambler.conn), 0);
        close(fds[1]);
        conn_close(&gambler.conn);
        rig_turn_dry(rig->loop);
        assert_true(gambler.is_closed);
    }
    free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_cut_at_every_byte_come_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_sent_byte_by_byte_come_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_line_without_announcement_comes_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_read_per_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_announced_request_is_delivered_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_of_just_a_read_is_delivered_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_announced_request_is_delivered_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_huge_announced_request_is_delivered_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rest_behind_a_large_request_does_not_keep_its_memory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_announcement_alone_claims_no_more_than_its_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_paused_connection_does_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(resume_hands_over_the_rest_in_the_same_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_resumed_rest_counts_as_work, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rest_that_is_still_too_short_is_not_handed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closed_while_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(half_closed_peer_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(without_on_end_the_peers_end_is_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_rest_goes_with_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_an_error, setup_tcp, teardown),
        cmocka_unit_test_setup_teardown(closing_in_on_data_is_the_last_call_but_on_closed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_in_on_data_of_a_resumed_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_in_on_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_resumed_connection_may_close_before_its_rest_comes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_watched_stays_with_the_caller, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_stream_is_the_same_however_it_is_cut_and_used, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
