/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/target.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "linear/client.h"

#define LOG_NAME       "server.log"
#define LOG_SHOWN      6000
#define STOP_PATIENCE  60 /* s */
#define NS_PER_S       INT64_C(1000000000)
#define POLL_MS        5
#define FIRST_PORT     12000
#define PORTS          20000
#define LISTEN_OPTIONS 6 /* --port n --bind a --dir d */

struct path {
    char text[TARGET_PATH + 64];
};

static struct path path_in(const struct target *target, const char *name)
{
    struct path path;
    snprintf(path.text, sizeof(path.text), "%s/%s", target->dir, name);
    return path;
}

/* ---- Its directory ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

void target_remove(struct target *target)
{
    if (access(target->dir, F_OK) == 0)
        ASSERT(nftw(target->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void make_dirs(const char *path)
{
    char part[TARGET_PATH];
    for (const char *at = path; at != NULL; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        if (part[0] != '\0')
            ASSERT(mkdir(part, 0777) == 0 || errno == EEXIST);
    }
    ASSERT(mkdir(path, 0777) == 0 || errno == EEXIST);
}

void target_show_log(const struct target *target)
{
    struct path path = path_in(target, LOG_NAME);
    FILE *log = fopen(path.text, "r");
    if (log == NULL)
        return;
    static char text[LOG_SHOWN + 1];
    fseek(log, 0, SEEK_END);
    long size = ftell(log);
    fseek(log, size > LOG_SHOWN ? size - LOG_SHOWN : 0, SEEK_SET);
    text[fread(text, 1, LOG_SHOWN, log)] = '\0';
    fclose(log);
    fprintf(stderr, "--- the end of %s\n%s---\n", path.text, text);
}

/* ---- Its process ---- */

static bool is_free(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    ASSERT(fd >= 0);
    bool is_bound = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_bound;
}

/* Below the range from which the kernel takes ports for outgoing connections: while the server is
 * down, a client that tries to connect could be given the very port and meet itself. */
static uint16_t free_port(void)
{
    uint16_t port = (uint16_t)(FIRST_PORT + getpid() % PORTS);
    for (unsigned tries = 0; !is_free(port); tries++) {
        ASSERT(tries < PORTS);
        port = port + 1 < FIRST_PORT + PORTS ? (uint16_t)(port + 1) : FIRST_PORT;
    }
    return port;
}

void target_init(struct target *target, const char *server, const char *dir)
{
    *target = (struct target){.server = server, .port = free_port()};
    snprintf(target->dir, sizeof(target->dir), "%s", dir);
    target_remove(target);
    make_dirs(dir);
}

void target_add_option(struct target *target, const char *name, const char *value)
{
    ASSERT(target->option_count + 2 + LISTEN_OPTIONS < TARGET_MAX_OPTIONS);
    target->options[target->option_count++] = name;
    target->options[target->option_count++] = value;
}

static NORETURN void become_server(const struct target *target)
{
    char port[8];
    const char *argv[TARGET_MAX_OPTIONS + 2];
    struct path log = path_in(target, LOG_NAME);
    unsigned count = 0;
    snprintf(port, sizeof(port), "%u", target->port);
    argv[count++] = target->server;
    for (unsigned i = 0; i < target->option_count; i++)
        argv[count++] = target->options[i];
    const char *listening[LISTEN_OPTIONS] = {"--port",    port,    "--bind",
                                             "127.0.0.1", "--dir", target->dir};
    for (unsigned i = 0; i < LISTEN_OPTIONS; i++)
        argv[count++] = listening[i];
    argv[count] = NULL;
    int fd = open(log.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(target->server, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool answers(const struct target *target)
{
    struct client client;
    client_init(&client, 0, 0);
    bool is_ready = client_open(&client, target->port);
    if (is_ready) {
        client_ask_aside(&client, "PING");
        is_ready =
            client_send(&client) == CLIENT_OK && strcmp(client_reply(&client, 0), "PONG") == 0;
    }
    client_fini(&client);
    return is_ready;
}

bool target_start(struct target *target)
{
    ASSERT(target->pid == 0);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        become_server(target);
    target->pid = pid;
    int64_t until_ns = client_now_ns() + STOP_PATIENCE * NS_PER_S;
    while (client_now_ns() < until_ns && !target_has_died(target)) {
        if (answers(target))
            return true;
    }
    fprintf(stderr, "the server does not start\n");
    target_show_log(target);
    target_kill(target);
    return false;
}

bool target_has_died(struct target *target)
{
    int status;
    if (target->pid == 0)
        return true;
    if (waitpid(target->pid, &status, WNOHANG) != target->pid)
        return false;
    fprintf(stderr, "the server has ended by itself, status %x\n", (unsigned)status);
    target->pid = 0;
    return true;
}

void target_kill(struct target *target)
{
    if (target->pid == 0)
        return;
    kill(target->pid, SIGKILL);
    waitpid(target->pid, NULL, 0);
    target->pid = 0;
}

bool target_stop(struct target *target)
{
    int status = 0;
    if (target->pid == 0)
        return false;
    kill(target->pid, SIGTERM);
    int64_t until_ns = client_now_ns() + STOP_PATIENCE * NS_PER_S;
    pid_t ended;
    while ((ended = waitpid(target->pid, &status, WNOHANG)) == 0 && client_now_ns() < until_ns)
        poll(NULL, 0, POLL_MS);
    bool is_good = ended == target->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended == target->pid)
        target->pid = 0;
    target_kill(target);
    if (!is_good) {
        fprintf(stderr, "the server does not stop as it should, status %x\n", (unsigned)status);
        target_show_log(target);
    }
    return is_good;
}

/* ---- Its files ---- */

static int drop_file(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)place;
    if (kind != FTW_F || strstr(path, "/data/") == NULL)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* it has been removed meanwhile */
    /* Only clean pages can be dropped. */
    if (fdatasync(fd) == 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

void target_drop_cache(const struct target *target)
{
    nftw(target->dir, drop_file, 16, FTW_PHYS);
}
