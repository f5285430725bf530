/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: one row a field; sections are runs of rows. */
#include "base/mem.h"
#include "command/args.h"
#include "engine/group_stats.h"
#include "os/process.h"
#include "server/server.h"

/* What the readers of one INFO look at. */
struct info {
    struct server *server;
    struct group_stats group;
    struct hub_stats hub;
    struct process_usage usage;
    uint64_t now_ms;
};

typedef void (*info_fn)(const struct info *info, struct buf *to);

struct info_row {
    const char *section;
    const char *name;
    info_fn read;
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

/* ---- Server ---- */

TEXT_FIELD(show_redis_version, FERRIC_REDIS_VERSION)
TEXT_FIELD(show_ferric_version, FERRIC_VERSION)
TEXT_FIELD(show_redis_mode, "standalone")
TEXT_FIELD(show_multiplexing_api, "libuv")
TEXT_FIELD(show_run_id, server_run_id(info->server))
TEXT_FIELD(show_placement, server_placement(info->server))
NUMBER_FIELD(show_arch_bits, sizeof(void *) * 8)
NUMBER_FIELD(show_process_id, process_id())
NUMBER_FIELD(show_tcp_port, server_port(info->server))
TEXT_FIELD(show_config_file,
           server_config(info->server)->path != NULL ? server_config(info->server)->path : "")
NUMBER_FIELD(show_server_time_usec, info->now_ms * 1000)
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
NUMBER_FIELD(show_blocked_clients, 0)
NUMBER_FIELD(show_maxclients, atomic_load(&hub_settings(server_hub(info->server))->max_clients))

/* ---- Memory ---- */

NUMBER_FIELD(show_used_memory_rss, info->usage.resident_bytes)
NUMBER_FIELD(show_used_memory, info->group.keydir_bytes + info->group.expiry_bytes +
                                   info->group.retired_bytes + info->group.unwritten_bytes)
NUMBER_FIELD(show_keydir_bytes, info->group.keydir_bytes)
NUMBER_FIELD(show_expiry_bytes, info->group.expiry_bytes)
NUMBER_FIELD(show_retired_bytes, info->group.retired_bytes)
NUMBER_FIELD(show_unwritten_bytes, info->group.unwritten_bytes)
NUMBER_FIELD(show_cold_keys, info->group.cold_rows)
NUMBER_FIELD(show_maxmemory, 0)
TEXT_FIELD(show_maxmemory_policy, "noeviction")
TEXT_FIELD(show_mem_allocator, "jemalloc")

/* ---- Persistence ---- */

NUMBER_FIELD(show_loading, group_state(server_group(info->server)) == GROUP_REPLAYING)
NUMBER_FIELD(show_async_loading, 0)
NUMBER_FIELD(show_aof_enabled, 1)
TEXT_FIELD(show_aof_write_status,
           info->group.is_log_failed || info->group.is_log_full || info->group.shards_failing > 0
               ? "err"
               : "ok")
TEXT_FIELD(show_log_status, info->group.is_log_failed ? "failed"
                            : info->group.is_log_full ? "no-space"
                                                      : "ok")
NUMBER_FIELD(show_shards_failing, info->group.shards_failing)
TEXT_FIELD(show_checkpoint_status, info->group.is_checkpoint_failing ? "err" : "ok")
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
NUMBER_FIELD(show_expired_keys, info->group.expired_keys)
NUMBER_FIELD(show_evicted_keys, 0)
NUMBER_FIELD(show_output_limit_closes, info->hub.output_limit_closes)
NUMBER_FIELD(show_query_limit_closes, info->hub.query_limit_closes)
NUMBER_FIELD(show_commands_logged, info->group.commands_logged)
NUMBER_FIELD(show_inline_reads, info->hub.inline_reads)
NUMBER_FIELD(show_queued_reads, info->hub.queued_reads)
NUMBER_FIELD(show_cold_reads, info->hub.cold_reads)
NUMBER_FIELD(show_read_retries, info->hub.read_retries)

/* ---- Replication, CPU, cluster ---- */

TEXT_FIELD(show_role, "master")
NUMBER_FIELD(show_connected_slaves, 0)
NUMBER_FIELD(show_repl_offset, info->group.applied_index)

static void show_repl_id(const struct info *info, struct buf *to)
{
    char id[SERVER_ID_SIZE];
    server_repl_id(info->server, id);
    buf_append_str(to, id);
}

NUMBER_FIELD(show_cluster_enabled, 0)

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
    {"Server", "redis_version", show_redis_version},
    {"Server", "ferric_version", show_ferric_version},
    {"Server", "redis_mode", show_redis_mode},
    {"Server", "os", show_os_name},
    {"Server", "arch_bits", show_arch_bits},
    {"Server", "multiplexing_api", show_multiplexing_api},
    {"Server", "process_id", show_process_id},
    {"Server", "run_id", show_run_id},
    {"Server", "tcp_port", show_tcp_port},
    {"Server", "config_file", show_config_file},
    {"Server", "server_time_usec", show_server_time_usec},
    {"Server", "uptime_in_seconds", show_uptime_s},
    {"Server", "uptime_in_days", show_uptime_days},
    {"Server", "ferric_shards", show_group_shards},
    {"Server", "ferric_placement", show_placement},
    {"Server", "loop_longest_turn_us", show_loop_longest_turn_us},
    {"Server", "loop_long_turns", show_loop_long_turns},
    {"Server", "loop_turns", show_loop_turns},
    {"Server", "loop_wakeups", show_loop_wakeups},
    {"Clients", "connected_clients", show_connected_clients},
    {"Clients", "maxclients", show_maxclients},
    {"Clients", "blocked_clients", show_blocked_clients},
    {"Memory", "used_memory", show_used_memory},
    {"Memory", "used_memory_rss", show_used_memory_rss},
    {"Memory", "keydir_bytes", show_keydir_bytes},
    {"Memory", "expiry_bytes", show_expiry_bytes},
    {"Memory", "retired_bytes", show_retired_bytes},
    {"Memory", "unwritten_bytes", show_unwritten_bytes},
    {"Memory", "cold_keys", show_cold_keys},
    {"Memory", "maxmemory", show_maxmemory},
    {"Memory", "maxmemory_policy", show_maxmemory_policy},
    {"Memory", "mem_allocator", show_mem_allocator},
    {"Persistence", "loading", show_loading},
    {"Persistence", "async_loading", show_async_loading},
    {"Persistence", "aof_enabled", show_aof_enabled},
    {"Persistence", "aof_last_write_status", show_aof_write_status},
    {"Persistence", "log_status", show_log_status},
    {"Persistence", "shards_failing", show_shards_failing},
    {"Persistence", "checkpoint_in_progress", show_checkpoint_running},
    {"Persistence", "checkpoint_last_status", show_checkpoint_status},
    {"Persistence", "checkpoints", show_checkpoints},
    {"Persistence", "checkpoint_number", show_checkpoint_number},
    {"Persistence", "checkpoint_index", show_checkpoint_index},
    {"Persistence", "checkpoint_last_time", show_checkpoint_last_s},
    {"Persistence", "checkpoint_last_us", show_checkpoint_last_us},
    {"Persistence", "raft_term", show_raft_term},
    {"Persistence", "commit_index", show_commit_index},
    {"Persistence", "applied_index", show_applied_index},
    {"Persistence", "log_writer", show_log_writer},
    {"Persistence", "log_entries_frames", show_log_entries_frames},
    {"Persistence", "log_other_frames", show_log_other_frames},
    {"Persistence", "log_bytes", show_log_bytes},
    {"Persistence", "log_live_bytes", show_log_live_bytes},
    {"Persistence", "log_segments", show_log_segments},
    {"Persistence", "log_spare_segments", show_log_spares},
    {"Persistence", "log_segments_recycled", show_log_recycled},
    {"Persistence", "log_segments_prepared", show_log_prepared},
    {"Persistence", "data_files", show_data_files},
    {"Persistence", "data_bytes", show_data_bytes},
    {"Persistence", "data_rotations", show_data_rotations},
    {"Persistence", "replayed_commands", show_replayed_commands},
    {"Persistence", "clock_ms", show_clock_ms},
    {"Persistence", "clock_refused_ms", show_clock_refused_ms},
    {"Stats", "total_connections_received", show_connections_received},
    {"Stats", "total_commands_processed", show_commands_processed},
    {"Stats", "total_net_input_bytes", show_net_input},
    {"Stats", "total_net_output_bytes", show_net_output},
    {"Stats", "rejected_connections", show_rejected_connections},
    {"Stats", "expired_keys", show_expired_keys},
    {"Stats", "evicted_keys", show_evicted_keys},
    {"Stats", "client_output_buffer_limit_disconnections", show_output_limit_closes},
    {"Stats", "client_query_buffer_limit_disconnections", show_query_limit_closes},
    {"Stats", "commands_logged", show_commands_logged},
    {"Stats", "reads_inline", show_inline_reads},
    {"Stats", "reads_queued", show_queued_reads},
    {"Stats", "reads_cold", show_cold_reads},
    {"Stats", "reads_retried", show_read_retries},
    {"Replication", "role", show_role},
    {"Replication", "connected_slaves", show_connected_slaves},
    {"Replication", "master_replid", show_repl_id},
    {"Replication", "master_repl_offset", show_repl_offset},
    {"CPU", "used_cpu_sys", show_cpu_sys},
    {"CPU", "used_cpu_user", show_cpu_user},
    {"Cluster", "cluster_enabled", show_cluster_enabled},
};

/* ---- Putting it together ---- */

/* Shown only meanwhile, as Redis does. */
static void put_loading(const struct info *info, struct buf *to)
{
    if (group_state(server_group(info->server)) != GROUP_REPLAYING)
        return;
    struct server_loading loading = server_loading(info->server);
    buf_append_format(to,
                      "loading_start_time:%llu\r\nloading_total_bytes:%llu\r\n"
                      "loading_loaded_bytes:%llu\r\nloading_loaded_perc:%llu.00\r\n"
                      "loading_eta_seconds:%llu\r\n",
                      (unsigned long long)(loading.start_ms / 1000),
                      (unsigned long long)loading.total_bytes,
                      (unsigned long long)loading.done_bytes, (unsigned long long)loading.percent,
                      (unsigned long long)loading.left_s);
}

static bool wants(const struct call *call, const char *section)
{
    if (call->argc == 1)
        return true;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct slice word = call->argv[i];
        if (slice_is(word, section) || slice_is(word, "all") || slice_is(word, "everything") ||
            slice_is(word, "default"))
            return true;
    }
    return false;
}

static void put_section(const struct info *info, const char *section, struct buf *to)
{
    buf_append_format(to, "%s# %s\r\n", to->len == 0 ? "" : "\r\n", section);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i].section, section) != 0)
            continue;
        buf_append_format(to, "%s:", rows[i].name);
        rows[i].read(info, to);
        buf_append_str(to, "\r\n");
    }
    if (strcmp(section, "Persistence") == 0)
        put_loading(info, to);
}

static void put_keyspace(const struct info *info, struct buf *to)
{
    buf_append_format(to, "%s# Keyspace\r\n", to->len == 0 ? "" : "\r\n");
    struct group *group = server_group(info->server);
    for (uint32_t db = 0; db < group_database_count(group); db++) {
        struct store_db_stats stats = group_db_stats(group, (uint16_t)db);
        if (stats.keys > 0)
            buf_append_format(to, "db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", db,
                              (unsigned long long)stats.keys, (unsigned long long)stats.expires);
    }
}

static int run_info(struct call *call)
{
    static const char *const sections[] = {"Server", "Clients",     "Memory", "Persistence",
                                           "Stats",  "Replication", "CPU",    "Cluster"};
    struct server *server = session_server(call->session);
    struct info info = {
        .server = server,
        .group = group_stats(server_group(server)),
        .hub = hub_stats(server_hub(server)),
        .now_ms = clock_wall_ms(clock_posix()),
        .usage = process_usage(),
    };
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
        if (wants(call, sections[i]))
            put_section(&info, sections[i], &text);
    }
    if (wants(call, "keyspace"))
        put_keyspace(&info, &text);
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

static const struct command_row command_rows[] = {{
    .name = "info",
    .arity = {1, ARITY_ANY},
    .flags = CMD_LOADING | CMD_STALE,
    .scope = SCOPE_NODE,
    .categories = "slow dangerous",
    .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
    .group = "server",
    .since = "1.0.0",
    .complexity = "O(1)",
    .summary = "Returns information and statistics about the server.",
    .syntax = "[section [section ...]]",
    .run = run_info,
}};

const struct command_family info_family = {
    .name = "info", .rows = command_rows, .row_count = ARRAY_COUNT(command_rows)};
