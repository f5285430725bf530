/* SPDX-License-Identifier: Apache-2.0 */
/* DUMP and RESTORE. */
#include <stdio.h>

#include "base/buf.h"
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"
#include "command/keys/rdb.h"
#include "keydir/lfu.h"

static int run_dump(struct call *call)
{
    struct item item;
    struct slice value;
    int rc = tx_get(call->tx, call->db, call->argv[1], &item);
    if (rc == 0 && item.type == VALUE_NONE) {
        reply_null(call->reply);
        return 0;
    }
    if (rc == 0)
        rc = tx_load(call->tx, &item, &value);
    if (rc != 0)
        return rc;
    struct buf payload = {0};
    rdb_put_string(&payload, value);
    reply_bulk(call->reply, buf_slice(&payload));
    buf_fini(&payload);
    return 0;
}

/* ---- RESTORE ---- */

struct restore {
    bool is_replacing;
    bool is_absolute;
    int64_t idle_s;    /* -1: not given */
    int64_t frequency; /* -1: not given */
    int64_t ttl;
};

/* The number behind IDLETIME or FREQ. False after an error reply. */
static bool parse_use(struct call *call, uint32_t nth, int64_t max, const char *error, int64_t *out)
{
    if (!args_integer(call, nth, out))
        return false;
    if (*out >= 0 && *out <= max)
        return true;
    reply_error(call->reply, error);
    return false;
}

static bool parse_option(struct call *call, uint32_t *at, struct restore *to)
{
    struct slice word = call->argv[*at];
    bool has_value = *at + 1 < call->argc;
    if (slice_is(word, "replace")) {
        to->is_replacing = true;
        return true;
    }
    if (slice_is(word, "absttl")) {
        to->is_absolute = true;
        return true;
    }
    if (slice_is(word, "idletime") && has_value && to->frequency == -1)
        return parse_use(call, ++*at, INT64_MAX, "ERR Invalid IDLETIME value, must be >= 0",
                         &to->idle_s);
    if (slice_is(word, "freq") && has_value && to->idle_s == -1)
        return parse_use(call, ++*at, UINT8_MAX, "ERR Invalid FREQ value, must be >= 0 and <= 255",
                         &to->frequency);
    reply_error(call->reply, TEXT_SYNTAX);
    return false;
}

/* 0, ARGS_REPLIED, or a code to return. In the order in which Redis finds fault. */
static int parse_restore(struct call *call, struct restore *out)
{
    struct item there;
    *out = (struct restore){.idle_s = -1, .frequency = -1};
    for (uint32_t i = 4; i < call->argc; i++) {
        if (!parse_option(call, &i, out))
            return ARGS_REPLIED;
    }
    int rc = tx_peek(call->tx, call->db, call->argv[1], &there);
    if (rc != 0)
        return rc;
    if (!out->is_replacing && there.type != VALUE_NONE) {
        reply_error(call->reply, "BUSYKEY Target key name already exists.");
        return ARGS_REPLIED;
    }
    if (!args_integer(call, 2, &out->ttl))
        return ARGS_REPLIED;
    if (out->ttl < 0) {
        reply_error(call->reply, "ERR Invalid TTL value, must be >= 0");
        return ARGS_REPLIED;
    }
    return 0;
}

/* The types that Redis has written through the years. */
static const char *name_of_type(uint8_t type)
{
    static const char *const names[] = {"string", "list",   "set",  "zset",   "hash", "zset",
                                        "module", "module", NULL,   "hash",   "list", "set",
                                        "zset",   "hash",   "list", "stream", "hash", "zset",
                                        "list",   "stream", "set",  "stream"};
    return type < ARRAY_COUNT(names) && names[type] != NULL ? names[type] : "unknown value";
}

static bool read_payload(struct call *call, struct buf *out)
{
    uint8_t type = 0;
    switch (rdb_get_string(call->argv[3], out, &type)) {
    case 0:
        return true;
    case ERR_VERSION:
        reply_error(call->reply, "ERR DUMP payload version or checksum are wrong");
        return false;
    case ERR_NOT_FOUND:
        reply_errorf(call->reply,
                     "ERR Bad data format: the payload is a %s (type %u), and Ferric has strings",
                     name_of_type(type), type);
        return false;
    default:
        reply_error(call->reply, "ERR Bad data format");
        return false;
    }
}

static uint32_t use_of(const struct restore *restore, uint64_t now_ms)
{
    if (restore->idle_s == -1 && restore->frequency == -1)
        return 0;
    uint64_t idle_s = restore->idle_s == -1 ? 0 : (uint64_t)restore->idle_s;
    uint8_t frequency = restore->frequency == -1 ? LFU_INITIAL : (uint8_t)restore->frequency;
    return lfu_of(now_ms, idle_s, frequency);
}

static int run_restore(struct call *call)
{
    struct restore restore;
    struct buf value = {0};
    int rc = parse_restore(call, &restore);
    if (rc != 0)
        return args_stop(rc);
    if (!read_payload(call, &value)) {
        buf_fini(&value);
        return 0;
    }
    uint64_t now_ms = tx_time_ms(call->tx);
    int64_t end_ms = restore.ttl;
    if (restore.ttl != 0 && !restore.is_absolute &&
        !num_add_i64(restore.ttl, (int64_t)now_ms, &end_ms))
        end_ms = INT64_MAX; /* farther than any clock */
    tx_put(call->tx, call->db, call->argv[1],
           &(struct tx_value){.type = VALUE_STRING,
                              .bytes = buf_slice(&value),
                              .expire_at_ms = (uint64_t)end_ms,
                              .use = use_of(&restore, now_ms)});
    buf_fini(&value);
    reply_ok(call->reply);
    return 0;
}

static const struct command_row rows[] = {
    {
        .id = 115,
        .name = "dump",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_POINT | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "keyspace slow",
        .tips = "nondeterministic_output",
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Returns the value as RESTORE takes it, here or in Redis.",
        .syntax = "key",
        .run = run_dump,
    },
    {
        .id = 116,
        .name = "restore",
        .arity = {4, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM,
        .keys = KEYS_RANGE(1, 1, 1, KEY_OW | KEY_UPDATE),
        .categories = "keyspace slow dangerous",
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Makes a key of what DUMP has returned.",
        .syntax = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        .run = run_restore,
    },
};

const struct command_family dump_family = {
    .name = "dump", .rows = rows, .row_count = ARRAY_COUNT(rows)};
