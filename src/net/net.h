/* SPDX-License-Identifier: Apache-2.0 */
/* net: listeners and connections over one loop; bytes in, bytes out, no protocol.
 *
 * Reading: one read per ready socket per turn into a buffer of the loop; what the owner does not
 * use up is kept by the connection. Idle connections hold no buffer at all.
 * Writing: bytes are queued and leave with one send at the end of the turn; on EAGAIN the rest
 * waits for the socket. The queue is bounded by the owner: conn_queued() against its limits. So is
 * what it leaves unused: conn_unused().
 *
 * Threads:  everything on the loop's thread.
 * Lifetime: the owner embeds struct conn and may free it in on_closed, not before.
 * See net/README.md, invariants N1-N6.
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
 * together with what follows. Must not free the connection; conn_close() is fine. */
typedef size_t (*conn_data_fn)(struct conn *conn, struct slice bytes);

/* The peer sends no more; it may still read. The owner answers what it owes and then closes. */
typedef void (*conn_end_fn)(struct conn *conn);

/* The connection is gone: by conn_close(), the peer (error 0) or a failure (negative code). No
 * call follows; the owner may free it now. */
typedef void (*conn_closed_fn)(struct conn *conn, int error);

/* The queue has become empty after the socket had been full, or while the connection is paused. */
typedef void (*conn_drained_fn)(struct conn *conn);

struct conn_events {
    conn_data_fn on_data;
    conn_end_fn on_end;         /* NULL: what is queued is sent, then the connection is closed */
    conn_drained_fn on_drained; /* may be NULL */
    conn_closed_fn on_closed;
};

struct conn_chunk; /* a piece of the queue */

struct conn {
    struct net *net;
    const struct conn_events *events;
    struct loop_watch watch;
    struct list_node dirty_node;  /* in net's list of those to flush this turn */
    struct list_node resume_node; /* in net's list of those whose rest is due again */
    struct buf unread;            /* what was read and not used up, from unread_off on */
    size_t unread_off;
    size_t need; /* unused bytes below which on_data is not worth calling */
    struct conn_chunk *out_first;
    struct conn_chunk *out_last;
    size_t out_bytes;
    uint64_t bytes_in;
    uint64_t bytes_out;
    int error;
    bool is_paused;
    bool is_reading; /* within on_data */
    bool is_ended;   /* the peer sends no more */
    bool is_blocked; /* the socket is full: nothing is sent before it is writable */
    bool is_close_after_flush;
    bool is_closing;
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

/* Closes at once / after all queued bytes are out, reading no more; on_closed follows later, never
 * from within. A peer that never reads can keep the second from ever happening: then the owner
 * calls the first. */
void conn_close(struct conn *conn);
void conn_close_after_flush(struct conn *conn);

/* Stops and resumes reading. Resume hands the kept rest to on_data again, later in the turn. A
 * paused connection does not notice that its peer has gone. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* on_data is not worth calling before `bytes` are there in all, counted from the first unused one;
 * holds until then. Large ones are read straight to their place. The owner has checked them
 * against its limits. */
void conn_expect(struct conn *conn, size_t bytes);

/* The buffer to append reply bytes to; they leave at the end of the turn. Valid until the next
 * call on this connection. Never NULL; after a close it swallows. */
struct buf *conn_out(struct conn *conn);

/* Must follow every append to conn_out(): marks the connection for this turn's flush. */
void conn_commit(struct conn *conn);

/* Queues a heap buffer behind what is committed; the connection owns it, `bytes` is empty
 * afterwards. Not copied unless it is small. */
void conn_write_owned(struct conn *conn, struct buf *bytes);

/* Bytes queued and not yet taken by the kernel. */
size_t conn_queued(const struct conn *conn);
/* Bytes read and not used up. */
size_t conn_unused(const struct conn *conn);
/* Memory held in buffers of both directions. */
size_t conn_memory(const struct conn *conn);

/* Lets the kernel probe a silent peer after `seconds`, three times, a third of that apart.
 * 0: never. Does nothing on a unix socket. */
MUST_CHECK
int conn_set_keepalive(struct conn *conn, unsigned seconds);

/* Addresses as text, NET_ADDR_SIZE bytes each; "?" when unknown. A unix socket's nameless end goes
 * by the name of the other; its port is 0. */
void conn_addresses(const struct conn *conn, char *out_peer, char *out_local);

/* For a socket that has not become a connection: does its peer run on this machine? / Sends `text`
 * if that goes at once, and closes it. */
bool net_is_local(int fd);
bool net_is_unix(int fd);
/* Is this a numeric address of either family? */
bool net_is_address(const char *host);
void net_refuse(int fd, const char *text);

/* ---- Listeners ---- */

struct listener;

/* A new connection's non-blocking, close-on-exec socket, TCP_NODELAY set; the callee owns it. It
 * may post it to another loop and call conn_open() there. */
typedef void (*listener_accept_fn)(void *ctx, int fd);

struct listener_options {
    struct loop *loop;
    const char *host;   /* numeric address; NULL with a unix path */
    uint16_t port;      /* 0: any, see listener_port() */
    const char *path;   /* of a unix socket, else NULL */
    unsigned path_mode; /* permissions of the unix socket; 0: as the umask leaves them */
    unsigned backlog;   /* 0: 511; the system has a limit of its own */
    listener_accept_fn on_accept;
    void *ctx;
};

/* Binds and listens. A unix socket that nobody listens to any more is replaced. diag says which
 * address and why. */
MUST_CHECK
int listener_open(const struct listener_options *options, struct listener **out, struct diag *diag);
uint16_t listener_port(const struct listener *listener);

/* How often accepting had to pause because descriptors or memory had run out; the connections wait
 * in the backlog meanwhile. */
uint64_t listener_stalls(const struct listener *listener);

/* Accepts no more from now on, removes the unix socket's name; the listener frees itself. */
void listener_close(struct listener *listener);

#endif
