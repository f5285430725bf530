/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/datafile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bitcask/cursor.h"
#include "bitcask/datafile_internal.h"

/* A file is a header block and records back to back. Nothing in it says how long it is: that is
 * the manifest's knowledge (R1), so a scan is told where to end, and everything before that must be
 * a record. Both readers, the scan and the read of one value, take large pieces and judge them by
 * record_decode alone; when it says that bytes are missing they bring as many as the record claims,
 * after holding the claim against what the file can have. */

#define DATAFILE_VERSION 1

enum { AT_MAGIC = 0, AT_VERSION = 8, AT_SHARD = 12, AT_ID = 16, AT_UID = 24, AT_ZERO = 32 };
#define AT_HEADER_CHECK (DATAFILE_HEADER_SIZE - 8)

static const uint8_t header_magic[8] = {'F', 'e', 'r', 'r', 'D', 'a', 't', 'a'};

/* ---- Header ---- */

void datafile_header_encode(const struct datafile_header *header, struct buf *to)
{
    uint8_t *at = buf_extend(to, DATAFILE_HEADER_SIZE);
    memset(at, 0, DATAFILE_HEADER_SIZE);
    memcpy(at + AT_MAGIC, header_magic, sizeof(header_magic));
    put_u32(at + AT_VERSION, DATAFILE_VERSION);
    put_u32(at + AT_SHARD, header->shard);
    put_u32(at + AT_ID, header->id);
    put_u64(at + AT_UID, header->uid);
    put_u64(at + AT_HEADER_CHECK, hash_check(slice_of(at, AT_HEADER_CHECK)));
}

bool datafile_is_one(struct slice bytes)
{
    return bytes.len >= sizeof(header_magic) &&
           memcmp(bytes.data, header_magic, sizeof(header_magic)) == 0;
}

int datafile_header_decode(struct slice block, struct datafile_header *out_header)
{
    if (block.len != DATAFILE_HEADER_SIZE)
        return ERR_CORRUPT;
    const uint8_t *at = block.data;
    if (get_u64(at + AT_HEADER_CHECK) != hash_check(slice_of(at, AT_HEADER_CHECK)) ||
        !datafile_is_one(block))
        return ERR_CORRUPT;
    if (get_u32(at + AT_VERSION) != DATAFILE_VERSION)
        return ERR_VERSION;
    if (get_u32(at + AT_ID + 4) != 0 || !bytes_are_zero(at + AT_ZERO, AT_HEADER_CHECK - AT_ZERO))
        return ERR_CORRUPT;
    *out_header = (struct datafile_header){
        .shard = get_u32(at + AT_SHARD), .id = get_u32(at + AT_ID), .uid = get_u64(at + AT_UID)};
    return 0;
}

/* ---- Life ---- */

char *datafile_path(const char *dir, uint32_t id, const char *suffix)
{
    struct buf path = {0};
    buf_append_format(&path, "%s/%05" PRIu32 "%s", dir, id, suffix);
    buf_append_byte(&path, 0);
    return (char *)buf_take(&path).data;
}

struct datafile *datafile_new(const char *dir, const struct datafile_header *header)
{
    struct datafile *df = mem_calloc(1, sizeof(*df));
    df->ref_count = 1;
    df->id = header->id;
    df->shard = header->shard;
    df->uid = header->uid;
    df->lowest_index = UINT64_MAX;
    df->path = datafile_path(dir, header->id, DATAFILE_SUFFIX);
    return df;
}

int datafile_create(struct datafile *df, struct fs *fs)
{
    ASSERT(df->file == NULL);
    return fs_open(fs, df->path, FS_WRITE | FS_CREATE | FS_EXCL, &df->file);
}

static int check_header(const struct datafile *df, struct slice block, struct diag *diag)
{
    struct datafile_header header;
    int rc = datafile_header_decode(block, &header);
    if (rc == ERR_VERSION)
        return diag_set(diag, rc, "%s: written by another version of this program", df->path);
    if (rc != 0)
        return diag_set(diag, rc, "%s: the file header at offset 0 is corrupt", df->path);
    if (header.id != df->id || header.shard != df->shard || header.uid != df->uid)
        return diag_set(diag, ERR_CORRUPT,
                        "%s: the file header at offset 0 belongs to another file (shard %" PRIu32
                        ", id %" PRIu32 ", uid %016" PRIx64 "; expected %" PRIu32 ", %" PRIu32
                        ", %016" PRIx64 ")",
                        df->path, header.shard, header.id, header.uid, df->shard, df->id, df->uid);
    return 0;
}

int datafile_read_piece(const struct datafile *df, void *to, size_t size, uint64_t off,
                        struct diag *diag)
{
    int rc = file_read_full(df->file, to, size, off);
    if (rc == ERR_TORN)
        return diag_set(diag, ERR_CORRUPT,
                        "%s: the file ends inside the %zu bytes at offset %" PRIu64
                        " that it must have",
                        df->path, size, off);
    if (rc != 0)
        return diag_set(diag, rc, "%s: cannot read at offset %" PRIu64 ": %s", df->path, off,
                        err_text(rc));
    return 0;
}

int datafile_open(struct datafile *df, struct fs *fs, unsigned flags, struct diag *diag)
{
    ASSERT(df->file == NULL);
    int rc = fs_open(fs, df->path, flags, &df->file);
    if (rc != 0)
        return diag_set(diag, rc, "%s: cannot open: %s", df->path, err_text(rc));
    uint8_t *block = mem_alloc(DATAFILE_HEADER_SIZE);
    rc = datafile_read_piece(df, block, DATAFILE_HEADER_SIZE, 0, diag);
    if (rc == 0)
        rc = check_header(df, slice_of(block, DATAFILE_HEADER_SIZE), diag);
    mem_free(block);
    return rc;
}

struct datafile *datafile_ref(struct datafile *df)
{
    uint32_t before = atomic_fetch_add_explicit(&df->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return df;
}

void datafile_unref(struct datafile *df)
{
    if (df == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&df->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    file_unref(df->file);
    mem_free(df->path);
    mem_free(df);
}

/* ---- Reading ---- */

int datafile_corrupt_at(const struct datafile *df, uint64_t off, struct diag *diag)
{
    return diag_set(diag, ERR_CORRUPT, "%s: the record at offset %" PRIu64 " is corrupt", df->path,
                    off);
}

/* Fills to[have, want) with what lies at off + have. */
static int read_more(const struct datafile *df, const struct datafile_query *query, uint8_t *to,
                     size_t have, size_t want, struct diag *diag)
{
    uint64_t off = query->off + have;
    if (!query->no_wait)
        return datafile_read_piece(df, to + have, want - have, off, diag);
    ssize_t n = file_pread_nowait(df->file, to + have, want - have, off);
    if (n == -EOPNOTSUPP || (n >= 0 && (size_t)n < want - have))
        return -EAGAIN;
    if (n < 0 && n != -EAGAIN)
        return diag_set(diag, (int)n, "%s: cannot read at offset %" PRIu64 ": %s", df->path, off,
                        err_text((int)n));
    return n < 0 ? -EAGAIN : 0;
}

/* Brings the whole record behind out->len, without raising it, and decodes it there. */
static int fetch_record(const struct datafile *df, const struct datafile_query *query,
                        uint64_t room, struct buf *out, struct record *out_record,
                        struct diag *diag)
{
    const struct record_place place = {.uid = df->uid, .off = query->off};
    size_t want = RECORD_MAX_HEADER + query->key.len + query->value_size;
    size_t have = 0;
    for (;;) {
        if (want > room)
            want = (size_t)room;
        if (buf_try_reserve(out, want) != 0)
            return diag_set(diag, -ENOMEM, "%s: no memory for the record at offset %" PRIu64,
                            df->path, query->off);
        uint8_t *at = out->data + out->len;
        int rc = read_more(df, query, at, have, want, diag);
        if (rc != 0)
            return rc;
        have = want;
        rc = record_decode(slice_of(at, have), place, out_record, &want);
        if (rc != ERR_TORN)
            return rc == 0 ? 0 : datafile_corrupt_at(df, query->off, diag);
        if (want <= have || want > room) /* claims what the file cannot have */
            return datafile_corrupt_at(df, query->off, diag);
    }
}

int datafile_read_value(struct datafile *df, const struct datafile_query *query,
                        struct buf *out_value, struct diag *diag)
{
    uint64_t written_off = atomic_load_explicit(&df->written_off, memory_order_acquire);
    ASSERT(query->off >= DATAFILE_HEADER_SIZE && query->off < written_off); /* B4 */
    ASSERT(query->value_size <= RECORD_MAX_VALUE);
    struct record record = {0};
    int rc = fetch_record(df, query, written_off - query->off, out_value, &record, diag);
    if (rc != 0)
        return rc;
    if (record.kind != RECORD_PUT || record.db_id != query->db_id ||
        !slice_eq(record.key, query->key))
        return diag_set(diag, ERR_MISMATCH,
                        "%s: the record at offset %" PRIu64 " is not that of the key", df->path,
                        query->off);
    if (record.value.len > 0)
        memmove(out_value->data + out_value->len, record.value.data, record.value.len);
    out_value->len += record.value.len;
    return 0;
}

/* ---- Scanning ---- */

int datafile_scan(struct datafile *df, struct datafile_range range, datafile_visit_fn visit,
                  void *ctx, struct diag *diag)
{
    struct datafile_cursor cursor;
    datafile_cursor_init(&cursor, df, range.from, range.end);
    int rc = 0;
    while (rc == 0 && !datafile_cursor_is_at_end(&cursor)) {
        struct datafile_cursor_record at;
        rc = datafile_cursor_next(&cursor, &at, diag);
        if (rc == 0 && at.record.kind != RECORD_PAD)
            rc = visit(ctx, &at.record, at.off, at.bytes.len);
    }
    datafile_cursor_fini(&cursor);
    return rc;
}
