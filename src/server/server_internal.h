/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that put the server together share. */
#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include "server/server.h"

#define MAX_LISTENERS  16
#define PLACEMENT_SIZE 96

struct server {
    struct config *config;
    struct log log;
    struct os os;
    struct epoch *epoch;
    struct pool *pool;
    struct aio *aio;
    struct loop *loops[GROUP_MAX_LOOPS];
    uint32_t loop_count;
    uint32_t io_count;
    uint32_t shard_loop_first;
    uint32_t shard_loop_count;
    uint32_t log_loop;
    char placement[PLACEMENT_SIZE];
    struct command_table *table;
    struct group *group;
    struct hub *hub;
    struct listener *listeners[MAX_LISTENERS];
    size_t listener_count;
    size_t unix_listener; /* its place, behind those of addresses; the count: there is none */
    _Atomic uint16_t port;
    int notify_fd;          /* of the supervisor, or negative */
    uint64_t sync_us;       /* what a durable write of one page took at the start */
    bool is_short_of_files; /* has been said */
    bool has_pidfile;       /* has been written */
    uint64_t started_ms;
    size_t started_memory;           /* what the allocator held then */
    _Atomic uint64_t expired_before; /* keys, up to the last CONFIG RESETSTAT */
    char run_id[SERVER_ID_SIZE];
    struct lock id_lock; /* guards repl_id */
    char repl_id[SERVER_ID_SIZE];
    _Atomic bool is_saving;    /* BGSAVE or BGREWRITEAOF */
    _Atomic uint64_t saved_ms; /* when SAVE or they last succeeded; 0: never */
    struct loop_post shutdown_post;
    _Atomic bool is_stopping;
    bool with_checkpoint;
    int exit_status;
    bool is_recovering;
    struct {
        _Atomic uint64_t since_ms; /* of what goes on now, wall time */
        _Atomic uint64_t done_bytes;
        _Atomic uint64_t total_bytes;
    } loading;
    uint64_t last_progress; /* in per cent */
    const char *last_what;
};

/* assemble.c: the placement is chosen with the loops. */
MUST_CHECK
int server_make_loops(struct server *server, struct diag *diag);
MUST_CHECK
int server_open_group(struct server *server, struct diag *diag);
MUST_CHECK
int server_open_hub(struct server *server, struct diag *diag);

/* server.c: for the group. */
void server_on_ready(void *ctx);
/* recover.c: for the group. */
void server_on_progress(void *ctx, const char *what, uint64_t done, uint64_t total);
/* Takes away what others find the server by. */
void server_leave(struct server *server);

/* listen.c */
/* Lowers maxclients to what the limit of open files allows. */
void server_fit_max_clients(struct server *server);
MUST_CHECK
int server_listen(struct server *server, struct diag *diag);
void server_stop_listening(struct server *server);
/* Can what `bind` names be listened on, as far as the words tell? */
MUST_CHECK
int server_check_bind(const struct config *config, struct diag *diag);
/* check.c: are the places that it names where they can be? What a start would go on without is
 * remarked. */
MUST_CHECK
int server_check_places(struct config *config, struct diag *diag);
/* Finds the supervisor, if one is wanted. */
void server_open_notify(struct server *server);
/* Tells it how far things are. */
void server_notify(struct server *server, const char *format, ...) PRINTF_LIKE(2, 3);
/* Goes on without one, with a warning, if it cannot be written. */
void server_write_pidfile(struct server *server);
void server_remove_pidfile(struct server *server);

/* admin/ */
struct session_ticket;
/* Makes a backup in `dir`, an absolute path (without a 0 at its end) that is taken over; the
 * ticket, if there is one, is answered at the end, else server_saved() is called. */
void server_begin_backup(struct server *server, struct loop *loop, struct session_ticket *ticket,
                         struct buf *dir);
/* What was begun in the background has ended. */
void server_saved(struct server *server, int error);

#endif
