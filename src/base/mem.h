/* SPDX-License-Identifier: Apache-2.0 */
/* mem: every allocation of the program.
 *
 * mem_alloc and its kin end the process when memory is out: for small, bounded sizes of our own.
 * mem_try_alloc may return NULL and is mandatory for any size that a client, a peer or a file
 * chose. Thread: any. What is returned is freed with mem_free by anyone.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/attr.h"

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
void *mem_try_alloc(size_t size) MUST_CHECK;
void *mem_try_calloc(size_t count, size_t size) MUST_CHECK;
void *mem_try_realloc(void *ptr, size_t size) MUST_CHECK;

/* `align` is a power of two, at least sizeof(void *). NULL when memory is out. */
void *mem_try_alloc_aligned(size_t align, size_t size) MUST_CHECK;

/* A copy of `size` bytes; mem_dup_str copies with the terminating zero. */
void *mem_dup(const void *data, size_t size);
char *mem_dup_str(const char *text);

void mem_free(void *ptr);

/* What an allocation of `size` bytes takes, by the allocator's size classes: a little arithmetic,
 * where mem_usable_size() would touch memory. Exact for jemalloc up to 14 KiB, close elsewhere. */
size_t mem_class_size(size_t size);

/* What the allocator really holds for `ptr`, at least what was asked for. 0 for NULL. */
size_t mem_usable_size(void *ptr);

/* What the allocator holds in all; zeroes where it cannot be told. */
struct mem_stats {
    size_t allocated; /* by the program */
    size_t active;    /* pages that hold some of it */
    size_t resident;  /* pages in memory */
    size_t muzzy;     /* free pages that the system may take */
};
struct mem_stats mem_stats(void);

/* Returns free pages to the system. */
void mem_purge(void);
/* The allocator's own report, as lines of text, in pieces; nothing where it has none. */
void mem_report(void (*on_text)(void *ctx, const char *text), void *ctx);
/* "jemalloc-5.3.0", or "libc". Returns its length. */
size_t mem_allocator(char *to, size_t size);

#endif
