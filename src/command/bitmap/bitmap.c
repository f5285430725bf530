/* SPDX-License-Identifier: Apache-2.0 */
/* Strings as bitmaps: single bits, counting, finding, and strings combined bit by bit. */
#include "base/assert.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/num.h"
#include "command/args.h"
#include "command/bitmap/bits.h"
#include "command/families.h"

/* ---- Single bits ---- */

static int run_getbit(struct call *call)
{
    uint64_t idx;
    if (!bits_parse_index(call, 2, 0, &idx))
        return 0;
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    reply_int(call->reply, (int64_t)bits_get(text, idx, 1));
    return 0;
}

/* Reads all but the key. False after an error reply. */
static bool parse_setbit(struct call *call, uint64_t *out_idx, uint64_t *out_bit)
{
    int64_t bit;
    if (!bits_parse_index(call, 2, 0, out_idx))
        return false;
    if (!num_parse_i64(call->argv[3], &bit) || (bit != 0 && bit != 1)) {
        reply_error(call->reply, "ERR bit is not an integer or out of range");
        return false;
    }
    *out_bit = (uint64_t)bit;
    return true;
}

static int set_bit(struct call *call, bool is_peek)
{
    uint64_t idx;
    uint64_t bit;
    struct item item;
    struct slice text;
    if (!parse_setbit(call, &idx, &bit))
        return 0;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    uint64_t old = bits_get(text, idx, 1);
    bool is_changed = idx / 8 >= text.len || old != bit;
    if (is_changed && is_peek)
        return ERR_RETRY;
    reply_int(call->reply, (int64_t)old);
    if (!is_changed)
        return 0;
    struct buf whole = {0};
    args_copy_string(text, idx / 8 + 1, &whole);
    bits_put(whole.data, idx, 1, bit);
    args_put_formed(call, call->argv[1], buf_slice(&whole), VALUE_CHANGED, item.expire_at_ms);
    args_notify(call, EVENT_STRING, "setbit", call->argv[1]);
    buf_fini(&whole);
    return 0;
}

static int run_setbit(struct call *call)
{
    return set_bit(call, false);
}

static int peek_setbit(struct call *call)
{
    return set_bit(call, true);
}

/* ---- Ranges of BITCOUNT and BITPOS ---- */

struct range_args {
    bool has_start;
    bool has_end;
    bool is_in_bits;
    int64_t start;
    int64_t end;
};

/* Reads "BIT" or "BYTE", if argument `nth` is there. False after an error reply. */
static bool parse_unit(struct call *call, uint32_t nth, struct range_args *out)
{
    if (nth >= call->argc)
        return true;
    out->is_in_bits = slice_is(call->argv[nth], "bit");
    if (out->is_in_bits || slice_is(call->argv[nth], "byte"))
        return true;
    reply_error(call->reply, TEXT_SYNTAX);
    return false;
}

/* The bits that are meant of a string of `size` bytes. False: none. */
static bool range_of(const struct range_args *args, uint64_t size, struct bit_range *out)
{
    int64_t total = (int64_t)(args->is_in_bits ? size * 8 : size);
    int64_t start = args->has_start ? args->start : 0;
    int64_t end = args->has_end ? args->end : total - 1;
    start = start < 0 ? start + total : start;
    end = end < 0 ? end + total : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= total ? total - 1 : end;
    if (start > end)
        return false;
    int64_t unit = args->is_in_bits ? 1 : 8;
    *out = (struct bit_range){.first = (uint64_t)(start * unit),
                              .last = (uint64_t)(end * unit + unit - 1)};
    return true;
}

static int run_bitcount(struct call *call)
{
    struct range_args args = {.has_start = call->argc > 2, .has_end = call->argc > 2};
    if (call->argc == 3 || call->argc > 5) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    if (args.has_start && (!args_integer(call, 2, &args.start) ||
                           !args_integer(call, 3, &args.end) || !parse_unit(call, 4, &args)))
        return 0;
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    struct bit_range range;
    bool is_backward = args.start < 0 && args.end < 0 && args.start > args.end;
    bool is_empty = is_backward || !range_of(&args, text.len, &range);
    reply_int(call->reply, is_empty ? 0 : (int64_t)bits_count(text, range));
    return 0;
}

/* Reads all but the key. False after an error reply. */
static bool parse_bitpos(struct call *call, bool *out_bit, struct range_args *out)
{
    int64_t bit;
    *out = (struct range_args){.has_start = call->argc > 3, .has_end = call->argc > 4};
    if (!args_integer(call, 2, &bit))
        return false;
    if (bit != 0 && bit != 1) {
        reply_error(call->reply, "ERR The bit argument must be 1 or 0.");
        return false;
    }
    *out_bit = bit == 1;
    if (call->argc > 6) {
        reply_error(call->reply, TEXT_SYNTAX);
        return false;
    }
    return (!out->has_start || args_integer(call, 3, &out->start)) && parse_unit(call, 5, out) &&
           (!out->has_end || args_integer(call, 4, &out->end));
}

static int run_bitpos(struct call *call)
{
    bool bit;
    struct range_args args;
    if (!parse_bitpos(call, &bit, &args))
        return 0;
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    struct bit_range range;
    uint64_t idx;
    if (item.type == VALUE_NONE)
        reply_int(call->reply, bit ? -1 : 0);
    else if (!range_of(&args, text.len, &range))
        reply_int(call->reply, -1);
    else if (bits_find(text, range, bit, &idx))
        reply_int(call->reply, (int64_t)idx);
    else /* Zeros follow the string, unless an end is given. */
        reply_int(call->reply, bit || args.has_end ? -1 : (int64_t)(text.len * 8));
    return 0;
}

/* ---- BITOP ---- */

enum bit_op { BIT_AND, BIT_OR, BIT_XOR, BIT_NOT };

static const struct {
    const char *name;
    enum bit_op op;
} bit_ops[] = {{"and", BIT_AND}, {"or", BIT_OR}, {"xor", BIT_XOR}, {"not", BIT_NOT}};

#define DEST         2
#define FIRST_SOURCE 3

/* False after an error reply. */
static bool parse_op(struct call *call, enum bit_op *out)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(bit_ops) && !slice_is(call->argv[1], bit_ops[i].name))
        i++;
    if (i == ARRAY_COUNT(bit_ops)) {
        reply_error(call->reply, TEXT_SYNTAX);
        return false;
    }
    if (bit_ops[i].op == BIT_NOT && call->argc != FIRST_SOURCE + 1) {
        reply_error(call->reply, "ERR BITOP NOT must be called with a single source key.");
        return false;
    }
    *out = bit_ops[i].op;
    return true;
}

/* Asks for all sources (M4) and finds the longest. 0, ARGS_REPLIED, or a code to return. */
static int look_at_sources(struct call *call, size_t *out_size)
{
    bool is_cold = false;
    *out_size = 0;
    for (uint32_t i = FIRST_SOURCE; i < call->argc; i++) {
        struct item item;
        struct slice text;
        int rc = args_load_string(call, call->argv[i], &item, &text);
        if (rc == ERR_COLD)
            is_cold = true;
        else if (rc != 0)
            return rc;
        else if (item.type == VALUE_NONE)
            args_notify(call, EVENT_MISS, "keymiss", call->argv[i]);
        if (text.len > *out_size)
            *out_size = text.len;
    }
    return is_cold ? ERR_COLD : 0;
}

static uint64_t combine_words(enum bit_op op, uint64_t a, uint64_t b)
{
    switch (op) {
    case BIT_AND:
        return a & b;
    case BIT_OR:
        return a | b;
    case BIT_XOR:
        return a ^ b;
    case BIT_NOT:
        return ~b;
    }
    UNREACHABLE("all operations are listed");
}

/* to = to op text, as if the text went on with zeros up to `size`. */
static void combine(enum bit_op op, uint8_t *to, size_t size, struct slice text)
{
    ASSERT(text.len <= size);
    size_t at = 0;
    for (; at + 8 <= text.len; at += 8)
        put_u64(to + at, combine_words(op, get_u64(to + at), get_u64(text.data + at)));
    for (; at < text.len; at++)
        to[at] = (uint8_t)combine_words(op, to[at], text.data[at]);
    if (op == BIT_AND)
        memset(to + at, 0, size - at);
}

/* Fills `to` with what comes out, `size` bytes. The sources have been loaded before. */
static int combine_sources(struct call *call, enum bit_op op, size_t size, struct buf *to)
{
    for (uint32_t i = FIRST_SOURCE; i < call->argc; i++) {
        struct item item;
        struct slice text = SLICE_EMPTY;
        int rc = tx_peek(call->tx, call->db, call->argv[i], &item);
        if (rc == 0 && item.type != VALUE_NONE)
            rc = tx_load(call->tx, &item, &text);
        if (rc != 0)
            return rc;
        if (i == FIRST_SOURCE)
            args_copy_string(text, size, to);
        if (i > FIRST_SOURCE || op == BIT_NOT)
            combine(op, to->data, size, text);
    }
    return 0;
}

/* An empty result removes the key. */
static void put_result(struct call *call, struct slice whole)
{
    struct slice dest = call->argv[DEST];
    struct item there;
    if (whole.len > 0) {
        args_put_formed(call, dest, whole, VALUE_CHANGED, 0);
        args_notify(call, EVENT_STRING, "set", dest);
    } else if (tx_peek(call->tx, call->db, dest, &there) == 0 && there.type != VALUE_NONE) {
        tx_del(call->tx, call->db, dest);
        args_notify(call, EVENT_GENERIC, "del", dest);
    }
}

static int run_bitop(struct call *call)
{
    enum bit_op op;
    size_t size;
    if (!parse_op(call, &op))
        return 0;
    int rc = look_at_sources(call, &size);
    if (rc != 0)
        return args_stop(rc);
    struct buf whole = {0};
    if (size > 0)
        rc = combine_sources(call, op, size, &whole);
    if (rc == 0) {
        put_result(call, buf_slice(&whole));
        reply_int(call->reply, (int64_t)size);
    }
    buf_fini(&whole);
    return rc;
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 60,
        .name = "setbit",
        .arity = {4, 4},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .categories = "bitmap slow",
        .group = "bitmap",
        .since = "2.2.0",
        .complexity = "O(N), N being the length of the string that results",
        .summary = "Sets or clears a bit of the string at a key, with zeros where it was shorter, "
                   "and returns what the bit was.",
        .syntax = "key offset value",
        .run = run_setbit,
        .peek = peek_setbit,
    },
    {
        .id = 61,
        .name = "getbit",
        .arity = {3, 3},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "bitmap fast",
        .group = "bitmap",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Returns a bit of the string at a key.",
        .syntax = "key offset",
        .run = run_getbit,
    },
    {
        .id = 62,
        .name = "bitcount",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_POINT | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "bitmap slow",
        .group = "bitmap",
        .since = "2.6.0",
        .complexity = "O(N), N being the length of the range",
        .summary = "Counts the bits that are set in the string at a key, or in a part of it.",
        .syntax = "key [start end [BYTE | BIT]]",
        .run = run_bitcount,
    },
    {
        .id = 63,
        .name = "bitpos",
        .arity = {3, ARITY_ANY},
        .flags = CMD_READONLY | CMD_POINT | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "bitmap slow",
        .group = "bitmap",
        .since = "2.8.7",
        .complexity = "O(N), N being the length of the range",
        .summary = "Returns where the first bit that is set, or clear, stands in the string at a "
                   "key.",
        .syntax = "key bit [start [end [BYTE | BIT]]]",
        .run = run_bitpos,
    },
    {
        .id = 64,
        .name = "bitop",
        .arity = {4, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = KEYS_TO_FROM(DEST, KEY_OW | KEY_UPDATE, KEY_RO | KEY_ACCESS),
        .categories = "bitmap slow",
        .group = "bitmap",
        .since = "2.6.0",
        .complexity = "O(N), N being the length of all strings together",
        .summary = "Combines the strings at several keys bit by bit and sets a key to the result.",
        .syntax = "<AND | OR | XOR | NOT> destkey key [key ...]",
        .run = run_bitop,
    },
};

const struct command_family bitmap_family = {
    .name = "bitmap", .rows = rows, .row_count = ARRAY_COUNT(rows)};
