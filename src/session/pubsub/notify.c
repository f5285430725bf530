/* SPDX-License-Identifier: Apache-2.0 */
/* What the keyspace tells: messages about keys, as notify-keyspace-events says. Every host hears of
 * every event and sends it to its own subscribers.
 */
#include "base/mem.h"
#include "os/process.h"
#include "session/session_internal.h"

void hub_update_wanted(struct hub *hub)
{
    lock_take(&hub->lock);
    unsigned classes = atomic_load(&hub->notify_classes);
    /* In neither form, it is published nowhere. */
    if ((classes & (EVENT_IN_KEYSPACE | EVENT_BY_NAME)) == 0)
        classes = 0;
    bool has_trackers = atomic_load(&hub->tracker_count) > 0;
    if (has_trackers)
        classes |= EVENT_TOUCHED | EVENT_FLUSHED;
    group_want_events(hub->options.group, classes);
    lock_drop(&hub->lock);
    /* A shard may have published a row and not see yet that it is to tell of it; then the row must
     * be seen by the first read that is tracked. So all threads are held up for a moment (Q11). */
    if (has_trackers)
        process_fence();
}

void hub_set_notify(struct hub *hub, unsigned classes)
{
    atomic_store(&hub->notify_classes, classes);
    hub_update_wanted(hub);
}

static void send(struct host *host, const char *form, uint16_t db, struct slice subject,
                 struct slice body)
{
    struct buf *channel = &host->channel;
    channel->len = 0;
    buf_append_format(channel, "__%s@%u__:", form, db);
    buf_append_slice(channel, subject);
    host_deliver(host, &(struct message){
                           .kind = TOPIC_CHANNEL, .channel = buf_slice(channel), .body = body});
}

static void notify(struct host *host, unsigned classes, const struct event *event, struct slice key)
{
    if ((classes & event->class) == 0)
        return;
    struct slice name = slice_str(event->name);
    if ((classes & EVENT_IN_KEYSPACE) != 0)
        send(host, "keyspace", event->db, key, name);
    if ((classes & EVENT_BY_NAME) != 0)
        send(host, "keyevent", event->db, name, key);
}

void host_on_events(void *ctx, const struct event_list *events)
{
    struct host *host = ctx;
    unsigned classes = atomic_load_explicit(&host->hub->notify_classes, memory_order_relaxed);
    bool is_wanted = topics_is_wanted(host->topics);
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = &events->events[i];
        struct slice key = event_key(events, event);
        if (event->class >= EVENT_TOUCHED)
            tracking_on_event(host, event, key);
        else if (is_wanted)
            notify(host, classes, event, key);
    }
    tracking_end_events(host);
    buf_reset(&host->channel, SCRATCH_KEEP);
}
