/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/history.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

#define NEVER_TOLD "-"

void history_init(struct history *history)
{
    *history = (struct history){.early_ms = HISTORY_EARLY_MS, .late_ms = HISTORY_LATE_MS};
}

void history_fini(struct history *history)
{
    mem_free(history->ops);
    mem_free(history->rules);
    arena_fini(&history->texts);
    history_init(history);
}

static const char *keep(struct history *history, struct slice text)
{
    char *kept = arena_try_alloc(&history->texts, text.len + 1);
    ASSERT(kept != NULL);
    memcpy(kept, text.data, text.len);
    kept[text.len] = '\0';
    return kept;
}

void history_add(struct history *history, const struct history_op *op)
{
    if (history->count == history->cap) {
        history->cap = history->cap == 0 ? 256 : history->cap * 2;
        history->ops = mem_realloc(history->ops, history->cap * sizeof(*history->ops));
    }
    struct history_op *added = &history->ops[history->count++];
    *added = *op;
    added->request = keep(history, slice_str(op->request));
    added->reply = keep(history, slice_str(op->reply));
}

void history_add_rule(struct history *history, const char *rule)
{
    if (history->rule_count == history->rule_cap) {
        history->rule_cap = history->rule_cap == 0 ? 16 : history->rule_cap * 2;
        history->rules = mem_realloc(history->rules, history->rule_cap * sizeof(*history->rules));
    }
    history->rules[history->rule_count++] = keep(history, slice_str(rule));
}

/* Ops of a connection lie in its order, and qsort() may turn equal ones round: their places, kept
 * in the pointers that are sorted, decide. */
static int compare_ops(const void *a, const void *b)
{
    const struct history_op *left = *(const struct history_op *const *)a;
    const struct history_op *right = *(const struct history_op *const *)b;
    if (left->asked_ns != right->asked_ns)
        return left->asked_ns < right->asked_ns ? -1 : 1;
    return left < right ? -1 : left > right;
}

void history_sort(struct history *history)
{
    size_t count = history->count;
    if (count == 0)
        return;
    const struct history_op **order = mem_calloc(count, sizeof(*order));
    struct history_op *sorted = mem_calloc(count, sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        order[i] = &history->ops[i];
    qsort(order, count, sizeof(*order), compare_ops);
    for (size_t i = 0; i < count; i++)
        sorted[i] = *order[i];
    mem_free(order);
    mem_free(history->ops);
    history->ops = sorted;
    history->cap = count;
}

size_t history_words(const char *text, struct slice *words, size_t max)
{
    size_t count = 0;
    const char *at = text + strspn(text, " ");
    while (*at != '\0' && count < max) {
        size_t len = strcspn(at, " ");
        words[count++] = slice_of(at, len);
        at += len;
        at += strspn(at, " ");
    }
    return count;
}

/* ---- Text ---- */

static struct slice trimmed(struct slice text)
{
    while (text.len > 0 && text.data[0] == ' ')
        text = slice_sub(text, 1, SIZE_MAX);
    while (text.len > 0 && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* Cuts off and returns what stands before the next `end`, or everything. */
static struct slice cut(struct slice *rest, char end)
{
    const uint8_t *found = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
    size_t len = found == NULL ? rest->len : (size_t)(found - rest->data);
    struct slice part = slice_of(rest->data, len);
    *rest = slice_sub(*rest, len + 1, SIZE_MAX);
    return trimmed(part);
}

static bool parse_number(struct slice *rest, char end, int64_t *out)
{
    return num_parse_i64(cut(rest, end), out);
}

static bool parse_op(struct history *history, struct slice line)
{
    struct slice rest = line;
    struct slice head = cut(&rest, '|');
    struct slice request = cut(&rest, '|');
    struct slice reply = trimmed(rest);
    int64_t client;
    int64_t connection;
    int64_t asked;
    int64_t told = HISTORY_NEVER;
    if (!parse_number(&head, '.', &client) || !parse_number(&head, ' ', &connection) ||
        !parse_number(&head, ' ', &asked))
        return false;
    head = trimmed(head);
    if (!slice_is(head, NEVER_TOLD) && !num_parse_i64(head, &told))
        return false;
    if (request.len == 0 || reply.len == 0 || told < asked)
        return false;
    struct history_op op = {.client = (uint32_t)client,
                            .connection = (uint32_t)connection,
                            .asked_ns = asked,
                            .told_ns = told,
                            .request = keep(history, request),
                            .reply = keep(history, reply)};
    history_add(history, &op);
    return true;
}

static bool parse_line(struct history *history, struct slice line)
{
    struct slice rest = line;
    struct slice word = cut(&rest, ' ');
    if (line.len == 0 || line.data[0] == '#')
        return true;
    if (slice_is(word, "early"))
        return num_parse_i64(rest, &history->early_ms);
    if (slice_is(word, "late"))
        return num_parse_i64(rest, &history->late_ms);
    if (slice_is(word, "same") || slice_is(word, "sum")) {
        history_add_rule(history, keep(history, line));
        return true;
    }
    return parse_op(history, line);
}

size_t history_parse(struct history *history, struct slice text)
{
    for (size_t number = 1; text.len > 0; number++) {
        if (!parse_line(history, cut(&text, '\n')))
            return number;
    }
    return 0;
}

size_t history_read(struct history *history, FILE *from)
{
    struct buf text = {0};
    size_t got;
    do {
        uint8_t *to = buf_extend(&text, 65536);
        got = fread(to, 1, 65536, from);
        text.len -= 65536 - got;
    } while (got > 0);
    size_t bad_line = history_parse(history, buf_slice(&text));
    buf_fini(&text);
    return bad_line;
}

void history_write_op(const struct history_op *op, FILE *to)
{
    fprintf(to, "%u.%u %" PRId64 " ", op->client, op->connection, op->asked_ns);
    if (op->told_ns == HISTORY_NEVER)
        fprintf(to, NEVER_TOLD);
    else
        fprintf(to, "%" PRId64, op->told_ns);
    fprintf(to, " | %s | %s\n", op->request, op->reply);
}

void history_write(const struct history *history, FILE *to)
{
    fprintf(to, "early %" PRId64 "\nlate %" PRId64 "\n", history->early_ms, history->late_ms);
    for (size_t i = 0; i < history->rule_count; i++)
        fprintf(to, "%s\n", history->rules[i]);
    for (size_t i = 0; i < history->count; i++)
        history_write_op(&history->ops[i], to);
}
