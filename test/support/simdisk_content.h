/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of the simulated disk: the bytes of a file, shared page by page between disks.
 *
 * Threads: any, as long as each holds a count of its own; only an owned one may be changed.
 */
#ifndef SUPPORT_SIMDISK_CONTENT_H
#define SUPPORT_SIMDISK_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_SIZE 4096
#define SIM_FILE_MAX  (UINT64_C(1) << 34)

struct sim_page;

/* Bytes beyond `size` are zero. A page is NULL (a hole), or shared, or this content's own. */
struct content {
    _Atomic uint32_t ref_count;
    uint64_t size;
    size_t page_cap;
    size_t page_count; /* allocated ones: what capacity counts */
    struct sim_page **pages;
};

struct content *content_new(void);
struct content *content_ref(struct content *content);
void content_unref(struct content *content);
/* Gives up a share for one that only the caller holds: the only kind that may be changed. */
struct content *content_own(struct content *content);
/* `data` NULL: zeros. Grows the size where needed. */
void content_write(struct content *content, uint64_t off, const uint8_t *data, size_t len);
void content_resize(struct content *content, uint64_t size);
size_t content_read(const struct content *content, uint64_t off, void *to, size_t len);
/* How many bytes at `off` can be written with `free_pages` new pages. */
size_t content_room(const struct content *content, uint64_t off, size_t len, uint64_t free_pages);

#endif
