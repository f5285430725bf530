/* SPDX-License-Identifier: Apache-2.0 */
/* glob: Redis's patterns: * ? [abc] [^a] [a-z] and \ to take a character as it is. */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include <stdbool.h>

#include "base/slice.h"

/* A pattern with more than so many stars that stand apart fits nothing, unless the last of them
 * ends it: as in Redis. */
#define GLOB_MAX_STARS 1000

/* True if the whole text matches. Runs in O(pattern * text) at worst, without recursion.
 * `nocase` folds ASCII letters. */
bool glob_match(struct slice pattern, struct slice text, bool nocase);

#endif
