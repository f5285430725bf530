/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT PAUSE: sessions do not run what is held and parse it again when the pause is over. */
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "session/session_internal.h"

enum pause_kind { PAUSE_NONE, PAUSE_WRITES, PAUSE_ALL };

static uint64_t now_ms(void)
{
    return clock_mono_us(clock_posix()) / 1000;
}

/* What counts now; an end that has passed is none. */
static enum pause_kind current_kind(const struct hub *hub)
{
    uint32_t kind = atomic_load_explicit(&hub->pause_kind, memory_order_relaxed);
    if (LIKELY(kind == PAUSE_NONE) || now_ms() >= atomic_load(&hub->pause_until_ms))
        return PAUSE_NONE;
    return (enum pause_kind)kind;
}

static bool is_write(const struct command_row *row)
{
    return (row->flags & (CMD_WRITE | CMD_MAY_REPLICATE)) != 0;
}

static bool has_queued_writes(const struct session *session)
{
    for (const struct queued *queued = session->queue; queued != NULL; queued = queued->next) {
        if (is_write(queued->row))
            return true;
    }
    return false;
}

bool pause_holds(struct session *session, const struct command_row *row)
{
    struct host *host = session->host;
    enum pause_kind kind = current_kind(host->hub);
    if (LIKELY(kind == PAUSE_NONE))
        return false;
    bool ends_writes = row == host->hub->exec_row && has_queued_writes(session);
    if (kind == PAUSE_WRITES && !is_write(row) && !ends_writes)
        return false;
    session->waits_for_pause = true;
    list_push_back(&host->paused, &session->pause_node);
    count_up(&host->stats.blocked, 1);
    uint64_t until_ms = atomic_load(&host->hub->pause_until_ms);
    uint64_t now = now_ms();
    if (!loop_timer_is_armed(&host->pause_end))
        loop_timer_arm(&host->pause_end, until_ms > now ? until_ms - now : 1);
    return true;
}

void pause_forget(struct session *session)
{
    if (!session->waits_for_pause)
        return;
    session->waits_for_pause = false;
    list_del(&session->pause_node);
    count_up(&session->host->stats.blocked, (uint64_t)-1);
}

/* Lets go of all; those that another pause holds come back. */
static void release(struct host *host)
{
    struct list_node waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &host->paused);
    while (!list_is_empty(&waiting)) {
        struct session *session = LIST_ENTRY(waiting.next, struct session, pause_node);
        pause_forget(session);
        session_resume(session);
    }
}

void host_on_pause_end(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, pause_end);
    uint64_t until_ms = atomic_load(&host->hub->pause_until_ms);
    uint64_t now = now_ms();
    bool is_over = current_kind(host->hub) == PAUSE_NONE;
    if (is_over)
        release(host);
    else
        loop_timer_arm(timer, until_ms > now ? until_ms - now : 1);
}

/* ---- The commands ---- */

int client_pause(struct call *call)
{
    if (call->argc > 4) {
        args_reply_sub_usage(call);
        return 0;
    }
    struct hub *hub = call->session->host->hub;
    int64_t timeout_ms;
    enum pause_kind kind = PAUSE_ALL;
    if (call->argc == 4) {
        bool is_writes = slice_is(call->argv[3], "write");
        if (!is_writes && !slice_is(call->argv[3], "all")) {
            reply_error(call->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return 0;
        }
        kind = is_writes ? PAUSE_WRITES : PAUSE_ALL;
    }
    uint64_t now = now_ms();
    if (!num_parse_i64(call->argv[2], &timeout_ms) || timeout_ms > INT64_MAX - (int64_t)now) {
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
        return 0;
    }
    if (timeout_ms < 0) {
        reply_error(call->reply, "ERR timeout is negative");
        return 0;
    }
    /* Of two pauses the stricter and the longer count. */
    lock_take(&hub->lock);
    enum pause_kind before = current_kind(hub);
    uint64_t until_ms = now + (uint64_t)timeout_ms;
    if (before != PAUSE_NONE && atomic_load(&hub->pause_until_ms) > until_ms)
        until_ms = atomic_load(&hub->pause_until_ms);
    atomic_store(&hub->pause_until_ms, until_ms);
    atomic_store(&hub->pause_kind, before > kind ? before : kind);
    group_hold_expiry(hub->options.group,
                      loop_now_ms(session_loop(call->session)) + (until_ms - now));
    lock_drop(&hub->lock);
    reply_ok(call->reply);
    return 0;
}

struct pause_release {
    struct loop_post post;
    struct host *host;
};

static void on_release(struct loop_post *post)
{
    struct pause_release *order = CONTAINER_OF(post, struct pause_release, post);
    release(order->host);
    mem_free(order);
}

/* The reply to CLIENT UNPAUSE waits until what fell due meanwhile has gone. */
struct unpausing {
    struct group_sweep sweep;
    struct session_ticket *ticket;
};

static void on_swept(struct group_sweep *sweep)
{
    struct unpausing *order = CONTAINER_OF(sweep, struct unpausing, sweep);
    session_answer(order->ticket, SLICE_LIT("+OK\r\n"));
    mem_free(order);
}

int client_unpause(struct call *call)
{
    struct hub *hub = call->session->host->hub;
    lock_take(&hub->lock);
    atomic_store(&hub->pause_kind, PAUSE_NONE);
    group_hold_expiry(hub->options.group, 0);
    lock_drop(&hub->lock);
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct pause_release *order = mem_calloc(1, sizeof(*order));
        order->post.run = on_release;
        order->host = &hub->hosts[i];
        loop_post(order->host->loop, &order->post);
    }
    struct unpausing *order = mem_calloc(1, sizeof(*order));
    order->ticket = session_defer(call);
    order->sweep.loop = session_loop(call->session);
    order->sweep.on_done = on_swept;
    group_sweep(hub->options.group, &order->sweep);
    return 0;
}
