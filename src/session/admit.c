/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, and how all are sent away. */
#include "base/assert.h"
#include "base/mem.h"
#include "session/session_internal.h"

#define CLOSE_PATIENCE_MS 5000 /* for clients that do not read their last replies */

#define TEXT_MAX_CLIENTS "-ERR max number of clients reached\r\n"
#define TEXT_PROTECTED                                                                        \
    "-DENIED Ferric is running in protected mode because protected mode is enabled and no "   \
    "password is set for the default user. Only connections from this machine are accepted. " \
    "To serve others do one of these: 1) set a password, with requirepass or 'CONFIG SET "    \
    "requirepass'; 2) if nobody but friends can reach this port, give protected-mode no, or " \
    "send 'CONFIG SET protected-mode no' from this machine, and 'CONFIG REWRITE' to keep it.\r\n"

/* ---- Letting in ---- */

struct arrival {
    struct loop_post post;
    struct host *host;
    int fd;
};

static bool is_protected(const struct hub *hub, int fd)
{
    return atomic_load(&hub->settings.protects) && !atomic_load(&hub->settings.needs_auth) &&
           !net_is_local(fd);
}

static void refuse(struct host *host, int fd, const char *text)
{
    count_up(&host->stats.rejected, 1);
    net_refuse(fd, text);
}

static void admit(struct host *host, int fd)
{
    struct hub *hub = host->hub;
    uint64_t max = atomic_load_explicit(&hub->settings.max_clients, memory_order_relaxed);
    if (atomic_load(&hub->is_closing)) {
        net_refuse(fd, "");
    } else if (is_protected(hub, fd)) {
        refuse(host, fd, TEXT_PROTECTED);
    } else if (atomic_fetch_add(&hub->client_count, 1) >= max) {
        atomic_fetch_sub(&hub->client_count, 1);
        refuse(host, fd, TEXT_MAX_CLIENTS);
    } else if (session_open(host, fd) != 0) {
        atomic_fetch_sub(&hub->client_count, 1);
        refuse(host, fd, "");
    }
}

static void on_arrival(struct loop_post *post)
{
    struct arrival *arrival = CONTAINER_OF(post, struct arrival, post);
    admit(arrival->host, arrival->fd);
    mem_free(arrival);
}

void hub_accept(struct hub *hub, int fd)
{
    uint32_t nth = atomic_fetch_add(&hub->next_host, 1) % atomic_load(&hub->host_count);
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

/* ---- Sending away ---- */

struct closing {
    struct loop_post post;
    struct loop *loop;
    void (*on_done)(void *ctx);
    void *ctx;
    _Atomic uint32_t hosts_left;
};

struct order_to_close {
    struct loop_post post;
    struct host *host;
    struct closing *closing;
    bool is_graceful;
};

static void on_all_closed(struct loop_post *post)
{
    struct closing *closing = CONTAINER_OF(post, struct closing, post);
    closing->on_done(closing->ctx);
    mem_free(closing);
}

void host_look_closed(struct host *host)
{
    struct closing *closing = host->closing;
    if (closing == NULL || !list_is_empty(&host->sessions) || host->ticket_count > 0)
        return;
    host->closing = NULL;
    loop_timer_disarm(&host->deadline);
    if (atomic_fetch_sub(&closing->hosts_left, 1) == 1)
        loop_post(closing->loop, &closing->post);
}

static void close_sessions(struct host *host, bool is_graceful)
{
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (is_graceful)
            session_close_after_reply(session);
        else
            session_close_now(session);
    }
}

void host_on_deadline(struct loop_timer *timer)
{
    close_sessions(CONTAINER_OF(timer, struct host, deadline), false);
}

static void on_order_to_close(struct loop_post *post)
{
    struct order_to_close *order = CONTAINER_OF(post, struct order_to_close, post);
    struct host *host = order->host;
    host->closing = order->closing;
    loop_timer_disarm(&host->cron);
    loop_timer_arm(&host->deadline, CLOSE_PATIENCE_MS);
    close_sessions(host, order->is_graceful);
    mem_free(order);
    host_look_closed(host);
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
        struct order_to_close *order = mem_calloc(1, sizeof(*order));
        order->post.run = on_order_to_close;
        order->host = &hub->hosts[i];
        order->closing = closing;
        order->is_graceful = is_graceful;
        loop_post(hub->hosts[i].loop, &order->post);
    }
}
