/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read a configuration share. */
#ifndef SERVER_CONFIG_INTERNAL_H
#define SERVER_CONFIG_INTERNAL_H

#include "server/config.h"

#define CONFIG_MAX_ARGS 256

/* config_load.c: one directive with its arguments. */
MUST_CHECK
int config_apply(struct config *config, const struct slice *argv, size_t count, struct diag *diag);

/* config_settle.c: once, when all has been read: makes `dir` absolute, and remarks on what has no
 * effect. */
MUST_CHECK
int config_settle(struct config *config, struct diag *diag);

#endif
