/* SPDX-License-Identifier: Apache-2.0 */
/* codec: a command as it stands in a log entry.
 *
 *   0      4      6    8      12
 *   | size | id   | db | argc | length of each argument, u32 ... | bytes of each ... |
 *
 * size is of the whole, itself included. argv[0] is left out (its length is 0): the id says it.
 * Format is permanent: a log of any age is replayed through it. Input of decode is hostile.
 */
#ifndef COMMAND_CODEC_H
#define COMMAND_CODEC_H

#include "base/attr.h"
#include "base/slice.h"

#define COMMAND_HEADER_SIZE 12
#define COMMAND_MAX_ARGS    1048576

struct coded_command {
    uint16_t id;
    uint16_t db;
    uint32_t argc;
    const uint8_t *lengths; /* argc u32 */
    const uint8_t *bytes;
    uint32_t size;
};

/* Bytes that encoding takes; 0 if it would pass 4 GiB. */
size_t command_coded_size(const struct slice *argv, uint32_t argc);

/* Writes exactly command_coded_size() bytes. */
void command_encode(uint8_t *to, uint16_t id, uint16_t db, const struct slice *argv, uint32_t argc);

/* The command at the front of `bytes`. 0, or ERR_CORRUPT. Borrows. */
MUST_CHECK
int command_decode(struct slice bytes, struct coded_command *out_command);

/* Fills argv[0 .. argc). */
void command_fill_argv(const struct coded_command *command, struct slice *argv);

#endif
