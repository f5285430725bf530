/* SPDX-License-Identifier: Apache-2.0 */
/* err: the codes of operating errors (disk, peer, limits, damaged bytes).
 *
 * A function that can meet one returns int: 0, or a negative code. -1 .. -999 are errno values
 * negated, -1001 and below are ours. Mistakes of our own are ASSERTs, mistakes of a user replies.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

#define ERR_LIST(X)                                                         \
    X(1001, CORRUPT, "bytes on disk do not match their checksum or format") \
    X(1002, TORN, "the end of the file is incomplete")                      \
    X(1003, NOT_FOUND, "not found")                                         \
    X(1004, COLD, "the value is not in memory")                             \
    X(1005, AGAIN, "not now, try again later")                              \
    X(1006, BUSY, "in use")                                                 \
    X(1007, TOO_BIG, "larger than a limit allows")                          \
    X(1008, INVALID, "not a valid value")                                   \
    X(1009, FORMAT, "not in the expected format")                           \
    X(1010, VERSION, "written by another version of the format")            \
    X(1011, MISMATCH, "does not belong to what it was found with")          \
    X(1012, STOPPING, "shutting down")                                      \
    X(1013, NOT_LEADER, "this node does not lead the group")                \
    X(1014, UNKNOWN_OUTCOME, "the outcome cannot be known")                 \
    X(1015, LOG_FAILED, "the log has failed and takes no more writes")      \
    X(1016, EXISTS, "exists already")                                       \
    X(1017, MORE, "more input is needed")                                   \
    X(1018, PROTOCOL, "the peer broke the protocol")                        \
    X(1019, RETRY, "the state changed meanwhile, look again")

#define ERR_ENUM(number, name, text) ERR_##name = -(number),
enum err_code { ERR_LIST(ERR_ENUM) };
#undef ERR_ENUM

/* -errno of the last failed system call; asserts that errno is set. */
int err_last(void);

/* The text for a code, errno values included; static storage of the calling thread's use only
 * for unknown codes. Never NULL. Thread: any. */
const char *err_text(int code);

/* The code's short name for logs ("CORRUPT", "EIO"), or "?" . */
const char *err_name(int code);

#endif
