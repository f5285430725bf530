/* SPDX-License-Identifier: Apache-2.0 */
#include "check/folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "command/families.h"
#include "os/thread.h"
#include "store/stores.h"

#define LOCK_TRY_MS 10

/* ---- Paths and names ---- */

char *path_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *path = mem_alloc((size_t)len + 1);
    va_start(args, format);
    vsnprintf(path, (size_t)len + 1, format, args);
    va_end(args);
    return path;
}

char *folder_shard_path(const struct folder *folder, uint32_t shard)
{
    return path_format("%s/data/shard_%" PRIu32, folder->dir, shard);
}

char *folder_log_path(const struct folder *folder)
{
    return path_format("%s/log", folder->dir);
}

static int note_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (names->count == names->cap) {
        names->cap = names->cap == 0 ? 16 : names->cap * 2;
        names->items = mem_realloc(names->items, names->cap * sizeof(*names->items));
    }
    names->items[names->count++] = mem_dup_str(name);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_read(struct fs *fs, const char *path, struct names *out_names, struct diag *diag)
{
    struct names names = {0};
    int rc = fs_list(fs, path, note_name, &names);
    if (rc == -ENOENT)
        rc = 0;
    if (rc != 0) {
        names_fini(&names);
        return diag_set(diag, rc, "%s: cannot list the directory: %s", path, err_text(rc));
    }
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(names.items[0]), by_text);
    *out_names = names;
    return 0;
}

void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
    *names = (struct names){0};
}

static const char *const data_suffixes[] = {
    [DATA_LOG] = DATAFILE_SUFFIX, [DATA_HINT] = HINT_SUFFIX, [DATA_HINT_TMP] = HINT_TEMP_SUFFIX};

enum data_name data_name_parse(const char *name, uint32_t *out_id)
{
    unsigned long long id = strtoull(name, NULL, 10);
    if (name[0] < '0' || name[0] > '9' || id > BITCASK_MAX_FILE_ID)
        return DATA_OTHER;
    for (int kind = DATA_LOG; kind <= DATA_HINT_TMP; kind++) {
        char *expected = datafile_path("", (uint32_t)id, data_suffixes[kind]);
        bool is_it = strcmp(name, expected + 1) == 0;
        mem_free(expected);
        if (is_it) {
            *out_id = (uint32_t)id;
            return (enum data_name)kind;
        }
    }
    return DATA_OTHER;
}

char *data_path(const char *dir, uint32_t id, enum data_name kind)
{
    return datafile_path(dir, id, data_suffixes[kind]);
}

const struct bitcask_named *folder_named(const struct folder *folder, uint32_t shard, uint32_t id)
{
    if (!folder->has_manifest || shard >= folder->manifest.shard_count)
        return NULL;
    const struct manifest_shard *files = &folder->manifest.shards[shard];
    for (size_t i = 0; i < files->file_count; i++) {
        if (files->files[i].id == id)
            return &files->files[i];
    }
    return NULL;
}

/* ---- Opening ---- */

static int lock_once(struct folder *folder, const char *path, enum folder_use use)
{
    struct fs_stat st;
    int rc = use == FOLDER_LOOK ? fs_stat(folder->fs, path, &st) : 0; /* V1 */
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = fs_lock(folder->fs, path, &folder->lock);
    /* No server can run on a medium that cannot be written. */
    return rc == -EROFS && use == FOLDER_LOOK ? 0 : rc;
}

static int take_lock(struct folder *folder, const struct check_options *options,
                     enum folder_use use, struct diag *diag)
{
    char *path = path_format("%s/lock", folder->dir);
    int rc = lock_once(folder, path, use);
    for (unsigned waited = 0; rc == ERR_BUSY && waited < options->lock_wait_ms;
         waited += LOCK_TRY_MS) {
        thread_sleep_ms(LOCK_TRY_MS);
        rc = lock_once(folder, path, use);
    }
    mem_free(path);
    if (rc == ERR_BUSY)
        return diag_set(diag, rc,
                        "%.300s is in use: stop the server that runs on it, or work on a copy that "
                        "was made while none did",
                        folder->dir);
    if (rc != 0)
        return diag_set(diag, rc, "%.300s/lock: %s. Run this as the user that the server runs as",
                        folder->dir, err_text(rc));
    return 0;
}

/* Is there anything that a manifest would have named? */
static int has_data(const struct folder *folder, bool *out_has, struct diag *diag)
{
    *out_has = false;
    static const char *const names[] = {"data", "log"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *path = path_format("%s/%s", folder->dir, names[i]);
        struct names found = {0};
        int rc = names_read(folder->fs, path, &found, diag);
        *out_has = *out_has || found.count > 0;
        names_fini(&found);
        mem_free(path);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_manifest(struct folder *folder, struct diag *diag)
{
    int rc = manifest_load(folder->fs, folder->dir, &folder->manifest, &folder->manifest_wrong);
    folder->has_manifest = rc == 0;
    if (rc == 0 && folder->manifest.shard_count > STORES_MAX) {
        folder->has_manifest = false;
        diag_set(&folder->manifest_wrong, ERR_CORRUPT, "%.300s/" MANIFEST_NAME " names %u shards",
                 folder->dir, folder->manifest.shard_count);
    }
    if (rc == ERR_CORRUPT || rc == 0)
        return 0;
    if (rc != ERR_NOT_FOUND)
        return diag_set(diag, rc, "%s", folder->manifest_wrong.text);
    bool has_any;
    rc = has_data(folder, &has_any, diag);
    if (rc != 0 || has_any)
        return rc;
    return diag_set(diag, ERR_NOT_FOUND, "%.300s is no data directory of Ferric", folder->dir);
}

int folder_open(struct folder *folder, const struct check_options *options, enum folder_use use,
                struct diag *diag)
{
    *folder = (struct folder){.fs = options->os.fs, .dir = options->dir};
    folder->table = command_table_new(content_families, content_family_count);
    struct fs_stat st;
    int rc = fs_stat(folder->fs, folder->dir, &st);
    if (rc != 0)
        diag_set(diag, rc, "%.300s: %s", folder->dir, err_text(rc));
    else if (!st.is_dir)
        rc = diag_set(diag, ERR_INVALID, "%.300s is no directory", folder->dir);
    /* What is no data directory gets no lock either. */
    if (rc == 0 && use == FOLDER_CHANGE)
        rc = read_manifest(folder, diag);
    if (rc == 0)
        rc = take_lock(folder, options, use, diag);
    if (rc == 0) {
        manifest_fini(&folder->manifest);
        folder->manifest_wrong.text[0] = '\0';
        rc = read_manifest(folder, diag);
    }
    if (rc != 0)
        folder_close(folder);
    return rc;
}

void folder_close(struct folder *folder)
{
    manifest_fini(&folder->manifest);
    command_table_free(folder->table);
    file_unref(folder->lock);
    *folder = (struct folder){0};
}
