/* SPDX-License-Identifier: Apache-2.0 */
/* help: the HELP of every container, told by the rows of its subcommands. */
#ifndef COMMAND_HELP_H
#define COMMAND_HELP_H

#include "command/command.h"

/* The handler of a row "help" under a container. */
int help_run(struct call *call);

#endif
