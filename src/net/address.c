/* SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/assert.h"
#include "net/net_internal.h"

static void format_unix(const struct sockaddr_storage *address, socklen_t len, char *out)
{
    struct sockaddr_un un;
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t size = len < sizeof(un) ? len : sizeof(un);
    memset(&un, 0, sizeof(un));
    memcpy(&un, address, size);
    int path_len = size > start ? (int)(size - start) : 0;
    /* The end of a client has no name. */
    snprintf(out, NET_ADDR_SIZE, "%.*s%s", path_len, un.sun_path, path_len > 0 ? ":0" : "");
}

void address_format(const struct sockaddr_storage *address, socklen_t len, char *out)
{
    STATIC_ASSERT(NET_ADDR_SIZE > sizeof(((struct sockaddr_un *)NULL)->sun_path) + 2, "paths fit");
    char host[NET_ADDR_SIZE - 9]; /* beside "[]:65535" */
    char port[6];
    out[0] = '\0';
    if (address->ss_family == AF_UNIX) {
        format_unix(address, len, out);
        return;
    }
    if (getnameinfo((const struct sockaddr *)address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    bool is_v6 = address->ss_family == AF_INET6;
    snprintf(out, NET_ADDR_SIZE, "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

typedef int (*name_fn)(int fd, struct sockaddr *address, socklen_t *len);

static void format_end(const struct conn *conn, name_fn name, char *out)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    memset(&address, 0, sizeof(address));
    out[0] = '\0';
    if (!conn->is_closing && name(conn->watch.fd, (struct sockaddr *)&address, &len) == 0)
        address_format(&address, len, out);
}

static void borrow_name(char *to, const char *from)
{
    if (to[0] == '\0')
        snprintf(to, NET_ADDR_SIZE, "%s", from[0] == '\0' ? "?" : from);
}

void conn_addresses(const struct conn *conn, char *out_peer, char *out_local)
{
    format_end(conn, getpeername, out_peer);
    format_end(conn, getsockname, out_local);
    borrow_name(out_peer, out_local);
    borrow_name(out_local, out_peer);
}
