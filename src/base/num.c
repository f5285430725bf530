/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define MAX_FLOAT_TEXT 5120

bool num_parse_u64(struct slice text, uint64_t *out)
{
    if (text.len == 0 || text.len > 20 || (text.data[0] == '0' && text.len > 1))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9)
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

bool num_parse_i64(struct slice text, int64_t *out)
{
    bool is_negative = text.len > 1 && text.data[0] == '-';
    uint64_t magnitude;
    if (!num_parse_u64(slice_sub(text, is_negative ? 1 : 0, text.len), &magnitude))
        return false;
    if (is_negative) {
        /* "-0" is not an integer to Redis either. */
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1)
            return false;
        *out = (int64_t)(0 - magnitude);
        return true;
    }
    if (magnitude > INT64_MAX)
        return false;
    *out = (int64_t)magnitude;
    return true;
}

/* Copies the text into a C string for strtod; refuses what Redis refuses before that. */
static bool float_text(struct slice text, char *to, size_t size)
{
    if (text.len == 0 || text.len >= size || text.data[0] == ' ' ||
        memchr(text.data, '\0', text.len) != NULL)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == 'x' || text.data[i] == 'X')
            return false;
    }
    memcpy(to, text.data, text.len);
    to[text.len] = '\0';
    return true;
}

bool num_parse_long_double(struct slice text, long double *out)
{
    char copy[MAX_FLOAT_TEXT];
    if (!float_text(text, copy, sizeof(copy)))
        return false;
    char *end;
    errno = 0;
    long double v = strtold(copy, &end);
    bool is_out_of_range =
        errno == ERANGE && (v == HUGE_VALL || v == -HUGE_VALL || fpclassify(v) == FP_ZERO);
    if (end != copy + text.len || is_out_of_range || isnan(v))
        return false;
    *out = v;
    return true;
}

bool num_parse_double(struct slice text, double *out)
{
    char copy[MAX_FLOAT_TEXT];
    if (!float_text(text, copy, sizeof(copy)))
        return false;
    char *end;
    errno = 0;
    double v = strtod(copy, &end);
    bool is_out_of_range =
        errno == ERANGE && (v == HUGE_VAL || v == -HUGE_VAL || fpclassify(v) == FP_ZERO);
    if (end != copy + text.len || is_out_of_range || isnan(v))
        return false;
    *out = v;
    return true;
}

size_t num_format_u64(char *to, uint64_t v)
{
    char reversed[NUM_I64_SIZE];
    size_t len = 0;
    do {
        reversed[len++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < len; i++)
        to[i] = reversed[len - 1 - i];
    return len;
}

size_t num_format_i64(char *to, int64_t v)
{
    if (v >= 0)
        return num_format_u64(to, (uint64_t)v);
    to[0] = '-';
    return 1 + num_format_u64(to + 1, 0 - (uint64_t)v);
}

size_t num_format_double(char *to, double v)
{
    if (isinf(v))
        return (size_t)snprintf(to, NUM_DOUBLE_SIZE, v > 0 ? "inf" : "-inf");
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v && !(v == 0 && signbit(v)))
        return num_format_i64(to, (int64_t)v);
    /* 17 digits always read back; fewer often do, and are what people expect to see. */
    for (int digits = 15; digits < 17; digits++) {
        int len = snprintf(to, NUM_DOUBLE_SIZE, "%.*g", digits, v);
        if (strtod(to, NULL) == v)
            return (size_t)len;
    }
    return (size_t)snprintf(to, NUM_DOUBLE_SIZE, "%.17g", v);
}

bool num_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

bool num_parse_bytes(struct slice text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"kb", 1024}, {"mb", 1024 * 1024}, {"gb", 1024ULL * 1024 * 1024},
        {"k", 1000},  {"m", 1000 * 1000},  {"g", 1000ULL * 1000 * 1000},
        {"b", 1},
    };
    uint64_t factor = 1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i].suffix);
        if (text.len > len &&
            strncasecmp((const char *)text.data + text.len - len, units[i].suffix, len) == 0) {
            factor = units[i].factor;
            text.len -= len;
            break;
        }
    }
    uint64_t v;
    if (!num_parse_u64(text, &v))
        return false;
    return !__builtin_mul_overflow(v, factor, out);
}
