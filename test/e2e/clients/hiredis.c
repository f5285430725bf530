/* SPDX-License-Identifier: Apache-2.0 */
/* What a program in C does with hiredis: hiredis PORT SOCKET */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define MANY  10000
#define LARGE (5 << 20)

#define EXPECT(condition)                                           \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            exit(1);                                                \
        }                                                           \
    } while (0)

static const struct timeval patience = {.tv_sec = 60};

static redisContext *checked(redisContext *context)
{
    EXPECT(context != NULL);
    if (context->err != 0)
        fprintf(stderr, "%s\n", context->errstr);
    EXPECT(context->err == 0);
    EXPECT(redisSetTimeout(context, patience) == REDIS_OK);
    return context;
}

static redisContext *connect_to(int port)
{
    return checked(redisConnectWithTimeout("127.0.0.1", port, patience));
}

/* ---- Replies ---- */

static redisReply *ask(redisContext *context, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(context, format, args);
    va_end(args);
    if (reply == NULL)
        fprintf(stderr, "%s: %s\n", format, context->errstr);
    EXPECT(reply != NULL);
    return reply;
}

static redisReply *next(redisContext *context)
{
    void *reply;
    EXPECT(redisGetReply(context, &reply) == REDIS_OK);
    return reply;
}

static int is_text(const redisReply *reply, int type, const char *text)
{
    return reply->type == type && reply->len == strlen(text) &&
           memcmp(reply->str, text, reply->len) == 0;
}

static void is_status(redisReply *reply, const char *text)
{
    EXPECT(is_text(reply, REDIS_REPLY_STATUS, text));
    freeReplyObject(reply);
}

static void is_string(redisReply *reply, const char *text)
{
    EXPECT(is_text(reply, REDIS_REPLY_STRING, text));
    freeReplyObject(reply);
}

static void is_integer(redisReply *reply, long long number)
{
    EXPECT(reply->type == REDIS_REPLY_INTEGER && reply->integer == number);
    freeReplyObject(reply);
}

static void is_error(redisReply *reply, const char *part)
{
    EXPECT(reply->type == REDIS_REPLY_ERROR && strstr(reply->str, part) != NULL);
    freeReplyObject(reply);
}

static void is_nil(redisReply *reply)
{
    EXPECT(reply->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
}

/* A message or a confirmation: its kind, its channel, and text or number behind them. */
static void is_message(redisReply *reply, int type, const char *kind, const char *channel,
                       const char *text)
{
    EXPECT(reply->type == type && reply->elements == 3);
    EXPECT(is_text(reply->element[0], REDIS_REPLY_STRING, kind));
    EXPECT(is_text(reply->element[1], REDIS_REPLY_STRING, channel));
    if (text != NULL)
        EXPECT(is_text(reply->element[2], REDIS_REPLY_STRING, text));
    else
        EXPECT(reply->element[2]->type == REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
}

/* ---- What is done ---- */

static void commands(redisContext *context)
{
    is_status(ask(context, "PING"), "PONG");
    is_status(ask(context, "SET %s %d", "n", 41), "OK");
    is_integer(ask(context, "INCR n"), 42);
    is_string(ask(context, "GET n"), "42");
    is_nil(ask(context, "GET nothing"));
    is_integer(ask(context, "EXPIRE n 100"), 1);
    is_error(ask(context, "NOSUCH command"), "ERR unknown command");
    is_status(ask(context, "SET text x"), "OK");
    is_error(ask(context, "INCR text"), "value is not an integer");
}

static void bytes(redisContext *context)
{
    static const char key[] = "\0\r\n\xff";
    char *value = calloc(1, LARGE);
    EXPECT(value != NULL);
    for (size_t i = 0; i < LARGE; i++)
        value[i] = (char)(i * 31);
    is_status(ask(context, "SET %b %b", key, sizeof(key), value, (size_t)LARGE), "OK");
    const char *argv[] = {"GET", key};
    const size_t lengths[] = {3, sizeof(key)};
    redisReply *reply = redisCommandArgv(context, 2, argv, lengths);
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == LARGE);
    EXPECT(memcmp(reply->str, value, LARGE) == 0);
    freeReplyObject(reply);
    free(value);
}

static void pipeline(redisContext *context)
{
    for (int i = 0; i < MANY; i++)
        EXPECT(redisAppendCommand(context, "SET p:%d %d", i, i) == REDIS_OK);
    for (int i = 0; i < MANY; i++)
        EXPECT(redisAppendCommand(context, "INCR p:%d", i) == REDIS_OK);
    EXPECT(redisAppendCommand(context, "INCR text") == REDIS_OK);
    EXPECT(redisAppendCommand(context, "PING") == REDIS_OK);
    for (int i = 0; i < MANY; i++)
        is_status(next(context), "OK");
    for (int i = 0; i < MANY; i++)
        is_integer(next(context), i + 1);
    is_error(next(context), "value is not an integer");
    is_status(next(context), "PONG");
}

static void transaction(redisContext *context, redisContext *other)
{
    is_status(ask(context, "MULTI"), "OK");
    is_status(ask(context, "SET a 1"), "QUEUED");
    is_status(ask(context, "INCR text"), "QUEUED");
    is_status(ask(context, "INCR a"), "QUEUED");
    redisReply *reply = ask(context, "EXEC");
    EXPECT(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    EXPECT(is_text(reply->element[0], REDIS_REPLY_STATUS, "OK"));
    EXPECT(reply->element[1]->type == REDIS_REPLY_ERROR);
    EXPECT(reply->element[2]->type == REDIS_REPLY_INTEGER && reply->element[2]->integer == 2);
    freeReplyObject(reply);

    is_status(ask(context, "WATCH a"), "OK");
    is_status(ask(other, "SET a changed"), "OK");
    is_status(ask(context, "MULTI"), "OK");
    is_status(ask(context, "SET a lost"), "QUEUED");
    is_nil(ask(context, "EXEC"));
    is_string(ask(context, "GET a"), "changed");
}

static void walk(redisContext *context)
{
    char cursor[32] = "0";
    size_t found = 0;
    do {
        redisReply *reply = ask(context, "SCAN %s MATCH p:* COUNT 1000", cursor);
        EXPECT(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
        EXPECT(reply->element[0]->len < sizeof(cursor));
        snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
        found += reply->element[1]->elements;
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    EXPECT(found == MANY);
}

static void messages(int port, redisContext *publisher)
{
    redisContext *context = connect_to(port);
    is_message(ask(context, "SUBSCRIBE c"), REDIS_REPLY_ARRAY, "subscribe", "c", NULL);
    for (int i = 0; i < 100; i++)
        is_integer(ask(publisher, "PUBLISH c m%d", i), 1);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "m%d", i);
        is_message(next(context), REDIS_REPLY_ARRAY, "message", "c", text);
    }
    is_message(ask(context, "UNSUBSCRIBE c"), REDIS_REPLY_ARRAY, "unsubscribe", "c", NULL);
    is_status(ask(context, "PING"), "PONG");
    redisFree(context);
}

static void reconnection(redisContext *context, redisContext *other)
{
    redisReply *id = ask(context, "CLIENT ID");
    is_integer(ask(other, "CLIENT KILL ID %lld", id->integer), 1);
    freeReplyObject(id);
    EXPECT(redisCommand(context, "PING") == NULL && context->err != 0);
    EXPECT(redisReconnect(context) == REDIS_OK);
    is_string(ask(context, "GET a"), "changed");
}

/* hiredis speaks RESP3 since 1.0. */
#if HIREDIS_MAJOR >= 1
static void on_push(void *to, void *push)
{
    redisReply **slot = to;
    EXPECT(*slot == NULL);
    *slot = push;
}

static redisReply *awaited_push(redisContext *context, redisReply **slot)
{
    while (*slot == NULL)
        is_status(ask(context, "PING"), "PONG");
    redisReply *push = *slot;
    *slot = NULL;
    return push;
}

static void resp3(int port, redisContext *other)
{
    redisReply *slot = NULL;
    redisContext *context = connect_to(port);
    redisReply *hello = ask(context, "HELLO 3");
    EXPECT(hello->type == REDIS_REPLY_MAP && hello->elements >= 14);
    freeReplyObject(hello);
    context->privdata = &slot;
    redisSetPushCallback(context, on_push);

    is_status(ask(context, "CLIENT TRACKING ON"), "OK");
    is_string(ask(context, "GET a"), "changed");
    is_status(ask(other, "SET a again"), "OK");
    redisReply *push = awaited_push(context, &slot);
    EXPECT(push->type == REDIS_REPLY_PUSH && push->elements == 2);
    EXPECT(is_text(push->element[0], REDIS_REPLY_STRING, "invalidate"));
    EXPECT(is_text(push->element[1]->element[0], REDIS_REPLY_STRING, "a"));
    freeReplyObject(push);
    is_string(ask(context, "GET a"), "again");

    EXPECT(redisAppendCommand(context, "SUBSCRIBE c") == REDIS_OK);
    is_message(awaited_push(context, &slot), REDIS_REPLY_PUSH, "subscribe", "c", NULL);
    is_integer(ask(context, "PUBLISH c here"), 1);
    is_message(awaited_push(context, &slot), REDIS_REPLY_PUSH, "message", "c", "here");
    redisFree(context);
}
#endif

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    signal(SIGPIPE, SIG_IGN);
    int port = (int)strtol(argv[1], NULL, 10);
    redisContext *context = connect_to(port);
    redisContext *other = checked(redisConnectUnixWithTimeout(argv[2], patience));
    commands(context);
    bytes(context);
    pipeline(context);
    transaction(context, other);
    walk(other);
    messages(port, other);
    reconnection(context, other);
#if HIREDIS_MAJOR >= 1
    resp3(port, other);
#endif
    redisFree(context);
    redisFree(other);
    printf("all is well with hiredis %d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR);
    return 0;
}
