/* SPDX-License-Identifier: Apache-2.0 */
#include "bitcask/merge.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/bitcask_internal.h"
#include "bitcask/cursor.h"

/* A slice ends with the record that reaches one of these. The owner's part of a slice is two looks
 * into the keydir per record. */
#define SLICE_BYTES   (256u * 1024)
#define SLICE_RECORDS 512
/* Records are gathered for one write up to this; a larger one is written from where it is. */
#define GATHER_BYTES (256u * 1024)
/* What is written is synced this often, so that the next checkpoint has little left to sync. */
#define SYNC_BYTES (UINT64_C(8) << 20)

struct slice_item {
    struct merge_item item;
    size_t at;     /* in the slice's bytes */
    size_t key_at; /* from there */
    enum merge_verdict verdict;
    struct datafile *output; /* where it goes, unless dropped */
    size_t new_size;
    bool is_tombstone; /* that is written in its stead */
    bool is_bound;     /* its bytes have been tied to the new place */
};

/* What a slice adds to an output. */
struct slice_output {
    struct datafile *df;
    uint64_t end;
    uint64_t pad_off; /* with pad_size > 0: the output's end */
    size_t pad_size;
    bool is_new; /* its header is to be written */
};

struct merge_slice {
    struct buf bytes;
    struct slice_item *items;
    size_t count;
    struct slice_output *outputs;
    size_t output_count;
};

struct bitcask_merge {
    struct bitcask *bc;
    struct fs *fs;
    struct merge_events events;
    struct datafile **inputs; /* references */
    size_t input_count;
    struct datafile **outputs; /* held by the table */
    size_t output_count;
    struct datafile *output; /* takes records; NULL: the next one starts another */
    uint64_t outside_index;
    _Atomic bool is_stopping;
    /* The job's: */
    size_t input; /* that is being read */
    bool is_reading;
    struct datafile_cursor cursor;
    struct merge_slice slices[2];
    unsigned fresh; /* the slice that is being read; the other one is being written */
    struct buf gathered;
    int read_error;
    int write_error;
    int sync_error; /* final (B8) */
    struct diag read_diag;
    const struct datafile *failed; /* that could not be written or synced */
    uint64_t unsynced_bytes;
    struct merge_stats stats;
};

/* ---- Life ---- */

static bool is_input(const struct bitcask *bc, const struct datafile *df, const void *ctx)
{
    const struct bitcask_merge *merge = ctx;
    (void)bc;
    bool found = false;
    for (size_t i = 0; i < merge->input_count; i++)
        found |= merge->inputs[i] == df;
    return found;
}

static bool has_output(const struct bitcask *bc)
{
    const struct file_table *table = bitcask_table(bc);
    bool found = false;
    for (size_t i = 0; i < table->count; i++)
        found |= table->entries[i].df->is_output;
    return found;
}

struct bitcask_merge *bitcask_merge_new(struct bitcask *bc, const uint32_t *ids, size_t count,
                                        struct merge_events events)
{
    ASSERT(count > 0);
    /* Keys that were moved to an output which nobody names would look replaced. */
    ASSERT(!has_output(bc)); /* B11 */
    struct bitcask_merge *merge = mem_calloc(1, sizeof(*merge));
    merge->bc = bc;
    merge->fs = bc->os.fs;
    merge->events = events;
    merge->inputs = mem_calloc(count, sizeof(*merge->inputs));
    merge->input_count = count;
    for (size_t i = 0; i < count; i++) {
        struct datafile *df = file_table_find(bitcask_table(bc), ids[i]);
        ASSERT(df != NULL && df != bc->current && !df->is_output);
        merge->inputs[i] = datafile_ref(df);
        merge->stats.bytes_total += df->append_off - DATAFILE_HEADER_SIZE;
    }
    merge->outside_index = bitcask_lowest_index(bc, is_input, merge);
    for (size_t i = 0; i < ARRAY_COUNT(merge->slices); i++)
        merge->slices[i].items = mem_calloc(SLICE_RECORDS, sizeof(*merge->slices[i].items));
    return merge;
}

void bitcask_merge_free(struct bitcask_merge *merge)
{
    if (merge == NULL)
        return;
    if (merge->is_reading)
        datafile_cursor_fini(&merge->cursor);
    for (size_t i = 0; i < merge->input_count; i++)
        datafile_unref(merge->inputs[i]);
    for (size_t i = 0; i < ARRAY_COUNT(merge->slices); i++) {
        buf_fini(&merge->slices[i].bytes);
        mem_free(merge->slices[i].items);
        mem_free(merge->slices[i].outputs);
    }
    buf_fini(&merge->gathered);
    mem_free(merge->inputs);
    mem_free(merge->outputs);
    mem_free(merge);
}

void bitcask_merge_stop(struct bitcask_merge *merge)
{
    merge->is_stopping = true;
}

int bitcask_merge_error(const struct bitcask_merge *merge)
{
    return merge->write_error != 0 ? merge->write_error : merge->read_error;
}

struct merge_stats bitcask_merge_stats(const struct bitcask_merge *merge)
{
    return merge->stats;
}

/* ---- Reading, in the background ---- */

static void add_item(struct merge_slice *slice, const struct datafile_cursor_record *at,
                     uint32_t file_id)
{
    struct slice_item *item = &slice->items[slice->count++];
    *item = (struct slice_item){
        .item = {.record = at->record, .file_id = file_id, .off = at->off, .size = at->bytes.len},
        .at = slice->bytes.len,
        .key_at = (size_t)(at->record.key.data - at->bytes.data),
    };
    buf_append_slice(&slice->bytes, at->bytes);
}

/* A record may be as large as a value. */
static int make_room(struct bitcask_merge *merge, struct merge_slice *slice, size_t size)
{
    if (buf_try_reserve(&slice->bytes, size) == 0)
        return 0;
    return diag_set(&merge->read_diag, -ENOMEM, "%s: no memory for the record of %zu bytes",
                    merge->cursor.df->path, size);
}

/* The bytes have stopped moving: keys and values are found again. */
static void settle_slices(struct merge_slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct record *record = &slice->items[i].item.record;
        const uint8_t *key = slice->bytes.data + slice->items[i].at + slice->items[i].key_at;
        if (record->kind == RECORD_FLUSH)
            continue;
        record->key.data = key;
        record->value.data = key + record->key.len;
    }
}

static bool begin_input(struct bitcask_merge *merge)
{
    if (merge->is_reading && !datafile_cursor_is_at_end(&merge->cursor))
        return true;
    if (merge->is_reading) {
        datafile_cursor_fini(&merge->cursor);
        merge->is_reading = false;
        merge->input++;
    }
    if (merge->input == merge->input_count)
        return false;
    struct datafile *df = merge->inputs[merge->input];
    datafile_cursor_init(&merge->cursor, df, DATAFILE_HEADER_SIZE, df->append_off);
    merge->is_reading = true;
    return true;
}

static void read_slice(struct bitcask_merge *merge, struct merge_slice *slice)
{
    uint64_t read = 0;
    while (slice->count < SLICE_RECORDS && read < SLICE_BYTES && begin_input(merge)) {
        if (datafile_cursor_is_at_end(&merge->cursor))
            continue;
        struct datafile_cursor_record at;
        merge->read_error = datafile_cursor_next(&merge->cursor, &at, &merge->read_diag);
        if (merge->read_error != 0)
            break;
        read += at.bytes.len;
        if (at.record.kind == RECORD_PAD)
            continue;
        merge->read_error = make_room(merge, slice, at.bytes.len);
        if (merge->read_error != 0)
            break;
        add_item(slice, &at, merge->cursor.df->id);
    }
    merge->stats.bytes_read += read;
    settle_slices(slice);
}

/* ---- Writing, in the background ---- */

static int write_at(struct bitcask_merge *merge, struct datafile *df, struct slice bytes,
                    uint64_t off)
{
    size_t done = 0;
    int rc = file_write_full(df->file, bytes.data, bytes.len, off, &done);
    if (rc != 0)
        merge->failed = df;
    merge->stats.bytes_written += done;
    return rc;
}

static int write_header(struct bitcask_merge *merge, struct datafile *df)
{
    int rc = df->file == NULL ? datafile_create(df, merge->fs) : 0;
    if (rc != 0) {
        merge->failed = df;
        return rc;
    }
    const struct datafile_header header = {.shard = df->shard, .id = df->id, .uid = df->uid};
    struct buf block = {0};
    datafile_header_encode(&header, &block);
    rc = write_at(merge, df, buf_slice(&block), 0);
    buf_fini(&block);
    return rc;
}

static struct record tombstone_of(const struct record *record)
{
    return (struct record){.kind = RECORD_TOMBSTONE,
                           .type = record->type,
                           .promotion = record->promotion,
                           .db_id = record->db_id,
                           .revision = record->revision + 1,
                           .position = record->position,
                           .collection = record->collection,
                           .key = record->key};
}

static void bind(const struct bitcask_merge *merge, struct merge_slice *slice,
                 struct slice_item *item)
{
    if (item->is_bound)
        return;
    const struct datafile *from = NULL;
    for (size_t i = 0; i < merge->input_count && from == NULL; i++) {
        if (merge->inputs[i]->id == item->item.file_id)
            from = merge->inputs[i];
    }
    ASSERT(from != NULL);
    record_rebind(slice->bytes.data + item->at,
                  (struct record_place){.uid = from->uid, .off = item->item.off},
                  (struct record_place){.uid = item->output->uid, .off = item->item.new_off});
    item->is_bound = true;
}

/* To what is gathered, or to the file if it is large. */
static int write_record(struct bitcask_merge *merge, struct merge_slice *slice,
                        struct slice_item *item)
{
    if (item->is_tombstone) {
        const struct record tombstone = tombstone_of(&item->item.record);
        record_encode(&tombstone,
                      (struct record_place){.uid = item->output->uid, .off = item->item.new_off},
                      &merge->gathered);
        return 0;
    }
    bind(merge, slice, item);
    struct slice bytes = slice_of(slice->bytes.data + item->at, item->item.size);
    if (bytes.len > GATHER_BYTES)
        return write_at(merge, item->output, bytes, item->item.new_off);
    buf_append_slice(&merge->gathered, bytes);
    return 0;
}

/* Writes the kept records of one output, neighbours together. */
static int write_records(struct bitcask_merge *merge, struct merge_slice *slice,
                         struct datafile *df)
{
    struct buf *gathered = &merge->gathered;
    uint64_t off = 0; /* of what has been gathered */
    int rc = 0;
    gathered->len = 0;
    for (size_t i = 0; i < slice->count && rc == 0; i++) {
        struct slice_item *item = &slice->items[i];
        if (item->verdict == MERGE_DROP || item->output != df)
            continue;
        if (gathered->len > 0 && gathered->len + item->new_size > GATHER_BYTES) {
            rc = write_at(merge, df, buf_slice(gathered), off);
            gathered->len = 0;
        }
        if (gathered->len == 0)
            off = item->item.new_off;
        if (rc == 0)
            rc = write_record(merge, slice, item);
    }
    if (rc == 0 && gathered->len > 0)
        rc = write_at(merge, df, buf_slice(gathered), off);
    return rc;
}

static int write_pad(struct bitcask_merge *merge, const struct slice_output *output)
{
    struct buf pad = {0};
    record_encode(&(struct record){.kind = RECORD_PAD, .pad_size = output->pad_size},
                  (struct record_place){.uid = output->df->uid, .off = output->pad_off}, &pad);
    int rc = write_at(merge, output->df, buf_slice(&pad), output->pad_off);
    buf_fini(&pad);
    return rc;
}

/* An output that takes no more is synced whole, so that what is left unsynced is in the last one.
 */
static void sync_output(struct bitcask_merge *merge, struct datafile *df, bool is_ended)
{
    if (!is_ended && merge->unsynced_bytes < SYNC_BYTES)
        return;
    merge->unsynced_bytes = 0;
    merge->sync_error = file_sync(df->file);
    merge->failed = df;
}

/* After a failure all of it is written again, the same bytes to the same places (R32). */
static int write_slice(struct bitcask_merge *merge, struct merge_slice *slice)
{
    for (size_t i = 0; i < slice->output_count && merge->sync_error == 0; i++) {
        struct slice_output *output = &slice->outputs[i];
        int rc = output->is_new ? write_header(merge, output->df) : 0;
        if (rc == 0)
            rc = write_records(merge, slice, output->df);
        if (rc == 0 && output->pad_size > 0)
            rc = write_pad(merge, output);
        if (rc != 0)
            return rc;
        merge->unsynced_bytes +=
            output->end - atomic_load_explicit(&output->df->written_off, memory_order_relaxed);
        /* B4 */
        atomic_store_explicit(&output->df->written_off, output->end, memory_order_release);
        sync_output(merge, output->df, i + 1 < slice->output_count);
    }
    return 0;
}

void bitcask_merge_run(struct bitcask_merge *merge)
{
    merge->write_error = write_slice(merge, &merge->slices[merge->fresh ^ 1]);
    if (merge->write_error == 0 && merge->sync_error == 0 && merge->read_error == 0 &&
        !merge->is_stopping)
        read_slice(merge, &merge->slices[merge->fresh]);
}

/* ---- The owner's part ---- */

static struct slice_output *output_of_slice(struct merge_slice *slice, struct datafile *df,
                                            bool is_new)
{
    for (size_t i = 0; i < slice->output_count; i++) {
        if (slice->outputs[i].df == df)
            return &slice->outputs[i];
    }
    slice->outputs =
        mem_realloc(slice->outputs, (slice->output_count + 1) * sizeof(*slice->outputs));
    struct slice_output *output = &slice->outputs[slice->output_count++];
    *output = (struct slice_output){.df = df, .is_new = is_new, .end = df->append_off};
    return output;
}

/* Gives the output its end, at a block (B5). */
static void end_output(struct bitcask_merge *merge, struct merge_slice *slice)
{
    struct datafile *df = merge->output;
    merge->output = NULL;
    size_t pad_size = (size_t)record_pad_size(df->append_off);
    struct slice_output *output = output_of_slice(slice, df, false);
    output->pad_off = df->append_off;
    output->pad_size = pad_size;
    df->kept_dead.pad_bytes = pad_size;
    df->append_off += pad_size;
    output->end = df->append_off;
}

static void begin_output(struct bitcask_merge *merge, struct merge_slice *slice)
{
    struct datafile *df = bitcask_new_file(merge->bc);
    df->is_output = true;
    df->append_off = DATAFILE_HEADER_SIZE;
    df->kept_dead.outside_index = merge->outside_index;
    merge->outputs =
        mem_realloc(merge->outputs, (merge->output_count + 1) * sizeof(*merge->outputs));
    merge->outputs[merge->output_count++] = df;
    merge->output = df;
    output_of_slice(slice, df, true);
    bitcask_add_file(merge->bc, df);
}

/* Gives a record that is kept its place. */
static void lay_out(struct bitcask_merge *merge, struct merge_slice *slice, struct slice_item *item)
{
    const struct record *record = &item->item.record;
    item->is_tombstone = item->verdict == MERGE_KEEP_DEAD && record->kind == RECORD_PUT;
    const struct record tombstone = tombstone_of(record);
    size_t size = item->is_tombstone ? record_size(&tombstone) : item->item.size;
    item->new_size = size;
    if (merge->output != NULL && merge->output->append_off > DATAFILE_HEADER_SIZE &&
        !bitcask_has_room(merge->bc, merge->output->append_off, size))
        end_output(merge, slice);
    if (merge->output == NULL)
        begin_output(merge, slice);
    struct datafile *df = merge->output;
    item->output = df;
    item->item.new_file_id = df->id;
    item->item.new_off = df->append_off;
    df->append_off += size;
    output_of_slice(slice, df, false)->end = df->append_off;
    uint64_t index = record->position >> 16;
    if (index < df->lowest_index)
        df->lowest_index = index;
    if (item->verdict == MERGE_KEEP_DEAD)
        df->kept_dead.bytes += size;
}

static void judge_slice(struct bitcask_merge *merge, struct merge_slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct slice_item *item = &slice->items[i];
        item->verdict = merge->events.judge(merge->events.ctx, &item->item, merge->outside_index);
        if (item->verdict == MERGE_DROP) {
            merge->stats.records_dropped++;
            continue;
        }
        merge->stats.records_kept++;
        lay_out(merge, slice, item);
    }
}

/* Its copies are in the files. */
static void tell_moved(struct bitcask_merge *merge, struct merge_slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        if (slice->items[i].verdict == MERGE_LIVE)
            merge->events.moved(merge->events.ctx, &slice->items[i].item);
    }
    slice->count = 0;
    slice->output_count = 0;
    slice->bytes.len = 0;
    if (slice->bytes.cap > 2 * SLICE_BYTES)
        buf_fini(&slice->bytes);
}

/* Outputs are named and inputs retired in this one step, which no mark divides. */
static enum merge_state finish(struct bitcask_merge *merge, struct diag *diag)
{
    struct bitcask *bc = merge->bc;
    bool is_whole = merge->read_error == 0 && !merge->is_stopping;
    for (size_t i = 0; i < merge->output_count; i++) {
        struct datafile *df = merge->outputs[i];
        df->is_output = false;
        df->sealed_ms = clock_wall_ms(bc->os.clock);
    }
    if (merge->output_count > 0)
        bc->is_dirty = true;
    if (merge->read_error != 0) {
        merge->inputs[merge->input]->is_damaged = merge->read_error == ERR_CORRUPT;
        if (diag != NULL)
            *diag = merge->read_diag;
    }
    for (size_t i = 0; i < merge->input_count && is_whole; i++)
        bitcask_retire_file(bc, merge->inputs[i]);
    if (is_whole)
        bc->stats.merges++;
    return is_whole ? MERGE_DONE : MERGE_STOPPED;
}

static bool is_read(const struct bitcask_merge *merge)
{
    return merge->is_stopping || merge->read_error != 0 || merge->input == merge->input_count;
}

enum merge_state bitcask_merge_done(struct bitcask_merge *merge, struct diag *diag)
{
    if (merge->write_error != 0) {
        diag_set(diag, merge->write_error, "%s: cannot write: %s; the merge will go on later",
                 merge->failed->path, err_text(merge->write_error));
        return MERGE_STALLED;
    }
    if (merge->sync_error != 0) {
        bitcask_note_failed_sync(merge->bc, merge->sync_error, merge->failed->path, diag);
        return MERGE_SUSPECT;
    }
    tell_moved(merge, &merge->slices[merge->fresh ^ 1]);
    struct merge_slice *slice = &merge->slices[merge->fresh];
    judge_slice(merge, slice);
    merge->fresh ^= 1;
    if (slice->output_count > 0 || !is_read(merge))
        return MERGE_MORE;
    if (merge->output != NULL) {
        end_output(merge, slice);
        return MERGE_MORE;
    }
    return finish(merge, diag);
}
