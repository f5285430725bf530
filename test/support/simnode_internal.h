/* SPDX-License-Identifier: Apache-2.0 */
/* What simnode.c and simnode_command.c share. */
#ifndef SUPPORT_SIMNODE_INTERNAL_H
#define SUPPORT_SIMNODE_INTERNAL_H

#include "support/random.h"
#include "support/simnode.h"

/* ---- simnode_pool.c ---- */

struct simpool *simpool_new(uint64_t seed);
/* Nothing may be queued. */
void simpool_free(struct simpool *pool);
/* As the engine knows it. */
struct pool *simpool_pool(struct simpool *pool);
/* Runs one of the jobs that may be next; its completion is posted. False if there is none. */
bool simpool_run_one(struct simpool *pool);

/* ---- simnode.c, simnode_command.c ---- */

/* Lets time pass and nothing else. */
void simnode_pass(struct simnode *node, uint64_t ms);

/* Sets the port's events. */
void simnode_listen(struct simnode *node);
void simnode_free_commands(struct simnode *node);

#endif
