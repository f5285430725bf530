/* SPDX-License-Identifier: Apache-2.0 */
/* entry: the payload of a log entry: one batch of commands with the time they all have.
 *
 *   0         2       4       8     16           24
 *   | version | zero  | count | hlc | ceiling ms | command, command, ... (command/codec.h)
 *
 * The version is that of the commands' meaning: a start that must replay an unknown one refuses
 * (R13). An entry without commands is a CLOCK entry: it only moves the time (R14).
 */
#ifndef ENGINE_ENTRY_H
#define ENGINE_ENTRY_H

#include "base/attr.h"
#include "base/slice.h"

#define ENTRY_PREFIX_SIZE  24
#define ENTRY_MAX_COMMANDS 65535
#define ENTRY_SEMANTICS    1

struct entry_prefix {
    uint16_t semantics;
    uint32_t count;
    uint64_t hlc;        /* 48 bits ms, 16 bits counter */
    uint64_t ceiling_ms; /* R23 */
};

void entry_put_prefix(uint8_t *to, const struct entry_prefix *prefix);

/* 0; ERR_CORRUPT; ERR_VERSION. */
MUST_CHECK
int entry_get_prefix(struct slice payload, struct entry_prefix *out_prefix);

#endif
