/* SPDX-License-Identifier: Apache-2.0 */
/* What the server takes of the machine to be reached and found: addresses, descriptors, pid file.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "engine/group_stats.h"
#include "net/notify.h"
#include "os/process.h"
#include "server/server_internal.h"

#define RESERVED_FDS   128        /* data files, log, loops */
#define FILES_INCLUDED 32         /* data files and log segments: more are taken off besides */
#define OPEN_FILES     (1u << 20) /* as many as are allowed by default at most */

/* ---- Listening ---- */

/* Each data file and segment keeps its descriptor. As they become more, fewer clients fit beside
 * them: it is better that a client is refused than that all writes are. */
static void make_way_for_files(struct server *server)
{
    struct group_stats stats = group_stats(server->group);
    uint64_t files = stats.data_files + stats.log_segments + stats.log_spares;
    uint64_t more = files > FILES_INCLUDED ? files - FILES_INCLUDED : 0;
    uint64_t limit = process_raise_open_files(0);
    uint64_t fits = limit > RESERVED_FDS + more ? limit - RESERVED_FDS - more : 1;
    struct hub_settings *settings = hub_settings(server->hub);
    lock_take(&server->config->lock);
    uint64_t wanted = config_number(server->config, CONF_MAX_CLIENTS);
    bool is_short = more > 0 && fits < wanted;
    atomic_store(&settings->max_clients, is_short ? fits : wanted);
    lock_drop(&server->config->lock);
    if (is_short && !server->is_short_of_files)
        log_line(&server->log, LOG_WARNING,
                 "%llu data files and log segments are open and the limit is %llu: no more than "
                 "%llu clients are served. Raise it with 'ulimit -n'",
                 (unsigned long long)files, (unsigned long long)limit, (unsigned long long)fits);
    server->is_short_of_files = is_short;
}

static void on_accept(void *ctx, int fd)
{
    struct server *server = ctx;
    make_way_for_files(server);
    hub_accept(server->hub, fd);
}

static const char *advice(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return ": stop what listens there, or give another --port";
    case -EADDRNOTAVAIL:
        return ": 'bind' takes addresses of this machine";
    case ERR_INVALID:
        return ": 'bind' takes addresses in numbers, '*' and 'localhost'";
    case -EACCES:
        return ": ports below 1024 need a privilege; give another --port";
    default:
        return "";
    }
}

/* One word of `bind` as an address in numbers; true if it had '-' in front: it may be missing. */
static bool read_address(struct slice word, char *out_host, size_t size)
{
    bool is_optional = word.len > 0 && word.data[0] == '-';
    if (is_optional)
        word = slice_sub(word, 1, SIZE_MAX);
    if (slice_is(word, "*"))
        word = SLICE_LIT("0.0.0.0");
    else if (slice_is(word, "::*"))
        word = SLICE_LIT("::");
    else if (slice_is(word, "localhost"))
        word = SLICE_LIT("127.0.0.1");
    snprintf(out_host, size, "%.*s", SLICE_FMT(word));
    return is_optional;
}

static int open_listener(struct server *server, struct listener_options *options, struct diag *diag)
{
    if (server->listener_count == MAX_LISTENERS)
        return diag_set(diag, ERR_TOO_BIG, "more than %d addresses to listen on", MAX_LISTENERS);
    options->loop = server->loops[0];
    options->backlog = (unsigned)config_number(server->config, CONF_TCP_BACKLOG);
    options->on_accept = on_accept;
    options->ctx = server;
    struct diag why = {.text = ""};
    int rc = listener_open(options, &server->listeners[server->listener_count], &why);
    if (rc != 0)
        return diag_set(diag, rc, "%.400s", why.text);
    server->listener_count++;
    return 0;
}

static int listen_on(struct server *server, struct slice word, struct diag *diag)
{
    char host[NET_ADDR_SIZE];
    bool is_optional = read_address(word, host, sizeof(host));
    struct diag why = {.text = ""};
    int rc =
        open_listener(server, &(struct listener_options){.host = host, .port = server->port}, &why);
    if (rc != 0)
        return is_optional ? 0 : diag_set(diag, rc, "%.400s%s", why.text, advice(rc));
    if (server->port == 0)
        server->port = listener_port(server->listeners[server->listener_count - 1]);
    return 0;
}

static int listen_on_path(struct server *server, const char *path, struct diag *diag)
{
    struct diag why = {.text = ""};
    unsigned mode = (unsigned)config_number(server->config, CONF_UNIX_SOCKET_PERM);
    int rc =
        open_listener(server, &(struct listener_options){.path = path, .path_mode = mode}, &why);
    if (rc == -EADDRINUSE)
        return diag_set(diag, rc,
                        "%.400s: it is no socket, or somebody listens there; give another "
                        "--unixsocket",
                        why.text);
    return rc == 0 ? 0 : diag_set(diag, rc, "%.400s", why.text);
}

/* The next word of `bind`, taken off; empty at the end. */
static struct slice next_word(struct slice *rest)
{
    while (rest->len > 0 && rest->data[0] == ' ')
        *rest = slice_sub(*rest, 1, SIZE_MAX);
    const uint8_t *blank = rest->len == 0 ? NULL : memchr(rest->data, ' ', rest->len);
    size_t len = blank == NULL ? rest->len : (size_t)(blank - rest->data);
    struct slice word = slice_sub(*rest, 0, len);
    *rest = slice_sub(*rest, len, SIZE_MAX);
    return word;
}

int server_check_bind(const struct config *config, struct diag *diag)
{
    struct slice rest = buf_slice(&config->values[CONF_BIND].text);
    for (struct slice word = next_word(&rest); word.len > 0; word = next_word(&rest)) {
        char host[NET_ADDR_SIZE];
        IGNORE(read_address(word, host, sizeof(host)), "it is wrong all the same");
        if (!net_is_address(host))
            return diag_set(diag, ERR_INVALID, "'bind': '%.100s' is no address%s", host,
                            advice(ERR_INVALID));
    }
    return 0;
}

/* On every address of `bind`, at the configured port. */
static int listen_on_addresses(struct server *server, struct diag *diag)
{
    struct slice rest = buf_slice(&server->config->values[CONF_BIND].text);
    server->port = (uint16_t)config_number(server->config, CONF_PORT);
    int rc = 0;
    for (struct slice word = next_word(&rest); rc == 0 && word.len > 0; word = next_word(&rest))
        rc = listen_on(server, word, diag);
    return rc;
}

static bool is_unix_only(const struct server *server)
{
    return config_number(server->config, CONF_PORT) == 0 &&
           config_text(server->config, CONF_UNIX_SOCKET)[0] != '\0';
}

int server_listen(struct server *server, struct diag *diag)
{
    const char *path = config_text(server->config, CONF_UNIX_SOCKET);
    int rc = is_unix_only(server) ? 0 : listen_on_addresses(server, diag);
    server->unix_listener = server->listener_count;
    if (rc == 0 && path[0] != '\0')
        rc = listen_on_path(server, path, diag);
    if (rc == 0 && server->listener_count == 0)
        return diag_set(diag, ERR_INVALID,
                        "no address of 'bind' could be listened on, and there is no 'unixsocket'");
    return rc;
}

int server_change_port(struct server *server, struct diag *diag)
{
    struct listener *old[MAX_LISTENERS];
    size_t old_count = server->listener_count;
    size_t old_unix = server->unix_listener;
    uint16_t old_port = server->port;
    if (old_count == 0)
        return diag_set(diag, ERR_INVALID, "the server is going down");
    memcpy(old, server->listeners, sizeof(old));
    server->listener_count = 0;
    int rc = is_unix_only(server) ? 0 : listen_on_addresses(server, diag);
    if (rc == 0 && server->listener_count + old_count - old_unix > MAX_LISTENERS)
        rc = diag_set(diag, ERR_TOO_BIG, "more than %d addresses to listen on", MAX_LISTENERS);
    if (rc == 0 && server->listener_count == 0 && !is_unix_only(server))
        rc = diag_set(diag, ERR_INVALID, "no address of 'bind' could be listened on");
    if (rc != 0) {
        server_stop_listening(server);
        memcpy(server->listeners, old, sizeof(old));
        server->listener_count = old_count;
        server->port = old_port;
        return rc;
    }
    for (size_t i = 0; i < old_unix; i++)
        listener_close(old[i]);
    server->unix_listener = server->listener_count;
    for (size_t i = old_unix; i < old_count; i++)
        server->listeners[server->listener_count++] = old[i];
    return 0;
}

void server_stop_listening(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(server->listeners[i]);
    server->listener_count = 0;
}

/* ---- The supervisor ---- */

void server_notify(struct server *server, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    notify_send(server->notify_fd, text);
}

void server_open_notify(struct server *server)
{
    uint64_t wanted = config_number(server->config, CONF_SUPERVISED);
    const char *address = process_variable("NOTIFY_SOCKET");
    server->notify_fd = -1;
    if (wanted == SUPERVISED_NO || (wanted == SUPERVISED_AUTO && address == NULL))
        return;
    int fd = address == NULL ? -ENOENT : notify_open(address);
    server->notify_fd = fd;
    if (fd < 0)
        log_line(&server->log, LOG_WARNING,
                 "systemd supervision is wanted, and systemd cannot be told anything: %s",
                 address == NULL ? "NOTIFY_SOCKET is not set (Type=notify sets it)" : err_text(fd));
}

/* ---- Limits of the machine ---- */

uint64_t server_clients_that_fit(uint64_t wanted)
{
    uint64_t least = wanted + RESERVED_FDS;
    uint64_t limit = process_raise_open_files(least > OPEN_FILES ? least : OPEN_FILES);
    if (limit < least)
        limit = process_raise_open_files(least);
    if (limit >= wanted + RESERVED_FDS)
        return wanted;
    return limit > 2 * RESERVED_FDS ? limit - RESERVED_FDS : limit / 2;
}

void server_fit_max_clients(struct server *server)
{
    uint64_t wanted = config_number(server->config, CONF_MAX_CLIENTS);
    uint64_t fits = server_clients_that_fit(wanted);
    if (fits == wanted)
        return;
    server->config->values[CONF_MAX_CLIENTS].number = fits;
    log_line(&server->log, LOG_WARNING,
             "the limit of open files is %llu: maxclients is lowered from %llu to %llu. Raise it "
             "with 'ulimit -n'",
             (unsigned long long)process_raise_open_files(0), (unsigned long long)wanted,
             (unsigned long long)fits);
}

static int write_number(struct fs *fs, const char *path)
{
    struct file *file;
    int rc = fs_open(fs, path, FS_WRITE | FS_CREATE, &file);
    if (rc != 0)
        return rc;
    char text[32];
    int len = snprintf(text, sizeof(text), "%d\n", process_id());
    size_t done;
    rc = file_truncate(file, 0);
    if (rc == 0)
        rc = file_write_full(file, text, (size_t)len, 0, &done);
    file_unref(file);
    return rc;
}

void server_write_pidfile(struct server *server)
{
    const char *path = config_text(server->config, CONF_PIDFILE);
    if (path[0] == '\0')
        return;
    int rc = write_number(server->os.fs, path);
    server->has_pidfile = rc == 0;
    if (rc != 0)
        log_line(&server->log, LOG_WARNING,
                 "pid file %.300s: %s. There is none: give a --pidfile in a folder that this user "
                 "may write",
                 path, err_text(rc));
}

void server_remove_pidfile(struct server *server)
{
    if (server->has_pidfile)
        IGNORE(fs_unlink(server->os.fs, config_text(server->config, CONF_PIDFILE)),
               "the process ends all the same");
}
