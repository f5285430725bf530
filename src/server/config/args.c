/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what it says, and what --help says of it. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/process.h"
#include "server/config/config_internal.h"

void config_put_usage(struct buf *to)
{
    buf_append_str(
        to,
        "usage: ferric-server [file | -] [--directive value ...]\n"
        "       ferric-server --check-config [file | -] [--directive value ...]\n"
        "       ferric-server --help | --version\n\n"
        "The file, or with - the standard input, has a directive a line; the command line wins "
        "over "
        "it.\n--check-config only names mistakes in that, and opens nothing. As often as wanted: "
        "rename-command\nOLD NEW, with \"\" for NEW to take a command away, and include FILE, "
        "which "
        "may be a pattern.\nAll others, with their defaults; * can be changed by CONFIG SET.\n\n");
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const struct config_row *row = config_row((enum config_id)i);
        buf_append_format(to, "%c --%s %s\n      %s", row->is_live ? '*' : ' ', row->name,
                          row->initial[0] == '\0' ? "\"\"" : row->initial, row->doc);
        if (row->alias != NULL)
            buf_append_format(to, " Formerly: %s.", row->alias);
        buf_append_byte(to, '\n');
        if (row->choices != NULL)
            buf_append_format(to, "      One of: %s\n", row->choices);
    }
    buf_append_str(to, "\nOf Redis, and only remembered, for they mean nothing here:\n");
    for (size_t i = 0; i < CONFIG_KNOWN; i++) {
        const struct config_row *row = config_known(i);
        buf_append_format(to, "  %c --%s %s", row->is_live ? '*' : ' ', row->name,
                          row->initial[0] == '\0' ? "\"\"" : row->initial);
        if (row->alias != NULL)
            buf_append_format(to, " (formerly --%s)", row->alias);
        buf_append_byte(to, '\n');
    }
}

/* ---- Reading it ---- */

/* The standard input to its end. */
static int load_input(struct config *config, struct diag *diag)
{
    struct buf text = {0};
    int rc = input_read(&text, CONFIG_MAX_FILE);
    if (rc == 0)
        rc = config_load_text(config, buf_slice(&text), "standard input", diag);
    else
        rc = diag_set(diag, rc, "standard input: %s", err_text(rc));
    buf_fini(&text);
    return rc;
}

#define TEXT_FILE_FIRST "a configuration file is the first argument"

static bool is_dashed(const char *word)
{
    return strncmp(word, "--", 2) == 0;
}

static bool is_check(const char *word)
{
    return strcmp(word, "--check-config") == 0;
}

/* The file, or the standard input, if `word` names one. */
static int load_origin(struct config *config, const char *word, struct diag *diag)
{
    if (strcmp(word, "-") == 0)
        return load_input(config, diag);
    int rc = config_load_file(config, word, diag);
    if (rc == 0)
        config->path = mem_dup_str(word);
    return rc;
}

static bool looks_like_file(const char *word)
{
    size_t len = strlen(word);
    return len > 5 && strcmp(word + len - 5, ".conf") == 0;
}

/* One --name with the `count` words up to the next. */
static int load_directive(struct config *config, char **argv, size_t count, struct diag *diag)
{
    struct slice words[CONFIG_MAX_ARGS];
    if (count > CONFIG_MAX_ARGS)
        return diag_set(diag, ERR_TOO_BIG, "command line: '%.100s': too many words", argv[0] + 2);
    if (is_check(argv[0]) && count > 1)
        return diag_set(diag, ERR_INVALID, "'%.100s': " TEXT_FILE_FIRST, argv[1]);
    for (size_t i = 0; i < count; i++) {
        if (i > 1 && looks_like_file(argv[i]))
            return diag_set(diag, ERR_INVALID, "'%.100s': " TEXT_FILE_FIRST, argv[i]);
        words[i] = slice_str(i == 0 ? argv[0] + 2 : argv[i]);
    }
    if (is_check(argv[0])) {
        config->is_check = true;
        return 0;
    }
    struct diag why = {.text = ""};
    int rc = slice_is(words[0], "include") ? config_include(config, words, count, &why)
                                           : config_apply(config, words, count, &why);
    if (rc == 0)
        return 0;
    return diag_set(diag, rc, "command line: %.400s%s", why.text,
                    count > 2 ? " (" TEXT_FILE_FIRST ")" : "");
}

int config_load_args(struct config *config, int argc, char **argv, struct diag *diag)
{
    int rc = 0;
    int i = 1;
    config->is_check = i < argc && is_check(argv[i]);
    i += config->is_check;
    if (i < argc && (strcmp(argv[i], "-") == 0 || argv[i][0] != '-'))
        rc = load_origin(config, argv[i++], diag);
    while (rc == 0 && i < argc) {
        if (!is_dashed(argv[i]))
            return diag_set(diag, ERR_INVALID,
                            "'%.100s' is not a directive: write --name value (" TEXT_FILE_FIRST ")",
                            argv[i]);
        int first = i++;
        while (i < argc && !is_dashed(argv[i]))
            i++;
        rc = load_directive(config, argv + first, (size_t)(i - first), diag);
    }
    return rc == 0 ? config_settle(config, diag) : rc;
}
