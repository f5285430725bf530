/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/batch.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

#define FIRST_OPS 32

struct batch *batch_new(struct port *port, enum batch_kind kind)
{
    struct batch *batch = mem_calloc(1, sizeof(*batch));
    batch->port = port;
    batch->kind = kind;
    return batch;
}

void batch_free(struct batch *batch)
{
    while (batch != NULL) {
        struct batch *next = batch->next;
        for (uint32_t i = 0; i < batch->op_count; i++)
            mem_free(batch->ops[i].barrier);
        frame_unref(batch->frame);
        buf_fini(&batch->side);
        mem_free(batch->ops);
        mem_free(batch);
        batch = next;
    }
}

struct op *batch_add_op(struct batch *batch)
{
    if (batch->op_count == batch->op_cap) {
        batch->op_cap = batch->op_cap == 0 ? FIRST_OPS : batch->op_cap * 2;
        batch->ops = mem_realloc(batch->ops, batch->op_cap * sizeof(*batch->ops));
    }
    struct op *op = &batch->ops[batch->op_count++];
    *op = (struct op){.batch = batch};
    return op;
}

size_t batch_frame_size(const struct batch *batch)
{
    return batch->frame == NULL ? FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE : batch->frame->size;
}

struct round *round_new(struct group *group, enum round_kind kind)
{
    uint32_t count = group->stores.count;
    struct round *round = mem_calloc(1, sizeof(*round) + count * sizeof(round->parts[0]));
    round->kind = kind;
    round->group = group;
    round->part_count = count;
    for (uint32_t i = 0; i < count; i++) {
        round->parts[i].round = round;
        round->parts[i].shard = i;
    }
    return round;
}

void round_free(struct round *round)
{
    batch_free(round->batches);
    frame_unref(round->frame);
    mem_free(round);
}

static void add_work(struct round *round, uint32_t shard, struct work *work, struct op *op)
{
    struct round_part *part = &round->parts[shard];
    work->op = op;
    work->next = NULL;
    if (part->last == NULL)
        part->first = work;
    else
        part->last->next = work;
    part->last = work;
}

static void add_multi(struct round *round, struct op *op)
{
    uint32_t count = (uint32_t)__builtin_popcountll(op->shards);
    op->barrier = mem_alloc(sizeof(*op->barrier) + count * sizeof(op->barrier->works[0]));
    atomic_init(&op->barrier->missing, count);
    op->barrier->work_count = count;
    uint32_t nth = 0;
    for (uint32_t shard = 0; shard < round->part_count; shard++) {
        if ((op->shards >> shard & 1) != 0)
            add_work(round, shard, &op->barrier->works[nth++], op);
    }
    ASSERT(nth == count);
}

void round_add_ops(struct round *round, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->op_count; i++) {
        struct op *op = &batch->ops[i];
        ASSERT(op->shards != 0);
        if ((op->shards & (op->shards - 1)) == 0) {
            add_work(round, (uint32_t)__builtin_ctzll(op->shards), &op->work, op);
        } else {
            op->flags |= OP_MULTI;
            add_multi(round, op);
        }
    }
}
