/* SPDX-License-Identifier: Apache-2.0 */
/* spot: where a frame lies on a simulated disk, and how to damage it there. */
#ifndef UNIT_SEGLOG_SPOT_H
#define UNIT_SEGLOG_SPOT_H

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "seglog/scan_internal.h"
#include "support/logworld.h"

struct spot {
    char path[64];
    uint64_t off;
    uint32_t size;
};

struct spot_search {
    struct logworld *world;
    uint64_t sequence;
    uint64_t number;
    struct spot spot;
};

static inline int spot_search_file(void *ctx, const char *name)
{
    struct spot_search *search = ctx;
    uint64_t number;
    bool is_temporary;
    if (!segment_name_parse(name, &number, &is_temporary) || is_temporary ||
        number < search->number)
        return 0;
    char path[64];
    snprintf(path, sizeof(path), "log/%s", name);
    struct file *file;
    int rc = fs_open(simdisk_fs(search->world->disk), path, FS_READ, &file);
    ASSERT(rc == 0);
    uint8_t head[SEGMENT_HEADER_SIZE];
    struct segment_header header;
    rc = file_read_full(file, head, sizeof(head), 0);
    ASSERT(rc == 0);
    struct scan_window window = {0};
    scan_window_turn(&window, file, LOGWORLD_SEGMENT, SCAN_CHUNK);
    uint64_t off = SEGMENT_HEADER_SIZE;
    struct scanned_frame frame;
    if (segment_header_decode(head, &header) == 0)
        while (scan_find_frame(&window, header.epoch, &off, &frame) == 0) {
            if (frame.header.sequence == search->sequence) {
                search->number = number;
                search->spot = (struct spot){.off = off, .size = frame.header.size};
                snprintf(search->spot.path, sizeof(path), "%s", path);
            }
            off += frame_room(frame.header.size);
        }
    scan_window_fini(&window);
    file_unref(file);
    return 0;
}

/* Where the frame with this sequence lies; the newest segment counts. False: nowhere. */
static inline bool logworld_find(struct logworld *world, uint64_t sequence, struct spot *out_spot)
{
    struct spot_search search = {.world = world, .sequence = sequence};
    int rc = fs_list(simdisk_fs(world->disk), "log", spot_search_file, &search);
    ASSERT(rc == 0);
    *out_spot = search.spot;
    return search.spot.size > 0;
}

/* Overwrites the frame with zeros, as if it had never reached the disk. */
static inline void logworld_erase(struct logworld *world, uint64_t sequence)
{
    struct spot spot;
    ASSERT(logworld_find(world, sequence, &spot));
    struct file *file;
    int rc = fs_open(simdisk_fs(world->disk), spot.path, FS_WRITE, &file);
    ASSERT(rc == 0);
    size_t room = frame_room(spot.size);
    uint8_t *zeros = mem_calloc(1, room);
    size_t done = 0;
    rc = file_write_full(file, zeros, room, spot.off, &done);
    ASSERT(rc == 0);
    rc = file_sync(file);
    ASSERT(rc == 0);
    mem_free(zeros);
    file_unref(file);
}

/* Flips a bit of it. */
static inline void logworld_rot(struct logworld *world, uint64_t sequence, uint64_t off)
{
    struct spot spot;
    ASSERT(logworld_find(world, sequence, &spot));
    ASSERT(simdisk_corrupt(world->disk, spot.path, spot.off + off, 0x10));
}

#endif
