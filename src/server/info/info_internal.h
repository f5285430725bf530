/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: what its parts share. */
#ifndef SERVER_INFO_INFO_INTERNAL_H
#define SERVER_INFO_INFO_INTERNAL_H

#include "base/mem.h"
#include "engine/group_stats.h"
#include "os/process.h"
#include "server/server.h"

/* What the readers of one INFO look at. */
struct info {
    struct server *server;
    const struct command_table *table;
    struct group_stats group;
    struct hub_stats hub;
    struct process_usage usage;
    struct mem_stats memory;
    struct tally_sum tally;
    uint64_t keys; /* of all databases */
    uint64_t now_ms;
};

void info_begin(struct info *info, struct server *server, const struct command_table *table);
void info_end(struct info *info);

/* Bytes by the allocator; where it cannot tell, what is counted by hand. */
uint64_t info_used_memory(const struct info *info);
/* Of it, what is not keys and values. */
uint64_t info_overhead(const struct info *info);

/* "1.50M", appended. */
void info_put_human(struct buf *to, uint64_t bytes);

/* All that follow are called with the lock of the configuration held.
 * info_fields.c: the fields of a section that has fixed ones. */
void info_put_fields(const struct info *info, const char *section, struct buf *to);

/* info_stats.c: sections whose fields depend on what has happened. */
void info_put_keyspace(const struct info *info, struct buf *to);
void info_put_commandstats(const struct info *info, struct buf *to);
void info_put_errorstats(const struct info *info, struct buf *to);
void info_put_latencystats(const struct info *info, struct buf *to);

#endif
