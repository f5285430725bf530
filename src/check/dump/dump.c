/* SPDX-License-Identifier: Apache-2.0 */
#include "check/dump/dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "command/families.h"
#include "os/process.h"
#include "seglog/look.h"

/* Bytes of a value that are shown. */
#define VALUE_SHOWN     256
#define MANIFEST_MAX    (64u * 1024 * 1024)
#define DEPTH_OF_DATA   3 /* data/shard_0/00001.log */
#define DEPTH_OF_LOG    2
#define DEPTH_OF_OTHERS 1

void dump_damage(struct dump *dump, uint64_t off, uint64_t end, const char *what)
{
    struct printer *printer = &dump->printer;
    dump->damage_count++;
    print_begin(printer, "damage");
    print_u64(printer, "off", off);
    if (end > off)
        print_u64(printer, "end", end);
    print_text(printer, "text", what);
    print_end(printer);
}

/* ---- The manifest ---- */

static void print_manifest(struct printer *printer, const struct manifest *manifest)
{
    print_begin(printer, "manifest");
    print_word64(printer, "group_id", manifest->group_id);
    print_word64(printer, "node_id", manifest->node_id);
    print_u64(printer, "checkpoint", manifest->checkpoint_number);
    print_u64(printer, "index", manifest->index);
    print_u64(printer, "term", manifest->term);
    print_u64(printer, "state_ms", manifest->state_ms);
    print_u64(printer, "ceiling_ms", manifest->ceiling_ms);
    print_word64(printer, "hash_point", manifest->hash_point);
    print_u64(printer, "configuration_index", manifest->configuration_index);
    print_u64(printer, "databases", manifest->database_count);
    print_u64(printer, "shards", manifest->shard_count);
    if (manifest->begins_log)
        print_bool(printer, "begins_log", true);
    print_end(printer);
    for (uint32_t i = 0; i < manifest->database_count; i++) {
        print_begin(printer, "database");
        print_u64(printer, "number", i);
        print_u64(printer, "id", manifest->database_ids[i]);
        print_end(printer);
    }
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        const struct manifest_shard *shard = &manifest->shards[i];
        print_begin(printer, "shard");
        print_u64(printer, "shard", i);
        print_u64(printer, "next_file_id", shard->next_file_id);
        print_u64(printer, "files", shard->file_count);
        print_end(printer);
        for (size_t j = 0; j < shard->file_count; j++) {
            const struct bitcask_named *file = &shard->files[j];
            print_begin(printer, "named");
            print_u64(printer, "shard", i);
            print_u64(printer, "id", file->id);
            print_word64(printer, "uid", file->uid);
            print_u64(printer, "length", file->length);
            if (file->lowest_index != UINT64_MAX)
                print_u64(printer, "lowest_index", file->lowest_index);
            print_end(printer);
        }
    }
}

static int read_whole(struct dump *dump, const char *path, struct buf *to, struct diag *diag)
{
    struct file *file;
    uint64_t size = 0;
    int rc = fs_open(dump->fs, path, FS_READ, &file);
    if (rc != 0)
        return diag_set(diag, rc, "%s: %s", path, err_text(rc));
    rc = file_size(file, &size);
    if (rc == 0 && size > MANIFEST_MAX)
        rc = ERR_TOO_BIG;
    if (rc == 0)
        rc = buf_try_reserve(to, size);
    if (rc == 0)
        rc = file_read_full(file, to->data, size, 0);
    file_unref(file);
    to->len = rc == 0 ? size : 0;
    return rc == 0 ? 0 : diag_set(diag, rc, "%s: %s", path, err_text(rc));
}

int dump_manifest(struct dump *dump, const char *path, struct diag *diag)
{
    struct buf bytes = {0};
    struct manifest manifest;
    struct diag why = {.text = ""};
    int rc = read_whole(dump, path, &bytes, diag);
    if (rc != 0) {
        buf_fini(&bytes);
        return rc;
    }
    rc = manifest_decode(buf_slice(&bytes), &manifest, &why);
    buf_fini(&bytes);
    if (rc == ERR_CORRUPT) {
        dump_damage(dump, 0, 0, why.text);
        return 0;
    }
    if (rc != 0)
        return diag_set(diag, rc, "%s: %s", path, why.text);
    print_manifest(&dump->printer, &manifest);
    manifest_fini(&manifest);
    return 0;
}

/* ---- One file, whichever it is ---- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The shard of "<dir>/data/shard_<n>/<name>" if it lies in the folder. */
static const struct bitcask_named *named_of(const struct dump *dump, const char *path, uint32_t id,
                                            uint32_t *out_shard)
{
    *out_shard = 0;
    if (dump->folder == NULL || !dump->folder->has_manifest)
        return NULL;
    for (uint32_t shard = 0; shard < dump->folder->manifest.shard_count; shard++) {
        char *dir = folder_shard_path(dump->folder, shard);
        bool is_here = strncmp(dir, path, strlen(dir)) == 0 && path[strlen(dir)] == '/';
        mem_free(dir);
        *out_shard = shard;
        if (is_here)
            return folder_named(dump->folder, shard, id);
    }
    return NULL;
}

enum kind { KIND_NONE, KIND_DATA, KIND_HINT, KIND_SEGMENT, KIND_MANIFEST };

static enum kind kind_by_name(const char *name, uint32_t *out_id)
{
    uint64_t number;
    bool is_temporary;
    enum data_name data = data_name_parse(name, out_id);
    if (data == DATA_LOG || data == DATA_HINT)
        return data == DATA_LOG ? KIND_DATA : KIND_HINT;
    if (seglog_parse_name(name, &number, &is_temporary))
        return KIND_SEGMENT;
    return strcmp(name, MANIFEST_NAME) == 0 ? KIND_MANIFEST : KIND_NONE;
}

/* Of a file that bears another name, as those in a quarantine do. */
static int kind_by_header(struct dump *dump, const char *path, enum kind *out_kind,
                          struct diag *diag)
{
    uint8_t head[64];
    struct file *file = NULL;
    uint64_t size = 0;
    int rc = fs_open(dump->fs, path, FS_READ, &file);
    if (rc == 0)
        rc = file_size(file, &size);
    struct slice bytes = slice_of(head, size < sizeof(head) ? (size_t)size : sizeof(head));
    if (rc == 0)
        rc = file_read_full(file, head, bytes.len, 0);
    file_unref(file);
    if (rc != 0)
        return diag_set(diag, rc, "%.300s: %s", path, err_text(rc));
    *out_kind = datafile_is_one(bytes)     ? KIND_DATA
                : hint_is_one(bytes)       ? KIND_HINT
                : seglog_is_segment(bytes) ? KIND_SEGMENT
                : manifest_is_one(bytes)   ? KIND_MANIFEST
                                           : KIND_NONE;
    return 0;
}

static int dump_file(struct dump *dump, const char *path, struct diag *diag)
{
    uint32_t id = 0;
    uint32_t shard = 0;
    size_t root = dump->folder == NULL ? 0 : strlen(dump->folder->dir) + 1;
    const char *name = name_of(path);
    dump->printer.file = dump->folder == NULL ? name : path + root;
    if (!dump->printer.is_json) {
        print_begin(&dump->printer, "file");
        print_text(&dump->printer, "path", dump->printer.file);
        print_end(&dump->printer);
    }
    const struct bitcask_named *named = NULL;
    enum kind kind = kind_by_name(name, &id);
    if (kind == KIND_DATA || kind == KIND_HINT)
        named = named_of(dump, path, id, &shard);
    int rc = kind == KIND_NONE ? kind_by_header(dump, path, &kind, diag) : 0;
    if (rc != 0)
        return rc;
    switch (kind) {
    case KIND_DATA:
        return dump_data_file(dump, path, named, diag);
    case KIND_HINT:
        return dump_hint(dump, path, named, shard, diag);
    case KIND_SEGMENT:
        return dump_segment(dump, path, diag);
    case KIND_MANIFEST:
        return dump_manifest(dump, path, diag);
    case KIND_NONE:
        break;
    }
    return diag_set(diag, ERR_INVALID,
                    "%.300s is none of the files of a data directory: neither its name "
                    "(" MANIFEST_NAME
                    ", <number>.log, <number>.hint, <number>.seg) nor its first "
                    "bytes say so",
                    path);
}

/* ---- A whole directory ---- */

static int dump_named(struct dump *dump, uint32_t shard, const struct bitcask_named *named,
                      struct diag *diag)
{
    char *dir = folder_shard_path(dump->folder, shard);
    char *path = data_path(dir, named->id, DATA_LOG);
    char *hint = data_path(dir, named->id, DATA_HINT);
    struct fs_stat st;
    int rc = dump_file(dump, path, diag);
    if (rc == 0 && fs_stat(dump->fs, hint, &st) == 0)
        rc = dump_file(dump, hint, diag);
    mem_free(hint);
    mem_free(path);
    mem_free(dir);
    return rc;
}

static int dump_log(struct dump *dump, struct diag *diag)
{
    char *dir = folder_log_path(dump->folder);
    struct names names = {0};
    int rc = names_read(dump->fs, dir, &names, diag);
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        uint64_t number;
        bool is_temporary;
        if (!seglog_parse_name(names.items[i], &number, &is_temporary) || is_temporary)
            continue;
        char *path = path_format("%s/%s", dir, names.items[i]);
        rc = dump_file(dump, path, diag);
        mem_free(path);
    }
    names_fini(&names);
    mem_free(dir);
    return rc;
}

static int dump_folder(struct dump *dump, struct diag *diag)
{
    const struct folder *folder = dump->folder;
    char *path = path_format("%s/" MANIFEST_NAME, folder->dir);
    struct fs_stat st;
    int rc = fs_stat(dump->fs, path, &st) == 0 ? dump_file(dump, path, diag) : 0;
    mem_free(path);
    for (uint32_t i = 0; rc == 0 && i < folder->manifest.shard_count; i++) {
        for (size_t j = 0; rc == 0 && j < folder->manifest.shards[i].file_count; j++)
            rc = dump_named(dump, i, &folder->manifest.shards[i].files[j], diag);
    }
    return rc == 0 ? dump_log(dump, diag) : rc;
}

/* ---- What was asked for ---- */

/* "<dir>" of the file's path, absolute, if it lies where such a file lies in a data directory. */
static char *root_of(struct fs *fs, const char *path)
{
    uint32_t id;
    uint64_t number;
    bool is_temporary;
    const char *name = name_of(path);
    int depth = data_name_parse(name, &id) != DATA_OTHER          ? DEPTH_OF_DATA
                : seglog_parse_name(name, &number, &is_temporary) ? DEPTH_OF_LOG
                                                                  : DEPTH_OF_OTHERS;
    char *root = mem_dup_str(path);
    for (; depth > 0; depth--) {
        char *slash = strrchr(root, '/');
        if (slash == NULL || slash == root)
            break;
        *slash = '\0';
    }
    char *manifest = path_format("%s/" MANIFEST_NAME, root);
    struct fs_stat st;
    bool is_root = depth == 0 && fs_stat(fs, manifest, &st) == 0;
    mem_free(manifest);
    if (is_root)
        return root;
    mem_free(root);
    return NULL;
}

static int dump_one(struct dump *dump, const struct check_options *options, const char *path,
                    struct diag *diag)
{
    char *root = root_of(dump->fs, path);
    struct folder folder;
    int rc = 0;
    if (root != NULL) {
        struct check_options of_root = *options;
        of_root.dir = root;
        rc = folder_open(&folder, &of_root, FOLDER_LOOK, diag);
    }
    if (rc == 0) {
        dump->folder = root == NULL ? NULL : &folder;
        rc = dump_file(dump, path, diag);
        dump->folder = NULL;
        if (root != NULL)
            folder_close(&folder);
    }
    mem_free(root);
    return rc;
}

static int dump_any(struct dump *dump, const struct check_options *options, struct diag *diag)
{
    struct fs_stat st;
    int rc = fs_stat(dump->fs, options->dir, &st);
    if (rc != 0)
        return diag_set(diag, rc, "%.300s: %s", options->dir, err_text(rc));
    if (st.is_dir) {
        struct folder folder;
        rc = folder_open(&folder, options, FOLDER_LOOK, diag);
        if (rc != 0)
            return rc;
        dump->folder = &folder;
        rc = dump_folder(dump, diag);
        dump->folder = NULL;
        folder_close(&folder);
        return rc;
    }
    struct buf path = {0};
    rc = process_absolute_path(options->dir, &path);
    buf_append_byte(&path, 0);
    if (rc == 0)
        rc = dump_one(dump, options, (const char *)path.data, diag);
    else
        diag_set(diag, rc, "%.300s: %s", options->dir, err_text(rc));
    buf_fini(&path);
    return rc;
}

int check_dump(const struct check_options *options, struct diag *diag)
{
    struct dump dump = {
        .fs = options->os.fs,
        .table = command_table_new(content_families, content_family_count),
        .printer = {.io = options->io,
                    .is_json = options->is_json,
                    .max_bytes = options->is_full ? SIZE_MAX : VALUE_SHOWN},
    };
    int rc = dump_any(&dump, options, diag);
    command_table_free(dump.table);
    printer_fini(&dump.printer);
    if (rc != 0)
        return CHECK_FAILED;
    return dump.damage_count == 0 ? CHECK_SOUND : CHECK_DAMAGED;
}
