/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of INFO with a line for each command, error or database there is. */
#include <ctype.h>
#include <stdio.h>

#include "base/num.h"
#include "command/catalogue.h"
#include "server/info/info_internal.h"

/* "get", "config|set". */
static void put_name(const struct command_row *row, struct buf *to)
{
    if (row->parent != NULL)
        buf_append_format(to, "%s|", row->parent);
    buf_append_str(to, row->name);
}

void info_put_commandstats(const struct info *info, struct buf *to)
{
    for (uint32_t i = 0; i < info->tally.row_count; i++) {
        const struct tally_sum_row *row = &info->tally.rows[i];
        if (row->calls == 0 && row->rejected == 0 && row->failed == 0)
            continue;
        uint64_t us = row->ns / 1000;
        buf_append_str(to, "cmdstat_");
        put_name(command_by_number(info->table, i), to);
        buf_append_format(
            to,
            ":calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
            (unsigned long long)row->calls, (unsigned long long)us,
            row->calls == 0 ? 0 : (double)row->ns / 1000 / (double)row->calls,
            (unsigned long long)row->rejected, (unsigned long long)row->failed);
    }
}

void info_put_errorstats(const struct info *info, struct buf *to)
{
    for (size_t i = 0; i < info->tally.error_count; i++) {
        const struct tally_sum_error *error = &info->tally.errors[i];
        if (error->count > 0)
            buf_append_format(to, "errorstat_%s:count=%llu\r\n", error->name,
                              (unsigned long long)error->count);
    }
}

/* As short as it says the same: 50, 99.9. */
static void put_percentile(double percentile, struct buf *to)
{
    buf_append_format(to, "p%.9g", percentile);
}

void info_put_latencystats(const struct info *info, struct buf *to)
{
    double percentiles[CONFIG_MAX_PERCENTILES];
    size_t count = config_percentiles(server_config(info->server), percentiles);
    for (uint32_t i = 0; i < info->tally.row_count; i++) {
        const struct tally_sum_row *row = &info->tally.rows[i];
        if (tally_timed(row) == 0)
            continue;
        buf_append_str(to, "latency_percentiles_usec_");
        put_name(command_by_number(info->table, i), to);
        buf_append_byte(to, ':');
        for (size_t j = 0; j < count; j++) {
            buf_append_str(to, j == 0 ? "" : ",");
            put_percentile(percentiles[j], to);
            buf_append_format(to, "=%.3f", (double)tally_percentile(row, percentiles[j]) / 1000);
        }
        buf_append_str(to, "\r\n");
    }
}

void info_put_keyspace(const struct info *info, struct buf *to)
{
    struct group *group = server_group(info->server);
    for (uint32_t db = 0; db < group_database_count(group); db++) {
        struct store_db_stats stats = group_db_stats(group, (uint16_t)db);
        if (stats.keys == 0)
            continue;
        uint64_t ttl_ms =
            stats.mean_expire_at_ms > info->now_ms ? stats.mean_expire_at_ms - info->now_ms : 0;
        buf_append_format(to, "db%u:keys=%llu,expires=%llu,avg_ttl=%llu\r\n", db,
                          (unsigned long long)stats.keys, (unsigned long long)stats.expires,
                          (unsigned long long)ttl_ms);
    }
}
