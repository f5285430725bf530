/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a log whose segments hold what the input says, and reads it to the end: whatever stands on
 * a disk is decoded to an error or to entries, and trips no assertion.
 *
 * Input: a byte (the checkpoint's index), then blocks: u16, of which
 *     bits 0 .. 11  how many bytes follow; they begin the next 4 KiB of a segment
 *     bits 12 .. 13 which of four segments
 *     bit 14        another file's size, header or name is put wrong instead
 *     bit 15        the frame that they begin is given its epoch and its check
 */
#include "support/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "seglog/seglog.h"
#include "support/simdisk.h"

#define SEGMENTS     4
#define SEGMENT_SIZE (256U << 10)
#define EPOCH_BASE   1000

struct segment_image {
    uint8_t *bytes;
    size_t used;
    size_t size;
    uint64_t epoch;
};

static void seal(struct segment_image *image, size_t off)
{
    uint8_t *data = image->bytes + off;
    uint32_t size = get_u32(data + 8);
    if (size < FRAME_HEADER_SIZE || size > SEGMENT_SIZE - off)
        return;
    put_u64(data + 16, image->epoch);
    put_u64(data, hash_check(slice_of(data + 8, size - 8)) ^ hash_mix(image->epoch, off));
}

/* As src/seglog/README.md has it. */
static void put_segment_header(uint8_t *to, uint64_t number, uint64_t epoch)
{
    memcpy(to, "FERRICLG", 8);
    put_u32(to + 8, 1);
    put_u32(to + 12, SEGMENT_SIZE);
    put_u64(to + 16, 1);
    put_u64(to + 24, number);
    put_u64(to + 32, epoch);
    put_u64(to + 40, hash_check(slice_of(to, 40)));
}

static void init_images(struct segment_image *images)
{
    for (size_t i = 0; i < SEGMENTS; i++) {
        struct segment_image *image = &images[i];
        image->bytes = mem_calloc(1, SEGMENT_SIZE);
        image->size = SEGMENT_SIZE;
        image->used = FRAME_ALIGN;
        image->epoch = EPOCH_BASE + i;
        put_segment_header(image->bytes, i + 1, image->epoch);
    }
}

/* Size, or a byte of the header, as the first bytes of the block say. */
static void spoil(struct segment_image *image, struct slice bytes)
{
    if (bytes.len < 3)
        return;
    if (bytes.data[0] % 2 == 0)
        image->size = (size_t)get_u16(bytes.data + 1) * 8 % (SEGMENT_SIZE + 1);
    else
        image->bytes[get_u16(bytes.data + 1) % FRAME_ALIGN] ^= 1;
}

static void fill_images(struct segment_image *images, struct reader *reader)
{
    size_t seals[64][2];
    size_t seal_count = 0;
    while (reader_left(reader) > 2) {
        uint16_t word = reader_u16(reader);
        size_t len = word & 0xfff;
        size_t which = (word >> 12) % SEGMENTS;
        struct segment_image *image = &images[which];
        struct slice bytes =
            reader_bytes(reader, len < reader_left(reader) ? len : reader_left(reader));
        if ((word & 0x4000) != 0) {
            spoil(image, bytes);
            continue;
        }
        if (image->used + FRAME_ALIGN > SEGMENT_SIZE)
            continue;
        if (bytes.len > 0)
            memcpy(image->bytes + image->used, bytes.data, bytes.len);
        if ((word & 0x8000) != 0 && seal_count < ARRAY_COUNT(seals)) {
            seals[seal_count][0] = which;
            seals[seal_count++][1] = image->used;
        }
        image->used += FRAME_ALIGN;
    }
    for (size_t i = 0; i < seal_count; i++)
        seal(&images[seals[i][0]], seals[i][1]);
}

static void write_images(struct fs *fs, struct segment_image *images)
{
    ASSERT(fs_mkdir(fs, "log") == 0);
    for (size_t i = 0; i < SEGMENTS; i++) {
        struct file *file;
        char path[64];
        size_t done;
        snprintf(path, sizeof(path), "log/%020zu.seg", i + 1);
        ASSERT(fs_open(fs, path, FS_WRITE | FS_CREATE, &file) == 0);
        if (images[i].size > 0)
            ASSERT(file_write_full(file, images[i].bytes, images[i].size, 0, &done) == 0);
        file_unref(file);
        mem_free(images[i].bytes);
    }
}

/* What has been accepted can be read, and the log can go on from it. */
static void use(struct seglog *log, struct seglog_found *found)
{
    struct seglog_reader *reader;
    struct frame *frame;
    struct diag diag;
    uint64_t next = found->first_index;
    ASSERT(seglog_reader_open(log, next, &reader) == 0);
    while (seglog_reader_next(reader, &frame, &diag) == 0) {
        size_t at = FRAME_HEADER_SIZE;
        struct log_entry entry;
        for (uint32_t nth = 0; frame_next_entry(frame, &at, nth, &entry); nth++)
            ASSERT(entry.index == next++);
        frame_unref(frame);
    }
    seglog_reader_close(reader);
    ASSERT(next == found->last_index + 1);
    ASSERT(seglog_term(log, found->last_index) == found->last_term);
    seglog_put_hard_state(log, found->term, 1);
    while (seglog_in_flight(log) > 0) {
        seglog_flush(log);
        ASSERT(seglog_poll(log) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input;
    struct segment_image images[SEGMENTS];
    struct simchance chance;
    struct simclock clock;
    reader_init(&input, slice_of(data, size));
    struct simdisk *disk = simdisk_new(1);
    simchance_init(&chance, 1);
    simclock_init(&clock, 1);
    struct seglog_options options = {
        .os = {.fs = simdisk_fs(disk), .clock = &clock.clock, .chance = &chance.chance},
        .aio = simdisk_aio(disk),
        .dir = "log",
        .group_id = 1,
        .segment_size = SEGMENT_SIZE,
        .max_in_flight = 2,
        .max_spare = 1,
        .checkpoint_index = reader_u8(&input),
        .checkpoint_term = 1,
    };
    options.must_be_empty = options.checkpoint_index == 0 && size % 16 == 0;
    init_images(images);
    fill_images(images, &input);
    write_images(options.os.fs, images);
    struct seglog *log;
    struct seglog_found found;
    struct diag diag = {{0}};
    if (seglog_open(&options, &log, &found, &diag) == 0) {
        use(log, &found);
        seglog_close(log);
    } else {
        ASSERT(diag.text[0] != '\0');
    }
    aio_close(options.aio);
    simdisk_free(disk);
    return 0;
}
