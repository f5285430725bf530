/* SPDX-License-Identifier: Apache-2.0 */
/* WAIT and WAITAOF, and CLIENT UNBLOCK, which ends them.
 *
 * What they ask is known at once: they run when every earlier command of the connection has been
 * answered (R27), an acknowledged write is durable here (P1), and there are no replicas. So either
 * enough have it already, or the client waits in vain until its timeout, as with a Redis whose
 * replicas are not there. Meanwhile nothing more of the connection is run.
 */
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "engine/group_stats.h"
#include "session/session_internal.h"

#define TEXT_BAD_TIMEOUT "ERR timeout is not an integer or out of range"

/* How many have what the connection has written. */
struct copies {
    int64_t local; /* on stable storage here: 0 or 1 */
    int64_t replicas;
};

struct wait {
    struct session *session;
    struct session_ticket *ticket;
    struct loop_timer timer;
    struct copies have;
    bool is_aof;
};

static void reply_copies(struct reply *reply, const struct copies *have, bool is_aof)
{
    if (is_aof) {
        reply_array(reply, 2);
        reply_int(reply, have->local);
    }
    reply_int(reply, have->replicas);
}

/* ---- Waiting ---- */

static void end_wait(struct session *session, const char *error)
{
    struct wait *wait = session->wait;
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(wait->ticket));
    if (error == NULL)
        reply_copies(&reply, &wait->have, wait->is_aof);
    else
        reply_error(&reply, error);
    session->wait = NULL;
    count_up(&session->host->stats.blocked, (uint64_t)-1);
    loop_timer_fini(&wait->timer);
    session_answer(wait->ticket, buf_slice(&out));
    mem_free(wait);
    buf_fini(&out);
}

static void on_timeout(struct loop_timer *timer)
{
    end_wait(CONTAINER_OF(timer, struct wait, timer)->session, NULL);
}

static void begin_wait(struct call *call, const struct copies *have, uint64_t timeout_ms)
{
    struct session *session = call->session;
    struct wait *wait = mem_calloc(1, sizeof(*wait));
    wait->session = session;
    wait->ticket = session_defer_alone(call);
    wait->have = *have;
    wait->is_aof = call->argc == 4;
    session->wait = wait;
    count_up(&session->host->stats.blocked, 1);
    loop_timer_init(session->host->loop, &wait->timer, on_timeout);
    if (timeout_ms > 0)
        loop_timer_arm(&wait->timer, timeout_ms);
}

void wait_give_up(struct session *session)
{
    if (session->wait != NULL)
        end_wait(session, NULL);
}

/* ---- The commands ---- */

static bool parse_timeout(struct call *call, uint32_t nth, uint64_t *out_ms)
{
    int64_t ms;
    int64_t sum;
    const char *error = NULL;
    if (!num_parse_i64(call->argv[nth], &ms))
        error = TEXT_BAD_TIMEOUT;
    else if (ms < 0)
        error = "ERR timeout is negative";
    else if (!num_add_i64(ms, (int64_t)loop_wall_ms(session_loop(call->session)), &sum))
        error = "ERR timeout is out of range";
    if (error == NULL)
        *out_ms = (uint64_t)ms;
    else
        reply_error(call->reply, error);
    return error == NULL;
}

static int answer_or_wait(struct call *call, const struct copies *want, uint64_t timeout_ms)
{
    struct session *session = call->session;
    const struct group_stats stats = group_stats(session->host->hub->options.group);
    const struct copies have = {.local = !stats.is_log_failed};
    bool is_enough = have.local >= want->local && have.replicas >= want->replicas;
    /* Within EXEC nothing waits. */
    if (is_enough || session->running_exec != NULL)
        reply_copies(call->reply, &have, call->argc == 4);
    else
        begin_wait(call, &have, timeout_ms);
    return 0;
}

static int run_wait(struct call *call)
{
    struct copies want = {0};
    uint64_t timeout_ms;
    if (!args_integer(call, 1, &want.replicas) || !parse_timeout(call, 2, &timeout_ms))
        return 0;
    return answer_or_wait(call, &want, timeout_ms);
}

static int run_waitaof(struct call *call)
{
    struct copies want;
    uint64_t timeout_ms;
    if (!args_integer(call, 1, &want.local))
        return 0;
    if (want.local < 0 || want.local > 1) {
        reply_error(call->reply, "ERR value is out of range, value must between 0 and 1");
        return 0;
    }
    if (!num_parse_i64(call->argv[2], &want.replicas) || want.replicas < 0) {
        reply_error(call->reply, "ERR value is out of range, must be positive");
        return 0;
    }
    if (!parse_timeout(call, 3, &timeout_ms))
        return 0;
    return answer_or_wait(call, &want, timeout_ms);
}

/* ---- CLIENT UNBLOCK: goes from host to host until it has found the client (Q8) ---- */

struct unblocking {
    struct loop_post post;
    struct hub *hub;
    struct session_ticket *ticket;
    uint32_t home_idx;
    uint32_t host_idx;
    uint32_t host_count; /* of loops that ran when it began */
    uint64_t id;
    bool is_error;
    bool is_done;
};

static void unblock_in(struct unblocking *order, struct host *host)
{
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->id != order->id || session->wait == NULL)
            continue;
        end_wait(session, order->is_error ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : NULL);
        order->is_done = true;
        return;
    }
}

static void on_stop(struct loop_post *post)
{
    struct unblocking *order = CONTAINER_OF(post, struct unblocking, post);
    uint32_t count = order->host_count;
    if (order->host_idx < count) {
        unblock_in(order, &order->hub->hosts[order->host_idx]);
        order->host_idx = order->is_done ? count : order->host_idx + 1;
        uint32_t next = order->host_idx == count ? order->home_idx : order->host_idx;
        loop_post(order->hub->hosts[next].loop, &order->post);
        return;
    }
    session_answer(order->ticket, order->is_done ? SLICE_LIT(":1\r\n") : SLICE_LIT(":0\r\n"));
    mem_free(order);
}

int client_unblock(struct call *call)
{
    if (call->argc > 4) {
        args_reply_sub_usage(call);
        return 0;
    }
    struct host *home = call->session->host;
    int64_t id;
    bool is_error = call->argc == 4 && slice_is(call->argv[3], "error");
    if (call->argc == 4 && !is_error && !slice_is(call->argv[3], "timeout")) {
        reply_error(call->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return 0;
    }
    if (!args_integer(call, 2, &id))
        return 0;
    struct unblocking *order = mem_calloc(1, sizeof(*order));
    order->hub = home->hub;
    order->home_idx = (uint32_t)(home - home->hub->hosts);
    order->host_count = atomic_load(&home->hub->host_count);
    order->id = (uint64_t)id;
    order->is_error = is_error;
    order->ticket = session_defer(call);
    order->post.run = on_stop;
    loop_post(order->hub->hosts[0].loop, &order->post);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "wait",
        .arity = {3, 3},
        .flags = CMD_WANTS_QUIET,
        .scope = SCOPE_NODE,
        .categories = "slow connection",
        .tips = "request_policy:all_shards response_policy:agg_min",
        .group = "generic",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary =
            "Waits until so many replicas have what the connection has written; there are none.",
        .syntax = "numreplicas timeout",
        .run = run_wait,
    },
    {
        .name = "waitaof",
        .arity = {4, 4},
        .flags = CMD_NOSCRIPT | CMD_WANTS_QUIET,
        .scope = SCOPE_NODE,
        .categories = "slow connection",
        .tips = "request_policy:all_shards response_policy:agg_min",
        .group = "generic",
        .since = "7.2.0",
        .complexity = "O(1)",
        .summary =
            "Waits until what the connection has written is on stable storage here and in so "
            "many replicas.",
        .syntax = "numlocal numreplicas timeout",
        .run = run_waitaof,
    },
};

const struct command_family wait_family = {
    .name = "wait", .rows = rows, .row_count = ARRAY_COUNT(rows)};
