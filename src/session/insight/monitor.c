/* SPDX-License-Identifier: Apache-2.0 */
/* MONITOR: every connection's commands as its loop begins them. A loop shows its own in their
 * order; of commands of different loops the time says which was first. A monitor that does not read
 * is closed.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "command/args.h"
#include "session/multi_internal.h"

#define MAX_BEHIND (32u * 1024 * 1024) /* bytes that wait for a monitor to read them */

/* ---- A line ---- */

/* What stands for a byte; returns how many. */
static size_t quote_byte(uint8_t c, char to[4])
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['\a'] = 'a',
                                   ['\b'] = 'b', ['"'] = '"',  ['\\'] = '\\'};
    bool has_letter = c < ARRAY_COUNT(letters) && letters[c] != '\0';
    if (!has_letter && c >= ' ' && c < 0x7f) {
        to[0] = (char)c;
        return 1;
    }
    to[0] = '\\';
    to[1] = has_letter ? letters[c] : 'x';
    to[2] = digits[c >> 4];
    to[3] = digits[c & 15];
    return has_letter ? 2 : 4;
}

/* Beyond what a monitor may be behind there is nobody to show the rest to. */
static void put_quoted(struct slice text, struct buf *to)
{
    buf_append_byte(to, '"');
    for (size_t i = 0; i < text.len && to->len <= MAX_BEHIND; i++) {
        char quoted[4];
        buf_append(to, quoted, quote_byte(text.data[i], quoted));
    }
    buf_append_byte(to, '"');
}

struct shown {
    const struct command_row *row;
    const struct slice *argv;
    uint32_t argc;
    uint16_t db;
};

static void put_line(const struct session *session, const struct shown *shown, struct buf *to)
{
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    uint64_t us = clock_posix_wall_us();
    conn_addresses(&session->conn, peer, local);
    buf_append_format(to, "+%llu.%06llu [%u %s]", (unsigned long long)(us / 1000000),
                      (unsigned long long)(us % 1000000), shown->db, peer);
    for (uint32_t i = 0; i < shown->argc; i++) {
        bool is_secret = slow_is_secret(shown->row, shown->argv, i);
        buf_append_byte(to, ' ');
        put_quoted(is_secret ? SLICE_LIT("(redacted)") : shown->argv[i], to);
    }
    buf_append_str(to, "\r\n");
}

/* ---- To the monitors ---- */

static void send(struct session *monitor, struct slice line)
{
    if (monitor->conn.is_closing)
        return;
    if (conn_queued(&monitor->conn) + monitor->kept_bytes + line.len > MAX_BEHIND) {
        count_up(&monitor->host->stats.output_closes, 1);
        hub_log(monitor->host->hub, '#', "client %llu is closed: it does not read what it monitors",
                (unsigned long long)monitor->id);
        session_close_now(monitor);
        return;
    }
    if (monitor->first != NULL) {
        pending_push_done(monitor, line);
        return;
    }
    buf_append_slice(conn_out(&monitor->conn), line);
    conn_commit(&monitor->conn);
}

static void show(struct host *host, struct slice line)
{
    LIST_EACH(node, next, &host->monitors)
    {
        send(LIST_ENTRY(node, struct session, monitor_node), line);
    }
}

struct monitor_line {
    struct loop_post post;
    struct host *host;
    struct buf text;
};

static void on_line(struct loop_post *post)
{
    struct monitor_line *line = CONTAINER_OF(post, struct monitor_line, post);
    show(line->host, buf_slice(&line->text));
    buf_fini(&line->text);
    mem_free(line);
}

static void spread(struct hub *hub, struct slice text)
{
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct host *host = &hub->hosts[i];
        if (atomic_load_explicit(&host->stats.monitors, memory_order_relaxed) == 0)
            continue;
        if (loop_is_mine(host->loop)) {
            show(host, text);
            continue;
        }
        struct monitor_line *line = mem_calloc(1, sizeof(*line));
        line->post.run = on_line;
        line->host = host;
        buf_append_slice(&line->text, text);
        loop_post(host->loop, &line->post);
    }
}

static bool is_shown(const struct hub *hub, const struct command_row *row)
{
    return atomic_load_explicit(&hub->monitor_count, memory_order_relaxed) > 0 &&
           (row->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)) == 0;
}

void monitor_show(struct session *session, const struct command_row *row, const struct slice *argv,
                  uint32_t argc)
{
    struct hub *hub = session->host->hub;
    if (LIKELY(!is_shown(hub, row)))
        return;
    struct buf line = {0};
    put_line(session, &(struct shown){.row = row, .argv = argv, .argc = argc, .db = session->db},
             &line);
    spread(hub, buf_slice(&line));
    buf_fini(&line);
}

void monitor_show_queue(struct session *session)
{
    struct hub *hub = session->host->hub;
    struct buf lines = {0};
    for (const struct queued *queued = session->queue; queued != NULL; queued = queued->next) {
        if (!is_shown(hub, queued->row))
            continue;
        uint32_t argc;
        struct slice *argv = queued_argv(queued, &argc);
        put_line(session,
                 &(struct shown){.row = queued->row, .argv = argv, .argc = argc, .db = queued->db},
                 &lines);
        mem_free(argv);
    }
    if (lines.len > 0)
        spread(hub, buf_slice(&lines));
    buf_fini(&lines);
}

/* ---- The command ---- */

void monitor_forget(struct session *session)
{
    if (!session->is_monitor)
        return;
    session->is_monitor = false;
    list_del(&session->monitor_node);
    count_up(&session->host->stats.monitors, (uint64_t)-1);
    atomic_fetch_sub(&session->host->hub->monitor_count, 1);
}

static int run_monitor(struct call *call)
{
    struct session *session = call->session;
    if (session->running_exec != NULL) {
        reply_error(call->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return 0;
    }
    reply_ok(call->reply);
    if (session->is_monitor)
        return 0;
    session->is_monitor = true;
    list_push_back(&session->host->monitors, &session->monitor_node);
    count_up(&session->host->stats.monitors, 1);
    atomic_fetch_add(&session->host->hub->monitor_count, 1);
    return 0;
}

static const struct command_row rows[] = {{
    .name = "monitor",
    .arity = {1, 1},
    .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
    .scope = SCOPE_NODE,
    .categories = "admin slow dangerous",
    .group = "server",
    .since = "1.0.0",
    .complexity = "O(1) for each command that is shown",
    .summary = "Listens for all requests received by the server in real-time.",
    .syntax = "",
    .run = run_monitor,
}};

const struct command_family monitor_family = {
    .name = "monitor", .rows = rows, .row_count = ARRAY_COUNT(rows)};
