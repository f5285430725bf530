/* SPDX-License-Identifier: Apache-2.0 */
/* WATCH and UNWATCH.
 *
 * What a session notes of a key is its version, which EXEC's entry carries and compares at its own
 * place in the order (R27). A key that is not there has none. One that is set and deleted again
 * before EXEC is as absent as before, and one that SWAPDB has taken away and brought back is the
 * same; for the state that does not matter, but Redis lets such an EXEC fail. So the session leaves
 * a note with the shard (store/watched.h) and looks at it before it hands EXEC in. A write that
 * EXEC's client can know of has happened by then.
 */
#include "base/err.h"
#include "base/mem.h"
#include "command/args.h"
#include "command/transaction.h"
#include "session/multi_internal.h"
#include "store/watched.h"

#define COMPARED_MAX 64 /* beyond, a key watched twice is noted twice, which does no harm */

struct watched {
    struct watched *next;
    uint16_t db;
    struct port_version seen; /* version 0: absent */
    struct watched_note note;
    struct buf key;
};

static void watched_free(struct watched *watched)
{
    watched_remove(&watched->note);
    buf_fini(&watched->key);
    mem_free(watched);
}

void watch_drop_all(struct session *session)
{
    while (session->watches != NULL) {
        struct watched *next = session->watches->next;
        watched_free(session->watches);
        session->watches = next;
    }
    session->watch_bytes = 0;
}

void watch_encode_all(const struct session *session, struct buf *to)
{
    for (const struct watched *watched = session->watches; watched != NULL; watched = watched->next)
        watch_encode(to, &(struct watched_key){.key = buf_slice(&watched->key),
                                               .version = watched->seen.version,
                                               .db = watched->db,
                                               .database_id = watched->seen.database_id});
}

bool watch_is_untouched(const struct session *session)
{
    for (const struct watched *watched = session->watches; watched != NULL;
         watched = watched->next) {
        const struct watched_note *note = &watched->note;
        if (watched_was_swapped(note) || (watched->seen.version == 0 && watched_has_appeared(note)))
            return false;
    }
    return true;
}

static bool is_watched(const struct session *session, struct slice key)
{
    size_t left = COMPARED_MAX;
    for (const struct watched *watched = session->watches; watched != NULL && left > 0;
         watched = watched->next, left--) {
        if (watched->db == session->db && slice_eq(buf_slice(&watched->key), key))
            return true;
    }
    return false;
}

void session_note_retry(struct session *session, struct slice reply)
{
    if (reply.len > 0 && reply.data[0] == '-')
        buf_append_slice(&session->retry_error, reply);
}

/* The key's version cannot be told before the clock has moved: a read moves it, then the whole
 * WATCH is parsed again. Where it cannot move because nothing can be logged, the read's error is
 * the answer. */
static void retry_behind_clock(struct session *session, struct slice key)
{
    struct slice argv[] = {SLICE_LIT("exists"), key};
    struct pending *pending = pending_new(session, PENDING_RETRY);
    struct port_request request = {.row = session->host->hub->exists_row,
                                   .argv = argv,
                                   .argc = 2,
                                   .db = session->db,
                                   .proto = session->proto,
                                   .token = pending};
    struct buf out = {0};
    struct reply reply = reply_to(&out, session->proto);
    enum port_result result = port_execute(session->host->port, &request, &reply);
    session->wants_retry = true;
    session->is_deferred = true;
    if (result == PORT_ANSWERED) {
        session_note_retry(session, buf_slice(&out));
        pending_release(session->host, pending);
    } else {
        pending_link(session, pending);
        pending_note_taken(session, pending, PORT_TAKEN_ALONE);
    }
    buf_fini(&out);
}

static void link_watched(struct session *session, struct watched *watched)
{
    watched->next = session->watches;
    session->watches = watched;
    session->watch_bytes += sizeof(*watched) + watched->key.len;
}

static bool watch_key(struct session *session, struct slice key)
{
    if (is_watched(session, key))
        return true;
    struct port *port = session->host->port;
    struct watched *watched = mem_calloc(1, sizeof(*watched));
    watched->db = session->db;
    buf_append_slice(&watched->key, key);
    port_note_watched(port, &watched->note, session->db, buf_slice(&watched->key));
    if (port_version_of(port, session->db, key, &watched->seen) != 0) {
        watched_free(watched);
        retry_behind_clock(session, key);
        return false;
    }
    link_watched(session, watched);
    return true;
}

/* NULL, or why the keys cannot be watched. */
static const char *why_not(const struct call *call)
{
    size_t bytes = call->session->watch_bytes;
    if (call->session->in_multi)
        return "ERR WATCH inside MULTI is not allowed";
    if (group_state(call->session->host->hub->options.group) == GROUP_REPLAYING)
        return TEXT_LOADING;
    for (uint32_t i = 1; i < call->argc; i++) {
        if (call->argv[i].len > ROW_MAX_KEY)
            return "ERR a key is longer than 65535 bytes";
        bytes += sizeof(struct watched) + call->argv[i].len;
    }
    if (bytes > call->session->host->hub->options.max_multi_bytes)
        return "ERR too many watched keys for one transaction (max-entry-bytes)";
    return NULL;
}

static int run_watch(struct call *call)
{
    struct buf *retry_error = &call->session->retry_error;
    if (retry_error->len > 0) {
        buf_append_slice(call->reply->out, buf_slice(retry_error));
        buf_fini(retry_error);
        return 0;
    }
    const char *error = why_not(call);
    if (error != NULL) {
        reply_error(call->reply, error);
        return 0;
    }
    for (uint32_t i = 1; i < call->argc; i++) {
        if (!watch_key(call->session, call->argv[i]))
            return 0;
    }
    reply_ok(call->reply);
    return 0;
}

static int run_unwatch(struct call *call)
{
    watch_drop_all(call->session);
    reply_ok(call->reply);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "watch",
        .arity = {2, ARITY_ANY},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY |
                 CMD_IN_MULTI_NOW | CMD_WANTS_QUIET,
        .scope = SCOPE_NODE,
        .keys = KEYS_RANGE(1, -1, 1, KEY_RO),
        .categories = "fast transaction",
        .group = "transactions",
        .since = "2.2.0",
        .complexity = "O(1) for every key.",
        .summary = "Monitors changes to keys to determine the execution of a transaction.",
        .syntax = "key [key ...]",
        .run = run_watch,
    },
    {
        .name = "unwatch",
        .arity = {1, 1},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY,
        .scope = SCOPE_NODE,
        .categories = "fast transaction",
        .group = "transactions",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Forgets about watched keys of a transaction.",
        .syntax = "",
        .run = run_unwatch,
    },
};

const struct command_family watch_family = {
    .name = "watch", .rows = rows, .row_count = ARRAY_COUNT(rows)};
