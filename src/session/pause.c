/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT PAUSE: sessions do not run what is held and parse it again when the pause is over. */
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "session/session_internal.h"

enum pause_kind { PAUSE_NONE, PAUSE_WRITES, PAUSE_ALL };

/* Kind and end are one word: no thread sees those of two pauses mixed. */
#define KIND_BITS    2
#define MAX_UNTIL_MS (UINT64_MAX >> KIND_BITS)

static uint64_t now_ms(void)
{
    return clock_mono_us(clock_posix()) / 1000;
}

struct pause {
    enum pause_kind kind;
    uint64_t left_ms;
};

/* What counts now; an end that has passed is none. */
static struct pause current(const struct hub *hub)
{
    uint64_t word = atomic_load_explicit(&hub->pause, memory_order_relaxed);
    if (LIKELY(word == 0))
        return (struct pause){.kind = PAUSE_NONE};
    uint64_t until_ms = word >> KIND_BITS;
    uint64_t now = now_ms();
    if (now >= until_ms)
        return (struct pause){.kind = PAUSE_NONE};
    return (struct pause){.kind = (enum pause_kind)(word & ((1u << KIND_BITS) - 1)),
                          .left_ms = until_ms - now};
}

void pause_add_stats(const struct hub *hub, struct hub_stats *stats)
{
    struct pause pause = current(hub);
    stats->pause_kind = pause.kind;
    stats->pause_left_ms = pause.left_ms;
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
    struct pause pause = current(host->hub);
    if (LIKELY(pause.kind == PAUSE_NONE))
        return false;
    bool ends_writes = row == host->hub->exec_row && has_queued_writes(session);
    if (pause.kind == PAUSE_WRITES && !is_write(row) && !ends_writes)
        return false;
    session->waits_for_pause = true;
    list_push_back(&host->paused, &session->pause_node);
    count_up(&host->stats.blocked, 1);
    /* It may still be armed for the end of a pause that UNPAUSE has ended, a longer one. */
    loop_timer_arm(&host->pause_end, pause.left_ms);
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
    struct pause pause = current(host->hub);
    if (pause.kind == PAUSE_NONE)
        release(host);
    else
        loop_timer_arm(timer, pause.left_ms);
}

/* ---- The commands ---- */

/* Of two pauses the stricter and the longer count. */
static void begin(struct hub *hub, enum pause_kind kind, uint64_t for_ms, uint64_t loop_ms)
{
    lock_take(&hub->lock);
    struct pause before = current(hub);
    kind = before.kind > kind ? before.kind : kind;
    for_ms = before.left_ms > for_ms ? before.left_ms : for_ms;
    uint64_t until_ms = now_ms() + for_ms;
    until_ms = until_ms < MAX_UNTIL_MS ? until_ms : MAX_UNTIL_MS;
    atomic_store(&hub->pause, until_ms << KIND_BITS | kind);
    group_hold_expiry(hub->options.group, loop_ms + for_ms);
    lock_drop(&hub->lock);
}

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
    if (!num_parse_i64(call->argv[2], &timeout_ms)) {
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
        return 0;
    }
    if (timeout_ms < 0) {
        reply_error(call->reply, "ERR timeout is negative");
        return 0;
    }
    if ((uint64_t)timeout_ms > MAX_UNTIL_MS - now_ms()) {
        reply_error(call->reply, "ERR timeout is out of range");
        return 0;
    }
    begin(hub, kind, (uint64_t)timeout_ms, loop_now_ms(session_loop(call->session)));
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
    atomic_store(&hub->pause, 0);
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
