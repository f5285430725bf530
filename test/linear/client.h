/* SPDX-License-Identifier: Apache-2.0 */
/* client: one connection at a time to a server, which writes down what it asks and is told.
 *
 * Requests are gathered and sent together by client_send(), which waits for all replies. They are
 * given as text, words with blanks between them, as they stand in the history.
 *
 * Threads:  a client belongs to one thread.
 * Lifetime: replies hold until the next request is gathered.
 */
#ifndef LINEAR_CLIENT_H
#define LINEAR_CLIENT_H

#include "base/attr.h"
#include "base/buf.h"
#include "linear/history.h"
#include "support/random.h"

#define CLIENT_PIPELINE 256 /* requests gathered at most */

/* Outcome of client_send(). */
enum client_result {
    CLIENT_OK,
    CLIENT_LOST, /* the connection ended; a new one has been opened, or not: see client_open() */
    CLIENT_HUNG  /* no reply in CLIENT_PATIENCE_S */
};

#define CLIENT_PATIENCE_S 30

struct request {
    size_t text_off;  /* in texts */
    size_t reply_off; /* in texts, once there is one */
    unsigned skipped; /* replies in front of it that are not its own: +OK, +QUEUED */
    bool is_recorded;
    bool is_answered;
    int64_t told_ns;
};

struct client {
    uint32_t id;
    uint32_t connection;
    uint16_t port;
    int fd; /* -1: none */
    struct random random;
    uint64_t token_count;
    struct history history;
    struct buf out;
    struct buf in;
    size_t in_used;
    struct buf texts;
    struct request requests[CLIENT_PIPELINE];
    size_t request_count;
    uint64_t lost_count;
};

void client_init(struct client *client, uint32_t id, uint64_t seed);
void client_fini(struct client *client);

/* Connects to 127.0.0.1:`port`; tries for as long as nobody listens there, up to CLIENT_PATIENCE_S.
 * Returns false if it gave up. */
bool client_open(struct client *client, uint16_t port);
void client_close(struct client *client);

/* Gathers one request. What is not recorded does not stand in the history. */
void client_ask(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);
void client_ask_aside(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);

/* Gathers MULTI, the commands, which have ";" between them, and EXEC: one op of the history.
 * "WATCHED key value" among them is written down and not sent. */
void client_ask_exec(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);

enum client_result client_send(struct client *client);

/* The nth reply of what was sent last, as text; NULL if it was lost. */
const char *client_reply(const struct client *client, size_t nth);

/* A token that no other client ever makes. */
struct token_text {
    char text[24];
};
struct token_text client_token(struct client *client);

/* 0 .. limit - 1 */
unsigned client_dice(struct client *client, unsigned limit);

int64_t client_now_ns(void);

#endif
