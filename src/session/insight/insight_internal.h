/* SPDX-License-Identifier: Apache-2.0 */
/* What SLOWLOG and LATENCY remember of commands that took long. */
#ifndef SESSION_INSIGHT_INSIGHT_INTERNAL_H
#define SESSION_INSIGHT_INSIGHT_INTERNAL_H

#include "base/list.h"
#include "command/tally.h"
#include "net/net.h"
#include "os/thread.h"

#define LATENCY_SAMPLES 160

struct slow_entry {
    struct list_node node;
    uint64_t id;
    uint64_t at_s;
    uint64_t us;
    char addr[NET_ADDR_SIZE];
    struct buf name; /* of the client */
    struct buf argv;
};

enum latency_kind { LATENCY_COMMAND, LATENCY_FAST_COMMAND, LATENCY_KINDS };

/* The longest of a second. */
struct latency_sample {
    uint64_t at_s;
    uint64_t ms;
};

struct latency_event {
    struct latency_sample samples[LATENCY_SAMPLES];
    size_t next; /* where the next one goes */
    size_t count;
    uint64_t max_ms;
};

struct insight {
    struct lock lock;
    struct list_node entries; /* newest first */
    size_t entry_count;
    uint64_t next_id;
    struct latency_event events[LATENCY_KINDS];
};

struct hub;

void insight_init(struct insight *insight);
void insight_fini(struct insight *insight);
/* Drops what slowlog-max-len no longer allows. */
void insight_trim(struct hub *hub);
void insight_reset_slow(struct insight *insight);

const char *latency_name(enum latency_kind kind);
/* Sample `nth` from the oldest. */
const struct latency_sample *latency_sample(const struct latency_event *event, size_t nth);

#endif
