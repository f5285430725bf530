/* SPDX-License-Identifier: Apache-2.0 */
/* transaction: what EXEC is to the group: one command that holds others (P2).
 *
 * argv: "exec", the watched keys as one argument, then every queued command as it stands in the log
 * (codec.h). Its keys are the union of theirs and of the watched ones. It runs them in order over
 * one transaction; a command that replies with an error does not stop those behind it. If a watched
 * key is not what it was, nothing runs and the reply is a null array (R27).
 *
 * A client's EXEC is the row "exec" of scope NODE, which knows only what to say when no MULTI is
 * open; a session with an open one submits transaction_row() instead. Those two rows are internal:
 * found by id alone.
 */
#ifndef COMMAND_TRANSACTION_H
#define COMMAND_TRANSACTION_H

#include "base/buf.h"
#include "command/command.h"

struct watched_key {
    struct slice key;
    uint64_t version; /* 0: absent */
    uint16_t db;
    uint16_t database_id; /* stable id of the database that had that number */
};

/* Appends one watched key as it stands in the log:
 *
 *   0    2            4         12
 *   | db | key length | version | key |
 *
 * Before one that is there, the database in which it was seen: db has its highest bit set, the
 * version is 0 and the key is the database's stable id, two bytes. SWAPDB may have put another key
 * with this name in its place, which one EXEC has written at the very same position.
 */
void watch_encode(struct buf *to, const struct watched_key *watched);

/* The row for an EXEC of which a queued command writes; or of one that only reads, which is not
 * logged. */
const struct command_row *transaction_row(bool has_writes);

/* May the command leave more behind than there was? By its row, as for memory (denyoom); an EXEC
 * by the rows of its queue. */
bool command_may_grow(const struct command_table *table, const struct command_row *row,
                      const struct slice *argv, uint32_t argc);

extern const struct command_family transaction_family;

#endif
