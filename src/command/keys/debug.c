/* SPDX-License-Identifier: Apache-2.0 */
/* The part of DEBUG that looks at content, makes some, or only replies. What needs the server
 * (SLEEP, RELOAD, ...) stands in server/admin/debug.c.
 *
 * Digests are 40 hexadecimal digits, all zero for nothing, as in Redis; but they are Ferric's own
 * and only good to be compared with each other.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"
#include "command/help.h"
#include "command/keys/rdb.h"

#define DIGEST_DIGITS      40
#define POPULATE_MAX_COUNT (10 * 1000 * 1000)
#define POPULATE_MAX_BYTES (1024u * 1024 * 1024) /* of all values of one call (P7) */
#define POPULATED_SIZE     32                    /* no "value:<n>" is longer */
#define LRU_CLOCK_MASK     0xffffffu             /* Redis keeps the time of use in 24 bits */

static void format_digest(char *to, uint64_t sum)
{
    if (sum == 0) {
        memset(to, '0', DIGEST_DIGITS);
        return;
    }
    snprintf(to, DIGEST_DIGITS + 1, "%016" PRIx64 "%016" PRIx64 "%08" PRIx32, sum, hash_mix(sum, 1),
             (uint32_t)hash_mix(sum, 2));
}

static int run_digest(struct call *call)
{
    char text[DIGEST_DIGITS + 1];
    uint64_t sum;
    int rc = tx_digest(call->tx, &sum);
    if (rc != 0)
        return rc;
    format_digest(text, sum);
    text[DIGEST_DIGITS] = '\0';
    reply_status(call->reply, text);
    return 0;
}

/* Of a value alone, whatever its key and expiry. 0, or a code to return. */
static int digest_value(struct call *call, struct slice key, uint64_t *out_sum)
{
    struct item item;
    struct slice value;
    *out_sum = 0;
    int rc = tx_peek(call->tx, call->db, key, &item);
    if (rc != 0 || item.type == VALUE_NONE)
        return rc;
    rc = tx_load(call->tx, &item, &value);
    if (rc == 0)
        *out_sum = hash_mix(hash_check(value), (uint64_t)item.type);
    return rc;
}

static int run_digest_value(struct call *call)
{
    char text[DIGEST_DIGITS + 1];
    int result = 0;
    reply_array(call->reply, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++) {
        uint64_t sum;
        int rc = digest_value(call, call->argv[i], &sum);
        if (rc != 0 && rc != ERR_COLD)
            return rc;
        if (rc != 0)
            result = rc; /* M4: the others are asked for all the same */
        format_digest(text, sum);
        text[DIGEST_DIGITS] = '\0';
        reply_status(call->reply, text);
    }
    return result;
}

static int run_object(struct call *call)
{
    struct item item;
    struct slice value;
    struct string_look look;
    int rc = tx_peek(call->tx, call->db, call->argv[2], &item);
    if (rc == 0 && item.type == VALUE_NONE) {
        reply_error(call->reply, TEXT_NO_KEY);
        return 0;
    }
    if (rc == 0)
        rc = tx_load(call->tx, &item, &value);
    if (rc == 0)
        rc = string_look_at(call->tx, &item, &look);
    if (rc != 0)
        return rc;
    char text[192];
    struct tx_use use = tx_use_of(call->tx, &item);
    snprintf(text, sizeof(text),
             "Value at:%016" PRIx64 " refcount:%" PRId32
             " encoding:%s serializedlength:%zu lru:%" PRIu32 " lru_seconds_idle:%" PRIu32
             " lfu_freq:%u",
             tx_spot_of(call->tx, &item), look.refcount, look.encoding, rdb_string_size(value),
             use.seen_s & LRU_CLOCK_MASK, use.idle_s, use.frequency);
    reply_status(call->reply, text);
    return 0;
}

/* ---- POPULATE ---- */

struct populate {
    int64_t count;
    struct slice prefix;
    int64_t size; /* -1: not given */
};

static bool parse_populate(struct call *call, struct populate *out)
{
    *out = (struct populate){.prefix = SLICE_LIT("key"), .size = -1};
    if (!num_parse_i64(call->argv[2], &out->count) || out->count < 0 ||
        (call->argc > 4 && (!num_parse_i64(call->argv[4], &out->size) || out->size < 0))) {
        reply_error(call->reply, "ERR value is out of range, must be positive");
        return false;
    }
    if (call->argc > 3)
        out->prefix = call->argv[3];
    int64_t bytes_each = out->size > POPULATED_SIZE ? out->size : POPULATED_SIZE;
    if (out->count > POPULATE_MAX_COUNT || bytes_each > POPULATE_MAX_BYTES ||
        out->count * bytes_each > POPULATE_MAX_BYTES ||
        out->prefix.len + NUM_I64_SIZE + 1 > ROW_MAX_KEY) {
        reply_error(call->reply, "ERR too much for one DEBUG POPULATE");
        return false;
    }
    return true;
}

static void make_name(struct buf *keys, const struct populate *populate, int64_t nth)
{
    char text[NUM_I64_SIZE];
    buf_append_slice(keys, populate->prefix);
    buf_append_byte(keys, ':');
    buf_append(keys, text, num_format_i64(text, nth));
}

static void put_populated(struct call *call, struct slice key, const struct populate *populate,
                          int64_t nth)
{
    struct buf value = {0};
    buf_append_format(&value, "value:%" PRId64, nth);
    if (populate->size >= 0 && (size_t)populate->size > value.len) {
        size_t more = (size_t)populate->size - value.len;
        memset(buf_extend(&value, more), 0, more);
    }
    size_t size = populate->size >= 0 ? (size_t)populate->size : value.len;
    args_put_string(call, key, slice_of(value.data, size), 0);
    buf_fini(&value);
}

static int run_populate(struct call *call)
{
    struct populate populate;
    if (!parse_populate(call, &populate))
        return 0;
    struct buf name = {0};
    int rc = 0;
    for (int64_t i = 0; i < populate.count && rc == 0; i++) {
        struct item item;
        name.len = 0;
        make_name(&name, &populate, i);
        rc = tx_peek(call->tx, call->db, buf_slice(&name), &item);
        if (rc == 0 && item.type == VALUE_NONE)
            put_populated(call, buf_slice(&name), &populate, i);
    }
    buf_fini(&name);
    if (rc == 0)
        reply_ok(call->reply);
    return rc;
}

/* ---- Only replies ---- */

static int run_error(struct call *call)
{
    reply_error_slice(call->reply, call->argv[2]);
    return 0;
}

static int run_structsize(struct call *call)
{
    char text[96];
    snprintf(text, sizeof(text), "bits:%zu row:%zu item:%zu call:%zu", sizeof(void *) * 8,
             (size_t)ROW_HEADER_SIZE, sizeof(struct item), sizeof(struct call));
    reply_bulk_str(call->reply, text);
    return 0;
}

static void protocol_string(struct reply *reply)
{
    reply_bulk_str(reply, "Hello World");
}

static void protocol_integer(struct reply *reply)
{
    reply_int(reply, 12345);
}

static void protocol_double(struct reply *reply)
{
    reply_double(reply, 3.141);
}

static void protocol_three(struct reply *reply)
{
    for (int64_t i = 0; i < 3; i++)
        reply_int(reply, i);
}

static void protocol_array(struct reply *reply)
{
    reply_array(reply, 3);
    protocol_three(reply);
}

static void protocol_set(struct reply *reply)
{
    reply_set(reply, 3);
    protocol_three(reply);
}

static void protocol_map(struct reply *reply)
{
    reply_map(reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_int(reply, i);
        reply_bool(reply, i == 1);
    }
}

static void protocol_attrib(struct reply *reply)
{
    if (reply->proto >= 3)
        buf_append_str(reply->out, "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
    reply_bulk_str(reply, "Some real reply following the attribute");
}

static void protocol_push(struct reply *reply)
{
    if (reply->proto < 3) {
        reply_error(reply, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(reply, 2);
    reply_bulk_str(reply, "server-cpu-usage");
    reply_int(reply, 42);
    reply_bulk_str(reply, "Some real reply following the push reply");
}

static void protocol_verbatim(struct reply *reply)
{
    reply_verbatim(reply, "txt", SLICE_LIT("This is a verbatim\nstring"));
}

static void protocol_true(struct reply *reply)
{
    reply_bool(reply, true);
}

static void protocol_false(struct reply *reply)
{
    reply_bool(reply, false);
}

static void protocol_bignum(struct reply *reply)
{
    reply_big_number(reply, SLICE_LIT("1234567999999999999999999999999999999"));
}

static int run_protocol(struct call *call)
{
    static const struct {
        const char *name;
        void (*write)(struct reply *reply);
    } types[] = {
        {"string", protocol_string},
        {"integer", protocol_integer},
        {"double", protocol_double},
        {"bignum", protocol_bignum},
        {"null", reply_null},
        {"array", protocol_array},
        {"set", protocol_set},
        {"map", protocol_map},
        {"attrib", protocol_attrib},
        {"push", protocol_push},
        {"verbatim", protocol_verbatim},
        {"true", protocol_true},
        {"false", protocol_false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (slice_is(call->argv[2], types[i].name)) {
            types[i].write(call->reply);
            return 0;
        }
    }
    reply_error(call->reply,
                "ERR Wrong protocol type name. Please use one of the following: "
                "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|"
                "true|false");
    return 0;
}

/* ---- Rows ---- */

#define DEBUG_FLAGS (CMD_ADMIN | CMD_NOSCRIPT | CMD_PROTECTED)

#define DEBUG_NODE_ROW(row_name, words, row_summary, row_syntax, row_run)                         \
    {                                                                                             \
        .name = (row_name), .parent = "debug", .arity = {(words), (words)},                       \
        .flags = DEBUG_FLAGS | CMD_LOADING | CMD_STALE, .scope = SCOPE_NODE,                      \
        .categories = "admin slow dangerous", .group = "server", .since = "1.0.0",                \
        .complexity = "O(1)", .summary = (row_summary), .syntax = (row_syntax), .run = (row_run), \
    }

static const struct command_row rows[] = {
    {
        .name = "debug",
        .arity = {2, ARITY_ANY},
        .flags = DEBUG_FLAGS | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for debugging commands.",
        .syntax = "",
    },
    {
        .id = 160,
        .name = "object",
        .parent = "debug",
        .arity = {3, 3},
        .flags = CMD_READONLY | CMD_POINT | DEBUG_FLAGS,
        .keys = KEYS_RANGE(2, 2, 1, KEY_RO),
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N), N being the size of the value",
        .summary = "Returns what is known of how a value is kept.",
        .syntax = "key",
        .run = run_object,
    },
    {
        .id = 161,
        .name = "digest",
        .parent = "debug",
        .arity = {2, 2},
        .flags = CMD_READONLY | DEBUG_FLAGS,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N), N being the bytes of all keys and values; nobody else is served",
        .summary = "Returns a sum over the content of all databases.",
        .syntax = "",
        .run = run_digest,
    },
    {
        .id = 162,
        .name = "digest-value",
        .parent = "debug",
        .arity = {3, ARITY_ANY},
        .flags = CMD_READONLY | CMD_POINT | DEBUG_FLAGS,
        .keys = KEYS_RANGE(2, -1, 1, KEY_RO),
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N), N being the bytes of the values",
        .summary = "Returns a sum over the value of each key, zeros for one that is not there.",
        .syntax = "key [key ...]",
        .run = run_digest_value,
    },
    {
        .id = 163,
        .name = "populate",
        .parent = "debug",
        .arity = {3, 5},
        .flags = CMD_WRITE | CMD_DENYOOM | DEBUG_FLAGS,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of keys",
        .summary = "Makes keys <prefix>:<number> where they are not there yet.",
        .syntax = "count [prefix [size]]",
        .run = run_populate,
    },
    DEBUG_NODE_ROW("error", 3, "Replies with an error of this text.", "text", run_error),
    DEBUG_NODE_ROW("protocol", 3, "Replies with a value of this type, such as map or push.", "type",
                   run_protocol),
    DEBUG_NODE_ROW("structsize", 2, "Returns the sizes of a few structures.", "", run_structsize),
    DEBUG_NODE_ROW("help", 2, "Returns helpful text about the different subcommands.", "",
                   help_run),
};

const struct command_family debug_family = {
    .name = "debug", .rows = rows, .row_count = ARRAY_COUNT(rows)};
