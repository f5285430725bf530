/* SPDX-License-Identifier: Apache-2.0 */
/* rename: other names for commands than their rows have. For clients alone: what is in the log goes
 * by numbers. */
#ifndef COMMAND_RENAME_H
#define COMMAND_RENAME_H

#include "command/command.h"

/* From now on the command, and its subcommands with it, is found by the name `to` only; empty: by
 * none, and no list shows it. Before others use the table. ERR_NOT_FOUND, ERR_EXISTS, ERR_TOO_BIG.
 */
MUST_CHECK
int command_table_rename(struct command_table *table, struct slice from, struct slice to);

/* A command by the name of its row, whatever clients have to call it. NULL: there is none. */
const struct command_row *command_by_own_name(const struct command_table *table, const char *name);

#endif
