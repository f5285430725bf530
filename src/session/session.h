/* SPDX-License-Identifier: Apache-2.0 */
/* session: RESP connections: parse, dispatch, and replies in the order of requests (P3).
 *
 * A hub is what all sessions of a server share; a host is one io loop's part of it: its
 * connections, its port into the group. A session runs the commands of scope NODE itself and hands
 * all others to the port. Replies that come later have a pending entry each, and leave from the
 * front.
 *
 * Threads:  a host and its sessions belong to its loop. A hub is read by all; its settings are
 *           atomic words or lie under its lock.
 * Lifetime: a session lives from session_accept() until its connection has closed and its last
 *           pending entry has come back.
 * See session/README.md, invariants Q1-Q8.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "command/command.h"
#include "engine/port.h"
#include "net/net.h"
#include "os/thread.h"
#include "resp/parser.h"

struct hub;
struct host;
struct session;

enum client_class { CLIENT_NORMAL, CLIENT_REPLICA, CLIENT_PUBSUB, CLIENT_CLASSES };

/* What may wait for a client that does not read, in bytes; 0: no limit. */
struct output_limit {
    _Atomic uint64_t hard;
    _Atomic uint64_t soft; /* for so long: */
    _Atomic uint64_t soft_s;
};

/* Live settings; relaxed atomics, changed by CONFIG SET from any loop. */
struct hub_settings {
    _Atomic uint64_t max_clients;
    _Atomic uint64_t query_buffer_limit; /* bytes of one unfinished command */
    struct output_limit output_limits[CLIENT_CLASSES];
    _Atomic uint64_t max_bulk_size;
    _Atomic uint64_t idle_timeout_s; /* 0: never */
    _Atomic uint64_t keepalive_s;
    _Atomic uint64_t tracking_max_keys; /* 0: no limit */
    _Atomic bool needs_auth;            /* a password is set */
    _Atomic int64_t slowlog_us;         /* SLOWLOG keeps commands that take longer; below 0: none */
    _Atomic uint64_t slowlog_max;
    _Atomic bool tracks_latency; /* for LATENCY HISTOGRAM */
    _Atomic uint64_t latency_ms; /* LATENCY keeps events of so long; 0: none */
    _Atomic bool protects;       /* without one, only this machine is served */
    _Atomic bool is_cron_paused; /* DEBUG PAUSE-CRON: limits and figures wait */
};

enum debug_access { DEBUG_FOR_NONE, DEBUG_FOR_ALL, DEBUG_FOR_LOCAL };

struct hub_options {
    struct group *group;
    const struct command_table *table;
    struct loop *loops[GROUP_MAX_LOOPS]; /* the group's io loops, in its order */
    uint32_t loop_count;
    const char *server_version;     /* redis_version for HELLO */
    size_t max_held_bytes;          /* of commands not yet run, over all connections (R33) */
    size_t max_multi_bytes;         /* of one transaction */
    enum debug_access debug_access; /* who may say what is CMD_PROTECTED */
    void *server;                   /* of the layer above, for its handlers */
    /* For the log of the server: one line, level by Redis's letters. Thread: any loop's. */
    void (*on_log)(void *server, char level, const char *text);
};

MUST_CHECK
int hub_new(const struct hub_options *options, struct hub **out_hub);
/* All sessions must be gone. */
void hub_free(struct hub *hub);

struct hub_settings *hub_settings(struct hub *hub);
/* After what decides which commands are slow has been changed. */
void hub_settings_changed(struct hub *hub);

/* Copies; an empty password takes authentication away. Thread: any. */
void hub_set_password(struct hub *hub, struct slice password);
/* The password as it is now, appended. Thread: any. */
void hub_password(struct hub *hub, struct buf *out);

/* Which events of the keyspace are published, as classes of store/event.h. Thread: any. */
void hub_set_notify(struct hub *hub, unsigned classes);

/* Takes a connected socket over and gives it to one of the hosts in turn; before hub_spread() to
 * the first. Thread: any loop's. */
void hub_accept(struct hub *hub, int fd);

/* From now on all loops run, and how many databases there are is known. Thread: the first loop's.
 */
void hub_spread(struct hub *hub);

/* Closes every connection, after its queued replies where `is_graceful`; on_done comes on `loop`
 * when all are gone. Thread: any. */
void hub_close_all(struct hub *hub, bool is_graceful, struct loop *loop, void (*on_done)(void *ctx),
                   void *ctx);

struct hub_stats {
    uint64_t connected_clients;
    uint64_t connections_received;
    uint64_t rejected_connections;
    uint64_t commands_processed;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t inline_reads;
    uint64_t queued_reads;
    uint64_t cold_reads;
    uint64_t read_retries;
    uint64_t writes;
    uint64_t output_limit_closes;
    uint64_t query_limit_closes;
    uint64_t channels; /* different ones that somebody listens to */
    uint64_t patterns;
    uint64_t shard_channels;
    uint64_t pubsub_clients;
    uint64_t trackers;
    uint64_t tracked_keys;
    uint64_t tracked_items; /* a key counts once for each client that tracks it */
    uint64_t tracked_prefixes;
    uint64_t blocked_clients;
    uint64_t monitors;
    uint64_t commands_per_s;
    uint64_t bytes_in_per_s;
    uint64_t bytes_out_per_s;
    uint64_t client_bytes;    /* memory of connections */
    uint64_t max_input_bytes; /* the largest of the last second */
    uint64_t max_output_bytes;
    uint64_t peak_memory; /* of the allocator, now and at each second with connections */
    uint32_t pause_kind;  /* 0: none, 1: writes, 2: everything */
    uint64_t pause_left_ms;
};
struct hub_stats hub_stats(struct hub *hub);
/* Of every command, since the last reset; the caller ends it. */
void hub_tally(struct hub *hub, struct tally_sum *out);
/* What counts events counts from 0 again (CONFIG RESETSTAT). */
void hub_reset_stats(struct hub *hub);

/* ---- For the handlers of scope NODE ---- */

struct hub *session_hub(struct session *session);
void *session_server(struct session *session);
struct loop *session_loop(struct session *session);
uint64_t session_id(const struct session *session);

/* A handler that cannot answer at once calls session_defer() and returns 0 without a reply; the
 * answer is given with session_answer(), on the session's loop, at any later time. Later replies of
 * the connection wait behind it, within EXEC too. */
struct session_ticket;
struct session_ticket *session_defer(struct call *call);
/* The same, and nothing more of the connection is run before the answer. Not within EXEC. */
struct session_ticket *session_defer_alone(struct call *call);
/* Takes the ticket. `reply` holds one whole reply in the protocol of session_ticket_proto(). */
void session_answer(struct session_ticket *ticket, struct slice reply);
uint8_t session_ticket_proto(const struct session_ticket *ticket);

/* Closes the connection once the replies so far are out (QUIT); nothing more of it is run. */
void session_close_after_reply(struct session *session);
/* Runs nothing more of the connection, which stays open (SHUTDOWN). */
void session_halt(struct session *session);

/* Rows of this layer: connection and transaction control. */
extern const struct command_family connection_family;
extern const struct command_family multi_family;
extern const struct command_family wait_family;
extern const struct command_family watch_family;
extern const struct command_family client_family;
extern const struct command_family pubsub_family;
extern const struct command_family publish_family;
extern const struct command_family tracking_family;
extern const struct command_family latency_family;
extern const struct command_family monitor_family;
extern const struct command_family slowlog_family;

#endif
