/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG. */
#include "base/err.h"
#include "base/glob.h"
#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "command/help.h"
#include "server/server.h"

static bool is_pattern(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (c == '*' || c == '?' || c == '[')
            return true;
    }
    return false;
}

/* The name under which CONFIG GET shows the row: as it was asked for, its own if it fits a pattern;
 * empty if it was not asked for. */
static struct slice name_wanted(const struct call *call, const char *name)
{
    struct slice found = SLICE_EMPTY;
    for (uint32_t i = 2; i < call->argc; i++) {
        if (!is_pattern(call->argv[i])) {
            if (slice_is(call->argv[i], name))
                return call->argv[i];
        } else if (glob_match(call->argv[i], slice_str(name), true)) {
            found = slice_str(name);
        }
    }
    return found;
}

static int run_get(struct call *call)
{
    struct config *config = server_config(session_server(call->session));
    size_t mark = reply_array_begin(call->reply);
    size_t count = 0;
    lock_take(&config->lock);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        struct slice name = name_wanted(call, config_row((enum config_id)i)->name);
        if (name.len == 0)
            continue;
        struct buf value = {0};
        config_format(config, (enum config_id)i, &value);
        reply_bulk(call->reply, name);
        reply_bulk(call->reply, buf_slice(&value));
        buf_fini(&value);
        count++;
    }
    lock_drop(&config->lock);
    reply_map_end(call->reply, mark, count);
    return 0;
}

/* Splits a value of a directive that takes several words. */
static size_t words_of(struct slice value, struct slice *words, size_t max)
{
    size_t count = 0;
    while (count < max) {
        while (value.len > 0 && value.data[0] == ' ')
            value = slice_sub(value, 1, SIZE_MAX);
        if (value.len == 0)
            break;
        const uint8_t *blank = memchr(value.data, ' ', value.len);
        size_t len = blank == NULL || count == max - 1 ? value.len : (size_t)(blank - value.data);
        words[count++] = slice_sub(value, 0, len);
        value = slice_sub(value, len, SIZE_MAX);
    }
    if (count == 0)
        words[count++] = SLICE_EMPTY;
    return count;
}

static void reply_failed(struct call *call, struct slice name, const char *why)
{
    reply_errorf(call->reply, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                 SLICE_FMT(slice_sub(name, 0, 100)), why);
}

/* Are there descriptors for so many clients? */
static bool can_serve(enum config_id id, struct slice value, struct diag *diag)
{
    uint64_t wanted;
    if (id != CONF_MAX_CLIENTS || !num_parse_u64(value, &wanted))
        return true;
    uint64_t fits = server_clients_that_fit(wanted);
    if (fits >= wanted)
        return true;
    diag_set(diag, ERR_INVALID,
             "The operating system is not able to handle the specified number of clients, try with "
             "%llu",
             (unsigned long long)fits);
    return false;
}

/* May these be set, all of them once? False after an error. */
static bool check_names(struct call *call)
{
    for (uint32_t i = 2; i + 1 < call->argc; i += 2) {
        enum config_id id;
        const struct config_row *row = config_find(call->argv[i], &id);
        if (row == NULL) {
            reply_errorf(call->reply,
                         "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                         SLICE_FMT(slice_sub(call->argv[i], 0, 100)));
            return false;
        }
        if (!row->is_live) {
            reply_failed(call, call->argv[i], "can't set immutable config");
            return false;
        }
        for (uint32_t j = 2; j < i; j += 2) {
            if (slice_eq_nocase(call->argv[j], call->argv[i])) {
                reply_failed(call, call->argv[i], "duplicate parameter");
                return false;
            }
        }
    }
    return true;
}

/* False after an error. */
static bool check_values(struct call *call)
{
    for (uint32_t i = 2; i + 1 < call->argc; i += 2) {
        enum config_id id;
        const struct config_row *row = config_find(call->argv[i], &id);
        struct slice words[16];
        size_t count = row->takes_many ? words_of(call->argv[i + 1], words, 16) : 1;
        if (!row->takes_many)
            words[0] = call->argv[i + 1];
        struct diag diag = {.text = ""};
        if (config_check(id, words, count, &diag) != 0 || !can_serve(id, words[0], &diag)) {
            reply_failed(call, call->argv[i], diag.text);
            return false;
        }
    }
    return true;
}

static int run_set(struct call *call)
{
    struct server *server = session_server(call->session);
    struct config *config = server_config(server);
    if (call->argc % 2 != 0) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    /* All is checked before the first is set. */
    if (!check_names(call) || !check_values(call))
        return 0;
    lock_take(&config->lock);
    for (uint32_t i = 2; i < call->argc; i += 2) {
        enum config_id id;
        const struct config_row *row = config_find(call->argv[i], &id);
        struct slice words[16] = {call->argv[i + 1]};
        size_t count = row->takes_many ? words_of(call->argv[i + 1], words, 16) : 1;
        IGNORE(config_set(config, id, words, count, NULL), "checked above");
    }
    server_apply(server);
    server_log_remarks(server);
    lock_drop(&config->lock);
    reply_ok(call->reply);
    return 0;
}

/* ---- REWRITE ---- */

struct rewrite_job {
    struct pool_job job;
    struct config *config;
    struct session_ticket *ticket;
    int error;
    struct diag diag;
};

static void run_rewrite_job(struct pool_job *job)
{
    struct rewrite_job *rewrite = CONTAINER_OF(job, struct rewrite_job, job);
    rewrite->error = config_rewrite_file(rewrite->config, &rewrite->diag);
}

static void on_rewritten(struct pool_job *job)
{
    struct rewrite_job *rewrite = CONTAINER_OF(job, struct rewrite_job, job);
    struct buf out = {0};
    struct reply reply = reply_to(&out, session_ticket_proto(rewrite->ticket));
    if (rewrite->error == 0)
        reply_ok(&reply);
    else
        reply_errorf(&reply, "ERR Rewriting config file: %s", rewrite->diag.text);
    session_answer(rewrite->ticket, buf_slice(&out));
    buf_fini(&out);
    mem_free(rewrite);
}

static int run_rewrite(struct call *call)
{
    struct server *server = session_server(call->session);
    struct config *config = server_config(server);
    if (config->path == NULL) {
        reply_error(call->reply, "ERR The server is running without a config file");
        return 0;
    }
    struct rewrite_job *rewrite = mem_calloc(1, sizeof(*rewrite));
    rewrite->config = config;
    rewrite->ticket = session_defer(call);
    pool_submit(server_pool(server), POOL_SYNC, &rewrite->job, session_loop(call->session),
                run_rewrite_job, on_rewritten);
    return 0;
}

static int run_resetstat(struct call *call)
{
    server_reset_stats(session_server(call->session));
    reply_ok(call->reply);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "config",
        .arity = {2, ARITY_ANY},
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "2.0.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for server configuration commands.",
        .syntax = "",
    },
    {
        .name = "get",
        .parent = "config",
        .arity = {3, ARITY_ANY},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(N) when N is the number of configuration parameters provided",
        .summary = "Returns the effective values of configuration parameters.",
        .syntax = "parameter [parameter ...]",
        .run = run_get,
    },
    {
        .name = "help",
        .parent = "config",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "slow",
        .group = "server",
        .since = "5.0.0",
        .complexity = "O(1)",
        .summary = "Returns helpful text about the different subcommands.",
        .syntax = "",
        .run = help_run,
    },
    {
        .name = "resetstat",
        .parent = "config",
        .arity = {2, 2},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .tips = "request_policy:all_nodes response_policy:all_succeeded",
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Resets the server's statistics.",
        .syntax = "",
        .run = run_resetstat,
    },
    {
        .name = "rewrite",
        .parent = "config",
        .arity = {2, 2},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .tips = "request_policy:all_nodes response_policy:all_succeeded",
        .group = "server",
        .since = "2.8.0",
        .complexity = "O(N), N being the size of the file",
        .summary = "Writes the effective configuration to its file.",
        .syntax = "",
        .run = run_rewrite,
    },
    {
        .name = "set",
        .parent = "config",
        .arity = {4, ARITY_ANY},
        .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "admin slow dangerous",
        .tips = "request_policy:all_nodes response_policy:all_succeeded",
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(N) when N is the number of configuration parameters provided",
        .summary = "Sets configuration parameters in-flight.",
        .syntax = "parameter value [parameter value ...]",
        .run = run_set,
    },
};

const struct command_family config_family = {
    .name = "config", .rows = rows, .row_count = ARRAY_COUNT(rows)};
