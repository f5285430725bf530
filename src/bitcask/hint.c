/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/hint.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"

/* Entries stand in blocks, each with a check of its own, so that a hint of any size is written and
 * read in bounded memory. The last block is empty but for the count of all entries: a hint that
 * ends before it is not whole, wherever it was cut.
 *
 * A block's check is mixed with the file's uid and the block's offset, as a record's is: blocks of
 * another file, or in another order, are not taken for good. */

#define HINT_VERSION 1
#define HEADER_SIZE  64
#define BLOCK_FULL   (256u * 1024) /* a block ends with the entry that reaches it */
#define ENTRY_FIXED  28
#define ENTRY_MAX    (ENTRY_FIXED + 20 + RECORD_MAX_KEY)
#define PAYLOAD_MAX  (BLOCK_FULL + ENTRY_MAX)
#define END_SIZE     8 /* payload of the last block */

enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_SHARD = 12,
    AT_ID = 16,
    AT_ZERO = 20,
    AT_UID = 24,
    AT_COVERED = 32,
    AT_ZEROS = 40,
    AT_CHECK = 56
};

enum { BLOCK_AT_CHECK = 0, BLOCK_AT_SIZE = 8, BLOCK_AT_COUNT = 12, BLOCK_HEADER = 16 };

enum {
    ENTRY_AT_OFF = 0,
    ENTRY_AT_VALUE_LEN = 4,
    ENTRY_AT_POSITION = 8,
    ENTRY_AT_REVISION = 16,
    ENTRY_AT_KIND = 20,
    ENTRY_AT_TYPE = 21,
    ENTRY_AT_FLAGS = 22,
    ENTRY_AT_PROMOTION = 23,
    ENTRY_AT_DB_ID = 24,
    ENTRY_AT_KEY_LEN = 26
};

static const uint8_t hint_magic[8] = {'F', 'e', 'r', 'r', 'H', 'i', 'n', 't'};

bool hint_is_one(struct slice bytes)
{
    return bytes.len >= sizeof(hint_magic) &&
           memcmp(bytes.data, hint_magic, sizeof(hint_magic)) == 0;
}

/* `<file without .log><suffix>`; the caller's. */
static char *path_beside(const struct datafile *df, const char *suffix)
{
    struct buf path = {0};
    buf_append(&path, df->path, strlen(df->path) - strlen(DATAFILE_SUFFIX));
    buf_append(&path, suffix, strlen(suffix) + 1);
    return (char *)buf_take(&path).data;
}

static uint64_t block_check(uint64_t uid, const uint8_t *block, size_t size, uint64_t off)
{
    const size_t skipped = BLOCK_AT_SIZE;
    return hash_check(slice_of(block + skipped, size - skipped)) ^ hash_mix(uid, off);
}

/* ---- Writing ---- */

struct hint_writer {
    const struct datafile *df;
    struct file *file;
    uint64_t off; /* of the block that is being filled */
    uint64_t count;
    uint32_t block_count;
    struct buf block;
};

static void begin_block(struct hint_writer *writer)
{
    writer->block.len = 0;
    writer->block_count = 0;
    memset(buf_extend(&writer->block, BLOCK_HEADER), 0, BLOCK_HEADER);
}

static int put_block(struct hint_writer *writer)
{
    uint8_t *block = writer->block.data;
    size_t size = writer->block.len;
    put_u32(block + BLOCK_AT_SIZE, (uint32_t)(size - BLOCK_HEADER));
    put_u32(block + BLOCK_AT_COUNT, writer->block_count);
    put_u64(block + BLOCK_AT_CHECK, block_check(writer->df->uid, block, size, writer->off));
    size_t done = 0;
    int rc = file_write_full(writer->file, block, size, writer->off, &done);
    writer->off += size;
    begin_block(writer);
    return rc;
}

static int put_entry(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct hint_writer *writer = ctx;
    (void)size;
    uint8_t flags = record_flags(record);
    uint8_t *at = buf_extend(&writer->block, ENTRY_FIXED + record_extra_size(flags));
    put_u32(at + ENTRY_AT_OFF, (uint32_t)off);
    put_u32(at + ENTRY_AT_VALUE_LEN, (uint32_t)record->value.len);
    put_u64(at + ENTRY_AT_POSITION, record->position);
    put_u32(at + ENTRY_AT_REVISION, record->revision);
    at[ENTRY_AT_KIND] = (uint8_t)record->kind;
    at[ENTRY_AT_TYPE] = record->type;
    at[ENTRY_AT_FLAGS] = flags;
    at[ENTRY_AT_PROMOTION] = record->promotion;
    put_u16(at + ENTRY_AT_DB_ID, record->db_id);
    put_u16(at + ENTRY_AT_KEY_LEN, (uint16_t)record->key.len);
    record_put_extra(record, at + ENTRY_FIXED);
    buf_append_slice(&writer->block, record->key);
    writer->count++;
    writer->block_count++;
    return writer->block.len >= BLOCK_FULL ? put_block(writer) : 0;
}

static int put_header(struct hint_writer *writer, uint64_t covered)
{
    uint8_t header[HEADER_SIZE] = {0};
    memcpy(header + AT_MAGIC, hint_magic, sizeof(hint_magic));
    put_u32(header + AT_VERSION, HINT_VERSION);
    put_u32(header + AT_SHARD, writer->df->shard);
    put_u32(header + AT_ID, writer->df->id);
    put_u64(header + AT_UID, writer->df->uid);
    put_u64(header + AT_COVERED, covered);
    put_u64(header + AT_CHECK, hash_check(slice_of(header, AT_CHECK)));
    size_t done = 0;
    writer->off = HEADER_SIZE;
    return file_write_full(writer->file, header, HEADER_SIZE, 0, &done);
}

static int put_end(struct hint_writer *writer)
{
    int rc = writer->block_count > 0 ? put_block(writer) : 0;
    if (rc != 0)
        return rc;
    put_u64(buf_extend(&writer->block, END_SIZE), writer->count);
    return put_block(writer);
}

/* All but the name. `diag` is filled by the scan alone. */
static int put_all(struct hint_writer *writer, struct datafile *df, uint64_t covered,
                   struct diag *diag)
{
    begin_block(writer);
    int rc = put_header(writer, covered);
    if (rc == 0)
        rc =
            datafile_scan(df, (struct datafile_range){.from = DATAFILE_HEADER_SIZE, .end = covered},
                          put_entry, writer, diag);
    if (rc == 0)
        rc = put_end(writer);
    if (rc == 0)
        rc = file_sync(writer->file);
    return rc;
}

int hint_write(struct fs *fs, struct datafile *df, uint64_t covered, struct diag *diag)
{
    struct hint_writer writer = {.df = df};
    char *temp = path_beside(df, HINT_TEMP_SUFFIX);
    char *path = path_beside(df, HINT_SUFFIX);
    struct diag of_scan = {.text = ""};
    int rc = fs_create(fs, temp, &writer.file);
    if (rc == 0)
        rc = put_all(&writer, df, covered, &of_scan);
    if (rc == 0)
        rc = fs_rename(fs, temp, path);
    if (rc != 0) {
        if (writer.file != NULL)
            IGNORE(fs_unlink(fs, temp), "the next start removes it");
        if (of_scan.text[0] != '\0' && diag != NULL)
            *diag = of_scan;
        else
            diag_set(diag, rc, "%s: cannot write: %s", path, err_text(rc));
    }
    file_unref(writer.file);
    buf_fini(&writer.block);
    mem_free(temp);
    mem_free(path);
    return rc;
}

/* ---- Reading ---- */

struct hint_reader {
    const struct datafile *df; /* NULL: whichever the header names */
    struct file *file;
    const char *path;
    uint64_t uid;
    uint64_t length;  /* of the data file, as far as it counts */
    uint64_t covered; /* as the header says */
    uint64_t size;    /* of the hint */
    uint64_t off;
    uint64_t count;
    uint64_t data_end; /* of the record that was told last */
    struct buf block;
    datafile_visit_fn visit;
    void *ctx;
    struct diag *diag;
};

static int corrupt(const struct hint_reader *reader, const char *what)
{
    return diag_set(reader->diag, ERR_CORRUPT, "%s: %s at offset %" PRIu64, reader->path, what,
                    reader->off);
}

static int read_exactly(const struct hint_reader *reader, void *to, size_t size)
{
    if (size > reader->size - reader->off)
        return corrupt(reader, "the hint ends early");
    int rc = file_read_full(reader->file, to, size, reader->off);
    if (rc != 0)
        return diag_set(reader->diag, rc, "%s: cannot read at offset %" PRIu64 ": %s", reader->path,
                        reader->off, err_text(rc));
    return 0;
}

static int read_header(struct hint_reader *reader)
{
    uint8_t header[HEADER_SIZE];
    int rc = read_exactly(reader, header, HEADER_SIZE);
    if (rc != 0)
        return rc;
    const struct datafile *df = reader->df;
    if (get_u64(header + AT_CHECK) != hash_check(slice_of(header, AT_CHECK)) ||
        !hint_is_one(slice_of(header, HEADER_SIZE)))
        return corrupt(reader, "the header is corrupt");
    if (get_u32(header + AT_VERSION) != HINT_VERSION)
        return diag_set(reader->diag, ERR_VERSION, "%s: written by another version of this program",
                        reader->path);
    reader->covered = get_u64(header + AT_COVERED);
    reader->uid = get_u64(header + AT_UID);
    if (df != NULL && (get_u32(header + AT_SHARD) != df->shard ||
                       get_u32(header + AT_ID) != df->id || reader->uid != df->uid))
        return corrupt(reader, "the hint belongs to another file");
    if (get_u32(header + AT_ZERO) != 0 || !bytes_are_zero(header + AT_ZEROS, AT_CHECK - AT_ZEROS) ||
        reader->covered < DATAFILE_HEADER_SIZE || !is_aligned(reader->covered, DATAFILE_BLOCK))
        return corrupt(reader, "the header is corrupt");
    reader->off = HEADER_SIZE;
    return 0;
}

/* Brings the block at `off`, verified, into reader->block. */
static int read_block(struct hint_reader *reader, uint32_t *out_count)
{
    reader->block.len = 0;
    uint8_t *block = buf_extend(&reader->block, BLOCK_HEADER);
    int rc = read_exactly(reader, block, BLOCK_HEADER);
    if (rc != 0)
        return rc;
    uint32_t size = get_u32(block + BLOCK_AT_SIZE);
    if (size == 0 || size > PAYLOAD_MAX)
        return corrupt(reader, "a block is corrupt");
    uint64_t check = get_u64(block + BLOCK_AT_CHECK);
    *out_count = get_u32(block + BLOCK_AT_COUNT);
    buf_extend(&reader->block, size);
    rc = read_exactly(reader, reader->block.data, BLOCK_HEADER + size);
    if (rc != 0)
        return rc;
    if (check != block_check(reader->uid, reader->block.data, reader->block.len, reader->off))
        return corrupt(reader, "a block is corrupt");
    return 0;
}

/* The entry at `at`, of at most `left` bytes; its size, or 0 if it makes no sense. */
static size_t get_entry(const uint8_t *at, size_t left, struct record *out)
{
    if (left < ENTRY_FIXED)
        return 0;
    uint8_t flags = at[ENTRY_AT_FLAGS];
    size_t key_len = get_u16(at + ENTRY_AT_KEY_LEN);
    size_t fixed = ENTRY_FIXED + record_extra_size(flags);
    uint8_t kind = at[ENTRY_AT_KIND];
    if ((flags & ~RECORD_FLAGS) != 0 || left < fixed + key_len || kind < RECORD_PUT ||
        kind > RECORD_FLUSH)
        return 0;
    *out = (struct record){.kind = (enum record_kind)kind,
                           .type = at[ENTRY_AT_TYPE],
                           .promotion = at[ENTRY_AT_PROMOTION],
                           .db_id = get_u16(at + ENTRY_AT_DB_ID),
                           .revision = get_u32(at + ENTRY_AT_REVISION),
                           .position = get_u64(at + ENTRY_AT_POSITION),
                           .value = slice_of(NULL, get_u32(at + ENTRY_AT_VALUE_LEN))};
    out->key = slice_of(record_get_extra(flags, at + ENTRY_FIXED, out), key_len);
    return fixed + key_len;
}

static int visit_block(struct hint_reader *reader, uint32_t count)
{
    const uint8_t *at = reader->block.data + BLOCK_HEADER;
    size_t left = reader->block.len - BLOCK_HEADER;
    for (uint32_t i = 0; i < count; i++) {
        struct record record;
        size_t size = get_entry(at, left, &record);
        if (size == 0 || record.value.len > RECORD_MAX_VALUE)
            return corrupt(reader, "an entry makes no sense");
        uint64_t off = get_u32(at + ENTRY_AT_OFF);
        size_t on_disk = record_size(&record);
        if (off < reader->data_end || on_disk > reader->covered - off || off >= reader->covered)
            return corrupt(reader, "an entry makes no sense");
        reader->data_end = off + on_disk;
        if (off < reader->length) {
            if (reader->data_end > reader->length)
                return corrupt(reader, "an entry goes over the end that the manifest says");
            int rc = reader->visit(reader->ctx, &record, off, on_disk);
            if (rc != 0)
                return rc;
        }
        at += size;
        left -= size;
    }
    reader->count += count;
    return left == 0 ? 0 : corrupt(reader, "a block is longer than its entries");
}

static int check_end(struct hint_reader *reader)
{
    if (reader->block.len != BLOCK_HEADER + END_SIZE ||
        get_u64(reader->block.data + BLOCK_HEADER) != reader->count ||
        reader->off + reader->block.len != reader->size)
        return corrupt(reader, "the end makes no sense");
    return 0;
}

static int read_all(struct hint_reader *reader)
{
    int rc = read_header(reader);
    while (rc == 0) {
        uint32_t count = 0;
        rc = read_block(reader, &count);
        if (rc == 0 && count == 0)
            return check_end(reader);
        if (rc == 0)
            rc = visit_block(reader, count);
        reader->off += reader->block.len;
    }
    return rc;
}

static int open_hint(struct hint_reader *reader, struct fs *fs)
{
    int rc = fs_open(fs, reader->path, FS_READ, &reader->file);
    if (rc == -ENOENT)
        return ERR_NOT_FOUND;
    if (rc == 0)
        rc = file_size(reader->file, &reader->size);
    if (rc != 0)
        diag_set(reader->diag, rc, "%s: cannot open: %s", reader->path, err_text(rc));
    return rc;
}

static int read_hint(struct hint_reader *reader, struct fs *fs, uint64_t *io_covered)
{
    reader->length = *io_covered;
    reader->data_end = DATAFILE_HEADER_SIZE;
    int rc = open_hint(reader, fs);
    if (rc == 0)
        rc = read_all(reader);
    if (rc == 0 && reader->covered < *io_covered)
        *io_covered = reader->covered;
    file_unref(reader->file);
    buf_fini(&reader->block);
    return rc;
}

int hint_read(struct fs *fs, const struct datafile *df, uint64_t *io_covered,
              datafile_visit_fn visit, void *ctx, struct diag *diag)
{
    char *path = path_beside(df, HINT_SUFFIX);
    struct hint_reader reader = {.df = df, .path = path, .visit = visit, .ctx = ctx, .diag = diag};
    int rc = read_hint(&reader, fs, io_covered);
    mem_free(path);
    return rc;
}

int hint_read_alone(struct fs *fs, const char *path, uint64_t *io_covered, datafile_visit_fn visit,
                    void *ctx, struct diag *diag)
{
    struct hint_reader reader = {.path = path, .visit = visit, .ctx = ctx, .diag = diag};
    return read_hint(&reader, fs, io_covered);
}
