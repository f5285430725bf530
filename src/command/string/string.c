/* SPDX-License-Identifier: Apache-2.0 */
/* Strings read and set whole. */
#include "base/assert.h"
#include "command/args.h"
#include "command/families.h"

/* ---- Options of SET and GETEX ---- */

enum set_flags {
    SET_NX = 1,
    SET_XX = 2,
    SET_GET = 4,
    SET_KEEPTTL = 8,
    SET_PERSIST = 16,
    SET_EX = 32,
    SET_PX = 64,
    SET_EXAT = 128,
    SET_PXAT = 256
};

#define SET_EXPIRES   (SET_EX | SET_PX | SET_EXAT | SET_PXAT)
#define SET_WORDS     (SET_NX | SET_XX | SET_GET | SET_KEEPTTL | SET_EXPIRES)
#define GETEX_WORDS   (SET_PERSIST | SET_EXPIRES)
#define SET_LOOKS     (SET_NX | SET_XX | SET_GET | SET_KEEPTTL)
#define SET_LIFETIMES (SET_KEEPTTL | SET_PERSIST | SET_EXPIRES)

struct set_option {
    const char *word;
    unsigned flag;
    unsigned excluded; /* by these, when they came before */
};

static const struct set_option set_options[] = {
    {"nx", SET_NX, SET_XX},
    {"xx", SET_XX, SET_NX},
    {"get", SET_GET, 0},
    {"keepttl", SET_KEEPTTL, SET_LIFETIMES & ~SET_KEEPTTL},
    {"persist", SET_PERSIST, SET_LIFETIMES & ~SET_PERSIST},
    {"ex", SET_EX, SET_LIFETIMES & ~SET_EX},
    {"px", SET_PX, SET_LIFETIMES & ~SET_PX},
    {"exat", SET_EXAT, SET_LIFETIMES & ~SET_EXAT},
    {"pxat", SET_PXAT, SET_LIFETIMES & ~SET_PXAT},
};

struct set_args {
    unsigned flags;
    uint32_t expire_arg;
};

static const struct set_option *find_option(struct slice word, unsigned allowed)
{
    for (size_t i = 0; i < ARRAY_COUNT(set_options); i++) {
        if ((set_options[i].flag & allowed) != 0 && slice_is(word, set_options[i].word))
            return &set_options[i];
    }
    return NULL;
}

/* Reads the options from argument `at` on. False after a syntax error has been replied. */
static bool parse_options(struct call *call, uint32_t at, unsigned allowed, struct set_args *out)
{
    *out = (struct set_args){0};
    for (; at < call->argc; at++) {
        const struct set_option *option = find_option(call->argv[at], allowed);
        bool has_value = option != NULL && (option->flag & SET_EXPIRES) != 0;
        if (option == NULL || (out->flags & option->excluded) != 0 ||
            (has_value && at + 1 == call->argc)) {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
        out->flags |= option->flag;
        if (has_value)
            out->expire_arg = ++at;
    }
    return true;
}

/* The time that EX, PX, EXAT or PXAT name, 0 without them. False after an error reply. */
static bool expiry_of(struct call *call, const struct set_args *args, uint64_t *out_ms)
{
    *out_ms = 0;
    if ((args->flags & SET_EXPIRES) == 0)
        return true;
    bool is_seconds = (args->flags & (SET_EX | SET_EXAT)) != 0;
    bool is_relative = (args->flags & (SET_EX | SET_PX)) != 0;
    int64_t ms;
    if (!args_expire_at(call, args->expire_arg, is_seconds ? UNIT_SECONDS : UNIT_MS, is_relative,
                        true, &ms))
        return false;
    *out_ms = (uint64_t)ms;
    return true;
}

/* ---- Reading ---- */

/* Replies the value of argv[1] or null. ARGS_REPLIED has replied an error. */
static int reply_value(struct call *call, struct item *out_item, struct slice *out_value)
{
    int rc = args_load_string(call, call->argv[1], out_item, out_value);
    if (rc != 0)
        return rc;
    if (out_item->type == VALUE_NONE)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, *out_value);
    return 0;
}

static int run_get(struct call *call)
{
    struct item item;
    struct slice value;
    return args_stop(reply_value(call, &item, &value));
}

static int run_mget(struct call *call)
{
    bool is_cold = false;
    reply_array(call->reply, call->argc - 1);
    for (uint32_t i = 1; i < call->argc; i++) {
        struct item item;
        int rc = tx_get(call->tx, call->db, call->argv[i], &item);
        if (rc != 0)
            return rc;
        if (item.type != VALUE_STRING) {
            reply_null(call->reply);
            continue;
        }
        struct slice value;
        rc = tx_load(call->tx, &item, &value);
        if (rc == 0)
            reply_bulk(call->reply, value);
        else if (rc == ERR_COLD)
            is_cold = true; /* the others are asked for as well, to be read together (M4) */
        else
            return rc;
    }
    return is_cold ? ERR_COLD : 0;
}

/* ---- Reading and changing ---- */

/* The same by a command that writes, for which not finding the key is an event, too. */
static int reply_old_value(struct call *call, struct item *out_item, struct slice *out_value)
{
    int rc = reply_value(call, out_item, out_value);
    if (rc == 0 && out_item->type == VALUE_NONE)
        args_notify(call, EVENT_MISS, "keymiss", call->argv[1]);
    return rc;
}

/* A string that has been set whole, with an expiry or without. */
static void notify_set(struct call *call, struct slice key, bool has_expiry)
{
    args_notify(call, EVENT_STRING, "set", key);
    if (has_expiry)
        args_notify(call, EVENT_GENERIC, "expire", key);
}

static int run_getset(struct call *call)
{
    struct item item;
    struct slice value;
    int rc = reply_old_value(call, &item, &value);
    if (rc != 0)
        return args_stop(rc);
    args_put_string(call, call->argv[1], call->argv[2], 0);
    notify_set(call, call->argv[1], false);
    return 0;
}

static int run_getdel(struct call *call)
{
    struct item item;
    struct slice value;
    int rc = reply_old_value(call, &item, &value);
    if (rc != 0)
        return args_stop(rc);
    if (item.type == VALUE_NONE)
        return 0;
    tx_del(call->tx, call->db, call->argv[1]);
    args_notify(call, EVENT_GENERIC, "del", call->argv[1]);
    return 0;
}

/* GETEX has given the key another expiry, 0 for none. */
static void notify_getex(struct call *call, uint64_t expire_at_ms)
{
    bool is_gone = expire_at_ms != 0 && expire_at_ms <= tx_time_ms(call->tx);
    args_notify(call, EVENT_GENERIC,
                is_gone             ? "del"
                : expire_at_ms != 0 ? "expire"
                                    : "persist",
                call->argv[1]);
}

static int run_getex(struct call *call)
{
    struct set_args args;
    struct item item;
    struct slice value;
    uint64_t expire_at_ms;
    if (!parse_options(call, 2, GETEX_WORDS, &args))
        return 0;
    int rc = args_load_string(call, call->argv[1], &item, &value);
    if (rc != 0)
        return args_stop(rc);
    if (item.type == VALUE_NONE) {
        args_notify(call, EVENT_MISS, "keymiss", call->argv[1]);
        reply_null(call->reply);
        return 0;
    }
    if (!expiry_of(call, &args, &expire_at_ms))
        return 0;
    reply_bulk(call->reply, value); /* M6 */
    bool is_lifted = (args.flags & SET_PERSIST) != 0 && item.expire_at_ms != 0;
    if (expire_at_ms == 0 && !is_lifted)
        return 0;
    args_put_formed(call, call->argv[1], value, item.form, expire_at_ms);
    notify_getex(call, expire_at_ms);
    return 0;
}

/* ---- Setting ---- */

/* Sets a key. One whose time has passed already has been there all the same. */
static void put_and_tell(struct call *call, struct slice key, struct slice value,
                         uint64_t expire_at_ms, bool is_new_expiry)
{
    args_put_string(call, key, value, expire_at_ms);
    notify_set(call, key, is_new_expiry);
    if (expire_at_ms != 0 && expire_at_ms <= tx_time_ms(call->tx))
        args_notify(call, EVENT_EXPIRED, "expired", key);
}

/* Sets argv[1] as the flags allow. 0; ARGS_REPLIED; ERR_EXISTS: the flags forbade it. With SET_GET
 * the old value has been replied in both cases. */
static int set_key(struct call *call, struct slice value, unsigned flags, uint64_t expire_at_ms)
{
    struct slice key = call->argv[1];
    struct item item = {.type = VALUE_NONE};
    struct slice old;
    int rc = 0;
    tx_count_lookups(call->tx, (flags & SET_GET) != 0);
    if ((flags & SET_GET) != 0)
        rc = reply_old_value(call, &item, &old);
    else if ((flags & SET_LOOKS) != 0)
        rc = tx_get(call->tx, call->db, key, &item);
    if (rc != 0)
        return rc;
    bool is_there = item.type != VALUE_NONE;
    if (((flags & SET_NX) != 0 && is_there) || ((flags & SET_XX) != 0 && !is_there))
        return ERR_EXISTS;
    bool is_kept = (flags & SET_KEEPTTL) != 0;
    put_and_tell(call, key, value, is_kept ? item.expire_at_ms : expire_at_ms,
                 !is_kept && expire_at_ms != 0);
    return 0;
}

static int run_set(struct call *call)
{
    struct set_args args;
    uint64_t expire_at_ms;
    if (!parse_options(call, 3, SET_WORDS, &args) || !expiry_of(call, &args, &expire_at_ms))
        return 0;
    int rc = set_key(call, call->argv[2], args.flags, expire_at_ms);
    if (rc != 0 && rc != ERR_EXISTS)
        return args_stop(rc);
    if ((args.flags & SET_GET) != 0)
        return 0;
    if (rc == 0)
        reply_ok(call->reply);
    else
        reply_null(call->reply);
    return 0;
}

static int run_setnx(struct call *call)
{
    int rc = set_key(call, call->argv[2], SET_NX, 0);
    if (rc != 0 && rc != ERR_EXISTS)
        return rc;
    reply_int(call->reply, rc == 0);
    return 0;
}

/* SETEX and PSETEX: key, time, value. */
static int set_for(struct call *call, unsigned flag)
{
    struct set_args args = {.flags = flag, .expire_arg = 2};
    uint64_t expire_at_ms;
    if (!expiry_of(call, &args, &expire_at_ms))
        return 0;
    put_and_tell(call, call->argv[1], call->argv[3], expire_at_ms, true);
    reply_ok(call->reply);
    return 0;
}

static int run_setex(struct call *call)
{
    return set_for(call, SET_EX);
}

static int run_psetex(struct call *call)
{
    return set_for(call, SET_PX);
}

/* The last one counts where a key is named twice. */
static void put_pairs(struct call *call)
{
    for (uint32_t i = 1; i < call->argc; i += 2) {
        args_put_string(call, call->argv[i], call->argv[i + 1], 0);
        notify_set(call, call->argv[i], false);
    }
}

static int run_mset(struct call *call)
{
    if (call->argc % 2 == 0) {
        args_reply_arity(call->reply, call->row);
        return 0;
    }
    put_pairs(call);
    reply_ok(call->reply);
    return 0;
}

static int run_msetnx(struct call *call)
{
    if (call->argc % 2 == 0) {
        args_reply_arity(call->reply, call->row);
        return 0;
    }
    for (uint32_t i = 1; i < call->argc; i += 2) {
        struct item item;
        int rc = tx_peek(call->tx, call->db, call->argv[i], &item);
        if (rc != 0)
            return rc;
        if (item.type != VALUE_NONE) {
            reply_int(call->reply, 0);
            return 0;
        }
    }
    put_pairs(call);
    reply_int(call->reply, 1);
    return 0;
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 1,
        .name = "get",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns the string at a key.",
        .syntax = "key",
        .run = run_get,
    },
    {
        .id = 2,
        .name = "set",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIES),
        .categories = "string slow",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string, whatever it held; options say when, and for how long.",
        .syntax = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | "
                  "EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        .run = run_set,
    },
    {
        .id = 3,
        .name = "getset",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE | CMD_SHOWS_VALUE |
                 CMD_COUNTS_READS,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string and returns the one it held.",
        .syntax = "key value",
        .run = run_getset,
    },
    {
        .id = 4,
        .name = "getdel",
        .arity = {2, 2},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE | CMD_SHOWS_VALUE | CMD_COUNTS_READS,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_DELETE),
        .categories = "string fast",
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Returns the string at a key and removes the key.",
        .syntax = "key",
        .run = run_getdel,
    },
    {
        .id = 5,
        .name = "getex",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE | CMD_SHOWS_VALUE | CMD_COUNTS_READS,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "string fast",
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Returns the string at a key and changes how long it lives.",
        .syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
                  "PXAT unix-time-milliseconds | PERSIST]",
        .run = run_getex,
    },
    {
        .id = 6,
        .name = "setnx",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
        .keys = KEYS_RANGE(1, 1, 1, KEY_OW | KEY_INSERT),
        .categories = "string fast",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string if there is no such key.",
        .syntax = "key value",
        .run = run_setnx,
    },
    {
        .id = 7,
        .name = "setex",
        .arity = {4, 4},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, 1, 1, KEY_OW | KEY_UPDATE),
        .categories = "string slow",
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that lives for some seconds.",
        .syntax = "key seconds value",
        .run = run_setex,
    },
    {
        .id = 8,
        .name = "psetex",
        .arity = {4, 4},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, 1, 1, KEY_OW | KEY_UPDATE),
        .categories = "string slow",
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that lives for some milliseconds.",
        .syntax = "key milliseconds value",
        .run = run_psetex,
    },
    {
        .id = 9,
        .name = "mget",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RO | KEY_ACCESS),
        .categories = "string fast",
        .tips = "request_policy:multi_shard",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of keys",
        .summary = "Returns the strings at several keys as they are at one instant.",
        .syntax = "key [key ...]",
        .run = run_mget,
    },
    {
        .id = 10,
        .name = "mset",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, -1, 2, KEY_OW | KEY_UPDATE),
        .categories = "string slow",
        .tips = "request_policy:multi_shard response_policy:all_succeeded",
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N), N being the number of keys",
        .summary = "Sets several keys to strings, all at once.",
        .syntax = "key value [key value ...]",
        .run = run_mset,
    },
    {
        .id = 11,
        .name = "msetnx",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, -1, 2, KEY_OW | KEY_INSERT),
        .categories = "string slow",
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N), N being the number of keys",
        .summary = "Sets several keys to strings if none of them is there.",
        .syntax = "key value [key value ...]",
        .run = run_msetnx,
    },
};

const struct command_family string_family = {
    .name = "string", .rows = rows, .row_count = ARRAY_COUNT(rows)};
