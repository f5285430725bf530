/* SPDX-License-Identifier: Apache-2.0 */
/* What simnode.c and simnode_command.c share. */
#ifndef SUPPORT_SIMNODE_INTERNAL_H
#define SUPPORT_SIMNODE_INTERNAL_H

#include "support/simnode.h"

/* Lets time pass and nothing else. */
void simnode_pass(struct simnode *node, uint64_t ms);

/* Sets the port's events. */
void simnode_listen(struct simnode *node);
void simnode_free_commands(struct simnode *node);

#endif
