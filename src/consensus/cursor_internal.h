/* SPDX-License-Identifier: Apache-2.0 */
/* cursor: entries in index order, from memory or read back from the log. */
#ifndef CONSENSUS_CURSOR_INTERNAL_H
#define CONSENSUS_CURSOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "seglog/seglog.h"

struct consensus;

/* `next` is the entry wanted; the frame, if any, holds it or earlier ones. Zeroed storage with
 * `next` set is a valid cursor. */
struct cursor {
    uint64_t next;
    struct frame *frame; /* a reference */
    uint64_t last;       /* what counts of the frame */
    size_t at;           /* the walk's place in it */
    uint32_t nth;
    struct seglog_reader *reader;
    uint64_t reader_from; /* `next` when it was opened */
};

/* Puts the cursor's frame on the one that holds `next`. *read_bytes grows by what was read from
 * disk. 0, ERR_NOT_FOUND: the log does not have it any more; otherwise what the log says. */
MUST_CHECK
int cursor_load(struct consensus *c, struct cursor *cursor, size_t *read_bytes, struct diag *diag);

/* The entry `next`, if it is in the cursor's frame and not beyond `limit`; moves on. */
bool cursor_take(const struct consensus *c, struct cursor *cursor, uint64_t limit,
                 struct log_entry *out_entry);
void cursor_fini(struct cursor *cursor);

#endif
