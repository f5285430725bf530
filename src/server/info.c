/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: one row a field; sections are runs of rows. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "command/args.h"
#include "os/thread.h"
#include "server/server.h"

/* What the readers of one INFO look at. */
struct info {
    struct server *server;
    struct group_stats group;
    struct hub_stats hub;
    struct rusage usage;
    uint64_t now_ms;
    uint64_t rss_bytes;
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

TEXT_FIELD(redis_version, FERRIC_REDIS_VERSION)
TEXT_FIELD(ferric_version, FERRIC_VERSION)
TEXT_FIELD(redis_mode, "standalone")
TEXT_FIELD(multiplexing_api, "libuv")
TEXT_FIELD(run_id, server_run_id(info->server))
TEXT_FIELD(placement, server_placement(info->server))
NUMBER_FIELD(arch_bits, sizeof(void *) * 8)
NUMBER_FIELD(process_id, getpid())
NUMBER_FIELD(tcp_port, server_port(info->server))
NUMBER_FIELD(server_time_usec, info->now_ms * 1000)
NUMBER_FIELD(uptime_s, (info->now_ms - server_started_ms(info->server)) / 1000)
NUMBER_FIELD(uptime_days, (info->now_ms - server_started_ms(info->server)) / 86400000)
NUMBER_FIELD(group_shards, group_shard_count(server_group(info->server)))

static void os_name(const struct info *info, struct buf *to)
{
    (void)info;
    struct utsname name;
    if (uname(&name) == 0)
        buf_append_format(to, "%s %s %s", name.sysname, name.release, name.machine);
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

NUMBER_FIELD(loop_longest_turn_us, worst_loop(info).longest_us)
NUMBER_FIELD(loop_long_turns, worst_loop(info).long_turns)
NUMBER_FIELD(loop_wakeups, worst_loop(info).wakeups)
NUMBER_FIELD(loop_turns, worst_loop(info).turns)

/* ---- Clients ---- */

NUMBER_FIELD(connected_clients, info->hub.connected_clients)
NUMBER_FIELD(blocked_clients, 0)
NUMBER_FIELD(maxclients, config_number(server_config(info->server), CONF_MAX_CLIENTS))

/* ---- Memory ---- */

NUMBER_FIELD(used_memory_rss, info->rss_bytes)
NUMBER_FIELD(used_memory, info->group.keydir_bytes + info->group.expiry_bytes +
                              info->group.retired_bytes + info->group.unwritten_bytes)
NUMBER_FIELD(keydir_bytes, info->group.keydir_bytes)
NUMBER_FIELD(expiry_bytes, info->group.expiry_bytes)
NUMBER_FIELD(retired_bytes, info->group.retired_bytes)
NUMBER_FIELD(unwritten_bytes, info->group.unwritten_bytes)
NUMBER_FIELD(cold_keys, info->group.cold_rows)
NUMBER_FIELD(maxmemory, 0)
TEXT_FIELD(maxmemory_policy, "noeviction")
TEXT_FIELD(mem_allocator, "jemalloc")

/* ---- Persistence ---- */

NUMBER_FIELD(loading, group_state(server_group(info->server)) == GROUP_REPLAYING)
NUMBER_FIELD(aof_enabled, 1)
TEXT_FIELD(aof_write_status,
           group_state(server_group(info->server)) == GROUP_LOG_FAILED ? "err" : "ok")
NUMBER_FIELD(checkpoint_running, info->group.is_checkpoint_running)
NUMBER_FIELD(checkpoints, info->group.checkpoints)
NUMBER_FIELD(checkpoint_number, info->group.checkpoint_number)
NUMBER_FIELD(checkpoint_index, info->group.checkpoint_index)
NUMBER_FIELD(checkpoint_last_s, info->group.last_checkpoint_ms / 1000)
NUMBER_FIELD(checkpoint_last_us, info->group.last_checkpoint_took_us)
NUMBER_FIELD(raft_term, info->group.term)
NUMBER_FIELD(commit_index, info->group.commit_index)
NUMBER_FIELD(applied_index, info->group.applied_index)
TEXT_FIELD(log_writer, info->group.log_writer)
NUMBER_FIELD(log_entries_frames, info->group.log_entries_frames)
NUMBER_FIELD(log_other_frames, info->group.log_other_frames)
NUMBER_FIELD(log_bytes, info->group.log_bytes)
NUMBER_FIELD(log_live_bytes, info->group.log_live_bytes)
NUMBER_FIELD(log_segments, info->group.log_segments)
NUMBER_FIELD(log_spares, info->group.log_spares)
NUMBER_FIELD(log_recycled, info->group.log_recycled)
NUMBER_FIELD(log_prepared, info->group.log_prepared)
NUMBER_FIELD(data_files, info->group.data_files)
NUMBER_FIELD(data_bytes, info->group.data_bytes)
NUMBER_FIELD(data_rotations, info->group.rotations)
NUMBER_FIELD(replayed_commands, info->group.replayed_commands)
NUMBER_FIELD(clock_ms, info->group.hlc_ms)

static void clock_refused_ms(const struct info *info, struct buf *to)
{
    buf_append_format(to, "%lld", (long long)info->group.clock_refused_ms);
}

/* ---- Stats ---- */

NUMBER_FIELD(connections_received, info->hub.connections_received)
NUMBER_FIELD(commands_processed, info->hub.commands_processed)
NUMBER_FIELD(net_input, info->hub.bytes_in)
NUMBER_FIELD(net_output, info->hub.bytes_out)
NUMBER_FIELD(rejected_connections, info->hub.rejected_connections)
NUMBER_FIELD(expired_keys, info->group.expired_keys)
NUMBER_FIELD(evicted_keys, 0)
NUMBER_FIELD(output_limit_closes, info->hub.output_limit_closes)
NUMBER_FIELD(query_limit_closes, info->hub.query_limit_closes)
NUMBER_FIELD(commands_logged, info->group.commands_logged)
NUMBER_FIELD(inline_reads, info->hub.inline_reads)
NUMBER_FIELD(queued_reads, info->hub.queued_reads)
NUMBER_FIELD(cold_reads, info->hub.cold_reads)
NUMBER_FIELD(read_retries, info->hub.read_retries)

/* ---- Replication, CPU, cluster ---- */

TEXT_FIELD(role, "master")
NUMBER_FIELD(connected_slaves, 0)
NUMBER_FIELD(repl_offset, info->group.applied_index)
NUMBER_FIELD(cluster_enabled, 0)

static void put_time(struct buf *to, struct timeval time)
{
    buf_append_format(to, "%lld.%06lld", (long long)time.tv_sec, (long long)time.tv_usec);
}

static void cpu_sys(const struct info *info, struct buf *to)
{
    put_time(to, info->usage.ru_stime);
}

static void cpu_user(const struct info *info, struct buf *to)
{
    put_time(to, info->usage.ru_utime);
}

static const struct info_row rows[] = {
    {"Server", "redis_version", redis_version},
    {"Server", "ferric_version", ferric_version},
    {"Server", "redis_mode", redis_mode},
    {"Server", "os", os_name},
    {"Server", "arch_bits", arch_bits},
    {"Server", "multiplexing_api", multiplexing_api},
    {"Server", "process_id", process_id},
    {"Server", "run_id", run_id},
    {"Server", "tcp_port", tcp_port},
    {"Server", "server_time_usec", server_time_usec},
    {"Server", "uptime_in_seconds", uptime_s},
    {"Server", "uptime_in_days", uptime_days},
    {"Server", "ferric_shards", group_shards},
    {"Server", "ferric_placement", placement},
    {"Server", "loop_longest_turn_us", loop_longest_turn_us},
    {"Server", "loop_long_turns", loop_long_turns},
    {"Server", "loop_turns", loop_turns},
    {"Server", "loop_wakeups", loop_wakeups},
    {"Clients", "connected_clients", connected_clients},
    {"Clients", "maxclients", maxclients},
    {"Clients", "blocked_clients", blocked_clients},
    {"Memory", "used_memory", used_memory},
    {"Memory", "used_memory_rss", used_memory_rss},
    {"Memory", "keydir_bytes", keydir_bytes},
    {"Memory", "expiry_bytes", expiry_bytes},
    {"Memory", "retired_bytes", retired_bytes},
    {"Memory", "unwritten_bytes", unwritten_bytes},
    {"Memory", "cold_keys", cold_keys},
    {"Memory", "maxmemory", maxmemory},
    {"Memory", "maxmemory_policy", maxmemory_policy},
    {"Memory", "mem_allocator", mem_allocator},
    {"Persistence", "loading", loading},
    {"Persistence", "aof_enabled", aof_enabled},
    {"Persistence", "aof_last_write_status", aof_write_status},
    {"Persistence", "checkpoint_in_progress", checkpoint_running},
    {"Persistence", "checkpoints", checkpoints},
    {"Persistence", "checkpoint_number", checkpoint_number},
    {"Persistence", "checkpoint_index", checkpoint_index},
    {"Persistence", "checkpoint_last_time", checkpoint_last_s},
    {"Persistence", "checkpoint_last_us", checkpoint_last_us},
    {"Persistence", "raft_term", raft_term},
    {"Persistence", "commit_index", commit_index},
    {"Persistence", "applied_index", applied_index},
    {"Persistence", "log_writer", log_writer},
    {"Persistence", "log_entries_frames", log_entries_frames},
    {"Persistence", "log_other_frames", log_other_frames},
    {"Persistence", "log_bytes", log_bytes},
    {"Persistence", "log_live_bytes", log_live_bytes},
    {"Persistence", "log_segments", log_segments},
    {"Persistence", "log_spare_segments", log_spares},
    {"Persistence", "log_segments_recycled", log_recycled},
    {"Persistence", "log_segments_prepared", log_prepared},
    {"Persistence", "data_files", data_files},
    {"Persistence", "data_bytes", data_bytes},
    {"Persistence", "data_rotations", data_rotations},
    {"Persistence", "replayed_commands", replayed_commands},
    {"Persistence", "clock_ms", clock_ms},
    {"Persistence", "clock_refused_ms", clock_refused_ms},
    {"Stats", "total_connections_received", connections_received},
    {"Stats", "total_commands_processed", commands_processed},
    {"Stats", "total_net_input_bytes", net_input},
    {"Stats", "total_net_output_bytes", net_output},
    {"Stats", "rejected_connections", rejected_connections},
    {"Stats", "expired_keys", expired_keys},
    {"Stats", "evicted_keys", evicted_keys},
    {"Stats", "client_output_buffer_limit_disconnections", output_limit_closes},
    {"Stats", "client_query_buffer_limit_disconnections", query_limit_closes},
    {"Stats", "commands_logged", commands_logged},
    {"Stats", "reads_inline", inline_reads},
    {"Stats", "reads_queued", queued_reads},
    {"Stats", "reads_cold", cold_reads},
    {"Stats", "reads_retried", read_retries},
    {"Replication", "role", role},
    {"Replication", "connected_slaves", connected_slaves},
    {"Replication", "master_repl_offset", repl_offset},
    {"CPU", "used_cpu_sys", cpu_sys},
    {"CPU", "used_cpu_user", cpu_user},
    {"Cluster", "cluster_enabled", cluster_enabled},
};

/* ---- Putting it together ---- */

static uint64_t read_rss(void)
{
    char text[128];
    struct file *file;
    if (fs_open(fs_posix(), "/proc/self/statm", FS_READ, &file) != 0)
        return 0;
    ssize_t len = file_pread(file, text, sizeof(text) - 1, 0);
    file_unref(file);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    unsigned long long total = 0;
    unsigned long long resident = 0;
    if (sscanf(text, "%llu %llu", &total, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
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
        .rss_bytes = read_rss(),
    };
    getrusage(RUSAGE_SELF, &info.usage);
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
    .group = "server",
    .since = "1.0.0",
    .complexity = "O(1)",
    .summary = "Returns information and statistics about the server.",
    .syntax = "[section [section ...]]",
    .run = run_info,
}};

const struct command_family info_family = {
    .name = "info", .rows = command_rows, .row_count = ARRAY_COUNT(command_rows)};
