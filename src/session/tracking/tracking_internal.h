/* SPDX-License-Identifier: Apache-2.0 */
/* tracking: clients that keep copies of values are told when these have become void.
 *
 * Words:    a tracker is what CLIENT TRACKING has set for one session; the table says which keys of
 *           which trackers have been read; a prefix is what trackers in BCAST mode wait for.
 * Threads:  all of it belongs to a host, but for the figures.
 * Lifetime: a tracker lives until tracking is off and the table has forgotten it.
 */
#ifndef SESSION_TRACKING_TRACKING_INTERNAL_H
#define SESSION_TRACKING_TRACKING_INTERNAL_H

#include "base/index.h"
#include "base/list.h"
#include "session/session_internal.h"

struct prefix;

struct tracker {
    struct session *session; /* NULL: tracking is off, entries of it mean nothing */
    struct list_node node;   /* in tracking->trackers */
    size_t entry_count;
    uint64_t redirect; /* another session's id; 0: none */
    uint32_t redirect_host;
    bool is_bcast;
    bool is_optin;
    bool is_optout;
    bool is_noloop;
    bool is_caching;           /* CLIENT CACHING has been said for the command that follows */
    bool is_broken;            /* whom it redirects to has gone */
    struct list_node prefixes; /* struct membership */
};

/* A tracker under a prefix. */
struct membership {
    struct list_node of_prefix;
    struct list_node of_tracker;
    struct prefix *prefix;
    struct tracker *tracker;
};

/* What has changed under a prefix since it was last told. */
struct changed_key {
    size_t off; /* in prefix->keys, a whole bulk string */
    size_t len;
    uint64_t client;
};

struct prefix {
    struct list_node node; /* in tracking->prefixes */
    struct list_node members;
    struct buf text;
    struct buf keys;
    struct changed_key *changed;
    size_t changed_count;
    size_t changed_cap;
};

struct tracking {
    struct host *host;
    struct list_node trackers;
    struct list_node prefixes;
    struct index keys;    /* struct tracked_key */
    struct index entries; /* by key and tracker */
    uint64_t draws;
    size_t added;                   /* keys, since the limit was last looked at */
    _Atomic uint64_t tracker_count; /* for INFO, and for other hosts */
    _Atomic uint64_t key_count;
    _Atomic uint64_t entry_count;
    _Atomic uint64_t prefix_count;
};

/* ---- table.c ---- */

/* Notes that the tracker has read the key. */
void tracking_table_add(struct tracking *tracking, struct tracker *tracker, struct slice key);
/* Takes the key out and calls `visit` for each tracker that is still on. */
typedef void (*tracker_visit_fn)(void *ctx, struct tracker *tracker);
void tracking_table_take(struct tracking *tracking, struct slice key, tracker_visit_fn visit,
                         void *ctx);
/* A key by chance, appended to `out_key`. False: there is none. */
bool tracking_table_draw(struct tracking *tracking, struct buf *out_key);
void tracking_table_clear(struct tracking *tracking);
/* Tracking is off. Frees the tracker now or with its last entry. */
void tracker_end(struct tracker *tracker);

/* ---- prefixes.c ---- */

/* NULL, or with which one of the tracker's it overlaps. */
const struct prefix *prefixes_overlap(const struct tracker *tracker, struct slice text);
void prefixes_join(struct tracking *tracking, struct tracker *tracker, struct slice text);
void prefixes_leave(struct tracking *tracking, struct tracker *tracker);
void prefixes_note(struct tracking *tracking, struct slice key, uint64_t client);
/* Tells every member what it is to hear. */
void prefixes_tell(struct tracking *tracking);

/* ---- invalidate.c ---- */

/* Sends a list of keys, as an array in bytes, or that all are void (empty), behind what the session
 * is owed. */
void tracker_send(struct tracker *tracker, struct slice keys);
/* Nobody tracks any more: takes entries out that are of no use, a slice of them. */
void tracking_forget_some(struct tracking *tracking);
struct session *host_find_session(struct host *host, uint64_t id);

#endif
