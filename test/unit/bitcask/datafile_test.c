/* SPDX-License-Identifier: Apache-2.0 */
/* One file: its header, reading one value, scanning all. */
#include "bitcask/datafile.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/simdisk.h"

static const struct datafile_header header = {.shard = 3, .id = 17, .uid = 0x1122334455667788};

/* ---- Header ---- */

static void the_header_is_frozen(void **state)
{
    (void)state;
    static const uint8_t front[32] = {'F', 'e', 'r',  'r',  'D',  'a',  't',  'a',  1,    0,   0,
                                      0,   3,   0,    0,    0,    17,   0,    0,    0,    0,   0,
                                      0,   0,   0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    static const uint8_t check[8] = {0xb0, 0x72, 0x02, 0x99, 0x63, 0x9a, 0x67, 0xb6};
    struct buf bytes = {0};
    datafile_header_encode(&header, &bytes);
    assert_int_equal(bytes.len, 4096);
    assert_memory_equal(bytes.data, front, sizeof(front));
    assert_true(bytes_are_zero(bytes.data + 32, 4088 - 32));
    assert_memory_equal(bytes.data + 4088, check, sizeof(check));
    struct datafile_header got;
    assert_int_equal(datafile_header_decode(buf_slice(&bytes), &got), 0);
    assert_int_equal(got.shard, header.shard);
    assert_int_equal(got.id, header.id);
    assert_true(got.uid == header.uid);
    buf_fini(&bytes);
}

static int decode_changed(size_t off, uint8_t mask, bool is_sealed)
{
    struct buf bytes = {0};
    datafile_header_encode(&header, &bytes);
    bytes.data[off] ^= mask;
    if (is_sealed)
        put_u64(bytes.data + 4088, hash_check(slice_of(bytes.data, 4088)));
    struct datafile_header got;
    int rc = datafile_header_decode(buf_slice(&bytes), &got);
    buf_fini(&bytes);
    return rc;
}

static void every_damaged_byte_of_a_header_is_found(void **state)
{
    (void)state;
    for (size_t off = 0; off < DATAFILE_HEADER_SIZE; off++)
        assert_int_equal(decode_changed(off, 0x20, false), ERR_CORRUPT);
    assert_int_equal(decode_changed(3, 1, true), ERR_CORRUPT);    /* magic */
    assert_int_equal(decode_changed(8, 3, true), ERR_VERSION);    /* version */
    assert_int_equal(decode_changed(20, 1, true), ERR_CORRUPT);   /* reserved */
    assert_int_equal(decode_changed(4000, 1, true), ERR_CORRUPT); /* reserved */
    struct buf bytes = {0};
    struct datafile_header got;
    datafile_header_encode(&header, &bytes);
    assert_int_equal(datafile_header_decode(slice_of(bytes.data, 4095), &got), ERR_CORRUPT);
    assert_int_equal(datafile_header_decode(SLICE_EMPTY, &got), ERR_CORRUPT);
    buf_fini(&bytes);
}

/* ---- A file that is written by hand ---- */

struct fixture {
    struct simdisk *disk;
    struct datafile *df;
    struct buf bytes;
};

static struct fixture fixture_new(void)
{
    struct fixture fixture = {.disk = simdisk_new(1), .df = datafile_new("", &header)};
    datafile_header_encode(&header, &fixture.bytes);
    return fixture;
}

static uint64_t add(struct fixture *fixture, struct record record)
{
    uint64_t off = fixture->bytes.len;
    struct record_place place = {.uid = header.uid, .off = off};
    record_encode(&record, place, &fixture->bytes);
    return off;
}

static uint64_t add_put(struct fixture *fixture, const char *key, struct slice value)
{
    return add(fixture, (struct record){.kind = RECORD_PUT,
                                        .db_id = 2,
                                        .position = 1 << 16,
                                        .key = slice_str(key),
                                        .value = value});
}

/* Writes the bytes and opens the file. */
static void fixture_open(struct fixture *fixture)
{
    struct fs *fs = simdisk_fs(fixture->disk);
    struct datafile *df = fixture->df;
    assert_int_equal(datafile_create(df, fs), 0);
    size_t done;
    assert_int_equal(file_write_full(df->file, fixture->bytes.data, fixture->bytes.len, 0, &done),
                     0);
    file_unref(df->file);
    df->file = NULL;
    struct diag diag;
    assert_int_equal(datafile_open(df, fs, FS_WRITE, &diag), 0);
    atomic_store(&df->written_off, fixture->bytes.len);
}

static void fixture_free(struct fixture *fixture)
{
    datafile_unref(fixture->df);
    buf_fini(&fixture->bytes);
    simdisk_free(fixture->disk);
}

struct answer {
    int rc;
    struct diag diag;
    struct buf value;
};

static struct answer read_value(struct fixture *fixture, struct datafile_query query)
{
    struct answer answer = {0};
    buf_append_str(&answer.value, "front:");
    answer.rc = datafile_read_value(fixture->df, &query, &answer.value, &answer.diag);
    /* On an error nothing is appended. */
    assert_true(answer.rc == 0 || answer.value.len == 6);
    assert_memory_equal(answer.value.data, "front:", 6);
    return answer;
}

static void assert_answer(struct answer answer, int rc, const char *text)
{
    assert_int_equal(answer.rc, rc);
    if (rc == 0)
        assert_true(slice_eq(slice_sub(buf_slice(&answer.value), 6, SIZE_MAX), slice_str(text)));
    else if (strstr(answer.diag.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", answer.diag.text, text);
    buf_fini(&answer.value);
}

/* ---- Reading one value ---- */

static void a_value_is_read_with_one_call_and_with_any_size_in_mind(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t first = add_put(&fixture, "one", SLICE_LIT("first value"));
    uint64_t empty = add_put(&fixture, "two", SLICE_EMPTY);
    struct record full = {.kind = RECORD_PUT,
                          .db_id = 2,
                          .position = 7,
                          .expire_at_ms = 99,
                          .collection = {5, 6},
                          .key = SLICE_LIT("three"),
                          .value = SLICE_LIT("last")};
    uint64_t last = add(&fixture, full);
    fixture_open(&fixture);
    struct datafile_query query = {.off = first, .key = SLICE_LIT("one"), .db_id = 2};
    uint64_t reads = simdisk_count(fixture.disk, SIM_READ, NULL);
    query.value_size = 11;
    assert_answer(read_value(&fixture, query), 0, "first value");
    assert_int_equal(simdisk_count(fixture.disk, SIM_READ, NULL), reads + 1);
    static const size_t wrong[] = {0, 1, 10, 12, 5000, RECORD_MAX_VALUE};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        query.value_size = wrong[i];
        assert_answer(read_value(&fixture, query), 0, "first value");
    }
    query = (struct datafile_query){.off = empty, .key = SLICE_LIT("two"), .db_id = 2};
    assert_answer(read_value(&fixture, query), 0, "");
    query = (struct datafile_query){
        .off = last, .key = SLICE_LIT("three"), .db_id = 2, .value_size = 4};
    assert_answer(read_value(&fixture, query), 0, "last");
    fixture_free(&fixture);
}

static void another_keys_value_is_never_returned(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t off = add_put(&fixture, "key", SLICE_LIT("value"));
    struct record tombstone = {
        .kind = RECORD_TOMBSTONE, .db_id = 2, .position = 1, .key = SLICE_LIT("key")};
    uint64_t dead = add(&fixture, tombstone);
    fixture_open(&fixture);
    struct datafile_query query = {.off = off, .key = SLICE_LIT("kez"), .db_id = 2};
    assert_answer(read_value(&fixture, query), ERR_MISMATCH, "offset 4096 is not that of the key");
    query = (struct datafile_query){.off = off, .key = SLICE_LIT("ke"), .db_id = 2};
    assert_answer(read_value(&fixture, query), ERR_MISMATCH, "not that");
    query = (struct datafile_query){.off = off, .key = SLICE_LIT("key"), .db_id = 3};
    assert_answer(read_value(&fixture, query), ERR_MISMATCH, "not that");
    query = (struct datafile_query){.off = dead, .key = SLICE_LIT("key"), .db_id = 2};
    assert_answer(read_value(&fixture, query), ERR_MISMATCH, "not that");
    /* The middle of a record is nobody's. */
    query = (struct datafile_query){.off = off + 1, .key = SLICE_LIT("key"), .db_id = 2};
    assert_answer(read_value(&fixture, query), ERR_CORRUPT, "00017.log: the record at offset 4097");
    fixture_free(&fixture);
}

static void every_damaged_byte_of_a_record_is_found_by_its_reader(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t off = add_put(&fixture, "key", SLICE_LIT("a value of some length"));
    uint64_t next = add_put(&fixture, "next", SLICE_LIT("value"));
    fixture_open(&fixture);
    struct datafile_query query = {
        .off = off, .key = SLICE_LIT("key"), .db_id = 2, .value_size = 22};
    for (uint64_t at = off; at < next; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            assert_true(simdisk_corrupt(fixture.disk, fixture.df->path, at, (uint8_t)(1 << bit)));
            assert_answer(read_value(&fixture, query), ERR_CORRUPT, "record at offset 4096");
            assert_true(simdisk_corrupt(fixture.disk, fixture.df->path, at, (uint8_t)(1 << bit)));
        }
    }
    assert_answer(read_value(&fixture, query), 0, "a value of some length");
    fixture_free(&fixture);
}

static void a_read_that_fails_says_where(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t off = add_put(&fixture, "key", SLICE_LIT("value"));
    fixture_open(&fixture);
    struct datafile_query query = {
        .off = off, .key = SLICE_LIT("key"), .db_id = 2, .value_size = 5};
    simdisk_fail_nth(fixture.disk, SIM_READ, NULL, 1, -EIO);
    assert_answer(read_value(&fixture, query), -EIO, "00017.log: cannot read at offset 4096");
    assert_answer(read_value(&fixture, query), 0, "value");
    assert_int_equal(file_truncate(fixture.df->file, fixture.bytes.len - 1), 0);
    assert_answer(read_value(&fixture, query), ERR_CORRUPT, "00017.log: the file ends inside");
    fixture_free(&fixture);
}

/* The simulated cache has a page only by chance, and may give a part of what is there. */
static void no_wait_gives_the_value_or_eagain(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t off = add_put(&fixture, "key", SLICE_LIT("value"));
    fixture_open(&fixture);
    struct datafile_query query = {
        .off = off, .key = SLICE_LIT("key"), .db_id = 2, .value_size = 5, .no_wait = true};
    int served = 0;
    int refused = 0;
    for (int i = 0; i < 1000; i++) {
        struct answer answer = read_value(&fixture, query);
        *(answer.rc == 0 ? &served : &refused) += 1;
        assert_answer(answer, answer.rc == 0 ? 0 : -EAGAIN, answer.rc == 0 ? "value" : "");
    }
    assert_true(served > 0);
    assert_true(refused > 0);
    simdisk_fail_nth(fixture.disk, SIM_READ, NULL, 1, -EIO);
    assert_answer(read_value(&fixture, query), -EIO, "cannot read");
    simdisk_fail_nth(fixture.disk, SIM_READ, NULL, 1, -EOPNOTSUPP);
    assert_answer(read_value(&fixture, query), -EAGAIN, "");
    fixture_free(&fixture);
}

/* ---- Scanning ---- */

struct tally {
    uint64_t next_off;
    size_t count;
    uint64_t value_bytes;
    int stop_with;
};

static int count_record(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct tally *tally = ctx;
    assert_true(off >= tally->next_off);
    assert_int_equal(size, record_size(record));
    assert_int_not_equal(record->kind, RECORD_PAD);
    tally->next_off = off + size;
    tally->count++;
    tally->value_bytes += record->value.len;
    return tally->stop_with;
}

static struct datafile_range upto(uint64_t end)
{
    return (struct datafile_range){.from = DATAFILE_HEADER_SIZE, .end = end};
}

/* Sizes around and beyond the window that a scan reads at a time. */
static void a_scan_meets_every_record_whatever_its_size(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    static uint8_t bytes[3u << 20];
    struct fixture fixture = fixture_new();
    size_t count = 0;
    uint64_t value_bytes = 0;
    while (fixture.bytes.len < (24u << 20)) {
        size_t max = random_below(&random, 12) == 0 ? sizeof(bytes) : 3000;
        size_t len = random_below(&random, max);
        add_put(&fixture, "key", slice_of(bytes, len));
        count++;
        value_bytes += len;
        uint64_t pad_size = record_pad_size(fixture.bytes.len);
        if (random_below(&random, 8) == 0 && pad_size > 0)
            add(&fixture, (struct record){.kind = RECORD_PAD, .pad_size = pad_size});
    }
    fixture_open(&fixture);
    struct tally tally = {0};
    struct diag diag;
    uint64_t length = fixture.bytes.len;
    assert_int_equal(datafile_scan(fixture.df, upto(length), count_record, &tally, &diag), 0);
    assert_int_equal(tally.count, count);
    assert_true(tally.value_bytes == value_bytes);
    tally = (struct tally){.stop_with = 5};
    assert_int_equal(datafile_scan(fixture.df, upto(length), count_record, &tally, &diag), 5);
    assert_int_equal(tally.count, 1);
    tally = (struct tally){0};
    assert_int_equal(
        datafile_scan(fixture.df, upto(DATAFILE_HEADER_SIZE), count_record, &tally, &diag), 0);
    assert_int_equal(tally.count, 0);
    fixture_free(&fixture);
}

static void a_length_that_no_record_ends_at_is_corruption(void **state)
{
    (void)state;
    struct fixture fixture = fixture_new();
    uint64_t first = add_put(&fixture, "one", SLICE_LIT("value"));
    uint64_t second = add_put(&fixture, "two", SLICE_LIT("value"));
    uint64_t end = fixture.bytes.len;
    fixture_open(&fixture);
    for (uint64_t length = first; length <= end; length++) {
        struct tally tally = {0};
        struct diag diag = {{0}};
        int rc = datafile_scan(fixture.df, upto(length), count_record, &tally, &diag);
        if (length == first || length == second || length == end) {
            assert_int_equal(rc, 0);
            continue;
        }
        assert_int_equal(rc, ERR_CORRUPT);
        assert_non_null(strstr(diag.text, length < second ? "offset 4096" : "offset 4136"));
    }
    struct tally tally = {0};
    struct diag diag;
    assert_int_equal(datafile_scan(fixture.df, upto(end + 1), count_record, &tally, &diag),
                     ERR_CORRUPT);
    fixture_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_frozen),
        cmocka_unit_test(every_damaged_byte_of_a_header_is_found),
        cmocka_unit_test(a_value_is_read_with_one_call_and_with_any_size_in_mind),
        cmocka_unit_test(another_keys_value_is_never_returned),
        cmocka_unit_test(every_damaged_byte_of_a_record_is_found_by_its_reader),
        cmocka_unit_test(a_read_that_fails_says_where),
        cmocka_unit_test(no_wait_gives_the_value_or_eagain),
        cmocka_unit_test(a_scan_meets_every_record_whatever_its_size),
        cmocka_unit_test(a_length_that_no_record_ends_at_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
