/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that never become connections. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/net.h"

bool net_is_local(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
        return false;
    if (peer.ss_family == AF_UNIX)
        return true;
    if (peer.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &peer, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (peer.ss_family != AF_INET6)
        return false;
    struct sockaddr_in6 v6;
    memcpy(&v6, &peer, sizeof(v6));
    bool is_mapped_loopback =
        IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == 127;
    return is_mapped_loopback || IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

bool net_is_unix(int fd)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof(own);
    memset(&own, 0, sizeof(own));
    return getsockname(fd, (struct sockaddr *)&own, &len) == 0 && own.ss_family == AF_UNIX;
}

void net_refuse(int fd, const char *text)
{
    /* A fresh socket's buffer takes a line; if not, the peer learns from the end alone. */
    IGNORE(send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), "see above");
    close(fd);
}
