/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a data file. Opened as a file of a manifest, and scanned to every length
 * that its records end at; with the checks as they are, and with those of the header and of the
 * records set right as far as the bytes make sense. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bitcask/datafile.h"
#include "support/fuzz.h"
#include "support/simdisk.h"

#define MAX_SIZE  (64u * 1024)
#define CHECK_OFF (DATAFILE_HEADER_SIZE - 8)

static const struct datafile_header header = {.shard = 3, .id = 17, .uid = 0x1122334455667788};

struct scan {
    struct datafile *df;
    uint64_t end;
};

static int on_record(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct scan *scan = ctx;
    ASSERT(off >= scan->end && size == record_size(record));
    scan->end = off + size;
    if (record->kind != RECORD_PUT)
        return 0;
    /* What a scan finds can be read by its place. */
    const struct datafile_query query = {
        .off = off, .key = record->key, .value_size = record->value.len, .db_id = record->db_id};
    struct buf value = {0};
    struct diag diag;
    ASSERT(datafile_read_value(scan->df, &query, &value, &diag) == 0);
    ASSERT(slice_eq(buf_slice(&value), record->value));
    buf_fini(&value);
    return 0;
}

static void open_and_scan(const uint8_t *data, size_t size)
{
    struct simdisk *disk = simdisk_new(1);
    struct datafile *df = datafile_new("", &header);
    struct diag diag = {{0}};
    size_t done;
    ASSERT(datafile_create(df, simdisk_fs(disk)) == 0);
    ASSERT(file_write_full(df->file, data, size, 0, &done) == 0);
    file_unref(df->file);
    df->file = NULL;
    int rc = datafile_open(df, simdisk_fs(disk), FS_READ, &diag);
    if (rc == 0) {
        atomic_store(&df->written_off, size);
        struct scan scan = {.df = df, .end = DATAFILE_HEADER_SIZE};
        rc = datafile_scan(df, (struct datafile_range){.from = DATAFILE_HEADER_SIZE, .end = size},
                           on_record, &scan, &diag);
    }
    ASSERT(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
    ASSERT(rc == 0 || diag.text[0] != '\0');
    datafile_unref(df);
    simdisk_free(disk);
}

/* Makes the checks right, so that more than the first one is ever reached. */
static void seal(uint8_t *data, size_t size)
{
    put_u64(data + CHECK_OFF, hash_check(slice_of(data, CHECK_OFF)));
    uint64_t off = DATAFILE_HEADER_SIZE;
    while (size - off >= RECORD_FIXED_SIZE) {
        struct record record;
        size_t claimed;
        struct slice fixed = slice_of(data + off, RECORD_FIXED_SIZE);
        const struct record_place place = {.uid = header.uid, .off = off};
        int rc = record_decode(fixed, place, &record, &claimed);
        if (rc != ERR_TORN)
            claimed = RECORD_FIXED_SIZE;
        if (claimed > size - off)
            return;
        put_u64(data + off,
                hash_check(slice_of(data + off + 8, claimed - 8)) ^ hash_mix(place.uid, place.off));
        off += claimed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < DATAFILE_HEADER_SIZE || size > MAX_SIZE)
        return 0;
    open_and_scan(data, size);
    uint8_t *copy = mem_dup(data, size);
    seal(copy, size);
    open_and_scan(copy, size);
    mem_free(copy);
    return 0;
}
