/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of INFO: a row each. What Redis has and Ferric has not, forks say, stands there as well,
 * as it is on a server that never does it: monitoring looks for the names. */
#include <stdio.h>

#include "server/info/info_internal.h"

typedef void (*info_fn)(const struct info *info, struct buf *to);

struct info_row {
    const char *section;
    const char *name;
    info_fn read;
    const char *fixed; /* instead of read */
};

static void put_u64_text(struct buf *to, uint64_t v)
{
    buf_append_format(to, "%llu", (unsigned long long)v);
}

#define NUMBER_FIELD(fn, expr)                                     \
    static void fn(UNUSED const struct info *info, struct buf *to) \
    {                                                              \
        put_u64_text(to, (uint64_t)(expr));                        \
    }
#define TEXT_FIELD(fn, expr)                                       \
    static void fn(UNUSED const struct info *info, struct buf *to) \
    {                                                              \
        buf_append_str(to, expr);                                  \
    }

#define HUMAN_FIELD(fn, expr)                                      \
    static void fn(UNUSED const struct info *info, struct buf *to) \
    {                                                              \
        info_put_human(to, (uint64_t)(expr));                      \
    }
#define RATIO_FIELD(fn, form, part, whole)                           \
    static void fn(UNUSED const struct info *info, struct buf *to)   \
    {                                                                \
        double under = (whole);                                      \
        buf_append_format(to, form, under > 0 ? (part) / under : 0); \
    }

void info_put_human(struct buf *to, uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 2 < sizeof(units)) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        buf_append_format(to, "%lluB", (unsigned long long)bytes);
    else
        buf_append_format(to, "%.2f%c", value, units[unit]);
}

/* ---- Server ---- */

TEXT_FIELD(show_redis_version, FERRIC_REDIS_VERSION)
TEXT_FIELD(show_ferric_version, FERRIC_VERSION)
TEXT_FIELD(show_run_id, server_run_id(info->server))
TEXT_FIELD(show_placement, server_placement(info->server))
NUMBER_FIELD(show_arch_bits, sizeof(void *) * 8)
NUMBER_FIELD(show_process_id, process_id())
NUMBER_FIELD(show_tcp_port, server_port(info->server))
TEXT_FIELD(show_config_file,
           server_config(info->server)->path != NULL ? server_config(info->server)->path : "")
NUMBER_FIELD(show_server_time_usec, clock_posix_wall_us())
NUMBER_FIELD(show_uptime_s, (info->now_ms - server_started_ms(info->server)) / 1000)
NUMBER_FIELD(show_uptime_days, (info->now_ms - server_started_ms(info->server)) / 86400000)
NUMBER_FIELD(show_group_shards, group_shard_count(server_group(info->server)))

static void show_os_name(const struct info *info, struct buf *to)
{
    (void)info;
    char name[256];
    process_system_name(name, sizeof(name));
    buf_append_str(to, name);
}

NUMBER_FIELD(show_lru_clock, info->now_ms / 1000 & 0xffffff)
NUMBER_FIELD(show_tracking_clients, info->hub.trackers)
NUMBER_FIELD(show_pubsub_clients, info->hub.pubsub_clients)
NUMBER_FIELD(show_tracked_keys, info->hub.tracked_keys)
NUMBER_FIELD(show_tracked_items, info->hub.tracked_items)
NUMBER_FIELD(show_tracked_prefixes, info->hub.tracked_prefixes)
NUMBER_FIELD(show_pubsub_channels, info->hub.channels)
NUMBER_FIELD(show_pubsub_patterns, info->hub.patterns)
NUMBER_FIELD(show_shard_channels, info->hub.shard_channels)
NUMBER_FIELD(show_hz, config_number(server_config(info->server), CONF_HZ))
NUMBER_FIELD(show_last_save, server_last_save_ms(info->server) / 1000)
NUMBER_FIELD(show_is_saving, server_is_saving(info->server))
NUMBER_FIELD(show_last_save_took_s, info->group.last_checkpoint_took_us / 1000000)
/* A checkpoint may be known before what the shards have counted for it. */
NUMBER_FIELD(show_changes, info->group.applied_index > info->group.checkpoint_index
                               ? info->group.applied_index - info->group.checkpoint_index
                               : 0)

static void show_executable(UNUSED const struct info *info, struct buf *to)
{
    char path[4096];
    process_executable(path, sizeof(path));
    buf_append_str(to, path);
}

static struct loop_stats worst_loop(const struct info *info)
{
    struct loop_stats worst = {0};
    for (uint32_t i = 0; i < server_loop_count(info->server); i++) {
        struct loop_stats stats = loop_stats(server_loop(info->server, i));
        if (stats.longest_us > worst.longest_us)
            worst.longest_us = stats.longest_us;
        worst.long_turns += stats.long_turns;
        worst.wakeups += stats.wakeups;
        worst.turns += stats.turns;
    }
    return worst;
}

NUMBER_FIELD(show_loop_longest_turn_us, worst_loop(info).longest_us)
NUMBER_FIELD(show_loop_long_turns, worst_loop(info).long_turns)
NUMBER_FIELD(show_loop_wakeups, worst_loop(info).wakeups)
NUMBER_FIELD(show_loop_turns, worst_loop(info).turns)

/* ---- Clients ---- */

NUMBER_FIELD(show_connected_clients, info->hub.connected_clients)
NUMBER_FIELD(show_blocked_clients, info->hub.blocked_clients)
NUMBER_FIELD(show_max_input, info->hub.max_input_bytes)
NUMBER_FIELD(show_max_output, info->hub.max_output_bytes)
NUMBER_FIELD(show_pause_left, info->hub.pause_left_ms)
TEXT_FIELD(show_pause_reason, info->hub.pause_kind == 0 ? "none" : "client_pause")
TEXT_FIELD(show_pause_actions, info->hub.pause_kind == 0   ? "none"
                               : info->hub.pause_kind == 1 ? "write"
                                                           : "all")
NUMBER_FIELD(show_maxclients, atomic_load(&hub_settings(server_hub(info->server))->max_clients))

/* ---- Memory ---- */

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

static uint64_t peak_memory(const struct info *info)
{
    uint64_t used = info_used_memory(info);
    return used > info->hub.peak_memory ? used : info->hub.peak_memory;
}

static uint64_t dataset(const struct info *info)
{
    return less(info_used_memory(info), info_overhead(info));
}

NUMBER_FIELD(show_used_memory_rss, info->usage.resident_bytes)
NUMBER_FIELD(show_used_memory, info_used_memory(info))
NUMBER_FIELD(show_peak, peak_memory(info))
NUMBER_FIELD(show_overhead, info_overhead(info))
NUMBER_FIELD(show_dataset, dataset(info))
NUMBER_FIELD(show_allocated, info_used_memory(info))
NUMBER_FIELD(show_active, info->memory.active)
NUMBER_FIELD(show_resident, info->memory.resident)
NUMBER_FIELD(show_muzzy, info->memory.muzzy)
NUMBER_FIELD(show_machine_memory, process_machine_memory())
NUMBER_FIELD(show_client_bytes, info->hub.client_bytes)
NUMBER_FIELD(show_frag_bytes, less(info->memory.active, info->memory.allocated))
NUMBER_FIELD(show_rss_bytes, less(info->memory.resident, info->memory.active))
NUMBER_FIELD(show_mem_frag_bytes, less(info->usage.resident_bytes, info_used_memory(info)))
HUMAN_FIELD(show_used_memory_human, info_used_memory(info))
HUMAN_FIELD(show_rss_human, info->usage.resident_bytes)
HUMAN_FIELD(show_peak_human, peak_memory(info))
HUMAN_FIELD(show_machine_memory_human, process_machine_memory())
NUMBER_FIELD(show_startup, server_memory_before(info->server))
NUMBER_FIELD(show_rss_over_bytes, less(info->usage.resident_bytes, info->memory.resident))
NUMBER_FIELD(show_maxmemory, config_number(server_config(info->server), CONF_MAXMEMORY))
HUMAN_FIELD(show_maxmemory_human, config_number(server_config(info->server), CONF_MAXMEMORY))
RATIO_FIELD(show_peak_perc, "%.2f%%", 100.0 * (double)info_used_memory(info),
            (double)peak_memory(info))
RATIO_FIELD(show_dataset_perc, "%.2f%%", 100.0 * (double)dataset(info),
            (double)info_used_memory(info))
RATIO_FIELD(show_frag_ratio, "%.2f", (double)info->memory.active, (double)info->memory.allocated)
RATIO_FIELD(show_rss_ratio, "%.2f", (double)info->memory.resident, (double)info->memory.active)
RATIO_FIELD(show_rss_over_ratio, "%.2f", (double)info->usage.resident_bytes,
            (double)info->memory.resident)
RATIO_FIELD(show_mem_frag_ratio, "%.2f", (double)info->usage.resident_bytes,
            (double)info_used_memory(info))
NUMBER_FIELD(show_keydir_bytes, info->group.keydir_bytes)
NUMBER_FIELD(show_expiry_bytes, info->group.expiry_bytes)
NUMBER_FIELD(show_retired_bytes, info->group.retired_bytes)
NUMBER_FIELD(show_unwritten_bytes, info->group.unwritten_bytes)
NUMBER_FIELD(show_cold_keys, info->group.cold_rows)

static void show_maxmemory_policy(const struct info *info, struct buf *to)
{
    config_format(server_config(info->server), CONF_MAXMEMORY_POLICY, to);
}

static void show_mem_allocator(UNUSED const struct info *info, struct buf *to)
{
    char name[64];
    buf_append(to, name, mem_allocator(name, sizeof(name)));
}

/* ---- Persistence ---- */

NUMBER_FIELD(show_loading, group_state(server_group(info->server)) == GROUP_REPLAYING)
TEXT_FIELD(show_aof_write_status, info->group.is_log_failed || info->group.is_log_full ||
                                          info->group.shards_failing > 0 ||
                                          info->group.is_disk_pressed
                                      ? "err"
                                      : "ok")
TEXT_FIELD(show_log_status, info->group.is_log_failed ? "failed"
                            : info->group.is_log_full ? "no-space"
                                                      : "ok")
NUMBER_FIELD(show_shards_failing, info->group.shards_failing)
NUMBER_FIELD(show_disk_pressure, info->group.is_disk_pressed)
NUMBER_FIELD(show_disk_free, info->group.disk_free_bytes)
NUMBER_FIELD(show_disk_low, info->group.disk_low_bytes)
NUMBER_FIELD(show_disk_reserve, info->group.disk_reserve_bytes)
TEXT_FIELD(show_checkpoint_status, info->group.is_checkpoint_failing ? "err" : "ok")
/* BGSAVE makes either. */
TEXT_FIELD(show_save_status,
           info->group.is_checkpoint_failing || info->group.is_backup_failing ? "err" : "ok")
NUMBER_FIELD(show_checkpoint_running, info->group.is_checkpoint_running)
NUMBER_FIELD(show_checkpoints, info->group.checkpoints)
NUMBER_FIELD(show_checkpoint_number, info->group.checkpoint_number)
NUMBER_FIELD(show_checkpoint_index, info->group.checkpoint_index)
NUMBER_FIELD(show_checkpoint_last_s, info->group.last_checkpoint_ms / 1000)
NUMBER_FIELD(show_checkpoint_last_us, info->group.last_checkpoint_took_us)
NUMBER_FIELD(show_raft_term, info->group.term)
NUMBER_FIELD(show_commit_index, info->group.commit_index)
NUMBER_FIELD(show_applied_index, info->group.applied_index)
TEXT_FIELD(show_log_writer, info->group.log_writer)
NUMBER_FIELD(show_log_entries_frames, info->group.log_entries_frames)
NUMBER_FIELD(show_log_other_frames, info->group.log_other_frames)
NUMBER_FIELD(show_log_bytes, info->group.log_bytes)
NUMBER_FIELD(show_log_live_bytes, info->group.log_live_bytes)
NUMBER_FIELD(show_log_segments, info->group.log_segments)
NUMBER_FIELD(show_log_spares, info->group.log_spares)
NUMBER_FIELD(show_log_recycled, info->group.log_recycled)
NUMBER_FIELD(show_log_prepared, info->group.log_prepared)
NUMBER_FIELD(show_data_files, info->group.data_files)
NUMBER_FIELD(show_data_bytes, info->group.data_bytes)
NUMBER_FIELD(show_data_live_bytes, info->group.data_live_bytes)
NUMBER_FIELD(show_data_replaced_bytes, info->group.data_replaced_bytes)
NUMBER_FIELD(show_hints_written, info->group.hints_written)
NUMBER_FIELD(show_merge_running, info->group.merge_total_bytes != 0)
NUMBER_FIELD(show_merge_total_bytes, info->group.merge_total_bytes)
NUMBER_FIELD(show_merge_done_bytes, info->group.merge_done_bytes)
NUMBER_FIELD(show_merges, info->group.merges)
NUMBER_FIELD(show_merges_failed, info->group.merges_failed)
NUMBER_FIELD(show_merge_freed_bytes, info->group.merge_freed_bytes)
NUMBER_FIELD(show_backup_running, info->group.backup_total_bytes != 0)
NUMBER_FIELD(show_backup_total_bytes, info->group.backup_total_bytes)
NUMBER_FIELD(show_backup_done_bytes, info->group.backup_done_bytes)
TEXT_FIELD(show_backup_status, info->group.is_backup_failing ? "err" : "ok")
NUMBER_FIELD(show_last_backup_s, info->group.last_backup_ms / 1000)
NUMBER_FIELD(show_data_rotations, info->group.rotations)
NUMBER_FIELD(show_replayed_commands, info->group.replayed_commands)
NUMBER_FIELD(show_clock_ms, info->group.hlc_ms)

static void show_clock_refused_ms(const struct info *info, struct buf *to)
{
    buf_append_format(to, "%lld", (long long)info->group.clock_refused_ms);
}

/* ---- Stats ---- */

NUMBER_FIELD(show_connections_received, info->hub.connections_received)
NUMBER_FIELD(show_commands_processed, info->hub.commands_processed)
NUMBER_FIELD(show_net_input, info->hub.bytes_in)
NUMBER_FIELD(show_net_output, info->hub.bytes_out)
NUMBER_FIELD(show_rejected_connections, info->hub.rejected_connections)
NUMBER_FIELD(show_ops, info->hub.commands_per_s)
RATIO_FIELD(show_input_kbps, "%.2f", (double)info->hub.bytes_in_per_s, 1024.0)
RATIO_FIELD(show_output_kbps, "%.2f", (double)info->hub.bytes_out_per_s, 1024.0)
NUMBER_FIELD(show_expired_keys, info->group.expired_keys - server_expired_before(info->server))
NUMBER_FIELD(show_hits, info->tally.found)
NUMBER_FIELD(show_misses, info->tally.missed)
NUMBER_FIELD(show_errors, info->tally.error_total)
NUMBER_FIELD(show_output_limit_closes, info->hub.output_limit_closes)
NUMBER_FIELD(show_query_limit_closes, info->hub.query_limit_closes)
NUMBER_FIELD(show_commands_logged, info->group.commands_logged)
NUMBER_FIELD(show_inline_reads, info->hub.inline_reads)
NUMBER_FIELD(show_queued_reads, info->hub.queued_reads)
NUMBER_FIELD(show_cold_reads, info->hub.cold_reads)
NUMBER_FIELD(show_read_retries, info->hub.read_retries)

/* ---- Replication, CPU, cluster ---- */

static void show_repl_id(const struct info *info, struct buf *to)
{
    char id[SERVER_ID_SIZE];
    server_repl_id(info->server, id);
    buf_append_str(to, id);
}

NUMBER_FIELD(show_repl_offset, info->group.applied_index)

static void put_time(struct buf *to, uint64_t us)
{
    buf_append_format(to, "%llu.%06llu", (unsigned long long)(us / 1000000),
                      (unsigned long long)(us % 1000000));
}

static void show_cpu_sys(const struct info *info, struct buf *to)
{
    put_time(to, info->usage.system_us);
}

static void show_cpu_user(const struct info *info, struct buf *to)
{
    put_time(to, info->usage.user_us);
}

static const struct info_row rows[] = {
    {"Server", "redis_version", show_redis_version, NULL},
    {"Server", "ferric_version", show_ferric_version, NULL},
    {"Server", "redis_git_sha1", NULL, "00000000"},
    {"Server", "redis_git_dirty", NULL, "0"},
    {"Server", "redis_build_id", NULL, "0"},
    {"Server", "redis_mode", NULL, "standalone"},
    {"Server", "os", show_os_name, NULL},
    {"Server", "arch_bits", show_arch_bits, NULL},
    {"Server", "monotonic_clock", NULL, "POSIX clock_gettime"},
    {"Server", "multiplexing_api", NULL, "libuv"},
    {"Server", "atomicvar_api", NULL, "c11-builtin"},
    {"Server", "gcc_version", NULL, __VERSION__},
    {"Server", "process_id", show_process_id, NULL},
    {"Server", "process_supervised", NULL, "no"},
    {"Server", "run_id", show_run_id, NULL},
    {"Server", "tcp_port", show_tcp_port, NULL},
    {"Server", "server_time_usec", show_server_time_usec, NULL},
    {"Server", "uptime_in_seconds", show_uptime_s, NULL},
    {"Server", "uptime_in_days", show_uptime_days, NULL},
    {"Server", "hz", show_hz, NULL},
    {"Server", "configured_hz", show_hz, NULL},
    {"Server", "lru_clock", show_lru_clock, NULL},
    {"Server", "executable", show_executable, NULL},
    {"Server", "config_file", show_config_file, NULL},
    {"Server", "io_threads_active", NULL, "0"},
    {"Server", "ferric_shards", show_group_shards, NULL},
    {"Server", "ferric_placement", show_placement, NULL},
    {"Server", "loop_longest_turn_us", show_loop_longest_turn_us, NULL},
    {"Server", "loop_long_turns", show_loop_long_turns, NULL},
    {"Server", "loop_turns", show_loop_turns, NULL},
    {"Server", "loop_wakeups", show_loop_wakeups, NULL},
    {"Clients", "connected_clients", show_connected_clients, NULL},
    {"Clients", "cluster_connections", NULL, "0"},
    {"Clients", "maxclients", show_maxclients, NULL},
    {"Clients", "client_recent_max_input_buffer", show_max_input, NULL},
    {"Clients", "client_recent_max_output_buffer", show_max_output, NULL},
    {"Clients", "blocked_clients", show_blocked_clients, NULL},
    {"Clients", "tracking_clients", show_tracking_clients, NULL},
    {"Clients", "pubsub_clients", show_pubsub_clients, NULL},
    {"Clients", "clients_in_timeout_table", NULL, "0"},
    {"Clients", "total_blocking_keys", NULL, "0"},
    {"Clients", "total_blocking_keys_on_nokey", NULL, "0"},
    {"Clients", "paused_reason", show_pause_reason, NULL},
    {"Clients", "paused_actions", show_pause_actions, NULL},
    {"Clients", "paused_timeout_milliseconds", show_pause_left, NULL},
    {"Memory", "used_memory", show_used_memory, NULL},
    {"Memory", "used_memory_human", show_used_memory_human, NULL},
    {"Memory", "used_memory_rss", show_used_memory_rss, NULL},
    {"Memory", "used_memory_rss_human", show_rss_human, NULL},
    {"Memory", "used_memory_peak", show_peak, NULL},
    {"Memory", "used_memory_peak_human", show_peak_human, NULL},
    {"Memory", "used_memory_peak_perc", show_peak_perc, NULL},
    {"Memory", "used_memory_overhead", show_overhead, NULL},
    {"Memory", "used_memory_startup", show_startup, NULL},
    {"Memory", "used_memory_dataset", show_dataset, NULL},
    {"Memory", "used_memory_dataset_perc", show_dataset_perc, NULL},
    {"Memory", "allocator_allocated", show_allocated, NULL},
    {"Memory", "allocator_active", show_active, NULL},
    {"Memory", "allocator_resident", show_resident, NULL},
    {"Memory", "allocator_muzzy", show_muzzy, NULL},
    {"Memory", "total_system_memory", show_machine_memory, NULL},
    {"Memory", "total_system_memory_human", show_machine_memory_human, NULL},
    {"Memory", "used_memory_lua", NULL, "0"},
    {"Memory", "used_memory_vm_eval", NULL, "0"},
    {"Memory", "used_memory_lua_human", NULL, "0B"},
    {"Memory", "used_memory_scripts_eval", NULL, "0"},
    {"Memory", "number_of_cached_scripts", NULL, "0"},
    {"Memory", "number_of_functions", NULL, "0"},
    {"Memory", "number_of_libraries", NULL, "0"},
    {"Memory", "used_memory_vm_functions", NULL, "0"},
    {"Memory", "used_memory_vm_total", NULL, "0"},
    {"Memory", "used_memory_vm_total_human", NULL, "0B"},
    {"Memory", "used_memory_functions", NULL, "0"},
    {"Memory", "used_memory_scripts", NULL, "0"},
    {"Memory", "used_memory_scripts_human", NULL, "0B"},
    {"Memory", "maxmemory", show_maxmemory, NULL},
    {"Memory", "maxmemory_human", show_maxmemory_human, NULL},
    {"Memory", "maxmemory_policy", show_maxmemory_policy, NULL},
    {"Memory", "allocator_frag_ratio", show_frag_ratio, NULL},
    {"Memory", "allocator_frag_bytes", show_frag_bytes, NULL},
    {"Memory", "allocator_rss_ratio", show_rss_ratio, NULL},
    {"Memory", "allocator_rss_bytes", show_rss_bytes, NULL},
    {"Memory", "rss_overhead_ratio", show_rss_over_ratio, NULL},
    {"Memory", "rss_overhead_bytes", show_rss_over_bytes, NULL},
    {"Memory", "mem_fragmentation_ratio", show_mem_frag_ratio, NULL},
    {"Memory", "mem_fragmentation_bytes", show_mem_frag_bytes, NULL},
    {"Memory", "mem_not_counted_for_evict", NULL, "0"},
    {"Memory", "mem_replication_backlog", NULL, "0"},
    {"Memory", "mem_total_replication_buffers", NULL, "0"},
    {"Memory", "mem_clients_slaves", NULL, "0"},
    {"Memory", "mem_clients_normal", show_client_bytes, NULL},
    {"Memory", "mem_cluster_links", NULL, "0"},
    {"Memory", "mem_aof_buffer", show_unwritten_bytes, NULL},
    {"Memory", "mem_allocator", show_mem_allocator, NULL},
    {"Memory", "active_defrag_running", NULL, "0"},
    {"Memory", "lazyfree_pending_objects", NULL, "0"},
    {"Memory", "lazyfreed_objects", NULL, "0"},
    {"Memory", "keydir_bytes", show_keydir_bytes, NULL},
    {"Memory", "expiry_bytes", show_expiry_bytes, NULL},
    {"Memory", "retired_bytes", show_retired_bytes, NULL},
    {"Memory", "unwritten_bytes", show_unwritten_bytes, NULL},
    {"Memory", "cold_keys", show_cold_keys, NULL},
    {"Persistence", "loading", show_loading, NULL},
    {"Persistence", "async_loading", NULL, "0"},
    {"Persistence", "current_cow_peak", NULL, "0"},
    {"Persistence", "current_cow_size", NULL, "0"},
    {"Persistence", "current_cow_size_age", NULL, "0"},
    {"Persistence", "current_fork_perc", NULL, "0.00"},
    {"Persistence", "current_save_keys_processed", NULL, "0"},
    {"Persistence", "current_save_keys_total", NULL, "0"},
    {"Persistence", "rdb_changes_since_last_save", show_changes, NULL},
    {"Persistence", "rdb_bgsave_in_progress", show_is_saving, NULL},
    {"Persistence", "rdb_last_save_time", show_last_save, NULL},
    {"Persistence", "rdb_last_bgsave_status", show_save_status, NULL},
    {"Persistence", "rdb_last_bgsave_time_sec", show_last_save_took_s, NULL},
    {"Persistence", "rdb_current_bgsave_time_sec", NULL, "-1"},
    {"Persistence", "rdb_saves", show_checkpoints, NULL},
    {"Persistence", "rdb_last_cow_size", NULL, "0"},
    {"Persistence", "rdb_last_load_keys_expired", NULL, "0"},
    {"Persistence", "rdb_last_load_keys_loaded", NULL, "0"},
    {"Persistence", "aof_enabled", NULL, "1"},
    {"Persistence", "aof_rewrite_in_progress", NULL, "0"},
    {"Persistence", "aof_rewrite_scheduled", NULL, "0"},
    {"Persistence", "aof_last_rewrite_time_sec", NULL, "-1"},
    {"Persistence", "aof_current_rewrite_time_sec", NULL, "-1"},
    {"Persistence", "aof_last_bgrewrite_status", NULL, "ok"},
    {"Persistence", "aof_rewrites", NULL, "0"},
    {"Persistence", "aof_rewrites_consecutive_failures", NULL, "0"},
    {"Persistence", "aof_last_write_status", show_aof_write_status, NULL},
    {"Persistence", "aof_last_cow_size", NULL, "0"},
    {"Persistence", "module_fork_in_progress", NULL, "0"},
    {"Persistence", "module_fork_last_cow_size", NULL, "0"},
    {"Persistence", "aof_current_size", show_log_live_bytes, NULL},
    {"Persistence", "aof_base_size", NULL, "0"},
    {"Persistence", "aof_pending_rewrite", NULL, "0"},
    {"Persistence", "aof_buffer_length", show_unwritten_bytes, NULL},
    {"Persistence", "aof_pending_bio_fsync", NULL, "0"},
    {"Persistence", "aof_delayed_fsync", NULL, "0"},
    {"Persistence", "log_status", show_log_status, NULL},
    {"Persistence", "shards_failing", show_shards_failing, NULL},
    {"Persistence", "disk_pressure", show_disk_pressure, NULL},
    {"Persistence", "disk_free_bytes", show_disk_free, NULL},
    {"Persistence", "disk_free_low", show_disk_low, NULL},
    {"Persistence", "disk_reserve_bytes", show_disk_reserve, NULL},
    {"Persistence", "checkpoint_in_progress", show_checkpoint_running, NULL},
    {"Persistence", "checkpoint_last_status", show_checkpoint_status, NULL},
    {"Persistence", "checkpoints", show_checkpoints, NULL},
    {"Persistence", "checkpoint_number", show_checkpoint_number, NULL},
    {"Persistence", "checkpoint_index", show_checkpoint_index, NULL},
    {"Persistence", "checkpoint_last_time", show_checkpoint_last_s, NULL},
    {"Persistence", "checkpoint_last_us", show_checkpoint_last_us, NULL},
    {"Persistence", "raft_term", show_raft_term, NULL},
    {"Persistence", "commit_index", show_commit_index, NULL},
    {"Persistence", "applied_index", show_applied_index, NULL},
    {"Persistence", "log_writer", show_log_writer, NULL},
    {"Persistence", "log_entries_frames", show_log_entries_frames, NULL},
    {"Persistence", "log_other_frames", show_log_other_frames, NULL},
    {"Persistence", "log_bytes", show_log_bytes, NULL},
    {"Persistence", "log_live_bytes", show_log_live_bytes, NULL},
    {"Persistence", "log_segments", show_log_segments, NULL},
    {"Persistence", "log_spare_segments", show_log_spares, NULL},
    {"Persistence", "log_segments_recycled", show_log_recycled, NULL},
    {"Persistence", "log_segments_prepared", show_log_prepared, NULL},
    {"Persistence", "data_files", show_data_files, NULL},
    {"Persistence", "data_bytes", show_data_bytes, NULL},
    {"Persistence", "data_live_bytes", show_data_live_bytes, NULL},
    {"Persistence", "data_replaced_bytes", show_data_replaced_bytes, NULL},
    {"Persistence", "hints_written", show_hints_written, NULL},
    {"Persistence", "merge_in_progress", show_merge_running, NULL},
    {"Persistence", "merge_total_bytes", show_merge_total_bytes, NULL},
    {"Persistence", "merge_done_bytes", show_merge_done_bytes, NULL},
    {"Persistence", "merges", show_merges, NULL},
    {"Persistence", "merges_failed", show_merges_failed, NULL},
    {"Persistence", "merge_freed_bytes", show_merge_freed_bytes, NULL},
    {"Persistence", "backup_in_progress", show_backup_running, NULL},
    {"Persistence", "backup_total_bytes", show_backup_total_bytes, NULL},
    {"Persistence", "backup_done_bytes", show_backup_done_bytes, NULL},
    {"Persistence", "backup_last_status", show_backup_status, NULL},
    {"Persistence", "backup_last_time", show_last_backup_s, NULL},
    {"Persistence", "data_rotations", show_data_rotations, NULL},
    {"Persistence", "replayed_commands", show_replayed_commands, NULL},
    {"Persistence", "clock_ms", show_clock_ms, NULL},
    {"Persistence", "clock_refused_ms", show_clock_refused_ms, NULL},
    {"Stats", "total_connections_received", show_connections_received, NULL},
    {"Stats", "total_commands_processed", show_commands_processed, NULL},
    {"Stats", "instantaneous_ops_per_sec", show_ops, NULL},
    {"Stats", "total_net_input_bytes", show_net_input, NULL},
    {"Stats", "total_net_output_bytes", show_net_output, NULL},
    {"Stats", "total_net_repl_input_bytes", NULL, "0"},
    {"Stats", "total_net_repl_output_bytes", NULL, "0"},
    {"Stats", "instantaneous_input_kbps", show_input_kbps, NULL},
    {"Stats", "instantaneous_output_kbps", show_output_kbps, NULL},
    {"Stats", "instantaneous_input_repl_kbps", NULL, "0.00"},
    {"Stats", "instantaneous_output_repl_kbps", NULL, "0.00"},
    {"Stats", "rejected_connections", show_rejected_connections, NULL},
    {"Stats", "sync_full", NULL, "0"},
    {"Stats", "sync_partial_ok", NULL, "0"},
    {"Stats", "sync_partial_err", NULL, "0"},
    {"Stats", "expired_keys", show_expired_keys, NULL},
    {"Stats", "expired_stale_perc", NULL, "0.00"},
    {"Stats", "expired_time_cap_reached_count", NULL, "0"},
    {"Stats", "expire_cycle_cpu_milliseconds", NULL, "0"},
    {"Stats", "evicted_keys", NULL, "0"},
    {"Stats", "evicted_clients", NULL, "0"},
    {"Stats", "total_eviction_exceeded_time", NULL, "0"},
    {"Stats", "current_eviction_exceeded_time", NULL, "0"},
    {"Stats", "keyspace_hits", show_hits, NULL},
    {"Stats", "keyspace_misses", show_misses, NULL},
    {"Stats", "pubsub_channels", show_pubsub_channels, NULL},
    {"Stats", "pubsub_patterns", show_pubsub_patterns, NULL},
    {"Stats", "pubsubshard_channels", show_shard_channels, NULL},
    {"Stats", "latest_fork_usec", NULL, "0"},
    {"Stats", "total_forks", NULL, "0"},
    {"Stats", "migrate_cached_sockets", NULL, "0"},
    {"Stats", "slave_expires_tracked_keys", NULL, "0"},
    {"Stats", "active_defrag_hits", NULL, "0"},
    {"Stats", "active_defrag_misses", NULL, "0"},
    {"Stats", "active_defrag_key_hits", NULL, "0"},
    {"Stats", "active_defrag_key_misses", NULL, "0"},
    {"Stats", "total_active_defrag_time", NULL, "0"},
    {"Stats", "current_active_defrag_time", NULL, "0"},
    {"Stats", "tracking_total_keys", show_tracked_keys, NULL},
    {"Stats", "tracking_total_items", show_tracked_items, NULL},
    {"Stats", "tracking_total_prefixes", show_tracked_prefixes, NULL},
    {"Stats", "unexpected_error_replies", NULL, "0"},
    {"Stats", "total_error_replies", show_errors, NULL},
    {"Stats", "dump_payload_sanitizations", NULL, "0"},
    {"Stats", "io_threaded_reads_processed", NULL, "0"},
    {"Stats", "io_threaded_writes_processed", NULL, "0"},
    {"Stats", "client_query_buffer_limit_disconnections", show_query_limit_closes, NULL},
    {"Stats", "client_output_buffer_limit_disconnections", show_output_limit_closes, NULL},
    {"Stats", "acl_access_denied_auth", NULL, "0"},
    {"Stats", "acl_access_denied_cmd", NULL, "0"},
    {"Stats", "acl_access_denied_key", NULL, "0"},
    {"Stats", "acl_access_denied_channel", NULL, "0"},
    {"Stats", "commands_logged", show_commands_logged, NULL},
    {"Stats", "reads_inline", show_inline_reads, NULL},
    {"Stats", "reads_queued", show_queued_reads, NULL},
    {"Stats", "reads_cold", show_cold_reads, NULL},
    {"Stats", "reads_retried", show_read_retries, NULL},
    {"Replication", "role", NULL, "master"},
    {"Replication", "connected_slaves", NULL, "0"},
    {"Replication", "master_failover_state", NULL, "no-failover"},
    {"Replication", "master_replid", show_repl_id, NULL},
    {"Replication", "master_replid2", NULL, "0000000000000000000000000000000000000000"},
    {"Replication", "master_repl_offset", show_repl_offset, NULL},
    {"Replication", "second_repl_offset", NULL, "-1"},
    {"Replication", "repl_backlog_active", NULL, "0"},
    {"Replication", "repl_backlog_size", NULL, "0"},
    {"Replication", "repl_backlog_first_byte_offset", NULL, "0"},
    {"Replication", "repl_backlog_histlen", NULL, "0"},
    {"CPU", "used_cpu_sys", show_cpu_sys, NULL},
    {"CPU", "used_cpu_user", show_cpu_user, NULL},
    {"CPU", "used_cpu_sys_children", NULL, "0.000000"},
    {"CPU", "used_cpu_user_children", NULL, "0.000000"},
    {"Cluster", "cluster_enabled", NULL, "0"},
};

void info_put_fields(const struct info *info, const char *section, struct buf *to)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i].section, section) != 0)
            continue;
        buf_append_format(to, "%s:", rows[i].name);
        if (rows[i].fixed != NULL)
            buf_append_str(to, rows[i].fixed);
        else
            rows[i].read(info, to);
        buf_append_str(to, "\r\n");
    }
}
