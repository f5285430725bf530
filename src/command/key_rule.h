/* SPDX-License-Identifier: Apache-2.0 */
/* key_rule: where the keys of a command stand in its arguments, and what they are used for. */
#ifndef COMMAND_KEY_RULE_H
#define COMMAND_KEY_RULE_H

#include <stdint.h>

#include "base/slice.h"

struct command_table;

enum key_rule_kind {
    KEY_RULE_NONE,
    KEY_RULE_RANGE,   /* first, last (negative: from the end), step */
    KEY_RULE_NUMKEYS, /* first: where the number stands; keys follow it */
    KEY_RULE_FN
};

/* What a key is used for, for COMMAND INFO, GETKEYSANDFLAGS and access lists. */
enum key_access {
    KEY_RO = 1, /* one of four: read, read and written, overwritten, removed */
    KEY_RW = 2,
    KEY_OW = 4,
    KEY_RM = 8,
    KEY_ACCESS = 16, /* and what that means for its content */
    KEY_UPDATE = 32,
    KEY_INSERT = 64,
    KEY_DELETE = 128,
    KEY_VARIES = 256 /* access_fn tells; NULL: without GET behind it, it is only overwritten */
};

/* Called for each key; borrowed. */
typedef void (*command_key_fn)(void *ctx, uint16_t db, struct slice key);

enum keys_found {
    KEYS_MALFORMED, /* argv does not fit the rule */
    KEYS_FOUND,     /* every key has been named */
    KEYS_EVERYWHERE /* it involves all shards whatever its keys are (R26) */
};

/* Finds the keys of argv. `table` is for commands that hold others (EXEC). */
typedef enum keys_found (*command_keys_fn)(const struct command_table *table,
                                           const struct slice *argv, uint32_t argc, uint16_t db,
                                           command_key_fn on_key, void *ctx);

/* What a request, whose arity fits, uses its first key for. */
typedef unsigned (*command_access_fn)(const struct slice *argv, uint32_t argc);

struct key_rule {
    enum key_rule_kind kind;
    int first;
    int last;
    int step;
    unsigned access;    /* enum key_access */
    unsigned access_to; /* of the keys behind the first, where it differs; else 0 */
    command_keys_fn fn;
    command_access_fn access_fn;
};

#define KEYS_NONE             \
    {                         \
        .kind = KEY_RULE_NONE \
    }
/* Two keys of different use, as of RENAME. */
#define KEYS_FROM_TO(from, to)                                                      \
    {                                                                               \
        .kind = KEY_RULE_RANGE, .first = 1, .last = 2, .step = 1, .access = (from), \
        .access_to = (to)                                                           \
    }
/* All keys from argument `f` on, of which the first has another use. */
#define KEYS_TO_FROM(f, to, from)                                                    \
    {                                                                                \
        .kind = KEY_RULE_RANGE, .first = (f), .last = -1, .step = 1, .access = (to), \
        .access_to = (from)                                                          \
    }
#define KEYS_RANGE(f, l, s, a)                                                        \
    {                                                                                 \
        .kind = KEY_RULE_RANGE, .first = (f), .last = (l), .step = (s), .access = (a) \
    }

#endif
