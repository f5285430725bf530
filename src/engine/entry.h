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
#include "command/codec.h"
#include "command/command.h"

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

/* What commands of entries are held against. Freed by entry_decoder_fini(). */
struct entry_decoder {
    const struct command_table *table;
    uint32_t database_count;
    struct slice *argv;
    size_t argv_cap;
};

struct entry_command {
    const struct command_row *row;
    struct coded_command coded;
    const struct slice *argv; /* coded.argc of them, until the next call; argv[0] is empty */
};

/* The command at the front of `rest`, which begins behind the prefix or the command before. NULL,
 * or what is wrong with it, for a sentence that begins "command n ...". */
MUST_CHECK
const char *entry_decode_command(struct entry_decoder *decoder, struct slice rest,
                                 struct entry_command *out_command);
void entry_decoder_fini(struct entry_decoder *decoder);

#endif
