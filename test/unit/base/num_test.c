/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <math.h>

#include "support/cmocka.h"

static void integers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
        {"123456789012345678901234567890", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t v = 42;
        assert_int_equal(num_parse_i64(slice_str(cases[i].text), &v), cases[i].is_valid);
        assert_int_equal(v, cases[i].is_valid ? cases[i].value : 42);
    }
}

static void integers_read_back_as_printed(void **state)
{
    (void)state;
    const int64_t values[] = {0, 1, -1, 9, 10, -10, 12345, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[NUM_I64_SIZE];
        size_t len = num_format_i64(text, values[i]);
        int64_t back;
        assert_true(num_parse_i64(slice_of(text, len), &back));
        assert_int_equal(back, values[i]);
    }
}

static void doubles_print_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {3.5, "3.5"},
        {0.1, "0.1"},
        {-2.25, "-2.25"},
        {100000, "100000"},
        {1e17, "100000000000000000"},
        {123456789012345678.0, "123456789012345680"},
        {0x1p62, "4611686018427387904"},
        {9e18, "9e+18"},
        {1e20, "1e+20"},
        {12345678901234567890.0, "12345678901234567000"},
        {-1.5e300, "-1.5e+300"},
        {1e100, "1e+100"},
        {0.00001, "0.00001"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {0.0000012345, "1.2345e-6"},
        {0.00084593, "8.4593e-4"},
        {123.456, "123.456"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {HUGE_VAL, "inf"},
        {-HUGE_VAL, "-inf"},
        {-__builtin_nan(""), "nan"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[NUM_DOUBLE_SIZE];
        size_t len = num_format_double(text, cases[i].value);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, len);
    }
}

static void doubles_read_back_as_printed(void **state)
{
    (void)state;
    /* Bit patterns all over the range, from a fixed walk. */
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double v;
        memcpy(&v, &bits, sizeof(v));
        char text[NUM_DOUBLE_SIZE];
        size_t len = num_format_double(text, v);
        assert_in_range(len, 1, 25);
        double back;
        if (isnan(v))
            continue;
        assert_true(num_parse_double(slice_of(text, len), &back));
        assert_memory_equal(&back, &v, sizeof(v));
    }
}

static void odd_floats_are_refused(void **state)
{
    (void)state;
    const char *bad[] = {"", " 1", "1 ", "nan", "0x10", "1e400", "abc", "1e-400"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double v;
        assert_false(num_parse_double(slice_str(bad[i]), &v));
    }
    double v;
    assert_true(num_parse_double(SLICE_LIT("inf"), &v));
    assert_true(num_parse_double(SLICE_LIT("-1.5e3"), &v));
    assert_true(v == -1500);
}

static void sizes_take_units(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(num_parse_bytes(SLICE_LIT("1k"), &v) && v == 1000);
    assert_true(num_parse_bytes(SLICE_LIT("1Kb"), &v) && v == 1024);
    assert_true(num_parse_bytes(SLICE_LIT("2gb"), &v) && v == 2147483648ULL);
    assert_true(num_parse_bytes(SLICE_LIT("7b"), &v) && v == 7);
    assert_false(num_parse_bytes(SLICE_LIT("b"), &v));
    assert_false(num_parse_bytes(SLICE_LIT("1tb"), &v));
    assert_false(num_parse_bytes(SLICE_LIT("18446744073709551615k"), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_strict),    cmocka_unit_test(integers_read_back_as_printed),
        cmocka_unit_test(doubles_print_short),    cmocka_unit_test(doubles_read_back_as_printed),
        cmocka_unit_test(odd_floats_are_refused), cmocka_unit_test(sizes_take_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
