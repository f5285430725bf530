/* SPDX-License-Identifier: Apache-2.0 */
#include "support/logworld.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

static uint64_t mix(uint64_t *random)
{
    *random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t logworld_random(struct logworld *world, uint64_t bound)
{
    return mix(&world->random) % bound;
}

/* ---- History ---- */

static void push_record(struct history *history, struct log_record record)
{
    if (history->count == history->cap) {
        history->cap = history->cap == 0 ? 64 : 2 * history->cap;
        history->records = mem_realloc(history->records, history->cap * sizeof(record));
    }
    history->records[history->count++] = record;
}

/* What lies between is OPEN and VOUCH frames, of which the caller does not hear. */
static void put_record(struct history *history, uint64_t sequence, struct log_record record)
{
    ASSERT(sequence > history->count);
    while (history->count < sequence - 1)
        push_record(history, (struct log_record){0});
    push_record(history, record);
}

struct history history_copy(const struct history *from, uint64_t count)
{
    struct history copy = {0};
    for (uint64_t i = 0; i < count; i++)
        push_record(&copy, i < from->count ? from->records[i] : (struct log_record){0});
    return copy;
}

void history_fini(struct history *history)
{
    mem_free(history->records);
    *history = (struct history){0};
}

static void state_append(struct log_state *state, const struct log_record *record)
{
    ASSERT(record->first_index == state->last_index + 1);
    size_t need = (size_t)record->first_index + record->count;
    if (need > state->cap) {
        state->cap = 2 * need;
        state->entries = mem_realloc(state->entries, state->cap * sizeof(state->entries[0]));
    }
    for (uint32_t i = 0; i < record->count; i++)
        state->entries[record->first_index + i] = (struct entry_origin){.record = record, .nth = i};
    state->last_index += record->count;
}

struct log_state history_state(const struct history *history, uint64_t count)
{
    struct log_state state = {0};
    ASSERT(count <= history->count);
    for (uint64_t i = 0; i < count; i++) {
        const struct log_record *record = &history->records[i];
        if (record->kind == FRAME_ENTRIES)
            state_append(&state, record);
        if (record->kind == FRAME_TRUNCATE)
            state.last_index = record->first_index - 1;
        if (record->kind == FRAME_HARDSTATE) {
            state.term = record->term;
            state.vote = record->vote;
        }
    }
    return state;
}

void log_state_fini(struct log_state *state)
{
    mem_free(state->entries);
}

/* The bytes of an entry follow from its frame's seed and its number. */
static size_t entry_size(uint64_t seed, uint32_t nth)
{
    uint64_t random = seed ^ nth;
    size_t about = (size_t)(seed >> 32);
    return about == 0 ? 0 : about - (size_t)(mix(&random) % (about / 4 + 1));
}

static void fill_entry(uint8_t *to, size_t size, uint64_t seed, uint32_t nth)
{
    uint64_t random = seed * 31 + nth;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = mix(&random);
        memcpy(to + at, &word, size - at < 8 ? size - at : 8);
    }
}

static enum entry_type entry_type_of(uint64_t seed, uint32_t nth)
{
    return (enum entry_type)(1 + (seed + nth) % 3);
}

/* ---- Life ---- */

void logworld_init(struct logworld *world, struct simdisk *disk, uint64_t seed)
{
    *world = (struct logworld){.random = seed, .disk = disk};
    simclock_init(&world->clock, 1000);
    simchance_init(&world->chance, seed ^ 0x5eed);
    world->aio = simdisk_aio(disk);
    world->options = (struct seglog_options){
        .os = {.fs = simdisk_fs(disk),
               .clock = &world->clock.clock,
               .chance = &world->chance.chance},
        .aio = world->aio,
        .dir = "log",
        .group_id = LOGWORLD_GROUP,
        .segment_size = LOGWORLD_SEGMENT,
        .max_in_flight = 4,
        .max_spare = 2,
    };
}

int logworld_try_open(struct logworld *world)
{
    world->options.checkpoint_index = world->checkpoint_index;
    world->options.checkpoint_term = world->checkpoint_term;
    int rc = seglog_open(&world->options, &world->log, &world->found, &world->diag);
    if (rc != 0) {
        world->log = NULL;
        return rc;
    }
    uint64_t count = seglog_durable_sequence(world->log);
    /* A VOUCH at the end is not recorded, nor the OPEN that stands for one behind a full
     * segment. */
    ASSERT(count <= world->history.count + 2);
    struct history kept = history_copy(&world->history, count);
    history_fini(&world->history);
    world->history = kept;
    world->term =
        world->found.term > world->found.last_term ? world->found.term : world->found.last_term;
    simdisk_note(world->disk, NOTE_DURABLE, count);
    return 0;
}

void logworld_open(struct logworld *world)
{
    int rc = logworld_try_open(world);
    if (rc == 0)
        return;
    fprintf(stderr, "open: %s: %s\n", err_name(rc), world->diag.text);
    ASSERT(rc == 0);
}

void logworld_drop(struct logworld *world)
{
    if (world->log == NULL)
        return;
    if (world->prep != NULL)
        IGNORE(seglog_prep_done(world->log, world->prep), "it is dropped");
    world->prep = NULL;
    simdisk_hold(world->disk, false);
    while (seglog_in_flight(world->log) > 0) {
        seglog_flush(world->log);
        IGNORE(seglog_poll(world->log), "it is dropped");
    }
    seglog_close(world->log);
    world->log = NULL;
}

void logworld_fini(struct logworld *world)
{
    logworld_drop(world);
    aio_close(world->aio);
    simdisk_free(world->disk);
    history_fini(&world->history);
}

void logworld_crash(const struct logworld *from, uint64_t step, struct simdisk *image,
                    uint64_t seed, struct logworld *out_world, uint64_t *out_durable)
{
    logworld_init(out_world, image, seed);
    out_world->history = history_copy(&from->history, from->history.count);
    out_world->next_seed = from->next_seed;
    out_world->checkpoint_index = simdisk_noted(from->disk, NOTE_CHECKPOINT, step);
    out_world->checkpoint_term = simdisk_noted(from->disk, NOTE_CHECKPOINT_TERM, step);
    *out_durable = simdisk_noted(from->disk, NOTE_DURABLE, step);
    simdisk_note(image, NOTE_CHECKPOINT, out_world->checkpoint_index);
    simdisk_note(image, NOTE_CHECKPOINT_TERM, out_world->checkpoint_term);
    simdisk_note(image, NOTE_DURABLE, *out_durable);
}

/* ---- What is done to the log ---- */

struct frame *logworld_frame(struct logworld *world, uint32_t count, size_t size)
{
    uint64_t seed = ((uint64_t)size << 32) | (uint32_t)++world->next_seed;
    struct frame *frame = frame_new(size);
    ASSERT(frame != NULL);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = entry_size(seed, i);
        ASSERT(frame_reserve(frame, ENTRY_HEADER_SIZE + len) == 0);
        frame_put_entry_header(frame, frame->size, len, entry_type_of(seed, i));
        fill_entry(frame->data + frame->size + ENTRY_HEADER_SIZE, len, seed, i);
        frame->size += ENTRY_HEADER_SIZE + len;
    }
    frame->entry_count = count;
    frame->first_index = seglog_last_index(world->log) + 1;
    frame->term = world->term;
    return frame;
}

bool logworld_append(struct logworld *world, uint32_t count, size_t size)
{
    struct frame *frame = logworld_frame(world, count, size);
    bool is_possible = seglog_has_slot(world->log) && seglog_admit(world->log, frame->size) == 0;
    if (is_possible) {
        seglog_append(world->log, frame);
        put_record(
            &world->history, frame->sequence,
            (struct log_record){.kind = FRAME_ENTRIES,
                                .first_index = frame->first_index,
                                .count = count,
                                .term = frame->term,
                                .seed = ((uint64_t)size << 32) | (uint32_t)world->next_seed});
    }
    frame_unref(frame);
    return is_possible;
}

uint64_t logworld_hard_state(struct logworld *world, uint64_t term, uint64_t vote)
{
    world->term = term;
    uint64_t sequence = seglog_put_hard_state(world->log, term, vote);
    if (sequence != UINT64_MAX)
        put_record(&world->history, sequence,
                   (struct log_record){.kind = FRAME_HARDSTATE, .term = term, .vote = vote});
    return sequence;
}

uint64_t logworld_truncate(struct logworld *world, uint64_t last_index)
{
    uint64_t sequence = seglog_truncate(world->log, last_index);
    if (sequence != UINT64_MAX)
        put_record(&world->history, sequence,
                   (struct log_record){.kind = FRAME_TRUNCATE, .first_index = last_index + 1});
    return sequence;
}

void logworld_checkpoint(struct logworld *world, uint64_t index)
{
    world->checkpoint_index = index;
    world->checkpoint_term = seglog_term(world->log, index);
    simdisk_note(world->disk, NOTE_CHECKPOINT, index);
    simdisk_note(world->disk, NOTE_CHECKPOINT_TERM, world->checkpoint_term);
    seglog_recycle(world->log, index);
}

int logworld_poll(struct logworld *world)
{
    int rc = seglog_poll(world->log);
    simdisk_note(world->disk, NOTE_DURABLE, seglog_durable_sequence(world->log));
    for (struct frame *frame; (frame = seglog_next_durable(world->log)) != NULL;) {
        ASSERT(frame->sequence <= seglog_durable_sequence(world->log));
        frame_unref(frame);
    }
    return rc;
}

void logworld_settle(struct logworld *world)
{
    simdisk_hold(world->disk, false);
    int rc = 0;
    while (rc == 0 && seglog_in_flight(world->log) > 0) {
        seglog_flush(world->log);
        rc = logworld_poll(world);
    }
    ASSERT(rc == 0);
}

int logworld_prepare(struct logworld *world)
{
    int rc = 0;
    for (struct seglog_prep *prep; rc == 0 && (prep = seglog_prep_take(world->log)) != NULL;) {
        seglog_prep_run(prep);
        rc = seglog_prep_done(world->log, prep);
    }
    return rc;
}

/* Sizes from nothing to the largest frame, small ones most of the time. */
static void append_by_chance(struct logworld *world)
{
    uint32_t count = 1 + (uint32_t)logworld_random(world, 4);
    size_t size = logworld_random(world, 200);
    if (logworld_random(world, 3) == 0)
        size = logworld_random(world, 20000);
    if (logworld_random(world, 6) == 0) {
        count = 1;
        size = logworld_random(world, seglog_max_frame(world->log) - FRAME_PAYLOAD_OFF + 1);
    }
    logworld_append(world, count, size);
}

static void prepare_by_chance(struct logworld *world)
{
    if (world->prep != NULL) {
        int rc = seglog_prep_done(world->log, world->prep);
        ASSERT(rc == 0);
        world->prep = NULL;
        return;
    }
    world->prep = seglog_prep_take(world->log);
    if (world->prep != NULL)
        seglog_prep_run(world->prep);
}

static void restart(struct logworld *world)
{
    logworld_drop(world);
    logworld_open(world);
}

/* The reserve for small frames may be used up while nobody prepares a segment: then a log fails. */
static void complete_by_chance(struct logworld *world)
{
    seglog_flush(world->log);
    simdisk_hold(world->disk, true);
    for (uint64_t n = logworld_random(world, 4); n > 0; n--)
        simdisk_release(world->disk);
    int rc = logworld_poll(world);
    ASSERT(rc == 0 || rc == -ENOSPC);
    if (rc != 0)
        restart(world);
}

static void truncate_by_chance(struct logworld *world)
{
    uint64_t last = seglog_last_index(world->log);
    uint64_t most = last - world->checkpoint_index;
    uint64_t cut = logworld_random(world, (most < 12 ? most : 12) + 1);
    logworld_truncate(world, last - cut);
    logworld_hard_state(world, world->term + 1, 0);
}

static void checkpoint_by_chance(struct logworld *world)
{
    uint64_t durable = seglog_durable_index(world->log);
    if (durable > world->checkpoint_index)
        logworld_checkpoint(world,
                            durable - logworld_random(world, durable - world->checkpoint_index));
}

void logworld_act(struct logworld *world)
{
    uint64_t roll = logworld_random(world, 100);
    if (roll < 40) {
        append_by_chance(world);
    } else if (roll < 70) {
        complete_by_chance(world);
    } else if (roll < 80) {
        prepare_by_chance(world);
    } else if (roll < 85) {
        logworld_hard_state(world, world->term + logworld_random(world, 2),
                            logworld_random(world, 5));
    } else if (roll < 89) {
        truncate_by_chance(world);
    } else if (roll < 92) {
        checkpoint_by_chance(world);
    } else if (roll < 96) {
        seglog_vouch(world->log);
    } else if (roll < 98) {
        restart(world);
    } else {
        uint64_t word = logworld_random(world, 1000);
        seglog_set_configuration(world->log, word, slice_of(&word, sizeof(word)));
    }
}

/* ---- What the log says ---- */

static void check_entry(const struct log_state *state, const struct log_entry *entry)
{
    ASSERT(entry->index <= state->last_index);
    const struct entry_origin *origin = &state->entries[entry->index];
    uint64_t seed = origin->record->seed;
    size_t size = entry_size(seed, origin->nth);
    ASSERT(entry->term == origin->record->term);
    ASSERT(entry->type == entry_type_of(seed, origin->nth));
    ASSERT(entry->payload.len == size);
    uint8_t *want = mem_alloc(size + 8);
    fill_entry(want, size, seed, origin->nth);
    ASSERT(memcmp(want, entry->payload.data, size) == 0);
    mem_free(want);
}

/* A read that fails may be tried again: the reader stands where it stood. */
static int next_frame(struct logworld *world, struct seglog_reader *reader,
                      struct frame **out_frame)
{
    int rc = seglog_reader_next(reader, out_frame, &world->diag);
    if (rc == -EIO)
        rc = seglog_reader_next(reader, out_frame, &world->diag);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        fprintf(stderr, "reader: %s\n", world->diag.text);
    ASSERT(rc == 0 || rc == ERR_NOT_FOUND);
    return rc;
}

/* Reads everything that is there; returns the last index read. */
static uint64_t check_entries(struct logworld *world, const struct log_state *state)
{
    uint64_t next = world->found.first_index;
    struct seglog_reader *reader;
    int rc = seglog_reader_open(world->log, next, &reader);
    ASSERT(rc == 0);
    for (struct frame *frame; next_frame(world, reader, &frame) == 0;) {
        size_t at = FRAME_HEADER_SIZE;
        struct log_entry entry;
        for (uint32_t nth = 0; frame_next_entry(frame, &at, nth, &entry); nth++) {
            ASSERT(entry.index == next);
            check_entry(state, &entry);
            next++;
        }
        frame_unref(frame);
    }
    seglog_reader_close(reader);
    return next - 1;
}

void logworld_check(struct logworld *world, uint64_t durable)
{
    uint64_t count = seglog_durable_sequence(world->log);
    ASSERT(count >= durable);
    struct log_state state = history_state(&world->history, count);
    const struct seglog_found *found = &world->found;
    ASSERT(found->term == state.term && found->vote == state.vote);
    ASSERT(found->last_index == state.last_index);
    ASSERT(found->last_index >= world->checkpoint_index);
    ASSERT(found->first_index <= world->checkpoint_index + 1);
    ASSERT(check_entries(world, &state) == found->last_index);
    for (uint64_t i = world->checkpoint_index; i <= found->last_index; i++)
        ASSERT(seglog_term(world->log, i) == (i == 0 ? 0 : state.entries[i].record->term));
    ASSERT(seglog_term(world->log, found->last_index) == found->last_term);
    ASSERT(seglog_term(world->log, found->last_index + 1) == 0);
    log_state_fini(&state);
}
