/* SPDX-License-Identifier: Apache-2.0 */
/* What the server takes of the machine to be reached and found: addresses, descriptors, pid file.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
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

/* One word of `bind`; with '-' in front it may fail. */
static int listen_on(struct server *server, struct slice word, struct diag *diag)
{
    bool is_optional = word.len > 0 && word.data[0] == '-';
    if (is_optional)
        word = slice_sub(word, 1, SIZE_MAX);
    char host[NET_ADDR_SIZE];
    snprintf(host, sizeof(host), "%.*s", SLICE_FMT(word));
    const char *numeric = slice_is(word, "*")           ? "0.0.0.0"
                          : slice_is(word, "localhost") ? "127.0.0.1"
                                                        : host;
    struct diag why = {.text = ""};
    int rc = listener_open(
        &(struct listener_options){
            .loop = server->loops[0],
            .host = numeric,
            .port = server->port,
            .backlog = (unsigned)config_number(server->config, CONF_TCP_BACKLOG),
            .on_accept = on_accept,
            .ctx = server,
        },
        &server->listeners[server->listener_count], &why);
    if (rc != 0 && is_optional)
        return 0;
    if (rc != 0)
        return diag_set(diag, rc, "%.400s%s", why.text, advice(rc));
    if (server->port == 0)
        server->port = listener_port(server->listeners[server->listener_count]);
    server->listener_count++;
    return 0;
}

int server_listen(struct server *server, struct diag *diag)
{
    struct slice rest = buf_slice(&server->config->values[CONF_BIND].text);
    server->port = (uint16_t)config_number(server->config, CONF_PORT);
    while (rest.len > 0 && server->listener_count < MAX_LISTENERS) {
        const uint8_t *blank = memchr(rest.data, ' ', rest.len);
        size_t len = blank == NULL ? rest.len : (size_t)(blank - rest.data);
        int rc = len == 0 ? 0 : listen_on(server, slice_sub(rest, 0, len), diag);
        if (rc != 0)
            return rc;
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
    if (server->listener_count == 0)
        return diag_set(diag, ERR_INVALID, "no address of 'bind' could be listened on");
    return 0;
}

void server_stop_listening(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(server->listeners[i]);
    server->listener_count = 0;
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

int server_write_pidfile(struct server *server, struct diag *diag)
{
    const char *path = config_text(server->config, CONF_PIDFILE);
    if (path[0] == '\0')
        return 0;
    struct file *file;
    int rc = fs_open(server->os.fs, path, FS_WRITE | FS_CREATE, &file);
    if (rc == 0) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%d\n", process_id());
        size_t done;
        rc = file_truncate(file, 0);
        if (rc == 0)
            rc = file_write_full(file, text, (size_t)len, 0, &done);
        file_unref(file);
    }
    return rc == 0 ? 0 : diag_set(diag, rc, "pid file %.300s: %s", path, err_text(rc));
}

void server_remove_pidfile(struct server *server)
{
    const char *path = config_text(server->config, CONF_PIDFILE);
    if (path[0] != '\0')
        IGNORE(fs_unlink(server->os.fs, path), "the process ends all the same");
}
