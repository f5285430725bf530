/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/mem.h"
#include "session/session_internal.h"

#define FLUSH_ORDER 90 /* behind all phases of the group */
#define CRON_MS     1000

#define TEXT_PROTECTED                                                                        \
    "-DENIED Ferric is in protected mode: no password is set, so only connections from this " \
    "machine are served. Set requirepass, or protected-mode no if the network is trusted.\r\n"

/* ---- Replies from the port ---- */

static void on_reply(void *ctx, void *token, struct slice reply)
{
    (void)ctx;
    pending_answer(token, reply);
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

static const struct port_events port_events = {.on_reply = on_reply, .on_room = on_room};

/* ---- Accepting ---- */

struct arrival {
    struct loop_post post;
    struct host *host;
    int fd;
};

static void refuse_fd(struct host *host, int fd)
{
    count_up(&host->stats.rejected, 1);
    net_refuse(fd, "-ERR max number of clients reached\r\n");
}

static void admit(struct host *host, int fd)
{
    struct hub *hub = host->hub;
    uint64_t max = atomic_load_explicit(&hub->settings.max_clients, memory_order_relaxed);
    if (atomic_load(&hub->is_closing) || atomic_load(&hub->client_count) >= max) {
        refuse_fd(host, fd);
        return;
    }
    if (atomic_load(&hub->settings.protects) && !atomic_load(&hub->settings.needs_auth) &&
        !net_is_local(fd)) {
        net_refuse(fd, TEXT_PROTECTED);
        return;
    }
    if (session_open(host, fd) != 0)
        net_refuse(fd, "");
}

static void on_arrival(struct loop_post *post)
{
    struct arrival *arrival = CONTAINER_OF(post, struct arrival, post);
    admit(arrival->host, arrival->fd);
    mem_free(arrival);
}

void hub_accept(struct hub *hub, int fd)
{
    uint32_t nth = atomic_fetch_add(&hub->next_host, 1) % hub->options.loop_count;
    struct host *host = &hub->hosts[nth];
    if (loop_is_mine(host->loop)) {
        admit(host, fd);
        return;
    }
    struct arrival *arrival = mem_calloc(1, sizeof(*arrival));
    arrival->post.run = on_arrival;
    arrival->host = host;
    arrival->fd = fd;
    loop_post(host->loop, &arrival->post);
}

/* ---- Closing ---- */

struct closing {
    struct loop_post post;
    struct loop *loop;
    void (*on_done)(void *ctx);
    void *ctx;
    _Atomic uint32_t hosts_left;
};

struct host_closing {
    struct loop_post post;
    struct host *host;
    bool is_graceful;
};

static void on_all_closed(struct loop_post *post)
{
    struct closing *closing = CONTAINER_OF(post, struct closing, post);
    closing->on_done(closing->ctx);
    mem_free(closing);
}

static void host_closed(struct host *host)
{
    struct closing *closing = host->closing;
    host->closing = NULL;
    if (atomic_fetch_sub(&closing->hosts_left, 1) == 1)
        loop_post(closing->loop, &closing->post);
}

void host_on_session_closed(struct host *host)
{
    if (host->closing != NULL && list_is_empty(&host->sessions))
        host_closed(host);
}

static void on_close_host(struct loop_post *post)
{
    struct host_closing *order = CONTAINER_OF(post, struct host_closing, post);
    struct host *host = order->host;
    loop_timer_disarm(&host->cron);
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (order->is_graceful)
            session_close_after_reply(session);
        else
            session_close_now(session);
    }
    mem_free(order);
    if (list_is_empty(&host->sessions))
        host_closed(host);
}

void hub_close_all(struct hub *hub, bool is_graceful, struct loop *loop, void (*on_done)(void *ctx),
                   void *ctx)
{
    atomic_store(&hub->is_closing, true);
    struct closing *closing = mem_calloc(1, sizeof(*closing));
    closing->loop = loop;
    closing->on_done = on_done;
    closing->ctx = ctx;
    closing->post.run = on_all_closed;
    atomic_init(&closing->hosts_left, hub->options.loop_count);
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct host_closing *order = mem_calloc(1, sizeof(*order));
        order->post.run = on_close_host;
        order->host = &hub->hosts[i];
        order->is_graceful = is_graceful;
        hub->hosts[i].closing = closing;
        loop_post(hub->hosts[i].loop, &order->post);
    }
}

/* ---- Once a second, while there are connections ---- */

static void check_session(struct host *host, struct session *session)
{
    const struct hub_settings *settings = &host->hub->settings;
    uint64_t limit = atomic_load_explicit(&settings->output_buffer_limit, memory_order_relaxed);
    if (limit > 0 && conn_queued(&session->conn) > limit) {
        count_up(&host->stats.output_closes, 1);
        session_close_now(session);
        return;
    }
    uint64_t timeout_s = atomic_load_explicit(&settings->idle_timeout_s, memory_order_relaxed);
    if (timeout_s > 0 && session->first == NULL &&
        loop_now_ms(host->loop) - session->last_ms > timeout_s * 1000)
        session_close_now(session);
}

static void on_cron(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, cron);
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (!session->conn.is_closing)
            check_session(host, session);
    }
    struct port_stats stats = port_stats(host->port);
    const uint64_t values[] = {stats.inline_reads, stats.queued_reads, stats.cold_reads,
                               stats.retries, stats.writes};
    STATIC_ASSERT(ARRAY_COUNT(values) == ARRAY_COUNT(host->port_counters), "one word each");
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        atomic_store_explicit(&host->port_counters[i], values[i], memory_order_relaxed);
    loop_timer_arm(timer, CRON_MS);
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

struct hub_stats hub_stats(const struct hub *hub)
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
        sum.inline_reads += read_word(&host->port_counters[0]);
        sum.queued_reads += read_word(&host->port_counters[1]);
        sum.cold_reads += read_word(&host->port_counters[2]);
        sum.read_retries += read_word(&host->port_counters[3]);
        sum.writes += read_word(&host->port_counters[4]);
    }
    return sum;
}

/* ---- Life ---- */

static int host_init(struct host *host, struct hub *hub, uint32_t idx)
{
    host->hub = hub;
    host->loop = hub->options.loops[idx];
    host->port = group_port(hub->options.group, idx);
    host->limits = (struct resp_limits)RESP_LIMITS_DEFAULT;
    resp_parser_init(&host->parser, &host->limits);
    list_init(&host->sessions);
    list_init(&host->no_room);
    port_set_events(host->port, &port_events, host);
    loop_timer_init(host->loop, &host->cron, on_cron);
    loop_timer_arm(&host->cron, CRON_MS);
    return net_new(&(struct net_options){.loop = host->loop, .flush_order = FLUSH_ORDER},
                   &host->net);
}

static const struct command_row *find_row(const struct command_table *table, struct slice name)
{
    const struct command_row *parent;
    const struct command_row *row = command_find(table, &name, 1, &parent);
    ASSERT(row != NULL);
    return row;
}

int hub_new(const struct hub_options *options, struct hub **out_hub)
{
    struct hub *hub = mem_calloc(1, sizeof(*hub));
    hub->options = *options;
    lock_init(&hub->lock);
    atomic_init(&hub->next_id, 1);
    hub->exec_row = find_row(options->table, SLICE_LIT("exec"));
    hub->exists_row = find_row(options->table, SLICE_LIT("exists"));
    atomic_init(&hub->settings.max_clients, 10000);
    atomic_init(&hub->settings.query_buffer_limit, UINT64_C(1) << 30);
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

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct host *host = &hub->hosts[i];
        ASSERT(list_is_empty(&host->sessions));
        loop_timer_fini(&host->cron);
        net_free(host->net);
        resp_parser_fini(&host->parser);
        buf_fini(&host->scratch);
        host_free_pendings(host);
    }
    buf_fini(&hub->password);
    lock_fini(&hub->lock);
    mem_free(hub);
}
