/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read a configuration share. */
#ifndef SERVER_CONFIG_CONFIG_INTERNAL_H
#define SERVER_CONFIG_CONFIG_INTERNAL_H

#include "server/config.h"

#define CONFIG_MAX_ARGS 256

/* The words of one line, unquoted. All zero at first; `bytes` is the user's to end. */
struct config_line {
    struct slice argv[CONFIG_MAX_ARGS];
    size_t count;
    struct buf bytes;             /* which argv is of */
    size_t ends[CONFIG_MAX_ARGS]; /* in bytes, while it still grows */
};

/* load.c: false: unbalanced quotes, or too many words. */
MUST_CHECK
bool config_split(struct slice line, struct config_line *out);

/* Is there anything in the line? */
bool config_line_is_blank(struct slice line);

/* files.c: `include` with its arguments, from the command line. */
MUST_CHECK
int config_include(struct config *config, const struct slice *argv, size_t count,
                   struct diag *diag);

/* load.c: one directive with its arguments; any but `include`. */
MUST_CHECK
int config_apply(struct config *config, const struct slice *argv, size_t count, struct diag *diag);

/* settle.c: once, when all has been read: makes `dir` absolute, and remarks on what has no
 * effect. */
MUST_CHECK
int config_settle(struct config *config, struct diag *diag);

#endif
