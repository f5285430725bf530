/* SPDX-License-Identifier: Apache-2.0 */
/* stringmodel: what the commands for strings and keys mean, as plainly as it can be said: an array
 * of keys that is searched from one end to the other, and one function per command.
 *
 * Replies are RESP2. KEYS, SCAN and RANDOMKEY, whose replies have no order, are left to the test.
 */
#ifndef SUPPORT_STRINGMODEL_H
#define SUPPORT_STRINGMODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct model_key {
    uint16_t db;
    struct buf name;
    struct buf value;
    uint64_t expire_at_ms; /* 0: never */
    uint64_t changed_at;   /* the entry that did it */
};

struct stringmodel {
    struct model_key *keys;
    size_t count;
    size_t cap;
    uint16_t database_count;
    uint64_t now_ms; /* of the entry being run */
    uint64_t index;
    uint16_t db;
    struct buf out;
};

void stringmodel_init(struct stringmodel *model, uint16_t database_count);
void stringmodel_fini(struct stringmodel *model);

/* Takes out what has expired by now_ms. */
void stringmodel_expire(struct stringmodel *model);

/* False for an INCRBYFLOAT of a longer number than the model can reckon with. */
bool stringmodel_knows(const struct stringmodel *model, const struct slice *argv);

/* Appends the reply to model->out. False if it does not know the command. */
bool stringmodel_run(struct stringmodel *model, const struct slice *argv, uint32_t argc);

/* NULL if there is none. */
const struct model_key *stringmodel_find(const struct stringmodel *model, uint16_t db,
                                         struct slice name);

#endif
