/* SPDX-License-Identifier: Apache-2.0 */
/* Steps whose ops touch several keys at once. */
#include <inttypes.h>
#include <stdarg.h>

#include "base/assert.h"
#include "base/num.h"
#include "linear/steps.h"

#define WIDE_KEYS  32 /* a group over all shards */
#define CLOSE_KEYS 8  /* a group in one slot */
#define MOVE_KEYS  3
#define ACCOUNTS   6
#define LOGS       6

#define TEXT_SIZE 4096

struct text {
    char bytes[TEXT_SIZE];
    size_t len;
};

static void PRINTF_LIKE(2, 3) put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->bytes + text->len, TEXT_SIZE - text->len, format, args);
    va_end(args);
    ASSERT(len >= 0 && (size_t)len < TEXT_SIZE - text->len);
    text->len += (size_t)len;
}

/* ---- Groups ---- */

struct group {
    const char *before; /* of the round's name, in each key */
    const char *after;
    unsigned count;
};

static const struct group groups[] = {
    {.before = "", .after = ":wide", .count = WIDE_KEYS},
    {.before = "{", .after = "}:close", .count = CLOSE_KEYS},
};

static void put_key(struct text *text, const struct group *group, const char *round, unsigned key)
{
    put(text, " %s%s%s%u", group->before, round, group->after, key);
}

static void put_all_keys(struct text *text, const struct group *group, const char *round,
                         const char *value)
{
    for (unsigned i = 0; i < group->count; i++) {
        put_key(text, group, round, i);
        if (value != NULL)
            put(text, " %s", value);
    }
}

static enum client_result write_group(struct client *client, const struct group *group,
                                      const char *round)
{
    struct token_text token = client_token(client);
    struct text text = {.len = 0};
    switch (client_dice(client, 12)) {
    case 0:
        put(&text, "DEL");
        put_all_keys(&text, group, round, NULL);
        break;
    case 1:
        put(&text, "MSETNX");
        put_all_keys(&text, group, round, token.text);
        break;
    case 2:
        for (unsigned i = 0; i < group->count; i++) {
            put(&text, "%s SET", i == 0 ? "" : " ;");
            put_key(&text, group, round, i);
            put(&text, " %s", token.text);
        }
        client_ask_exec(client, "%s", text.bytes + 1);
        return client_send(client);
    default:
        put(&text, "MSET");
        put_all_keys(&text, group, round, token.text);
    }
    client_ask(client, "%s", text.bytes);
    return client_send(client);
}

static enum client_result get_one_by_one(struct client *client, const char *first, const char *last,
                                         bool is_pipelined)
{
    client_ask(client, "GET%s", first);
    if (!is_pipelined) {
        enum client_result result = client_send(client);
        if (result != CLIENT_OK)
            return result;
    }
    client_ask(client, "GET%s", last);
    return client_send(client);
}

/* What is published first and what is published last, mostly: there a half would show. */
static enum client_result read_group(struct client *client, const struct group *group,
                                     const char *round)
{
    struct text first = {.len = 0};
    struct text last = {.len = 0};
    struct text text = {.len = 0};
    put_key(&first, group, round, 0);
    put_key(&last, group, round, group->count - 1);
    unsigned kind = client_dice(client, 12);
    switch (kind) {
    case 0:
        put(&text, "MGET");
        put_all_keys(&text, group, round, NULL);
        break;
    case 1:
        put(&text, "MGET");
        for (unsigned i = 0; i < 3; i++)
            put_key(&text, group, round, client_dice(client, group->count));
        break;
    case 2:
        put(&text, "EXISTS%s%s", first.bytes, last.bytes);
        break;
    case 3:
        client_ask_exec(client, "GET%s ; GET%s", first.bytes, last.bytes);
        return client_send(client);
    case 4:
    case 5:
    case 6:
    case 7:
        return get_one_by_one(client, first.bytes, last.bytes, kind < 6);
    default:
        put(&text, "MGET%s%s", first.bytes, last.bytes);
    }
    client_ask(client, "%s", text.bytes);
    return client_send(client);
}

enum client_result step_groups(struct client *client, const char *round)
{
    const struct group *group = &groups[client_dice(client, ARRAY_COUNT(groups))];
    bool is_writer = client->id % 4 == 0;
    if (client_dice(client, 16) < (is_writer ? 12 : 1))
        return write_group(client, group, round);
    return read_group(client, group, round);
}

/* ---- Moves ---- */

enum client_result step_moves(struct client *client, const char *round)
{
    unsigned from = client_dice(client, MOVE_KEYS);
    unsigned to = (from + 1 + client_dice(client, MOVE_KEYS - 1)) % MOVE_KEYS;
    struct token_text token = client_token(client);
    switch (client_dice(client, 8)) {
    case 0:
        client_ask(client, "SET %s:move%u %s NX", round, from, token.text);
        break;
    case 1:
    case 2:
    case 3:
        client_ask(client, "RENAME %s:move%u %s:move%u", round, from, round, to);
        break;
    case 4:
        client_ask(client, "GET %s:move%u", round, from);
        break;
    default:
        client_ask(client, "MGET %s:move0 %s:move1 %s:move2", round, round, round);
    }
    return client_send(client);
}

/* ---- The bank ---- */

static enum client_result transfer(struct client *client, const char *round, unsigned from,
                                   unsigned to, unsigned amount)
{
    client_ask_exec(client, "DECRBY %s:acct%u %u ; INCRBY %s:acct%u %u", round, from, amount, round,
                    to, amount);
    return client_send(client);
}

/* A balance as it was read: none is 0. False for an error: the server is starting. */
static bool parse_balance(const char *text, int64_t *out)
{
    *out = 0;
    return strcmp(text, "nil") == 0 || num_parse_i64(slice_str(text), out);
}

/* Reads both balances and sets both, if nobody was faster. */
static enum client_result transfer_watched(struct client *client, const char *round, unsigned from,
                                           unsigned to, unsigned amount)
{
    client_ask_aside(client, "WATCH %s:acct%u %s:acct%u", round, from, round, to);
    bool is_pipelined = client_dice(client, 2) == 0;
    enum client_result result = is_pipelined ? CLIENT_OK : client_send(client);
    if (result != CLIENT_OK)
        return result;
    size_t first = is_pipelined ? 1 : 0;
    client_ask(client, "GET %s:acct%u", round, from);
    client_ask(client, "GET %s:acct%u", round, to);
    result = client_send(client);
    if (result != CLIENT_OK)
        return result;
    char from_text[64];
    char to_text[64];
    int64_t from_balance;
    int64_t to_balance;
    snprintf(from_text, sizeof(from_text), "%s", client_reply(client, first));
    snprintf(to_text, sizeof(to_text), "%s", client_reply(client, first + 1));
    if (!parse_balance(from_text, &from_balance) || !parse_balance(to_text, &to_balance)) {
        client_ask_aside(client, "UNWATCH");
        return client_send(client);
    }
    client_ask_exec(client,
                    "WATCHED %s:acct%u %s ; WATCHED %s:acct%u %s ; SET %s:acct%u %" PRId64
                    " ; SET %s:acct%u %" PRId64,
                    round, from, from_text, round, to, to_text, round, from, from_balance - amount,
                    round, to, to_balance + amount);
    return client_send(client);
}

static void put_accounts(struct text *text, const char *round, const char *command)
{
    for (unsigned i = 0; i < ACCOUNTS; i++)
        put(text, "%s %s:acct%u", i == 0 ? "" : command, round, i);
}

enum client_result step_bank(struct client *client, const char *round)
{
    unsigned from = client_dice(client, ACCOUNTS);
    unsigned to = (from + 1 + client_dice(client, ACCOUNTS - 1)) % ACCOUNTS;
    unsigned amount = 1 + client_dice(client, 100);
    struct text text = {.len = 0};
    switch (client_dice(client, 8)) {
    case 0:
    case 1:
        return transfer(client, round, from, to, amount);
    case 2:
    case 3:
    case 4:
        return transfer_watched(client, round, from, to, amount);
    case 5:
        put_accounts(&text, round, " ; GET");
        client_ask_exec(client, "GET%s", text.bytes);
        break;
    default:
        put_accounts(&text, round, "");
        client_ask(client, "MGET%s", text.bytes);
    }
    return client_send(client);
}

/* ---- Appends ---- */

static void ask_append_exec(struct client *client, const char *round)
{
    struct token_text one = client_token(client);
    struct token_text two = client_token(client);
    unsigned a = client_dice(client, LOGS);
    unsigned b = client_dice(client, LOGS);
    unsigned c = client_dice(client, LOGS);
    client_ask_exec(client, "APPEND %s:log%u %s ; GET %s:log%u ; APPEND %s:log%u %s ; GET %s:log%u",
                    round, a, one.text, round, b, round, c, two.text, round, a);
}

static void ask_append(struct client *client, const char *round)
{
    struct token_text token = client_token(client);
    unsigned a = client_dice(client, LOGS);
    unsigned b = client_dice(client, LOGS);
    switch (client_dice(client, 8)) {
    case 0:
        ask_append_exec(client, round);
        break;
    case 1:
        client_ask_exec(client, "GET %s:log%u ; GET %s:log%u", round, a, round, b);
        break;
    case 2:
    case 3:
        client_ask(client, "MGET %s:log%u %s:log%u", round, a, round, b);
        break;
    case 4:
    case 5:
        client_ask(client, "GET %s:log%u", round, a);
        break;
    default:
        client_ask(client, "APPEND %s:log%u %s", round, a, token.text);
    }
}

enum client_result step_appends(struct client *client, const char *round)
{
    unsigned depth = client_dice(client, 3) == 0 ? 2 + client_dice(client, 8) : 1;
    for (unsigned i = 0; i < depth; i++)
        ask_append(client, round);
    return client_send(client);
}

/* ---- All kinds ---- */

enum client_result step_run(enum step_kind kind, struct client *client, const char *round)
{
    static enum client_result (*const runs[STEP_KINDS])(struct client *, const char *) = {
        [STEP_NUMBERS] = step_numbers, [STEP_TEXTS] = step_texts, [STEP_GROUPS] = step_groups,
        [STEP_MOVES] = step_moves,     [STEP_BANK] = step_bank,   [STEP_APPENDS] = step_appends,
        [STEP_LIVES] = step_lives,     [STEP_PIPES] = step_pipes,
    };
    return runs[kind](client, round);
}

enum client_result steps_finish(struct client *client, const char *round)
{
    struct text text = {.len = 0};
    put(&text, "MGET");
    for (unsigned i = 0; i < LOGS; i++)
        put(&text, " %s:log%u", round, i);
    client_ask(client, "%s", text.bytes);
    return client_send(client);
}

void steps_add_rules(struct history *history, const char *round)
{
    for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
        struct text same = {.len = 0};
        put(&same, "same");
        put_all_keys(&same, &groups[i], round, NULL);
        history_add_rule(history, same.bytes);
    }
    struct text sum = {.len = 0};
    put(&sum, "sum 0");
    put_accounts(&sum, round, "");
    history_add_rule(history, sum.bytes);
}
