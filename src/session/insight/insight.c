/* SPDX-License-Identifier: Apache-2.0 */
#include "session/insight/insight_internal.h"

#include <stdio.h>

#include "base/mem.h"
#include "session/session_internal.h"

void insight_init(struct insight *insight)
{
    lock_init(&insight->lock);
    list_init(&insight->entries);
}

static void drop_last(struct insight *insight)
{
    struct list_node *node = insight->entries.prev;
    struct slow_entry *entry = LIST_ENTRY(node, struct slow_entry, node);
    list_del(&entry->node);
    insight->entry_count--;
    buf_fini(&entry->name);
    buf_fini(&entry->argv);
    mem_free(entry);
}

void insight_reset_slow(struct insight *insight)
{
    while (insight->entry_count > 0)
        drop_last(insight);
}

void insight_fini(struct insight *insight)
{
    insight_reset_slow(insight);
    lock_fini(&insight->lock);
}

void insight_trim(struct hub *hub)
{
    struct insight *insight = &hub->insight;
    lock_take(&insight->lock);
    while (insight->entry_count > atomic_load(&hub->settings.slowlog_max))
        drop_last(insight);
    lock_drop(&insight->lock);
}

/* ---- Taking in ---- */

static void keep_slow(struct insight *insight, const struct session *session,
                      struct slow_command *slow)
{
    struct slow_entry *entry = mem_calloc(1, sizeof(*entry));
    entry->id = insight->next_id++;
    entry->at_s = clock_wall_ms(clock_posix()) / 1000;
    entry->us = slow->us;
    entry->argv = buf_take(&slow->argv);
    if (session != NULL) {
        char local[NET_ADDR_SIZE];
        conn_addresses(&session->conn, entry->addr, local);
        buf_append_slice(&entry->name, buf_slice(&session->name));
    }
    list_push_front(&insight->entries, &entry->node);
    insight->entry_count++;
}

static void keep_event(struct latency_event *event, uint64_t ms)
{
    uint64_t now_s = clock_wall_ms(clock_posix()) / 1000;
    struct latency_sample *last =
        &event->samples[(event->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
    if (ms > event->max_ms)
        event->max_ms = ms;
    if (event->count > 0 && last->at_s == now_s) {
        if (ms > last->ms)
            last->ms = ms;
        return;
    }
    event->samples[event->next] = (struct latency_sample){.at_s = now_s, .ms = ms};
    event->next = (event->next + 1) % LATENCY_SAMPLES;
    event->count += event->count < LATENCY_SAMPLES;
}

static void take_in(struct hub *hub, const struct session *session, struct slow_command *slow)
{
    const struct hub_settings *settings = &hub->settings;
    struct insight *insight = &hub->insight;
    int64_t limit_us = atomic_load(&settings->slowlog_us);
    uint64_t max = atomic_load(&settings->slowlog_max);
    uint64_t latency_ms = atomic_load(&settings->latency_ms);
    lock_take(&insight->lock);
    if (limit_us >= 0 && slow->us >= (uint64_t)limit_us && max > 0 &&
        (slow->row->flags & CMD_SKIP_SLOWLOG) == 0)
        keep_slow(insight, session, slow);
    while (insight->entry_count > max)
        drop_last(insight);
    if (latency_ms > 0 && slow->us / 1000 >= latency_ms)
        keep_event(&insight->events[(slow->row->flags & CMD_FAST) != 0 ? LATENCY_FAST_COMMAND
                                                                       : LATENCY_COMMAND],
                   slow->us / 1000);
    lock_drop(&insight->lock);
}

void insight_note(struct hub *hub, const struct session *session, struct slow_command *slow)
{
    while (slow != NULL) {
        struct slow_command *next = slow->next;
        take_in(hub, session, slow);
        slow_command_free(slow);
        slow = next;
    }
}

/* ---- Latency events ---- */

const char *latency_name(enum latency_kind kind)
{
    return kind == LATENCY_COMMAND ? "command" : "fast-command";
}

const struct latency_sample *latency_sample(const struct latency_event *event, size_t nth)
{
    size_t first = (event->next + LATENCY_SAMPLES - event->count) % LATENCY_SAMPLES;
    return &event->samples[(first + nth) % LATENCY_SAMPLES];
}
