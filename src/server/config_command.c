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

/* The name under which CONFIG GET shows it: as it was asked for, its own if it fits a pattern;
 * empty if it was not asked for. */
static struct slice name_wanted(const struct call *call, const char *name, bool is_hidden)
{
    struct slice found = SLICE_EMPTY;
    for (uint32_t i = 2; i < call->argc; i++) {
        if (!is_pattern(call->argv[i])) {
            if (slice_is(call->argv[i], name))
                return call->argv[i];
        } else if (!is_hidden && glob_match(call->argv[i], slice_str(name), true)) {
            found = slice_str(name);
        }
    }
    return found;
}

static size_t show(struct call *call, const struct config *config, enum config_id id,
                   const char *name)
{
    struct slice shown = name_wanted(call, name, config_row(id)->is_hidden);
    if (shown.len == 0)
        return 0;
    struct buf value = {0};
    config_format(config, id, &value);
    reply_bulk(call->reply, shown);
    reply_bulk(call->reply, buf_slice(&value));
    buf_fini(&value);
    return 1;
}

static int run_get(struct call *call)
{
    struct config *config = server_config(session_server(call->session));
    size_t mark = reply_array_begin(call->reply);
    size_t count = 0;
    lock_take(&config->lock);
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        const struct config_row *row = config_row((enum config_id)i);
        count += show(call, config, (enum config_id)i, row->name);
        if (row->alias != NULL)
            count += show(call, config, (enum config_id)i, row->alias);
    }
    lock_drop(&config->lock);
    reply_map_end(call->reply, mark, count);
    return 0;
}

/* ---- SET ---- */

/* All pairs of one command; `argv` begins with the first. */
struct change {
    struct server *server;
    const struct slice *argv;
    uint32_t argc;
    struct reply *reply;
};

static void reply_failed(const struct change *change, struct slice name, const char *why)
{
    reply_errorf(change->reply, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
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

static bool is_named_before(const struct change *change, uint32_t nth)
{
    for (uint32_t i = 0; i < nth; i += 2) {
        if (slice_eq_nocase(change->argv[i], change->argv[nth]))
            return true;
    }
    return false;
}

/* May these be set, all of them once? False after an error. */
static bool check_names(const struct change *change)
{
    const struct config *config = server_config(change->server);
    for (uint32_t i = 0; i < change->argc; i += 2) {
        enum config_id id;
        struct slice name = change->argv[i];
        const struct config_row *row = config_find(name, &id);
        if (row == NULL) {
            reply_errorf(change->reply,
                         "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                         SLICE_FMT(slice_sub(name, 0, 100)));
            return false;
        }
        /* What has the value already is left as it is, even so. */
        if (!row->is_live && !config_is_now(config, id, change->argv[i + 1])) {
            reply_failed(change, name, "can't set immutable config");
            return false;
        }
        if (is_named_before(change, i)) {
            reply_failed(change, name, "duplicate parameter");
            return false;
        }
    }
    return true;
}

/* False after an error. */
static bool check_values(const struct change *change)
{
    for (uint32_t i = 0; i < change->argc; i += 2) {
        enum config_id id;
        const struct config_row *row = config_find(change->argv[i], &id);
        struct slice words[CONFIG_MAX_WORDS];
        size_t count = config_words(row, change->argv[i + 1], words);
        struct diag diag = {.text = ""};
        if (config_check(id, words, count, &diag) != 0 || !can_serve(id, words[0], &diag)) {
            reply_failed(change, change->argv[i], diag.text);
            return false;
        }
    }
    return true;
}

/* The argument that is another port than now, or NULL. */
static const struct slice *new_port(const struct change *change)
{
    const struct config *config = server_config(change->server);
    for (uint32_t i = 0; i < change->argc; i += 2) {
        enum config_id id;
        if (config_find(change->argv[i], &id) != NULL && id == CONF_PORT &&
            !config_is_now(config, id, change->argv[i + 1]))
            return &change->argv[i];
    }
    return NULL;
}

/* The port is the only one that may fail when it is made to count, so it comes before the others.
 * False after an error. */
static bool move_port(const struct change *change)
{
    struct config *config = server_config(change->server);
    const struct slice *port = new_port(change);
    if (port == NULL)
        return true;
    struct diag diag = {.text = ""};
    uint64_t before = config_number(config, CONF_PORT);
    IGNORE(config_set(config, CONF_PORT, port + 1, 1, NULL), "checked above");
    if (server_change_port(change->server, &diag) == 0)
        return true;
    config->values[CONF_PORT].number = before;
    struct buf why = {0};
    buf_append_format(&why, "Unable to listen on this port: %.400s", diag.text);
    buf_append_byte(&why, '\0');
    reply_failed(change, port[0], (const char *)why.data);
    buf_fini(&why);
    return false;
}

/* All is checked before the first is set. With the configuration's lock held. */
static void make_change(const struct change *change)
{
    struct config *config = server_config(change->server);
    if (!check_names(change) || !check_values(change) || !move_port(change))
        return;
    for (uint32_t i = 0; i < change->argc; i += 2) {
        enum config_id id;
        const struct config_row *row = config_find(change->argv[i], &id);
        struct slice words[CONFIG_MAX_WORDS];
        size_t count = config_words(row, change->argv[i + 1], words);
        if (row->is_live) {
            IGNORE(config_set(config, id, words, count, NULL), "checked above");
            config_remark(config, id);
        }
    }
    server_apply(change->server);
    server_log_remarks(change->server);
    reply_ok(change->reply);
}

/* A change that has to be made where the listeners live. */
struct moving {
    struct loop_post post;
    struct server *server;
    struct loop *home;
    struct session_ticket *ticket;
    struct slice *argv;
    uint32_t argc;
    struct buf bytes;
    struct buf out;
};

static void on_moved(struct loop_post *post)
{
    struct moving *moving = CONTAINER_OF(post, struct moving, post);
    session_answer(moving->ticket, buf_slice(&moving->out));
    mem_free(moving->argv);
    buf_fini(&moving->bytes);
    buf_fini(&moving->out);
    mem_free(moving);
}

static void on_move(struct loop_post *post)
{
    struct moving *moving = CONTAINER_OF(post, struct moving, post);
    struct config *config = server_config(moving->server);
    struct reply reply = reply_to(&moving->out, session_ticket_proto(moving->ticket));
    lock_take(&config->lock);
    make_change(&(struct change){
        .server = moving->server, .argv = moving->argv, .argc = moving->argc, .reply = &reply});
    lock_drop(&config->lock);
    moving->post.run = on_moved;
    loop_post(moving->home, &moving->post);
}

static void begin_move(struct call *call, const struct change *change)
{
    struct moving *moving = mem_calloc(1, sizeof(*moving));
    moving->server = change->server;
    moving->home = session_loop(call->session);
    moving->argv = mem_calloc(change->argc, sizeof(*moving->argv));
    moving->argc = change->argc;
    size_t size = 0;
    for (uint32_t i = 0; i < change->argc; i++)
        size += change->argv[i].len;
    buf_reserve(&moving->bytes, size);
    for (uint32_t i = 0; i < change->argc; i++) {
        moving->argv[i] = slice_of(moving->bytes.data + moving->bytes.len, change->argv[i].len);
        buf_append_slice(&moving->bytes, change->argv[i]);
    }
    moving->ticket = session_defer(call);
    moving->post.run = on_move;
    loop_post(server_loop(change->server, 0), &moving->post);
}

static int run_set(struct call *call)
{
    struct server *server = session_server(call->session);
    struct config *config = server_config(server);
    const struct change change = {
        .server = server, .argv = call->argv + 2, .argc = call->argc - 2, .reply = call->reply};
    if (call->argc % 2 != 0) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    lock_take(&config->lock);
    bool is_elsewhere =
        new_port(&change) != NULL && session_loop(call->session) != server_loop(server, 0);
    if (!is_elsewhere)
        make_change(&change);
    lock_drop(&config->lock);
    if (is_elsewhere)
        begin_move(call, &change);
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
