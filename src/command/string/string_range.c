/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of strings. */
#include "base/buf.h"
#include "command/args.h"
#include "command/families.h"

static int run_strlen(struct call *call)
{
    struct item item;
    int rc = args_get_string(call, call->argv[1], &item);
    if (rc != 0)
        return args_stop(rc);
    reply_int(call->reply, (int64_t)item.size);
    return 0;
}

/* The bytes from `start` to `end`, both included; negative ones count from the end. */
static struct slice range_of(struct slice text, int64_t start, int64_t end)
{
    int64_t size = (int64_t)text.len;
    if (start < 0 && end < 0 && start > end)
        return SLICE_EMPTY;
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= size ? size - 1 : end;
    return start > end ? SLICE_EMPTY : slice_sub(text, (size_t)start, (size_t)(end - start) + 1);
}

static int run_getrange(struct call *call)
{
    int64_t start;
    int64_t end;
    if (!args_integer(call, 2, &start) || !args_integer(call, 3, &end))
        return 0;
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    reply_bulk(call->reply, range_of(text, start, end));
    return 0;
}

static int run_append(struct call *call)
{
    struct slice more = call->argv[2];
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    if (item.type != VALUE_NONE && !args_string_fits(call, text.len, more.len))
        return 0;
    /* A committed command cannot be refused: memory out ends the process (R13). */
    struct buf whole = {0};
    buf_reserve(&whole, text.len + more.len);
    buf_append_slice(&whole, text);
    buf_append_slice(&whole, more);
    enum value_form form = item.type == VALUE_NONE ? VALUE_PLAIN : VALUE_CHANGED;
    args_put_formed(call, call->argv[1], buf_slice(&whole), form, item.expire_at_ms);
    args_notify(call, EVENT_STRING, "append", call->argv[1]);
    reply_int(call->reply, (int64_t)whole.len);
    buf_fini(&whole);
    return 0;
}

/* `text` with `piece` laid over it from `off` on, zeros between the two. */
static void overlay_at(struct slice text, size_t off, struct slice piece, struct buf *out)
{
    size_t end = off + piece.len;
    buf_reserve(out, text.len > end ? text.len : end);
    buf_append_slice(out, slice_sub(text, 0, off));
    if (off > text.len)
        memset(buf_extend(out, off - text.len), 0, off - text.len);
    buf_append_slice(out, piece);
    buf_append_slice(out, slice_sub(text, end, text.len));
}

static int run_setrange(struct call *call)
{
    struct slice piece = call->argv[3];
    int64_t off;
    if (!args_integer(call, 2, &off))
        return 0;
    if (off < 0) {
        reply_error(call->reply, "ERR offset is out of range");
        return 0;
    }
    struct item item;
    struct slice text;
    int rc = args_load_string(call, call->argv[1], &item, &text);
    if (rc != 0)
        return args_stop(rc);
    if (piece.len == 0) {
        reply_int(call->reply, (int64_t)text.len);
        return 0;
    }
    if (!args_string_fits(call, (uint64_t)off, piece.len))
        return 0;
    struct buf whole = {0};
    overlay_at(text, (size_t)off, piece, &whole);
    args_put_formed(call, call->argv[1], buf_slice(&whole), VALUE_CHANGED, item.expire_at_ms);
    args_notify(call, EVENT_STRING, "setrange", call->argv[1]);
    reply_int(call->reply, (int64_t)whole.len);
    buf_fini(&whole);
    return 0;
}

static const struct command_row rows[] = {
    {
        .id = 40,
        .name = "append",
        .arity = {3, 3},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_INSERT),
        .categories = "string fast",
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(N), N being the length of the string that results",
        .summary = "Lengthens the string at a key; a missing key is an empty one.",
        .syntax = "key value",
        .run = run_append,
    },
    {
        .id = 41,
        .name = "strlen",
        .arity = {2, 2},
        .flags = CMD_READONLY | CMD_FAST | CMD_POINT,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO),
        .categories = "string fast",
        .group = "string",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Returns how many bytes the string at a key has.",
        .syntax = "key",
        .run = run_strlen,
    },
    {
        .id = 42,
        .name = "getrange",
        .arity = {4, 4},
        .flags = CMD_READONLY | CMD_POINT | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "string slow",
        .group = "string",
        .since = "2.4.0",
        .complexity = "O(N), N being the length of what is returned",
        .summary = "Returns the bytes of the string at a key between two offsets.",
        .syntax = "key start end",
        .run = run_getrange,
    },
    {
        .id = 43,
        .name = "setrange",
        .arity = {4, 4},
        .flags = CMD_WRITE | CMD_DENYOOM | CMD_LOADS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RW | KEY_UPDATE),
        .categories = "string slow",
        .group = "string",
        .since = "2.2.0",
        .complexity = "O(N), N being the length of the string that results",
        .summary = "Overwrites the string at a key from an offset on, with zeros where it was "
                   "shorter.",
        .syntax = "key offset value",
        .run = run_setrange,
    },
    {
        .id = 44,
        .name = "substr",
        .arity = {4, 4},
        .flags = CMD_READONLY | CMD_POINT | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS),
        .categories = "string slow",
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(N), N being the length of what is returned",
        .summary = "Is GETRANGE by its former name.",
        .syntax = "key start end",
        .run = run_getrange,
    },
};

const struct command_family string_range_family = {
    .name = "string_range", .rows = rows, .row_count = ARRAY_COUNT(rows)};
