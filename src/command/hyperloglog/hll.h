/* SPDX-License-Identifier: Apache-2.0 */
/* hll: the value of a HyperLogLog, byte for byte as Redis has it.
 *
 * 16384 registers of 6 bits, each the highest rank that any element with its index had. A value is
 * a header of 16 bytes with the registers behind it, sparse or dense:
 *
 *   0      4          5       8              16
 *   | HYLL | encoding | 0 0 0 | cached count | registers |
 *
 * The cached count is void while its highest bit is set. Every change of a register leaves the same
 * bytes as it does there, so the encoding of a value tells the order of its changes.
 *
 * Values are hostile: anyone can SET one. hll_is_valid() looks at the header alone; whatever reads
 * registers returns ERR_CORRUPT if they are none, and reads nothing out of bounds before it is
 * called. See command/README.md, formats.
 */
#ifndef COMMAND_HYPERLOGLOG_HLL_H
#define COMMAND_HYPERLOGLOG_HLL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

#define HLL_REGISTERS       16384
#define HLL_HEADER_SIZE     16
#define HLL_DENSE_SIZE      (HLL_HEADER_SIZE + HLL_REGISTERS * 6 / 8)
#define HLL_SPARSE_MAX_SIZE 3000 /* a sparse value that grows beyond it becomes dense */
#define HLL_MAX_RANK        63   /* that a register can hold; elements have 51 at most */

bool hll_is_valid(struct slice value);
bool hll_is_dense(struct slice value);

/* Fills an empty buffer with an empty, sparse HyperLogLog, whose cached count is 0. */
void hll_init(struct buf *out);

/* Where an element counts. */
struct hll_place {
    uint32_t idx;
    uint8_t rank; /* 1 .. 51 */
};
struct hll_place hll_place_of(struct slice element);

/* Raises a register to the place's rank, if it is lower. The cached count is left as it is. 0 or
 * ERR_CORRUPT. `value` is one of which hll_is_valid() is true, here and below. */
MUST_CHECK
int hll_raise(struct buf *value, struct hll_place place, bool *out_changed);

MUST_CHECK
int hll_make_dense(struct buf *value);

/* Raises `ranks`, HLL_REGISTERS of them, to the value's registers. 0 or ERR_CORRUPT. */
MUST_CHECK
int hll_merge(struct slice value, uint8_t *ranks);

/* How many distinct elements such registers come from, within 1 % or so. */
uint64_t hll_estimate(const uint8_t *ranks);

/* False if the cached count is void. */
MUST_CHECK
bool hll_cached(struct slice value, uint64_t *out_count);
void hll_set_cached(struct buf *value, uint64_t count);
void hll_void_cached(struct buf *value);

/* The runs of a sparse value for people: "z:3 v:2,1 Z:16380". 0 or ERR_CORRUPT. */
MUST_CHECK
int hll_describe(struct slice value, struct buf *out);

#endif
