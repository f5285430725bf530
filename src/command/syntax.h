/* SPDX-License-Identifier: Apache-2.0 */
/* syntax: the arguments of a command as a tree, made from the text in its row, for who asks what to
 * type next (COMMAND DOCS).
 *
 * The text is written as in Redis's manual: words in lower case are values, words in upper case
 * tokens, and the words behind a token on its side belong to it; [] what may be left out, <> one
 * argument, | a choice; a repetition stands in brackets behind what it repeats: "key [key ...]".
 *
 * Lifetime: slices point into the text. Threads: none of its own. Errors: a text that breaks these
 * rules fails an assertion; all rows' texts are read in a test.
 */
#ifndef COMMAND_SYNTAX_H
#define COMMAND_SYNTAX_H

#include <stdbool.h>

#include "base/slice.h"

enum syntax_kind {
    SYNTAX_VALUE,
    SYNTAX_TOKEN,  /* nothing but its token */
    SYNTAX_CHOICE, /* one of its parts */
    SYNTAX_BLOCK   /* all of them, one behind the other */
};

struct syntax_arg {
    enum syntax_kind kind;
    struct slice name;  /* of a value */
    struct slice token; /* what stands before it; empty: none */
    bool is_optional;
    bool is_multiple;
    bool repeats_token; /* each time with the token */
    int first_part;     /* in syntax.args; -1: none */
    int next;           /* on its level; -1: the last */
};

#define SYNTAX_MAX_ARGS 40

struct syntax {
    struct syntax_arg args[SYNTAX_MAX_ARGS];
    int count;
    int first; /* -1: no arguments */
};

void syntax_read(const char *text, struct syntax *out);

#endif
