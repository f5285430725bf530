/* SPDX-License-Identifier: Apache-2.0 */
/* BITFIELD: strings as arrays of integers of any width.
 *
 * All operations are read before the first is carried out, and read again then: they are kept
 * nowhere. What does not fit a field wraps around, stops at the nearest end or is left undone, as
 * the OVERFLOW in front of it says. Sums are reckoned as the field's 64-bit value and a change; a
 * sum that leaves 64 bits has left every field.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "base/num.h"
#include "command/args.h"
#include "command/bitmap/bits.h"
#include "command/families.h"

#define PEEK_MAX_SIZE 4096 /* of a value that is copied to see what would change */
#define FIRST_OP      2

enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field {
    bool is_signed;
    unsigned width;
    uint64_t idx;
};

struct field_op {
    enum field_verb verb;
    enum field_overflow overflow;
    struct field field;
    int64_t operand;
};

/* ---- Arguments ---- */

static const struct {
    const char *name;
    enum field_verb verb;
    uint32_t arg_count;
} verbs[] = {{"get", FIELD_GET, 2}, {"set", FIELD_SET, 3}, {"incrby", FIELD_INCRBY, 3}};

static const struct {
    const char *name;
    enum field_overflow overflow;
} overflows[] = {{"wrap", OVERFLOW_WRAP}, {"sat", OVERFLOW_SAT}, {"fail", OVERFLOW_FAIL}};

static bool parse_overflow(struct call *call, uint32_t nth, enum field_overflow *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(overflows); i++) {
        if (slice_is(call->argv[nth], overflows[i].name)) {
            *out = overflows[i].overflow;
            return true;
        }
    }
    reply_error(call->reply, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* "i1" to "i64", "u1" to "u63": replies are signed. */
static bool parse_type(struct call *call, uint32_t nth, struct field *out)
{
    struct slice text = call->argv[nth];
    int64_t width;
    out->is_signed = text.len > 0 && text.data[0] == 'i';
    if ((out->is_signed || (text.len > 0 && text.data[0] == 'u')) &&
        num_parse_i64(slice_sub(text, 1, SIZE_MAX), &width) && width >= 1 &&
        width <= BITS_MAX_WIDTH - !out->is_signed) {
        out->width = (unsigned)width;
        return true;
    }
    reply_error(call->reply,
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 "
                "is not supported but i64 is.");
    return false;
}

/* Reads the operation at argument *at and moves *at behind it; an OVERFLOW in front of it changes
 * out->overflow, which stays for those that follow. False after an error reply, or if there is no
 * further operation: then *at is argc. */
static bool next_op(struct call *call, uint32_t *at, struct field_op *out)
{
    while (call->argc - *at >= 2 && slice_is(call->argv[*at], "overflow")) {
        if (!parse_overflow(call, *at + 1, &out->overflow))
            return false;
        *at += 2;
    }
    if (*at == call->argc)
        return false;
    size_t i = 0;
    while (i < ARRAY_COUNT(verbs) &&
           !(slice_is(call->argv[*at], verbs[i].name) && call->argc - *at > verbs[i].arg_count))
        i++;
    if (i == ARRAY_COUNT(verbs)) {
        reply_error(call->reply, TEXT_SYNTAX);
        return false;
    }
    out->verb = verbs[i].verb;
    if (!parse_type(call, *at + 1, &out->field) ||
        !bits_parse_index(call, *at + 2, out->field.width, &out->field.idx) ||
        (out->verb != FIELD_GET && !args_integer(call, *at + 3, &out->operand)))
        return false;
    *at += 1 + verbs[i].arg_count;
    return true;
}

struct field_summary {
    size_t count;
    bool has_writes;
    uint64_t size; /* of a string that holds all fields written to */
};

/* Looks at all operations. False after an error reply. */
static bool survey(struct call *call, struct field_summary *out)
{
    struct field_op op = {.overflow = OVERFLOW_WRAP};
    uint32_t at = FIRST_OP;
    *out = (struct field_summary){0};
    while (next_op(call, &at, &op)) {
        out->count++;
        if (op.verb == FIELD_GET)
            continue;
        uint64_t last = op.field.idx + op.field.width - 1;
        out->has_writes = true;
        if (last / 8 + 1 > out->size)
            out->size = last / 8 + 1;
    }
    return at == call->argc;
}

/* ---- Arithmetic ---- */

/* The lowest and the highest number of a field. */
static int64_t lowest(const struct field *field)
{
    return field->is_signed ? INT64_MIN >> (BITS_MAX_WIDTH - field->width) : 0;
}

static int64_t highest(const struct field *field)
{
    unsigned digits = field->width - field->is_signed;
    return digits == 0 ? 0 : INT64_MAX >> (BITS_MAX_WIDTH - 1 - digits);
}

/* The lowest bits of a number as a field reads them. */
static int64_t number_of(const struct field *field, uint64_t bits)
{
    unsigned above = BITS_MAX_WIDTH - field->width;
    return field->is_signed ? (int64_t)(bits << above) >> above : (int64_t)(bits << above >> above);
}

/* What a field holds after start + change. False if OVERFLOW FAIL leaves it alone. */
static bool add_to_field(const struct field_op *op, int64_t start, int64_t change, int64_t *out)
{
    const struct field *field = &op->field;
    int64_t sum;
    bool is_wide = __builtin_add_overflow(start, change, &sum);
    if (!is_wide && sum >= lowest(field) && sum <= highest(field)) {
        *out = sum;
        return true;
    }
    bool is_above = is_wide ? change > 0 : sum > highest(field);
    if (op->overflow == OVERFLOW_WRAP)
        *out = number_of(field, (uint64_t)start + (uint64_t)change);
    else
        *out = is_above ? highest(field) : lowest(field);
    return op->overflow != OVERFLOW_FAIL;
}

/* What SET writes. For an unsigned field a negative number is one far above. */
static bool fit_in_field(const struct field_op *op, int64_t *out)
{
    if (op->field.is_signed || op->operand >= 0 || op->overflow == OVERFLOW_WRAP)
        return add_to_field(op, op->operand, 0, out);
    *out = highest(&op->field);
    return op->overflow == OVERFLOW_SAT;
}

/* ---- Execution ---- */

static int64_t read_field(struct slice text, const struct field *field)
{
    return number_of(field, bits_get(text, field->idx, field->width));
}

/* What operations have done, the greatest of several. */
enum field_outcome { FIELD_LEFT, FIELD_WRITTEN /* the number it had */, FIELD_CHANGED };

/* Carries one operation out and replies. */
static enum field_outcome run_op(struct reply *reply, const struct field_op *op, struct slice text,
                                 uint8_t *to)
{
    int64_t old = read_field(text, &op->field);
    if (op->verb == FIELD_GET) {
        reply_int(reply, old);
        return FIELD_LEFT;
    }
    int64_t result;
    bool is_set = op->verb == FIELD_SET ? fit_in_field(op, &result)
                                        : add_to_field(op, old, op->operand, &result);
    if (!is_set) {
        reply_null(reply);
        return FIELD_LEFT;
    }
    bits_put(to, op->field.idx, op->field.width, (uint64_t)result);
    reply_int(reply, op->verb == FIELD_SET ? old : result);
    return result == old ? FIELD_WRITTEN : FIELD_CHANGED;
}

/* `to` is the same bytes as `text`, to be written to; or NULL if all operations read. */
static enum field_outcome run_ops(struct call *call, size_t count, struct slice text, uint8_t *to)
{
    struct field_op op = {.overflow = OVERFLOW_WRAP};
    uint32_t at = FIRST_OP;
    enum field_outcome most = FIELD_LEFT;
    reply_array(call->reply, count);
    for (; count > 0; count--) {
        bool is_read = next_op(call, &at, &op);
        ASSERT(is_read); /* survey() has seen it */
        enum field_outcome outcome = run_op(call->reply, &op, text, to);
        most = outcome > most ? outcome : most;
    }
    return most;
}

/* 0; ERR_RETRY: a peek, and there is something to change. Who listens is told as in Redis: of
 * changes that undo each other, too, and not of a string that OVERFLOW FAIL has left alone, which
 * may be longer all the same. */
static int change_fields(struct call *call, const struct field_summary *ops,
                         const struct item *item, struct slice text, bool is_peek)
{
    struct buf whole = {0};
    args_copy_string(text, ops->size, &whole);
    enum field_outcome outcome = run_ops(call, ops->count, buf_slice(&whole), whole.data);
    bool has_grown = whole.len > text.len;
    bool is_changed = has_grown || outcome == FIELD_CHANGED;
    if (is_changed && !is_peek) {
        args_put_formed(call, call->argv[1], buf_slice(&whole), VALUE_CHANGED, item->expire_at_ms);
        if (outcome != FIELD_LEFT)
            args_notify(call, EVENT_STRING, "setbit", call->argv[1]);
    }
    buf_fini(&whole);
    return is_changed && is_peek ? ERR_RETRY : 0;
}

static int do_bitfield(struct call *call, bool is_peek)
{
    struct field_summary ops;
    struct item item;
    struct slice text;
    if (!survey(call, &ops))
        return 0;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    if (!ops.has_writes) {
        (void)run_ops(call, ops.count, text, NULL);
        return 0;
    }
    if (is_peek && (text.len > PEEK_MAX_SIZE || ops.size > PEEK_MAX_SIZE))
        return ERR_RETRY;
    if (!args_string_fits(call, ops.size, 0))
        return 0;
    return change_fields(call, &ops, &item, text, is_peek);
}

static int run_bitfield(struct call *call)
{
    return do_bitfield(call, false);
}

/* What changes nothing needs no place in the log. */
static int peek_bitfield(struct call *call)
{
    return do_bitfield(call, true);
}

static int run_bitfield_ro(struct call *call)
{
    struct field_summary ops;
    struct item item;
    struct slice text;
    if (!survey(call, &ops))
        return 0;
    if (ops.has_writes) {
        reply_error(call->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        return 0;
    }
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    (void)run_ops(call, ops.count, text, NULL);
    return 0;
}

/* What does not fit may be anything. */
static unsigned access_of(const struct slice *argv, uint32_t argc)
{
    for (uint32_t i = FIRST_OP; i < argc;) {
        if (slice_is(argv[i], "get") && argc - i > 2)
            i += 3;
        else if (slice_is(argv[i], "overflow") && argc - i > 1)
            i += 2;
        else
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
    }
    return KEY_RO | KEY_ACCESS;
}

static const struct command_row rows[] = {
    {
        .id = 65,
        .name = "bitfield",
        .arity = {2, ARITY_ANY},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = {.kind = KEY_RULE_RANGE,
                 .first = 1,
                 .last = 1,
                 .step = 1,
                 .access = KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIES,
                 .access_fn = access_of},
        .categories = "bitmap slow",
        .group = "bitmap",
        .since = "3.2.0",
        .complexity = "O(N), N being the number of operations, and the length of the string if "
                      "one of them writes",
        .summary = "Reads and writes integers of any width inside the string at a key.",
        .syntax = "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset "
                  "value | INCRBY encoding offset increment>> ...]",
        .run = run_bitfield,
        .peek = peek_bitfield,
    },
    {
        .id = 66,
        .name = "bitfield_ro",
        .arity = {2, ARITY_ANY},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "bitmap fast",
        .group = "bitmap",
        .since = "6.0.0",
        .complexity = "O(N), N being the number of operations",
        .summary = "Reads integers of any width inside the string at a key.",
        .syntax = "key [GET encoding offset [GET encoding offset ...]]",
        .run = run_bitfield_ro,
    },
};

const struct command_family bitfield_family = {
    .name = "bitfield", .rows = rows, .row_count = ARRAY_COUNT(rows)};
