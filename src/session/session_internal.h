/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of session/ share. */
#ifndef SESSION_SESSION_INTERNAL_H
#define SESSION_SESSION_INTERNAL_H

#include "session/hub_internal.h"
#include "session/pending_internal.h"
#include "session/pubsub/pubsub_internal.h"
#include "session/tracking/hooks_internal.h"

#define OUTPUT_PAUSE  (1024u * 1024) /* replies of a client that are nobody's business, and ... */
#define OUTPUT_SHARED (64u * 1024 * 1024) /* ... what all together may have beyond that (Q3) */
#define SCRATCH_KEEP  65536

/* ---- MULTI ---- */

struct queued {
    struct queued *next;
    const struct command_row *row;
    uint16_t db;
    struct buf coded;
};

/* ---- A connection ---- */

enum reply_mode { REPLY_ON, REPLY_OFF, REPLY_SKIP_NEXT, REPLY_SKIPPING };

struct session {
    struct conn conn;
    struct host *host;
    struct list_node node; /* in host->sessions */
    struct list_node no_room_node;
    struct list_node held_node;
    struct resp_parser *parser; /* with an unfinished command, else NULL */
    size_t unfinished_bytes;    /* of that command so far */
    size_t need_bytes;          /* what it is known to take */
    size_t running_bytes;       /* of the last one, until nothing is unanswered: for CLIENT LIST */
    size_t held_bytes;          /* counted in host->held_bytes */
    struct pending *first;
    struct pending *last;
    uint32_t pending_count;
    uint32_t ordering_count;
    size_t kept_bytes;     /* replies that wait behind others */
    size_t expected_bytes; /* of replies that have not come */
    size_t shared_bytes;   /* of both and what is queued, counted in host->shared_bytes */
    uint16_t db;
    uint8_t proto;
    bool is_stalled;       /* parses nothing until its pending command is answered */
    bool is_halted;        /* ... any more */
    bool waits_for_quiet;  /* ... until nothing of it is in flight */
    bool waits_for_budget; /* ... until there is room for more of its command */
    bool is_backed_up;     /* ... until the client has read, or replies have come */
    bool is_authenticated;
    bool in_multi;
    bool is_multi_bad; /* EXEC will answer EXECABORT */
    bool is_deferred;  /* the running handler has taken a ticket */
    bool wants_retry;  /* the running command is to be parsed again later */
    bool closes_when_answered;
    bool is_no_evict; /* as CLIENT NO-EVICT and NO-TOUCH said, for CLIENT LIST */
    bool is_no_touch;
    enum reply_mode reply_mode;
    uint16_t multi_db; /* as SELECT within MULTI would leave it */
    struct queued *queue;
    struct queued *queue_last;
    size_t queue_count;
    size_t queue_bytes;
    struct pending *running_exec; /* of which a NODE command runs now */
    struct wait *wait;            /* nothing runs before it is over */
    struct watched *watches;
    size_t watch_bytes;
    struct buf retry_error; /* why the command that is parsed again cannot be run, or empty */
    uint64_t id;
    uint64_t created_ms;
    uint64_t last_ms;
    struct tracker *tracker;       /* NULL: it keeps no copies that it wants to hear about */
    struct list_node target_node;  /* in host->targets: others redirect to it */
    size_t pushed_bytes;           /* since nothing waited for it */
    struct subscriber *subscriber; /* NULL: it listens to nothing */
    uint64_t over_soft_since_ms;   /* more than the soft limit has waited for it; 0: it has not */
    uint64_t last_bytes_out;       /* as the last second saw it */
    uint64_t command_count;
    const struct command_row *last_row;
    struct buf name;
    struct buf lib_name;
    struct buf lib_version;
};

/* session.c */
int session_open(struct host *host, int fd);
void session_close_now(struct session *session);
void session_on_conn_closed(struct conn *conn, int error);

/* dispatch.c */
/* False: nothing has been done, the command is to be parsed again later. */
bool session_run(struct session *session, const struct slice *argv, uint32_t argc);
struct reply session_reply_begin(struct session *session);
void session_reply_end(struct session *session, const struct reply *reply);
/* Runs a NODE row; its reply goes to `reply` unless it defers. */
void session_run_node(struct session *session, const struct command_row *row,
                      const struct slice *argv, uint32_t argc, struct reply *reply);

/* feed.c */
extern const struct conn_events session_conn_events;
/* Reads on, if nothing else is in the way. */
void session_resume(struct session *session);
bool session_is_backed_up(struct session *session);
/* Something queued or under way has gone. */
void session_note_less_queued(struct session *session);
void session_drop_parser(struct session *session);

/* session.c */
/* session_defer(), where the connection has to answer for so many bytes until then (Q3). */
struct session_ticket *session_defer_sized(struct call *call, size_t size);
/* NULL: it has gone. */
struct session *session_of_ticket(const struct session_ticket *ticket);

/* budget.c */
/* Asks for the next step of an unfinished command: it is read, or the session waits. */
void budget_ask(struct session *session);
/* What the session holds may have changed. */
void budget_note(struct session *session);
void budget_drop(struct session *session);

/* multi.c */
/* Queues a command within MULTI. */
void multi_queue(struct session *session, const struct command_row *row, const struct slice *argv,
                 uint32_t argc, struct reply *reply);
/* connection.c: SELECT within MULTI decides the database of what is queued behind it. */
void multi_note_select(struct session *session, const struct command_row *row,
                       const struct slice *argv, uint32_t argc);
void multi_exec(struct session *session, struct reply *reply);
void multi_reset(struct session *session);
/* False if a command of the open transaction is for a database that is not there. */
bool multi_fits_databases(const struct session *session, uint32_t count);
void exec_free(struct exec *exec);
/* The group has answered an EXEC that has NODE commands among its own; a command of it that had
 * deferred has its reply. True if with this the reply of the whole stands in pending->exec->out. */
MUST_CHECK
bool exec_on_reply(struct pending *pending, struct slice reply);
MUST_CHECK
bool exec_on_part(struct pending *pending, struct slice reply);

/* watch.c */
/* What a WATCH that is going to be parsed again has been waiting for is over. */
void session_note_retry(struct session *session, struct slice reply);
void watch_drop_all(struct session *session);
/* The watched keys as EXEC takes them, appended. */
void watch_encode_all(const struct session *session, struct buf *to);
/* False if a key that was not there when it was watched has come and gone since. */
bool watch_is_untouched(const struct session *session);

/* wait.c */
/* Answers a WAIT of the session now, if there is one. */
void wait_give_up(struct session *session);
int client_unblock(struct call *call);

/* client.c */
void session_describe(const struct session *session, struct buf *to);
void session_reset(struct session *session);
/* False after an error has been replied. */
MUST_CHECK
bool session_check_name(struct slice name, struct reply *reply);
void session_set_name(struct session *session, struct slice name);

/* client_tour.c */
int client_list(struct call *call);
int client_kill(struct call *call);

static inline struct session *session_from_conn(struct conn *conn)
{
    return CONTAINER_OF(conn, struct session, conn);
}

#endif
