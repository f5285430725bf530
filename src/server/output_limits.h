/* SPDX-License-Identifier: Apache-2.0 */
/* output_limits: client-output-buffer-limit as text: for one class of clients or several, its name
 * and three numbers: hard limit, soft limit, and for how many seconds the soft one may be exceeded.
 */
#ifndef SERVER_OUTPUT_LIMITS_H
#define SERVER_OUTPUT_LIMITS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/diag.h"
#include "session/session.h"

struct output_limits {
    uint64_t hard[CLIENT_CLASSES];
    uint64_t soft[CLIENT_CLASSES];
    uint64_t soft_s[CLIENT_CLASSES];
};

/* Takes over what the words say, separated or with blanks between them, and leaves the other
 * classes as they are. ERR_INVALID with diag, then nothing has been changed. */
MUST_CHECK
int output_limits_parse(struct output_limits *limits, const struct slice *args, size_t count,
                        struct diag *diag);
/* All classes, appended. */
void output_limits_format(const struct output_limits *limits, struct buf *to);

#endif
