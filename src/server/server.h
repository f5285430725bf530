/* SPDX-License-Identifier: Apache-2.0 */
/* server: puts a node together and runs it: configuration, loops, pool, group, hub, listeners,
 * signals.
 *
 * Threads: server_run() on the main thread, which is the first loop's. The rest as said.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/version.h"
#include "server/config.h"
#include "server/log.h"
#include "session/session.h"

#define FERRIC_REDIS_VERSION "7.2.4" /* what clients are told */

struct server;

/* Can this be served, as far as can be told without opening anything? May add remarks. */
MUST_CHECK
int server_check(struct config *config, struct diag *diag);

/* Takes the configuration over, and clients in. 0, or a negative code with diag. */
MUST_CHECK
int server_new(struct config *config, struct server **out_server, struct diag *diag);

/* Recovers what is on disk; clients are told so meanwhile. */
MUST_CHECK
int server_recover(struct server *server, struct diag *diag);

/* Serves until a signal or SHUTDOWN. The process's exit status. */
int server_run(struct server *server);
void server_free(struct server *server);

/* ---- For the families of this layer ---- */

struct config *server_config(struct server *server);
struct log *server_log(struct server *server);
struct group *server_group(struct server *server);
struct hub *server_hub(struct server *server);
struct pool *server_pool(struct server *server);
uint16_t server_port(const struct server *server);
uint64_t server_started_ms(const struct server *server);
/* What the allocator held before any data was read. */
size_t server_memory_before(const struct server *server);
/* Keys that had expired at the last CONFIG RESETSTAT. */
uint64_t server_expired_before(const struct server *server);
/* CONFIG RESETSTAT. */
void server_reset_stats(struct server *server);
const char *server_run_id(const struct server *server);
/* master_replid, which DEBUG CHANGE-REPL-ID changes: SERVER_ID_SIZE bytes, zero-terminated. */
#define SERVER_ID_SIZE 41
void server_repl_id(struct server *server, char *to);
void server_new_repl_id(struct server *server);
/* When the last checkpoint was made, or the server started; and whether BGSAVE is under way. */
uint64_t server_last_save_ms(struct server *server);
bool server_is_saving(struct server *server);
/* "1 io, 1 log, 2 shards on 1 loop". */
const char *server_placement(const struct server *server);
uint32_t server_loop_count(const struct server *server);
struct loop *server_loop(struct server *server, uint32_t idx);

struct server_loading {
    uint64_t start_ms;
    uint64_t total_bytes; /* of the step that goes on */
    uint64_t done_bytes;
    uint64_t percent;
    uint64_t left_s;
};
struct server_loading server_loading(const struct server *server);

/* Writes what the configuration has to say about itself to the log. With its lock held. */
void server_log_remarks(struct server *server);

/* Makes live settings count. Called with the configuration's lock held. */
void server_apply(struct server *server);

/* Listens at the configured port instead of the one before; if that fails all is as it was. Thread:
 * of server_loop(server, 0). */
MUST_CHECK
int server_change_port(struct server *server, struct diag *diag);

/* Raises the limit of open files for `wanted` clients as far as that is allowed; how many of them
 * it is enough for. */
uint64_t server_clients_that_fit(uint64_t wanted);

/* Begins to stop. Thread: any. */
void server_shutdown(struct server *server, bool with_checkpoint);

/* All families, lower layers' included. */
extern const struct command_family *const server_families[];
extern const size_t server_family_count;

extern const struct command_family admin_family;
extern const struct command_family cluster_family;
extern const struct command_family command_family;
extern const struct command_family config_family;
extern const struct command_family info_family;
extern const struct command_family lolwut_family;
extern const struct command_family ferricstore_family;
extern const struct command_family save_family;
extern const struct command_family server_debug_family;
extern const struct command_family server_memory_family;

#endif
