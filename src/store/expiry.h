/* SPDX-License-Identifier: Apache-2.0 */
/* expiry: when to look for keys that have fallen due, without scanning.
 *
 * A hierarchical timing wheel of 8-byte hints: (second, 32 bits of the key's hash). A hint says
 * only "look into this bucket then": the row that lies there decides. So hints may be stale or
 * double, never missing: every row with an expiry has a hint that is not later than it. Rows whose
 * expiry moves later keep their old hint, which is set anew when it fires; the owner rebuilds the
 * wheel when stale hints outnumber the rows.
 *
 * Units:    seconds since the Unix epoch, of committed time.
 * Threads:  the shard's only.
 * Source:   Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987.
 */
#ifndef STORE_EXPIRY_H
#define STORE_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define EXPIRY_HINT_BYTES 8 /* that a hint takes */

struct expiry;

/* A hint has fired. The callee may add hints. */
typedef void (*expiry_due_fn)(void *ctx, uint32_t hash);

struct expiry *expiry_new(uint64_t now_ms);
void expiry_free(struct expiry *expiry);

/* The second at which a key that expires at `expire_at_ms` is surely due. */
uint32_t expiry_second(uint64_t expire_at_ms);

void expiry_add(struct expiry *expiry, uint64_t expire_at_ms, uint32_t hash);

/* Fires hints up to `now_ms`, about `budget` of them. True if more are due. */
bool expiry_advance(struct expiry *expiry, uint64_t now_ms, size_t budget, expiry_due_fn on_due,
                    void *ctx);

/* Fires the hints of the second after that of the last advance, which may be due by now in part. */
void expiry_look_ahead(struct expiry *expiry, expiry_due_fn on_due, void *ctx);

/* A lower bound of the next time at which a hint may fire, in ms; UINT64_MAX when there is none. */
uint64_t expiry_next_ms(const struct expiry *expiry);

size_t expiry_count(const struct expiry *expiry);
size_t expiry_bytes(const struct expiry *expiry);

#endif
