/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts in batches: until the backlog is empty, or NET_ACCEPT_MAX a turn. Where descriptors or
 * memory have run out, the backlog stays readable and would wake the loop for ever; so the listener
 * looks away for NET_STALL_MS and then tries again (N6).
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/net_internal.h"

#define LISTENER_MAGIC 0x6c697374u

struct listener {
    uint32_t magic;
    struct loop_watch watch;
    struct loop_timer rest;
    listener_accept_fn on_accept;
    void *ctx;
    uint64_t stalls;
    char *path; /* of a unix socket, else NULL */
    dev_t path_dev;
    ino_t path_ino;
    uint16_t port;
};

/* What a listener is bound to. */
struct place {
    struct sockaddr_storage address;
    socklen_t len;
};

static struct listener *listener_of(struct loop_watch *watch)
{
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    MAGIC_CHECK(listener, LISTENER_MAGIC);
    return listener;
}

/* ---- Accepting ---- */

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Nothing to take now; any other error is of one connection that failed while it waited. */
static bool is_empty(int error)
{
    return error == EAGAIN || error == EINVAL || error == EBADF || error == ENOTSOCK;
}

static void rest(struct listener *listener)
{
    listener->stalls++;
    loop_watch_set(&listener->watch, 0);
    loop_timer_arm(&listener->rest, NET_STALL_MS);
}

static void on_rested(struct loop_timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, rest);
    loop_watch_set(&listener->watch, LOOP_READABLE);
}

static void on_connections(struct loop_watch *watch, unsigned events)
{
    (void)events;
    struct listener *listener = listener_of(watch);
    for (int i = 0; i < NET_ACCEPT_MAX && watch->events != 0; i++) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->on_accept(listener->ctx, fd);
        } else if (is_shortage(errno)) {
            rest(listener);
        } else if (is_empty(errno)) {
            break;
        }
    }
}

/* ---- Opening ---- */

bool net_is_address(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static int resolve_ip(const struct listener_options *options, struct place *out)
{
    char port[6];
    snprintf(port, sizeof(port), "%u", (unsigned)options->port);
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    if (getaddrinfo(options->host, port, &hints, &found) != 0)
        return ERR_INVALID;
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int resolve_unix(const char *path, struct place *out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(un.sun_path))
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, len + 1);
    memcpy(&out->address, &un, sizeof(un));
    out->len = sizeof(un);
    return 0;
}

static int set_options(int fd, int family)
{
    int on = 1;
    if (family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return err_last();
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return err_last();
    /* Accepted sockets inherit it, which saves a call for each. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return err_last();
    return 0;
}

/* Removes the name of a socket that refuses connections because its process is gone; anything else
 * at that path stays. */
static int remove_stale(const char *path, const struct place *place)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_last();
    if (!S_ISSOCK(st.st_mode))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_last();
    int rc = connect(fd, (const struct sockaddr *)&place->address, place->len);
    bool is_stale = rc != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!is_stale)
        return -EADDRINUSE;
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_last();
}

static int bind_unix(struct listener *listener, int fd, const struct place *place,
                     const struct listener_options *options)
{
    int error = remove_stale(options->path, place);
    if (error != 0)
        return error;
    if (bind(fd, (const struct sockaddr *)&place->address, place->len) != 0)
        return err_last();
    struct stat st;
    listener->path = mem_dup_str(options->path);
    if (lstat(options->path, &st) != 0)
        return err_last();
    listener->path_dev = st.st_dev;
    listener->path_ino = st.st_ino;
    if (options->path_mode != 0 && chmod(options->path, (mode_t)options->path_mode) != 0)
        return err_last();
    return 0;
}

static int bind_ip(struct listener *listener, int fd, struct place *place)
{
    if (bind(fd, (const struct sockaddr *)&place->address, place->len) != 0)
        return err_last();
    if (getsockname(fd, (struct sockaddr *)&place->address, &place->len) != 0)
        return err_last();
    /* The port lies at the same place for both families. */
    struct sockaddr_in in;
    memcpy(&in, &place->address, sizeof(in));
    listener->port = ntohs(in.sin_port);
    return 0;
}

static void remove_path(struct listener *listener)
{
    struct stat st;
    if (listener->path == NULL)
        return;
    if (lstat(listener->path, &st) == 0 && st.st_dev == listener->path_dev &&
        st.st_ino == listener->path_ino)
        IGNORE(unlink(listener->path), "a name left behind is replaced by the next start");
    mem_free(listener->path);
    listener->path = NULL;
}

static int listen_at(struct listener *listener, int fd, struct place *place,
                     const struct listener_options *options)
{
    int family = place->address.ss_family;
    int error = set_options(fd, family);
    if (error == 0 && family == AF_UNIX)
        error = bind_unix(listener, fd, place, options);
    else if (error == 0)
        error = bind_ip(listener, fd, place);
    if (error != 0)
        return error;
    unsigned backlog = options->backlog != 0 ? options->backlog : NET_BACKLOG;
    if (listen(fd, (int)(backlog < INT16_MAX ? backlog : INT16_MAX)) != 0)
        return err_last();
    return loop_watch_open(options->loop, &listener->watch, fd, on_connections);
}

static int open_socket(struct listener *listener, const struct listener_options *options)
{
    struct place place = {.len = 0};
    int error =
        options->path != NULL ? resolve_unix(options->path, &place) : resolve_ip(options, &place);
    if (error != 0)
        return error;
    int fd = socket(place.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_last();
    error = listen_at(listener, fd, &place, options);
    if (error != 0)
        close(fd);
    return error;
}

static int report(const struct listener_options *options, int error, struct diag *diag)
{
    if (options->path != NULL)
        return diag_set(diag, error, "cannot listen on %s: %s", options->path, err_text(error));
    bool is_v6 = strchr(options->host, ':') != NULL;
    return diag_set(diag, error, "cannot listen on %s%s%s:%u: %s", is_v6 ? "[" : "", options->host,
                    is_v6 ? "]" : "", (unsigned)options->port, err_text(error));
}

int listener_open(const struct listener_options *options, struct listener **out, struct diag *diag)
{
    ASSERT((options->host == NULL) != (options->path == NULL));
    struct listener *listener = mem_calloc(1, sizeof(*listener));
    listener->magic = LISTENER_MAGIC;
    listener->on_accept = options->on_accept;
    listener->ctx = options->ctx;
    int error = open_socket(listener, options);
    if (error != 0) {
        remove_path(listener);
        mem_free(listener);
        return report(options, error, diag);
    }
    loop_timer_init(options->loop, &listener->rest, on_rested);
    loop_watch_set(&listener->watch, LOOP_READABLE);
    *out = listener;
    return 0;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

uint64_t listener_stalls(const struct listener *listener)
{
    return listener->stalls;
}

static void on_watch_closed(struct loop_watch *watch)
{
    struct listener *listener = listener_of(watch);
    close(watch->fd);
    listener->magic = 0;
    mem_free(listener);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    MAGIC_CHECK(listener, LISTENER_MAGIC);
    loop_timer_fini(&listener->rest);
    remove_path(listener);
    loop_watch_close(&listener->watch, on_watch_closed);
}
