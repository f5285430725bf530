/* SPDX-License-Identifier: Apache-2.0 */
/* LATENCY. */
#include <ctype.h>
#include <stdio.h>

#include "command/args.h"
#include "command/catalogue.h"
#include "command/help.h"
#include "session/session_internal.h"

#define GRAPH_ROWS 4

/* ---- Events ---- */

static struct insight *insight_of(struct call *call)
{
    return &call->session->host->hub->insight;
}

static bool find_event(struct slice name, enum latency_kind *out_kind)
{
    for (int i = 0; i < LATENCY_KINDS; i++) {
        if (slice_is(name, latency_name((enum latency_kind)i))) {
            *out_kind = (enum latency_kind)i;
            return true;
        }
    }
    return false;
}

static int run_history(struct call *call)
{
    struct insight *insight = insight_of(call);
    enum latency_kind kind;
    if (!find_event(call->argv[2], &kind)) {
        reply_array(call->reply, 0);
        return 0;
    }
    lock_take(&insight->lock);
    const struct latency_event *event = &insight->events[kind];
    reply_array(call->reply, event->count);
    for (size_t i = 0; i < event->count; i++) {
        const struct latency_sample *sample = latency_sample(event, i);
        reply_array(call->reply, 2);
        reply_int(call->reply, (int64_t)sample->at_s);
        reply_int(call->reply, (int64_t)sample->ms);
    }
    lock_drop(&insight->lock);
    return 0;
}

static int run_latest(struct call *call)
{
    struct insight *insight = insight_of(call);
    size_t count = 0;
    lock_take(&insight->lock);
    size_t mark = reply_array_begin(call->reply);
    for (int i = 0; i < LATENCY_KINDS; i++) {
        const struct latency_event *event = &insight->events[i];
        if (event->count == 0)
            continue;
        const struct latency_sample *last = latency_sample(event, event->count - 1);
        reply_array(call->reply, 4);
        reply_bulk_str(call->reply, latency_name((enum latency_kind)i));
        reply_int(call->reply, (int64_t)last->at_s);
        reply_int(call->reply, (int64_t)last->ms);
        reply_int(call->reply, (int64_t)event->max_ms);
        count++;
    }
    reply_array_end(call->reply, mark, count);
    lock_drop(&insight->lock);
    return 0;
}

static int run_reset(struct call *call)
{
    struct insight *insight = insight_of(call);
    int64_t count = 0;
    lock_take(&insight->lock);
    for (int i = 0; i < LATENCY_KINDS; i++) {
        bool is_asked = call->argc == 2;
        for (uint32_t j = 2; j < call->argc; j++)
            is_asked |= slice_is(call->argv[j], latency_name((enum latency_kind)i));
        if (!is_asked || insight->events[i].count == 0)
            continue;
        insight->events[i] = (struct latency_event){.count = 0};
        count++;
    }
    lock_drop(&insight->lock);
    reply_int(call->reply, count);
    return 0;
}

/* ---- Pictures ---- */

/* A column a sample, its height by how long it was between the shortest and the longest. */
static void put_columns(const struct latency_event *event, uint64_t min_ms, uint64_t max_ms,
                        struct buf *to)
{
    static const char *const marks[] = {"_", "o", "#"};
    uint64_t range = max_ms > min_ms ? max_ms - min_ms : 1;
    for (unsigned row = GRAPH_ROWS; row-- > 0;) {
        for (size_t i = 0; i < event->count; i++) {
            uint64_t ms = latency_sample(event, i)->ms;
            uint64_t level = (ms - min_ms) * (GRAPH_ROWS * ARRAY_COUNT(marks) - 1) / range;
            uint64_t here = level / ARRAY_COUNT(marks);
            const char *mark = here > row    ? "|"
                               : here == row ? marks[level % ARRAY_COUNT(marks)]
                                             : " ";
            buf_append_str(to, mark);
        }
        buf_append_byte(to, '\n');
    }
}

#define AGE_SIZE 8

/* How long ago: "12s", "3m", "2h", "5d". Returns its length. */
static size_t format_age(uint64_t age_s, char to[AGE_SIZE])
{
    static const struct {
        char name;
        unsigned seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    size_t nth = 0;
    while (nth + 1 < ARRAY_COUNT(units) && age_s < units[nth].seconds)
        nth++;
    unsigned count = (unsigned)(age_s / units[nth].seconds % 100000);
    return (size_t)snprintf(to, AGE_SIZE, "%u%c", count, units[nth].name);
}

/* The age of each sample, from top to bottom. */
static void put_ages(const struct latency_event *event, uint64_t now_s, struct buf *to)
{
    char ages[LATENCY_SAMPLES][AGE_SIZE];
    size_t height = 0;
    for (size_t i = 0; i < event->count; i++) {
        uint64_t at_s = latency_sample(event, i)->at_s;
        size_t len = format_age(now_s > at_s ? now_s - at_s : 0, ages[i]);
        height = len > height ? len : height;
    }
    for (size_t row = 0; row < height; row++) {
        buf_append_byte(to, '\n');
        for (size_t i = 0; i < event->count; i++)
            buf_append_byte(to, row < strlen(ages[i]) ? (uint8_t)ages[i][row] : ' ');
    }
    buf_append_byte(to, '\n');
}

static void put_graph(const struct latency_event *event, const char *name, struct buf *to)
{
    uint64_t min_ms = UINT64_MAX;
    uint64_t max_ms = 0;
    for (size_t i = 0; i < event->count; i++) {
        uint64_t ms = latency_sample(event, i)->ms;
        min_ms = ms < min_ms ? ms : min_ms;
        max_ms = ms > max_ms ? ms : max_ms;
    }
    buf_append_format(to, "%s - high %llu ms, low %llu ms (all time high %llu ms)\n", name,
                      (unsigned long long)max_ms, (unsigned long long)min_ms,
                      (unsigned long long)event->max_ms);
    for (unsigned i = 0; i < 80; i++)
        buf_append_byte(to, '-');
    buf_append_byte(to, '\n');
    put_columns(event, min_ms, max_ms, to);
    put_ages(event, clock_wall_ms(clock_posix()) / 1000, to);
}

static int run_graph(struct call *call)
{
    struct insight *insight = insight_of(call);
    enum latency_kind kind = LATENCY_KINDS;
    struct buf text = {0};
    lock_take(&insight->lock);
    bool is_known = find_event(call->argv[2], &kind) && insight->events[kind].count > 0;
    if (is_known)
        put_graph(&insight->events[kind], latency_name(kind), &text);
    lock_drop(&insight->lock);
    if (is_known)
        reply_verbatim(call->reply, "txt", buf_slice(&text));
    else
        reply_errorf(call->reply, "ERR No samples available for event '%.*s'",
                     SLICE_FMT(slice_sub(call->argv[2], 0, 128)));
    buf_fini(&text);
    return 0;
}

static void put_report(const struct latency_event *event, const char *name, struct buf *to)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < event->count; i++)
        sum += latency_sample(event, i)->ms;
    buf_append_format(to,
                      "%s: %zu latency spikes in the last samples, %llu ms on average, %llu ms at "
                      "worst.\n",
                      name, event->count, (unsigned long long)(sum / event->count),
                      (unsigned long long)event->max_ms);
}

static int run_doctor(struct call *call)
{
    struct hub *hub = call->session->host->hub;
    struct insight *insight = &hub->insight;
    struct buf text = {0};
    lock_take(&insight->lock);
    for (int i = 0; i < LATENCY_KINDS; i++) {
        if (insight->events[i].count > 0)
            put_report(&insight->events[i], latency_name((enum latency_kind)i), &text);
    }
    lock_drop(&insight->lock);
    if (text.len > 0)
        buf_append_str(&text,
                       "SLOWLOG GET names the commands; loop_longest_turn_us in INFO says how long "
                       "a thread was busy at a stretch. Waiting for the disk is not in these "
                       "figures: no command is executed meanwhile.\n");
    else if (atomic_load(&hub->settings.latency_ms) == 0)
        buf_append_str(&text,
                       "Latency monitoring is disabled. You may use \"CONFIG SET "
                       "latency-monitor-threshold <milliseconds>.\" in order to enable "
                       "it.\n");
    else
        buf_append_str(&text, "No latency spike was observed since the start or the last reset.\n");
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

/* ---- Histograms ---- */

/* Doubling bounds in us, each with the calls up to it, as far as there are any. */
static void put_histogram(struct reply *reply, const struct tally_sum_row *row)
{
    uint64_t seen = 0;
    size_t count = 0;
    size_t bucket = 0;
    size_t mark = reply_array_begin(reply);
    uint64_t end_ns = 1000;
    uint64_t total = tally_timed(row);
    while (bucket < TALLY_BUCKETS && seen < total) {
        uint64_t before = seen;
        end_ns = end_ns == 1000 ? 1024 : end_ns * 2;
        while (bucket < TALLY_BUCKETS && tally_bucket_end_ns(bucket) <= end_ns)
            seen += row->buckets[bucket++];
        if (seen == before)
            continue;
        reply_int(reply, (int64_t)(end_ns / 1024));
        reply_int(reply, (int64_t)seen);
        count++;
    }
    reply_map_end(reply, mark, count);
}

static void put_name(struct reply *reply, const struct command_row *row)
{
    char name[160];
    snprintf(name, sizeof(name), "%s%s%s", row->parent != NULL ? row->parent : "",
             row->parent != NULL ? "|" : "", row->name);
    reply_bulk_str(reply, name);
}

/* Is the row, or the container that it belongs to, one of those named? */
static bool is_wanted(const struct call *call, const struct command_row *row)
{
    if (call->argc == 2)
        return true;
    char name[160];
    snprintf(name, sizeof(name), "%s%s%s", row->parent != NULL ? row->parent : "",
             row->parent != NULL ? "|" : "", row->name);
    for (uint32_t i = 2; i < call->argc; i++) {
        if (slice_is(call->argv[i], name) ||
            (row->parent != NULL && slice_is(call->argv[i], row->parent)))
            return true;
    }
    return false;
}

static int run_histogram(struct call *call)
{
    struct tally_sum sum;
    size_t count = 0;
    hub_tally(call->session->host->hub, &sum);
    size_t mark = reply_array_begin(call->reply);
    for (uint32_t i = 0; i < sum.row_count; i++) {
        const struct command_row *row = command_by_number(call->table, i);
        if (tally_timed(&sum.rows[i]) == 0 || !is_wanted(call, row))
            continue;
        put_name(call->reply, row);
        reply_map(call->reply, 2);
        reply_bulk_str(call->reply, "calls");
        reply_int(call->reply, (int64_t)tally_timed(&sum.rows[i]));
        reply_bulk_str(call->reply, "histogram_usec");
        put_histogram(call->reply, &sum.rows[i]);
        count++;
    }
    reply_map_end(call->reply, mark, count);
    tally_sum_fini(&sum);
    return 0;
}

#define LATENCY_SUB(sub, lo, hi, hints, from, cost, fn, doc, args)                                 \
    {                                                                                              \
        .name = (sub), .parent = "latency", .arity = {(lo), (hi)},                                 \
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE, .scope = SCOPE_NODE,          \
        .categories = "admin slow dangerous", .tips = (hints), .group = "server", .since = (from), \
        .complexity = (cost), .summary = (doc), .syntax = (args), .run = (fn)                      \
    }
#define SPECIAL "nondeterministic_output request_policy:all_nodes response_policy:special"

static const struct command_row rows[] = {
    {
        .name = "latency",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "2.8.13",
        .complexity = "Depends on subcommand.",
        .summary = "A container for latency diagnostics commands.",
        .syntax = "",
    },
    LATENCY_SUB("doctor", 2, 2, SPECIAL, "2.8.13", "O(1)", run_doctor,
                "Returns a human-readable latency analysis report.", ""),
    LATENCY_SUB("graph", 3, 3, SPECIAL, "2.8.13", "O(1)", run_graph,
                "Returns a latency graph for an event.", "event"),
    {
        .name = "help",
        .parent = "latency",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Returns helpful text about the different subcommands.",
        .syntax = "",
        .run = help_run,
    },
    LATENCY_SUB("histogram", 2, ARITY_ANY, SPECIAL, "7.0.0",
                "O(N) where N is the number of commands with latency information being retrieved.",
                run_histogram,
                "Returns the cumulative distribution of latencies of a subset or all commands.",
                "[command [command ...]]"),
    LATENCY_SUB("history", 3, 3, SPECIAL, "2.8.13", "O(1)", run_history,
                "Returns timestamp-latency samples for an event.", "event"),
    LATENCY_SUB("latest", 2, 2, SPECIAL, "2.8.13", "O(1)", run_latest,
                "Returns the latest latency samples for all events.", ""),
    LATENCY_SUB("reset", 2, ARITY_ANY, "request_policy:all_nodes response_policy:agg_sum", "2.8.13",
                "O(1)", run_reset, "Resets the latency data for one or more events.",
                "[event [event ...]]"),
};

const struct command_family latency_family = {
    .name = "latency", .rows = rows, .row_count = ARRAY_COUNT(rows)};
