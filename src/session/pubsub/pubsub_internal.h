/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions are sent unasked, and who listens to what. */
#ifndef SESSION_PUBSUB_PUBSUB_INTERNAL_H
#define SESSION_PUBSUB_PUBSUB_INTERNAL_H

#include "session/hub_internal.h"

/* push.c */
/* Sends what was not asked for just now, behind everything that the client is owed (Q9). */
void session_push(struct session *session, struct slice bytes);
/* False: more waits for the client than may; it has been closed. */
MUST_CHECK
bool session_check_output(struct session *session);
/* Around a command of scope NODE: what is pushed to its own session comes behind its reply. */
void session_run_begin(struct session *session);
void session_run_end(struct session *session);

/* pubsub.c */
bool session_is_subscribed(const struct session *session);
/* It listens to nothing any more. */
void session_forget_topics(struct session *session);
uint32_t session_subscriptions(const struct session *session, enum topic_kind kind);

/* publish.c */
struct message {
    enum topic_kind kind; /* CHANNEL: also to those whose pattern fits */
    struct slice channel;
    struct slice body;
};
/* Sends a message to the host's subscribers and returns how many it went to. */
uint64_t host_deliver(struct host *host, const struct message *message);

#endif
