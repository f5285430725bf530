/* SPDX-License-Identifier: Apache-2.0 */
/* LCS: the longest common subsequence of two strings.
 *
 * Row by row, cell (i, j) is the length for the first i bytes of the one and the first j of the
 * other. The way back from the last cell follows a match diagonally, and else the longer of the two
 * neighbours, the one to the left where they are equal. So all it has to know of a cell without a
 * match is whether the upper neighbour is longer: one bit, where Redis keeps the length. The limit
 * is the one that Redis's table has.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "command/families.h"

#define TEXT_NO_STRING "ERR The specified keys must contain string values"

struct lcs_args {
    bool wants_length;
    bool wants_ranges;
    bool wants_range_lengths;
    int64_t min_range;
};

struct lcs {
    struct slice a;
    struct slice b;
    uint32_t *lengths; /* of the last row: b.len + 1 */
    uint8_t *ups;      /* a bit per cell: the upper neighbour is longer; NULL: not asked for */
};

/* ---- Arguments ---- */

/* False after an error reply. */
static bool parse_options(struct call *call, struct lcs_args *out)
{
    *out = (struct lcs_args){0};
    for (uint32_t i = 3; i < call->argc; i++) {
        if (slice_is(call->argv[i], "idx")) {
            out->wants_ranges = true;
        } else if (slice_is(call->argv[i], "len")) {
            out->wants_length = true;
        } else if (slice_is(call->argv[i], "withmatchlen")) {
            out->wants_range_lengths = true;
        } else if (slice_is(call->argv[i], "minmatchlen") && i + 1 < call->argc) {
            if (!args_integer(call, ++i, &out->min_range))
                return false;
        } else {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
    }
    if (!out->wants_ranges || !out->wants_length)
        return true;
    reply_error(call->reply, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

/* Both values are asked for, if one is cold (M4). 0, ARGS_REPLIED, or a code to return. */
static int load_both(struct call *call, struct slice *texts)
{
    struct item items[2];
    for (uint32_t i = 0; i < 2; i++) {
        texts[i] = SLICE_EMPTY;
        int rc = tx_get(call->tx, call->db, call->argv[i + 1], &items[i]);
        if (rc != 0)
            return rc;
        if (items[i].type != VALUE_NONE && items[i].type != VALUE_STRING) {
            reply_error(call->reply, TEXT_NO_STRING);
            return ARGS_REPLIED;
        }
    }
    int rc = 0;
    for (uint32_t i = 0; i < 2; i++) {
        int rc_of_one = items[i].type == VALUE_NONE ? 0 : tx_load(call->tx, &items[i], &texts[i]);
        if (rc == 0)
            rc = rc_of_one;
    }
    return rc;
}

/* ---- Lengths ---- */

/* Memory for a search. False after an error reply. */
static bool lcs_init(struct lcs *lcs, struct call *call, const struct slice *texts, bool has_ups)
{
    uint64_t cells = (texts[0].len + 1) * (texts[1].len + 1);
    *lcs = (struct lcs){.a = texts[0], .b = texts[1]};
    if (cells > STRING_MAX_SIZE / sizeof(uint32_t)) {
        reply_error(call->reply,
                    "ERR Insufficient memory, transient memory for LCS exceeds "
                    "proto-max-bulk-len");
        return false;
    }
    lcs->lengths = mem_try_calloc(texts[1].len + 1, sizeof(uint32_t));
    lcs->ups = has_ups ? mem_try_calloc(cells / 8 + 1, 1) : NULL;
    if (lcs->lengths != NULL && (lcs->ups != NULL || !has_ups))
        return true;
    reply_error(call->reply, "ERR Insufficient memory, failed allocating transient memory for LCS");
    return false;
}

static void lcs_fini(struct lcs *lcs)
{
    mem_free(lcs->lengths);
    mem_free(lcs->ups);
}

static size_t cell_of(const struct lcs *lcs, size_t i, size_t j)
{
    return i * (lcs->b.len + 1) + j;
}

/* One row: byte i - 1 of `a` against all of `b`. */
static void next_row(struct lcs *lcs, size_t i)
{
    uint32_t diagonal = 0;
    uint32_t left = 0;
    for (size_t j = 1; j <= lcs->b.len; j++) {
        uint32_t up = lcs->lengths[j];
        uint32_t here = up > left ? up : left;
        if (lcs->a.data[i - 1] == lcs->b.data[j - 1])
            here = diagonal + 1;
        else if (lcs->ups != NULL && up > left)
            lcs->ups[cell_of(lcs, i, j) / 8] |= (uint8_t)(1u << cell_of(lcs, i, j) % 8);
        diagonal = up;
        left = here;
        lcs->lengths[j] = here;
    }
}

static uint32_t lcs_search(struct lcs *lcs)
{
    for (size_t i = 1; i <= lcs->a.len; i++)
        next_row(lcs, i);
    return lcs->lengths[lcs->b.len];
}

/* ---- The way back ---- */

/* A stretch of matches without a gap in either string. */
struct match {
    size_t at_a;
    size_t at_b;
    size_t len;
};

/* Finds the last match in front of (*i, *j), which move there. False: there is none. */
static bool match_before(const struct lcs *lcs, size_t *i, size_t *j, struct match *out)
{
    out->len = 0;
    while (*i > 0 && *j > 0) {
        if (lcs->a.data[*i - 1] == lcs->b.data[*j - 1]) {
            out->len++;
            (*i)--;
            (*j)--;
            continue;
        }
        if (out->len > 0)
            break;
        size_t cell = cell_of(lcs, *i, *j);
        bool is_up = (lcs->ups[cell / 8] >> cell % 8 & 1) != 0;
        *i -= is_up;
        *j -= !is_up;
    }
    out->at_a = *i;
    out->at_b = *j;
    return out->len > 0;
}

/* ---- Replies ---- */

static void reply_text(struct reply *reply, const struct lcs *lcs, uint32_t length)
{
    struct buf text = {0};
    struct match match;
    size_t i = lcs->a.len;
    size_t j = lcs->b.len;
    size_t left = length;
    if (length > 0)
        buf_extend(&text, length);
    while (left > 0 && match_before(lcs, &i, &j, &match)) {
        ASSERT(match.len <= left);
        left -= match.len;
        memcpy(text.data + left, lcs->a.data + match.at_a, match.len);
    }
    ASSERT(left == 0);
    reply_bulk(reply, buf_slice(&text));
    buf_fini(&text);
}

static void reply_range(struct reply *reply, size_t start, size_t len)
{
    reply_array(reply, 2);
    reply_int(reply, (int64_t)start);
    reply_int(reply, (int64_t)(start + len - 1));
}

static void reply_ranges(struct reply *reply, const struct lcs *lcs, const struct lcs_args *args,
                         uint32_t length)
{
    reply_map(reply, 2);
    reply_bulk_str(reply, "matches");
    size_t mark = reply_array_begin(reply);
    size_t count = 0;
    struct match match;
    size_t i = lcs->a.len;
    size_t j = lcs->b.len;
    while (match_before(lcs, &i, &j, &match)) {
        if ((int64_t)match.len < args->min_range)
            continue;
        reply_array(reply, args->wants_range_lengths ? 3 : 2);
        reply_range(reply, match.at_a, match.len);
        reply_range(reply, match.at_b, match.len);
        if (args->wants_range_lengths)
            reply_int(reply, (int64_t)match.len);
        count++;
    }
    reply_array_end(reply, mark, count);
    reply_bulk_str(reply, "len");
    reply_int(reply, length);
}

static void reply_search(struct call *call, struct lcs *lcs, const struct lcs_args *args)
{
    uint32_t length = lcs_search(lcs);
    if (args->wants_ranges)
        reply_ranges(call->reply, lcs, args, length);
    else if (args->wants_length)
        reply_int(call->reply, length);
    else
        reply_text(call->reply, lcs, length);
}

static int run_lcs(struct call *call)
{
    struct slice texts[2];
    struct lcs_args args;
    struct lcs lcs;
    int rc = load_both(call, texts);
    if (rc != 0)
        return args_stop(rc);
    if (!parse_options(call, &args))
        return 0;
    if (lcs_init(&lcs, call, texts, !args.wants_length))
        reply_search(call, &lcs, &args);
    lcs_fini(&lcs);
    return 0;
}

static const struct command_row rows[] = {
    {
        .id = 48,
        .name = "lcs",
        .arity = {3, ARITY_ANY},
        .flags = CMD_READONLY | CMD_LOADS_VALUE | CMD_SHOWS_VALUE,
        .keys = KEYS_RANGE(1, 2, 1, KEY_RO | KEY_ACCESS),
        .categories = "string slow",
        .group = "string",
        .since = "7.0.0",
        .complexity = "O(N*M), N and M being the lengths of the two strings",
        .summary = "Returns the longest common subsequence of the strings at two keys, its length, "
                   "or where it lies in them.",
        .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        .run = run_lcs,
    },
};

const struct command_family lcs_family = {
    .name = "lcs", .rows = rows, .row_count = ARRAY_COUNT(rows)};
