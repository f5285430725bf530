/* SPDX-License-Identifier: Apache-2.0 */
/* The longest value that was read of a key is its history: every other read must be a beginning of
 * it, every token in it must have been appended by somebody, once, and an append that was told a
 * length must be found to end there. Then, for each key,
 *
 *     written     the append of a token comes before the append of the next one;
 *     seen        and before whoever read a list that ends with it;
 *     not seen    who read a list comes before the append of the token that would come next. What
 *                 was appended, and told so, but never seen comes after all that was seen.
 *
 * To these come the order within each connection, of ops that share a key, and real time: who was
 * told comes before who asks later. Real time would be an edge for each two ops. It is led over a
 * chain instead, with a node for each telling: an op leads to its telling, tellings lead to later
 * ones, and the last telling before an op was asked leads to that op.
 *
 * An order of all ops exists exactly if there is no circle, provided that the last read of each key
 * shows all appends, for then all that must come before what is known; else a wrong history may
 * pass, but never a right one fail.
 */
#include "linear/appends.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "linear/graph.h"
#include "linear/pairs.h"

#define NOBODY UINT32_MAX

enum why { WHY_WRITTEN, WHY_SEEN, WHY_NOT_SEEN, WHY_CONNECTION, WHY_TIME, WHY_COUNT };

struct token {
    uint32_t writer; /* place in items */
    uint32_t key;
    uint32_t value;
    bool is_seen;
};

struct list {
    uint32_t key;
    uint32_t longest; /* value */
    uint32_t *tokens; /* of the longest, in order */
    uint32_t *ends;   /* where each ends */
    size_t count;
    uint32_t *unseen; /* tokens that were appended for sure and never seen */
    size_t unseen_count;
};

struct appends {
    struct claims *claims;
    const uint32_t *items;
    size_t count;
    struct intern token_names; /* key and token */
    struct token *tokens;
    struct list *lists;
    size_t list_count;
    uint32_t *list_of_key;
    struct graph graph;
    FILE *explain;
};

static const struct claim *claim_of(const struct appends *appends, uint32_t place)
{
    return &appends->claims->items[appends->items[place]];
}

static struct slice value_text(const struct appends *appends, uint32_t value)
{
    return value == VALUE_NIL ? SLICE_EMPTY : intern_get(&appends->claims->values, value);
}

/* ---- Complaints ---- */

static void print_op(const struct appends *appends, uint32_t place)
{
    fprintf(appends->explain, "    ");
    history_write_op(claim_of(appends, place)->op, appends->explain);
}

static bool complain(const struct appends *appends, const char *what, uint32_t key, uint32_t place)
{
    if (appends->explain != NULL) {
        fprintf(appends->explain, "%.*s: %s:\n", SLICE_FMT(intern_get(&appends->claims->keys, key)),
                what);
        print_op(appends, place);
    }
    return false;
}

/* ---- Tokens ---- */

static uint32_t name_token(struct appends *appends, uint32_t key, struct slice text)
{
    struct buf name = {0};
    buf_append(&name, &key, sizeof(key));
    buf_append_slice(&name, text);
    uint32_t id = intern_put(&appends->token_names, buf_slice(&name));
    buf_fini(&name);
    return id;
}

static bool is_token(struct slice text)
{
    return text.len > 1 && memchr(text.data, '.', text.len) == text.data + text.len - 1;
}

/* False if it is no history of appends, or a token is appended twice. */
static bool collect_tokens(struct appends *appends)
{
    size_t cap = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < appends->count; i++) {
        const struct claim *claim = claim_of(appends, i);
        const struct step *steps = claim_steps(appends->claims, claim);
        for (uint32_t j = 0; j < claim->step_count; j++) {
            const struct step *step = &steps[j];
            if (step->verb == VERB_GET || step->verb == VERB_IS)
                continue;
            struct slice text = value_text(appends, step->value);
            if (step->verb != VERB_APPEND || !is_token(text) ||
                name_token(appends, step->key, text) != count)
                return false;
            if (count == cap) {
                cap = cap == 0 ? 256 : cap * 2;
                appends->tokens = mem_realloc(appends->tokens, cap * sizeof(*appends->tokens));
            }
            appends->tokens[count++] =
                (struct token){.writer = i, .key = step->key, .value = step->value};
        }
    }
    return true;
}

static void appends_init(struct appends *appends, struct claims *claims, const uint32_t *items,
                         size_t count)
{
    *appends = (struct appends){.claims = claims, .items = items, .count = count};
    appends->list_of_key = mem_alloc((claims->keys.count + 1) * sizeof(*appends->list_of_key));
    memset(appends->list_of_key, 0xff, claims->keys.count * sizeof(*appends->list_of_key));
    appends->lists = mem_calloc(claims->keys.count + 1, sizeof(*appends->lists));
}

static void appends_fini(struct appends *appends)
{
    for (size_t i = 0; i < appends->list_count; i++) {
        mem_free(appends->lists[i].tokens);
        mem_free(appends->lists[i].ends);
        mem_free(appends->lists[i].unseen);
    }
    mem_free(appends->lists);
    mem_free(appends->list_of_key);
    mem_free(appends->tokens);
    intern_fini(&appends->token_names);
    graph_fini(&appends->graph);
}

bool appends_suit(struct claims *claims, const uint32_t *items, size_t count)
{
    struct appends appends;
    appends_init(&appends, claims, items, count);
    bool suits = collect_tokens(&appends) && appends.token_names.count > 0;
    appends_fini(&appends);
    return suits;
}

/* ---- Lists ---- */

static struct list *list_of(struct appends *appends, uint32_t key)
{
    uint32_t *nth = &appends->list_of_key[key];
    if (*nth == NOBODY) {
        *nth = (uint32_t)appends->list_count++;
        appends->lists[*nth] = (struct list){.key = key, .longest = VALUE_NIL};
    }
    return &appends->lists[*nth];
}

typedef bool (*each_step_fn)(struct appends *appends, uint32_t place, const struct step *step);

static bool each_step(struct appends *appends, each_step_fn fn)
{
    for (uint32_t i = 0; i < appends->count; i++) {
        const struct claim *claim = claim_of(appends, i);
        const struct step *steps = claim_steps(appends->claims, claim);
        for (uint32_t j = 0; j < claim->step_count; j++) {
            if (!fn(appends, i, &steps[j]))
                return false;
        }
    }
    return true;
}

/* A read of which the reply is known. */
static bool is_read(const struct step *step)
{
    return step->verb != VERB_APPEND && step->is_told;
}

static bool note_longest(struct appends *appends, uint32_t place, const struct step *step)
{
    (void)place;
    struct list *list = list_of(appends, step->key);
    if (is_read(step) &&
        value_text(appends, step->said).len > value_text(appends, list->longest).len)
        list->longest = step->said;
    return true;
}

static bool check_read(struct appends *appends, uint32_t place, const struct step *step)
{
    if (!is_read(step))
        return true;
    struct slice read = value_text(appends, step->said);
    struct slice longest = value_text(appends, list_of(appends, step->key)->longest);
    if (slice_eq(read, slice_sub(longest, 0, read.len)))
        return true;
    return complain(appends, "a read shows another order than the longest one", step->key, place);
}

/* Who first read the longest value of a list, for a complaint. */
static uint32_t reader_of(struct appends *appends, const struct list *list)
{
    for (uint32_t i = 0; i < appends->count; i++) {
        const struct claim *claim = claim_of(appends, i);
        const struct step *steps = claim_steps(appends->claims, claim);
        for (uint32_t j = 0; j < claim->step_count; j++) {
            if (is_read(&steps[j]) && steps[j].key == list->key && steps[j].said == list->longest)
                return i;
        }
    }
    UNREACHABLE("somebody has read it");
}

static bool split_longest(struct appends *appends, struct list *list)
{
    struct slice rest = value_text(appends, list->longest);
    size_t size = rest.len;
    list->tokens = mem_calloc(size + 1, sizeof(*list->tokens));
    list->ends = mem_calloc(size + 1, sizeof(*list->ends));
    uint32_t known = appends->token_names.count;
    while (rest.len > 0) {
        const uint8_t *dot = memchr(rest.data, '.', rest.len);
        size_t len = dot == NULL ? rest.len : (size_t)(dot - rest.data) + 1;
        uint32_t token = name_token(appends, list->key, slice_of(rest.data, len));
        rest = slice_sub(rest, len, SIZE_MAX);
        if (token >= known)
            return complain(appends, "a read shows what nobody appended", list->key,
                            reader_of(appends, list));
        if (appends->tokens[token].is_seen)
            return complain(appends, "was appended once and is there twice", list->key,
                            appends->tokens[token].writer);
        appends->tokens[token].is_seen = true;
        list->tokens[list->count] = token;
        list->ends[list->count++] = (uint32_t)(size - rest.len);
    }
    return true;
}

/* How many tokens end at or before `size`; *out_is_end: the last one ends there. */
static size_t tokens_until(const struct list *list, size_t size, bool *out_is_end)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->ends[middle] <= size)
            low = middle + 1;
        else
            high = middle;
    }
    *out_is_end = size == 0 || (low > 0 && list->ends[low - 1] == size);
    return low;
}

static bool check_append(struct appends *appends, uint32_t place, const struct step *step)
{
    if (step->verb != VERB_APPEND)
        return true;
    struct list *list = list_of(appends, step->key);
    uint32_t token = name_token(appends, step->key, value_text(appends, step->value));
    bool is_seen = appends->tokens[token].is_seen;
    if (!is_seen && claim_is_sure(claim_of(appends, place))) {
        list->unseen = mem_realloc(list->unseen, (list->unseen_count + 1) * sizeof(*list->unseen));
        list->unseen[list->unseen_count++] = token;
    }
    size_t size = value_text(appends, list->longest).len;
    if (!step->is_told || (!is_seen && step->told > (int64_t)size))
        return true;
    bool is_end = false;
    size_t count = 0;
    if (step->told > 0 && step->told <= (int64_t)size)
        count = tokens_until(list, (size_t)step->told, &is_end);
    if (is_end && count > 0 && list->tokens[count - 1] == token)
        return true;
    return complain(appends, "an append is not where its reply says", step->key, place);
}

/* ---- Edges ---- */

static uint32_t why_of(enum why why, uint32_t key)
{
    return key * WHY_COUNT + (uint32_t)why;
}

static uint32_t writer_of(const struct appends *appends, uint32_t token)
{
    return appends->tokens[token].writer;
}

static void add_written(struct appends *appends, const struct list *list)
{
    uint32_t why = why_of(WHY_WRITTEN, list->key);
    for (size_t i = 0; i + 1 < list->count; i++)
        graph_add(&appends->graph, writer_of(appends, list->tokens[i]),
                  writer_of(appends, list->tokens[i + 1]), why);
    for (size_t i = 0; i < list->unseen_count && list->count > 0; i++)
        graph_add(&appends->graph, writer_of(appends, list->tokens[list->count - 1]),
                  writer_of(appends, list->unseen[i]), why);
}

static bool add_seen(struct appends *appends, uint32_t place, const struct step *step)
{
    if (!is_read(step))
        return true;
    const struct list *list = list_of(appends, step->key);
    bool is_end;
    size_t count = tokens_until(list, value_text(appends, step->said).len, &is_end);
    if (!is_end)
        return complain(appends, "a read shows half a token", step->key, place);
    if (count > 0)
        graph_add(&appends->graph, writer_of(appends, list->tokens[count - 1]), place,
                  why_of(WHY_SEEN, step->key));
    uint32_t why = why_of(WHY_NOT_SEEN, step->key);
    if (count < list->count)
        graph_add(&appends->graph, place, writer_of(appends, list->tokens[count]), why);
    else
        for (size_t i = 0; i < list->unseen_count; i++)
            graph_add(&appends->graph, place, writer_of(appends, list->unseen[i]), why);
    return true;
}

/* A transaction sees its own appends, which no edge between two ops can say. */
static bool check_own(struct appends *appends, uint32_t place)
{
    const struct claim *claim = claim_of(appends, place);
    const struct step *steps = claim_steps(appends->claims, claim);
    for (uint32_t i = 0; i < claim->step_count; i++) {
        if (!is_read(&steps[i]))
            continue;
        struct slice read = value_text(appends, steps[i].said);
        for (uint32_t j = i; j-- > 0;) {
            if (steps[j].verb != VERB_APPEND || steps[j].key != steps[i].key)
                continue;
            struct slice own = value_text(appends, steps[j].value);
            if (read.len < own.len || !slice_eq(slice_sub(read, read.len - own.len, SIZE_MAX), own))
                return complain(appends, "a transaction does not see its own append last",
                                steps[i].key, place);
            break;
        }
    }
    return true;
}

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* How many of the sorted times are before `ns`. */
static size_t times_before(const int64_t *times, size_t count, int64_t ns)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = (low + count) / 2;
        if (times[middle] < ns)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static void add_time(struct appends *appends)
{
    struct graph *graph = &appends->graph;
    int64_t *times = mem_calloc(appends->count + 1, sizeof(*times));
    size_t told_count = 0;
    for (uint32_t i = 0; i < appends->count; i++) {
        if (claim_is_sure(claim_of(appends, i)))
            times[told_count++] = claim_of(appends, i)->told_ns;
    }
    qsort(times, told_count, sizeof(*times), compare_times);
    uint32_t first = (uint32_t)appends->count;
    for (uint32_t i = 0; i + 1 < told_count; i++)
        graph_add(graph, first + i, first + i + 1, WHY_TIME);
    for (uint32_t i = 0; i < appends->count; i++) {
        const struct claim *claim = claim_of(appends, i);
        size_t before = times_before(times, told_count, claim->asked_ns);
        if (before > 0)
            graph_add(graph, first + (uint32_t)before - 1, i, WHY_TIME);
        if (claim_is_sure(claim))
            graph_add(graph, i, first + (uint32_t)times_before(times, told_count, claim->told_ns),
                      WHY_TIME);
    }
    mem_free(times);
}

static void add_connections(struct appends *appends)
{
    struct pairs pairs = {0};
    pairs_of_connections(&pairs, appends->claims, appends->items, appends->count);
    for (size_t i = 0; i < pairs.count; i++)
        graph_add(&appends->graph, pairs.items[i].earlier, pairs.items[i].later, WHY_CONNECTION);
    pairs_fini(&pairs);
}

/* ---- Circles ---- */

static void explain_edge(const struct appends *appends, const struct graph_edge *edge)
{
    static const char *const texts[WHY_COUNT] = {
        [WHY_WRITTEN] = "comes first: the next one appended behind it to",
        [WHY_SEEN] = "comes first: the next one saw what it appended to",
        [WHY_NOT_SEEN] = "comes first: it did not see what the next one appended to",
        [WHY_CONNECTION] = "comes first: its connection sent it before the next one",
        [WHY_TIME] = "comes first: it was told before the next one was asked",
    };
    enum why why = (enum why)(edge->why % WHY_COUNT);
    fprintf(appends->explain, "  %s", texts[why]);
    if (why <= WHY_NOT_SEEN)
        fprintf(appends->explain, " %.*s",
                SLICE_FMT(intern_get(&appends->claims->keys, edge->why / WHY_COUNT)));
    fprintf(appends->explain, "\n");
}

static void explain_cycle(const struct appends *appends, const struct graph_cycle *cycle)
{
    fprintf(appends->explain, "ops that must each come before the next, round in a circle:\n");
    for (size_t i = 0; i < cycle->count; i++) {
        const struct graph_edge *edge = &cycle->edges[i];
        if (edge->from < appends->count)
            print_op(appends, edge->from);
        /* Of a way over the chain of tellings only its end is told. */
        if (edge->to < appends->count)
            explain_edge(appends, edge);
    }
}

static bool check_edges(struct appends *appends)
{
    graph_init(&appends->graph, 2 * (uint32_t)appends->count);
    for (size_t i = 0; i < appends->list_count; i++)
        add_written(appends, &appends->lists[i]);
    if (!each_step(appends, add_seen))
        return false;
    add_connections(appends);
    add_time(appends);
    struct graph_cycle cycle = graph_find_cycle(&appends->graph, (uint32_t)appends->count);
    bool is_good = cycle.count == 0;
    if (!is_good && appends->explain != NULL)
        explain_cycle(appends, &cycle);
    graph_cycle_fini(&cycle);
    return is_good;
}

static bool check_all(struct appends *appends)
{
    bool suits = collect_tokens(appends);
    ASSERT(suits);
    if (!each_step(appends, note_longest) || !each_step(appends, check_read))
        return false;
    for (size_t i = 0; i < appends->list_count; i++) {
        if (!split_longest(appends, &appends->lists[i]))
            return false;
    }
    if (!each_step(appends, check_append))
        return false;
    for (uint32_t i = 0; i < appends->count; i++) {
        if (!check_own(appends, i))
            return false;
    }
    return check_edges(appends);
}

bool appends_check(struct claims *claims, const uint32_t *items, size_t count, FILE *explain)
{
    struct appends appends;
    appends_init(&appends, claims, items, count);
    appends.explain = explain;
    bool is_good = check_all(&appends);
    appends_fini(&appends);
    return is_good;
}
