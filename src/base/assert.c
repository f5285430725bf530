/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *what, const char *file, int line, const char *func)
{
    fprintf(stderr, "ferric: assertion failed: %s (%s:%d, %s)\n", what, file, line, func);
    fflush(stderr);
    abort();
}
