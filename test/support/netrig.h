/* SPDX-License-Identifier: Apache-2.0 */
/* netrig: one connection under test, owned by a recorder that does as it is told, and its peer, a
 * plain descriptor in the hands of the test. */
#ifndef SUPPORT_NETRIG_H
#define SUPPORT_NETRIG_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/net.h"

/* What the recorder does with bytes that come. */
enum netrig_mode {
    NETRIG_TAKE,  /* uses all up and keeps a copy in `got` */
    NETRIG_LINES, /* uses up whole lines only */
    NETRIG_ECHO,  /* uses all up and sends it back */
    NETRIG_REFUSE /* uses nothing up */
};

struct netrig {
    struct loop *loop;
    struct net *net;
    struct conn conn;
    int peer;
    enum netrig_mode mode;
    bool is_pausing_in_data; /* pauses in every on_data */
    bool is_closing_in_data; /* closes in on_data, _drained, _end */
    bool is_closing_in_drained;
    bool is_closing_in_end;
    size_t expect; /* announced in the next on_data */
    struct buf got;
    size_t last_len; /* of the last on_data */
    int data_calls;
    int drained_calls;
    int end_calls;
    int closed_calls;
    int error;
};

/* Over a unix socketpair, whose bytes are there as soon as they are sent. */
void netrig_open(struct netrig *rig);
/* Over TCP by way of the loopback. */
void netrig_open_tcp(struct netrig *rig);

/* Closes what is still open and checks that on_closed came once. */
void netrig_close(struct netrig *rig);

bool netrig_is_closed(void *rig);
void netrig_turn(struct netrig *rig);

/* Turns until the connection is gone; fails the test after a deadline. */
void netrig_await_close(struct netrig *rig);

/* All of it, or the test fails. */
void netrig_peer_send(struct netrig *rig, const void *data, size_t len);

/* What is there, up to `len`; 0 if nothing or the end. */
size_t netrig_peer_recv(struct netrig *rig, void *to, size_t len);

/* A connected pair of TCP sockets: non-blocking; [0] was accepted. */
void netrig_tcp_pair(int fds[2]);

#endif
