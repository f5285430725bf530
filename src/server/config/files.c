/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration from files, and from those that they include.
 *
 * What is open is a stack of sources: the line that is read next is the top one's. `include` puts
 * the files that it names on top, the first of them uppermost; so they are read in its place, and
 * what stands behind it wins over them. A source is read when it comes to be the top.
 */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/process.h"
#include "server/config/config_internal.h"

#define MAX_DEPTH 16
#define MAX_FILES 1000 /* included, in all */
#define PATH_SIZE 4096

struct source {
    char *name; /* a path, or what to call it */
    struct buf text;
    size_t at; /* in text, of the next line */
    unsigned line;
    unsigned depth; /* of those that include it */
    bool is_open;
};

struct reading {
    struct config *config;
    struct source *sources;
    size_t count;
    unsigned file_count;
    struct config_line words;
};

int config_read_file(const char *path, struct buf *to, struct diag *diag)
{
    int rc = input_read_file(path, to, CONFIG_MAX_FILE);
    return rc == 0 ? 0 : diag_set(diag, rc, "configuration file %.300s: %s", path, err_text(rc));
}

/* ---- The stack ---- */

static struct source *push(struct reading *reading, const char *name)
{
    size_t size = (reading->count + 1) * sizeof(*reading->sources);
    reading->sources = mem_realloc(reading->sources, size);
    struct source *source = &reading->sources[reading->count++];
    *source = (struct source){.name = mem_dup_str(name)};
    return source;
}

static void pop(struct reading *reading)
{
    struct source *source = &reading->sources[--reading->count];
    buf_fini(&source->text);
    mem_free(source->name);
}

static void reading_fini(struct reading *reading)
{
    while (reading->count > 0)
        pop(reading);
    mem_free(reading->sources);
    buf_fini(&reading->words.bytes);
}

/* The line that the top's `include` stands on, or that is read: of what is open, the uppermost. */
static const struct source *current(const struct reading *reading)
{
    for (size_t i = reading->count; i > 0; i--) {
        if (reading->sources[i - 1].is_open)
            return &reading->sources[i - 1];
    }
    return NULL;
}

static int fail(const struct reading *reading, int code, const char *why, struct diag *diag)
{
    const struct source *source = current(reading);
    if (source == NULL)
        return diag_set(diag, code, "%.450s", why);
    return diag_set(diag, code, "%.200s, line %u: %.250s", source->name, source->line, why);
}

/* ---- include ---- */

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

struct matches {
    char **paths;
    size_t count;
};

static int add_match(void *ctx, const char *path)
{
    struct matches *matches = ctx;
    if (matches->count == MAX_FILES)
        return ERR_TOO_BIG;
    size_t size = (matches->count + 1) * sizeof(*matches->paths);
    matches->paths = mem_realloc(matches->paths, size);
    matches->paths[matches->count++] = mem_dup_str(path);
    return 0;
}

static int push_matches(struct reading *reading, const struct matches *matches, struct diag *why)
{
    const struct source *from = current(reading);
    unsigned depth = from == NULL ? 1 : from->depth + 1;
    if (depth > MAX_DEPTH)
        return diag_set(why, ERR_TOO_BIG, "'include': more than %d files within each other",
                        MAX_DEPTH);
    if (reading->file_count + matches->count > MAX_FILES)
        return diag_set(why, ERR_TOO_BIG, "'include': more than %d files", MAX_FILES);
    reading->file_count += (unsigned)matches->count;
    for (size_t i = matches->count; i > 0; i--)
        push(reading, matches->paths[i - 1])->depth = depth;
    return 0;
}

/* Nothing need fit a pattern; what is none is a file that must be there. */
static int include(struct reading *reading, const struct slice *argv, size_t count,
                   struct diag *why)
{
    char path[PATH_SIZE];
    struct matches matches = {0};
    if (count != 2)
        return diag_set(why, ERR_INVALID, "'include': wrong number of arguments");
    if (argv[1].len == 0 || argv[1].len >= sizeof(path) ||
        memchr(argv[1].data, '\0', argv[1].len) != NULL)
        return diag_set(why, ERR_INVALID, "'include': not the path of a file");
    memcpy(path, argv[1].data, argv[1].len);
    path[argv[1].len] = '\0';
    int rc = is_pattern(path) ? process_find_paths(path, add_match, &matches)
                              : add_match(&matches, path);
    if (rc != 0)
        rc = diag_set(why, rc, "'include': %.200s: %s", path, err_text(rc));
    else
        rc = push_matches(reading, &matches, why);
    for (size_t i = 0; i < matches.count; i++)
        mem_free(matches.paths[i]);
    mem_free(matches.paths);
    return rc;
}

/* ---- Lines ---- */

static int run_line(struct reading *reading, struct slice line, struct diag *why)
{
    struct config_line *words = &reading->words;
    if (!config_split(line, words))
        return diag_set(why, ERR_INVALID, "unbalanced quotes, or too many words");
    if (slice_is(words->argv[0], "include"))
        return include(reading, words->argv, words->count, why);
    return config_apply(reading->config, words->argv, words->count, why);
}

/* The next line of the top, or its end, or its opening. */
static int step(struct reading *reading, struct diag *diag)
{
    struct source *source = &reading->sources[reading->count - 1];
    struct diag why = {.text = ""};
    int rc = 0;
    if (!source->is_open) {
        rc = config_read_file(source->name, &source->text, &why);
        source->is_open = rc == 0;
        return rc == 0 ? 0 : fail(reading, rc, why.text, diag);
    }
    struct slice rest = slice_sub(buf_slice(&source->text), source->at, SIZE_MAX);
    if (rest.len == 0) {
        pop(reading);
        return 0;
    }
    const uint8_t *end = memchr(rest.data, '\n', rest.len);
    size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
    struct slice line = slice_sub(rest, 0, len);
    source->at += end == NULL ? len : len + 1;
    source->line++;
    if (!config_line_is_blank(line))
        rc = run_line(reading, line, &why);
    return rc == 0 ? 0 : fail(reading, rc, why.text, diag);
}

static int read_all(struct reading *reading, struct diag *diag)
{
    int rc = 0;
    while (rc == 0 && reading->count > 0)
        rc = step(reading, diag);
    reading_fini(reading);
    return rc;
}

int config_load_text(struct config *config, struct slice text, const char *origin,
                     struct diag *diag)
{
    struct reading reading = {.config = config};
    struct source *source = push(&reading, origin);
    buf_append_slice(&source->text, text);
    source->is_open = true;
    return read_all(&reading, diag);
}

int config_load_file(struct config *config, const char *path, struct diag *diag)
{
    struct reading reading = {.config = config};
    push(&reading, path);
    return read_all(&reading, diag);
}

int config_include(struct config *config, const struct slice *argv, size_t count, struct diag *diag)
{
    struct reading reading = {.config = config};
    int rc = include(&reading, argv, count, diag);
    if (rc == 0)
        return read_all(&reading, diag);
    reading_fini(&reading);
    return rc;
}
