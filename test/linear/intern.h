/* SPDX-License-Identifier: Apache-2.0 */
/* intern: gives equal bytes equal numbers, from 0 in the order in which they come.
 *
 * Lifetime: a slice from intern_get() holds until the intern ends. Zeroed storage is valid.
 */
#ifndef LINEAR_INTERN_H
#define LINEAR_INTERN_H

#include "base/arena.h"
#include "base/slice.h"

struct intern {
    struct slice *items;
    uint64_t *hashes;
    uint32_t count;
    uint32_t cap;
    uint32_t *table; /* number + 1, or 0 */
    uint32_t table_size;
    struct arena bytes;
};

void intern_fini(struct intern *intern);

/* The number of `bytes`, a new one if they are new. */
uint32_t intern_put(struct intern *intern, struct slice bytes);

/* Its number, if it has one. */
bool intern_find(const struct intern *intern, struct slice bytes, uint32_t *out_id);

static inline struct slice intern_get(const struct intern *intern, uint32_t id)
{
    return intern->items[id];
}

#endif
