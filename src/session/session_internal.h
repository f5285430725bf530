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
    struct list_node pause_node;   /* in host->paused */
    struct list_node monitor_node; /* in host->monitors */
    struct resp_parser *parser;    /* with an unfinished command, else NULL */
    size_t unfinished_bytes;       /* of that command so far */
    size_t need_bytes;             /* what it is known to take */
    size_t running_bytes; /* of the last one, until nothing is unanswered: for CLIENT LIST */
    size_t held_bytes;    /* counted in host->held_bytes */
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
    bool is_no_evict; /* as CLIENT NO-EVICT said, for CLIENT LIST */
    bool is_no_touch;
    bool waits_for_pause; /* ... until CLIENT PAUSE is over */
    bool is_monitor;
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
    uint64_t counted_in;           /* in host->stats */
    uint64_t counted_out;
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
/* Adds to the host's figures what has passed since the last time. They never go back. */
void session_count_bytes(struct session *session);

/* dispatch.c */
/* False: nothing has been done, the command is to be parsed again later. */
bool session_run(struct session *session, const struct slice *argv, uint32_t argc);
struct reply session_reply_begin(struct session *session);
void session_reply_end(struct session *session, const struct reply *reply);
/* If what was written from `mark` on is an error. */
void session_count_error(struct session *session, const struct reply *reply, size_t mark);
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

/* pause.c */
/* Is the command, or what it ends, held by CLIENT PAUSE? Then the session waits. */
bool pause_holds(struct session *session, const struct command_row *row);
void pause_forget(struct session *session);
void pause_add_stats(const struct hub *hub, struct hub_stats *stats);
void host_on_pause_end(struct loop_timer *timer);
int client_pause(struct call *call);
int client_unpause(struct call *call);

/* monitor.c */
/* Shows a command that is about to run to those who asked for it. */
void monitor_show(struct session *session, const struct command_row *row, const struct slice *argv,
                  uint32_t argc);
void monitor_show_queue(struct session *session);
void monitor_forget(struct session *session);

/* insight.c */
/* Commands of the session that have been slow; NULL: it has gone. Takes them. */
void insight_note(struct hub *hub, const struct session *session, struct slow_command *slow);
static inline void insight_note_slow(const struct session *session, struct tally *tally)
{
    struct slow_command *slow = tally_take_slow(tally);
    if (UNLIKELY(slow != NULL))
        insight_note(session->host->hub, session, slow);
}

/* wait.c */
/* Answers a WAIT of the session now, if there is one. */
void wait_give_up(struct session *session);
int client_unblock(struct call *call);

/* client.c */
/* Memory that the connection holds. */
size_t session_bytes(const struct session *session);
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
