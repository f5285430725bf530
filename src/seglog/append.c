/* SPDX-License-Identifier: Apache-2.0 */
/* The write path: frames are put in order, complete in any, and become durable in order again.
 *
 *   put       sequence, place and check are given; the frame waits for room in the aio
 *   submit    at most max_in_flight + SEGLOG_OWN_IN_FLIGHT writes are with the disk
 *   poll      an answer marks its frame; then, from the oldest on, what has succeeded is durable
 *
 * durable-up-to, which each frame carries, is what was durable when it was put: the promise that
 * recovery holds rot against (S3). A slot is free again when its frame is durable, not when it has
 * been written: so never more than that many frames stand behind a hole.
 *
 * Place: the active segment, or, if the frame does not fit there, the ready one, which then gets
 * its OPEN frame first; both are put at once and may be in flight together. seglog_admit() says
 * beforehand that there is a place, and keeps the reserve for the log's own frames (S7): as long as
 * no other segment is ready, a frame of entries leaves `reserve` bytes behind itself.
 *
 * Failure: with the first failed write durable_sequence stands still for good (S4), whatever else
 * comes back. All frames not durable by then are lost to us, although they may be whole on disk.
 */
#include "seglog/seglog.h"

#include <errno.h>

#include "base/assert.h"
#include "base/broken.h"
#include "base/err.h"
#include "seglog/seglog_internal.h"

enum place { PLACE_ACTIVE, PLACE_READY, PLACE_NONE };

/* The most that an OPEN frame takes. */
#define OPEN_SIZE_MAX (FRAME_HEADER_SIZE + OPEN_PAYLOAD_MIN_SIZE + SEGLOG_CONFIGURATION_MAX)
#define OPEN_ROOM_MAX ((OPEN_SIZE_MAX + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN)

STATIC_ASSERT(SEGMENT_HEADER_SIZE + OPEN_ROOM_MAX + SEGMENT_SIZE_MIN / 2 + RESERVE_MIN <=
                  SEGMENT_SIZE_MIN,
              "the largest frame fits a fresh segment and leaves the reserve (S7)");

static uint64_t room_in(const struct segment *segment)
{
    return segment == NULL ? 0 : segment->header.size - segment->used;
}

/* Where a frame of entries goes that leaves another segment or the reserve behind it (S7). */
static enum place place_for_entries(const struct seglog *log, uint64_t room)
{
    uint64_t left = room_in(log->active);
    if (left >= room && (log->ready.count > 0 || left - room >= log->reserve))
        return PLACE_ACTIVE;
    return log->ready.count > 0 ? PLACE_READY : PLACE_NONE;
}

bool seglog_has_slot(const struct seglog *log)
{
    return log->error == 0 && log->entries_in_flight < log->options.max_in_flight;
}

int seglog_admit(const struct seglog *log, size_t size)
{
    if (log->error != 0)
        return ERR_LOG_FAILED;
    if (size > seglog_max_frame(log))
        return ERR_TOO_BIG;
    if (place_for_entries(log, frame_room(size)) != PLACE_NONE)
        return 0;
    return log->prep_error != 0 ? log->prep_error : ERR_AGAIN;
}

bool seglog_is_running_out(const struct seglog *log, size_t size)
{
    uint64_t quarter = log->options.segment_size / 4;
    return log->ready.count == 0 && room_in(log->active) < quarter + frame_room(size);
}

static void fail(struct seglog *log, int error)
{
    ASSERT(error < 0);
    if (log->error == 0)
        log->error = error;
}

static void submit_waiting(struct seglog *log)
{
    unsigned limit = log->options.max_in_flight + SEGLOG_OWN_IN_FLIGHT;
    while (log->waiting_count > 0 && log->submitted < limit && log->error == 0) {
        struct list_node *node = list_pop_front(&log->waiting);
        ASSERT(node != NULL);
        struct frame *frame = LIST_ENTRY(node, struct frame, node);
        log->waiting_count--;
        list_push_back(&log->in_flight, node);
        log->submitted++;
        if (BROKEN(ACK_UNSYNCED))
            frame_ref(frame); /* the disk's: ours may go before it answers */
        aio_submit(log->options.aio, &frame->write);
    }
}

/* Gives the frame its sequence and its place in the active segment, and puts it in the queue. */
static void put(struct seglog *log, struct frame *frame, uint64_t first_index, uint64_t term)
{
    struct segment *segment = log->active;
    uint64_t room = frame_room(frame->size);
    ASSERT(room <= room_in(segment) && room <= frame->cap);
    struct frame_header header = {
        .epoch = segment->header.epoch,
        .sequence = ++log->sequence,
        .durable = log->durable_sequence,
        .first_index = first_index,
        .term = term,
        .size = (uint32_t)frame->size,
        .count = frame->entry_count,
        .nth = segment->frame_count++,
        .kind = frame->kind,
    };
    frame_header_encode(frame->data, &header, segment->used);
    log->claimed = header.durable;
    if (frame->kind != FRAME_VOUCH)
        log->state_sequence = header.sequence;
    frame->sequence = header.sequence;
    frame->result = FRAME_IN_FLIGHT;
    frame->write = (struct aio_write){
        .file = segment->file,
        .data = frame->data,
        .size = room,
        .off = segment->used,
        .ctx = log,
    };
    segment->used += (uint32_t)room;
    list_push_back(&log->waiting, &frame->node);
    log->waiting_count++;
    submit_waiting(log);
}

/* A frame of the log's own with `size` bytes of payload, to be filled by the caller. */
static struct frame *own_frame(enum frame_kind kind, size_t size)
{
    struct frame *frame = frame_new(size);
    ASSERT(frame != NULL && "out of memory");
    frame->kind = kind;
    frame->size = FRAME_HEADER_SIZE + size;
    return frame;
}

/* The log goes on in the ready segment. */
static void open_segment(struct seglog *log)
{
    struct segment *segment = segment_list_pop(&log->ready);
    struct segment *last = log->active;
    ASSERT(last == NULL || segment->header.number > last->header.number); /* S5 */
    segment_list_push(&log->used, segment);
    log->active = segment;
    segment->first_sequence = log->sequence + 1;
    segment->first_index = log->last_index + 1;
    struct open_payload payload = {
        .hard_state = log->hard_state,
        .configuration_index = log->configuration_index,
        .configuration = buf_slice(&log->configuration),
    };
    struct frame *frame = own_frame(FRAME_OPEN, OPEN_PAYLOAD_MIN_SIZE + payload.configuration.len);
    open_payload_encode(frame->data + FRAME_HEADER_SIZE, &payload);
    put(log, frame, log->last_index + 1, log->last_term);
}

/* The frame counts as the log's end, wherever it goes. */
static void extend(struct seglog *log, struct frame *frame)
{
    ASSERT(frame->kind == FRAME_ENTRIES && frame->entry_count > 0);
    ASSERT(frame->first_index == log->last_index + 1 && frame->term >= log->last_term);
    ASSERT_SLOW(frame_entries_are_valid(
        slice_of(frame->data + FRAME_HEADER_SIZE, frame->size - FRAME_HEADER_SIZE),
        frame->entry_count));
    term_table_append(&log->terms, frame->first_index, frame->term);
    log->last_index += frame->entry_count;
    log->last_term = frame->term;
    frame->live_last_index = log->last_index;
}

void seglog_append(struct seglog *log, struct frame *frame)
{
    if (log->error != 0) {
        /* Since it was admitted. It is lost behind what is in flight. */
        extend(log, frame);
        list_push_back(&log->waiting, &frame_ref(frame)->node);
        log->waiting_count++;
        return;
    }
    uint64_t room = frame_room(frame->size);
    ASSERT(seglog_has_slot(log) && frame->size <= seglog_max_frame(log));
    if (place_for_entries(log, room) == PLACE_READY)
        open_segment(log);
    /* Small frames put since it was admitted have taken of the reserve at most. */
    ASSERT(room_in(log->active) >= room);
    struct index_item item = {
        .first_index = frame->first_index,
        .segment = log->active,
        .count = frame->entry_count,
        .size = (uint32_t)frame->size,
        .off = log->active->used,
    };
    extend(log, frame);
    frame_index_push(&log->index, &item);
    log->entries_in_flight++;
    put(log, frame_ref(frame), frame->first_index, frame->term);
}

/* Sees to it that the active segment has room for one small frame; the log fails if it cannot. */
static bool has_own_room(struct seglog *log)
{
    if (log->error == 0 && room_in(log->active) < FRAME_ALIGN) {
        if (log->ready.count > 0)
            open_segment(log);
        else
            fail(log, -ENOSPC);
    }
    return log->error == 0;
}

uint64_t seglog_put_hard_state(struct seglog *log, uint64_t term, uint64_t vote)
{
    ASSERT(term >= log->hard_state.term);
    if (!has_own_room(log))
        return UINT64_MAX;
    log->hard_state = (struct hard_state){.term = term, .vote = vote};
    struct frame *frame = own_frame(FRAME_HARDSTATE, HARD_STATE_SIZE);
    hard_state_encode(frame->data + FRAME_HEADER_SIZE, log->hard_state);
    put(log, frame, log->last_index + 1, log->last_term);
    return log->sequence;
}

/* Frames on their way hold less that is alive than they did when they were put. */
static void truncate_frames(struct list_node *list, uint64_t last_index)
{
    LIST_EACH(node, next, list)
    {
        struct frame *frame = LIST_ENTRY(node, struct frame, node);
        if (frame->live_last_index > last_index)
            frame->live_last_index = last_index;
    }
}

uint64_t seglog_truncate(struct seglog *log, uint64_t last_index)
{
    ASSERT(last_index <= log->last_index && last_index >= log->checkpoint_index);
    if (!has_own_room(log))
        return UINT64_MAX;
    truncate_frames(&log->in_flight, last_index);
    truncate_frames(&log->waiting, last_index);
    log->last_term = term_table_get(&log->terms, last_index);
    log->last_index = last_index;
    frame_index_truncate(&log->index, last_index);
    term_table_truncate(&log->terms, last_index, log->last_term);
    if (log->durable_index > last_index)
        log->durable_index = last_index;
    put(log, own_frame(FRAME_TRUNCATE, 0), last_index + 1, log->last_term);
    return log->sequence;
}

void seglog_set_configuration(struct seglog *log, uint64_t index, struct slice configuration)
{
    ASSERT(configuration.len <= SEGLOG_CONFIGURATION_MAX);
    buf_reset(&log->configuration, SEGLOG_CONFIGURATION_MAX);
    buf_append_slice(&log->configuration, configuration);
    log->configuration_index = index;
}

bool seglog_needs_vouch(const struct seglog *log)
{
    return log->error == 0 && log->state_sequence > log->claimed;
}

void seglog_vouch(struct seglog *log)
{
    if (!seglog_needs_vouch(log) || log->durable_sequence < log->state_sequence)
        return;
    if (room_in(log->active) >= FRAME_ALIGN)
        put(log, own_frame(FRAME_VOUCH, 0), log->last_index + 1, log->last_term);
    else if (log->ready.count > 0)
        open_segment(log); /* its OPEN frame vouches as well */
}

void seglog_flush(struct seglog *log)
{
    aio_flush(log->options.aio);
}

/* ---- Completions ---- */

/* The oldest frame in flight, if the disk has answered it. */
static struct frame *first_answered(const struct seglog *log)
{
    if (list_is_empty(&log->in_flight))
        return NULL;
    struct frame *frame = LIST_ENTRY(log->in_flight.next, struct frame, node);
    bool is_answered = frame->result != FRAME_IN_FLIGHT || BROKEN(ACK_UNSYNCED);
    return is_answered ? frame : NULL;
}

static void become_durable(struct seglog *log, struct frame *frame)
{
    ASSERT(frame->sequence == log->durable_sequence + 1); /* S2 */
    log->durable_sequence = frame->sequence;
    log->stats.bytes += frame->write.size;
    if (frame->kind == FRAME_ENTRIES) {
        log->stats.entries_frames++;
        log->entries_in_flight--;
        if (frame->live_last_index > log->durable_index)
            log->durable_index = frame->live_last_index;
        list_push_back(&log->durable, &frame->node);
        return;
    }
    log->stats.other_frames++;
    if (frame->kind == FRAME_OPEN)
        seglog_retire(log);
    frame_unref(frame);
}

static void become_lost(struct seglog *log, struct frame *frame)
{
    if (frame->kind == FRAME_ENTRIES)
        list_push_back(&log->lost, &frame->node);
    else
        frame_unref(frame);
}

static void settle(struct seglog *log)
{
    for (struct frame *frame; (frame = first_answered(log)) != NULL;) {
        list_del(&frame->node);
        if (log->error == 0)
            become_durable(log, frame);
        else
            become_lost(log, frame);
    }
    if (log->error == 0 || log->submitted > 0)
        return;
    for (struct list_node *node; (node = list_pop_front(&log->waiting)) != NULL;)
        become_lost(log, LIST_ENTRY(node, struct frame, node));
    log->waiting_count = 0;
}

int seglog_poll(struct seglog *log)
{
    for (struct aio_write *write; (write = aio_reap(log->options.aio)) != NULL;) {
        struct frame *frame = CONTAINER_OF(write, struct frame, write);
        ASSERT(write->ctx == log && frame->result == FRAME_IN_FLIGHT);
        ASSERT(log->submitted > 0 && write->result <= 0);
        log->submitted--;
        frame->result = write->result;
        if (write->result != 0)
            fail(log, write->result); /* S4 */
        if (BROKEN(ACK_UNSYNCED))
            frame_unref(frame);
    }
    settle(log);
    submit_waiting(log);
    return log->error;
}

static struct frame *take_frame(struct list_node *list)
{
    struct list_node *node = list_pop_front(list);
    return node == NULL ? NULL : LIST_ENTRY(node, struct frame, node);
}

struct frame *seglog_next_durable(struct seglog *log)
{
    return take_frame(&log->durable);
}

struct frame *seglog_next_lost(struct seglog *log)
{
    return take_frame(&log->lost);
}

uint64_t seglog_durable_sequence(const struct seglog *log)
{
    return log->durable_sequence;
}

uint64_t seglog_durable_index(const struct seglog *log)
{
    return log->durable_index;
}

uint64_t seglog_last_index(const struct seglog *log)
{
    return log->last_index;
}

int seglog_fd(const struct seglog *log)
{
    return aio_fd(log->options.aio);
}

unsigned seglog_in_flight(const struct seglog *log)
{
    return log->error == 0 ? log->submitted + log->waiting_count : log->submitted;
}
