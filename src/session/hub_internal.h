/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections share, and what those of one loop do. */
#ifndef SESSION_HUB_INTERNAL_H
#define SESSION_HUB_INTERNAL_H

#include "base/list.h"
#include "session/insight/insight_internal.h"
#include "session/pubsub/topics_internal.h"
#include "session/session.h"

struct pending;
struct tracking;

struct host {
    struct hub *hub;
    struct loop *loop;
    struct net *net;
    struct port *port;
    struct resp_limits limits;
    struct resp_parser parser; /* for sessions without an unfinished command */
    struct buf scratch;        /* replies that have to wait behind others */
    struct topics *topics;     /* what they listen to */
    struct tracking *tracking; /* of their copies */
    struct list_node targets;  /* sessions that others redirect their tracking to */
    struct session *running;   /* a command of scope NODE is */
    struct buf held_pushes;    /* for that session, behind the command's reply */
    struct buf push_text;
    struct buf channel; /* of an event */
    struct list_node sessions;
    struct list_node no_room; /* sessions paused until the port has room again */
    struct list_node holders; /* of bytes not yet run, see budget.c; oldest first */
    size_t held_bytes;
    size_t held_limit;
    size_t shared_bytes; /* of replies beyond OUTPUT_PAUSE, over all sessions */
    size_t shared_limit;
    size_t held_waiting;  /* how many of them may not read on */
    uint64_t first_id;    /* the first of them, while others wait for it */
    uint64_t first_bytes; /* had brought so much */
    uint64_t first_ms;    /* at that time */
    struct pending *free_pendings;
    size_t free_pending_count;
    size_t ticket_count; /* handlers that have deferred and not answered */
    struct loop_timer cron;
    struct {
        _Atomic uint64_t clients;
        _Atomic uint64_t received;
        _Atomic uint64_t rejected;
        _Atomic uint64_t commands;
        _Atomic uint64_t bytes_in; /* as session_count_bytes() last saw it */
        _Atomic uint64_t bytes_out;
        _Atomic uint64_t output_closes;
        _Atomic uint64_t query_closes;
        _Atomic uint64_t pubsub_clients;
        _Atomic uint64_t blocked; /* wait for something that another client does */
        _Atomic uint64_t monitors;
        _Atomic uint64_t client_bytes; /* of memory; as last counted */
        _Atomic uint64_t max_input_bytes;
        _Atomic uint64_t max_output_bytes;
    } stats;
    struct list_node paused;   /* sessions that CLIENT PAUSE holds */
    struct list_node monitors; /* sessions that have sent MONITOR */
    struct loop_timer pause_end;
    struct {
        uint64_t at_ms;
        uint64_t values[3];
        _Atomic uint64_t per_s[3]; /* commands, bytes in, bytes out */
    } rates;
    _Atomic uint64_t port_counters[5]; /* of port_stats, as last published */
    struct closing *closing;           /* hub_close_all() is under way */
    struct loop_timer deadline;        /* after which it no longer waits for clients to read */
};

struct hub {
    struct hub_options options;
    struct hub_settings settings;
    struct lock lock; /* guards password and baselines */
    struct buf password;
    struct topic_totals *totals;
    _Atomic unsigned notify_classes;
    _Atomic uint64_t tracker_count;
    _Atomic uint64_t tracked_keys; /* in the tables of all hosts */
    struct hub_stats baseline;     /* what CONFIG RESETSTAT takes off */
    struct tally_sum tally_baseline;
    struct insight insight;
    _Atomic uint64_t peak_memory; /* of the allocator */
    _Atomic uint32_t monitor_count;
    _Atomic uint64_t pause; /* its kind and end: pause.c; 0: none */
    const struct command_row *exec_row;
    const struct command_row *exists_row;
    _Atomic uint64_t next_id;
    _Atomic uint32_t next_host;
    _Atomic uint32_t host_count; /* of those whose loops run */
    _Atomic uint64_t client_count;
    _Atomic bool is_closing;
    struct host hosts[GROUP_MAX_LOOPS];
};

/* hub.c */
void host_arm_cron(struct host *host);
void hub_log(const struct hub *hub, char level, const char *format, ...) PRINTF_LIKE(3, 4);

/* pubsub/notify.c */
void host_on_events(void *ctx, const struct event_list *events);
/* Tells the group which events anybody wants to hear of. */
void hub_update_wanted(struct hub *hub);

/* admit.c */
/* Sends on that the host is empty, if it is closing and that is so. */
void host_look_closed(struct host *host);
void host_on_deadline(struct loop_timer *timer);

/* budget.c: once a second. */
void budget_check(struct host *host);

/* pending.c */
void host_free_pendings(struct host *host);

/* Adds to a counter that only this thread writes. */
static inline void count_up(_Atomic uint64_t *word, uint64_t by)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

#endif
