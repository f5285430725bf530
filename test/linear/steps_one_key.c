/* SPDX-License-Identifier: Apache-2.0 */
/* Steps whose ops touch one key each. */
#include <inttypes.h>

#include "linear/steps.h"

#define NUMBER_KEYS 4
#define TEXT_KEYS   4
#define LIFE_KEYS   4
#define PIPE_KEYS   3

#define NUMBER_GAP UINT64_C(1000) /* between numbers that are set, for what is added to them */

/* A number that is not reached by adding to others. */
static uint64_t fresh_number(struct client *client)
{
    return ((uint64_t)client->id << 40) + ++client->token_count * NUMBER_GAP;
}

enum client_result step_numbers(struct client *client, const char *round)
{
    unsigned key = client_dice(client, NUMBER_KEYS);
    const char *condition = client_dice(client, 2) == 0 ? "NX" : "XX";
    switch (client_dice(client, 12)) {
    case 0:
        client_ask(client, "SET %s:num%u %" PRIu64, round, key, fresh_number(client));
        break;
    case 1:
        client_ask(client, "SET %s:num%u %" PRIu64 " %s", round, key, fresh_number(client),
                   condition);
        break;
    case 2:
        client_ask(client, "GETSET %s:num%u %" PRIu64, round, key, fresh_number(client));
        break;
    case 3:
    case 4:
        client_ask(client, "INCR %s:num%u", round, key);
        break;
    case 5:
        client_ask(client, "INCRBY %s:num%u %u", round, key, 2 + client_dice(client, 5));
        break;
    case 6:
        client_ask(client, "GETDEL %s:num%u", round, key);
        break;
    case 7:
        client_ask(client, "DECR %s:num%u", round, key);
        break;
    default:
        client_ask(client, "GET %s:num%u", round, key);
    }
    return client_send(client);
}

/* One op on a string, gathered. */
static void ask_text(struct client *client, const char *round, const char *kind, unsigned key)
{
    struct token_text token = client_token(client);
    switch (client_dice(client, 12)) {
    case 0:
    case 1:
        client_ask(client, "SET %s:%s%u %s", round, kind, key, token.text);
        break;
    case 2:
        client_ask(client, "SET %s:%s%u %s %s", round, kind, key, token.text,
                   client_dice(client, 2) == 0 ? "NX" : "XX");
        break;
    case 3:
        client_ask(client, "GETSET %s:%s%u %s", round, kind, key, token.text);
        break;
    case 4:
    case 5:
        client_ask(client, "APPEND %s:%s%u %s", round, kind, key, token.text);
        break;
    case 6:
        client_ask(client, "STRLEN %s:%s%u", round, kind, key);
        break;
    case 7:
        client_ask(client, "DEL %s:%s%u", round, kind, key);
        break;
    default:
        client_ask(client, "GET %s:%s%u", round, kind, key);
    }
}

enum client_result step_texts(struct client *client, const char *round)
{
    ask_text(client, round, "txt", client_dice(client, TEXT_KEYS));
    return client_send(client);
}

/* ---- Keys that end ---- */

#define SHORTEST_LIFE_MS 3
#define LIFE_SPREAD_MS   25

static void ask_life(struct client *client, const char *round, unsigned key)
{
    unsigned ms = SHORTEST_LIFE_MS + client_dice(client, LIFE_SPREAD_MS);
    struct token_text token = client_token(client);
    switch (client_dice(client, 16)) {
    case 0:
    case 1:
    case 2:
        client_ask(client, "SET %s:life%u %s PX %u", round, key, token.text, ms);
        break;
    case 3:
        client_ask(client, "SET %s:life%u %s NX PX %u", round, key, token.text, ms);
        break;
    case 4:
        client_ask(client, "PEXPIRE %s:life%u %u", round, key, ms);
        break;
    case 5:
    case 6:
        client_ask(client, "PERSIST %s:life%u", round, key);
        break;
    case 7:
        client_ask(client, "APPEND %s:life%u %s", round, key, token.text);
        break;
    case 8:
        client_ask(client, "DEL %s:life%u", round, key);
        break;
    case 9:
        client_ask(client, "PTTL %s:life%u", round, key);
        break;
    case 10:
        client_ask(client, "EXISTS %s:life%u", round, key);
        break;
    case 11:
        client_ask_exec(client, "GET %s:life%u ; EXISTS %s:life%u", round, key, round, key);
        break;
    default:
        client_ask(client, "GET %s:life%u", round, key);
    }
}

enum client_result step_lives(struct client *client, const char *round)
{
    unsigned key = client_dice(client, LIFE_KEYS);
    unsigned depth = client_dice(client, 4) == 0 ? 4 : 1;
    for (unsigned i = 0; i < depth; i++)
        ask_life(client, round, key);
    return client_send(client);
}

/* ---- Pipelines ---- */

/* Keys of this client alone: as deep as can be, for there is only one right answer. */
static void ask_own(struct client *client, const char *round, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        struct token_text token = client_token(client);
        unsigned key = client_dice(client, PIPE_KEYS);
        switch (client_dice(client, 6)) {
        case 0:
            client_ask(client, "SET %s:own%u.%u %s", round, client->id, key, token.text);
            break;
        case 1:
            client_ask(client, "APPEND %s:own%u.%u %s", round, client->id, key, token.text);
            break;
        case 2:
            client_ask(client, "MSET %s:own%u.0 %s %s:own%u.1 %s", round, client->id, token.text,
                       round, client->id, token.text);
            break;
        case 3:
            client_ask(client, "MGET %s:own%u.0 %s:own%u.1 %s:own%u.2", round, client->id, round,
                       client->id, round, client->id);
            break;
        default:
            client_ask(client, "GET %s:own%u.%u", round, client->id, key);
        }
    }
}

enum client_result step_pipes(struct client *client, const char *round)
{
    if (client_dice(client, 2) == 0) {
        ask_own(client, round, 2 + client_dice(client, 60));
    } else {
        unsigned depth = 2 + client_dice(client, 4);
        unsigned key = client_dice(client, PIPE_KEYS);
        for (unsigned i = 0; i < depth; i++)
            ask_text(client, round, "pipe", key);
    }
    return client_send(client);
}
