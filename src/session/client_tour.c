/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT LIST and CLIENT KILL. What concerns all connections goes round the hosts, one after the
 * other, and comes back to the one that asked. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "session/session_internal.h"

/* ---- Round the hosts ---- */

enum filter_kind {
    FILTER_ID = 1,
    FILTER_ADDR = 2,
    FILTER_LADDR = 4,
    FILTER_USER = 8,
    FILTER_TYPE = 16
};

/* An id that was asked for, and its line where one was found. */
struct wanted {
    uint64_t id;
    uint32_t nth;
    size_t off;
    size_t len;
};

struct filter {
    unsigned kinds;
    struct wanted *ids; /* sorted by id */
    size_t id_count;
    char addr[NET_ADDR_SIZE];
    char laddr[NET_ADDR_SIZE];
    bool has_wrong_user;
    bool has_other_type; /* pubsub, replica: no connection here is one */
    bool skips_me;
};

struct tour {
    struct loop_post post;
    struct hub *hub;
    uint32_t host_idx;
    uint32_t host_count; /* of loops that ran when it began */
    uint32_t home_idx;
    bool is_kill;
    bool is_old_kill; /* CLIENT KILL addr: OK or an error */
    struct filter filter;
    uint64_t asker_id;
    uint64_t killed;
    struct buf text;
    struct session_ticket *ticket;
};

static int compare_ids(const void *a, const void *b)
{
    const struct wanted *left = a;
    const struct wanted *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static int compare_nths(const void *a, const void *b)
{
    const struct wanted *left = a;
    const struct wanted *right = b;
    return (left->nth > right->nth) - (left->nth < right->nth);
}

static struct wanted *find_id(const struct filter *filter, uint64_t id)
{
    const struct wanted key = {.id = id};
    return bsearch(&key, filter->ids, filter->id_count, sizeof(key), compare_ids);
}

static bool passes(const struct tour *tour, const struct session *session)
{
    const struct filter *filter = &tour->filter;
    char peer[NET_ADDR_SIZE];
    char local[NET_ADDR_SIZE];
    if (filter->has_wrong_user || filter->has_other_type)
        return false;
    if ((filter->kinds & FILTER_ID) != 0 && find_id(filter, session->id) == NULL)
        return false;
    if (filter->skips_me && session->id == tour->asker_id)
        return false;
    conn_addresses(&session->conn, peer, local);
    if ((filter->kinds & FILTER_ADDR) != 0 && strcmp(peer, filter->addr) != 0)
        return false;
    return (filter->kinds & FILTER_LADDR) == 0 || strcmp(local, filter->laddr) == 0;
}

static void describe(struct tour *tour, const struct session *session)
{
    size_t mark = tour->text.len;
    session_describe(session, &tour->text);
    if ((tour->filter.kinds & FILTER_ID) == 0)
        return;
    /* An id that is named twice has two places, side by side. */
    struct filter *filter = &tour->filter;
    struct wanted *wanted = find_id(filter, session->id);
    while (wanted > filter->ids && wanted[-1].id == session->id)
        wanted--;
    for (; wanted < filter->ids + filter->id_count && wanted->id == session->id; wanted++) {
        wanted->off = mark;
        wanted->len = tour->text.len - mark;
    }
}

static void visit(struct tour *tour, struct host *host)
{
    LIST_EACH(node, next, &host->sessions)
    {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->conn.is_closing || !passes(tour, session))
            continue;
        if (!tour->is_kill) {
            describe(tour, session);
            continue;
        }
        tour->killed++;
        if (session->id == tour->asker_id)
            session_close_after_reply(session);
        else
            session_close_now(session);
    }
}

/* The lines of a list by id come in the order in which it names them. */
static void reply_list(struct tour *tour, struct reply *reply)
{
    struct filter *filter = &tour->filter;
    if ((filter->kinds & FILTER_ID) == 0) {
        reply_verbatim(reply, "txt", buf_slice(&tour->text));
        return;
    }
    struct buf sorted = {0};
    qsort(filter->ids, filter->id_count, sizeof(*filter->ids), compare_nths);
    for (size_t i = 0; i < filter->id_count; i++)
        buf_append_slice(&sorted,
                         slice_sub(buf_slice(&tour->text), filter->ids[i].off, filter->ids[i].len));
    reply_verbatim(reply, "txt", buf_slice(&sorted));
    buf_fini(&sorted);
}

static void end_tour(struct tour *tour)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(tour->ticket));
    if (!tour->is_kill)
        reply_list(tour, &reply);
    else if (!tour->is_old_kill)
        reply_int(&reply, (int64_t)tour->killed);
    else if (tour->killed > 0)
        reply_ok(&reply);
    else
        reply_error(&reply, "ERR No such client");
    session_answer(tour->ticket, buf_slice(&out));
    buf_fini(&out);
    buf_fini(&tour->text);
    mem_free(tour->filter.ids);
    mem_free(tour);
}

static void on_stop_of_tour(struct loop_post *post)
{
    struct tour *tour = CONTAINER_OF(post, struct tour, post);
    uint32_t count = tour->host_count;
    if (tour->host_idx == count) {
        end_tour(tour);
        return;
    }
    visit(tour, &tour->hub->hosts[tour->host_idx]);
    tour->host_idx++;
    uint32_t next = tour->host_idx == count ? tour->home_idx : tour->host_idx;
    loop_post(tour->hub->hosts[next].loop, &tour->post);
}

static void start_tour(struct call *call, const struct tour *plan)
{
    struct host *home = call->session->host;
    struct tour *tour = mem_alloc(sizeof(*tour));
    *tour = *plan;
    tour->hub = home->hub;
    tour->host_count = atomic_load(&home->hub->host_count);
    tour->home_idx = (uint32_t)(home - home->hub->hosts);
    tour->asker_id = call->session->id;
    tour->ticket = session_defer(call);
    tour->post.run = on_stop_of_tour;
    loop_post(tour->hub->hosts[0].loop, &tour->post);
}

/* ---- CLIENT LIST and CLIENT KILL ---- */

/* CLIENT LIST ID: all arguments from the third on. */
static bool read_ids(struct call *call, struct filter *filter)
{
    filter->kinds |= FILTER_ID;
    filter->ids = mem_calloc(call->argc, sizeof(*filter->ids));
    for (uint32_t i = 3; i < call->argc; i++) {
        int64_t id;
        if (!num_parse_i64(call->argv[i], &id)) {
            reply_error(call->reply, "ERR Invalid client ID");
            return false;
        }
        filter->ids[filter->id_count++] = (struct wanted){.id = (uint64_t)id, .nth = i};
    }
    qsort(filter->ids, filter->id_count, sizeof(*filter->ids), compare_ids);
    return true;
}

/* CLIENT KILL ID: the last one counts. */
static bool read_id(struct call *call, uint32_t nth, struct filter *filter)
{
    int64_t id;
    if (!num_parse_i64(call->argv[nth], &id) || id <= 0) {
        reply_error(call->reply, "ERR client-id should be greater than 0");
        return false;
    }
    filter->kinds |= FILTER_ID;
    if (filter->ids == NULL)
        filter->ids = mem_alloc(sizeof(*filter->ids));
    filter->ids[0] = (struct wanted){.id = (uint64_t)id};
    filter->id_count = 1;
    return true;
}

static bool read_type(struct call *call, uint32_t nth, struct filter *filter)
{
    struct slice type = call->argv[nth];
    filter->kinds |= FILTER_TYPE;
    if (slice_is(type, "normal"))
        return true;
    if (slice_is(type, "master") || slice_is(type, "replica") || slice_is(type, "slave") ||
        slice_is(type, "pubsub")) {
        filter->has_other_type = true;
        return true;
    }
    reply_errorf(call->reply, "ERR Unknown client type '%.*s'", SLICE_FMT(slice_sub(type, 0, 128)));
    return false;
}

static void copy_addr(char *to, struct slice addr)
{
    size_t len = addr.len < NET_ADDR_SIZE - 1 ? addr.len : NET_ADDR_SIZE - 1;
    memcpy(to, addr.data, len);
    to[len] = '\0';
}

int client_list(struct call *call)
{
    struct tour plan = {0};
    bool is_good = true;
    if (call->argc == 4 && slice_is(call->argv[2], "type"))
        is_good = read_type(call, 3, &plan.filter);
    else if (call->argc > 3 && slice_is(call->argv[2], "id"))
        is_good = read_ids(call, &plan.filter);
    else if (call->argc != 2) {
        reply_error(call->reply, TEXT_SYNTAX);
        is_good = false;
    }
    if (is_good)
        start_tour(call, &plan);
    else
        mem_free(plan.filter.ids);
    return 0;
}

/* One "name value" pair of CLIENT KILL; false after an error. */
static bool read_kill_filter(struct call *call, uint32_t at, struct filter *filter)
{
    if (at + 1 == call->argc) {
        reply_error(call->reply, TEXT_SYNTAX);
        return false;
    }
    struct slice name = call->argv[at];
    struct slice value = call->argv[at + 1];
    if (slice_is(name, "id"))
        return read_id(call, at + 1, filter);
    if (slice_is(name, "type"))
        return read_type(call, at + 1, filter);
    if (slice_is(name, "addr")) {
        filter->kinds |= FILTER_ADDR;
        copy_addr(filter->addr, value);
        return true;
    }
    if (slice_is(name, "laddr")) {
        filter->kinds |= FILTER_LADDR;
        copy_addr(filter->laddr, value);
        return true;
    }
    if (slice_is(name, "user")) {
        filter->kinds |= FILTER_USER;
        filter->has_wrong_user = !slice_is(value, "default");
        if (filter->has_wrong_user)
            reply_errorf(call->reply, "ERR No such user '%.*s'",
                         SLICE_FMT(slice_sub(value, 0, 128)));
        return !filter->has_wrong_user;
    }
    if (slice_is(name, "skipme") && (slice_is(value, "yes") || slice_is(value, "no"))) {
        filter->skips_me = slice_is(value, "yes");
        return true;
    }
    reply_error(call->reply, TEXT_SYNTAX);
    return false;
}

int client_kill(struct call *call)
{
    struct tour plan = {.is_kill = true};
    if (call->argc == 3) {
        plan.is_old_kill = true;
        plan.filter.kinds = FILTER_ADDR;
        copy_addr(plan.filter.addr, call->argv[2]);
        start_tour(call, &plan);
        return 0;
    }
    plan.filter.skips_me = true;
    bool is_good = true;
    for (uint32_t i = 2; is_good && i < call->argc; i += 2)
        is_good = read_kill_filter(call, i, &plan.filter);
    if (is_good)
        start_tour(call, &plan);
    else
        mem_free(plan.filter.ids);
    return 0;
}
