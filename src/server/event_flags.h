/* SPDX-License-Identifier: Apache-2.0 */
/* event_flags: notify-keyspace-events as letters, each a class of store/event.h. */
#ifndef SERVER_EVENT_FLAGS_H
#define SERVER_EVENT_FLAGS_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"

/* False: there is another letter among them. */
MUST_CHECK
bool event_flags_parse(struct slice text, unsigned *out_classes);
/* In Redis's order, appended. */
void event_flags_format(unsigned classes, struct buf *to);

#endif
