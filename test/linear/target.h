/* SPDX-License-Identifier: Apache-2.0 */
/* target: the server process under test and its data directory.
 *
 * Threads:  one at a time; target_port() from any.
 */
#ifndef LINEAR_TARGET_H
#define LINEAR_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

#define TARGET_MAX_OPTIONS 48
#define TARGET_PATH        512

struct target {
    const char *server; /* the program */
    char dir[TARGET_PATH];
    const char *options[TARGET_MAX_OPTIONS];
    unsigned option_count;
    uint16_t port;
    pid_t pid; /* 0: it does not run */
};

/* Chooses a port; empties and makes `dir`. */
void target_init(struct target *target, const char *server, const char *dir);
void target_add_option(struct target *target, const char *name, const char *value);

/* Starts it and waits until it answers. False if it does not, after showing its log. */
MUST_CHECK
bool target_start(struct target *target);

/* kill -9. */
void target_kill(struct target *target);

/* Asks it to end, kindly; false if it does not or ends with an error, after showing its log. */
MUST_CHECK
bool target_stop(struct target *target);

/* Has it ended by itself? */
bool target_has_died(struct target *target);

/* Has the kernel forget its data files, so that values must be read from disk. */
void target_drop_cache(const struct target *target);

/* The end of the server's log, on stderr. */
void target_show_log(const struct target *target);

/* Removes the data directory. */
void target_remove(struct target *target);

#endif
