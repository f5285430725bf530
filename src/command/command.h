/* SPDX-License-Identifier: Apache-2.0 */
/* command: a row per command, and what its handler is given.
 *
 * A handler is pure: argv, transaction, reply, and the entry's time through the transaction. It has
 * no clock, no randomness, no socket, no configuration (R13). It checks everything before it
 * changes anything, so a user's error leaves no trace. The same handler answers a point read on an
 * io loop, executes on a shard, and replays.
 *
 * Rows of scope NODE run in the session that asked, outside the order of the group, and have no
 * transaction.
 *
 * Threads: rows are constant; a call belongs to one thread.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "command/key_rule.h"
#include "resp/reply.h"
#include "store/tx.h"

struct session; /* of the layer above */
struct command_row;
struct command_table;
struct tally;

struct call {
    const struct command_row *row;
    const struct slice *argv; /* argv[0] is the name as sent; subcommands keep theirs in argv[1] */
    uint32_t argc;
    uint16_t db;
    struct tx *tx; /* NULL in scope NODE */
    struct reply *reply;
    const struct command_table *table;
    struct session *session; /* scope NODE only */
    struct tally *tally;     /* counts what a transaction runs; may be NULL */
};

/* Returns 0 when it has replied, be it an error, or what tx_get() and tx_load() returned: ERR_COLD,
 * ERR_RETRY, ERR_CORRUPT, ... Then reply and changes are dropped. */
typedef int (*command_fn)(struct call *call);

enum command_flags {
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_LOADING = 1 << 6, /* allowed while the state is being recovered */
    CMD_STALE = 1 << 7,
    CMD_FAST = 1 << 8,
    CMD_NO_AUTH = 1 << 9,
    CMD_NO_MULTI = 1 << 10,
    CMD_SKIP_MONITOR = 1 << 11,
    CMD_SKIP_SLOWLOG = 1 << 12,
    CMD_ALLOW_BUSY = 1 << 13,
    CMD_NO_ASYNC_LOADING = 1 << 14, /* shown, and nothing else: nothing is loaded that way */
    /* Ours, not shown. */
    CMD_POINT = 1 << 20,         /* READONLY: may be answered on an io loop, lock-free */
    CMD_LOADS_VALUE = 1 << 21,   /* reads old values of its keys where shards execute it (R19) */
    CMD_IN_MULTI_NOW = 1 << 22,  /* not queued by MULTI */
    CMD_WANTS_QUIET = 1 << 23,   /* runs only while nothing of its connection is in flight */
    CMD_INTERNAL = 1 << 24,      /* found by id alone: no client can name it, no list shows it */
    CMD_SHOWS_VALUE = 1 << 25,   /* its reply may be as large as the values of its keys */
    CMD_COUNTS_READS = 1 << 26,  /* WRITE: its lookups are reads, too (keyspace_hits) */
    CMD_MAY_REPLICATE = 1 << 27, /* CLIENT PAUSE WRITE holds it like a write */
    CMD_SHOWN_READ = 1 << 28,    /* WRITE: clients are told that it is a read, as in Redis */
    CMD_SUBSCRIBED = 1 << 29,    /* a RESP2 connection that listens to channels may say it */
    CMD_PROTECTED = 1 << 30      /* for whom enable-debug-command lets */
};

enum command_scope {
    SCOPE_KEYS, /* the shards of its keys */
    SCOPE_ALL,  /* all shards, at one instant */
    SCOPE_NODE  /* none */
};

struct command_arity {
    uint32_t min; /* argv[0] included */
    uint32_t max; /* ARITY_ANY: no limit */
};
#define ARITY_ANY UINT32_MAX

struct command_row {
    uint16_t id;        /* permanent; stands in the log; 0 for scope NODE only */
    const char *name;   /* lower case; of a subcommand: the last word */
    const char *parent; /* container's name, or NULL */
    struct command_arity arity;
    unsigned flags;
    enum command_scope scope;
    struct key_rule keys;
    const char *categories; /* blank-separated, without '@' */
    const char *tips;       /* the same: hints for clients of many nodes; NULL: none */
    const char *group;
    const char *since;
    const char *complexity;
    const char *summary;
    const char *syntax; /* the arguments, as in the manual */
    command_fn run;
    /* WRITE, or NULL: answers inline what changes nothing, as a point read; else ERR_RETRY, or any
     * other code, and the command is logged. */
    command_fn peek;
};

struct command_family {
    const char *name;
    const struct command_row *rows;
    size_t row_count;
};

/* ---- The table: all rows of all families, by name and by id. ---- */

/* Rows must outlive the table. Names (but of internal rows) and ids must be unique: asserted. */
struct command_table *command_table_new(const struct command_family *const *families,
                                        size_t family_count);
void command_table_free(struct command_table *table);

/* The row for a request: a subcommand's where argv[0] is a container and argv[1] names one. NULL if
 * there is none; then *out_parent is the container, if that at least is known. */
const struct command_row *command_find(const struct command_table *table, const struct slice *argv,
                                       uint32_t argc, const struct command_row **out_parent);
const struct command_row *command_by_id(const struct command_table *table, uint16_t id);

static inline bool command_arity_fits(const struct command_row *row, uint32_t argc)
{
    return argc >= row->arity.min && argc <= row->arity.max;
}

/* Redis's signed form: -n for "at least n". */
int command_signed_arity(const struct command_row *row);
struct request {
    const struct slice *argv;
    uint32_t argc;
    uint16_t db;
};

/* Calls on_key for every key. Scope ALL is KEYS_EVERYWHERE, its keys are still named. */
enum keys_found command_keys(const struct command_table *table, const struct command_row *row,
                             const struct request *request, command_key_fn on_key, void *ctx);

#endif
