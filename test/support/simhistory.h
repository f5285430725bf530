/* SPDX-License-Identifier: Apache-2.0 */
/* simhistory: every write that a node has taken, in order, with its time and what was answered; and
 * from that the state after each of them, by the model.
 *
 * Writes are numbered from 1. "State n" is the one after the first n. A write that was refused has
 * never been submitted (P4): it has a number and changes nothing.
 */
#ifndef SUPPORT_SIMHISTORY_H
#define SUPPORT_SIMHISTORY_H

#include "support/simmodel.h"

enum simanswer {
    SIM_NO_ANSWER,
    SIM_DONE,    /* executed; its reply may well be an error, as the model says */
    SIM_UNKNOWN, /* "UNKNOWN ..." */
    SIM_REFUSED  /* any other error than the model's */
};

struct simhistory;

/* Begins with a copy of `base`; NULL: with nothing. */
struct simhistory *simhistory_new(const struct simmodel *base);
void simhistory_free(struct simhistory *history);

/* A write that will be executed at `time_ms` at the latest. Returns its number. */
uint64_t simhistory_add(struct simhistory *history, const char *text, uint64_t time_ms);
uint64_t simhistory_count(const struct simhistory *history);

/* Errors that come before submission are told from those that a command makes: by their first
 * words. */
enum simanswer simhistory_kind(struct slice reply);
void simhistory_answer(struct simhistory *history, uint64_t number, struct slice reply);
enum simanswer simhistory_answer_of(const struct simhistory *history, uint64_t number);

/* The highest number that has been answered as executed, 0 if there is none. */
uint64_t simhistory_acknowledged(const struct simhistory *history);

/* The first so many have all been answered. Shards answer independently of each other: a read is
 * sure to see no less than this. */
uint64_t simhistory_settled(const struct simhistory *history);

/* A copy of state `n`. */
struct simmodel *simhistory_state(struct simhistory *history, uint64_t n);

/* Finds the first n in [low, high] such that state n has this digest as of now_ms. */
bool simhistory_find(struct simhistory *history, uint64_t digest, uint64_t now_ms, uint64_t low,
                     uint64_t high, uint64_t *out_n);

/* The test has failed unless every executed write was answered as the model answers it. */
void simhistory_check_replies(struct simhistory *history);

#endif
