/* SPDX-License-Identifier: Apache-2.0 */
/* pace: what a benchmark client that runs flat out cannot show.
 *
 * - pace reads PORT SET_RATE SECONDS: GETs, one after the other, beside SETs at a steady rate from
 *   16 connections; prints the GETs' latencies
 * - pace both PORT SET_RATE SECONDS: the same, and a SET beside each GET; prints the latencies of
 *   the GETs, then those of these SETs
 * - pace sets PORT COUNT: one SET after the other on an idle server; prints latencies
 * - pace fill PORT KEYS VALUE_SIZE TTL: writes k:%014u (16 bytes) for 0 .. KEYS - 1
 * - pace disk FOLDER COUNT: durable 4 KiB writes into a file that has its blocks: direct I/O with
 *   DSYNC where the filesystem takes it, else with fdatasync
 *
 * Latencies are microseconds: "count N p50 N p95 N p99 N max N".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SETTERS    16
#define KEY_SPACE  100000
#define VALUE_SIZE 256
#define BATCH      256
#define PIPELINE   16
#define HEAD_SIZE  64 /* of a request, its value left out */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* A number of the command line, or the end. */
static double number_of(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || number < 0 || number > 1e12) {
        fprintf(stderr, "pace: '%s' is not a number\n", text);
        exit(2);
    }
    return number;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int connect_to(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)number_of(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        data += sent;
        len -= (size_t)sent;
    }
}

/* ---- Latencies ---- */

struct samples {
    uint32_t *us;
    size_t count;
    size_t cap;
};

static void add_sample(struct samples *samples, uint64_t us)
{
    if (samples->count == samples->cap) {
        samples->cap = samples->cap == 0 ? 4096 : samples->cap * 2;
        samples->us = realloc(samples->us, samples->cap * sizeof(*samples->us));
        if (samples->us == NULL)
            die("realloc");
    }
    samples->us[samples->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare_us(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void print_samples(struct samples *samples)
{
    if (samples->count == 0) {
        fprintf(stderr, "pace: nothing was measured\n");
        exit(1);
    }
    qsort(samples->us, samples->count, sizeof(*samples->us), compare_us);
    printf("count %zu p50 %u p95 %u p99 %u max %u\n", samples->count,
           samples->us[samples->count / 2], samples->us[samples->count * 95 / 100],
           samples->us[samples->count * 99 / 100], samples->us[samples->count - 1]);
    free(samples->us);
}

/* ---- Commands ---- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t put_set(char *to, uint32_t key, size_t value_size, unsigned ttl)
{
    int len = snprintf(to, HEAD_SIZE, "*%d\r\n$3\r\nSET\r\n$16\r\nk:%014u\r\n$%zu\r\n",
                       ttl > 0 ? 5 : 3, key, value_size);
    memset(to + len, 'x', value_size);
    len += (int)value_size;
    if (ttl > 0)
        len += snprintf(to + len, HEAD_SIZE, "\r\n$2\r\nEX\r\n$7\r\n%07u", ttl);
    to[len++] = '\r';
    to[len++] = '\n';
    return (size_t)len;
}

static size_t put_get(char *to, uint32_t key)
{
    return (size_t)snprintf(to, HEAD_SIZE, "*2\r\n$3\r\nGET\r\n$16\r\nk:%014u\r\n", key);
}

/* Reads `count` replies of "+OK". */
static void read_oks(int fd, size_t count)
{
    char text[5 * BATCH];
    size_t want = 5 * count;
    size_t have = 0;
    while (have < want) {
        ssize_t got = recv(fd, text + have, want - have, 0);
        if (got <= 0)
            die("recv");
        have += (size_t)got;
    }
    for (size_t i = 0; i < count; i++) {
        if (memcmp(text + 5 * i, "+OK\r\n", 5) != 0) {
            fprintf(stderr, "pace: refused: %.60s\n", text + 5 * i);
            exit(1);
        }
    }
}

/* One bulk string, or null. */
static void read_bulk(int fd)
{
    char text[VALUE_SIZE + 64];
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(fd, text + have, sizeof(text) - have, 0);
        if (got <= 0)
            die("recv");
        have += (size_t)got;
        const char *line = memchr(text, '\n', have);
        if (line == NULL)
            continue;
        long size = strtol(text + 1, NULL, 10);
        size_t whole = (size_t)(line - text) + 1 + (size < 0 ? 0 : (size_t)size + 2);
        if (have >= whole)
            return;
    }
}

/* ---- SETs at a steady rate in a process of their own ---- */

/* Every SET has its moment, whether or not the last one has been answered: no coordinated omission.
 * A connection has at most one batch of those due in flight. */
static void set_steadily(const char *port, double rate, double seconds)
{
    static char out[BATCH * (VALUE_SIZE + 128)];
    int fds[SETTERS];
    size_t waiting[SETTERS] = {0};
    uint32_t random = 1;
    for (int i = 0; i < SETTERS; i++)
        fds[i] = connect_to(port);
    uint64_t start = now_us();
    uint64_t sent = 0;
    for (;;) {
        double passed = (double)(now_us() - start) / 1e6;
        if (passed > seconds)
            return;
        uint64_t due = (uint64_t)(passed * rate);
        for (int i = 0; i < SETTERS && sent < due; i++) {
            if (waiting[i] > 0)
                continue;
            uint64_t share = (due - sent + SETTERS - 1) / SETTERS;
            size_t count = share < BATCH ? (size_t)share : BATCH;
            size_t len = 0;
            for (size_t n = 0; n < count; n++)
                len += put_set(out + len, next_random(&random) % KEY_SPACE, VALUE_SIZE, 0);
            send_all(fds[i], out, len);
            waiting[i] = count;
            sent += count;
        }
        struct pollfd polls[SETTERS];
        for (int i = 0; i < SETTERS; i++)
            polls[i] = (struct pollfd){.fd = waiting[i] > 0 ? fds[i] : -1, .events = POLLIN};
        poll(polls, SETTERS, 1);
        for (int i = 0; i < SETTERS; i++) {
            if ((polls[i].revents & POLLIN) != 0) {
                read_oks(fds[i], waiting[i]);
                waiting[i] = 0;
            }
        }
    }
}

static int measure_reads(const char *port, double rate, double seconds)
{
    struct samples samples = {0};
    char out[64];
    uint32_t random = 7;
    pid_t setter = fork();
    if (setter == 0) {
        set_steadily(port, rate, seconds);
        _exit(0);
    }
    int fd = connect_to(port);
    uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
    while (now_us() < end) {
        size_t len = put_get(out, next_random(&random) % KEY_SPACE);
        uint64_t start = now_us();
        send_all(fd, out, len);
        read_bulk(fd);
        add_sample(&samples, now_us() - start);
        /* A reader among many, not one that keeps a processor to itself. */
        struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    print_samples(&samples);
    return 0;
}

/* In each step the GET goes first, so that it never waits behind the SET of its own connection. */
static int measure_both(const char *port, double rate, double seconds)
{
    static char out[VALUE_SIZE + 128];
    struct samples gets = {0};
    struct samples sets = {0};
    uint32_t random = 11;
    pid_t setter = fork();
    if (setter == 0) {
        set_steadily(port, rate, seconds);
        _exit(0);
    }
    int fd = connect_to(port);
    uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
    while (now_us() < end) {
        uint64_t start = now_us();
        send_all(fd, out, put_get(out, next_random(&random) % KEY_SPACE));
        read_bulk(fd);
        add_sample(&gets, now_us() - start);
        start = now_us();
        send_all(fd, out, put_set(out, next_random(&random) % KEY_SPACE, VALUE_SIZE, 0));
        read_oks(fd, 1);
        add_sample(&sets, now_us() - start);
        struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    print_samples(&gets);
    print_samples(&sets);
    return 0;
}

static int measure_sets(const char *port, size_t count)
{
    static char out[VALUE_SIZE + 128];
    struct samples samples = {0};
    int fd = connect_to(port);
    for (size_t i = 0; i < count; i++) {
        size_t len = put_set(out, (uint32_t)i % KEY_SPACE, VALUE_SIZE, 0);
        uint64_t start = now_us();
        send_all(fd, out, len);
        read_oks(fd, 1);
        add_sample(&samples, now_us() - start);
    }
    print_samples(&samples);
    return 0;
}

static int fill(const char *port, uint32_t keys, size_t value_size, unsigned ttl)
{
    char *out = malloc(BATCH * (value_size + 160));
    if (out == NULL)
        die("malloc");
    int fd = connect_to(port);
    for (uint32_t key = 0; key < keys;) {
        size_t len = 0;
        size_t count = 0;
        for (; count < BATCH && key < keys; count++, key++)
            len += put_set(out + len, key, value_size, ttl);
        send_all(fd, out, len);
        read_oks(fd, count);
    }
    free(out);
    return 0;
}

/* Length of the first whole reply ("+OK" or a bulk string), 0 if there is none yet. */
static size_t reply_size(const char *text, size_t have)
{
    const char *line = memchr(text, '\n', have);
    if (line == NULL)
        return 0;
    size_t size = (size_t)(line - text) + 1;
    long bulk = text[0] == '$' ? strtol(text + 1, NULL, 10) : -1;
    if (text[0] != '$' && text[0] != '+') {
        fprintf(stderr, "pace: refused: %.60s\n", text);
        exit(1);
    }
    size += bulk < 0 ? 0 : (size_t)bulk + 2;
    return size <= have ? size : 0;
}

/* Reads `count` replies of either kind. */
static void read_replies(int fd, size_t count)
{
    static char text[PIPELINE * (VALUE_SIZE + HEAD_SIZE)];
    size_t have = 0;
    size_t at = 0;
    while (count > 0) {
        size_t size = reply_size(text + at, have - at);
        if (size > 0) {
            at += size;
            count--;
            continue;
        }
        ssize_t got = recv(fd, text + have, sizeof(text) - have, 0);
        if (got <= 0)
            die("recv");
        have += (size_t)got;
    }
}

static int run_mixed(const char *port, size_t count)
{
    static char out[PIPELINE * (VALUE_SIZE + 128)];
    int fds[SETTERS];
    uint32_t random = 3;
    for (int i = 0; i < SETTERS; i++)
        fds[i] = connect_to(port);
    for (size_t done = 0; done < count; done += SETTERS * PIPELINE) {
        for (int i = 0; i < SETTERS; i++) {
            size_t len = 0;
            for (int n = 0; n < PIPELINE / 2; n++) {
                uint32_t key = next_random(&random) % KEY_SPACE;
                len += put_set(out + len, key, VALUE_SIZE, 0);
                len += put_get(out + len, key);
            }
            send_all(fds[i], out, len);
        }
        for (int i = 0; i < SETTERS; i++)
            read_replies(fds[i], PIPELINE);
    }
    return 0;
}

static int measure_disk(const char *folder, size_t count)
{
    static const size_t file_size = 16 << 20;
    struct samples samples = {0};
    char path[4096];
    snprintf(path, sizeof(path), "%s/pace.disk", folder);
    void *block = NULL;
    if (posix_memalign(&block, 4096, file_size) != 0)
        die("posix_memalign");
    memset(block, 'x', file_size);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, block, file_size) != (ssize_t)file_size || fdatasync(fd) != 0)
        die(path);
    close(fd);
    fd = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    bool is_direct = fd >= 0;
    if (!is_direct)
        fd = open(path, O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        off_t off = (off_t)(i * 4096 % file_size);
        uint64_t start = now_us();
        if (pwrite(fd, block, 4096, off) != 4096 || (!is_direct && fdatasync(fd) != 0))
            die(path);
        add_sample(&samples, now_us() - start);
    }
    close(fd);
    unlink(path);
    free(block);
    print_samples(&samples);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "reads") == 0)
        return measure_reads(argv[2], number_of(argv[3]), number_of(argv[4]));
    if (argc == 5 && strcmp(argv[1], "both") == 0)
        return measure_both(argv[2], number_of(argv[3]), number_of(argv[4]));
    if (argc == 4 && strcmp(argv[1], "sets") == 0)
        return measure_sets(argv[2], (size_t)number_of(argv[3]));
    if (argc == 6 && strcmp(argv[1], "fill") == 0)
        return fill(argv[2], (uint32_t)number_of(argv[3]), (size_t)number_of(argv[4]),
                    (unsigned)number_of(argv[5]));
    if (argc == 4 && strcmp(argv[1], "mixed") == 0)
        return run_mixed(argv[2], (size_t)number_of(argv[3]));
    if (argc == 4 && strcmp(argv[1], "disk") == 0)
        return measure_disk(argv[2], (size_t)number_of(argv[3]));
    fprintf(stderr, "usage: see the head of bench/pace.c\n");
    return 2;
}
