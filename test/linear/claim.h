/* SPDX-License-Identifier: Apache-2.0 */
/* claim: an op of a history taken apart into steps on keys, each with what its reply said.
 *
 * What had no effect and saw nothing makes no claim and is left out: an error reply, an EXEC that
 * was called off, a read whose reply was lost.
 *
 * Vocabulary: a value is a number for a text, VALUE_NIL for no key. A life is a number for the span
 *             of time in which a key with expiry ends; LIFE_ENDLESS for a key without.
 */
#ifndef LINEAR_CLAIM_H
#define LINEAR_CLAIM_H

#include "linear/history.h"
#include "linear/intern.h"

#define VALUE_NIL    0
#define LIFE_ENDLESS 0

enum verb {
    VERB_GET,     /* said: the value */
    VERB_SET,     /* `life`; told 1 if it was set: `condition` may forbid it */
    VERB_GETSET,  /* said: the value before */
    VERB_GETDEL,  /* said: the value before */
    VERB_APPEND,  /* told: the new length */
    VERB_STRLEN,  /* told */
    VERB_ADD,     /* `number` is added; told: the sum */
    VERB_DEL,     /* counts the key if it was there */
    VERB_EXISTS,  /* counts the key if it is there */
    VERB_TOTAL,   /* told: the count so far */
    VERB_IF_NONE, /* told 1 if the count so far is 0; otherwise the rest does not happen */
    VERB_RENAME,  /* to `other`; told 0 if there was no such key */
    VERB_PEXPIRE, /* `life`; told */
    VERB_PERSIST, /* told */
    VERB_PTTL,    /* told */
    VERB_IS       /* the key has `said`: it was watched */
};

enum condition { COND_ALWAYS, COND_NX, COND_XX };

struct step {
    enum verb verb;
    enum condition condition;
    uint32_t key;
    uint32_t other;
    uint32_t value; /* argument */
    uint32_t life;
    uint32_t said;
    bool is_told; /* `said` and `told` are known */
    int64_t number;
    int64_t told;
};

struct claim {
    const struct history_op *op;
    uint64_t session;
    int64_t asked_ns;
    int64_t told_ns; /* HISTORY_NEVER: maybe it happened */
    uint32_t first_step;
    uint32_t step_count;
    bool is_read; /* it cannot have changed anything */
};

struct life {
    int64_t from_ns;  /* it may be gone from here on */
    int64_t until_ns; /* it must be gone from here on */
};

struct claims {
    struct claim *items;
    size_t count;
    struct step *steps;
    size_t step_count;
    size_t step_cap;
    struct life *lives;
    size_t life_count;
    size_t life_cap;
    struct intern keys;
    struct intern values;
    const struct history_op *bad_op; /* its reply cannot be one to its request, or NULL */
};

/* Takes apart every op. The history must outlive the claims. */
void claims_init(struct claims *claims, const struct history *history);
void claims_fini(struct claims *claims);

static inline bool claim_is_sure(const struct claim *claim)
{
    return claim->told_ns != HISTORY_NEVER;
}

static inline const struct step *claim_steps(const struct claims *claims, const struct claim *claim)
{
    return &claims->steps[claim->first_step];
}

/* Does the verb concern a key? */
static inline bool verb_has_key(enum verb verb)
{
    return verb != VERB_TOTAL && verb != VERB_IF_NONE;
}

#endif
