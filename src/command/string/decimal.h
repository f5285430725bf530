/* SPDX-License-Identifier: Apache-2.0 */
/* decimal: sums of decimal numbers given as text, exact and the same on every machine (R13).
 *
 * Redis adds in long double, which is another type on each processor, and prints 17 digits behind
 * the point. Here the digits themselves are added. A result has up to 309 digits before the point,
 * as many as a double can have, and up to 17 behind it. See command/README.md for where that
 * differs from Redis.
 */
#ifndef COMMAND_STRING_DECIMAL_H
#define COMMAND_STRING_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define DECIMAL_WHOLE    309 /* digits before the point */
#define DECIMAL_SHOWN    17  /* digits behind it, as printed */
#define DECIMAL_FRACTION 40  /* digits behind it, as reckoned with */

/* Bytes that decimal_format() may write. */
#define DECIMAL_TEXT_SIZE (DECIMAL_WHOLE + DECIMAL_SHOWN + 3)

struct decimal {
    bool is_negative;
    bool is_infinite;
    /* Highest first: one for a carry, those before the point, those behind. */
    uint8_t digits[1 + DECIMAL_WHOLE + DECIMAL_FRACTION];
};

/* Reads "-12.5", "+.5", "5.", "1.5e3", "inf", "Infinity"; nothing before it, nothing behind.
 * Digits beyond DECIMAL_FRACTION are dropped. False for anything else, and for numbers out of
 * range. Input is hostile. */
MUST_CHECK
bool decimal_parse(struct slice text, struct decimal *out);

/* sum += more, rounded to DECIMAL_SHOWN digits, halves away from zero. False, and *sum is void, if
 * the result is infinite or out of range. */
MUST_CHECK
bool decimal_add(struct decimal *sum, const struct decimal *more);

/* Without exponent, without zeros at the end, never "-0". Returns how many bytes it wrote. */
size_t decimal_format(char *to, const struct decimal *number);

#endif
