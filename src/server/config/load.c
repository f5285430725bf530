/* SPDX-License-Identifier: Apache-2.0 */
/* A line of a configuration: its words, and what they say. */
#include <ctype.h>

#include "base/err.h"
#include "server/config/config_internal.h"

/* ---- Words of a line ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (uint8_t)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escaped character at line[*at], the backslash; moves *at to its last byte. */
static uint8_t unescape(struct slice line, size_t *at)
{
    size_t i = *at;
    if (i + 3 < line.len && line.data[i + 1] == 'x' && hex_digit(line.data[i + 2]) >= 0 &&
        hex_digit(line.data[i + 3]) >= 0) {
        *at = i + 3;
        return (uint8_t)(hex_digit(line.data[i + 2]) * 16 + hex_digit(line.data[i + 3]));
    }
    *at = i + 1;
    switch (line.data[i + 1]) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return line.data[i + 1];
    }
}

/* The word that begins at *at, quoted or not. False: unbalanced quotes. */
static bool read_word(struct slice line, size_t *at, struct buf *to)
{
    uint8_t quote = 0;
    size_t i = *at;
    for (; i < line.len; i++) {
        uint8_t c = line.data[i];
        if (quote == 0 && isspace(c))
            break;
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote == '"' && c == '\\' && i + 1 < line.len) {
            buf_append_byte(to, unescape(line, &i));
        } else if (quote == '\'' && c == '\\' && i + 1 < line.len && line.data[i + 1] == '\'') {
            buf_append_byte(to, '\'');
            i++;
        } else if (quote != 0 && c == quote) {
            /* A closing quote ends the word. */
            if (i + 1 < line.len && !isspace(line.data[i + 1]))
                return false;
            quote = 0;
        } else {
            buf_append_byte(to, c);
        }
    }
    *at = i;
    return quote == 0;
}

bool config_split(struct slice line, struct config_line *words)
{
    words->count = 0;
    words->bytes.len = 0;
    size_t at = 0;
    for (;;) {
        while (at < line.len && isspace(line.data[at]))
            at++;
        if (at >= line.len)
            break;
        if (words->count == CONFIG_MAX_ARGS || !read_word(line, &at, &words->bytes))
            return false;
        words->ends[words->count++] = words->bytes.len;
    }
    size_t start = 0;
    for (size_t i = 0; i < words->count; i++) {
        words->argv[i] = slice_of(words->bytes.data + start, words->ends[i] - start);
        start = words->ends[i];
    }
    return true;
}

/* ---- Directives ---- */

/* `rename-command OLD NEW`, NEW empty for none. It is told the command table at the start, is no
 * value, and nobody is shown it: what it hides is to stay hidden. */
static int add_rename(struct config *config, const struct slice *args, size_t count,
                      struct diag *diag)
{
    if (count != 2)
        return diag_set(diag, ERR_INVALID, "'rename-command': wrong number of arguments");
    for (size_t i = 0; i < 2; i++) {
        if (memchr(args[i].data, '\0', args[i].len) != NULL)
            return diag_set(diag, ERR_INVALID, "'rename-command': a name has no zero bytes");
        buf_append_slice(&config->renames, args[i]);
        buf_append_byte(&config->renames, '\0');
    }
    return 0;
}

bool config_next_rename(struct slice *rest, struct slice *out_from, struct slice *out_to)
{
    if (rest->len == 0)
        return false;
    *out_from = slice_str((const char *)rest->data);
    *rest = slice_sub(*rest, out_from->len + 1, SIZE_MAX);
    *out_to = slice_str((const char *)rest->data);
    *rest = slice_sub(*rest, out_to->len + 1, SIZE_MAX);
    return true;
}

/* Taken from old files, and forgotten, as Redis does. */
static bool is_retired(struct slice name)
{
    return slice_is(name, "list-max-ziplist-entries") || slice_is(name, "list-max-ziplist-value") ||
           slice_is(name, "lua-replicate-commands");
}

/* What Redis has, and Ferric cannot even take; NULL for all else. */
static const char *why_unsupported(struct slice name)
{
    static const struct {
        const char *name;
        const char *reason;
    } rows[] = {
        {"user", "there is no user but 'default', whose password is 'requirepass'"},
        {"loadmodule", "there are no modules"},
    };
    if (name.len > 4 && slice_is(slice_sub(name, 0, 4), "tls-"))
        return "there is no TLS";
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (slice_is(name, rows[i].name))
            return rows[i].reason;
    }
    return NULL;
}

int config_apply(struct config *config, const struct slice *argv, size_t count, struct diag *diag)
{
    enum config_id id;
    if (slice_is(argv[0], "rename-command"))
        return add_rename(config, argv + 1, count - 1, diag);
    if (is_retired(argv[0]))
        return 0;
    const char *reason = why_unsupported(argv[0]);
    if (reason != NULL)
        return diag_set(diag, ERR_INVALID, "'%.*s' is not supported: %s",
                        SLICE_FMT(slice_sub(argv[0], 0, 100)), reason);
    if (config_find(argv[0], &id) == NULL)
        return diag_set(diag, ERR_NOT_FOUND,
                        "unknown directive '%.*s': 'ferric-server --help' lists those there are",
                        SLICE_FMT(slice_sub(argv[0], 0, 100)));
    struct diag why = {.text = ""};
    int rc = config_set(config, id, argv + 1, count - 1, &why);
    if (rc != 0)
        return diag_set(diag, rc, "'%s': %.300s", config_row(id)->name, why.text);
    config->is_given[id] = true;
    return 0;
}

static struct slice trim_front(struct slice line)
{
    size_t first = 0;
    while (first < line.len && isspace(line.data[first]))
        first++;
    return slice_sub(line, first, SIZE_MAX);
}

bool config_line_is_blank(struct slice line)
{
    line = trim_front(line);
    return line.len == 0 || line.data[0] == '#';
}

bool config_line_id(struct slice line, enum config_id *out_id)
{
    line = trim_front(line);
    size_t len = 0;
    while (len < line.len && !isspace(line.data[len]))
        len++;
    return len > 0 && line.data[0] != '#' && config_find(slice_sub(line, 0, len), out_id) != NULL;
}
