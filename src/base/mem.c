/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void *or_die(void *ptr)
{
    if (ptr == NULL)
        assert_fail("out of memory", __FILE__, __LINE__, __func__);
    return ptr;
}

void *mem_alloc(size_t size)
{
    return or_die(mem_try_alloc(size));
}

void *mem_calloc(size_t count, size_t size)
{
    return or_die(mem_try_calloc(count, size));
}

void *mem_realloc(void *ptr, size_t size)
{
    return or_die(mem_try_realloc(ptr, size));
}

void *mem_try_alloc(size_t size)
{
    return malloc(size == 0 ? 1 : size);
}

void *mem_try_calloc(size_t count, size_t size)
{
    return calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

void *mem_try_realloc(void *ptr, size_t size)
{
    return realloc(ptr, size == 0 ? 1 : size);
}

void *mem_try_alloc_aligned(size_t align, size_t size)
{
    ASSERT(align >= sizeof(void *) && (align & (align - 1)) == 0);
    void *ptr = NULL;
    if (posix_memalign(&ptr, align, size == 0 ? align : size) != 0)
        return NULL;
    return ptr;
}

void *mem_dup(const void *data, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

char *mem_dup_str(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

size_t mem_class_size(size_t size)
{
    if (size <= 8)
        return 8;
    if (size <= 128)
        return (size + 15) & ~(size_t)15;
    /* Four classes to every doubling. */
    unsigned top = 63u - (unsigned)__builtin_clzll(size - 1);
    size_t step = (size_t)1 << (top - 2);
    return (size + step - 1) & ~(step - 1);
}

size_t mem_usable_size(void *ptr)
{
    return ptr == NULL ? 0 : malloc_usable_size(ptr);
}
