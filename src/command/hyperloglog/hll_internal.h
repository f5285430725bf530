/* SPDX-License-Identifier: Apache-2.0 */
/* hll_internal: sparse registers, between hll.c and hll_sparse.c. */
#ifndef COMMAND_HYPERLOGLOG_HLL_INTERNAL_H
#define COMMAND_HYPERLOGLOG_HLL_INTERNAL_H

#include "command/hyperloglog/hll.h"

enum hll_run_kind { HLL_ZERO, HLL_XZERO, HLL_VALUE };

/* Registers with one rank. */
struct hll_run {
    enum hll_run_kind kind;
    uint32_t count;
    uint8_t rank; /* 0 unless HLL_VALUE */
    size_t size;  /* in bytes */
};

/* Decodes the run at `at`. False if it is cut off, or at the end. Bytes are hostile. */
MUST_CHECK
bool hll_run_decode(struct slice registers, size_t at, struct hll_run *out);

/* hll_raise() for a sparse value. *out_dense: it must be made dense first. */
MUST_CHECK
int hll_sparse_raise(struct buf *value, struct hll_place place, bool *out_changed, bool *out_dense);

#endif
