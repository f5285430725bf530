/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that were in the log when the process started: their commands are found in the bytes. */
#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

struct decoder {
    struct group *group;
    struct slice *argv;
    size_t argv_cap;
};

/* Decodes one command into an op. NULL on success, else what is wrong with it. */
static const char *decode_command(struct decoder *decoder, struct batch *batch, struct slice rest,
                                  size_t off, size_t *out_size)
{
    struct coded_command coded;
    if (command_decode(rest, &coded) != 0)
        return "is not well-formed";
    const struct command_row *row = command_by_id(decoder->group->options.table, coded.id);
    if (row == NULL || (row->flags & CMD_WRITE) == 0)
        return "has an unknown number: another version of Ferric wrote it";
    if (coded.db >= decoder->group->manifest.database_count || !command_arity_fits(row, coded.argc))
        return "does not fit what it is";
    if (coded.argc > decoder->argv_cap) {
        decoder->argv_cap = coded.argc;
        decoder->argv = mem_realloc(decoder->argv, decoder->argv_cap * sizeof(*decoder->argv));
    }
    command_fill_argv(&coded, decoder->argv);
    struct op *op = batch_add_op(batch);
    op->row = row;
    op->flags = OP_LOGGED;
    op->off = (uint32_t)off;
    op->size = coded.size;
    op->proto = 2;
    op->ordinal = (uint16_t)batch->logged_count++;
    op->db = coded.db;
    struct involved involved;
    if (!group_involved(decoder->group, row, decoder->argv, coded.argc, coded.db, &involved))
        return "does not name its keys";
    op->shards = involved.shards;
    op->hash = involved.hash;
    *out_size = coded.size;
    return NULL;
}

bool sequencer_decode(struct sequencer *sequencer, struct round *round,
                      const struct log_entry *entry, uint32_t count)
{
    struct group *group = sequencer->group;
    struct decoder decoder = {.group = group};
    struct batch *batch = batch_new(NULL, BATCH_ORDERED);
    size_t base = (size_t)(entry->payload.data - round->frame->data);
    size_t at = ENTRY_PREFIX_SIZE;
    const char *wrong = NULL;
    uint32_t nth = 0;
    for (; nth < count && wrong == NULL; nth++) {
        size_t size = 0;
        wrong = decode_command(&decoder, batch, slice_sub(entry->payload, at, SIZE_MAX), base + at,
                               &size);
        at += size;
    }
    if (wrong == NULL && at != entry->payload.len)
        wrong = "is followed by bytes that belong to none";
    mem_free(decoder.argv);
    if (wrong != NULL) {
        batch_free(batch);
        group_fail(group,
                   "log entry %llu, command %u %s. The log was not changed; restore from a "
                   "backup",
                   (unsigned long long)entry->index, nth, wrong);
        return false;
    }
    if (count == 0) {
        batch_free(batch);
        return true;
    }
    round->batches = batch;
    round_add_ops(round, batch);
    sequencer->replayed += count;
    group_publish(group, PUB_REPLAYED, sequencer->replayed);
    return true;
}
