/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_bitcask DIR: writes the corpora bitcask_record/, bitcask_file/ and bitcask_hint/ of the
 * folder DIR, which must be there: one input for each shape of a record, and files made of them and
 * their hints, good and bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "bitcask/datafile.h"
#include "bitcask/hint.h"

static const struct datafile_header header = {.shard = 3, .id = 17, .uid = 0x1122334455667788};

static void save(const char *dir, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static const struct shape {
    const char *name;
    struct record record;
} shapes[] = {
    {"put",
     {.kind = RECORD_PUT,
      .type = 1,
      .position = 0x10000,
      .key = {(const uint8_t *)"key", 3},
      .value = {(const uint8_t *)"value", 5}}},
    {"put_empty", {.kind = RECORD_PUT, .position = 0x10001}},
    {"put_expiring",
     {.kind = RECORD_PUT,
      .position = 0x20000,
      .expire_at_ms = 1700000000000,
      .key = {(const uint8_t *)"session:1", 9},
      .value = {(const uint8_t *)"x", 1}}},
    {"put_member",
     {.kind = RECORD_PUT,
      .type = 2,
      .promotion = 1,
      .db_id = 4,
      .revision = 3,
      .position = 0x30002,
      .expire_at_ms = 1,
      .collection = {.position = 0x20001, .counter = 5},
      .key = {(const uint8_t *)"field", 5},
      .value = {(const uint8_t *)"member value", 12}}},
    {"tombstone",
     {.kind = RECORD_TOMBSTONE, .position = 0x40000, .key = {(const uint8_t *)"key", 3}}},
    {"flush", {.kind = RECORD_FLUSH, .db_id = 4, .position = 0x50000}},
};

static void add(struct buf *to, const struct record *record)
{
    const struct record_place place = {.uid = header.uid, .off = to->len};
    record_encode(record, place, to);
}

static void add_pad(struct buf *to)
{
    add(to, &(struct record){.kind = RECORD_PAD, .pad_size = record_pad_size(to->len)});
}

/* The place is the one that the fuzz target decodes at; a PAD of 40 bytes ends there. */
static void make_records(const char *dir)
{
    const struct record_place place = {.uid = header.uid, .off = 2 * RECORD_BLOCK - 40};
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct buf bytes = {0};
        record_encode(&shapes[i].record, place, &bytes);
        save(dir, shapes[i].name, buf_slice(&bytes));
        buf_fini(&bytes);
    }
    struct buf bytes = {0};
    record_encode(&(struct record){.kind = RECORD_PAD, .pad_size = 40}, place, &bytes);
    save(dir, "pad", buf_slice(&bytes));
    save(dir, "torn", slice_of(bytes.data, 33));
    save(dir, "fixed_part_torn", slice_of(bytes.data, 31));
    bytes.data[8] = 77;
    save(dir, "unknown_kind", buf_slice(&bytes));
    bytes.data[8] = RECORD_PUT;
    memset(bytes.data + 16, 0xff, 4);
    save(dir, "hostile_length", buf_slice(&bytes));
    buf_fini(&bytes);
}

static void make_files(const char *dir)
{
    struct buf bytes = {0};
    datafile_header_encode(&header, &bytes);
    save(dir, "header_only", buf_slice(&bytes));
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        add(&bytes, &shapes[i].record);
    save(dir, "all_shapes", buf_slice(&bytes));
    save(dir, "cut_in_a_record", slice_of(bytes.data, bytes.len - 1));
    add_pad(&bytes);
    save(dir, "padded", buf_slice(&bytes));
    add(&bytes, &shapes[0].record);
    memset(buf_extend(&bytes, 100), 0, 100);
    save(dir, "zeros_behind", buf_slice(&bytes));
    bytes.data[DATAFILE_HEADER_SIZE + 16] = 200; /* the first record claims the second, too */
    save(dir, "wrong_length", buf_slice(&bytes));
    bytes.data[8] = 2;
    save(dir, "another_version", buf_slice(&bytes));
    buf_fini(&bytes);
}

static void check(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "error %d\n", rc);
        exit(1);
    }
}

/* The hint of a file with these records. */
static struct buf hint_of(const char *dir, const struct buf *bytes, uint64_t covered)
{
    struct fs *fs = os_posix().fs;
    struct datafile *df = datafile_new(dir, &header);
    char *path = datafile_path(dir, header.id, HINT_SUFFIX);
    struct buf hint = {0};
    struct file *file;
    size_t done;
    uint64_t size;
    check(datafile_create(df, fs));
    check(file_write_full(df->file, bytes->data, bytes->len, 0, &done));
    check(hint_write(fs, df, covered, NULL));
    check(fs_open(fs, path, FS_READ, &file));
    check(file_size(file, &size));
    check(file_read_full(file, buf_extend(&hint, size), size, 0));
    check(fs_unlink(fs, path));
    check(fs_unlink(fs, df->path));
    file_unref(file);
    datafile_unref(df);
    mem_free(path);
    return hint;
}

static void make_hints(const char *dir)
{
    struct buf bytes = {0};
    datafile_header_encode(&header, &bytes);
    struct buf hint = hint_of(dir, &bytes, DATAFILE_HEADER_SIZE);
    save(dir, "empty", buf_slice(&hint));
    buf_fini(&hint);
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < ARRAY_COUNT(shapes); j++)
            add(&bytes, &shapes[j].record);
        add_pad(&bytes);
    }
    hint = hint_of(dir, &bytes, bytes.len);
    save(dir, "all_shapes", buf_slice(&hint));
    save(dir, "cut_before_the_end", slice_of(hint.data, hint.len - 24));
    save(dir, "cut_in_a_block", slice_of(hint.data, 100));
    put_u32(hint.data + 32, 4096);
    save(dir, "covers_less_than_it_tells", buf_slice(&hint));
    hint.data[8] = 2;
    save(dir, "another_version", buf_slice(&hint));
    memset(hint.data + 64 + 8, 0xff, 4);
    save(dir, "hostile_size", buf_slice(&hint));
    buf_fini(&hint);
    buf_fini(&bytes);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    char dir[256];
    snprintf(dir, sizeof(dir), "%s/bitcask_record", argv[1]);
    make_records(dir);
    snprintf(dir, sizeof(dir), "%s/bitcask_file", argv[1]);
    make_files(dir);
    snprintf(dir, sizeof(dir), "%s/bitcask_hint", argv[1]);
    make_hints(dir);
    return 0;
}
