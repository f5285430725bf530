/* SPDX-License-Identifier: Apache-2.0 */
/* Keys whatever they hold, and whole databases. */
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"

#define TEXT_SAME_OBJECTS "ERR source and destination objects are the same"

/* ---- Several keys ---- */

static int run_del(struct call *call)
{
    int64_t count = 0;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct item item;
        int rc = tx_peek(call->tx, call->db, call->argv[i], &item);
        if (rc != 0)
            return rc;
        if (item.type == VALUE_NONE)
            continue;
        tx_del(call->tx, call->db, call->argv[i]);
        args_notify(call, EVENT_GENERIC, "del", call->argv[i]);
        count++;
    }
    reply_int(call->reply, count);
    return 0;
}

/* How many of the arguments are keys, counted as often as they are named. */
static int count_keys(struct call *call, bool is_use)
{
    int64_t count = 0;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct item item;
        int rc = tx_peek(call->tx, call->db, call->argv[i], &item);
        if (rc != 0)
            return rc;
        if (is_use)
            tx_touch(call->tx, &item);
        count += item.type != VALUE_NONE;
    }
    reply_int(call->reply, count);
    return 0;
}

static int run_exists(struct call *call)
{
    return count_keys(call, false);
}

static int run_touch(struct call *call)
{
    return count_keys(call, true);
}

static int run_type(struct call *call)
{
    struct item item;
    int rc = tx_peek(call->tx, call->db, call->argv[1], &item);
    if (rc != 0)
        return rc;
    reply_status(call->reply, value_type_name(item.type));
    return 0;
}

/* ---- From one key to another ---- */

struct target {
    uint16_t db;
    struct slice key;
};

/* Looks at source and target. The source's value is not loaded yet. */
static int look_at_both(struct call *call, struct target to, struct item *out_from,
                        struct item *out_to)
{
    int rc = tx_get(call->tx, call->db, call->argv[1], out_from);
    return rc != 0 ? rc : tx_peek(call->tx, to.db, to.key, out_to);
}

/* Puts what `from` holds at the target, expiry and all. */
static int put_copy(struct call *call, const struct item *from, const struct item *there,
                    struct target to)
{
    struct slice value;
    int rc = tx_load(call->tx, from, &value);
    if (rc != 0)
        return rc;
    /* What is there goes first, as those hear who are told of new keys. */
    if (there->type != VALUE_NONE)
        tx_del(call->tx, to.db, to.key);
    tx_put(call->tx, to.db, to.key,
           &(struct tx_value){.type = from->type,
                              .form = from->form,
                              .bytes = value,
                              .expire_at_ms = from->expire_at_ms});
    return 0;
}

static int rename_key(struct call *call, bool must_be_new)
{
    struct target to = {.db = call->db, .key = call->argv[2]};
    struct item from;
    struct item there;
    int rc = look_at_both(call, to, &from, &there);
    if (rc != 0)
        return rc;
    if (from.type == VALUE_NONE) {
        reply_error(call->reply, TEXT_NO_KEY);
        return 0;
    }
    bool is_refused = must_be_new && there.type != VALUE_NONE;
    if (!is_refused && !slice_eq(call->argv[1], to.key)) {
        rc = put_copy(call, &from, &there, to);
        if (rc != 0)
            return rc;
        tx_del(call->tx, call->db, call->argv[1]);
        args_notify(call, EVENT_GENERIC, "rename_from", call->argv[1]);
        args_notify(call, EVENT_GENERIC, "rename_to", to.key);
    }
    if (must_be_new)
        reply_int(call->reply, !is_refused);
    else
        reply_ok(call->reply);
    return 0;
}

static int run_rename(struct call *call)
{
    return rename_key(call, false);
}

static int run_renamenx(struct call *call)
{
    return rename_key(call, true);
}

/* The number behind DB. False after an error reply. */
static bool parse_db(struct call *call, uint32_t nth, uint16_t *out_db)
{
    int64_t db;
    if (!args_int32(call, nth, &db))
        return false;
    if (db < 0 || db >= tx_database_count(call->tx)) {
        reply_error(call->reply, TEXT_DB_RANGE);
        return false;
    }
    *out_db = (uint16_t)db;
    return true;
}

struct copy_options {
    uint16_t db;
    bool is_replacing;
};

static bool parse_copy(struct call *call, struct copy_options *out)
{
    *out = (struct copy_options){.db = call->db};
    for (uint32_t i = 3; i < call->argc; i++) {
        if (slice_is(call->argv[i], "replace")) {
            out->is_replacing = true;
        } else if (slice_is(call->argv[i], "db") && i + 1 < call->argc) {
            if (!parse_db(call, ++i, &out->db))
                return false;
        } else {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
    }
    return true;
}

static int run_copy(struct call *call)
{
    struct copy_options options;
    if (!parse_copy(call, &options))
        return 0;
    struct target to = {.db = options.db, .key = call->argv[2]};
    if (to.db == call->db && slice_eq(call->argv[1], to.key)) {
        reply_error(call->reply, TEXT_SAME_OBJECTS);
        return 0;
    }
    struct item from;
    struct item there;
    int rc = look_at_both(call, to, &from, &there);
    if (rc != 0)
        return rc;
    bool is_copied = from.type != VALUE_NONE && (there.type == VALUE_NONE || options.is_replacing);
    if (is_copied) {
        rc = put_copy(call, &from, &there, to);
        if (rc != 0)
            return rc;
        tx_notify(call->tx, EVENT_GENERIC, "copy_to", to.db, to.key);
    } else if (from.type == VALUE_NONE) {
        args_notify(call, EVENT_MISS, "keymiss", call->argv[1]);
    }
    reply_int(call->reply, is_copied);
    return 0;
}

static int run_move(struct call *call)
{
    struct target to = {.key = call->argv[1]};
    if (!parse_db(call, 2, &to.db))
        return 0;
    if (to.db == call->db) {
        reply_error(call->reply, TEXT_SAME_OBJECTS);
        return 0;
    }
    struct item from;
    struct item there;
    int rc = look_at_both(call, to, &from, &there);
    if (rc != 0)
        return rc;
    bool is_moved = from.type != VALUE_NONE && there.type == VALUE_NONE;
    if (is_moved) {
        rc = put_copy(call, &from, &there, to);
        if (rc != 0)
            return rc;
        tx_del(call->tx, call->db, call->argv[1]);
        args_notify(call, EVENT_GENERIC, "move_from", call->argv[1]);
        tx_notify(call->tx, EVENT_GENERIC, "move_to", to.db, to.key);
    }
    reply_int(call->reply, is_moved);
    return 0;
}

/* ---- Whole databases ---- */

static int run_dbsize(struct call *call)
{
    reply_int(call->reply, (int64_t)tx_count(call->tx, call->db));
    return 0;
}

static int run_randomkey(struct call *call)
{
    struct item item;
    if (tx_random(call->tx, call->db, &item))
        reply_bulk(call->reply, item.key);
    else
        reply_null(call->reply);
    return 0;
}

/* Both forms are the same here: a flush is one record, and memory is freed in slices. */
static bool has_flush_word(struct call *call)
{
    if (call->argc == 1 ||
        (call->argc == 2 && (slice_is(call->argv[1], "async") || slice_is(call->argv[1], "sync"))))
        return true;
    reply_error(call->reply, TEXT_SYNTAX);
    return false;
}

static int run_flushdb(struct call *call)
{
    if (!has_flush_word(call))
        return 0;
    tx_flush(call->tx, call->db);
    reply_ok(call->reply);
    return 0;
}

static int run_flushall(struct call *call)
{
    if (!has_flush_word(call))
        return 0;
    for (uint32_t db = 0; db < tx_database_count(call->tx); db++)
        tx_flush(call->tx, (uint16_t)db);
    reply_ok(call->reply);
    return 0;
}

/* A number of a database as far as it is an int. False after an error reply. */
static bool parse_swapped(struct call *call, uint32_t nth, const char *error, int64_t *out)
{
    if (num_parse_i64(call->argv[nth], out) && *out >= INT32_MIN && *out <= INT32_MAX)
        return true;
    reply_error(call->reply, error);
    return false;
}

static int run_swapdb(struct call *call)
{
    int64_t first;
    int64_t second;
    int64_t count = tx_database_count(call->tx);
    if (!parse_swapped(call, 1, "ERR invalid first DB index", &first) ||
        !parse_swapped(call, 2, "ERR invalid second DB index", &second))
        return 0;
    if (first < 0 || first >= count || second < 0 || second >= count) {
        reply_error(call->reply, TEXT_DB_RANGE);
        return 0;
    }
    if (first != second)
        tx_swap(call->tx, (uint16_t)first, (uint16_t)second);
    reply_ok(call->reply);
    return 0;
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 100,
        .name = "del",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RM | KEY_DELETE),
        .categories = "keyspace slow",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of keys",
        .summary = "Removes keys and returns how many there were.",
        .syntax = "key [key ...]",
        .run = run_del,
    },
    {
        .id = 101,
        .name = "unlink",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RM | KEY_DELETE),
        .categories = "keyspace fast",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
        .group = "generic",
        .since = "4.0.0",
        .complexity = "O(N), N being the number of keys",
        .summary = "Another name of DEL, which never waits for memory to be freed either.",
        .syntax = "key [key ...]",
        .run = run_del,
    },
    {
        .id = 102,
        .name = "exists",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RO),
        .categories = "keyspace fast",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of keys",
        .summary = "Returns how many of the keys are there.",
        .syntax = "key [key ...]",
        .run = run_exists,
    },
    {
        .id = 103,
        .name = "type",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns what a key holds: string, list, set, zset, hash, stream or none.",
        .syntax = "key",
        .run = run_type,
    },
    {
        .id = 104,
        .name = "touch",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RO),
        .categories = "keyspace fast",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
        .group = "generic",
        .since = "3.2.1",
        .complexity = "O(N), N being the number of keys",
        .summary = "Counts as a use of the keys; returns how many are there.",
        .syntax = "key [key ...]",
        .run = run_touch,
    },
    {
        .id = 105,
        .name = "rename",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_LOADS_VALUE,
        .keys = KEYS_FROM_TO(KEY_RW | KEY_ACCESS | KEY_DELETE, KEY_OW | KEY_UPDATE),
        .categories = "keyspace slow",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Gives a key another name, in place of a key that has it.",
        .syntax = "key newkey",
        .run = run_rename,
    },
    {
        .id = 106,
        .name = "renamenx",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_FROM_TO(KEY_RW | KEY_ACCESS | KEY_DELETE, KEY_OW | KEY_INSERT),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Gives a key another name if no key has it.",
        .syntax = "key newkey",
        .run = run_renamenx,
    },
    {
        .id = 107,
        .name = "copy",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = KEYS_FROM_TO(KEY_RO | KEY_ACCESS, KEY_OW | KEY_UPDATE),
        .categories = "keyspace slow",
        .group = "generic",
        .since = "6.2.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Copies a key with its expiry to another name or database.",
        .syntax = "source destination [DB destination-db] [REPLACE]",
        .run = run_copy,
    },
    {
        .id = 108,
        .name = "move",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Moves a key with its expiry to another database if none has its name there.",
        .syntax = "key db",
        .run = run_move,
    },
    {
        .id = 110,
        .name = "dbsize",
        .arity = {1, 1},
        .flags = CMD_READONLY | CMD_FAST,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace fast",
        .tips = "request_policy:all_shards response_policy:agg_sum",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns how many keys the database has.",
        .syntax = "",
        .run = run_dbsize,
    },
    {
        .id = 111,
        .name = "flushdb",
        .arity = {1, ARITY_ANY},
        .flags = CMD_WRITE,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace slow dangerous",
        .tips = "request_policy:all_shards response_policy:all_succeeded",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1); memory is freed afterwards, a little at a time",
        .summary = "Removes all keys of the database.",
        .syntax = "[ASYNC | SYNC]",
        .run = run_flushdb,
    },
    {
        .id = 112,
        .name = "flushall",
        .arity = {1, ARITY_ANY},
        .flags = CMD_WRITE,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace slow dangerous",
        .tips = "request_policy:all_shards response_policy:all_succeeded",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of databases; memory is freed afterwards",
        .summary = "Removes all keys of all databases.",
        .syntax = "[ASYNC | SYNC]",
        .run = run_flushall,
    },
    {
        .id = 113,
        .name = "randomkey",
        .arity = {1, 1},
        .flags = CMD_READONLY,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace slow",
        .tips = "request_policy:all_shards response_policy:special nondeterministic_output",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns a key of the database by chance.",
        .syntax = "",
        .run = run_randomkey,
    },
    {
        .id = 114,
        .name = "swapdb",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_FAST,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace fast dangerous",
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Lets two databases change numbers, for all clients at one instant.",
        .syntax = "index1 index2",
        .run = run_swapdb,
    },
};

const struct command_family keyspace_family = {
    .name = "keyspace", .rows = rows, .row_count = ARRAY_COUNT(rows)};
