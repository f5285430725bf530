/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/net_internal.h"
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

static void say(struct netrig *rig, const char *text)
{
    buf_append_str(conn_out(&rig->conn), text);
    conn_commit(&rig->conn);
}

static void say_owned(struct netrig *rig, char letter, size_t len)
{
    struct buf bytes = {0};
    if (len > 0)
        memset(buf_extend(&bytes, len), letter, len);
    conn_write_owned(&rig->conn, &bytes);
    assert_null(bytes.data);
}

/* The next bytes the peer gets are `len` times `letter`. */
static void expect_run(struct netrig *rig, char letter, size_t len)
{
    char piece[4096];
    while (len > 0) {
        size_t got = netrig_peer_recv(rig, piece, len < sizeof(piece) ? len : sizeof(piece));
        if (got == 0)
            netrig_turn(rig);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(piece[i], letter);
        len -= got;
    }
}

static void expect_text(struct netrig *rig, const char *text)
{
    char got[256] = "";
    assert_int_equal(netrig_peer_recv(rig, got, sizeof(got) - 1), strlen(text));
    assert_string_equal(got, text);
}

static void replies_leave_together_at_the_end_of_the_turn(void **state)
{
    struct netrig *rig = *state;
    char nothing[8];
    say(rig, "one,");
    say(rig, "two,");
    say(rig, "three");
    assert_int_equal(conn_queued(&rig->conn), 13);
    assert_int_equal(netrig_peer_recv(rig, nothing, sizeof(nothing)), 0);
    netrig_turn(rig);
    expect_text(rig, "one,two,three");
    assert_int_equal(conn_queued(&rig->conn), 0);
    assert_int_equal(conn_memory(&rig->conn), 0);
    assert_int_equal(rig->conn.bytes_out, 13);
    assert_int_equal(rig->drained_calls, 0);
    assert_false(loop_turn(rig->loop));
}

static void owned_buffers_keep_their_place(void **state)
{
    struct netrig *rig = *state;
    say(rig, "a");
    say_owned(rig, 'b', NET_COPY_SIZE);
    say_owned(rig, 'c', NET_COPY_SIZE + 1);
    say(rig, "d");
    say_owned(rig, 'e', 30000);
    say_owned(rig, 'f', 0);
    say_owned(rig, 'g', 1);
    netrig_turn(rig);
    expect_run(rig, 'a', 1);
    expect_run(rig, 'b', NET_COPY_SIZE);
    expect_run(rig, 'c', NET_COPY_SIZE + 1);
    expect_run(rig, 'd', 1);
    expect_run(rig, 'e', 30000);
    expect_run(rig, 'g', 1);
    assert_int_equal(conn_memory(&rig->conn), 0);
}

/* More chunks than one send can carry. */
static void a_long_queue_leaves_in_several_sends(void **state)
{
    struct netrig *rig = *state;
    size_t count = 3 * NET_IOV_MAX + 5;
    for (size_t i = 0; i < count; i++)
        say_owned(rig, (char)('a' + i % 26), 600);
    netrig_turn(rig);
    assert_true(rig->conn.is_blocked || conn_queued(&rig->conn) == 0);
    for (size_t i = 0; i < count; i++)
        expect_run(rig, (char)('a' + i % 26), 600);
    assert_int_equal(conn_queued(&rig->conn), 0);
}

static void a_steady_exchange_allocates_nothing(void **state)
{
    struct netrig *rig = *state;
    say(rig, "warm up");
    netrig_turn(rig);
    expect_text(rig, "warm up");
    struct conn_chunk *chunk = rig->net->free_chunks;
    uint8_t *data = chunk->buf.data;
    for (int i = 0; i < 100; i++) {
        say(rig, "+OK");
        assert_ptr_equal(rig->conn.out_first, chunk);
        netrig_turn(rig);
        expect_text(rig, "+OK");
    }
    assert_ptr_equal(rig->net->free_chunks, chunk);
    assert_ptr_equal(chunk->buf.data, data);
    assert_null(chunk->next);
}

static void large_chunks_are_not_kept(void **state)
{
    struct netrig *rig = *state;
    for (int i = 0; i < 2 * NET_FREE_CHUNKS; i++) {
        memset(buf_extend(conn_out(&rig->conn), NET_CHUNK_FULL), 'x', NET_CHUNK_FULL);
        conn_commit(&rig->conn);
    }
    memset(buf_extend(conn_out(&rig->conn), 100000), 'x', 100000);
    conn_commit(&rig->conn);
    expect_run(rig, 'x', 2 * NET_FREE_CHUNKS * NET_CHUNK_FULL + 100000);
    assert_int_equal(rig->net->free_count, NET_FREE_CHUNKS);
    for (struct conn_chunk *chunk = rig->net->free_chunks; chunk != NULL; chunk = chunk->next)
        assert_true(chunk->buf.cap <= NET_CHUNK_KEEP);
}

/* ---- A reader slower than we ---- */

static void fill_until_blocked(struct netrig *rig, size_t *queued)
{
    *queued = 0;
    while (!rig->conn.is_blocked) {
        memset(buf_extend(conn_out(&rig->conn), 10000), 's', 10000);
        conn_commit(&rig->conn);
        *queued += 10000;
        netrig_turn(rig);
    }
}

static void a_slow_reader_gets_everything_in_order(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    fill_until_blocked(rig, &total);
    say(rig, "and after");
    size_t queued = conn_queued(&rig->conn);
    assert_false(loop_turn(rig->loop));
    assert_int_equal(conn_queued(&rig->conn), queued);
    assert_int_equal(rig->drained_calls, 0);
    expect_run(rig, 's', total);
    netrig_turn(rig);
    expect_text(rig, "and after");
    assert_int_equal(rig->drained_calls, 1);
    assert_int_equal(conn_memory(&rig->conn), 0);
    say(rig, "again");
    netrig_turn(rig);
    expect_text(rig, "again");
    assert_int_equal(rig->drained_calls, 1);
}

/* An owner that stops at a limit and goes on when drained holds no more than that limit. */
static void memory_is_bounded_by_the_owners_limit(void **state)
{
    struct netrig *rig = *state;
    const size_t limit = 100000;
    const size_t total = 20 * 1000 * 1000;
    size_t said = 0;
    size_t heard = 0;
    static char sink[65536];
    while (heard < total) {
        while (said < total && conn_queued(&rig->conn) < limit) {
            memset(buf_extend(conn_out(&rig->conn), 1000), 'm', 1000);
            conn_commit(&rig->conn);
            said += 1000;
        }
        netrig_turn(rig);
        assert_true(conn_memory(&rig->conn) <= limit + 8 * NET_CHUNK_FULL);
        heard += netrig_peer_recv(rig, sink, 30000);
    }
    assert_int_equal(heard, total);
}

static void closing_in_on_drained(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    rig->is_closing_in_drained = true;
    fill_until_blocked(rig, &total);
    expect_run(rig, 's', total);
    netrig_await_close(rig);
    assert_int_equal(rig->drained_calls, 1);
}

/* An owner that pauses because much is queued is told even if the socket takes it all at once. */
static void a_paused_connection_is_told_when_all_is_out(void **state)
{
    struct netrig *rig = *state;
    say(rig, "one");
    netrig_turn(rig);
    assert_int_equal(rig->drained_calls, 0);
    conn_pause(&rig->conn);
    say(rig, "two");
    netrig_turn(rig);
    expect_text(rig, "onetwo");
    assert_int_equal(rig->drained_calls, 1);
}

static void a_blocked_connection_still_reads(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    fill_until_blocked(rig, &total);
    netrig_peer_send(rig, "hello", 5);
    netrig_turn(rig);
    assert_int_equal(rig->got.len, 5);
}

/* ---- Closing ---- */

static void close_after_flush_sends_everything_first(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    fill_until_blocked(rig, &total);
    conn_close_after_flush(&rig->conn);
    netrig_peer_send(rig, "unheard", 7);
    for (int i = 0; i < 5; i++)
        netrig_turn(rig);
    assert_int_equal(rig->closed_calls, 0);
    assert_int_equal(rig->data_calls, 0);
    expect_run(rig, 's', total);
    netrig_await_close(rig);
    assert_int_equal(rig->error, 0);
    assert_int_equal(rig->drained_calls, 0);
}

static void close_after_flush_of_nothing(void **state)
{
    struct netrig *rig = *state;
    conn_close_after_flush(&rig->conn);
    conn_close_after_flush(&rig->conn);
    assert_int_equal(rig->closed_calls, 0);
    netrig_await_close(rig);
}

/* A peer that never reads holds off close_after_flush for ever, but not close. */
static void close_ends_what_close_after_flush_cannot(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    fill_until_blocked(rig, &total);
    conn_close_after_flush(&rig->conn);
    for (int i = 0; i < 5; i++)
        netrig_turn(rig);
    assert_int_equal(rig->closed_calls, 0);
    conn_close(&rig->conn);
    netrig_await_close(rig);
}

/* Closing a socket with unread input resets it, which would destroy the farewell. */
static void a_farewell_survives_unread_input(void **state)
{
    struct netrig *rig = *state;
    static char flood[60000];
    conn_pause(&rig->conn);
    netrig_peer_send(rig, flood, sizeof(flood));
    netrig_turn(rig);
    say(rig, "-ERR too much");
    conn_close_after_flush(&rig->conn);
    netrig_await_close(rig);
    char got[64] = "";
    assert_int_equal(recv(rig->peer, got, sizeof(got), 0), 13);
    assert_string_equal(got, "-ERR too much");
    assert_int_equal(recv(rig->peer, got, sizeof(got), 0), 0);
}

static void writing_to_a_peer_that_is_gone_is_an_error(void **state)
{
    struct netrig *rig = *state;
    conn_pause(&rig->conn);
    close(rig->peer);
    rig->peer = -1;
    say(rig, "anybody?");
    netrig_await_close(rig);
    assert_int_equal(rig->error, -EPIPE);
}

static void a_peer_that_goes_while_we_are_blocked_is_an_error(void **state)
{
    struct netrig *rig = *state;
    size_t total;
    conn_pause(&rig->conn);
    fill_until_blocked(rig, &total);
    close(rig->peer);
    rig->peer = -1;
    netrig_await_close(rig);
    assert_true(rig->error == -EPIPE || rig->error == -ECONNRESET);
}

static void after_a_close_writes_are_swallowed(void **state)
{
    struct netrig *rig = *state;
    say(rig, "lost");
    conn_close(&rig->conn);
    for (int i = 0; i < 100; i++) {
        memset(buf_extend(conn_out(&rig->conn), 10000), 'x', 10000);
        conn_commit(&rig->conn);
    }
    say_owned(rig, 'x', 10000);
    conn_close_after_flush(&rig->conn);
    assert_true(rig->net->sink.cap <= NET_CHUNK_KEEP);
    netrig_await_close(rig);
    char got[8];
    assert_int_equal(netrig_peer_recv(rig, got, sizeof(got)), 0);
}

static void keepalive_is_set_on_tcp_and_harmless_elsewhere(void **state)
{
    struct netrig *rig = *state;
    assert_int_equal(conn_set_keepalive(&rig->conn, 300), 0);
    assert_int_equal(conn_set_keepalive(&rig->conn, UINT32_MAX), 0);
    int is_on = 0;
    socklen_t len = sizeof(is_on);
    int fd = rig->conn.watch.fd;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on, &len), 0);
    int family = 0;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len), 0);
    assert_int_equal(is_on != 0, family == AF_INET);
    assert_int_equal(conn_set_keepalive(&rig->conn, 0), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &is_on, &len), 0);
    assert_int_equal(is_on, 0);
}

/* ---- Any sequence ---- */

#define STREAM_SIZE 3000000

static uint8_t stream_byte(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 9));
}

static size_t say_at_random(struct netrig *rig, struct random *random, size_t said)
{
    size_t limit = random_below(random, 8) == 0 ? 200000 : 2000;
    size_t len = random_below(random, limit);
    len = len < STREAM_SIZE - said ? len : STREAM_SIZE - said;
    struct buf owned = {0};
    bool is_owned = random_below(random, 3) == 0;
    struct buf *to = is_owned ? &owned : conn_out(&rig->conn);
    uint8_t *bytes = buf_extend(to, len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = stream_byte(said + i);
    if (is_owned)
        conn_write_owned(&rig->conn, &owned);
    else
        conn_commit(&rig->conn);
    return said + len;
}

static size_t hear_at_random(struct netrig *rig, struct random *random, size_t heard)
{
    static uint8_t bytes[100000];
    size_t got = netrig_peer_recv(rig, bytes, 1 + random_below(random, sizeof(bytes)));
    for (size_t i = 0; i < got; i++)
        assert_int_equal(bytes[i], stream_byte(heard + i));
    return heard + got;
}

static void the_stream_is_the_same_however_it_is_queued_and_read(void **state)
{
    struct netrig *rig = *state;
    struct random random = {.state = random_seed()};
    size_t said = 0;
    size_t heard = 0;
    while (heard < STREAM_SIZE) {
        uint64_t what = random_below(&random, 4);
        if (what < 2 && said < STREAM_SIZE)
            said = say_at_random(rig, &random, said);
        else if (what == 2)
            heard = hear_at_random(rig, &random, heard);
        else
            netrig_turn(rig);
        assert_int_equal(rig->conn.bytes_out + conn_queued(&rig->conn), said);
    }
    assert_int_equal(conn_memory(&rig->conn), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replies_leave_together_at_the_end_of_the_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(owned_buffers_keep_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_queue_leaves_in_several_sends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_steady_exchange_allocates_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(large_chunks_are_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_gets_everything_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_bounded_by_the_owners_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_in_on_drained, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_connection_is_told_when_all_is_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_blocked_connection_still_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(close_after_flush_sends_everything_first, setup, teardown),
        cmocka_unit_test_setup_teardown(close_after_flush_of_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(close_ends_what_close_after_flush_cannot, setup, teardown),
        cmocka_unit_test_setup_teardown(a_farewell_survives_unread_input, setup_tcp, teardown),
        cmocka_unit_test_setup_teardown(writing_to_a_peer_that_is_gone_is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_goes_while_we_are_blocked_is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_goes_while_we_are_blocked_is_an_error,
                                        setup_tcp, teardown),
        cmocka_unit_test_setup_teardown(after_a_close_writes_are_swallowed, setup, teardown),
        cmocka_unit_test_setup_teardown(keepalive_is_set_on_tcp_and_harmless_elsewhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keepalive_is_set_on_tcp_and_harmless_elsewhere, setup_tcp,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_stream_is_the_same_however_it_is_queued_and_read, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
