/* SPDX-License-Identifier: Apache-2.0 */
#include "command/string/decimal.h"

#include <string.h>

#include "base/assert.h"

#define DIGITS       (1 + DECIMAL_WHOLE + DECIMAL_FRACTION)
#define UNITS        DECIMAL_WHOLE /* index of the last digit before the point */
#define LAST_SHOWN   (UNITS + DECIMAL_SHOWN)
#define MAX_TEXT     5119    /* longer ones are no numbers to Redis either */
#define MAX_EXPONENT 99999   /* stands for all that are out of range with any MAX_TEXT digits */
#define MIN_LEADING  (-4951) /* power of ten below which Redis takes a number for an underflow */

/* ---- Reading ---- */

static bool digit_at(struct slice text, size_t at, uint8_t *out_digit)
{
    if (at >= text.len || text.data[at] < '0' || text.data[at] > '9')
        return false;
    *out_digit = (uint8_t)(text.data[at] - '0');
    return true;
}

/* "e12", "E-3", from `at` to the end of the text. */
static bool parse_exponent(struct slice text, size_t at, int *out_exponent)
{
    *out_exponent = 0;
    if (at == text.len)
        return true;
    if (text.data[at] != 'e' && text.data[at] != 'E')
        return false;
    at++;
    bool is_negative = at < text.len && text.data[at] == '-';
    at += at < text.len && (text.data[at] == '-' || text.data[at] == '+');
    int exponent = 0;
    uint8_t digit;
    if (!digit_at(text, at, &digit))
        return false;
    for (; digit_at(text, at, &digit); at++)
        exponent = exponent > MAX_EXPONENT ? exponent : exponent * 10 + digit;
    *out_exponent = is_negative ? -exponent : exponent;
    return at == text.len;
}

/* What the text consists of: whole and broken digits, and the exponent. */
struct mantissa {
    struct slice whole;
    struct slice broken;
    int exponent;
};

static struct slice digits_from(struct slice text, size_t at)
{
    size_t end = at;
    uint8_t digit;
    while (digit_at(text, end, &digit))
        end++;
    return slice_sub(text, at, end - at);
}

static bool parse_mantissa(struct slice text, struct mantissa *out)
{
    out->whole = digits_from(text, 0);
    size_t at = out->whole.len;
    out->broken = SLICE_EMPTY;
    if (at < text.len && text.data[at] == '.') {
        out->broken = digits_from(text, at + 1);
        at += 1 + out->broken.len;
    }
    return out->whole.len + out->broken.len > 0 && parse_exponent(text, at, &out->exponent);
}

/* Puts the digits where their powers of ten stand. False if the number is out of range. */
static bool place_digits(const struct mantissa *from, struct decimal *to)
{
    size_t count = from->whole.len + from->broken.len;
    int power = (int)from->whole.len - 1 + from->exponent; /* of the digit at hand */
    bool is_zero = true;
    for (size_t i = 0; i < count; i++, power--) {
        uint8_t digit =
            i < from->whole.len ? from->whole.data[i] : from->broken.data[i - from->whole.len];
        digit = (uint8_t)(digit - '0');
        if (digit == 0)
            continue;
        if (is_zero && (power >= DECIMAL_WHOLE || power < MIN_LEADING))
            return false;
        is_zero = false;
        if (power >= -DECIMAL_FRACTION)
            to->digits[UNITS - power] = digit;
    }
    return true;
}

bool decimal_parse(struct slice text, struct decimal *out)
{
    *out = (struct decimal){0};
    if (text.len == 0 || text.len > MAX_TEXT)
        return false;
    out->is_negative = text.data[0] == '-';
    if (text.data[0] == '-' || text.data[0] == '+')
        text = slice_sub(text, 1, text.len);
    out->is_infinite = slice_is(text, "inf") || slice_is(text, "infinity");
    struct mantissa mantissa;
    return out->is_infinite || (parse_mantissa(text, &mantissa) && place_digits(&mantissa, out));
}

/* ---- Adding ---- */

static int compare_magnitudes(const struct decimal *a, const struct decimal *b)
{
    return memcmp(a->digits, b->digits, DIGITS);
}

static void add_magnitudes(uint8_t *sum, const uint8_t *more)
{
    unsigned carry = 0;
    for (size_t i = DIGITS; i-- > 0;) {
        unsigned digit = sum[i] + more[i] + carry;
        carry = digit >= 10;
        sum[i] = (uint8_t)(carry ? digit - 10 : digit);
    }
    ASSERT(carry == 0); /* the highest digit of both is zero */
}

/* to = large - small. `to` may be either. */
static void subtract_magnitudes(uint8_t *to, const uint8_t *large, const uint8_t *small)
{
    unsigned borrowed = 0;
    for (size_t i = DIGITS; i-- > 0;) {
        unsigned less = small[i] + borrowed;
        borrowed = large[i] < less;
        to[i] = (uint8_t)(large[i] + borrowed * 10 - less);
    }
    ASSERT(borrowed == 0);
}

static void round_to_shown(uint8_t *digits)
{
    bool is_up = digits[LAST_SHOWN + 1] >= 5;
    memset(digits + LAST_SHOWN + 1, 0, DIGITS - LAST_SHOWN - 1);
    for (size_t i = LAST_SHOWN; is_up; i--) {
        is_up = digits[i] == 9;
        digits[i] = is_up ? 0 : (uint8_t)(digits[i] + 1);
    }
}

bool decimal_add(struct decimal *sum, const struct decimal *more)
{
    if (sum->is_infinite || more->is_infinite)
        return false;
    if (sum->is_negative == more->is_negative) {
        add_magnitudes(sum->digits, more->digits);
    } else if (compare_magnitudes(sum, more) >= 0) {
        subtract_magnitudes(sum->digits, sum->digits, more->digits);
    } else {
        subtract_magnitudes(sum->digits, more->digits, sum->digits);
        sum->is_negative = more->is_negative;
    }
    if (sum->digits[0] == 0)
        round_to_shown(sum->digits);
    return sum->digits[0] == 0;
}

/* ---- Printing ---- */

size_t decimal_format(char *to, const struct decimal *number)
{
    ASSERT(!number->is_infinite);
    size_t first = 0;
    while (first < UNITS && number->digits[first] == 0)
        first++;
    size_t last = LAST_SHOWN;
    while (last > UNITS && number->digits[last] == 0)
        last--;
    char *at = to;
    bool is_zero = first == UNITS && last == UNITS && number->digits[UNITS] == 0;
    if (number->is_negative && !is_zero)
        *at++ = '-';
    for (size_t i = first; i <= last; i++) {
        if (i == UNITS + 1)
            *at++ = '.';
        *at++ = (char)('0' + number->digits[i]);
    }
    return (size_t)(at - to);
}
