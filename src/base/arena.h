/* SPDX-License-Identifier: Apache-2.0 */
/* arena: memory that is given back all at once.
 *
 * For the life of one command or one turn; never crosses a thread. Zeroed storage is valid.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* of the newest */
    size_t bytes;               /* held in all */
};

/* Aligned for any type. NULL only when `size` cannot be had: check where a client chose it. */
MUST_CHECK
void *arena_try_alloc(struct arena *arena, size_t size);

/* Frees everything but one block of ordinary size. */
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);

#endif
