/* SPDX-License-Identifier: Apache-2.0 */
/* history: what clients asked a server, what they were told, and when.
 *
 * As text, one op a line, in the order in which each connection sent them:
 *
 *     3.0 1200 1350 | SET k v | OK              client 3, its connection 0, asked at, told at (ns)
 *     4.0 1210 - | INCR n | -                   never told: it may have been applied
 *     5.1 1300 1400 | EXEC WATCHED a 5 ; DECRBY a 5 ; GET b | [0 nil]
 *
 * A transaction is one op; WATCHED says what the client had read of a key that it watched. Replies
 * are written as OK, nil, "" for the empty string, !text for an error, [...] for an array, and
 * otherwise as they are: numbers and strings without blanks, '|', ';' and brackets.
 *
 * Besides ops there are lines that say how to judge them:
 *
 *     same a b ...     whoever reads several of these keys at once sees one value
 *     sum 0 a b ...    whoever reads all of these at once sees numbers of this sum
 *     early 1000       a key may be gone so many ms before its time (a restarted server's clock)
 *     late 1000        a key may be seen so many ms after its time
 *     # ...            a comment
 *
 * Lifetime: texts are copied in and live as long as the history.
 */
#ifndef LINEAR_HISTORY_H
#define LINEAR_HISTORY_H

#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/slice.h"

#define HISTORY_NEVER    INT64_MAX
#define HISTORY_EARLY_MS 5
#define HISTORY_LATE_MS  2000

struct history_op {
    uint32_t client;
    uint32_t connection;
    int64_t asked_ns;
    int64_t told_ns; /* HISTORY_NEVER: not known whether it was applied */
    const char *request;
    const char *reply;
};

struct history {
    struct history_op *ops;
    size_t count;
    size_t cap;
    const char **rules; /* lines that begin with "same" or "sum" */
    size_t rule_count;
    size_t rule_cap;
    int64_t early_ms;
    int64_t late_ms;
    struct arena texts;
};

void history_init(struct history *history);
void history_fini(struct history *history);

/* Appends `op`; its texts are copied. */
void history_add(struct history *history, const struct history_op *op);
void history_add_rule(struct history *history, const char *rule);

/* Orders ops by when they were asked; those of a connection keep their order. */
void history_sort(struct history *history);

/* Appends what `text` says. 0, or the number of the first line that cannot be read. */
size_t history_parse(struct history *history, struct slice text);
size_t history_read(struct history *history, FILE *from);

void history_write(const struct history *history, FILE *to);
void history_write_op(const struct history_op *op, FILE *to);

/* Words of a line, split at blanks. Returns how many, at most `max`. */
size_t history_words(const char *text, struct slice *words, size_t max);

#endif
