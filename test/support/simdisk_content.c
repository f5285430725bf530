/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_content: bytes of files as tables of pages, both copied only when they are changed.
 *
 * An image of a disk shares nearly all of its pages with the disk it was made from, and both may
 * be used and freed in any order and by any thread; so tables and pages are counted, and whoever
 * sees a count of one owns the thing alone. Zeros take no memory: a page known to be all zero is
 * one and the same for everybody.
 */
#include "support/simdisk_content.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct sim_page {
    _Atomic uint32_t ref_count;
    uint8_t bytes[SIM_PAGE_SIZE];
};

static struct sim_page *zero_page(void)
{
    static const struct sim_page zeros = {.ref_count = 1};
    return (struct sim_page *)(uintptr_t)&zeros;
}

static struct sim_page *page_new(void)
{
    struct sim_page *page = mem_alloc(sizeof(*page));
    atomic_init(&page->ref_count, 1);
    return page;
}

static void page_ref(struct sim_page *page)
{
    if (page != NULL && page != zero_page())
        atomic_fetch_add_explicit(&page->ref_count, 1, memory_order_relaxed);
}

static void page_unref(struct sim_page *page)
{
    if (page == NULL || page == zero_page())
        return;
    if (atomic_fetch_sub_explicit(&page->ref_count, 1, memory_order_acq_rel) == 1)
        mem_free(page);
}

struct content *content_new(void)
{
    struct content *content = mem_calloc(1, sizeof(*content));
    atomic_init(&content->ref_count, 1);
    return content;
}

struct content *content_ref(struct content *content)
{
    atomic_fetch_add_explicit(&content->ref_count, 1, memory_order_relaxed);
    return content;
}

void content_unref(struct content *content)
{
    if (content == NULL)
        return;
    if (atomic_fetch_sub_explicit(&content->ref_count, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < content->page_cap; i++)
        page_unref(content->pages[i]);
    mem_free(content->pages);
    mem_free(content);
}

static bool is_own(const struct content *content)
{
    return atomic_load_explicit(&content->ref_count, memory_order_acquire) == 1;
}

struct content *content_own(struct content *content)
{
    if (is_own(content))
        return content;
    struct content *copy = content_new();
    copy->size = content->size;
    copy->page_cap = content->page_cap;
    copy->page_count = content->page_count;
    copy->pages = mem_alloc(content->page_cap * sizeof(struct sim_page *));
    for (size_t i = 0; i < content->page_cap; i++) {
        copy->pages[i] = content->pages[i];
        page_ref(copy->pages[i]);
    }
    content_unref(content);
    return copy;
}

static void reserve_pages(struct content *content, size_t count)
{
    if (count <= content->page_cap)
        return;
    size_t cap = content->page_cap + content->page_cap / 2;
    cap = cap < count ? count : cap;
    content->pages = mem_realloc(content->pages, cap * sizeof(struct sim_page *));
    memset(content->pages + content->page_cap, 0,
           (cap - content->page_cap) * sizeof(struct sim_page *));
    content->page_cap = cap;
}

static void replace_page(struct content *content, size_t idx, struct sim_page *page)
{
    if (content->pages[idx] == NULL && page != NULL)
        content->page_count++;
    if (content->pages[idx] != NULL && page == NULL)
        content->page_count--;
    page_unref(content->pages[idx]);
    content->pages[idx] = page;
}

/* A page of this content alone, with the bytes it had. */
static uint8_t *writable_page(struct content *content, size_t idx)
{
    struct sim_page *page = content->pages[idx];
    bool is_shared = page == NULL || page == zero_page() ||
                     atomic_load_explicit(&page->ref_count, memory_order_acquire) != 1;
    if (!is_shared)
        return page->bytes;
    struct sim_page *copy = page_new();
    memcpy(copy->bytes, page == NULL ? zero_page()->bytes : page->bytes, SIM_PAGE_SIZE);
    replace_page(content, idx, copy);
    return copy->bytes;
}

static void write_page(struct content *content, size_t idx, size_t at, const uint8_t *data,
                       size_t len)
{
    bool is_zero = content->pages[idx] == NULL || content->pages[idx] == zero_page();
    if (data == NULL && (is_zero || len == SIM_PAGE_SIZE))
        replace_page(content, idx, zero_page());
    else if (data == NULL)
        memset(writable_page(content, idx) + at, 0, len);
    else
        memcpy(writable_page(content, idx) + at, data, len);
}

void content_write(struct content *content, uint64_t off, const uint8_t *data, size_t len)
{
    ASSERT(is_own(content) && len > 0 && off + len <= SIM_FILE_MAX);
    uint64_t end = off + len;
    reserve_pages(content, (size_t)((end + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE));
    while (off < end) {
        size_t at = (size_t)(off % SIM_PAGE_SIZE);
        size_t part = SIM_PAGE_SIZE - at;
        part = end - off < part ? (size_t)(end - off) : part;
        write_page(content, (size_t)(off / SIM_PAGE_SIZE), at, data, part);
        data = data == NULL ? NULL : data + part;
        off += part;
    }
    content->size = end > content->size ? end : content->size;
}

void content_resize(struct content *content, uint64_t size)
{
    ASSERT(is_own(content) && size <= SIM_FILE_MAX);
    if (size < content->size) {
        size_t at = (size_t)(size % SIM_PAGE_SIZE);
        size_t first_gone = (size_t)((size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE);
        for (size_t i = first_gone; i < content->page_cap; i++)
            replace_page(content, i, NULL);
        if (at != 0 && content->pages[first_gone - 1] != NULL)
            write_page(content, first_gone - 1, at, NULL, SIM_PAGE_SIZE - at);
    }
    reserve_pages(content, (size_t)((size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE));
    content->size = size;
}

size_t content_read(const struct content *content, uint64_t off, void *to, size_t len)
{
    if (off >= content->size)
        return 0;
    len = content->size - off < len ? (size_t)(content->size - off) : len;
    uint8_t *into = to;
    for (size_t done = 0; done < len;) {
        size_t at = (size_t)((off + done) % SIM_PAGE_SIZE);
        size_t part = SIM_PAGE_SIZE - at;
        part = len - done < part ? len - done : part;
        const struct sim_page *page = content->pages[(off + done) / SIM_PAGE_SIZE];
        memcpy(into + done, (page == NULL ? zero_page() : page)->bytes + at, part);
        done += part;
    }
    return len;
}

size_t content_room(const struct content *content, uint64_t off, size_t len, uint64_t free_pages)
{
    uint64_t end = off + len;
    for (uint64_t at = off; at < end; at = (at / SIM_PAGE_SIZE + 1) * SIM_PAGE_SIZE) {
        size_t idx = (size_t)(at / SIM_PAGE_SIZE);
        if (idx < content->page_cap && content->pages[idx] != NULL)
            continue;
        if (free_pages == 0)
            return (size_t)(at - off);
        free_pages--;
    }
    return len;
}
