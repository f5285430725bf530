/* SPDX-License-Identifier: Apache-2.0 */
/* hash: checksums of formats, hashes of keys, and hash slots.
 *
 * hash_check is XXH3-64 and stands in files: it never changes. hash_key is seeded per process and
 * stands in no file. Source: github.com/Cyan4973/xxHash; slots: the Redis Cluster specification.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

#define SLOT_COUNT 16384

uint64_t hash_check(struct slice bytes);
uint64_t hash_key(struct slice key, uint64_t seed);

/* Mixes two words into one; used to tie a checksum to a place. Stands in files. */
uint64_t hash_mix(uint64_t a, uint64_t b);

/* A checksum over pieces, equal to hash_check over their concatenation. */
uint64_t hash_check2(struct slice first, struct slice second);

/* CRC16-XMODEM (polynomial 0x1021, initial 0). */
uint16_t hash_crc16(struct slice bytes);

/* 0 .. SLOT_COUNT - 1: of the part between the first '{' and the first '}' behind it when that
 * part is not empty, else of the whole key. */
uint16_t hash_slot(struct slice key);

#endif
