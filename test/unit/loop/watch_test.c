/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/looprig.h"

struct end {
    struct loop_watch watch;
    unsigned seen; /* events of the last call */
    int calls;
    int closed;
    bool is_closing_itself;
    struct end *muted;  /* loses its interest when this one is called */
    struct end *victim; /* is closed when this one is called */
};

struct rig {
    struct loop *loop;
    struct end a;
    struct end b;
};

static struct end *end_of(struct loop_watch *watch)
{
    return CONTAINER_OF(watch, struct end, watch);
}

static void on_closed(struct loop_watch *watch)
{
    close(watch->fd);
    end_of(watch)->closed++;
}

static void close_end(struct end *end)
{
    loop_watch_close(&end->watch, on_closed);
}

static void on_event(struct loop_watch *watch, unsigned events)
{
    struct end *end = end_of(watch);
    end->calls++;
    end->seen = events;
    if (end->muted != NULL)
        loop_watch_set(&end->muted->watch, 0);
    if (end->victim != NULL)
        close_end(end->victim);
    if (end->is_closing_itself)
        close_end(end);
}

static int setup(void **state)
{
    static struct rig rig;
    memset(&rig, 0, sizeof(rig));
    rig.loop = rig_loop("watch", NULL, NULL);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(loop_watch_open(rig.loop, &rig.a.watch, fds[0], on_event), 0);
    assert_int_equal(loop_watch_open(rig.loop, &rig.b.watch, fds[1], on_event), 0);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    struct end *ends[] = {&rig->a, &rig->b};
    for (int i = 0; i < 2; i++) {
        if (ends[i]->watch.on_closed == NULL)
            close_end(ends[i]);
    }
    loop_free(rig->loop);
    assert_int_equal(rig->a.closed, 1);
    assert_int_equal(rig->b.closed, 1);
    return 0;
}

static void send_byte(struct end *end)
{
    assert_int_equal(send(end->watch.fd, "x", 1, MSG_NOSIGNAL), 1);
}

static void take_byte(struct end *end)
{
    char byte;
    assert_int_equal(recv(end->watch.fd, &byte, 1, 0), 1);
}

static void nothing_is_reported_before_it_is_wanted(void **state)
{
    struct rig *rig = *state;
    send_byte(&rig->a);
    assert_false(loop_turn(rig->loop));
    loop_watch_set(&rig->b.watch, LOOP_READABLE);
    assert_true(loop_turn(rig->loop));
    assert_int_equal(rig->b.seen, LOOP_READABLE);
    assert_int_equal(rig->a.calls, 0);
}

static void level_triggered_until_it_is_read(void **state)
{
    struct rig *rig = *state;
    loop_watch_set(&rig->b.watch, LOOP_READABLE);
    send_byte(&rig->a);
    for (int i = 1; i <= 3; i++) {
        loop_turn(rig->loop);
        assert_int_equal(rig->b.calls, i);
    }
    take_byte(&rig->b);
    assert_false(loop_turn(rig->loop));
    assert_int_equal(rig->b.calls, 3);
}

static void interest_can_change_every_turn(void **state)
{
    struct rig *rig = *state;
    send_byte(&rig->a);
    for (unsigned i = 0; i < 20; i++) {
        unsigned wanted = i % 4;
        loop_watch_set(&rig->b.watch, LOOP_READABLE | LOOP_WRITABLE);
        loop_watch_set(&rig->b.watch, wanted);
        rig->b.seen = 0;
        loop_turn(rig->loop);
        assert_int_equal(rig->b.seen, wanted);
    }
}

static void an_interest_given_up_in_the_same_batch_counts(void **state)
{
    struct rig *rig = *state;
    loop_watch_set(&rig->a.watch, LOOP_WRITABLE);
    loop_watch_set(&rig->b.watch, LOOP_WRITABLE);
    rig->a.muted = &rig->b;
    rig->b.muted = &rig->a;
    loop_turn(rig->loop);
    assert_int_equal(rig->a.calls + rig->b.calls, 1);
}

static void a_watch_closed_in_the_same_batch_is_silent(void **state)
{
    struct rig *rig = *state;
    loop_watch_set(&rig->a.watch, LOOP_WRITABLE);
    loop_watch_set(&rig->b.watch, LOOP_WRITABLE);
    rig->a.victim = &rig->b;
    rig->b.victim = &rig->a;
    loop_turn(rig->loop);
    assert_int_equal(rig->a.calls + rig->b.calls, 1);
    assert_int_equal(rig->a.closed + rig->b.closed, 1);
    rig->a.victim = NULL;
    rig->b.victim = NULL;
}

static void a_watch_may_close_itself_when_called(void **state)
{
    struct rig *rig = *state;
    rig->a.is_closing_itself = true;
    loop_watch_set(&rig->a.watch, LOOP_READABLE | LOOP_WRITABLE);
    loop_turn(rig->loop);
    assert_int_equal(rig->a.calls, 1);
    assert_int_equal(rig->a.closed, 1);
}

static void on_closed_is_never_called_from_within_close(void **state)
{
    struct rig *rig = *state;
    close_end(&rig->a);
    assert_int_equal(rig->a.closed, 0);
    assert_true(loop_turn(rig->loop));
    assert_int_equal(rig->a.closed, 1);
}

/* The peer of a closed end hangs up, which the library reports as an error. */
static void an_error_is_reported_as_both_for_as_long_as_it_is_wanted(void **state)
{
    struct rig *rig = *state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    struct end writer = {.calls = 0};
    assert_int_equal(loop_watch_open(rig->loop, &writer.watch, fds[1], on_event), 0);
    loop_watch_set(&writer.watch, LOOP_WRITABLE);
    loop_turn(rig->loop);
    assert_int_equal(writer.seen, LOOP_WRITABLE);
    close(fds[0]);
    for (int i = 2; i <= 4; i++) {
        loop_turn(rig->loop);
        assert_int_equal(writer.calls, i);
        assert_int_equal(writer.seen, LOOP_READABLE | LOOP_WRITABLE);
    }
    loop_watch_set(&writer.watch, 0);
    loop_turn(rig->loop);
    loop_turn(rig->loop);
    assert_int_equal(writer.calls, 4);
    close_end(&writer);
    loop_turn(rig->loop);
    assert_int_equal(writer.closed, 1);
}

static void a_descriptor_number_can_be_watched_again_at_once(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 50; i++) {
        int fds[2];
        assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
        struct end reader = {.calls = 0};
        assert_int_equal(loop_watch_open(rig->loop, &reader.watch, fds[0], on_event), 0);
        loop_watch_set(&reader.watch, LOOP_READABLE);
        assert_int_equal(write(fds[1], "x", 1), 1);
        loop_turn(rig->loop);
        assert_int_equal(reader.calls, 1);
        close_end(&reader);
        close(fds[1]);
        loop_turn(rig->loop);
        assert_int_equal(reader.closed, 1);
    }
}

static void what_cannot_be_polled_is_refused(void **state)
{
    struct rig *rig = *state;
    struct loop_watch watch;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(loop_watch_open(rig->loop, &watch, fd, on_event) < 0);
    close(fd);
    assert_false(loop_turn(rig->loop));
}

/* ---- Signals ---- */

struct heard {
    struct loop *loop;
    int count;
    int last;
};

static void on_signal(void *ctx, int signum)
{
    struct heard *heard = ctx;
    heard->count++;
    heard->last = signum;
    loop_stop(heard->loop);
}

static void a_signal_wakes_the_loop(void **state)
{
    (void)state;
    struct loop *loop = rig_loop("signals", NULL, NULL);
    struct heard heard = {.loop = loop};
    assert_int_equal(loop_signal_watch(loop, SIGUSR1, on_signal, &heard), 0);
    assert_int_equal(loop_signal_watch(loop, SIGUSR2, on_signal, &heard), 0);
    assert_true(loop_signal_watch(loop, SIGKILL, on_signal, &heard) < 0);
    raise(SIGUSR2);
    assert_true(rig_run(loop, 20000));
    assert_int_equal(heard.last, SIGUSR2);
    raise(SIGUSR1);
    assert_true(rig_run(loop, 20000));
    assert_int_equal(heard.last, SIGUSR1);
    assert_int_equal(heard.count, 2);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_reported_before_it_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(level_triggered_until_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(interest_can_change_every_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(an_interest_given_up_in_the_same_batch_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_watch_closed_in_the_same_batch_is_silent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_watch_may_close_itself_when_called, setup, teardown),
        cmocka_unit_test_setup_teardown(on_closed_is_never_called_from_within_close, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_is_reported_as_both_for_as_long_as_it_is_wanted,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_number_can_be_watched_again_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_polled_is_refused, setup, teardown),
        cmocka_unit_test(a_signal_wakes_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
