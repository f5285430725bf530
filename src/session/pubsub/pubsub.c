/* SPDX-License-Identifier: Apache-2.0 */
/* SUBSCRIBE and its kin.
 *
 * Their answers are pushes, one for each name, and come even if CLIENT REPLY is off; only within
 * EXEC they stand in its reply.
 */
#include "session/pubsub/pubsub_internal.h"

#include "command/args.h"
#include "session/session_internal.h"

struct kind_words {
    const char *subscribed;
    const char *unsubscribed;
};

static const struct kind_words words[TOPIC_KINDS] = {
    [TOPIC_CHANNEL] = {"subscribe", "unsubscribe"},
    [TOPIC_PATTERN] = {"psubscribe", "punsubscribe"},
    [TOPIC_SHARD] = {"ssubscribe", "sunsubscribe"},
};

uint32_t session_subscriptions(const struct session *session, enum topic_kind kind)
{
    return session->subscriber == NULL ? 0 : session->subscriber->counts[kind];
}

bool session_is_subscribed(const struct session *session)
{
    return session->subscriber != NULL;
}

/* How many it has, as answers tell: shard channels are counted apart. */
static int64_t count_for(const struct session *session, enum topic_kind kind)
{
    if (kind == TOPIC_SHARD)
        return session_subscriptions(session, TOPIC_SHARD);
    return (int64_t)session_subscriptions(session, TOPIC_CHANNEL) +
           session_subscriptions(session, TOPIC_PATTERN);
}

/* Counted for INFO: those who listen to anything. */
static void note_subscriber(struct session *session, bool was_subscribed)
{
    bool is_now = session_is_subscribed(session);
    if (is_now != was_subscribed)
        count_up(&session->host->stats.pubsub_clients, is_now ? 1 : (uint64_t)-1);
}

void session_forget_topics(struct session *session)
{
    bool was_subscribed = session_is_subscribed(session);
    topics_drop(session->host->topics, session);
    note_subscriber(session, was_subscribed);
}

/* ---- Answers ---- */

struct answers {
    struct call *call;
    bool was_subscribed;
    struct buf pushes;
    struct reply reply;
};

static void begin_answers(struct answers *answers, struct call *call)
{
    struct session *session = call->session;
    answers->call = call;
    answers->was_subscribed = session_is_subscribed(session);
    answers->pushes = (struct buf){0};
    answers->reply = reply_to(&answers->pushes, session->proto);
    if (session->running_exec != NULL)
        answers->reply = *call->reply;
}

static void end_answers(struct answers *answers)
{
    struct session *session = answers->call->session;
    note_subscriber(session, answers->was_subscribed);
    if (session->running_exec != NULL)
        return;
    session->is_deferred = true; /* nothing comes as a reply */
    session_push(session, buf_slice(&answers->pushes));
    buf_fini(&answers->pushes);
}

/* `name` NULL: there was none to take back. */
static void answer(struct answers *answers, const char *word, const struct slice *name,
                   enum topic_kind kind)
{
    struct reply *reply = &answers->reply;
    reply_push(reply, 3);
    reply_bulk_str(reply, word);
    if (name == NULL)
        reply_null(reply);
    else
        reply_bulk(reply, *name);
    reply_int(reply, count_for(answers->call->session, kind));
}

/* ---- Commands ---- */

static int subscribe(struct call *call, enum topic_kind kind)
{
    struct session *session = call->session;
    struct answers answers;
    begin_answers(&answers, call);
    for (uint32_t i = 1; i < call->argc; i++) {
        IGNORE(topics_add(session->host->topics, session, kind, call->argv[i]),
               "twice is answered as once");
        answer(&answers, words[kind].subscribed, &call->argv[i], kind);
    }
    end_answers(&answers);
    return 0;
}

static void unsubscribe_all(struct session *session, struct answers *answers, enum topic_kind kind)
{
    struct buf name = {0};
    bool had_any = false;
    while (topics_del_one(session->host->topics, session, kind, &name)) {
        struct slice taken_back = buf_slice(&name);
        answer(answers, words[kind].unsubscribed, &taken_back, kind);
        name.len = 0;
        had_any = true;
    }
    if (!had_any)
        answer(answers, words[kind].unsubscribed, NULL, kind);
    buf_fini(&name);
}

static int unsubscribe(struct call *call, enum topic_kind kind)
{
    struct session *session = call->session;
    struct answers answers;
    begin_answers(&answers, call);
    if (call->argc == 1)
        unsubscribe_all(session, &answers, kind);
    for (uint32_t i = 1; i < call->argc; i++) {
        IGNORE(topics_del(session->host->topics, session, kind, call->argv[i]),
               "what was not there is answered all the same");
        answer(&answers, words[kind].unsubscribed, &call->argv[i], kind);
    }
    end_answers(&answers);
    return 0;
}

static int run_subscribe(struct call *call)
{
    return subscribe(call, TOPIC_CHANNEL);
}

static int run_psubscribe(struct call *call)
{
    return subscribe(call, TOPIC_PATTERN);
}

static int run_ssubscribe(struct call *call)
{
    return subscribe(call, TOPIC_SHARD);
}

static int run_unsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_CHANNEL);
}

static int run_punsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_PATTERN);
}

static int run_sunsubscribe(struct call *call)
{
    return unsubscribe(call, TOPIC_SHARD);
}

#define NO_KEYS  KEYS_NONE
#define CHANNELS KEYS_RANGE(1, -1, 1, KEY_CHANNEL)
#define LISTEN_ROW(word, lo, from, cost, doc, args, fn, ...)                                      \
    {                                                                                             \
        .name = (word), .arity = {(lo), ARITY_ANY},                                               \
        .flags = CMD_PUBSUB | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SUBSCRIBED,            \
        .scope = SCOPE_NODE, .keys = __VA_ARGS__, .categories = "pubsub slow", .group = "pubsub", \
        .since = (from), .complexity = (cost), .summary = (doc), .syntax = (args), .run = (fn),   \
    }

static const struct command_row rows[] = {
    LISTEN_ROW("subscribe", 2, "2.0.0", "O(N) where N is the number of channels to subscribe to.",
               "Listens for messages published to channels.", "channel [channel ...]",
               run_subscribe, NO_KEYS),
    LISTEN_ROW("unsubscribe", 1, "2.0.0", "O(N) where N is the number of channels to unsubscribe.",
               "Stops listening to messages posted to channels.", "[channel [channel ...]]",
               run_unsubscribe, NO_KEYS),
    LISTEN_ROW("psubscribe", 2, "2.0.0", "O(N) where N is the number of patterns to subscribe to.",
               "Listens for messages published to channels that match one or more patterns.",
               "pattern [pattern ...]", run_psubscribe, NO_KEYS),
    LISTEN_ROW("punsubscribe", 1, "2.0.0", "O(N) where N is the number of patterns to unsubscribe.",
               "Stops listening to messages published to channels that match one or more patterns.",
               "[pattern [pattern ...]]", run_punsubscribe, NO_KEYS),
    LISTEN_ROW("ssubscribe", 2, "7.0.0",
               "O(N) where N is the number of shard channels to subscribe to.",
               "Listens for messages published to shard channels.",
               "shardchannel [shardchannel ...]", run_ssubscribe, CHANNELS),
    LISTEN_ROW("sunsubscribe", 1, "7.0.0",
               "O(N) where N is the number of shard channels to unsubscribe.",
               "Stops listening to messages posted to shard channels.",
               "[shardchannel [shardchannel ...]]", run_sunsubscribe, CHANNELS),
};

const struct command_family pubsub_family = {
    .name = "pubsub", .rows = rows, .row_count = ARRAY_COUNT(rows)};
