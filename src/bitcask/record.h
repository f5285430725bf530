/* SPDX-License-Identifier: Apache-2.0 */
/* record: one change as it stands in a data file.
 *
 * Valid if and only if the check is right for its bytes, its file's uid and its offset: a record in
 * the wrong place fails. Every record has exactly one encoding. Order among records of one key is
 * (position, revision), never file order (R4). Byte layout: bitcask/README.md.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef BITCASK_RECORD_H
#define BITCASK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#define RECORD_MAX_KEY   65535
#define RECORD_MAX_VALUE (512u * 1024 * 1024)

/* Of every record: check, kind, sizes, position. */
#define RECORD_FIXED_SIZE 32
/* From a record's start to its key, at most. */
#define RECORD_MAX_HEADER (RECORD_FIXED_SIZE + 8 + 12)
/* A PAD ends at a multiple of this. */
#define RECORD_BLOCK 4096

enum record_kind {
    RECORD_PUT = 1,
    RECORD_TOMBSTONE = 2, /* key without value */
    RECORD_FLUSH = 3,     /* everything of db_id with a smaller order is dead (R35) */
    RECORD_PAD = 4        /* fills up to the next block; says nothing else */
};

/* Of a collection's records (R5, R7); zero where there is none. */
struct collection_id {
    uint64_t position;
    uint32_t counter;
};

struct record {
    enum record_kind kind;
    uint8_t type;          /* of the value; stable tags of the store */
    uint8_t promotion;     /* state of a collection's promotion, 0: none */
    uint16_t db_id;        /* stable id, not the number that SELECT uses */
    uint32_t revision;     /* 0: as the log wrote it */
    uint64_t position;     /* (log index << 16) | command */
    uint64_t expire_at_ms; /* 0: never */
    struct collection_id collection;
    struct slice key;
    struct slice value;
    uint64_t pad_size; /* RECORD_PAD: whole size */
};

/* Where a record lies: part of what its check vouches for. */
struct record_place {
    uint64_t uid; /* of the file */
    uint64_t off;
};

/* What of a record is there only if its flags say so, in files and in hints: expiry and collection,
 * in this order. */
enum record_flag {
    RECORD_EXPIRE = 1,
    RECORD_COLLECTION = 2,
    RECORD_FLAGS = RECORD_EXPIRE | RECORD_COLLECTION
};
uint8_t record_flags(const struct record *record);
size_t record_extra_size(uint8_t flags);
/* Both return what lies behind. */
uint8_t *record_put_extra(const struct record *record, uint8_t *at);
const uint8_t *record_get_extra(uint8_t flags, const uint8_t *at, struct record *out);

/* Whole size in a file. */
size_t record_size(const struct record *record);
/* Of a key's PUT that belongs to no collection. */
static inline size_t record_put_size(size_t key_len, size_t value_len, bool has_expiry)
{
    return RECORD_FIXED_SIZE + (has_expiry ? 8u : 0u) + key_len + value_len;
}
/* From a record's start to its value. */
size_t record_value_off(const struct record *record);

/* The size of the PAD that begins at `off`; 0 if `off` is the start of a block. */
static inline uint64_t record_pad_size(uint64_t off)
{
    uint64_t over = off % RECORD_BLOCK;
    if (over == 0)
        return 0;
    uint64_t left = RECORD_BLOCK - over;
    return left < RECORD_FIXED_SIZE ? left + RECORD_BLOCK : left;
}

/* Appends the encoded record that will lie at `place`. Ends the process when memory is out. */
void record_encode(const struct record *record, struct record_place place, struct buf *to);

/* Decodes and verifies the record at the front of `bytes`. 0 and *out_size; ERR_TORN: `bytes` are
 * too few (then *out_size is what it would take, when that much is known, else 0); ERR_CORRUPT.
 * Slices borrow from `bytes`. Input is hostile. */
MUST_CHECK
int record_decode(struct slice bytes, struct record_place place, struct record *out_record,
                  size_t *out_size);

/* What the bytes at the front of `bytes`, which would lie at `off`, claim to be, with nothing
 * verified: for telling what a damaged record may have been. False if they can be none, or are too
 * few for header and key. The value has its length and no bytes. */
MUST_CHECK
bool record_claim(struct slice bytes, uint64_t off, struct record *out_record, size_t *out_size);

/* Moves an encoded record that was verified at `from` to `to`: takes the old place out of its check
 * and puts the new one in, without a look at the other bytes, so that damage since then is still
 * found. Not for PADs, which mean nothing elsewhere. */
void record_rebind(uint8_t *bytes, struct record_place from, struct record_place to);

#endif
