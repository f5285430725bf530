/* SPDX-License-Identifier: Apache-2.0 */
/* The frame index and the term table beside the plainest model: one word an entry. */
#include "support/cmocka.h"

#include "base/mem.h"
#include "seglog/index_internal.h"
#include "support/simdisk.h"

#define MODEL_CAP 100000
#define SEGMENTS  4000

struct model {
    struct simchance chance;
    struct frame_index index;
    struct term_table terms;
    struct segment *segments; /* only their addresses count */
    size_t first_segment;
    size_t last_segment;
    uint64_t base;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t *terms_by_index;
    uint32_t *frames_by_index; /* offset of the frame that holds it */
    size_t *segments_by_index;
    uint32_t next_off;
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return chance_u64(&model->chance.chance) % bound;
}

static void append(struct model *model)
{
    uint32_t count = 1 + (uint32_t)below(model, 9);
    if (below(model, 5) == 0)
        model->last_term += 1 + below(model, 3);
    if (below(model, 6) == 0)
        model->last_segment++;
    model->next_off++;
    struct index_item item = {
        .first_index = model->last_index + 1,
        .segment = &model->segments[model->last_segment],
        .count = count,
        .off = model->next_off,
    };
    frame_index_push(&model->index, &item);
    term_table_append(&model->terms, item.first_index, model->last_term);
    for (uint64_t i = item.first_index; i < item.first_index + count; i++) {
        model->terms_by_index[i] = model->last_term;
        model->frames_by_index[i] = item.off;
        model->segments_by_index[i] = model->last_segment;
    }
    model->last_index += count;
}

/* Also below the base, as an old truncation that is replayed may go. */
static void truncate(struct model *model)
{
    uint64_t most = model->last_index < 20 ? model->last_index : 20;
    model->last_index -= below(model, most + 1);
    model->last_term = model->terms_by_index[model->last_index];
    frame_index_truncate(&model->index, model->last_index);
    term_table_truncate(&model->terms, model->last_index, model->last_term);
    if (model->base > model->last_index)
        model->base = model->last_index;
}

static void drop_segment(struct model *model)
{
    if (model->first_segment == model->last_segment)
        return;
    frame_index_drop_segment(&model->index, &model->segments[model->first_segment]);
    while (model->base < model->last_index &&
           model->segments_by_index[model->base + 1] == model->first_segment)
        model->base++;
    term_table_drop_front(&model->terms, model->base);
    model->first_segment++;
}

static void check(struct model *model)
{
    assert_true(term_table_base(&model->terms) <= model->base);
    for (uint64_t i = model->base; i <= model->last_index; i++)
        assert_int_equal(term_table_get(&model->terms, i), model->terms_by_index[i]);
    for (uint64_t i = model->base + 1; i <= model->last_index; i++) {
        size_t at = frame_index_find(&model->index, i);
        assert_true(at < model->index.end);
        const struct index_item *item = &model->index.items[at];
        assert_true(item->first_index <= i && i < item->first_index + item->count);
        assert_int_equal(item->off, model->frames_by_index[i]);
    }
    assert_int_equal(frame_index_find(&model->index, model->last_index + 1), model->index.end);
}

static void index_and_terms_follow_the_model(void **state)
{
    (void)state;
    struct model model = {0};
    simchance_init(&model.chance, sim_seed());
    model.segments = mem_calloc(SEGMENTS, sizeof(*model.segments));
    model.terms_by_index = mem_calloc(MODEL_CAP, sizeof(uint64_t));
    model.frames_by_index = mem_calloc(MODEL_CAP, sizeof(uint32_t));
    model.segments_by_index = mem_calloc(MODEL_CAP, sizeof(size_t));
    term_table_reset(&model.terms, 0, 0);
    for (int round = 0; round < 12000; round++) {
        uint64_t roll = below(&model, 100);
        if (roll < 70)
            append(&model);
        else if (roll < 82)
            truncate(&model);
        else if (roll < 95)
            drop_segment(&model);
        else
            check(&model);
    }
    check(&model);
    assert_true(model.index.cap < 20000);
    frame_index_fini(&model.index);
    term_table_fini(&model.terms);
    mem_free(model.segments);
    mem_free(model.terms_by_index);
    mem_free(model.frames_by_index);
    mem_free(model.segments_by_index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_and_terms_follow_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
