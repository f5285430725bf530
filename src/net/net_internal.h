/* SPDX-License-Identifier: Apache-2.0 */
/* net_internal: what the connections of one loop share, and what the files of this folder share. */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include <sys/socket.h>

#include "net/net.h"

/* Kept rests up to this size are put in front of the loop's buffer to be read on behind them;
 * larger ones are read on where they lie. */
#define NET_JOIN_SIZE 16384

/* At most so much of one large request is read in a turn. */
#define NET_DIRECT_SIZE (256 * 1024)

/* Room for an expected request is made at once up to this; beyond, as much again as has come, so
 * that a peer's announcement alone costs no memory. */
#define NET_EXPECT_AT_ONCE (16 * 1024 * 1024)

/* A chunk takes appends until it holds NET_CHUNK_FULL bytes. */
#define NET_CHUNK_FIRST 2048
#define NET_CHUNK_FULL  16384
#define NET_CHUNK_KEEP  32768 /* a larger buffer is not kept for reuse */
#define NET_FREE_CHUNKS 64    /* kept for reuse per loop */

#define NET_IOV_MAX    64  /* chunks in one send */
#define NET_COPY_SIZE  512 /* an owned buffer of up to so many bytes is copied instead */
#define NET_DRAIN_MAX  4   /* reads of input thrown away before a gentle close */
#define NET_STALL_MS   100 /* accepting rests so long when descriptors have run out */
#define NET_ACCEPT_MAX 64  /* connections accepted in one turn */
#define NET_BACKLOG    511

struct net {
    struct loop *loop;
    struct loop_phase phase;
    struct list_node dirty;
    struct list_node resumed;
    struct conn_chunk *free_chunks;
    unsigned free_count;
    size_t conn_count;
    bool is_called;    /* an owner's callback was called in this flush */
    struct buf sink;   /* for appends to connections that are closing */
    uint8_t *read_buf; /* NET_JOIN_SIZE + NET_READ_SIZE */
};

/* Bytes [off, counted) of buf are queued; those behind `counted` are not committed yet. */
struct conn_chunk {
    struct conn_chunk *next;
    struct buf buf;
    size_t off;
    size_t counted;
    bool is_owned; /* came whole: nothing is appended */
};

struct conn_chunk *net_take_chunk(struct net *net);
void net_drop_chunk(struct net *net, struct conn_chunk *chunk);

/* Tells the loop what the connection waits for in its present state. */
void conn_update_interest(struct conn *conn);

/* Closes because of an error. */
void conn_fail(struct conn *conn, int error);

/* Everything queued is out and the owner wanted no more than that. */
void conn_close_gently(struct conn *conn);

/* Hands the kept rest to on_data, if that is worth it now. */
void conn_deliver_rest(struct conn *conn);

/* Sends what the socket takes in one call. */
void conn_flush(struct conn *conn);
void conn_free_queue(struct conn *conn);

/* "a.b.c.d:port", "[v6]:port", a path, or "" for a socket without a name. */
void address_format(const struct sockaddr_storage *address, socklen_t len, char *out);

#endif
