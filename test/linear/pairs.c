/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/pairs.h"

#include <stdlib.h>

#include "base/mem.h"

#define NONE UINT32_MAX

struct pairing {
    struct pairs *pairs;
    const struct claims *claims;
    const uint32_t *items;
    uint64_t session;      /* being walked through */
    uint32_t *last_of_key; /* in that session, or of another one */
};

static const struct claim *claim_of(const struct pairing *pairing, uint32_t place)
{
    return &pairing->claims->items[pairing->items[place]];
}

static int compare_sessions(const void *a, const void *b, void *ctx)
{
    const struct pairing *pairing = ctx;
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    uint64_t left_session = claim_of(pairing, left)->session;
    uint64_t right_session = claim_of(pairing, right)->session;
    if (left_session != right_session)
        return left_session < right_session ? -1 : 1;
    return left < right ? -1 : left > right;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *left = a;
    const struct pair *right = b;
    if (left->later != right->later)
        return left->later < right->later ? -1 : 1;
    return left->earlier < right->earlier ? -1 : left->earlier > right->earlier;
}

static void add_pair(struct pairs *pairs, uint32_t earlier, uint32_t later)
{
    if (pairs->count > 0 && pairs->items[pairs->count - 1].earlier == earlier &&
        pairs->items[pairs->count - 1].later == later)
        return;
    if (pairs->count == pairs->cap) {
        pairs->cap = pairs->cap == 0 ? 256 : pairs->cap * 2;
        pairs->items = mem_realloc(pairs->items, pairs->cap * sizeof(*pairs->items));
    }
    pairs->items[pairs->count++] = (struct pair){.earlier = earlier, .later = later};
}

static void pair_key(struct pairing *pairing, uint32_t place, uint32_t key)
{
    uint32_t last = pairing->last_of_key[key];
    if (last == place)
        return;
    if (last != NONE && claim_of(pairing, last)->session == pairing->session)
        add_pair(pairing->pairs, last, place);
    if (claim_is_sure(claim_of(pairing, place)))
        pairing->last_of_key[key] = place;
}

static void pair_claim(struct pairing *pairing, uint32_t place)
{
    const struct claim *claim = claim_of(pairing, place);
    const struct step *steps = claim_steps(pairing->claims, claim);
    pairing->session = claim->session;
    for (uint32_t i = 0; i < claim->step_count; i++) {
        if (verb_has_key(steps[i].verb))
            pair_key(pairing, place, steps[i].key);
        if (steps[i].verb == VERB_RENAME)
            pair_key(pairing, place, steps[i].other);
    }
}

void pairs_of_connections(struct pairs *pairs, const struct claims *claims, const uint32_t *items,
                          size_t count)
{
    struct pairing pairing = {.pairs = pairs, .claims = claims, .items = items};
    uint32_t *order = mem_calloc(count + 1, sizeof(*order));
    pairing.last_of_key = mem_calloc(claims->keys.count + 1, sizeof(*pairing.last_of_key));
    for (uint32_t key = 0; key < claims->keys.count; key++)
        pairing.last_of_key[key] = NONE;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof(*order), compare_sessions, &pairing);
    for (size_t i = 0; i < count; i++)
        pair_claim(&pairing, order[i]);
    if (pairs->count > 0)
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare_pairs);
    mem_free(order);
    mem_free(pairing.last_of_key);
}

void pairs_fini(struct pairs *pairs)
{
    mem_free(pairs->items);
    *pairs = (struct pairs){0};
}
