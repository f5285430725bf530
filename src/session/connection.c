/* SPDX-License-Identifier: Apache-2.0 */
/* PING ECHO HELLO AUTH SELECT QUIT RESET. */
#include "base/num.h"
#include "command/args.h"
#include "session/multi_internal.h"

static void reply_pong_to_subscriber(struct call *call)
{
    reply_array(call->reply, 2);
    reply_bulk_str(call->reply, "pong");
    reply_bulk(call->reply, call->argc == 2 ? call->argv[1] : SLICE_EMPTY);
}

static int run_ping(struct call *call)
{
    if (call->argc > 2)
        args_reply_arity(call->reply, call->row);
    else if (session_is_subscribed(call->session) && call->session->proto == 2)
        reply_pong_to_subscriber(call);
    else if (call->argc == 2)
        reply_bulk(call->reply, call->argv[1]);
    else
        reply_status(call->reply, "PONG");
    return 0;
}

static int run_echo(struct call *call)
{
    reply_bulk(call->reply, call->argv[1]);
    return 0;
}

static int run_quit(struct call *call)
{
    reply_ok(call->reply);
    session_close_after_reply(call->session);
    return 0;
}

static bool parse_db(struct session *session, struct slice text, int64_t *out_db)
{
    if (!num_parse_i64(text, out_db))
        return false;
    return *out_db >= 0 &&
           *out_db < (int64_t)group_database_count(session->host->hub->options.group);
}

static int run_select(struct call *call)
{
    int64_t db;
    if (!args_int32(call, 1, &db))
        return 0;
    if (!parse_db(call->session, call->argv[1], &db)) {
        reply_error(call->reply, TEXT_DB_RANGE);
        return 0;
    }
    call->session->db = (uint16_t)db;
    reply_ok(call->reply);
    return 0;
}

void multi_note_select(struct session *session, const struct command_row *row,
                       const struct slice *argv, uint32_t argc)
{
    int64_t db;
    if (row->run == run_select && argc == 2 && parse_db(session, argv[1], &db))
        session->multi_db = (uint16_t)db;
}

/* Compares in time that does not depend on where the texts differ. */
static bool is_same_secret(struct slice a, struct slice b)
{
    uint8_t differing = a.len != b.len;
    for (size_t i = 0; i < a.len; i++)
        differing |= (uint8_t)(a.data[i] ^ (b.len == 0 ? 1 : b.data[i % b.len]));
    return differing == 0;
}

/* True if user and password are right. */
static bool authenticate(struct session *session, struct slice user, struct slice password)
{
    struct hub *hub = session->host->hub;
    struct buf expected = {0};
    hub_password(hub, &expected);
    bool is_right = slice_is(user, "default") &&
                    (expected.len == 0 || is_same_secret(password, buf_slice(&expected)));
    buf_fini(&expected);
    if (is_right)
        session->is_authenticated = true;
    return is_right;
}

#define TEXT_WRONGPASS "WRONGPASS invalid username-password pair or user is disabled."

static int run_auth(struct call *call)
{
    struct session *session = call->session;
    bool has_user = call->argc == 3;
    if (call->argc > 3) {
        reply_error(call->reply, TEXT_SYNTAX);
        return 0;
    }
    if (!has_user && !atomic_load(&session->host->hub->settings.needs_auth)) {
        reply_error(call->reply,
                    "ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?");
        return 0;
    }
    struct slice user = has_user ? call->argv[1] : SLICE_LIT("default");
    if (authenticate(session, user, call->argv[call->argc - 1]))
        reply_ok(call->reply);
    else
        reply_error(call->reply, TEXT_WRONGPASS);
    return 0;
}

struct hello {
    int64_t proto;
    bool has_auth;
    struct slice user;
    struct slice password;
    bool has_name;
    struct slice name;
};

/* Reads HELLO's arguments; false after an error has been replied. */
static bool read_hello(struct call *call, struct hello *hello)
{
    hello->proto = call->session->proto;
    if (call->argc >= 2 && !num_parse_i64(call->argv[1], &hello->proto)) {
        reply_error(call->reply, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (hello->proto < 2 || hello->proto > 3) {
        reply_error(call->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    uint32_t i = 2;
    while (i < call->argc) {
        struct slice word = call->argv[i];
        uint32_t left = call->argc - i - 1;
        if (slice_is(word, "auth") && left >= 2) {
            hello->has_auth = true;
            hello->user = call->argv[i + 1];
            hello->password = call->argv[i + 2];
            i += 3;
        } else if (slice_is(word, "setname") && left >= 1) {
            hello->has_name = true;
            hello->name = call->argv[i + 1];
            if (!session_check_name(hello->name, call->reply))
                return false;
            i += 2;
        } else {
            reply_errorf(call->reply, "ERR Syntax error in HELLO option '%.*s'",
                         SLICE_FMT(slice_sub(word, 0, 128)));
            return false;
        }
    }
    return true;
}

static void reply_hello(struct call *call)
{
    struct session *session = call->session;
    struct reply *reply = call->reply;
    reply->proto = session->proto;
    reply_map(reply, 7);
    reply_bulk_str(reply, "server");
    reply_bulk_str(reply, "redis");
    reply_bulk_str(reply, "version");
    reply_bulk_str(reply, session->host->hub->options.server_version);
    reply_bulk_str(reply, "proto");
    reply_int(reply, session->proto);
    reply_bulk_str(reply, "id");
    reply_int(reply, (int64_t)session->id);
    reply_bulk_str(reply, "mode");
    reply_bulk_str(reply, "standalone");
    reply_bulk_str(reply, "role");
    reply_bulk_str(reply, "master");
    reply_bulk_str(reply, "modules");
    reply_array(reply, 0);
}

static int run_hello(struct call *call)
{
    struct session *session = call->session;
    struct hello hello = {0};
    if (!read_hello(call, &hello))
        return 0;
    if (hello.has_auth && !authenticate(session, hello.user, hello.password)) {
        reply_error(call->reply, TEXT_WRONGPASS);
        return 0;
    }
    if (!session->is_authenticated) {
        reply_error(call->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise "
                    "the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
                    "client and select the RESP protocol version at the same time");
        return 0;
    }
    if (hello.has_name)
        session_set_name(session, hello.name);
    session->proto = (uint8_t)hello.proto;
    reply_hello(call);
    return 0;
}

void session_reset(struct session *session)
{
    multi_reset(session);
    session_forget_topics(session);
    tracking_end(session);
    session->db = 0;
    session->proto = 2;
    session->reply_mode = REPLY_ON;
    session->is_no_evict = false;
    session->is_no_touch = false;
    monitor_forget(session);
    buf_fini(&session->name);
    session->is_authenticated = !atomic_load(&session->host->hub->settings.needs_auth);
}

static int run_reset(struct call *call)
{
    session_reset(call->session);
    call->reply->proto = 2;
    reply_status(call->reply, "RESET");
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "ping",
        .arity = {1, ARITY_ANY},
        .flags = CMD_FAST | CMD_SUBSCRIBED,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .tips = "request_policy:all_shards response_policy:all_succeeded",
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns the server's liveliness response.",
        .syntax = "[message]",
        .run = run_ping,
    },
    {
        .name = "echo",
        .arity = {2, 2},
        .flags = CMD_FAST | CMD_LOADING | CMD_STALE,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Returns the given string.",
        .syntax = "message",
        .run = run_echo,
    },
    {
        .name = "hello",
        .arity = {1, ARITY_ANY},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "6.0.0",
        .complexity = "O(1)",
        .summary = "Handshakes with the Redis server.",
        .syntax = "[protover [AUTH username password] [SETNAME clientname]]",
        .run = run_hello,
    },
    {
        .name = "auth",
        .arity = {2, ARITY_ANY},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(N) where N is the number of passwords defined for the user",
        .summary = "Authenticates the connection.",
        .syntax = "[username] password",
        .run = run_auth,
    },
    {
        .name = "select",
        .arity = {2, 2},
        .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Changes the selected database.",
        .syntax = "index",
        .run = run_select,
    },
    {
        .name = "quit",
        .arity = {1, ARITY_ANY},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY |
                 CMD_IN_MULTI_NOW | CMD_SUBSCRIBED,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Closes the connection.",
        .syntax = "",
        .run = run_quit,
    },
    {
        .name = "reset",
        .arity = {1, 1},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY |
                 CMD_IN_MULTI_NOW | CMD_SUBSCRIBED,
        .scope = SCOPE_NODE,
        .categories = "fast connection",
        .group = "connection",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Resets the connection.",
        .syntax = "",
        .run = run_reset,
    },
};

const struct command_family connection_family = {
    .name = "connection", .rows = rows, .row_count = ARRAY_COUNT(rows)};
