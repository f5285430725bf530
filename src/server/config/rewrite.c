/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG REWRITE. The file is read, put together anew and replaced by a thread of the pool: a loop
 * does not wait for a disk. What the lines of the file say is found by loading it into a
 * configuration of its own; a line stays, byte for byte, if that comes to what counts now. Lines
 * that include other files stay, and those files are only read.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/fs.h"
#include "server/config.h"

/* ---- Lines ---- */

static bool needs_quotes(struct slice text)
{
    if (text.len == 0)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\' || c == '#')
            return true;
    }
    return false;
}

static void put_quoted(struct slice text, struct buf *to)
{
    buf_append_byte(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buf_append_format(to, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            buf_append_format(to, "\\x%02x", c);
        else
            buf_append_byte(to, c);
    }
    buf_append_byte(to, '"');
}

void config_put_line(const struct config *config, enum config_id id, struct buf *to)
{
    const struct config_row *row = config_row(id);
    struct buf value = {0};
    config_format(config, id, &value);
    buf_append_format(to, "%s ", row->name);
    /* A value of several words is written as these. */
    bool is_list = row->takes_many && value.len > 0;
    if (!is_list && needs_quotes(buf_slice(&value)))
        put_quoted(buf_slice(&value), to);
    else
        buf_append_slice(to, buf_slice(&value));
    buf_fini(&value);
}

static bool is_same(const struct config *a, const struct config *b, enum config_id id)
{
    struct buf left = {0};
    struct buf right = {0};
    config_format(a, id, &left);
    config_format(b, id, &right);
    bool is_equal = slice_eq(buf_slice(&left), buf_slice(&right));
    buf_fini(&left);
    buf_fini(&right);
    return is_equal;
}

/* ---- The text ---- */

/* Calls back for every line, without its end. */
static void each_line(struct slice text, void (*on_line)(void *ctx, struct slice line), void *ctx)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        on_line(ctx, slice_sub(text, 0, len));
        text = slice_sub(text, len + 1, SIZE_MAX);
    }
}

struct rewrite {
    const struct config *now;
    const struct config *was; /* as the file says */
    size_t lines_left[CONFIG_ROWS];
    struct buf *to;
};

static void count_line(void *ctx, struct slice line)
{
    struct rewrite *rewrite = ctx;
    enum config_id id;
    if (!config_line_id(line, &id))
        return;
    rewrite->lines_left[id]++;
}

/* Of several lines for one directive the last one counts. */
static void put_line(void *ctx, struct slice line)
{
    struct rewrite *rewrite = ctx;
    enum config_id id;
    bool is_last = config_line_id(line, &id) && --rewrite->lines_left[id] == 0;
    if (is_last && !is_same(rewrite->now, rewrite->was, id))
        config_put_line(rewrite->now, id, rewrite->to);
    else
        buf_append_slice(rewrite->to, line);
    buf_append_byte(rewrite->to, '\n');
}

/* What the text as it is now does not say: what was set and is not at its default, or what a file
 * that it includes says otherwise. Behind all else it wins. */
static int put_missing(const struct config *now, struct buf *to, struct diag *diag)
{
    struct config *said = config_new();
    int rc = config_load_text(said, buf_slice(to), "the file", diag);
    bool has_begun = false;
    for (size_t i = 0; rc == 0 && i < CONFIG_ROWS; i++) {
        enum config_id id = (enum config_id)i;
        if (is_same(now, said, id))
            continue;
        if (!has_begun)
            buf_append_str(to, "# Written by CONFIG REWRITE\n");
        has_begun = true;
        config_put_line(now, id, to);
        buf_append_byte(to, '\n');
    }
    config_free(said);
    return rc;
}

/* Nothing is written that the next start would refuse. */
static int check_readable(struct slice text, struct diag *diag)
{
    if (text.len > CONFIG_MAX_FILE)
        return diag_set(diag, ERR_TOO_BIG, "it would be larger than %u bytes", CONFIG_MAX_FILE);
    struct config *again = config_new();
    int rc = config_load_text(again, text, "what would be written", diag);
    config_free(again);
    return rc;
}

int config_rewrite_text(const struct config *config, struct slice old, struct buf *to,
                        struct diag *diag)
{
    struct config *was = config_new();
    int rc = config_load_text(was, old, "the file", diag);
    if (rc == 0) {
        struct rewrite rewrite = {.now = config, .was = was, .to = to};
        each_line(old, count_line, &rewrite);
        each_line(old, put_line, &rewrite);
        rc = put_missing(config, to, diag);
        if (rc == 0)
            rc = check_readable(buf_slice(to), diag);
    }
    config_free(was);
    return rc;
}

/* ---- The file ---- */

#define PATH_SIZE 4096

static int replace(struct fs *fs, const char *path, struct slice text)
{
    char tmp_path[PATH_SIZE];
    char dir[PATH_SIZE];
    int len = snprintf(tmp_path, sizeof(tmp_path), "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof(tmp_path))
        return ERR_TOO_BIG;
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof(dir), "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    int rc = fs_write_new(fs, tmp_path, text);
    if (rc == 0)
        rc = fs_rename(fs, tmp_path, path);
    if (rc == 0)
        return fs_sync_dir(fs, dir);
    IGNORE(fs_unlink(fs, tmp_path), "it may not be there");
    return rc;
}

/* So that nobody waits for the lock while files are read. */
static struct config *copy_of(struct config *config)
{
    struct config *copy = config_new();
    lock_take(&config->lock);
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        copy->values[i].number = config->values[i].number;
        copy->values[i].text.len = 0;
        buf_append_slice(&copy->values[i].text, buf_slice(&config->values[i].text));
        buf_terminate(&copy->values[i].text);
    }
    lock_drop(&config->lock);
    return copy;
}

int config_rewrite_file(struct config *config, struct diag *diag)
{
    struct buf old = {0};
    struct buf text = {0};
    struct fs *fs = fs_posix();
    lock_take(&config->rewriting);
    int rc = config_read_file(config->path, &old, diag);
    if (rc == 0) {
        struct config *now = copy_of(config);
        rc = config_rewrite_text(now, buf_slice(&old), &text, diag);
        config_free(now);
    }
    if (rc == 0) {
        rc = replace(fs, config->path, buf_slice(&text));
        if (rc != 0)
            rc = diag_set(diag, rc, "%.300s: %s", config->path, err_text(rc));
    }
    lock_drop(&config->rewriting);
    buf_fini(&old);
    buf_fini(&text);
    return rc;
}
