/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/mend.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "seglog/scan_internal.h"
#include "seglog/segment_internal.h"

#define CHUNK (1u << 20)

/* What is different in the copy. */
struct change {
    uint64_t zero_from;
    uint64_t zero_to;
    const uint8_t *header; /* SEGMENT_HEADER_SIZE bytes, or NULL */
    uint64_t size;         /* 0: as it was */
};

static void apply(const struct change *change, uint8_t *bytes, size_t size, uint64_t off)
{
    uint64_t from = change->zero_from > off ? change->zero_from : off;
    uint64_t to = change->zero_to < off + size ? change->zero_to : off + size;
    if (from < to)
        memset(bytes + (from - off), 0, to - from);
    if (change->header != NULL && off == 0)
        memcpy(bytes, change->header, SEGMENT_HEADER_SIZE);
}

/* What will be replaced need not be readable. */
static int read_part(struct file *from, uint8_t *to, size_t size, uint64_t off,
                     const struct change *change)
{
    if (off >= change->zero_from && off + size <= change->zero_to)
        return 0;
    return file_read_full(from, to, size, off);
}

static int copy(struct file *from, struct file *to, uint64_t size, const struct change *change)
{
    uint8_t *chunk = mem_alloc(CHUNK);
    int rc = 0;
    for (uint64_t off = 0; off < size && rc == 0;) {
        size_t part = size - off < CHUNK ? (size_t)(size - off) : CHUNK;
        /* Parts end where the zeros begin and end. */
        uint64_t border = off < change->zero_from ? change->zero_from : change->zero_to;
        if (off < border && off + part > border)
            part = (size_t)(border - off);
        size_t done = 0;
        rc = read_part(from, chunk, part, off, change);
        if (rc == 0) {
            apply(change, chunk, part, off);
            rc = file_write_full(to, chunk, part, off, &done);
        }
        off += part;
    }
    mem_free(chunk);
    return rc;
}

/* Syncs the file and gives it its name, durably (S6). */
static int publish(const struct seglog_mend *mend, struct file *file, const char *temporary,
                   const char *path)
{
    int rc = file_sync(file);
    if (rc == 0)
        rc = fs_rename(mend->fs, temporary, path);
    return rc == 0 ? fs_sync_dir(mend->fs, mend->dir) : rc;
}

/* A segment on its way to a name, and maybe to the place of the one that has it. */
struct renewal {
    const struct seglog_mend *mend;
    bool has_old;
    char *path;
    char *temporary;
    struct file *from; /* the old one, if there is one */
    struct file *to;
};

/* To be ended in any case. */
static int renewal_begin(struct renewal *renewal, const struct seglog_mend *mend, bool has_old)
{
    *renewal = (struct renewal){.mend = mend,
                                .has_old = has_old,
                                .path = segment_path(mend->dir, mend->number, false),
                                .temporary = segment_path(mend->dir, mend->number, true)};
    int rc = has_old ? fs_open(mend->fs, renewal->path, FS_READ, &renewal->from) : 0;
    return rc == 0 ? fs_create(mend->fs, renewal->temporary, &renewal->to) : rc;
}

/* It gets its name if `rc`, what came of writing it, is 0. Returns what came of all. */
static int renewal_end(struct renewal *renewal, int rc, struct diag *diag)
{
    if (rc == 0)
        rc = publish(renewal->mend, renewal->to, renewal->temporary, renewal->path);
    if (rc != 0)
        diag_set(diag, rc, "%s cannot be %s: %s", renewal->path,
                 renewal->has_old ? "written anew" : "made", err_text(rc));
    file_unref(renewal->from);
    file_unref(renewal->to);
    mem_free(renewal->temporary);
    mem_free(renewal->path);
    return rc;
}

static int rewrite(const struct seglog_mend *mend, const struct change *change, struct diag *diag)
{
    struct renewal renewal;
    uint64_t size = change->size;
    int rc = renewal_begin(&renewal, mend, true);
    if (rc == 0 && size == 0)
        rc = file_size(renewal.from, &size);
    if (rc == 0)
        rc = copy(renewal.from, renewal.to, size, change);
    return renewal_end(&renewal, rc, diag);
}

/* Of the segment's file as it is. */
static int find_size(const struct seglog_mend *mend, uint64_t *out_size)
{
    char *path = segment_path(mend->dir, mend->number, false);
    struct fs_stat st;
    int rc = fs_stat(mend->fs, path, &st);
    mem_free(path);
    if (rc == 0)
        *out_size = st.size;
    return rc;
}

int seglog_mend_zero(const struct seglog_mend *mend, uint64_t from, uint64_t to, struct diag *diag)
{
    ASSERT(from >= SEGMENT_HEADER_SIZE);
    return rewrite(mend, &(struct change){.zero_from = from, .zero_to = to}, diag);
}

int seglog_mend_header(const struct seglog_mend *mend, uint64_t group_id, uint64_t epoch,
                       struct diag *diag)
{
    uint64_t size = 0;
    int rc = find_size(mend, &size);
    if (rc != 0 || size < SEGMENT_SIZE_MIN || size > SEGMENT_SIZE_MAX ||
        !is_aligned(size, FRAME_ALIGN))
        return diag_set(diag, rc == 0 ? ERR_INVALID : rc, "segment %" PRIu64 " has not its size",
                        mend->number);
    uint8_t *block = mem_alloc(SEGMENT_HEADER_SIZE);
    segment_header_encode(block, &(struct segment_header){.group_id = group_id,
                                                          .number = mend->number,
                                                          .epoch = epoch,
                                                          .size = (uint32_t)size});
    /* The old one need not be readable. */
    const struct change change = {.zero_to = SEGMENT_HEADER_SIZE, .header = block};
    rc = rewrite(mend, &change, diag);
    mem_free(block);
    return rc;
}

int seglog_mend_size(const struct seglog_mend *mend, uint32_t size, struct diag *diag)
{
    uint64_t old_size = 0;
    int rc = find_size(mend, &old_size);
    if (rc != 0)
        return diag_set(diag, rc, "segment %" PRIu64 ": %s", mend->number, err_text(rc));
    struct change change = {.size = size};
    if (old_size < size) {
        change.zero_from = old_size;
        change.zero_to = size;
    }
    return rewrite(mend, &change, diag);
}

/* ---- A log that begins behind a checkpoint ---- */

static size_t open_size(const struct seglog_beginning *beginning)
{
    return FRAME_HEADER_SIZE + OPEN_PAYLOAD_MIN_SIZE + beginning->configuration.len;
}

/* The segment's header and its OPEN. */
static struct buf first_bytes(const struct seglog_mend *mend,
                              const struct seglog_beginning *beginning, uint32_t size,
                              uint64_t sequence)
{
    const struct open_payload payload = {
        .hard_state = {.term = beginning->node_term, .vote = beginning->node_vote},
        .configuration_index = beginning->configuration_index,
        .configuration = beginning->configuration,
    };
    size_t len = SEGMENT_HEADER_SIZE + frame_room(open_size(beginning));
    ASSERT(len <= size);
    struct buf bytes = {0};
    uint8_t *at = buf_extend(&bytes, len);
    segment_header_encode(at, &(struct segment_header){.group_id = beginning->group_id,
                                                       .number = mend->number,
                                                       .epoch = beginning->epoch,
                                                       .size = size});
    uint8_t *frame = at + SEGMENT_HEADER_SIZE;
    open_payload_encode(frame + FRAME_HEADER_SIZE, &payload);
    frame_header_encode(frame,
                        &(struct frame_header){.epoch = beginning->epoch,
                                               .sequence = sequence,
                                               .first_index = beginning->index + 1,
                                               .term = beginning->term,
                                               .size = (uint32_t)open_size(beginning),
                                               .kind = FRAME_OPEN},
                        SEGMENT_HEADER_SIZE);
    return bytes;
}

/* A log is given blocks, not holes. */
static int fill(struct file *file, uint64_t off, uint64_t size)
{
    uint8_t *zeros = mem_calloc(1, CHUNK);
    int rc = 0;
    for (; off < size && rc == 0; off += CHUNK) {
        size_t done = 0;
        rc = file_write_full(file, zeros, size - off < CHUNK ? (size_t)(size - off) : CHUNK, off,
                             &done);
    }
    mem_free(zeros);
    return rc;
}

struct move {
    const struct seglog_beginning *beginning;
    struct scan_window window; /* on the segment as it is */
    struct file *to;
    uint64_t from_off;
    uint64_t to_off;
    uint64_t sequence; /* of the frame at from_off */
    uint32_t nth;      /* that it will have */
};

/* Leaves the entries up to the checkpoint out. The payload that is left. */
static struct slice behind_checkpoint(const struct move *move, const struct scanned_frame *frame,
                                      struct frame_header *header)
{
    const uint8_t *payload = frame->data + FRAME_HEADER_SIZE;
    const uint8_t *end = frame->data + frame->header.size;
    while (header->count > 0 && header->first_index <= move->beginning->index) {
        payload += ENTRY_HEADER_SIZE + get_u32(payload); /* verified with the frame */
        header->first_index++;
        header->count--;
    }
    return slice_of(payload, (size_t)(end - payload));
}

static int move_frame(struct move *move)
{
    struct scanned_frame frame;
    int rc = scan_frame(&move->window, 0, move->from_off, &frame);
    if (rc != 0)
        return rc;
    struct frame_header header = frame.header;
    struct slice payload = behind_checkpoint(move, &frame, &header);
    if (header.sequence != move->sequence || header.first_index <= move->beginning->index)
        return ERR_CORRUPT; /* it is not the one that was seen */
    header.epoch = move->beginning->epoch;
    header.nth = move->nth;
    header.size = (uint32_t)(FRAME_HEADER_SIZE + payload.len);
    size_t room = frame_room(header.size);
    uint8_t *moved = mem_try_alloc(room);
    if (moved == NULL)
        return -ENOMEM;
    size_t done = 0;
    memcpy(moved + FRAME_HEADER_SIZE, payload.data, payload.len);
    frame_header_encode(moved, &header, move->to_off);
    rc = file_write_full(move->to, moved, room, move->to_off, &done);
    mem_free(moved);
    move->from_off += frame_room(frame.header.size);
    move->to_off += room;
    move->sequence++;
    move->nth++;
    return rc;
}

static int move_run(const struct seglog_mend *mend, const struct seglog_beginning *beginning,
                    const struct seglog_run *run, struct file *from, struct file *to)
{
    uint64_t old_size;
    int rc = file_size(from, &old_size);
    if (rc != 0)
        return rc;
    uint64_t size = SEGMENT_HEADER_SIZE + frame_room(open_size(beginning)) + run->end - run->off;
    size = size < SEGMENT_SIZE_MIN ? SEGMENT_SIZE_MIN : size;
    if (old_size <= SEGMENT_SIZE_MAX && size < old_size)
        size = align_up(old_size, FRAME_ALIGN);
    if (size > SEGMENT_SIZE_MAX)
        return -EFBIG;
    struct buf bytes = first_bytes(mend, beginning, (uint32_t)size, run->sequence - 1);
    struct move move = {.beginning = beginning,
                        .to = to,
                        .from_off = run->off,
                        .to_off = bytes.len,
                        .sequence = run->sequence,
                        .nth = 1};
    size_t done = 0;
    rc = file_write_full(to, bytes.data, bytes.len, 0, &done);
    scan_window_turn(&move.window, from, old_size, SCAN_CHUNK);
    while (rc == 0 && move.from_off < run->end)
        rc = move_frame(&move);
    if (rc == 0)
        rc = fill(to, move.to_off, size);
    scan_window_fini(&move.window);
    buf_fini(&bytes);
    return rc;
}

int seglog_mend_front(const struct seglog_mend *mend, const struct seglog_beginning *beginning,
                      const struct seglog_run *run, struct diag *diag)
{
    struct renewal renewal;
    int rc = renewal_begin(&renewal, mend, true);
    if (rc == 0)
        rc = move_run(mend, beginning, run, renewal.from, renewal.to);
    return renewal_end(&renewal, rc, diag);
}

int seglog_mend_begin(const struct seglog_mend *mend, const struct seglog_beginning *beginning,
                      struct diag *diag)
{
    struct buf bytes = first_bytes(mend, beginning, SEGMENT_SIZE_MIN, 1);
    struct renewal renewal;
    size_t done = 0;
    int rc = renewal_begin(&renewal, mend, false);
    if (rc == 0)
        rc = file_write_full(renewal.to, bytes.data, bytes.len, 0, &done);
    if (rc == 0)
        rc = fill(renewal.to, bytes.len, SEGMENT_SIZE_MIN);
    buf_fini(&bytes);
    return renewal_end(&renewal, rc, diag);
}
