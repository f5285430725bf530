/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions of a session: what is queued, what is watched. */
#ifndef SESSION_MULTI_INTERNAL_H
#define SESSION_MULTI_INTERNAL_H

#include "session/session_internal.h"

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

/* The arguments of a queued command, its own name first; the caller frees them. */
struct slice *queued_argv(const struct queued *queued, uint32_t *out_argc);

/* watch.c */
/* What a WATCH that is going to be parsed again has been waiting for is over. */
void session_note_retry(struct session *session, struct slice reply);
void watch_drop_all(struct session *session);
/* The watched keys as EXEC takes them, appended. */
void watch_encode_all(const struct session *session, struct buf *to);
/* False if a key that was not there when it was watched has come and gone since. */
bool watch_is_untouched(const struct session *session);

#endif
