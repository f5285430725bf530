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
    uint16_t port;
    bool is_short_of_files; /* has been said */
    uint64_t started_ms;
    size_t started_memory;           /* what the allocator held then */
    _Atomic uint64_t expired_before; /* keys, up to the last CONFIG RESETSTAT */
    char run_id[41];
    struct loop_post shutdown_post;
    _Atomic bool is_stopping;
    bool with_checkpoint;
    int exit_status;
    uint64_t last_progress;
    const char *last_what;
};

/* assemble.c: the placement is chosen with the loops. */
MUST_CHECK
int server_make_loops(struct server *server, struct diag *diag);
MUST_CHECK
int server_open_group(struct server *server, struct diag *diag);
MUST_CHECK
int server_open_hub(struct server *server, struct diag *diag);

/* listen.c */
/* Lowers maxclients to what the limit of open files allows. */
void server_fit_max_clients(struct server *server);
MUST_CHECK
int server_listen(struct server *server, struct diag *diag);
void server_stop_listening(struct server *server);
MUST_CHECK
int server_write_pidfile(struct server *server, struct diag *diag);
void server_remove_pidfile(struct server *server);

#endif
