/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "resp/reply.h"
#include "support/cmocka.h"
#include "support/dice.h"

/* Each is one whole reply. */
static const char *const whole[] = {
    "+OK\r\n",
    "+\r\n",
    "-ERR what\r\n",
    ":123\r\n",
    ":-1\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "$5\r\na\r\nbc\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n:1\r\n$1\r\nx\r\n",
    "*2\r\n*1\r\n*0\r\n*1\r\n$-1\r\n",
    "_\r\n",
    "#t\r\n",
    "#f\r\n",
    ",3.5\r\n",
    ",inf\r\n",
    "(123456789012345678901234567890\r\n",
    "!8\r\nERR a\r\nb\r\n",
    "=8\r\ntxt:a\r\nb\r\n",
    "~2\r\n:1\r\n:2\r\n",
    "%0\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n:1\r\n*1\r\n_\r\n",
    ">2\r\n+message\r\n+x\r\n",
    "|1\r\n+ttl\r\n:3600\r\n+OK\r\n",
    "|0\r\n:1\r\n",
    "*2\r\n|1\r\n+a\r\n|1\r\n+b\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
};

/* None of these is one, whatever follows. */
static const char *const broken[] = {
    "OK\r\n",
    "\r\n",
    "$+1\r\nx\r\n",
    "$01\r\nx\r\n",
    "$-2\r\n",
    "$ 1\r\nx\r\n",
    "$1\r\nxyz\r\n",
    "$1\r\nx\n\r\n",
    "$18446744073709551615\r\nx\r\n",
    "$18446744073709551616\r\nx\r\n",
    "$9223372036854775807\r\nx\r\n",
    "*-2\r\n",
    "*a\r\n",
    "*1x\r\n:1\r\n",
    "*18446744073709551615\r\n:1\r\n",
    "*9223372036854775807\r\n:1\r\n",
    "%9223372036854775808\r\n:1\r\n",
    "%-1\r\n",
    "~-1\r\n",
    "|-1\r\n:1\r\n",
    "=-1\r\n",
    "#x\r\n",
    "#tt\r\n",
    "_x\r\n",
    "+OK\rx\r\n",
    "$?\r\n;0\r\n",
    "*1\r\nx\r\n",
    "*3\r\n:1\r\n",
};

/* At a place of its own, so that sanitizers see a read beyond the end. */
static size_t skip_copy(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    size_t size = reply_skip(slice_of(copy, bytes.len));
    free(copy);
    return size;
}

static void whole_replies_have_their_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(whole); i++) {
        struct buf bytes = {0};
        buf_append_str(&bytes, whole[i]);
        assert_int_equal(skip_copy(buf_slice(&bytes)), strlen(whole[i]));
        buf_append_str(&bytes, ":1\r\nrest");
        assert_int_equal(skip_copy(buf_slice(&bytes)), strlen(whole[i]));
        buf_fini(&bytes);
    }
}

static void every_part_of_a_reply_is_not_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(whole); i++) {
        for (size_t len = 0; len < strlen(whole[i]); len++)
            assert_int_equal(skip_copy(slice_of(whole[i], len)), 0);
    }
}

static void broken_replies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++)
        assert_int_equal(skip_copy(slice_str(broken[i])), 0);
}

/* A recursive reader would need a frame for each of them. */
static void deep_nesting_needs_no_stack(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    struct buf bytes = {0};
    for (int i = 0; i < DEPTH; i++)
        buf_append_str(&bytes, "*1\r\n");
    assert_int_equal(reply_skip(buf_slice(&bytes)), 0);
    buf_append_str(&bytes, ":1\r\n");
    assert_int_equal(reply_skip(buf_slice(&bytes)), bytes.len);
    buf_fini(&bytes);
}

/* Writes random replies and remembers how many values are still owed, as the caller of the builder
 * does; a flat stack of counts instead of recursion. */
static void write_random_reply(struct dice *dice, struct reply *reply)
{
    size_t owed = 1;
    while (owed > 0) {
        owed--;
        bool may_nest = reply->out->len < 2000;
        size_t count = dice_below(dice, 4);
        switch (dice_below(dice, may_nest ? 12 : 8)) {
        case 0:
            reply_ok(reply);
            break;
        case 1:
            reply_int(reply, (int64_t)dice_next(dice));
            break;
        case 2:
            reply_null(reply);
            break;
        case 3:
            reply_bulk(reply, slice_of("ab\r\n$3\r\nc", dice_below(dice, 10)));
            break;
        case 4:
            reply_double(reply, (double)dice_below(dice, 1000) / 7);
            break;
        case 5:
            reply_verbatim(reply, "txt", SLICE_LIT("t\r\n"));
            break;
        case 6:
            reply_bool(reply, count > 1);
            break;
        case 7:
            reply_error(reply, "ERR x");
            break;
        case 8:
            reply_array(reply, count);
            owed += count;
            break;
        case 9:
            reply_map(reply, count);
            owed += 2 * count;
            break;
        case 10:
            reply_set(reply, count);
            owed += count;
            break;
        default:
            reply_push(reply, count);
            owed += count;
            break;
        }
    }
}

static void what_the_builder_writes_is_skipped(void **state)
{
    (void)state;
    struct dice dice;
    dice_init(&dice);
    for (int round = 0; round < 5000; round++) {
        struct buf out = {0};
        struct reply reply = reply_to(&out, round % 2 == 0 ? 2 : 3);
        write_random_reply(&dice, &reply);
        size_t len = out.len;
        assert_int_equal(skip_copy(buf_slice(&out)), len);
        assert_int_equal(skip_copy(slice_of(out.data, dice_below(&dice, len))), 0);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_replies_have_their_length),
        cmocka_unit_test(every_part_of_a_reply_is_not_whole),
        cmocka_unit_test(broken_replies_are_refused),
        cmocka_unit_test(deep_nesting_needs_no_stack),
        cmocka_unit_test(what_the_builder_writes_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
