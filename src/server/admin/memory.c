/* SPDX-License-Identifier: Apache-2.0 */
/* MEMORY: where it is, what looks odd about it, and giving it back. The fields are Redis's; those
 * of what Ferric does not have are zero.
 *
 * Keys and values are keydir_bytes; everything else is overhead, so that the two make the whole.
 */
#include <stdio.h>

#include "command/args.h"
#include "command/help.h"
#include "server/info/info_internal.h"
#include "store/expiry.h"

#define LITTLE      (5u * 1024 * 1024)  /* too little to be judged */
#define MUCH        (10u * 1024 * 1024) /* less than this is nobody's loss */
#define CLIENT_MUCH (200u * 1024)

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static uint64_t peak_of(const struct info *info)
{
    uint64_t used = info_used_memory(info);
    return used > info->hub.peak_memory ? used : info->hub.peak_memory;
}

/* ---- STATS ---- */

struct figures {
    struct reply *reply;
    size_t pairs;
};

static void put_int(struct figures *to, const char *name, uint64_t value)
{
    reply_bulk_str(to->reply, name);
    reply_int(to->reply, (int64_t)value);
    to->pairs++;
}

static void put_double(struct figures *to, const char *name, double value)
{
    reply_bulk_str(to->reply, name);
    reply_double(to->reply, value);
    to->pairs++;
}

static void put_database(struct figures *to, uint32_t db, struct store_db_stats stats)
{
    char name[16];
    snprintf(name, sizeof(name), "db.%u", db);
    reply_bulk_str(to->reply, name);
    struct figures inner = {.reply = to->reply};
    reply_map(to->reply, 3);
    put_int(&inner, "overhead.hashtable.main", stats.table_bytes);
    put_int(&inner, "overhead.hashtable.expires", stats.expires * EXPIRY_HINT_BYTES);
    put_int(&inner, "overhead.hashtable.slot-to-keys", 0);
    to->pairs++;
}

static void put_parts(struct figures *to, const struct info *info)
{
    put_int(to, "peak.allocated", peak_of(info));
    put_int(to, "total.allocated", info_used_memory(info));
    put_int(to, "startup.allocated", server_memory_before(info->server));
    put_int(to, "replication.backlog", 0);
    put_int(to, "clients.slaves", 0);
    put_int(to, "clients.normal", info->hub.client_bytes);
    put_int(to, "cluster.links", 0);
    put_int(to, "aof.buffer", info->group.in_flight_bytes);
    put_int(to, "lua.caches", 0);
    put_int(to, "functions.caches", 0);
    const struct group *group = server_group(info->server);
    for (uint32_t db = 0; db < group_database_count(group); db++) {
        struct store_db_stats stats = group_db_stats(group, (uint16_t)db);
        if (stats.keys > 0)
            put_database(to, db, stats);
    }
}

static void put_sums(struct figures *to, const struct info *info)
{
    uint64_t used = info_used_memory(info);
    uint64_t dataset = less(used, info_overhead(info));
    uint64_t since_start = less(used, server_memory_before(info->server));
    put_int(to, "overhead.total", info_overhead(info));
    put_int(to, "keys.count", info->keys);
    put_int(to, "keys.bytes-per-key", info->keys == 0 ? 0 : since_start / info->keys);
    put_int(to, "dataset.bytes", dataset);
    put_double(to, "dataset.percentage", 100 * ratio(dataset, used));
    put_double(to, "peak.percentage", 100 * ratio(used, peak_of(info)));
}

static void put_allocator(struct figures *to, const struct info *info)
{
    const struct mem_stats *memory = &info->memory;
    uint64_t resident = info->usage.resident_bytes;
    uint64_t used = info_used_memory(info);
    put_int(to, "allocator.allocated", used);
    put_int(to, "allocator.active", memory->active);
    put_int(to, "allocator.resident", memory->resident);
    put_double(to, "allocator-fragmentation.ratio", ratio(memory->active, memory->allocated));
    put_int(to, "allocator-fragmentation.bytes", less(memory->active, memory->allocated));
    put_double(to, "allocator-rss.ratio", ratio(memory->resident, memory->active));
    put_int(to, "allocator-rss.bytes", less(memory->resident, memory->active));
    put_double(to, "rss-overhead.ratio", ratio(resident, memory->resident));
    put_int(to, "rss-overhead.bytes", less(resident, memory->resident));
    put_double(to, "fragmentation", ratio(resident, used));
    put_int(to, "fragmentation.bytes", less(resident, used));
}

static int run_stats(struct call *call)
{
    struct info info;
    struct buf body = {0};
    struct reply inner = reply_to(&body, call->reply->proto);
    struct figures figures = {.reply = &inner};
    info_begin(&info, session_server(call->session), call->table);
    put_parts(&figures, &info);
    put_sums(&figures, &info);
    put_allocator(&figures, &info);
    info_end(&info);
    reply_map(call->reply, figures.pairs);
    buf_append_slice(call->reply->out, buf_slice(&body));
    buf_fini(&body);
    return 0;
}

/* ---- DOCTOR ---- */

static bool is_lavish(uint64_t taken, uint64_t wanted, double factor)
{
    return less(taken, wanted) > MUCH && ratio(taken, wanted) > factor;
}

static void put_complaints(const struct info *info, struct buf *to)
{
    const struct mem_stats *memory = &info->memory;
    uint64_t used = info_used_memory(info);
    uint64_t clients = info->hub.connected_clients;
    const struct {
        bool is_so;
        const char *text;
    } complaints[] = {
        {is_lavish(peak_of(info), used, 1.5),
         "Peak: much more was in use before than is now. What the allocator has kept of it makes "
         "the figures of fragmentation look worse than they are; MEMORY PURGE gives it back.\n"},
        {is_lavish(memory->active, memory->allocated, 1.1),
         "Fragmentation: pages are held for little that is left on them.\n"},
        {is_lavish(memory->resident, memory->active, 1.1),
         "Allocator: it holds pages that nothing is on; MEMORY PURGE gives them back.\n"},
        {is_lavish(info->usage.resident_bytes, memory->resident, 1.1) && memory->resident > 0,
         "Process: memory is resident that the allocator knows nothing of.\n"},
        {clients > 0 && info->hub.client_bytes / clients > CLIENT_MUCH,
         "Clients: connections hold much for replies that are not fetched, or for large "
         "requests; CLIENT LIST shows which.\n"},
        {info->group.retired_bytes > MUCH,
         "Deleted keys: much of what was deleted or replaced is still to be freed.\n"},
        {info->group.unwritten_bytes > MUCH,
         "Data files: records pile up in memory; the disk is slower than the writes.\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(complaints); i++) {
        if (complaints[i].is_so)
            buf_append_str(to, complaints[i].text);
    }
}

static int run_doctor(struct call *call)
{
    struct info info;
    struct buf text = {0};
    info_begin(&info, session_server(call->session), call->table);
    if (info_used_memory(&info) < LITTLE)
        buf_append_str(&text, "So little memory is in use that nothing can be said of it.\n");
    else
        put_complaints(&info, &text);
    info_end(&info);
    if (text.len == 0)
        buf_append_str(&text, "Nothing looks odd about the memory.\n");
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

/* ---- The allocator ---- */

static void append_text(void *ctx, const char *text)
{
    buf_append_str(ctx, text);
}

static int run_malloc_stats(struct call *call)
{
    struct buf text = {0};
    mem_report(append_text, &text);
    if (text.len == 0)
        buf_append_str(&text, "The allocator has no report.\n");
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

static int run_purge(struct call *call)
{
    mem_purge();
    reply_ok(call->reply);
    return 0;
}

/* ---- Rows ---- */

#define MEMORY_ROW(row_name, row_tips, row_complexity, row_summary, row_run)                      \
    {                                                                                             \
        .name = (row_name), .parent = "memory", .arity = {2, 2}, .scope = SCOPE_NODE,             \
        .categories = "slow", .tips = (row_tips), .group = "server", .since = "4.0.0",            \
        .complexity = (row_complexity), .summary = (row_summary), .syntax = "", .run = (row_run), \
    }
#define REPORT    "nondeterministic_output request_policy:all_shards response_policy:special"
#define ACTION    "request_policy:all_shards response_policy:all_succeeded"
#define ALLOCATOR "Depends on how much memory is allocated, could be slow"

static const struct command_row rows[] = {
    MEMORY_ROW("doctor", REPORT, "O(1)", "Says what looks odd about the use of memory.",
               run_doctor),
    MEMORY_ROW("malloc-stats", REPORT, ALLOCATOR, "Returns the allocator's own report.",
               run_malloc_stats),
    MEMORY_ROW("purge", ACTION, ALLOCATOR, "Gives free memory back to the system.", run_purge),
    MEMORY_ROW("stats", REPORT, "O(1)", "Returns where memory is.", run_stats),
};

const struct command_family server_memory_family = {
    .name = "server-memory", .rows = rows, .row_count = ARRAY_COUNT(rows)};
