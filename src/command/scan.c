/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over a database. */
#include "base/buf.h"
#include "base/glob.h"
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"

#define SCAN_DEFAULT_COUNT 10
#define SCAN_MAX_COUNT     10000      /* keys looked at in one call, whatever COUNT says (P7) */
#define SCAN_MAX_BYTES     (1u << 20) /* of keys returned by one call, or a little more (P7) */
#define SCAN_STEPS_PER_KEY 10         /* buckets looked at for each key that COUNT asks for */

/* Which keys are wanted, and those found. */
struct walk {
    struct slice pattern;
    bool has_pattern;
    bool has_type;
    enum value_type type; /* VALUE_NONE: no key has it */
    size_t visited;
    size_t found;
    struct reply *reply;
};

static void visit(void *ctx, const struct item *item)
{
    struct walk *walk = ctx;
    walk->visited++;
    if ((walk->has_type && item->type != walk->type) ||
        (walk->has_pattern && !glob_match(walk->pattern, item->key, false)))
        return;
    walk->found++;
    reply_bulk(walk->reply, item->key);
}

static void set_pattern(struct walk *walk, struct slice pattern)
{
    walk->pattern = pattern;
    walk->has_pattern = !slice_eq(pattern, SLICE_LIT("*"));
}

static int run_keys(struct call *call)
{
    struct walk walk = {.reply = call->reply};
    set_pattern(&walk, call->argv[1]);
    size_t mark = reply_array_begin(call->reply);
    tx_visit(call->tx, call->db, visit, &walk);
    reply_array_end(call->reply, mark, walk.found);
    return 0;
}

/* ---- SCAN ---- */

static enum value_type type_of_name(struct slice name)
{
    for (int type = VALUE_STRING; type <= VALUE_STREAM; type++) {
        if (slice_is(name, value_type_name((enum value_type)type)))
            return (enum value_type)type;
    }
    return VALUE_NONE;
}

/* False after an error reply. */
static bool parse_scan(struct call *call, struct walk *walk, size_t *out_count)
{
    int64_t count = SCAN_DEFAULT_COUNT;
    for (uint32_t i = 2; i < call->argc; i += 2) {
        struct slice word = call->argv[i];
        bool has_value = i + 1 < call->argc;
        if (has_value && slice_is(word, "count")) {
            if (!args_integer(call, i + 1, &count))
                return false;
        } else if (has_value && slice_is(word, "match")) {
            set_pattern(walk, call->argv[i + 1]);
        } else if (has_value && slice_is(word, "type")) {
            walk->has_type = true;
            walk->type = type_of_name(call->argv[i + 1]);
        } else {
            count = 0;
        }
        if (count < 1) {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
    }
    *out_count = count > SCAN_MAX_COUNT ? SCAN_MAX_COUNT : (size_t)count;
    return true;
}

/* A cursor is a number, by which Redis means leading zeros, too. */
static bool parse_cursor(struct slice text, uint64_t *out)
{
    while (text.len > 1 && text.data[0] == '0')
        text = slice_sub(text, 1, SIZE_MAX);
    return num_parse_u64(text, out);
}

static int run_scan(struct call *call)
{
    uint64_t cursor;
    size_t count;
    struct buf keys = {0};
    struct reply found = reply_to(&keys, call->reply->proto);
    struct walk walk = {.reply = &found};
    if (!parse_cursor(call->argv[1], &cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return 0;
    }
    if (!parse_scan(call, &walk, &count))
        return 0;
    size_t steps = count * SCAN_STEPS_PER_KEY;
    do
        cursor = tx_scan(call->tx, call->db, cursor, visit, &walk);
    while (cursor != 0 && walk.visited < count && keys.len < SCAN_MAX_BYTES && --steps > 0);
    char text[NUM_I64_SIZE];
    reply_array(call->reply, 2);
    reply_bulk(call->reply, slice_of(text, num_format_u64(text, cursor)));
    reply_array(call->reply, walk.found);
    buf_append_slice(call->reply->out, buf_slice(&keys));
    buf_fini(&keys);
    return 0;
}

static const struct command_row rows[] = {
    {
        .id = 140,
        .name = "keys",
        .arity = {2, 2},
        .flags = CMD_READONLY,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace slow dangerous",
        .tips = "request_policy:all_shards nondeterministic_output_order",
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N), N being the number of keys of the database",
        .summary = "Returns all keys that match a pattern.",
        .syntax = "pattern",
        .run = run_keys,
    },
    {
        .id = 141,
        .name = "scan",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_POINT,
        .scope = SCOPE_ALL,
        .keys = KEYS_NONE,
        .categories = "keyspace slow",
        .tips = "nondeterministic_output request_policy:special response_policy:special",
        .group = "generic",
        .since = "2.8.0",
        .complexity = "O(1) for a call, O(N) for all N keys of the database",
        .summary = "Returns some keys and the cursor with which to ask for more.",
        .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        .run = run_scan,
    },
};

const struct command_family scan_family = {
    .name = "scan", .rows = rows, .row_count = ARRAY_COUNT(rows)};
