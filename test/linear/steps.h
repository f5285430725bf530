/* SPDX-License-Identifier: Apache-2.0 */
/* steps: what clients do, one step at a time, each kind on keys of its own.
 *
 * All clients of a round work on the same few keys, whose names begin with the round's name, so
 * that histories of a key stay short and keys are made anew all the time.
 */
#ifndef LINEAR_STEPS_H
#define LINEAR_STEPS_H

#include "linear/client.h"

/* A kind of step. The letters are for the command line. */
enum step_kind {
    STEP_NUMBERS, /* n: SET GET INCR INCRBY GETSET GETDEL, NX and XX on numbers */
    STEP_TEXTS,   /* t: SET GET APPEND GETSET STRLEN DEL on strings */
    STEP_GROUPS,  /* g: keys that are always written together and read in part */
    STEP_MOVES,   /* m: RENAME */
    STEP_BANK,    /* b: transfers between accounts, with and without WATCH */
    STEP_APPENDS, /* a: transactions and pipelines of appends and reads of several keys */
    STEP_LIVES,   /* l: keys that end */
    STEP_PIPES,   /* p: deep pipelines that read what they wrote */
    STEP_KINDS
};

#define STEP_LETTERS "ntgmbalp"

/* Does one step and waits for its replies. */
enum client_result step_run(enum step_kind kind, struct client *client, const char *round);

/* Reads once everything that should be read when the others have stopped. */
enum client_result steps_finish(struct client *client, const char *round);

/* Adds what must hold between keys of the round. */
void steps_add_rules(struct history *history, const char *round);

/* Of the two files of steps. */
enum client_result step_numbers(struct client *client, const char *round);
enum client_result step_texts(struct client *client, const char *round);
enum client_result step_lives(struct client *client, const char *round);
enum client_result step_pipes(struct client *client, const char *round);
enum client_result step_groups(struct client *client, const char *round);
enum client_result step_moves(struct client *client, const char *round);
enum client_result step_bank(struct client *client, const char *round);
enum client_result step_appends(struct client *client, const char *round);

#endif
