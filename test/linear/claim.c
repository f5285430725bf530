/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/claim.h"

#include "base/assert.h"
#include "base/attr.h"
#include "base/mem.h"
#include "base/num.h"

#define MAX_WORDS    4096
#define NS_PER_MS    INT64_C(1000000)
#define TEXT_NO_KEY  "!ERR_no_such_key"
#define TEXT_UNKNOWN "!UNKNOWN"

/* An op while it is taken apart. Words of a request may be used up to the next ";". */
struct taking {
    struct claims *claims;
    const struct history *history;
    struct claim *claim;
    struct slice words[MAX_WORDS];
    size_t word_count;
    struct slice reply; /* what is left of it */
    bool is_lost;       /* there is no reply */
    bool is_bad;
};

/* ---- Replies ---- */

static struct slice next_word(struct taking *taking)
{
    struct slice *rest = &taking->reply;
    while (rest->len > 0 && rest->data[0] == ' ')
        *rest = slice_sub(*rest, 1, SIZE_MAX);
    size_t len = 0;
    while (len < rest->len && rest->data[len] != ' ' && rest->data[len] != '[' &&
           rest->data[len] != ']')
        len++;
    if (len == 0 && rest->len > 0)
        len = 1; /* a bracket */
    struct slice word = slice_of(rest->data, len);
    *rest = slice_sub(*rest, len, SIZE_MAX);
    return word;
}

static void expect(struct taking *taking, const char *text)
{
    if (!taking->is_lost && !slice_is(next_word(taking), text))
        taking->is_bad = true;
}

static void expect_number(struct taking *taking, struct step *step)
{
    if (taking->is_lost)
        return;
    step->is_told = true;
    if (!num_parse_i64(next_word(taking), &step->told))
        taking->is_bad = true;
}

static uint32_t value_of(struct taking *taking, struct slice word)
{
    if (slice_is(word, "nil"))
        return VALUE_NIL;
    if (slice_is(word, "\"\""))
        word = SLICE_EMPTY;
    return intern_put(&taking->claims->values, word);
}

static void expect_value(struct taking *taking, struct step *step)
{
    if (taking->is_lost)
        return;
    struct slice word = next_word(taking);
    if (word.len == 0 || word.data[0] == '[' || word.data[0] == '!')
        taking->is_bad = true;
    step->is_told = true;
    step->said = value_of(taking, word);
}

/* One of two words, or nil: told as 1 or 0. */
static void expect_either(struct taking *taking, struct step *step, const char *yes, const char *no)
{
    if (taking->is_lost)
        return;
    struct slice word = next_word(taking);
    step->is_told = true;
    step->told = slice_is(word, yes);
    if (step->told == 0 && !slice_is(word, no))
        taking->is_bad = true;
}

/* ---- Steps ---- */

static struct step *add_step(struct taking *taking, enum verb verb)
{
    struct claims *claims = taking->claims;
    if (claims->step_count == claims->step_cap) {
        claims->step_cap = claims->step_cap == 0 ? 1024 : claims->step_cap * 2;
        claims->steps = mem_realloc(claims->steps, claims->step_cap * sizeof(*claims->steps));
    }
    struct step *step = &claims->steps[claims->step_count++];
    *step = (struct step){.verb = verb};
    taking->claim->step_count++;
    return step;
}

static struct step *add_step_on(struct taking *taking, enum verb verb, struct slice key)
{
    struct step *step = add_step(taking, verb);
    step->key = intern_put(&taking->claims->keys, key);
    return step;
}

/* The span in which a key ends whose life of `ms` began while the op was under way. */
static uint32_t add_life(struct taking *taking, int64_t ms)
{
    struct claims *claims = taking->claims;
    const struct history *history = taking->history;
    const struct claim *claim = taking->claim;
    if (claims->life_count == claims->life_cap) {
        claims->life_cap = claims->life_cap == 0 ? 256 : claims->life_cap * 2;
        claims->lives = mem_realloc(claims->lives, claims->life_cap * sizeof(*claims->lives));
    }
    struct life *life = &claims->lives[claims->life_count];
    life->from_ns = claim->asked_ns + (ms - history->early_ms) * NS_PER_MS;
    life->until_ns = HISTORY_NEVER;
    if (claim_is_sure(claim))
        life->until_ns = claim->told_ns + (ms + history->late_ms) * NS_PER_MS;
    return (uint32_t)claims->life_count++;
}

/* ---- Commands: words[0] is the name, `count` words in all ---- */

typedef void (*take_fn)(struct taking *taking, enum verb verb, const struct slice *words,
                        size_t count);

static void take_value(struct taking *taking, enum verb verb, const struct slice *words,
                       size_t count)
{
    struct step *step = add_step_on(taking, verb, words[1]);
    if (count > 2)
        step->value = value_of(taking, words[2]);
    expect_value(taking, step);
}

static void take_number(struct taking *taking, enum verb verb, const struct slice *words,
                        size_t count)
{
    struct step *step = add_step_on(taking, verb, words[1]);
    if (verb == VERB_APPEND && count > 2)
        step->value = value_of(taking, words[2]);
    expect_number(taking, step);
}

static void take_sum(struct taking *taking, enum verb verb, const struct slice *words, size_t count)
{
    struct step *step = add_step_on(taking, verb, words[1]);
    bool is_down = slice_is(slice_sub(words[0], 0, 4), "DECR");
    step->number = 1;
    if (count > 2 && !num_parse_i64(words[2], &step->number))
        taking->is_bad = true;
    if (is_down)
        step->number = -step->number;
    expect_number(taking, step);
}

static void take_pexpire(struct taking *taking, enum verb verb, const struct slice *words,
                         size_t count)
{
    (void)count;
    int64_t ms;
    struct step *step = add_step_on(taking, verb, words[1]);
    if (!num_parse_i64(words[2], &ms) || ms <= 0)
        taking->is_bad = true;
    else
        step->life = add_life(taking, ms);
    expect_number(taking, step);
}

static void take_set(struct taking *taking, enum verb verb, const struct slice *words, size_t count)
{
    struct step *step = add_step_on(taking, verb, words[1]);
    step->value = value_of(taking, words[2]);
    for (size_t i = 3; i < count; i++) {
        int64_t ms;
        if (slice_is(words[i], "NX"))
            step->condition = COND_NX;
        else if (slice_is(words[i], "XX"))
            step->condition = COND_XX;
        else if (slice_is(words[i], "PX") && i + 1 < count && num_parse_i64(words[++i], &ms))
            step->life = add_life(taking, ms);
        else
            taking->is_bad = true;
    }
    expect_either(taking, step, "OK", "nil");
}

static void take_mget(struct taking *taking, enum verb verb, const struct slice *words,
                      size_t count)
{
    expect(taking, "[");
    for (size_t i = 1; i < count; i++)
        expect_value(taking, add_step_on(taking, verb, words[i]));
    expect(taking, "]");
}

static void take_mset(struct taking *taking, enum verb verb, const struct slice *words,
                      size_t count)
{
    for (size_t i = 1; i + 1 < count; i += 2)
        add_step_on(taking, verb, words[i])->value = value_of(taking, words[i + 1]);
    expect(taking, "OK");
}

static void take_msetnx(struct taking *taking, enum verb verb, const struct slice *words,
                        size_t count)
{
    for (size_t i = 1; i < count; i += 2)
        add_step_on(taking, VERB_EXISTS, words[i]);
    expect_number(taking, add_step(taking, VERB_IF_NONE));
    for (size_t i = 1; i + 1 < count; i += 2)
        add_step_on(taking, verb, words[i])->value = value_of(taking, words[i + 1]);
}

static void take_counted(struct taking *taking, enum verb verb, const struct slice *words,
                         size_t count)
{
    for (size_t i = 1; i < count; i++)
        add_step_on(taking, verb, words[i]);
    expect_number(taking, add_step(taking, VERB_TOTAL));
}

static void take_rename(struct taking *taking, enum verb verb, const struct slice *words,
                        size_t count)
{
    (void)count;
    struct step *step = add_step_on(taking, verb, words[1]);
    step->other = intern_put(&taking->claims->keys, words[2]);
    expect_either(taking, step, "OK", TEXT_NO_KEY);
}

static void take_watched(struct taking *taking, enum verb verb, const struct slice *words,
                         size_t count)
{
    (void)count;
    struct step *step = add_step_on(taking, verb, words[1]);
    step->said = value_of(taking, words[2]);
    step->is_told = true;
}

static const struct {
    const char *name;
    size_t min_words;
    take_fn take;
    enum verb verb;
} commands[] = {
    {"GET", 2, take_value, VERB_GET},
    {"SET", 3, take_set, VERB_SET},
    {"GETSET", 3, take_value, VERB_GETSET},
    {"GETDEL", 2, take_value, VERB_GETDEL},
    {"APPEND", 3, take_number, VERB_APPEND},
    {"STRLEN", 2, take_number, VERB_STRLEN},
    {"INCR", 2, take_sum, VERB_ADD},
    {"DECR", 2, take_sum, VERB_ADD},
    {"INCRBY", 3, take_sum, VERB_ADD},
    {"DECRBY", 3, take_sum, VERB_ADD},
    {"MGET", 2, take_mget, VERB_GET},
    {"MSET", 3, take_mset, VERB_SET},
    {"MSETNX", 3, take_msetnx, VERB_SET},
    {"DEL", 2, take_counted, VERB_DEL},
    {"EXISTS", 2, take_counted, VERB_EXISTS},
    {"RENAME", 3, take_rename, VERB_RENAME},
    {"PEXPIRE", 3, take_pexpire, VERB_PEXPIRE},
    {"PERSIST", 2, take_number, VERB_PERSIST},
    {"PTTL", 2, take_number, VERB_PTTL},
    {"WATCHED", 3, take_watched, VERB_IS},
};

static void take_command(struct taking *taking, const struct slice *words, size_t count)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (count >= commands[i].min_words && slice_is(words[0], commands[i].name)) {
            commands[i].take(taking, commands[i].verb, words, count);
            return;
        }
    }
    taking->is_bad = true;
}

/* EXEC: commands with ";" between them. What WATCHED says stands in no reply. */
static void take_exec(struct taking *taking)
{
    expect(taking, "[");
    size_t first = 1;
    while (first < taking->word_count && !taking->is_bad) {
        size_t end = first;
        while (end < taking->word_count && !slice_is(taking->words[end], ";"))
            end++;
        if (end == first)
            taking->is_bad = true;
        else
            take_command(taking, &taking->words[first], end - first);
        first = end + 1;
    }
    expect(taking, "]");
}

/* ---- Ops ---- */

/* It cannot have changed anything, also because its reply says so. */
static bool is_reading(const struct step *step)
{
    switch (step->verb) {
    case VERB_GET:
    case VERB_STRLEN:
    case VERB_EXISTS:
    case VERB_TOTAL:
    case VERB_PTTL:
    case VERB_IS:
        return true;
    case VERB_SET:
    case VERB_RENAME:
    case VERB_PEXPIRE:
    case VERB_PERSIST:
        return step->is_told && step->told == 0;
    case VERB_GETDEL:
        return step->is_told && step->said == VALUE_NIL;
    default:
        return false;
    }
}

static bool is_all_reading(const struct claims *claims, const struct claim *claim)
{
    const struct step *steps = claim_steps(claims, claim);
    for (uint32_t i = 0; i < claim->step_count; i++) {
        if (!is_reading(&steps[i]))
            return false;
    }
    return true;
}

/* An answer that says that nothing was done. */
static bool is_void(const struct taking *taking, const char *reply)
{
    bool is_exec = slice_is(taking->words[0], "EXEC");
    bool is_rename = slice_is(taking->words[0], "RENAME");
    if (taking->is_lost)
        return false;
    return (is_exec && strcmp(reply, "nil") == 0) ||
           (reply[0] == '!' && !(is_rename && strcmp(reply, TEXT_NO_KEY) == 0));
}

static void take_op(struct taking *taking, const struct history_op *op)
{
    struct claims *claims = taking->claims;
    struct claim *claim = &claims->items[claims->count];
    *claim = (struct claim){.op = op,
                            .session = (uint64_t)op->client << 32 | op->connection,
                            .asked_ns = op->asked_ns,
                            .told_ns = op->told_ns,
                            .first_step = (uint32_t)claims->step_count};
    taking->claim = claim;
    taking->is_bad = false;
    if (strncmp(op->reply, TEXT_UNKNOWN, strlen(TEXT_UNKNOWN)) == 0)
        claim->told_ns = HISTORY_NEVER;
    taking->is_lost = !claim_is_sure(claim);
    taking->reply = slice_str(op->reply);
    taking->word_count = history_words(op->request, taking->words, MAX_WORDS);
    ASSERT(taking->word_count > 0 && taking->word_count < MAX_WORDS);
    if (is_void(taking, op->reply))
        return;
    if (slice_is(taking->words[0], "EXEC"))
        take_exec(taking);
    else
        take_command(taking, taking->words, taking->word_count);
    if (!taking->is_lost && next_word(taking).len > 0)
        taking->is_bad = true;
    if (taking->is_bad && claims->bad_op == NULL)
        claims->bad_op = op;
    claim->is_read = is_all_reading(claims, claim);
    if (!taking->is_bad && !(taking->is_lost && claim->is_read))
        claims->count++;
}

void claims_init(struct claims *claims, const struct history *history)
{
    *claims = (struct claims){0};
    uint32_t nil = intern_put(&claims->values, slice_of("", 1));
    ASSERT(nil == VALUE_NIL);
    claims->items = mem_calloc(history->count + 1, sizeof(*claims->items));
    claims->lives = mem_calloc(1, sizeof(*claims->lives));
    claims->life_count = claims->life_cap = 1; /* LIFE_ENDLESS */
    struct taking *taking = mem_calloc(1, sizeof(*taking));
    taking->claims = claims;
    taking->history = history;
    for (size_t i = 0; i < history->count; i++)
        take_op(taking, &history->ops[i]);
    mem_free(taking);
}

void claims_fini(struct claims *claims)
{
    mem_free(claims->items);
    mem_free(claims->steps);
    mem_free(claims->lives);
    intern_fini(&claims->keys);
    intern_fini(&claims->values);
    *claims = (struct claims){0};
}
