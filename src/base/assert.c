/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* For the report of the crash that follows: a signal handler is given nothing. */
static const struct assert_failure *_Atomic failed;

const struct assert_failure *assert_last_failure(void)
{
    return atomic_load(&failed);
}

void assert_fail(const char *what, const char *file, int line, const char *func)
{
    const struct assert_failure failure = {.what = what, .file = file, .line = line, .func = func};
    atomic_store(&failed, &failure);
    fprintf(stderr, "ferric: assertion failed: %s (%s:%d, %s)\n", what, file, line, func);
    fflush(stderr);
    abort();
}
