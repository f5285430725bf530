/* SPDX-License-Identifier: Apache-2.0 */
#include "os/console.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"

int console_open(struct console *console, const char *path)
{
    console->fd = STDOUT_FILENO;
    if (path[0] == '\0')
        return 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_last();
    console->fd = fd;
    return 0;
}

void console_close(struct console *console)
{
    if (console->fd > STDERR_FILENO)
        close(console->fd);
    console->fd = STDOUT_FILENO;
}

void console_write(const struct console *console, struct slice text)
{
    IGNORE(write(console->fd, text.data, text.len), "see the header");
}

size_t console_time(char *to, size_t size)
{
    struct timespec now;
    struct tm parts;
    char date[40];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &parts);
    int len = snprintf(to, size, "%s.%03d", date, (int)(now.tv_nsec / 1000000));
    return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}
