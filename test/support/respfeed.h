/* SPDX-License-Identifier: Apache-2.0 */
/* respfeed: gives bytes to a request parser in pieces, as a connection would, and writes down what
 * came of it, so that different cuts of the same bytes can be compared.
 *
 * The log has one line per command, "4:ECHO 2:hi ", each argument as its length and bytes; an
 * empty command is an empty line. It ends with "error <text>" or "more" when the last command is
 * not whole.
 */
#ifndef SUPPORT_RESPFEED_H
#define SUPPORT_RESPFEED_H

#include "base/buf.h"
#include "resp/parser.h"

/* Parses `bytes` from a fresh parser, cut in front of each of the ascending offsets `cuts`. Each
 * call sees the bytes in a new allocation of exactly their size. The caller frees the log. */
struct buf respfeed(const struct resp_limits *limits, struct slice bytes, const size_t *cuts,
                    size_t cut_count);

#endif
