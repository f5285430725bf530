/* SPDX-License-Identifier: Apache-2.0 */
/* Every claim has an event when it was asked and one when it was told, in one list by time. Claims
 * are put in order one at a time. One that may come next is one whose asking stands in the list
 * before the first telling: what was told before it was asked has been ordered already and is no
 * longer in the list. It is ordered if it fits the state, and its two events are taken out. Where
 * the search comes to a telling, that claim should have been ordered and none of the others leads
 * there: the last one ordered is put back, and the search goes on behind it.
 *
 * A claim that changes nothing is ordered as soon as it may be and fits: in whatever order it would
 * come later, it could be moved to here. So only claims that change something are ways to be tried.
 *
 * Claims that were never told have no telling: they may be ordered or not.
 *
 * What has been tried is a set of claims with a state, and from equal ones the search would go on
 * equally, so each is tried once. The set is kept as the sum of a random number for each claim:
 * 128 bits, so that two sets are never taken for one.
 */
#include "linear/search.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "linear/model.h"
#include "linear/pairs.h"

#define TOLD_LINES 12 /* of what was ordered last, when it explains */

/* Of the claim items[nth / 2]: even when asked, odd when told. The list's end is event 2 * count.
 */
struct event {
    uint32_t next;
    uint32_t prev;
};

struct frame {
    uint32_t nth;
    uint32_t state; /* before it */
    unsigned choice;
    bool is_free; /* ordered because it changes nothing: there was nothing to choose */
};

struct tried {
    uint64_t set[2];
    uint32_t state;
    bool is_used;
};

struct run {
    const struct search *search;
    struct model *model;
    struct event *events;
    uint32_t end;
    struct pairs pairs; /* of claims in the order of a connection, by the later one */
    size_t *first_pair;
    bool *is_ordered;
    struct frame *stack;
    size_t depth;
    size_t sure_left; /* told and not ordered */
    uint32_t state;
    uint64_t set[2];
    struct tried *tried;
    size_t tried_count;
    size_t tried_size;
    uint64_t steps;
    struct {
        struct frame *stack;
        size_t depth;
        uint32_t state;
        uint32_t stuck; /* the claim that could not be ordered in time */
    } best;
};

static const struct claim *claim_of(const struct run *run, uint32_t nth)
{
    return &run->search->claims->items[run->search->items[nth]];
}

/* ---- The list of events ---- */

struct moment {
    int64_t ns;
    uint32_t event;
};

/* At one time asking comes first: what touches in time may be in either order. */
static int compare_moments(const void *a, const void *b)
{
    const struct moment *left = a;
    const struct moment *right = b;
    if (left->ns != right->ns)
        return left->ns < right->ns ? -1 : 1;
    if ((left->event & 1) != (right->event & 1))
        return (left->event & 1) != 0 ? 1 : -1;
    return left->event < right->event ? -1 : left->event > right->event;
}

static void link_events(struct run *run)
{
    size_t count = run->search->count;
    struct moment *moments = mem_calloc(2 * count + 1, sizeof(*moments));
    size_t moment_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct claim *claim = claim_of(run, i);
        moments[moment_count++] = (struct moment){.ns = claim->asked_ns, .event = 2 * i};
        if (claim_is_sure(claim)) {
            moments[moment_count++] = (struct moment){.ns = claim->told_ns, .event = 2 * i + 1};
            run->sure_left++;
        }
    }
    qsort(moments, moment_count, sizeof(*moments), compare_moments);
    run->end = (uint32_t)(2 * count);
    uint32_t last = run->end;
    for (size_t i = 0; i < moment_count; i++) {
        run->events[last].next = moments[i].event;
        run->events[moments[i].event].prev = last;
        last = moments[i].event;
    }
    run->events[last].next = run->end;
    run->events[run->end].prev = last;
    mem_free(moments);
}

static void take_out(struct run *run, uint32_t event)
{
    const struct event *at = &run->events[event];
    run->events[at->prev].next = at->next;
    run->events[at->next].prev = at->prev;
}

static void put_back(struct run *run, uint32_t event)
{
    const struct event *at = &run->events[event];
    run->events[at->prev].next = event;
    run->events[at->next].prev = event;
}

/* ---- The order within connections ---- */

static void link_connections(struct run *run)
{
    const struct search *search = run->search;
    struct pairs pairs = {0};
    pairs_of_connections(&pairs, search->claims, search->items, search->count);
    run->first_pair = mem_calloc(search->count + 2, sizeof(*run->first_pair));
    for (size_t i = 0; i < pairs.count; i++)
        run->first_pair[pairs.items[i].later + 1]++;
    for (size_t i = 0; i < search->count; i++)
        run->first_pair[i + 1] += run->first_pair[i];
    run->pairs = pairs;
}

/* Have those been ordered that its connection sent before it? */
static bool has_all_before(const struct run *run, uint32_t nth)
{
    for (size_t i = run->first_pair[nth]; i < run->first_pair[nth + 1]; i++) {
        if (!run->is_ordered[run->pairs.items[i].earlier])
            return false;
    }
    return true;
}

/* ---- What has been tried ---- */

static void toggle(struct run *run, uint32_t nth)
{
    run->set[0] ^= hash_mix(nth, 0x9e3779b97f4a7c15ULL);
    run->set[1] ^= hash_mix(nth, 0xc2b2ae3d27d4eb4fULL);
}

static struct tried *find_tried(const struct run *run, const uint64_t *set, uint32_t state)
{
    size_t mask = run->tried_size - 1;
    size_t at = hash_mix(set[0], state) & mask;
    for (; run->tried[at].is_used; at = (at + 1) & mask) {
        const struct tried *tried = &run->tried[at];
        if (tried->set[0] == set[0] && tried->set[1] == set[1] && tried->state == state)
            break;
    }
    return &run->tried[at];
}

static void grow_tried(struct run *run)
{
    struct tried *old = run->tried;
    size_t old_size = run->tried_size;
    run->tried_size = old_size == 0 ? 1024 : old_size * 2;
    run->tried = mem_calloc(run->tried_size, sizeof(*run->tried));
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].is_used)
            *find_tried(run, old[i].set, old[i].state) = old[i];
    }
    mem_free(old);
}

/* True if set and state are new. */
static bool note_tried(struct run *run, uint32_t state)
{
    if (run->tried_count * 2 >= run->tried_size)
        grow_tried(run);
    struct tried *tried = find_tried(run, run->set, state);
    if (tried->is_used)
        return false;
    *tried = (struct tried){.set = {run->set[0], run->set[1]}, .state = state, .is_used = true};
    run->tried_count++;
    return true;
}

/* ---- Searching ---- */

static void order(struct run *run, const struct frame *frame, uint32_t state)
{
    uint32_t nth = frame->nth;
    run->stack[run->depth++] = *frame;
    run->state = state;
    run->is_ordered[nth] = true;
    take_out(run, 2 * nth);
    if (claim_is_sure(claim_of(run, nth))) {
        take_out(run, 2 * nth + 1);
        run->sure_left--;
    }
}

static struct frame undo(struct run *run)
{
    struct frame frame = run->stack[--run->depth];
    run->state = frame.state;
    run->is_ordered[frame.nth] = false;
    toggle(run, frame.nth);
    if (claim_is_sure(claim_of(run, frame.nth))) {
        put_back(run, 2 * frame.nth + 1);
        run->sure_left++;
    }
    put_back(run, 2 * frame.nth);
    return frame;
}

/* Orders what changes nothing and fits, until nothing more does. */
static void order_free(struct run *run)
{
    uint32_t at = run->events[run->end].next;
    while (run->sure_left > 0 && (at & 1) == 0) {
        uint32_t nth = at / 2;
        uint32_t state;
        at = run->events[at].next;
        if (!claim_of(run, nth)->is_read || !has_all_before(run, nth))
            continue;
        run->steps++;
        if (model_apply(run->model, run->state, claim_of(run, nth), 0, &state) != MODEL_FITS ||
            state != run->state)
            continue;
        toggle(run, nth);
        order(run, &(struct frame){.nth = nth, .state = run->state, .is_free = true}, state);
        /* What comes after it in its connection, or was asked after it was told, may follow. */
        at = run->events[run->end].next;
    }
}

/* Orders the claim with the first choice from `choice` on that fits and is new. */
static bool try_claim(struct run *run, uint32_t nth, unsigned choice)
{
    if (!has_all_before(run, nth))
        return false;
    for (;; choice++) {
        uint32_t state;
        run->steps++;
        enum model_result result =
            model_apply(run->model, run->state, claim_of(run, nth), choice, &state);
        if (result == MODEL_NO_CHOICE)
            return false;
        if (result == MODEL_CONFLICTS)
            continue;
        toggle(run, nth);
        if (note_tried(run, state)) {
            order(run, &(struct frame){.nth = nth, .state = run->state, .choice = choice}, state);
            return true;
        }
        toggle(run, nth);
    }
}

static void note_best(struct run *run, uint32_t stuck)
{
    if (run->search->explain == NULL || (run->depth <= run->best.depth && run->best.depth > 0))
        return;
    run->best.depth = run->depth;
    run->best.state = run->state;
    run->best.stuck = stuck;
    memcpy(run->best.stack, run->stack, run->depth * sizeof(*run->stack));
}

/* Puts back the last claim that was chosen, and those after it. False if none was. */
static bool undo_choice(struct run *run, struct frame *out_frame)
{
    while (run->depth > 0) {
        *out_frame = undo(run);
        if (!out_frame->is_free)
            return true;
    }
    return false;
}

static enum search_result search_orders(struct run *run)
{
    order_free(run);
    uint32_t at = run->events[run->end].next;
    unsigned choice = 0;
    while (run->sure_left > 0) {
        if (run->steps > run->search->budget)
            return SEARCH_GAVE_UP;
        if ((at & 1) != 0) {
            struct frame frame;
            note_best(run, at / 2);
            if (!undo_choice(run, &frame))
                return SEARCH_NONE;
            at = 2 * frame.nth;
            choice = frame.choice + 1;
        }
        if (try_claim(run, at / 2, choice)) {
            order_free(run);
            at = run->events[run->end].next;
        } else {
            at = run->events[at].next;
        }
        choice = 0;
    }
    return SEARCH_FOUND;
}

/* ---- Explaining ---- */

static void explain(struct run *run)
{
    FILE *to = run->search->explain;
    size_t depth = run->best.depth;
    fprintf(to, "%zu of %zu claims can be put in order, the last of them:\n", depth,
            run->search->count);
    for (size_t i = depth < TOLD_LINES ? 0 : depth - TOLD_LINES; i < depth; i++) {
        fprintf(to, "    ");
        history_write_op(claim_of(run, run->best.stack[i].nth)->op, to);
    }
    fprintf(to, "which leaves ");
    model_print(run->model, run->best.state, to);
    fprintf(to, "\nthen this one has no place:\n    ");
    history_write_op(claim_of(run, run->best.stuck)->op, to);
    memset(run->is_ordered, 0, run->search->count * sizeof(*run->is_ordered));
    for (size_t i = 0; i < depth; i++)
        run->is_ordered[run->best.stack[i].nth] = true;
    int64_t told_ns = claim_of(run, run->best.stuck)->told_ns;
    fprintf(to, "nor have these before it, which were under way:\n");
    for (uint32_t i = 0; i < run->search->count; i++) {
        if (run->is_ordered[i] || i == run->best.stuck || claim_of(run, i)->asked_ns > told_ns)
            continue;
        fprintf(to, "    ");
        history_write_op(claim_of(run, i)->op, to);
    }
}

enum search_result search_run(const struct search *search)
{
    size_t count = search->count;
    struct run run = {.search = search};
    run.model = model_new(search->claims, search->keys, search->key_count);
    run.events = mem_calloc(2 * count + 1, sizeof(*run.events));
    run.is_ordered = mem_calloc(count + 1, sizeof(*run.is_ordered));
    run.stack = mem_calloc(count + 1, sizeof(*run.stack));
    run.best.stack = mem_calloc(count + 1, sizeof(*run.stack));
    run.state = model_first_state(run.model);
    link_events(&run);
    link_connections(&run);
    enum search_result result = search_orders(&run);
    if (result == SEARCH_NONE && search->explain != NULL)
        explain(&run);
    mem_free(run.best.stack);
    mem_free(run.stack);
    mem_free(run.is_ordered);
    mem_free(run.first_pair);
    pairs_fini(&run.pairs);
    mem_free(run.events);
    mem_free(run.tried);
    model_free(run.model);
    return result;
}
