/* SPDX-License-Identifier: Apache-2.0 */
#include "keydir/row.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"

STATIC_ASSERT(ROW_HEADER_SIZE == 28, "the picture in row.h");
STATIC_ASSERT(offsetof(struct row, lfu) == 16, "the picture in row.h");
STATIC_ASSERT(offsetof(struct row, key_size) == 24, "the picture in row.h");

/* Where the parts behind the header begin. */
static size_t key_off(const struct row *row)
{
    return (row->flags & ROW_HAS_EXPIRE) != 0 ? sizeof(uint64_t) : 0;
}

static size_t value_off(const struct row *row)
{
    return key_off(row) + row->key_size;
}

/* What is asked for, checked: the parts fit their fields. */
static uint8_t flags_of(const struct row_desc *desc)
{
    ASSERT(desc->key.len <= ROW_MAX_KEY);
    unsigned flags = desc->expire_at_ms != 0 ? ROW_HAS_EXPIRE : 0;
    if (desc->shared != NULL)
        flags |= ROW_HAS_VALUE | ROW_IS_SHARED;
    else if (desc->has_value)
        flags |= desc->value.len > ROW_MAX_INLINE ? ROW_HAS_VALUE | ROW_IS_SHARED : ROW_HAS_VALUE;
    return (uint8_t)flags;
}

static uint32_t value_size_of(const struct row_desc *desc)
{
    if (desc->shared != NULL)
        return desc->shared->size;
    if (!desc->has_value)
        return desc->value_size;
    ASSERT(desc->value.len <= UINT32_MAX);
    return (uint32_t)desc->value.len;
}

static struct shared_value *shared_copy(struct slice value)
{
    struct shared_value *shared = shared_value_new(value.len);
    if (shared != NULL)
        memcpy(shared->data, value.data, value.len);
    return shared;
}

static void put_bytes(uint8_t *to, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(to, bytes.data, bytes.len);
}

static void fill(struct row *row, const struct row_desc *desc, struct shared_value *shared)
{
    atomic_init(&row->place, desc->place.word);
    row->version = desc->version.word;
    atomic_init(&row->lfu, desc->lfu);
    row->value_size = value_size_of(desc);
    row->key_size = (uint16_t)desc->key.len;
    row->type = desc->type;
    row->flags = flags_of(desc);
    if ((row->flags & ROW_HAS_EXPIRE) != 0)
        put_u64(row->bytes, desc->expire_at_ms);
    put_bytes(row->bytes + key_off(row), desc->key);
    if (shared != NULL)
        memcpy(row->bytes + value_off(row), &shared, sizeof(shared));
    else if (desc->has_value)
        put_bytes(row->bytes + value_off(row), desc->value);
}

struct row *row_new(const struct row_desc *desc)
{
    uint8_t flags = flags_of(desc);
    size_t size = ROW_HEADER_SIZE + desc->key.len;
    if ((flags & ROW_HAS_EXPIRE) != 0)
        size += sizeof(uint64_t);
    if ((flags & ROW_IS_SHARED) != 0)
        size += sizeof(struct shared_value *);
    else if ((flags & ROW_HAS_VALUE) != 0)
        size += desc->value.len;

    struct shared_value *shared = desc->shared;
    if (shared == NULL && (flags & ROW_IS_SHARED) != 0) {
        shared = shared_copy(desc->value);
        if (shared == NULL)
            return NULL;
    }
    struct row *row = mem_try_alloc(size);
    if (row != NULL)
        fill(row, desc, shared);
    else if (shared != desc->shared)
        shared_value_unref(shared);
    return row;
}

void row_free(struct row *row)
{
    if (row == NULL)
        return;
    shared_value_unref(row_shared(row));
    mem_free(row);
}

size_t row_bytes(const struct row *row)
{
    const struct shared_value *shared = row_shared(row);
    size_t size = ROW_HEADER_SIZE + value_off(row);
    if (shared != NULL)
        return mem_class_size(size + sizeof(shared)) +
               mem_class_size(sizeof(*shared) + shared->size);
    return mem_class_size(row_is_hot(row) ? size + row->value_size : size);
}

struct slice row_value(const struct row *row)
{
    ASSERT(row_is_hot(row));
    const struct shared_value *shared = row_shared(row);
    const uint8_t *data = shared != NULL ? shared->data : row->bytes + value_off(row);
    return slice_of(data, row->value_size);
}

struct shared_value *row_shared(const struct row *row)
{
    if ((row->flags & ROW_IS_SHARED) == 0)
        return NULL;
    struct shared_value *shared;
    memcpy(&shared, row->bytes + value_off(row), sizeof(shared));
    return shared;
}

uint64_t row_expire_at_ms(const struct row *row)
{
    return (row->flags & ROW_HAS_EXPIRE) != 0 ? get_u64(row->bytes) : 0;
}

struct place row_place(const struct row *row)
{
    return (struct place){.word = atomic_load_explicit(&row->place, memory_order_acquire)};
}

void row_set_place(struct row *row, struct place place)
{
    atomic_store_explicit(&row->place, place.word, memory_order_release);
}

void row_set_lfu(const struct row *row, uint32_t lfu)
{
    struct row *mutable_row = (struct row *)(uintptr_t)row;
    atomic_store_explicit(&mutable_row->lfu, lfu, memory_order_relaxed);
}

struct shared_value *shared_value_new(size_t size)
{
    ASSERT(size <= UINT32_MAX);
    struct shared_value *value = mem_try_alloc(offsetof(struct shared_value, data) + size);
    if (value == NULL)
        return NULL;
    atomic_init(&value->ref_count, 1);
    value->size = (uint32_t)size;
    return value;
}

struct shared_value *shared_value_ref(struct shared_value *value)
{
    uint32_t before = atomic_fetch_add_explicit(&value->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0 && before < UINT32_MAX);
    return value;
}

void shared_value_unref(struct shared_value *value)
{
    if (value == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&value->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        mem_free(value);
}
