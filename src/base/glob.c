/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <ctype.h>

static uint8_t fold(uint8_t c, bool nocase)
{
    return nocase ? (uint8_t)tolower(c) : c;
}

/* Matches `c` against the class that begins behind '[' at *at; moves *at behind its ']'.
 * A class without ']' reaches to the end of the pattern. */
static bool match_class(struct slice pattern, size_t *at, uint8_t c, bool nocase)
{
    size_t i = *at;
    bool is_negated = i < pattern.len && pattern.data[i] == '^';
    if (is_negated)
        i++;
    bool is_match = false;
    for (; i < pattern.len && pattern.data[i] != ']'; i++) {
        if (pattern.data[i] == '\\' && i + 1 < pattern.len) {
            i++;
            is_match |= fold(pattern.data[i], nocase) == c;
        } else if (i + 2 < pattern.len && pattern.data[i + 1] == '-') {
            uint8_t low = fold(pattern.data[i], nocase);
            uint8_t high = fold(pattern.data[i + 2], nocase);
            if (low > high) {
                uint8_t swap = low;
                low = high;
                high = swap;
            }
            is_match |= c >= low && c <= high;
            i += 2;
        } else {
            is_match |= fold(pattern.data[i], nocase) == c;
        }
    }
    *at = i < pattern.len ? i + 1 : i;
    return is_match != is_negated;
}

/* Matches one character against the pattern's element at *at (which is not '*') and steps over
 * that element. */
static bool match_one(struct slice pattern, size_t *at, uint8_t c, bool nocase)
{
    uint8_t p = pattern.data[(*at)++];
    c = fold(c, nocase);
    if (p == '?')
        return true;
    if (p == '[')
        return match_class(pattern, at, c, nocase);
    if (p == '\\' && *at < pattern.len)
        p = pattern.data[(*at)++];
    return fold(p, nocase) == c;
}

/* The usual two-pointer walk: on a mismatch go back to the last star and let it eat one more. */
bool glob_match(struct slice pattern, struct slice text, bool nocase)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t star_text = 0;
    size_t star_count = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            while (p < pattern.len && pattern.data[p] == '*')
                p++;
            if (p == pattern.len)
                return true;
            if (++star_count > GLOB_MAX_STARS)
                return false;
            star = p;
            star_text = t;
            continue;
        }
        size_t next = p;
        if (p < pattern.len && match_one(pattern, &next, text.data[t], nocase)) {
            p = next;
            t++;
            continue;
        }
        if (star == SIZE_MAX)
            return false;
        p = star;
        t = ++star_text;
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}
