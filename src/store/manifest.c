/* SPDX-License-Identifier: Apache-2.0 */
#include "store/manifest.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/store.h"

#define MANIFEST_MAGIC    UINT64_C(0x314e414d43524546) /* "FERCMAN1" */
#define MANIFEST_TMP_NAME "manifest.tmp"
#define MANIFEST_MAX_SIZE (64u * 1024 * 1024)
#define PREFIX_SIZE       32 /* magic, version, reserved, size, check */
#define FILE_ENTRY_SIZE   32
#define PATH_SIZE         4096

void manifest_fini(struct manifest *manifest)
{
    for (uint32_t i = 0; manifest->shards != NULL && i < manifest->shard_count; i++)
        mem_free(manifest->shards[i].files);
    mem_free(manifest->shards);
    mem_free(manifest->database_ids);
    buf_fini(&manifest->configuration);
    *manifest = (struct manifest){0};
}

/* ---- Format ---- */

#define FLAG_BEGINS_LOG 1u

static void add_u16(struct buf *to, uint16_t v)
{
    put_u16(buf_extend(to, 2), v);
}

static void add_u32(struct buf *to, uint32_t v)
{
    put_u32(buf_extend(to, 4), v);
}

static void add_u64(struct buf *to, uint64_t v)
{
    put_u64(buf_extend(to, 8), v);
}

static void encode_shard(const struct manifest_shard *shard, struct buf *to)
{
    add_u32(to, shard->next_file_id);
    add_u32(to, (uint32_t)shard->file_count);
    for (size_t i = 0; i < shard->file_count; i++) {
        const struct bitcask_named *file = &shard->files[i];
        add_u32(to, file->id);
        add_u32(to, 0);
        add_u64(to, file->uid);
        add_u64(to, file->length);
        add_u64(to, file->lowest_index);
    }
}

void manifest_encode(const struct manifest *manifest, struct buf *to)
{
    size_t start = to->len;
    memset(buf_extend(to, PREFIX_SIZE), 0, PREFIX_SIZE);
    add_u64(to, manifest->group_id);
    add_u64(to, manifest->node_id);
    add_u64(to, manifest->checkpoint_number);
    add_u64(to, manifest->index);
    add_u64(to, manifest->term);
    add_u64(to, manifest->state_ms);
    add_u64(to, manifest->ceiling_ms);
    add_u64(to, manifest->hash_point);
    add_u64(to, manifest->configuration_index);
    add_u32(to, (uint32_t)manifest->configuration.len);
    buf_append_slice(to, buf_slice(&manifest->configuration));
    add_u32(to, manifest->database_count);
    for (uint32_t i = 0; i < manifest->database_count; i++)
        add_u16(to, manifest->database_ids[i]);
    add_u32(to, manifest->shard_count);
    for (uint32_t i = 0; i < manifest->shard_count; i++)
        encode_shard(&manifest->shards[i], to);
    uint8_t *prefix = to->data + start;
    put_u64(prefix, MANIFEST_MAGIC);
    put_u32(prefix + 8, MANIFEST_VERSION);
    put_u32(prefix + 12, manifest->begins_log ? FLAG_BEGINS_LOG : 0);
    put_u64(prefix + 16, to->len - start);
    struct slice before = slice_of(prefix, 24);
    struct slice behind = slice_of(prefix + PREFIX_SIZE, to->len - start - PREFIX_SIZE);
    put_u64(prefix + 24, hash_check2(before, behind));
}

bool manifest_is_one(struct slice bytes)
{
    return bytes.len >= PREFIX_SIZE && get_u64(bytes.data) == MANIFEST_MAGIC;
}

static int check_prefix(struct slice bytes, struct diag *diag)
{
    if (!manifest_is_one(bytes))
        return diag_set(diag, ERR_CORRUPT, "it does not begin like a manifest");
    uint32_t version = get_u32(bytes.data + 8);
    if (version != MANIFEST_VERSION)
        return diag_set(diag, ERR_VERSION,
                        "its format version is %u, this program reads %u: start the version of the "
                        "program that wrote it",
                        version, MANIFEST_VERSION);
    if (get_u64(bytes.data + 16) != bytes.len)
        return diag_set(diag, ERR_CORRUPT, "it says it has %llu bytes and has %zu",
                        (unsigned long long)get_u64(bytes.data + 16), bytes.len);
    struct slice behind = slice_sub(bytes, PREFIX_SIZE, bytes.len);
    if ((get_u32(bytes.data + 12) & ~FLAG_BEGINS_LOG) != 0 ||
        get_u64(bytes.data + 24) != hash_check2(slice_sub(bytes, 0, 24), behind))
        return diag_set(diag, ERR_CORRUPT, "its checksum is wrong");
    return 0;
}

static bool decode_shard(struct reader *reader, struct manifest_shard *shard)
{
    shard->next_file_id = reader_u32(reader);
    size_t count = reader_u32(reader);
    if (reader->failed || reader_left(reader) / FILE_ENTRY_SIZE < count)
        return false;
    shard->files = mem_try_calloc(count, sizeof(*shard->files));
    if (shard->files == NULL)
        return false;
    shard->file_count = count;
    for (size_t i = 0; i < count; i++) {
        struct bitcask_named *file = &shard->files[i];
        file->id = reader_u32(reader);
        uint32_t reserved = reader_u32(reader);
        file->uid = reader_u64(reader);
        file->length = reader_u64(reader);
        file->lowest_index = reader_u64(reader);
        if (reserved != 0 || file->id >= shard->next_file_id ||
            file->length < DATAFILE_HEADER_SIZE || !is_aligned(file->length, DATAFILE_BLOCK))
            return false;
    }
    return !reader->failed;
}

static bool decode_databases(struct reader *reader, struct manifest *manifest)
{
    uint32_t count = reader_u32(reader);
    if (reader->failed || count == 0 || count > STORE_MAX_DATABASES)
        return false;
    manifest->database_ids = mem_calloc(count, sizeof(*manifest->database_ids));
    manifest->database_count = count;
    for (uint32_t i = 0; i < count; i++) {
        manifest->database_ids[i] = reader_u16(reader);
        for (uint32_t j = 0; j < i; j++) {
            if (manifest->database_ids[j] == manifest->database_ids[i])
                return false; /* two numbers for one database */
        }
    }
    return !reader->failed;
}

static bool decode_body(struct reader *reader, struct manifest *manifest)
{
    manifest->group_id = reader_u64(reader);
    manifest->node_id = reader_u64(reader);
    manifest->checkpoint_number = reader_u64(reader);
    manifest->index = reader_u64(reader);
    manifest->term = reader_u64(reader);
    manifest->state_ms = reader_u64(reader);
    manifest->ceiling_ms = reader_u64(reader);
    manifest->hash_point = reader_u64(reader);
    manifest->configuration_index = reader_u64(reader);
    struct slice configuration = reader_bytes(reader, reader_u32(reader));
    buf_append_slice(&manifest->configuration, configuration);
    if (!decode_databases(reader, manifest))
        return false;
    uint32_t shard_count = reader_u32(reader);
    if (reader->failed || shard_count == 0 || reader_left(reader) / 8 < shard_count)
        return false;
    manifest->shards = mem_try_calloc(shard_count, sizeof(*manifest->shards));
    if (manifest->shards == NULL)
        return false;
    manifest->shard_count = shard_count;
    for (uint32_t i = 0; i < shard_count; i++) {
        if (!decode_shard(reader, &manifest->shards[i]))
            return false;
    }
    return reader_is_done(reader);
}

int manifest_decode(struct slice bytes, struct manifest *out_manifest, struct diag *diag)
{
    int rc = check_prefix(bytes, diag);
    if (rc != 0)
        return rc;
    struct reader reader;
    reader_init(&reader, slice_sub(bytes, PREFIX_SIZE, bytes.len));
    struct manifest manifest = {.begins_log = get_u32(bytes.data + 12) == FLAG_BEGINS_LOG};
    if (!decode_body(&reader, &manifest)) {
        manifest_fini(&manifest);
        return diag_set(diag, ERR_CORRUPT, "its fields contradict each other");
    }
    *out_manifest = manifest;
    return 0;
}

/* ---- File ---- */

static int join(char *to, const char *dir, const char *name)
{
    int len = snprintf(to, PATH_SIZE, "%s/%s", dir, name);
    return len > 0 && len < PATH_SIZE ? 0 : ERR_TOO_BIG;
}

static int read_whole(struct file *file, struct buf *to)
{
    uint64_t size;
    int rc = file_size(file, &size);
    if (rc != 0)
        return rc;
    if (size > MANIFEST_MAX_SIZE)
        return ERR_TOO_BIG;
    buf_reserve(to, size);
    rc = file_read_full(file, to->data, size, 0);
    if (rc == 0)
        to->len = size;
    return rc;
}

int manifest_load(struct fs *fs, const char *dir, struct manifest *out_manifest, struct diag *diag)
{
    char path[PATH_SIZE];
    int rc = join(path, dir, MANIFEST_NAME);
    if (rc != 0)
        return diag_set(diag, rc, "the data directory's name is too long");
    struct file *file;
    rc = fs_open(fs, path, FS_READ, &file);
    if (rc == -ENOENT)
        return ERR_NOT_FOUND;
    if (rc != 0)
        return diag_set(diag, rc, "%s: %s", path, err_text(rc));
    struct buf bytes = {0};
    rc = read_whole(file, &bytes);
    file_unref(file);
    struct diag why = {.text = ""};
    if (rc != 0)
        diag_set(&why, rc, "%s", err_text(rc));
    else
        rc = manifest_decode(buf_slice(&bytes), out_manifest, &why);
    buf_fini(&bytes);
    if (rc != 0)
        return diag_set(diag, rc, "%.200s: %.200s", path, why.text);
    return 0;
}

int manifest_save(struct fs *fs, const char *dir, const struct manifest *manifest,
                  struct diag *diag)
{
    char path[PATH_SIZE];
    char tmp_path[PATH_SIZE];
    int rc = join(path, dir, MANIFEST_NAME);
    if (rc == 0)
        rc = join(tmp_path, dir, MANIFEST_TMP_NAME);
    if (rc != 0)
        return diag_set(diag, rc, "the data directory's name is too long");
    struct buf bytes = {0};
    manifest_encode(manifest, &bytes);
    rc = fs_write_new(fs, tmp_path, buf_slice(&bytes)); /* T10 */
    buf_fini(&bytes);
    if (rc == 0)
        rc = fs_rename(fs, tmp_path, path);
    if (rc == 0)
        rc = fs_sync_dir(fs, dir);
    return rc == 0 ? 0 : diag_set(diag, rc, "%.300s: %s", path, err_text(rc));
}
