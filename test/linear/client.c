/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"

#define MAX_TEXT   8192
#define MAX_DEPTH  4
#define RETRY_MS   5
#define NS_PER_S   INT64_C(1000000000)
#define READ_CHUNK 65536

int64_t client_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void client_init(struct client *client, uint32_t id, uint64_t seed)
{
    *client = (struct client){.id = id, .fd = -1, .random = {.state = seed}};
    history_init(&client->history);
}

void client_fini(struct client *client)
{
    client_close(client);
    history_fini(&client->history);
    buf_fini(&client->out);
    buf_fini(&client->in);
    buf_fini(&client->texts);
}

unsigned client_dice(struct client *client, unsigned limit)
{
    return (unsigned)random_below(&client->random, limit);
}

struct token_text client_token(struct client *client)
{
    struct token_text token;
    snprintf(token.text, sizeof(token.text), "%u-%" PRIu64 ".", client->id, ++client->token_count);
    return token;
}

/* ---- Connections ---- */

static int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    int on = 1;
    struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

bool client_open(struct client *client, uint16_t port)
{
    ASSERT(client->fd < 0);
    client->port = port;
    int64_t until_ns = client_now_ns() + CLIENT_PATIENCE_S * NS_PER_S;
    while ((client->fd = connect_to(port)) < 0 && client_now_ns() < until_ns)
        poll(NULL, 0, RETRY_MS);
    client->in.len = 0;
    client->in_used = 0;
    return client->fd >= 0;
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->connection++;
}

/* ---- Gathering ---- */

static struct request *begin_request(struct client *client, const char *text)
{
    /* What was sent last is forgotten when the next request comes. */
    if (client->request_count > 0 && client->requests[0].is_answered) {
        client->request_count = 0;
        client->texts.len = 0;
    }
    ASSERT(client->request_count < CLIENT_PIPELINE);
    struct request *request = &client->requests[client->request_count++];
    *request = (struct request){.text_off = client->texts.len, .is_recorded = true};
    buf_append(&client->texts, text, strlen(text) + 1);
    return request;
}

static void put_command(struct client *client, struct slice text)
{
    struct slice words[CLIENT_PIPELINE];
    char copy[MAX_TEXT];
    ASSERT(text.len < sizeof(copy));
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    size_t count = history_words(copy, words, CLIENT_PIPELINE);
    ASSERT(count > 0 && count < CLIENT_PIPELINE);
    buf_append_format(&client->out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(&client->out, "$%zu\r\n", words[i].len);
        buf_append_slice(&client->out, words[i]);
        buf_append_str(&client->out, "\r\n");
    }
}

#define FORMATTED(text, format)                                    \
    do {                                                           \
        va_list args;                                              \
        va_start(args, format);                                    \
        int len = vsnprintf((text), sizeof(text), (format), args); \
        va_end(args);                                              \
        ASSERT(len > 0 && (size_t)len < sizeof(text));             \
    } while (0)

void client_ask(struct client *client, const char *format, ...)
{
    char text[MAX_TEXT];
    FORMATTED(text, format);
    begin_request(client, text);
    put_command(client, slice_str(text));
}

void client_ask_aside(struct client *client, const char *format, ...)
{
    char text[MAX_TEXT];
    FORMATTED(text, format);
    begin_request(client, text)->is_recorded = false;
    put_command(client, slice_str(text));
}

void client_ask_exec(struct client *client, const char *format, ...)
{
    char text[MAX_TEXT] = "EXEC ";
    char commands[MAX_TEXT - 8];
    FORMATTED(commands, format);
    memcpy(text + 5, commands, strlen(commands) + 1);
    struct request *request = begin_request(client, text);
    put_command(client, SLICE_LIT("MULTI"));
    request->skipped = 1;
    struct slice rest = slice_str(commands);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, ';', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
        struct slice command = slice_of(rest.data, len);
        rest = slice_sub(rest, len + 1, SIZE_MAX);
        while (command.len > 0 && command.data[0] == ' ')
            command = slice_sub(command, 1, SIZE_MAX);
        if (slice_is(slice_sub(command, 0, 8), "WATCHED "))
            continue;
        put_command(client, command);
        request->skipped++;
    }
    put_command(client, SLICE_LIT("EXEC"));
}

/* ---- Sending and receiving ---- */

static enum client_result send_all(struct client *client)
{
    size_t sent = 0;
    while (sent < client->out.len) {
        ssize_t got =
            send(client->fd, client->out.data + sent, client->out.len - sent, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 && errno == EAGAIN ? CLIENT_HUNG : CLIENT_LOST;
        sent += (size_t)got;
    }
    return CLIENT_OK;
}

static enum client_result receive(struct client *client)
{
    if (client->in_used > 0) {
        buf_drop_front(&client->in, client->in_used);
        client->in_used = 0;
    }
    for (;;) {
        uint8_t *to = buf_extend(&client->in, READ_CHUNK);
        ssize_t got = recv(client->fd, to, READ_CHUNK, 0);
        client->in.len -= READ_CHUNK - (got > 0 ? (size_t)got : 0);
        if (got > 0)
            return CLIENT_OK;
        if (got < 0 && errno == EINTR)
            continue;
        return got < 0 && errno == EAGAIN ? CLIENT_HUNG : CLIENT_LOST;
    }
}

/* The line at *at without its end; false if it is not whole. */
static bool take_line(struct slice in, size_t *at, struct slice *out)
{
    struct slice rest = slice_sub(in, *at, SIZE_MAX);
    const uint8_t *end = rest.len == 0 ? NULL : memchr(rest.data, '\r', rest.len);
    if (end == NULL || (size_t)(end - rest.data) + 1 >= rest.len)
        return false;
    *out = slice_of(rest.data, (size_t)(end - rest.data));
    *at += out->len + 2;
    return true;
}

static void put_error(struct buf *to, struct slice line)
{
    buf_append_byte(to, '!');
    for (size_t i = 1; i < line.len; i++)
        buf_append_byte(to, line.data[i] == ' ' ? '_' : line.data[i]);
}

/* One reply that is no array, its first line already taken. False if it is not whole. */
static bool take_plain(struct slice in, size_t *at, struct slice line, struct buf *to)
{
    int64_t size;
    switch (line.data[0]) {
    case '+':
    case ':':
        buf_append_slice(to, slice_sub(line, 1, SIZE_MAX));
        return true;
    case '-':
        put_error(to, line);
        return true;
    case '$':
        ASSERT(num_parse_i64(slice_sub(line, 1, SIZE_MAX), &size));
        if (size < 0) {
            buf_append_str(to, "nil");
            return true;
        }
        if (in.len - *at < (size_t)size + 2)
            return false;
        if (size == 0)
            buf_append_str(to, "\"\"");
        buf_append_slice(to, slice_sub(in, *at, (size_t)size));
        *at += (size_t)size + 2;
        return true;
    default:
        assert_fail("a reply of no known type", __FILE__, __LINE__, __func__);
    }
}

/* A whole reply as text. False if it is not all there: then `to` holds rubbish. */
static bool take_reply(struct slice in, size_t *at, struct buf *to)
{
    int64_t left[MAX_DEPTH] = {1};
    size_t depth = 0;
    for (;;) {
        struct slice line;
        int64_t count = 0;
        if (!take_line(in, at, &line) || line.len == 0)
            return false;
        if (line.data[0] == '*') {
            ASSERT(num_parse_i64(slice_sub(line, 1, SIZE_MAX), &count) && depth + 1 < MAX_DEPTH);
            buf_append_str(to, count < 0 ? "nil" : "[");
            if (count >= 0)
                left[++depth] = count + 1;
        } else if (!take_plain(in, at, line, to)) {
            return false;
        }
        while (--left[depth] == 0) {
            if (depth == 0)
                return true;
            buf_append_byte(to, ']');
            depth--;
        }
        if (to->data[to->len - 1] != '[')
            buf_append_byte(to, ' ');
    }
}

/* Takes the next reply into texts. */
static enum client_result next_reply(struct client *client, size_t *out_off)
{
    size_t mark = client->texts.len;
    for (;;) {
        size_t at = 0;
        struct slice in = slice_sub(buf_slice(&client->in), client->in_used, SIZE_MAX);
        if (take_reply(in, &at, &client->texts)) {
            buf_append_byte(&client->texts, '\0');
            client->in_used += at;
            *out_off = mark;
            return CLIENT_OK;
        }
        client->texts.len = mark;
        enum client_result result = receive(client);
        if (result != CLIENT_OK)
            return result;
    }
}

static enum client_result read_replies(struct client *client)
{
    for (size_t i = 0; i < client->request_count; i++) {
        struct request *request = &client->requests[i];
        size_t reply_off = 0;
        for (unsigned j = 0; j <= request->skipped; j++) {
            enum client_result result = next_reply(client, &reply_off);
            if (result != CLIENT_OK)
                return result;
        }
        request->reply_off = reply_off;
        request->is_answered = true;
        request->told_ns = client_now_ns();
    }
    return CLIENT_OK;
}

static const char *text_at(const struct client *client, size_t off)
{
    return (const char *)client->texts.data + off;
}

static void record(struct client *client, int64_t asked_ns)
{
    for (size_t i = 0; i < client->request_count; i++) {
        const struct request *request = &client->requests[i];
        if (!request->is_recorded)
            continue;
        bool is_answered = request->is_answered;
        history_add(&client->history,
                    &(struct history_op){
                        .client = client->id,
                        .connection = client->connection,
                        .asked_ns = asked_ns,
                        .told_ns = is_answered ? request->told_ns : HISTORY_NEVER,
                        .request = text_at(client, request->text_off),
                        .reply = is_answered ? text_at(client, request->reply_off) : "-",
                    });
    }
}

enum client_result client_send(struct client *client)
{
    int64_t asked_ns = client_now_ns();
    enum client_result result = send_all(client);
    client->out.len = 0;
    if (result != CLIENT_HUNG) {
        /* What was not sent in whole may have been executed in part: all of it is unknown. */
        enum client_result read = read_replies(client);
        result = result == CLIENT_OK ? read : result;
    }
    record(client, asked_ns);
    client->lost_count += result == CLIENT_LOST;
    if (result != CLIENT_OK) {
        for (size_t i = 0; i < client->request_count; i++)
            client->requests[i].is_answered = true; /* all over: to be forgotten */
        client_close(client);
    }
    return result;
}

const char *client_reply(const struct client *client, size_t nth)
{
    ASSERT(nth < client->request_count);
    const struct request *request = &client->requests[nth];
    return request->reply_off == 0 ? NULL : text_at(client, request->reply_off);
}
