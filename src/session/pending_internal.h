/* SPDX-License-Identifier: Apache-2.0 */
/* Replies that come later: one entry for each command of a connection that is under way, in order.
 */
#ifndef SESSION_PENDING_INTERNAL_H
#define SESSION_PENDING_INTERNAL_H

#include "session/hub_internal.h"

#define PENDING_INLINE 24
#define PENDING_MAX    16384 /* commands of one connection under way */

enum pending_kind {
    PENDING_REPLY, /* of the port or a handler that deferred */
    PENDING_RETRY, /* the command that waits is parsed again; it is told of an error */
    PENDING_EXEC,  /* EXEC with commands of scope NODE among its own: put together at the end */
    PENDING_RELAY, /* invalid keys, for whom the session redirects to */
    PENDING_PART   /* of one of these that deferred; in no session's list */
};

/* An EXEC that is put together: queued commands of scope NODE run one after the other, and what the
 * group has answered to those with data is laid between their replies. */
struct exec {
    struct queued *queue;
    const struct queued *next; /* the first that has no reply yet */
    struct buf out;            /* replies so far */
    struct buf rest;           /* of the group's reply, while a command is awaited */
};

struct pending {
    struct pending *next;
    struct host *host;
    struct session *session; /* NULL: the connection has gone */
    struct exec *exec;       /* PENDING_EXEC */
    struct pending *whole;   /* PENDING_PART: the EXEC */
    enum pending_kind kind;
    bool is_done;
    bool is_ordering; /* taken by the port, not yet executed: later commands must follow it */
    bool is_alone;    /* the connection is stalled until it is answered */
    bool is_loud;     /* its command was sent in capitals */
    bool is_silent;   /* CLIENT REPLY says that nobody wants it */
    uint8_t proto;
    uint8_t inline_len;
    uint8_t inline_bytes[PENDING_INLINE];
    size_t expected;  /* bytes of a reply that has not come */
    struct buf bytes; /* of a reply that is longer */
};

struct pending *pending_new(struct session *session, enum pending_kind kind);
void pending_release(struct host *host, struct pending *pending);
void pending_link(struct session *session, struct pending *pending);
/* What it means for the connection that the port has taken the request. */
void pending_note_taken(struct session *session, struct pending *pending, enum port_result result);
void pending_expect(struct session *session, struct pending *pending, size_t bytes);
void pending_answer(struct pending *pending, struct slice reply);
/* What it was alone for is done: more of its connection may follow it. */
void pending_place(struct pending *pending);
void pending_orphan_all(struct session *session);
/* Sends what is no reply, and never silenced, behind what is pending. */
void pending_push(struct session *session, struct slice bytes);
/* tracking_relay() is called with it behind what is pending. */
void pending_push_relay(struct session *session, struct slice keys);
/* Appends a finished reply behind what is pending. */
void pending_push_done(struct session *session, struct slice reply);

#endif
