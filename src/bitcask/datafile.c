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

/* A file is a header block and records back to back. Nothing in it says how long it is: that is
 * the manifest's knowledge (R1), so a scan is told where to end, and everything before that must be
 * a record. Both readers, the scan and the read of one value, take large pieces and judge them by
 * record_decode alone; when it says that bytes are missing they bring as many as the record claims,
 * after holding the claim against what the file can have. */

#define DATAFILE_VERSION 1
#define SCAN_WINDOW      (1024u * 1024)

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

int datafile_header_decode(struct slice block, struct datafile_header *out_header)
{
    if (block.len != DATAFILE_HEADER_SIZE)
        return ERR_CORRUPT;
    const uint8_t *at = block.data;
    if (get_u64(at + AT_HEADER_CHECK) != hash_check(slice_of(at, AT_HEADER_CHECK)) ||
        memcmp(at + AT_MAGIC, header_magic, sizeof(header_magic)) != 0)
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

static char *path_of(const char *dir, uint32_t id)
{
    struct buf path = {0};
    buf_append_format(&path, "%s/%05" PRIu32 ".log", dir, id);
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
    df->path = path_of(dir, header->id);
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

/* Reads what must be there; a file that ends before is corrupt, not short. */
static int read_piece(const struct datafile *df, void *to, size_t size, uint64_t off,
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
    rc = read_piece(df, block, DATAFILE_HEADER_SIZE, 0, diag);
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

static int corrupt_at(const struct datafile *df, uint64_t off, struct diag *diag)
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
        return read_piece(df, to + have, want - have, off, diag);
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
            return rc == 0 ? 0 : corrupt_at(df, query->off, diag);
        if (want <= have || want > room) /* claims what the file cannot have */
            return corrupt_at(df, query->off, diag);
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

/* The part of the file that is in memory: [off, off + bytes.len). */
struct window {
    const struct datafile *df;
    uint64_t length; /* of the scan */
    uint64_t off;
    struct buf bytes;
};

/* Forgets what lies before `from` and reads on, so that at least `need` bytes from there are held
 * or all there are. */
static int window_advance(struct window *window, uint64_t from, size_t need, struct diag *diag)
{
    buf_drop_front(&window->bytes, (size_t)(from - window->off));
    window->off = from;
    size_t have = window->bytes.len;
    uint64_t left = window->length - from;
    size_t want = need > SCAN_WINDOW ? need : SCAN_WINDOW;
    if (want > left)
        want = (size_t)left;
    if (want <= have)
        return 0;
    if (buf_try_reserve(&window->bytes, want - have) != 0)
        return diag_set(diag, -ENOMEM, "%s: no memory for the record at offset %" PRIu64,
                        window->df->path, from);
    int rc = read_piece(window->df, window->bytes.data + have, want - have, from + have, diag);
    if (rc == 0)
        window->bytes.len = want;
    return rc;
}

/* Decodes the record at `off`, bringing it into the window as far as needed. */
static int window_decode(struct window *window, uint64_t off, struct record *out, size_t *out_size,
                         struct diag *diag)
{
    const struct record_place place = {.uid = window->df->uid, .off = off};
    for (;;) {
        size_t held = (size_t)(window->off + window->bytes.len - off);
        struct slice bytes = slice_of(window->bytes.data + (off - window->off), held);
        int rc = record_decode(bytes, place, out, out_size);
        if (rc != ERR_TORN)
            return rc == 0 ? 0 : corrupt_at(window->df, off, diag);
        if (held == window->length - off || *out_size > window->length - off)
            return corrupt_at(window->df, off, diag);
        rc = window_advance(window, off, *out_size, diag);
        if (rc != 0)
            return rc;
    }
}

int datafile_scan(struct datafile *df, uint64_t length, datafile_visit_fn visit, void *ctx,
                  struct diag *diag)
{
    ASSERT(length >= DATAFILE_HEADER_SIZE);
    uint64_t off = DATAFILE_HEADER_SIZE;
    struct window window = {.df = df, .length = length, .off = off};
    int rc = window_advance(&window, off, 0, diag);
    while (rc == 0 && off < length) {
        struct record record;
        size_t size;
        rc = window_decode(&window, off, &record, &size, diag);
        if (rc == 0 && record.kind != RECORD_PAD)
            rc = visit(ctx, &record, off, size);
        if (rc == 0)
            off += size;
    }
    buf_fini(&window.bytes);
    return rc;
}
