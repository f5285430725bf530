/* SPDX-License-Identifier: Apache-2.0 */
/* tracking as sessions see it: clients that keep copies are told when these have become void. */
#ifndef SESSION_TRACKING_HOOKS_INTERNAL_H
#define SESSION_TRACKING_HOOKS_INTERNAL_H

#include "session/hub_internal.h"

struct tracking;

struct tracking *tracking_new(struct host *host);
void tracking_free(struct tracking *tracking);
void tracking_end(struct session *session);
void tracking_add_stats(const struct tracking *tracking, struct hub_stats *stats);
/* Before a command is run that may read: its keys are tracked if it does, and if they are to be. */
void tracking_note_read(struct session *session, const struct command_row *row,
                        const struct request *request);
void tracking_after_command(struct session *session, const struct command_row *row);
/* Forgets keys, and says so, while there are more than may be. */
void tracking_keep_limit(struct host *host);
/* Keys that are void, for whom the session redirects to: its turn among what is pending has come.
 */
void tracking_relay(struct session *session, struct slice keys);
/* The session's id that it redirects to, 0 for none; -1: it does not track. */
int64_t tracking_redirect(const struct session *session);
bool tracking_is_broken(const struct session *session);
bool tracking_is_bcast(const struct session *session);
/* What has happened to a key, or to a whole database; one batch of it has been told. */
void tracking_on_event(struct host *host, const struct event *event, struct slice key);
void tracking_end_events(struct host *host);

#endif
