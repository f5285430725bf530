/* SPDX-License-Identifier: Apache-2.0 */
/* topics: who listens to what.
 *
 * Every host has the topics of its own sessions, which it alone touches. Beside them the totals
 * count, for each name, the subscribers of all hosts together: for PUBSUB and INFO.
 *
 * Threads:  topics: the host's. topics_is_wanted() and totals: any; the totals have a lock.
 * Lifetime: a subscription lives until it is taken back or topics_drop() at the session's end.
 */
#ifndef SESSION_PUBSUB_TOPICS_INTERNAL_H
#define SESSION_PUBSUB_TOPICS_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"

struct session;
struct topics;
struct topic_totals;

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD, TOPIC_KINDS };

/* What one session listens to; it has one only while it does. */
struct subscriber {
    struct list_node subscriptions[TOPIC_KINDS];
    uint32_t counts[TOPIC_KINDS];
};

struct topics *topics_new(struct topic_totals *totals);
/* Nobody may be subscribed. */
void topics_free(struct topics *topics);

/* False if it was subscribed / was not. */
bool topics_add(struct topics *topics, struct session *session, enum topic_kind kind,
                struct slice name);
bool topics_del(struct topics *topics, struct session *session, enum topic_kind kind,
                struct slice name);
/* Takes back any one of the kind and appends its name. False: there is none. */
bool topics_del_one(struct topics *topics, struct session *session, enum topic_kind kind,
                    struct buf *name);
/* Takes back all that a session has. */
void topics_drop(struct topics *topics, struct session *session);

/* Is anybody of this host subscribed to anything? Seen by whoever comes after a subscription's
 * reply. */
bool topics_is_wanted(const struct topics *topics);

/* Calls `visit` for each subscriber of a channel. It may close sessions, but neither subscribe nor
 * take back. */
typedef void (*topic_visit_fn)(void *ctx, struct session *session);
void topics_visit(const struct topics *topics, enum topic_kind kind, struct slice name,
                  topic_visit_fn visit, void *ctx);
/* The patterns of this host that fit `name`, one after the other: NULL begins, NULL ends. */
struct topic;
const struct topic *topics_next_match(const struct topics *topics, const struct topic *last,
                                      struct slice name);
struct slice topic_name(const struct topic *topic);
void topic_visit(const struct topic *topic, topic_visit_fn visit, void *ctx);

/* ---- Totals ---- */

struct topic_totals *topic_totals_new(void);
void topic_totals_free(struct topic_totals *totals);

/* Different names that somebody is subscribed to. */
uint64_t topic_totals_count(struct topic_totals *totals, enum topic_kind kind);
uint64_t topic_totals_subscribers(struct topic_totals *totals, enum topic_kind kind,
                                  struct slice name);
/* The names, under the lock. */
typedef void (*topic_name_fn)(void *ctx, struct slice name);
void topic_totals_names(struct topic_totals *totals, enum topic_kind kind, topic_name_fn on_name,
                        void *ctx);

#endif
