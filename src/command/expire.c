/* SPDX-License-Identifier: Apache-2.0 */
/* How long keys live. */
#include "command/args.h"
#include "command/families.h"

/* ---- Setting ---- */

enum expire_conditions { IF_NX = 1, IF_XX = 2, IF_GT = 4, IF_LT = 8 };

/* Reads the words behind the time. False after an error reply. */
static bool parse_conditions(struct call *call, unsigned *out)
{
    static const struct {
        const char *word;
        unsigned flag;
    } words[] = {{"nx", IF_NX}, {"xx", IF_XX}, {"gt", IF_GT}, {"lt", IF_LT}};
    *out = 0;
    for (uint32_t i = 3; i < call->argc; i++) {
        unsigned flag = 0;
        for (size_t j = 0; j < ARRAY_COUNT(words); j++)
            flag |= slice_is(call->argv[i], words[j].word) ? words[j].flag : 0;
        if (flag == 0) {
            reply_errorf(call->reply, "ERR Unsupported option %.*s", SLICE_FMT(call->argv[i]));
            return false;
        }
        *out |= flag;
    }
    if ((*out & IF_NX) != 0 && (*out & (IF_XX | IF_GT | IF_LT)) != 0) {
        reply_error(call->reply,
                    "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*out & IF_GT) != 0 && (*out & IF_LT) != 0) {
        reply_error(call->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* A key without expiry lives longer than any with one. */
static bool do_conditions_hold(unsigned conditions, uint64_t old_ms, int64_t new_ms)
{
    bool has_old = old_ms != 0;
    if (((conditions & IF_NX) != 0 && has_old) || ((conditions & IF_XX) != 0 && !has_old))
        return false;
    if ((conditions & IF_GT) != 0 && (!has_old || new_ms <= (int64_t)old_ms))
        return false;
    return (conditions & IF_LT) == 0 || !has_old || new_ms < (int64_t)old_ms;
}

/* Writes the key again with another expiry, 0 for none. */
static int put_expiry(struct call *call, const struct item *item, uint64_t expire_at_ms)
{
    struct slice value;
    int rc = tx_load(call->tx, item, &value);
    if (rc != 0)
        return rc;
    tx_put(
        call->tx, call->db, call->argv[1],
        &(struct tx_value){
            .type = item->type, .form = item->form, .bytes = value, .expire_at_ms = expire_at_ms});
    return 0;
}

static int expire_key(struct call *call, enum expire_unit unit, bool is_relative)
{
    unsigned conditions;
    int64_t expire_at_ms;
    struct item item;
    if (!parse_conditions(call, &conditions) ||
        !args_expire_at(call, 2, unit, is_relative, false, &expire_at_ms))
        return 0;
    int rc = tx_get(call->tx, call->db, call->argv[1], &item);
    if (rc != 0)
        return rc;
    bool is_set =
        item.type != VALUE_NONE && do_conditions_hold(conditions, item.expire_at_ms, expire_at_ms);
    bool is_past = expire_at_ms <= (int64_t)tx_time_ms(call->tx);
    if (is_set && is_past)
        tx_del(call->tx, call->db, call->argv[1]);
    else if (is_set)
        rc = put_expiry(call, &item, (uint64_t)expire_at_ms);
    if (is_set)
        args_notify(call, EVENT_GENERIC, is_past ? "del" : "expire", call->argv[1]);
    if (rc == 0)
        reply_int(call->reply, is_set);
    return rc;
}

static int run_expire(struct call *call)
{
    return expire_key(call, UNIT_SECONDS, true);
}

static int run_pexpire(struct call *call)
{
    return expire_key(call, UNIT_MS, true);
}

static int run_expireat(struct call *call)
{
    return expire_key(call, UNIT_SECONDS, false);
}

static int run_pexpireat(struct call *call)
{
    return expire_key(call, UNIT_MS, false);
}

static int run_persist(struct call *call)
{
    struct item item;
    int rc = tx_get(call->tx, call->db, call->argv[1], &item);
    if (rc != 0)
        return rc;
    bool is_set = item.type != VALUE_NONE && item.expire_at_ms != 0;
    if (is_set)
        rc = put_expiry(call, &item, 0);
    if (is_set)
        args_notify(call, EVENT_GENERIC, "persist", call->argv[1]);
    if (rc == 0)
        reply_int(call->reply, is_set);
    return rc;
}

/* ---- Asking ---- */

/* -2: no such key; -1: it stays. Seconds are rounded. */
static int reply_time(struct call *call, enum expire_unit unit, bool is_relative)
{
    struct item item;
    int rc = tx_peek(call->tx, call->db, call->argv[1], &item);
    if (rc != 0)
        return rc;
    if (item.type == VALUE_NONE || item.expire_at_ms == 0) {
        reply_int(call->reply, item.type == VALUE_NONE ? -2 : -1);
        return 0;
    }
    uint64_t ms = item.expire_at_ms;
    uint64_t now_ms = tx_time_ms(call->tx);
    if (is_relative)
        ms = ms > now_ms ? ms - now_ms : 0;
    reply_int(call->reply, (int64_t)(unit == UNIT_MS ? ms : (ms + 500) / 1000));
    return 0;
}

static int run_ttl(struct call *call)
{
    return reply_time(call, UNIT_SECONDS, true);
}

static int run_pttl(struct call *call)
{
    return reply_time(call, UNIT_MS, true);
}

static int run_expiretime(struct call *call)
{
    return reply_time(call, UNIT_SECONDS, false);
}

static int run_pexpiretime(struct call *call)
{
    return reply_time(call, UNIT_MS, false);
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 120,
        .name = "expire",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Lets a key live for some seconds.",
        .syntax = "key seconds [NX | XX | GT | LT]",
        .run = run_expire,
    },
    {
        .id = 121,
        .name = "pexpire",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Lets a key live for some milliseconds.",
        .syntax = "key milliseconds [NX | XX | GT | LT]",
        .run = run_pexpire,
    },
    {
        .id = 122,
        .name = "expireat",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "1.2.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Lets a key live until a Unix time in seconds.",
        .syntax = "key unix-time-seconds [NX | XX | GT | LT]",
        .run = run_expireat,
    },
    {
        .id = 123,
        .name = "pexpireat",
        .arity = {3, ARITY_ANY},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Lets a key live until a Unix time in milliseconds.",
        .syntax = "key unix-time-milliseconds [NX | XX | GT | LT]",
        .run = run_pexpireat,
    },
    {
        .id = 124,
        .name = "ttl",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "keyspace fast",
        .tips = "nondeterministic_output",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns for how many seconds a key will live.",
        .syntax = "key",
        .run = run_ttl,
    },
    {
        .id = 125,
        .name = "pttl",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "keyspace fast",
        .tips = "nondeterministic_output",
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Returns for how many milliseconds a key will live.",
        .syntax = "key",
        .run = run_pttl,
    },
    {
        .id = 126,
        .name = "expiretime",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Returns the Unix time in seconds until which a key lives.",
        .syntax = "key",
        .run = run_expiretime,
    },
    {
        .id = 127,
        .name = "pexpiretime",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Returns the Unix time in milliseconds until which a key lives.",
        .syntax = "key",
        .run = run_pexpiretime,
    },
    {
        .id = 128,
        .name = "persist",
        .arity = {2, 2},
        .flags = CMD_WRITE | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "keyspace fast",
        .group = "generic",
        .since = "2.2.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Lets a key live for ever.",
        .syntax = "key",
        .run = run_persist,
    },
};

const struct command_family expire_family = {
    .name = "expire", .rows = rows, .row_count = ARRAY_COUNT(rows)};
