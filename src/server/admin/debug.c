/* SPDX-License-Identifier: Apache-2.0 */
/* The part of DEBUG that needs the server. What looks at content stands in command/keys/debug.c. */
#include "base/err.h"
#include "base/glob.h"
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "engine/group_stats.h"
#include "os/process.h"
#include "server/server_internal.h"

#define STRINGMATCH_MAX (1024u * 1024)
#define SLEEP_MAX_S     3600

/* ---- SLEEP: all loops at once, as a server of one thread would ---- */

struct nap {
    struct loop_post post;
    uint64_t until_us;
};

static void sleep_until(uint64_t until_us)
{
    for (;;) {
        uint64_t now_us = clock_mono_us(clock_posix());
        if (now_us >= until_us)
            return;
        thread_sleep_ms((unsigned)((until_us - now_us + 999) / 1000));
    }
}

static void on_nap(struct loop_post *post)
{
    struct nap *nap = CONTAINER_OF(post, struct nap, post);
    sleep_until(nap->until_us);
    mem_free(nap);
}

static int run_sleep(struct call *call)
{
    struct server *server = session_server(call->session);
    double seconds;
    if (!num_parse_double(call->argv[2], &seconds) || !(seconds >= 0))
        seconds = 0;
    if (seconds > SLEEP_MAX_S) {
        reply_errorf(call->reply, "ERR nobody sleeps longer than %d seconds", SLEEP_MAX_S);
        return 0;
    }
    uint64_t until_us = clock_mono_us(clock_posix()) + (uint64_t)(seconds * 1e6);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (loop_is_mine(server->loops[i]))
            continue;
        struct nap *nap = mem_calloc(1, sizeof(*nap));
        nap->post.run = on_nap;
        nap->until_us = until_us;
        loop_post(server->loops[i], &nap->post);
    }
    sleep_until(until_us);
    reply_ok(call->reply);
    return 0;
}

/* ---- RELOAD ---- */

struct reloading {
    struct group_reload_request request;
    struct session_ticket *ticket;
};

static void reply_reloaded(struct reply *reply, const struct group_reload_request *request)
{
    const char *why = request->diag.text[0] != '\0' ? request->diag.text : err_text(request->error);
    if (request->error == 0)
        reply_ok(reply);
    else if (request->error == ERR_BUSY)
        reply_error(reply,
                    "ERR not now: keys are being reloaded, a backup is under way, or "
                    "nothing can be written");
    else
        reply_errorf(reply, "ERR nothing was reloaded: %s", why);
}

static void on_reloaded(struct group_reload_request *request)
{
    struct reloading *reloading = CONTAINER_OF(request, struct reloading, request);
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(reloading->ticket));
    reply_reloaded(&reply, request);
    session_answer(reloading->ticket, buf_slice(&out));
    buf_fini(&out);
    mem_free(reloading);
}

static int run_reload(struct call *call)
{
    struct server *server = session_server(call->session);
    struct reloading *reloading = mem_calloc(1, sizeof(*reloading));
    reloading->request.loop = session_loop(call->session);
    reloading->request.on_done = on_reloaded;
    reloading->ticket = session_defer(call);
    group_reload(server->group, &reloading->request);
    return 0;
}

/* ---- Small ones ---- */

static int run_set_active_expire(struct call *call)
{
    struct server *server = session_server(call->session);
    int64_t on = 0;
    group_set_active_expire(server->group, num_parse_i64(call->argv[2], &on) && on != 0);
    reply_ok(call->reply);
    return 0;
}

static int run_pause_cron(struct call *call)
{
    struct hub *hub = server_hub(session_server(call->session));
    int64_t on = 0;
    bool is_paused = num_parse_i64(call->argv[2], &on) && on != 0;
    atomic_store_explicit(&hub_settings(hub)->is_cron_paused, is_paused, memory_order_relaxed);
    reply_ok(call->reply);
    return 0;
}

static int run_change_repl_id(struct call *call)
{
    server_new_repl_id(session_server(call->session));
    reply_ok(call->reply);
    return 0;
}

static int run_log(struct call *call)
{
    struct server *server = session_server(call->session);
    log_line(&server->log, LOG_WARNING, "DEBUG LOG: %.*s",
             SLICE_FMT(slice_sub(call->argv[2], 0, 1024)));
    reply_ok(call->reply);
    return 0;
}

/* Where memory is, a line for each kind. */
static int run_jmap(struct call *call)
{
    struct server *server = session_server(call->session);
    const struct group_stats stats = group_stats(server->group);
    const struct {
        const char *name;
        uint64_t bytes;
    } kinds[] = {
        {"resident", process_usage().resident_bytes},
        {"keydir", stats.keydir_bytes},
        {"expiry", stats.expiry_bytes},
        {"retired", stats.retired_bytes},
        {"unwritten", stats.unwritten_bytes},
        {"in-flight", stats.in_flight_bytes},
    };
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        buf_append_format(&text, "%s:%llu\n", kinds[i].name, (unsigned long long)kinds[i].bytes);
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

static int run_stringmatch_len(struct call *call)
{
    int64_t len;
    if (!num_parse_i64(call->argv[2], &len) || len < 0 || len > STRINGMATCH_MAX) {
        reply_errorf(call->reply, "ERR length must be between 0 and %u", STRINGMATCH_MAX);
        return 0;
    }
    struct buf text = {0};
    if (len > 0)
        memset(buf_extend(&text, (size_t)len), 'a', (size_t)len);
    struct slice pattern = slice_sub(call->argv[3], 0, 1024);
    reply_int(call->reply, glob_match(pattern, buf_slice(&text), false));
    buf_fini(&text);
    return 0;
}

/* Values have no such nodes: whatever is asked for holds. */
static int run_quicklist_threshold(struct call *call)
{
    uint64_t bytes;
    if (num_parse_bytes(call->argv[2], &bytes) && bytes <= UINT64_C(4) << 30)
        reply_ok(call->reply);
    else
        reply_error(call->reply,
                    "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    return 0;
}

static int run_set_skip_checksum(struct call *call)
{
    int64_t on = 0;
    if (num_parse_i64(call->argv[2], &on) && on != 0)
        reply_error(call->reply, "ERR what RESTORE is given is always checked");
    else
        reply_ok(call->reply);
    return 0;
}

/* ---- Rows ---- */

#define DEBUG_ROW(row_name, words, more_flags, row_complexity, row_summary, row_syntax, row_run) \
    {                                                                                            \
        .name = (row_name), .parent = "debug", .arity = {(words), (words)},                      \
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_PROTECTED | (more_flags), .scope = SCOPE_NODE,   \
        .categories = "admin slow dangerous", .group = "server", .since = "1.0.0",               \
        .complexity = (row_complexity), .summary = (row_summary), .syntax = (row_syntax),        \
        .run = (row_run),                                                                        \
    }
#define WHENEVER (CMD_LOADING | CMD_STALE)
#define RELOADS  "O(N), N being the bytes of the data files; writes wait"

static const struct command_row rows[] = {
    DEBUG_ROW("sleep", 3, WHENEVER, "O(1)", "Stops the whole server for so long.", "seconds",
              run_sleep),
    DEBUG_ROW("reload", 2, CMD_WANTS_QUIET, RELOADS,
              "Makes a checkpoint, forgets all keys and recovers them from the data files.", "",
              run_reload),
    DEBUG_ROW("loadaof", 2, CMD_WANTS_QUIET, RELOADS, "Another name of DEBUG RELOAD.", "",
              run_reload),
    DEBUG_ROW("set-active-expire", 3, WHENEVER, "O(1)",
              "Whether keys that are due go by themselves, or not before one is met.", "<0 | 1>",
              run_set_active_expire),
    DEBUG_ROW("pause-cron", 3, WHENEVER, "O(1)",
              "Whether limits of clients and figures of INFO wait to be looked after.", "<0 | 1>",
              run_pause_cron),
    DEBUG_ROW("change-repl-id", 2, WHENEVER, "O(1)", "Changes master_replid.", "",
              run_change_repl_id),
    DEBUG_ROW("log", 3, WHENEVER, "O(1)", "Writes a line to the server's log.", "message", run_log),
    DEBUG_ROW("jmap", 2, WHENEVER, "O(1)", "Returns where memory is.", "", run_jmap),
    DEBUG_ROW("stringmatch-len", 4, WHENEVER, "O(N*M), N and M being the sizes of both",
              "Returns whether a pattern fits so many letters a.", "length pattern",
              run_stringmatch_len),
    DEBUG_ROW("quicklist-packed-threshold", 3, WHENEVER, "O(1)",
              "Taken from suites for Redis: nothing is packed here, whatever the threshold.",
              "size", run_quicklist_threshold),
    DEBUG_ROW("set-skip-checksum-validation", 3, WHENEVER, "O(1)",
              "Refuses 1: what RESTORE is given is always checked.", "<0 | 1>",
              run_set_skip_checksum),
};

const struct command_family server_debug_family = {
    .name = "server_debug", .rows = rows, .row_count = ARRAY_COUNT(rows)};
