/* SPDX-License-Identifier: Apache-2.0 */
/* simtext: commands of simulations as people write them.
 *
 *   SET key value                  one command, in database 0
 *   @3 INCR n                      in database 3
 *   SET a 1; INCR b                a transaction: MULTI, these two, EXEC
 *
 * Words are separated by single blanks and hold none.
 */
#ifndef SUPPORT_SIMTEXT_H
#define SUPPORT_SIMTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define SIMTEXT_COMMANDS 8
#define SIMTEXT_ARGS     24

struct simtext_command {
    struct slice argv[SIMTEXT_ARGS];
    uint32_t argc;
};

struct simtext {
    uint16_t db;
    bool is_transaction;
    uint32_t count;
    struct simtext_command commands[SIMTEXT_COMMANDS];
};

/* Borrows `text`. A mistake in it ends the test. */
void simtext_parse(const char *text, struct simtext *out);

#endif
