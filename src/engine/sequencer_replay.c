/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that were in the log when the process started: their commands are found in the bytes. */
#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

/* Makes an op of one command. NULL on success, else what is wrong with it. */
static const char *decode_command(struct group *group, struct entry_decoder *decoder,
                                  struct batch *batch, struct slice rest, size_t off,
                                  size_t *out_size)
{
    struct entry_command command;
    const char *wrong = entry_decode_command(decoder, rest, &command);
    if (wrong != NULL)
        return wrong;
    struct op *op = batch_add_op(batch);
    op->row = command.row;
    op->flags = OP_LOGGED;
    op->off = (uint32_t)off;
    op->size = command.coded.size;
    op->proto = 2;
    op->ordinal = (uint16_t)batch->logged_count++;
    op->db = command.coded.db;
    struct involved involved;
    if (!group_involved(group, command.row, command.argv, command.coded.argc, command.coded.db,
                        &involved))
        return "does not name its keys";
    op->shards = involved.shards;
    op->hash = involved.hash;
    *out_size = command.coded.size;
    return NULL;
}

bool sequencer_decode(struct sequencer *sequencer, struct round *round,
                      const struct log_entry *entry, uint32_t count)
{
    struct group *group = sequencer->group;
    struct entry_decoder decoder = {.table = group->options.table,
                                    .database_count = group->manifest.database_count};
    struct batch *batch = batch_new(NULL, BATCH_ORDERED);
    size_t base = (size_t)(entry->payload.data - round->frame->data);
    size_t at = ENTRY_PREFIX_SIZE;
    const char *wrong = NULL;
    uint32_t nth = 0;
    for (; nth < count && wrong == NULL; nth++) {
        size_t size = 0;
        wrong = decode_command(group, &decoder, batch, slice_sub(entry->payload, at, SIZE_MAX),
                               base + at, &size);
        at += size;
    }
    if (wrong == NULL && at != entry->payload.len)
        wrong = "is followed by bytes that belong to none";
    entry_decoder_fini(&decoder);
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
