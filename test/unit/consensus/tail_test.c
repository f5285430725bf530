/* SPDX-License-Identifier: Apache-2.0 */
/* The tail against an array of terms, one per entry. */
#include "consensus/tail.h"

#include "support/cmocka.h"
#include "support/simdisk.h"

#define ROUNDS    200
#define STEPS     400
#define INDEX_MAX 4096

struct model {
    struct tail tail;
    struct simchance source;
    struct frame *in_flight[STEPS]; /* with the disk, oldest first, cut or not; referenced */
    size_t flight_head;
    size_t flight_count;
    uint64_t frame_of[INDEX_MAX]; /* serial of the frame that holds the entry; 0: not in memory */
    uint64_t first;
    uint64_t last;
    uint64_t durable;
    uint64_t serial;
};

static uint64_t chance(struct model *model, uint64_t limit)
{
    return chance_u64(&model->source.chance) % limit;
}

static void push(struct model *model)
{
    struct frame *frame = frame_new(8);
    assert_non_null(frame);
    frame->first_index = model->last + 1;
    frame->entry_count = 1 + (uint32_t)chance(model, 5);
    frame->sequence = ++model->serial;
    tail_push(&model->tail, frame);
    for (uint32_t i = 0; i < frame->entry_count; i++)
        model->frame_of[++model->last] = frame->sequence;
    model->in_flight[model->flight_head + model->flight_count++] = frame;
}

static void complete(struct model *model)
{
    if (model->flight_count == 0)
        return;
    struct frame *frame = model->in_flight[model->flight_head++];
    uint64_t expected = 0;
    model->flight_count--;
    for (uint64_t i = model->first; i <= model->last; i++)
        if (model->frame_of[i] == frame->sequence)
            expected = i;
    assert_int_equal(tail_mark_durable(&model->tail, frame), expected);
    if (expected != 0)
        model->durable = expected;
    frame_unref(frame);
}

static void cut(struct model *model)
{
    uint64_t index = model->last - chance(model, 8);
    if (index < model->first || index > model->last)
        return;
    tail_cut(&model->tail, index);
    for (uint64_t i = index; i <= model->last; i++)
        model->frame_of[i] = 0;
    model->last = index - 1;
    if (model->durable > model->last)
        model->durable = model->last;
}

static void evict(struct model *model)
{
    size_t keep = (size_t)chance(model, 6) * FRAME_ALIGN;
    size_t frames = 0;
    tail_evict(&model->tail, keep);
    assert_true(model->tail.durable_bytes <= keep);
    while (model->first <= model->last && tail_find(&model->tail, model->first) == NULL) {
        assert_true(model->first <= model->durable);
        model->frame_of[model->first++] = 0;
    }
    for (uint64_t i = model->first; i <= model->durable; i++)
        frames += model->frame_of[i] != model->frame_of[i + 1] || i == model->durable;
    assert_int_equal(frames, model->tail.durable_count);
}

static void check(const struct model *model)
{
    for (uint64_t i = 0; i <= model->last + 2; i++) {
        const struct tail_item *item = tail_find(&model->tail, i);
        bool is_there = i >= model->first && i <= model->last && model->frame_of[i] != 0;
        assert_int_equal(item != NULL, is_there);
        if (item == NULL)
            continue;
        assert_int_equal(item->frame->sequence, model->frame_of[i]);
        assert_true(i >= item->first && i <= item->last);
        assert_true(item->last <= model->last);
    }
}

static void tail_is_what_a_plain_array_would_be(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    static struct model model;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        model = (struct model){.first = 1};
        simchance_init(&model.source, seed + round);
        for (int i = 0; i < STEPS; i++) {
            switch (chance(&model, 8)) {
            case 0:
                cut(&model);
                break;
            case 1:
                evict(&model);
                break;
            case 2:
            case 3:
            case 4:
                complete(&model);
                break;
            default:
                push(&model);
            }
            check(&model);
        }
        tail_fini(&model.tail);
        while (model.flight_count > 0) {
            struct frame *frame = model.in_flight[model.flight_head++];
            model.flight_count--;
            assert_int_equal(frame->ref_count, 1);
            frame_unref(frame);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_is_what_a_plain_array_would_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
