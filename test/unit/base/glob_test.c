/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include "support/cmocka.h"

static void patterns_match_as_in_redis(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool is_match;
    } cases[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbbd", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[abc]x", "bx", true},
        {"[^abc]x", "bx", false},
        {"[a-c]x", "bx", true},
        {"[c-a]x", "bx", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a[\\]]b", "a]b", true},
        {"", "", true},
        {"", "a", false},
        {"**a**", "bab", true},
        {"h[ae]llo", "hillo", false},
        {"user:*:name", "user:1:name", true},
        {"[", "[", false},
        {"a\\", "a\\", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool got = glob_match(slice_str(cases[i].pattern), slice_str(cases[i].text), false);
        if (got != cases[i].is_match)
            print_error("pattern %s text %s\n", cases[i].pattern, cases[i].text);
        assert_int_equal(got, cases[i].is_match);
    }
    assert_true(glob_match(SLICE_LIT("MAX*"), SLICE_LIT("maxmemory"), true));
    assert_false(glob_match(SLICE_LIT("MAX*"), SLICE_LIT("maxmemory"), false));
}

static void many_stars_stay_polynomial(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'a', sizeof(text));
    struct slice pattern = SLICE_LIT("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");
    assert_false(glob_match(pattern, slice_of(text, sizeof(text)), false));
}

static void too_many_stars_fit_nothing(void **state)
{
    (void)state;
    char pattern[2 * GLOB_MAX_STARS + 8];
    char text[GLOB_MAX_STARS + 2];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    struct slice most = slice_of(pattern, 2 * GLOB_MAX_STARS);
    assert_true(glob_match(most, slice_of(text, sizeof(text)), false));
    struct slice one_at_the_end = slice_of(pattern, 2 * GLOB_MAX_STARS + 1);
    assert_true(glob_match(one_at_the_end, slice_of(text, sizeof(text)), false));
    struct slice one_more = slice_of(pattern, 2 * GLOB_MAX_STARS + 2);
    assert_false(glob_match(one_more, slice_of(text, sizeof(text)), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_redis),
        cmocka_unit_test(many_stars_stay_polynomial),
        cmocka_unit_test(too_many_stars_fit_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
