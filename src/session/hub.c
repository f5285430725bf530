/* SPDX-License-Identifier: Apache-2.0 */
#include "session/hub_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "command/rename.h"
#include "engine/group_stats.h"
#include "session/multi_internal.h"
#include "session/pending_internal.h"
#include "session/session_internal.h"

#define FLUSH_ORDER 90 /* behind all phases of the group */
#define CRON_MS     1000

/* ---- Telling ---- */

void hub_log(const struct hub *hub, char level, const char *format, ...)
{
    if (hub->options.on_log == NULL)
        return;
    char text[DIAG_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hub->options.on_log(hub->options.server, level, text);
}

/* ---- Replies from the port ---- */

static void on_reply(void *ctx, void *token, struct slice reply)
{
    (void)ctx;
    pending_answer(token, reply);
}

static void on_placed(void *ctx, void *token)
{
    (void)ctx;
    pending_place(token);
}

static void on_slow(void *ctx, struct slow_command *slow)
{
    struct host *host = ctx;
    const struct pending *pending = slow->token;
    slow->next = NULL;
    /* The log has no names: they are put in as they stand in the table. */
    if (pending->is_loud)
        slow_shout(slow);
    insight_note(host->hub, pending->session, slow);
}

static void on_room(void *ctx)
{
    struct host *host = ctx;
    struct list_node waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &host->no_room);
    struct list_node *node;
    while ((node = list_pop_front(&waiting)) != NULL)
        session_resume(LIST_ENTRY(node, struct session, no_room_node));
}

static const struct port_events port_events = {
    .on_reply = on_reply,
    .on_placed = on_placed,
    .on_events = host_on_events,
    .on_slow = on_slow,
    .on_room = on_room,
};

/* ---- Once a second, while there are connections ---- */

static void check_session(struct host *host, struct session *session)
{
    const struct hub_settings *settings = &host->hub->settings;
    if (!session_check_output(session))
        return;
    if (session->conn.bytes_out != session->last_bytes_out) {
        /* It reads: not idle. */
        session->last_bytes_out = session->conn.bytes_out;
        session->last_ms = loop_now_ms(host->loop);
    }
    uint64_t timeout_s = atomic_load_explicit(&settings->idle_timeout_s, memory_order_relaxed);
    bool listens = session->is_monitor || session_is_subscribed(session);
    if (timeout_s > 0 && session->first == NULL && !listens &&
        loop_now_ms(host->loop) - session->last_ms > timeout_s * 1000)
        session_close_now(session);
}

static void set_word(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void publish_port(struct host *host)
{
    struct port_stats stats = port_stats(host->port);
    const uint64_t values[] = {stats.inline_reads, stats.queued_reads, stats.cold_reads,
                               stats.retries, stats.writes};
    STATIC_ASSERT(ARRAY_COUNT(values) == ARRAY_COUNT(host->port_counters), "one word each");
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        set_word(&host->port_counters[i], values[i]);
}

/* How much there was a second since the last time. */
static void publish_rates(struct host *host)
{
    const uint64_t values[] = {atomic_load_explicit(&host->stats.commands, memory_order_relaxed),
                               atomic_load_explicit(&host->stats.bytes_in, memory_order_relaxed),
                               atomic_load_explicit(&host->stats.bytes_out, memory_order_relaxed)};
    uint64_t now_ms = loop_now_ms(host->loop);
    uint64_t passed_ms = now_ms - host->rates.at_ms;
    bool is_idle = list_is_empty(&host->sessions);
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        uint64_t more = values[i] > host->rates.values[i] ? values[i] - host->rates.values[i] : 0;
        set_word(&host->rates.per_s[i], is_idle || passed_ms == 0 ? 0 : more * 1000 / passed_ms);
        host->rates.values[i] = values[i];
    }
    host->rates.at_ms = now_ms;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void note_peak(struct hub *hub)
{
    uint64_t now = mem_stats().allocated;
    if (now > atomic_load_explicit(&hub->peak_memory, memory_order_relaxed))
        set_word(&hub->peak_memory, now);
}

static void look_after(struct host *host)
{
    uint64_t memory = 0;
    uint64_t max_input = 0;
    uint64_t max_output = 0;
    budget_check(host);
    tracking_keep_limit(host);
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        session_count_bytes(session);
        memory += session_bytes(session);
        max_input = larger(max_input, session->conn.unread.cap + session->unfinished_bytes);
        max_output = larger(max_output, conn_queued(&session->conn));
        if (!session->conn.is_closing)
            check_session(host, session);
    }
    set_word(&host->stats.client_bytes, memory);
    set_word(&host->stats.max_input_bytes, max_input);
    set_word(&host->stats.max_output_bytes, max_output);
    if (host == &host->hub->hosts[0])
        note_peak(host->hub);
    publish_port(host);
    publish_rates(host);
}

static void on_cron(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, cron);
    if (!atomic_load_explicit(&host->hub->settings.is_cron_paused, memory_order_relaxed))
        look_after(host);
    if (!list_is_empty(&host->sessions))
        loop_timer_arm(timer, CRON_MS);
}

void host_arm_cron(struct host *host)
{
    if (loop_timer_is_armed(&host->cron))
        return;
    host->rates.at_ms = loop_now_ms(host->loop);
    loop_timer_arm(&host->cron, CRON_MS);
}

/* ---- Settings and figures ---- */

struct hub_settings *hub_settings(struct hub *hub)
{
    return &hub->settings;
}

void hub_set_password(struct hub *hub, struct slice password)
{
    lock_take(&hub->lock);
    buf_fini(&hub->password);
    buf_append_slice(&hub->password, password);
    lock_drop(&hub->lock);
    atomic_store(&hub->settings.needs_auth, password.len > 0);
}

void hub_password(struct hub *hub, struct buf *out)
{
    lock_take(&hub->lock);
    buf_append_slice(out, buf_slice(&hub->password));
    lock_drop(&hub->lock);
}

static uint64_t read_word(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static struct hub_stats sum_up(const struct hub *hub)
{
    struct hub_stats sum = {0};
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        const struct host *host = &hub->hosts[i];
        sum.connected_clients += read_word(&host->stats.clients);
        sum.connections_received += read_word(&host->stats.received);
        sum.rejected_connections += read_word(&host->stats.rejected);
        sum.commands_processed += read_word(&host->stats.commands);
        sum.bytes_in += read_word(&host->stats.bytes_in);
        sum.bytes_out += read_word(&host->stats.bytes_out);
        sum.output_limit_closes += read_word(&host->stats.output_closes);
        sum.query_limit_closes += read_word(&host->stats.query_closes);
        tracking_add_stats(host->tracking, &sum);
        sum.pubsub_clients += read_word(&host->stats.pubsub_clients);
        sum.blocked_clients += read_word(&host->stats.blocked);
        sum.monitors += read_word(&host->stats.monitors);
        sum.commands_per_s += read_word(&host->rates.per_s[0]);
        sum.bytes_in_per_s += read_word(&host->rates.per_s[1]);
        sum.bytes_out_per_s += read_word(&host->rates.per_s[2]);
        sum.client_bytes += read_word(&host->stats.client_bytes);
        sum.max_input_bytes = larger(sum.max_input_bytes, read_word(&host->stats.max_input_bytes));
        sum.max_output_bytes =
            larger(sum.max_output_bytes, read_word(&host->stats.max_output_bytes));
        sum.inline_reads += read_word(&host->port_counters[0]);
        sum.queued_reads += read_word(&host->port_counters[1]);
        sum.cold_reads += read_word(&host->port_counters[2]);
        sum.read_retries += read_word(&host->port_counters[3]);
        sum.writes += read_word(&host->port_counters[4]);
    }
    return sum;
}

static void take_off(uint64_t *value, uint64_t baseline)
{
    *value = *value > baseline ? *value - baseline : 0;
}

struct hub_stats hub_stats(struct hub *hub)
{
    struct hub_stats stats = sum_up(hub);
    lock_take(&hub->lock);
    struct hub_stats base = hub->baseline;
    lock_drop(&hub->lock);
    stats.channels = topic_totals_count(hub->totals, TOPIC_CHANNEL);
    stats.patterns = topic_totals_count(hub->totals, TOPIC_PATTERN);
    stats.shard_channels = topic_totals_count(hub->totals, TOPIC_SHARD);
    take_off(&stats.connections_received, base.connections_received);
    take_off(&stats.rejected_connections, base.rejected_connections);
    take_off(&stats.commands_processed, base.commands_processed);
    take_off(&stats.bytes_in, base.bytes_in);
    take_off(&stats.bytes_out, base.bytes_out);
    take_off(&stats.output_limit_closes, base.output_limit_closes);
    take_off(&stats.query_limit_closes, base.query_limit_closes);
    take_off(&stats.inline_reads, base.inline_reads);
    take_off(&stats.queued_reads, base.queued_reads);
    take_off(&stats.cold_reads, base.cold_reads);
    take_off(&stats.read_retries, base.read_retries);
    take_off(&stats.writes, base.writes);
    note_peak(hub);
    stats.peak_memory = read_word(&hub->peak_memory);
    pause_add_stats(hub, &stats);
    return stats;
}

static void sum_up_tallies(const struct hub *hub, struct tally_sum *out)
{
    tally_sum_init(out, hub->options.table);
    group_tally(hub->options.group, out);
}

void hub_tally(struct hub *hub, struct tally_sum *out)
{
    sum_up_tallies(hub, out);
    lock_take(&hub->lock);
    tally_sum_take_off(out, &hub->tally_baseline);
    lock_drop(&hub->lock);
}

void hub_settings_changed(struct hub *hub)
{
    int64_t slowlog_us = atomic_load(&hub->settings.slowlog_us);
    uint64_t latency_ms = atomic_load(&hub->settings.latency_ms);
    uint64_t slow_us = slowlog_us < 0 ? UINT64_MAX : (uint64_t)slowlog_us;
    if (latency_ms > 0 && latency_ms * 1000 < slow_us)
        slow_us = latency_ms * 1000;
    struct tally_settings *tally = group_tally_settings(hub->options.group);
    atomic_store(&tally->slow_us, slow_us);
    atomic_store(&tally->is_without_buckets, !atomic_load(&hub->settings.tracks_latency));
    insight_trim(hub);
}

void hub_reset_stats(struct hub *hub)
{
    struct hub_stats now = sum_up(hub);
    struct tally_sum tally;
    sum_up_tallies(hub, &tally);
    lock_take(&hub->lock);
    struct tally_sum before = hub->tally_baseline;
    hub->baseline = now;
    hub->tally_baseline = tally;
    lock_drop(&hub->lock);
    tally_sum_fini(&before);
}

/* ---- Life ---- */

static int host_init(struct host *host, struct hub *hub, uint32_t idx)
{
    host->hub = hub;
    host->loop = hub->options.loops[idx];
    host->port = group_port(hub->options.group, idx);
    host->limits = (struct resp_limits)RESP_LIMITS_DEFAULT;
    resp_parser_init(&host->parser, &host->limits);
    host->topics = topics_new(hub->totals);
    host->tracking = tracking_new(host);
    list_init(&host->targets);
    list_init(&host->sessions);
    list_init(&host->no_room);
    list_init(&host->holders);
    list_init(&host->paused);
    list_init(&host->monitors);
    host->held_limit = hub->options.max_held_bytes / hub->options.loop_count;
    host->shared_limit = OUTPUT_SHARED / hub->options.loop_count;
    port_set_events(host->port, &port_events, host);
    loop_timer_init(host->loop, &host->cron, on_cron);
    loop_timer_init(host->loop, &host->deadline, host_on_deadline);
    loop_timer_init(host->loop, &host->pause_end, host_on_pause_end);
    return net_new(&(struct net_options){.loop = host->loop, .flush_order = FLUSH_ORDER},
                   &host->net);
}

static const struct command_row *find_row(const struct command_table *table, const char *name)
{
    const struct command_row *row = command_by_own_name(table, name);
    ASSERT(row != NULL);
    return row;
}

int hub_new(const struct hub_options *options, struct hub **out_hub)
{
    struct hub *hub = mem_calloc(1, sizeof(*hub));
    hub->options = *options;
    lock_init(&hub->lock);
    hub->totals = topic_totals_new();
    insight_init(&hub->insight);
    atomic_init(&hub->next_id, 1);
    atomic_init(&hub->host_count, 1);
    hub->exec_row = find_row(options->table, "exec");
    hub->exists_row = find_row(options->table, "exists");
    atomic_init(&hub->settings.max_clients, 10000);
    atomic_init(&hub->settings.slowlog_us, -1);
    atomic_init(&hub->settings.query_buffer_limit, UINT64_C(1) << 30);
    atomic_init(&hub->settings.tracking_max_keys, 1000000);
    atomic_init(&hub->settings.max_bulk_size, 512u * 1024 * 1024);
    for (uint32_t i = 0; i < options->loop_count; i++) {
        int rc = host_init(&hub->hosts[i], hub, i);
        if (rc != 0) {
            hub->options.loop_count = i;
            hub_free(hub);
            return rc;
        }
    }
    *out_hub = hub;
    return 0;
}

/* There may be fewer databases than were promised while nobody could know. */
static void close_misplaced(struct hub *hub)
{
    uint32_t count = group_database_count(hub->options.group);
    LIST_EACH(node, next, &hub->hosts[0].sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->db < count && multi_fits_databases(session, count))
            continue;
        hub_log(hub, '#', "client %llu is closed: the database that it has selected is not there",
                (unsigned long long)session->id);
        session_close_now(session);
    }
}

void hub_spread(struct hub *hub)
{
    close_misplaced(hub);
    atomic_store(&hub->host_count, hub->options.loop_count);
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct host *host = &hub->hosts[i];
        ASSERT(list_is_empty(&host->sessions));
        loop_timer_fini(&host->cron);
        loop_timer_fini(&host->deadline);
        port_set_events(host->port, NULL, NULL); /* what is still on its way is for nobody */
        loop_timer_fini(&host->pause_end);
        net_free(host->net);
        resp_parser_fini(&host->parser);
        buf_fini(&host->scratch);
        buf_fini(&host->held_pushes);
        buf_fini(&host->push_text);
        buf_fini(&host->channel);
        topics_free(host->topics);
        tracking_free(host->tracking);
        host_free_pendings(host);
    }
    topic_totals_free(hub->totals);
    buf_fini(&hub->password);
    lock_fini(&hub->lock);
    tally_sum_fini(&hub->tally_baseline);
    insight_fini(&hub->insight);
    mem_free(hub);
}
