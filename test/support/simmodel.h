/* SPDX-License-Identifier: Apache-2.0 */
/* simmodel: databases of strings with expiry, by the book and without any cleverness: what the
 * simulated node is held against. A key whose time has come is gone for every command of that time
 * or later.
 */
#ifndef SUPPORT_SIMMODEL_H
#define SUPPORT_SIMMODEL_H

#include "base/buf.h"

#define SIMMODEL_DATABASES 16

struct simmodel;

struct simmodel *simmodel_new(void);
struct simmodel *simmodel_copy(const struct simmodel *model);
void simmodel_free(struct simmodel *model);

/* Applies one command or transaction (simtext.h) at the time of its entry, and appends the reply in
 * RESP2 to `reply`, which may be NULL. Knows SET, GET, GETDEL, INCR, INCRBY, APPEND, MSET, DEL,
 * RENAME, COPY, PEXPIRE, PEXPIREAT, PERSIST, FLUSHDB, FLUSHALL, MGET, EXISTS, STRLEN, GETRANGE,
 * SWAPDB, MOVE; another one ends the test. */
void simmodel_apply(struct simmodel *model, const char *text, uint64_t time_ms, struct buf *reply);

/* The same number as store_digest() gives, summed over all shards, for equal content. */
uint64_t simmodel_digest(const struct simmodel *model, uint64_t now_ms);

typedef void (*simmodel_visit_fn)(void *ctx, uint16_t db, struct slice key, struct slice value,
                                  uint64_t expire_at_ms);
/* Every key that is not due by now_ms, in no order. */
void simmodel_visit(const struct simmodel *model, uint64_t now_ms, simmodel_visit_fn visit,
                    void *ctx);
size_t simmodel_count(const struct simmodel *model, uint16_t db, uint64_t now_ms);

/* NULL if there is no such key; borrowed until the next change. */
const struct buf *simmodel_get(const struct simmodel *model, uint16_t db, struct slice key,
                               uint64_t now_ms);

#endif
