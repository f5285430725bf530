/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of session/ share. */
#ifndef SESSION_SESSION_INTERNAL_H
#define SESSION_SESSION_INTERNAL_H

#include "base/list.h"
#include "session/session.h"

#define PENDING_INLINE 24
#define OUTPUT_PAUSE   (1024u * 1024) /* a client with more queued is not read from */

/* ---- Replies that come later ---- */

enum pending_kind {
    PENDING_REPLY, /* of the port or a handler that deferred */
    PENDING_RETRY, /* its reply is dropped and the command that waits is parsed again */
    PENDING_EXEC   /* EXEC with commands of scope NODE among its own: put together at the end */
};

struct pending {
    struct pending *next;
    struct host *host;
    struct session *session; /* NULL: the connection has gone */
    struct queued *exec;     /* PENDING_EXEC */
    enum pending_kind kind;
    bool is_done;
    bool is_ordering; /* taken by the port, not yet executed: later commands must follow it */
    bool is_alone;    /* the connection is stalled until it is answered */
    bool is_silent;   /* CLIENT REPLY says that nobody wants it */
    uint8_t proto;
    uint8_t inline_len;
    uint8_t inline_bytes[PENDING_INLINE];
    struct buf bytes; /* of a reply that is longer */
};

/* ---- MULTI ---- */

struct queued {
    struct queued *next;
    const struct command_row *row;
    uint16_t db;
    struct buf coded;
};

struct watched {
    struct watched *next;
    uint16_t db;
    uint64_t version;
    struct buf key;
};

/* ---- Hub and hosts ---- */

struct host {
    struct hub *hub;
    struct loop *loop;
    struct net *net;
    struct port *port;
    struct resp_limits limits;
    struct resp_parser parser; /* for sessions without an unfinished command */
    struct buf scratch;        /* replies that have to wait behind others */
    struct list_node sessions;
    struct list_node no_room; /* sessions paused until the port has room again */
    struct pending *free_pendings;
    size_t free_pending_count;
    struct loop_timer cron;
    struct {
        _Atomic uint64_t clients;
        _Atomic uint64_t received;
        _Atomic uint64_t rejected;
        _Atomic uint64_t commands;
        _Atomic uint64_t bytes_in;
        _Atomic uint64_t bytes_out;
        _Atomic uint64_t output_closes;
        _Atomic uint64_t query_closes;
    } stats;
    _Atomic uint64_t port_counters[5]; /* of port_stats, as last published */
    struct closing *closing;           /* hub_close_all() is under way */
};

struct hub {
    struct hub_options options;
    struct hub_settings settings;
    struct lock lock; /* guards password */
    struct buf password;
    const struct command_row *exec_row;
    const struct command_row *exists_row;
    _Atomic uint64_t next_id;
    _Atomic uint32_t next_host;
    _Atomic uint64_t client_count;
    _Atomic bool is_closing;
    struct host hosts[GROUP_MAX_LOOPS];
};

enum reply_mode { REPLY_ON, REPLY_OFF, REPLY_SKIP_NEXT, REPLY_SKIPPING };

struct session {
    struct conn conn;
    struct host *host;
    struct list_node node; /* in host->sessions */
    struct list_node no_room_node;
    struct resp_parser *parser; /* with an unfinished command, else NULL */
    struct pending *first;
    struct pending *last;
    uint32_t ordering_count;
    uint16_t db;
    uint8_t proto;
    bool is_stalled;       /* parses nothing until its pending command is answered */
    bool waits_for_quiet;  /* ... until nothing of it is in flight */
    bool waits_for_output; /* ... until the client has read */
    bool is_authenticated;
    bool in_multi;
    bool is_multi_bad; /* EXEC will answer EXECABORT */
    bool is_deferred;  /* the running handler has taken a ticket */
    bool wants_retry;  /* the running command is to be parsed again later */
    bool closes_when_answered;
    enum reply_mode reply_mode;
    uint16_t multi_db; /* as SELECT within MULTI would leave it */
    struct queued *queue;
    struct queued *queue_last;
    size_t queue_count;
    size_t queue_bytes;
    size_t queue_count_at_exec;
    struct watched *watches;
    uint64_t id;
    uint64_t created_ms;
    uint64_t last_ms;
    uint64_t command_count;
    const struct command_row *last_row;
    struct buf name;
    struct buf lib_name;
    struct buf lib_version;
};

/* session.c */
void session_run(struct session *session, const struct slice *argv, uint32_t argc, bool *out_again);
struct reply session_reply_begin(struct session *session);
void session_reply_end(struct session *session);
int session_open(struct host *host, int fd);
void session_resume(struct session *session);
void session_close_now(struct session *session);
/* Runs a NODE row; its reply goes to `reply` unless it defers. */
void session_run_node(struct session *session, const struct command_row *row,
                      const struct slice *argv, uint32_t argc, struct reply *reply);

/* pending.c */
struct pending *pending_new(struct session *session, enum pending_kind kind);
void pending_release(struct host *host, struct pending *pending);
void pending_link(struct session *session, struct pending *pending);
/* What it means for the connection that the port has taken the request. */
void pending_note_taken(struct session *session, struct pending *pending, enum port_result result);
void pending_answer(struct pending *pending, struct slice reply);
void pending_orphan_all(struct session *session);
void host_free_pendings(struct host *host);
/* Appends a finished reply behind what is pending. */
void pending_push_done(struct session *session, struct slice reply);

/* multi.c */
/* Queues a command within MULTI. */
void multi_queue(struct session *session, const struct command_row *row, const struct slice *argv,
                 uint32_t argc, struct reply *reply);
/* connection.c: SELECT within MULTI decides the database of what is queued behind it. */
void multi_note_select(struct session *session, const struct command_row *row,
                       const struct slice *argv, uint32_t argc);
void multi_exec(struct session *session, struct reply *reply);
void multi_reset(struct session *session);
void multi_unwatch(struct session *session);
void queued_free(struct queued *queue);
/* Puts the reply of an EXEC together that had NODE commands among its own. */
void multi_splice(struct session *session, const struct queued *queue, struct slice reply,
                  struct reply *out);

/* hub.c */
void host_on_session_closed(struct host *host);

/* client.c */
void session_describe(const struct session *session, struct buf *to);
void session_reset(struct session *session);
/* False after an error has been replied. */
bool session_set_name(struct session *session, struct slice name, struct reply *reply);

static inline struct session *session_from_conn(struct conn *conn)
{
    return CONTAINER_OF(conn, struct session, conn);
}

/* Adds to a counter that only this thread writes. */
static inline void count_up(_Atomic uint64_t *word, uint64_t by)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

#endif
