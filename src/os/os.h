/* SPDX-License-Identifier: Apache-2.0 */
/* os: what a component is given of the machine. Copied by value; the tables outlive all users. */
#ifndef OS_OS_H
#define OS_OS_H

#include "os/clock.h"
#include "os/fs.h"

struct os {
    struct fs *fs;
    struct clock *clock;
    struct chance *chance;
};

/* The machine itself. */
struct os os_posix(void);

#endif
