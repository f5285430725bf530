/* SPDX-License-Identifier: Apache-2.0 */
#include "os/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/attr.h"
#include "os/thread.h"
#include "support/cmocka.h"

#define TEXT_SIZE 65536

/* A process that installs the handlers and then does `crash`: what it said, and how it ended.
 * `look` is called whenever it has said more. */
static int run_and_look(void (*crash)(void), char *text, void (*look)(const char *text))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        crash_install(STDERR_FILENO, "Tested 1.2.3");
        crash();
        _exit(99);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while (len < TEXT_SIZE - 1 && (got = read(ends[0], text + len, TEXT_SIZE - 1 - len)) > 0) {
        len += (size_t)got;
        text[len] = '\0';
        if (look != NULL)
            look(text);
    }
    text[len] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int run(void (*crash)(void), char *text)
{
    return run_and_look(crash, text, NULL);
}

static void expect_report(void (*crash)(void), int number, const char *said)
{
    static char text[TEXT_SIZE];
    int status = run(crash, text);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number || strstr(text, said) == NULL)
        fail_msg("status %x, said:\n%s", status, text);
    assert_non_null(strstr(text, "=== crash report ===\nTested 1.2.3\nbuild "));
    assert_non_null(strstr(text, "which crashed:\n"));
    assert_non_null(strstr(text, "addr2line -fpie /"));
    assert_non_null(strstr(text, "=== end of crash report ===\n"));
}

static void fail_an_assertion(void)
{
    ASSERT(1 + 1 == 3);
}

static void touch_what_is_not_there(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
}

static void send_bus_error(void)
{
    raise(SIGBUS);
}

static void an_assertion_is_named(void **state)
{
    (void)state;
    expect_report(fail_an_assertion, SIGABRT, "assertion failed: 1 + 1 == 3 (");
    expect_report(fail_an_assertion, SIGABRT, "crash_test.c:");
}

static void a_fault_has_an_address(void **state)
{
    (void)state;
    expect_report(touch_what_is_not_there, SIGSEGV, "signal 11 (SIGSEGV) at address 0x");
}

static void a_signal_that_was_sent_ends_the_process_all_the_same(void **state)
{
    (void)state;
    expect_report(send_bus_error, SIGBUS, "signal 7 (SIGBUS) sent by process ");
}

/* ---- Several threads ---- */

struct stage {
    struct lock lock;
    struct signal changed;
    int waiting;
};

static void wait_for_ever(void *ctx)
{
    struct stage *stage = ctx;
    lock_take(&stage->lock);
    stage->waiting++;
    signal_all(&stage->changed);
    for (;;)
        signal_wait(&stage->changed, &stage->lock);
}

static void abort_beside_two_others(void)
{
    struct stage stage = {.waiting = 0};
    struct thread threads[2] = {{0}};
    lock_init(&stage.lock);
    signal_init(&stage.changed);
    const char *const names[] = {"first", "second"};
    for (int i = 0; i < 2; i++)
        IGNORE(thread_start(&threads[i], names[i], wait_for_ever, &stage), "told by the report");
    lock_take(&stage.lock);
    while (stage.waiting < 2)
        signal_wait(&stage.changed, &stage.lock);
    lock_drop(&stage.lock);
    fail_an_assertion();
}

static void every_thread_is_named(void **state)
{
    (void)state;
    static char text[TEXT_SIZE];
    run(abort_beside_two_others, text);
    const char *first = strstr(text, " (first):\n  0x");
    const char *second = strstr(text, " (second):\n  0x");
    if (first == NULL || second == NULL)
        fail_msg("said:\n%s", text);
}

/* ---- Nothing goes on while the report is made ---- */

static _Atomic uint64_t *ticks; /* shared with the child */

static void tick(void *ctx)
{
    struct stage *stage = ctx;
    atomic_fetch_add(ticks, 1);
    lock_take(&stage->lock);
    stage->waiting++;
    signal_all(&stage->changed);
    lock_drop(&stage->lock);
    for (;;)
        atomic_fetch_add(ticks, 1);
}

static void hear_nothing(void *ctx)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    wait_for_ever(ctx);
}

/* The second one is asked after the first, and keeps the report up. */
static void abort_beside_one_that_ticks(void)
{
    struct stage stage = {.waiting = 0};
    struct thread threads[2] = {{0}};
    lock_init(&stage.lock);
    signal_init(&stage.changed);
    IGNORE(thread_start(&threads[0], "ticking", tick, &stage), "told by the report");
    IGNORE(thread_start(&threads[1], "deaf", hear_nothing, &stage), "told by the report");
    lock_take(&stage.lock);
    while (stage.waiting < 2)
        signal_wait(&stage.changed, &stage.lock);
    lock_drop(&stage.lock);
    fail_an_assertion();
}

static uint64_t ticks_when_deaf_is_asked;

static void look_at_ticks(const char *text)
{
    if (ticks_when_deaf_is_asked == 0 && strstr(text, " (deaf):\n") != NULL)
        ticks_when_deaf_is_asked = atomic_load(ticks);
}

static void who_has_answered_does_nothing_more(void **state)
{
    (void)state;
    static char text[TEXT_SIZE];
    ticks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run_and_look(abort_beside_one_that_ticks, text, look_at_ticks);
    assert_non_null(strstr(text, " (ticking):\n  0x"));
    assert_non_null(strstr(text, " (deaf):\n  does not answer\n"));
    assert_true(ticks_when_deaf_is_asked > 0);
    assert_int_equal(atomic_load(ticks), ticks_when_deaf_is_asked);
    munmap((void *)ticks, 4096);
}

static int grow(volatile char *above, int depth)
{
    volatile char bytes[1024];
    bytes[0] = (char)(above[0] + 1);
    return depth == 0 ? bytes[0] : grow(bytes, depth - 1) + bytes[0];
}

static void use_the_stack_up(void *ctx)
{
    (void)ctx;
    volatile char byte = 0;
    grow(&byte, 1 << 30);
}

static void use_a_stack_up(void)
{
    struct thread thread = {0};
    IGNORE(thread_start(&thread, "deep", use_the_stack_up, NULL), "told by the report");
    thread_join(&thread);
}

static void a_stack_that_is_used_up_is_reported(void **state)
{
    (void)state;
    expect_report(use_a_stack_up, SIGSEGV, " (deep), which crashed:\n");
}

int main(void)
{
#ifdef FERRIC_SANITIZED
    return 0; /* sanitizers report themselves */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assertion_is_named),
        cmocka_unit_test(a_fault_has_an_address),
        cmocka_unit_test(a_signal_that_was_sent_ends_the_process_all_the_same),
        cmocka_unit_test(every_thread_is_named),
        cmocka_unit_test(who_has_answered_does_nothing_more),
        cmocka_unit_test(a_stack_that_is_used_up_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
