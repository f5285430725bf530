/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/parser.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/cmocka.h"
#include "support/dice.h"
#include "support/respfeed.h"

static const struct resp_limits defaults = RESP_LIMITS_DEFAULT;

static const struct resp_limits unauthenticated = {
    .max_bulk_size = 1000000, .max_args = 1000, .max_inline_size = 64, .is_unauthenticated = true};

static const struct resp_limits tiny = {.max_bulk_size = 12, .max_args = 3, .max_inline_size = 8};

/* `input` from a literal that may hold NUL; `log` as respfeed.h says. */
struct parse_case {
    const struct resp_limits *limits;
    struct slice input;
    const char *log;
};

#define CASE(limits, input, log)                 \
    {                                            \
        &(limits), SLICE_LIT_INIT(input), (log), \
    }
#define SLICE_LIT_INIT(text)                                     \
    {                                                            \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1 \
    }

#define COUNT_ERROR  "error invalid multibulk length\n"
#define LENGTH_ERROR "error invalid bulk length\n"

static const struct parse_case cases[] = {
    CASE(defaults, "*1\r\n$4\r\nPING\r\n", "4:PING \n"),
    CASE(defaults, "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "4:ECHO 0: \n"),
    CASE(defaults, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nab\r\n$5\r\n\0\xff*1\r\n",
         "3:SET 1:k 12:ab\r\n$5\r\n\0\xff*\n"),
    CASE(defaults, "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n$1\r\nx\r\n",
         "4:PING \n3:GET 1:k \n4:PING \n1:x \n"),
    /* Empty commands. */
    CASE(defaults, "*0\r\n*-1\r\n*-5\r\n*-2147483649\r\n*1\r\n$1\r\nx\r\n", "\n\n\n\n1:x \n"),
    CASE(defaults, "\r\n\n  \r\nPING\r\n", "\n\n\n4:PING \n"),
    /* Neither the LF of a line nor the two bytes behind an argument are looked at. */
    CASE(defaults, "*2\rX$1\rYaZZ$1\r\nb!!PING\n", "1:a 1:b \n4:PING \n"),
    /* Not whole. */
    CASE(defaults, "*", "more\n"),
    CASE(defaults, "*1", "more\n"),
    CASE(defaults, "*1\r", "more\n"),
    CASE(defaults, "*1\r\n", "more\n"),
    CASE(defaults, "*1\r\n$4\r", "more\n"),
    CASE(defaults, "*1\r\n$4\r\nPING", "more\n"),
    CASE(defaults, "*1\r\n$4\r\nPING\r", "more\n"),
    CASE(defaults, "*1\n$4\nPING\n", "more\n"),
    CASE(defaults, "*1\r\nabc", "more\n"),
    CASE(defaults, "*1048576\r\n", "more\n"),
    CASE(defaults, "*1\r\n$536870912\r\n", "more\n"),
    /* Counts. */
    CASE(defaults, "*\r\n", COUNT_ERROR),
    CASE(defaults, "*a\r\n", COUNT_ERROR),
    CASE(defaults, "* 1\r\n", COUNT_ERROR),
    CASE(defaults, "*1 \r\n", COUNT_ERROR),
    CASE(defaults, "*+1\r\n$1\r\nx\r\n", COUNT_ERROR),
    CASE(defaults, "*-0\r\n", COUNT_ERROR),
    CASE(defaults, "*-\r\n", COUNT_ERROR),
    CASE(defaults, "*01\r\n$1\r\nx\r\n", COUNT_ERROR),
    CASE(defaults, "*00\r\n", COUNT_ERROR),
    CASE(defaults, "*1\0\r\n", COUNT_ERROR),
    CASE(defaults, "*1048577\r\n", COUNT_ERROR),
    CASE(defaults, "*2147483648\r\n", COUNT_ERROR),
    CASE(defaults, "*4294967297\r\n$1\r\nx\r\n", COUNT_ERROR),
    CASE(defaults, "*18446744073709551617\r\n$1\r\nx\r\n", COUNT_ERROR),
    CASE(defaults, "*10000000000000000000000000001\r\n$1\r\nx\r\n", COUNT_ERROR),
    CASE(defaults, "*1\r\n$1\r\nx\r\n*x\r\n", "1:x \n" COUNT_ERROR),
    /* Lengths. */
    CASE(defaults, "*1\r\n$-1\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$-2\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$-0\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$+5\r\nhello\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$05\r\nhello\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$5 \r\nhello\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$0x5\r\nhello\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$536870913\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$4294967297\r\nx\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$18446744073709551615\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$18446744073709551617\r\nx\r\n", LENGTH_ERROR),
    CASE(defaults, "*1\r\n$99999999999999999999\r\n", LENGTH_ERROR),
    CASE(defaults, "*2\r\n$1\r\nx\r\n$-1\r\n", LENGTH_ERROR),
    /* Types. */
    CASE(defaults, "*1\r\nPING\r\n", "error expected '$', got 'P'\n"),
    CASE(defaults, "*1\r\n:4\r\n", "error expected '$', got ':'\n"),
    CASE(defaults, "*1\r\n\r\n", "error expected '$', got ' '\n"),
    CASE(defaults, "*1\r\n\n\r\n", "error expected '$', got ' '\n"),
    CASE(defaults, "*1\r\n\0\r\n", "error expected '$', got ' '\n"),
    CASE(defaults, "*1\r\n\xe9\r\n", "error expected '$', got '\xe9'\n"),
    CASE(defaults, "*2\r\n$1\r\nx\r\n*1\r\n", "error expected '$', got '*'\n"),
    CASE(defaults, "$4\r\nPING\r\n", "2:$4 \n4:PING \n"),
    /* Limits. */
    CASE(tiny, "*3\r\n$1\r\na\r\n$0\r\n\r\n$12\r\n0123456789ab\r\n", "1:a 0: 12:0123456789ab \n"),
    CASE(tiny, "*4\r\n$1\r\na\r\n", COUNT_ERROR),
    CASE(tiny, "*1\r\n$13\r\n", LENGTH_ERROR),
    CASE(tiny, "*1234567\r\n", COUNT_ERROR),
    CASE(tiny, "*12345678\r\n", "error too big mbulk count string\n"),
    CASE(tiny, "*12345678", "error too big mbulk count string\n"),
    CASE(tiny, "*1234567", "more\n"),
    CASE(tiny, "*1\r\n$1234567\r\n", LENGTH_ERROR),
    CASE(tiny, "*1\r\n$12345678\r\n", "error too big bulk count string\n"),
    CASE(tiny, "*1\r\nx12345678", "error too big bulk count string\n"),
    CASE(unauthenticated, "*10\r\n", "more\n"),
    CASE(unauthenticated, "*11\r\n", "error unauthenticated multibulk length\n"),
    CASE(unauthenticated, "*2147483647\r\n", "error unauthenticated multibulk length\n"),
    CASE(unauthenticated, "*2147483648\r\n", COUNT_ERROR),
    CASE(unauthenticated, "*1\r\n$16384\r\n", "more\n"),
    CASE(unauthenticated, "*1\r\n$16385\r\n", "error unauthenticated bulk length\n"),
    CASE(unauthenticated, "*1\r\n$1000001\r\n", LENGTH_ERROR),
    CASE(unauthenticated, "*1\r\n$4\r\nPING\r\n", "4:PING \n"),
};

static void expect_log(const struct parse_case *wanted, const size_t *cuts, size_t cut_count)
{
    struct buf log = respfeed(wanted->limits, wanted->input, cuts, cut_count);
    /* The expected text may hold NUL where the input does: compare what strings can hold. */
    buf_append_byte(&log, '\0');
    if (strcmp((const char *)log.data, wanted->log) != 0) {
        print_error("input %.*s\ncuts %zu, first %zu\n", SLICE_FMT(wanted->input), cut_count,
                    cut_count > 0 ? cuts[0] : 0);
        assert_string_equal((const char *)log.data, wanted->log);
    }
    buf_fini(&log);
}

static void requests_parse_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect_log(&cases[i], NULL, 0);
}

static void one_cut_anywhere_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].input.len; cut++)
            expect_log(&cases[i], &cut, 1);
    }
}

static void byte_by_byte_changes_nothing(void **state)
{
    (void)state;
    size_t cuts[256];
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++)
        cuts[i] = i;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_true(cases[i].input.len < ARRAY_COUNT(cuts));
        expect_log(&cases[i], cuts, cases[i].input.len);
    }
}

static void nul_bytes_are_part_of_arguments(void **state)
{
    (void)state;
    struct buf log = respfeed(&defaults, SLICE_LIT("*2\r\n$3\r\na\0b\r\n$1\r\n\0\r\n"), NULL, 0);
    assert_true(slice_eq(buf_slice(&log), SLICE_LIT("3:a\0b 1:\0 \n")));
    buf_fini(&log);
}

static void an_error_stays(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    size_t used;
    const char *error = NULL;
    assert_int_equal(resp_parse(&parser, SLICE_LIT("*x\r\n"), &used, &error), RESP_ERROR);
    error = NULL;
    assert_int_equal(resp_parse(&parser, SLICE_LIT("*1\r\n$4\r\nPING\r\n"), &used, &error),
                     RESP_ERROR);
    assert_string_equal(error, "invalid multibulk length");
    assert_int_equal(used, 0);
    resp_parser_fini(&parser);
}

static void limits_may_change_between_commands(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &unauthenticated);
    size_t used;
    const char *error;
    struct slice eleven = SLICE_LIT("*11\r\n");
    assert_int_equal(resp_parse(&parser, SLICE_LIT("*1\r\n$1\r\nx\r\n"), &used, &error),
                     RESP_COMMAND);
    parser.limits = &defaults;
    assert_int_equal(resp_parse(&parser, eleven, &used, &error), RESP_MORE);
    resp_parser_fini(&parser);
}

static void need_tells_the_end_of_the_argument(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    size_t used;
    const char *error;
    struct slice head = SLICE_LIT("*2\r\n$1\r\nx\r\n$1000000\r\nabc");
    assert_int_equal(resp_parse(&parser, head, &used, &error), RESP_MORE);
    assert_int_equal(resp_parser_need(&parser, head.len), head.len - 3 + 1000000 + 2);
    assert_int_equal(resp_parser_pending_args(&parser), 1);
    resp_parser_fini(&parser);

    resp_parser_init(&parser, &defaults);
    assert_int_equal(resp_parse(&parser, SLICE_LIT("*2\r\n$1"), &used, &error), RESP_MORE);
    assert_int_equal(resp_parser_need(&parser, 6), 7);
    resp_parser_fini(&parser);
}

static void announced_arguments_take_no_memory(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    size_t used;
    const char *error;
    assert_int_equal(resp_parser_bytes(&parser), 0);
    assert_int_equal(resp_parse(&parser, SLICE_LIT("*1048576\r\n$1\r\nx\r\n"), &used, &error),
                     RESP_MORE);
    assert_true(resp_parser_bytes(&parser) <= 256);
    assert_int_equal(resp_parser_need(&parser, 17), 18);
    resp_parser_fini(&parser);
}

static void argv_is_reused_and_trimmed(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    size_t used;
    const char *error;
    struct buf big = {0};
    buf_append_str(&big, "*1000\r\n");
    for (int i = 0; i < 1000; i++)
        buf_append_str(&big, "$1\r\nx\r\n");
    assert_int_equal(resp_parse(&parser, buf_slice(&big), &used, &error), RESP_COMMAND);
    assert_int_equal(parser.argc, 1000);
    size_t held = resp_parser_bytes(&parser);
    const struct slice *argv = parser.argv;
    for (int i = 0; i < 100; i++)
        assert_int_equal(resp_parse(&parser, buf_slice(&big), &used, &error), RESP_COMMAND);
    assert_ptr_equal(parser.argv, argv);
    assert_int_equal(resp_parser_bytes(&parser), held);

    /* In the middle of a command nothing is given back. */
    struct slice half = slice_sub(buf_slice(&big), 0, 5000);
    assert_int_equal(resp_parse(&parser, half, &used, &error), RESP_MORE);
    resp_parser_trim(&parser);
    assert_int_equal(resp_parser_bytes(&parser), held);
    assert_int_equal(resp_parse(&parser, buf_slice(&big), &used, &error), RESP_COMMAND);
    resp_parser_trim(&parser);
    assert_int_equal(resp_parser_bytes(&parser), 0);
    assert_int_equal(resp_parse(&parser, buf_slice(&big), &used, &error), RESP_COMMAND);
    assert_int_equal(parser.argc, 1000);
    buf_fini(&big);
    resp_parser_fini(&parser);
}

/* Whoever starts again at each call needs minutes for this. */
static void a_long_command_byte_by_byte_is_not_quadratic(void **state)
{
    (void)state;
    enum { ARGS = 200000 };
    struct buf big = {0};
    buf_append_format(&big, "*%d\r\n", ARGS);
    for (int i = 0; i < ARGS; i++)
        buf_append_str(&big, "$1\r\nx\r\n");
    struct resp_parser parser;
    resp_parser_init(&parser, &defaults);
    size_t used;
    const char *error;
    for (size_t have = 1; have < big.len; have++) {
        struct slice input = slice_of(big.data, have);
        assert_int_equal(resp_parse(&parser, input, &used, &error), RESP_MORE);
    }
    assert_int_equal(resp_parse(&parser, buf_slice(&big), &used, &error), RESP_COMMAND);
    assert_int_equal(used, big.len);
    assert_int_equal(parser.argc, ARGS);
    assert_ptr_equal(parser.argv[ARGS - 1].data, big.data + big.len - 3);
    buf_fini(&big);
    resp_parser_fini(&parser);
}

static void lines_end_within_64_kib(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *end;
        const char *error;
    } lines[] = {
        {"", "\n", "error too big inline request\n"},
        {"*", "\r\n", "error too big mbulk count string\n"},
        {"*1\r\n$", "\r\n", "error too big bulk count string\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        size_t front = strlen(lines[i].head);
        size_t counted = front > 0 ? 1 : 0;
        struct buf input = {0};
        buf_append_str(&input, lines[i].head);
        memset(buf_extend(&input, 65536 - counted), '1', 65536 - counted);
        struct buf fits = respfeed(&defaults, buf_slice(&input), NULL, 0);
        assert_true(slice_eq(buf_slice(&fits), SLICE_LIT("more\n")));
        buf_append_byte(&input, '1');
        struct buf open = respfeed(&defaults, buf_slice(&input), NULL, 0);
        assert_true(slice_eq(buf_slice(&open), slice_str(lines[i].error)));
        buf_append_str(&input, lines[i].end);
        struct buf ended = respfeed(&defaults, buf_slice(&input), NULL, 0);
        assert_true(slice_eq(buf_slice(&ended), slice_str(lines[i].error)));
        buf_fini(&input);
        buf_fini(&fits);
        buf_fini(&open);
        buf_fini(&ended);
    }
}

/* ---- Random round trips ---- */

static size_t random_size(struct dice *dice)
{
    switch (dice_below(dice, 8)) {
    case 0:
        return 0;
    case 1:
        return dice_below(dice, 2000);
    default:
        return dice_below(dice, 20);
    }
}

static void append_random_command(struct dice *dice, struct buf *input, struct buf *log)
{
    size_t argc = dice_below(dice, 20) == 0 ? dice_below(dice, 300) : dice_below(dice, 6);
    buf_append_format(input, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        size_t size = random_size(dice);
        buf_append_format(input, "$%zu\r\n", size);
        buf_append_format(log, "%zu:", size);
        for (size_t j = 0; j < size; j++) {
            uint8_t byte = (uint8_t)dice_next(dice);
            buf_append_byte(input, byte);
            buf_append_byte(log, byte);
        }
        buf_append_str(input, "\r\n");
        buf_append_byte(log, ' ');
    }
    buf_append_byte(log, '\n');
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void random_pipelines_survive_random_cuts(void **state)
{
    (void)state;
    struct dice dice;
    dice_init(&dice);
    for (int round = 0; round < 2000; round++) {
        struct buf input = {0};
        struct buf wanted = {0};
        size_t commands = 1 + dice_below(&dice, 8);
        for (size_t i = 0; i < commands; i++)
            append_random_command(&dice, &input, &wanted);
        size_t cuts[32];
        size_t cut_count = dice_below(&dice, ARRAY_COUNT(cuts));
        for (size_t i = 0; i < cut_count; i++)
            cuts[i] = dice_below(&dice, input.len + 1);
        qsort(cuts, cut_count, sizeof(cuts[0]), by_value);
        struct buf log = respfeed(&defaults, buf_slice(&input), cuts, cut_count);
        assert_true(slice_eq(buf_slice(&log), buf_slice(&wanted)));
        buf_fini(&input);
        buf_fini(&wanted);
        buf_fini(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_parse_whole),
        cmocka_unit_test(one_cut_anywhere_changes_nothing),
        cmocka_unit_test(byte_by_byte_changes_nothing),
        cmocka_unit_test(nul_bytes_are_part_of_arguments),
        cmocka_unit_test(an_error_stays),
        cmocka_unit_test(limits_may_change_between_commands),
        cmocka_unit_test(need_tells_the_end_of_the_argument),
        cmocka_unit_test(announced_arguments_take_no_memory),
        cmocka_unit_test(argv_is_reused_and_trimmed),
        cmocka_unit_test(a_long_command_byte_by_byte_is_not_quadratic),
        cmocka_unit_test(lines_end_within_64_kib),
        cmocka_unit_test(random_pipelines_survive_random_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
