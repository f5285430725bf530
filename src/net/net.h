/* SPDX-License-Identifier: Apache-2.0 */
/* net: listeners and connections over one loop; bytes in, bytes out, no protocol.
 *
 * Reading: one read per ready socket per turn into a buffer of the loop; what the owner does not
 * use up is kept by the connection. Idle connections hold no buffer at all.
 * Writing: bytes are queued and leave with one writev at the end of the turn; on EAGAIN the rest
 * waits for the socket. The queue is bounded by the owner: conn_queued() against its limits.
 *
 * Threads:  everything on the loop's thread.
 * Lifetime: the owner embeds struct conn and may free it in on_closed, not before.
 * See net/README.md, invariants N1-N5.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/diag.h"
#include "loop/loop.h"

#define NET_READ_SIZE 65536 /* one read, shared by the connections of a loop */
#define NET_ADDR_SIZE 128   /* "[v6]:port" or a path, with the terminating zero */

struct conn;
struct net; /* what the connections of one loop share */

/* The bytes that have come, front first. Returns how many were used up; the rest comes again,
 * together with what follows. Must not close or free within; conn_close() is fine. */
typedef size_t (*conn_data_fn)(struct conn *conn, struct slice bytes);

/* The connection is gone: by conn_close(), the peer (error 0) or a failure (negative code). No
 * call follows; the owner may free it now. */
typedef void (*conn_closed_fn)(struct conn *conn, int error);

/* The queue has become empty after an EAGAIN. */
typedef void (*conn_drained_fn)(struct conn *conn);

struct conn_events {
    conn_data_fn on_data;
    conn_drained_fn on_drained;
    conn_closed_fn on_closed;
};

struct conn_chunk; /* a piece of the queue */

struct conn {
    struct net *net;
    const struct conn_events *events;
    struct loop_watch watch;
    struct list_node dirty_node; /* in net's list of those to flush this turn */
    struct buf unread;           /* the unused rest of what was read */
    struct conn_chunk *out_first;
    struct conn_chunk *out_last;
    size_t out_bytes;
    size_t need; /* wanted size of `unread` before on_data is worth calling */
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool is_paused;
    bool is_closing;
    bool is_close_after_flush;
    bool is_reading; /* within on_data */
};

struct net_options {
    struct loop *loop;
    unsigned flush_order; /* the phase order at which queued bytes leave */
};

MUST_CHECK
int net_new(const struct net_options *options, struct net **out_net);
/* No connection may be left. */
void net_free(struct net *net);

/* Takes a connected, non-blocking stream socket over. On error the caller keeps it. */
MUST_CHECK
int conn_open(struct conn *conn, struct net *net, int fd, const struct conn_events *events);

/* Closes at once / after all queued bytes are out; on_closed follows later, never from within. */
void conn_close(struct conn *conn);
void conn_close_after_flush(struct conn *conn);

/* Stops and resumes reading. Resume hands the kept rest to on_data again, later in the turn. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* on_data is not worth calling before `bytes` are there in all: room is made for them at once
 * (as far as they have a bound the owner has checked) and reads go straight there. */
void conn_expect(struct conn *conn, size_t bytes);

/* The buffer to append reply bytes to; they leave at the end of the turn. Valid until the next
 * call on this connection. Never NULL; after a close it swallows. */
struct buf *conn_out(struct conn *conn);

/* Must follow every append to conn_out(): marks the connection for this turn's flush. */
void conn_commit(struct conn *conn);

/* Queues a heap buffer without copying; the connection owns it. */
void conn_write_owned(struct conn *conn, struct buf *bytes);

/* Bytes queued and not yet taken by the kernel. */
size_t conn_queued(const struct conn *conn);
/* Memory held in buffers of both directions. */
size_t conn_memory(const struct conn *conn);

/* Addresses as text, NET_ADDR_SIZE bytes each; "?" when unknown. */
void conn_addresses(const struct conn *conn, char *out_peer, char *out_local);

/* ---- Listeners ---- */

struct listener;

/* A new connection's non-blocking, close-on-exec socket, TCP_NODELAY set; the callee owns it. */
typedef void (*listener_accept_fn)(void *ctx, int fd);

struct listener_options {
    struct loop *loop;
    const char *host; /* numeric address; NULL with a unix path */
    uint16_t port;    /* 0: any, see listener_port() */
    const char *path; /* of a unix socket, else NULL */
    unsigned backlog;
    listener_accept_fn on_accept;
    void *ctx;
};

/* Binds and listens. diag says which address and why. */
MUST_CHECK
int listener_open(const struct listener_options *options, struct listener **out, struct diag *diag);
uint16_t listener_port(const struct listener *listener);

/* Stops accepting for a while (maxclients, EMFILE): retried by a timer. */
void listener_close(struct listener *listener);

#endif
