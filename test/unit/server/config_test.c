/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

#define MAX_WORDS 16

/* The configuration that a command line of blank-separated words comes to; NULL if it is refused,
 * with why in *diag. */
static struct config *config_of(const char *line, struct diag *diag)
{
    char text[1024];
    char *argv[MAX_WORDS] = {NULL};
    char *rest = NULL;
    int argc = 0;
    snprintf(text, sizeof(text), "ferric-server %s", line);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < MAX_WORDS);
        argv[argc++] = word;
    }
    struct config *config = config_new();
    if (config_load_args(config, argc, argv, diag) == 0)
        return config;
    config_free(config);
    return NULL;
}

static struct config *good(const char *line)
{
    struct diag diag = {.text = ""};
    struct config *config = config_of(line, &diag);
    assert_string_equal(diag.text, "");
    assert_non_null(config);
    return config;
}

static void assert_refused(const char *line, const char *why)
{
    struct diag diag = {.text = ""};
    assert_null(config_of(line, &diag));
    assert_non_null(strstr(diag.text, why));
}

static void assert_remarks(const char *line, const char *expected)
{
    struct config *config = good(line);
    buf_append_byte(&config->remarks, '\0');
    assert_string_equal((const char *)config->remarks.data, expected);
    config_free(config);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- */

static void debug_is_closed_unless_told(void **state)
{
    (void)state;
    struct config *config = good("");
    assert_int_equal(config_number(config, CONF_ENABLE_DEBUG), 0);
    config_free(config);
    config = good("--enable-debug-command local");
    assert_int_equal(config_number(config, CONF_ENABLE_DEBUG), 2);
    assert_false(config_row(CONF_ENABLE_DEBUG)->is_live);
    config_free(config);
    assert_refused("--enable-debug-command maybe", "no, yes, local");
}

static void dir_is_absolute(void **state)
{
    (void)state;
    char *here = getcwd(NULL, 0);
    char expected[4096];
    struct config *config = good("");
    snprintf(expected, sizeof(expected), "%s/data", here);
    assert_string_equal(config_text(config, CONF_DIR), expected);
    config_free(config);
    config = good("--dir /not/there");
    assert_string_equal(config_text(config, CONF_DIR), "/not/there");
    config_free(config);
    free(here);
}

static void what_has_no_effect_is_remarked(void **state)
{
    (void)state;
    assert_remarks("--hz 10 --maxmemory 0 --activedefrag no --timeout 5", "");
    assert_remarks("--hz 11 --slave-priority 7 --timeout 5",
                   "only remembered, and without effect here: hz, replica-priority: see "
                   "docs/remembered.md\n");
    assert_remarks("--maxmemory 1gb --maxmemory 2gb",
                   "maxmemory: no limit is enforced and nothing is evicted; the directive is only "
                   "remembered\n");
    assert_remarks("--maxmemory 1gb --maxmemory 0", "");
    assert_remarks("--log-segment-size 1mb",
                   "max-entry-bytes counts as 524288, half of log-segment-size\n");
}

static void words_stand_where_they_may(void **state)
{
    (void)state;
    struct config *config = good("--port 7 --check-config --timeout 8");
    assert_true(config->is_check);
    assert_int_equal(config_number(config, CONF_TIMEOUT), 8);
    config_free(config);
    config = good("--port 7");
    assert_false(config->is_check);
    config_free(config);
    assert_refused("--port 7 own.conf", "'own.conf': a configuration file is the first argument");
    assert_refused("--check-config -p", "'-p' is not a directive");
    assert_refused("--tls-port 1", "'tls-port' is not supported: there is no TLS");
    assert_refused("--tls 1", "unknown directive 'tls'");
    assert_refused("--unixsocketperm 999", "octal digits");
}

/* ---- Files ---- */

static void included_files_are_read_in_their_place(void **state)
{
    (void)state;
    struct diag diag = {.text = ""};
    struct tmpdir dir;
    char text[1024];
    tmpdir_make(&dir);
    struct tmpdir_path last = tmpdir_join(&dir, "a-2.conf");
    write_file(tmpdir_join(&dir, "a-1.conf").text, "timeout 2\nmaxclients 20\n");
    write_file(last.text, "# Nothing.\n\ntimeout 3");
    snprintf(text, sizeof(text), "timeout 1\ninclude %s/a-*.conf\nmaxclients 30\n", dir.path);
    struct config *config = config_new();
    assert_int_equal(config_load_text(config, slice_str(text), "main", &diag), 0);
    assert_int_equal(config_number(config, CONF_TIMEOUT), 3);
    assert_int_equal(config_number(config, CONF_MAX_CLIENTS), 30);
    write_file(last.text, "\ntimeout x\n");
    assert_int_equal(config_load_text(config, slice_str(text), "main", &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "/a-2.conf, line 2: 'timeout': "));
    config_free(config);
    tmpdir_remove(&dir);
}

static void assert_rewritten(const struct config *config, const char *old, const char *expected)
{
    struct diag diag = {.text = ""};
    struct buf text = {0};
    assert_int_equal(config_rewrite_text(config, slice_str(old), &text, &diag), 0);
    buf_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
    buf_fini(&text);
}

static void rewriting_leaves_included_files_alone(void **state)
{
    (void)state;
    struct tmpdir dir;
    char main_text[1024];
    char expected[2048];
    tmpdir_make(&dir);
    struct tmpdir_path other = tmpdir_join(&dir, "b.conf");
    write_file(other.text, "timeout 2\nmaxclients 20\n");
    snprintf(main_text, sizeof(main_text), "timeout 1\ninclude %s\nhz 11\n", other.text);
    struct config *config = config_new();
    struct diag diag = {.text = ""};
    assert_int_equal(config_load_text(config, slice_str(main_text), "main", &diag), 0);
    assert_rewritten(config, main_text, main_text);
    struct slice value = SLICE_LIT("21");
    assert_int_equal(config_set(config, CONF_MAX_CLIENTS, &value, 1, NULL), 0);
    snprintf(expected, sizeof(expected), "%s# Written by CONFIG REWRITE\nmaxclients 21\n",
             main_text);
    assert_rewritten(config, main_text, expected);
    assert_rewritten(config, expected, expected);
    config_free(config);
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(debug_is_closed_unless_told),
        cmocka_unit_test(dir_is_absolute),
        cmocka_unit_test(what_has_no_effect_is_remarked),
        cmocka_unit_test(words_stand_where_they_may),
        cmocka_unit_test(included_files_are_read_in_their_place),
        cmocka_unit_test(rewriting_leaves_included_files_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
