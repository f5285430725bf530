/* SPDX-License-Identifier: Apache-2.0 */
/* row: one key as the keydir holds it; immutable once published, but for two atomic words.
 *
 *   0        8        16   20   24  26   27     28
 *   | place  | version | lfu | size |klen|type|flags| [expire 8] | key | value or [shared 8] |
 *
 * The version is (log index, command number); place says where its record lies on disk. The value
 * lies behind the key when it is small, in a counted shared buffer when it is larger, and nowhere
 * when the row is cold. What follows the header is unaligned and read through the calls.
 *
 * Units: bytes; ms since the Unix epoch.  Threads: see keydir.h.
 */
#ifndef KEYDIR_ROW_H
#define KEYDIR_ROW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define ROW_MAX_KEY    65535
#define ROW_MAX_INLINE 512

/* Position of a change: order of all changes of a group. As one word, index << 16 | command. */
struct position {
    uint64_t word;
};

static inline struct position position_of(uint64_t index, uint16_t command)
{
    return (struct position){.word = index << 16 | command};
}

static inline uint64_t position_index(struct position pos)
{
    return pos.word >> 16;
}

/* Where a record lies. As one word, so that it can change under readers: class 3 bits, file id 29,
 * offset 32. PENDING: its record has not reached the file, the value must be in memory (R32). */
enum place_class { PLACE_PENDING = 0, PLACE_SHARED = 1 };

struct place {
    uint64_t word;
};

static inline struct place place_of(enum place_class cls, uint32_t file_id, uint32_t off)
{
    return (struct place){.word =
                              (uint64_t)cls << 61 | (uint64_t)(file_id & 0x1fffffff) << 32 | off};
}

static inline enum place_class place_class(struct place place)
{
    return (enum place_class)(place.word >> 61);
}

static inline uint32_t place_file_id(struct place place)
{
    return (uint32_t)(place.word >> 32) & 0x1fffffff;
}

static inline uint32_t place_off(struct place place)
{
    return (uint32_t)place.word;
}

enum row_flags {
    ROW_HAS_EXPIRE = 1,
    ROW_HAS_VALUE = 2, /* hot */
    ROW_IS_SHARED = 4  /* the value is a struct shared_value */
};

struct row {
    _Atomic uint64_t place;
    uint64_t version; /* struct position */
    _Atomic uint32_t lfu;
    uint32_t value_size; /* also when cold */
    uint16_t key_size;
    uint8_t type; /* enum row_type of the store; opaque here */
    uint8_t flags;
    uint8_t bytes[]; /* allocated to the byte: sizeof(struct row) is not the header's size */
};

#define ROW_HEADER_SIZE offsetof(struct row, bytes)

/* A large hot value, shared by rows and by replies that still send it. */
struct shared_value {
    _Atomic uint32_t ref_count;
    uint32_t size;
    uint8_t data[];
};

struct row_desc {
    struct slice key;            /* at most ROW_MAX_KEY */
    struct slice value;          /* copied; ignored unless has_value */
    struct shared_value *shared; /* instead of value: its reference is taken over */
    bool has_value;
    uint8_t type;
    uint32_t value_size;   /* for a cold row; else the value's */
    uint64_t expire_at_ms; /* 0: never */
    struct position version;
    struct place place;
    uint32_t lfu;
};

/* Builds an unpublished row; a value above ROW_MAX_INLINE goes into a shared buffer. NULL when
 * memory is out: then the reference in `desc->shared` is still the caller's. Owner: the caller,
 * until published. */
MUST_CHECK
struct row *row_new(const struct row_desc *desc);

/* Frees a row nobody can reach, and its share of a shared value. */
void row_free(struct row *row);

/* What it holds of the allocator, its whole shared value included. */
size_t row_bytes(const struct row *row);

static inline struct slice row_key(const struct row *row)
{
    size_t expire_size = (row->flags & ROW_HAS_EXPIRE) != 0 ? sizeof(uint64_t) : 0;
    return slice_of(row->bytes + expire_size, row->key_size);
}

/* Only with ROW_HAS_VALUE. */
struct slice row_value(const struct row *row);
/* NULL unless ROW_IS_SHARED; still the row's, take a reference to keep it. */
struct shared_value *row_shared(const struct row *row);
uint64_t row_expire_at_ms(const struct row *row); /* 0: never */

static inline bool row_is_hot(const struct row *row)
{
    return (row->flags & ROW_HAS_VALUE) != 0;
}

static inline struct position row_version(const struct row *row)
{
    return (struct position){.word = row->version};
}

struct place row_place(const struct row *row);
/* Thread: the shard's only. */
void row_set_place(struct row *row, struct place place);

/* The word of use, see lfu.h: the one part of a row that readers write. Of two at the same moment
 * one may be lost; it is a statistic. Thread: any. */
static inline uint32_t row_lfu(const struct row *row)
{
    return atomic_load_explicit(&row->lfu, memory_order_relaxed);
}

void row_set_lfu(const struct row *row, uint32_t lfu);

/* NULL when memory is out; one reference. Thread: any, also for ref and unref. */
MUST_CHECK
struct shared_value *shared_value_new(size_t size);
struct shared_value *shared_value_ref(struct shared_value *value);
void shared_value_unref(struct shared_value *value);

#endif
