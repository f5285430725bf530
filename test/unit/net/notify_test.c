/* SPDX-License-Identifier: Apache-2.0 */
#include "net/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

/* A supervisor's socket; `name` begins with a zero in the abstract namespace. */
static int supervise(const char *name, size_t len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, name, len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, size), 0);
    return fd;
}

static void expect_said(int fd, const char *want)
{
    char text[64] = "";
    assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), strlen(want));
    assert_string_equal(text, want);
}

static void what_is_sent_arrives_by_path(void **state)
{
    (void)state;
    struct tmpdir dir;
    tmpdir_make(&dir);
    struct tmpdir_path path = tmpdir_join(&dir, "notify");
    int supervisor = supervise(path.text, strlen(path.text));
    int fd = notify_open(path.text);
    assert_true(fd >= 0);
    notify_send(fd, "READY=1\nSTATUS=fine");
    notify_send(fd, "STOPPING=1");
    expect_said(supervisor, "READY=1\nSTATUS=fine");
    expect_said(supervisor, "STOPPING=1");
    close(supervisor);
    notify_send(fd, "nobody listens");
    notify_close(fd);
    tmpdir_remove(&dir);
}

static void what_is_sent_arrives_by_abstract_name(void **state)
{
    (void)state;
    char name[64];
    int len = snprintf(name, sizeof(name), "@ferric-notify-%d", (int)getpid());
    char bound[64];
    memcpy(bound, name, sizeof(bound));
    bound[0] = '\0';
    int supervisor = supervise(bound, (size_t)len);
    int fd = notify_open(name);
    assert_true(fd >= 0);
    notify_send(fd, "READY=1");
    expect_said(supervisor, "READY=1");
    notify_close(fd);
    close(supervisor);
}

static void addresses_that_cannot_be(void **state)
{
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[199] = '\0';
    assert_int_equal(notify_open(""), ERR_INVALID);
    assert_int_equal(notify_open("/"), ERR_INVALID);
    assert_int_equal(notify_open("relative"), ERR_INVALID);
    assert_int_equal(notify_open(longest), -ENAMETOOLONG);
    assert_int_equal(notify_open("/no/such/socket"), -ENOENT);
    notify_send(-ENOENT, "READY=1");
    notify_close(-ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_arrives_by_path),
        cmocka_unit_test(what_is_sent_arrives_by_abstract_name),
        cmocka_unit_test(addresses_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
