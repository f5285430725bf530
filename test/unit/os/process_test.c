/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

static void usage_grows_with_work(void **state)
{
    (void)state;
    struct process_usage before = process_usage();
    assert_true(before.resident_bytes > 100000);
    volatile uint64_t sum = 0;
    while (process_usage().user_us + process_usage().system_us <
           before.user_us + before.system_us + 2000)
        sum += 1;
    assert_true(sum > 0);
}

static void names_fit(void **state)
{
    (void)state;
    char name[128];
    process_system_name(name, sizeof(name));
    assert_int_equal(strncmp(name, "Linux ", 6), 0);
    char path[4096];
    process_executable(path, sizeof(path));
    assert_non_null(strstr(path, "process"));
    process_executable(path, 5);
    assert_int_equal(strlen(path), 4);
    assert_true(process_machine_memory() > 1000000);
    char date[64];
    assert_int_equal(process_date(date, sizeof(date)), strlen("21 Nov 2026 07:43:26.123"));
    assert_int_equal(process_date_iso(date, sizeof(date)), strlen("2026-11-21T07:43:26.123+01:00"));
    assert_int_equal(date[10], 'T');
    char tiny[4];
    assert_int_equal(process_date_iso(tiny, sizeof(tiny)), 0);
    assert_int_equal(process_date(tiny, sizeof(tiny)), 0);
    assert_int_equal(process_id(), getpid());
}

static void limit_of_files_only_rises(void **state)
{
    (void)state;
    uint64_t now = process_raise_open_files(0);
    assert_true(now >= 3);
    assert_true(process_raise_open_files(now) >= now);
}

static void output_appends(void **state)
{
    (void)state;
    struct tmpdir dir;
    tmpdir_make(&dir);
    struct tmpdir_path joined = tmpdir_join(&dir, "log");
    const char *path = joined.text;
    for (int i = 0; i < 2; i++) {
        int fd = output_open(path);
        assert_true(fd >= 0);
        output_write(fd, SLICE_LIT("line\n"));
        output_close(fd);
    }
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 10);
    close(fd);
    assert_string_equal(text, "line\nline\n");
    assert_int_equal(output_open(""), STDOUT_FILENO);
    assert_true(output_open("/no/such/folder/log") < 0);
    tmpdir_remove(&dir);
}

static void variables_are_found_by_their_whole_name(void **state)
{
    (void)state;
    assert_int_equal(setenv("FERRIC_TEST_WORD", "a=b", 1), 0);
    assert_string_equal(process_variable("FERRIC_TEST_WORD"), "a=b");
    assert_null(process_variable("FERRIC_TEST_WOR"));
    assert_null(process_variable("FERRIC_TEST_WORD2"));
    assert_int_equal(unsetenv("FERRIC_TEST_WORD"), 0);
    assert_null(process_variable("FERRIC_TEST_WORD"));
}

/* What is on the standard input meanwhile. */
static int read_input_from(int fd, struct buf *to, size_t max)
{
    int before = dup(STDIN_FILENO);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    int rc = input_read(to, max);
    if (before >= 0)
        dup2(before, STDIN_FILENO);
    close(before);
    return rc;
}

static void input_is_read_to_its_end(void **state)
{
    (void)state;
    struct buf text = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "port 1\nport 2\n", 14), 14);
    close(ends[1]);
    assert_int_equal(read_input_from(ends[0], &text, 14), 0);
    assert_int_equal(text.len, 14);
    assert_memory_equal(text.data, "port 1\nport 2\n", 14);
    close(ends[0]);
    text.len = 0;
    int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read_input_from(zeros, &text, 100000), ERR_TOO_BIG);
    close(zeros);
    buf_fini(&text);
}

static void files_are_read_whatever_their_size_says(void **state)
{
    (void)state;
    struct buf text = {0};
    char path[64];
    int ends[2];
    assert_int_equal(input_read_file("/proc/self/cmdline", &text, 100000), 0);
    assert_true(text.len > 0);
    assert_int_equal(input_read_file("/proc/self", &text, 100000), -EISDIR);
    assert_int_equal(input_read_file("/proc/self/nosuch", &text, 100000), -ENOENT);
    assert_int_equal(input_read_file("/dev/zero", &text, 100000), ERR_TOO_BIG);
    text.len = 0;
    assert_int_equal(input_read_file("/dev/null", &text, 100000), 0);
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "port 1\n", 7), 7);
    close(ends[1]);
    assert_int_equal(input_read_file(path, &text, 7), 0);
    assert_int_equal(text.len, 7);
    /* Nobody writes to it any more. */
    assert_int_equal(input_read_file(path, &text, 7), -ENODATA);
    close(ends[0]);
    buf_fini(&text);
}

static const char *absolute(const char *path, struct buf *to)
{
    to->len = 0;
    assert_int_equal(process_absolute_path(path, to), 0);
    buf_append_byte(to, '\0');
    return (const char *)to->data;
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    struct buf text = {0};
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir("/proc/self"), 0);
    char *here = getcwd(NULL, 0);
    assert_string_equal(absolute("/a/./b/", &text), "/a/./b/");
    const struct {
        const char *path;
        const char *steps;
    } cases[] = {{"a", "/a"}, {"./a//b/", "/a/b"}, {".", ""}, {"../a/.", "/../a"}, {"..a", "/..a"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = absolute(cases[i].path, &text);
        assert_int_equal(strncmp(found, here, strlen(here)), 0);
        assert_string_equal(found + strlen(here), cases[i].steps);
    }
    assert_int_equal(chdir("/"), 0);
    assert_string_equal(absolute("data", &text), "/data");
    assert_string_equal(absolute(".", &text), "/");
    assert_int_equal(chdir(before), 0);
    free(before);
    free(here);
    buf_fini(&text);
}

static int note_path(void *ctx, const char *path)
{
    struct buf *text = ctx;
    buf_append_str(text, path);
    buf_append_byte(text, '\n');
    return strcmp(path, "/proc/self/limits") == 0 ? 7 : 0;
}

static void paths_are_found_in_order(void **state)
{
    (void)state;
    struct buf text = {0};
    assert_int_equal(process_find_paths("/proc/self/s[tm]at[!u]s", note_path, &text), 0);
    assert_int_equal(process_find_paths("/proc/nosuch/*", note_path, &text), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(process_find_paths("/proc/self/stat*", note_path, &text), 0);
    buf_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data,
                        "/proc/self/stat\n/proc/self/statm\n/proc/self/status\n");
    assert_int_equal(process_find_paths("/proc/self/limit?", note_path, &text), 7);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_grows_with_work),
        cmocka_unit_test(names_fit),
        cmocka_unit_test(limit_of_files_only_rises),
        cmocka_unit_test(output_appends),
        cmocka_unit_test(variables_are_found_by_their_whole_name),
        cmocka_unit_test(input_is_read_to_its_end),
        cmocka_unit_test(files_are_read_whatever_their_size_says),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(paths_are_found_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
