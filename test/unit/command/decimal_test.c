/* SPDX-License-Identifier: Apache-2.0 */
#include "command/string/decimal.h"

#include <stdio.h>

#include "support/cmocka.h"
#include "support/random.h"

/* The sum as text; "refused" for a text that is no number, "infinite" for a sum that is none. */
static const char *sum_of(const char *a, const char *b)
{
    static char text[DECIMAL_TEXT_SIZE + 1];
    struct decimal sum;
    struct decimal more;
    if (!decimal_parse(slice_str(a), &sum) || !decimal_parse(slice_str(b), &more))
        return "refused";
    if (!decimal_add(&sum, &more))
        return "infinite";
    size_t len = decimal_format(text, &sum);
    assert_in_range(len, 1, DECIMAL_TEXT_SIZE);
    text[len] = '\0';
    return text;
}

static void expect_sum(const char *a, const char *b, const char *want)
{
    assert_string_equal(sum_of(a, b), want);
    assert_string_equal(sum_of(b, a), want);
}

static void sums_are_exact(void **state)
{
    (void)state;
    expect_sum("10.5", "0.1", "10.6");
    expect_sum("5.0e3", "2.0e2", "5200");
    expect_sum("0.1", "0.2", "0.3");
    expect_sum("3.0e3", "1.1", "3001.1");
    expect_sum("1000000.1", "0.2", "1000000.3");
    expect_sum("9007199254740993", "0.5", "9007199254740993.5");
    expect_sum("123456789012345678901234567890", "1", "123456789012345678901234567891");
    expect_sum("9.99", "0.01", "10");
    expect_sum("-1", "1", "0");
    expect_sum("-0", "0", "0");
    expect_sum("-0.5", "0.25", "-0.25");
    expect_sum("1", "-1.00000000000000001", "-0.00000000000000001");
    expect_sum("100", "-0.1", "99.9");
    expect_sum("0", "3.000", "3");
    expect_sum("+7", "-3", "4");
    expect_sum(".5", "5.", "5.5");
    expect_sum("1e+2", "1E-2", "100.01");
    expect_sum("00012", "0", "12");
    expect_sum("0e99999999999999999999", "0", "0");
}

static void seventeen_digits_are_shown(void **state)
{
    (void)state;
    expect_sum("0.123456789012345674", "0", "0.12345678901234567");
    expect_sum("0.123456789012345675", "0", "0.12345678901234568");
    expect_sum("-0.123456789012345675", "0", "-0.12345678901234568");
    expect_sum("0.000000000000000004", "0.000000000000000004", "0.00000000000000001");
    expect_sum("0.000000000000000004", "0", "0");
    expect_sum("-0.000000000000000004", "0", "0");
    expect_sum("0.99999999999999999", "0.000000000000000005", "1");
    expect_sum("9.999999999999999995", "0", "10");
    expect_sum("1e-4950", "0", "0");
}

static void infinity_is_no_result(void **state)
{
    (void)state;
    expect_sum("inf", "1", "infinite");
    expect_sum("-Infinity", "1", "infinite");
    expect_sum("+INF", "-inf", "infinite");
    char large[400];
    memset(large, '9', DECIMAL_WHOLE);
    large[DECIMAL_WHOLE] = '\0';
    expect_sum(large, "0", large);
    expect_sum(large, "1", "infinite");
    expect_sum(large, "0.999999999999999996", "infinite");
    char negative[401] = "-";
    memcpy(negative + 1, large, DECIMAL_WHOLE + 1);
    expect_sum(negative, "-1", "infinite");
    expect_sum(negative, large, "0");
    large[DECIMAL_WHOLE] = '9';
    large[DECIMAL_WHOLE + 1] = '\0';
    expect_sum(large, "1", "refused");
    expect_sum("1e308", "9e308", "infinite");
    expect_sum("1e309", "1", "refused");
}

static void what_is_no_number(void **state)
{
    (void)state;
    const char *refused[] = {
        "",
        " 1",
        "1 ",
        "abc",
        "nan",
        "-nan",
        "1e",
        "1e+",
        "e5",
        "--1",
        "+-1",
        "1.2.3",
        ".",
        "-.",
        "0x10",
        "1,5",
        "inf1",
        "infin",
        "1e99999999999",
        "1e-99999999999",
        "1_000",
        "\t1",
        "1e5.5",
        "-",
        "+",
        "1e-4952",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect_sum(refused[i], "1", "refused");
    struct decimal number;
    assert_false(decimal_parse(SLICE_LIT("1\0"), &number));
    assert_false(decimal_parse(SLICE_LIT("1\0002"), &number));
    char zeros[6000];
    memset(zeros, '0', sizeof(zeros));
    assert_true(decimal_parse(slice_of(zeros, 5119), &number));
    assert_false(decimal_parse(slice_of(zeros, 5120), &number));
    /* Digits far beyond the range, with an exponent that brings them back. */
    memset(zeros, '1', 5000);
    memcpy(zeros + 5000, "e-4999", 6);
    assert_true(decimal_parse(slice_of(zeros, 5006), &number));
}

__extension__ typedef __int128 wide;

/* n / 10^scale as text. */
static void print_scaled(wide n, int scale, char *to)
{
    char digits[64];
    int len = 0;
    bool is_negative = n < 0;
    for (n = is_negative ? -n : n; n > 0 || len <= scale; n /= 10)
        digits[len++] = (char)('0' + (int)(n % 10));
    if (is_negative)
        *to++ = '-';
    while (len > 0) {
        *to++ = digits[--len];
        if (len == scale && scale > 0)
            *to++ = '.';
    }
    *to = '\0';
}

static void drop_zeros(char *text)
{
    char *end = text + strlen(text);
    if (strchr(text, '.') != NULL) {
        while (end[-1] == '0')
            *--end = '\0';
        if (end[-1] == '.')
            *--end = '\0';
    }
    if (strcmp(text, "-0") == 0)
        memcpy(text, "0", 2);
}

/* Against integers of 128 bits, scaled. */
static void random_sums(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    for (int i = 0; i < 100000; i++) {
        int scale = (int)random_below(&random, 18);
        int shift = (int)random_below(&random, 64);
        int64_t a = (int64_t)random_next(&random) >> shift;
        int64_t b = (int64_t)random_next(&random) >> random_below(&random, 64);
        char left[64];
        char right[64];
        char want[64];
        print_scaled(a, scale, left);
        print_scaled(b, scale, right);
        print_scaled((wide)a + b, scale, want);
        drop_zeros(want);
        assert_string_equal(sum_of(left, right), want);
    }
}

/* What is stored and read again is the same number. */
static void a_printed_sum_reads_back(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    char value[DECIMAL_TEXT_SIZE + 1] = "0";
    for (int i = 0; i < 20000; i++) {
        char step[64];
        snprintf(step, sizeof(step), "%s%u.%017llue%d", random_below(&random, 2) == 0 ? "-" : "",
                 (unsigned)random_below(&random, 1000),
                 (unsigned long long)random_below(&random, 100000000000000000ULL),
                 (int)random_below(&random, 60) - 30);
        char next[DECIMAL_TEXT_SIZE + 1];
        snprintf(next, sizeof(next), "%s", sum_of(value, step));
        assert_string_equal(sum_of(next, "0"), next);
        memcpy(value, next, sizeof(value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact),        cmocka_unit_test(seventeen_digits_are_shown),
        cmocka_unit_test(infinity_is_no_result), cmocka_unit_test(what_is_no_number),
        cmocka_unit_test(random_sums),           cmocka_unit_test(a_printed_sum_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
