/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR. */
#include "session/tracking/tracking_internal.h"

#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"

/* ---- Life ---- */

struct tracking *tracking_new(struct host *host)
{
    struct tracking *tracking = mem_calloc(1, sizeof(*tracking));
    tracking->host = host;
    list_init(&tracking->trackers);
    list_init(&tracking->prefixes);
    return tracking;
}

void tracking_free(struct tracking *tracking)
{
    if (tracking == NULL)
        return;
    tracking_table_clear(tracking);
    mem_free(tracking);
}

static void begin(struct session *session)
{
    struct tracking *tracking = session->host->tracking;
    struct tracker *tracker = mem_calloc(1, sizeof(*tracker));
    tracker->session = session;
    list_init(&tracker->prefixes);
    list_push_back(&tracking->trackers, &tracker->node);
    session->tracker = tracker;
    count_up(&tracking->tracker_count, 1);
    struct hub *hub = session->host->hub;
    /* The first may not have come so far yet: every one sees to it. */
    atomic_fetch_add(&hub->tracker_count, 1);
    hub_update_wanted(hub);
}

void tracking_end(struct session *session)
{
    struct tracker *tracker = session->tracker;
    if (tracker == NULL)
        return;
    struct tracking *tracking = session->host->tracking;
    struct hub *hub = session->host->hub;
    session->tracker = NULL;
    prefixes_leave(tracking, tracker);
    list_del(&tracker->node);
    tracker_end(tracker);
    count_up(&tracking->tracker_count, (uint64_t)-1);
    if (list_is_empty(&tracking->trackers))
        tracking_forget_some(tracking);
    if (atomic_fetch_sub(&hub->tracker_count, 1) == 1)
        hub_update_wanted(hub);
}

void tracking_add_stats(const struct tracking *tracking, struct hub_stats *stats)
{
    const _Atomic uint64_t *counts[] = {&tracking->tracker_count, &tracking->key_count,
                                        &tracking->entry_count, &tracking->prefix_count};
    uint64_t *sums[] = {&stats->trackers, &stats->tracked_keys, &stats->tracked_items,
                        &stats->tracked_prefixes};
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        *sums[i] += atomic_load_explicit(counts[i], memory_order_relaxed);
}

/* CACHING is for one command, or for one transaction. */
void tracking_after_command(struct session *session, const struct command_row *row)
{
    bool is_client = row->parent != NULL && slice_is(slice_str(row->parent), "client");
    if (!session->in_multi && !is_client)
        session->tracker->is_caching = false;
}

/* ---- CLIENT TRACKING ---- */

struct wish {
    struct loop_post post;
    struct session_ticket *ticket;
    struct host *home;
    uint32_t host_idx; /* where the other session is looked for */
    bool is_found;
    uint64_t redirect;
    bool is_bcast;
    bool is_optin;
    bool is_optout;
    bool is_noloop;
    struct buf *prefixes;
    size_t prefix_count;
};

static void fini_wish(struct wish *wish)
{
    for (size_t i = 0; i < wish->prefix_count; i++)
        buf_fini(&wish->prefixes[i]);
    mem_free(wish->prefixes);
}

static bool read_redirect(struct call *call, uint32_t nth, struct wish *wish)
{
    int64_t id;
    if (wish->redirect != 0) {
        reply_error(call->reply, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!args_integer(call, nth, &id))
        return false;
    wish->redirect = (uint64_t)id;
    return true;
}

/* Reads the options behind ON or OFF; false after an error. */
static bool read_wish(struct call *call, struct wish *wish)
{
    struct {
        const char *word;
        bool *flag;
    } switches[] = {{"bcast", &wish->is_bcast},
                    {"optin", &wish->is_optin},
                    {"optout", &wish->is_optout},
                    {"noloop", &wish->is_noloop}};
    wish->prefixes = mem_calloc(call->argc, sizeof(*wish->prefixes));
    for (uint32_t i = 3; i < call->argc; i++) {
        bool has_more = i + 1 < call->argc;
        bool *flag = NULL;
        for (size_t j = 0; j < ARRAY_COUNT(switches); j++)
            flag = slice_is(call->argv[i], switches[j].word) ? switches[j].flag : flag;
        if (flag != NULL) {
            *flag = true;
        } else if (slice_is(call->argv[i], "redirect") && has_more) {
            if (!read_redirect(call, ++i, wish))
                return false;
        } else if (slice_is(call->argv[i], "prefix") && has_more) {
            buf_append_slice(&wish->prefixes[wish->prefix_count++], call->argv[++i]);
        } else {
            reply_error(call->reply, TEXT_SYNTAX);
            return false;
        }
    }
    return true;
}

/* NULL, or why it cannot be had. */
static const char *why_not(const struct session *session, const struct wish *wish)
{
    const struct tracker *tracker = session->tracker;
    if (!wish->is_bcast && wish->prefix_count > 0)
        return "ERR PREFIX option requires BCAST mode to be enabled";
    if (tracker != NULL && tracker->is_bcast != wish->is_bcast)
        return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, "
               "and then re-enabling it with a different mode.";
    if (wish->is_bcast && (wish->is_optin || wish->is_optout))
        return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (wish->is_optin && wish->is_optout)
        return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if (tracker != NULL &&
        ((wish->is_optin && tracker->is_optout) || (wish->is_optout && tracker->is_optin)))
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, "
               "and then re-enabling it with a different mode.";
    return NULL;
}

static bool overlap(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    return slice_eq(slice_sub(a, 0, common), slice_sub(b, 0, common));
}

static void reply_overlap(struct reply *reply, struct slice one, const char *which,
                          struct slice other)
{
    reply_errorf(reply,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client "
                 "must not overlap.",
                 SLICE_FMT(slice_sub(one, 0, 128)), which, SLICE_FMT(slice_sub(other, 0, 128)));
}

/* False after an error: two prefixes of one client overlap. */
static bool check_prefixes(const struct session *session, const struct wish *wish,
                           struct reply *reply)
{
    for (size_t i = 0; i < wish->prefix_count; i++) {
        struct slice one = buf_slice(&wish->prefixes[i]);
        const struct prefix *mine =
            session->tracker == NULL ? NULL : prefixes_overlap(session->tracker, one);
        if (mine != NULL) {
            reply_overlap(reply, one, "an existing", buf_slice(&mine->text));
            return false;
        }
        for (size_t j = i + 1; j < wish->prefix_count; j++) {
            struct slice other = buf_slice(&wish->prefixes[j]);
            if (overlap(one, other)) {
                reply_overlap(reply, one, "another provided", other);
                return false;
            }
        }
    }
    return true;
}

static void grant(struct session *session, const struct wish *wish)
{
    if (session->tracker == NULL)
        begin(session);
    struct tracker *tracker = session->tracker;
    tracker->is_bcast = wish->is_bcast;
    tracker->is_optin = wish->is_optin;
    tracker->is_optout = wish->is_optout;
    tracker->is_noloop = wish->is_noloop;
    tracker->is_broken = false;
    tracker->is_caching = false;
    tracker->redirect = wish->redirect;
    tracker->redirect_host = wish->host_idx;
    for (size_t i = 0; i < wish->prefix_count; i++)
        prefixes_join(session->host->tracking, tracker, buf_slice(&wish->prefixes[i]));
    if (wish->is_bcast && list_is_empty(&tracker->prefixes))
        prefixes_join(session->host->tracking, tracker, SLICE_EMPTY);
}

/* All is known: replies what comes of it. */
static void decide(struct session *session, const struct wish *wish, struct reply *reply)
{
    const char *text = why_not(session, wish);
    if (wish->redirect != 0 && !wish->is_found)
        text = "ERR The client ID you want redirect to does not exist";
    if (text != NULL) {
        reply_error(reply, text);
        return;
    }
    if (!check_prefixes(session, wish, reply))
        return;
    grant(session, wish);
    reply_ok(reply);
}

/* A session that others redirect to is found faster from now on. */
static bool look_for_target(struct host *host, uint64_t id)
{
    struct session *session = host_find_session(host, id);
    if (session != NULL && !list_is_linked(&session->target_node))
        list_push_back(&host->targets, &session->target_node);
    return session != NULL;
}

static void on_search_back(struct loop_post *post)
{
    struct wish *wish = CONTAINER_OF(post, struct wish, post);
    struct session *session = session_of_ticket(wish->ticket);
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(wish->ticket));
    if (session != NULL)
        decide(session, wish, &reply);
    session_answer(wish->ticket, buf_slice(&out));
    buf_fini(&out);
    fini_wish(wish);
    mem_free(wish);
}

static void on_search(struct loop_post *post)
{
    struct wish *wish = CONTAINER_OF(post, struct wish, post);
    struct hub *hub = wish->home->hub;
    wish->is_found = look_for_target(&hub->hosts[wish->host_idx], wish->redirect);
    if (wish->is_found || wish->host_idx + 1 == hub->options.loop_count) {
        wish->post.run = on_search_back;
        loop_post(wish->home->loop, &wish->post);
        return;
    }
    wish->host_idx++;
    loop_post(hub->hosts[wish->host_idx].loop, &wish->post);
}

/* The one to redirect to is not of this host: the connection waits while the others look. */
static void search(struct call *call, const struct wish *plan)
{
    struct host *home = call->session->host;
    struct wish *wish = mem_alloc(sizeof(*wish));
    *wish = *plan;
    wish->post.run = on_search;
    wish->home = home;
    wish->host_idx = 0;
    /* Within EXEC it is alone in any case. */
    bool is_in_exec = call->session->running_exec != NULL;
    wish->ticket = is_in_exec ? session_defer(call) : session_defer_alone(call);
    loop_post(home->hub->hosts[0].loop, &wish->post);
}

static int turn_on(struct call *call)
{
    struct host *host = call->session->host;
    struct wish wish = {.host_idx = (uint32_t)(host - host->hub->hosts)};
    if (!read_wish(call, &wish)) {
        fini_wish(&wish);
        return 0;
    }
    wish.is_found = wish.redirect != 0 && look_for_target(host, wish.redirect);
    if (wish.redirect != 0 && !wish.is_found && host->hub->options.loop_count > 1) {
        search(call, &wish);
        return 0;
    }
    decide(call->session, &wish, call->reply);
    fini_wish(&wish);
    return 0;
}

static int run_tracking(struct call *call)
{
    if (slice_is(call->argv[2], "on"))
        return turn_on(call);
    struct wish wish = {0};
    bool is_read = read_wish(call, &wish);
    fini_wish(&wish);
    if (!is_read)
        return 0;
    if (!slice_is(call->argv[2], "off")) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    tracking_end(call->session);
    reply_ok(call->reply);
    return 0;
}

/* ---- The others ---- */

static int run_caching(struct call *call)
{
    struct tracker *tracker = call->session->tracker;
    bool is_yes = slice_is(call->argv[2], "yes");
    const char *text = NULL;
    if (tracker == NULL)
        text =
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with "
            "OPTIN or OPTOUT mode enabled";
    else if (!is_yes && !slice_is(call->argv[2], "no"))
        text = TEXT_SYNTAX;
    else if (is_yes && !tracker->is_optin)
        text = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
    else if (!is_yes && !tracker->is_optout)
        text = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
    if (text != NULL) {
        reply_error(call->reply, text);
        return 0;
    }
    tracker->is_caching = true;
    reply_ok(call->reply);
    return 0;
}

int64_t tracking_redirect(const struct session *session)
{
    return session->tracker == NULL ? -1 : (int64_t)session->tracker->redirect;
}

bool tracking_is_broken(const struct session *session)
{
    return session->tracker != NULL && session->tracker->is_broken;
}

bool tracking_is_bcast(const struct session *session)
{
    return session->tracker != NULL && session->tracker->is_bcast;
}

static int run_getredir(struct call *call)
{
    reply_int(call->reply, tracking_redirect(call->session));
    return 0;
}

static void reply_flags(struct reply *reply, const struct tracker *tracker)
{
    static const struct tracker off = {0};
    const struct tracker *t = tracker == NULL ? &off : tracker;
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {{tracker == NULL, "off"},
                 {tracker != NULL, "on"},
                 {t->is_bcast, "bcast"},
                 {t->is_optin, "optin"},
                 {t->is_optin && t->is_caching, "caching-yes"},
                 {t->is_optout, "optout"},
                 {t->is_optout && t->is_caching, "caching-no"},
                 {t->is_noloop, "noloop"},
                 {t->is_broken, "broken_redirect"}};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        count += flags[i].is_set;
    reply_set(reply, count);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        if (flags[i].is_set)
            reply_bulk_str(reply, flags[i].name);
    }
}

static int run_trackinginfo(struct call *call)
{
    struct tracker *tracker = call->session->tracker;
    struct reply *reply = call->reply;
    reply_map(reply, 3);
    reply_bulk_str(reply, "flags");
    reply_flags(reply, tracker);
    reply_bulk_str(reply, "redirect");
    reply_int(reply, tracking_redirect(call->session));
    reply_bulk_str(reply, "prefixes");
    size_t mark = reply_array_begin(reply);
    size_t count = 0;
    if (tracker != NULL) {
        LIST_EACH(node, next, &tracker->prefixes)
        {
            reply_bulk(reply,
                       buf_slice(&LIST_ENTRY(node, struct membership, of_tracker)->prefix->text));
            count++;
        }
    }
    reply_array_end(reply, mark, count);
    return 0;
}

#define TRACKING_SUB(sub, lo, hi, from, cost, doc, args, fn)                     \
    {                                                                            \
        .name = (sub), .parent = "client", .arity = {(lo), (hi)},                \
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE, .scope = SCOPE_NODE,    \
        .categories = "slow connection", .group = "connection", .since = (from), \
        .complexity = (cost), .summary = (doc), .syntax = (args), .run = (fn),   \
    }

static const struct command_row rows[] = {
    TRACKING_SUB("caching", 3, 3, "6.0.0", "O(1)",
                 "Instructs the server whether to track the keys in the next request.",
                 "<YES | NO>", run_caching),
    TRACKING_SUB("getredir", 2, 2, "6.0.0", "O(1)",
                 "Returns the client ID to which the connection's tracking notifications are "
                 "redirected.",
                 "", run_getredir),
    TRACKING_SUB("tracking", 3, ARITY_ANY, "6.0.0",
                 "O(1). Some options may introduce additional complexity.",
                 "Controls server-assisted client-side caching for the connection.",
                 "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] "
                 "[OPTIN] [OPTOUT] [NOLOOP]",
                 run_tracking),
    TRACKING_SUB("trackinginfo", 2, 2, "6.2.0", "O(1)",
                 "Returns information about server-assisted client-side caching for the "
                 "connection.",
                 "", run_trackinginfo),
};

const struct command_family tracking_family = {
    .name = "tracking", .rows = rows, .row_count = ARRAY_COUNT(rows)};
