/* SPDX-License-Identifier: Apache-2.0 */
/* PUBLISH, SPUBLISH and PUBSUB.
 *
 * A message goes to the publisher's own host at once and to the others as one post each, so that
 * each of them sees the messages of one publisher in their order. The last to deliver it sends the
 * number of receivers home. Until then the message counts as a reply that is on its way, so that a
 * connection cannot publish faster than the hosts deliver (P7).
 */
#include "base/glob.h"
#include "base/mem.h"
#include "command/args.h"
#include "command/help.h"
#include "session/session_internal.h"

/* ---- Delivering to the sessions of one host ---- */

struct delivery {
    struct slice text; /* as an array; the first byte is another one in RESP3 */
    uint8_t *type;
    uint64_t receivers;
};

static void push_to(void *ctx, struct session *session)
{
    struct delivery *delivery = ctx;
    if (session->conn.is_closing || session->conn.is_close_after_flush)
        return;
    *delivery->type = session->proto >= 3 ? '>' : '*';
    session_push(session, delivery->text);
    delivery->receivers++;
}

static struct delivery delivery_of(struct buf *text)
{
    return (struct delivery){.text = buf_slice(text), .type = text->data};
}

static void put_message(struct buf *text, const char *word, const struct slice *parts, size_t count)
{
    struct reply reply = reply_to(text, 2);
    text->len = 0;
    reply_push(&reply, count + 1);
    reply_bulk_str(&reply, word);
    for (size_t i = 0; i < count; i++)
        reply_bulk(&reply, parts[i]);
}

static uint64_t deliver_to_patterns(struct host *host, const struct message *message)
{
    uint64_t receivers = 0;
    const struct topic *topic = NULL;
    while ((topic = topics_next_match(host->topics, topic, message->channel)) != NULL) {
        const struct slice parts[] = {topic_name(topic), message->channel, message->body};
        put_message(&host->push_text, "pmessage", parts, ARRAY_COUNT(parts));
        struct delivery delivery = delivery_of(&host->push_text);
        topic_visit(topic, push_to, &delivery);
        receivers += delivery.receivers;
    }
    return receivers;
}

uint64_t host_deliver(struct host *host, const struct message *message)
{
    if (!topics_is_wanted(host->topics))
        return 0;
    const struct slice parts[] = {message->channel, message->body};
    put_message(&host->push_text, message->kind == TOPIC_SHARD ? "smessage" : "message", parts,
                ARRAY_COUNT(parts));
    struct delivery delivery = delivery_of(&host->push_text);
    topics_visit(host->topics, message->kind, message->channel, push_to, &delivery);
    uint64_t receivers = delivery.receivers;
    if (message->kind == TOPIC_CHANNEL)
        receivers += deliver_to_patterns(host, message);
    buf_reset(&host->push_text, SCRATCH_KEEP);
    return receivers;
}

/* ---- To the other hosts ---- */

struct publication {
    struct loop_post back;
    struct host *home;
    struct session_ticket *ticket;
    struct message message;
    struct buf bytes; /* of channel and body */
    _Atomic uint64_t receivers;
    _Atomic uint32_t hosts_left;
    struct stop {
        struct loop_post post;
        struct publication *of;
        struct host *host;
    } stops[];
};

static void on_delivered(struct loop_post *post)
{
    struct publication *publication = CONTAINER_OF(post, struct publication, back);
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(publication->ticket));
    reply_int(&reply, (int64_t)atomic_load(&publication->receivers));
    session_answer(publication->ticket, buf_slice(&out));
    buf_fini(&out);
    buf_fini(&publication->bytes);
    mem_free(publication);
}

static void end_stop(struct publication *publication, uint64_t receivers)
{
    atomic_fetch_add(&publication->receivers, receivers);
    if (atomic_fetch_sub(&publication->hosts_left, 1) == 1)
        loop_post(publication->home->loop, &publication->back);
}

static void on_stop(struct loop_post *post)
{
    struct stop *stop = CONTAINER_OF(post, struct stop, post);
    end_stop(stop->of, host_deliver(stop->host, &stop->of->message));
}

static struct publication *publication_new(struct host *home, const struct message *message,
                                           size_t stop_count)
{
    struct publication *publication =
        mem_calloc(1, sizeof(*publication) + stop_count * sizeof(struct stop));
    publication->back.run = on_delivered;
    publication->home = home;
    buf_reserve(&publication->bytes, message->channel.len + message->body.len);
    buf_append_slice(&publication->bytes, message->channel);
    buf_append_slice(&publication->bytes, message->body);
    struct slice bytes = buf_slice(&publication->bytes);
    publication->message = *message;
    publication->message.channel = slice_sub(bytes, 0, message->channel.len);
    publication->message.body = slice_sub(bytes, message->channel.len, SIZE_MAX);
    return publication;
}

static void publish_everywhere(struct call *call, const struct message *message,
                               struct host *const *elsewhere, size_t count)
{
    struct host *home = call->session->host;
    struct publication *publication = publication_new(home, message, count);
    size_t size = message->channel.len + message->body.len;
    publication->ticket = session_defer_sized(call, size);
    atomic_init(&publication->hosts_left, (uint32_t)count + 1);
    for (size_t i = 0; i < count; i++) {
        struct stop *stop = &publication->stops[i];
        *stop = (struct stop){.post.run = on_stop, .of = publication, .host = elsewhere[i]};
        loop_post(elsewhere[i]->loop, &stop->post);
    }
    end_stop(publication, host_deliver(home, &publication->message));
}

static int publish(struct call *call, enum topic_kind kind)
{
    struct host *home = call->session->host;
    struct hub *hub = home->hub;
    struct message message = {.kind = kind, .channel = call->argv[1], .body = call->argv[2]};
    struct host *elsewhere[GROUP_MAX_LOOPS];
    size_t count = 0;
    for (uint32_t i = 0; i < hub->options.loop_count; i++) {
        struct host *host = &hub->hosts[i];
        if (host != home && topics_is_wanted(host->topics))
            elsewhere[count++] = host;
    }
    if (count == 0)
        reply_int(call->reply, (int64_t)host_deliver(home, &message));
    else
        publish_everywhere(call, &message, elsewhere, count);
    return 0;
}

static int run_publish(struct call *call)
{
    return publish(call, TOPIC_CHANNEL);
}

static int run_spublish(struct call *call)
{
    return publish(call, TOPIC_SHARD);
}

/* ---- PUBSUB ---- */

struct listing {
    struct reply *reply;
    const struct slice *pattern;
    size_t count;
};

static void list_name(void *ctx, struct slice name)
{
    struct listing *listing = ctx;
    if (listing->pattern != NULL && !glob_match(*listing->pattern, name, false))
        return;
    reply_bulk(listing->reply, name);
    listing->count++;
}

static int list_channels(struct call *call, enum topic_kind kind)
{
    if (call->argc > 3) {
        reply_errorf(call->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB "
                     "HELP.",
                     SLICE_FMT(slice_sub(call->argv[1], 0, 128)));
        return 0;
    }
    struct listing listing = {.reply = call->reply,
                              .pattern = call->argc == 3 ? &call->argv[2] : NULL};
    size_t mark = reply_array_begin(call->reply);
    topic_totals_names(call->session->host->hub->totals, kind, list_name, &listing);
    reply_array_end(call->reply, mark, listing.count);
    return 0;
}

static int count_subscribers(struct call *call, enum topic_kind kind)
{
    struct topic_totals *totals = call->session->host->hub->totals;
    reply_array(call->reply, 2 * (size_t)(call->argc - 2));
    for (uint32_t i = 2; i < call->argc; i++) {
        reply_bulk(call->reply, call->argv[i]);
        reply_int(call->reply, (int64_t)topic_totals_subscribers(totals, kind, call->argv[i]));
    }
    return 0;
}

static int run_channels(struct call *call)
{
    return list_channels(call, TOPIC_CHANNEL);
}

static int run_shardchannels(struct call *call)
{
    return list_channels(call, TOPIC_SHARD);
}

static int run_numsub(struct call *call)
{
    return count_subscribers(call, TOPIC_CHANNEL);
}

static int run_shardnumsub(struct call *call)
{
    return count_subscribers(call, TOPIC_SHARD);
}

static int run_numpat(struct call *call)
{
    struct topic_totals *totals = call->session->host->hub->totals;
    reply_int(call->reply, (int64_t)topic_totals_count(totals, TOPIC_PATTERN));
    return 0;
}

/* PUBLISH waits for the writes sent before it: whoever hears the message finds them done. */
#define PUBLISH_FLAGS \
    (CMD_PUBSUB | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_WANTS_QUIET | CMD_MAY_REPLICATE)
#define PUBSUB_SUB(sub, hi, more_flags, more_categories, from, cost, doc, args, fn) \
    {                                                                               \
        .name = (sub), .parent = "pubsub", .arity = {2, (hi)},                      \
        .flags = CMD_LOADING | CMD_STALE | (more_flags), .scope = SCOPE_NODE,       \
        .categories = more_categories "slow", .group = "pubsub", .since = (from),   \
        .complexity = (cost), .summary = (doc), .syntax = (args), .run = (fn),      \
    }

static const struct command_row rows[] = {
    {
        .name = "publish",
        .arity = {3, 3},
        .flags = PUBLISH_FLAGS,
        .scope = SCOPE_NODE,
        .categories = "pubsub fast",
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N+M) where N is the number of clients subscribed to the receiving channel "
                      "and M is the total number of subscribed patterns (by any client).",
        .summary = "Posts a message to a channel.",
        .syntax = "channel message",
        .run = run_publish,
    },
    {
        .name = "spublish",
        .arity = {3, 3},
        .flags = PUBLISH_FLAGS,
        .scope = SCOPE_NODE,
        .keys = KEYS_RANGE(1, 1, 1, KEY_CHANNEL),
        .categories = "pubsub fast",
        .group = "pubsub",
        .since = "7.0.0",
        .complexity =
            "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        .summary = "Post a message to a shard channel",
        .syntax = "shardchannel message",
        .run = run_spublish,
    },
    {
        .name = "pubsub",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "pubsub",
        .since = "2.8.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for Pub/Sub commands.",
        .syntax = "",
    },
    PUBSUB_SUB("channels", ARITY_ANY, CMD_PUBSUB, "pubsub ", "2.8.0",
               "O(N) where N is the number of active channels", "Returns the active channels.",
               "[pattern]", run_channels),
    PUBSUB_SUB("help", 2, 0, "", "6.2.0", "O(1)",
               "Returns helpful text about the different subcommands.", "", help_run),
    PUBSUB_SUB("numpat", 2, CMD_PUBSUB, "pubsub ", "2.8.0", "O(1)",
               "Returns a count of unique pattern subscriptions.", "", run_numpat),
    PUBSUB_SUB("numsub", ARITY_ANY, CMD_PUBSUB, "pubsub ", "2.8.0",
               "O(N) where N is the number of requested channels",
               "Returns a count of subscribers to channels.", "[channel [channel ...]]",
               run_numsub),
    PUBSUB_SUB("shardchannels", ARITY_ANY, CMD_PUBSUB, "pubsub ", "7.0.0",
               "O(N) where N is the number of active shard channels",
               "Returns the active shard channels.", "[pattern]", run_shardchannels),
    PUBSUB_SUB("shardnumsub", ARITY_ANY, CMD_PUBSUB, "pubsub ", "7.0.0",
               "O(N) where N is the number of requested shard channels",
               "Returns the count of subscribers of shard channels.",
               "[shardchannel [shardchannel ...]]", run_shardnumsub),
};

const struct command_family publish_family = {
    .name = "publish", .rows = rows, .row_count = ARRAY_COUNT(rows)};
