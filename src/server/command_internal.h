/* SPDX-License-Identifier: Apache-2.0 */
/* What COMMAND's files share: command_keys.c tells of keys, command_arguments.c of arguments. */
#ifndef SERVER_COMMAND_INTERNAL_H
#define SERVER_COMMAND_INTERNAL_H

#include "command/command.h"

/* Where the keys stand and what they are used for, as COMMAND INFO shows it. */
void command_reply_key_specs(struct reply *reply, const struct command_row *row);

/* What stands in the row's syntax, as COMMAND DOCS shows it. */
void command_reply_arguments(struct reply *reply, const struct command_row *row);

int command_run_getkeys(struct call *call);
int command_run_getkeysandflags(struct call *call);

#endif
