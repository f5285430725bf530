/* SPDX-License-Identifier: Apache-2.0 */
#include "net/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

int notify_open(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || len < 2)
        return ERR_INVALID;
    if (len >= sizeof(un.sun_path))
        return -ENAMETOOLONG;
    memcpy(un.sun_path, address, len);
    if (address[0] == '@')
        un.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_last();
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (connect(fd, (const struct sockaddr *)&un, size) != 0) {
        int error = err_last();
        close(fd);
        return error;
    }
    return fd;
}

void notify_send(int fd, const char *text)
{
    if (fd >= 0)
        IGNORE(send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), "see the header");
}

void notify_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
