/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/num.h"
#include "linear/appends.h"
#include "linear/search.h"

#define MAX_RULE_WORDS 256

struct check {
    struct history *history;
    struct claims claims;
    struct verdict *verdict;
    FILE *explain;
    uint64_t budget;
    uint32_t *leader_of_key; /* of its component; union-find */
    uint32_t *order;         /* claims by component, then as asked */
};

/* ---- Components ---- */

static uint32_t find_leader(struct check *check, uint32_t key)
{
    uint32_t *leader = check->leader_of_key;
    while (leader[key] != key) {
        leader[key] = leader[leader[key]];
        key = leader[key];
    }
    return key;
}

static uint32_t leader_of_claim(struct check *check, const struct claim *claim)
{
    return find_leader(check, claim_steps(&check->claims, claim)->key);
}

static void join_keys(struct check *check)
{
    struct claims *claims = &check->claims;
    check->leader_of_key = mem_calloc(claims->keys.count + 1, sizeof(*check->leader_of_key));
    for (uint32_t key = 0; key < claims->keys.count; key++)
        check->leader_of_key[key] = key;
    for (size_t i = 0; i < claims->count; i++) {
        const struct step *steps = claim_steps(claims, &claims->items[i]);
        uint32_t first = find_leader(check, steps->key);
        for (uint32_t j = 0; j < claims->items[i].step_count; j++) {
            if (verb_has_key(steps[j].verb))
                check->leader_of_key[find_leader(check, steps[j].key)] = first;
            if (steps[j].verb == VERB_RENAME)
                check->leader_of_key[find_leader(check, steps[j].other)] = first;
        }
    }
}

static int compare_leaders(const void *a, const void *b, void *ctx)
{
    struct check *check = ctx;
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    uint32_t left_leader = leader_of_claim(check, &check->claims.items[left]);
    uint32_t right_leader = leader_of_claim(check, &check->claims.items[right]);
    if (left_leader != right_leader)
        return left_leader < right_leader ? -1 : 1;
    return left < right ? -1 : left > right;
}

static void order_claims(struct check *check)
{
    size_t count = check->claims.count;
    check->order = mem_calloc(count + 1, sizeof(*check->order));
    for (uint32_t i = 0; i < count; i++)
        check->order[i] = i;
    qsort_r(check->order, count, sizeof(*check->order), compare_leaders, check);
}

/* ---- A component ---- */

static void note_bad(struct check *check, const uint32_t *items, size_t count)
{
    struct verdict *verdict = check->verdict;
    if (verdict->bad_count++ > 0)
        return;
    verdict->bad.early_ms = check->history->early_ms;
    verdict->bad.late_ms = check->history->late_ms;
    for (size_t i = 0; i < count; i++)
        history_add(&verdict->bad, check->claims.items[items[i]].op);
}

static uint32_t *keys_of(struct check *check, uint32_t leader, size_t *out_count)
{
    size_t count = 0;
    uint32_t *keys = mem_calloc(check->claims.keys.count + 1, sizeof(*keys));
    for (uint32_t key = 0; key < check->claims.keys.count; key++) {
        if (find_leader(check, key) == leader)
            keys[count++] = key;
    }
    *out_count = count;
    return keys;
}

static enum search_result judge(struct check *check, const uint32_t *items, size_t count)
{
    if (appends_suit(&check->claims, items, count)) {
        bool is_good = appends_check(&check->claims, items, count, check->explain);
        return is_good ? SEARCH_FOUND : SEARCH_NONE;
    }
    struct search search = {.claims = &check->claims,
                            .items = items,
                            .count = count,
                            .budget = check->budget,
                            .explain = check->explain};
    uint32_t *keys =
        keys_of(check, leader_of_claim(check, &check->claims.items[items[0]]), &search.key_count);
    search.keys = keys;
    enum search_result result = search_run(&search);
    mem_free(keys);
    return result;
}

static void judge_components(struct check *check)
{
    struct verdict *verdict = check->verdict;
    size_t count = check->claims.count;
    for (size_t first = 0, end = 0; first < count; first = end) {
        uint32_t leader = leader_of_claim(check, &check->claims.items[check->order[first]]);
        while (end < count &&
               leader_of_claim(check, &check->claims.items[check->order[end]]) == leader)
            end++;
        verdict->component_count++;
        enum search_result result = judge(check, &check->order[first], end - first);
        if (result == SEARCH_NONE)
            note_bad(check, &check->order[first], end - first);
        verdict->undecided_count += result == SEARCH_GAVE_UP;
    }
}

/* ---- Rules: same, sum ---- */

struct rule {
    bool is_sum;
    int64_t sum;
    size_t key_count;
    const char *text;
    bool *has_key;
};

static bool parse_rule(struct check *check, const char *text, struct rule *out)
{
    struct slice words[MAX_RULE_WORDS];
    size_t count = history_words(text, words, MAX_RULE_WORDS);
    *out = (struct rule){.is_sum = slice_is(words[0], "sum"), .text = text};
    size_t first = out->is_sum ? 2 : 1;
    if (count <= first || (out->is_sum && !num_parse_i64(words[1], &out->sum)))
        return false;
    out->has_key = mem_calloc(check->claims.keys.count + 1, sizeof(*out->has_key));
    for (size_t i = first; i < count; i++) {
        uint32_t key;
        if (intern_find(&check->claims.keys, words[i], &key))
            out->has_key[key] = true;
        out->key_count++;
    }
    return true;
}

/* The nth step is a read of one of the rule's keys, and no step before it wrote anything. */
static bool reads_key(const struct rule *rule, const struct step *steps, uint32_t nth)
{
    for (uint32_t i = 0; i < nth; i++) {
        if (steps[i].verb != VERB_GET)
            return false;
    }
    return steps[nth].verb == VERB_GET && rule->has_key[steps[nth].key];
}

static bool obeys(const struct check *check, const struct rule *rule, const struct claim *claim)
{
    const struct step *steps = claim_steps(&check->claims, claim);
    size_t read_count = 0;
    int64_t sum = 0;
    uint32_t first = VALUE_NIL;
    bool is_same = true;
    for (uint32_t i = 0; i < claim->step_count && reads_key(rule, steps, i); i++) {
        int64_t number = 0;
        uint32_t said = steps[i].said;
        if (said != VALUE_NIL)
            IGNORE(num_parse_i64(intern_get(&check->claims.values, said), &number),
                   "what is no number counts nothing");
        sum += number;
        is_same &= read_count == 0 || said == first;
        first = said;
        read_count++;
    }
    if (rule->is_sum)
        return read_count < rule->key_count || sum == rule->sum;
    return is_same;
}

/* What shares keys with the claim, directly or not. */
static void note_bad_component_of(struct check *check, const struct claim *claim)
{
    uint32_t leader = leader_of_claim(check, claim);
    size_t first = 0;
    while (leader_of_claim(check, &check->claims.items[check->order[first]]) != leader)
        first++;
    size_t end = first;
    while (end < check->claims.count &&
           leader_of_claim(check, &check->claims.items[check->order[end]]) == leader)
        end++;
    note_bad(check, &check->order[first], end - first);
}

static void judge_rule(struct check *check, const struct rule *rule)
{
    for (uint32_t i = 0; i < check->claims.count; i++) {
        const struct claim *claim = &check->claims.items[i];
        if (!claim_is_sure(claim) || obeys(check, rule, claim))
            continue;
        note_bad_component_of(check, claim);
        if (check->verdict->bad_count == 1)
            history_add_rule(&check->verdict->bad, rule->text);
        if (check->explain != NULL) {
            fprintf(check->explain, "this reads what never was at one time (%s):\n    ",
                    rule->is_sum ? "the sum" : "the values differ");
            history_write_op(claim->op, check->explain);
        }
        return;
    }
}

static void judge_rules(struct check *check)
{
    for (size_t i = 0; i < check->history->rule_count; i++) {
        struct rule rule;
        if (parse_rule(check, check->history->rules[i], &rule)) {
            judge_rule(check, &rule);
            mem_free(rule.has_key);
        }
    }
}

/* ---- All of it ---- */

void check_history(struct history *history, uint64_t budget, FILE *explain,
                   struct verdict *out_verdict)
{
    *out_verdict = (struct verdict){.op_count = history->count};
    history_init(&out_verdict->bad);
    history_sort(history);
    struct check check = {
        .history = history, .verdict = out_verdict, .explain = explain, .budget = budget};
    claims_init(&check.claims, history);
    if (check.claims.bad_op != NULL) {
        out_verdict->bad_count = 1;
        history_add(&out_verdict->bad, check.claims.bad_op);
        if (explain != NULL) {
            fprintf(explain, "this is no reply to this request:\n    ");
            history_write_op(check.claims.bad_op, explain);
        }
    }
    join_keys(&check);
    order_claims(&check);
    judge_rules(&check);
    judge_components(&check);
    mem_free(check.leader_of_key);
    mem_free(check.order);
    claims_fini(&check.claims);
}

void verdict_fini(struct verdict *verdict)
{
    history_fini(&verdict->bad);
}
