/* SPDX-License-Identifier: Apache-2.0 */
/* args: what handlers share in reading arguments and wording errors, in Redis's words. */
#ifndef COMMAND_ARGS_H
#define COMMAND_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "command/command.h"

#define TEXT_WRONGTYPE   "WRONGTYPE Operation against a key holding the wrong kind of value"
#define TEXT_NOT_INTEGER "ERR value is not an integer or out of range"
#define TEXT_NOT_FLOAT   "ERR value is not a valid float"
#define TEXT_SYNTAX      "ERR syntax error"
#define TEXT_NO_KEY      "ERR no such key"
#define TEXT_STRING_SIZE "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
#define TEXT_DB_RANGE    "ERR DB index is out of range"

#define STRING_MAX_SIZE (512u * 1024 * 1024)

/* What the calls below return when the user's error has been replied: the command is over. */
#define ARGS_REPLIED ERR_INVALID

/* What a handler returns when one of them ended it. */
static inline int args_stop(int rc)
{
    return rc == ARGS_REPLIED ? 0 : rc;
}

/* Reads an integer argument; false after an error reply has been written. */
MUST_CHECK
bool args_integer(struct call *call, uint32_t nth, int64_t *out);

/* The same for what Redis keeps in an int, as numbers of databases. */
MUST_CHECK
bool args_int32(struct call *call, uint32_t nth, int64_t *out);

enum expire_unit { UNIT_SECONDS, UNIT_MS };

/* Turns an expiry argument into ms since the epoch. `is_relative` counts from the entry's time.
 * False after "invalid expire time in '<name>' command" has been written. Zero and negative times
 * are refused only with `must_be_positive` (SET and its kin). */
MUST_CHECK
bool args_expire_at(struct call *call, uint32_t nth, enum expire_unit unit, bool is_relative,
                    bool must_be_positive, int64_t *out_ms);

/* Looks `key` up and wants it to be a string or absent. 0, ARGS_REPLIED (WRONGTYPE), or a code to
 * return from the handler. */
MUST_CHECK
int args_get_string(struct call *call, struct slice key, struct item *out_item);

/* The same with the string itself, empty where there is no key. */
MUST_CHECK
int args_load_string(struct call *call, struct slice key, struct item *out_item,
                     struct slice *out_value);

/* A copy of `text` to be changed, with zeros behind it up to `size` bytes. */
void args_copy_string(struct slice text, size_t size, struct buf *out);

/* Replies and returns false if a string of `size` + `more` bytes would be too long. */
MUST_CHECK
bool args_string_fits(struct call *call, uint64_t size, uint64_t more);

/* What Redis would have made of a string. */
struct string_look {
    const char *encoding; /* "int", "embstr" or "raw", by what it is and how it came about */
    int32_t refcount;     /* of Redis's small integers, which all keys share, INT32_MAX; else 1 */
};

/* 0, or what tx_load() returned. */
MUST_CHECK
int string_look_at(struct tx *tx, const struct item *item, struct string_look *out_look);

/* Sets a string; `expire_at_ms` 0: it stays. */
void args_put_string(struct call *call, struct slice key, struct slice value,
                     uint64_t expire_at_ms);
/* The same for what came about in another way than by being set. */
void args_put_formed(struct call *call, struct slice key, struct slice value, enum value_form form,
                     uint64_t expire_at_ms);

/* Tells those who watch the keyspace what has been done to a key (store/event.h): behind the
 * change.
 */
void args_notify(struct call *call, unsigned class, const char *name, struct slice key);

/* "-ERR unknown command ..." and the like, exactly as Redis words them. */
void args_reply_unknown(struct reply *reply, const struct slice *argv, uint32_t argc);
void args_reply_unknown_sub(struct reply *reply, const struct command_row *parent,
                            struct slice name);
/* A subcommand that takes several numbers of arguments, but not this one. */
void args_reply_sub_usage(struct call *call);
void args_reply_arity(struct reply *reply, const struct command_row *row);

#endif
