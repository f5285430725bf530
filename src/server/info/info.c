/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: which sections are asked for, and putting them together. */
#include "server/info/info_internal.h"

#include "command/args.h"

void info_begin(struct info *info, struct server *server, const struct command_table *table)
{
    struct group *group = server_group(server);
    *info = (struct info){
        .server = server,
        .table = table,
        .group = group_stats(group),
        .hub = hub_stats(server_hub(server)),
        .now_ms = clock_wall_ms(clock_posix()),
        .usage = process_usage(),
        .memory = mem_stats(),
    };
    for (uint32_t db = 0; db < group_database_count(group); db++)
        info->keys += group_db_stats(group, (uint16_t)db).keys;
    hub_tally(server_hub(server), &info->tally);
}

void info_end(struct info *info)
{
    tally_sum_fini(&info->tally);
}

static uint64_t counted_by_hand(const struct info *info)
{
    return info->group.keydir_bytes + info->group.expiry_bytes + info->group.retired_bytes +
           info->group.unwritten_bytes;
}

uint64_t info_used_memory(const struct info *info)
{
    return info->memory.allocated > 0 ? info->memory.allocated : counted_by_hand(info);
}

uint64_t info_overhead(const struct info *info)
{
    uint64_t used = info_used_memory(info);
    return used > info->group.keydir_bytes ? used - info->group.keydir_bytes : 0;
}

/* ---- Sections ---- */

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

static void put_persistence(const struct info *info, struct buf *to)
{
    info_put_fields(info, "Persistence", to);
    put_loading(info, to);
}

typedef void (*put_fn)(const struct info *info, struct buf *to);

static const struct section {
    const char *name;
    bool is_default;
    put_fn put; /* NULL: its fields are rows */
} sections[] = {
    {"Server", true, NULL},
    {"Clients", true, NULL},
    {"Memory", true, NULL},
    {"Persistence", true, put_persistence},
    {"Stats", true, NULL},
    {"Replication", true, NULL},
    {"CPU", true, NULL},
    {"Modules", true, NULL},
    {"Commandstats", false, info_put_commandstats},
    {"Errorstats", true, info_put_errorstats},
    {"Latencystats", false, info_put_latencystats},
    {"Cluster", true, NULL},
    {"Keyspace", true, info_put_keyspace},
};

static bool wants(const struct call *call, const struct section *section)
{
    if (call->argc == 1)
        return section->is_default;
    for (uint32_t i = 1; i < call->argc; i++) {
        struct slice word = call->argv[i];
        if (slice_is(word, section->name) || slice_is(word, "all") || slice_is(word, "everything"))
            return true;
        if (slice_is(word, "default") && section->is_default)
            return true;
    }
    return false;
}

static int run_info(struct call *call)
{
    struct info info;
    struct config *config = server_config(session_server(call->session));
    info_begin(&info, session_server(call->session), call->table);
    struct buf text = {0};
    lock_take(&config->lock);
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
        if (!wants(call, &sections[i]))
            continue;
        buf_append_format(&text, "%s# %s\r\n", text.len == 0 ? "" : "\r\n", sections[i].name);
        if (sections[i].put != NULL)
            sections[i].put(&info, &text);
        else
            info_put_fields(&info, sections[i].name, &text);
    }
    lock_drop(&config->lock);
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    info_end(&info);
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
