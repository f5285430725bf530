/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "resp/parser.h"
#include "support/cmocka.h"
#include "support/dice.h"
#include "support/respfeed.h"

static const struct resp_limits defaults = RESP_LIMITS_DEFAULT;
static const struct resp_limits tiny = {.max_bulk_size = 12, .max_args = 2, .max_inline_size = 10};

#define UNBALANCED "error unbalanced quotes in request\n"

static const struct {
    const struct resp_limits *limits;
    const char *input;
    const char *log;
} cases[] = {
    {&defaults, "PING\r\n", "4:PING \n"},
    {&defaults, "PING\n", "4:PING \n"},
    {&defaults, "PING", "more\n"},
    {&defaults, "PING\r", "more\n"},
    {&defaults, "set  key\tvalue  \r\nget key\r\n", "3:set 3:key 5:value \n3:get 3:key \n"},
    {&defaults, "  \t\v\f PING\r\n", "4:PING \n"},
    {&defaults, "\n\r\n \n", "\n\n\n"},
    /* Blanks that do not end a word, and a CR that does. */
    {&defaults, "a\vb c\fd\r\n", "3:a\vb 3:c\fd \n"},
    {&defaults, "PING\v\r\n", "5:PING\v \n"},
    {&defaults, "a\rb\r\r\n", "1:a 1:b \n"},
    /* Double quotes. */
    {&defaults, "ECHO \"hello world\"\r\n", "4:ECHO 11:hello world \n"},
    {&defaults, "\"PING\"\r\n", "4:PING \n"},
    {&defaults, "ECHO \"\"\r\n", "4:ECHO 0: \n"},
    {&defaults, "ECHO \"\" '' x\r\n", "4:ECHO 0: 0: 1:x \n"},
    {&defaults, "\"a\\x41\\n\\r\\t\\b\\a\\q\\\"\\\\\"\n", "10:aA\n\r\t\b\aq\"\\ \n"},
    {&defaults, "\"\\x4\" \"\\xZ1\" \"\\x\" \"\\x1g\"\n", "2:x4 3:xZ1 1:x 3:x1g \n"},
    {&defaults, "\"\\xe9\\xE9\\xff\"\n", "3:\xe9\xe9\xff \n"},
    {&defaults, "\"it's\"\n", "4:it's \n"},
    /* Single quotes: \' alone is special. */
    {&defaults, "ECHO 'a\\'b\\n\"'\r\n", "4:ECHO 6:a'b\\n\" \n"},
    {&defaults, "'a\\\\'\n", UNBALANCED},
    {&defaults, "'a\\b' x\n", "3:a\\b 1:x \n"},
    /* A quote opens anywhere in a word; the closing one ends it. */
    {&defaults, "foo\"bar\" x\r\n", "6:foobar 1:x \n"},
    {&defaults, "foo'b a'\v\"c\"\r\n", "6:foob a 1:c \n"},
    {&defaults, "ECHO \"a\"b\r\n", UNBALANCED},
    {&defaults, "ECHO 'a'b\r\n", UNBALANCED},
    {&defaults, "ECHO 'a''b'\r\n", UNBALANCED},
    {&defaults, "ECHO \"a\r\n", UNBALANCED},
    {&defaults, "ECHO 'a\n", UNBALANCED},
    {&defaults, "ECHO a\"\r\n", UNBALANCED},
    {&defaults, "ECHO \"a\\\"\r\n", UNBALANCED},
    {&defaults, "ECHO \"a\\\r\n", UNBALANCED},
    {&defaults, "PING\r\nECHO \"a\r\nPING\r\n", "4:PING \n" UNBALANCED},
    /* A line is a line, whatever is quoted in it. */
    {&defaults, "ECHO \"a\nb\"\r\n", UNBALANCED},
    {&defaults, "ECHO *1\r\n*1\r\n$1\r\nx\r\n", "4:ECHO 2:*1 \n1:x \n"},
    /* max_args is for multibulk requests; max_inline_size for lines. */
    {&tiny, "a b c d e\n", "1:a 1:b 1:c 1:d 1:e \n"},
    {&tiny, "a b c d e\r\n", "1:a 1:b 1:c 1:d 1:e \n"},
    {&tiny, "a b c d ef\n", "1:a 1:b 1:c 1:d 2:ef \n"},
    {&tiny, "a b c d efg\n", "error too big inline request\n"},
    {&tiny, "a b c d efg", "error too big inline request\n"},
    {&tiny, "a b c d ef", "more\n"},
};

static void expect_log(size_t i, const size_t *cuts, size_t cut_count)
{
    struct buf log = respfeed(cases[i].limits, slice_str(cases[i].input), cuts, cut_count);
    buf_append_byte(&log, '\0');
    assert_string_equal((const char *)log.data, cases[i].log);
    buf_fini(&log);
}

static void lines_parse_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect_log(i, NULL, 0);
}

static void one_cut_anywhere_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t cut = 0; cut <= strlen(cases[i].input); cut++)
            expect_log(i, &cut, 1);
    }
}

static void byte_by_byte_changes_nothing(void **state)
{
    (void)state;
    size_t cuts[128];
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++)
        cuts[i] = i;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_true(strlen(cases[i].input) < ARRAY_COUNT(cuts));
        expect_log(i, cuts, strlen(cases[i].input));
    }
}

static void nul_is_a_byte_like_any_other(void **state)
{
    (void)state;
    struct buf log = respfeed(&defaults, SLICE_LIT("a\0b \"\0\"\r\n"), NULL, 0);
    assert_true(slice_eq(buf_slice(&log), SLICE_LIT("3:a\0b 1:\0 \n")));
    buf_fini(&log);
}

static void a_line_full_of_quotes_fits_the_storage(void **state)
{
    (void)state;
    struct buf input = {0};
    struct buf wanted = {0};
    for (int i = 0; i < 10000; i++) {
        buf_append_str(&input, "x'y' ");
        buf_append_str(&wanted, "2:xy ");
    }
    buf_append_str(&input, "\r\n");
    buf_append_str(&wanted, "\n");
    struct buf log = respfeed(&defaults, buf_slice(&input), NULL, 0);
    assert_true(slice_eq(buf_slice(&log), buf_slice(&wanted)));
    buf_fini(&input);
    buf_fini(&wanted);
    buf_fini(&log);
}

static void storage_is_reused_and_trimmed(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    struct buf line = {0};
    buf_append_str(&line, "ECHO \"");
    memset(buf_extend(&line, 50000), 'x', 50000);
    buf_append_str(&line, "\"\n");
    size_t used;
    const char *error;
    assert_int_equal(resp_parse(&parser, buf_slice(&line), &used, &error), RESP_COMMAND);
    assert_int_equal(parser.argv[1].len, 50000);
    size_t held = resp_parser_bytes(&parser);
    for (int i = 0; i < 100; i++)
        assert_int_equal(resp_parse(&parser, buf_slice(&line), &used, &error), RESP_COMMAND);
    assert_int_equal(resp_parser_bytes(&parser), held);
    resp_parser_trim(&parser);
    assert_true(resp_parser_bytes(&parser) < 1024);
    buf_fini(&line);
    resp_parser_fini(&parser);
}

/* Arguments written with every byte escaped or quoted in some way come back as they were. */
static void random_words_survive_quoting(void **state)
{
    (void)state;
    struct dice dice;
    dice_init(&dice);
    for (int round = 0; round < 3000; round++) {
        struct buf input = {0};
        struct buf wanted = {0};
        size_t words = 1 + dice_below(&dice, 5);
        for (size_t i = 0; i < words; i++) {
            size_t size = dice_below(&dice, 30);
            buf_append_format(&wanted, "%zu:", size);
            buf_append_byte(&input, '"');
            for (size_t j = 0; j < size; j++) {
                uint8_t byte = (uint8_t)dice_next(&dice);
                bool is_plain = byte != '"' && byte != '\\' && byte != '\n' && byte != '\r';
                buf_append_byte(&wanted, byte);
                if (is_plain && dice_below(&dice, 2) == 0)
                    buf_append_byte(&input, byte);
                else
                    buf_append_format(&input, dice_below(&dice, 2) ? "\\x%02x" : "\\x%02X", byte);
            }
            buf_append_str(&input, "\" ");
            buf_append_byte(&wanted, ' ');
        }
        buf_append_byte(&input, '\n');
        buf_append_byte(&wanted, '\n');
        size_t cut = dice_below(&dice, input.len);
        struct buf log = respfeed(&defaults, buf_slice(&input), &cut, 1);
        assert_true(slice_eq(buf_slice(&log), buf_slice(&wanted)));
        buf_fini(&input);
        buf_fini(&wanted);
        buf_fini(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_parse_whole),
        cmocka_unit_test(one_cut_anywhere_changes_nothing),
        cmocka_unit_test(byte_by_byte_changes_nothing),
        cmocka_unit_test(nul_is_a_byte_like_any_other),
        cmocka_unit_test(a_line_full_of_quotes_fits_the_storage),
        cmocka_unit_test(storage_is_reused_and_trimmed),
        cmocka_unit_test(random_words_survive_quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
