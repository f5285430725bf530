/* SPDX-License-Identifier: Apache-2.0 */
/* Two things may be left out of a bad history such that what remains is bad for the same reason,
 * because leaving them out of a good one gives a good one:
 *
 *   - its end: what was asked after some time, and the replies that came after it;
 *   - reads, whatever they saw.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "linear/check.h"
#include "linear/claim.h"

#define MAX_TRIES 400

static bool is_bad(struct history *history, uint64_t budget)
{
    struct verdict verdict;
    check_history(history, budget, NULL, &verdict);
    bool is = verdict.bad_count > 0;
    verdict_fini(&verdict);
    return is;
}

static void copy_frame(struct history *to, const struct history *from)
{
    history_init(to);
    to->early_ms = from->early_ms;
    to->late_ms = from->late_ms;
    for (size_t i = 0; i < from->rule_count; i++)
        history_add_rule(to, from->rules[i]);
}

/* ---- The end ---- */

static void copy_until(struct history *to, const struct history *from, int64_t until_ns)
{
    copy_frame(to, from);
    for (size_t i = 0; i < from->count; i++) {
        struct history_op op = from->ops[i];
        if (op.asked_ns > until_ns)
            continue;
        if (op.told_ns > until_ns)
            op.told_ns = HISTORY_NEVER;
        history_add(to, &op);
    }
}

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The shortest beginning that is bad: a longer one is bad as well. */
static void cut_end(struct history *history, uint64_t budget)
{
    int64_t *times = mem_calloc(history->count + 1, sizeof(*times));
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++) {
        if (history->ops[i].told_ns != HISTORY_NEVER)
            times[count++] = history->ops[i].told_ns;
    }
    qsort(times, count, sizeof(*times), compare_times);
    size_t low = 0;
    while (low < count) {
        size_t middle = (low + count) / 2;
        struct history part;
        copy_until(&part, history, times[middle]);
        if (is_bad(&part, budget)) {
            count = middle;
            history_fini(history);
            *history = part;
        } else {
            low = middle + 1;
            history_fini(&part);
        }
    }
    mem_free(times);
}

/* ---- Reads ---- */

static bool *find_reads(const struct history *history, size_t *out_count)
{
    struct claims claims;
    claims_init(&claims, history);
    bool *is_read = mem_calloc(history->count + 1, sizeof(*is_read));
    size_t count = 0;
    for (size_t i = 0; i < claims.count; i++) {
        if (!claims.items[i].is_read)
            continue;
        is_read[claims.items[i].op - history->ops] = true;
        count++;
    }
    claims_fini(&claims);
    *out_count = count;
    return is_read;
}

/* A copy without reads number `first` to `first + count - 1`. */
static void copy_without(struct history *to, const struct history *from, const bool *is_read,
                         size_t first, size_t count)
{
    copy_frame(to, from);
    size_t nth = 0;
    for (size_t i = 0; i < from->count; i++) {
        bool is_left_out = is_read[i] && nth >= first && nth < first + count;
        nth += is_read[i];
        if (!is_left_out)
            history_add(to, &from->ops[i]);
    }
}

/* Leaves out runs of `size` reads where that is possible; returns how many tries are left. */
static size_t drop_runs(struct history *history, uint64_t budget, size_t size, size_t tries)
{
    size_t read_count;
    bool *is_read = find_reads(history, &read_count);
    for (size_t first = 0; first < read_count && tries > 0; tries--) {
        struct history part;
        copy_without(&part, history, is_read, first, size);
        if (!is_bad(&part, budget)) {
            history_fini(&part);
            first += size;
            continue;
        }
        history_fini(history);
        *history = part;
        mem_free(is_read);
        is_read = find_reads(history, &read_count);
    }
    mem_free(is_read);
    return tries;
}

void check_shrink(struct history *history, uint64_t budget)
{
    history_sort(history);
    cut_end(history, budget);
    size_t read_count;
    mem_free(find_reads(history, &read_count));
    size_t tries = MAX_TRIES;
    for (size_t size = read_count; size > 0 && tries > 0; size /= 2)
        tries = drop_runs(history, budget, size, tries);
}
