/* SPDX-License-Identifier: Apache-2.0 */
/* Hints: what one says is what the file says, or it says nothing. */
#include "bitcask/hint.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/simdisk.h"

#define HINT_PATH "/00017.hint"
#define TEMP_PATH "/00017.hint.tmp"

static const struct datafile_header header = {.shard = 3, .id = 17, .uid = 0x1122334455667788};

/* ---- A file that is written by hand, and its hint ---- */

#define MAX_RECORDS 64

struct fixture {
    struct simdisk *disk;
    struct fs *fs;
    struct datafile *df;
    struct buf bytes; /* of the file */
    struct record records[MAX_RECORDS];
    uint64_t offs[MAX_RECORDS];
    size_t count;
    size_t told; /* by the hint that is being read */
};

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.disk = simdisk_new(1), .df = datafile_new("", &header)};
    fixture->fs = simdisk_fs(fixture->disk);
    datafile_header_encode(&header, &fixture->bytes);
}

static void fixture_fini(struct fixture *fixture)
{
    datafile_unref(fixture->df);
    simdisk_free(fixture->disk);
    buf_fini(&fixture->bytes);
}

static void add(struct fixture *fixture, struct record record)
{
    assert_true(fixture->count < MAX_RECORDS);
    const struct record_place place = {.uid = header.uid, .off = fixture->bytes.len};
    fixture->records[fixture->count] = record;
    fixture->offs[fixture->count++] = place.off;
    record_encode(&record, place, &fixture->bytes);
}

/* Ends at a block, as a mark does; where that is. */
static uint64_t add_pad(struct fixture *fixture)
{
    uint64_t off = fixture->bytes.len;
    record_encode(&(struct record){.kind = RECORD_PAD, .pad_size = record_pad_size(off)},
                  (struct record_place){.uid = header.uid, .off = off}, &fixture->bytes);
    return fixture->bytes.len;
}

static void write_file(struct fs *fs, const char *path, struct slice bytes)
{
    struct file *file;
    size_t done;
    assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(file_truncate(file, 0), 0);
    assert_int_equal(file_write_full(file, bytes.data, bytes.len, 0, &done), 0);
    file_unref(file);
}

static struct buf read_file(struct fs *fs, const char *path)
{
    struct file *file;
    uint64_t size;
    struct buf bytes = {0};
    assert_int_equal(fs_open(fs, path, FS_READ, &file), 0);
    assert_int_equal(file_size(file, &size), 0);
    assert_int_equal(file_read_full(file, buf_extend(&bytes, size), size, 0), 0);
    file_unref(file);
    return bytes;
}

static void fixture_open(struct fixture *fixture)
{
    struct diag diag = {.text = ""};
    write_file(fixture->fs, "/00017.log", buf_slice(&fixture->bytes));
    assert_int_equal(datafile_open(fixture->df, fixture->fs, FS_READ, &diag), 0);
}

static void must_write(struct fixture *fixture, uint64_t covered)
{
    struct diag diag = {.text = ""};
    if (hint_write(fixture->fs, fixture->df, covered, &diag) != 0)
        fail_msg("%s", diag.text);
}

static const struct record kinds[] = {
    {.kind = RECORD_PUT,
     .type = 1,
     .position = 0x10000,
     .key = {(const uint8_t *)"key", 3},
     .value = {(const uint8_t *)"value", 5}},
    {.kind = RECORD_PUT, .position = 0x10001},
    {.kind = RECORD_PUT,
     .type = 0xc1,
     .position = UINT64_MAX,
     .revision = UINT32_MAX,
     .db_id = UINT16_MAX,
     .expire_at_ms = UINT64_MAX,
     .key = {(const uint8_t *)"k", 1}},
    {.kind = RECORD_PUT,
     .type = 2,
     .promotion = 2,
     .db_id = 4,
     .revision = 3,
     .position = 0x30002,
     .expire_at_ms = 1,
     .collection = {.position = 0x20001, .counter = 5},
     .key = {(const uint8_t *)"field", 5},
     .value = {(const uint8_t *)"member value", 12}},
    {.kind = RECORD_TOMBSTONE,
     .db_id = 1,
     .position = 0x40000,
     .collection = {.position = 0, .counter = 7},
     .key = {(const uint8_t *)"field", 5}},
    {.kind = RECORD_TOMBSTONE, .position = 0x50000, .key = {(const uint8_t *)"key", 3}},
    {.kind = RECORD_FLUSH, .db_id = 4, .position = 0x60000, .revision = 1},
};

static void add_all_kinds(struct fixture *fixture)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        add(fixture, kinds[i]);
}

static int expect_next(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct fixture *fixture = ctx;
    assert_true(fixture->told < fixture->count);
    const struct record *want = &fixture->records[fixture->told];
    assert_true(off == fixture->offs[fixture->told]);
    assert_int_equal(size, record_size(want));
    assert_int_equal(record->kind, want->kind);
    assert_int_equal(record->type, want->type);
    assert_int_equal(record->promotion, want->promotion);
    assert_int_equal(record->db_id, want->db_id);
    assert_int_equal(record->revision, want->revision);
    assert_true(record->position == want->position);
    assert_true(record->expire_at_ms == want->expire_at_ms);
    assert_true(record->collection.position == want->collection.position);
    assert_int_equal(record->collection.counter, want->collection.counter);
    assert_true(slice_eq(record->key, want->key));
    assert_int_equal(record->value.len, want->value.len);
    assert_null(record->value.data);
    fixture->told++;
    return 0;
}

/* Reads the hint; what it tells must be the records from the first on. */
static int read_hint(struct fixture *fixture, uint64_t length, uint64_t *out_covered)
{
    struct diag diag = {.text = ""};
    fixture->told = 0;
    *out_covered = length;
    int rc = hint_read(fixture->fs, fixture->df, out_covered, expect_next, fixture, &diag);
    assert_true(rc == 0 || rc == ERR_NOT_FOUND || strstr(diag.text, "00017.hint") != NULL);
    return rc;
}

static void a_hint_tells_every_kind_of_record(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t covered;
    fixture_init(&fixture);
    add_all_kinds(&fixture);
    uint64_t middle = add_pad(&fixture);
    add_all_kinds(&fixture);
    uint64_t end = add_pad(&fixture);
    fixture_open(&fixture);
    assert_int_equal(read_hint(&fixture, end, &covered), ERR_NOT_FOUND);
    must_write(&fixture, end);
    assert_int_equal(read_hint(&fixture, end, &covered), 0);
    assert_true(covered == end);
    assert_int_equal(fixture.told, fixture.count);
    assert_int_equal(fs_unlink(fixture.fs, TEMP_PATH), -ENOENT);

    /* Entries behind the length that counts are ignored (R1.4). */
    assert_int_equal(read_hint(&fixture, middle, &covered), 0);
    assert_true(covered == middle);
    assert_int_equal(fixture.told, fixture.count / 2);
    assert_int_equal(read_hint(&fixture, DATAFILE_HEADER_SIZE, &covered), 0);
    assert_true(covered == DATAFILE_HEADER_SIZE);
    assert_int_equal(fixture.told, 0);

    /* A shorter one takes its place; the rest is to be scanned. */
    must_write(&fixture, middle);
    assert_int_equal(read_hint(&fixture, end, &covered), 0);
    assert_true(covered == middle);
    assert_int_equal(fixture.told, fixture.count / 2);
    fixture_fini(&fixture);
}

/* Keys of every size, so that entries end before, at and behind the end of a block. */
static void a_hint_has_as_many_blocks_as_it_takes(void **state)
{
    (void)state;
    uint8_t *key = mem_calloc(1, RECORD_MAX_KEY);
    for (size_t step = 1; step < 4; step++) {
        struct fixture fixture;
        uint64_t covered;
        fixture_init(&fixture);
        for (size_t i = 0; i < 30; i++)
            add(&fixture, (struct record){.kind = RECORD_PUT,
                                          .position = i + 1,
                                          .key = slice_of(key, RECORD_MAX_KEY - i * step * 300)});
        uint64_t end = add_pad(&fixture);
        fixture_open(&fixture);
        must_write(&fixture, end);
        struct fs_stat st;
        assert_int_equal(fs_stat(fixture.fs, HINT_PATH, &st), 0);
        assert_true(st.size > 3 * 256 * 1024);
        assert_int_equal(read_hint(&fixture, end, &covered), 0);
        assert_int_equal(fixture.told, 30);
        fixture_fini(&fixture);
    }
    mem_free(key);
}

static void a_file_without_records_has_a_hint_without_entries(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t covered;
    fixture_init(&fixture);
    fixture_open(&fixture);
    must_write(&fixture, DATAFILE_HEADER_SIZE);
    assert_int_equal(read_hint(&fixture, DATAFILE_HEADER_SIZE, &covered), 0);
    assert_true(covered == DATAFILE_HEADER_SIZE);
    assert_int_equal(fixture.told, 0);
    fixture_fini(&fixture);
}

/* ---- Format ---- */

static void put_block(struct buf *to, const uint8_t *payload, size_t size, uint32_t count)
{
    uint64_t off = to->len;
    uint8_t *at = buf_extend(to, 16 + size);
    put_u32(at + 8, (uint32_t)size);
    put_u32(at + 12, count);
    memcpy(at + 16, payload, size);
    put_u64(at, hash_check(slice_of(at + 8, 8 + size)) ^ hash_mix(header.uid, off));
}

/* Files outlive programs: these bytes may never change. */
static void the_format_is_frozen(void **state)
{
    (void)state;
    static const uint8_t front[56] = {'F',  'e',  'r', 'r',  'H',  'i',  'n',  't',  1,    0,
                                      0,    0,    3,   0,    0,    0,    17,   0,    0,    0,
                                      0,    0,    0,   0,    0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
                                      0x22, 0x11, 0,   0x20, 0,    0,    0,    0,    0,    0};
    static const uint8_t entries[] = {/* off, value length, position, revision */
                                      0x00, 0x10, 0, 0, 12, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 3, 0,
                                      0, 0,
                                      /* kind, type, flags, promotion, database, key length */
                                      1, 2, 3, 1, 4, 0, 5, 0,
                                      /* expiry, collection, key */
                                      0, 0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 5,
                                      0, 0, 0, 'f', 'i', 'e', 'l', 'd',
                                      /* the second one */
                                      0x45, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0, 2, 0, 0, 0, 0, 0, 1, 0, 'k'};
    static const uint8_t end[8] = {2};
    struct fixture fixture;
    fixture_init(&fixture);
    add(&fixture, (struct record){.kind = RECORD_PUT,
                                  .type = 2,
                                  .promotion = 1,
                                  .db_id = 4,
                                  .revision = 3,
                                  .position = 0x30002,
                                  .expire_at_ms = 1700000000000,
                                  .collection = {.position = 0x20001, .counter = 5},
                                  .key = SLICE_LIT("field"),
                                  .value = SLICE_LIT("member value")});
    add(&fixture,
        (struct record){.kind = RECORD_TOMBSTONE, .position = 0x40000, .key = SLICE_LIT("k")});
    fixture_open(&fixture);
    assert_int_equal(add_pad(&fixture), 8192);
    write_file(fixture.fs, "/00017.log", buf_slice(&fixture.bytes));
    must_write(&fixture, 8192);
    struct buf want = {0};
    buf_append(&want, front, sizeof(front));
    put_u64(buf_extend(&want, 8), hash_check(buf_slice(&want)));
    put_u64(want.data + 56, hash_check(slice_of(want.data, 56)));
    put_block(&want, entries, sizeof(entries), 2);
    put_block(&want, end, sizeof(end), 0);
    struct buf got = read_file(fixture.fs, HINT_PATH);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_fini(&got);
    buf_fini(&want);
    fixture_fini(&fixture);
}

/* ---- Damage ---- */

static struct fixture *hinted_fixture(void)
{
    struct fixture *fixture = mem_calloc(1, sizeof(*fixture));
    fixture_init(fixture);
    add_all_kinds(fixture);
    uint64_t end = add_pad(fixture);
    fixture_open(fixture);
    must_write(fixture, end);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    fixture_fini(fixture);
    mem_free(fixture);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct fixture *fixture = hinted_fixture();
    struct buf bytes = read_file(fixture->fs, HINT_PATH);
    uint64_t covered;
    for (size_t off = 0; off < bytes.len; off++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t mask = (uint8_t)(1u << bit);
            assert_true(simdisk_corrupt(fixture->disk, HINT_PATH, off, mask));
            assert_int_equal(read_hint(fixture, fixture->bytes.len, &covered), ERR_CORRUPT);
            assert_true(simdisk_corrupt(fixture->disk, HINT_PATH, off, mask));
        }
    }
    assert_int_equal(read_hint(fixture, fixture->bytes.len, &covered), 0);
    buf_fini(&bytes);
    fixture_free(fixture);
}

static void a_hint_that_is_cut_or_goes_on_is_not_whole(void **state)
{
    (void)state;
    struct fixture *fixture = hinted_fixture();
    struct buf bytes = read_file(fixture->fs, HINT_PATH);
    uint64_t covered;
    for (size_t len = 0; len < bytes.len; len++) {
        write_file(fixture->fs, HINT_PATH, slice_of(bytes.data, len));
        assert_int_equal(read_hint(fixture, fixture->bytes.len, &covered), ERR_CORRUPT);
    }
    write_file(fixture->fs, HINT_PATH, buf_slice(&bytes));
    assert_int_equal(read_hint(fixture, fixture->bytes.len, &covered), 0);
    buf_append_byte(&bytes, 0);
    write_file(fixture->fs, HINT_PATH, buf_slice(&bytes));
    assert_int_equal(read_hint(fixture, fixture->bytes.len, &covered), ERR_CORRUPT);
    buf_fini(&bytes);
    fixture_free(fixture);
}

/* A hint whose bytes are right is still another file's, if it says so (R1.4). */
static void the_hint_of_another_file_is_not_believed(void **state)
{
    (void)state;
    struct fixture *fixture = hinted_fixture();
    struct datafile_header others[] = {header, header, header};
    others[0].uid ^= 1;
    others[1].shard++;
    others[2].id++;
    struct buf bytes = read_file(fixture->fs, HINT_PATH);
    write_file(fixture->fs, "/00018.hint", buf_slice(&bytes));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        struct datafile *df = datafile_new("", &others[i]);
        struct diag diag = {.text = ""};
        uint64_t covered = fixture->bytes.len;
        assert_int_equal(hint_read(fixture->fs, df, &covered, expect_next, fixture, &diag),
                         ERR_CORRUPT);
        assert_non_null(strstr(diag.text, "belongs to another file"));
        assert_int_equal(fixture->told, 0);
        datafile_unref(df);
    }
    buf_fini(&bytes);
    fixture_free(fixture);
}

/* The hint with the byte at `off` changed and the checks of header and first block right. */
static int read_changed(struct fixture *fixture, size_t off, uint8_t mask)
{
    struct buf bytes = read_file(fixture->fs, HINT_PATH);
    uint64_t covered = fixture->bytes.len;
    bytes.data[off] ^= mask;
    put_u64(bytes.data + 56, hash_check(slice_of(bytes.data, 56)));
    size_t size = 16 + get_u32(bytes.data + 64 + 8);
    if (64 + size <= bytes.len)
        put_u64(bytes.data + 64,
                hash_check(slice_of(bytes.data + 72, size - 8)) ^ hash_mix(header.uid, 64));
    struct buf before = read_file(fixture->fs, HINT_PATH);
    write_file(fixture->fs, HINT_PATH, buf_slice(&bytes));
    struct diag diag = {.text = ""};
    fixture->told = 0;
    int rc = hint_read(fixture->fs, fixture->df, &covered, expect_next, fixture, &diag);
    write_file(fixture->fs, HINT_PATH, buf_slice(&before));
    buf_fini(&before);
    buf_fini(&bytes);
    return rc;
}

static void what_makes_no_sense_is_corrupt_though_its_check_is_right(void **state)
{
    (void)state;
    struct fixture *fixture = hinted_fixture();
    assert_int_equal(read_changed(fixture, 0, 0), 0);
    assert_int_equal(read_changed(fixture, 3, 1), ERR_CORRUPT);         /* magic */
    assert_int_equal(read_changed(fixture, 8, 3), ERR_VERSION);         /* version */
    assert_int_equal(read_changed(fixture, 20, 1), ERR_CORRUPT);        /* reserved */
    assert_int_equal(read_changed(fixture, 33, 0x20), ERR_CORRUPT);     /* covers nothing */
    assert_int_equal(read_changed(fixture, 32, 1), ERR_CORRUPT);        /* covers half a block */
    assert_int_equal(read_changed(fixture, 50, 1), ERR_CORRUPT);        /* reserved */
    assert_int_equal(read_changed(fixture, 64 + 11, 1), ERR_CORRUPT);   /* a block of 16 MiB */
    assert_int_equal(read_changed(fixture, 64 + 12, 1), ERR_CORRUPT);   /* one entry less or more */
    assert_int_equal(read_changed(fixture, 80 + 1, 0x10), ERR_CORRUPT); /* before the records */
    assert_int_equal(read_changed(fixture, 80 + 3, 0x80), ERR_CORRUPT); /* behind all of them */
    assert_int_equal(read_changed(fixture, 80 + 6, 1), ERR_CORRUPT);    /* over the next one */
    assert_int_equal(read_changed(fixture, 80 + 20, 5), ERR_CORRUPT);   /* a PAD */
    assert_int_equal(read_changed(fixture, 80 + 22, 0x80), ERR_CORRUPT); /* an unknown flag */
    assert_int_equal(read_changed(fixture, 80 + 27, 0x80), ERR_CORRUPT); /* a key over the end */
    fixture_free(fixture);
}

static void the_hint_of_a_damaged_file_is_not_written(void **state)
{
    (void)state;
    struct fixture *fixture = hinted_fixture();
    struct buf before = read_file(fixture->fs, HINT_PATH);
    struct diag diag = {.text = ""};
    assert_true(simdisk_corrupt(fixture->disk, "/00017.log", fixture->offs[3] + 40, 4));
    assert_int_equal(hint_write(fixture->fs, fixture->df, fixture->bytes.len, &diag), ERR_CORRUPT);
    assert_non_null(strstr(diag.text, "00017.log: the record at offset"));
    struct buf after = read_file(fixture->fs, HINT_PATH);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    assert_int_equal(fs_unlink(fixture->fs, TEMP_PATH), -ENOENT);
    buf_fini(&before);
    buf_fini(&after);
    fixture_free(fixture);
}

/* ---- Faults ---- */

static uint64_t write_with_fault(unsigned op, int error, uint64_t n, bool has_old)
{
    struct fixture fixture;
    uint64_t covered;
    fixture_init(&fixture);
    add_all_kinds(&fixture);
    uint64_t middle = add_pad(&fixture);
    add_all_kinds(&fixture);
    uint64_t end = add_pad(&fixture);
    fixture_open(&fixture);
    if (has_old)
        must_write(&fixture, middle);
    uint64_t before = simdisk_count(fixture.disk, op, NULL);
    if (n > 0)
        simdisk_fail_nth(fixture.disk, op, NULL, n, error);
    struct diag diag = {.text = ""};
    int rc = hint_write(fixture.fs, fixture.df, end, &diag);
    uint64_t count = simdisk_count(fixture.disk, op, NULL) - before;
    assert_true(n == 0 || simdisk_fault_fired(fixture.disk));
    assert_int_equal(rc, n == 0 ? 0 : error);
    assert_true(rc == 0 || diag.text[0] != '\0');
    /* The new one, or what was there before. */
    int read = read_hint(&fixture, end, &covered);
    assert_int_equal(read, rc == 0 || has_old ? 0 : ERR_NOT_FOUND);
    assert_true(read != 0 || covered == (rc == 0 ? end : middle));
    if (op != SIM_UNLINK)
        assert_int_equal(fs_unlink(fixture.fs, TEMP_PATH), -ENOENT);
    must_write(&fixture, end);
    assert_int_equal(read_hint(&fixture, end, &covered), 0);
    fixture_fini(&fixture);
    return count;
}

static void a_hint_that_cannot_be_written_leaves_what_was_there(void **state)
{
    (void)state;
    static const struct {
        unsigned op;
        int error;
    } faults[] = {{SIM_OPEN, -EMFILE}, {SIM_READ, -EIO},   {SIM_WRITE, -EIO}, {SIM_WRITE, -ENOSPC},
                  {SIM_WRITE, 0},      {SIM_UNLINK, -EIO}, {SIM_SYNC, -EIO},  {SIM_RENAME, -EIO}};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        uint64_t count = write_with_fault(faults[i].op, faults[i].error, 0, true);
        assert_true(count > 0);
        for (uint64_t n = 1; n <= count; n++) {
            write_with_fault(faults[i].op, faults[i].error, n, true);
            write_with_fault(faults[i].op, faults[i].error, n, false);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_tells_every_kind_of_record),
        cmocka_unit_test(a_hint_has_as_many_blocks_as_it_takes),
        cmocka_unit_test(a_file_without_records_has_a_hint_without_entries),
        cmocka_unit_test(the_format_is_frozen),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_hint_that_is_cut_or_goes_on_is_not_whole),
        cmocka_unit_test(the_hint_of_another_file_is_not_believed),
        cmocka_unit_test(what_makes_no_sense_is_corrupt_though_its_check_is_right),
        cmocka_unit_test(the_hint_of_a_damaged_file_is_not_written),
        cmocka_unit_test(a_hint_that_cannot_be_written_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
