/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <errno.h>
#include <float.h>
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

/* The shortest decimal digits that read back as `v` (positive, finite): v = 0.d1d2d3... * 10^point.
 * Returns how many; `digits` has room for 17. */
static size_t shortest_digits(double v, char *digits, int *out_point)
{
    char text[32]; /* "d.ddde+ddd" */
    /* 15 digits always survive, but for numbers next to zero, which hold fewer. */
    int precision = v < DBL_MIN ? 0 : 14;
    do
        snprintf(text, sizeof(text), "%.*e", precision, v);
    while (strtod(text, NULL) != v && precision++ < 16);
    char *exponent = strchr(text, 'e');
    *out_point = (int)strtol(exponent + 1, NULL, 10) + 1;
    size_t count = 0;
    for (const char *at = text; at < exponent; at++) {
        if (*at != '.')
            digits[count++] = *at;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

/* "d.ddde+dd": at least one digit in the exponent, not two as in C. */
static size_t format_scientific(char *to, const char *digits, size_t count, int exponent)
{
    char *at = to;
    *at++ = digits[0];
    if (count > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, count - 1);
        at += count - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    at += num_format_u64(at, (uint64_t)abs(exponent));
    return (size_t)(at - to);
}

size_t num_format_double(char *to, double v)
{
    if (isnan(v))
        return (size_t)snprintf(to, NUM_DOUBLE_SIZE, "nan");
    if (isinf(v))
        return (size_t)snprintf(to, NUM_DOUBLE_SIZE, v > 0 ? "inf" : "-inf");
    if (v >= -0x1p62 && v <= 0x1p62 && v == (double)(int64_t)v && !(v == 0 && signbit(v)))
        return num_format_i64(to, (int64_t)v);
    char *at = to;
    if (signbit(v))
        *at++ = '-';
    if (v == 0) {
        *at++ = '0';
        return (size_t)(at - to);
    }
    char digits[17] = {0};
    int point;
    int count = (int)shortest_digits(fabs(v), digits, &point);
    int zeros = point - count; /* behind the digits, up to the point */
    int magnitude = abs(point - 1);
    if (zeros >= 0 && magnitude < count + 7) {
        memcpy(at, digits, (size_t)count);
        memset(at + count, '0', (size_t)zeros);
        at += point;
    } else if (zeros >= 0 || (zeros <= -7 && magnitude >= 4)) {
        at += format_scientific(at, digits, (size_t)count, point - 1);
    } else if (point <= 0) {
        memcpy(at, "0.", 2);
        memset(at + 2, '0', (size_t)-point);
        memcpy(at + 2 - point, digits, (size_t)count);
        at += 2 - point + count;
    } else {
        memcpy(at, digits, (size_t)point);
        at[point] = '.';
        memcpy(at + point + 1, digits + point, (size_t)(count - point));
        at += count + 1;
    }
    return (size_t)(at - to);
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
