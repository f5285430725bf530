/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Of jemalloc: in place of an arena's number, all of them. */
#define ALL_ARENAS "4096"

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

/* ---- What the allocator says of itself ---- */

/* Of jemalloc, which builds for sanitizers are without. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t value_size)
    __attribute__((weak));
extern void malloc_stats_print(void (*on_text)(void *ctx, const char *text), void *ctx,
                               const char *options) __attribute__((weak));

static size_t read_size(const char *name)
{
    size_t value = 0;
    size_t size = sizeof(value);
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

struct mem_stats mem_stats(void)
{
    struct mem_stats stats = {0};
    if (mallctl == NULL)
        return stats;
    /* Figures are of the last epoch: a new one is begun. */
    uint64_t epoch = 1;
    size_t size = sizeof(epoch);
    if (mallctl("epoch", &epoch, &size, &epoch, size) != 0)
        return stats;
    stats.allocated = read_size("stats.allocated");
    stats.active = read_size("stats.active");
    stats.resident = read_size("stats.resident");
    stats.muzzy = read_size("stats.arenas." ALL_ARENAS ".pmuzzy") * read_size("arenas.page");
    return stats;
}

void mem_purge(void)
{
    if (mallctl != NULL)
        IGNORE(mallctl("arena." ALL_ARENAS ".purge", NULL, NULL, NULL, 0),
               "what is not returned stays free memory of ours");
}

void mem_report(void (*on_text)(void *ctx, const char *text), void *ctx)
{
    if (malloc_stats_print != NULL)
        malloc_stats_print(on_text, ctx, NULL);
}

size_t mem_allocator(char *to, size_t size)
{
    const char *version = NULL;
    size_t version_size = sizeof(version);
    if (mallctl == NULL || mallctl("version", &version, &version_size, NULL, 0) != 0)
        return (size_t)snprintf(to, size, "libc");
    size_t len = strcspn(version, "-");
    return (size_t)snprintf(to, size, "jemalloc-%.*s", (int)len, version);
}

size_t mem_usable_size(void *ptr)
{
    return ptr == NULL ? 0 : malloc_usable_size(ptr);
}
