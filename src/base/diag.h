/* SPDX-License-Identifier: Apache-2.0 */
/* diag: a sentence for people about an error, filled by cold calls (open, recover, configure).
 *
 * Lower layers never log; they return a code and, where a code alone would not help, fill the
 * diag that the caller gave. The text says what, where, and what to do about it.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include "base/attr.h"
#include "base/err.h"

#define DIAG_SIZE 512

struct diag {
    char text[DIAG_SIZE];
};

/* Writes the sentence, cut at DIAG_SIZE - 1 bytes, and returns `code`. `diag` may be NULL. */
int diag_set(struct diag *diag, int code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
