/* SPDX-License-Identifier: Apache-2.0 */
/* num: numbers as text, with Redis's strictness.
 *
 * An integer is an optional '-', then digits without a leading zero or blank, within the type.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define NUM_I64_SIZE    21 /* bytes that num_format_i64 may write, no terminating zero */
#define NUM_DOUBLE_SIZE 400

/* Returns false and leaves *out alone unless the whole slice is one integer. */
MUST_CHECK
bool num_parse_i64(struct slice text, int64_t *out);
MUST_CHECK
bool num_parse_u64(struct slice text, uint64_t *out);

/* The whole slice as a finite or infinite decimal; "nan", hexadecimal and blanks are refused. */
MUST_CHECK
bool num_parse_double(struct slice text, double *out);
MUST_CHECK
bool num_parse_long_double(struct slice text, long double *out);

/* Writes at most NUM_I64_SIZE bytes and returns how many. */
size_t num_format_i64(char *to, int64_t v);
size_t num_format_u64(char *to, uint64_t v);

/* As Redis prints a double in RESP3 and scores: shortest text that reads back as `v`
 * ("inf", "-inf", integers without a point). `to` holds NUM_DOUBLE_SIZE bytes. */
size_t num_format_double(char *to, double v);

/* Sums overflow-checked. Returns false on overflow. */
MUST_CHECK
bool num_add_i64(int64_t a, int64_t b, int64_t *out);

/* "1k" = 1000, "1kb" = 1024, likewise m mb g gb; no suffix or "b": bytes. */
MUST_CHECK
bool num_parse_bytes(struct slice text, uint64_t *out);

#endif
