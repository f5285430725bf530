/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/model.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

#define MAX_CHOICE_KEYS 8
#define NOT_OURS        UINT32_MAX

struct cell {
    uint32_t value;
    uint32_t life;
};

struct state {
    int64_t not_before_ns; /* a key was seen to be gone that lives until then at least */
    struct cell cells[];
};

struct model {
    struct claims *claims;
    const uint32_t *keys;
    size_t key_count;
    uint32_t *place_of_key; /* in a state; NOT_OURS for keys of other components */
    struct intern states;
    size_t state_size;
    struct state *now; /* being worked on */
    struct buf scratch;
};

struct model *model_new(struct claims *claims, const uint32_t *keys, size_t key_count)
{
    struct model *model = mem_calloc(1, sizeof(*model));
    model->claims = claims;
    model->keys = keys;
    model->key_count = key_count;
    model->place_of_key = mem_alloc(claims->keys.count * sizeof(*model->place_of_key));
    memset(model->place_of_key, 0xff, claims->keys.count * sizeof(*model->place_of_key));
    for (size_t i = 0; i < key_count; i++)
        model->place_of_key[keys[i]] = (uint32_t)i;
    model->state_size = sizeof(struct state) + key_count * sizeof(struct cell);
    model->now = mem_calloc(1, model->state_size);
    model->now->not_before_ns = INT64_MIN;
    uint32_t first = intern_put(&model->states, slice_of(model->now, model->state_size));
    ASSERT(first == 0);
    return model;
}

void model_free(struct model *model)
{
    if (model == NULL)
        return;
    mem_free(model->place_of_key);
    mem_free(model->now);
    intern_fini(&model->states);
    buf_fini(&model->scratch);
    mem_free(model);
}

uint32_t model_first_state(const struct model *model)
{
    (void)model;
    return 0;
}

static struct cell *cell_of(struct model *model, uint32_t key)
{
    uint32_t place = model->place_of_key[key];
    ASSERT(place != NOT_OURS);
    return &model->now->cells[place];
}

/* ---- Keys that may have ended ---- */

static bool is_repeated(const struct step *steps, uint32_t nth)
{
    for (uint32_t i = 0; i < nth; i++) {
        if (verb_has_key(steps[i].verb) && steps[i].key == steps[nth].key)
            return true;
    }
    return false;
}

/* Ends those keys of the claim that the choice or the time says are gone. */
static enum model_result settle_lives(struct model *model, const struct claim *claim,
                                      unsigned choice)
{
    const struct step *steps = claim_steps(model->claims, claim);
    unsigned bits = 0;
    for (uint32_t i = 0; i < claim->step_count; i++) {
        if (!verb_has_key(steps[i].verb))
            continue;
        struct cell *cell = cell_of(model, steps[i].key);
        if (cell->life == LIFE_ENDLESS || is_repeated(steps, i))
            continue;
        const struct life *life = &model->claims->lives[cell->life];
        bool can_be_gone = life->from_ns <= claim->told_ns;
        bool can_be_there = claim->asked_ns <= life->until_ns;
        bool is_gone = can_be_gone;
        if (can_be_gone && can_be_there) {
            ASSERT(bits < MAX_CHOICE_KEYS);
            is_gone = (choice >> bits++ & 1) != 0;
        }
        if (!is_gone)
            continue;
        if (life->from_ns > model->now->not_before_ns)
            model->now->not_before_ns = life->from_ns;
        *cell = (struct cell){.value = VALUE_NIL, .life = LIFE_ENDLESS};
    }
    if (choice >> bits != 0)
        return MODEL_NO_CHOICE;
    return claim->told_ns < model->now->not_before_ns ? MODEL_CONFLICTS : MODEL_FITS;
}

/* ---- Steps: true if what the reply said is so ---- */

static bool fits(const struct step *step, int64_t number)
{
    return !step->is_told || step->told == number;
}

static bool fits_value(const struct step *step, uint32_t value)
{
    return !step->is_told || step->said == value;
}

static struct slice text_of(const struct model *model, uint32_t value)
{
    return value == VALUE_NIL ? SLICE_EMPTY : intern_get(&model->claims->values, value);
}

static bool set(const struct step *step, struct cell *cell)
{
    bool is_there = cell->value != VALUE_NIL;
    bool is_set = step->condition == COND_ALWAYS || (step->condition == COND_XX) == is_there;
    if (is_set)
        *cell = (struct cell){.value = step->value, .life = step->life};
    return fits(step, is_set);
}

static bool append(struct model *model, const struct step *step, struct cell *cell)
{
    model->scratch.len = 0;
    buf_append_slice(&model->scratch, text_of(model, cell->value));
    buf_append_slice(&model->scratch, text_of(model, step->value));
    if (!fits(step, (int64_t)model->scratch.len))
        return false;
    cell->value = intern_put(&model->claims->values, buf_slice(&model->scratch));
    return true;
}

static bool add(struct model *model, const struct step *step, struct cell *cell)
{
    int64_t sum = 0;
    char text[NUM_I64_SIZE];
    if ((cell->value != VALUE_NIL && !num_parse_i64(text_of(model, cell->value), &sum)) ||
        !num_add_i64(sum, step->number, &sum) || !fits(step, sum))
        return false;
    size_t len = num_format_i64(text, sum);
    cell->value = intern_put(&model->claims->values, slice_of(text, len));
    return true;
}

static bool rename_key(struct model *model, const struct step *step, struct cell *cell)
{
    bool is_there = cell->value != VALUE_NIL;
    if (is_there) {
        struct cell moved = *cell;
        *cell = (struct cell){.value = VALUE_NIL, .life = LIFE_ENDLESS};
        *cell_of(model, step->other) = moved;
    }
    return fits(step, is_there);
}

static bool set_life(const struct step *step, struct cell *cell)
{
    bool is_there = cell->value != VALUE_NIL;
    bool is_changed = is_there && (step->verb == VERB_PEXPIRE || cell->life != LIFE_ENDLESS);
    if (is_changed)
        cell->life = step->verb == VERB_PEXPIRE ? step->life : LIFE_ENDLESS;
    return fits(step, is_changed);
}

static bool pttl(const struct model *model, const struct claim *claim, const struct step *step,
                 const struct cell *cell)
{
    if (!step->is_told)
        return true;
    if (cell->value == VALUE_NIL || cell->life == LIFE_ENDLESS)
        return step->told == (cell->value == VALUE_NIL ? -2 : -1);
    const struct life *life = &model->claims->lives[cell->life];
    int64_t left_ns = step->told * 1000000;
    return step->told >= 0 && claim->asked_ns + left_ns <= life->until_ns &&
           (!claim_is_sure(claim) || claim->told_ns + left_ns >= life->from_ns);
}

/* One step; `count` is what DEL and EXISTS have counted in this claim. */
static bool take_step(struct model *model, const struct claim *claim, const struct step *step,
                      int64_t *count)
{
    struct cell *cell = verb_has_key(step->verb) ? cell_of(model, step->key) : NULL;
    uint32_t before = cell == NULL ? VALUE_NIL : cell->value;
    switch (step->verb) {
    case VERB_GET:
    case VERB_IS:
        return fits_value(step, before);
    case VERB_SET:
        return set(step, cell);
    case VERB_GETSET:
        *cell = (struct cell){.value = step->value, .life = LIFE_ENDLESS};
        return fits_value(step, before);
    case VERB_APPEND:
        return append(model, step, cell);
    case VERB_STRLEN:
        return fits(step, (int64_t)text_of(model, before).len);
    case VERB_ADD:
        return add(model, step, cell);
    case VERB_EXISTS:
        *count += before != VALUE_NIL;
        return true;
    case VERB_DEL:
    case VERB_GETDEL:
        *count += before != VALUE_NIL;
        *cell = (struct cell){.value = VALUE_NIL, .life = LIFE_ENDLESS};
        return step->verb == VERB_DEL || fits_value(step, before);
    case VERB_RENAME:
        return rename_key(model, step, cell);
    case VERB_PEXPIRE:
    case VERB_PERSIST:
        return set_life(step, cell);
    case VERB_PTTL:
        return pttl(model, claim, step, cell);
    default:
        UNREACHABLE("TOTAL and IF_NONE are taken by the caller");
    }
}

static bool take_steps(struct model *model, const struct claim *claim)
{
    const struct step *steps = claim_steps(model->claims, claim);
    int64_t count = 0;
    for (uint32_t i = 0; i < claim->step_count; i++) {
        const struct step *step = &steps[i];
        if (step->verb == VERB_IF_NONE) {
            if (!fits(step, count == 0))
                return false;
            if (count > 0)
                return true;
        } else if (step->verb == VERB_TOTAL) {
            if (!fits(step, count))
                return false;
            count = 0;
        } else if (!take_step(model, claim, step, &count)) {
            return false;
        }
    }
    return true;
}

enum model_result model_apply(struct model *model, uint32_t state, const struct claim *claim,
                              unsigned choice, uint32_t *out_state)
{
    memcpy(model->now, intern_get(&model->states, state).data, model->state_size);
    enum model_result result = settle_lives(model, claim, choice);
    if (result != MODEL_FITS)
        return result;
    if (!take_steps(model, claim))
        return MODEL_CONFLICTS;
    *out_state = intern_put(&model->states, slice_of(model->now, model->state_size));
    return MODEL_FITS;
}

void model_print(const struct model *model, uint32_t state, FILE *to)
{
    const struct state *at = (const void *)intern_get(&model->states, state).data;
    for (size_t i = 0; i < model->key_count; i++) {
        const struct cell *cell = &at->cells[i];
        struct slice key = intern_get(&model->claims->keys, model->keys[i]);
        fprintf(to, "%s%.*s=", i == 0 ? "" : " ", SLICE_FMT(key));
        if (cell->value == VALUE_NIL)
            fprintf(to, "nil");
        else
            fprintf(to, "%.*s", SLICE_FMT(text_of(model, cell->value)));
        if (cell->life != LIFE_ENDLESS)
            fprintf(to, "(until %" PRId64 ")", model->claims->lives[cell->life].until_ns);
    }
}
