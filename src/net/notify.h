/* SPDX-License-Identifier: Apache-2.0 */
/* notify: lines to whoever supervises the process, as datagrams on a unix socket (sd_notify(3)).
 *
 * Nobody waits for them and nothing depends on them. Thread: any; one datagram a call.
 */
#ifndef NET_NOTIFY_H
#define NET_NOTIFY_H

#include "base/attr.h"

/* `address` is a path, or a name of the abstract namespace with '@' in front. A descriptor, or a
 * negative code. */
MUST_CHECK
int notify_open(const char *address);

/* "READY=1", "STATUS=..."; several are separated by newlines. What cannot be sent at once is lost.
 * Does nothing with a negative `fd`. */
void notify_send(int fd, const char *text);

void notify_close(int fd);

#endif
