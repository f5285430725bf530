/* SPDX-License-Identifier: Apache-2.0 */
/* rdb: one value as DUMP writes it: Redis's RDB encoding of a value, a version and a checksum.
 *
 *   | type 1 | value | version 2 | CRC-64 of all before, 8 |      little-endian
 *
 * Only strings (type 0) are written and read. A string is its length and its bytes; an integer of
 * 1, 2 or 4 bytes; or compressed by LZF. What is written is never compressed.
 */
#ifndef COMMAND_KEYS_RDB_H
#define COMMAND_KEYS_RDB_H

#include "base/attr.h"
#include "base/buf.h"

#define RDB_VERSION 11 /* as Redis 7.2 writes; no higher one is read */

/* CRC-64 of Jones, as Redis has it: reflected, begins with 0. */
uint64_t rdb_crc64(struct slice bytes);

/* Appends the payload of a string. */
void rdb_put_string(struct buf *to, struct slice value);

/* The bytes of the value in it, without type, version and checksum. */
size_t rdb_string_size(struct slice value);

/* Input is hostile. 0; ERR_VERSION: version or checksum are wrong; ERR_NOT_FOUND: a value of
 * another type, *out_type; ERR_CORRUPT. Appends the string to *out. */
MUST_CHECK
int rdb_get_string(struct slice payload, struct buf *out, uint8_t *out_type);

#endif
