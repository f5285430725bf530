/* SPDX-License-Identifier: Apache-2.0 */
/* HyperLogLogs: strings of a format of their own (hll.h). */
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "command/args.h"
#include "command/families.h"
#include "command/hyperloglog/hll.h"

#define TEXT_NO_HLL  "WRONGTYPE Key is not a valid HyperLogLog string value."
#define TEXT_CORRUPT "INVALIDOBJ Corrupted HLL object detected"

/* Replies the error behind a code of hll_...(), which the user's bytes are to blame for. */
static int reply_corrupt(struct call *call)
{
    reply_error(call->reply, TEXT_CORRUPT);
    return ARGS_REPLIED;
}

/* Loads a HyperLogLog; an empty slice where there is none. 0, ARGS_REPLIED, or a code to return. */
static int load_hll(struct call *call, struct slice key, struct item *out_item,
                    struct slice *out_value)
{
    int rc = args_load_string(call, key, out_item, out_value);
    if (rc != 0 || out_item->type == VALUE_NONE || hll_is_valid(*out_value))
        return rc;
    reply_error(call->reply, TEXT_NO_HLL);
    return ARGS_REPLIED;
}

/* The value for changing, a fresh one if there is none. */
static void copy_hll(const struct item *item, struct slice value, struct buf *out)
{
    if (item->type == VALUE_NONE)
        hll_init(out);
    else
        buf_append_slice(out, value);
}

/* ---- PFADD ---- */

/* 0 or ERR_CORRUPT. */
static int add_elements(struct call *call, struct buf *value, bool *out_changed)
{
    *out_changed = false;
    for (uint32_t i = 2; i < call->argc; i++) {
        bool is_raised;
        int rc = hll_raise(value, hll_place_of(call->argv[i]), &is_raised);
        if (rc != 0)
            return rc;
        *out_changed |= is_raised;
    }
    return 0;
}

static int add_to_hll(struct call *call, bool is_peek)
{
    struct item item;
    struct slice old;
    int rc = load_hll(call, call->argv[1], &item, &old);
    if (rc != 0)
        return args_stop(rc);
    struct buf value = {0};
    bool is_raised;
    copy_hll(&item, old, &value);
    bool is_corrupt = add_elements(call, &value, &is_raised) != 0;
    bool is_changed = !is_corrupt && (is_raised || item.type == VALUE_NONE);
    if (is_corrupt) {
        reply_error(call->reply, TEXT_CORRUPT);
    } else if (!is_changed) {
        reply_int(call->reply, 0);
    } else if (!is_peek) {
        hll_void_cached(&value);
        args_put_formed(call, call->argv[1], buf_slice(&value), VALUE_CHANGED, item.expire_at_ms);
        args_notify(call, EVENT_STRING, "pfadd", call->argv[1]);
        reply_int(call->reply, 1);
    }
    buf_fini(&value);
    return is_changed && is_peek ? ERR_RETRY : 0;
}

static int run_pfadd(struct call *call)
{
    return add_to_hll(call, false);
}

/* Most elements of a large HyperLogLog change nothing. */
static int peek_pfadd(struct call *call)
{
    return add_to_hll(call, true);
}

/* ---- PFCOUNT and PFMERGE ---- */

/* Raises `ranks` to those of all keys from argument 1 on; out_dense: one of them is dense. All
 * values are asked for, if one is cold (M4). 0, ARGS_REPLIED, or a code to return. */
static int merge_all(struct call *call, uint8_t *ranks, bool *out_dense)
{
    bool is_cold = false;
    *out_dense = false;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct item item;
        struct slice value;
        int rc = load_hll(call, call->argv[i], &item, &value);
        if (rc == ERR_COLD)
            is_cold = true;
        else if (rc != 0) /* What is wrong with the cold ones would be told first. */
            return is_cold && rc == ARGS_REPLIED ? ERR_COLD : rc;
        if (rc == 0 && item.type == VALUE_NONE)
            args_notify(call, EVENT_MISS, "keymiss", call->argv[i]);
        if (rc != 0 || is_cold || item.type == VALUE_NONE)
            continue;
        if (hll_merge(value, ranks) != 0)
            return reply_corrupt(call);
        *out_dense |= hll_is_dense(value);
    }
    return is_cold ? ERR_COLD : 0;
}

/* The count of one key, and whether it is worth being cached. */
static int count_one(struct call *call, struct item *out_item, struct slice *out_value,
                     uint64_t *out_count, bool *out_new)
{
    *out_count = 0;
    *out_new = false;
    int rc = load_hll(call, call->argv[1], out_item, out_value);
    if (rc != 0 || out_item->type == VALUE_NONE || hll_cached(*out_value, out_count))
        return rc;
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    *out_new = hll_merge(*out_value, ranks) == 0;
    *out_count = *out_new ? hll_estimate(ranks) : 0;
    mem_free(ranks);
    return *out_new ? 0 : reply_corrupt(call);
}

static int run_pfcount_many(struct call *call)
{
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    bool is_dense;
    int rc = merge_all(call, ranks, &is_dense);
    if (rc == 0)
        reply_int(call->reply, (int64_t)hll_estimate(ranks));
    mem_free(ranks);
    return args_stop(rc);
}

static int run_pfcount(struct call *call)
{
    struct item item;
    struct slice old;
    uint64_t count;
    bool is_new;
    if (call->argc > 2)
        return run_pfcount_many(call);
    int rc = count_one(call, &item, &old, &count, &is_new);
    if (rc != 0)
        return args_stop(rc);
    reply_int(call->reply, (int64_t)count);
    if (!is_new)
        return 0;
    struct buf value = {0};
    buf_append_slice(&value, old);
    hll_set_cached(&value, count);
    args_put_formed(call, call->argv[1], buf_slice(&value), VALUE_CHANGED, item.expire_at_ms);
    buf_fini(&value);
    return 0;
}

/* Answers unless there is a count to be cached. */
static int peek_pfcount(struct call *call)
{
    struct item item;
    struct slice value;
    uint64_t count;
    bool is_new;
    if (call->argc > 2)
        return run_pfcount_many(call);
    int rc = count_one(call, &item, &value, &count, &is_new);
    if (rc != 0)
        return args_stop(rc);
    if (is_new)
        return ERR_RETRY;
    reply_int(call->reply, (int64_t)count);
    return 0;
}

/* Raises every register to what `ranks` says. 0 or ERR_CORRUPT. */
static int raise_all(struct buf *value, const uint8_t *ranks)
{
    for (uint32_t i = 0; i < HLL_REGISTERS; i++) {
        bool is_raised;
        int rc = 0;
        if (ranks[i] > 0)
            rc = hll_raise(value, (struct hll_place){.idx = i, .rank = ranks[i]}, &is_raised);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Makes the first key what all have been merged to. */
static int put_merged(struct call *call, const uint8_t *ranks, bool is_dense)
{
    struct item item;
    struct slice old;
    int rc = load_hll(call, call->argv[1], &item, &old);
    if (rc != 0)
        return rc;
    struct buf value = {0};
    copy_hll(&item, old, &value);
    rc = is_dense ? hll_make_dense(&value) : 0;
    if (rc == 0)
        rc = raise_all(&value, ranks);
    ASSERT(rc == 0); /* merge_all() has read every run of it */
    hll_void_cached(&value);
    args_put_formed(call, call->argv[1], buf_slice(&value), VALUE_CHANGED, item.expire_at_ms);
    args_notify(call, EVENT_STRING, "pfadd", call->argv[1]);
    reply_ok(call->reply);
    buf_fini(&value);
    return 0;
}

static int run_pfmerge(struct call *call)
{
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    bool is_dense;
    int rc = merge_all(call, ranks, &is_dense);
    if (rc == 0)
        rc = put_merged(call, ranks, is_dense);
    mem_free(ranks);
    return args_stop(rc);
}

/* ---- PFDEBUG ---- */

/* Makes the key's value dense if it is not. False after an error reply. */
static bool make_dense(struct call *call, const struct item *item, struct slice old,
                       struct buf *out)
{
    buf_append_slice(out, old);
    if (hll_make_dense(out) != 0) {
        reply_error(call->reply, TEXT_CORRUPT);
        return false;
    }
    if (!hll_is_dense(old))
        args_put_formed(call, call->argv[2], buf_slice(out), VALUE_CHANGED, item->expire_at_ms);
    return true;
}

static void debug_todense(struct call *call, const struct item *item, struct slice value)
{
    struct buf dense = {0};
    bool was_dense = hll_is_dense(value); /* what is put in its place ends it */
    if (make_dense(call, item, value, &dense))
        reply_int(call->reply, !was_dense);
    buf_fini(&dense);
}

static void debug_getreg(struct call *call, const struct item *item, struct slice value)
{
    struct buf dense = {0};
    uint8_t *ranks = mem_calloc(HLL_REGISTERS, 1);
    if (make_dense(call, item, value, &dense)) {
        int rc = hll_merge(buf_slice(&dense), ranks);
        ASSERT(rc == 0); /* dense ones are never corrupt */
        reply_array(call->reply, HLL_REGISTERS);
        for (uint32_t i = 0; i < HLL_REGISTERS; i++)
            reply_int(call->reply, ranks[i]);
    }
    mem_free(ranks);
    buf_fini(&dense);
}

static void debug_decode(struct call *call, const struct item *item, struct slice value)
{
    (void)item;
    struct buf text = {0};
    if (hll_is_dense(value))
        reply_error(call->reply, "ERR HLL encoding is not sparse");
    else if (hll_describe(value, &text) != 0)
        reply_error(call->reply, TEXT_CORRUPT);
    else
        reply_bulk(call->reply, buf_slice(&text));
    buf_fini(&text);
}

static void debug_encoding(struct call *call, const struct item *item, struct slice value)
{
    (void)item;
    reply_status(call->reply, hll_is_dense(value) ? "dense" : "sparse");
}

static const struct {
    const char *name;
    void (*run)(struct call *call, const struct item *item, struct slice value);
    bool makes_dense;
} debug_verbs[] = {
    {"getreg", debug_getreg, true},
    {"decode", debug_decode, false},
    {"encoding", debug_encoding, false},
    {"todense", debug_todense, true},
};

static int debug_hll(struct call *call, bool is_peek)
{
    struct item item;
    struct slice value;
    int rc = load_hll(call, call->argv[2], &item, &value);
    if (rc != 0)
        return args_stop(rc);
    if (item.type == VALUE_NONE) {
        reply_error(call->reply, "ERR The specified key does not exist");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(debug_verbs); i++) {
        if (slice_is(call->argv[1], debug_verbs[i].name)) {
            if (is_peek && debug_verbs[i].makes_dense && !hll_is_dense(value))
                return ERR_RETRY;
            debug_verbs[i].run(call, &item, value);
            return 0;
        }
    }
    struct slice shown = slice_sub(call->argv[1], 0, 128);
    reply_errorf(call->reply, "ERR Unknown PFDEBUG subcommand '%.*s'", SLICE_FMT(shown));
    return 0;
}

static int run_pfdebug(struct call *call)
{
    return debug_hll(call, false);
}

static int peek_pfdebug(struct call *call)
{
    return debug_hll(call, true);
}

/* ---- PFSELFTEST ---- */

#define SELFTEST_ELEMENTS 1000000u
#define SELFTEST_FIRST    10u /* counts looked at: this many elements, ten times as many, ... */

/* What an estimate may be off by: seven times the expected error of 1.04 / sqrt(registers), and
 * one for small counts. */
static bool is_near(uint64_t estimate, uint64_t count)
{
    uint64_t off = estimate > count ? estimate - count : count - estimate;
    return off <= count * 57 / 1000 + 1;
}

/* The same elements in a value that begins sparse, in one that is dense, and as plain ranks. */
struct selftest {
    struct buf values[2];
    uint8_t *ranks;
    uint8_t *found; /* room for those of a value */
};

static bool selftest_add(struct selftest *test, uint64_t element)
{
    struct hll_place place = hll_place_of(slice_of(&element, sizeof(element)));
    bool is_higher = place.rank > test->ranks[place.idx];
    if (is_higher)
        test->ranks[place.idx] = place.rank;
    for (size_t i = 0; i < 2; i++) {
        bool is_raised;
        if (hll_raise(&test->values[i], place, &is_raised) != 0 || is_raised != is_higher)
            return false;
    }
    return true;
}

/* Both values have the same registers, and the estimate is near. */
static bool selftest_look(struct selftest *test, uint64_t count)
{
    for (size_t i = 0; i < 2; i++) {
        memset(test->found, 0, HLL_REGISTERS);
        if (hll_merge(buf_slice(&test->values[i]), test->found) != 0 ||
            memcmp(test->found, test->ranks, HLL_REGISTERS) != 0)
            return false;
    }
    return is_near(hll_estimate(test->ranks), count);
}

static bool selftest_run(struct selftest *test)
{
    uint64_t look_at = SELFTEST_FIRST;
    for (uint64_t count = 1; count <= SELFTEST_ELEMENTS; count++) {
        if (!selftest_add(test, count))
            return false;
        if (count < look_at)
            continue;
        if (!selftest_look(test, count))
            return false;
        look_at *= 10;
    }
    return true;
}

static int run_pfselftest(struct call *call)
{
    struct selftest test = {.ranks = mem_calloc(HLL_REGISTERS, 1),
                            .found = mem_calloc(HLL_REGISTERS, 1)};
    hll_init(&test.values[0]);
    hll_init(&test.values[1]);
    if (hll_make_dense(&test.values[1]) == 0 && selftest_run(&test))
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR TESTFAILED registers or estimates are wrong");
    buf_fini(&test.values[0]);
    buf_fini(&test.values[1]);
    mem_free(test.ranks);
    mem_free(test.found);
    return 0;
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 70,
        .name = "pfadd",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_INSERT),
        .categories = "hyperloglog fast",
        .group = "hyperloglog",
        .since = "2.8.9",
        .complexity = "O(N), N being the number of elements",
        .summary = "Adds elements to a HyperLogLog and says whether its estimate may have changed.",
        .syntax = "key [element [element ...]]",
        .run = run_pfadd,
        .peek = peek_pfadd,
    },
    {
        .id = 71,
        .name = "pfcount",
        .arity = {2, ARITY_ANY},
        .flags =
            CMD_WRITE | CMD_LOADS_VALUE | CMD_SHOWN_READ | CMD_COUNTS_READS | CMD_MAY_REPLICATE,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RW | KEY_ACCESS),
        .categories = "hyperloglog slow",
        .group = "hyperloglog",
        .since = "2.8.9",
        .complexity = "O(N), N being the number of keys",
        .summary = "Estimates how many distinct elements one HyperLogLog, or several together, "
                   "have been given; the estimate of a single one is kept with it.",
        .syntax = "key [key ...]",
        .run = run_pfcount,
        .peek = peek_pfcount,
    },
    {
        .id = 72,
        .name = "pfmerge",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = KEYS_TO_FROM(1, KEY_RW | KEY_ACCESS | KEY_INSERT, KEY_RO | KEY_ACCESS),
        .categories = "hyperloglog slow",
        .group = "hyperloglog",
        .since = "2.8.9",
        .complexity = "O(N), N being the number of keys",
        .summary = "Merges HyperLogLogs into the one at the first key.",
        .syntax = "destkey [sourcekey [sourcekey ...]]",
        .run = run_pfmerge,
    },
    {
        .id = 73,
        .name = "pfdebug",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_ADMIN | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(2, 2, 1, KEY_RW | KEY_ACCESS),
        .categories = "hyperloglog admin slow dangerous",
        .group = "hyperloglog",
        .since = "2.8.9",
        .complexity = "O(1)",
        .summary = "Shows the encoding or the registers of a HyperLogLog, or makes it dense.",
        .syntax = "<GETREG | DECODE | ENCODING | TODENSE> key",
        .run = run_pfdebug,
        .peek = peek_pfdebug,
    },
    {
        .name = "pfselftest",
        .arity = {1, 1},
        .flags = CMD_ADMIN,
        .scope = SCOPE_NODE,
        .keys = KEYS_NONE,
        .categories = "hyperloglog admin slow dangerous",
        .group = "hyperloglog",
        .since = "2.8.9",
        .complexity = "O(1)",
        .summary = "Tries out the HyperLogLogs of this server.",
        .syntax = "",
        .run = run_pfselftest,
    },
};

const struct command_family hyperloglog_family = {
    .name = "hyperloglog", .rows = rows, .row_count = ARRAY_COUNT(rows)};
