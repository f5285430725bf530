/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a hint: read as that of a file, to its whole length and to a shorter one;
 * with the checks as they are, and with those of the header and of the blocks set right as far as
 * the bytes make sense. What is told goes up, lies within the file, and is not told behind a
 * length.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "support/fuzz.h"
#include "support/simdisk.h"

#define MAX_SIZE     (64u * 1024)
#define HEADER_SIZE  64
#define BLOCK_HEADER 16

static const struct datafile_header header = {.shard = 3, .id = 17, .uid = 0x1122334455667788};

struct told {
    uint64_t end; /* of the record before */
    uint64_t length;
};

static int on_record(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct told *told = ctx;
    ASSERT(off >= told->end && size == record_size(record));
    ASSERT(off + size <= told->length);
    ASSERT(record->kind != RECORD_PAD && record->value.data == NULL);
    /* The bytes of the key are there. */
    uint8_t sum = 0;
    for (size_t i = 0; i < record->key.len; i++)
        sum ^= record->key.data[i];
    told->end = off + size + (sum & 0);
    return 0;
}

static void read_to(struct simdisk *disk, const struct datafile *df, uint64_t length)
{
    struct told told = {.end = DATAFILE_HEADER_SIZE, .length = length};
    struct diag diag = {.text = ""};
    uint64_t covered = length;
    int rc = hint_read(simdisk_fs(disk), df, &covered, on_record, &told, &diag);
    ASSERT(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
    ASSERT(rc == 0 || diag.text[0] != '\0');
    ASSERT(covered <= length);
    ASSERT(rc != 0 || told.end <= covered || told.end == DATAFILE_HEADER_SIZE);
}

static void read_all(const uint8_t *data, size_t size)
{
    struct simdisk *disk = simdisk_new(1);
    struct datafile *df = datafile_new("", &header);
    struct file *file = NULL;
    size_t done;
    ASSERT(fs_open(simdisk_fs(disk), "/00017" HINT_SUFFIX, FS_WRITE | FS_CREATE, &file) == 0);
    ASSERT(file_write_full(file, data, size, 0, &done) == 0);
    file_unref(file);
    read_to(disk, df, UINT64_MAX & ~(uint64_t)(DATAFILE_BLOCK - 1));
    read_to(disk, df, 2 * DATAFILE_BLOCK);
    datafile_unref(df);
    simdisk_free(disk);
}

/* Makes the checks right, so that more than the first one is ever reached. */
static void seal(uint8_t *data, size_t size)
{
    put_u64(data + HEADER_SIZE - 8, hash_check(slice_of(data, HEADER_SIZE - 8)));
    size_t off = HEADER_SIZE;
    while (size - off >= BLOCK_HEADER) {
        size_t claimed = BLOCK_HEADER + (size_t)get_u32(data + off + 8);
        if (claimed > size - off)
            return;
        put_u64(data + off,
                hash_check(slice_of(data + off + 8, claimed - 8)) ^ hash_mix(header.uid, off));
        off += claimed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER_SIZE || size > MAX_SIZE)
        return 0;
    read_all(data, size);
    uint8_t *copy = mem_dup(data, size);
    seal(copy, size);
    read_all(copy, size);
    mem_free(copy);
    return 0;
}
